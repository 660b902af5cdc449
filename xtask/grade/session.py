"""A session of the kernel that runs what students wrote, and what it may use."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty

import psutil
import zmq
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).resolve().parent.parent.parent
CONTAIN = Path(__file__).with_name("contain.py")
NOTEBOOKS = ROOT / "notebooks"
COLOUR = re.compile("\x1b\\[[0-9;]*m")
# Sockets of a kernel.
SOCKETS = 5
PROCESSES = 200
# What a cell may write, in characters, and the largest message of it, in bytes.
OUTPUT = 1_000_000
LARGEST_MESSAGE = 64_000_000


# Sessions that have not ended.
LIVING = set()


class NoSession(Exception):
    """A kernel that does not start on this machine."""


class Lost(Exception):
    """The session is of no more use."""

    def __init__(self, why, timed_out=False):
        super().__init__(why)
        self.timed_out = timed_out


@dataclass
class Said:
    """What came of a cell: what it wrote, and what was wrong with it."""

    output: str
    error: str = ""


@dataclass(frozen=True)
class Means:
    """What a session is given."""

    kernel: str
    # In bytes.
    memory: int
    contained: bool
    # Threads of libtorch.
    threads: int
    # Files that nobody's cells may read.
    hidden: tuple[str, ...] = ()


def homes():
    """Where compilers and compiled crates lie; they stay there when HOME is another one."""
    home = Path.home()
    places = {
        "XDG_CACHE_HOME": home / ("Library/Caches" if sys.platform == "darwin" else ".cache"),
        "CARGO_HOME": home / ".cargo",
        "RUSTUP_HOME": home / ".rustup",
    }
    return {name: os.environ.get(name) or str(place) for name, place in places.items()}


def environment(private, threads):
    """The variables of a session whose own files lie in the folder `private`."""
    # Every student has the same data: Shapes10, which the lessons draw.
    own = {name: value for name, value in os.environ.items() if name != "CIFAR10_DIR"}
    places = {
        "HOME": f"{private}/home",
        "TMPDIR": private,
        "XDG_STATE_HOME": f"{private}/state",
        "XDG_CONFIG_HOME": f"{private}/config",
        "XDG_DATA_HOME": f"{private}/data",
        "XDG_RUNTIME_DIR": private,
        "GOOGLENET_CACHE_DIR": f"{private}/data",
    }
    budget = {"GOOGLENET_LESSON_BUDGET": "grade", "OMP_NUM_THREADS": str(threads)}
    return {**own, **homes(), **places, **budget, "CARGO_NET_OFFLINE": "true"}


def plan(folder, hidden=()):
    """What `contain.py` is to do for a session whose sockets lie in `folder`."""
    kept = [ROOT, sys.prefix, sys.base_prefix, *homes().values(), sys.executable]
    fresh = [str(NOTEBOOKS), str(ROOT / "runs")]
    return {
        "fresh": fresh,
        "filled": fresh[:1],
        "hidden": list(hidden),
        "kept": [str(path) for path in kept if os.path.exists(path)],
        "meeting": str(folder / "s"),
        "sockets": SOCKETS,
    }


def containment(folder, hidden=()):
    """The beginning of a command that is contained."""
    (ROOT / "runs").mkdir(exist_ok=True)
    file = folder / "plan.json"
    file.write_text(json.dumps(plan(folder, hidden)), encoding="utf-8")
    return [sys.executable, str(CONTAIN), str(file)]


def why_not_contained():
    """Why programs cannot be contained on this machine; None where they can."""
    with tempfile.TemporaryDirectory(prefix="grade-") as folder:
        command = [*containment(Path(folder)), "true"]
        done = subprocess.run(command, cwd=NOTEBOOKS, capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stderr.strip() or f"status {done.returncode}")


class Session:
    def __init__(self, means):
        self.means = means
        self.folder = Path(tempfile.mkdtemp(prefix="grade-"))
        # What the kernel itself says; a folder that is to be read-only can hold no open file.
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self.manager = self.client = None
        LIVING.add(self)
        try:
            self.begin()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def begin(self):
        context = zmq.Context()
        context.maxmsgsize = LARGEST_MESSAGE
        # Sockets in a folder, not ports: a contained kernel reaches no network.
        self.manager = KernelManager(
            kernel_name=self.means.kernel,
            transport="ipc",
            ip=str(self.folder / "s"),
            connection_file=str(self.folder / "connection.json"),
            context=context,
        )
        argv = self.manager.kernel_spec.argv
        if self.means.contained:
            private, where = "/tmp", NOTEBOOKS
            self.manager.kernel_spec.argv = [*containment(self.folder, self.means.hidden), *argv]
        else:
            private, where = str(self.folder), copied(self.folder)
        self.manager.start_kernel(
            env=environment(private, self.means.threads),
            cwd=str(where),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=60)
        except RuntimeError as error:
            self.log.seek(0)
            words = self.log.read(2000).decode(errors="replace").strip()
            raise NoSession(f"the kernel does not start: {words or error}") from error

    def close(self):
        if self.client:
            self.client.stop_channels()
        if self.manager and self.manager.has_kernel:
            self.kill()
            self.manager.shutdown_kernel(now=True)
        if self.manager:
            self.manager.cleanup_resources()
            self.manager.context.destroy(linger=0)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        LIVING.discard(self)

    def kill(self):
        """All processes: what is not contained would go on."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def processes(self):
        """The kernel and what it has started."""
        if not (self.manager and self.manager.has_kernel):
            return []
        try:
            first = psutil.Process(self.manager.provisioner.process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def watch(self):
        """Looks whether the session is there and uses no more than it may."""
        processes = self.processes()
        if not processes or not self.manager.is_alive():
            raise Lost("the kernel has ended")
        if len(processes) > PROCESSES:
            raise Lost(f"more than {PROCESSES} processes")
        used = 0
        for process in processes:
            try:
                used += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        if used > self.means.memory:
            raise Lost(f"too much memory: more than {self.means.memory / 1e9:g} GB")

    def run(self, code, seconds):
        """Runs a cell; raises `Lost` where it ends the session, or does not end."""
        request = self.client.execute(code, allow_stdin=False, stop_on_error=False)
        end = time.monotonic() + seconds
        said, reply, idle, written = [], None, False, 0
        while reply is None or not idle:
            if time.monotonic() > end:
                raise Lost(f"no end within {seconds:.0f} s", timed_out=True)
            self.watch()
            for message in self.messages(request):
                content = message["content"]
                if message["msg_type"] == "execute_reply":
                    reply = content
                elif content.get("execution_state") == "idle":
                    idle = True
                elif message["msg_type"] == "stream":
                    written += len(content["text"])
                    if content["name"] == "stdout":
                        said.append(content["text"])
            if written > OUTPUT:
                raise Lost(f"more than {OUTPUT} characters of output")
        output = COLOUR.sub("", "".join(said))
        if reply["status"] == "ok":
            return Said(output)
        error = COLOUR.sub("", f"{reply['ename']}: {reply['evalue']}")
        if reply["ename"] == "process ended":
            raise Lost(error)
        return Said(output, error)

    def messages(self, request):
        """What has come for this cell, in a tenth of a second."""
        end = time.monotonic() + 0.1
        for receive in (self.client.get_iopub_msg, self.client.get_shell_msg):
            wait = 0.1 if receive == self.client.get_iopub_msg else 0
            while True:
                try:
                    message = receive(timeout=wait)
                except Empty:
                    break
                if message["parent_header"].get("msg_id") == request:
                    yield message
                wait = max(0, min(wait, end - time.monotonic()))
                if time.monotonic() > end:
                    break


def end_all():
    """Leaves nothing behind where this program ends before its sessions."""
    for session in list(LIVING):
        session.kill()
        shutil.rmtree(session.folder, ignore_errors=True)


def copied(folder):
    """A copy of what cells see beside them, for sessions that are not contained."""
    here = folder / "notebooks"
    shutil.copytree(NOTEBOOKS, here, ignore=shutil.ignore_patterns(".*"))
    for name in ("googlenet-lib", "crates", "docs"):
        (folder / name).symlink_to(ROOT / name)
    return here
