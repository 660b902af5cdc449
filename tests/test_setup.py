"""`cargo xtask setup` and `lab`: what they check, what they change, what they serve."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from conftest import ROOT

XTASK = ROOT / "target" / "debug" / "xtask"


def test_tch_and_pytorch_are_one_pair():
    """Named once each, and what torch-sys was written for is what requirements.txt installs."""
    cargo_toml = (ROOT / "Cargo.toml").read_text()
    tch = re.findall(r'^tch = "=(.+)"$', cargo_toml, re.MULTILINE)
    torch_sys = re.findall(r'^torch-sys = "=(.+)"$', cargo_toml, re.MULTILINE)
    assert len(tch) == 1
    assert tch == torch_sys
    pins = (ROOT / "requirements.txt").read_text()
    torch = re.findall(r"^torch==(\S+)$", pins, re.MULTILINE)
    assert len(torch) == 1
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--offline"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    packages = {package["name"]: package for package in json.loads(metadata)["packages"]}
    assert packages["torch-sys"]["version"] == torch_sys[0]
    build = pathlib.Path(packages["torch-sys"]["manifest_path"]).with_name("build.rs").read_text()
    assert re.findall(r'TORCH_VERSION: &str = "(.+)"', build) == torch
    for member in ("googlenet-lib", "kernel", "xtask"):
        manifest = (ROOT / member / "Cargo.toml").read_text()
        assert not re.search(r'"=?\d+\.\d+', manifest), f"{member} names a version of its own"


def snapshot():
    """Every file that setup makes, with its time of change."""
    prefix = pathlib.Path(sys.prefix)
    files = [ROOT / ".libtorch", prefix / "bin" / "googlenet-kernel", prefix / "bin/evcxr_jupyter"]
    files += (prefix / "share/jupyter/kernels").glob("*/kernel.json")
    files += (prefix / "lib").glob("python*/site-packages")
    return {str(file): file.lstat().st_mtime_ns for file in files}


@pytest.mark.timeout(120)
def test_a_second_setup_changes_nothing_and_is_quick(cargo):
    before = snapshot()
    assert len(before) >= 6
    began = time.monotonic()
    cargo("xtask", "setup")
    took = time.monotonic() - began
    assert snapshot() == before
    assert took < 5, f"the second setup took {took:.1f} s"


def xtask(tmp_path, programs, *args):
    """Runs xtask where PATH holds only these programs, and returns its error text."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in programs.items():
        if script is None:
            os.symlink(shutil.which(name), folder / name)
        else:
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
    names = ("CXX", "VIRTUAL_ENV", "CONDA_PREFIX")
    environment = {k: v for k, v in os.environ.items() if k not in names}
    environment["PATH"] = str(folder)
    done = subprocess.run([XTASK, *args], env=environment, capture_output=True, text=True)
    assert done.returncode != 0, done.stdout
    return done.stderr


@pytest.mark.parametrize(
    ("programs", "expected"),
    [
        ({}, "Rust 1.95 is needed, here is none"),
        ({"rustc": "echo rustc 1.80.0"}, "Rust 1.95 is needed, here is `rustc 1.80.0`"),
        ({"rustc": "echo rustc 1.95.0"}, "no C++ compiler: install one"),
    ],
)
def test_a_missing_prerequisite_is_one_clear_error(tmp_path, programs, expected):
    before = snapshot()
    error = xtask(tmp_path, programs, "setup")
    assert expected in error
    assert snapshot() == before


def test_bad_options_are_refused(tmp_path):
    assert "invalid value 'x'" in xtask(tmp_path, {}, "lab", "--port", "x")
    (tmp_path / "bin").rmdir()
    assert "invalid value 'nowhere'" in xtask(tmp_path, {}, "lab", "--ip", "nowhere")


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


@pytest.mark.timeout(180)
def test_lab_serves_jupyterlab_to_those_who_have_the_token(tmp_path):
    port = free_port()
    log = tmp_path / "log"
    with log.open("w") as sink:
        lab = subprocess.Popen(
            ["cargo", "xtask", "lab", "--no-browser", "--port", str(port)],
            cwd=ROOT,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        pattern = re.compile(rf"http://127\.0\.0\.1:{port}/lab\S*\?token=(\w+)")
        deadline = time.monotonic() + 120
        while not (match := pattern.search(log.read_text())):
            assert lab.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        base, token = f"http://127.0.0.1:{port}", match[1]
        assert len(token) >= 32
        status, text = get(f"{base}/api/kernelspecs?token={token}")
        assert status == 200
        assert {"evcxr", "googlenet"} <= set(json.loads(text)["kernelspecs"])
        status, text = get(f"{base}/api/contents?token={token}")
        assert status == 200
        assert "hello.ipynb" in {entry["name"] for entry in json.loads(text)["content"]}
        assert get(f"{base}/api/contents")[0] == 403
        assert get(f"{base}/api/contents?token=wrong")[0] == 403
        with socket.socket() as other:
            other.settimeout(2)
            # Loopback only: another address of this machine is not listened on.
            address = next(iter(set(own_addresses()) - {"127.0.0.1"}), None)
            if address is None:
                print("no other address here: loopback only is not checked")
            else:
                assert other.connect_ex((address, port)) != 0
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait(timeout=30)


def own_addresses():
    return {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
