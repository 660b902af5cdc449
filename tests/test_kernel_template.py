"""The prepared build directory, and what sessions leave behind."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from running import running

LIBRARY = Path(__file__).resolve().parent.parent / "googlenet-lib"
LOAD = "use googlenet_lib::prelude::*;"
USE = "let t = Tensor::from_slice(&[1.0, 2.0]); t.sum(Kind::Double).double_value(&[])"


def fingerprint(folder):
    """Every file with its bytes, its time and its mode."""
    files = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            stat = file.stat()
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            files[str(file.relative_to(folder))] = (digest, stat.st_mtime_ns, stat.st_mode)
    return files


@pytest.mark.timeout(1200)
def test_a_session_leaves_the_template_as_it_was(template, own_state):
    before = fingerprint(template)
    assert len(before) > 100
    with running() as kernel:
        assert kernel.run(LOAD).status == "ok"
        assert kernel.run(USE).result == "3.0"
        assert kernel.run("fn f() -> i32 { 1 } f()").result == "1"
        assert kernel.run('let x: i32 = "a";').status == "error"
    assert fingerprint(template) == before


def test_a_session_uses_what_was_compiled_and_compiles_only_its_cells(template, own_state):
    # Jupyter may have been started by cargo, of any package: build scripts read these as well.
    started_by_cargo = {"CARGO_MANIFEST_DIR": "/elsewhere", "CARGO_PKG_NAME": "other"}
    with running(env=started_by_cargo) as kernel:
        cell = kernel.run(f':dep googlenet-lib = {{ path = "{LIBRARY}" }}\n{LOAD}', timeout=120)
        assert cell.status == "ok"
        assert kernel.run(USE).result == "3.0"
        assert "Compiling" not in cell.text("stderr")
        compiled = [*template.rglob("*.rlib")]
        assert len(compiled) > 50
        for file in compiled:
            assert os.path.samefile(file, kernel.folder() / file.relative_to(template)), file


def test_a_session_directory_goes_away_at_shutdown(plain):
    with running(plain) as kernel:
        kernel.run("1")
        folder = kernel.folder()
        assert (folder / "Cargo.toml").is_file()
    assert not folder.exists() and not folder.with_suffix(".lock").exists()


def test_a_kernel_that_ends_while_it_starts_leaves_nothing(template, own_state):
    with running() as kernel:
        folder = kernel.folder()
    assert not folder.exists() and not folder.with_suffix(".lock").exists()


def test_what_a_killed_kernel_leaves_is_removed_by_the_next_and_nothing_else(plain):
    with running(plain) as alive:
        with running(plain) as killed:
            assert killed.run("1 + 1").result == "2"
            left = killed.folder()
            family = killed.process.children(recursive=True)
            assert killed.cells() in family
            killed.process.kill()
            _, survivors = psutil.wait_procs(family, timeout=10)
            assert not survivors
        assert left.is_dir(), "nobody was there who could have removed it"
        # A lock that is seconds old is spared, since it may be about to be taken: this kernel is
        # made to have started a minute ago.
        old = time.time() - 60
        for folder in (left, alive.folder()):
            os.utime(folder.with_suffix(".lock"), (old, old))
        with running(plain) as kernel:
            assert kernel.folder().is_dir()
            assert not left.exists() and not left.with_suffix(".lock").exists()
        assert alive.run("2 + 3").result == "5"
        assert alive.folder().is_dir()


JUPYTER = """
import sys, time
from running import running
with running(sys.argv[1]) as kernel:
    print(kernel.process.pid, kernel.run("6 * 7").result, kernel.folder(), flush=True)
    time.sleep(60)
"""


def test_a_kernel_ends_when_jupyter_was_killed(plain):
    jupyter = subprocess.Popen(
        [sys.executable, "-c", JUPYTER, plain],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    number, answer, folder = jupyter.stdout.readline().split()
    assert answer == "42"
    kernel = psutil.Process(int(number))
    family = [kernel, *kernel.children(recursive=True)]
    jupyter.kill()
    jupyter.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not Path(folder).exists()


def test_a_killed_process_of_cells_is_told_and_replaced(plain):
    with running(plain) as kernel:
        kernel.run("1")
        cell = kernel.send('println!("x"); loop { std::hint::black_box(0); }')

        def kill(message):
            if "x" in str(message["content"].get("text")):
                kernel.cells().kill()

        cell = kernel.answer(cell, 60, kill)
        assert cell.error["ename"] == "process ended"
        assert "killed" in "".join(cell.error["traceback"])
        assert kernel.run("1 + 1").result == "2"


def test_a_process_of_cells_that_ended_between_cells_is_told_and_replaced(plain):
    with running(plain) as kernel:
        kernel.run("let lost = 1;")
        kernel.cells().kill()
        assert kernel.run("lost").error["ename"] == "process ended"
        assert kernel.run("1 + 1").result == "2"


@pytest.fixture
def library(tmp_path):
    """A crate that compiles in a moment."""
    folder = tmp_path / "small"
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text(
        '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2024"\n'
    )
    (folder / "src/lib.rs").write_text("pub fn value() -> i32 { 1 }\n")
    return folder


@pytest.fixture
def prepare(rust_live, library, tmp_path):
    """Begins to prepare that crate, in a cache of its own."""

    def begin():
        return subprocess.Popen(
            [rust_live, "prepare", "--library", library],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.mark.timeout(600)
def test_a_changed_library_is_noticed_and_built_again(library, prepare):
    def said(status=0):
        process = prepare()
        text = process.communicate(timeout=300)[1]
        assert process.returncode == status, text
        return text

    assert "not prepared yet" in said()
    assert said() == ""
    (library / "src/lib.rs").write_text("pub fn value() -> i32 { 2 }\n")
    assert "the library was changed" in said()
    (library / "src/lib.rs").write_text("pub fn value( -> i32 { 2 }\n")
    assert "does not compile" in said(status=1)


@pytest.mark.timeout(600)
def test_who_prepares_may_be_killed_and_the_next_waits_for_its_compiler(prepare):
    killed = prepare()
    process = psutil.Process(killed.pid)

    def builds(child):
        try:
            return "build-template" in child.cmdline()
        except psutil.Error:
            return False  # a rustc that was asked its version and has ended

    while not any(builds(child) for child in process.children()):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    after = prepare()
    said = after.communicate(timeout=300)[1]
    assert after.returncode == 0, said
    assert "Another kernel is preparing the library" in said
    assert prepare().communicate(timeout=60)[1] == ""


@pytest.fixture
def touched(rust_live, tmp_path, own_state, monkeypatch):
    """A workspace with a library of Rust and C++, and a kernel that knows it."""
    workspace = tmp_path / "workspace"
    library = workspace / "small"
    files = {
        "Cargo.toml": '[workspace]\nresolver = "3"\nmembers = ["small", "inner"]\n',
        "small/Cargo.toml": '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2024"\n'
        '[dependencies]\ninner = { path = "../inner" }\n',
        "small/build.rs": BUILD_SCRIPT,
        "small/cpp/number.cpp": 'extern "C" int number() { return 40; }\n',
        "small/src/lib.rs": 'unsafe extern "C" { safe fn number() -> i32; }\n'
        "pub fn value() -> i32 { number() + inner::two() }\n",
        "inner/Cargo.toml": '[package]\nname = "inner"\nversion = "0.1.0"\nedition = "2024"\n',
        "inner/src/lib.rs": "pub fn two() -> i32 { 2 }\n",
    }
    for name, text in files.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(text)
    subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=workspace, check=True)
    # All of it is older than what is compiled from it.
    for file in workspace.rglob("*"):
        os.utime(file, (time.time() - 3600,) * 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own = tmp_path / "environment/bin/rust-live"
    own.parent.mkdir(parents=True)
    os.link(rust_live, own)
    install = ["install", "--prefix", tmp_path / "environment", "--library", library]
    subprocess.run([own, *install], check=True, timeout=60)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "environment/share/jupyter"))

    class Touched:
        folder = workspace

        def doctor(self):
            said = subprocess.run([own, "doctor"], capture_output=True, text=True, timeout=60)
            (line,) = (line for line in said.stdout.splitlines() if line.split()[1] == "library")
            return line

        def first_cell(self, value="42"):
            """What the first cell of a session shows beside its value."""
            with running("rust") as kernel:
                cell = kernel.run("small::value()", timeout=120)
                assert cell.result == value, cell.reply
                return cell.text("stderr")

    return Touched()


BUILD_SCRIPT = """
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    println!("cargo::rerun-if-env-changed=SMALL_FLAGS");
    let out = std::env::var("OUT_DIR").unwrap();
    let object = format!("{out}/number.o");
    let compiled = Command::new("c++")
        .args(["-fPIC", "-c", "cpp/number.cpp", "-o", &object])
        .status();
    assert!(compiled.unwrap().success());
    let library = format!("{out}/libnumber.a");
    let archived = Command::new("ar").args(["crs", &library, &object]).status();
    assert!(archived.unwrap().success());
    println!("cargo::rustc-link-search=native={out}");
    println!("cargo::rustc-link-lib=static=number");
}
"""


@pytest.mark.timeout(900)
def test_a_touched_library_is_prepared_once_and_never_compiled_in_a_session(touched, monkeypatch):
    assert "Preparing small" in touched.first_cell()
    assert "is prepared" in touched.doctor()
    assert touched.first_cell() == ""

    sources = ("small/src/lib.rs", "small/cpp/number.cpp", "small/build.rs", "inner/src/lib.rs")
    for name in sources:
        os.utime(touched.folder / name)
        line = touched.doctor()
        assert line.startswith("FAULT") and "newer time" in line and name in line
        said = touched.first_cell()
        assert "Preparing small (a file of the library has a newer time" in said, name
        assert "is prepared" in touched.doctor()
        assert touched.first_cell() == "", name

    # Cargo takes manifests by what is in them.
    for name in ("small/Cargo.toml", "inner/Cargo.toml", "Cargo.toml", "Cargo.lock"):
        file = touched.folder / name
        os.utime(file)
        assert "is prepared" in touched.doctor()
        assert touched.first_cell() == "", name
        file.write_text(file.read_text() + "# changed\n")
        line = touched.doctor()
        assert "the library was changed" in line and name in line
        assert "the library was changed" in touched.first_cell()
        assert touched.first_cell() == "", name

    # And a variable that a build script asks for.
    monkeypatch.setenv("SMALL_FLAGS", "-O1")
    assert "SMALL_FLAGS" in touched.doctor()
    assert "SMALL_FLAGS" in touched.first_cell()
    assert touched.first_cell() == ""


@pytest.mark.timeout(300)
def test_a_copy_with_new_times_and_a_file_from_the_future(touched):
    assert "Preparing small" in touched.first_cell()
    # As `git switch` there and back, or a new clone in the same place.
    for file in touched.folder.rglob("*.rs"):
        text = file.read_text()
        file.unlink()
        file.write_text(text)
    assert "Preparing small" in touched.first_cell()
    assert touched.first_cell() == ""
    # Cargo would overlook a change that bears an older time.
    older = touched.folder / "inner/src/lib.rs"
    older.write_text("pub fn two() -> i32 { 3 }\n")
    os.utime(older, (time.time() - 7200,) * 2)
    assert "the library was changed" in touched.first_cell("43")
    assert touched.first_cell("43") == ""
    older.write_text("pub fn two() -> i32 { 2 }\n")
    future = touched.folder / "small/src/lib.rs"
    os.utime(future, (time.time() + 3600,) * 2)
    assert "dated in the future" in touched.first_cell()
    line = touched.doctor()
    assert line.startswith("FAULT") and "dated in the future" in line and str(future) in line


@pytest.mark.timeout(600)
def test_a_library_that_does_not_compile_fails_the_cells_that_name_it_until_it_does(touched):
    source = touched.folder / "small/src/lib.rs"
    whole = source.read_text()
    source.write_text("pub fn value( -> i32 { 2 }\n")
    with running("rust") as kernel:
        assert kernel.run("let kept = 3;").status == "ok"
        failed = kernel.run("small::value()", timeout=200)
        assert "does not compile" in failed.error["evalue"]
        assert kernel.run("kept + 1").result == "4"
        source.write_text(whole)
        assert kernel.run("small::value()", timeout=200).result == "42"
        assert kernel.run("kept + 1").result == "4"
