"""Both kernels: what Jupyter is told about them, and notebooks run by them."""

import subprocess

import nbformat
import pytest
from conftest import KERNELS
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

DISPLAY_NAMES = {"evcxr": "Rust (evcxr)", "googlenet": "Rust (GoogLeNet lab)"}


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
    notebook = nbformat.read(root / "notebooks/hello.ipynb", as_version=4)
    nbformat.validate(notebook)
    resources = {"metadata": {"path": str(root / "notebooks")}}
    NotebookClient(notebook, kernel_name=name, timeout=900, resources=resources).execute()
    loading, forward = (cell for cell in notebook.cells if cell.cell_type == "code")
    assert stdout(loading) == ""
    assert stdout(forward).startswith("[2, 10] on ")


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
