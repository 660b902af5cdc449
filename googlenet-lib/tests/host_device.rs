//! What runs on a GPU, on any machine: the device of `host-device` is not the CPU, so that a tensor that was
//! left on the CPU is an error, and what waits for the device is counted. The numbers are the CPU's.

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{StopAfter, small};
use googlenet_lib::data::{DataLoader, EpochPlan, Normalize};
use googlenet_lib::model::torchvision;
use googlenet_lib::prelude::*;
use googlenet_lib::spec::HeadPool;
use host_device::{take_operations, take_waits};

/// The device, for one test at a time: libtorch has one random generator for all threads, and waits are
/// counted for all.
struct Turn {
    device: Device,
    _alone: MutexGuard<'static, ()>,
}

fn turn() -> Turn {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Turn { device: host_device::register(), _alone: alone }
}

/// The networks of the library, for ten classes. Those for 224x224 take images as small as their auxiliary
/// classifiers and their pooling allow.
fn networks() -> Vec<NetworkSpec> {
    let smaller = |spec: &NetworkSpec, side: i64| {
        let mut spec = spec.with_classes(10).unwrap();
        spec.input = Shape::square(3, side);
        spec.head.pool = HeadPool::GlobalAverage;
        spec
    };
    vec![
        smaller(&spec::PAPER, 80),
        smaller(&spec::TORCHVISION, 80),
        smaller(&spec::SEED, 32),
        smaller(&spec::CIFAR, 16),
        spec::COMPACT.clone(),
        small(),
    ]
}

/// One seed gives one network.
fn network(spec: &NetworkSpec, device: Device) -> GoogLeNet {
    manual_seed(1);
    GoogLeNet::new(spec, device).unwrap()
}

fn shapes(train: usize, test: usize) -> Dataset {
    Shapes10::generate(train, test, 5).unwrap()
}

fn recipe(precision: Precision) -> Recipe {
    let recipe = Recipe::steady().with_epochs(4).with_batch(8).with_precision(precision);
    Recipe { learning_rate: 0.02, ..recipe }
}

fn on_cpu(tensor: &Tensor) -> Tensor {
    tensor.to_device(Device::Cpu).to_kind(Kind::Double)
}

/// ‖found − expected‖ / ‖expected‖.
fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    let norm = |tensor: Tensor| tensor.norm().double_value(&[]);
    norm(on_cpu(found) - on_cpu(expected)) / norm(on_cpu(expected))
}

/// What `work` waited for.
fn waits_of<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    take_waits();
    let result = work();
    (result, take_waits())
}

const UPLOAD: &str = "copy to the device";
const DOWNLOAD: &str = "copy to the host";

#[test]
fn the_steps_of_every_network_are_those_of_the_cpu() {
    let turn = turn();
    let data = shapes(24, 8);
    for spec in networks() {
        // The second loss comes after a step, in which rounding errors of small batches grow.
        for (precision, near) in
            [(Precision::Float32, [1e-4, 2e-3]), (Precision::BFloat16, [5e-3, 0.1])]
        {
            let [expected, found] = [Device::Cpu, turn.device].map(|device| {
                let net = network(&spec, device);
                let before = net.variables().trainable_variables()[0].copy();
                let mut run = Trainer::new(net, &data, recipe(precision)).unwrap();
                let ((), waits) = waits_of(|| {
                    run.fit_with(Epochs(1), &mut StopAfter(2)).unwrap();
                });
                if device == turn.device {
                    // The plan of the epoch, and a look where it stops.
                    assert_eq!(waits, [UPLOAD, DOWNLOAD], "{} in {precision:?}", spec.name);
                }
                for (name, variable) in run.net().variables().variables() {
                    assert_eq!(variable.device(), device, "{name} of {}", spec.name);
                }
                let after = &run.net().variables().trainable_variables()[0];
                assert!(distance(after, &before) > 0.0, "{} did not learn", spec.name);
                run.history().steps.iter().map(|step| f64::from(step.loss)).collect::<Vec<_>>()
            });
            println!("{} in {precision:?}: {found:?}, on the CPU {expected:?}", spec.name);
            assert_eq!(found.len(), 2);
            for ((found, expected), near) in found.iter().zip(&expected).zip(near) {
                let far = (found - expected).abs() / expected;
                assert!(far < near, "{} in {precision:?}: {found}, {expected}", spec.name);
            }
        }
    }
}

/// Takes what each step has waited for.
#[derive(Default)]
struct Waits(Vec<Vec<String>>);

impl Callback for Waits {
    fn step(&mut self, _: &StepReport) -> ControlFlow<()> {
        self.0.push(take_waits());
        ControlFlow::Continue(())
    }
}

#[test]
fn nothing_waits_but_the_looks_and_one_read_of_an_evaluation() {
    let turn = turn();
    let data = shapes(200, 40);
    // SGD, augmented images; Adam, images as they are; images that grow, and a square cut out of them.
    let few = |recipe: Recipe| Recipe { test_batch: 16, ..recipe.with_epochs(1).with_batch(8) };
    for (spec, recipe) in [
        (small(), few(Recipe::steady())),
        (small(), few(Recipe::seed())),
        (spec::COMPACT.clone(), few(Recipe::fast().with_precision(Precision::Float32))),
        (small(), few(Recipe::long().with_precision(Precision::BFloat16))),
        (spec::COMPACT.clone(), few(Recipe { augment: Recipe::long().augment, ..Recipe::fast() })),
    ] {
        let name = recipe.name.clone();
        let mut run = Trainer::new(network(&spec, turn.device), &data, recipe).unwrap();
        let mut seen = Waits::default();
        let (_, at_the_end) = waits_of(|| run.fit_with(Epochs(1), &mut seen).unwrap());
        assert_eq!(seen.0.len(), 25);
        for (step, waits) in seen.0.iter().enumerate() {
            let expected: &[&str] = match step + 1 {
                // The plan of the epoch.
                1 => &[UPLOAD],
                20 | 25 => &[DOWNLOAD],
                _ => &[],
            };
            assert_eq!(waits, expected, "step {} of {name}", step + 1);
        }
        assert_eq!(at_the_end.len(), 2, "the count of an epoch, and its test: {at_the_end:?}");
        let (evaluation, waits) = waits_of(|| run.evaluate().unwrap());
        assert_eq!(evaluation.images, 40);
        assert_eq!(waits, [DOWNLOAD], "an evaluation after {name}");
    }
}

/// Takes what each step gives the device to compute.
#[derive(Default)]
struct Operations(Vec<BTreeMap<String, usize>>);

impl Callback for Operations {
    fn step(&mut self, _: &StepReport) -> ControlFlow<()> {
        self.0.push(take_operations());
        ControlFlow::Continue(())
    }
}

/// docs/results/gpu.md has these numbers. They are of libtorch's plain way, without kernels and graphs of our own.
#[test]
fn a_step_launches_no_more_than_is_written() {
    let turn = turn();
    let data = shapes(16, 4);
    for (spec, most) in [(&spec::CIFAR, 440), (&spec::COMPACT, 236)] {
        let recipe = Recipe::steady().with_epochs(1).with_batch(4);
        let mut run = Trainer::new(network(spec, turn.device), &data, recipe).unwrap();
        let mut seen = Operations::default();
        take_operations();
        run.fit_with(Epochs(1), &mut seen).unwrap();
        // The first sets up the optimizer and the plan, the last looks at the losses.
        let step = &seen.0[2];
        let all: usize = step.values().sum();
        println!("{}: {all}: {step:?}", spec.name);
        assert!(all <= most, "{all} operations in a step of {}: {step:?}", spec.name);
    }
}

#[test]
fn the_fastest_precision_is_that_of_the_device_and_not_of_the_cpu() {
    let turn = turn();
    assert_eq!(Precision::Fastest.on(turn.device), Precision::Float32);
}

#[test]
fn an_evaluation_is_that_of_the_cpu() {
    let turn = turn();
    let data = shapes(32, 44);
    for (precision, near) in [(Precision::Float32, 1e-4), (Precision::BFloat16, 2e-2)] {
        for test_flip in [true, false] {
            // The last batch is smaller.
            let recipe = Recipe { test_flip, test_batch: 32, ..recipe(precision) };
            let [expected, found] = [Device::Cpu, turn.device].map(|device| {
                let mut run =
                    Trainer::new(network(&small(), device), &data, recipe.clone()).unwrap();
                run.fit_with(Epochs(1), &mut StopAfter(1)).unwrap();
                // A network that is sure of itself: the loss then tells images and classes apart.
                let mut weight =
                    run.net().variables().variables()["head.classifier.weight"].detach();
                weight.copy_(&(&weight * 100.0));
                run.evaluate().unwrap()
            });
            println!("{precision:?}: {found}, on the CPU {expected}");
            assert!((found.loss - expected.loss).abs() < near * expected.loss, "{found}");
            assert!((found.accuracy - expected.accuracy).abs() < 0.05, "{found}, {expected}");
        }
    }
}

#[test]
fn augmented_batches_are_those_of_the_cpu() {
    let turn = turn();
    let set = shapes(24, 0).train;
    let moved = Augment { pad: 4, flip: true, ..Augment::NONE };
    for augment in
        [Augment::NONE, moved, Augment { cutout: 16, ..moved }, Augment { cutmix: 0.5, ..moved }]
    {
        for size in [None, Some(16), Some(24), Some(48)] {
            let [expected, found] = [Device::Cpu, turn.device].map(|device| {
                let set = set.to_device(device).unwrap();
                let loader = DataLoader::new(&set, &Normalize::CIFAR10, augment).unwrap();
                let plan = EpochPlan::new(24, 8, augment, 3, 1, device).unwrap();
                let mut tensors: Vec<Tensor> = Vec::new();
                for index in 0..plan.batches() {
                    let batch = loader.train(&plan, index, size).unwrap();
                    let targets = batch.targets(10).unwrap();
                    tensors.extend([batch.images, batch.labels, targets]);
                }
                let (images, labels) = loader.eval(5, 7, size).unwrap();
                tensors.extend([images, labels]);
                for tensor in &tensors {
                    assert_eq!(tensor.device(), device);
                }
                tensors
            });
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(&found.to_device(Device::Cpu), expected, "{augment:?}, {size:?}");
            }
        }
    }
}

/// Every variable, and what was learned in each step.
fn same(a: &Trainer, b: &Trainer) {
    let theirs = b.net().variables().variables();
    for (name, value) in a.net().variables().variables() {
        let [value, other] = [&value, &theirs[&name]].map(|t| t.to_device(Device::Cpu));
        assert_eq!(value, other, "{name}");
    }
    assert_eq!(a.history().steps, b.history().steps);
}

#[test]
fn a_run_goes_on_from_a_checkpoint_as_if_it_had_never_stopped() {
    let turn = turn();
    let data = shapes(48, 16);
    for recipe in [recipe(Precision::Float32), Recipe::seed().with_epochs(4).with_batch(8)] {
        let start = || Trainer::new(network(&small(), turn.device), &data, recipe.clone()).unwrap();
        let mut straight = start();
        straight.fit(Epochs(2)).unwrap();

        let dir = tempfile::tempdir().unwrap();
        let mut stopped = start();
        // In the middle of the second epoch.
        stopped.fit_with(Epochs(2), &mut StopAfter(9)).unwrap();
        stopped.checkpoint(dir.path()).unwrap();
        manual_seed(12345);
        let mut resumed = Trainer::resume(dir.path(), &data, turn.device).unwrap();
        resumed.fit(Epochs(1)).unwrap();
        same(&resumed, &straight);

        let mut there = Trainer::resume(dir.path(), &data, Device::Cpu).unwrap();
        assert_eq!(there.net().device(), Device::Cpu);
        there.fit(Epochs(1)).unwrap();
        let last = |run: &Trainer| f64::from(run.history().steps[11].loss);
        let (found, expected) = (last(&there), last(&straight));
        assert!((found - expected).abs() < 0.02 * expected, "{found} on the CPU, not {expected}");
    }
}

#[test]
fn weights_come_from_the_cpu_and_from_torchvision() {
    let turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    let equal = |a: &GoogLeNet, b: &GoogLeNet| {
        let theirs = b.variables().variables();
        for (name, tensor) in a.variables().variables() {
            let [ours, theirs] = [&tensor, &theirs[&name]].map(|t| t.to_device(Device::Cpu));
            assert_eq!(ours, theirs, "{name}");
        }
    };
    let [cpu, there] = [Device::Cpu, turn.device].map(|device| network(&small(), device));
    equal(&cpu, &there);
    for (from, device) in [(&cpu, turn.device), (&there, Device::Cpu)] {
        from.save(&file).unwrap();
        manual_seed(9);
        let mut to = GoogLeNet::new(&small(), device).unwrap();
        to.load(&file).unwrap();
        assert_eq!(to.device(), device);
        equal(from, &to);
    }
    let spec = spec::TORCHVISION.with_classes(10).unwrap();
    let theirs = network(&spec, Device::Cpu);
    torchvision::save(&theirs, &file).unwrap();
    let ours = torchvision::load(&file, turn.device).unwrap();
    equal(&theirs, &ours);
    let image = shapes(0, 10).test.image(4).unwrap();
    let [a, b] = [theirs, ours].map(|net| {
        let names: Vec<String> = (0..10).map(|class| class.to_string()).collect();
        let lens = look::Lens::new(net, torchvision::NORMALIZE, &names).unwrap();
        lens.likeliest(&image, 10).unwrap().classes
    });
    for ((class, a), (other, b)) in a.iter().zip(&b) {
        assert!(class == other && (a - b).abs() < 1e-4, "{class} {a}, {other} {b}");
    }
}

#[test]
fn what_a_network_sees_is_that_of_the_cpu() {
    let turn = turn();
    let data = shapes(32, 20);
    let [cpu, there] = [Device::Cpu, turn.device].map(|device| {
        let net = network(&spec::COMPACT, device);
        Trainer::new(net, &data, recipe(Precision::Float32)).unwrap()
    });
    let image = data.test.image(3).unwrap();
    let both = [&cpu, &there];
    let near = |a: f64, b: f64, what: &str| assert!((a - b).abs() < 1e-3, "{what}: {a}, {b}");

    let [a, b] = both.map(|run| run.predictions().unwrap());
    for (a, b) in a.probabilities.iter().flatten().zip(b.probabilities.iter().flatten()) {
        near(*a, *b, "probability");
    }
    assert_eq!(a.labels, b.labels);
    b.mistakes(5).unwrap();

    let [a, b] = both.map(|run| run.classifier().feature_maps(&image, "inception_3a").unwrap());
    for (a, b) in a.branches.iter().zip(&b.branches) {
        assert_eq!(b.maps.device(), Device::Cpu);
        near(distance(&b.maps, &a.maps), 0.0, &a.name);
    }

    let [a, b] = both.map(|run| run.classifier().gradient_norms(&data.test).unwrap());
    for (a, b) in a.layers.iter().zip(&b.layers) {
        near(b.head / a.head, 1.0, &a.name);
    }

    let maps = |class| {
        both.map(|run| {
            let classifier = run.classifier();
            let cam = classifier.grad_cam(&image, "inception_3a", class).unwrap();
            let map = classifier.activation_map(&image, class).unwrap();
            ([cam.class, map.class], [cam.map, map.map])
        })
    };
    // Grad-CAM's map of this class is not 0 everywhere.
    for class in [None, Some(data.classes[0].as_str())] {
        let [(classes, a), (others, b)] = maps(class);
        assert_eq!(classes, others);
        for (a, b) in a.iter().zip(&b) {
            let [a, b] = [a, b].map(|map| Tensor::from_slice(map));
            near(distance(&b, &a), 0.0, "a map");
        }
    }

    let [a, b] = both.map(|run| look::filters(run.net()).unwrap().weights);
    assert_eq!(a, b);
    let [a, b] = both.map(|run| run.snapshot().unwrap().likeliest(&image, 3).unwrap().classes);
    for ((class, a), (other, b)) in a.iter().zip(&b) {
        assert_eq!(class, other);
        near(*a, *b, class);
    }
}

/// The message of an error that libtorch gave for tensors of two devices.
fn refused<T>(result: Result<T, impl std::fmt::Display>) {
    let Err(error) = result else { panic!("tensors of two devices were taken") };
    let error = error.to_string();
    assert!(error.contains("to be on the same device"), "{error}");
}

#[test]
fn two_devices_in_one_operation_are_an_error() {
    let turn = turn();
    let net = network(&small(), turn.device);
    let images = Tensor::zeros([2, 3, 32, 32], (Kind::Float, Device::Cpu));
    let labels = Tensor::zeros([2], (Kind::Int64, Device::Cpu));
    let here = images.to_device(turn.device);

    for error in [
        net.forward_t(&images, false).unwrap_err(),
        net.outputs(&images).unwrap_err(),
        network(&small(), Device::Cpu).forward_t(&here, false).unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(error.starts_with("device of the images is "), "{error}");
    }
    let outputs = net.outputs(&here).unwrap();
    refused(outputs.loss(&labels, 0.1));
    refused(cross_entropy(&outputs.logits, &labels, 0.0));
    assert!(outputs.loss(&labels.to_device(turn.device), 0.1).is_ok());

    let set = shapes(8, 0).train.to_device(turn.device).unwrap();
    let loader = DataLoader::new(&set, &Normalize::CIFAR10, Augment::NONE).unwrap();
    let plan = EpochPlan::new(8, 4, Augment::NONE, 0, 0, Device::Cpu).unwrap();
    let error = loader.train(&plan, 0, None).unwrap_err().to_string();
    assert!(error.starts_with("the device of the plan is "), "{error}");

    // By every way into libtorch: its own checks, a kernel's, a list of tensors, in place.
    refused(here.f_add(&images));
    refused(images.f_mul(&here));
    refused(here.f_conv2d(&images, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1));
    refused(Tensor::f_cat(&[&here, &images], 0));
    refused(here.f_index_select(0, &labels));
    refused(here.f_flatten(1, -1).unwrap().f_linear(&images.flatten(1, -1), None::<Tensor>));
    refused(here.shallow_clone().f_add_(&images));
    refused(images.shallow_clone().f_add_(&here));
    // A number from the CPU goes along with a kernel, as on a GPU.
    assert_eq!(here.f_add(&Tensor::from(1.0f32)).unwrap().device(), turn.device);
}
