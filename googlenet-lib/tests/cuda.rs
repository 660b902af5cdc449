//! On a GPU, all that runs on a CPU: the same weights and images give the same numbers on both.
//!
//! Without a GPU each test says that it was skipped. `cargo xtask bench bundle` packs them for a
//! machine that has one. GOOGLENET_TEST_CUDA=cpu runs them on the CPU in its place, which shows that the
//! tests themselves are right.

mod common;

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{StopAfter, small};
use googlenet_lib::prelude::*;

/// The device, for one test at a time: libtorch has one random generator for all threads.
struct Turn {
    device: Device,
    _alone: MutexGuard<'static, ()>,
}

/// `None` where there is no GPU.
fn gpu(test: &str) -> Option<Turn> {
    static ALONE: Mutex<()> = Mutex::new(());
    let rehearsal = std::env::var_os("GOOGLENET_TEST_CUDA").is_some_and(|value| value == "cpu");
    let device = if rehearsal { Device::Cpu } else { Device::Cuda(0) };
    if device.is_cuda() && !tch::Cuda::is_available() {
        // libtest keeps back what `println!` says of a test that passes.
        let mut out = std::io::stdout();
        writeln!(out, "\nskipped: {test} (no CUDA device)").unwrap();
        return None;
    }
    Some(Turn { device, _alone: ALONE.lock().unwrap_or_else(PoisonError::into_inner) })
}

/// A network on the CPU and the same on the GPU, with the same weights: one seed gives one network.
fn both(turn: &Turn, spec: &NetworkSpec) -> [GoogLeNet; 2] {
    [Device::Cpu, turn.device].map(|device| {
        manual_seed(1);
        GoogLeNet::new(spec, device).unwrap()
    })
}

/// Random images, the same at each call, on the CPU.
fn images(spec: &NetworkSpec, count: i64) -> Tensor {
    manual_seed(2);
    let input = spec.input;
    Tensor::randn([count, input.channels, input.height, input.width], (Kind::Float, Device::Cpu))
}

/// ‖found − expected‖ / ‖expected‖, in float64 on the CPU.
fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    let on_cpu = |tensor: &Tensor| tensor.to_device(Device::Cpu).to_kind(Kind::Double);
    let (found, expected) = (on_cpu(found), on_cpu(expected));
    let norm = |tensor: Tensor| tensor.norm().double_value(&[]);
    norm(&found - &expected) / norm(expected)
}

fn shapes() -> Dataset {
    Shapes10::generate(256, 128, 5).unwrap()
}

fn recipe(precision: Precision) -> Recipe {
    let recipe = Recipe::steady().with_epochs(4).with_batch(32).with_precision(precision);
    Recipe { learning_rate: 0.02, ..recipe }
}

#[test]
fn the_best_device_is_the_first_gpu() {
    let Some(turn) = gpu("the_best_device_is_the_first_gpu") else { return };
    if turn.device == Device::Cpu {
        return;
    }
    if std::env::var_os("GOOGLENET_DEVICE").is_none() {
        assert_eq!(best_device(), turn.device);
    }
    assert_eq!(googlenet_lib::device::named("cuda:0").unwrap(), turn.device);
    let name = describe(turn.device);
    assert!(name.starts_with("GPU (") && !name.contains("CUDA device"), "{name}");
    println!("{name}");
}

#[test]
fn every_network_answers_as_on_the_cpu() {
    let Some(turn) = gpu("every_network_answers_as_on_the_cpu") else { return };
    for spec in spec::ALL {
        let [cpu, net] = both(&turn, spec);
        let data = images(spec, 2);
        let (expected, found) = no_grad(|| {
            let forward = |net: &GoogLeNet, kind| {
                net.forward_t(&data.to_device(net.device()).to_kind(kind), false).unwrap()
            };
            let half = forward(&net, Kind::BFloat16);
            assert!(distance(&half, &forward(&cpu, Kind::Float)) < 3e-2, "{} in bf16", spec.name);
            (forward(&cpu, Kind::Float), forward(&net, Kind::Float))
        });
        let far = distance(&found, &expected);
        println!("{}: logits {far:.1e} apart", spec.name);
        // In convolutions libtorch rounds to TF32, 11 bits for the digits, unless it is told otherwise.
        assert!(far < 5e-3, "{}: {far}", spec.name);
    }
}

/// The gradient of every weight, by name.
fn gradients(net: &GoogLeNet, spec: &NetworkSpec, kind: Kind) -> (f64, Vec<(String, Tensor)>) {
    let data = images(spec, 8).to_device(net.device()).to_kind(kind);
    let labels = Tensor::arange(8, (Kind::Int64, Device::Cpu)).to_device(net.device());
    let loss = net.outputs(&data).unwrap().loss(&labels, 0.1).unwrap();
    let mut variables: Vec<_> = net.variables().variables().into_iter().collect();
    variables.retain(|(_, tensor)| tensor.requires_grad());
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    let tensors: Vec<&Tensor> = variables.iter().map(|(_, tensor)| tensor).collect();
    let gradients = Tensor::run_backward(&[&loss], &tensors, false, false);
    let names = variables.into_iter().map(|(name, _)| name);
    (loss.double_value(&[]), names.zip(gradients).collect())
}

#[test]
fn a_training_step_of_every_network_is_that_of_the_cpu() {
    let Some(turn) = gpu("a_training_step_of_every_network_is_that_of_the_cpu") else { return };
    for spec in spec::ALL {
        // Dropout draws from the device's own generator.
        let spec = spec.without_dropout();
        let [cpu, net] = both(&turn, &spec);
        let (expected, theirs) = gradients(&cpu, &spec, Kind::Float);
        for (kind, near, alike) in [(Kind::Float, 1e-3, 0.99), (Kind::BFloat16, 2e-2, 0.6)] {
            let (loss, ours) = gradients(&net, &spec, kind);
            assert!((loss - expected).abs() < near * expected, "{}: {loss}", spec.name);
            // All gradients as one vector: its direction. A rounding error moves the maximum of a
            // pooling window, so that single values may differ by more.
            let whole = |gradients: &[(String, Tensor)]| {
                let flat: Vec<Tensor> = gradients
                    .iter()
                    .map(|(_, t)| t.to_device(Device::Cpu).to_kind(Kind::Double).reshape([-1]))
                    .collect();
                Tensor::cat(&flat, 0)
            };
            let (a, b) = (whole(&ours), whole(&theirs));
            let cosine = a.dot(&b).double_value(&[])
                / (a.norm().double_value(&[]) * b.norm().double_value(&[]));
            println!("{} in {kind:?}: loss {loss:.4}, cosine {cosine:.5}", spec.name);
            assert!(cosine > alike, "{} in {kind:?}: {cosine}", spec.name);
        }
    }
}

#[test]
fn a_training_is_that_of_the_cpu_at_first_and_learns() {
    let Some(turn) = gpu("a_training_is_that_of_the_cpu_at_first_and_learns") else { return };
    let data = shapes();
    for (precision, near) in
        [(Precision::Float32, 1e-3), (Precision::TensorFloat32, 5e-3), (Precision::BFloat16, 2e-2)]
    {
        let [cpu, there] = both(&turn, &spec::COMPACT).map(|net| {
            let mut run = Trainer::new(net, &data, recipe(precision)).unwrap();
            run.fit_with(Epochs(4), &mut StopAfter(1000)).unwrap();
            run
        });
        let first = |run: &Trainer| f64::from(run.history().steps[0].loss);
        let (ours, theirs) = (first(&there), first(&cpu));
        assert!((ours - theirs).abs() < near * theirs, "{precision:?}: {ours} and {theirs}");
        let last = there.history().last().unwrap();
        println!("{precision:?}: {last}");
        let wanted = cpu.history().last().unwrap();
        assert!((last.train_loss - wanted.train_loss).abs() < 0.1, "{last}, on the CPU {wanted}");
        assert!(last.train_loss < theirs, "{precision:?}: {theirs} at first, then {last}");
        assert_eq!(there.history().device, describe(turn.device));
        // Who asks for predictions is answered as the evaluation is.
        let test = there.evaluate().unwrap();
        assert_eq!(test.accuracy, there.predictions().unwrap().accuracy());
    }
}

#[test]
fn images_may_grow() {
    let Some(turn) = gpu("images_may_grow") else { return };
    let [_, net] = both(&turn, &spec::COMPACT);
    let recipe = Recipe::fast().with_epochs(4).with_batch(64);
    let mut run = Trainer::new(net, shapes(), recipe).unwrap();
    assert_eq!(run.history().recipe.precision, Precision::BFloat16);
    run.fit_with(Epochs(4), &mut StopAfter(1000)).unwrap();
    assert_eq!(run.history().epochs.len(), 4);
}

#[test]
fn a_checkpoint_goes_on_on_either_device() {
    let Some(turn) = gpu("a_checkpoint_goes_on_on_either_device") else { return };
    let data = shapes();
    let folder = tempfile::tempdir().unwrap();
    manual_seed(1);
    let net = GoogLeNet::new(&small(), turn.device).unwrap();
    let mut run = Trainer::new(net, &data, recipe(Precision::Float32)).unwrap();
    // In the middle of the second epoch.
    run.fit_with(Epochs(2), &mut StopAfter(11)).unwrap();
    run.checkpoint(folder.path()).unwrap();
    run.fit_with(Epochs(1), &mut StopAfter(1000)).unwrap();
    let last = |run: &Trainer| run.history().last().unwrap().train_loss;
    let expected = last(&run);
    for device in [turn.device, Device::Cpu] {
        let mut again = Trainer::resume(folder.path(), &data, device).unwrap();
        assert_eq!(again.history().steps[..], run.history().steps[..11]);
        again.fit_with(Epochs(1), &mut StopAfter(1000)).unwrap();
        let found = last(&again);
        println!("{device:?}: {found} where {expected} was");
        // On another device dropout draws others.
        let near = if device == turn.device { 1e-3 } else { 0.2 };
        assert!((found - expected).abs() < near * expected, "{device:?}: {found}, {expected}");
    }
}

#[test]
fn weights_pass_between_devices() {
    let Some(turn) = gpu("weights_pass_between_devices") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    let [cpu, there] = both(&turn, &spec::CIFAR);
    for (from, device) in [(&cpu, turn.device), (&there, Device::Cpu)] {
        from.save(&file).unwrap();
        manual_seed(9);
        let mut to = GoogLeNet::new(&spec::CIFAR, device).unwrap();
        to.load(&file).unwrap();
        let theirs = to.variables().variables();
        for (name, tensor) in from.variables().variables() {
            assert_eq!(
                tensor.to_device(Device::Cpu),
                theirs[&name].to_device(Device::Cpu),
                "{name}"
            );
        }
    }
}

#[test]
fn what_a_network_sees_is_that_of_the_cpu() {
    let Some(turn) = gpu("what_a_network_sees_is_that_of_the_cpu") else { return };
    let data = shapes();
    let [cpu, there] = both(&turn, &spec::COMPACT)
        .map(|net| Trainer::new(net, &data, recipe(Precision::Float32)).unwrap());
    let image = data.test.image(3).unwrap();

    let [a, b] = [&cpu, &there].map(|run| run.predictions().unwrap());
    let far = a.probabilities.iter().flatten().zip(b.probabilities.iter().flatten());
    let far = far.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(far < 1e-3, "probabilities are {far} apart");

    let [a, b] =
        [&cpu, &there].map(|run| run.classifier().feature_maps(&image, "inception_3a").unwrap());
    for (a, b) in a.branches.iter().zip(&b.branches) {
        let far = distance(&b.maps, &a.maps);
        assert!(far < 5e-3, "{}: {far}", a.name);
    }

    let [a, b] = [&cpu, &there].map(|run| run.classifier().gradient_norms(&data.test).unwrap());
    for (a, b) in a.layers.iter().zip(&b.layers) {
        assert!((a.head - b.head).abs() < 0.05 * a.head, "{}: {} and {}", a.name, a.head, b.head);
    }

    let [a, b] =
        [&cpu, &there].map(|run| run.classifier().grad_cam(&image, "inception_3a", None).unwrap());
    assert_eq!(a.class, b.class);

    let [a, b] = [&cpu, &there].map(|run| run.classifier().likeliest(&image, 3).unwrap());
    assert_eq!(a.classes[0].0, b.classes[0].0);
}
