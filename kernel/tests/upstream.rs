//! What the kernel relies on in evcxr's own sources. When evcxr is updated, this says what broke before a
//! cell does so in a roundabout way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of evcxr's, what must stand in it, and what of ours relies on it.
const HABITS: [(&str, &str, &str); 14] = [
    ("runtime.rs", "\"EVCXR_IS_RUNTIME\"", "runtime/mod.rs: it becomes the process of the cells"),
    ("runtime.rs", "LOAD_AND_RUN ([^ ]+) ([^ ]+)", "runtime/mod.rs: how it is told to run a cell"),
    ("runtime.rs", "\"EVCXR_EXECUTION_COMPLETE\"", "runtime/markers.rs: the end of a cell"),
    ("eval_context.rs", "\"EVCXR_PANIC_NOTIFICATION\"", "runtime/markers.rs: a cell panicked"),
    ("eval_context.rs", "EVCXR_BEGIN_CONTENT", "runtime/markers.rs: content to be shown"),
    (
        "evcxr_internal_runtime.rs",
        "EVCXR_VARIABLE_CHANGED_TYPE",
        "runtime/markers.rs: left to evcxr",
    ),
    ("eval_context.rs", ".arg(\"which\").arg(tool)", "upstream/cargo.rs: it answers for rustup"),
    (
        "module.rs",
        "\"EVCXR_EXECUTION_SO_PATH\"",
        "upstream/cargo.rs: where a cell's library is told",
    ),
    (
        "module.rs",
        "const CRATE_NAME: &str = \"ctx\"",
        "upstream/cargo.rs: the name of a cell's crate",
    ),
    ("module.rs", "opt-level = {}", "session/worker.rs: the level in Cargo.toml"),
    ("module.rs", "offline = {}", "upstream/cargo.rs: the configuration that is late"),
    (
        "cargo_metadata.rs",
        "\"evcxr_dummy_validate_dep\"",
        "upstream/cargo.rs: a new dependency is tried in the same folder",
    ),
    ("toml_parse.rs", "\"EVCXR_TMPDIR\"", "cli/mod.rs: where cells are compiled"),
    ("eval_context.rs", ").evcxr_display();", "upstream/display.rs: how a value is shown"),
];

/// The sources of the evcxr that this kernel is built from.
fn evcxr() -> PathBuf {
    let said = |program: &str, arguments: &[&str]| {
        let here = env!("CARGO_MANIFEST_DIR");
        let output = Command::new(program).args(arguments).current_dir(here).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let versions = said("rustc", &["-vV"]);
    let host = versions.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Crates of other platforms may not be on this machine.
    let metadata = ["metadata", "--format-version", "1", "--offline", "--filter-platform", host];
    let metadata: serde_json::Value =
        serde_json::from_str(&said(env!("CARGO"), &metadata)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let evcxr = packages.iter().find(|package| package["name"] == "evcxr").unwrap();
    Path::new(evcxr["manifest_path"].as_str().unwrap()).with_file_name("src")
}

#[test]
fn evcxr_does_what_the_kernel_relies_on() {
    let sources = evcxr();
    let broken: Vec<String> = HABITS
        .iter()
        .filter(|(file, habit, _)| {
            !fs::read_to_string(sources.join(file)).is_ok_and(|text| text.contains(habit))
        })
        .map(|(file, habit, who)| format!("{file} no longer has {habit} ({who})"))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
