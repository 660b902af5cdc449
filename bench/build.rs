//! Compiles the C++ of `spread`, and gives the programs an rpath to libtorch, so that they run in any shell with
//! no LD_LIBRARY_PATH.
//!
//! `--no-as-needed -ltorch` keeps libtorch_cuda loaded: nothing names a symbol of it, so that the
//! linker would leave it out and a GPU would not be seen.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Headers that libtorch's own names and does not bring along: see `cpp/all_reduce.cpp`.
const LEFT_OUT: [&str; 5] =
    ["algorithm.h", "common/error.h", "context.h", "rendezvous/store.h", "transport/device.h"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cpp");
    let libtorch = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    let empty = PathBuf::from(env::var_os("OUT_DIR").expect("cargo gives a folder")).join("empty");
    for header in LEFT_OUT {
        let path = empty.join("gloo").join(header);
        fs::create_dir_all(path.parent().expect("it is in a folder"))
            .expect("a folder to write to");
        fs::write(path, "").expect("an empty file");
    }
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").debug(false).warnings(false);
    let include = Path::new(&libtorch).with_file_name("include");
    build.include(&include).include(include.join("torch/csrc/api/include"));
    build.include(empty).include("../crates/fused-ops/cpp");
    build.file("cpp/all_reduce.cpp").compile("spread");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{libtorch}");
    println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
    println!("cargo::rustc-link-arg=-ltorch");
}
