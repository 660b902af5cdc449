"""Checks a lab from inside its container, as the person in it: nobody gets in without the token,
and a notebook runs from top to bottom through the REST and WebSocket interfaces of the server.

    python /lab/docker/check.py NOTEBOOK [KERNEL]
"""

import json
import os
import socket
import sys
import time
import uuid

import nbformat
import requests
import websocket
from jupyter_server.serverapp import list_running_servers

TIMEOUT = 600


def refuses(address, headers):
    """Neither the files nor a kernel are to be had."""
    files = requests.get(f"{address}/contents", headers=headers, timeout=10)
    kernel = requests.post(f"{address}/kernels", headers=headers, json={}, timeout=10)
    assert (files.status_code, kernel.status_code) == (403, 403), f"{headers}: {files}, {kernel}"


def refuses_channels(kernel):
    """Nobody else talks to a running kernel."""
    try:
        websocket.create_connection(kernel.channels, timeout=10)
    except websocket.WebSocketBadStatusException as refusal:
        assert refusal.status_code == 403, refusal
    else:
        raise AssertionError("a WebSocket was opened without a token")


def cells(notebook):
    """Name and code of every cell that runs."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code" and cell.source.strip():
            yield cell.id, cell.source


class Kernel:
    """A running kernel at the other end of a WebSocket."""

    def __init__(self, address, headers, name, notebook, limit=TIMEOUT):
        body = {"name": name, "path": notebook}
        self.session = uuid.uuid4().hex
        self.headers = headers
        made = requests.post(f"{address}/kernels", headers=headers, json=body, timeout=60)
        made.raise_for_status()
        self.address = f"{address}/kernels/{made.json()['id']}"
        self.channels = self.address.replace("http", "ws", 1) + "/channels"
        self.socket = websocket.create_connection(self.channels, header=headers, timeout=limit)

    def run(self, code):
        """Runs a cell; returns what went wrong, or None."""
        reply = self.ask("execute_request", {"code": code, "silent": False})
        return None if reply["status"] == "ok" else f"{reply['ename']}: {reply['evalue']}"

    def ask(self, kind, content):
        """Sends a request; returns the reply once all that belongs to it has come.

        Of an error, evcxr_jupyter's reply has the status alone: the rest is taken from its message.
        """
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "session": self.session,
            "username": "check",
            "version": "5.3",
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self.socket.send(json.dumps(message | {"channel": "shell", "buffers": []}))
        reply, error, idle = None, {}, False
        while reply is None or not idle:
            answer = json.loads(self.socket.recv())
            if answer["parent_header"].get("msg_id") != header["msg_id"]:
                continue
            if answer["channel"] == "shell":
                reply = answer["content"]
            if answer["header"]["msg_type"] == "error":
                error = answer["content"]
            idle |= answer["content"].get("execution_state") == "idle"
        return error | reply

    def end(self):
        self.socket.close()
        requests.delete(self.address, headers=self.headers, timeout=60).raise_for_status()


def main():
    notebook, kernel_name = [*sys.argv[1:], "googlenet"][:2]
    (server,) = list_running_servers()
    address = f"http://127.0.0.1:{server['port']}{server['base_url']}api"
    assert server["token"], "the server has no token"
    assert os.getuid() != 0, "the person in the container is root"
    refuses(address, {})
    refuses(address, {"Authorization": "token wrong"})
    networks = ", ".join(name for _, name in socket.if_nameindex())
    print(f"user {os.getuid()}, networks: {networks}; refused without a token and with a wrong one")

    began = time.monotonic()

    def tell(what):
        print(f"{time.monotonic() - began:7.2f} s  {what}", flush=True)

    kernel = Kernel(address, {"Authorization": f"token {server['token']}"}, kernel_name, notebook)
    kernel.ask("kernel_info_request", {})
    tell(f"the kernel {kernel_name} answers")
    refuses_channels(kernel)
    for cell, code in cells(notebook):
        problem = kernel.run(code)
        assert problem is None, f"cell {cell}: {problem}"
        tell(f"cell {cell}")
    kernel.end()


if __name__ == "__main__":
    main()
