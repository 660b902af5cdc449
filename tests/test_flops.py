"""The Rust library's arithmetic against PyTorch's own counts on the networks of networks.py.

FlopCounterMode counts two operations for a multiply-add, in convolutions and linear layers.
"""

import json

import pytest
import torch
from networks import NETWORKS
from torch.utils.flop_counter import FlopCounterMode


@pytest.fixture
def cost(example):
    """What examples/cost.rs counts."""

    def run(name, size):
        return json.loads(example("cost", name, "--size", size, "--json").stdout)

    return run


def operations(cost):
    for layer in cost["layers"]:
        yield from layer["parts"] or [layer]


def counted(net, images):
    """Multiply-adds in total and by module."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(images)
    top = type(net).__name__
    by_module = {
        name.removeprefix(f"{top}."): sum(counts.values()) / 2
        for name, counts in counter.get_flop_counts().items()
    }
    return counter.get_total_flops() / 2, by_module


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize(
    ("name", "size"), [("seed", 224), ("paper", 224), ("cifar", 32), ("cifar", 45)]
)
def test_multiply_adds(name, size, training, cost):
    make, _ = NETWORKS[name]
    net = make().train(training)
    total, by_module = counted(net, torch.randn(1, 3, size, size))
    found = cost(name, size)
    assert found["total" if training else "inference"]["multiply_adds"] == total
    compared = 0
    for part in operations(found):
        if part["cost"]["multiply_adds"] and (training or not part["name"].startswith("aux_")):
            assert part["cost"]["multiply_adds"] == by_module[part["name"]], part["name"]
            compared += 1
    assert compared == sum(
        isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
        and (training or not name.startswith("aux_"))
        for name, module in net.named_modules()
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters(name, cost):
    make, size = NETWORKS[name]
    modules = dict(make().named_modules())
    found = cost(name, size)
    for part in operations(found):
        if part["cost"]["parameters"]:
            parameters = modules[part["name"]].parameters()
            assert part["cost"]["parameters"] == sum(p.numel() for p in parameters), part["name"]
    assert found["total"]["parameters"] == sum(p.numel() for p in modules[""].parameters())


@pytest.mark.parametrize("name", ["seed", "cifar"])
def test_what_training_keeps(name, cost):
    """The activations of a training step against what autograd keeps for the backward pass.

    Ours are a little more: some values that are written need not be kept, such as the logits.
    (The paper's network is left out: PyTorch's local response normalisation keeps
    six tensors, each as large as its input.)
    """
    make, size = NETWORKS[name]
    net = make().train()
    parameters = {p.untyped_storage().data_ptr() for p in net.state_dict().values()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    images = torch.randn(2, 3, size, size)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = net(images)
    assert len(outputs) == 2
    count = cost(name, size)["total"]
    written = 2 * (4 * count["activations"] + 8 * count["maxima"]) + images.nbytes
    print(f"{name}: kept {sum(kept.values())}, counted {written}")
    assert 0.99 * written < sum(kept.values()) <= written
