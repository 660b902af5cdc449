"""Both kernels, as Jupyter starts them, with nothing exported by hand."""

import os
import pathlib
import subprocess

import nbformat
import pytest
from conftest import ROOT
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

KERNELS = {"evcxr": "Rust (evcxr)", "googlenet": "Rust (GoogLeNet lab)"}
NOTEBOOK = ROOT / "notebooks" / "hello.ipynb"


@pytest.fixture(scope="module")
def build_folder(tmp_path_factory):
    """Where evcxr builds cells. The second kernel finds the crates that the first one compiled,
    which takes two minutes on two cores; the cells themselves are compiled by each kernel."""
    return tmp_path_factory.mktemp("evcxr")


@pytest.fixture
def clean(monkeypatch, bare_environment, build_folder):
    for name in set(os.environ) - set(bare_environment):
        monkeypatch.delenv(name)
    monkeypatch.setenv("EVCXR_TMPDIR", str(build_folder))


@pytest.mark.parametrize("name", KERNELS)
def test_kernelspec_says_how_to_start_it(name, kernelspec):
    spec = kernelspec(name)
    assert spec["display_name"] == KERNELS[name]
    assert spec["language"] == "rust"
    assert pathlib.Path(spec["argv"][0]).is_file()
    assert "{connection_file}" in spec["argv"]
    libtorch = pathlib.Path(spec["env"]["LIBTORCH"])
    assert (libtorch / "lib" / "libtorch.so").is_file()
    assert spec["env"]["LD_LIBRARY_PATH"].split(":")[0] == str(libtorch / "lib")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", KERNELS)
def test_two_cells_load_the_library_and_run_a_forward_pass(name, clean):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(
        notebook,
        km=KernelManager(kernel_name=name),
        timeout=500,
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    )
    client.execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) == 2
    printed = "".join(output.text for output in cells[1].outputs if output.get("name") == "stdout")
    assert "[2, 10]" in printed, cells[1].outputs


@pytest.mark.timeout(120)
def test_upstreams_kernel_leaves_a_persons_own_installation_alone(tmp_path, monkeypatch):
    """evcxr_jupyter renews the kernelspec it finds in the home directory when it starts; ours must
    not make another program's kernel theirs."""
    own = tmp_path / "jupyter" / "kernels" / "rust"
    own.mkdir(parents=True)
    (own / "version.txt").write_text("0.1.0")
    (own / "kernel.json").write_text("{}")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    manager = KernelManager(kernel_name="evcxr")
    manager.start_kernel()
    try:
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
    assert (own / "version.txt").read_text() == "0.1.0"
    assert (own / "kernel.json").read_text() == "{}"


def test_the_kernels_command_line(kernelspec):
    kernel = kernelspec("googlenet")["argv"][0]
    for option in ("--help", "--version"):
        done = subprocess.run([kernel, option], capture_output=True, text=True, check=True)
        assert "googlenet-kernel" in done.stdout
    wrong = ["install", "--prefix", "/missing", "--libtorch", "/missing"]
    done = subprocess.run([kernel, *wrong], capture_output=True, text=True)
    assert done.returncode != 0
    assert "/missing" in done.stderr
