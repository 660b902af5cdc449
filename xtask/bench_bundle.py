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
EXAMPLES = ("bench", "train")
# What the benchmark's other sides are made of, and where they look for it.
SCRIPTS = ("train", "sides", "ceiling", "report", "profile")


def compiled(profile):
    """The programs of the library: examples by name, and tests."""
    # The build of `cargo test --workspace` is at hand in the dev profile; kernel and rust-analyzer
    # in another would take minutes.
    library = [part for name in LIBRARY for part in ("--package", name)]
    whole = ["--workspace"] if profile == "dev" else library
    command = ["cargo", "test", "--no-run", "--message-format", "json-render-diagnostics"]
    done = subprocess.run(
        [*command, *whole, "--profile", profile], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    examples, tests = {}, {}
    for message in map(json.loads, done.stdout.splitlines()):
        if message["reason"] != "compiler-artifact" or not message["executable"]:
            continue
        if Path(message["manifest_path"]).parent.name not in LIBRARY:
            continue
        target, program = message["target"], Path(message["executable"])
        if message["profile"]["test"] and target["kind"] != ["example"]:
            # It reads the sources, which are not there.
            if target["name"] != "imports":
                tests[target["name"]] = program
        elif target["name"] in EXAMPLES:
            examples[target["name"]] = program
    return examples, tests


def copy(program, to):
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(program, to)
    # A third of the size, for a machine that is reached through a narrow door.
    subprocess.run(["strip", to], check=True)


def fill(folder, profile):
    examples, tests = compiled(profile)
    for name in EXAMPLES:
        copy(examples[name], folder / "bin" / name)
    for name, program in tests.items():
        copy(program, folder / "bin" / "tests" / name)
    (folder / "xtask").mkdir()
    for name in [*(f"bench_{script}.py" for script in SCRIPTS), "machine.py"]:
        shutil.copy2(ROOT / "xtask" / name, folder / "xtask" / name)
    (folder / "tests").mkdir()
    shutil.copy2(ROOT / "tests" / "networks.py", folder / "tests" / "networks.py")
    torch = re.search(r"^torch==([\d.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    script = (ROOT / "xtask" / "bench_bundle.sh").read_text()
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
