"""`cargo xtask bench accuracy`: our library and PyTorch train a network by the same recipe.

Several seeds each. Writes docs/results/accuracy-NETWORK.md, .png and .json. Nothing else should run
meanwhile.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from bench_sides import normalisation
from bench_train import ROOT, build
from machine import machine
from torch.nn import functional as F

sys.path.insert(0, str(ROOT / "tests"))
from networks import NETWORKS

RESULTS = ROOT / "docs" / "results"
SIDES = ("ours", "PyTorch")


def cifar10(folder, files):
    """Images (N, 3, 32, 32) and labels of CIFAR-10's binary files."""
    rows = np.concatenate(
        [np.fromfile(folder / file, dtype=np.uint8).reshape(-1, 3073) for file in files]
    )
    images = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).copy())
    return images, torch.from_numpy(rows[:, 0].astype(np.int64))


def factor(schedule, progress):
    """Of the highest learning rate, when this part of the schedule is done."""
    if schedule == "Constant":
        return 1.0
    cycle = schedule["OneCycle"]
    if progress < cycle["warmup"]:
        return cycle["start"] + (1 - cycle["start"]) * progress / cycle["warmup"]
    down = (progress - cycle["warmup"]) / (1 - cycle["warmup"])
    return 1 + (cycle["end"] - 1) * down


def resized(images, size):
    if images.shape[-1] == size:
        return images
    if images.shape[-1] % size == 0:
        return F.adaptive_avg_pool2d(images, size)
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True)


def augmented(images, pad, mirrored):
    """Each moved by up to `pad` pixels, its edges reflected, and mirrored where told."""
    height, width = images.shape[2:]
    padded = F.pad(images, (pad,) * 4, mode="reflect")
    count = len(images)
    top, left = (torch.randint(0, 2 * pad + 1, (count, 1)) for _ in range(2))
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    columns = torch.where(mirrored.view(-1, 1), columns.flip(1), columns)
    image = torch.arange(count).view(-1, 1, 1, 1)
    channel = torch.arange(3).view(1, -1, 1, 1)
    return padded[image, channel, rows.view(count, 1, -1, 1), columns.view(count, 1, 1, -1)]


class PyTorch:
    """The recipe in plain PyTorch: eager mode, channels last."""

    def __init__(self, network, recipe, data, seed):
        torch.manual_seed(seed)
        self.recipe = recipe
        self.train_set, self.test_set = data
        statistics_of_colours = normalisation(self.train_set[0].permute(0, 2, 3, 1))
        self.mean, self.deviation = (s.float().view(3, 1, 1) for s in statistics_of_colours)
        self.net = NETWORKS[network][0]().to(memory_format=torch.channels_last)
        weights, others = [], []
        for parameter in self.net.parameters():
            (weights if parameter.dim() > 1 else others).append(parameter)
        self.optimizer = torch.optim.SGD(
            [
                {"params": weights, "weight_decay": recipe["weight_decay"]},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=recipe["learning_rate"],
            momentum=recipe["optimizer"]["Sgd"]["momentum"],
            nesterov=True,
            fused=True,
        )

    def input(self, images, size):
        images = (images.float() / 255 - self.mean) / self.deviation
        return resized(images, size).contiguous(memory_format=torch.channels_last)

    def logits(self, images):
        with torch.autocast(
            "cpu", dtype=torch.bfloat16, enabled=self.recipe["precision"] == "BFloat16"
        ):
            return self.net(images)[0].float()

    def size(self, progress):
        begun = [step["size"] for step in self.recipe["sizes"] if progress >= step["from"]]
        return begun[-1] if begun else 32

    def train(self):
        """Seconds of training."""
        images, labels = self.train_set
        batch, epochs = self.recipe["batch"], self.recipe["epochs"]
        steps = len(images) // batch
        augment = self.recipe["augment"]
        # In every other epoch from the first on, and the others in those between.
        mirrored = torch.rand(len(images)) < 0.5
        began = time.perf_counter()
        self.net.train()
        for epoch in range(epochs):
            for step, chosen in enumerate(torch.randperm(len(images)).split(batch)[:steps]):
                progress = (epoch + step / steps) / epochs
                for group in self.optimizer.param_groups:
                    group["lr"] = self.recipe["learning_rate"] * factor(
                        self.recipe["schedule"], progress
                    )
                flips = (mirrored[chosen] ^ (epoch % 2 == 1)) & augment["flip"]
                xs = augmented(images[chosen], augment["pad"], flips)
                loss = F.cross_entropy(
                    self.logits(self.input(xs, self.size(progress))),
                    labels[chosen],
                    label_smoothing=self.recipe["label_smoothing"],
                )
                loss.backward()
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - began

    def accuracy(self):
        """Share of the test images that are classified rightly."""
        images, labels = self.test_set
        self.net.eval()
        right = 0
        with torch.inference_mode():
            for xs, ys in zip(images.split(500), labels.split(500), strict=True):
                xs = self.input(xs, 32)
                logits = self.logits(xs)
                if self.recipe["test_flip"]:
                    logits = logits + self.logits(xs.flip(3))
                right += (logits.argmax(1) == ys).sum().item()
        return right / len(labels)


def ours(program, arguments, seed):
    """Our side's history."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            program,
            "--device",
            "cpu",
            "--data",
            arguments.data,
            "--spec",
            arguments.network,
        ]
        command += ["--recipe", "fast", "--epochs", str(arguments.epochs)]
        command += ["--seed", str(seed), "--out", folder]
        command += ["--train-images", str(arguments.train_images)]
        command += ["--test-images", str(arguments.test_images)]
        subprocess.run(command, check=True)
        return json.loads((Path(folder) / "history.json").read_text())


def measure(arguments, program):
    batches = [f"data_batch_{i}.bin" for i in range(1, 6)]
    train = [tensor[: arguments.train_images] for tensor in cifar10(arguments.data, batches)]
    test = [
        tensor[: arguments.test_images] for tensor in cifar10(arguments.data, ["test_batch.bin"])
    ]
    runs = []
    for seed in range(arguments.seeds):
        history = ours(program, arguments, seed)
        seconds = sum(epoch["seconds"] for epoch in history["epochs"])
        mine = {"accuracy": history["epochs"][-1]["test_accuracy"], "seconds": seconds}
        other = PyTorch(arguments.network, history["recipe"], (train, test), seed)
        theirs = {"seconds": other.train(), "accuracy": other.accuracy()}
        runs.append({"seed": seed, "ours": mine, "PyTorch": theirs})
        print(json.dumps(runs[-1]), flush=True)
    return {
        "date": str(date.today()),
        "dataset": history["dataset"],
        "network": history["network"],
        "recipe": history["recipe"],
        "runs": runs,
    }


def text(found, arguments, chart):
    accuracies = {s: [100 * run[s]["accuracy"] for run in found["runs"]] for s in SIDES}
    means = {side: statistics.mean(values) for side, values in accuracies.items()}
    spreads = {side: max(values) - min(values) for side, values in accuracies.items()}
    apart = means["ours"] - means["PyTorch"]
    verdict = "within" if abs(apart) <= max(spreads.values()) else "beyond"
    recipe = found["recipe"]
    few = ""
    if arguments.train_images < 50_000:
        few = f" on {arguments.train_images} images only: its figures mean nothing"
    lines = [
        f"# {found['network']} trained by our library and by PyTorch",
        "",
        f"Measured on {found['date']} by `cargo xtask bench accuracy --network "
        f"{arguments.network} --epochs {arguments.epochs} --seeds {arguments.seeds} --data DIR`"
        f"{few}.",
        "",
        f"- Machine: {machine()}, {torch.get_num_threads()} threads on both sides",
        f"- Images: {found['dataset']}",
        f"- Recipe of both: {recipe['name']}, {recipe['epochs']} epochs, {recipe['precision']}; "
        "PyTorch in eager mode, channels last",
        "",
        f"The means are {abs(apart):.2f} points apart, ours the "
        f"{'higher' if apart >= 0 else 'lower'}: {verdict} the spread of the seeds, which is "
        f"{spreads['ours']:.2f} points on our side and {spreads['PyTorch']:.2f} on PyTorch's.",
        "",
        f"![Accuracy for each seed]({chart})",
        "",
        "| seed | ours | PyTorch | seconds of training, ours | PyTorch |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in found["runs"]:
        cells = [f"{100 * run[side]['accuracy']:.2f} %" for side in SIDES]
        cells += [f"{run[side]['seconds']:.0f}" for side in SIDES]
        lines.append(f"| {run['seed']} | " + " | ".join(cells) + " |")
    cells = [f"{means[side]:.2f} %" for side in SIDES]
    cells += [f"{statistics.mean(r[s]['seconds'] for r in found['runs']):.0f}" for s in SIDES]
    lines.append("| mean | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def report(found, arguments, program, out):
    stem = f"accuracy-{arguments.network}"
    (out / f"{stem}.json").write_text(json.dumps(found, indent=1) + "\n")
    drawn = {
        "title": f"{found['network']}: test images classified rightly after "
        f"{found['recipe']['epochs']} epochs",
        "note": f"{machine()}, {found['date']}",
        "series": list(SIDES),
        "groups": [
            (
                f"seed {run['seed']}",
                [(run[s]["accuracy"], f"{100 * run[s]['accuracy']:.2f} %") for s in SIDES],
            )
            for run in found["runs"]
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        handed = Path(folder) / "chart.json"
        handed.write_text(json.dumps(drawn))
        subprocess.run([program, "chart", handed, out / f"{stem}.png"], check=True)
    (out / f"{stem}.md").write_text(text(found, arguments, f"{stem}.png"))


def main(given=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=["cifar", "compact"], default="compact")
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10's binary files")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train-images", type=int, default=50_000)
    parser.add_argument("--test-images", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args(given)
    bench, train = build()
    report(measure(arguments, train), arguments, bench, arguments.out)


if __name__ == "__main__":
    main()
