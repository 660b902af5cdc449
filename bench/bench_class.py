"""`cargo xtask bench class`: students at one JupyterHub on this machine, all at once.

Each starts a lab through the hub, a kernel in it, and runs lesson 1 from top to bottom without a
pause for reading: no class is as hasty. The hub starts the labs as plain processes. Writes
docs/results/class.md and class.png; nothing else should run meanwhile.
"""

import argparse
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "target" / "class"
PACKAGES = ROOT / "bench" / "bench_class.txt"
PROXY = "configurable-http-proxy@5.3.0"
REPORT = ROOT / "docs" / "results" / "class.md"
LESSON = "01-bottleneck-arithmetic.ipynb"
KERNELS = {"googlenet": "this kernel", "evcxr": "evcxr_jupyter"}
# From the start of a lab until it answers, and between two looks at the memory.
START_LIMIT = 120
SAMPLE_EVERY = 5

CONFIG = """
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.db_url = "sqlite:///{folder}/jupyterhub.sqlite"
c.JupyterHub.authenticator_class = "null"
c.ConfigurableHTTPProxy.command = "{proxy}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/{{username}}"
c.Spawner.cmd = ["{python}", "-m", "jupyterhub.singleuser"]
c.Spawner.args = {arguments}
c.Spawner.env_keep = {kept}
c.Spawner.environment = {environment} | {{
    # Evcxr compiles there.
    "TMPDIR": lambda spawner: f"{folder}/{{spawner.user.name}}/tmp"
}}
c.Spawner.start_timeout = c.Spawner.http_timeout = {limit}
c.JupyterHub.services = [{{"name": "class", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [
    {{
        "name": "class",
        "services": ["class"],
        "scopes": ["admin:users", "admin:servers", "access:servers"],
    }}
]
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    # Each of these compiles the library.
    parser.add_argument("--evcxr", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--limit", type=int, default=1800, help="seconds that one cell may take")
    parser.add_argument("--lab", type=Path, default=Path(sys.prefix), help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, default=REPORT)
    return parser.parse_args()


def enter_environment(options):
    """Goes on in an environment that has JupyterHub, which is made where it is not."""
    python = FOLDER / "bin" / "python"
    stamp = FOLDER / "bench_class.txt"
    if not stamp.exists() or stamp.read_text() != PACKAGES.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", PACKAGES], check=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", FOLDER, PROXY], check=True)
        stamp.write_text(PACKAGES.read_text())
    if Path(sys.prefix) != FOLDER:
        os.execv(python, [python, __file__, *sys.argv[1:], "--lab", options.lab])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def hub(folder, lab):
    """A running JupyterHub: its process, its address and a token that may do everything in it."""
    token, port = secrets.token_hex(16), free_port()
    environment = {
        # The lab's kernels, and the store of compiled crates.
        "JUPYTER_PATH": str(lab / "share" / "jupyter"),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        "CARGO_HOME": os.environ.get("CARGO_HOME", str(Path.home() / ".cargo")),
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
        "OMP_NUM_THREADS": "1",
    }
    config = folder / "jupyterhub_config.py"
    config.write_text(
        CONFIG.format(
            port=port,
            hub_port=free_port(),
            proxy_port=free_port(),
            folder=folder,
            proxy=FOLDER / "node_modules/.bin/configurable-http-proxy",
            python=sys.executable,
            arguments=["--allow-root"] if os.geteuid() == 0 else [],
            kept=["PATH", "LANG", "LC_ALL"],
            environment=json.dumps(environment),
            limit=START_LIMIT,
            token=token,
        )
    )
    with (folder / "hub.log").open("w") as log:
        command = [sys.executable, "-m", "jupyterhub", "--config", config]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield process, f"http://127.0.0.1:{port}", {"Authorization": f"token {token}"}
    finally:
        # It ends the labs first.
        process.terminate()
        process.wait(START_LIMIT)


class Student:
    """One student, from the click that starts a lab to the end of the lesson."""

    def __init__(self, number, hub, kernel, limit):
        self.name = f"student-{number:02}"
        self.process, self.hub, self.headers = hub
        self.kernel, self.limit = kernel, limit
        self.times = {}
        self.problem = None
        self.memory = self.disk = 0

    def study(self, folder):
        began = time.monotonic()

        def done(what):
            self.times[what] = time.monotonic() - began

        try:
            self.start_lab()
            done("lab")
            kernel = self.start_kernel(folder)
            done("kernel")
            for number, (cell, code) in enumerate(cells(ROOT / "notebooks" / LESSON)):
                if problem := kernel.run(code):
                    raise RuntimeError(f"cell {cell}: {problem}")
                if number < 2:
                    done(["load", "result"][number])
            done("lesson")
            self.memory, self.disk = proportional(self.family()), unshared(*self.folders(folder))
            kernel.end()
        # Whatever goes wrong for one student is counted, and the others go on.
        except Exception as error:
            self.problem = f"{self.name}: {type(error).__name__}: {error}"
        return self

    def start_lab(self):
        address = f"{self.hub}/hub/api/users/{self.name}"
        requests.post(address, headers=self.headers, timeout=60).raise_for_status()
        requests.post(f"{address}/server", headers=self.headers, timeout=60).raise_for_status()
        end = time.monotonic() + START_LIMIT
        while not requests.get(address, headers=self.headers, timeout=60).json()["server"]:
            if time.monotonic() > end:
                raise TimeoutError(f"no lab after {START_LIMIT} s")
            time.sleep(0.2)

    def start_kernel(self, folder):
        """In a folder of the student's own beside the library, as the lesson names it."""
        own = folder / self.name
        (own / "notebooks").mkdir()
        (own / "googlenet-lib").symlink_to(ROOT / "googlenet-lib")
        address = f"{self.hub}/user/{self.name}/api"
        name = f"notebooks/{LESSON}"
        kernel = Kernel(address, self.headers, self.kernel, name, self.limit)
        kernel.ask("kernel_info_request", {})
        return kernel

    def family(self):
        """The student's lab with all that it has started."""
        for child in psutil.Process(self.process.pid).children():
            if child.environ().get("JUPYTERHUB_USER") == self.name:
                return [child, *child.children(recursive=True)]
        raise RuntimeError(f"{self.name} has no process")

    def folders(self, folder):
        """Where the student's processes write: the home directory, and the kernel's session."""
        found = {folder / self.name}
        for process in self.family():
            for file in process.open_files():
                path = Path(file.path)
                if path.parent.name == "sessions" and path.suffix == ".lock":
                    found.add(path.with_suffix(""))
        return found


def proportional(processes):
    """Bytes of memory, where what several processes share is divided among them."""
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        # It has ended since it was listed.
        except psutil.NoSuchProcess:
            continue
    return total


class Memory(threading.Thread):
    """The most that all labs had at once."""

    def __init__(self, hub_process):
        super().__init__(daemon=True)
        self.hub, self.ended, self.most = psutil.Process(hub_process.pid), threading.Event(), 0

    def run(self):
        while not self.ended.wait(SAMPLE_EVERY):
            self.most = max(self.most, proportional(self.hub.children(recursive=True)))


def lesson(kernel, count, options):
    """All figures of a class of so many students."""
    with tempfile.TemporaryDirectory(prefix="class-") as name, hub(Path(name), options.lab) as it:
        folder = Path(name)
        wait_for_hub(*it, folder)
        memory = Memory(it[0])
        memory.start()
        students = [Student(number, it, kernel, options.limit) for number in range(count)]
        for student in students:
            (folder / student.name / "tmp").mkdir(parents=True)
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda student: student.study(folder), students))
        memory.ended.set()
    well = [student for student in students if student.problem is None]
    figures = {
        "kernel": kernel,
        "students": count,
        "most": memory.most,
        "problems": [student.problem for student in students if student.problem],
        "times": {
            what: [student.times[what] for student in well]
            for what in ("lab", "kernel", "load", "result", "lesson")
        },
        "memory": [student.memory for student in well],
        "disk": [student.disk for student in well],
    }
    print(json.dumps(figures), flush=True)
    return figures


def wait_for_hub(process, address, headers, folder):
    end = time.monotonic() + START_LIMIT
    while True:
        try:
            requests.get(f"{address}/hub/api", headers=headers, timeout=5).raise_for_status()
            return
        except requests.RequestException:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((folder / "hub.log").read_text()) from None
            time.sleep(0.5)


def seconds(values):
    if not values:
        return "-"
    return f"{statistics.median(values):.1f} ({max(values):.1f})"


def mebibytes(values):
    return f"{statistics.median(values) / 2**20:.0f}" if values else "-"


def write(runs, options):
    from bench_kernel import versions

    plot(runs, options.report.with_suffix(".png"))
    lines = [
        "# A class of students on one machine",
        "",
        f"Measured on {date.today()} by `cargo xtask bench class`.",
        "",
        f"- Machine: {machine()}",
        f"- Versions: {versions(options.lab)}, JupyterHub {jupyterhub.__version__}",
        "",
        "![Time to the first result against the number of students](class.png)",
        "",
        "| kernel | students | lab ready | kernel answers | library loaded | first result "
        "| lesson done | memory each | memory of all, most | disk each | failed |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in runs:
        times = " | ".join(seconds(values) for values in run["times"].values())
        lines.append(
            f"| {KERNELS[run['kernel']]} | {run['students']} | {times} "
            f"| {mebibytes(run['memory'])} | {mebibytes([run['most']])} "
            f"| {mebibytes(run['disk'])} | {len(run['problems'])} |"
        )
    lines += [
        "",
        "Seconds from the click that starts the lab: the median of the students, and the slowest "
        "in brackets. Students who failed are left out of them. All students begin at once, run "
        "lesson 1 without a pause, and have one thread each in libtorch. Memory in MiB, divided "
        "among the processes that share it: each at the end of the lesson, with JupyterLab's "
        "server, and the most that all together, the proxy with them, had at one look every "
        f"{SAMPLE_EVERY} s. Disk in MiB: the files that a student does not share with others by "
        "hard links. The hub starts labs as processes, not as containers.",
    ]
    problems = [f"- {problem}" for run in runs for problem in run["problems"]]
    if problems:
        lines += ["", "## What failed", "", *problems]
    options.report.write_text("\n".join(lines) + "\n")


def plot(runs, file):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for kernel in dict.fromkeys(run["kernel"] for run in runs):
        own = [run for run in runs if run["kernel"] == kernel and run["times"]["result"]]
        counts = [run["students"] for run in own]
        results = [run["times"]["result"] for run in own]
        (line,) = axes.plot(counts, [statistics.median(r) for r in results], marker="o")
        line.set_label(f"{KERNELS[kernel]}, median")
        slowest = [max(r) for r in results]
        axes.plot(counts, slowest, linestyle=":", marker="o", color=line.get_color())
    axes.set(xlabel="students at once", ylabel="seconds to the first result", ylim=(0, None))
    axes.set_title("From the click that starts the lab; dotted: the slowest student")
    axes.set_xticks(sorted({run["students"] for run in runs}))
    axes.legend()
    figure.savefig(file, dpi=150)


def main(options):
    classes = [("googlenet", count) for count in options.students]
    classes += [("evcxr", count) for count in options.evcxr]
    runs = []
    for kernel, count in classes:
        runs.append(lesson(kernel, count, options))
        # What was measured is kept, whatever becomes of the next class.
        write(runs, options)
    print(options.report.read_text())
    return 1 if any(run["problems"] for run in runs) else 0


if __name__ == "__main__":
    chosen = arguments()
    enter_environment(chosen)
    # From here on in the environment that has them.
    import jupyterhub
    import psutil
    import requests

    sys.path[:0] = [str(ROOT / "docker"), str(ROOT / "bench")]
    from check import Kernel, cells
    from machine import machine, unshared

    sys.exit(main(chosen))
