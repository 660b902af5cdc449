"""`cargo xtask bench kernel`: this kernel and evcxr_jupyter side by side, in one run.

Writes docs/results/kernel.md. Nothing else should run meanwhile.
"""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from running import running  # noqa: E402

REPORT = ROOT / "docs" / "results" / "kernel.md"
LOAD = (
    f':dep googlenet-lib = {{ path = "{ROOT / "googlenet-lib"}" }}\nuse googlenet_lib::prelude::*;'
)
USE = "let t = Tensor::randn([2, 3], (Kind::Float, Device::Cpu));"
# A reader reads for as long before the first cell that uses the library.
READING = 15
SMALL = 15
STARTS = 5
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


def resident(kernel):
    return sum(process.memory_info().rss for process in family(kernel))


def unshared(folder):
    """Bytes on the disk of files that have no second name."""
    stats = (file.lstat() for file in folder.rglob("*") if file.is_file())
    return sum(stat.st_blocks * 512 for stat in stats if stat.st_nlink == 1)


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
    ready, load, use = [], [], []
    figures = {}
    # Two minutes each there: once is enough.
    for start in range(STARTS if name == "ours" else 1):
        with ExitStack() as stack:
            seconds, kernel, temporary = begin(stack, name)
            ready.append(seconds)
            load.append(cell(kernel, LOAD))
            time.sleep(READING)
            use.append(cell(kernel, USE))
            print(
                f"{name}: ready {ready[-1]:.2f} s, load {load[-1]:.2f} s, use {use[-1]:.2f} s",
                flush=True,
            )
            if start > 0:
                continue
            figures |= small_cells(kernel)
            figures["memory"] = resident(kernel)
            figures["disk"] = unshared(folder_of(name, kernel, temporary))
            if name == "ours":
                figures["floor"] = floor(kernel.folder())
    return figures | {
        "ready": statistics.median(ready),
        "load": statistics.median(load),
        "use": statistics.median(use),
    }


def small_cells(kernel):
    times = {"let": [], "expression": [], "print": []}
    for i in range(SMALL):
        times["let"].append(cell(kernel, f"let x{i} = {i} + 1;"))
        times["expression"].append(cell(kernel, f"x{i} + 1", str(i + 2)))
        times["print"].append(cell(kernel, f'println!("{{x{i}}}");'))
    return {kind: statistics.median(values) for kind, values in times.items()}


def floor(folder):
    """What a small cell is made of: programs run by hand in the directory of a session."""
    call = json.loads((folder / "rustc-call.json").read_text())
    source = folder / "src" / "lib.rs"
    text = source.read_text()
    environment = dict(call["environment"])
    rustc = [call["rustc"], *call["arguments"]]
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

    wrong = text + "\nconst WRONG: i32 = ().evcxr_display();\n"
    no_link = [a.replace("dep-info,link", "dep-info,metadata") for a in rustc]
    cargo = [environment["CARGO"], "build", "--target", target, "--message-format=json"]
    parts = {
        "rustc, in all": median(rustc, text),
        "rustc, checking only": median(no_link, text),
        "rustc, with an error of type": median(rustc, wrong, good=False),
    }
    environment = before_cargo(environment, folder)
    parts["the same by cargo"] = median(cargo, text)
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


def machine():
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    name = model[1] if model else platform.processor()
    memory = psutil.virtual_memory().total / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{name}, {cores} cores, {memory:.0f} GiB of memory, {platform.system()}"


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
            first_line(str(prefix / "bin" / "googlenet-kernel"), "--version"),
            f"PyTorch {torch}",
        ]
    )


def seconds(value):
    return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"


def report(ours, theirs):
    rows = [
        ("kernel ready", "ready", seconds),
        ("first cell: load the library", "load", seconds),
        (f"first cell that uses tch, {READING} s later", "use", seconds),
        ("small cell: `let x = 1 + 1;`", "let", seconds),
        ("small cell: `x + 1`", "expression", seconds),
        ('small cell: `println!("{x}");`', "print", seconds),
        ("memory of a session", "memory", lambda value: f"{value / 2**20:.0f} MiB"),
        ("disk of a session", "disk", lambda value: f"{value / 2**20:.0f} MiB"),
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
        f"of {SMALL}; what concerns starts is the median of {STARTS} starts here and one start "
        "there. The first cell is sent as soon as the kernel answers. Memory is what is resident "
        "of the kernel and the process that runs the cells; disk is what a session does not share "
        "by hard links with another.",
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
        "An expression is compiled twice unless its type has `evcxr_display`: the first attempt "
        "ends with an error of type. What is left of a cell's time is rust-analyzer, loading and "
        "running the cell, and the messages. The floor is rustc's time in all.",
        "",
    ]
    return "\n".join(lines)


def main():
    figures = {name: measure(name) for name in KERNELS}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(report(*figures.values()))
    print(REPORT.read_text())


if __name__ == "__main__":
    main()
