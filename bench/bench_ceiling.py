"""What the machine can do at most, and what a network asks of it."""

import statistics
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from networks import NETWORKS

ROUNDS = 5


def ceilings(device, short):
    """Operations a second of a matrix product, by precision, and bytes a second of a copy."""
    size = 512 if short else {"cpu": 2048, "cuda": 8192}[device]
    bytes_copied = 2**24 if short else {"cpu": 2**28, "cuda": 2**32}[device]
    found = {}
    for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        # Where bf16 is emulated, a large product takes minutes.
        n = size if (name, device) != ("bf16", "cpu") else size // 4
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        product = torch.empty_like(a)
        found[name] = 2 * n**3 / seconds(device, lambda: torch.matmul(a, b, out=product))  # noqa: B023
    source = torch.ones(bytes_copied // 4, device=device)
    target = torch.empty_like(source)
    # Each byte is read and written.
    found["copy"] = 2 * bytes_copied / seconds(device, lambda: target.copy_(source))
    return found


def seconds(device, action):
    """Median over rounds, each long enough to be timed."""

    def timed(times):
        if device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(times):
            action()
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - began) / times

    timed(1)
    times = max(1, round(0.1 / timed(1)))
    return statistics.median(timed(times) for _ in range(ROUNDS))


class Traffic(TorchDispatchMode):
    """Bytes that operations read and write, each tensor of each operation once."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        if not function.is_view:
            tensors = [*tensors_in((arguments, keywords or {})), *tensors_in(result)]
            self.bytes += sum(tensor.nbytes for tensor in tensors)
        return result


def tensors_in(tree):
    leaves = torch.utils._pytree.tree_leaves(tree)
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def work(network, phase):
    """Operations and bytes for one image, counted on a plain PyTorch step of a few images.

    The bytes of parameters and of the optimizer, which a batch shares, are left out.
    """
    make, size = NETWORKS[network]
    net = make().train(phase == "train")

    def counted(batch):
        images = torch.randn(batch, 3, size, size)
        labels = torch.zeros(batch, dtype=torch.long)
        traffic = Traffic()
        with FlopCounterMode(display=False) as operations, traffic:
            if phase == "train":
                F.cross_entropy(net(images)[0], labels).backward()
            else:
                with torch.no_grad():
                    net(images)
        return operations.get_total_flops(), traffic.bytes

    (few_operations, few_bytes), (operations, traffic) = counted(2), counted(4)
    return {"operations": (operations - few_operations) / 2, "bytes": (traffic - few_bytes) / 2}
