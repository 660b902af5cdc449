"""A running JupyterLab, started as a person starts it."""

import os
import re
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Lab:
    def __init__(self, port, process, log):
        self.port = port
        self.process = process
        self.log = log

    def get(self, path, token=None):
        headers = {"Authorization": f"token {token}"} if token else {}
        address = f"http://127.0.0.1:{self.port}{path}"
        with urlopen(Request(address, headers=headers), timeout=10) as answer:
            return answer.read().decode()

    def token(self):
        """Waits until JupyterLab has told its address and answers there."""
        for _ in range(240):
            text = self.log.read_text()
            found = re.search(rf"http://127\.0\.0\.1:{self.port}/lab\?token=(\w+)", text)
            if found:
                try:
                    self.get("/api", found[1])
                    return found[1]
                except URLError:
                    pass
            assert self.process.poll() is None, f"it ended:\n{text}"
            time.sleep(0.5)
        pytest.fail(f"no answer:\n{self.log.read_text()}")

    def end(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)


@contextmanager
def running_lab(root, folder, **variables):
    """`cargo xtask lab` with no configuration of the person's own, and nothing left in their home
    directory; stopped at the end."""
    port = free_port()
    private = {
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_RUNTIME_DIR": folder / "run",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
    }
    environment = {name: value for name, value in os.environ.items() if name != "JUPYTER_TOKEN"}
    environment |= {name: str(value) for name, value in (private | variables).items()}
    log = folder / "lab.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["cargo", "xtask", "lab", "--no-browser", "--port", str(port)],
            cwd=root,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    lab = Lab(port, process, log)
    try:
        yield lab
    finally:
        if process.poll() is None:
            try:
                lab.end()
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)
