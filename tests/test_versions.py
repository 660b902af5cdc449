"""tch and PyTorch are one pair: each version is named once, and they belong together."""

import json
import re
import subprocess
from pathlib import Path

import torch


def torch_sys(root):
    """The torch-sys that Cargo.lock names."""
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"],
        cwd=root,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (package,) = [
        package
        for package in json.loads(metadata.stdout)["packages"]
        if package["name"] == "torch-sys"
    ]
    return package


def pin(root):
    (version,) = re.findall(
        r"^torch==([\d.]+)$", (root / "requirements.in").read_text(), re.MULTILINE
    )
    return version


def test_torch_is_the_version_that_torch_sys_is_written_for(root):
    build_script = Path(torch_sys(root)["manifest_path"]).with_name("build.rs").read_text()
    (expected,) = re.findall(r'TORCH_VERSION: &str = "([\d.]+)"', build_script)
    assert pin(root) == expected


def test_torch_is_installed_as_pinned(root):
    assert torch.__version__.split("+")[0] == pin(root)


def test_requirements_txt_has_the_same_pin(root):
    pins = re.findall(r"^torch==(\S+)", (root / "requirements.txt").read_text(), re.MULTILINE)
    assert pins == [pin(root)]


def test_tch_is_named_once(root):
    table = (root / "Cargo.toml").read_text()
    (tch,) = re.findall(r'^tch = "=([\d.]+)"$', table, re.MULTILINE)
    (sys,) = re.findall(r'^torch-sys = "=([\d.]+)"$', table, re.MULTILINE)
    assert tch == sys == torch_sys(root)["version"]
    for manifest in root.glob("*/Cargo.toml"):
        for line in manifest.read_text().splitlines():
            if line.startswith(("tch", "torch-sys")):
                assert line.split(" = ")[0].endswith(".workspace"), f"{manifest}: {line}"
