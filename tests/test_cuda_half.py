"""libtorch's CUDA half in cells. It needs PyTorch's build with CUDA, and no GPU.

libtorch looks for its CUDA half once in the life of a process. Where that was too early, no GPU is
ever seen, and libtorch cannot say which CUDA it was built for.
"""

from contextlib import contextmanager

import pytest
import torch
from conftest import KERNELS, ROOT
from running import running
from without_cuda import kernel_without_cuda

LOAD = (
    f':dep googlenet-lib = {{ path = "{ROOT / "googlenet-lib"}" }}\nuse googlenet_lib::prelude::*;'
)
VERSION = "googlenet_lib::tch::utils::version_cudart()"
# Each may make libtorch look for its CUDA half. None keeps a variable: its type would be asked for.
BEFORE = {
    "nothing": None,
    "best_device": "best_device();",
    "manual_seed": "manual_seed(1);",
    "a training step": """{
        let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
        let images = Tensor::randn([4, 3, 32, 32], (Kind::Float, Device::Cpu));
        let labels = Tensor::from_slice(&[0i64, 1, 2, 3]);
        net.outputs(&images)?.loss(&labels, 0.0)?.backward();
    }""",
}
LIBRARIES = """{
    println!("{}", Tensor::from_slice(&[1i64, 2]).numel());
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for word in ["libtorch_cuda.so", "libnvrtc-builtins.so.", "libnvrtc.so."] {
        println!("{word} {}", maps.contains(word));
    }
}"""

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(torch.version.cuda is None, reason="PyTorch is the build for the CPU alone"),
]


@pytest.fixture
def expected():
    major, minor = torch.version.cuda.split(".")
    return str(1000 * int(major) + 10 * int(minor))


@pytest.fixture
def start(build_directory, own_state):
    """Starts a kernel; upstream's in a directory in which the library was compiled."""

    @contextmanager
    def begin(name):
        ours = name != "evcxr"
        with running(name, env=None if ours else {"EVCXR_TMPDIR": str(build_directory)}) as kernel:
            yield kernel

    return begin


def ask(kernel, code):
    cell = kernel.run(code, timeout=800)
    assert cell.status == "ok" and not cell.of("error"), (
        f"{code}: {cell.reply} {cell.text('stderr')}"
    )
    return cell


@pytest.mark.parametrize("name", KERNELS)
def test_libtorch_knows_its_cuda_whatever_was_asked_before(name, start, expected):
    with start(name) as kernel:
        for before, code in BEFORE.items():
            cell = ask(kernel, LOAD)
            # Without a GPU, nothing is said about it.
            assert cell.text("stderr") == "", before
            if code:
                ask(kernel, code)
            assert ask(kernel, VERSION).result == expected, before
            # The process of the cells is another after it.
            ask(kernel, ":clear")


@pytest.mark.parametrize("name", KERNELS)
def test_what_compiles_at_run_time_finds_its_builtins(name, start):
    with start(name) as kernel:
        ask(kernel, LOAD)
        lines = ask(kernel, LIBRARIES).text().splitlines()
        assert lines == [
            "2",
            "libtorch_cuda.so true",
            "libnvrtc-builtins.so. true",
            "libnvrtc.so. true",
        ]


def test_a_process_of_cells_that_was_replaced_knows_it_too(start, expected):
    with start("googlenet") as kernel:
        ask(kernel, LOAD)
        kernel.cells().kill()
        assert kernel.run("1").error["ename"] == "process ended"
        ask(kernel, "manual_seed(1);")
        assert ask(kernel, VERSION).result == expected


@pytest.fixture
def without_cuda(prefix, tmp_path, monkeypatch):
    """The name of a kernel whose cells find a libtorch without its CUDA half."""
    name, path = kernel_without_cuda(prefix, tmp_path)
    monkeypatch.setenv("JUPYTER_PATH", path)
    return name


def test_a_libtorch_without_a_cuda_half_runs_as_ever(without_cuda, own_state):
    with running(without_cuda) as kernel:
        assert ask(kernel, "use googlenet_lib::prelude::*;").text("stderr") == ""
        cell = ask(kernel, "best_device()")
        assert cell.result == "Cpu" and cell.text("stderr") == ""
        cell = kernel.run('googlenet_lib::device::named("cuda")?')
        assert "this libtorch is PyTorch's build for the CPU alone" in cell.error["evalue"]


def test_a_device_that_is_not_there_is_an_error_that_says_why(own_state):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    for name, said in [
        ("cuda", "GOOGLENET_DEVICE is cuda: there is no NVIDIA driver"),
        ("gpu", "GOOGLENET_DEVICE is gpu: give cpu, cuda, cuda:N"),
    ]:
        with running("googlenet", env={"GOOGLENET_DEVICE": name}) as kernel:
            ask(kernel, LOAD)
            for code in ("try_best_device()?", "best_device()"):
                cell = kernel.run(code)
                assert cell.status == "error" and said in cell.error["evalue"], cell.error
                assert "googlenet-lib/src" not in "".join(cell.error["traceback"])
            # It is another question where a device was named by hand.
            assert ask(kernel, 'googlenet_lib::device::named("cpu")?').result == "Cpu"
