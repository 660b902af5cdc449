"""The Korean lessons: the cells and outputs of the English ones, and texts that say the same."""

import re
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient
from test_notebooks import NAMES, exercises, links, shown, tags

ENGLISH = ROOT / "notebooks"
KOREAN = ENGLISH / "ko"


def pairs(name):
    """The text cells of a lesson, English and Korean."""
    english, korean = (
        nbformat.read(folder / f"{name}.ipynb", as_version=4) for folder in (ENGLISH, KOREAN)
    )
    for cell, other in zip(english.cells, korean.cells, strict=True):
        assert (cell.id, cell.cell_type) == (other.id, other.cell_type)
        if cell.cell_type == "markdown":
            yield cell.id, cell.source, other.source


def without_code(source):
    return re.sub(r"```.*?```", "", source, flags=re.DOTALL)


def spans(source):
    """Formulas and code spans, which are not translated."""
    text = without_code(source)
    formulas = re.findall(r"\$\$.*?\$\$|\$[^$\n]+\$", text, flags=re.DOTALL)
    # Words within a formula may be, and what ends a sentence stands elsewhere.
    formulas = [re.sub(r"\\text\{[^}]*\}|\s|[.,;:](?=\$\$)", "", one) for one in formulas]
    code = re.findall(r"`[^`\n]+`", re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL))
    return sorted(set(formulas)), sorted(set(code))


def test_code_and_outputs_are_those_of_the_english_lessons():
    update = [sys.executable, KOREAN / "update.py", "--check"]
    done = subprocess.run(update, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_formulas_code_and_figures_are_the_same(name):
    for cell, english, korean in pairs(name):
        assert spans(english) == spans(korean), cell
        # Those that are not in words: millions are others in Korean.
        numbers = [set(re.findall(r"\d+(?:,\d{3})+", text)) for text in (english, korean)]
        assert numbers[0] <= numbers[1], cell


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_korean(name):
    for cell, english, korean in pairs(name):
        words = re.sub(r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)|<[^>]*>", "", without_code(korean))
        assert re.search("[가-힣]", words), cell
        assert english != korean, cell


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_the_same_places(name):
    for cell, english, korean in pairs(name):
        theirs = [re.sub(r"^\.\./(?=\.\./)", "", link) for link in links(korean)]
        assert sorted(theirs) == sorted(links(english)), cell


@pytest.mark.parametrize("name", NAMES)
def test_solutions_are_the_same(name):
    def rust(text):
        return re.findall(r"```rust\n(.*?)\n```", text, re.DOTALL)

    found = [(cell, rust(english), rust(korean)) for cell, english, korean in pairs(name)]
    assert all(english == korean for _, english, korean in found), found
    assert len(exercises(nbformat.read(ENGLISH / f"{name}.ipynb", as_version=4))) >= 3


@pytest.mark.timeout(600)
def test_a_korean_lesson_runs_where_it_lies(build_directory, own_state, monkeypatch):
    monkeypatch.setenv("GOOGLENET_LESSON_BUDGET", "test")
    committed = nbformat.read(KOREAN / f"{NAMES[0]}.ipynb", as_version=4)
    done = nbformat.read(KOREAN / f"{NAMES[0]}.ipynb", as_version=4)
    client = NotebookClient(
        done,
        kernel_name="googlenet",
        timeout=300,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(KOREAN)}},
    )
    client.execute()
    for cell, new in zip(committed.cells, done.cells, strict=True):
        if cell.cell_type == "code" and "machine" not in tags(cell):
            assert shown(new.outputs) == shown(cell.outputs), cell.id
