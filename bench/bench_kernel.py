"""`cargo xtask bench kernel`: this kernel beside evcxr_jupyter, without and with its `:cache`.

All are measured in one run. Writes docs/results/kernel.md. Nothing else should run meanwhile.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from unittest import mock

import bench_widgets
from machine import machine, unshared

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from running import running  # noqa: E402
from without_cuda import kernel_without_cuda  # noqa: E402

REPORT = ROOT / "docs" / "results" / "kernel.md"
LIBRARY = f':dep googlenet-lib = {{ path = "{ROOT / "googlenet-lib"}" }}'
# A reader reads for as long before a cell.
READING = 20
SMALL = 15
# Starts of which the median is taken.
STARTS = 3
CUDA_STARTS = 5
# Sessions that begin at once on crates that nobody has compiled.
AT_ONCE = 4
PATIENCE = 3600
# Its type is not known.
SLIP = "let v = Default::default();"


@dataclass(frozen=True)
class Side:
    """A kernel, and what its notebooks begin with."""

    title: str
    kernel: str
    begin: str = ""


SIDES = (
    Side("this kernel", "googlenet"),
    Side("evcxr_jupyter", "evcxr"),
    Side("evcxr_jupyter, `:cache`", "evcxr", ":cache 2000\n"),
)
OURS, EVCXR, CACHED = SIDES


PLOTTERS = (
    ':dep plotters = { version = "0.3", default-features = false, features = ["evcxr", "FEATURE"] }'
)


@dataclass(frozen=True)
class Crates:
    """A notebook that names crates: its first cell, one that uses them, other features."""

    title: str
    load: str
    use: str
    other: str
    # One session of a kernel that keeps nothing stands for all.
    long: bool = False


CRATES = (
    Crates(
        "plotters",
        PLOTTERS.replace("FEATURE", "all_series"),
        "use plotters::prelude::*;\nlet colour = RED.mix(0.5);",
        PLOTTERS.replace("FEATURE", "line_series"),
    ),
    Crates(
        "ndarray, ndarray-rand",
        ':dep ndarray = "0.16"\n:dep ndarray-rand = "0.15"',
        "use ndarray::prelude::*;\nlet a = Array2::<f64>::zeros((3, 3)); let s = a.sum();",
        ':dep ndarray = { version = "0.16", features = ["approx"] }\n:dep ndarray-rand = "0.15"',
    ),
    Crates(
        "serde, derive",
        ':dep serde = { version = "1", features = ["derive"] }\n:dep serde_json = "1"',
        "#[derive(serde::Serialize)] struct P { x: u8 }\n"
        "let text = serde_json::to_string(&P { x: 1 })?;",
        ':dep serde = { version = "1", features = ["derive", "rc"] }\n:dep serde_json = "1"',
    ),
    Crates(
        "tokio",
        ':dep tokio = { version = "1", features = ["full"] }',
        "let runtime = tokio::runtime::Runtime::new()?; let n = runtime.block_on(async { 5 });",
        ':dep tokio = { version = "1", features = ["rt-multi-thread", "time"] }',
    ),
)
POLARS = Crates(
    "polars, lazy",
    ':dep polars = { version = "0.53", features = ["lazy"] }',
    'use polars::prelude::*;\nlet frame = df!("a" => [1, 2, 3])?; let n = frame.height();',
    ':dep polars = { version = "0.53", features = ["lazy", "strings"] }',
    long=True,
)


def cell(kernel, code, good=True):
    """Seconds from sending a cell to its reply and the end of its output."""
    began = time.perf_counter()
    done = kernel.run(code, timeout=PATIENCE)
    assert (done.status == "ok") == good, f"{code}: {done.reply}"
    return time.perf_counter() - began


def family(kernel):
    return [kernel.process, *kernel.process.children(recursive=True)]


def memory(kernel):
    """Bytes in memory, and those of them that no other process has."""
    infos = [process.memory_full_info() for process in family(kernel)]
    return sum(info.rss for info in infos), sum(info.uss for info in infos)


class Bench:
    """Kernels whose caches are their own: what was compiled before the run does not count."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.medians = {}

    def begin(self, stack, side, cache):
        """A new kernel, and the seconds until it answered."""
        place = self.folder / cache
        temporary = self.folder / f"tmp-{time.monotonic_ns()}"
        for folder in (place, temporary):
            folder.mkdir(parents=True, exist_ok=True)
        environment = {"XDG_CACHE_HOME": str(place), "TMPDIR": str(temporary)}
        began = time.perf_counter()
        kernel = stack.enter_context(running(side.kernel, environment, cwd=ROOT / "notebooks"))
        if side.begin:
            cell(kernel, side.begin)
        return time.perf_counter() - began, kernel, temporary

    def session(self, side, cache, cells, wait=0.0):
        """Seconds of each of some cells in a new session, and of its start before them."""
        with ExitStack() as stack:
            ready, kernel, _ = self.begin(stack, side, cache)
            time.sleep(wait)
            return [ready, *(cell(kernel, code, good) for code, good in cells)]

    def starts(self, side, cache, cells, wait=0.0, count=STARTS):
        runs = [self.session(side, cache, cells, wait) for _ in range(count)]
        return [statistics.median(times) for times in zip(*runs, strict=True)]


def empty(bench, side):
    """An empty notebook: ready, the first `let`, a slip, a small cell."""
    first, slip = ("let x = 5;", True), (SLIP, False)
    ready, at_once = bench.starts(side, "empty", [first])
    _, later = bench.starts(side, "empty", [first], wait=5)
    _, error, again = bench.starts(side, "empty", [slip, slip], wait=5)
    return {
        "ready": ready,
        "first `let`, at once": at_once,
        "first `let`, after 5 s": later,
        "first compile error, of a type that is not known": error,
        "the second": again,
    }


def small(kernel):
    """Medians of cells with little in them, and of a compile error."""
    times = {}

    def take(kind, code, good=True):
        times.setdefault(kind, []).append(cell(kernel, code, good))

    for i in range(SMALL):
        take("`let x = 1 + 1;`", f"let x{i} = {i} + 1;")
        take("`x + 1`", f"x{i} + 1")
        take('`println!("{x}");`', f'println!("{{x{i}}}");')
        take("a compile error", SLIP, good=False)
    return {kind: statistics.median(values) for kind, values in times.items()}


def small_cells(bench, side, load, cache="small"):
    with ExitStack() as stack:
        _, kernel, _ = bench.begin(stack, side, cache)
        if load:
            cell(kernel, load)
        cell(kernel, "let warm = 1;")
        return small(kernel)


def library(bench, side):
    """The lab's own: from a store that set-up has filled."""
    use = "let t = Tensor::randn([2, 3], (Kind::Float, Device::Cpu));"
    load = LIBRARY + "\nuse googlenet_lib::prelude::*;"
    count = STARTS if side is OURS else 1
    figures = {}
    _, figures["first cell, at once"], figures["first tensor, right after it"] = bench.starts(
        side, "library", [(load, True), (use, True)], count=count
    )
    if side is not OURS:
        return figures
    _, figures[f"first cell, after {READING} s"], _ = bench.starts(
        side, "library", [(load, True), (use, True)], wait=READING
    )
    with ExitStack() as stack:
        _, kernel, _ = bench.begin(stack, side, "library")
        cell(kernel, load)
        cell(kernel, use)
        figures["memory"] = memory(kernel)[0]
        _, further, _ = bench.begin(stack, side, "library")
        cell(further, load)
        cell(further, use)
        figures["memory of a further session, not shared"] = memory(further)[1]
        figures["disk of a further session, not shared"] = unshared(further.folder())
    return figures


def prepared(bench):
    """Fills the store with the library, as set-up does; seconds."""
    program = Path(sys.prefix) / "bin" / "rust-live"
    spec = Path(sys.prefix) / "share/jupyter/kernels/googlenet/kernel.json"
    assert spec.is_file(), f"{spec} is missing: cargo xtask setup"
    place = bench.folder / "library"
    place.mkdir(parents=True, exist_ok=True)
    command = [str(program), "prepare", "--name", "googlenet"]
    began = time.perf_counter()
    environment = {**os.environ, "XDG_CACHE_HOME": str(place), "JUPYTER_PATH": str(spec.parents[2])}
    subprocess.run(command, env=environment, check=True)
    return time.perf_counter() - began


def crates(bench, side, one):
    """Of three sessions, in words: seconds of the `:dep` cells and of the first that uses them."""
    cache = f"{one.title}-{SIDES.index(side)}"
    figures = []
    for load in (one.load, one.load, one.other):
        if figures and one.long and side is EVCXR:
            figures.append("as the first")
            continue
        _, loaded, used = bench.session(side, cache, [(load, True), (one.use, True)])
        figures.append(f"{shown(loaded)} + {shown(used)}")
    return figures


def at_once(bench):
    """Sessions that name the same new crates at once: seconds until the last is ready."""
    one = CRATES[2]
    with ExitStack() as stack:
        kernels = [bench.begin(stack, OURS, "at-once")[1] for _ in range(AT_ONCE)]
        began = time.perf_counter()
        threads = [threading.Thread(target=cell, args=(k, one.load)) for k in kernels]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
        for kernel in kernels:
            cell(kernel, one.use)
    alone = bench.session(OURS, "alone", [(one.load, True)])[1]
    return seconds, alone, store_size(bench, "at-once"), store_size(bench, "alone")


def store_size(bench, cache):
    place = bench.folder / cache / "rust-live" / "store"
    return sum(f.lstat().st_blocks * 512 for f in place.rglob("*") if f.is_file())


def parts():
    """What a small cell is made of: rustc by hand, on the same source."""
    source = '#[unsafe(no_mangle)] pub extern "C" fn cell() -> u8 { let x = 1 + 1; x }\n'
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "cell.rs").write_text(source)
        usual = [
            "--crate-type",
            "cdylib",
            "--edition",
            "2024",
            "-C",
            "prefer-dynamic",
            "-C",
            "opt-level=2",
        ]
        kinds = {
            "rustc starts": ["rustc", "-V"],
            "to metadata": ["rustc", "cell.rs", *usual, "--emit", "metadata"],
            "to an object": ["rustc", "cell.rs", *usual, "--emit", "obj"],
            "linked": ["rustc", "cell.rs", *usual, "--emit", "link"],
            "linked, with the MIR that tells the types": [
                "rustc",
                "cell.rs",
                *usual,
                "--emit",
                "link,mir",
            ],
        }
        sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True)
        rustc = Path(sysroot.stdout.strip()) / "bin" / "rustc"
        for kind, command in kinds.items():
            runs = []
            for _ in range(SMALL):
                began = time.perf_counter()
                subprocess.run([rustc, *command[1:]], cwd=folder, check=True, capture_output=True)
                runs.append(time.perf_counter() - began)
            times[kind] = statistics.median(runs)
    return times


def cuda_half():
    """The first value of libtorch's, and the memory of the process that runs the cells, with and
    without libtorch's CUDA half: medians of starts in turns."""
    code = f"{LIBRARY}\nuse googlenet_lib::prelude::*;\nTensor::from_slice(&[1i64, 2]).numel()"
    figures = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        # What is read from files is shared with another session.
        cell(stack.enter_context(running(OURS.kernel, cwd=ROOT / "notebooks")), code)
        name, path = kernel_without_cuda(Path(sys.prefix), Path(folder))
        # The kernels of this environment are found without it.
        stack.enter_context(mock.patch.dict(os.environ, JUPYTER_PATH=path))
        for _ in range(CUDA_STARTS):
            for kind, kernel_name in (("with", OURS.kernel), ("without", name)):
                began = time.perf_counter()
                with running(kernel_name, cwd=ROOT / "notebooks") as kernel:
                    cell(kernel, code)
                    seconds = time.perf_counter() - began
                    own = kernel.cells().memory_full_info().uss
                figures.setdefault(kind, []).append((seconds, own))
    return {
        kind: [statistics.median(values) for values in zip(*starts, strict=True)]
        for kind, starts in figures.items()
    }


def versions():
    def first_line(*command):
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]

    lock = (ROOT / "Cargo.lock").read_text()
    evcxr = re.search(r'name = "evcxr"\nversion = "(.+)"', lock)[1]
    program = str(Path(sys.prefix) / "bin" / "rust-live")
    return f"{first_line('rustc', '--version')}, {first_line(program, '--version')}, evcxr {evcxr}"


def shown(value):
    if value is None:
        return ""
    if value > 1e5:
        return f"{value / 2**20:.0f} MiB"
    return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"


def table(figures, sides):
    """One row for each figure, one column for each side."""
    names = list(figures[sides[0].title])
    lines = [
        f"| | {' | '.join(side.title for side in sides)} |",
        f"| --- |{' ---: |' * len(sides)}",
    ]
    for name in names:
        values = (shown(figures[side.title].get(name)) for side in sides)
        lines.append(f"| {name} | {' | '.join(values)} |")
    return lines


def section(title, *lines):
    return ["", f"## {title}", "", *lines]


def part_empty(bench, options):
    figures = {side.title: empty(bench, side) for side in SIDES[:2]}
    yield section(
        "An empty notebook", f"Medians of {STARTS} starts.", "", *table(figures, SIDES[:2])
    )


def part_small(bench, options):
    of = [("without crates", ""), ("plotters", CRATES[0].load), ("ndarray", CRATES[1].load)]
    words = f"Medians of {SMALL}, in a session that has run cells before."
    yield section("Small cells", words)
    for title, before in of:
        figures = {side.title: small_cells(bench, side, before) for side in SIDES[:2]}
        yield ["", f"{title.capitalize()}:", "", *table(figures, SIDES[:2])]


def part_library(bench, options):
    filled = prepared(bench)
    figures = {side.title: library(bench, side) for side in SIDES[:2]}
    size = store_size(bench, "library")
    yield section(
        "googlenet-lib",
        f"Set-up has filled the store in {shown(filled)}; it takes {shown(size)}. evcxr_jupyter "
        "compiles the library in each session.",
        "",
        *table(figures, SIDES[:2]),
        "",
        f"Small cells with it, medians of {SMALL}:",
        "",
        *table({OURS.title: small_cells(bench, OURS, LIBRARY, "library")}, [OURS]),
    )


def part_crates(bench, options):
    yield section(
        "Other crates",
        "Seconds of the `:dep` cell, and of the first cell that uses them. The third session asks "
        "for other features.",
        "",
        "| | | first session | second session | other features |",
        "| --- | --- | ---: | ---: | ---: |",
    )
    wanted = options.crates
    chosen = [one for one in CRATES if wanted is None or re.split(r"\W", one.title)[0] in wanted]
    for one in (*chosen, *((POLARS,) if options.polars else ())):
        for side in SIDES:
            yield [f"| {one.title} | {side.title} | {' | '.join(crates(bench, side, one))} |"]


def part_at_once(bench, options):
    together, alone, size, size_alone = at_once(bench)
    yield [
        "",
        f"{AT_ONCE} sessions of this kernel that name serde at the same moment, compiled by nobody "
        f"before: the last was ready after {shown(together)}; one alone takes {shown(alone)}. The "
        f"store then takes {shown(size)}, after one alone {shown(size_alone)}.",
    ]


def counted(bench):
    """What the kernel itself counts for `let x = 1 + 1;`, and what its client waits for."""
    inside, outside = [], []
    with ExitStack() as stack:
        _, kernel, _ = bench.begin(stack, OURS, "floor")
        cell(kernel, ":timing")
        for i in range(SMALL + 1):
            began = time.perf_counter()
            done = kernel.run(f"let x{i} = {i} + 1;", timeout=PATIENCE)
            outside.append(time.perf_counter() - began)
            inside.append(int(re.search(r"took (\d+) ms", done.text("stderr"))[1]) / 1000)
    # The first makes the compiler ready.
    return {
        "`let x = 1 + 1;` as the kernel counts it: parsed, compiled, loaded, run": inside[1:],
        "the same, from the request to the reply and the end of its output": outside[1:],
    }


def part_floor(bench, options):
    times = {**parts(), **{kind: statistics.median(runs) for kind, runs in counted(bench).items()}}
    yield section(
        "What a small cell is made of",
        "rustc by hand on a cell of one line, then the cell in the kernel; medians:",
        "",
        "| | |",
        "| --- | ---: |",
        *(f"| {part} | {value * 1000:.0f} ms |" for part, value in times.items()),
    )


def part_cuda(bench, options):
    yield cuda_lines(cuda_half())


def part_widgets(bench, options):
    cells = bench_widgets.sources(json.loads(bench_widgets.LESSON.read_text()))
    with running(OURS.kernel, cwd=ROOT / "notebooks") as kernel:
        yield section("How soon a picture follows a slider", *bench_widgets.lines(kernel, cells))


PARTS = {
    "empty": part_empty,
    "floor": part_floor,
    "small": part_small,
    "library": part_library,
    "crates": part_crates,
    "at-once": part_at_once,
    "cuda": part_cuda,
    "widgets": part_widgets,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--polars", action="store_true", help="polars as well: most of an hour more"
    )
    parser.add_argument("--out", type=Path, default=REPORT, help="the report")
    parser.add_argument("--crates", nargs="*", help="of the other crates these, by a first word")
    options = parser.parse_args()
    lines = [
        "# The kernel beside evcxr_jupyter",
        "",
        f"Measured on {date.today()} by `cargo xtask bench kernel`, all kernels in one run, each "
        "with caches of its own, empty at first. Load average before it: "
        f"{os.getloadavg()[0]:.2f}.",
        "",
        f"- Machine: {machine()}",
        f"- Versions: {versions()}",
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        for name in options.parts:
            for more in PARTS[name](bench, options):
                print("\n".join(more), flush=True)
                lines += more
                # What was measured is there, whatever ends the run.
                options.out.write_text("\n".join(lines) + "\n")


def cuda_lines(cuda):
    (time_with, memory_with), (time_without, memory_without) = cuda["with"], cuda["without"]
    return section(
        "What libtorch's CUDA half costs at start",
        "It is loaded together with the library, whether there is a GPU or not: libtorch looks for "
        f"it once in the life of a process. Medians of {CUDA_STARTS} starts each, in turns, beside "
        f"another session; this machine has {'a' if gpu() else 'no'} GPU:",
        "",
        "| | with | without |",
        "| --- | ---: | ---: |",
        "| from the start of the kernel to the first value of libtorch's "
        f"| {shown(time_with)} | {shown(time_without)} |",
        "| memory of the process of the cells that no other process has "
        f"| {shown(memory_with)} | {shown(memory_without)} |",
    )


def gpu():
    import torch

    return torch.cuda.is_available()


if __name__ == "__main__":
    main()
