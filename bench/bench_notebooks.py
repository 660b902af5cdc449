"""`python bench/bench_notebooks.py NOTEBOOK...`: notebooks of others under both kernels.

Writes docs/results/public-notebooks.md. Each kernel has a cache of its own that was empty before;
this one runs each notebook twice, since its second session finds the crates compiled. NOTEBOOK is
FILE or FILE=SOURCE, where SOURCE says where it comes from; it runs in a copy of the folder that it
is in, so that its data are there. Nothing else should run meanwhile.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from unittest import mock

import nbformat
from machine import machine
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "results" / "public-notebooks.md"
# A cell may compile crates for as long.
PATIENCE = 1800
RUNS = (
    ("this kernel", "googlenet", "ours"),
    ("this kernel again", "googlenet", "ours"),
    ("evcxr_jupyter", "evcxr", "theirs"),
)


@dataclass
class Run:
    """What came of a notebook."""

    cells: int
    failures: list
    seconds: float


def run(path, kernel, cache):
    """Runs a copy of a notebook in a copy of its folder."""
    notebook = nbformat.read(path, 4)
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, XDG_CACHE_HOME=str(cache)),
    ):
        shutil.copytree(Path(path).parent, folder, dirs_exist_ok=True)
        client = NotebookClient(
            notebook,
            timeout=PATIENCE,
            kernel_name=kernel,
            resources={"metadata": {"path": folder}},
            allow_errors=True,
        )
        began = time.perf_counter()
        client.execute()
        seconds = time.perf_counter() - began
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    failures = []
    for cell in code:
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors:
            failures.append((cell.source.strip().splitlines()[0], errors[0].evalue.splitlines()))
    return Run(len(code), failures, seconds)


def shown(text):
    return text.replace("|", "\\|")[:90]


def report(found):
    lines = [
        "# Notebooks of others",
        "",
        f"Measured on {date.today()} by `bench/bench_notebooks.py`, all runs one after the other.",
        "",
        f"- Machine: {machine()}",
        "- Copies of public notebooks, unchanged, each in a copy of its folder; each kernel with a "
        "cache that was empty before. Times include the start of the kernel and the compilation of "
        "crates.",
        "- An error that `?` returns fails a cell of this kernel; in evcxr_jupyter it is text on "
        "standard error, and no failure to Jupyter.",
        "",
        "| notebook | cells | " + " | ".join(title for title, _, _ in RUNS) + " |",
        "| --- | ---: |" + " ---: |" * len(RUNS),
    ]
    for source, runs in found.items():
        of_runs = (f"{len(run.failures)} failed, {run.seconds:.0f} s" for run in runs)
        lines.append(f"| {source} | {runs[0].cells} | {' | '.join(of_runs)} |")
    lines += ["", "## What failed", ""]
    for source, runs in found.items():
        failures = {}
        for title, side in ((RUNS[0][0], runs[0]), (RUNS[2][0], runs[2])):
            for cell, error in side.failures:
                words = error[0] if error else "no reason was given"
                failures.setdefault((shown(cell), shown(words)), Counter())[title] += 1
        if failures:
            lines.append(f"- {source}")
        for (cell, words), counts in failures.items():
            kernels = (title + (f", {n} cells" if n > 1 else "") for title, n in counts.items())
            lines.append(f"  - {' and '.join(kernels)}: `{cell}`: {words}")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", metavar="NOTEBOOK")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for argument in parser.parse_args().notebooks:
            path, _, source = argument.partition("=")
            runs = [run(path, kernel, Path(folder) / cache) for _, kernel, cache in RUNS]
            found[source or Path(path).name] = runs
            print(source or path, [(len(run.failures), round(run.seconds, 1)) for run in runs])
    REPORT.write_text(report(found))


if __name__ == "__main__":
    main()
