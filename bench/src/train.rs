//! Our side of `cargo xtask bench train` (bench/bench_train.py), and its bar chart.
//!
//!     bench-train ours train|evaluate NETWORK BATCH cpu|cuda FOLDER float32|bf16
//!     bench-train chart|lines FILE.json OUT.png
//!
//! FOLDER holds `data.safetensors`, with `images` u8 (N, H, W, 3) and `labels` (N), and
//! `weights.safetensors`. A side first writes what it computed, for comparison with the others: in
//! training the losses of three steps on the first batch, in evaluation the loss on all images. Then
//! it waits: a number on standard input is how often to go through the images, and one line of
//! output answers with the seconds. `profile` goes through them once, marked for a profiler of CUDA
//! that was told to wait (`ncu --profile-from-start off`).

use std::io::BufRead;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use googlenet_lib::data::ImageSet;
use googlenet_lib::prelude::*;
use googlenet_lib::{device, tch};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Steps whose losses are compared with the other sides'.
const CHECKED_STEPS: u32 = 3;

#[derive(Parser)]
enum Args {
    /// Times our training or evaluation.
    Ours(Task),
    /// Draws what was measured.
    Chart { measured: PathBuf, out: PathBuf },
    /// Draws lines for bench_curve.py.
    Lines { measured: PathBuf, out: PathBuf },
}

#[derive(Parser)]
struct Task {
    phase: Phase,
    network: String,
    batch: i64,
    device: On,
    folder: PathBuf,
    precision: Computed,
}

#[derive(Clone, Copy, ValueEnum)]
enum Phase {
    Train,
    Evaluate,
}

#[derive(Clone, Copy, ValueEnum)]
enum On {
    Cpu,
    Cuda,
}

#[derive(Clone, Copy, ValueEnum)]
enum Computed {
    Float32,
    Bf16,
}

fn main() -> anyhow::Result<()> {
    match Args::parse() {
        Args::Ours(task) => match task.phase {
            Phase::Train => task.train(),
            Phase::Evaluate => task.evaluate(),
        },
        Args::Chart { measured, out } => {
            let Chart { title, note, series, groups } = handed(&measured)?;
            let series: Vec<&str> = series.iter().map(String::as_str).collect();
            Ok(plot::bar_chart(&title, &note, &series, &groups)?.save(out)?)
        }
        Args::Lines { measured, out } => {
            let Lines { title, note, axes, lines } = handed(&measured)?;
            Ok(plot::lines(title, note, (&axes.0, &axes.1), lines)?.save(out)?)
        }
    }
}

/// Sees nothing, so that nothing is drawn between the steps.
struct Unseen;

impl Callback for Unseen {
    fn step(&mut self, _: &StepReport) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl Task {
    fn train(&self) -> anyhow::Result<()> {
        let images = self.images()?;
        // Every epoch ends with an evaluation, which is not timed: one image is enough.
        let test = images.take(1)?;
        let mut run = self.trainer(images.take(self.batch as usize)?, test.clone())?;
        run.fit_with(Epochs(CHECKED_STEPS), &mut Unseen)?;
        let losses: Vec<f32> = run.history().steps.iter().map(|step| step.loss).collect();
        drop(run);
        let mut run = self.trainer(images, test)?;
        self.answer(&losses, |times| {
            run.fit_with(Epochs(times), &mut Unseen)?;
            let epochs = &run.history().epochs;
            Ok(epochs.iter().rev().take(times as usize).map(|epoch| epoch.seconds).sum())
        })
    }

    fn evaluate(&self) -> anyhow::Result<()> {
        let images = self.images()?;
        let run = self.trainer(images.clone(), images)?;
        self.answer(&[run.evaluate()?.loss as f32], |times| {
            let began = Instant::now();
            for _ in 0..times {
                run.evaluate()?;
            }
            Ok(began.elapsed().as_secs_f64())
        })
    }

    /// The blog post's recipe, which all sides follow, on the weights that all sides begin with.
    /// Dropout is off, so that the losses can be compared.
    fn trainer(&self, train: ImageSet, test: ImageSet) -> anyhow::Result<Trainer> {
        let spec = spec::by_name(&self.network)?.without_dropout();
        let device = match self.device {
            On::Cpu => Device::Cpu,
            On::Cuda => device::named("cuda")?,
        };
        let mut net = GoogLeNet::new(&spec, device)?;
        net.load(self.folder.join("weights.safetensors"))?;
        let classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let data = Dataset::new("random bytes", &classes, train, test)?;
        let precision = match self.precision {
            // What PyTorch's float32 is, too.
            Computed::Float32 => Precision::TensorFloat32,
            Computed::Bf16 => Precision::BFloat16,
        };
        let recipe = Recipe::seed().with_batch(self.batch).with_precision(precision);
        Ok(Trainer::new(net, data, Recipe { test_batch: self.batch, ..recipe })?)
    }

    fn images(&self) -> anyhow::Result<ImageSet> {
        let path = self.folder.join("data.safetensors");
        let tensors = Tensor::read_safetensors(&path)?;
        let take = |name: &str| {
            let found = tensors.iter().find(|(found, _)| found == name);
            found.map(|(_, tensor)| tensor.shallow_clone()).with_context(|| {
                format!("{} has no {name}: bench_train.py writes it", path.display())
            })
        };
        Ok(ImageSet::new(take("images")?, take("labels")?)?)
    }

    /// Says what was computed, then goes through the images as often as it is told, until the input
    /// ends.
    fn answer(
        &self,
        losses: &[f32],
        mut go: impl FnMut(u32) -> anyhow::Result<f64>,
    ) -> anyhow::Result<()> {
        let precision = self.precision.to_possible_value().context("a precision has a name")?;
        println!(
            "{}",
            json!({
                "losses": losses,
                "precision": precision.get_name(),
                "threads": tch::get_num_threads(),
            })
        );
        for line in std::io::stdin().lock().lines() {
            let line = line?;
            if line.trim() == "profile" {
                let profiler = Profiler::start()?;
                let seconds = go(1)?;
                drop(profiler);
                println!("{}", json!({"seconds": seconds}));
                continue;
            }
            let times = line.trim().parse().with_context(|| format!("'{line}' is not a number"))?;
            println!("{}", json!({"seconds": go(times)?}));
        }
        Ok(())
    }
}

/// A profiler records while this lives. The functions are those of the CUDA runtime that libtorch has
/// loaded.
struct Profiler {
    stop: libloading::os::unix::Symbol<extern "C" fn() -> i32>,
}

impl Profiler {
    fn start() -> anyhow::Result<Profiler> {
        let loaded = libloading::os::unix::Library::this();
        // SAFETY: both take nothing and return a number (CUDA Runtime API, Profiler Control).
        let (start, stop) = unsafe {
            let start = loaded.get::<extern "C" fn() -> i32>(b"cudaProfilerStart");
            (start, loaded.get::<extern "C" fn() -> i32>(b"cudaProfilerStop"))
        };
        let no_cuda = "there is no CUDA runtime in this process to be profiled";
        let (start, stop) = (start.context(no_cuda)?, stop.context(no_cuda)?);
        anyhow::ensure!(start() == 0, "cudaProfilerStart failed");
        Ok(Profiler { stop })
    }
}

impl Drop for Profiler {
    fn drop(&mut self) {
        (self.stop)();
    }
}

/// What bench_train.py hands over for its chart.
#[derive(Deserialize)]
struct Chart {
    title: String,
    note: String,
    series: Vec<String>,
    groups: Vec<plot::BarGroup>,
}

/// What bench_curve.py hands over.
#[derive(Deserialize)]
struct Lines {
    title: String,
    note: String,
    axes: (String, String),
    /// Names, and the points of each.
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

fn handed<T: DeserializeOwned>(measured: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(measured)
        .with_context(|| format!("cannot read {}", measured.display()))?;
    Ok(serde_json::from_str(&text)?)
}
