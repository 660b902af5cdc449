//! One training spread over several processes, by libtorch's own package for it: what docs/scaling.md measures.
//!
//!     spread measure NETWORK [--batch 128] [--steps 10] [--rounds 3]
//!     spread work NETWORK RANK SIZE HOST:PORT [--address HOST] ...
//!
//! Each process computes the gradient of its part of every batch, gloo sums the flat gradients, and each takes the
//! same step with their mean. `measure` has the threads of this machine in turns in one process and in as many
//! processes of one thread; both begin with the same weights and see the same images. `work` is one such process:
//! started by hand with one RANK each, from 0, on several machines, they meet at HOST:PORT, rank 0's. Each line
//! that is written is JSON.

use std::ffi::{CStr, CString, c_char, c_void};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Parser;
use fused_ops::{Optimizer, Rule};
use googlenet_lib::data::{DataLoader, Normalize};
use googlenet_lib::prelude::*;
use googlenet_lib::tch;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Steps at the start that are not timed: libtorch finds its memory and its algorithms in them.
const WARM_UP: usize = 2;
/// Batches that there are images for: drawing them takes longer than a step. Further steps begin anew.
const BATCHES: usize = 8;
/// How often the sum alone is measured.
const SUMS: usize = 30;

unsafe extern "C" {
    fn spread_join(
        host: *const c_char,
        port: u16,
        rank: i32,
        size: i32,
        address: *const c_char,
        joined: *mut *mut c_void,
    ) -> *mut c_char;
    fn spread_sum(group: *const c_void, tensor: *const c_void) -> *mut c_char;
    fn spread_leave(group: *mut c_void);
}

#[derive(Parser)]
enum Args {
    /// One process beside several.
    Measure(Measure),
    /// One of several processes.
    Work(Work),
}

#[derive(Parser)]
struct Measure {
    #[command(flatten)]
    training: Training,
    /// How often each way is measured, in turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Threads of the one process, and processes of one thread.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[derive(Parser)]
struct Work {
    #[command(flatten)]
    training: Training,
    /// Which of them, from 0.
    rank: usize,
    /// How many.
    size: usize,
    /// Where they meet: rank 0's host, and a port that is free there.
    meeting: String,
    /// This machine, as the others reach it.
    #[arg(long, default_value = "127.0.0.1")]
    address: String,
    /// Threads of libtorch's in this process.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Parts of a process's images that are normalised by themselves, one after the other.
    #[arg(long, default_value_t = 1)]
    parts: usize,
}

#[derive(clap::Args, Clone)]
struct Training {
    /// Network: paper, seed, cifar or compact.
    network: String,
    /// Images a step, of all processes.
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Steps that are timed.
    #[arg(long, default_value_t = 10)]
    steps: usize,
}

/// What a process says at its end.
#[derive(Serialize, Deserialize)]
struct Said {
    images_per_second: f64,
    /// Mean over all images of each batch, before its step.
    losses: Vec<f64>,
    gradient_bytes: usize,
    /// Of a step, median; the sum with the wait for the slowest process, the sum alone.
    step_ms: f64,
    waited_and_summed_ms: f64,
    sum_alone_ms: f64,
}

fn main() -> anyhow::Result<()> {
    match Args::parse() {
        Args::Measure(measure) => measure.run(),
        Args::Work(work) => {
            println!("{}", serde_json::to_string(&work.run()?)?);
            Ok(())
        }
    }
}

/// The processes that train together. Without others there is nothing to sum.
struct Group(Option<*mut c_void>);

impl Group {
    fn join(work: &Work) -> anyhow::Result<Group> {
        if work.size == 1 {
            return Ok(Group(None));
        }
        let (host, port) = work.meeting.rsplit_once(':').context("HOST:PORT is wanted")?;
        let port = port.parse().with_context(|| format!("'{port}' is no port"))?;
        let (host, address) = (CString::new(host)?, CString::new(work.address.as_str())?);
        let mut joined = std::ptr::null_mut();
        // SAFETY: the strings live until the call returns, and `joined` is set where it succeeds.
        check(unsafe {
            let (rank, size) = (work.rank as i32, work.size as i32);
            spread_join(host.as_ptr(), port, rank, size, address.as_ptr(), &mut joined)
        })?;
        Ok(Group(Some(joined)))
    }

    /// Puts the sum over all processes into the tensor of each.
    fn sum(&self, tensor: &Tensor) -> anyhow::Result<()> {
        let Some(group) = self.0 else { return Ok(()) };
        // SAFETY: the group is whole until it is dropped, and the tensor lives until the call returns.
        check(unsafe { spread_sum(group, tensor.as_ptr().cast()) })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // SAFETY: `join` made it, and nobody uses it after this.
            unsafe { spread_leave(group) };
        }
    }
}

/// The error that a call ended with, if it did.
fn check(problem: *mut c_char) -> anyhow::Result<()> {
    if problem.is_null() {
        return Ok(());
    }
    // SAFETY: a string that strdup made, which is ours.
    let text = unsafe { CStr::from_ptr(problem) }.to_string_lossy().into_owned();
    // SAFETY: as above; it is not used again.
    unsafe { libc::free(problem.cast()) };
    anyhow::bail!("libtorch: {text}")
}

impl Work {
    fn run(&self) -> anyhow::Result<Said> {
        let Training { network, batch, steps } = &self.training;
        let (batch, steps) = (*batch, WARM_UP + steps);
        let shares = self.size * self.parts;
        ensure!(batch.is_multiple_of(shares), "a batch of {batch} is not {shares} equal parts");
        ensure!(self.rank < self.size, "ranks go from 0 to {}", self.size - 1);
        tch::set_num_threads(self.threads as i32);
        // One seed, one network: nothing needs to be sent at the start.
        tch::manual_seed(0);
        let net = GoogLeNet::new(&spec::by_name(network)?.without_dropout(), Device::Cpu)?;
        let rule = Rule::Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8 };
        let mut optimizer = Optimizer::new(net.variables(), rule, 0.0)?;
        let images = Shapes10::generate(batch * steps.min(BATCHES), 1, 0)?.train;
        let loader = DataLoader::new(&images, &Normalize::of(&images)?, Augment::NONE)?;
        let group = Group::join(self)?;

        let share = batch / shares;
        let mut losses = Vec::with_capacity(steps);
        let (mut whole, mut summed) = (Vec::new(), Vec::new());
        let mut gradient = Tensor::new();
        for step in 0..steps {
            let began = Instant::now();
            let (mut loss, mut gradients) = (0.0, Vec::new());
            for part in 0..self.parts {
                let first = step % BATCHES * batch + (self.rank * self.parts + part) * share;
                let (images, labels) = loader.eval(first as i64, share as i64, None)?;
                let of_part = net.outputs(&images)?.loss(&labels, 0.0)?;
                gradients.push(optimizer.gradient(&of_part)?);
                loss += of_part.double_value(&[]) / shares as f64;
            }
            gradient = gradients.pop().context("there is a part")?;
            for of_part in &gradients {
                gradient += of_part;
            }
            let computed = Instant::now();
            group.sum(&gradient)?;
            summed.push(computed.elapsed().as_secs_f64());
            gradient /= shares as f64;
            no_grad(|| optimizer.step(&gradient, 1e-3))?;
            losses.push(loss);
            whole.push(began.elapsed().as_secs_f64());
        }
        // After the training: it changes nothing that is timed.
        let losses = Tensor::from_slice(&losses);
        group.sum(&losses)?;
        let mut alone = Vec::with_capacity(SUMS);
        for _ in 0..SUMS {
            let began = Instant::now();
            group.sum(&gradient)?;
            alone.push(began.elapsed().as_secs_f64());
        }
        let timed = &whole[WARM_UP..];
        Ok(Said {
            images_per_second: (batch * timed.len()) as f64 / timed.iter().sum::<f64>(),
            losses: Vec::try_from(&losses)?,
            gradient_bytes: gradient.numel() * gradient.kind().elt_size_in_bytes(),
            step_ms: 1e3 * median(timed.to_vec()),
            waited_and_summed_ms: 1e3 * median(summed[WARM_UP..].to_vec()),
            sum_alone_ms: 1e3 * median(alone),
        })
    }
}

/// One of the compared ways to compute the same steps.
struct Way {
    name: &'static str,
    processes: usize,
    threads: usize,
    parts: usize,
}

impl Measure {
    fn run(&self) -> anyhow::Result<()> {
        let n = self.threads;
        let ways = [
            Way { name: "one process of one thread", processes: 1, threads: 1, parts: 1 },
            Way { name: "one process", processes: 1, threads: n, parts: 1 },
            Way { name: "several processes", processes: n, threads: 1, parts: 1 },
        ];
        let mut said: [Vec<Said>; 3] = Default::default();
        for _ in 0..self.rounds {
            for (way, said) in ways.iter().zip(&mut said) {
                said.push(self.start(way)?);
            }
        }
        // What several processes compute, in one of as many threads as each of them has: each part of a batch is
        // normalised by itself.
        let parted = Way { name: "one process, in parts", processes: 1, threads: 1, parts: n };
        let parted = self.start(&parted)?;
        for (way, said) in ways.iter().zip(&said) {
            let of = |what: fn(&Said) -> f64| said.iter().map(what).collect::<Vec<_>>();
            let rates = of(|said| said.images_per_second);
            let line = json!({
                "way": way.name,
                "processes": way.processes,
                "threads of each": way.threads,
                "images_per_second": median(rates.clone()),
                "rounds": rates,
                "step_ms": median(of(|said| said.step_ms)),
                "waited_and_summed_ms": median(of(|said| said.waited_and_summed_ms)),
                "sum_alone_ms": median(of(|said| said.sum_alone_ms)),
                "gradient_bytes": said[0].gradient_bytes,
                "losses": said[0].losses,
            });
            println!("{line}");
        }
        let [of_one_thread, one, several] = &said;
        let difference = |other: &Said| largest_difference(&other.losses, &several[0].losses);
        let line = json!({
            "largest difference of a loss": {
                "to one process": difference(&one[0]),
                "to one process, in parts": difference(&parted),
                "between one process of one thread and of several":
                    largest_difference(&of_one_thread[0].losses, &one[0].losses),
            }
        });
        println!("{line}");
        Ok(())
    }

    /// What the first of a way's processes says; the others' rates are its own, since each waits for all.
    fn start(&self, way: &Way) -> anyhow::Result<Said> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let program = std::env::current_exe()?;
        let Training { network, batch, steps } = &self.training;
        let begin = |rank: usize| -> anyhow::Result<Child> {
            let mut command = Command::new(&program);
            command.arg("work").arg(network).arg(rank.to_string()).arg(way.processes.to_string());
            command.arg(format!("127.0.0.1:{port}"));
            command.args(["--batch", &batch.to_string(), "--steps", &steps.to_string()]);
            command.args([
                "--threads",
                &way.threads.to_string(),
                "--parts",
                &way.parts.to_string(),
            ]);
            command.env("OMP_NUM_THREADS", way.threads.to_string());
            Ok(command.stdout(Stdio::piped()).spawn()?)
        };
        let children = (0..way.processes).map(begin).collect::<anyhow::Result<Vec<_>>>()?;
        let mut first = None;
        for (rank, child) in children.into_iter().enumerate() {
            let done = child.wait_with_output()?;
            ensure!(done.status.success(), "{}: process {rank} failed: {}", way.name, done.status);
            first.get_or_insert(done.stdout);
        }
        Ok(serde_json::from_slice(&first.context("there is a process")?)?)
    }
}

fn largest_difference(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    let middle = of.len() / 2;
    if of.len().is_multiple_of(2) { (of[middle - 1] + of[middle]) / 2.0 } else { of[middle] }
}
