//! Trains a network on CIFAR-10 and writes its history, loss plot and weights, and a checkpoint
//! every 30 seconds and at the end. With `--resume` it goes on from the last one, with `--go-on` it begins
//! where there is none.
//!
//!     cargo run --example train -- \
//!         --data DIR --spec compact --epochs 6 --out runs/x

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Parser, ValueEnum};
use googlenet_lib::device;
use googlenet_lib::prelude::*;
use googlenet_lib::train::has_checkpoint;
use indicatif::{ProgressBar, ProgressStyle};

/// Trains a network on CIFAR-10 and writes history.json, loss.png, loss.svg and model.safetensors,
/// and a checkpoint every 30 seconds and at the end. Of an option that is given twice the last counts.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Args {
    /// Directory with CIFAR-10's binary files; without it, CIFAR10_DIR, your cache, or a download.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Network: paper, seed, cifar or compact, or a file of yours, FILE.json, with a NetworkSpec as serde_json
    /// writes it. Without it, compact.
    #[arg(long, value_name = "NAME|FILE.json")]
    spec: Option<String>,
    /// Recipe; if you give none, the blog post's for seed, steady for paper, fast for the others.
    #[arg(long)]
    recipe: Option<RecipeName>,
    /// Epochs to train; the learning rate schedule is spread over them.
    #[arg(long)]
    epochs: Option<u32>,
    /// As many epochs as so many minutes afford on this device, found by a few steps; in place of --epochs.
    #[arg(long, conflicts_with_all = ["epochs", "resume", "go_on"])]
    minutes: Option<f64>,
    /// Images a step, if not the recipe's own.
    #[arg(long)]
    batch: Option<i64>,
    /// Highest learning rate, if not the recipe's own.
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Side of the square that is cut out of each training image, in pixels, if not the recipe's own;
    /// 0 cuts none.
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    cutout: Option<i64>,
    /// Share of the training images, from 0 to 1, that get a rectangle of another, if not the recipe's own.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    cutmix: Option<f64>,
    /// Seed of the weights, of the order of the images and of their augmentation; 0 without it.
    #[arg(long)]
    seed: Option<u64>,
    /// Train on this many images only.
    #[arg(long)]
    train_images: Option<usize>,
    /// Test on this many images only.
    #[arg(long)]
    test_images: Option<usize>,
    /// Where to compute: cpu, cuda, cuda:N or mps. Without it, GOOGLENET_DEVICE, else the first GPU,
    /// else the CPU.
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// The same as --device cpu.
    #[arg(long, conflicts_with = "device")]
    cpu: bool,
    /// What to compute in, if not the recipe's own; with --resume, if not what the run began in.
    #[arg(long)]
    precision: Option<Computed>,
    /// Seconds of training between two checkpoints: what a killed process may lose.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    checkpoint_every: u64,
    /// Folder for the results.
    #[arg(long)]
    out: PathBuf,
    /// Go on from the last checkpoint in --out, with its network and recipe.
    #[arg(
        long,
        conflicts_with_all = [
            "spec", "recipe", "epochs", "batch", "learning_rate", "cutout", "cutmix", "seed"
        ]
    )]
    resume: bool,
    /// Go on from the last checkpoint in --out where there is one, else begin: the same command begins a
    /// run and goes on with it. The checkpoint must be of the same network and recipe.
    #[arg(long, conflicts_with = "resume")]
    go_on: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum RecipeName {
    Seed,
    Steady,
    Fast,
    Long,
}

#[derive(Clone, Copy, ValueEnum)]
enum Computed {
    Float32,
    /// float32, in which a GPU's convolutions round their inputs
    Tf32,
    Bf16,
    /// bf16 where the device has it, else float32
    Fastest,
}

impl Computed {
    fn precision(self) -> Precision {
        match self {
            Computed::Float32 => Precision::Float32,
            Computed::Tf32 => Precision::TensorFloat32,
            Computed::Bf16 => Precision::BFloat16,
            Computed::Fastest => Precision::Fastest,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder {}", args.out.display()))?;

    let checkpoints = args.out.join("checkpoints");
    let begun = has_checkpoint(&checkpoints)?;
    let resume = args.resume || args.go_on && begun;
    if !resume && begun {
        bail!(
            "{} holds the checkpoint of another run: go on with --resume, or give another --out",
            checkpoints.display()
        );
    }
    let data = match &args.data {
        Some(dir) => Cifar10::open(dir)?,
        None => Cifar10::open_or_download()?,
    };
    let data = data.take(
        args.train_images.unwrap_or(data.train.len()),
        args.test_images.unwrap_or(data.test.len()),
    )?;
    let device = match &args.device {
        Some(name) => device::named(name)?,
        None if args.cpu => Device::Cpu,
        None => try_best_device()?,
    };
    let mut run = match (resume, args.precision) {
        (true, Some(computed)) => {
            Trainer::resume_in(&checkpoints, &data, device, computed.precision())?
        }
        (true, None) => Trainer::resume(&checkpoints, &data, device)?,
        (false, _) => {
            let (spec, mut recipe) = wanted(&args, &data)?;
            if let Some(minutes) = args.minutes {
                ensure!(minutes > 0.0, "--minutes {minutes}: it must be over 0");
                let probe = Probe::of(&spec, &data, &recipe, device)?;
                recipe.epochs = probe.epochs_in(minutes);
                let seconds = probe.seconds_per_epoch;
                let epochs = recipe.epochs;
                println!(
                    "an epoch takes {seconds:.1} s here: --minutes {minutes} is --epochs {epochs}"
                );
            }
            manual_seed(recipe.seed as i64);
            Trainer::new(GoogLeNet::new(&spec, device)?, &data, recipe)?
        }
    };
    if args.go_on {
        let (spec, recipe) = wanted(&args, &data)?;
        let found = run.history();
        // A run that goes on keeps the precision that it began in.
        let recipe = Recipe { precision: found.recipe.precision, ..recipe };
        if *run.net().spec() != spec || found.recipe != recipe {
            bail!(
                "{} holds a run that was begun with other options ({}, recipe {}, --epochs {}): \
                 give those, or another --out",
                checkpoints.display(),
                found.network,
                found.recipe.name,
                found.recipe.epochs,
            );
        }
    }
    let History { network, parameters, recipe, epochs, steps, steps_per_epoch, .. } = run.history();
    println!(
        "{network} ({parameters} parameters) on {}, recipe {}, {}",
        data.name,
        recipe.name,
        describe(device),
    );
    drop(data);
    let (done, last) = (epochs.len() as u32, recipe.epochs);
    let weights = args.out.join("model.safetensors");
    // They are written last.
    if args.go_on && resume && done == last && weights.exists() {
        println!("{done} of {last} epochs are done already; results in {}", args.out.display());
        return Ok(());
    }
    if resume {
        let begun = steps.len() - epochs.len() * steps_per_epoch;
        let next = format!(", and {begun} of {steps_per_epoch} steps of the next");
        println!("{done} of {last} epochs are done{}", if begun > 0 { &next } else { "" });
    }
    let between = Duration::from_secs(args.checkpoint_every);
    let mut bar = Bar::new(last, Instant::now() + between);
    let mut fit = run.fit_with(Epochs(0), &mut bar)?;
    // An epoch that is stopped for a checkpoint is finished by the next call.
    while (fit.history.epochs.len() as u32) < last {
        let left = last - fit.history.epochs.len() as u32;
        fit = run.fit_with(Epochs(left), &mut bar)?;
        run.checkpoint(&checkpoints)?;
        bar.due = Instant::now() + between;
    }

    let plot = fit.plot()?;
    plot.save(args.out.join("loss.png"))?;
    plot.save(args.out.join("loss.svg"))?;
    fit.history.save(args.out.join("history.json"))?;
    run.net().save(weights)?;
    println!("{:.0} s of training; results in {}", fit.history.seconds(), args.out.display());
    Ok(())
}

/// Network and recipe that the options name.
fn wanted(args: &Args, data: &Dataset) -> anyhow::Result<(NetworkSpec, Recipe)> {
    let spec = match args.spec.as_deref().unwrap_or("compact") {
        file if file.ends_with(".json") => {
            let text = std::fs::read(file).with_context(|| format!("cannot read {file}"))?;
            serde_json::from_slice(&text).with_context(|| format!("{file} holds no NetworkSpec"))?
        }
        name => spec::by_name(name)?,
    };
    let spec = spec.with_classes(data.classes.len() as i64)?;
    let name = args.recipe.unwrap_or(match spec.name.as_ref() {
        "SEED" => RecipeName::Seed,
        "PAPER" => RecipeName::Steady,
        _ => RecipeName::Fast,
    });
    let mut recipe = match name {
        RecipeName::Seed => Recipe::seed(),
        RecipeName::Steady => Recipe::steady(),
        RecipeName::Fast => Recipe::fast(),
        RecipeName::Long => Recipe::long(),
    };
    recipe.epochs = args.epochs.unwrap_or(recipe.epochs);
    recipe.batch = args.batch.unwrap_or(recipe.batch);
    recipe.learning_rate = args.learning_rate.unwrap_or(recipe.learning_rate);
    recipe.augment.cutout = args.cutout.unwrap_or(recipe.augment.cutout);
    recipe.augment.cutmix = args.cutmix.unwrap_or(recipe.augment.cutmix);
    recipe.seed = args.seed.unwrap_or(0);
    recipe.precision = args.precision.map_or(recipe.precision, Computed::precision);
    Ok((spec, recipe))
}

/// A progress bar for the running epoch, and a line for each complete one. It stops the training when
/// a checkpoint is due.
struct Bar {
    bar: ProgressBar,
    due: Instant,
    /// Number of the run's last epoch.
    last: u32,
}

impl Bar {
    fn new(last: u32, due: Instant) -> Bar {
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg} {eta}")
            .expect("the template is well formed");
        Bar { bar: ProgressBar::no_length().with_style(style), due, last }
    }
}

impl Callback for Bar {
    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        if report.step == 1 {
            self.bar.reset();
            self.bar.set_length(report.steps as u64);
            self.bar.set_prefix(format!("epoch {}/{}", report.epoch, self.last));
        }
        self.bar.set_position(report.step as u64);
        if let Some(loss) = report.loss {
            self.bar
                .set_message(format!("loss {loss:.3}  {:.0} images/s", report.images_per_second));
        }
        if Instant::now() < self.due { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn epoch(&mut self, history: &History) {
        if let Some(epoch) = history.last() {
            self.bar.suspend(|| println!("{epoch}"));
        }
    }
}
