"""The Rust networks against PyTorch: same weights, same images, same results.

Each network is built here on its own (networks.py), its random weights are handed over as
safetensors, and logits, auxiliary logits, loss, every gradient and the running statistics come
back.

Everything is compared in float64. In float32 only logits and losses are: there PyTorch's own
gradients are up to 5 % from its own float64 ones, since a rounding error moves the maximum of a
pooling window or the sign of a ReLU's input.
"""

import subprocess

import pytest
import torch
from networks import NETWORKS, unsettle_norms
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


def relative_error(found, expected):
    scale = expected.norm().item()
    return (found - expected).norm().item() / scale if scale > 0 else found.norm().item()


@pytest.fixture
def parity(driver):
    """The Rust side."""

    def run(spec, source, target):
        driver("parity", spec, source, target)
        return load_file(target)

    return run


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_results_as_pytorch(name, batch, dtype, parity, tmp_path):
    torch.manual_seed(batch)
    make, size = NETWORKS[name]
    net = make().to(dtype)
    unsettle_norms(net, least_variance=0.5)
    images = torch.randn(batch, 3, size, size, dtype=dtype)
    labels = torch.randint(0, net.head.classifier.out_features, (batch,))

    def variables():
        return {k: v for k, v in net.state_dict().items() if "num_batches" not in k}

    source = {f"weights.{name}": tensor for name, tensor in variables().items()}
    save_file({"images": images, "labels": labels, **source}, tmp_path / "in.safetensors")
    found = parity(name, tmp_path / "in.safetensors", tmp_path / "out.safetensors")

    with torch.no_grad():
        net.eval()
        expected = {"eval.logits": net(images)[0]}
    net.train()
    logits, auxiliary = net(images)
    loss = F.cross_entropy(logits, labels)
    loss = loss + 0.3 * sum(F.cross_entropy(other, labels) for other in auxiliary)
    loss.backward()
    expected |= {"train.loss": loss.detach().view(1), "train.logits": logits.detach()}
    for index, other in enumerate(auxiliary):
        expected[f"train.auxiliary.{index}"] = other.detach()
    expected |= {f"gradients.{k}": p.grad for k, p in net.named_parameters()}
    expected |= {f"after.{k}": v for k, v in variables().items()}

    assert set(found) == set(expected)
    compared = [k for k in expected if dtype == torch.float64 or not k.startswith("gradients.")]
    errors = {key: relative_error(found[key], expected[key]) for key in compared}
    worst = max(errors, key=errors.get)
    print(f"{name}, batch {batch}, {dtype}: largest relative error {errors[worst]:.1e} ({worst})")
    assert errors[worst] < TOLERANCE[dtype], (worst, errors[worst])


def test_parameter_counts():
    """The figures that the Rust tests expect, counted in PyTorch."""

    def count(name):
        parameters = NETWORKS[name][0]().named_parameters()
        return sum(p.numel() for n, p in parameters if not n.startswith("aux_"))

    assert count("seed") == 5_979_642
    assert count("paper") == 6_998_552


def test_a_wrong_file_is_refused(parity, tmp_path):
    save_file(
        {"images": torch.zeros(1, 3, 32, 32), "labels": torch.zeros(1, dtype=torch.long)},
        tmp_path / "in.safetensors",
    )
    with pytest.raises(subprocess.CalledProcessError) as error:
        parity("cifar", tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    assert "is missing" in error.value.stderr
