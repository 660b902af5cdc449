"""`cargo xtask bench kernel`: this kernel and evcxr_jupyter side by side, in one run.

Writes docs/results/kernel.md. Nothing else should run meanwhile.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from unittest import mock

from machine import machine, unshared

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from running import running  # noqa: E402
from without_cuda import kernel_without_cuda  # noqa: E402

REPORT = ROOT / "docs" / "results" / "kernel.md"
LOAD = (
    f':dep googlenet-lib = {{ path = "{ROOT / "googlenet-lib"}" }}\nuse googlenet_lib::prelude::*;'
)
USE = "let t = Tensor::randn([2, 3], (Kind::Float, Device::Cpu));"
# A reader reads for as long before a cell.
READING = 20
SMALL = 15
# Pairs of starts: one whose first cell is sent at once, one whose reader reads before it. One of
# evcxr_jupyter takes minutes.
PAIRS = {"ours": 3, "evcxr_jupyter": 1}
# Starts with libtorch's CUDA half, and as many without it.
CUDA_STARTS = 7
KERNELS = {"ours": "googlenet", "evcxr_jupyter": "evcxr"}


def timed(action):
    began = time.perf_counter()
    result = action()
    return time.perf_counter() - began, result


def cell(kernel, code, result=None):
    """Seconds from sending a cell to its reply and the end of its output."""
    seconds, done = timed(lambda: kernel.run(code, timeout=900))
    assert done.status == "ok", f"{code}: {done.reply}"
    if result is not None:
        assert done.result == result, f"{code} gave {done.result}"
    return seconds


def family(kernel):
    return [kernel.process, *kernel.process.children(recursive=True)]


def memory(kernel):
    """Bytes in memory, and those of them that no other process has."""
    infos = [process.memory_full_info() for process in family(kernel)]
    return sum(info.rss for info in infos), sum(info.uss for info in infos)


def folder_of(name, kernel, temporary):
    if name == "ours":
        return kernel.folder()
    (folder,) = (path.parent for path in Path(temporary).glob("*/Cargo.toml"))
    return folder


def begin(stack, name):
    """A new kernel, the seconds until it answered, and where it puts temporary files."""
    temporary = stack.enter_context(tempfile.TemporaryDirectory())
    environment = {"TMPDIR": temporary}
    seconds, kernel = timed(
        lambda: stack.enter_context(running(KERNELS[name], environment, cwd=ROOT / "notebooks"))
    )
    return seconds, kernel, temporary


def measure(name):
    """All figures of one kernel, by name."""
    times = {"ready": [], "load": [], "use": [], "load, after reading": [], "use, at once": []}
    figures = {}
    for pair in range(PAIRS[name]):
        with ExitStack() as stack:
            seconds, kernel, temporary = begin(stack, name)
            times["ready"].append(seconds)
            times["load"].append(cell(kernel, LOAD))
            time.sleep(READING)
            times["use"].append(cell(kernel, USE))
            if pair == 0:
                figures |= small_cells(kernel)
                figures["memory"], _ = memory(kernel)
                if name == "ours":
                    figures["floor"] = floor(kernel.folder())

            seconds, further, temporary = begin(stack, name)
            times["ready"].append(seconds)
            time.sleep(READING)
            times["load, after reading"].append(cell(further, LOAD))
            times["use, at once"].append(cell(further, USE))
            if pair == 0:
                _, figures["further memory"] = memory(further)
                figures["further disk"] = unshared(folder_of(name, further, temporary))
        print(name, {key: [round(value, 2) for value in all] for key, all in times.items()})
    return figures | {key: statistics.median(values) for key, values in times.items()}


def small_cells(kernel):
    times = {"let": [], "expression": [], "print": []}
    for i in range(SMALL):
        times["let"].append(cell(kernel, f"let x{i} = {i} + 1;"))
        times["expression"].append(cell(kernel, f"x{i} + 1", str(i + 2)))
        times["print"].append(cell(kernel, f'println!("{{x{i}}}");'))
    return {kind: statistics.median(values) for kind, values in times.items()}


def cuda_half():
    """The first value of libtorch's, and the memory of the process that runs the cells, with and
    without libtorch's CUDA half: medians of starts in turns."""
    code = f"{LOAD}\nTensor::from_slice(&[1i64, 2]).numel()"
    figures = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        # What is read from files is shared with another session.
        cell(stack.enter_context(running(KERNELS["ours"], cwd=ROOT / "notebooks")), code, "2")
        name, path = kernel_without_cuda(Path(sys.prefix), Path(folder))
        # The kernels of this environment are found without it.
        stack.enter_context(mock.patch.dict(os.environ, JUPYTER_PATH=path))
        for _ in range(CUDA_STARTS):
            for kind, kernel_name in (("with", KERNELS["ours"]), ("without", name)):
                began = time.perf_counter()
                with running(kernel_name, cwd=ROOT / "notebooks") as kernel:
                    cell(kernel, code, "2")
                    seconds = time.perf_counter() - began
                    own = kernel.cells().memory_full_info().uss
                figures.setdefault(kind, []).append((seconds, own))
    return {
        kind: [statistics.median(values) for values in zip(*starts, strict=True)]
        for kind, starts in figures.items()
    }


def floor(folder):
    """What a small cell is made of: programs run by hand in the directory of a session."""
    call = json.loads((folder / "rustc-call.json").read_text())
    source = folder / "src" / "lib.rs"
    text = source.read_text()
    environment = dict(call["environment"])
    all_crates = [call["rustc"], *call["arguments"]]
    library, stand_ins = call["prelinked"]["library"], call["prelinked"]["stand_ins"]
    name = Path(library).name.removeprefix("lib").split("-")[0]
    rustc = [
        *[call["rustc"], "-L", f"native={stand_ins}", "--extern", f"{name}={library}"],
        *["-C", f"link-arg=-Wl,-rpath,{Path(library).parent}"],
        *call["arguments"],
    ]
    target = Path(call["target"]).parent.parent.name

    def median(command, variable, good=True):
        times = []
        for i in range(SMALL):
            # Another function each time, as cells are.
            source.write_text(re.sub(r"run_user_code_\d+", f"run_user_code_{1000 + i}", variable))
            seconds, done = timed(
                lambda: subprocess.run(command, cwd=folder, env=environment, capture_output=True)
            )
            assert (done.returncode == 0) == good, done.stderr
            times.append(seconds)
        return statistics.median(times)

    without = text.replace(f"extern crate {name} as _;", "")
    wrong = text + "\nconst WRONG: i32 = ().evcxr_display();\n"
    no_link = [a.replace("dep-info,link", "dep-info,metadata") for a in rustc]
    cargo = [environment["CARGO"], "build", "--target", target, "--message-format=json"]
    parts = {
        "rustc, in all": median(rustc, text),
        "the same with all crates linked anew": median(all_crates, without),
        "rustc, checking only": median(no_link, text),
        "rustc, with an error of type": median(rustc, wrong, good=False),
    }
    environment = before_cargo(environment, folder)
    parts["the same by cargo"] = median(cargo, without)
    source.write_text(text)
    return parts


def before_cargo(environment, folder):
    """The environment that cargo was called in, out of the one that it called rustc in."""
    added = ("CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_PRIMARY_", "CARGO_RUSTC_")
    kept = {name: value for name, value in environment.items() if not name.startswith(added)}
    sysroot = Path(kept["RUSTC"]).parent.parent
    paths = kept.get("LD_LIBRARY_PATH", "").split(":")
    own = [path for path in paths if not path.startswith(str(folder))]
    kept["LD_LIBRARY_PATH"] = ":".join(path for path in own if path != str(sysroot / "lib"))
    return kept | {"CARGO_TARGET_DIR": "target"}


def versions(prefix):
    def first_line(*command):
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]

    lock = (ROOT / "Cargo.lock").read_text()
    evcxr = re.search(r'name = "evcxr"\nversion = "(.+)"', lock)[1]
    torch = (ROOT / ".libtorch" / "version.py").read_text()
    torch = re.search(r"__version__ = '(.+)'", torch)[1]
    return ", ".join(
        [
            first_line("rustc", "--version"),
            f"evcxr {evcxr}",
            first_line(str(prefix / "bin" / "rust-live"), "--version"),
            f"PyTorch {torch}",
        ]
    )


def seconds(value):
    return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"


def mebibytes(value):
    return f"{value / 2**20:.0f} MiB"


def report(ours, theirs, cuda):
    rows = [
        ("kernel ready", "ready", seconds),
        ("first cell, sent at once: load the library", "load", seconds),
        (f"first cell that uses tch, {READING} s later", "use", seconds),
        (
            f"first cell, after {READING} s of reading: load the library",
            "load, after reading",
            seconds,
        ),
        ("first cell that uses tch, right after it", "use, at once", seconds),
        ("small cell: `let x = 1 + 1;`", "let", seconds),
        ("small cell: `x + 1`", "expression", seconds),
        ('small cell: `println!("{x}");`', "print", seconds),
        ("memory of a session", "memory", mebibytes),
        ("memory of a further session, not shared", "further memory", mebibytes),
        ("disk of a further session, not shared", "further disk", mebibytes),
    ]
    lines = [
        "# The kernel beside evcxr_jupyter",
        "",
        f"Measured on {date.today()} by `cargo xtask bench kernel`, both kernels in one run.",
        "",
        f"- Machine: {machine()}",
        f"- Versions: {versions(Path(sys.prefix))}",
        "",
        "| | this kernel | evcxr_jupyter | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    for title, key, shown in rows:
        ratio = theirs[key] / ours[key]
        lines.append(f"| {title} | {shown(ours[key])} | {shown(theirs[key])} | {ratio:.1f} |")
    lines += [
        "",
        "Times run from sending a cell to its reply and its last output. Small cells are medians "
        f"of {SMALL}; what concerns starts is the median of {PAIRS['ours']} starts here and one "
        "start there, where each takes minutes (ready: of twice as many). Memory is what is "
        "resident of the kernel and the process that runs the cells; of a further session, beside "
        "one that lives, what no other process has. Its disk is what it does not share by hard "
        "links.",
        "",
        "## What a small cell is made of",
        "",
        "Medians of the compiler called by hand in the directory of a session, with the library "
        "loaded:",
        "",
        "| | |",
        "| --- | ---: |",
    ]
    lines += [f"| {part} | {seconds(value)} |" for part, value in ours["floor"].items()]
    lines += [
        "",
        "An expression is compiled twice where its type neither has `evcxr_display` nor is the "
        "standard library's: the first attempt ends with an error of type. What is left of a "
        "cell's time is rust-analyzer, loading and running the cell, and the messages. The floor "
        "is rustc's time in all.",
        "",
        *cuda_lines(cuda),
    ]
    return "\n".join(lines)


def cuda_lines(cuda):
    (time_with, memory_with), (time_without, memory_without) = cuda["with"], cuda["without"]
    return [
        "## What libtorch's CUDA half costs at start",
        "",
        "It is loaded together with the library, whether there is a GPU or not: libtorch looks for "
        "it once in the life of a process. Here it is measured on a machine "
        f"{'with' if gpu() else 'without'} a GPU, beside the same libtorch with that half left "
        "out. PyTorch's build for the CPU alone has none. Medians of "
        f"{CUDA_STARTS} starts each, in turns, beside another session:",
        "",
        "| | with | without | difference |",
        "| --- | ---: | ---: | ---: |",
        "| from the start of the kernel to the first value of libtorch's, cell sent at once "
        f"| {seconds(time_with)} | {seconds(time_without)} | {time_with - time_without:.2f} s |",
        "| memory of the process of the cells that no other process has "
        f"| {mebibytes(memory_with)} | {mebibytes(memory_without)} "
        f"| {mebibytes(memory_with - memory_without)} |",
        "",
    ]


def gpu():
    import torch

    return torch.cuda.is_available()


def main():
    figures = {name: measure(name) for name in KERNELS}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(report(*figures.values(), cuda_half()))
    print(REPORT.read_text())


if __name__ == "__main__":
    main()
