"""`cargo xtask lab`: JupyterLab answers on this machine alone, and only to its token."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import psutil
import pytest


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def lab(root, tmp_path):
    """A JupyterLab of our own; gives its port, its process and what it has written so far."""
    port = free_port()
    log = tmp_path / "lab.log"
    # No configuration of the person's own, and nothing left in their home directory.
    private = {"JUPYTER_CONFIG_DIR": tmp_path / "config", "JUPYTER_RUNTIME_DIR": tmp_path / "run"}
    environment = {name: value for name, value in os.environ.items() if name != "JUPYTER_TOKEN"}
    environment |= {name: str(folder) for name, folder in private.items()}
    with log.open("w") as output:
        process = subprocess.Popen(
            ["cargo", "xtask", "lab", "--no-browser", "--port", str(port)],
            cwd=root,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield port, process, log.read_text
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def get(port, path, token=None):
    headers = {"Authorization": f"token {token}"} if token else {}
    with urlopen(Request(f"http://127.0.0.1:{port}{path}", headers=headers), timeout=10) as answer:
        return answer.read().decode()


def token_of(port, process, text):
    """Waits until JupyterLab has told its address and answers there."""
    for _ in range(240):
        found = re.search(rf"http://127\.0\.0\.1:{port}/lab\?token=(\w+)", text())
        if found:
            try:
                get(port, "/api", found[1])
                return found[1]
            except URLError:
                pass
        assert process.poll() is None, f"it ended:\n{text()}"
        time.sleep(0.5)
    pytest.fail(f"no answer:\n{text()}")


def test_it_answers_to_its_token_alone(lab):
    port, process, text = lab
    token = token_of(port, process, text)
    assert len(token) >= 32
    specs = json.loads(get(port, "/api/kernelspecs", token))["kernelspecs"]
    assert {"evcxr", "googlenet"} <= specs.keys()
    files = json.loads(get(port, "/api/contents", token))["content"]
    assert "hello.ipynb" in [file["name"] for file in files]
    for wrong in (None, "0" * len(token)):
        with pytest.raises(HTTPError) as refused:
            get(port, "/api/kernelspecs", wrong)
        assert refused.value.code == 403


def test_it_listens_on_this_machine_alone_and_ends_when_told(lab):
    port, process, text = lab
    token_of(port, process, text)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    listening = {
        connection.laddr.ip
        for member in family
        for connection in member.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    assert listening == {"127.0.0.1"}
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(20)
    with pytest.raises(URLError):
        get(port, "/api")


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
