"""Makes of an environment's PyTorch a libtorch for a CPU alone: all that cells in Rust need of it.

    python docker/cpu_only.py

Runs in that environment. CUDA goes, and the half of PyTorch that is Python: from PyPI's package it
cannot be had without CUDA. What is left is a tenth of the whole.
"""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

# Of the package's lib/; libgomp is the OpenMP that libtorch_cpu was made with.
KEPT = ("libtorch_cpu.so", "libc10.so", "libgomp.so.1")
# Of the package: what compiles and links against libtorch reads it.
FOLDERS = ("lib", "include", "share")
WORDS = """raise ImportError(
    "this image has libtorch for cells in Rust, without PyTorch for Python: "
    "use the image with CUDA, or an environment of your own"
)
"""


def needed(library):
    """The libraries that one names."""
    command = ["readelf", "--dynamic", "--wide", library]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.+)\]", listed)


def main():
    torch = Path(importlib.util.find_spec("torch").submodule_search_locations[0])
    lib, packages = torch / "lib", torch.parent
    # libtorch_cpu of a package with CUDA does not start without CUDA's runtime, which is small.
    # Where there is no GPU it is never called.
    names = {name for kept in KEPT for name in needed(lib / kept)}
    runtime = [file for file in packages.glob("nvidia/**/lib/*.so*") if file.name in names]
    for file in runtime:
        shutil.copy(file, lib / file.name)
    kept = {*KEPT, *(file.name for file in runtime)}
    for file in lib.iterdir():
        if file.name not in kept:
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    # In every package of PyTorch this one is empty and names the others.
    link = [
        "cc",
        "-shared",
        "-o",
        lib / "libtorch.so",
        "-Wl,--no-as-needed,-rpath,$ORIGIN",
        f"-L{lib}",
    ]
    subprocess.run([*link, "-ltorch_cpu", "-lc10"], check=True)
    # A fifth of it is names that no program asks for.
    subprocess.run(["strip", "--strip-unneeded", lib / "libtorch_cpu.so"], check=True)
    for entry in torch.iterdir():
        if entry.name not in FOLDERS:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    (torch / "__init__.py").write_text(WORDS)
    for name in ("nvidia", "triton", "cuda", "torchvision", "torchgen", "functorch"):
        shutil.rmtree(packages / name, ignore_errors=True)


if __name__ == "__main__":
    main()
