"""What several tests need: the repository, cargo, the environment's kernels."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def cargo():
    """Runs cargo in the repository; a failure raises with its output."""

    def run(*args, **options):
        return subprocess.run(
            ["cargo", *args], cwd=ROOT, check=True, capture_output=True, text=True, **options
        )

    return run


@pytest.fixture(scope="session")
def bare_environment():
    """This process's environment without anything that tells where libtorch is."""
    names = ("LIBTORCH", "LD_LIBRARY_PATH")
    return {name: value for name, value in os.environ.items() if name not in names}


@pytest.fixture(scope="session")
def kernelspec():
    """The kernel.json of a kernel of this environment."""

    def read(name):
        file = pathlib.Path(sys.prefix, "share/jupyter/kernels", name, "kernel.json")
        return json.loads(file.read_text())

    return read
