"""`cargo xtask wheel`: the kernel as pip installs it, where there is nothing of the lab.

The wheels here hold the program that set-up has built. How they are packed does not depend on that.
"""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
import test_setup
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

# A repository with a package index of its own, in which a whole setup takes seconds.
index, lab, lab_with_index = test_setup.index, test_setup.lab, test_setup.lab_with_index
succeed = test_setup.succeed


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(cargo, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheels")
    said = cargo("xtask", "wheel", "--profile", "dev", "--out", str(out))
    # What set-up has compiled is compiled once.
    assert "Compiling serde" not in said, said
    (file,) = out.iterdir()
    return file


def program(wheel):
    """The name of the program in the wheel, and its bytes."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/scripts/rust-live")]
        return name, archive.read(name)


def environment_with(wheel, folder):
    """Makes an environment with pip, the wheel, and nothing else."""
    run(sys.executable, "-m", "venv", folder)
    run(folder / "bin/python", "-m", "pip", "install", "--no-index", wheel)
    return folder


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    return environment_with(wheel, tmp_path_factory.mktemp("made") / "environment")


def installed(environment):
    """The packages of an environment, by name."""
    (packages,) = environment.glob("lib/python*/site-packages")
    found = importlib.metadata.distributions(path=[str(packages)])
    return {package.metadata["Name"]: package for package in found}


def test_pip_installs_it_alone_and_leaves_nothing_of_it(wheel, root, tmp_path):
    environment = environment_with(wheel, tmp_path / "environment")
    package = installed(environment)["rust-live"]
    cargo = (root / "Cargo.toml").read_text()
    version, licence = (
        re.search(rf'^{name} = "(.+)"$', cargo, re.MULTILINE)[1] for name in ("version", "license")
    )
    assert package.version == version
    assert not package.requires
    assert package.metadata["License-Expression"] == licence
    assert package.metadata["Summary"].startswith("A Jupyter kernel for Rust")
    texts = [file.name for file in package.files if "licenses" in file.parts]
    assert sorted(texts) == ["LICENSE-APACHE", "LICENSE-MIT"]
    assert re.search(r"-py3-none-(many)?(linux|macosx)_\w+\.whl$", wheel.name)
    assert run(environment / "bin/rust-live", "--version") == f"rust-live {version}\n"
    run(environment / "bin/python", "-m", "pip", "uninstall", "--yes", "rust-live")
    assert not [file for file in environment.rglob("*") if "rust" in file.name and file.is_file()]
    assert not [file for file in environment.glob("share/**/*") if file.is_file()]


def test_its_kernelspec_is_what_install_writes_but_for_the_place(environment, tmp_path):
    (tmp_path / "other").mkdir()
    run(environment / "bin/rust-live", "install", "--prefix", tmp_path / "other")
    ours, theirs = (
        folder / "share/jupyter/kernels/rust" for folder in (environment, tmp_path / "other")
    )
    names = sorted(file.name for file in ours.iterdir())
    assert names == sorted(file.name for file in theirs.iterdir())
    for name in set(names) - {"kernel.json"}:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    ours, theirs = (json.loads((folder / "kernel.json").read_text()) for folder in (ours, theirs))
    assert ours["argv"].pop(0) == "{resource_dir}/../../../../bin/rust-live"
    assert theirs["argv"].pop(0) == str(environment / "bin/rust-live")
    assert ours == theirs


@pytest.mark.timeout(300)
def test_a_notebook_runs_on_it_though_the_environment_is_not_active(
    environment, own_state, tmp_path, monkeypatch
):
    """By the nbclient of this environment, whose Jupyter looks into the other one too."""
    monkeypatch.setenv("JUPYTER_PATH", str(environment / "share/jupyter"))
    # Nothing was compiled before.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    spec = KernelSpecManager().get_kernel_spec("rust")
    assert (spec.display_name, spec.language) == ("Rust", "rust")
    cells = ["let n = 20;", "(n + 1, std::env::current_exe().unwrap())", 'n + "1"']
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    where = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(
        notebook, kernel_name="rust", timeout=120, allow_errors=True, resources=where
    )
    client.execute()
    first, second, third = (cell.outputs for cell in notebook.cells)
    assert first == []
    (result,) = second
    assert result["data"]["text/plain"] == f'(21, "{environment / "bin/rust-live"}")'
    (error,) = third
    assert error["output_type"] == "error"
    assert "E0277" in error["ename"] + error["evalue"] + "".join(error["traceback"])


def test_its_doctor_says_what_is_missing_and_how_to_get_it(environment, tmp_path):
    bare = {"PATH": str(tmp_path / "nothing"), "HOME": str(tmp_path)}
    doctor = [environment / "bin/rust-live", "doctor"]
    done = subprocess.run(doctor, env=bare, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    kinds = {line.split()[1]: line for line in done.stdout.splitlines()}
    faults = {about for about, line in kinds.items() if line.startswith("FAULT")}
    assert faults == {"rustc", "cargo", "linker"}
    assert "https://rustup.rs" in kinds["rustc"] and "https://rustup.rs" in kinds["cargo"]
    assert "apt install g++" in kinds["linker"]
    kernelspec = environment / "share/jupyter/kernels/rust/kernel.json"
    assert str(kernelspec) in kinds["kernelspec"]
    # With a toolchain, nothing is missing: no library, no PyTorch.
    assert "FAULT" not in run(*doctor)


# In the place of a kernel that set-up builds


@pytest.fixture
def with_program(wheel, tmp_path):
    """Makes the wheel again, around another program."""

    def write(content):
        name, _ = program(wheel)
        other = tmp_path / wheel.name
        with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(other, "w") as new:
            for file in old.namelist():
                new.writestr(file, content if file == name else old.read(file))
        return other

    return write


def test_set_up_takes_the_kernel_of_a_wheel_and_builds_upstream_s_beside(
    lab_with_index, wheel, with_program
):
    lab = lab_with_index
    calls = lab.root / "calls"
    (lab.root / "cargo").write_text(f'#!/bin/sh\necho "$@" >>{calls}\n')
    # The same, and yet not what lies in the folder of what was built.
    ours = program(wheel)[1] + b"of the wheel"
    said = succeed(lab.setup("--kernel-wheel", with_program(ours)))
    assert f"JupyterLab can be opened, from {lab.prefix}" in said
    # What goes on beside has ended with what it may still say.
    assert f"The lab is set up in {lab.prefix}" in (lab.root / "target/setup.log").read_text()
    assert set(calls.read_text().splitlines()) == {"build --workspace --bin evcxr_jupyter"}
    assert (lab.prefix / "bin/rust-live").read_bytes() == ours
    for name in ("rust-live", "rust-live-analysis"):
        assert os.access(lab.prefix / "bin" / name, os.X_OK)
    assert (lab.prefix / "bin/evcxr_jupyter").is_file()
    kernels = [file.parent.name for file in lab.prefix.glob("share/jupyter/kernels/*/kernel.json")]
    assert sorted(kernels) == ["evcxr", "googlenet"]


def test_a_wheel_that_does_not_serve_is_named_with_the_remedy(lab_with_index, with_program, wheel):
    lab = lab_with_index
    other = wheel.name.replace("-0.", "-9.")
    shutil.copy(wheel, lab.root / other)
    for file, fault in ((other, "holds rust-live 9."), ("none.whl", "there is no file")):
        done = lab.setup("--kernel-wheel", lab.root / file)
        assert done.returncode == 1 and fault in done.stdout, done.stdout
        assert str(lab.root / file) in done.stdout and "leave --kernel-wheel out" in done.stdout
        assert not lab.prefix.exists(), "it is told before anything is changed"
    broken = with_program(b"#!/bin/sh\necho GLIBC_2.99 is not here >&2\nexit 1\n")
    done = lab.setup("--kernel-wheel", broken)
    assert done.returncode == 1
    assert f"{broken} holds a program that does not run here (GLIBC_2.99 is" in done.stdout
    broken.write_bytes(wheel.read_bytes()[:-1000])
    done = lab.setup("--kernel-wheel", broken)
    assert done.returncode == 1
    assert (
        f"{broken} does not hold rust-live and rust-live-analysis, or not all of them: copy it"
        in done.stdout
    )
    assert not (lab.prefix / "bin/rust-live").exists()
