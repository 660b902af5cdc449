"""Removes from cargo's home what no cell on this system reads of the packages in it.

    python docker/fewer_crates.py MANIFEST...

`cargo metadata` reads the manifests of all packages that a lock file names, whatever system they
are for, and where there is no network it fails without them. Of packages for other systems than
this one, which no MANIFEST needs here, the manifest stays, and the file by which cargo knows that
there is a library.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

KEPT = {"Cargo.toml", ".cargo-ok", "src/lib.rs"}
# PyTorch's declarations, of which the authors of tch make a part of it: 88 MB that no build reads.
UNREAD = ["tch-*/third_party"]


def host():
    about = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    lines = (line.split(": ", 1) for line in about.splitlines() if ": " in line)
    return dict(lines)["host"]


def packages(manifest, system):
    """Where the sources of all packages lie that a manifest needs on a system."""
    command = ["cargo", "metadata", "--format-version", "1", "--offline", "--filter-platform"]
    command += [system, "--manifest-path", manifest]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)["packages"]
    return {Path(package["manifest_path"]).parent for package in found}


def remove(folder, kept=()):
    """Removes the files in a folder but some, and folders that are empty then."""
    for entry in sorted(folder.rglob("*"), reverse=True):
        if entry.is_dir() and not entry.is_symlink():
            if not any(entry.iterdir()):
                entry.rmdir()
        elif entry.relative_to(folder).as_posix() not in kept:
            entry.unlink()


def main(manifests):
    sources = Path(os.environ["CARGO_HOME"]) / "registry/src"
    system = host()
    here = set().union(*(packages(manifest, system) for manifest in manifests))
    for package in sources.glob("*/*"):
        if package not in here:
            remove(package, KEPT)
    for pattern in UNREAD:
        for folder in sources.glob(f"*/{pattern}"):
            remove(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
