//! The kernels for a GPU compute what they should, seen on a CPU: see `emulated.cpp`.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_kernels_for_a_gpu_are_right() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let source = fs::read_to_string(here.join("cpp/gpu/kernels.cu")).unwrap();
    // There it is a string of C++; here it is the program.
    let source = source.strip_prefix("R\"cuda(\n").unwrap().strip_suffix(")cuda\"\n").unwrap();
    fs::write(folder.path().join("kernels.inc"), source).unwrap();
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    for (bf16, vector) in [(1, 8), (1, 1), (0, 4), (0, 1)] {
        let program = folder.path().join(format!("emulated-{bf16}-{vector}"));
        let compiled = Command::new(&compiler)
            .args(["-std=c++20", "-O1", "-w", "-pthread"])
            .arg(format!("-I{}", folder.path().display()))
            .args([format!("-DBF16={bf16}"), format!("-DVEC={vector}")])
            .arg(here.join("tests/emulated.cpp"))
            .arg("-o")
            .arg(&program)
            .status();
        assert!(compiled.unwrap().success(), "emulated.cpp is not compiled by {compiler:?}");
        let done = Command::new(&program).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "BF16={bf16} VEC={vector}: {said}");
    }
}
