"""`cargo xtask doctor`: the kernel's own doctor, and what the lab needs beyond it."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

TORCH = "2.11.0"


@pytest.fixture
def lab(tmp_path, target, put_kernel):
    """A repository and an environment of stand-ins, in order unless a test breaks one."""
    root = tmp_path / "lab"
    prefix = root / ".venv"
    root.mkdir()
    (root / "requirements.in").write_text(f"torch=={TORCH}\n")
    (root / "requirements.txt").write_text(f"torch=={TORCH}\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    (packages,) = prefix.glob("lib/python*/site-packages")
    fake = packages / "torch"
    (fake / "lib").mkdir(parents=True)
    # PyTorch itself loads the CUDA half when it is imported.
    (fake / "__init__.py").write_text(
        "import ctypes, pathlib\n"
        'ctypes.CDLL(pathlib.Path(__file__).with_name("lib") / "libtorch_cuda.so")\n'
    )
    (fake / "version.py").write_text(f"__version__ = '{TORCH}+cpu'\ncuda: Optional[str] = None\n")
    for name in ("libtorch.so", "libtorch_cpu.so"):
        (fake / "lib" / name).touch()
    information = packages / f"torch-{TORCH}.dist-info/METADATA"
    information.parent.mkdir()
    information.write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {TORCH}+cpu\n")
    kernel = put_kernel(prefix / "bin")

    class Lab:
        folder = fake

        def install(self, *options):
            install = [kernel, "install", "--prefix", prefix, "--name", "googlenet", *options]
            subprocess.run(install, check=True, timeout=60)

        def doctor(self):
            left_out = ("VIRTUAL_ENV", "CONDA_PREFIX")
            environment = {k: v for k, v in os.environ.items() if k not in left_out}
            done = subprocess.run(
                [target / "xtask", "doctor"],
                env={**environment, "CARGO_MANIFEST_DIR": str(root / "xtask")},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
            lines = done.stdout.splitlines()
            assert all(line.startswith(("ok ", "FAULT ")) for line in lines), done.stdout
            found = [line for line in lines if line.startswith("FAULT")]
            faults = {line.split()[1]: line.split(maxsplit=2)[2] for line in found}
            assert (done.returncode != 0) == bool(faults), done.stdout
            return faults, done.stdout

    Lab.kernel, Lab.prefix = kernel, prefix
    lab = Lab()
    lab.install("--env", f"LIBTORCH={fake}")
    return lab


def test_it_says_what_is_there(lab):
    faults, text = lab.doctor()
    assert faults == {}
    for said in ("rustc 1.", f"{TORCH}+cpu", "for the CPU alone", "none is known"):
        assert said in text
    assert text.count("cells run on the CPU") == 1


def test_it_has_a_remedy_for_libtorch(lab):
    (lab.folder / "lib/libtorch_cpu.so").unlink()
    faults, text = lab.doctor()
    assert list(faults) == ["libtorch"], text
    assert str(lab.folder) in faults["libtorch"] and "cargo xtask setup" in faults["libtorch"]
    lab.install()
    faults, text = lab.doctor()
    assert list(faults) == ["libtorch"], text
    assert "cargo xtask setup" in faults["libtorch"]


def test_it_says_where_the_cuda_half_of_libtorch_does_not_load(lab):
    (lab.folder / "lib/libtorch_cuda.so").write_text("no library")
    faults, text = lab.doctor()
    assert list(faults) == ["GPU"], text
    assert "does not load, so that cells run on the CPU" in faults["GPU"]
    assert str(lab.folder) in faults["GPU"]


def test_it_says_why_no_gpu_can_be_used(lab):
    (lab.folder / "lib/libtorch_cuda.so").touch()
    stand_in = (
        "class version:\n    cuda = '13.0'\n"
        "class cuda:\n    device_count = lambda: {count}\n"
        "    get_device_name = 'card {{}}'.format\n"
        "    def init():\n        if {reason!r}: raise RuntimeError({reason!r})\n"
    )

    def doctor(count, reason=""):
        (lab.folder / "__init__.py").write_text(stand_in.format(count=count, reason=reason))
        return lab.doctor()

    faults, text = doctor(2)
    assert faults == {} and "card 0, card 1" in text
    faults, text = doctor(0, "Found no NVIDIA driver on your system.\nMore words.")
    assert faults == {} and "none that the NVIDIA driver knows; cells run on the CPU" in text
    faults, text = doctor(1, "The NVIDIA driver on your system is too old")
    assert "driver on your system is too old" in faults["GPU"], text
    assert 'device::named("cuda")? says more' in faults["GPU"]


def test_a_fault_of_the_kernel_s_doctor_is_one(lab):
    (lab.prefix / "share/jupyter/kernels/googlenet/kernel.json").unlink()
    faults, text = lab.doctor()
    assert list(faults) == ["kernelspec", "libtorch"], text
    lab.kernel.unlink()
    faults, text = lab.doctor()
    assert list(faults) == ["kernel"] and "cargo xtask setup" in faults["kernel"], text
    shutil.rmtree(lab.prefix)
    faults, text = lab.doctor()
    assert list(faults) == ["environment"] and "cargo xtask setup" in faults["environment"], text


def test_it_names_what_cells_will_really_use(root, cargo, prepared, kernelspec):
    said = cargo("xtask", "doctor")
    assert kernelspec("googlenet")["env"]["LIBTORCH"] in said
    (gpu,) = (line for line in said.splitlines() if line.split()[1:2] == ["GPU"])
    assert ("cells run on the CPU" in gpu) == (not torch.cuda.is_available()), gpu
    assert f"{root / 'googlenet-lib'} is compiled" in said
    assert "rustc 1." in said
