"""Accuracy against minutes on a CPU, by recipe `fast`, with the epochs that each budget affords.

    bench/bench_curve.py --data DIR --run compact:1 --run bench/networks/fine.json:15

Each run is added to docs/results/curve-cpu.json as it ends, in place of one of the same network and
minutes, and table and chart beside it are made anew. Nothing else should run meanwhile.
"""

import argparse
import json
import math
import subprocess
import tempfile
from datetime import date
from pathlib import Path

from bench_report import write
from bench_train import ROOT, build
from machine import machine

STEM = ROOT / "docs" / "results" / "curve-cpu"
# What the report says of networks that are not the library's.
NETWORKS = {
    "FINE": "COMPACT with stride 1 in place of 2 in its first convolution: four times the pixels "
    "in every layer, the same parameters (bench/networks/fine.json)",
}
# Test images; two standard errors of a share of them are the error bar.
IMAGES = 10_000


def trained(program, arguments, spec, minutes):
    """One run: what the report says of it."""
    with tempfile.TemporaryDirectory() as out:
        command = [program, "--device", "cpu", "--data", arguments.data, "--spec", spec]
        command += ["--recipe", "fast", "--minutes", str(minutes), "--seed", "0", "--out", out]
        subprocess.run(command, check=True)
        history = json.loads((Path(out) / "history.json").read_text())
    return {
        "date": str(date.today()),
        "machine": machine(),
        "dataset": history["dataset"],
        "network": history["network"],
        "parameters": history["parameters"],
        "precision": history["recipe"]["precision"],
        "minutes": minutes,
        "epochs": len(history["epochs"]),
        "seconds": sum(epoch["seconds"] for epoch in history["epochs"]),
        "train_accuracy": history["epochs"][-1]["train_accuracy"],
        "accuracy": history["epochs"][-1]["test_accuracy"],
    }


def added(runs, new):
    """The runs with one more, by network and minutes."""

    def key(run):
        return run["network"], run["minutes"]

    return sorted([*(run for run in runs if key(run) != key(new)), new], key=key)


def text(runs):
    machines = sorted({run["machine"] for run in runs})
    days = sorted({run["date"] for run in runs})
    networks = {run["network"] for run in runs}
    lines = [
        "# Accuracy against minutes, CPU",
        "",
        f"Measured on {' and '.join(days)} by `bench/bench_curve.py --data DIR` with "
        "`--run NETWORK:MINUTES` for each row.",
        "",
        f"- Machine: {'; '.join(machines)}",
        f"- Images: {'; '.join(sorted({run['dataset'] for run in runs}))}",
        f"- Recipe: fast, {', '.join(sorted({run['precision'] for run in runs}))}; as many epochs "
        "as the minutes afford, found by a few steps before each run. One run each, seed 0",
        *(f"- {name}: {what}" for name, what in NETWORKS.items() if name in networks),
        "",
        f"![Test images right against minutes]({STEM.name}.png)",
        "",
        "| network | parameters | minutes asked for | epochs | minutes of training | training "
        "images right in the last epoch | test images right |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in runs:
        share = run["accuracy"]
        error = 200 * math.sqrt(share * (1 - share) / IMAGES)
        lines.append(
            f"| {run['network']} | {run['parameters']:,} | {run['minutes']:g} | {run['epochs']} | "
            f"{run['seconds'] / 60:.1f} | {100 * run['train_accuracy']:.1f} % | "
            f"{100 * share:.2f} ± {error:.1f} % |"
        )
    return "\n".join([*lines, ""])


def report(runs, bench):
    write(STEM.with_suffix(".json"), json.dumps(runs, indent=1) + "\n")
    lines = {}
    for run in runs:
        lines.setdefault(run["network"], []).append((run["seconds"] / 60, 100 * run["accuracy"]))
    drawn = {
        "title": "Test images right after so many minutes of training",
        "note": f"recipe fast, {runs[-1]['machine']}",
        "axes": ["minutes of training", "test images right, %"],
        "lines": list(lines.items()),
    }
    with tempfile.TemporaryDirectory() as folder:
        handed = Path(folder) / "lines.json"
        handed.write_text(json.dumps(drawn))
        subprocess.run([bench, "lines", handed, STEM.with_suffix(".png")], check=True)
    write(STEM.with_suffix(".md"), text(runs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10's binary files")
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        metavar="NETWORK:MINUTES",
        help="NETWORK as --spec of train",
    )
    arguments = parser.parse_args()
    bench, train = build()
    file = STEM.with_suffix(".json")
    runs = json.loads(file.read_text()) if file.is_file() else []
    for asked in arguments.run:
        spec, minutes = asked.rsplit(":", 1)
        runs = added(runs, trained(train, arguments, spec, float(minutes)))
        report(runs, bench)
    if not arguments.run:
        report(runs, bench)


if __name__ == "__main__":
    main()
