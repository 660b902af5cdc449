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
        assert kernel.run('std::env::var("GOOGLENET_KERNEL_CARGO").is_err()').result == "true"


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
        kernel.run("let x = 1;")
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
    assert names == {"ctx", "googlenet-lib", "tch", "torch-sys"}


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
