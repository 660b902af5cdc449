"""Runs a notebook without a browser: every cell with its progress and its time, then the executed
notebook and an HTML page. `cargo xtask run` calls it."""

import argparse
import json
import re
import socket
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parent.parent
ANSI = re.compile(r"\x1b\[[0-9;]*m")
WIDGET = "application/vnd.jupyter.widget-view+json"


class Client(NotebookClient):
    """A notebook client that tells on the terminal what happens."""

    def __init__(self, notebook, **options):
        self.code = [index for index, cell in enumerate(notebook.cells) if is_code(cell)]
        super().__init__(notebook, on_cell_execute=self.begin, on_cell_executed=self.end, **options)

    def begin(self, cell, cell_index):
        number = self.code.index(cell_index) + 1
        print(f"[{number:2}/{len(self.code)}] {cell.id}", flush=True)
        self.began = time.monotonic()
        self.line = ""

    def end(self, cell, cell_index, execute_reply):
        self.tell("\n")
        status = execute_reply["content"]["status"]
        print(f"        {time.monotonic() - self.began:.1f} s, {status}", flush=True)

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream":
            self.tell(msg["content"]["text"])
        return super().process_message(msg, cell, cell_index)

    def tell(self, text):
        """Shows what a cell writes, whole lines only, indented under its name."""
        *lines, self.line = (self.line + text).split("\n")
        for line in lines:
            if line.strip():
                print(f"        | {line}", flush=True)


def is_code(cell):
    return cell.cell_type == "code" and cell.source.strip() != ""


def execute(notebook, kernel, folder):
    """Runs all cells in `folder`; returns what went wrong, or None."""
    client = Client(
        notebook,
        kernel_name=kernel,
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        cell = failed_cell(notebook)
        return f"cell '{cell.id}' failed: {error.ename}: {ANSI.sub('', error.evalue)}"
    except DeadKernelError:
        return f"the kernel died in cell '{last_begun(notebook).id}'"
    return None


def without_models(notebook):
    """Leaves texts and pictures of widgets alone: pages would look for their models, which ended
    with the kernel."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)


def failed_cell(notebook):
    return next(
        cell
        for cell in notebook.cells
        if is_code(cell) and any(output.output_type == "error" for output in cell.outputs)
    )


def last_begun(notebook):
    """The cell after the last that has a number; the first if none has."""
    code = [cell for cell in notebook.cells if is_code(cell)]
    return next((cell for cell in code if cell.execution_count is None), code[-1])


def cleaned(notebook, root=ROOT, home=None, host=None):
    """The notebook as it is committed: without times, and without paths and names of a machine."""
    names = {str(root): ".", str(home or Path.home()): "~", host or socket.gethostname(): "host"}

    def clean(value):
        if isinstance(value, str):
            for name, short in names.items():
                value = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", short, value)
            return value
        if isinstance(value, list):
            return [clean(item) for item in value]
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        return value

    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)
            cell.outputs = [nbformat.from_dict(clean(output)) for output in cell.outputs]
    notebook.metadata.language_info = {"name": "rust"}
    return notebook


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--kernel", default="googlenet")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--in-place", action="store_true")
    return parser.parse_args()


def main():
    options = arguments()
    notebook = nbformat.read(options.notebook, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    began = time.monotonic()
    problem = execute(notebook, options.kernel, options.notebook.resolve().parent)
    without_models(notebook)
    print(f"{time.monotonic() - began:.0f} s with the kernel {options.kernel}")

    options.out.mkdir(parents=True, exist_ok=True)
    executed = options.out / options.notebook.name
    page = executed.with_suffix(".html")
    nbformat.write(notebook, executed)
    page.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    print(f"executed notebook: {executed}\nHTML page: {page}")
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    if options.in_place:
        nbformat.write(cleaned(notebook), options.notebook)
        print(f"outputs written back: {options.notebook}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
