//! Compiles the one C++ file of this crate against libtorch, and gives tests, examples and benchmarks
//! an rpath to it, so that they run in any shell with no LD_LIBRARY_PATH.
//!
//! `--no-as-needed -ltorch` keeps libtorch_cuda loaded: nothing names a symbol of it, so that the
//! linker would leave it out and a GPU would not be seen.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let libtorch =
        std::env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    let include = std::path::Path::new(&libtorch).with_file_name("include");
    println!("cargo::rerun-if-changed=src/model/fused.cpp");
    // Optimised in every profile: a notebook trains with the one that compiles fast.
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .debug(false)
        .warnings(false)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("src/model/fused.cpp")
        .compile("googlenet_fused");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", libtorch.display());
    println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
    println!("cargo::rustc-link-arg=-ltorch");
}
