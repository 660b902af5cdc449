"""The lessons in a real JupyterLab, by clicking: `cargo xtask lab` and headless Chromium.

They are skipped where there is no Chromium and no Chrome. GOOGLENET_SCREENSHOTS names a folder for
their pictures, which otherwise go to pytest's own.
"""

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import pytest
from browser import SLIDER, Notebook, chromium, window, write_settings
from lab import running_lab
from playwright.sync_api import TimeoutError as PatienceIsOver

LESSON_1 = "01-bottleneck-arithmetic.ipynb"
LESSON_5 = "05-googlenet-on-cifar10.ipynb"


@pytest.fixture(scope="module")
def program():
    found = chromium()
    if not found:
        pytest.skip("no Chromium or Chrome on the PATH: install one to run this test")
    return found


@pytest.fixture(scope="module")
def lab(root, tmp_path_factory, own_state, program):
    """One JupyterLab for all, and a look at the end whether a committed notebook was changed."""
    folder = tmp_path_factory.mktemp("lab")
    write_settings(folder / "settings", theme="JupyterLab Light")
    before = contents(root)
    with running_lab(root, folder) as lab:
        yield lab
    assert contents(root) == before


def contents(root):
    return {file.name: file.read_bytes() for file in (root / "notebooks").glob("*.ipynb")}


@pytest.fixture
def folder(tmp_path):
    """Where pictures go."""
    folder = Path(os.environ.get("GOOGLENET_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page(lab, program, folder, request):
    """A window; how it looked at the end of the test is kept."""
    with window(program, lab) as page:
        yield page
        page.screenshot(path=folder / f"{request.node.name}.png")


@pytest.fixture
def picture(page, folder):
    """Takes a picture of the window."""
    return lambda name: page.screenshot(path=folder / f"{name}.png")


def code_cells(notebook):
    return [cell for cell in notebook.content if cell["cell_type"] == "code"]


def test_lesson_1_runs_by_clicking(root, page, picture):
    notebook = Notebook(page, root / "notebooks" / LESSON_1)
    notebook.menu("Run", "Run All Cells")
    cells = code_cells(notebook)
    notebook.wait(cells[-1]["id"], seconds=150)
    # A cell that fails keeps the later ones from running.
    for cell in cells:
        notebook.wait(cell["id"], seconds=5)
    assert [e for cell in cells if cell["id"] != "load" for e in notebook.errors(cell["id"])] == []
    assert "112,896,000" in notebook.output("counted")
    assert notebook.pictures("picture-1x1")
    notebook.show("counting")
    picture("lesson-1")


def test_training_is_watched_stopped_looked_at_and_continued(root, page, picture):
    notebook = training(root, page)
    # The plot grows while the cell runs.
    assert moves(notebook, "fit-1", times=2, seconds=120)
    assert notebook.is_running("fit-1")
    notebook.button("interrupt-kernel")
    stopped_at = done(notebook.wait("fit-1", seconds=20))
    assert notebook.errors("fit-1")[-1].startswith("interrupted: stopped when asked to")

    # The network that was stopped is there, and answers.
    notebook.run("look")
    assert "this is:" in notebook.wait("look", seconds=60)
    assert len(notebook.pictures("look")) == 1
    notebook.show("fit-1")
    picture("stopped-and-used")
    notebook.theme("JupyterLab Dark")
    notebook.show("fit-1")
    picture("stopped-and-used-dark")
    notebook.theme("JupyterLab Light")

    # It goes on from there, in the same epoch.
    before = notebook.pictures("fit-1")[-1]
    notebook.run("fit-1")
    assert moves(notebook, "fit-1", times=2, seconds=120, first=before)
    notebook.show("fit-1")
    picture("live-loss")
    notebook.theme("JupyterLab Dark")
    notebook.show("fit-1")
    picture("live-loss-dark")
    notebook.button("interrupt-kernel")
    assert done(notebook.wait("fit-1", seconds=20)) > stopped_at


KNOBS = SLIDER[-1]


@pytest.fixture
def own_copy(root):
    """Lesson 1 under another name, to be saved."""
    copy = root / "notebooks" / "zz-saved-by-a-test.ipynb"
    copy.write_bytes((root / "notebooks" / LESSON_1).read_bytes())
    yield copy
    copy.unlink()


def test_a_slider_moves_the_chart_of_lesson_1_also_in_a_page_that_is_loaded_anew(
    own_copy, lab, page, picture
):
    notebook = Notebook(page, own_copy)
    for name in SLIDER:
        notebook.run(name)
    notebook.wait(KNOBS, seconds=150)
    assert says(notebook, "16 channels in between: 21.43 times fewer", seconds=5)
    assert "break-even at 342" in notebook.followed(KNOBS)
    notebook.drag(KNOBS, by=40)
    assert moved(notebook, "16 channels")
    # A window of three rows.
    notebook.drag(KNOBS, by=-60, number=1)
    assert says(notebook, "a 3x3 window; break-even at 227", seconds=5)
    notebook.show(KNOBS)
    picture("widget-lesson-1")

    # As with ipywidgets, the page asks for the state of all that there is.
    notebook.menu("File", "Save Notebook")
    page.wait_for_timeout(1500)
    page.goto(f"http://127.0.0.1:{lab.port}/lab?token={lab.token()}")
    page.locator(".jp-Notebook-ExecutionIndicator").wait_for(timeout=60_000)
    notebook.cell(KNOBS).locator(".noUi-handle").first.wait_for(timeout=20_000)
    assert says(notebook, "a 3x3 window; break-even at 227", seconds=10)
    before = notebook.followed(KNOBS)
    notebook.drag(KNOBS, by=30)
    assert moved(notebook, before[:12])


def test_a_training_listens_to_its_knobs(root, page, picture):
    notebook = training(root, page)
    assert moves(notebook, "fit-1", times=1, seconds=120)
    notebook.drag("fit-1", by=-30)
    # What was turned is marked where it took effect.
    assert until(lambda: "lr x0." in unquote(notebook.pictures("fit-1")[-1]), seconds=60)

    notebook.press("fit-1", "pause")
    progress = notebook.cell("fit-1").locator(".jp-RenderedHTML table").first
    assert until(lambda: stands_still(progress), seconds=20)
    notebook.press("fit-1", "go on")
    still = progress.inner_text()
    assert until(lambda: progress.inner_text() != still, seconds=20)
    notebook.show("fit-1")
    picture("training-knobs")
    notebook.press("fit-1", "stop")
    assert "stopped" in notebook.wait("fit-1", seconds=20)
    words = notebook.output("fit-1")
    assert "While it trained: lr x0." in words and "paused" in words


def until(holds, seconds):
    """Whether this comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    return False


def stands_still(progress):
    before = progress.inner_text()
    time.sleep(1.5)
    return progress.inner_text() == before


def says(notebook, words, seconds):
    """Whether the picture that follows the knobs says this in time."""
    return until(lambda: words in notebook.followed(KNOBS), seconds)


def moved(notebook, words):
    """Whether it says so no longer, within a second."""
    return until(lambda: words not in notebook.followed(KNOBS), seconds=1)


def test_tab_shows_what_may_stand_there(root, page, picture):
    notebook = Notebook(page, root / "notebooks/hello.ipynb")
    name = code_cells(notebook)[0]["id"]
    notebook.cell(name).locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text("let words = vec![3, 1, 2]; words.ite")
    shown = page.locator(".jp-Completer-item")
    # JupyterLab drops an answer that takes a second, as the first may: a reader presses again.
    for _ in range(20):
        page.keyboard.press("Tab")
        with suppress(PatienceIsOver):
            shown.first.wait_for(timeout=1500)
            break
    picture("completion")
    assert {"iter", "iter_mut"} <= {text.splitlines()[1] for text in shown.all_inner_texts()}


def training(root, page):
    """Lesson 5 as its first training begins."""
    notebook = Notebook(page, root / "notebooks" / LESSON_5)
    for name in ("load", "device", "data", "ours", "fit-1"):
        notebook.run(name)
    notebook.wait("ours", seconds=120)
    return notebook


def done(output):
    """Whole epochs, and steps of the next, as a stopped fit says it."""
    *_, last = re.finditer(r"in epoch (\d+), after (\d+) of|after epoch (\d+)", output)
    epoch, steps, whole = (int(number or 0) for number in last.groups())
    return (whole or epoch - 1, steps)


def moves(notebook, cell, times, seconds, first=None):
    """Whether the last picture of a cell is replaced so many times."""
    seen = [first] if first else []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pictures = notebook.pictures(cell)
        if pictures and pictures[-1] not in seen:
            seen.append(pictures[-1])
            if len(seen) > times:
                return True
        time.sleep(0.2)
    return False
