"""JupyterLab in a browser, as a reader sees and uses it."""

import json
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DONE = re.compile(r"^\[\d+\]:")
SIZE = {"width": 1280, "height": 960}

# The cells of lesson 1 that its slider needs, and the slider's.
SLIDER = ("load", "predict-macs", "counted", "times-fewer", "break-even-line", "break-even-knobs")

# A quiet JupyterLab: committed notebooks are not saved over, no news, and every cell in the page,
# also where it is scrolled out of sight.
SETTINGS = {
    "docmanager-extension/plugin": {"autosave": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def chromium():
    """The program: one on the PATH, or Playwright's own; None where there is neither."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).is_file() else None


def write_settings(folder, theme):
    settings = SETTINGS | {"apputils-extension/themes": {"theme": theme}}
    for name, values in settings.items():
        file = folder / f"@jupyterlab/{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))


@contextmanager
def window(program, lab):
    """A window on JupyterLab, with its file browser."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        page = browser.new_page(viewport=SIZE)
        # Without `reset`, notebooks that an earlier window left open would be opened again.
        page.goto(f"http://127.0.0.1:{lab.port}/lab?reset&token={lab.token()}")
        page.locator(".jp-DirListing-item").first.wait_for(timeout=60_000)
        try:
            yield page
        finally:
            browser.close()


class Notebook:
    """A notebook that was opened from the file browser."""

    def __init__(self, page, file):
        self.page = page
        self.content = json.loads(file.read_text())["cells"]
        self.ids = [cell["id"] for cell in self.content]
        page.locator(".jp-DirListing-item", has_text=file.name).dblclick()
        self.cells = page.locator(".jp-Notebook .jp-Cell")
        expect(self.cells).to_have_count(len(self.ids), timeout=30_000)
        page.locator(".jp-Notebook-ExecutionIndicator").wait_for()
        # What is seen later comes from this run, not from the file.
        self.menu("Edit", "Clear Outputs of All Cells")
        expect(page.locator(".jp-OutputArea-output")).to_have_count(0)

    def cell(self, name):
        return self.cells.nth(self.ids.index(name))

    def menu(self, *entries):
        first, *rest = entries
        self.page.get_by_role("menuitem", name=first, exact=True).first.click()
        for entry in rest:
            label = self.page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True)
            label.last.click()

    def button(self, command):
        self.page.locator(f'.jp-NotebookPanel-toolbar [data-command="notebook:{command}"]').click()

    def run(self, name):
        self.cell(name).locator(".jp-InputPrompt").first.click()
        self.button("run-cell-and-select-next")

    def wait(self, name, seconds):
        """Waits until a cell is done; gives its output."""
        prompt = self.cell(name).locator(".jp-InputArea-prompt")
        expect(prompt).to_have_text(DONE, timeout=1000 * seconds)
        return self.output(name)

    def is_running(self, name):
        return self.cell(name).locator(".jp-InputArea-prompt").inner_text() == "[*]:"

    def show(self, name):
        """Scrolls a cell to the top of the window."""
        self.cell(name).evaluate("cell => cell.scrollIntoView({ block: 'start' })")

    def output(self, name):
        return self.cell(name).locator(".jp-OutputArea").inner_text()

    def pictures(self, name):
        """The addresses of a cell's pictures: SVG documents in themselves."""
        images = self.cell(name).locator(".jp-RenderedSVG img")
        return [image.get_attribute("src") for image in images.all()]

    def drag(self, name, by, number=0):
        """Drags the handle of a slider so many pixels to the right, in steps as a hand does."""
        handle = self.cell(name).locator(".noUi-handle").nth(number)
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + by, y, steps=10)
        self.page.mouse.up()

    def press(self, name, label):
        """Presses a button that a cell shows."""
        self.cell(name).locator(".jp-OutputArea").get_by_role("button", name=label).click()

    def followed(self, name):
        """What the picture says that follows a cell's knobs."""
        return self.cell(name).locator(".widget-html-content svg").last.text_content()

    def errors(self, name):
        """What stands on red in a cell's output: standard error, and errors."""
        red = '[data-mime-type="application/vnd.jupyter.stderr"]'
        return self.cell(name).locator(red).all_inner_texts()

    def theme(self, name):
        self.menu("Settings", "Theme", name)
        light = "false" if "Dark" in name else "true"
        self.page.locator(f'body[data-jp-theme-light="{light}"]').wait_for(state="attached")
        # While a theme is loaded, JupyterLab's own sign lies over the page.
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")
