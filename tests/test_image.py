"""The programs that make the image smaller: `docker/test.sh` runs them for real."""

import runpy
import subprocess


def test_of_a_crate_for_another_system_its_manifest_is_left(root, tmp_path):
    program = runpy.run_path(root / "docker/fewer_crates.py")
    for name in ["Cargo.toml", ".cargo-ok", "src/lib.rs", "src/bindings/all.rs", "build.rs"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("[package]")
    (tmp_path / "link").symlink_to(root)
    program["remove"](tmp_path, program["KEPT"])
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"Cargo.toml", ".cargo-ok", "src", "src/lib.rs"}
    assert (root / "Cargo.toml").is_file()
    program["remove"](tmp_path)
    assert not any(tmp_path.iterdir())


def test_packages_are_asked_for_this_system_alone(root):
    program = runpy.run_path(root / "docker/fewer_crates.py")
    about = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    assert program["host"]() in about
    here = {path.name for path in program["packages"](root / "Cargo.toml", program["host"]())}
    assert any(name.startswith("rustix-") for name in here)
    assert not any(name.startswith("windows-sys-") for name in here)


def test_what_libtorch_needs_of_cuda_on_a_cpu(root):
    program = runpy.run_path(root / "docker/cpu_only.py")
    needed = program["needed"]((root / ".libtorch/lib/libtorch_cpu.so").resolve())
    assert "libc10.so" in needed
    # CUDA's kernels are no part of it.
    assert not any(name.startswith(("libtorch_cuda", "libcudnn", "libcublas")) for name in needed)
