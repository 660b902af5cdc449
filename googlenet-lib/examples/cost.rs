//! Prints what a network costs, layer by layer.
//!
//!     cost NETWORK [--size ROWS] [--operations] [--json]

use clap::Parser;
use googlenet_lib::prelude::*;

#[derive(Parser)]
struct Args {
    /// Network: paper, seed, cifar or compact.
    network: String,
    /// Rows and columns of the images, if not the network's own.
    #[arg(long)]
    size: Option<i64>,
    /// With the operations inside the layers.
    #[arg(long)]
    operations: bool,
    /// As JSON, with all there is to know.
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let spec = spec::by_name(&args.network)?;
    let size = |size| Shape::square(spec.input.channels, size);
    let cost = spec.cost_for(args.size.map_or(spec.input, size))?;
    match args {
        Args { json: true, .. } => println!("{}", serde_json::to_string(&cost)?),
        Args { operations: true, .. } => print!("{cost:#}"),
        _ => print!("{cost}"),
    }
    Ok(())
}
