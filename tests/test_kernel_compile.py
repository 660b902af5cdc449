"""What a session knows of crates, and how values are shown."""

import json
import os
import time

import pytest
from running import running


def make_crate(folder, body):
    source = folder / "src" / "lib.rs"
    source.parent.mkdir(parents=True, exist_ok=True)
    (folder / "Cargo.toml").write_text('[package]\nname = "small"\nedition = "2024"\n')
    source.write_text(body)


def test_a_crate_of_this_machine_is_compiled_again_where_its_line_is_run_again(plain, tmp_path):
    make_crate(tmp_path, "pub fn f() -> i32 { 1 }\npub struct Own(pub i32);\n")
    dep = f':dep small = {{ path = "{tmp_path}" }}'
    with running(plain) as kernel:
        assert kernel.run(dep, timeout=120).status == "ok"
        first = "let own = small::Own(small::f()); let first = own.0; first"
        assert kernel.run(first).result == "1"

        failed = kernel.run("let text = 1;\nsmall::no_such_function()")
        assert failed.status == "error"
        text = "\n".join(failed.error["traceback"])
        assert "no_such_function" in text
        assert f"cell {failed.reply['execution_count']}:2:8" in text

        # Unchanged, nothing is compiled and nothing is lost.
        assert kernel.run(dep + "\nown.0 + 1").result == "2"

        make_crate(tmp_path, "pub fn f() -> i32 { 10 }\npub struct Own(pub i32);\n")
        changed = kernel.run(dep + "\nsmall::f() + first")
        assert changed.result == "11"
        assert "`own`" in changed.text("stderr")
        assert "small" in kernel.run("own.0").error["traceback"][-1]
        assert kernel.run("small::f() + 2").result == "12"


def test_cells_do_not_see_what_stands_around_them(plain):
    with running(plain) as kernel:
        assert kernel.run('std::env::var("PATH")?').result == json.dumps(os.environ["PATH"])
        names = (
            'std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("RUST_LIVE"))'
        )
        assert kernel.run(names + ".collect::<Vec<_>>()").result == "[]"


SUM = "Tensor::from_slice(&[1.0, 2.0]).sum(Kind::Double).double_value(&[])"


@pytest.mark.timeout(900)
def test_the_library_is_there_for_those_who_name_it(prepared, own_state, tmp_path):
    with running() as kernel:
        assert kernel.run("let numbers = vec![1, 2, 3];").status == "ok"
        assert kernel.run(":show_deps").of("execute_result") == []
        # Named late, it finds what is compiled, and the variables stay.
        began = time.monotonic()
        named = kernel.run(
            "use googlenet_lib::prelude::*;\nspec::COMPACT.layers.len()", timeout=120
        )
        assert named.result == "8"
        assert time.monotonic() - began < 30
        assert "googlenet-lib" in kernel.run(":show_deps").result
        assert kernel.run("numbers.len()").result == "3"
        assert kernel.run("let t = Tensor::zeros([2], (Kind::Float, Device::Cpu));").status == "ok"
        # Generic functions are compiled here and call C functions that stand there.
        assert kernel.run(SUM).result == "3.0"
        # What libtorch says of an error is kept there, and asked for here.
        said = kernel.run('println!("{}", t.f_view([3]).unwrap_err());').text()
        assert "shape '[3]' is invalid for input of size 2" in said

        make_crate(tmp_path, "pub fn f() -> i32 { 1 }\n")
        added = kernel.run(f':dep small = {{ path = "{tmp_path}" }}\nsmall::f()', timeout=120)
        assert added.result == "1"
        assert "tch" not in added.text("stderr"), "versions of others were forgotten"
        assert kernel.run("small::f() + t.size()[0] as i32").result == "3"
        # A restart of the cells' process links it again.
        assert kernel.run(":restart").status == "ok"
        assert kernel.run(SUM).result == "3.0"


@pytest.mark.parametrize("named", [True, False])
def test_a_notebook_says_what_it_is_about(named, prepared, own_state, root, tmp_path):
    library = root / "googlenet-lib"
    source = f':dep googlenet-lib = {{ path = "{library}" }}' if named else "let a = 1;"
    notebook = tmp_path / "about.ipynb"
    cell = {"cell_type": "code", "source": [source], "metadata": {}, "outputs": []}
    notebook.write_text(json.dumps({"cells": [cell], "nbformat": 4, "nbformat_minor": 5}))
    with running(env={"JPY_SESSION_NAME": str(notebook)}) as kernel:
        assert kernel.run("1").result == "1"
        # Made ready, but no cell has named it.
        assert kernel.run(":show_deps").of("execute_result") == []
        manifest = kernel.folder() / "cells" / "Cargo.toml"
        end = time.monotonic() + (60 if named else 2)
        while time.monotonic() < end and not (
            manifest.exists() and "googlenet-lib" in manifest.read_text()
        ):
            time.sleep(0.1)
        assert named == (manifest.exists() and "googlenet-lib" in manifest.read_text())


TYPES = """
#[derive(Debug)] struct Own(i32);
impl Own { fn evcxr_display(&self) { println!("EVCXR_BEGIN_CONTENT text/plain\\nmine\\nEVCXR_END_CONTENT"); } }
#[derive(Debug)] struct Metres(i32);
impl std::ops::Deref for Metres { type Target = i32; fn deref(&self) -> &i32 { &self.0 } }
let number = 1; let words = vec!["a".to_string()];
"""
# An expression, and what is shown.
VALUES = [
    ("number + 1", "2"),
    ("1", "1"),
    ("2.0 / 3.0", "0.6666666666666666"),
    ("words", '["a"]'),
    ("words.len()", "1"),
    ("&&words[0]", '"a"'),
    ("Some(number)", "Some(1)"),
    ("(number, words[0].as_str())", '(1, "a")'),
    ("[Own(1)]", "[Own(1)]"),
    ("for _ in 0..number {}", None),
    ("drop(number)", None),
    ("((),)", "((),)"),
    ("(\n  1,\n  2\n)", "(1, 2)"),
    ("Own(1)", "mine"),
    ("let own = Own(2); &own", "mine"),
    ("vec![Own(3)].first().unwrap()", "mine"),
    # A box has Debug itself.
    ("Box::new(Own(1))", "Own(1)"),
    ("Metres(3)", "Metres(3)"),
    ("std::sync::LazyLock::new(|| 3)", "LazyLock(<uninit>)"),
    ('if number > 0 { "a" } else { "b" }', '"a"'),
    ("match number { 1 => 'x', _ => 'y' }", "'x'"),
    ("vec![1; 3]", "[1, 1, 1]"),
    ("{ let inner = 2; inner }", "2"),
    ("unsafe { std::mem::transmute::<f32, u32>(1.0) }", "1065353216"),
    (":fmt {:#?}\nSome(number)", "Some(\n    1,\n)"),
    ("Some(number)", "Some(\n    1,\n)"),
    (":fmt {:?}\nSome(number)", "Some(1)"),
    (":type words", "Vec<String>"),
]


def test_values_are_shown(plain):
    with running(plain) as kernel:
        assert kernel.run(TYPES).status == "ok"
        for code, shown in VALUES:
            cell = kernel.run(code)
            assert cell.status == "ok", f"{code}: {cell.reply}"
            contents = cell.of("display_data", "execute_result")
            texts = [content["data"]["text/plain"] for content in contents]
            assert texts == ([] if shown is None else [shown]), code
        failed = kernel.run("let text = 1;\nwords.len() +\n   wrds")
        text = "\n".join(failed.error["traceback"])
        assert "wrds" in text and f"cell {failed.reply['execution_count']}:3:4" in text, text
