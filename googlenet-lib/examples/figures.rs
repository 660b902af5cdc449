//! Writes the figures that are drawn from the specs, as SVG and as PNG.
//!
//!     figures DIRECTORY

use std::path::PathBuf;

use clap::Parser;
use googlenet_lib::prelude::*;

#[derive(Parser)]
struct Args {
    /// Where they go; it is made if it is missing.
    directory: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let paper = &spec::PAPER;
    let cost = paper.cost()?;
    // What the head reads, as the post's example counts it: as many outputs as channels.
    let features = cost.layers.last().map_or(paper.input, |head| head.input);
    let gap = GapVersusFc::new(features, features.channels)?;
    let figures = [
        ("inception_naive", plot::inception_block(&paper.naive(), "inception_3a")?),
        ("inception_reduced", plot::inception_block(paper, "inception_3a")?),
        ("pointwise_convolution", plot::pointwise_convolution(paper, "inception_4a.reduce_5x5")?),
        ("googlenet", plot::network_diagram(paper)?),
        ("cost_bars", plot::cost_bars(&cost)?),
        ("cost_bars_vgg_16", plot::cost_bars(&spec::VGG_16.cost()?)?),
        ("gap_versus_fc", plot::gap_versus_fc(&gap)?),
    ];
    for (name, figure) in figures {
        for ending in ["svg", "png"] {
            let path = args.directory.join(format!("{name}.{ending}"));
            figure.save(&path)?;
            println!("{}", path.display());
        }
    }
    Ok(())
}
