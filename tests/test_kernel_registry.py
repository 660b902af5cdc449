"""Crates that cargo has never met: an empty home of cargo's, and a registry of our own.

The kernel has a library that it prepares, as the lab's has: what is prepared needs no network, and a new
crate does.
"""

import subprocess

import pytest
from registry import registry
from running import running

NAMES = [f"unmet-{number}" for number in ("one", "two", "three", "four", "five")]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def crates(tmp_path_factory):
    with registry(NAMES) as served:
        yield served


@pytest.fixture(scope="module")
def prepared(rust_live, tmp_path_factory, own_state):
    """The name of a kernel that prepares a small library when it starts."""
    folder = tmp_path_factory.mktemp("registry")
    library = folder / "small"
    (library / "src").mkdir(parents=True)
    (library / "Cargo.toml").write_text('[package]\nname = "small"\nedition = "2024"\n')
    (library / "src/lib.rs").write_text("pub fn value() -> i32 { 7 }\n")
    install = ["install", "--prefix", folder, "--name", "prepared", "--library", library]
    subprocess.run([rust_live, *install], check=True, timeout=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder / "share/jupyter"))
        yield "prepared"


@pytest.fixture
def kernel(prepared, crates, tmp_path):
    """That kernel, with a home of cargo's in which there is nothing but the registry's address, and a store in
    which there is nothing at all."""
    configuration, _ = crates
    home = tmp_path / "cargo"
    home.mkdir()
    (home / "config.toml").write_text(configuration)
    places = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "CARGO_HOME": str(home)}
    with running(prepared, env=places) as kernel:
        yield kernel


def add(kernel, name):
    """A cell that adds a crate and uses it."""
    code = f':dep {name} = "1"\n{name.replace("-", "_")}::name()'
    cell = kernel.run(code, timeout=120)
    assert cell.status == "ok", cell.error
    assert cell.result == f'"{name}"'


def test_the_first_cells_add_crates(kernel, crates):
    for name in NAMES[:3]:
        add(kernel, name)
    _, asked = crates
    assert f"/crates/{NAMES[2]}/1.0.0/download" in asked
    # Added in one cell, used in the next; several in one cell.
    one, two = NAMES[3:]
    assert kernel.run(f':dep {one} = "1"\n:dep {two} = "1"', timeout=120).status == "ok"
    assert kernel.run("unmet_four::name().len() + unmet_five::name().len()").result == "20"
    assert kernel.run("small::value()").result == "7"


def test_after_cells_that_failed(kernel):
    assert kernel.run('let x: i32 = "a";').status == "error"
    add(kernel, NAMES[0])
    missing = kernel.run(':dep unmet-nowhere = "1"')
    assert missing.status == "error" and "unmet-nowhere" in missing.error["evalue"]
    assert "offline" not in missing.error["evalue"]
    add(kernel, NAMES[1])
    assert kernel.run("panic!()").status == "error"
    add(kernel, NAMES[2])


def test_after_a_first_cell_that_was_interrupted(kernel):
    cell = kernel.send('println!("running"); loop { std::hint::black_box(0); }')

    def press(message):
        if "running" in str(message["content"].get("text")):
            kernel.interrupt()

    assert kernel.answer(cell, 60, press).error["ename"] == "interrupted"
    add(kernel, NAMES[0])
    assert kernel.run(":clear").status == "ok"
    add(kernel, NAMES[1])


def test_a_reader_who_goes_offline_and_online_again(kernel):
    assert kernel.run(":offline 1").status == "ok"
    cell = kernel.run(f':dep {NAMES[0]} = "1"', timeout=120)
    assert cell.status == "error" and NAMES[0] in cell.error["evalue"]
    assert kernel.run("1 + 1").result == "2"
    assert kernel.run(":offline 0").status == "ok"
    add(kernel, NAMES[0])


def test_what_was_compiled_is_there_offline_whatever_cargo_has(prepared, kernel, crates, tmp_path):
    add(kernel, NAMES[0])
    home = tmp_path / "another home of cargo's"
    home.mkdir()
    (home / "config.toml").write_text(crates[0])
    places = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "CARGO_HOME": str(home)}
    with running(prepared, env=places) as other:
        assert other.run(":offline 1").status == "ok"
        add(other, NAMES[0])
