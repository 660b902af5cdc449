"""The kernels of training steps on a GPU, by NVIDIA's ncu: how many, how long, which.

    bench_profile.py --ours PROGRAM --out DIR [NETWORK:BATCH]...

Writes DIR/profile-NETWORK-BATCH.csv, a line for each kernel in its order, and a summary to standard
output. Kernels run alone under ncu: their sum is the least that a step can take, not what it takes.
"""

import argparse
import csv
import io
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench_report import write
from bench_train import Case, write_inputs

# Steps in what is recorded. An evaluation of one image follows them.
STEPS = 2
METRIC = "gpu__time_duration.sum"
SECONDS = {"ns": 1e-9, "nsecond": 1e-9, "us": 1e-6, "usecond": 1e-6, "ms": 1e-3, "msecond": 1e-3}


def record(ours, network, batch, out):
    """The kernels as (name, seconds), in their order."""
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder), Case(network, batch, STEPS, "train"))
        ncu = ["ncu", "--csv", "--metrics", METRIC, "--profile-from-start", "off"]
        ncu += ["--clock-control", "none", "--cache-control", "none"]
        ncu += [ours, "ours", "train", network, batch, "cuda", folder, "bf16"]
        done = subprocess.run(
            list(map(str, ncu)), input="1\nprofile\n", capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        sys.exit(f"bench_profile.py: ncu ended with {done.returncode}: {done.stdout}{done.stderr}")
    table = done.stdout[done.stdout.index('"ID"') :]
    rows = list(csv.DictReader(io.StringIO(table)))
    kernels = []
    for row in rows:
        value = float(row["Metric Value"].replace(",", ""))
        kernels.append((row["Kernel Name"], value * SECONDS[row["Metric Unit"]]))
    lines = io.StringIO()
    csv.writer(lines).writerows([("kernel", "seconds"), *kernels])
    write(out / f"profile-{network}-{batch}.csv", lines.getvalue())
    return kernels


def summary(kernels):
    """Lines: the number of kernels, their time, and the twelve names that take most of it."""
    total = sum(seconds for _, seconds in kernels)
    by_name = defaultdict(list)
    for name, seconds in kernels:
        by_name[name.split("(")[0][:100]].append(seconds)
    yield f"{len(kernels)} kernels, {1000 * total:.2f} ms in all; for a step, half of it or less"
    for name, times in sorted(by_name.items(), key=lambda item: -sum(item[1]))[:12]:
        yield f"  {1000 * sum(times):7.3f} ms {len(times):5} times  {name}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", type=Path, required=True, help="bench-train, compiled")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("case", nargs="*", default=["cifar:128"], metavar="NETWORK:BATCH")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for case in options.case:
        network, batch = case.split(":")
        kernels = record(options.ours, network, int(batch), options.out)
        print(f"{network.upper()}, batch {batch}, {STEPS} training steps in bf16:")
        print("\n".join(summary(kernels)), flush=True)


if __name__ == "__main__":
    main()
