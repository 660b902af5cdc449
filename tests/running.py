"""A running kernel, as a front end sees it."""

import os
import re
import time
from contextlib import contextmanager
from pathlib import Path
from queue import Empty

import psutil
from jupyter_client.manager import KernelManager

NAME = "googlenet"
COLOUR = re.compile("\x1b\\[[0-9;]*m")


def without_colours(lines):
    """Lines as one text."""
    return COLOUR.sub("", "\n".join(lines))


class Cell:
    """What came of a cell: the reply, and all messages in order."""

    def __init__(self, reply, messages):
        self.reply = reply["content"]
        self.messages = messages

    @property
    def status(self):
        return self.reply["status"]

    def of(self, *kinds):
        return [message["content"] for message in self.messages if message["msg_type"] in kinds]

    def text(self, name="stdout"):
        return "".join(c["text"] for c in self.of("stream") if c["name"] == name)

    @property
    def result(self):
        results = self.of("execute_result")
        assert len(results) == 1, f"{len(results)} results; {self.reply}, {self.kinds}"
        return results[0]["data"].get("text/plain")

    @property
    def error(self):
        (content,) = self.of("error")
        return content

    @property
    def kinds(self):
        return [m["msg_type"] for m in self.messages if m["msg_type"] != "status"]


class Kernel:
    def __init__(self, manager, client):
        self.manager = manager
        self.client = client
        # Messages that belong to another cell than the one that was waited for.
        self.others = []

    @property
    def process(self):
        return psutil.Process(self.manager.provisioner.process.pid)

    def cells(self):
        """The process that runs the cells; None while there is none."""
        mine = self.process
        for child in mine.children(recursive=True):
            try:
                if child.exe() == mine.exe():
                    return child
            except psutil.Error:
                continue
        return None

    def folder(self):
        """The directory of this session: the kernel holds the lock beside it."""
        files = (Path(file.path) for file in self.process.open_files())
        (lock,) = (file for file in files if file.suffix == ".lock")
        return lock.with_suffix("")

    def send(self, code, **options):
        return self.client.execute(code, **options)

    def next(self, channel, message_id, timeout):
        """The next message that belongs to this one; None where there is none within the time."""
        for number, (place, message) in enumerate(self.others):
            if place == channel and message["parent_header"].get("msg_id") == message_id:
                del self.others[number]
                return message
        try:
            message = getattr(self.client, f"get_{channel}_msg")(timeout=timeout)
        except Empty:
            return None
        if message["parent_header"].get("msg_id") == message_id:
            return message
        self.others.append((channel, message))
        return None

    def answer(self, message_id, timeout=60, watch=None):
        """Waits for the reply to a cell and for the idle status that ends its output."""
        messages, reply, idle = [], None, False
        end = time.monotonic() + timeout
        while reply is None or not idle:
            left = end - time.monotonic()
            assert left > 0, (
                f"no end within {timeout} s; so far {[m['msg_type'] for m in messages]}"
            )
            message = self.next("iopub", message_id, 0.05)
            if message:
                messages.append(message)
                idle |= message["content"].get("execution_state") == "idle"
                if watch:
                    watch(message)
            reply = reply or self.next("shell", message_id, 0)
        return Cell(reply, messages)

    def run(self, code, timeout=60, watch=None, **options):
        return self.answer(self.send(code, **options), timeout, watch)

    def request(self, kind, content, channel="shell"):
        message = self.client.session.msg(kind, content)
        getattr(self.client, f"{channel}_channel").send(message)
        return message["header"]["msg_id"]

    def reply(self, message_id, timeout=30):
        end = time.monotonic() + timeout
        while True:
            reply = self.client.get_shell_msg(timeout=end - time.monotonic())
            if reply["parent_header"].get("msg_id") == message_id:
                return reply["content"]

    def interrupt(self):
        self.request("interrupt_request", {}, "control")
        return time.monotonic()


@contextmanager
def running(name=NAME, env=None, **options):
    """Starts a kernel; stops it at the end."""
    manager = KernelManager(kernel_name=name)
    manager.start_kernel(env={**os.environ, **(env or {})}, **options)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        if manager.has_kernel:
            manager.shutdown_kernel(now=False)
        manager.cleanup_resources()
