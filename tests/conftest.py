"""What the tests share. They run in the environment that `cargo xtask setup` made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jupyter_client.kernelspec import KernelSpecManager

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ["evcxr", "googlenet"]
DRIVERS = ["bench-train", "parity", "spread", "torchvision"]

# cargo gives these to the programs it runs, so that a test under `cargo xtask test` has them and
# one under plain pytest has not.
FROM_CARGO = ("LD_LIBRARY_PATH", "LIBTORCH")


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def cargo():
    """Runs cargo in the repository; fails with what it wrote."""

    def run(*arguments, timeout=900):
        done = subprocess.run(
            ["cargo", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"cargo {' '.join(arguments)} failed:\n{done.stdout}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def target():
    """The folder of the programs that cargo built for development."""
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return Path(json.loads(metadata.stdout)["target_directory"]) / "debug"


@pytest.fixture(scope="session")
def prefix():
    """The environment's folder."""
    return Path(sys.prefix)


@pytest.fixture
def kernelspec(prefix):
    """Reads the kernel.json of a kernel in this environment."""

    def read(name):
        return json.loads((prefix / f"share/jupyter/kernels/{name}/kernel.json").read_text())

    return read


@pytest.fixture
def nothing_exported(monkeypatch):
    """An environment as in a fresh terminal: nothing says where libtorch or cargo is."""
    for name in FROM_CARGO:
        monkeypatch.delenv(name, raising=False)
    folders = os.environ["PATH"].split(os.pathsep)
    without_cargo = [folder for folder in folders if not (Path(folder) / "cargo").is_file()]
    monkeypatch.setenv("PATH", os.pathsep.join(without_cargo))


@pytest.fixture(scope="session")
def prepared(rust_live):
    """The library is compiled: no test waits for it."""
    subprocess.run([rust_live, "prepare", "--name", "googlenet"], check=True, timeout=900)


@pytest.fixture(scope="session")
def build_directory(tmp_path_factory):
    """A folder for evcxr_jupyter to build in, as a reader may give it by EVCXR_TMPDIR.

    By default it has a new one for every kernel, and builds tch and the library anew: minutes.
    """
    return tmp_path_factory.mktemp("evcxr")


@pytest.fixture(scope="session")
def programs(cargo, target):
    """Builds the library's examples and the programs of bench/; the folder that they lie in."""
    # Of the whole workspace: its features are those that `cargo test` has built.
    drivers = (part for name in DRIVERS for part in ("--bin", name))
    cargo("build", "--workspace", "--examples", *drivers)
    return target


def run_program(program, *arguments):
    """Raises CalledProcessError where it fails."""
    return subprocess.run(
        [program, *map(str, arguments)], check=True, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="session")
def example(programs):
    """Runs an example of the library."""
    return lambda name, *arguments: run_program(programs / "examples" / name, *arguments)


@pytest.fixture(scope="session")
def driver(programs):
    """Runs a program of bench/."""
    return lambda name, *arguments: run_program(programs / name, *arguments)


@pytest.fixture(scope="session")
def rust_live():
    """The installed program, as Jupyter starts it."""
    return Path(KernelSpecManager().get_kernel_spec("googlenet").argv[0])


@pytest.fixture(scope="session")
def put_kernel(rust_live):
    """Puts the kernel's programs into a folder, as an installation does; the kernel's own there."""

    def put(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("rust-live", "rust-live-analysis"):
            os.link(rust_live.with_name(name), folder / name)
        return folder / "rust-live"

    return put


@pytest.fixture(scope="module")
def own_state(tmp_path_factory):
    """The kernels of a test keep no history among the person's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv("RUST_BACKTRACE", raising=False)
        yield


@pytest.fixture(scope="module")
def plain(rust_live, tmp_path_factory, own_state):
    """The name of a kernel that starts without the library, for what has nothing to do with it."""
    prefix = tmp_path_factory.mktemp("plain")
    subprocess.run(
        [rust_live, "install", "--prefix", prefix, "--name", "plain"], check=True, timeout=60
    )
    with pytest.MonkeyPatch.context() as patch:
        before = [path] if (path := os.environ.get("JUPYTER_PATH")) else []
        patch.setenv("JUPYTER_PATH", os.pathsep.join([str(prefix / "share/jupyter"), *before]))
        yield "plain"


@pytest.fixture(scope="session")
def drawn_cifar10(tmp_path_factory):
    """A directory in CIFAR-10's layout: random pixels, each class brighter than the last."""
    folder = tmp_path_factory.mktemp("drawn")
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        records = rng.integers(0, 128, (10_000, 3073), dtype=np.uint8)
        records[:, 0] = rng.integers(0, 10, len(records))
        records[:, 1:] += 12 * records[:, :1]
        records.tofile(folder / name)
    return folder
