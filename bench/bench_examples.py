"""`cargo xtask bench examples`: the examples in the standard library's documentation as cells.

They are written by others, about everything that Rust has, and each of them compiles and runs as a
program: rustdoc sees to that. Fifty of them share a session, as cells of one notebook. Writes
docs/results/examples.md. Nothing else should run meanwhile.

With --statements each example is many cells: its items, then a statement each, as a reader tries
them one by one. Variables have to stay as they do in a function. Writes
docs/results/statements.md.
"""

import argparse
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from machine import machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from running import running, without_colours  # noqa: E402

RESULTS = ROOT / "docs" / "results"
TITLES = {"googlenet": "this kernel", "evcxr": "evcxr_jupyter"}
CRATES = ("core", "alloc", "std")
SESSION = 50
# Seconds after which a cell is taken to hang.
LIMIT = 60
# Other editions than the cells', and what is not meant to compile or to end well.
LEFT_OUT = ("ignore", "no_run", "compile_fail", "should_panic", "edition", "test_harness")
TAGS = ("", "rust", "standalone", "standalone_crate")
BROKEN = "\0"


@dataclass
class Example:
    place: str
    code: str

    def __post_init__(self):
        self.cells = [self.code]


@dataclass
class Failure:
    place: str
    error: str


def library():
    """Where the sources of the standard library are."""
    command = ["rustc", "--print", "sysroot"]
    sysroot = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    folder = Path(sysroot) / "lib" / "rustlib" / "src" / "rust" / "library"
    if not folder.is_dir():
        sys.exit("the sources are not there: `rustup component add rust-src`")
    return folder


def examples(folder):
    """All examples that run as they stand, by their places."""
    found = []
    for crate in CRATES:
        for path in sorted((folder / crate / "src").rglob("*.rs")):
            place = path.relative_to(folder)
            # What is documentation for nobody, and systems that this is not.
            if {"sys", "tests"} & set(place.parts):
                continue
            if "os" in place.parts and not {"linux", "unix", "fd"} & set(place.parts):
                continue
            found += in_file(str(place), path.read_text())
    return found


def in_file(place, text):
    found = []
    fence, lines = None, []
    for number, line in enumerate(text.splitlines(), 1):
        comment = re.match(r"\s*//[/!](?!/) ?(.*)", line)
        if comment is None:
            if fence:
                # `#[doc = ..]` between the lines: the example is not all there.
                lines.append(BROKEN)
            continue
        content = comment[1]
        if fence is None:
            opened = re.match(r"\s*(`{3,})\s*([^`]*)$", content)
            if opened:
                fence, tags, start, lines = opened[1], opened[2], number, []
        elif content.strip() == fence:
            code = unhidden(lines)
            if BROKEN not in lines and runs(tags, code):
                found.append(Example(f"{place}:{start}", code))
            fence = None
        else:
            lines.append(content)
    return found


def unhidden(lines):
    """The code with the lines that rustdoc hides."""
    shown = []
    for line in lines:
        bare = line.lstrip()
        if bare == "#" or bare.startswith("# "):
            line = bare[2:]
        elif bare.startswith("##"):
            line = line.replace("##", "#", 1)
        shown.append(line)
    indent = min((len(line) - len(line.lstrip()) for line in shown if line.strip()), default=0)
    return "\n".join(line[indent:] for line in shown)


def runs(tags, code):
    words = re.split(r"[\s,]+", tags.strip())
    # rustdoc does not run the tests in an example, a cell does.
    if "#![feature" in code or "#[test]" in code:
        return False
    if any(word.startswith(LEFT_OUT) for word in words):
        return False
    return all(word in TAGS for word in words) and bool(code.strip())


def taken_apart(found):
    """The examples that have two statements or more, with a cell for each."""
    # Their code is the body of a function; a zero byte stands in none.
    plain = [one for one in found if "fn main" not in one.code and "#![" not in one.code]
    command = ["cargo", "run", "--quiet", "-p", "cell-program", "--example", "statements"]
    programs = "\0".join(one.code for one in plain)
    done = subprocess.run(command, input=programs, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(done.stderr)
    for example, cells in zip(plain, done.stdout.split("\0"), strict=True):
        example.cells = cells.split("\x1e")
    return [one for one in plain if len(one.cells) > 2]


def first_line(errors):
    """There is one for each thing that the compiler refuses."""
    error = errors[0]
    text = without_colours([error["evalue"], *error["traceback"]]).strip()
    return text.splitlines()[0] if text else error["ename"]


def measure(name, sample, folder):
    """The seconds of each example that ran, and the failures."""
    times, failures = [], []
    left = list(sample)
    while left:
        session, left = left[:SESSION], left[SESSION:]
        while session:
            session = in_session(name, session, folder, times, failures)
    return times, failures


def in_session(name, session, folder, times, failures):
    """Runs examples; returns those that are left where one has hung."""
    with running(name, cwd=folder) as kernel:
        for number, example in enumerate(session):
            for cell in example.cells:
                began = time.perf_counter()
                try:
                    done = kernel.run(cell, timeout=LIMIT)
                except AssertionError:
                    failures.append(Failure(example.place, f"no end within {LIMIT} s"))
                    return session[number + 1 :]
                seconds = time.perf_counter() - began
                if done.status != "ok":
                    failures.append(Failure(example.place, first_line(done.of("error"))))
                    break
                times.append(seconds)
    return []


def report(count, whole, seed, figures, statements):
    title, option = "as cells", ""
    kind = "that run as they stand, drawn with a seed. They are pasted as cells"
    if statements:
        title, option = "a statement a cell", " --statements"
        kind = (
            "that have two statements or more outside of functions, drawn with a seed. Each is "
            "taken apart into cells: its items, then a statement each"
        )
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    lines = [
        f"# Examples of the standard library, {title}",
        "",
        f"Measured on {date.today()} by "
        f"`cargo xtask bench examples --count {count} --seed {seed}{option}`.",
        "",
        f"- Machine: {machine()}",
        f"- {rustc}",
        f"- {count} of the {whole} examples that the documentation of core, alloc and std holds "
        f"and {kind}, the lines that rustdoc hides included, {SESSION} into one session.",
        "",
        "| | failed | median | in all |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, (times, failures, seconds) in figures.items():
        median = f"{statistics.median(times):.2f} s" if times else ""
        title, failed = TITLES.get(name, name), f"{len(failures)} of {count}"
        lines.append(f"| {title} | {failed} | {median} | {seconds:.0f} s |")
    lines += [
        "",
        "The median is that of the cells that ran; the time in all has the starts of the sessions "
        f"in it. A cell that hangs for {LIMIT} s counts as failed.",
    ]
    for name, (_, failures, _) in figures.items():
        if failures:
            lines += ["", f"## What failed: {TITLES.get(name, name)}", ""]
            lines += [f"- `{one.place}`: {one.error}" for one in failures]
    return "\n".join([*lines, ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kernel", action="append", help="a kernel's name; several are allowed")
    parser.add_argument("--statements", action="store_true", help="a cell for each statement")
    options = parser.parse_args()
    found = examples(library())
    if options.statements:
        found = taken_apart(found)
    count = min(options.count, len(found))
    sample = random.Random(options.seed).sample(found, count)
    figures = {}
    for name in options.kernel or TITLES:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            times, failures = measure(name, sample, folder)
            figures[name] = times, failures, time.perf_counter() - began
    RESULTS.mkdir(parents=True, exist_ok=True)
    written = RESULTS / ("statements.md" if options.statements else "examples.md")
    text = report(count, len(found), options.seed, figures, options.statements)
    written.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
