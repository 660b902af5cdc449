//! Looks into the network of a checkpoint that the example `train` left, and writes what there is
//! to see as pictures.
//!
//!     cargo run --example look -- \
//!         --data DIR --checkpoints runs/x/checkpoints --out pictures

use std::path::PathBuf;

use clap::Parser;
use googlenet_lib::prelude::*;

/// Writes pictures of what the network of a checkpoint sees, and of where it is wrong.
#[derive(Parser)]
struct Args {
    /// Folder of the checkpoints.
    #[arg(long)]
    checkpoints: PathBuf,
    /// Directory with CIFAR-10's binary files; without it, CIFAR10_DIR, your cache, or a download.
    #[arg(long)]
    data: Option<PathBuf>,
    /// As many training images as the run had.
    #[arg(long)]
    train_images: Option<usize>,
    /// As many test images as the run had.
    #[arg(long)]
    test_images: Option<usize>,
    /// A photograph of your own; without it, the surest mistake.
    #[arg(long)]
    image: Option<PathBuf>,
    /// Folder for the pictures.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let data = match &args.data {
        Some(dir) => Cifar10::open(dir)?,
        None => Cifar10::open_or_download()?,
    };
    let data = data.take(
        args.train_images.unwrap_or(data.train.len()),
        args.test_images.unwrap_or(data.test.len()),
    )?;
    let run = Trainer::resume(&args.checkpoints, &data, best_device())?;
    let classifier = run.classifier();
    let predictions = run.predictions()?;
    let mistakes = predictions.mistakes(24)?;
    let image = match (&args.image, mistakes.shown.first()) {
        (Some(path), _) => Image::open(path)?,
        (None, Some(mistake)) => mistake.image.clone(),
        (None, None) => data.test.image(0)?,
    };
    let block = run.net().last_inception()?;
    let first = run.net().first_inception()?;

    let mut pictures = vec![
        ("samples", data.sample_grid(Split::Test, 3, 12)?),
        ("filters", look::filters(run.net())?.picture()?),
        ("likeliest", classifier.likeliest(&image, 5)?.picture()?),
        ("feature_maps", classifier.feature_maps(&image, &first)?.picture()?),
        ("grad_cam", classifier.grad_cam(&image, &block, None)?.picture()?),
        ("gradient_norms", classifier.gradient_norms(&data.train.take(64)?)?.picture()?),
        ("confusion", predictions.confusion().picture()?),
        ("calibration", predictions.calibration(15)?.picture()?),
    ];
    if !mistakes.shown.is_empty() {
        pictures.push(("mistakes", mistakes.picture()?));
    }
    for (name, picture) in pictures {
        for ending in ["svg", "png"] {
            picture.save(args.out.join(name).with_extension(ending))?;
        }
    }
    println!(
        "{} of {}: pictures in {}",
        run.evaluate()?,
        run.history().network,
        args.out.display()
    );
    Ok(())
}
