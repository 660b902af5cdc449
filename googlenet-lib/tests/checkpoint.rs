//! Checkpoints: a run goes on from one as if it had never stopped, kill -9 at any moment leaves a
//! whole one, and one that is not whole is refused.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::StopAfter;
use googlenet_lib::prelude::*;
use googlenet_lib::train::has_checkpoint;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// libtorch has one random generator for all threads: tests that draw from it take turns.
fn alone() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn small() -> GoogLeNet {
    manual_seed(1);
    GoogLeNet::new(&common::small(), Device::Cpu).unwrap()
}

fn data() -> Dataset {
    Shapes10::generate(96, 32, 5).unwrap()
}

fn start(recipe: Recipe) -> Trainer {
    Trainer::new(small(), data(), recipe.with_epochs(4).with_batch(32)).unwrap()
}

fn resume(dir: &Path) -> googlenet_lib::Result<Trainer> {
    Trainer::resume(dir, data(), Device::Cpu)
}

/// Every variable, and all of the history that does not depend on the clock.
fn same(a: &Trainer, b: &Trainer) {
    let theirs = b.net().variables().variables();
    for (name, value) in a.net().variables().variables() {
        assert_eq!(value, theirs[&name], "{name}");
    }
    assert_eq!(a.history().steps, b.history().steps);
    let results = |run: &Trainer| -> Vec<_> {
        let of = |e: &googlenet_lib::train::Epoch| {
            (e.epoch, e.train_loss, e.train_accuracy, e.test_loss, e.test_accuracy)
        };
        run.history().epochs.iter().map(of).collect()
    };
    assert_eq!(results(a), results(b));
}

#[test]
fn two_epochs_and_two_after_a_resume_are_four_epochs() {
    let _alone = alone();
    for recipe in [Recipe::steady(), Recipe::seed()] {
        let mut straight = start(recipe.clone());
        let _ = straight.fit(Epochs(4)).unwrap();

        let dir = tempfile::tempdir().unwrap();
        let mut first = start(recipe);
        let _ = first.fit(Epochs(2)).unwrap();
        first.checkpoint(dir.path()).unwrap();
        drop(first);
        // Whatever was drawn in between must not matter.
        manual_seed(12345);
        let mut second = resume(dir.path()).unwrap();
        let _ = second.fit(Epochs(2)).unwrap();
        same(&second, &straight);
    }
}

#[test]
fn an_epoch_that_was_stopped_is_finished_after_a_resume() {
    let _alone = alone();
    let mut straight = start(Recipe::steady());
    let _ = straight.fit(Epochs(2)).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let mut stopped = start(Recipe::steady());
    assert!(stopped.fit_with(Epochs(2), &mut StopAfter(4)).unwrap().stopped);
    stopped.checkpoint(dir.path()).unwrap();
    let mut resumed = resume(dir.path()).unwrap();
    assert_eq!(resumed.history().steps.len(), 4);
    // A checkpoint of what was just resumed is the same one.
    resumed.checkpoint(dir.path()).unwrap();
    let mut resumed = resume(dir.path()).unwrap();
    let _ = resumed.fit(Epochs(1)).unwrap();
    same(&resumed, &straight);
    assert!(resumed.history().epochs[1].seconds > 0.0);
    // The one that was never closed goes the same way.
    let _ = stopped.fit(Epochs(1)).unwrap();
    same(&stopped, &straight);
}

#[test]
fn a_resumed_run_has_the_knobs_as_they_were() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let mut straight = start(Recipe::steady());
    straight.control().set_learning_rate_factor(0.3).unwrap();
    assert!(straight.fit_with(Epochs(2), &mut StopAfter(2)).unwrap().stopped);
    straight.checkpoint(dir.path()).unwrap();
    let mut resumed = resume(dir.path()).unwrap();
    assert_eq!(resumed.control().learning_rate_factor(), 0.3);
    let _ = (straight.fit(Epochs(1)).unwrap(), resumed.fit(Epochs(1)).unwrap());
    same(&resumed, &straight);
    assert_eq!(resumed.history().turns, straight.history().turns);
    assert_eq!(resumed.history().turns.len(), 1);
    // Turned, and no step since.
    straight.control().set_learning_rate_factor(2.5).unwrap();
    straight.checkpoint(dir.path()).unwrap();
    let mut resumed = resume(dir.path()).unwrap();
    let _ = (straight.fit(Epochs(1)).unwrap(), resumed.fit(Epochs(1)).unwrap());
    same(&resumed, &straight);
    assert_eq!(resumed.history().turns, straight.history().turns);
    assert_eq!(resumed.history().learning_rate_factor(), 2.5);
}

#[test]
fn checkpoints_from_before_there_were_knobs_are_read() {
    let _alone = alone();
    let (dir, folder) = checkpointed();
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
    };
    let mut run = read("run.json");
    run.as_object_mut().unwrap().remove("learning_rate_factor").unwrap();
    run["history"].as_object_mut().unwrap().remove("turns").unwrap();
    let bytes = serde_json::to_vec(&run).unwrap();
    fs::write(folder.join("run.json"), &bytes).unwrap();
    let mut manifest = read("manifest.json");
    manifest["files"]["run.json"] = serde_json::json!({
        "bytes": bytes.len(), "sha256": format!("{:x}", Sha256::digest(&bytes)),
    });
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    let mut resumed = resume(dir.path()).unwrap();
    assert_eq!(resumed.control().learning_rate_factor(), 1.0);
    let _ = resumed.fit(Epochs(1)).unwrap();
    assert!(resumed.history().turns.is_empty());
}

#[test]
fn a_run_goes_on_in_its_own_precision_or_in_another_that_is_asked_for() {
    let _alone = alone();
    for (begun, other) in
        [(Precision::BFloat16, Precision::Float32), (Precision::Float32, Precision::BFloat16)]
    {
        let dir = tempfile::tempdir().unwrap();
        start(Recipe::steady().with_precision(begun)).checkpoint(dir.path()).unwrap();
        assert_eq!(resume(dir.path()).unwrap().history().recipe.precision, begun);
        let mut changed = Trainer::resume_in(dir.path(), data(), Device::Cpu, other).unwrap();
        assert_eq!(changed.history().recipe.precision, other);
        changed.fit(Epochs(1)).unwrap();
        changed.checkpoint(dir.path()).unwrap();
        assert_eq!(resume(dir.path()).unwrap().history().recipe.precision, other);
    }
    let dir = tempfile::tempdir().unwrap();
    start(Recipe::steady().with_precision(Precision::Float32)).checkpoint(dir.path()).unwrap();
    let fastest = Trainer::resume_in(dir.path(), data(), Device::Cpu, Precision::Fastest).unwrap();
    assert_eq!(fastest.history().recipe.precision, Precision::Fastest.on(Device::Cpu));
}

#[test]
fn a_checkpoint_before_the_first_step_and_only_one_is_kept() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    assert!(!has_checkpoint(dir.path()).unwrap());
    let mut run = start(Recipe::steady());
    let first = run.checkpoint(dir.path()).unwrap();
    let second = run.checkpoint(dir.path()).unwrap();
    assert!(!first.exists() && second.exists());
    assert!(has_checkpoint(dir.path()).unwrap());
    let left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(fs::read_to_string(dir.path().join("notes.txt")).unwrap(), "mine");

    let mut resumed = resume(dir.path()).unwrap();
    let _ = (run.fit(Epochs(1)).unwrap(), resumed.fit(Epochs(1)).unwrap());
    same(&run, &resumed);
}

fn checkpointed() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut run = start(Recipe::steady());
    let _ = run.fit_with(Epochs(1), &mut StopAfter(2)).unwrap();
    let folder = run.checkpoint(dir.path()).unwrap();
    (dir, folder)
}

/// The error of a resume; it names `path`.
fn refused(dir: &Path, path: &Path) -> String {
    let error = resume(dir).expect_err("it was accepted").to_string();
    assert!(error.starts_with(path.to_str().unwrap()), "{error} does not begin with {path:?}");
    error
}

#[test]
fn a_cut_altered_or_missing_file_is_refused() {
    let _alone = alone();
    let (dir, folder) = checkpointed();
    for name in ["weights.safetensors", "optimizer.safetensors", "run.json", "manifest.json"] {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();

        fs::write(&path, &whole[..whole.len() - 7]).unwrap();
        let error = refused(dir.path(), &path);
        assert!(error.contains(&format!("remove {}", folder.display())), "{error}");

        let mut altered = whole.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 0x15;
        fs::write(&path, &altered).unwrap();
        // A change within the manifest shows in one of the files that it speaks of.
        let named = if name == "manifest.json" { &folder } else { &path };
        refused(dir.path(), named);

        fs::remove_file(&path).unwrap();
        assert!(refused(dir.path(), &path).contains("is missing"));
        fs::write(&path, &whole).unwrap();
    }
    resume(dir.path()).unwrap();
}

#[test]
fn a_foreign_folder_is_refused() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    assert!(refused(dir.path(), dir.path()).contains("holds no checkpoint"));
    let missing = dir.path().join("missing");
    assert!(refused(&missing, &missing).contains("there is no such folder"));
    assert!(!has_checkpoint(&missing).unwrap());

    let folder = dir.path().join("checkpoint-000003");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("manifest.json"), "{\"model\": \"resnet\"}").unwrap();
    let error = refused(dir.path(), &folder.join("manifest.json"));
    assert!(error.contains("is not what a checkpoint holds"), "{error}");
    fs::write(folder.join("manifest.json"), "{\"format\": 99, \"files\": {}}").unwrap();
    assert!(refused(dir.path(), &folder.join("manifest.json")).contains("is of format 99"));
}

#[test]
fn other_data_is_refused() {
    let _alone = alone();
    let (dir, folder) = checkpointed();
    let refused = |data: Dataset| {
        let error = Trainer::resume(dir.path(), data, Device::Cpu).unwrap_err().to_string();
        assert!(error.starts_with(folder.to_str().unwrap()), "{error}");
        assert!(error.contains("give the same data set"), "{error}");
        error
    };
    refused(Shapes10::generate(64, 32, 5).unwrap());
    refused(data().take(64, 32).unwrap());
    // The same name and number of images, other pixels.
    let error = refused(Shapes10::generate(96, 32, 6).unwrap());
    assert!(error.contains("its training images are other ones"), "{error}");
}

#[test]
fn a_run_that_diverged_does_not_replace_a_good_checkpoint() {
    let _alone = alone();
    let (dir, folder) = checkpointed();
    let mut lost = start(Recipe { learning_rate: 1e30, ..Recipe::steady() });
    lost.fit(Epochs(2)).unwrap_err();
    let error = lost.checkpoint(dir.path()).unwrap_err().to_string();
    assert!(error.contains("go on from the checkpoint before it"), "{error}");
    assert!(folder.exists());
    resume(dir.path()).unwrap();
}

#[test]
fn a_place_that_cannot_be_written_is_an_error() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = start(Recipe::steady()).checkpoint(file.join("x")).unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()), "{error}");
}

/// Where the child process of the next test writes.
const CHILD: &str = "GOOGLENET_TEST_CHECKPOINTS";

/// Not a test: the child process. A step and a checkpoint, again and again, until it is killed.
#[test]
#[ignore = "the child process of kill_9_leaves_a_whole_checkpoint"]
fn child() {
    let dir = PathBuf::from(std::env::var_os(CHILD).expect("run by its parent only"));
    let mut run = match has_checkpoint(&dir).unwrap() {
        true => resume(&dir).unwrap(),
        false => start(Recipe::steady()),
    };
    loop {
        let _ = run.fit_with(Epochs(1000), &mut StopAfter(1)).unwrap();
        run.checkpoint(&dir).unwrap();
    }
}

#[test]
fn kill_9_leaves_a_whole_checkpoint() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let newest = || {
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| !name.to_str().unwrap().contains("unfinished")).max()
    };
    let (mut steps, mut cut) = (0, 0);
    for round in 0..8u64 {
        let before = newest();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child", "--test-threads", "1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while newest() == before {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint came");
            std::thread::sleep(Duration::from_millis(2));
        }
        // Any moment of the next step or the next checkpoint.
        std::thread::sleep(Duration::from_millis(7 * round * round % 97));
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        cut += usize::from(fs::read_dir(dir.path()).unwrap().count() > 1);
        let run = resume(dir.path()).unwrap();
        assert!(run.history().steps.len() > steps, "round {round} lost steps");
        steps = run.history().steps.len();
    }
    println!("{steps} steps in 8 rounds; {cut} times a checkpoint was being written");
    // What the killed processes did together is what one does alone.
    let mut straight = start(Recipe::steady());
    let _ = straight.fit_with(Epochs(1000), &mut StopAfter(steps)).unwrap();
    same(&resume(dir.path()).unwrap(), &straight);
}
