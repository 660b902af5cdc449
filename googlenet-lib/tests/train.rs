//! Training: it learns, it can be stopped, it is the same twice, and bad input is refused.

use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use googlenet_lib::data::ImageSet;
use googlenet_lib::prelude::*;
use googlenet_lib::spec::InceptionSpec;

/// libtorch has one random generator for all threads: what draws from it takes turns.
fn alone() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A network small enough to train in a test.
fn small() -> GoogLeNet {
    let _alone = alone();
    let mut spec = spec::COMPACT.clone();
    spec.name = "small".into();
    spec.layers.to_mut().truncate(3);
    let row = [8, 8, 16, 4, 8, 8];
    spec.layers.to_mut().push(Layer::Inception(InceptionSpec::row("inception_3a", row)));
    manual_seed(1);
    GoogLeNet::new(&spec, Device::Cpu).unwrap()
}

/// In float32, whatever this machine is fastest at.
fn recipe() -> Recipe {
    Recipe::steady().with_epochs(2).with_batch(32).with_precision(Precision::Float32)
}

/// Ten colours in noise: easy enough to be learned in seconds.
fn colours(train: i64, test: i64) -> Dataset {
    let _alone = alone();
    manual_seed(7);
    let n = train + test;
    let labels = Tensor::randint(10, [n], (Kind::Int64, Device::Cpu));
    let palette = Tensor::randint(256, [10, 1, 1, 3], (Kind::Float, Device::Cpu));
    let noise = Tensor::randn([n, 32, 32, 3], (Kind::Float, Device::Cpu)) * 40.0;
    let images = (palette.index_select(0, &labels) + noise).clamp(0.0, 255.0).to_kind(Kind::Uint8);
    let part = |start, n| {
        ImageSet::new(images.narrow(0, start, n).contiguous(), labels.narrow(0, start, n)).unwrap()
    };
    let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    Dataset::new("ten colours", &names, part(0, train), part(train, test)).unwrap()
}

fn run(recipe: Recipe) -> Trainer {
    Trainer::new(small(), Shapes10::generate(640, 320, 5).unwrap(), recipe).unwrap()
}

/// Stops after this many steps of all that it sees.
struct StopAfter {
    steps: usize,
    seen: Vec<StepReport>,
}

impl StopAfter {
    fn new(steps: usize) -> StopAfter {
        StopAfter { steps, seen: Vec::new() }
    }
}

impl Callback for StopAfter {
    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        self.seen.push(*report);
        if self.seen.len() == self.steps {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

#[test]
fn it_learns_and_remembers() {
    let mut run = Trainer::new(small(), colours(640, 320), recipe().with_epochs(4)).unwrap();
    let fit = run.fit(Epochs(4)).unwrap();
    assert!(!fit.stopped);
    let history = run.history();
    assert_eq!(&fit.history, history);
    assert_eq!((history.steps_per_epoch, history.steps.len(), history.epochs.len()), (20, 80, 4));
    assert_eq!(history.dataset, "ten colours");
    assert!(history.device.starts_with("CPU"), "{}", history.device);
    let (first, last) = (&history.epochs[0], &history.epochs[3]);
    assert!(last.train_loss < first.train_loss - 0.5, "{first} to {last}");
    assert!(last.test_accuracy > 0.9, "{last}"); // chance is 0.1
    let test = run.evaluate().unwrap();
    assert_eq!((test.accuracy, test.loss), (last.test_accuracy, last.test_loss));
    assert_eq!(test.images, 320);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.json");
    history.save(&path).unwrap();
    assert_eq!(&History::load(&path).unwrap(), history);
    std::fs::write(&path, "{}").unwrap();
    let error = History::load(&path).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn bf16_learns_as_float32_does() {
    let data = colours(640, 320);
    let losses = |precision: Precision| {
        let recipe = recipe().with_precision(precision);
        let mut run = Trainer::new(small(), &data, recipe).unwrap();
        run.fit(Epochs(2)).unwrap();
        let history = run.history();
        assert_eq!(history.recipe.precision, precision);
        assert!(run.net().variables().variables().values().all(|t| t.kind() == Kind::Float));
        // Whoever asks the network is answered in the same precision.
        let (test, predictions) = (run.evaluate().unwrap(), run.predictions().unwrap());
        assert_eq!(test.accuracy, predictions.accuracy());
        let rows = predictions.probabilities.iter().zip(&predictions.labels);
        let loss = rows.map(|(row, &label)| -row[label].ln()).sum::<f64>() / test.images as f64;
        assert!((test.loss - loss).abs() < 1e-4, "{} and {loss}", test.loss);
        (f64::from(history.steps[0].loss), history.epochs[1])
    };
    let ((first, whole), (first_16, whole_16)) =
        (losses(Precision::Float32), losses(Precision::BFloat16));
    assert!(first != first_16, "computed in the same precision");
    assert!((first - first_16).abs() < 0.02 * first, "{first} and {first_16}");
    assert!((whole.test_loss - whole_16.test_loss).abs() < 0.2, "{whole} and {whole_16}");
}

#[test]
fn the_size_of_a_test_batch_changes_no_result() {
    let data = colours(320, 50);
    let evaluate = |test_batch: i64| {
        manual_seed(3);
        let recipe = Recipe { test_batch, ..recipe() };
        assert!(recipe.test_flip);
        let run = Trainer::new(small(), &data, recipe).unwrap();
        let predictions = run.predictions().unwrap();
        let test = run.evaluate().unwrap();
        assert_eq!(predictions.accuracy(), test.accuracy);
        test
    };
    let whole = evaluate(100);
    for test_batch in [1, 2, 7, 256] {
        let test = evaluate(test_batch);
        assert!((test.loss - whole.loss).abs() < 1e-5, "{test_batch}: {test} and {whole}");
        assert_eq!(test.accuracy, whole.accuracy, "{test_batch}");
    }
    let error = Trainer::new(small(), &data, Recipe { test_batch: 0, ..recipe() }).unwrap_err();
    assert!(error.to_string().starts_with("test_batch of recipe steady is 0"), "{error}");
}

#[test]
fn a_history_says_what_was_the_fastest() {
    let run = run(recipe().with_precision(Precision::Fastest));
    let used = run.history().recipe.precision;
    assert_eq!(used, Precision::Fastest.on(Device::Cpu));
    assert_ne!(used, Precision::Fastest);
    // A history from before there was a choice.
    let mut old = serde_json::to_value(recipe()).unwrap();
    for since in ["precision", "test_batch"] {
        old.as_object_mut().unwrap().remove(since).unwrap();
    }
    let old: Recipe = serde_json::from_value(old).unwrap();
    assert_eq!(old.precision, Precision::Float32);
    assert_eq!(old.test_batch, Recipe::steady().test_batch);
    // Only a GPU has TF32.
    assert_eq!(Precision::TensorFloat32.on(Device::Cpu), Precision::Float32);
    assert_eq!(Precision::TensorFloat32.on(Device::Cuda(0)), Precision::TensorFloat32);
}

#[test]
fn the_accuracy_is_that_of_the_logits() {
    let data = Shapes10::generate(64, 100, 9).unwrap();
    let recipe = Recipe { test_flip: false, ..recipe() };
    let run = Trainer::new(small(), &data, recipe).unwrap();
    // By hand: normalised as the training set is, all images at once.
    let pixels = data.train.images().to_kind(Kind::Double) / 255.0;
    let axes = [0i64, 1, 2];
    let mean = pixels.mean_dim(axes.as_slice(), false, Kind::Double);
    let std = pixels.std_dim(axes.as_slice(), false, false);
    let images = (data.test.images().to_kind(Kind::Double) / 255.0 - mean) / std;
    let images = images.permute([0, 3, 1, 2]).to_kind(Kind::Float);
    let logits = no_grad(|| run.net().forward_t(&images, false)).unwrap();
    let right = logits.argmax(1, false).eq_tensor(data.test.labels()).sum(Kind::Double);
    let loss = cross_entropy(&logits, data.test.labels(), 0.0).unwrap().double_value(&[]);
    let test = run.evaluate().unwrap();
    assert_eq!(test.accuracy, right.double_value(&[]) / 100.0);
    assert!((test.loss - loss).abs() < 1e-4, "{} is not {loss}", test.loss);
}

#[test]
fn twice_the_same_run() {
    let losses = |seed| {
        let mut run = run(recipe().with_seed(seed));
        let fit = run.fit(Epochs(1)).unwrap();
        fit.history.steps.iter().map(|step| step.loss).collect::<Vec<_>>()
    };
    assert_eq!(losses(1), losses(1));
    assert_ne!(losses(1), losses(2));
}

#[test]
fn a_stop_keeps_everything_and_the_next_fit_goes_on() {
    let mut whole = run(recipe());
    let _ = whole.fit(Epochs(2)).unwrap();

    let mut stopped = run(recipe());
    let mut callback = StopAfter::new(7);
    let fit = stopped.fit_with(Epochs(2), &mut callback).unwrap();
    assert!(fit.stopped);
    assert_eq!((fit.history.steps.len(), fit.history.epochs.len()), (7, 0));
    assert_eq!(callback.seen.len(), 7);
    let last = callback.seen.last().unwrap();
    assert_eq!((last.epoch, last.epochs, last.step, last.steps), (1, 2, 7, 20));
    let fit = stopped.fit_with(Epochs(2), &mut StopAfter::new(0)).unwrap();
    assert!(!fit.stopped);
    // As if it had never been stopped.
    assert_eq!(fit.history.steps, whole.history().steps);
    let (ours, theirs) =
        (stopped.net().variables().variables(), whole.net().variables().variables());
    for (name, value) in ours {
        assert_eq!(value, theirs[&name], "{name}");
    }
}

#[test]
fn a_stop_at_the_last_step_of_an_epoch_is_a_stop() {
    let mut run = run(recipe());
    let fit = run.fit_with(Epochs(2), &mut StopAfter::new(20)).unwrap();
    assert!(fit.stopped);
    assert_eq!((fit.history.steps.len(), fit.history.epochs.len()), (20, 1));
    // After the last epoch there is nothing left to stop.
    let fit = run.fit_with(Epochs(1), &mut StopAfter::new(20)).unwrap();
    assert!(!fit.stopped);
    assert_eq!(fit.history.epochs.len(), 2);
}

#[test]
fn the_loss_is_looked_at_every_twenty_steps() {
    let mut callback = StopAfter::new(0);
    let mut run = run(recipe().with_batch(16));
    let _ = run.fit_with(Epochs(1), &mut callback).unwrap();
    let looks: Vec<_> =
        callback.seen.iter().filter(|report| report.loss.is_some()).map(|r| r.step).collect();
    assert_eq!(looks, [20, 40]);
}

#[test]
fn the_learning_rate_goes_through_one_cycle_and_begins_anew() {
    let schedule = Schedule::OneCycle { warmup: 0.25, start: 0.1, end: 0.0 };
    for (progress, factor) in [(0.0, 0.1), (0.125, 0.55), (0.25, 1.0), (0.625, 0.5), (1.0, 0.0)] {
        let found: f64 = schedule.factor(progress);
        assert!((found - factor).abs() < 1e-12, "{found} at {progress}, not {factor}");
    }
    let mut run = run(Recipe { schedule, ..recipe() });
    let fit = run.fit(Epochs(3)).unwrap();
    let rates: Vec<f32> = fit.history.steps.iter().map(|step| step.learning_rate).collect();
    let highest = rates.iter().cloned().fold(0.0, f32::max);
    assert!((f64::from(highest) - run.history().recipe.learning_rate).abs() < 1e-6);
    assert_eq!(rates[0], rates[40], "the third epoch begins a new cycle");
    assert!(rates[39] < 0.05 * highest);
}

#[test]
fn the_posts_recipe_is_constant_adam() {
    let recipe = Recipe::seed();
    assert_eq!((recipe.epochs, recipe.batch, recipe.learning_rate), (100, 100, 2e-4));
    assert_eq!(recipe.schedule.factor(0.7), 1.0);
    let mut run = run(recipe.with_batch(32).with_epochs(2));
    let fit = run.fit(Epochs(2)).unwrap();
    assert!(fit.history.steps.iter().all(|step| step.learning_rate == 2e-4));
    assert!(fit.history.epochs[1].train_loss < fit.history.epochs[0].train_loss);
}

#[test]
fn a_history_from_before_there_was_a_square_has_none() {
    let text = include_str!("../../docs/results/cifar-bf16-cuda.json");
    assert!(!text.contains("cutout"));
    let measured = serde_json::from_str::<History>(text).unwrap().recipe;
    let steady = Recipe::steady().with_epochs(54).with_precision(measured.precision);
    assert_eq!(measured, steady);
    let text = serde_json::to_string(&Recipe::long()).unwrap();
    assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), Recipe::long());
    for recipe in [Recipe::seed(), Recipe::steady(), Recipe::fast()] {
        assert_eq!((recipe.augment.cutout, recipe.augment.cutmix), (0, 0.0), "{}", recipe.name);
    }
}

#[test]
fn it_learns_with_squares_cut_out_of_growing_images_and_parts_of_others() {
    let sizes = vec![SizeStep { from: 0.0, size: 16 }, SizeStep { from: 0.5, size: 32 }];
    let augment = Recipe::long().augment;
    let mut run = run(Recipe { augment, sizes, ..recipe() }.with_precision(Precision::BFloat16));
    run.fit(Epochs(2)).unwrap();
    let [first, last] = &run.history().epochs[..] else { panic!("two epochs") };
    assert!(last.train_loss < first.train_loss, "{first}, {last}");
}

#[test]
fn images_grow_along_the_way() {
    let sizes = vec![SizeStep { from: 0.0, size: 16 }, SizeStep { from: 0.5, size: 32 }];
    let mut run = run(Recipe { sizes, ..recipe() });
    assert_eq!(run.fit(Epochs(2)).unwrap().history.steps.len(), 40);
    // A network that takes one size only says so before it trains.
    let sizes = vec![SizeStep { from: 0.0, size: 112 }];
    let data = Shapes10::generate(64, 32, 0).unwrap();
    let net = GoogLeNet::new(&spec::SEED, Device::Cpu).unwrap();
    let error = Trainer::new(net, &data, Recipe { sizes, ..recipe() }).unwrap_err().to_string();
    assert!(error.contains("112x112") && error.contains("224x224 only"), "{error}");
}

#[test]
fn a_folder_of_pictures_can_be_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("flowers");
    for (class, images) in [("rose", 5u8), ("tulip", 10)] {
        std::fs::create_dir_all(root.join(class)).unwrap();
        for index in 0..images {
            let path = root.join(format!("{class}/{index}.png"));
            image::RgbImage::from_pixel(20, 10, image::Rgb([index; 3])).save(path).unwrap();
        }
    }
    let mut spec = spec::COMPACT.with_classes(2).unwrap();
    spec.layers.to_mut().truncate(4);
    let net = GoogLeNet::new(&spec, Device::Cpu).unwrap();
    let run =
        Trainer::new(net, ImageFolder::open(&root, 32).unwrap(), Recipe::steady().with_batch(4));
    assert_eq!(run.unwrap().predictions().unwrap().labels, [0, 1, 1]);
}

#[test]
fn small_images_are_enlarged_for_a_large_network() {
    let _alone = alone(); // dropout
    let data = Shapes10::generate(4, 2, 0).unwrap();
    let net = GoogLeNet::new(&spec::SEED, Device::Cpu).unwrap();
    let mut run = Trainer::new(net, &data, Recipe::seed().with_batch(2)).unwrap();
    let fit = run.fit(Epochs(1)).unwrap();
    assert_eq!(fit.history.steps.len(), 2);
    assert!((fit.history.steps[0].loss - 10f32.ln()).abs() < 0.2, "{:?}", fit.history.steps);
}

#[test]
fn a_run_that_diverges_says_so() {
    let mut run = run(Recipe { learning_rate: 1e30, ..recipe() });
    let error = run.fit(Epochs(2)).unwrap_err().to_string();
    assert!(error.contains("learning rate under"), "{error}");
}

#[test]
fn bad_recipes_and_data_are_refused() {
    let one_cycle = |warmup| Schedule::OneCycle { warmup, start: 0.1, end: 0.0 };
    let sizes = |steps: &[(f64, i64)]| -> Vec<SizeStep> {
        steps.iter().map(|&(from, size)| SizeStep { from, size }).collect()
    };
    let cut = |cutout| Augment { cutout, ..Augment::NONE };
    for (recipe, expected) in [
        (Recipe { epochs: 0, ..recipe() }, "epochs of recipe steady is 0"),
        (Recipe { batch: 0, ..recipe() }, "batch of recipe steady is 0"),
        (Recipe { batch: 641, ..recipe() }, "only 640 training images"),
        (Recipe { learning_rate: f64::NAN, ..recipe() }, "learning_rate of recipe steady is NaN"),
        (Recipe { augment: cut(-1), ..recipe() }, "cutout of recipe steady is -1: it must be at"),
        (
            Recipe { augment: cut(33), ..recipe() },
            "cutout is 33: give 0 to 32: the images are 32x32",
        ),
        (Recipe { weight_decay: -1.0, ..recipe() }, "weight_decay of recipe steady is -1"),
        (Recipe { label_smoothing: 1.0, ..recipe() }, "label_smoothing of recipe steady is 1"),
        (Recipe { schedule: one_cycle(1.0), ..recipe() }, "warmup of recipe steady is 1"),
        (
            Recipe { optimizer: OptimizerSpec::Sgd { momentum: 1.0 }, ..recipe() },
            "momentum of recipe steady is 1",
        ),
        (
            Recipe { sizes: sizes(&[(0.5, 16), (0.2, 32)]), ..recipe() },
            "a size of recipe steady is from 0.2 behind one from 0.5",
        ),
        (
            Recipe { sizes: sizes(&[(0.0, 16), (1.5, 32)]), ..recipe() },
            "a size of recipe steady is from 1.5",
        ),
        (
            Recipe { sizes: sizes(&[(f64::NAN, 16)]), ..recipe() },
            "a size of recipe steady is from NaN",
        ),
        (Recipe { sizes: sizes(&[(0.0, 0)]), ..recipe() }, "size of recipe steady is 0"),
    ] {
        let data = Shapes10::generate(640, 32, 0).unwrap();
        let result = Trainer::new(small(), &data, recipe);
        let error = result.err().unwrap_or_else(|| panic!("accepted: {expected}")).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let data = Shapes10::generate(64, 32, 0).unwrap();
    let three = spec::COMPACT.with_classes(3).unwrap();
    let net = GoogLeNet::new(&three, Device::Cpu).unwrap();
    let error = Trainer::new(net, &data, recipe()).unwrap_err().to_string();
    assert!(error.contains("the network has 3"), "{error}");
}

#[test]
fn the_plot_says_what_it_shows() {
    let mut run = run(recipe());
    let _ = run.fit_with(Epochs(1), &mut StopAfter::new(3)).unwrap();
    // In the middle of the first epoch there is something to see already.
    plot::loss_curve(run.history()).unwrap();
    let fit = run.fit(Epochs(2)).unwrap();
    let picture = fit.plot().unwrap();
    for text in ["small on Shapes10", "recipe steady", "CPU", "epoch", "loss", "training", "test"] {
        assert!(picture.svg().contains(text), "no '{text}' in the plot");
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["loss.svg", "loss.png"] {
        picture.save(folder.path().join(name)).unwrap();
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("loss.svg")).unwrap(), picture.svg());
    let png = std::fs::File::open(folder.path().join("loss.png")).unwrap();
    let reader = png::Decoder::new(std::io::BufReader::new(png)).read_info().unwrap();
    assert_eq!((reader.info().width, reader.info().height), (960, 400));
    let error = picture.save(folder.path().join("loss.gif")).unwrap_err().to_string();
    assert!(error.contains(".svg or .png"), "{error}");
}
