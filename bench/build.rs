//! Gives the programs an rpath to libtorch, so that they run in any shell with no LD_LIBRARY_PATH.
//!
//! `--no-as-needed -ltorch` keeps libtorch_cuda loaded: nothing names a symbol of it, so that the
//! linker would leave it out and a GPU would not be seen.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let libtorch = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{libtorch}");
    println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
    println!("cargo::rustc-link-arg=-ltorch");
}
