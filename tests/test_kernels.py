"""Both kernels: what Jupyter is told about them, and notebooks run by them."""

import re
import struct
import subprocess
from xml.etree import ElementTree

import nbformat
import pytest
from conftest import KERNELS
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from running import running, without_colours

DISPLAY_NAMES = {"evcxr": "Rust (evcxr, upstream)", "googlenet": "Rust (GoogLeNet lab)"}


def stdout(cell):
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


@pytest.mark.parametrize("name", KERNELS)
def test_the_kernelspec_says_what_libtorch_needs(name, prefix, kernelspec):
    spec = kernelspec(name)
    assert spec["display_name"] == DISPLAY_NAMES[name]
    assert spec["language"] == "rust"
    assert spec["interrupt_mode"] == "message"
    assert spec["argv"][0].startswith(str(prefix / "bin"))
    assert "{connection_file}" in spec["argv"]
    libtorch = spec["env"]["LIBTORCH"]
    assert spec["env"]["LD_LIBRARY_PATH"] == f"{libtorch}/lib:${{LD_LIBRARY_PATH}}"


def test_the_lab_s_kernel_knows_the_library(root, kernelspec):
    spec = kernelspec("googlenet")
    told = dict(zip(spec["argv"][2::2], spec["argv"][3::2], strict=True))
    assert told == {
        "--connection-file": "{connection_file}",
        "--library": str(root / "googlenet-lib"),
    }


@pytest.mark.parametrize("name", KERNELS)
def test_each_kernel_has_a_logo_of_its_own(name, prefix):
    folder = prefix / "share/jupyter/kernels" / name
    for size in (32, 64):
        # Width and height follow the signature and the head of the first part.
        picture = (folder / f"logo-{size}x{size}.png").read_bytes()
        assert picture[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", picture[16:24]) == (size, size)
    drawing = ElementTree.parse(folder / "logo-svg.svg").getroot()
    assert drawing.tag.endswith("svg")
    others = {
        (prefix / "share/jupyter/kernels" / kernel / "logo-svg.svg").read_text()
        for kernel in KERNELS
    }
    assert len(others) == len(KERNELS)


@pytest.mark.parametrize("name", KERNELS)
def test_jupyter_finds_the_kernel_in_this_environment(name, prefix):
    assert KernelSpecManager().get_kernel_spec(name).resource_dir == str(
        prefix / "share/jupyter/kernels" / name
    )


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", KERNELS)
def test_hello_runs_with_nothing_exported(
    name, root, build_directory, nothing_exported, monkeypatch
):
    monkeypatch.setenv("EVCXR_TMPDIR", str(build_directory))
    # evcxr_jupyter would look for newer versions, and compile those.
    monkeypatch.setenv("CARGO_NET_OFFLINE", "true")
    # Threads of libtorch wait actively: where other tests run, they would crawl.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(root / "notebooks/hello.ipynb", as_version=4)
    nbformat.validate(notebook)
    resources = {"metadata": {"path": str(root / "notebooks")}}
    NotebookClient(notebook, kernel_name=name, timeout=900, resources=resources).execute()
    cells = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    assert stdout(cells["load"]) == ""
    assert stdout(cells["forward"]).startswith("[2, 10] on ")
    for name in ("knob", "fit"):
        assert any("image/svg+xml" in output.get("data", {}) for output in cells[name].outputs)
    assert stdout(cells["crate"]) == "3 letters\n"
    assert stdout(cells["error"]) == "91 %\n"


def test_hello_s_error_is_what_the_kernel_says(root, plain):
    notebook = nbformat.read(root / "notebooks/hello.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (told,) = re.findall(
        r"```text\n(.*?)\n```", "\n".join(cell.source for cell in notebook.cells), re.DOTALL
    )
    broken = code[-1].source.replace("// ", "")
    assert broken != code[-1].source
    with running(plain) as kernel:
        error = without_colours(kernel.run(broken, timeout=120).error["traceback"])
    # Run once more after all cells, as it asks the reader to.
    assert error.replace("cell 1:", f"cell {len(code) + 1}:").rstrip() == told


def test_upstreams_kernel_leaves_an_installation_of_the_persons_own_alone(
    tmp_path, nothing_exported, monkeypatch
):
    own = tmp_path / "data/jupyter/kernels/rust"
    own.mkdir(parents=True)
    (own / "version.txt").write_text("another version")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    manager, client = start_new_kernel(kernel_name="evcxr", startup_timeout=60)
    try:
        outputs = []
        reply = client.execute_interactive(
            'println!("ran");', timeout=120, output_hook=outputs.append
        )
        assert reply["content"]["status"] == "ok"
        assert [message["content"].get("text") for message in outputs].count("ran\n") == 1
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert [file.name for file in own.iterdir()] == ["version.txt"]
    assert (own / "version.txt").read_text() == "another version"


def test_the_kernels_command_line(kernelspec):
    kernel = kernelspec("googlenet")["argv"][0]
    for option in ("--help", "--version"):
        done = subprocess.run([kernel, option], capture_output=True, text=True, check=True)
        assert "rust-live" in done.stdout
    wrong = ["install", "--prefix", "/missing"]
    done = subprocess.run([kernel, *wrong], capture_output=True, text=True)
    assert done.returncode != 0
    assert "/missing" in done.stderr
