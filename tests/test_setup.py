"""`cargo xtask setup`: what it needs, what it leaves, and what it does when things are broken.

The tests that would install PyTorch use a repository of two files and a package index of tiny
packages on this machine, so that a whole setup takes seconds.
"""

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

# In the order in which a reader misses them.
PROGRAMS = ("rust-live", "rust-live-analysis", "evcxr_jupyter")


def state(root, prefix):
    """Every file that setup may write, with its identity and age."""
    files = [root / ".libtorch", prefix / "share/googlenet-lab/requirements.txt"]
    files += [prefix / "bin" / name for name in PROGRAMS]
    files += (prefix / "share/jupyter/kernels").rglob("*")
    files += [prefix / "bin", *prefix.glob("lib/python*/site-packages")]
    return {file: (file.lstat().st_ino, file.lstat().st_mtime_ns) for file in files}


def test_a_second_run_changes_nothing_and_is_quick(root, prefix, cargo):
    cargo("xtask", "setup")
    before = state(root, prefix)
    start = time.monotonic()
    cargo("xtask", "setup")
    took = time.monotonic() - start
    assert state(root, prefix) == before
    assert took < 5


def test_a_clone_that_is_not_set_up_says_so_at_once_in_its_last_line(root, tmp_path, monkeypatch):
    """With the repository's configuration of cargo, and one crate that takes no time."""
    shutil.copytree(root / ".cargo", tmp_path / ".cargo")
    for package in ("xtask", "lib"):
        (tmp_path / package / "src").mkdir(parents=True)
        (tmp_path / package / "src/main.rs").write_text('fn main() { println!("it runs"); }')
        manifest = f'[package]\nname = "{package}"\nedition = "2024"\n'
        (tmp_path / package / "Cargo.toml").write_text(manifest)
    (tmp_path / "Cargo.toml").write_text(
        '[workspace]\nresolver = "3"\nmembers = ["xtask", "lib"]\n'
    )
    for name in ("LIBTORCH", "LAB_SETUP"):
        monkeypatch.delenv(name, raising=False)

    def cargo(*arguments):
        done = subprocess.run(
            ["cargo", *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout.strip()

    missing = f"{tmp_path}/.libtorch is missing"
    for command in ("test", "build", "test"):
        code, said = cargo(command)
        last = f"error: the lab is not set up, {missing}: run cargo xtask setup"
        assert (code, said.splitlines()[-1]) == (101, last), said
        assert "Compiling" not in said
    # What sets it up is built all the same; then the rest is, though cargo was told an error.
    code, said = cargo("xtask", "setup")
    assert (code, said.splitlines()[-1]) == (0, "it runs"), said
    (tmp_path / ".libtorch/lib").mkdir(parents=True)
    code, said = cargo("test")
    assert code == 0, said


class Lab:
    """A repository with a requirements.txt of three tiny packages, and its setup."""

    def __init__(self, folder, target):
        self.root = folder
        self.target = target
        (folder / "requirements.in").write_text("torch==2.11.0\ntorchvision==0.26.0\nlab-tool\n")
        (folder / "requirements.txt").write_text(
            "lab-tool==1.0\nlab-tool-part==1.0\ntorch==2.11.0\ntorchvision==0.26.0\n"
        )
        # A crate to be prepared that compiles in no time, and a cache of its own for it.
        (folder / "googlenet-lib/src").mkdir(parents=True)
        (folder / "googlenet-lib/src/lib.rs").write_text("")
        (folder / "googlenet-lib/Cargo.toml").write_text(
            '[package]\nname = "googlenet-lib"\nversion = "0.1.0"\nedition = "2024"\n'
        )
        # The kernels lie beside the xtask that is tested: nothing is built here.
        cargo = folder / "cargo"
        cargo.write_text("#!/bin/sh\nexit 0\n")
        cargo.chmod(0o755)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("VIRTUAL_ENV", "CONDA_PREFIX", "CXX")
            and not name.startswith(("PIP_", "UV_"))
        }
        self.environment |= {
            "CARGO_MANIFEST_DIR": str(folder / "xtask"),
            "CARGO": str(cargo),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
            "UV_NO_CONFIG": "1",
            "UV_NO_CACHE": "1",
            "UV_HTTP_RETRIES": "0",
        }

    @property
    def prefix(self):
        return self.root / ".venv"

    @property
    def packages(self):
        (folder,) = self.prefix.glob("lib/python*/site-packages")
        return folder

    def setup(self, *arguments, **more):
        return self.xtask("setup", *arguments, **more)

    def xtask(self, *arguments, path=None, **variables):
        environment = self.environment | variables
        if path is not None:
            environment["PATH"] = str(path)
        return subprocess.run(
            [self.target / "xtask", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )


@pytest.fixture
def lab(tmp_path, target):
    return Lab(tmp_path, target)


# What must be on the machine


def program(folder, name, script):
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def machine(tmp_path):
    """A PATH on which all is there: rustc, Python with venv, a C++ compiler."""
    path = tmp_path / "path"
    program(path, "rustc", "echo 'rustc 1.95.0 (0123456 2026-04-14)'")
    program(path, "python3", 'case "$2" in *version_info*) echo 3.11;; *) exit 0;; esac')
    program(path, "c++", "echo compiler")
    return path


LACKS = {
    "no Rust": ("rustc", None, ["Rust 1.95 or later is needed", "rustup update"]),
    "old Rust": ("rustc", "echo 'rustc 1.94.1 (0 2026)'", ["rustc is 1.94.1", "rustup update"]),
    "no Python": ("python3", None, ["Python 3.10 to 3.14 is needed: none", "apt install python3"]),
    "old Python": ("python3", "echo 3.9", ["python3 is 3.9", "install one of them"]),
    "no venv": (
        "python3",
        'case "$2" in *version_info*) echo 3.11;; *) exit 1;; esac',
        ["(3.11) has no venv module", "apt install python3.11-venv"],
    ),
    "no compiler": ("c++", None, ["a C++ compiler is needed", "apt install g++"]),
}


@pytest.mark.parametrize("lack", LACKS)
def test_a_missing_prerequisite_is_one_error_with_its_remedy(lack, lab, machine):
    name, script, told = LACKS[lack]
    (machine / name).unlink()
    if script:
        program(machine, name, script)
    done = lab.setup(path=machine)
    assert done.returncode == 1
    assert done.stdout.count("error:") == done.stdout.count("remedy:") == 1
    for words in told:
        assert words in done.stdout
    assert not lab.prefix.exists()
    assert not (lab.root / ".libtorch").is_symlink()


def test_all_that_is_missing_is_told_at_once(lab, tmp_path):
    done = lab.setup(path=tmp_path / "nothing")
    assert done.returncode == 1
    assert done.stdout.count("error:") == done.stdout.count("remedy:") == 3
    assert not lab.prefix.exists()


def test_a_compiler_of_another_name_is_named(lab, machine):
    (machine / "c++").rename(machine / "clang++")
    done = lab.setup(path=machine)
    assert "export CXX=clang++" in done.stdout
    assert done.returncode == 1


def test_an_index_that_is_no_address_is_refused(lab):
    done = lab.setup("--torch-index", "cpu")
    assert done.returncode == 2
    assert "starts with https://, http:// or file://" in done.stdout
    assert not lab.prefix.exists()


# A whole setup, with packages of a few bytes


def wheel(index, name, version, files=None, requires=()):
    """Puts a package into a folder that serves as a package index."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    content = {f"{module}/__init__.py": "", **(files or {})}
    content[f"{info}/METADATA"] = "".join(
        [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
        + [f"Requires-Dist: {requirement}\n" for requirement in requires]
    )
    content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = f"{info}/RECORD"
    content[record] = "".join(
        f"{path},sha256={digest(text)},{len(text.encode())}\n" for path, text in content.items()
    )
    content[record] += f"{record},,\n"
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in content.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
            archive.writestr(entry, text)


def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


LIBTORCH = {
    "torch/lib/libtorch.so": "libtorch",
    "torch/lib/libtorch.dylib": "libtorch",
    "torch/version.py": "__version__ = '2.11.0'\n",
}


@pytest.fixture
def index(tmp_path):
    """A server with the packages at /pypi and a PyTorch for the CPU at /cpu; notes requests."""
    folder = tmp_path / "index"
    wheel(folder / "pypi", "torch", "2.11.0", LIBTORCH, ["torch-cuda==1.0"])
    wheel(folder / "pypi", "torch-cuda", "1.0")
    wheel(folder / "pypi", "torchvision", "0.26.0", requires=["torch==2.11.0"])
    wheel(folder / "pypi", "lab-tool", "1.0", requires=["lab-tool-part"])
    for version in ("1.0", "2.0"):
        wheel(folder / "pypi", "lab-tool-part", version)
    wheel(folder / "cpu", "torch", "2.11.0+cpu", LIBTORCH)
    wheel(folder / "cpu", "torchvision", "0.26.0+cpu", requires=["torch==2.11.0"])
    requests = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            requests.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.requests = requests
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def lab_with_index(lab, index):
    address = f"{index.address}/pypi"
    lab.environment |= {"PIP_INDEX_URL": address, "UV_DEFAULT_INDEX": address}
    return lab


def installed(lab):
    return {file.name.removesuffix(".dist-info") for file in lab.packages.glob("*.dist-info")}


def succeed(done):
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_setup_from_nothing_twice(lab_with_index):
    lab = lab_with_index
    succeed(lab.setup())
    assert {"torch-2.11.0", "lab_tool-1.0", "lab_tool_part-1.0"} <= installed(lab)
    assert (lab.root / ".libtorch/lib/libtorch.so").read_text() == "libtorch"
    assert not (lab.root / ".libtorch").readlink().is_absolute()
    version = subprocess.run(
        [lab.prefix / "bin/rust-live", "--version"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert version.stdout.startswith("rust-live ")
    before = state(lab.root, lab.prefix)
    assert succeed(lab.setup()).strip() == f"The lab is set up in {lab.prefix}"
    assert state(lab.root, lab.prefix) == before


# In place of uv: notes how it is called, and has pip do it.
UV = """#!/bin/sh
echo "$UV_DEFAULT_INDEX $*" >>calls
[ "$1 $2 $3" = "pip install --python" ] || exit 2
python=$4
shift 4
exec "$python" -m pip install "$@"
"""


@pytest.fixture
def lab_that_pins_uv(lab_with_index, tmp_path):
    lab = lab_with_index

    def pin(script):
        wheel(tmp_path / "index/pypi", "uv", "1.0", {"uv-1.0.data/scripts/uv": script})
        for name, line in (("requirements.in", "uv\n"), ("requirements.txt", "uv==1.0\n")):
            with (lab.root / name).open("a") as file:
                file.write(line)
        # A machine that has one of its own would use that.
        lab.environment["PATH"] = os.pathsep.join(
            folder
            for folder in lab.environment["PATH"].split(os.pathsep)
            if not (Path(folder) / "uv").exists()
        )
        return lab

    return pin


def test_uv_installs_from_the_index_that_pip_was_told(lab_that_pins_uv, index):
    lab = lab_that_pins_uv(UV.replace("calls", "$CALLS"))
    calls = lab.root / "calls"
    del lab.environment["UV_DEFAULT_INDEX"]
    succeed(lab.setup(CALLS=str(calls)))
    (call,) = calls.read_text().splitlines()
    files = [str(lab.root / f"requirements.{ending}") for ending in ("in", "txt")]
    python = lab.prefix / "bin/python"
    assert call == f"{index.address}/pypi pip install --python {python} -r {files[0]} -c {files[1]}"
    assert {"torch-2.11.0", "lab_tool-1.0", "uv-1.0"} <= installed(lab)


@pytest.mark.parametrize("tries", [True, False], ids=["it failed", "of a setting it lacks"])
def test_pip_installs_where_uv_cannot(tries, lab_that_pins_uv):
    lab = lab_that_pins_uv("#!/bin/sh\nexit 3\n")
    more = {} if tries else {"PIP_EXTRA_INDEX_URL": lab.environment["PIP_INDEX_URL"]}
    said = succeed(lab.setup(**more))
    assert ("uv has failed" in said and "pip has its turn" in said) == tries
    assert {"torch-2.11.0", "lab_tool-1.0", "lab_tool_part-1.0"} <= installed(lab)


def test_pytorch_alone_comes_from_the_index_that_was_named(lab_with_index, index):
    lab = lab_with_index
    succeed(lab.setup("--torch-index", f"{index.address}/cpu"))
    assert {"torch-2.11.0+cpu", "torchvision-0.26.0+cpu", "lab_tool-1.0"} <= installed(lab)
    assert "torch_cuda-1.0" not in installed(lab)
    wheels = [path for path in index.requests if ".whl" in path]
    assert {path.split("/")[1] for path in wheels if "torch" in path} == {"cpu"}
    assert {path.split("/")[1] for path in wheels if "torch" not in path} == {"pypi"}
    # Without the option, and with another index, what is there stays.
    before = state(lab.root, lab.prefix)
    succeed(lab.setup())
    assert "changes nothing" in succeed(lab.setup("--torch-index", f"{index.address}/pypi"))
    assert state(lab.root, lab.prefix) == before


def test_after_an_index_without_pytorch_setup_goes_on_where_it_stopped(lab_with_index, index):
    lab = lab_with_index
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = lab.setup("--torch-index", nobody)
    assert done.returncode == 1
    assert f"error: PyTorch could not be installed from {nobody}" in done.stdout
    assert not (lab.root / ".libtorch").is_symlink()
    succeed(lab.setup("--torch-index", f"{index.address}/cpu"))
    assert "torch-2.11.0+cpu" in installed(lab)


# In place of JupyterLab: says which programs are there, and waits for a word in the log.
JUPYTERLAB = """
import time
from pathlib import Path
there = [file.name for file in Path("../.venv/bin").iterdir()]
print("it opens, with", [name for name in PROGRAMS if name in there], flush=True)
log = Path("../target/setup.log")
end = time.monotonic() + 60
while not (log.exists() and any(word in log.read_text() for word in ("set up in", "error: "))):
    assert time.monotonic() < end
    time.sleep(0.1)
time.sleep(0.5)
"""


@pytest.fixture
def lab_without_the_rest(lab_with_index):
    """Its library is not compiled, and the kernel's program is the only one."""
    lab = lab_with_index
    succeed(lab.setup())
    for name in PROGRAMS[1:]:
        (lab.prefix / "bin" / name).unlink()
    shutil.rmtree(lab.root / "cache")
    (lab.packages / "jupyterlab").mkdir()
    (lab.packages / "jupyterlab/__main__.py").write_text(f"PROGRAMS = {PROGRAMS}{JUPYTERLAB}")
    return lab


def test_jupyterlab_opens_before_the_library_is_compiled(lab_without_the_rest):
    lab = lab_without_the_rest
    said = succeed(lab.xtask("lab", "--no-browser"))
    assert "A cell that needs the library waits for it" in said
    assert "it opens, with ['rust-live']" in said
    log = (lab.root / "target/setup.log").read_text()
    assert f"The lab is set up in {lab.prefix}" in log
    assert any((lab.root / "cache/rust-live/store").rglob("libgooglenet_lib*"))
    words = ["is compiled for all sessions", *(f"{name} copied to" for name in PROGRAMS[1:])]
    places = [log.index(word) for word in words]
    assert places == sorted(places)


def test_what_fails_beside_jupyterlab_is_told(lab_without_the_rest):
    lab = lab_without_the_rest
    upstream = 'case "$*" in *evcxr_jupyter*) echo "no room" >&2; exit 1;; esac'
    (lab.root / "cargo").write_text(f"#!/bin/sh\n{upstream}\n")
    said = succeed(lab.xtask("lab", "--no-browser"))
    assert "error: the rest of the set-up has failed: " in said
    assert "target/setup.log says more, and `cargo xtask setup` tries again" in said
    assert "no room" in (lab.root / "target/setup.log").read_text()
    assert "no room" not in said


def damage_python(lab):
    for name in ("python", "python3"):
        (lab.prefix / "bin" / name).unlink()


def damage_marker(lab):
    (lab.prefix / "pyvenv.cfg").unlink()


def damage_libtorch(lab):
    (lab.packages / "torch/lib/libtorch.so").unlink()


def damage_package(lab):
    shutil.rmtree(lab.packages / "lab_tool-1.0.dist-info")


def damage_by_interruption(lab):
    (lab.prefix / "share/googlenet-lab/requirements.txt").unlink()
    (lab.packages / "lab_tool_part/__init__.py").unlink()
    (lab.packages / "torch-2.11.0.dist-info/RECORD").unlink()


def damage_kernels(lab):
    (lab.prefix / "bin/evcxr_jupyter").write_text("cut sho")
    (lab.prefix / "share/jupyter/kernels/googlenet/kernel.json").write_text("{")


DAMAGES = {
    damage_python: "does not work: making it anew",
    damage_marker: "does not work: making it anew",
    damage_libtorch: "repairing torch",
    damage_package: "Completing .venv",
    damage_by_interruption: "repairing lab-tool-part",
    damage_kernels: "evcxr_jupyter copied to",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_found_told_and_repaired(damage, lab_with_index):
    lab = lab_with_index
    succeed(lab.setup())
    kernels = [lab.prefix / "bin/evcxr_jupyter", *lab.prefix.glob("share/jupyter/**/kernel.json")]
    before = {file: file.read_bytes() for file in kernels}
    damage(lab)
    assert DAMAGES[damage] in succeed(lab.setup())
    assert {"torch-2.11.0", "lab_tool-1.0", "lab_tool_part-1.0"} <= installed(lab)
    assert (lab.packages / "lab_tool_part/__init__.py").is_file()
    assert (lab.root / ".libtorch/lib/libtorch.so").is_file()
    assert {file: file.read_bytes() for file in kernels} == before


def test_the_source_of_the_standard_library_is_added(lab_with_index, tmp_path):
    asked, path = tmp_path / "asked", tmp_path / "path"
    rustc, rustup = (shutil.which(name) for name in ("rustc", "rustup"))
    bare = f'[ "$2" = sysroot ] && [ ! -e {asked} ] && echo {tmp_path} && exit'
    program(path, "rustc", f'{bare}\nexec {rustc} "$@"')
    program(path, "rustup", f'[ "$1" = component ] && exec echo "$@" > {asked}\nexec {rustup} "$@"')
    succeed(lab_with_index.setup(path=f"{path}:{os.environ['PATH']}"))
    assert asked.read_text() == "component add rust-src\n"


def test_a_changed_requirements_txt_is_installed(lab_with_index):
    lab = lab_with_index
    succeed(lab.setup())
    pins = lab.root / "requirements.txt"
    pins.write_text(pins.read_text().replace("lab-tool-part==1.0", "lab-tool-part==2.0"))
    succeed(lab.setup())
    assert "lab_tool_part-2.0" in installed(lab)


def test_the_active_environment_is_used_if_it_has_pytorch(lab_with_index, tmp_path):
    lab = lab_with_index
    succeed(lab.setup())
    active = tmp_path / "active"
    lab.prefix.rename(active)
    (active / "share/googlenet-lab/requirements.txt").unlink()
    done = succeed(lab.setup(VIRTUAL_ENV=str(active)))
    assert f"into the active environment {active}; its PyTorch stays" in done
    assert not lab.prefix.exists()
    assert (lab.root / ".libtorch").resolve().is_relative_to(active)


def test_an_active_environment_without_pytorch_is_left_alone(lab_with_index, tmp_path):
    lab = lab_with_index
    subprocess.run(["python3", "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    before = sorted(Path(tmp_path / "bare").rglob("*"))
    done = succeed(lab.setup(CONDA_PREFIX=str(tmp_path / "bare")))
    assert "has no PyTorch 2.11.0: using .venv instead" in done
    assert sorted(Path(tmp_path / "bare").rglob("*")) == before
    assert "torch-2.11.0" in installed(lab)
