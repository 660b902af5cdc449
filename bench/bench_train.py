"""`cargo xtask bench train`: training and evaluation beside PyTorch, in one run.

Writes docs/results/train-DEVICE.md and .png. Nothing else should run meanwhile.
"""

import argparse
import hashlib
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path

import torch
from bench_ceiling import ceilings, work
from bench_report import report
from machine import machine
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from networks import NETWORKS, unsettle_norms  # noqa: E402

SIDES = ("ours", "post", "eager", "compiled")
PHASES = ("train", "evaluate")
NAMES = ("seed", "cifar", "compact")
# torch.compile's modes.
MODES = {"cpu": "default", "cuda": "max-autotune"}
# A round lasts about so many seconds or more on our side.
ROUND = 2.0
# Largest difference of a loss from that of the post's program, as a part of it. On a GPU float32
# convolutions are computed in TF32. Adam's first steps are as large for a gradient that is rounding
# as for any other: later losses part further.
TOLERANCE = {
    ("cpu", "float32"): (1e-5, 2e-2),
    ("cuda", "float32"): (5e-3, 5e-2),
    # Later ones part at once.
    ("cpu", "bf16"): (2e-2, math.inf),
    ("cuda", "bf16"): (2e-2, math.inf),
}


@dataclass(frozen=True)
class Case:
    """One network at one batch size, trained or evaluated."""

    network: str
    batch: int
    # Batches that the images make.
    steps: int
    phase: str

    def title(self):
        return f"{self.network.upper()}, batch {self.batch}, {self.phase}"

    def names(self):
        """Its name on the command line, without and with its phase."""
        return f"{self.network}:{self.batch}", f"{self.network}:{self.batch}:{self.phase}"


# The names of what makes a case.
CASE = [field.name for field in fields(Case)]


def cases(device, short):
    if short:
        sizes = [("seed", 2, 1), ("cifar", 2, 2), ("compact", 8, 2)]
    elif device == "cpu":
        sizes = [("seed", 8, 4), ("seed", 32, 2), ("cifar", 8, 4), ("cifar", 32, 2)]
        sizes += [("compact", 128, 4), ("compact", 512, 2)]
    else:
        # What says most comes first: time on a GPU may be short.
        sizes = [("cifar", 128, 40), ("compact", 512, 40), ("seed", 128, 10), ("compact", 128, 80)]
        sizes += [("cifar", 512, 20), ("seed", 32, 20), ("compact", 2048, 20)]
    return [Case(*size, phase) for size in sizes for phase in PHASES]


def chosen(planned, names):
    """Of these cases those that are named, NETWORK:BATCH or NETWORK:BATCH:PHASE; all if none is."""
    if not names:
        return planned
    known = {name: case for case in planned for name in case.names()}
    unknown = [name for name in names if name not in known]
    if unknown:
        known = ", ".join(sorted(case.names()[1] for case in planned))
        raise SystemExit(f"bench_train.py: there is no case {unknown[0]}: choose among {known}")
    return [case for case in planned if set(names) & set(case.names())]


class Different(Exception):
    """Two sides computed different losses: what they are timed at is not the same work."""


class Ended(Exception):
    """A side's process ended before its time, for want of memory perhaps."""


def write_inputs(folder, case, seed=0):
    """Images of random bytes, labels and parameters, the same for every side.

    The parameters are drawn so that activations keep their size through the layers: as PyTorch
    draws them by default, the logits of a network without normalisation hardly depend on its image,
    and the losses could not tell one network from another.
    """
    torch.manual_seed(seed)
    make, size = NETWORKS[case.network]
    net = make()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight)
    unsettle_norms(net, least_variance=0.5)
    count = case.batch * case.steps
    images = torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8)
    labels = torch.randint(0, net.head.classifier.out_features, (count,))
    save_file({"images": images, "labels": labels}, folder / "data.safetensors")
    weights = {k: v for k, v in net.state_dict().items() if "num_batches" not in k}
    save_file(weights, folder / "weights.safetensors")


class Side:
    """A running side: see bench_sides.py and src/train.rs."""

    def __init__(self, program, name, case, device, folder, precision="float32"):
        self.name = name
        command = [*program, name, case.phase, case.network, case.batch, device, folder]
        # The others compute in float32, or choose.
        command += [precision] * (name == "ours")
        free = free_memory(device)
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.device = device
        self.ended = False
        self.found = self.next()
        self.skipped = self.found.get("skipped")
        self.memory = None
        if self.skipped is None:
            # The first time through does other work, too.
            self.go(1)
            self.memory = self.peak(free)

    def next(self):
        line = self.process.stdout.readline()
        if not line:
            self.ended = True
            status = self.process.wait()
            raise Ended(f"{self.name} ended with status {status}: what it said stands above")
        return json.loads(line)

    def go(self, times):
        """Seconds for going through the images so often."""
        with suppress(BrokenPipeError):  # It has ended: there is no answer.
            self.process.stdin.write(f"{times}\n")
            self.process.stdin.flush()
        return self.next()["seconds"]

    def peak(self, free):
        """CPU: the most that was resident. GPU: what the process took of the device; libtorch
        gives nothing back."""
        if self.device == "cuda":
            return free - free_memory(self.device)
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024

    def close(self):
        """Waits for its end; does nothing where it has ended."""
        if self.ended:
            return
        self.ended = True
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            status = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        if status != 0:
            raise Ended(f"{self.name} ended with status {status}")


def free_memory(device):
    return torch.cuda.mem_get_info()[0] if device == "cuda" else None


@contextmanager
def started(program, name, case, device, folder, precision="float32"):
    side = Side(program, name, case, device, folder, precision)
    try:
        yield side
    except BaseException:
        side.process.kill()
        side.process.wait()
        raise
    side.close()


def same_losses(case, device, found):
    """Fails where a side computed another loss than the post's program did."""
    expected = found["post"]["losses"]
    for name, side in found.items():
        first, later = TOLERANCE[device, side["precision"]]
        bounds = [first] + [later] * (len(expected) - 1)
        pairs = zip(side["losses"], expected, bounds, strict=True)
        if not all(abs(loss - wanted) <= bound * abs(wanted) for loss, wanted, bound in pairs):
            raise Different(
                f"{case.title()}: {name} ({side['precision']}) computed losses "
                f"{side['losses']}, the post's program {expected}"
            )
    threads = {name: side["threads"] for name, side in found.items()}
    if len(set(threads.values())) > 1:
        raise Different(f"{case.title()}: the sides use different numbers of threads: {threads}")


def measure(case, device, programs, rounds, least):
    """All sides of a case, taking turns: a row for each. One that ends before its time loses its
    row, and no other."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_inputs(folder, case)
        sides, rows, precision = {}, {}, "float32"
        # Eager mode first: ours computes in the precision that it chooses.
        for name in sorted(programs, key=lambda name: name != "eager"):
            program = programs[name]
            if isinstance(program, str):
                rows[name] = {"skipped": program}
                continue
            try:
                side = stack.enter_context(started(program, name, case, device, folder, precision))
            except Ended as problem:
                rows[name] = lost(problem)
                continue
            if name == "eager":
                precision = side.found["precision"]
            if side.skipped is None:
                sides[name] = side
            else:
                rows[name] = {"skipped": side.skipped}
        found = {name: side.found for name, side in sides.items()}
        if "post" in found:
            same_losses(case, device, found)
        if "post" in found and "ours" in found and precision != "float32":
            try:
                with started(programs["ours"], "ours", case, device, folder) as exact:
                    same_losses(case, device, {**found, "ours": exact.found})
            except Ended as problem:
                # What is not known to be the same work is not timed.
                rows["ours"] = lost(f"compared in float32, {problem}")
                del sides["ours"]
        rows |= take_turns(case, sides, rounds, least)
        for name, side in sides.items():
            try:
                side.close()
            except Ended as problem:
                rows[name] = lost(problem)
    return {name: rows[name] for name in programs}


def lost(problem):
    """The row of a side that ended before its time."""
    return {"skipped": str(problem), "failed": True}


def take_turns(case, sides, rounds, least):
    """Images a second of these sides, a round each in turn, or why one was lost on the way."""
    rows, rates, times = {}, {name: [] for name in sides}, None

    def seconds(name, times):
        try:
            return sides[name].go(times)
        except Ended as problem:
            rows[name] = lost(problem)
            return None

    for name in sorted(sides, key=lambda name: name != "ours"):
        taken = seconds(name, 1)
        if taken is not None:
            times = max(1, round(least / taken))
            break
    for _ in range(rounds):
        for name in sides:
            if name not in rows and (taken := seconds(name, times)) is not None:
                rates[name].append(times * case.batch * case.steps / taken)
    for name, side in sides.items():
        if name in rows:
            continue
        rows[name] = {
            "rate": statistics.median(rates[name]),
            "lowest": min(rates[name]),
            "highest": max(rates[name]),
            "memory": side.memory,
            "losses": side.found["losses"],
            "precision": side.found["precision"],
            "trial": side.found.get("trial"),
            "threads": side.found["threads"],
        }
        print(f"{case.title()}: {name} {rows[name]['rate']:.1f} images/s", flush=True)
    return rows


def build():
    """Our side, and the example that trains."""
    # Of the whole workspace: its features are those that `cargo test` has built.
    programs = ["--bin", "bench-train", "--example", "train"]
    subprocess.run(["cargo", "build", "--workspace", *programs], cwd=ROOT, check=True)
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    debug = Path(json.loads(metadata.stdout)["target_directory"]) / "debug"
    return debug / "bench-train", debug / "examples" / "train"


def place(device):
    """The machine in words, with its GPU."""
    gpu = f"{torch.cuda.get_device_name()}, " if device == "cuda" else ""
    return gpu + machine()


def programs_of(ours, short, without=None):
    """How each side is started, or why it is not."""
    python = [sys.executable, ROOT / "bench" / "bench_sides.py"]
    programs = {"ours": [ours], "post": python, "eager": python, "compiled": python}
    if short:
        programs["compiled"] = "compiling takes minutes: not in the short form"
    if without:
        programs[without] = f"left out by --without {without}"
    return programs


# What must be the same where a run goes on with what another has measured.
CONDITIONS = (
    "device",
    "short",
    "rounds",
    "round",
    "without",
    "mode",
    "machine",
    "limits",
    "program",
)
# Variables by which libtorch and oneDNN leave alone what a CPU has beyond them, on every side.
LIMITS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")


def begun(path, found):
    """What was measured into this file before, under the same conditions; None if nothing was."""
    if not path.exists():
        return None
    before = json.loads(path.read_text())
    for name in CONDITIONS:
        if before.get(name) != found[name]:
            raise SystemExit(
                f"bench_train.py: {path} was measured with {name} {before.get(name)}, and not "
                f"{found[name]}: go on with the same, or give another --out; --again without "
                "--case measures all anew"
            )
    return before


def failures(found):
    """In words, the sides that ended before their time."""
    for case in found["cases"]:
        for side in case["sides"].values():
            if side.get("failed"):
                where = f"{case['network']}, batch {case['batch']}, {case['phase']}"
                yield f"{where}: {side['skipped']}"


def run(
    device,
    short,
    ours,
    out,
    without=None,
    *,
    named=(),
    minutes=math.inf,
    rounds=5,
    least=ROUND,
    mode=None,
    go_on=False,
    again=False,
):
    """Measures everything and writes the report; returns what was measured.

    Where it is to go on, what is in the report already stays; again, all but the cases that are
    measured now. No case begins that would not end within so many minutes, if it takes as long as
    the longest so far.
    """
    rounds, least = (1, 0.0) if short else (rounds, least)
    began, load = time.monotonic(), os.getloadavg()[0]
    planned = chosen(cases(device, short), named)
    networks = {case.network: None for case in planned}
    found = {
        "without": without,
        "mode": mode or MODES[device],
        "named": list(named),
        "machine": place(device),
        "limits": {name: os.environ[name] for name in LIMITS if name in os.environ},
        "program": hashlib.sha256(ours.read_bytes()).hexdigest(),
        "device": device,
        "short": short,
        "date": str(date.today()),
        "begun": str(date.today()),
        "runs": 1,
        "rounds": rounds,
        "round": least,
        "load": load,
        "cases": [],
        "work": {f"{n} {p}": work(n, p) for n in networks for p in PHASES},
    }
    path, spent = out / f"train-{device}.json", 0.0
    # All of it anew is a new report, whatever the old one was measured with.
    before = begun(path, found) if go_on and (named or not again) else None
    if before:
        kept = {Case(*map(case.get, CASE)): case for case in before["cases"]}
        for case in planned:
            if again:
                kept.pop(case, None)
            elif case in kept:
                print(f"{case.title()} is measured already: --again does it anew")
        planned = [case for case in planned if case not in kept]
        if named:
            found["named"] = [case.names()[1] for case in [*kept, *planned]]
        found |= {name: before[name] for name in ("begun", "load", "ceilings")}
        found["cases"] = list(kept.values())
        found["work"] = before["work"] | found["work"]
        found["runs"] = before["runs"] + bool(planned)
        found["minutes"] = spent = before["minutes"]
    elif again:
        path.unlink(missing_ok=True)
    if "ceilings" not in found:
        found["ceilings"] = ceilings(device, short)
    if device == "cuda":
        torch.cuda.empty_cache()
    programs = programs_of(ours, short, without)
    if mode and not isinstance(programs["compiled"], str):
        programs["compiled"] = [*programs["compiled"], "--mode", mode]
    found["planned"] = len(found["cases"]) + len(planned)
    out.mkdir(parents=True, exist_ok=True)
    if not planned:
        # The run before may have been cut within its report.
        report(found, ours, out)
    longest, last = 0.0, time.monotonic()
    for case in planned:
        if last - began + longest > 60 * minutes:
            print(f"{minutes:g} minutes do not reach for {case.title()} and what follows it")
            break
        found["cases"].append(
            {**asdict(case), "sides": measure(case, device, programs, rounds, least)}
        )
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        found["minutes"] = spent + (last - began) / 60
        # Where a later case fails, what was measured is kept; the report says how many there are.
        report(found, ours, out)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--short", action="store_true", help="its figures mean nothing")
    parser.add_argument("--ours", type=Path, help="our side, built already: no cargo is needed")
    parser.add_argument("--without", choices=["compiled"], help="the side that takes longest")
    parser.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="NETWORK:BATCH[:PHASE]",
        help="measure this one, train and evaluate or one of them; may be repeated",
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="begin no case that would end later"
    )
    parser.add_argument("--rounds", type=int, default=5, help="5 if it is not given")
    parser.add_argument(
        "--seconds", type=float, default=ROUND, help=f"least of a round on our side; {ROUND:g}"
    )
    parser.add_argument(
        "--mode", help="torch.compile's; reduce-overhead has CUDA graphs without a long search"
    )
    parser.add_argument("--out", type=Path, help="folder of the report")
    parser.add_argument(
        "--go-on", action="store_true", help="keep what the report in --out has measured already"
    )
    parser.add_argument(
        "--again", action="store_true", help="with --go-on: but for the cases that are named now"
    )
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU: measure with --device cpu")
    out = options.out or ROOT / ("runs/bench" if options.short else "docs/results")
    ours = options.ours or build()[0]
    found = run(
        options.device,
        options.short,
        ours,
        out,
        options.without,
        named=options.case,
        minutes=options.minutes,
        rounds=options.rounds,
        least=options.seconds,
        mode=options.mode,
        go_on=options.go_on,
        again=options.again,
    )
    print((out / f"train-{options.device}.md").read_text())
    for failure in failures(found):
        print(f"bench_train.py: {failure}", file=sys.stderr)
    return 1 if any(failures(found)) else 0


if __name__ == "__main__":
    sys.exit(main())
