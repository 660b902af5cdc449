"""Upstream's tour of evcxr under both kernels, cell by cell.

The notebook belongs to evcxr and is not kept here. `EVCXR_TOUR=FILE` names a copy of
evcxr_jupyter/samples/evcxr_jupyter_tour.ipynb. It compiles crates from crates.io: minutes.
"""

import os
import socket
import threading
from pathlib import Path

import nbformat
import pytest
from conftest import KERNELS
from nbclient import NotebookClient

TOUR = os.environ.get("EVCXR_TOUR")

pytestmark = [
    pytest.mark.skipif(not TOUR, reason="EVCXR_TOUR does not name a copy of upstream's tour"),
    pytest.mark.timeout(3600),
]


@pytest.fixture(scope="module")
def server():
    """The tour says hello to whoever listens on this port."""
    heard = []
    listener = socket.create_server(("127.0.0.1", 6543))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            heard.append(connection.recv(100))

    threading.Thread(target=serve, daemon=True).start()
    yield heard
    listener.close()


def tour(name, folder):
    notebook = nbformat.read(TOUR, as_version=4)
    # A line that begins with ! installs evcxr on a rented machine.
    notebook.cells = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.strip() and not cell.source.startswith("!")
    ]
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(
        notebook, kernel_name=name, timeout=1200, allow_errors=True, resources=resources
    ).execute()
    return notebook.cells


GREY = "\x1b[90m"


def seen(cell):
    """What a reader sees: text, the result by its types, and whether something went wrong.

    evcxr_jupyter writes an error of `?` to standard error, where it is no error to Jupyter. What is
    being compiled, and warnings, it does not show; here they are grey. Errors and the kernels' own
    commands are told in words of each kernel's own.
    """
    text, wrong, result = "", [], {}
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            text += output.text
        elif output.output_type == "stream":
            wrong += [
                line
                for line in output.text.splitlines()
                if GREY not in line and "Compiling" not in line
            ]
        elif output.output_type == "error":
            wrong += output.evalue.splitlines()
        else:
            result.update(output.data)
    # It counts tenths of seconds.
    if cell.source.startswith("*counter.lock()?"):
        result = {kind: value.rstrip().isdecimal() for kind, value in result.items()}
    # Here a text stands beside every picture.
    if any(kind.startswith("image/") for kind in result):
        result.pop("text/plain", None)
    if cell.source.startswith(":"):
        result = {kind: "" for kind in result if kind == "text/plain"}
    return {
        "text": text,
        "result": {kind: str(value).rstrip("\n") for kind, value in result.items()},
        "wrong": any(line.strip() for line in wrong),
    }


def test_the_tour_shows_the_same_under_both_kernels(tmp_path, server, own_state):
    evcxr, ours = (tour(name, tmp_path) for name in KERNELS)
    assert len(ours) > 15
    differences = []
    for one, other in zip(evcxr, ours, strict=True):
        theirs, own = seen(one), seen(other)
        # evcxr_jupyter may send standard error after the cell's end, where nbclient no longer looks.
        if "eprintln!" in one.source and not theirs["wrong"]:
            theirs["wrong"] = True
        if theirs != own:
            differences.append(f"{one.source}\nevcxr: {theirs}\nours:  {own}\n")
    if keep := os.environ.get("EVCXR_TOUR_OUTPUTS"):
        for name, cells in zip(KERNELS, (evcxr, ours), strict=True):
            text = "\n\n".join(f"{cell.source}\n>>> {seen(cell)}" for cell in cells)
            Path(keep, f"{name}.txt").write_text(text)
    assert not differences, "\n".join(differences)
    assert [said for said in server if said] == [b"Hello, world!\n"] * 2
