"""tch and PyTorch are one pair: each version is named once, and they belong together. What is named
in another language too (conda's, the Dockerfile's) is the same there."""

import json
import os
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import torch
import yaml
from traitlets.config import Config


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
    for manifest in [*root.glob("*/Cargo.toml"), *root.glob("crates/*/Cargo.toml")]:
        for line in manifest.read_text().splitlines():
            if line.startswith(("tch", "torch-sys")):
                assert line.split(" = ")[0].endswith(".workspace"), f"{manifest}: {line}"


def pins_of(file):
    """Every package of a requirements.txt with its versions: more than one where Pythons differ."""
    found = {}
    for line in file.read_text().splitlines():
        if line and not line.startswith(("#", " ")):
            name, version = re.fullmatch(r"([a-z0-9-]+)==([^ ]+)(?: ; .+)?", line).groups()
            found.setdefault(name, set()).add(version)
    return found


def rust(root):
    (version,) = re.findall(
        r'^rust-version = "([\d.]+)"$', (root / "Cargo.toml").read_text(), re.MULTILINE
    )
    return version


def default(file, name):
    """What an ARG of a Dockerfile is when nobody gives it."""
    (value,) = re.findall(rf"^ARG {name}=(\S+)$", file.read_text(), re.MULTILINE)
    return value


@pytest.fixture(scope="module")
def conda(root):
    """environment.yml: conda's packages with their versions, and what pip is told."""
    environment = yaml.safe_load((root / "environment.yml").read_text())
    packages = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    return {name: version for name, _, version in (p.partition("=") for p in packages)}, pip


def test_the_image_has_the_rust_of_the_workspace(root):
    dockerfile = root / "docker/Dockerfile"
    base = default(dockerfile, "BASE_IMAGE")
    runtime = default(dockerfile, "RUNTIME_IMAGE")
    assert base == f"docker.io/library/rust:{rust(root)}-bookworm"
    assert runtime == "docker.io/library/debian:bookworm-slim"
    test = (root / "docker/test.sh").read_text()
    assert f"BASE_IMAGE=${{1:-{base}}}" in test
    assert f"RUNTIME_IMAGE=${{2:-{runtime}}}" in test


def test_one_compiler_is_chosen_here_and_where_cells_are_compiled(root):
    """rustup goes by the folder, and cells are compiled in another: no channel is chosen here."""
    text = (root / "rust-toolchain.toml").read_text()
    names = re.findall(r"^(\w+) =", text, re.MULTILINE)
    assert names == ["components"]
    assert all(f'"{component}"' in text for component in ("rustfmt", "clippy", "rust-src"))


def test_conda_has_the_rust_of_the_workspace(root, conda):
    packages, _ = conda
    assert packages["rust_linux-64"] == packages["rust-src"] == rust(root)


def test_conda_has_a_python_that_setup_takes(root, conda):
    packages, _ = conda
    source = (root / "xtask/src/prerequisites.rs").read_text()
    limits = re.findall(r"const PYTHON_(?:MIN|MAX): \(u32, u32\) = \((\d+), (\d+)\);", source)
    lowest, highest = [tuple(map(int, limit)) for limit in limits]
    assert lowest <= tuple(map(int, packages["python"].split("."))) <= highest


def test_conda_s_python_packages_are_those_of_requirements_txt(root, conda):
    """So PyTorch is named there and nowhere else."""
    packages, pip = conda
    assert pip == ["-r requirements.txt"]
    assert not set(packages) - {"pip"} & set(pins_of(root / "requirements.txt"))


@pytest.mark.parametrize("file", ["docker/Dockerfile", "docker/jupyterhub/Dockerfile"])
def test_no_image_has_a_python_package_without_a_pin(root, file):
    text = (root / file).read_text().replace("\\\n", " ")
    installs = re.findall(r"pip install (.+?)(?:&&|$)", text, re.MULTILINE)
    assert installs
    for options in installs:
        assert re.search(
            r"(-c|--constraint|--requirement) \S*requirements\.txt|-r torch\.txt", options
        ), options


def test_pytorch_of_another_index_is_the_pinned_one(root):
    """torch.txt is made of lines of requirements.txt."""
    (line,) = re.findall(r"grep -E '(.+)' requirements\.txt >torch\.txt", dockerfile(root))
    lines = (root / "requirements.txt").read_text().splitlines()
    found = [entry.split("==")[0] for entry in lines if re.match(line, entry)]
    assert found == ["torch", "torchvision"]


def dockerfile(root):
    return (root / "docker/Dockerfile").read_text()


def test_the_class_has_the_packages_of_the_lab(root):
    lab = pins_of(root / "requirements.txt")
    hub = pins_of(root / "docker/jupyterhub/requirements.txt")
    shared = set(lab) & set(hub)
    assert {"jupyter-server", "tornado"} <= shared
    assert {name: hub[name] for name in shared if not hub[name] <= lab[name]} == {}


def test_the_hub_and_the_students_have_one_jupyterhub(root):
    folder = root / "docker/jupyterhub"
    (pinned,) = pins_of(folder / "requirements.txt")["jupyterhub"]
    (image,) = re.findall(
        r"^FROM quay\.io/jupyterhub/jupyterhub:(\S+) AS hub$",
        (folder / "Dockerfile").read_text(),
        re.MULTILINE,
    )
    assert image == pinned


def test_the_hub_s_configuration_limits_every_student(root, monkeypatch):
    compose = yaml.safe_load((root / "docker/jupyterhub/compose.yaml").read_text())
    values = {"LAB_PLACES": "16", "LAB_CPUS": "2", "LAB_CIFAR10": "/data", "LAB_GPUS": "all"}
    for name in compose["services"]["hub"]["environment"]:
        monkeypatch.setenv(name, values.get(name, name.lower()))
    c = Config()
    source = (root / "docker/jupyterhub/jupyterhub_config.py").read_text()
    exec(compile(source, "jupyterhub_config.py", "exec"), {"get_config": lambda: c})
    assert (c.DockerSpawner.mem_limit, c.DockerSpawner.cpu_limit) == ("lab_memory", 2.0)
    assert c.DockerSpawner.read_only_volumes == {"/data": "/srv/cifar10"}
    assert c.DockerSpawner.extra_host_config["cap_drop"] == ["ALL"]
    assert c.JupyterHub.active_server_limit == 16
    assert c.NativeAuthenticator.open_signup is False
    (culler,) = c.JupyterHub.services
    assert culler["command"][1:3] == ["-m", "jupyterhub_idle_culler"]


def test_kubernetes_students_are_those_of_one_machine(root):
    values = yaml.safe_load((root / "docker/jupyterhub/values.yaml").read_text())
    uid = int(default(root / "docker/Dockerfile", "UID"))
    student = values["singleuser"]
    assert student["uid"] == student["fsGid"] == uid
    assert student["storage"]["homeMountPath"] == "/lab/notebooks"
    assert student["memory"]["limit"] and student["cpu"]["limit"]
    assert values["hub"]["config"]["NativeAuthenticator"]["open_signup"] is False


def over(defaults, values):
    """As helm lays one file of values over another."""
    if not (isinstance(defaults, dict) and isinstance(values, dict)):
        return values
    laid = {key: over(defaults[key], of) if key in defaults else of for key, of in values.items()}
    return {**defaults, **laid}


@pytest.mark.skipif("JUPYTERHUB_CHART" not in os.environ, reason="the chart's folder is not named")
@pytest.mark.parametrize("misspelt", [False, True])
def test_kubernetes_values_are_the_charts(root, misspelt):
    chart = Path(os.environ["JUPYTERHUB_CHART"])
    text = (root / "docker/jupyterhub/values.yaml").read_text()
    values = yaml.safe_load(text.replace("CPUS", "2").replace("MEMORY", "4G"))
    if misspelt:
        values["singleuser"]["memori"] = values["singleuser"].pop("memory")
    schema = yaml.safe_load((chart / "values.schema.yaml").read_text())
    laid = over(yaml.safe_load((chart / "values.yaml").read_text()), values)
    found = [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(laid)]
    assert ["memori" in words for words in found] == [True] * misspelt
