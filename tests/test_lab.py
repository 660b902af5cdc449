"""`cargo xtask lab`: JupyterLab answers on this machine alone, and only to its token."""

import contextlib
import json
import socket
import subprocess
from urllib.error import HTTPError, URLError

import psutil
import pytest
from lab import running_lab


@pytest.fixture
def lab(root, tmp_path):
    with running_lab(root, tmp_path) as lab:
        yield lab


def test_it_answers_to_its_token_alone(lab):
    token = lab.token()
    assert len(token) >= 32
    specs = json.loads(lab.get("/api/kernelspecs", token))["kernelspecs"]
    assert {"evcxr", "googlenet"} <= specs.keys()
    files = json.loads(lab.get("/api/contents", token))["content"]
    assert "hello.ipynb" in [file["name"] for file in files]
    for wrong in (None, "0" * len(token)):
        with pytest.raises(HTTPError) as refused:
            lab.get("/api/kernelspecs", wrong)
        assert refused.value.code == 403


def test_it_listens_on_this_machine_alone_and_ends_when_told(lab):
    lab.token()
    pid = lab.process.pid
    listening = set()
    for member in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        # One that was asked something by the lab may have ended since.
        with contextlib.suppress(psutil.NoSuchProcess):
            listening |= {
                connection.laddr.ip
                for connection in member.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == lab.port
            }
    assert listening == {"127.0.0.1"}
    lab.end()
    with pytest.raises(URLError):
        lab.get("/api")


def test_a_port_in_use_is_an_error_and_not_another_port(root):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            ["cargo", "xtask", "lab", "--no-browser", "--port", str(port)],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
    assert done.returncode != 0
    assert f"port {port} is already in use" in done.stdout
