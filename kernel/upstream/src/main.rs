//! Upstream's Jupyter kernel, unchanged, built from this workspace.

fn main() -> anyhow::Result<()> {
    evcxr_jupyter::main()
}
