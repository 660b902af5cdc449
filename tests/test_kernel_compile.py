"""What stands before cargo: the compiler is called at once, and a change is noticed."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from running import running

CALL = "rustc-call.json"


def make_crate(folder, body):
    source = folder / "src" / "lib.rs"
    source.parent.mkdir(parents=True, exist_ok=True)
    (folder / "Cargo.toml").write_text('[package]\nname = "small"\nedition = "2024"\n')
    source.write_text(body)


@pytest.mark.timeout(900)
def test_cargo_is_asked_once_and_again_when_something_has_changed(own_state, tmp_path):
    make_crate(tmp_path, "pub fn f() -> i32 { 1 }\n")
    with running() as kernel:
        assert kernel.run(f':dep small = {{ path = "{tmp_path}" }}', timeout=300).status == "ok"
        # The crates are analysed, which changes Cargo.toml once.
        assert kernel.run("let first = small::f(); first", timeout=300).result == "1"
        call = kernel.folder() / CALL
        asked = call.stat().st_mtime_ns
        assert kernel.run("small::f() + 1").result == "2"
        assert call.stat().st_mtime_ns == asked, "cargo was asked though nothing had changed"

        failed = kernel.run("let text = 1;\nsmall::no_such_function()")
        assert failed.status == "error"
        text = "\n".join(failed.error["traceback"])
        assert "no_such_function" in text and "cell:2" in text
        assert kernel.run("small::f() + 2").result == "3"
        assert call.stat().st_mtime_ns == asked

        make_crate(tmp_path, "pub fn f() -> i32 { 10 }\n")
        assert kernel.run("small::f() + 3").result == "13"
        assert call.stat().st_mtime_ns != asked


def test_cells_do_not_see_what_stands_before_cargo(own_state):
    with running() as kernel:
        path = kernel.run('std::env::var("PATH").unwrap()').result
        assert "tools-" not in path
        assert kernel.run('std::env::var("RUST_LIVE_CARGO").is_err()').result == "true"


SUM = "Tensor::from_slice(&[1.0, 2.0]).sum(Kind::Double).double_value(&[])"


def prelinked(kernel):
    """What the cells of a session were linked with."""
    call = json.loads((kernel.folder() / CALL).read_text())
    assert call["not_prelinked"] is None
    return Path(call["prelinked"]["library"])


@pytest.mark.timeout(900)
def test_the_crates_of_a_session_are_linked_once(template, own_state, tmp_path):
    with running() as kernel:
        kernel.run("use googlenet_lib::prelude::*;")
        kernel.run("let t = Tensor::zeros([2], (Kind::Float, Device::Cpu));")
        linked = prelinked(kernel)
        assert os.path.samefile(linked, template / linked.relative_to(kernel.folder()))
        # Generic functions are compiled here and call C functions that stand there.
        assert kernel.run(SUM).result == "3.0"
        assert str(linked) in [file.path for file in kernel.cells().memory_maps()]
        # What libtorch says of an error is kept there, and asked for here.
        said = kernel.run('println!("{}", t.f_view([3]).unwrap_err());').text()
        assert "shape '[3]' is invalid for input of size 2" in said

        make_crate(tmp_path, "pub fn f() -> i32 { 1 }\n")
        added = kernel.run(f':dep small = {{ path = "{tmp_path}" }}\nsmall::f()', timeout=300)
        compiled = re.findall("Compiling ([^ ]+)", added.text("stderr"))
        assert compiled == ["small"], "versions of others were forgotten"
        assert kernel.run("small::f() + t.size()[0] as i32").result == "3"
        assert prelinked(kernel) != linked
        assert kernel.run(SUM).result == "3.0"


def test_the_analysis_is_spared_crates_that_no_cell_can_name(template, own_state):
    with running() as kernel:
        kernel.run("use googlenet_lib as _; let x = 1;", timeout=200)
        links = template.parent.parent.glob("tools-*/bin/cargo")
        (cargo,) = (link for link in links if os.path.samefile(link, kernel.process.exe()))
        version = subprocess.run(["rustc", "-Vv"], stdout=subprocess.PIPE, text=True, check=True)
        (host,) = re.findall("host: (.*)", version.stdout)
        metadata = subprocess.run(
            [cargo, "metadata", "--offline", "--format-version=1", "--filter-platform", host],
            cwd=kernel.folder(),
            stdout=subprocess.PIPE,
            check=True,
        )
    names = {package["name"] for package in json.loads(metadata.stdout)["packages"]}
    local = {"googlenet-lib", "charts", "devices", "notebook", "vision-data"}
    assert names == {"ctx", *local, "tch", "torch-sys"}


UNANALYSED = """
std::path::Path::new(&std::env::var("EVCXR_TMPDIR").unwrap()).join("unanalysed").exists()
"""


def test_a_first_cell_waits_for_no_analysis_that_it_does_not_need(template, own_state):
    with running() as kernel:
        # Sent before the kernel could think that the reader reads.
        assert kernel.run(f"use googlenet_lib::prelude::*;\n{UNANALYSED}").result == "true"
        answer = "let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu).unwrap(); net.device()"
        assert kernel.run(answer).result == "Cpu"
        assert kernel.run(UNANALYSED).result == "false"


def test_while_nothing_is_sent_all_is_analysed(template, own_state):
    with running() as kernel:
        assert kernel.run("1").result == "1"
        unanalysed = kernel.folder() / "unanalysed"
        end = time.monotonic() + 10
        while unanalysed.exists() and time.monotonic() < end:
            time.sleep(0.05)
        # It has begun, and ends before this cell.
        assert kernel.run(UNANALYSED).result == "false"


def known(kernel):
    """The crates that the session's Cargo.toml names."""
    manifest = (kernel.folder() / "Cargo.toml").read_text()
    _, _, named = manifest.partition("[dependencies]\n")
    return set(re.findall(r"^([\w-]+) *=", named.partition("\n[")[0], re.MULTILINE))


def test_a_session_knows_no_crate_that_was_not_named(template, own_state):
    with running() as kernel:
        assert kernel.run("let numbers = vec![1, 2, 3];").status == "ok"
        assert known(kernel) == set()
        failed = kernel.run("let text = Default::default();")
        assert failed.status == "error"
        # Named late, it finds what is prepared, and the variables stay.
        began = time.monotonic()
        assert (
            kernel.run("use googlenet_lib::prelude::*;\nspec::COMPACT.layers.len()").result == "8"
        )
        assert time.monotonic() - began < 30
        assert known(kernel) == {"googlenet-lib"}
        assert kernel.run("numbers.len()").result == "3"


@pytest.mark.parametrize("named", [True, False])
def test_a_notebook_says_what_it_is_about(named, template, own_state, root, tmp_path):
    library = root / "googlenet-lib"
    source = f':dep googlenet-lib = {{ path = "{library}" }}' if named else "let a = 1;"
    notebook = tmp_path / "about.ipynb"
    cell = {"cell_type": "code", "source": [source], "metadata": {}, "outputs": []}
    notebook.write_text(json.dumps({"cells": [cell], "nbformat": 4, "nbformat_minor": 5}))
    with running(env={"JPY_SESSION_NAME": str(notebook)}) as kernel:
        assert kernel.run("1").result == "1"
        assert known(kernel) == ({"googlenet-lib"} if named else set())


TYPES = """
#[derive(Debug)] struct Own(i32);
impl Own { fn evcxr_display(&self) { println!("EVCXR_BEGIN_CONTENT text/plain\\nmine\\nEVCXR_END_CONTENT"); } }
#[derive(Debug)] struct Metres(i32);
impl std::ops::Deref for Metres { type Target = i32; fn deref(&self) -> &i32 { &self.0 } }
let number = 1; let words = vec!["a".to_string()];
"""
# An expression, what is shown, and whether one compilation is enough.
VALUES = [
    ("number + 1", "2", True),
    ("1", "1", True),
    ("2.0 / 3.0", "0.6666666666666666", True),
    ("words", '["a"]', True),
    ("words.len()", "1", True),
    ("&&words[0]", '"a"', True),
    ("Some(number)", "Some(1)", True),
    ("(number, words[0].as_str())", '(1, "a")', True),
    ("[Own(1)]", "[Own(1)]", True),
    ("for _ in 0..number {}", None, True),
    ("(\n  1,\n  2\n)", "(1, 2)", False),
    ("Own(1)", "mine", True),
    ("Box::new(Own(1))", "mine", True),
    ("&&Own(1)", "mine", True),
    ("Metres(3)", "Metres(3)", False),
    ("std::sync::LazyLock::new(|| 3)", "LazyLock(<uninit>)", False),
    (":fmt {:#?}\nSome(number)", "Some(\n    1,\n)", False),
    ("Some(number)", "Some(\n    1,\n)", False),
    (":types\nnumber", ": i32 = 1", False),
    (":types", "Types: false", False),
]


def test_most_values_are_shown_by_one_compilation(plain):
    with running(plain) as kernel:
        assert kernel.run(TYPES, timeout=200).status == "ok"
        # From this one on the kernel knows how values are shown.
        assert kernel.run("number").result == "1"
        for code, shown, once in VALUES:
            cell = kernel.run(code)
            assert cell.status == "ok", f"{code}: {cell.reply}"
            # A command says that it has changed something, beside the value.
            contents = cell.of("display_data", "execute_result")
            texts = [content["data"]["text/plain"].strip() for content in contents]
            assert shown in texts if shown else texts == [], code
            program = (kernel.folder() / "src" / "lib.rs").read_text()
            assert (").evcxr_display();" in program) == once, code
        failed = kernel.run("let text = 1;\nwords.len() +\n   wrds")
        text = "\n".join(failed.error["traceback"])
        assert "wrds" in text and "cell:3:4" in re.sub(r"\x1b\[[0-9;]*m", "", text), text
