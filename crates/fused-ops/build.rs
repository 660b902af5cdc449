//! Compiles the C++ of this crate against libtorch, and gives the tests of this crate an rpath to it, so
//! that they run in any shell with no LD_LIBRARY_PATH.
//!
//! `--no-as-needed -ltorch` keeps libtorch_cuda loaded: nothing names a symbol of it, so that the
//! linker would leave it out and a GPU would not be seen.

use std::env;
use std::path::{Path, PathBuf};

/// `kernels.cpp` is compiled once for each kind of vector unit.
const FILES: [&str; 11] = [
    "dispatch.cpp",
    "errors.cpp",
    "fused.cpp",
    "gpu/fused.cpp",
    "gpu/gpu.cpp",
    "gpu/graph.cpp",
    "max_pool.cpp",
    "memory.cpp",
    "optimizer.cpp",
    "prepacked.cpp",
    "tune.cpp",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cpp");
    let libtorch = env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    let include = Path::new(&libtorch).with_file_name("include");
    let sources = Path::new("cpp");
    build()
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .files(FILES.map(|file| sources.join(file)))
        .compile("fused_ops");
    for (level, flags) in levels() {
        let mut kernels = build();
        kernels.define("LEVEL", level).file(sources.join("kernels.cpp"));
        flags.iter().for_each(|flag| {
            kernels.flag(flag);
        });
        // One file, several objects.
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo gives a folder")).join(level);
        kernels.out_dir(&out).compile(&format!("fused_ops_{level}"));
    }
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", libtorch.display());
    println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
    println!("cargo::rustc-link-arg=-ltorch");
}

/// Optimised in every profile: a notebook trains with the one that compiles fast.
fn build() -> cc::Build {
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(3).debug(false).warnings(false);
    build
}

/// The kinds of vector unit that `dispatch.cpp` chooses from, and how to compile for them. On aarch64 the
/// baseline has NEON.
fn levels() -> Vec<(&'static str, &'static [&'static str])> {
    let mut levels: Vec<(&str, &[&str])> = vec![("baseline", &[])];
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        levels.push(("avx2", &["-mavx2", "-mfma"]));
        levels.push(("avx512", &["-march=x86-64-v4", "-mprefer-vector-width=512"]));
    }
    levels
}
