"""How soon a picture follows its knob: for messages, and in JupyterLab."""

import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from browser import SLIDER, Notebook, chromium, window, write_settings  # noqa: E402
from front_end import FrontEnd  # noqa: E402
from lab import running_lab  # noqa: E402

CHANGES = 100
LESSON = ROOT / "notebooks" / "01-bottleneck-arithmetic.ipynb"

# Remembers when the mouse moved last, and how long after it the picture was another.
WATCH = """cell => {
    window.moved = 0;
    window.took = [];
    document.addEventListener('pointermove', () => { window.moved = performance.now(); }, true);
    const seen = () => {
        // When it is painted.
        const moved = window.moved;
        requestAnimationFrame(() => setTimeout(() => window.took.push(performance.now() - moved)));
    };
    new MutationObserver(seen).observe(
        cell.querySelector('.jp-OutputArea'), { childList: true, subtree: true },
    );
}"""


def sources(notebook):
    """The source of each code cell, by its id."""
    return {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"]}


def in_messages(kernel, cells):
    """Seconds from each change of lesson 1's slider to the message with its picture."""
    page = FrontEnd(kernel)
    for name in SLIDER:
        page.run(cells[name], timeout=600)
    slider = page.find(description="channels in between")
    took = []
    for width in range(20, 20 + CHANGES):
        began = time.perf_counter()
        page.set(slider, value=width)
        words = f"{width} channels in between"
        page.until(lambda m, words=words: words in str(m["content"].get("data")))
        took.append(time.perf_counter() - began)
        page.quiet(0.05)
    return took


def in_jupyterlab():
    """Seconds from each move of the mouse to the painted picture; none without a browser."""
    program = chromium()
    if not program:
        return []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_settings(folder / "settings", theme="JupyterLab Light")
        with running_lab(ROOT, folder) as lab, window(program, lab) as page:
            notebook = Notebook(page, LESSON)
            for name in SLIDER:
                notebook.run(name)
            notebook.wait(SLIDER[-1], seconds=300)
            knobs = notebook.cell(SLIDER[-1])
            knobs.locator(".noUi-handle").first.scroll_into_view_if_needed()
            page.wait_for_timeout(1000)
            knobs.evaluate(WATCH)
            box = knobs.locator(".noUi-handle").first.bounding_box()
            x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            page.mouse.move(x, y)
            page.mouse.down()
            for step in range(1, CHANGES // 2):
                page.mouse.move(x + 2 * step, y)
                # Each change by itself.
                page.wait_for_timeout(200)
            page.mouse.up()
            return [milliseconds / 1000 for milliseconds in page.evaluate("window.took")]


def row(what, took):
    if not took:
        return f"| {what} | no browser | |"
    middle, slowest = (1000 * value for value in (statistics.median(took), max(took)))
    return f"| {what} | {middle:.0f} ms | {slowest:.0f} ms |"


def lines(kernel, notebook):
    """The rows of the report."""
    return [
        f"Lesson 1's slider and its chart; medians, and the slowest, of {CHANGES} and "
        f"{CHANGES // 2 - 1} changes:",
        "",
        "| from a change to the picture | median | slowest |",
        "| --- | ---: | ---: |",
        row("as messages: from the front end's to the kernel's", in_messages(kernel, notebook)),
        row("in JupyterLab: from the mouse to the page, painted", in_jupyterlab()),
    ]
