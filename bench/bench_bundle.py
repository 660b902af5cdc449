"""`cargo xtask bench bundle OUT`: tests, benchmark and training for a machine without Rust.

OUT is a folder, or a .tar.gz of one. It runs where PyTorch of the version in requirements.txt is:
see `OUT/run --help`.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ("googlenet-lib", "charts", "devices", "fused-ops", "notebook", "vision-data")
# The library's side of the benchmark, and the example that trains.
PROGRAMS = ("bench-train", "train")
# What the benchmark's other sides are made of, and where they look for it.
SCRIPTS = ("train", "sides", "ceiling", "report", "profile")


def executables(command, profile):
    """Runs cargo; each of its messages that names a program, with the program's name and path."""
    # The build of `cargo test --workspace` is at hand in the dev profile; kernel and rust-analyzer
    # in another would take minutes.
    library = [part for name in (*LIBRARY, "bench") for part in ("--package", name)]
    whole = ["--workspace"] if profile == "dev" else library
    options = ["--profile", profile, "--message-format", "json-render-diagnostics"]
    done = subprocess.run(
        ["cargo", *command, *whole, *options], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    for message in map(json.loads, done.stdout.splitlines()):
        if message["reason"] == "compiler-artifact" and message["executable"]:
            yield message, message["target"]["name"], Path(message["executable"])


def compiled(profile):
    """The programs, and the tests of the library, by name."""
    named = ["--bin", PROGRAMS[0], "--example", PROGRAMS[1]]
    programs = {name: path for _, name, path in executables(["build", *named], profile)}
    tests = {}
    for message, name, path in executables(["test", "--no-run"], profile):
        of_library = Path(message["manifest_path"]).parent.name in LIBRARY
        test = message["profile"]["test"] and message["target"]["kind"] != ["example"]
        # It reads the sources, which are not there.
        if of_library and test and name not in ("imports", "gpu_kernels"):
            tests[name] = path
    return programs, tests


def copy(program, to):
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(program, to)
    # A third of the size, for a machine that is reached through a narrow door.
    subprocess.run(["strip", to], check=True)


def fill(folder, profile):
    programs, tests = compiled(profile)
    for name in PROGRAMS:
        copy(programs[name], folder / "bin" / name)
    for name, program in tests.items():
        copy(program, folder / "bin" / "tests" / name)
    (folder / "bench").mkdir()
    for name in [*(f"bench_{script}.py" for script in SCRIPTS), "machine.py"]:
        shutil.copy2(ROOT / "bench" / name, folder / "bench" / name)
    (folder / "tests").mkdir()
    shutil.copy2(ROOT / "tests" / "networks.py", folder / "tests" / "networks.py")
    torch = re.search(r"^torch==([\d.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    script = (ROOT / "bench" / "bench_bundle.sh").read_text()
    (folder / "run").write_text(script.replace("TORCH_VERSION", torch[1]))
    (folder / "run").chmod(0o755)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="a new folder, or a new file that ends in .tar.gz")
    parser.add_argument("--profile", default="release", help="cargo's profile")
    options = parser.parse_args()
    out = options.out.absolute()
    if out.exists():
        parser.error(f"{out} exists: remove it, or name another")
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, then renamed: what bears the name is whole.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".bundle-") as work:
        folder = Path(work) / out.name.removesuffix(".tar.gz")
        folder.mkdir()
        fill(folder, options.profile)
        made = folder
        if out.name.endswith(".tar.gz"):
            made = Path(work) / out.name
            with tarfile.open(made, "w:gz") as archive:
                archive.add(folder, folder.name)
        made.rename(out)
    size = sum(file.stat().st_size for file in [out, *out.rglob("*")] if file.is_file())
    print(f"{out}: {size / 2**20:.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
