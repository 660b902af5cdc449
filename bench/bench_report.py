"""The report of `cargo xtask bench train`: a table and a bar chart."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from machine import machine

TITLES = {
    "ours": "ours",
    "post": "the post's program",
    "eager": "PyTorch eager",
    "compiled": "torch.compile",
}
PHASES = {"train": "training step", "evaluate": "evaluation"}


def write(path, text):
    """Beside its place, then renamed: what bears the name is whole."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def percent(part):
    return f"{100 * part:.0f} %"


def beside(rate, case, name):
    """A rate as a multiple of that of the side of this name, if it has one."""
    other = case["sides"][name].get("rate")
    return f"{rate / other:.2f}" if other else ""


def row(found, case, name):
    """One line of the table."""
    side = case["sides"][name]
    begin = f"| {case['network'].upper()} | {case['batch']} | {PHASES[case['phase']]} "
    begin += f"| {TITLES[name]} "
    if "skipped" in side:
        return begin + "| skipped | | | | | | |"
    work = found["work"][f"{case['network']} {case['phase']}"]
    ceilings = found["ceilings"]
    rate = side["rate"]
    product = max(ceilings["float32"], ceilings["bf16"])
    cells = [
        side["precision"],
        number(rate),
        f"{number(side['lowest'])} to {number(side['highest'])}",
        beside(rate, case, "post"),
        beside(rate, case, "eager"),
        f"{side['memory'] / 2**20:,.0f}",
        f"{percent(rate * work['operations'] / product)}, "
        f"{percent(rate * work['bytes'] / ceilings['copy'])}",
    ]
    return begin + "| " + " | ".join(cells) + " |"


def unfinished(found):
    """Which says that cases are missing."""
    done, planned = len(found["cases"]), found["planned"]
    if done < planned:
        yield f"- **Broken off after {done} of {planned} cases**"


def skipped(found):
    """What was skipped and why, each reason once."""
    reasons = {}
    for case in found["cases"]:
        for name, side in case["sides"].items():
            if "skipped" in side:
                where = f"{case['network'].upper()} {case['batch']} {PHASES[case['phase']]}"
                reasons.setdefault((name, side["skipped"]), []).append(where)
    for (name, reason), places in reasons.items():
        places = "everywhere" if len(places) == len(found["cases"]) else ", ".join(places)
        yield f"- {TITLES[name]} skipped ({places}): {reason}"


def trials(found):
    """What float32 and bf16 took in eager mode, where the choice was made."""
    for case in found["cases"]:
        trial = case["sides"]["eager"].get("trial") or {}
        times = ", ".join(f"{name} {1000 * t:.0f} ms" for name, t in trial.items())
        yield f"{case['network'].upper()} {case['batch']} {PHASES[case['phase']]}: {times}"


def where(found):
    if found["device"] == "cuda":
        return f"{torch.cuda.get_device_name()}, {machine()}"
    # A side that was lost has said nothing.
    rows = (row for case in found["cases"] for row in case["sides"].values())
    threads = next((row["threads"] for row in rows if "threads" in row), "unknown")
    return f"{machine()}, {threads} threads on every side"


def rustc():
    """The compiler's version; the machine may have none, where our side was built elsewhere."""
    if shutil.which("rustc") is None:
        return ""
    done = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True)
    return f"{done.stdout.strip()}, "


def command(found):
    words = [f"{name}={value}" for name, value in found.get("limits", {}).items()]
    words += ["bench/bench_train.py", "--device", found["device"]]
    words += ["--short"] * found["short"]
    words += ["--without", found["without"]] * bool(found["without"])
    for name in found.get("named", ()):
        words += ["--case", name]
    if found.get("mode", "default") not in ("default", "max-autotune"):
        words += ["--mode", found["mode"]]
    return " ".join(words)


def runs(found):
    """In how many runs it was measured: one that was cut may have been gone on with."""
    if found.get("runs", 1) == 1:
        return "all sides in one run"
    return (
        f"in {found['runs']} runs from {found['begun']} on, all sides of a case in one of them, "
        "ceilings and load in the first"
    )


def text(found, chart):
    ceilings, device = found["ceilings"], found["device"]
    memory = {
        "cpu": "Memory is the most that the process had resident, its program included, in MiB.",
        "cuda": "Memory is what the process took of the GPU, libtorch's share included, in MiB.",
    }[device]
    heading = f"# Training and evaluation beside PyTorch, {device.upper()}"
    lines = [
        heading + (", short form: its figures mean nothing" if found["short"] else ""),
        "",
        f"Measured on {found['date']} by `{command(found)}`, the script behind "
        f"`cargo xtask bench train`, in {found['minutes']:.0f} minutes; {runs(found)}. Load "
        f"average before it: {found['load']:.2f}.",
        "",
        f"- Machine: {where(found)}",
        f"- Versions: {rustc()}PyTorch {torch.__version__} on all sides",
        "- Ceiling, measured in the same run: matrix product "
        f"{ceilings['float32'] / 1e9:,.0f} GFLOP/s in float32, {ceilings['bf16'] / 1e9:,.0f} in "
        f"bf16; copy {ceilings['copy'] / 1e9:,.1f} GB/s, read and written",
        *unfinished(found),
        *skipped(found),
        "",
        *([f"![Images a second beside PyTorch eager]({chart})", ""] if chart else []),
        "| network | batch | | side | precision | images/s | lowest to highest | to the post's | "
        "to eager | memory, MiB | share of the ceiling: product, copy |",
        "| --- | ---: | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(row(found, case, name) for case in found["cases"] for name in case["sides"]),
        "",
        "## How it was measured",
        "",
        "Each side is a process of its own, started anew for each network, batch size and phase. "
        "All read the same files: images of random bytes, labels, parameters. The images lie on "
        "the device as bytes; cutting batches, normalising them, forward and backward pass and the "
        "optimizer's step are timed, drawing the order of an epoch is not. All follow the post's "
        "recipe: Adam, learning rate 0.0002, no augmentation; dropout is off. Evaluation is the "
        "mean loss and the share of right answers. First all compute the losses of three training "
        "steps on one batch, or the loss of an evaluation, and the run fails where they differ; "
        "of bf16 the first loss alone is compared, and ours then once more in float32. "
        f"Then they take turns; images a second are the median of {found['rounds']} rounds, each "
        f"of about {found['round']:g} s or more on our side and of as many images on the others.",
        "",
        "- ours: `Trainer::fit_with` and `Trainer::evaluate` of the library, through "
        "`bench/src/train.rs`, in the precision that PyTorch eager chose.",
        "- the post's program: the network in plain PyTorch, float32, NCHW, Adam as it is, "
        "`zero_grad`, `backward`, `step` and `loss.item()` at every step. Its batches are made on "
        "the device, where a tutorial's loader takes longer.",
        "- PyTorch eager at its best: channels last, fused Adam, gradients set to none, ReLU in "
        "place, `cudnn.benchmark`, no wait for the device within an epoch, and bf16 autocast where "
        "its step was faster, as tried at the start of each process.",
        "- torch.compile: the same over input, network and loss, mode "
        f"`{found.get('mode', 'default')}`.",
        "",
        memory,
        "",
        "Share of the ceiling: operations of convolutions and linear layers (PyTorch's "
        "`FlopCounterMode`, backward pass included) against the faster matrix product, and the "
        "bytes that the operations of a plain PyTorch step read and write, each tensor of each "
        "operation once, against the copy. A side that fuses operations moves fewer bytes than are "
        "counted.",
        "",
        "The trial of both precisions"
        + (" (on two images where one took over three times as long)" if device == "cpu" else "")
        + ": "
        + "; ".join(trials(found))
        + ".",
        "",
    ]
    return "\n".join(lines)


def chart(found):
    """Images a second as parts of those of PyTorch eager."""

    def bar(case, name):
        side, eager = case["sides"][name], case["sides"]["eager"].get("rate")
        if "skipped" in side or eager is None:
            return None
        part = side["rate"] / eager
        return part, f"{part:.2f}  ({number(side['rate'])} images/s)"

    # A side that was left out everywhere has no place in the legend.
    measured = [
        name
        for name in TITLES
        if any("skipped" not in case["sides"][name] for case in found["cases"])
    ]
    groups = [
        (
            f"{case['network'].upper()} {case['batch']}, {PHASES[case['phase']]}",
            [bar(case, name) for name in measured],
        )
        for case in found["cases"]
    ]
    return {
        "title": f"Images a second beside PyTorch eager at its best, {found['device'].upper()}",
        "note": f"{machine()}, {found['date']}"
        + (", short form: the figures mean nothing" if found["short"] else ""),
        "series": [TITLES[name] for name in measured],
        "groups": groups,
    }


def report(found, ours, out):
    """Writes train-DEVICE.json, .png and .md; the last is there only where all went well."""
    stem = f"train-{found['device']}"
    write(out / f"{stem}.json", json.dumps(found, indent=1) + "\n")
    drawn = chart(found)
    # Where memory reached for no side there is nothing to draw.
    if drawn["series"]:
        with tempfile.TemporaryDirectory() as folder:
            handed = Path(folder) / "chart.json"
            handed.write_text(json.dumps(drawn))
            subprocess.run([ours, "chart", handed, out / f"{stem}.png"], check=True)
    write(out / f"{stem}.md", text(found, f"{stem}.png" if drawn["series"] else None))
