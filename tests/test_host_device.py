"""The lessons' cells on a device that is not the CPU.

The device is the tests' own (crates/host-device): it computes on the host, and to libtorch it is
another one, as a GPU is. A tensor that a cell has left on the CPU ends that cell here, too.
"""

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient
from test_notebooks import FOLDER, NAMES, read

TIMEOUT = 600

# Before the first cell of a lesson: from then on the lab's best device is this one.
BEFORE = [
    f':dep host-device = {{ path = "{ROOT / "crates/host-device"}" }}',
    "fn best_device() -> googlenet_lib::tch::Device { host_device::register() }",
]
AFTER = 'println!("{}", host_device::take_operations().values().sum::<usize>());'


@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("own_state")
@pytest.mark.parametrize("name", [*NAMES, "hello"])
def test_cells_of_a_lesson_run_on_a_device_that_is_not_the_cpu(name, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLENET_LESSON_BUDGET", "test")
    monkeypatch.setenv("GOOGLENET_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("CARGO_NET_OFFLINE", "true")
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    notebook = read(name)
    notebook.cells[:0] = [nbformat.v4.new_code_cell(code) for code in BEFORE]
    notebook.cells.append(nbformat.v4.new_code_cell(AFTER))
    client = NotebookClient(
        notebook,
        kernel_name="googlenet",
        timeout=TIMEOUT,
        record_timing=False,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    (operations,) = notebook.cells[-1].outputs
    assert int(operations.text) > 100, f"{operations.text} operations ran on the device"
