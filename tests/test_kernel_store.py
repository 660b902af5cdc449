"""Crates of all sessions in one store, and what sessions leave behind."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from registry import registry
from running import running, without_colours

LIBRARY = Path(__file__).resolve().parent.parent / "googlenet-lib"
LOAD = "use googlenet_lib::prelude::*;"
USE = "let t = Tensor::from_slice(&[1.0, 2.0]); t.sum(Kind::Double).double_value(&[])"

pytestmark = pytest.mark.timeout(600)


def compiled(cell):
    """The crates that were compiled for a cell."""
    return re.findall(r"Compiling ([\w-]+)", cell.text("stderr"))


def test_a_session_compiles_only_its_cells_whoever_started_jupyter(prepared, own_state):
    # Jupyter may have been started by cargo, of any package: build scripts read these as well.
    started_by_cargo = {"CARGO_MANIFEST_DIR": "/elsewhere", "CARGO_PKG_NAME": "other"}
    with running(env=started_by_cargo) as kernel:
        cell = kernel.run(f':dep googlenet-lib = {{ path = "{LIBRARY}" }}\n{LOAD}', timeout=120)
        assert cell.status == "ok", cell.reply
        assert cell.text("stderr") == ""
        assert kernel.run(USE).result == "3.0"


FIGURE = """
use plotters::prelude::*;
evcxr_figure((200, 100), |root| {
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root).build_cartesian_2d(0f64..1.0, 0f64..1.0)?;
    chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], &RED))?;
    Ok(())
})
"""


def test_plotters_beside_the_library_draws_its_own_figures(prepared, own_state):
    plotters = '{ version = "0.3", default-features = false, features = ["evcxr", "line_series"] }'
    with running() as kernel:
        named = f':dep googlenet-lib = {{ path = "{LIBRARY}" }}\n:dep plotters = {plotters}'
        assert kernel.run(named, timeout=500).status == "ok"
        cell = kernel.run(FIGURE)
        assert cell.status == "ok", cell.reply
        (shown,) = cell.of("execute_result", "display_data")
        assert "<svg" in shown["data"]["text/html"]
        assert kernel.run(f"{LOAD}\n{USE}").result == "3.0"


SHARED = """
#[derive(serde::Serialize)]
struct Shared { held: std::rc::Rc<i32> }
serde_json::to_string(&Shared { held: 3.into() })?
"""


def test_what_is_added_to_a_lesson_leaves_the_library_as_it_is(prepared, own_state):
    with running() as kernel:
        named = f':dep googlenet-lib = {{ path = "{LIBRARY}" }}\n{LOAD}\n{USE}'
        assert kernel.run(named, timeout=120).result == "3.0"
        assert kernel.run(':dep serde_json = "1"', timeout=200).status == "ok"
        recipe = "serde_json::to_string(&Recipe::fast())?.len() > 100"
        assert kernel.run(recipe).result == "true"
        # The library's serde has not this feature.
        cell = kernel.run(
            ':dep serde = { version = "1", features = ["derive", "rc"] }', timeout=200
        )
        assert cell.status == "ok", cell.reply
        assert "googlenet-lib keeps its own serde" in cell.text("stderr")
        of_library = {"googlenet-lib", "charts", "devices", "fused-ops", "notebook", "tch"}
        assert not of_library & set(compiled(cell))
        assert kernel.run("t.size()").result == "[2]"
        assert kernel.run(SHARED).result == '"{\\"held\\":3}"'


def test_a_session_directory_goes_away_at_shutdown(plain):
    with running(plain) as kernel:
        kernel.run("1")
        folder = kernel.folder()
        assert folder.is_dir()
    assert not folder.exists() and not folder.with_suffix(".lock").exists()


def test_a_kernel_that_ends_while_it_starts_leaves_nothing(prepared, own_state):
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


# Local crates, in a store of their own


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache in which there is nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def workspace(rust_live, tmp_path, cache, own_state, monkeypatch):
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
    # All of it is older than what is compiled from it.
    for file in workspace.rglob("*"):
        os.utime(file, (time.time() - 3600,) * 2)
    own = tmp_path / "environment/bin/rust-live"
    own.parent.mkdir(parents=True)
    os.link(rust_live, own)
    install = ["install", "--prefix", tmp_path / "environment", "--library", library]
    subprocess.run([own, *install], check=True, timeout=60)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "environment/share/jupyter"))

    class Workspace:
        folder = workspace

        def doctor(self):
            began = time.monotonic()
            said = subprocess.run([own, "doctor"], capture_output=True, text=True, timeout=60)
            assert time.monotonic() - began < 30, "it compiles nothing"
            (line,) = (line for line in said.stdout.splitlines() if line.split()[1] == "library")
            return line

        def prepare(self, **options):
            return subprocess.Popen(
                [own, "prepare"], stderr=subprocess.PIPE, text=True, start_new_session=True
            )

        def first_cell(self, value="42"):
            """The crates that the first cell of a session has to wait for."""
            with running("rust") as kernel:
                cell = kernel.run("small::value()", timeout=120)
                assert cell.result == value, cell.reply
                return compiled(cell)

    return Workspace()


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


def test_a_touched_file_compiles_nothing_and_a_changed_one_is_noticed(workspace, monkeypatch):
    assert "is not compiled as it is now" in workspace.doctor()
    assert set(workspace.first_cell()) == {"small", "inner"}
    assert "is compiled" in workspace.doctor()
    assert workspace.first_cell() == []

    sources = ("small/src/lib.rs", "small/cpp/number.cpp", "small/build.rs", "inner/src/lib.rs")
    manifests = ("small/Cargo.toml", "inner/Cargo.toml", "Cargo.toml")
    for name in (*sources, *manifests):
        os.utime(workspace.folder / name)
    assert "is compiled" in workspace.doctor()
    assert workspace.first_cell() == []

    # In each local crate, and what leans on it.
    for name in sources:
        file = workspace.folder / name
        file.write_text(file.read_text() + "// changed\n")
        assert workspace.doctor().startswith("FAULT"), name
        of_both = {"small", "inner"} if name.startswith("inner") else {"small"}
        assert set(workspace.first_cell()) == of_both, name
        assert workspace.first_cell() == [], name
    assert "is compiled" in workspace.doctor()

    # A change that bears an older time, and one that comes from the future.
    older = workspace.folder / "inner/src/lib.rs"
    older.write_text("pub fn two() -> i32 { 3 }\n")
    os.utime(older, (time.time() - 7200,) * 2)
    assert set(workspace.first_cell("43")) == {"small", "inner"}
    future = workspace.folder / "small/src/lib.rs"
    future.write_text(future.read_text() + "// from the future\n")
    os.utime(future, (time.time() + 3600,) * 2)
    assert workspace.first_cell("43") == ["small"]
    assert workspace.first_cell("43") == []

    # And a variable that a build script asks for.
    monkeypatch.setenv("SMALL_FLAGS", "-O1")
    assert workspace.doctor().startswith("FAULT")
    assert workspace.first_cell("43") == ["small"]
    assert workspace.first_cell("43") == []


def test_a_changed_crate_reaches_a_session_that_names_it_again(workspace):
    with running("rust") as kernel:
        assert kernel.run("let kept = 3;\nsmall::value()", timeout=120).result == "42"
        source = workspace.folder / "inner/src/lib.rs"
        source.write_text("pub fn two() -> i32 { 5 }\n")
        name = f':dep small = {{ path = "{workspace.folder / "small"}" }}'
        assert kernel.run(":clear").status == "ok"
        assert kernel.run(f"{name}\nsmall::value()", timeout=120).result == "45"


def test_a_library_that_does_not_compile_fails_the_cells_that_name_it_until_it_does(workspace):
    source = workspace.folder / "small/src/lib.rs"
    whole = source.read_text()
    source.write_text("pub fn value( -> i32 { 2 }\n")
    with running("rust") as kernel:
        assert kernel.run("let kept = 3;").status == "ok"
        failed = kernel.run("small::value()", timeout=200)
        assert failed.status == "error"
        assert "small" in failed.error["evalue"]
        assert "does not compile" in failed.error["evalue"]
        assert kernel.run("kept + 1").result == "4"
        source.write_text(whole)
        assert kernel.run("small::value()", timeout=200).result == "42"
        assert kernel.run("kept + 1").result == "4"


def test_who_prepares_may_be_killed_and_the_next_goes_on(workspace):
    killed = workspace.prepare()
    process = psutil.Process(killed.pid)

    def builds(child):
        try:
            return child.name() == "cargo"
        except psutil.Error:
            return False  # a rustc that was asked its version and has ended

    while not any(builds(child) for child in process.children()):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    after = workspace.prepare()
    said = after.communicate(timeout=300)[1]
    assert after.returncode == 0, said
    assert workspace.prepare().communicate(timeout=60)[1] == ""
    assert workspace.first_cell() == []


# Crates of a registry


@pytest.fixture
def served(tmp_path, cache, monkeypatch, plain):
    """A registry, and a home of cargo's that knows no other; a list of the versions in it."""
    versions = ["1.0.0"]
    with registry(["unmet-one", "unmet-two"], versions) as (configuration, asked):
        home = tmp_path / "cargo"
        home.mkdir()
        (home / "config.toml").write_text(configuration)
        monkeypatch.setenv("CARGO_HOME", str(home))
        yield versions, asked


ONE = ':dep unmet-one = "1"\nunmet_one::name()'


def test_crates_that_are_compiled_take_one_line(plain, served):
    with running(plain) as kernel:
        cell = kernel.run(':dep unmet-one = "1"\n:dep unmet-two = "1"', timeout=200)
        assert sorted(compiled(cell)) == ["unmet-one", "unmet-two"]
        said = without_colours([cell.text("stderr")])
        assert said.count("\n") == 1, said
        assert re.fullmatch(r"Compiled 2 crates in \d+ s *\n", said.split("\r")[-1]), said
        assert kernel.run('eprintln!("next")').text("stderr") == "next\n"


def test_two_sessions_that_name_a_crate_at_once_compile_it_once(plain, served):
    _, asked = served
    with running(plain) as first, running(plain) as second, ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda kernel: kernel.run(ONE, timeout=200), (first, second)))
    for cell in both:
        assert cell.result == '"unmet-one"', cell.reply
    assert sorted(name for cell in both for name in compiled(cell)) == ["unmet-one"]
    assert asked.count("/crates/unmet-one/1.0.0/download") == 1


def test_what_is_in_the_store_needs_no_network(plain, served, tmp_path):
    with running(plain) as kernel:
        assert kernel.run(ONE, timeout=200).result == '"unmet-one"'
    _, asked = served
    before = len(asked)
    with running(plain) as kernel:
        cell = kernel.run(ONE)
        assert cell.result == '"unmet-one"' and compiled(cell) == []
        assert kernel.run(":offline 1").status == "ok"
        missing = kernel.run(':dep unmet-two = "1"')
        assert missing.status == "error" and "unmet-two" in missing.error["evalue"]
        assert len(asked) == before, "nobody was asked"
        assert kernel.run(":offline 0").status == "ok"
        assert kernel.run(':dep unmet-two = "1"\nunmet_two::name()').result == '"unmet-two"'


def test_clear_and_the_same_crates_again_at_once(plain, served):
    with running(plain) as kernel:
        assert kernel.run(ONE, timeout=200).result == '"unmet-one"'
        assert kernel.run(":clear").status == "ok"
        assert kernel.run("unmet_one::name()").status == "error"
        cell = kernel.run(ONE)
        assert cell.result == '"unmet-one"' and compiled(cell) == []
        both = kernel.run(f":clear\n{ONE}")
        assert both.result == '"unmet-one"' and compiled(both) == []


def test_a_lock_beside_the_notebook_says_which_versions(plain, served, cache, tmp_path):
    versions, _ = served
    notebook = tmp_path / "notes.ipynb"
    notebook.write_text(json.dumps({"cells": [], "nbformat": 4, "nbformat_minor": 5}))
    lock = tmp_path / "notes.lock"
    of_notebook = {"JPY_SESSION_NAME": str(notebook)}
    with running(plain, env=of_notebook) as kernel:
        assert kernel.run(":lock").status == "error", "there are no crates yet"
        assert kernel.run(ONE, timeout=200).result == '"unmet-one"'
        assert str(lock) in kernel.run(":lock").result
    assert 'version = "1.0.0"' in lock.read_text()
    # Nothing is remembered but the lock, and there is a newer version.
    shutil.rmtree(cache)
    shutil.rmtree(tmp_path / "cargo" / "registry")
    versions.append("1.1.0")

    def version_in(kernel):
        folder = kernel.folder()
        return re.findall('version = "(1.*)"', (folder / "cells/Cargo.lock").read_text())

    with running(plain, env=of_notebook) as kernel:
        assert kernel.run(ONE, timeout=200).result == '"unmet-one"'
        assert version_in(kernel) == ["1.0.0"]
        # Exactly those: a crate of which it knows no version is refused.
        refused = kernel.run(':dep unmet-two = "1"', timeout=200)
        assert refused.status == "error" and "notes.lock" in refused.error["evalue"]
        assert kernel.run("unmet_one::name()").result == '"unmet-one"'
    shutil.rmtree(cache)
    shutil.rmtree(tmp_path / "cargo" / "registry")
    with running(plain) as kernel:
        assert kernel.run(ONE, timeout=200).result == '"unmet-one"'
        assert version_in(kernel) == ["1.1.0"]


def test_a_notebook_without_a_name_has_no_lock(plain):
    with running(plain, env={"JPY_SESSION_NAME": ""}) as kernel:
        refused = kernel.run(":lock")
        assert refused.status == "error" and "which notebook" in refused.error["evalue"]


def test_a_cache_that_cannot_be_written(plain, served, cache):
    cache.write_text("a file in its place, which not even root can make a folder in")
    with running(plain) as kernel:
        assert kernel.run("1 + 1").result == "2"
        cell = kernel.run(ONE, timeout=200)
        assert cell.result == '"unmet-one"'
        assert "for this session alone" in cell.text("stderr")
        folder = kernel.folder()
    assert not folder.exists() and not folder.parent.exists()
