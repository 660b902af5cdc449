//! Trains a network on CIFAR-10 and writes its history, loss plot and weights.
//!
//!     cargo run --release -p googlenet-lib --example train -- \
//!         --data DIR --spec compact --epochs 5 --out runs/x

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use googlenet_lib::prelude::*;
use indicatif::{ProgressBar, ProgressStyle};

/// Trains a network on CIFAR-10 and writes history.json, loss.png, loss.svg and model.safetensors.
#[derive(Parser)]
struct Args {
    /// Directory with CIFAR-10's binary files; without it, CIFAR10_DIR, your cache, or a download.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Network: paper, seed, cifar or compact.
    #[arg(long, default_value = "compact")]
    spec: String,
    /// Recipe; the blog post's for seed, ours for the others, if you give none.
    #[arg(long)]
    recipe: Option<RecipeName>,
    /// Epochs to train; the learning rate schedule is spread over them.
    #[arg(long)]
    epochs: Option<u32>,
    /// Images a step, if not the recipe's own.
    #[arg(long)]
    batch: Option<i64>,
    /// Highest learning rate, if not the recipe's own.
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Seed of the weights, of the order of the images and of their augmentation.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Train on this many images only.
    #[arg(long)]
    train_images: Option<usize>,
    /// Test on this many images only.
    #[arg(long)]
    test_images: Option<usize>,
    /// Use the CPU even if there is a GPU.
    #[arg(long)]
    cpu: bool,
    /// Folder for the results.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum RecipeName {
    Seed,
    Fast,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder {}", args.out.display()))?;

    let mut spec = spec::by_name(&args.spec)?;
    let data = match &args.data {
        Some(dir) => Cifar10::open(dir)?,
        None => Cifar10::open_or_download()?,
    };
    let data = data.take(
        args.train_images.unwrap_or(data.train.len()),
        args.test_images.unwrap_or(data.test.len()),
    )?;
    spec = spec.with_classes(data.classes.len() as i64)?;

    let name = args.recipe.unwrap_or(match spec.name.as_ref() {
        "SEED" => RecipeName::Seed,
        _ => RecipeName::Fast,
    });
    let mut recipe = match name {
        RecipeName::Seed => Recipe::seed(),
        RecipeName::Fast => Recipe::fast(),
    };
    recipe.epochs = args.epochs.unwrap_or(recipe.epochs);
    recipe.batch = args.batch.unwrap_or(recipe.batch);
    recipe.learning_rate = args.learning_rate.unwrap_or(recipe.learning_rate);
    recipe.seed = args.seed;
    let epochs = recipe.epochs;

    let device = if args.cpu { Device::Cpu } else { best_device() };
    manual_seed(args.seed as i64);
    let net = GoogLeNet::new(&spec, device)?;
    println!(
        "{} ({} parameters) on {}, recipe {}, {}",
        spec.name,
        net.parameters(),
        data.name,
        recipe.name,
        describe(device),
    );
    let mut run = Trainer::new(net, &data, recipe)?;
    drop(data);
    let fit = run.fit_with(Epochs(epochs), &mut Bar::new())?;

    let plot = fit.plot()?;
    plot.save(args.out.join("loss.png"))?;
    plot.save(args.out.join("loss.svg"))?;
    fit.history.save(args.out.join("history.json"))?;
    run.net().save(args.out.join("model.safetensors"))?;
    println!("{:.0} s of training; results in {}", fit.history.seconds(), args.out.display());
    Ok(())
}

/// A progress bar for the running epoch, and a line for each complete one.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Bar {
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg} {eta}")
            .expect("the template is well formed");
        Bar(ProgressBar::no_length().with_style(style))
    }
}

impl Observer for Bar {
    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        if report.step == 1 {
            self.0.reset();
            self.0.set_length(report.steps as u64);
            self.0.set_prefix(format!("epoch {}/{}", report.epoch, report.epochs));
        }
        self.0.set_position(report.step as u64);
        if let Some(loss) = report.loss {
            self.0.set_message(format!("loss {loss:.3}  {:.0} images/s", report.images_per_second));
        }
        ControlFlow::Continue(())
    }

    fn epoch(&mut self, history: &History) {
        if let Some(epoch) = history.last() {
            self.0.suspend(|| println!("{epoch}"));
        }
    }
}
