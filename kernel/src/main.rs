//! The Jupyter kernel of the GoogLeNet lab.
fn main() -> anyhow::Result<()> {
    evcxr_jupyter::main()
}
