"""The lessons: run under both kernels, compared with what is committed, their exercises answered.

A notebook runs in one session, which then serves for its exercises. It runs as without a network
and with the smaller budget that its second cell announces. Cells with the tag "machine" depend on
the machine and on that budget; every other output must come out again as it was committed. The two
kernels work side by side, one lesson each.
"""

import copy
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty

import nbformat
import pytest
from conftest import KERNELS, ROOT
from front_end import VIEW
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NAMES = [
    "01-bottleneck-arithmetic",
    "02-naive-and-reduced-inception",
    "03-gap-and-fc",
    "04-auxiliary-classifiers",
    "05-googlenet-on-cifar10",
    "06-your-own-experiment",
]
FOLDER = ROOT / "notebooks"
LARGEST = 1_500_000

# Terms that a lesson must explain where it first uses them: there the term stands in bold.
TERMS = {
    "01-bottleneck-arithmetic": [
        "feature map",
        "channel",
        "1x1 convolution",
        "multiply-add",
        "parameter",
        "padding",
        "bottleneck",
        "break-even width",
        "rank",
    ],
    "02-naive-and-reduced-inception": [
        "inception block",
        "branches",
        "concatenation",
        "max pooling",
        "reductions",
        "pool projection",
        "stem",
        "receptive field",
    ],
    "03-gap-and-fc": [
        "body",
        "head",
        "logits",
        "flatten",
        "fully connected layer",
        "global average pooling",
        "receptive field",
        "class activation map",
    ],
    "04-auxiliary-classifiers": [
        "gradient",
        "backpropagation",
        "vanishing gradient",
        "norm",
        "batch normalisation",
        "auxiliary classifier",
        "dropout",
        "logits",
        "cross-entropy",
        "softmax",
    ],
    "05-googlenet-on-cifar10": [
        "training set",
        "test set",
        "recipe",
        "epoch",
        "batch",
        "learning rate",
        "schedule",
        "momentum",
        "augmentation",
        "label smoothing",
        "weight decay",
        "one cycle",
        "checkpoint",
        "overfitting",
        "standard error",
        "confusion matrix",
        "Grad-CAM",
        "validation set",
    ],
    "06-your-own-experiment": [
        "baseline",
        "spec",
        "parameter",
        "multiply-add",
        "receptive field",
        "validation set",
        "pilot",
        "seed",
        "standard deviation",
        "standard error",
    ],
}


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def shown(outputs):
    """What a reader sees of outputs: the text of each stream, and each picture or table."""
    streams, contents = {}, []
    for output in outputs:
        if output.output_type == "stream":
            streams[output.name] = streams.get(output.name, "") + output.text
        else:
            content = {kind: str(value).strip() for kind, value in output.data.items()}
            # Their models end with the kernel: what is committed has their texts.
            content.pop(VIEW, None)
            if len(content) > 1:
                # It stands beside the picture or table, for front ends that show neither.
                content.pop("text/plain", None)
            contents.append(content)
    return streams, contents


def seen_in(cell, kernel):
    """What a reader sees of a cell's outputs under this kernel. evcxr_jupyter puts the texts of
    knobs with their picture."""
    streams, contents = shown(cell.outputs)
    if kernel == "evcxr" and "knobs" in tags(cell):
        return [content for content in contents if "text/plain" not in content]
    return streams, contents


def text(cell):
    """All text of a cell's outputs."""
    streams, contents = shown(cell.outputs)
    return "".join(streams.values()) + "".join(v for c in contents for v in c.values())


def verdict(cell):
    lines = shown(cell.outputs)[0].get("stdout", "").splitlines()
    return lines[0] if lines else ""


def exercises(notebook):
    """The exercises of a notebook: cell to fill in, check, wrong answers, solution."""
    cells = notebook.cells
    found = []
    for index, cell in enumerate(cells):
        if "exercise" not in tags(cell):
            continue
        check, solution = cells[index + 1], cells[index + 2]
        assert "check" in tags(check), f"no check follows {cell.id}"
        assert "solution" in tags(solution), f"no solution follows {check.id}"
        assert solution.source.startswith("<details><summary>Solution</summary>\n\n"), cell.id
        (rust,) = re.findall(r"```rust\n(.*?)\n```", solution.source, re.DOTALL)
        found.append((cell, check, check.metadata["wrong"], rust))
    return found


class Run:
    """A notebook that was run, and what its checks said."""

    def __init__(self, name, kernel):
        self.notebook = read(name)
        self.verdicts = {}
        self.seconds = 0.0
        began = time.monotonic()
        client = NotebookClient(
            self.notebook,
            kernel_name=kernel,
            timeout=600,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(FOLDER)}},
        )
        client.reset_execution_trackers()
        with client.setup_kernel():
            for index, cell in enumerate(self.notebook.cells):
                client.execute_cell(cell, index)
                if kernel == "evcxr":
                    late(client, cell, index)
            self.seconds = time.monotonic() - began
            self.executed = copy.deepcopy(self.notebook)
            if kernel == "googlenet":
                self.answer(client)

    def answer(self, client):
        places = {cell.id: place for place, cell in enumerate(self.notebook.cells)}

        def answered(cell, check, source):
            try:
                # nbclient puts what it runs into its notebook.
                for place, code in [(places[cell.id], source), (places[check.id], check.source)]:
                    tried = nbformat.v4.new_code_cell(code)
                    client.execute_cell(tried, place)
                return verdict(tried)
            except CellExecutionError as error:
                return f"error: {error.evalue}"

        for cell, check, wrong, solution in exercises(self.notebook):
            self.verdicts[cell.id] = {
                "untouched": verdict(check),
                "wrong": {source: answered(cell, check, source) for source in wrong},
                "solution": answered(cell, check, solution),
            }


def late(client, cell, index):
    """Takes what evcxr_jupyter sends when a cell has ended: nbclient no longer listens then."""
    with suppress(Empty):
        while True:
            message = run_sync(client.kc.get_iopub_msg)(timeout=0.2)
            client.process_message(message, cell, index)


def wanted(request):
    """The lessons and kernels that the selected tests ask for, in the order of the tests."""
    items = (item for item in request.session.items if item.module is request.module)
    asked = (item.callspec.params for item in items if "run" in item.fixturenames)
    return dict.fromkeys((params["name"], params.get("kernel", "googlenet")) for params in asked)


@pytest.fixture(scope="module")
def run(request, build_directory, own_state, tmp_path_factory):
    """Gives the run of a notebook under a kernel, or raises what came of it."""
    with pytest.MonkeyPatch.context() as patch:
        # Threads of libtorch wait actively: two trainings with two threads each would crawl.
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("EVCXR_TMPDIR", str(build_directory))
        patch.setenv("GOOGLENET_LESSON_BUDGET", "test")
        patch.setenv("GOOGLENET_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("CIFAR10_DIR", raising=False)
        # As without a network: cargo has what it needs, and nobody listens at these addresses.
        patch.setenv("CARGO_NET_OFFLINE", "true")
        for variable in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
            patch.setenv(variable, "http://127.0.0.1:9")
            patch.setenv(variable.lower(), "http://127.0.0.1:9")
        for variable in ("NO_PROXY", "no_proxy"):
            patch.delenv(variable, raising=False)

        workers = {kernel: ThreadPoolExecutor(max_workers=1) for kernel in KERNELS}
        runs = {
            (name, kernel): workers[kernel].submit(Run, name, kernel)
            for name, kernel in wanted(request)
        }
        yield lambda name, kernel: runs[name, kernel].result()
        for worker in workers.values():
            worker.shutdown(cancel_futures=True)


def test_the_lessons_are_these():
    assert sorted(path.stem for path in FOLDER.glob("[0-9]*.ipynb")) == NAMES


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_runs_and_gives_what_is_committed(name, kernel, run):
    committed = read(name)
    done = run(name, kernel)
    print(f"{name} under {kernel}: {done.seconds:.0f} s")
    for cell, new in zip(committed.cells, done.executed.cells, strict=True):
        if cell.cell_type != "code":
            continue
        if "machine" not in tags(cell):
            assert seen_in(new, kernel) == seen_in(cell, kernel), f"cell {cell.id}"
        elif kernel == "googlenet":
            # Another machine gives other numbers, but pictures and tables all the same.
            kinds = [[sorted(c) for c in shown(o)[1]] for o in (new.outputs, cell.outputs)]
            assert kinds[0] == kinds[1], f"cell {cell.id}"
    (device,) = (cell for cell in done.executed.cells if cell.id == "device")
    uses_budget = "GOOGLENET_LESSON_BUDGET" in device.source
    assert ("GOOGLENET_LESSON_BUDGET" in text(device)) == uses_budget
    if "cifar10_or_shapes10" in "".join(cell.source for cell in code_cells(committed)):
        shapes = [cell for cell in code_cells(done.executed) if "Shapes10" in text(cell)]
        pictures = [c for cell in shapes for c in shown(cell.outputs)[1] if "image/svg+xml" in c]
        assert any("Shapes10" in picture["image/svg+xml"] for picture in pictures)
        assert any("In its place: Shapes10" in text(cell) for cell in shapes)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", NAMES)
def test_the_checks_know_right_from_wrong(name, run):
    verdicts = run(name, "googlenet").verdicts
    assert len(verdicts) >= 3
    for exercise, said in verdicts.items():
        assert said["untouched"].startswith("Not answered"), exercise
        assert said["solution"].startswith("Right"), f"{exercise}: {said['solution']}"
        assert "because" in said["solution"], f"{exercise}: {said['solution']}"
        assert len(said["wrong"]) >= 2, exercise
        for source, answer in said["wrong"].items():
            assert answer.startswith("Not yet"), f"{exercise}, {source}: {answer}"


@pytest.mark.parametrize("name", [*NAMES, "hello"])
def test_a_notebook_is_valid_and_small(name):
    path = FOLDER / f"{name}.ipynb"
    notebook = read(name)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert path.stat().st_size < LARGEST
    assert notebook.metadata.kernelspec == {
        "display_name": "Rust (GoogLeNet lab)",
        "language": "rust",
        "name": "googlenet",
    }
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z][a-z0-9-]*", cell.id), cell.id
        assert set(cell.metadata) <= {"tags", "wrong"}, cell.id


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_is_committed_as_run_from_top_to_bottom(name):
    cells = code_cells(read(name))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert all(output.output_type != "error" for output in cell.outputs), cell.id
    for _, check, _, _ in exercises(read(name)):
        assert verdict(check).startswith("Not answered"), check.id


@pytest.mark.parametrize("name", NAMES)
def test_outputs_name_no_path_and_no_machine(name):
    absolute = re.compile(r"(?<![\w.:/<])/(?:home|root|tmp|work|Users|usr|var|opt|mnt|srv)/")
    private = [str(ROOT), str(Path.home()), socket.gethostname()]
    for cell in code_cells(read(name)):
        seen = text(cell)
        assert not absolute.search(seen), f"cell {cell.id}"
        assert not any(len(word) > 5 and word in seen for word in private), f"cell {cell.id}"


def links(source):
    without_code = re.sub(r"```.*?```|`[^`\n]*`", "code", source, flags=re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", without_code)
    return found + re.findall(r"(?:src|href)=\"([^\"]+)\"", without_code)


def texts():
    """All text for readers: (file, text)."""
    for path in sorted([*FOLDER.glob("*.ipynb"), *FOLDER.glob("ko/*.ipynb")]):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                yield path, cell.source
    indexes = [FOLDER / "README.md", FOLDER / "ko/README.md"]
    for path in [*indexes, ROOT / "README.md", ROOT / "docs/architecture.md"]:
        yield path, path.read_text(encoding="utf-8")


def test_no_link_within_the_repository_is_broken():
    seen = 0
    for path, source in texts():
        for link in links(source):
            if re.match(r"[a-z]+:", link) or link.startswith("#"):
                continue
            seen += 1
            assert (path.parent / link.split("#")[0]).exists(), f"{path.name}: {link}"
    assert seen > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_leads_to_the_next_and_to_the_library(name):
    found = [
        link
        for cell in read(name).cells
        if cell.cell_type == "markdown"
        for link in links(cell.source)
    ]
    following = NAMES[NAMES.index(name) + 1 :][:1]
    assert all(f"{lesson}.ipynb" in found for lesson in following)
    assert "README.md" in found
    assert "../docs/architecture.md" in found
    assert any(link.startswith("../googlenet-lib/src/") for link in found)


@pytest.mark.parametrize("name", NAMES)
def test_terms_are_explained_where_they_are_first_used(name):
    notebook = read(name)
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    # The question at the top and headings may name what is to come.
    begin = prose.index("\n## ")
    question, body = prose[:begin], re.sub(r"^#+ .*$", "", prose[begin:], flags=re.MULTILINE)
    for term in TERMS[name]:
        bold = re.compile(rf"\*\*{re.escape(term)}s?\*\*", re.IGNORECASE)
        plain = re.compile(rf"\b{re.escape(term)}", re.IGNORECASE)
        assert bold.search(prose), f"'{term}' is explained nowhere"
        if bold.search(question):
            continue
        first = plain.search(body)
        explained = bold.search(body)
        # The bold term may stand in the same paragraph, after a first mention.
        paragraph_end = body.find("\n\n", first.start())
        assert explained.start() <= max(paragraph_end, first.start() + 2), term


def test_lesson_5_quotes_what_was_measured():
    """Its figures from other machines stand in the results that it links to."""
    prose = "\n".join(c.source for c in read(NAMES[4]).cells if c.cell_type == "markdown")
    results = {
        "gpu.md": [
            "54 epochs",
            "91.99 %",
            "99.88 %",
            "88.94 %",
            "93.49 %",
            "91.48 %",
            "461 s",
            "17.5 s",
            "35.7 s",
            "a quarter of an hour",
        ],
        "training-cpu.md": ["2.303", "150 steps"],
    }
    for name, figures in results.items():
        measured = (ROOT / "docs/results" / name).read_text(encoding="utf-8")
        assert f"(../docs/results/{name})" in prose
        for figure in figures:
            assert figure in measured, f"{name}: {figure}"
            assert figure in prose, figure


def test_the_comparison_with_others_quotes_the_lessons():
    """docs/lessons.md: what stands behind the id of a cell is in that cell or in what it shows."""
    cells = [{cell.id: str(cell) for cell in read(name).cells} for name in NAMES]
    number = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?!\w)")
    _, *sections = (ROOT / "docs/lessons.md").read_text("utf-8").split("\n## ")
    quoted = []
    for lesson, section in zip(cells, sections[: len(NAMES)], strict=True):
        for name, words in re.findall(r"`([\w-]+)`: ([^;|]*)", section):
            quoted.append((name, words, lesson[name]))
    for row in sections[-1].splitlines():
        _, where, words, *_ = [*row.split("|")[1:], "", "", ""]
        places = re.findall(r"(\d), ((?:`[\w-]+`(?:, )?)+)", where)
        named = [(int(n) - 1, name) for n, ids in places for name in re.findall(r"`(.+?)`", ids)]
        if named:
            quoted.append((where, words, "".join(cells[lesson][name] for lesson, name in named)))
    figures = 0
    for where, words, there in quoted:
        for figure in number.findall(words):
            figures += 1
            assert figure in there or figure.replace(",", "") in there, f"{where}: {figure}"
    assert figures > 40
