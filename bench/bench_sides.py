"""The PyTorch sides of `cargo xtask bench train`, each a process of its own.

    bench_sides.py [--mode MODE] post|eager|compiled train|evaluate NETWORK BATCH cpu|cuda FOLDER

MODE is torch.compile's.

The files in FOLDER and what is said on standard input and output are those of
src/train.rs, our side.
"""

import json
import math
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from networks import NETWORKS, Conv

CHECKED_STEPS = 3
# The blog post's recipe: Recipe::seed.
LEARNING_RATE = 2e-4


def normalisation(images):
    """Mean and deviation of each colour, on the scale from 0 to 1."""
    pixels = images.reshape(-1, 3).to(torch.int64)
    mean = pixels.sum(0).double() / len(pixels)
    square = pixels.square().sum(0).double() / len(pixels)
    return mean / 255, (square - mean.square()).sqrt() / 255


class Side:
    """A network with its data, its optimizer and its loop, on one device."""

    precision = "float32"

    def __init__(self, phase, network, batch, device, folder):
        self.device, self.batch, self.network = torch.device(device), batch, network
        data = load_file(folder / "data.safetensors", device=device)
        self.weights = load_file(folder / "weights.safetensors", device=device)
        self.all = data["images"], data["labels"]
        self.use(len(self.all[0]))
        self.begin()

    def use(self, count):
        """Only so many of the images."""
        self.images, self.labels = (tensor[:count] for tensor in self.all)
        self.prepare(*normalisation(self.images))

    def begin(self):
        """The network with the given weights, and a new optimizer."""
        self.net = self.build().to(self.device)
        missing, unknown = self.net.load_state_dict(self.weights, strict=False)
        missing = [name for name in missing if "num_batches" not in name]
        assert not missing and not unknown, (missing, unknown)
        self.optimizer = self.make_optimizer()

    def build(self):
        return NETWORKS[self.network][0]()

    def synchronize(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def epoch(self):
        """Once through the images in random order: seconds, and the loss of every step."""
        order = torch.randperm(len(self.images), device=self.device)
        self.net.train()
        self.synchronize()
        began = time.perf_counter()
        losses = [self.step(chosen) for chosen in order.split(self.batch)]
        self.synchronize()
        return time.perf_counter() - began, losses

    def evaluation(self):
        """Mean loss and share of right answers over all images."""
        self.net.eval()
        loss = torch.zeros((), device=self.device)
        correct = torch.zeros((), device=self.device)
        for start in range(0, len(self.images), self.batch):
            chosen = slice(start, start + self.batch)
            labels = self.labels[chosen]
            logits = self.logits(self.images[chosen])
            loss += F.cross_entropy(logits, labels) * len(labels)
            correct += (logits.argmax(1) == labels).sum()
        return loss.item() / len(self.images), correct.item() / len(self.images)


class Post(Side):
    """The post's loop as tutorials have it: float32, NCHW, a look at the loss after every step."""

    def make_optimizer(self):
        return torch.optim.Adam(self.net.parameters(), lr=LEARNING_RATE)

    def prepare(self, mean, deviation):
        self.mean = mean.float().view(1, 3, 1, 1)
        self.deviation = deviation.float().view(1, 3, 1, 1)

    def input(self, images):
        images = images.permute(0, 3, 1, 2).contiguous().float() / 255
        return (images - self.mean) / self.deviation

    def step(self, chosen):
        images, labels = self.input(self.images[chosen]), self.labels[chosen]
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.net(images)[0], labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def logits(self, images):
        with torch.no_grad():
            return self.net(self.input(images))[0]


class Eager(Side):
    """PyTorch without compilation at its best: channels last, the faster of float32 and bf16, a
    fused optimizer, activations in place, no wait for the device within an epoch."""

    def __init__(self, phase, network, batch, device, folder):
        torch.backends.cudnn.benchmark = True
        super().__init__(phase, network, batch, device, folder)
        self.choose_precision(phase)
        self.begin()

    def build(self):
        net = super().build()
        for module in net.modules():
            if isinstance(module, Conv):
                module.in_place = True
        return net.to(memory_format=torch.channels_last)

    def make_optimizer(self):
        return torch.optim.Adam(self.net.parameters(), lr=LEARNING_RATE, fused=True)

    def prepare(self, mean, deviation):
        # One number for each byte of an image: long rows are faster than colours of three.
        pixels = self.images[0].numel() // 3
        self.scale = (1 / (255 * deviation)).float().repeat(pixels)
        self.shift = (-mean / deviation).float().repeat(pixels)

    def input(self, images):
        pixels = torch.addcmul(self.shift, images.flatten(1).float(), self.scale)
        return pixels.view(images.shape).permute(0, 3, 1, 2)

    def autocast(self):
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def forward(self, images, labels):
        """Logits and loss."""
        with self.autocast():
            logits = self.net(self.input(images))[0]
            return logits, F.cross_entropy(logits, labels)

    def step(self, chosen):
        images, labels = (t.index_select(0, chosen) for t in (self.images, self.labels))
        _, loss = self.forward(images, labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def logits(self, images):
        with torch.inference_mode(), self.autocast():
            return self.net(self.input(images))[0].float()

    def seconds(self, phase, chosen):
        """What is measured, once, on these images."""
        self.synchronize()
        began = time.perf_counter()
        if phase == "train":
            self.step(chosen)
        else:
            self.logits(self.images[chosen])
        self.synchronize()
        return time.perf_counter() - began

    def choose_precision(self, phase):
        """The one that is faster at what is measured. On a CPU without instructions for it bf16 may
        take ten times as long: two images tell that, too."""
        on_cpu = self.device.type == "cpu"
        self.net.train(phase == "train")
        for count in [2, self.batch] if on_cpu else [self.batch]:
            chosen = torch.arange(min(count, self.batch), device=self.device)
            self.trial = {}
            for self.precision in ("float32", "bf16"):
                self.seconds(phase, chosen)  # The first does other work, too.
                times = [self.seconds(phase, chosen)]
                if times[0] <= 3 * self.trial.get("float32", math.inf):
                    times.append(self.seconds(phase, chosen))
                self.trial[self.precision] = min(times)
            if max(self.trial.values()) > 3 * min(self.trial.values()):
                break
        self.precision = min(self.trial, key=self.trial.get)
        # The trial is no part of the memory that is reported.
        if on_cpu:
            Path("/proc/self/clear_refs").write_text("5")
        else:
            torch.cuda.empty_cache()


class Compiled(Eager):
    """torch.compile over the network, its input and its loss."""

    mode = None

    def __init__(self, phase, network, batch, device, folder):
        super().__init__(phase, network, batch, device, folder)
        mode = self.mode or ("max-autotune" if device == "cuda" else "default")
        self.forward = torch.compile(self.forward, mode=mode, dynamic=False)
        self.net_of = torch.compile(self.net_of, mode=mode, dynamic=False)

    def net_of(self, images):
        with self.autocast():
            return self.net(self.input(images))[0].float()

    def step(self, chosen):
        # With CUDA graphs the outputs of a step lie where those of the last one did.
        torch.compiler.cudagraph_mark_step_begin()
        loss = super().step(chosen)
        return loss.clone()

    def logits(self, images):
        torch.compiler.cudagraph_mark_step_begin()
        with torch.no_grad():
            return self.net_of(images)


SIDES = {"post": Post, "eager": Eager, "compiled": Compiled}


def answer(**values):
    print(json.dumps(values), flush=True)


def main():
    *options, name, phase, network, batch, device, folder = sys.argv[1:]
    if options:
        Compiled.mode = options[1]
    torch.manual_seed(0)
    side = SIDES[name](phase, network, int(batch), device, Path(folder))
    try:
        if phase == "train":
            side.use(side.batch)
            losses = [float(loss) for _ in range(CHECKED_STEPS) for loss in side.epoch()[1]]
            side.use(len(side.all[0]))
        else:
            losses = [side.evaluation()[0]]
    except torch._dynamo.exc.TorchDynamoException as error:
        answer(skipped=f"{type(error).__name__}: {str(error).splitlines()[0]}")
        return
    answer(
        losses=losses,
        precision=side.precision,
        threads=torch.get_num_threads(),
        trial=getattr(side, "trial", None),
    )
    for line in sys.stdin:
        if phase == "train":
            seconds = sum(side.epoch()[0] for _ in range(int(line)))
        else:
            began = time.perf_counter()
            for _ in range(int(line)):
                side.evaluation()
            seconds = time.perf_counter() - began
        answer(seconds=seconds)


if __name__ == "__main__":
    main()
