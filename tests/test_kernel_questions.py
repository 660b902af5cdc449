"""Completion and help: rust-analyzer, in a program of its own beside the kernel."""

import os
import shutil
import signal
import subprocess
import time

import psutil
import pytest
from running import running

PROGRAM = "rust-live-analysis"


@pytest.fixture
def kernel(plain):
    with running(plain) as kernel:
        yield kernel


def analysis(kernel, timeout=60):
    """The program that answers, once it runs."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        for child in kernel.process.children():
            if child.name() == PROGRAM[:15] or PROGRAM in " ".join(child.cmdline()[:1]):
                return child
        time.sleep(0.1)
    pytest.fail("rust-analyzer was not started")


def completed(kernel, code="String::fro"):
    return kernel.reply(kernel.client.complete(code), timeout=60)["matches"]


def test_cells_run_before_there_is_an_analysis_and_questions_are_answered_once_there_is(
    rust_live, tmp_path, own_state, monkeypatch
):
    folder = tmp_path / "bin"
    folder.mkdir()
    alone = shutil.copy2(rust_live, folder / "rust-live")
    subprocess.run([alone, "install", "--prefix", tmp_path, "--name", "alone"], check=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share/jupyter"))
    doctor = subprocess.run([alone, "doctor", "--name", "alone"], capture_output=True, text=True)
    assert doctor.returncode == 1
    assert f"FAULT completion  there is no {folder / PROGRAM}" in doctor.stdout
    with running("alone") as kernel:
        assert kernel.run("let n = 20; n + 1").result == "21"
        assert completed(kernel) == []
        found = kernel.reply(kernel.client.inspect("Vec::<i32>::new", 13))
        assert f"{PROGRAM} is not beside rust-live" in found["data"]["text/plain"]
        # A set-up puts it there beside and renames it.
        shutil.copy2(rust_live.with_name(PROGRAM), folder / "new")
        (folder / "new").rename(folder / PROGRAM)
        assert "from_utf8" in completed(kernel)
        found = kernel.reply(kernel.client.inspect("Vec::<i32>::new", 13))
        assert "empty" in found["data"]["text/plain"]
        assert kernel.run("n").result == "20"


def test_an_analysis_that_is_killed_is_started_again(kernel):
    assert "from_utf8" in completed(kernel)
    first = analysis(kernel)
    first.send_signal(signal.SIGKILL)
    kernel.run("let kept = vec![1]; kept.len()")
    assert "from_utf8" in completed(kernel)
    assert analysis(kernel).pid != first.pid
    assert "len" in completed(kernel, "kept.le")


def test_an_interrupt_leaves_the_analysis_alone(kernel):
    assert "from_utf8" in completed(kernel)
    before = analysis(kernel)
    asked = kernel.send("std::thread::sleep(std::time::Duration::from_secs(60));")
    time.sleep(1)
    kernel.interrupt()
    assert kernel.answer(asked).status == "error"
    assert analysis(kernel).pid == before.pid
    assert "from_utf8" in completed(kernel)


def test_the_analysis_ends_with_a_kernel_that_is_killed(plain):
    with running(plain) as kernel:
        assert "from_utf8" in completed(kernel)
        program = analysis(kernel)
        os.kill(kernel.process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs([program], timeout=10)
        assert not alive
