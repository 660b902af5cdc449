"""The prepared build directory, and what sessions leave behind."""

import hashlib
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from running import running

LOAD = "use googlenet_lib::prelude::*;"
USE = "let t = Tensor::from_slice(&[1.0, 2.0]); t.sum(Kind::Double).double_value(&[])"


@pytest.fixture(scope="module")
def cache(template):
    return template.parent


def fingerprint(folder):
    """Every file with its bytes, its time and its mode."""
    files = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            stat = file.stat()
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            files[str(file.relative_to(folder))] = (digest, stat.st_mtime_ns, stat.st_mode)
    return files


def sessions(cache):
    return sorted(file.name for file in (cache / "sessions").iterdir())


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


def test_the_first_cell_that_loads_the_library_is_fast(template, own_state):
    with running() as kernel:
        began = time.monotonic()
        assert (
            kernel.run(
                ':dep googlenet-lib = { path = "'
                + str(Path(__file__).resolve().parent.parent / "googlenet-lib")
                + '" }\n'
                + LOAD
            ).status
            == "ok"
        )
        # On a quiet machine it is under 3 s (cargo xtask bench kernel); tests share theirs.
        assert time.monotonic() - began < 15


def test_eight_kernels_start_at_once(template, own_state, cache):
    def one(number):
        with running() as kernel:
            kernel.run(LOAD, timeout=240)
            return kernel.run(f"Tensor::from_slice(&[{number}i64]).int64_value(&[0])", 240).result

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(8))) == [str(number) for number in range(8)]


def test_a_session_directory_goes_away_at_shutdown(template, own_state, cache):
    before = sessions(cache)
    with running() as kernel:
        kernel.run("1")
        assert len(sessions(cache)) == len(before) + 2
    assert sessions(cache) == before


def test_a_killed_kernel_leaves_no_process_and_its_directory_is_removed_later(
    template, own_state, cache
):
    with running() as kernel:
        before = set(sessions(cache))
        assert kernel.run("1 + 1").result == "2"
        family = kernel.process.children(recursive=True)
        os.kill(kernel.process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive
        kernel.manager.shutdown_kernel(now=True)
    left = before & set(sessions(cache))
    for file in left:
        if file.endswith(".lock"):
            old = time.time() - 60
            os.utime(cache / "sessions" / file, (old, old))
    with running() as kernel:
        kernel.run("1")
        assert not before & set(sessions(cache)) or kernel is None


def test_a_killed_process_of_cells_is_told_and_replaced(template, own_state):
    with running() as kernel:
        kernel.run("1")
        cell = kernel.send('println!("x"); loop { std::hint::black_box(0); }')

        def kill(message):
            if "x" in str(message["content"].get("text")):
                kernel.cells().kill()

        cell = kernel.answer(cell, 60, kill)
        assert cell.error["ename"] == "process ended"
        assert "killed" in "".join(cell.error["traceback"])
        assert kernel.run("1 + 1").result == "2"


@pytest.mark.timeout(600)
def test_a_changed_library_is_noticed_and_built_again(tmp_path, googlenet_kernel):
    library = tmp_path / "small"
    (library / "src").mkdir(parents=True)
    (library / "Cargo.toml").write_text(
        '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2024"\n'
    )
    (library / "src/lib.rs").write_text("pub fn value() -> i32 { 1 }\n")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def prepare():
        return subprocess.run(
            [googlenet_kernel, "prepare", "--library", str(library)],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        ).stderr

    assert "not prepared yet" in prepare()
    assert prepare() == ""
    (library / "src/lib.rs").write_text("pub fn value() -> i32 { 2 }\n")
    assert "the library was changed" in prepare()
    (library / "src/lib.rs").write_text("pub fn value( -> i32 { 2 }\n")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        prepare()
    assert "does not compile" in failed.value.stderr
