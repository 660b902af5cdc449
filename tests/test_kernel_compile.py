"""What stands before cargo: the compiler is called at once, and a change is noticed."""

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
        assert kernel.run("small::f()", timeout=300).result == "1"
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
