//! Compiles the C++ of this crate against libtorch, and gives its tests an rpath to it.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cpp");
    // How an error of libtorch's comes out of C++, in native.h.
    let shared = "../fused-ops/cpp";
    println!("cargo::rerun-if-changed={shared}/native.h");
    let libtorch = env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    let include = Path::new(&libtorch).with_file_name("include");
    // The computing is libtorch's: to optimise this would gain nothing.
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(1).debug(false).warnings(false);
    build
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .include(shared)
        .file("cpp/host_device.cpp")
        .compile("host_device");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", libtorch.display());
    println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
    println!("cargo::rustc-link-arg=-ltorch");
}
