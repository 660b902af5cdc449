"""`cargo xtask run`: the program behind it, on small notebooks that load no library."""

import importlib.util
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT

PROGRAM = ROOT / "xtask/run_lesson.py"


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("run_lesson", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def notebook(tmp_path):
    """Writes a notebook of these code cells, named by their ids."""

    def write(**cells):
        book = nbformat.v4.new_notebook()
        book.metadata.kernelspec = {"name": "googlenet", "display_name": "x", "language": "rust"}
        for name, source in cells.items():
            cell = nbformat.v4.new_code_cell(source, id=name)
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="old\n")]
            book.cells.append(cell)
        path = tmp_path / "lesson.ipynb"
        nbformat.write(book, path)
        return path

    return write


def run(path, out, *options):
    command = [sys.executable, PROGRAM, path, "--out", out, *options]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)


def outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    return ["".join(o.get("text", o.output_type) for o in cell.outputs) for cell in cells]


def test_progress_is_shown_and_results_are_written(notebook, tmp_path, own_state):
    path = notebook(first='println!("one"); println!("two");', second="let n = 6 * 7; n")
    done = run(path, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "[ 1/2] first\n        | one\n        | two\n" in done.stdout
    assert "[ 2/2] second\n" in done.stdout
    assert done.stdout.count(" s, ok\n") == 2
    assert outputs(tmp_path / "out/lesson.ipynb")[0] == "one\ntwo\n"
    page = (tmp_path / "out/lesson.html").read_text()
    assert "<html" in page and "42" in page
    assert f"HTML page: {tmp_path / 'out/lesson.html'}" in done.stdout
    # The notebook itself is left alone.
    assert outputs(path) == ["old\n", "old\n"]


def test_a_cell_that_fails_is_named_and_nothing_is_written_back(notebook, tmp_path, own_state):
    path = notebook(fine="let a = 1;", broken='Err("no such thing")?', never='println!("x");')
    done = run(path, tmp_path / "out", "--in-place")
    assert done.returncode == 1
    assert "error: cell 'broken' failed: " in done.stderr
    assert "no such thing" in done.stderr
    assert "never" not in done.stdout
    assert outputs(path) == ["old\n"] * 3
    assert outputs(tmp_path / "out/lesson.ipynb")[1:] == ["error", ""]


def test_in_place_writes_back_what_can_be_committed(notebook, tmp_path, own_state):
    path = notebook(where_='println!("{}", std::env::current_dir()?.join("x").display());')
    done = run(path, tmp_path / "out", "--in-place")
    assert done.returncode == 0, done.stderr
    book = nbformat.read(path, as_version=4)
    assert book.metadata.language_info == {"name": "rust"}
    assert book.metadata.kernelspec.display_name == "x"
    assert book.cells[0].metadata == {}
    assert book.cells[0].execution_count == 1


def test_paths_and_names_of_a_machine_are_taken_out(program, tmp_path):
    book = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("1", metadata={"execution": {"shell.execute_reply": "now"}})
    text = "/home/me/lab/notebooks and /home/me/.cache on box, not in boxes\n"
    html = {"text/html": "<b>/home/me/lab</b>"}
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=text),
        nbformat.v4.new_output("display_data", data=html),
    ]
    book.cells = [cell]
    clean = program.cleaned(book, root="/home/me/lab", home="/home/me", host="box").cells[0]
    assert clean.metadata == {}
    assert clean.outputs[0].text == "./notebooks and ~/.cache on host, not in boxes\n"
    assert clean.outputs[1].data["text/html"] == "<b>.</b>"
    assert cell.outputs[0].text == text
