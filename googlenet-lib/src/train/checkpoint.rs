//! Checkpoints: a training run in a folder, from which it goes on as if it had never stopped.
//!
//! A checkpoint is a folder `checkpoint-N` with
//!
//! | file | what it holds |
//! | --- | --- |
//! | `weights.safetensors` | the network's variables, as [`GoogLeNet::save`] writes them |
//! | `optimizer.safetensors` | `state.0`, and for Adam `state.1`: one row over all parameters each |
//! | `run.json` | spec, recipe, history, place in the schedule and in the epoch, the learning rate's factor |
//! | `manifest.json` | size and sha256 of the other three |
//!
//! It is written under another name, forced to the disk and renamed, so that one that bears its
//! name is whole whenever the process or the machine died. Only then are older ones removed.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use devices::{Precision, describe};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Device, Tensor};
use vision_data::{Dataset, Normalize};

use super::history::History;
use super::trainer::Trainer;
use crate::model::GoogLeNet;
use crate::spec::NetworkSpec;
use crate::{Error, Result};

/// Version of what the files hold. A library that writes something else counts it up.
const FORMAT: u32 = 2;
const NAME: &str = "checkpoint-";
const UNFINISHED: &str = ".unfinished";

const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const RUN: &str = "run.json";
const MANIFEST: &str = "manifest.json";

/// What [`RUN`] holds.
#[derive(Serialize, Deserialize)]
struct Run {
    spec: NetworkSpec,
    normalize: Normalize,
    history: History,
    optimizer_steps: i32,
    running: Option<Running>,
    /// The one that is wanted; the one in force is the history's last.
    #[serde(default = "Run::default_factor")]
    learning_rate_factor: f64,
}

impl Run {
    fn default_factor() -> f64 {
        1.0
    }
}

/// An epoch that was stopped. Its plan is drawn again.
#[derive(Serialize, Deserialize)]
struct Running {
    steps_done: usize,
    images_right: f64,
    seconds: f64,
}

/// What [`MANIFEST`] holds.
#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    files: BTreeMap<String, Fingerprint>,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Fingerprint {
    bytes: u64,
    sha256: String,
}

impl Trainer {
    /// Writes everything that this run is to a new folder in `dir`, and returns that folder: from
    /// it [`Trainer::resume`] goes on, in the middle of an epoch too. Earlier checkpoints in `dir`
    /// are removed when the new one is whole; other files there are left alone. A process that is
    /// killed at any moment leaves the last whole checkpoint.
    ///
    /// # Errors
    /// A place that cannot be written; a run whose weights are not numbers any more. The last whole
    /// checkpoint is kept then.
    pub fn checkpoint(&mut self, dir: impl AsRef<Path>) -> Result<PathBuf> {
        let dir = dir.as_ref();
        // A step that failed may have left losses on the device.
        if let Some(running) = self.running.take() {
            let looked = self.look(&running);
            self.running = Some(running);
            looked?;
        }
        if let Some(step) = self.history.steps.iter().position(|step| !step.loss.is_finite()) {
            return Err(Error::invalid(
                format!("loss of step {}", step + 1),
                self.history.steps[step].loss,
                "the weights are lost: go on from the checkpoint before it",
            ));
        }
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let earlier = numbered(dir)?;
        let number = earlier.last().map_or(1, |(number, _)| number + 1);
        let target = dir.join(format!("{NAME}{number:06}"));
        let unfinished = dir.join(format!("{NAME}{number:06}{UNFINISHED}"));
        remove_if_there(&unfinished)?;
        self.write_into(&unfinished)?;
        fs::rename(&unfinished, &target).map_err(Error::io(&target))?;
        sync(dir)?;
        for (_, old) in earlier {
            remove_if_there(&old)?;
        }
        Ok(target)
    }

    fn write_into(&self, folder: &Path) -> Result<()> {
        fs::create_dir(folder).map_err(Error::io(folder))?;
        self.net.save(folder.join(WEIGHTS))?;

        let (state, optimizer_steps) = self.optimizer.state();
        let state = state
            .iter()
            .enumerate()
            .map(|(index, tensor)| Ok((format!("state.{index}"), tensor.f_to_device(Device::Cpu)?)))
            .collect::<Result<Vec<_>>>()?;
        Tensor::write_safetensors(&state, folder.join(OPTIMIZER))?;

        let run = Run {
            spec: self.net.spec().clone(),
            normalize: self.normalize,
            history: self.history.clone(),
            optimizer_steps,
            running: match &self.running {
                Some(running) => Some(Running {
                    steps_done: running.next,
                    images_right: running.correct.f_double_value(&[0])?,
                    seconds: running.seconds,
                }),
                None => None,
            },
            learning_rate_factor: self.control.learning_rate_factor(),
        };
        write_json(&folder.join(RUN), &run)?;

        let mut files = BTreeMap::new();
        for name in [WEIGHTS, OPTIMIZER, RUN] {
            let path = folder.join(name);
            files.insert(name.to_string(), fingerprint(&read(&path)?));
            sync(&path)?;
        }
        write_json(&folder.join(MANIFEST), &Manifest { format: FORMAT, files })?;
        sync(&folder.join(MANIFEST))?;
        sync(folder)
    }

    /// Goes on from the newest checkpoint in `dir`, on `device`: with the same data the run then
    /// takes the steps that it would have taken. On the CPU, with the same number of threads, they
    /// are the same to the last bit.
    ///
    /// It computes in what the run has computed in, though another device may be faster in another
    /// precision; where that is so, it says so on standard error. [`Trainer::resume_in`] chooses.
    ///
    /// # Errors
    /// A folder without a checkpoint; one with a file that is missing, cut, altered or of another
    /// version of this library; a data set that is not the one of the run. The message names file
    /// and remedy, and no file is changed.
    pub fn resume(
        dir: impl AsRef<Path>,
        data: impl Borrow<Dataset>,
        device: Device,
    ) -> Result<Trainer> {
        let folder = newest(dir.as_ref())?;
        let run = read_run(&folder)?;
        if let Some(note) = note_on(run.history.recipe.precision, device) {
            eprintln!("{note}");
        }
        resume(&folder, run, data.borrow(), device)
    }

    /// [`Trainer::resume`] in another precision: its next steps are no longer those that the run
    /// would have taken. The history then names the new one.
    ///
    /// # Errors
    /// As [`Trainer::resume`].
    pub fn resume_in(
        dir: impl AsRef<Path>,
        data: impl Borrow<Dataset>,
        device: Device,
        precision: Precision,
    ) -> Result<Trainer> {
        let folder = newest(dir.as_ref())?;
        let mut run = read_run(&folder)?;
        run.history.recipe.precision = precision.on(device);
        resume(&folder, run, data.borrow(), device)
    }
}

/// What a whole checkpoint says of its run.
fn read_run(folder: &Path) -> Result<Run> {
    check_manifest(folder)?;
    read_json(&folder.join(RUN))
}

/// What is to be known about a run in this precision on a device that it may not have begun on.
fn note_on(precision: Precision, device: Device) -> Option<String> {
    let fastest = Precision::Fastest.on(device);
    let device = describe(device);
    let other = "Trainer::resume_in takes another precision";
    match (precision, fastest) {
        (Precision::BFloat16, Precision::Float32) => Some(format!(
            "This run goes on in bfloat16, in which it began. {device} has no instructions for it \
             and may take ten times as long as in float32: {other}."
        )),
        (Precision::Float32 | Precision::TensorFloat32, Precision::BFloat16) => Some(format!(
            "This run goes on in float32, in which it began. {device} is faster in bfloat16: {other}."
        )),
        _ => None,
    }
}

fn resume(folder: &Path, run: Run, data: &Dataset, device: Device) -> Result<Trainer> {
    check_data(folder, &run, data)?;

    let mut net = GoogLeNet::new(&run.spec, device)?;
    net.load(folder.join(WEIGHTS))?;
    let mut trainer = Trainer::new(net, data, run.history.recipe.clone())?;
    if trainer.normalize != run.normalize {
        return Err(other_data(folder, &run, "its training images are other ones"));
    }
    let mut state = Tensor::read_safetensors(folder.join(OPTIMIZER))?;
    state.sort_by(|a, b| a.0.cmp(&b.0));
    let state: Vec<Tensor> = state.into_iter().map(|(_, tensor)| tensor).collect();
    trainer.optimizer.restore(&state, run.optimizer_steps)?;
    trainer.learning_rate_factor = run.history.learning_rate_factor();
    let factor = trainer.control.set_learning_rate_factor(run.learning_rate_factor);
    factor.map_err(|error| damaged(&folder.join(RUN), error.to_string()))?;
    trainer.history = History { device: trainer.history.device, ..run.history };
    if let Some(stopped) = run.running {
        let mut running = trainer.begin_epoch()?;
        let whole = trainer.history.epochs.len() * running.steps();
        let steps = trainer.history.steps.get(whole..whole + stopped.steps_done);
        let steps = steps.filter(|_| stopped.steps_done < running.steps()).ok_or_else(|| {
            damaged(&folder.join(RUN), "its history does not go with its place in the epoch")
        })?;
        running.learning_rates.extend(steps.iter().map(|step| step.learning_rate));
        running.next = stopped.steps_done;
        running.seconds = stopped.seconds;
        let _ = running.correct.f_fill_(stopped.images_right)?;
        trainer.running = Some(running);
    }
    Ok(trainer)
}

/// Whether [`Trainer::resume`] finds a checkpoint in this folder, whole or not.
///
/// # Errors
/// A folder that cannot be read.
pub fn has_checkpoint(dir: impl AsRef<Path>) -> Result<bool> {
    let dir = dir.as_ref();
    Ok(dir.is_dir() && !numbered(dir)?.is_empty())
}

/// The checkpoints in a folder by number, oldest first.
fn numbered(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = entry.map_err(Error::io(dir))?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix(NAME))
            .and_then(|number| number.parse().ok());
        if let Some(number) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

fn newest(dir: &Path) -> Result<PathBuf> {
    let none = |problem: &str| Error::Data {
        path: dir.to_path_buf(),
        problem: problem.into(),
        remedy: "give the folder that was given to Trainer::checkpoint".into(),
    };
    if !dir.is_dir() {
        return Err(none("there is no such folder"));
    }
    numbered(dir)?.pop().map(|(_, path)| path).ok_or_else(|| none("holds no checkpoint"))
}

fn check_manifest(folder: &Path) -> Result<()> {
    let path = folder.join(MANIFEST);
    let manifest: Manifest = read_json(&path)?;
    if manifest.format != FORMAT {
        return Err(Error::Data {
            path,
            problem: format!("is of format {}", manifest.format),
            remedy: format!("this version of the library reads format {FORMAT}: use the other one"),
        });
    }
    for name in [WEIGHTS, OPTIMIZER, RUN] {
        let path = folder.join(name);
        let bytes = read(&path)?;
        let expected = manifest.files.get(name);
        let found = fingerprint(&bytes);
        match expected {
            Some(expected) if *expected == found => {}
            Some(expected) if expected.bytes != found.bytes => {
                let problem = format!("has {} bytes, not {}", found.bytes, expected.bytes);
                return Err(damaged(&path, problem));
            }
            _ => return Err(damaged(&path, "its sha256 is not the one that was written")),
        }
    }
    Ok(())
}

/// Whether a data set can be the one that the run was trained on.
fn check_data(folder: &Path, run: &Run, data: &Dataset) -> Result<()> {
    let steps = data.train.len() / run.history.recipe.batch.max(1) as usize;
    if data.name != run.history.dataset || steps != run.history.steps_per_epoch {
        let problem = format!("you gave {}, {} training images", data.name, data.train.len());
        return Err(other_data(folder, run, problem));
    }
    Ok(())
}

fn other_data(folder: &Path, run: &Run, problem: impl std::fmt::Display) -> Error {
    let History { dataset, steps_per_epoch, recipe, .. } = &run.history;
    Error::Data {
        path: folder.to_path_buf(),
        problem: format!(
            "is of a run on {dataset}, {steps_per_epoch} steps of {} an epoch: {problem}",
            recipe.batch
        ),
        remedy: "give the same data set".into(),
    }
}

/// A file of a checkpoint that is not as it was written.
fn damaged(path: &Path, problem: impl Into<String>) -> Error {
    let folder = path.parent().unwrap_or(path).display();
    Error::Data {
        path: path.to_path_buf(),
        problem: problem.into(),
        remedy: format!(
            "take a copy of {folder} if you have one; without it, remove {folder}: an earlier \
             checkpoint beside it is used then, or the run starts anew"
        ),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => damaged(path, "is missing"),
        _ => Error::Io { path: path.to_path_buf(), source: error },
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| damaged(path, format!("is not what a checkpoint holds ({error})")))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|source| Error::Json { path: path.to_path_buf(), source })?;
    fs::write(path, bytes).map_err(Error::io(path))
}

fn fingerprint(bytes: &[u8]) -> Fingerprint {
    Fingerprint { bytes: bytes.len() as u64, sha256: format!("{:x}", Sha256::digest(bytes)) }
}

/// Waits until a file or the names in a folder are on the disk.
fn sync(path: &Path) -> Result<()> {
    fs::File::open(path).and_then(|file| file.sync_all()).map_err(Error::io(path))
}

fn remove_if_there(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_on_another_device_says_what_it_computes_in() {
        let gpu = Device::Cuda(0);
        let note = note_on(Precision::Float32, gpu).unwrap();
        assert!(note.contains("goes on in float32") && note.contains("GPU"), "{note}");
        assert!(note_on(Precision::TensorFloat32, gpu).is_some());
        assert_eq!(note_on(Precision::BFloat16, gpu), None);
        match Precision::Fastest.on(Device::Cpu) {
            Precision::BFloat16 => {
                assert_eq!(note_on(Precision::BFloat16, Device::Cpu), None);
                assert!(note_on(Precision::Float32, Device::Cpu).is_some());
            }
            _ => {
                let note = note_on(Precision::BFloat16, Device::Cpu).unwrap();
                assert!(note.contains("ten times as long"), "{note}");
                assert_eq!(note_on(Precision::Float32, Device::Cpu), None);
            }
        }
    }
}
