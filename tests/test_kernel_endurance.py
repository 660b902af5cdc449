"""Many restarts, many cells, many kernels, and kernels that are killed.

The ordinary run is short. `KERNEL_ENDURANCE=FILE` runs the full numbers and writes to FILE what was
measured.
"""

import os
import platform
import random
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import psutil
import pytest
from running import NAME, running

REPORT = os.environ.get("KERNEL_ENDURANCE")
RESTARTS, CELLS, KERNELS, KILLS = (50, 200, 8, 20) if REPORT else (2, 12, 3, 4)
SEED = 22
USE = "use googlenet_lib::prelude::*;\nTensor::from_slice(&[{}i64]).int64_value(&[0])"

pytestmark = pytest.mark.timeout(3600 if REPORT else 300)


@pytest.fixture(scope="module")
def cache(prepared, plain, tmp_path_factory):
    """A cache of these kernels alone, that starts from the compiled crates as any other does."""
    known = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rust-live"
    folder = tmp_path_factory.mktemp("cache")
    own = folder / known.name
    own.mkdir()
    # As it is, times included.
    subprocess.run(["cp", "-a", known / "store", own / "store"], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        # The first kernel of a cache adds what all of them share, the first with the library its versions.
        for name, code in ((plain, "1 + 1"), (NAME, USE.format(2))):
            with running(name) as kernel:
                assert kernel.run(code, timeout=240).result == "2"
        yield own
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def report():
    lines = []
    yield lines.append
    if REPORT and lines:
        memory = psutil.virtual_memory().total / 2**30
        Path(REPORT).parent.mkdir(parents=True, exist_ok=True)
        Path(REPORT).write_text(
            "# Endurance of the kernel\n\n"
            f"{date.today():%d %B %Y}, {os.cpu_count()} cores, {memory:.0f} GB, "
            f"{platform.system()}. Written by\n\n"
            "    KERNEL_ENDURANCE=docs/results/kernel-endurance.md "
            "pytest tests/test_kernel_endurance.py\n\n"
            "The kernel starts without the library for restarts and kills, with it otherwise. A "
            "kernel that is\nstuck, a process that is left over, and a file that is left over in "
            "the cache or the state\ndirectory fail the test.\n\n"
            + "".join(f"- {line}\n" for line in lines)
        )


@pytest.fixture(autouse=True)
def nothing_is_left(cache, plain):
    """No process and no file is left behind by a test."""
    before = files(cache)
    yield
    # A directory of a kernel that was killed goes when another starts, but not in its first seconds.
    for lock in cache.glob("sessions/*.lock"):
        os.utime(lock, (time.time() - 60,) * 2)
    for name in (NAME, plain):
        with running(name) as kernel:
            kernel.client.kernel_info()
    assert files(cache) == before
    assert not [session for session in cache.glob("sessions/*")]
    end = time.monotonic() + 10
    while left := processes(cache):
        assert time.monotonic() < end, left
        time.sleep(0.2)
    state = Path(os.environ["XDG_STATE_HOME"]) / "rust-live"
    assert {file.name for file in state.iterdir()} == {"history.jsonl", "history.lock"}


def files(cache):
    return sorted(file for file in cache.rglob("*") if file.parent.name != "sessions")


def processes(cache):
    """Every process that works in the cache: kernels, cells, compilers."""
    found = []
    for process in psutil.process_iter():
        try:
            arguments = process.cmdline()
            if process.cwd().startswith(str(cache)) or str(cache) in " ".join(arguments):
                found.append((process.pid, arguments))
        except psutil.Error:
            continue
    return found


def family(kernel):
    return [kernel.process, *kernel.process.children(recursive=True)]


def megabytes(size):
    return f"{size / 1e6:.0f} MB"


def test_restarts(cache, plain, report):
    took = []
    with running(plain) as kernel:
        for number in range(RESTARTS):
            assert kernel.run(f"let x = {number}; x").result == str(number)
            before = family(kernel)
            if number % 3 == 1:
                kernel.send("loop { std::hint::black_box(0); }")
                time.sleep(1)
            began = time.monotonic()
            kernel.manager.restart_kernel(now=False)
            kernel.client.wait_for_ready(timeout=60)
            took.append(time.monotonic() - began)
            assert not any(process.is_running() for process in before)
            assert kernel.run("x").status == "error"
    report(
        f"{RESTARTS} restarts, every third while a cell ran: ready again after "
        f"{sorted(took)[len(took) // 2]:.2f} s (median), {max(took):.2f} s (longest)."
    )


def test_cells(cache, report):
    marks = []
    with running() as kernel:
        assert kernel.run("let mut sum = 0i64;").status == "ok"
        for number in range(1, CELLS + 1):
            kind = number % 4
            if kind == 0:
                assert kernel.run(f"sum += {number}; sum").status == "ok"
            elif kind == 1:
                defined = f"fn f{number}(x: i64) -> i64 {{ x + {number} }}\nf{number}(1)"
                assert kernel.run(defined).result == str(number + 1)
            elif kind == 2:
                assert kernel.run(USE.format(number)).result == str(number)
            else:
                assert kernel.run(f"let v{number} = vec![{number}; 3];").status == "ok"
            if number in (CELLS // 4, CELLS // 2, CELLS):
                disk = sum(
                    f.stat().st_blocks * 512
                    for f in kernel.folder().rglob("*")
                    if f.is_file() and f.stat().st_nlink == 1
                )
                marks.append(
                    (
                        number,
                        kernel.process.memory_info().rss,
                        kernel.cells().memory_info().rss,
                        disk,
                    )
                )
        assert kernel.run("sum").result == str(sum(range(4, CELLS + 1, 4)))
        began = time.monotonic()
        assert kernel.run("v3.len()").result == "3"
        last = time.monotonic() - began
    for number, evcxr, cells, disk in marks:
        report(
            f"After {number} cells in one session: the kernel {megabytes(evcxr)}, the process that "
            f"runs the cells {megabytes(cells)}, files of its own {megabytes(disk)}."
        )
    report(f"A small cell after them: {last:.2f} s.")
    (first, before, *_), (final, after, *_) = marks[0], marks[-1]
    assert (after - before) / (final - first) < 4e6, "memory of the kernel for each cell"


def test_kernels_at_once(cache, report):
    began = time.monotonic()

    def one(number):
        with running() as kernel:
            return kernel.run(USE.format(number), timeout=240).result

    with ThreadPoolExecutor(KERNELS) as pool:
        assert list(pool.map(one, range(KERNELS))) == [str(number) for number in range(KERNELS)]
    report(
        f"{KERNELS} kernels started at once, each ran a cell that uses tch and ended: "
        f"{time.monotonic() - began:.0f} s for all."
    )


def test_kills_at_random_moments(cache, plain, report):
    chance = random.Random(SEED)
    told, back = [], []
    with running(plain) as kernel:
        for number in range(KILLS):
            victim = ("kernel", "cells")[number % 2]
            cell = kernel.send(
                f"let y{number} = {number};\nstd::thread::sleep(std::time::Duration::from_millis(700)); y{number}"
            )
            time.sleep(chance.uniform(0, 2))
            before = family(kernel)
            if victim == "cells":
                cells = kernel.cells()
                if cells is None:
                    continue
                cells.kill()
                began = time.monotonic()
                assert kernel.answer(cell, 60).status in ("ok", "error")
                told.append(time.monotonic() - began)
                # Killed after the cell's end, it is the next cell that tells.
                assert kernel.run("0").status in ("ok", "error")
            else:
                kernel.process.kill()
                began = time.monotonic()
                kernel.manager.restart_kernel(now=True)
                kernel.client.wait_for_ready(timeout=60)
                back.append(time.monotonic() - began)
                _, left = psutil.wait_procs(before, timeout=10)
                assert not left
            assert kernel.run("1 + 1").result == "2"
    assert told and back
    report(
        f"{len(back)} kernels and {len(told)} processes of cells killed (SIGKILL) at random moments, "
        f"seed {SEED}: the kernel was ready again after at most {max(back):.2f} s; the cell was "
        f"answered at most {max(told):.2f} s later."
    )
