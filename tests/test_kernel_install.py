"""The kernel's command line: install, uninstall, doctor, prepare, store, export."""

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from running import running


@pytest.fixture(scope="module")
def copy(rust_live, tmp_path_factory):
    """The program in a folder that is no environment, so that it finds no installed kernel."""
    return Path(shutil.copy2(rust_live, tmp_path_factory.mktemp("copy")))


@pytest.fixture
def call(rust_live, tmp_path):
    """Runs the program as a person with an empty home would."""

    def run(*arguments, program=rust_live, **variables):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path / "home"),
            # rustup keeps the compilers below the home directory.
            "RUSTUP_HOME": os.environ.get("RUSTUP_HOME") or str(Path.home() / ".rustup"),
            **variables,
        }
        (tmp_path / "home").mkdir(exist_ok=True)
        return subprocess.run(
            [program, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.mark.parametrize("kind", ["user", "prefix", "sys-prefix", "default"])
def test_it_is_installed_where_it_is_told_and_uninstalled_again(call, tmp_path, kind):
    environment = tmp_path / "environment"
    environment.mkdir()
    options, variables, kernels = {
        "default": ([], {}, "home/.local/share/jupyter/kernels"),
        "user": (["--user"], {}, "home/.local/share/jupyter/kernels"),
        "prefix": (["--prefix", environment], {}, "environment/share/jupyter/kernels"),
        "sys-prefix": (
            ["--sys-prefix"],
            {"VIRTUAL_ENV": str(environment)},
            "environment/share/jupyter/kernels",
        ),
    }[kind]
    for name, shown in (("rust", "Rust"), ("another", "Rust (another)")):
        named = [] if name == "rust" else ["--name", name, "--display-name", shown]
        done = call("install", *options, *named, **variables)
        assert done.returncode == 0, done.stderr
        file = tmp_path / kernels / name / "kernel.json"
        assert str(file) in done.stdout
        spec = KernelSpecManager(kernel_dirs=[str(tmp_path / kernels)]).get_kernel_spec(name)
        assert spec.language == "rust" and spec.interrupt_mode == "message"
        assert spec.display_name == shown
    removed = call("uninstall", *options, "--name", "another", **variables)
    assert removed.returncode == 0, removed.stderr
    assert [folder.name for folder in (tmp_path / kernels).iterdir()] == ["rust"]
    assert call("uninstall", *options, **variables).returncode == 0
    again = call("uninstall", *options, **variables)
    assert again.returncode != 0
    assert "no kernel rust is installed" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["install", "--sys-prefix"], "no environment is active"),
        (["install", "--prefix", "/no/such/place"], "/no/such/place"),
        (["install", "--user", "--sys-prefix"], "cannot be used with"),
        (["install", "--env", "LIBRARY"], "NAME=VALUE"),
        (["install", "--library", "/no/crate"], "/no/crate"),
        (["prepare"], "--library"),
        (["prepare", "--library", "/no/crate"], "the crate /no/crate cannot be read"),
        (["run", "--connection-file", "/no/file.json"], "/no/file.json"),
        (["export", "/no/notebook.ipynb", "/no/folder"], "/no/notebook.ipynb"),
        (["install", "--warm", "1 + 1"], "--warm"),
        (["dance"], "dance"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_told(call, copy, arguments, said):
    done = call(*arguments, program=copy)
    assert done.returncode != 0
    assert said in done.stderr
    assert "panicked" not in done.stderr


def test_a_kernel_of_another_name_runs(plain):
    with running(plain) as kernel:
        assert kernel.run("20 + 1").result == "21"


def test_help_names_every_command(call):
    done = call("--help")
    for command in ("run", "install", "uninstall", "prepare", "export", "doctor", "store"):
        assert f"\n  {command} " in done.stdout
    assert "remove-session" not in done.stdout
    assert call("--version").stdout.startswith("rust-live ")


def program(folder, name, script):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def examine(call, tmp_path, put_kernel):
    """Doctor in an environment of stand-ins, all of them in order unless a test breaks one."""
    bin = tmp_path / "programs"
    source = tmp_path / "rust/lib/rustlib/src/rust/library/std/src/lib.rs"
    source.parent.mkdir(parents=True)
    source.touch()
    answers = (
        f"--print) echo {tmp_path}/rust; echo {tmp_path}/rust/lib;; -vV) echo 'release: 1.95.0';; "
        "*) echo 'rustc 1.95.0 (1234 2026-04-14)';;"
    )
    program(bin, "rustc", f"case $1 in {answers} esac")
    program(bin, "cargo", "echo 'cargo 1.95.0 (1234 2026-04-14)'")
    program(bin, "cc", "echo 'cc 12.2'")
    crate = tmp_path / "crate"
    (crate / "src").mkdir(parents=True)
    (crate / "Cargo.toml").write_text('[package]\nname = "crate"\n')
    # The program looks for its kernelspec in the environment that it lies in.
    environment = tmp_path / "environment"
    own = put_kernel(environment / "bin")

    class Examine:
        programs, library, standard_library = bin, crate, source
        installed = environment / "share/jupyter/kernels/rust/kernel.json"

        def install(self, *options):
            done = call("install", "--prefix", environment, *options, program=own)
            assert done.returncode == 0, done.stderr

        def __call__(self):
            done = call("doctor", program=own, PATH=str(bin))
            lines = done.stdout.splitlines()
            faults = {
                line.split()[1]: line.split(maxsplit=2)[2]
                for line in lines
                if line.startswith("FAULT")
            }
            assert all(line.startswith(("ok ", "FAULT ")) for line in lines), done.stdout
            assert (done.returncode != 0) == bool(faults), done.stdout
            return faults, done.stdout

    examine = Examine()
    examine.install()
    return examine


def test_doctor_says_what_is_there(examine):
    faults, text = examine()
    assert faults == {}
    for said in ("1.95.0", "five are free", "none is known"):
        assert said in text


@pytest.mark.parametrize(
    ("name", "script", "remedy"),
    [
        ("rustc", None, "https://rustup.rs"),
        ("rustc", "echo 'no toolchain' >&2; exit 1", "no toolchain"),
        ("rustc", "echo 'rustc 1.80.0 (old)'", "run rustup update"),
        ("cargo", None, "https://rustup.rs"),
        ("cc", None, "install a C++ compiler"),
    ],
    ids=["no rustc", "rustc fails", "old rustc", "no cargo", "no linker"],
)
def test_doctor_has_a_remedy_for_a_program(examine, name, script, remedy):
    (examine.programs / name).unlink()
    if script:
        program(examine.programs, name, script)
    faults, text = examine()
    about = "linker" if name == "cc" else name
    assert list(faults) == [about], text
    assert remedy in faults[about]


def test_doctor_has_a_remedy_for_a_standard_library_without_source(examine):
    examine.standard_library.unlink()
    faults, text = examine()
    assert list(faults) == ["rustc"], text
    assert "rustup component add rust-src" in faults["rustc"]


def test_doctor_has_a_remedy_for_a_kernel_that_is_not_installed(examine):
    examine.installed.unlink()
    faults, _ = examine()
    assert "rust-live install" in faults["kernelspec"]


def test_doctor_has_a_remedy_for_the_library(examine):
    examine.install("--library", examine.library)
    faults, text = examine()
    assert list(faults) == ["library"], text
    assert "is not compiled as it is now: run rust-live prepare" in faults["library"]
    (examine.library / "Cargo.toml").unlink()
    faults, text = examine()
    assert "Cargo.toml cannot be read" in faults["library"]


def test_doctor_names_what_cells_will_really_use(rust_live, prepared, root):
    # Without a name, it is the kernel that has a library.
    for named in ([], ["--name", "googlenet"]):
        doctor = [rust_live, "doctor", *named]
        done = subprocess.run(doctor, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout
        assert f"{root / 'googlenet-lib'} is compiled" in done.stdout
        assert "rustc 1." in done.stdout


@pytest.fixture
def crate(tmp_path):
    """A crate that shows in a cell what its build script was told."""
    folder = tmp_path / "told"
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text('[package]\nname = "told"\nedition = "2024"\n')
    (folder / "src/lib.rs").write_text('pub const BUILT: &str = env!("TOLD");\n')
    (folder / "build.rs").write_text(
        'fn main() { println!("cargo::rerun-if-env-changed=TOLD"); '
        'println!("cargo::rustc-env=TOLD={}", std::env::var("TOLD").unwrap()); }\n'
    )
    return folder


@pytest.mark.timeout(300)
def test_variables_reach_preparation_and_cells(put_kernel, crate, tmp_path, own_state, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TOLD", "the reader")
    program = put_kernel(tmp_path / "environment/bin")

    def call(*arguments):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    told = ["--env", "TOLD=by the kernelspec, not by ${TOLD}", "--env", "OTHER=a=b"]
    call("install", "--prefix", tmp_path / "environment", *told, "--library", crate)
    assert "Compiling told" in call("prepare")
    assert call("prepare") == call("prepare", *told, "--library", crate) == ""
    assert "is compiled" in call("doctor")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "environment/share/jupyter"))
    with running("rust") as kernel:
        cell = kernel.run("told::BUILT", timeout=120)
        assert cell.result == '"by the kernelspec, not by the reader"'
        assert cell.text("stderr") == "", "nothing was compiled but the cell"
        assert kernel.run('std::env::var("OTHER").unwrap()').result == '"a=b"'


@pytest.mark.timeout(300)
def test_the_store_says_what_is_in_it_and_is_cleared(call, crate):
    def store(*words):
        done = call("store", *words, TOLD="")
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert store("size").split() == ["0.0", "MB"]
    prepared = call("prepare", "--library", crate, TOLD="")
    assert "Compiling told" in prepared.stderr
    listed = store("list")
    assert "told 0.0.0 (today)" in listed and listed.splitlines()[-1].endswith("MB in all")
    assert store() == listed
    store("clear")
    assert "told" not in store("list")
    assert "Compiling told" in call("prepare", "--library", crate, TOLD="").stderr


NOTEBOOK = [
    ("markdown", "# Squares\nIn *two* cells."),
    ("code", ':dep told = { path = "told" }'),
    (
        "code",
        "use std::collections::BTreeMap;\nfn square(n: i64) -> i64 { n }\n"
        "#[derive(Debug, Clone)]\nstruct Row { n: i64 }\nlet mut squares: BTreeMap<i64, Row> = BTreeMap::new();",
    ),
    (
        "code",
        "fn square(n: i64) -> i64 { n * n }\n"
        "for n in 1..4 { squares.insert(n, Row { n: square(n) }); }\nsquares",
    ),
    (
        "code",
        '!cat note.txt > copy.txt\n:vars\nlet text = "a\n    b";\nprintln!("{text}");\ntold::BUILT.len()',
    ),
    ("code", 'let n: i64 = "12".parse()?;\nimpl Row { fn twice(&self) -> i64 { 2 * self.n } }'),
    ("code", "let row = squares[&3].clone(); row.twice() + n"),
    ("code", "async fn later() -> i64 { 7 }\nlet seven = later().await;\nseven"),
    ("code", "#[cfg(test)] mod tests { #[test] fn four() { assert_eq!(super::square(2), 4); } }"),
    ("code", 'include_str!("note.txt").trim()'),
    ("code", "mod deep; deep::below::note()"),
]


@pytest.mark.timeout(600)
def test_an_exported_notebook_prints_what_the_kernel_showed(
    rust_live, crate, tmp_path, own_state, monkeypatch, plain
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TOLD", "something")
    (tmp_path / "note.txt").write_text("a note\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep.rs").write_text("pub mod below;\n")
    (tmp_path / "deep/below.rs").write_text(
        'pub fn note() -> usize { include_str!("../note.txt").len() }\n'
    )
    cells = [
        {"cell_type": kind, "source": source.splitlines(keepends=True), "metadata": {}}
        for kind, source in NOTEBOOK
    ]
    file = tmp_path / "Squares of 3.ipynb"
    file.write_text(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5}))
    shown = []
    with running(plain, cwd=tmp_path) as kernel:
        for kind, source in NOTEBOOK:
            if kind == "code":
                cell = kernel.run(source, timeout=200)
                assert cell.status == "ok", (source, cell.reply)
                # A project runs its tests by `cargo test`.
                if "#[test]" in source:
                    assert "four ... ok" in cell.text()
                    continue
                results = cell.of("execute_result")
                shown += [cell.text(), *(one["data"]["text/plain"] + "\n" for one in results)]
    project = tmp_path / "out" / "project"

    def run(*command):
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(rust_live, "export", file, project)
    manifest = project / "Cargo.toml"
    assert 'path = "../../told"' in manifest.read_text()
    assert 'name = "squares-of-3"' in manifest.read_text()
    text = (project / "src/main.rs").read_text()
    for line in ("// # Squares", "// !cat note.txt > copy.txt", "// :vars"):
        assert line in text
    offline = ["--offline", "--manifest-path", manifest]
    assert run("cargo", "run", "--quiet", *offline) == "".join(shown)
    assert "1 passed" in run("cargo", "test", "--quiet", *offline)
    again = subprocess.run([rust_live, "export", file, project], capture_output=True, text=True)
    assert again.returncode != 0 and "is there already" in again.stderr
