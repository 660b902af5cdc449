//! The networks as tensors: sizes, modes, files, bad input. Values are compared with PyTorch in
//! tests/test_parity.py at the top of the repository.

use googlenet_lib::prelude::*;
use googlenet_lib::spec::{AuxiliarySpec, Dropout, HeadPool};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn compact() -> GoogLeNet {
    manual_seed(1);
    GoogLeNet::new(&spec::COMPACT, Device::Cpu).unwrap()
}

#[test]
fn parameter_counts() {
    let count = |spec: &NetworkSpec| GoogLeNet::new(spec, Device::Cpu).unwrap().parameters();
    // The blog post's network: counted in its own PyTorch code.
    assert_eq!(count(&spec::SEED), 5_979_642);
    // torchvision's GoogLeNet has 6,624,904 with its batch norms and its 3x3 in the 5x5 branch;
    // the paper's, without its heads, by hand: 6,998,552.
    assert_eq!(count(&spec::PAPER.without_auxiliary()), 6_998_552);
    let compact = count(&spec::COMPACT);
    assert!((800_000..1_200_000).contains(&compact), "{compact}");
}

#[test]
fn logits_for_every_network() {
    for spec in spec::ALL {
        let net = GoogLeNet::new(spec, Device::Cpu).unwrap();
        let input = spec.input;
        let images = Tensor::randn([2, input.channels, input.height, input.width], CPU);
        let logits = no_grad(|| net.forward_t(&images, false)).unwrap();
        assert_eq!(logits.size(), [2, spec.head.classes], "{}", spec.name);
        assert_eq!(logits.isfinite().all().int64_value(&[]), 1, "{}", spec.name);
    }
}

#[test]
fn naive_blocks_and_a_fully_connected_head() {
    let mut spec = spec::COMPACT.clone();
    for layer in spec.layers.to_mut() {
        if let Layer::Inception(block) = layer {
            *layer = Layer::NaiveInception(block.naive());
        }
    }
    spec.head.pool = HeadPool::Flatten;
    spec.head.hidden = Some(64);
    spec.head.dropout = Dropout::Elements(0.5);
    let (_, last) = spec.shapes().unwrap().pop().unwrap();
    assert_eq!(spec.head_features().unwrap(), last.channels * last.height * last.width);
    let net = GoogLeNet::new(&spec, Device::Cpu).unwrap();
    let hidden = &net.variables().variables()["head.hidden.weight"];
    assert_eq!(hidden.size(), [64, last.elements()]);
    let logits = net.forward_t(&Tensor::randn([3, 3, 32, 32], CPU), false).unwrap();
    assert_eq!(logits.size(), [3, 10]);
    // The pool branch has no weights: its input passes on.
    assert!(!net.variables().variables().keys().any(|name| name.contains("pool_proj")));
}

#[test]
fn auxiliary_classifiers_work_in_training_only() {
    let mut spec = spec::CIFAR.clone();
    spec.layers.to_mut().insert(5, Layer::Auxiliary(AuxiliarySpec::paper("aux_4a")));
    let net = GoogLeNet::new(&spec, Device::Cpu).unwrap();
    let images = Tensor::randn([2, 3, 32, 32], CPU);
    let labels = Tensor::from_slice(&[1i64, 7]);

    let outputs = net.outputs(&images).unwrap();
    assert_eq!(outputs.auxiliary.len(), 1);
    let (weight, logits) = &outputs.auxiliary[0];
    assert_eq!((*weight, logits.size()), (0.3, vec![2, 10]));
    let head = cross_entropy(&outputs.logits, &labels, 0.0).unwrap().double_value(&[]);
    let other = cross_entropy(logits, &labels, 0.0).unwrap().double_value(&[]);
    let total = outputs.loss(&labels, 0.0).unwrap().double_value(&[]);
    assert!((total - (head + 0.3 * other)).abs() < 1e-5, "{total} = {head} + 0.3 * {other}");

    // Their weights change nothing in evaluation.
    let before = net.forward_t(&images, false).unwrap();
    no_grad(|| {
        for (name, mut variable) in net.variables().variables() {
            if name.starts_with("aux_") {
                let _ = variable.fill_(1e3);
            }
        }
    });
    assert_eq!(net.forward_t(&images, false).unwrap(), before);
}

#[test]
fn dropout_zeroes_in_training_only() {
    let mut spec = spec::COMPACT.clone();
    let images = Tensor::randn([64, 3, 32, 32], CPU);
    for (dropout, random) in
        [(Dropout::None, false), (Dropout::Elements(0.5), true), (Dropout::Channels(0.5), true)]
    {
        spec.head.dropout = dropout;
        let net = GoogLeNet::new(&spec, Device::Cpu).unwrap();
        let twice = |train| {
            let run = || net.forward_t(&images, train).unwrap();
            run() == run()
        };
        assert_eq!(twice(true), !random, "{dropout:?} in training");
        assert!(twice(false), "{dropout:?} in evaluation");
    }
}

#[test]
fn smoothed_cross_entropy_is_its_formula() {
    let logits = Tensor::from_slice(&[2.0f32, 0.0, -1.0]).view([1, 3]);
    let labels = Tensor::from_slice(&[0i64]);
    let total: f64 = [2.0f64, 0.0, -1.0].iter().map(|x| x.exp()).sum();
    let log = [2.0, 0.0, -1.0].map(|x: f64| x - total.ln());
    let expected = -0.9 * log[0] - 0.1 * (log[0] + log[1] + log[2]) / 3.0;
    let found = cross_entropy(&logits, &labels, 0.1).unwrap().double_value(&[]);
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

#[test]
fn images_of_another_size_if_the_head_allows() {
    let net = compact();
    assert_eq!(net.forward_t(&Tensor::zeros([1, 3, 24, 24], CPU), false).unwrap().size(), [1, 10]);
    let seed = GoogLeNet::new(&spec::SEED, Device::Cpu).unwrap();
    let error = seed.forward_t(&Tensor::zeros([1, 3, 32, 32], CPU), false).unwrap_err();
    assert!(error.to_string().contains("takes 224x224 only"), "{error}");
}

#[test]
fn wrong_images_are_an_error_and_no_panic() {
    let net = compact();
    for shape in [vec![3, 32, 32], vec![1, 1, 32, 32], vec![1, 32, 32, 3], vec![10]] {
        let error = net.forward_t(&Tensor::zeros(&shape, CPU), false).unwrap_err().to_string();
        assert!(error.contains("give (N, 3, 32, 32)"), "{error}");
        assert!(net.outputs(&Tensor::zeros(&shape, CPU)).is_err());
    }
    assert!(net.forward_t(&Tensor::zeros([1, 3, 0, 0], CPU), false).is_err());
    let bytes = Tensor::zeros([1, 3, 32, 32], (Kind::Uint8, Device::Cpu));
    assert!(net.forward_t(&bytes, false).is_err());
    let logits = Tensor::zeros([2, 10], CPU);
    assert!(cross_entropy(&logits, &Tensor::from_slice(&[1i64, 10]), 0.0).is_err());
}

#[test]
fn a_network_survives_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/model.safetensors");
    let net = compact();
    let images = Tensor::randn([4, 3, 32, 32], CPU);
    let _ = net.forward_t(&images, true).unwrap(); // moves the running statistics
    net.save(&path).unwrap();
    manual_seed(2);
    let mut other = GoogLeNet::new(&spec::COMPACT, Device::Cpu).unwrap();
    let expected = net.forward_t(&images, false).unwrap();
    assert_ne!(other.forward_t(&images, false).unwrap(), expected);
    other.load(&path).unwrap();
    assert_eq!(other.forward_t(&images, false).unwrap(), expected);
    let files: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(files.len(), 1, "a temporary file was left: {files:?}");
}

#[test]
fn a_wrong_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut net = compact();
    let images = Tensor::randn([2, 3, 32, 32], CPU);
    let before = net.forward_t(&images, false).unwrap();
    let mut refuse = |expected: &str| {
        let error = net.load(&path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains(expected), "{error}");
        assert_eq!(net.forward_t(&images, false).unwrap(), before);
    };

    refuse("not a whole safetensors file");
    GoogLeNet::new(&spec::CIFAR, Device::Cpu).unwrap().save(&path).unwrap();
    refuse("is not a variable of COMPACT");
    let three = spec::COMPACT.with_classes(3).unwrap();
    GoogLeNet::new(&three, Device::Cpu).unwrap().save(&path).unwrap();
    refuse("has shape [3");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refuse("not a whole safetensors file");
    let some = [("conv_1.weight", Tensor::zeros([32, 3, 5, 5], CPU))];
    Tensor::write_safetensors(&some, &path).unwrap();
    refuse("is missing");
}

#[test]
fn a_target_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = compact().save(file.join("model.safetensors")).unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn double_precision_and_back() {
    let mut net = compact();
    let images = Tensor::randn([2, 3, 32, 32], CPU);
    let single = net.forward_t(&images, false).unwrap();
    net.set_kind(Kind::Double).unwrap();
    let double = net.forward_t(&images.to_kind(Kind::Double), false).unwrap();
    assert_eq!(double.kind(), Kind::Double);
    let error = (double - single.to_kind(Kind::Double)).abs().max().double_value(&[]);
    assert!(error < 1e-4, "{error}");
    assert!(net.set_kind(Kind::Int64).is_err());
}

#[test]
fn a_network_of_another_kind_answers_in_it() {
    // With normalisation and a linear head; with local response normalisation and hidden layers.
    for (spec, size) in [(&spec::COMPACT, 32), (&spec::PAPER, 224)] {
        let mut net = GoogLeNet::new(spec, Device::Cpu).unwrap();
        let images = Tensor::zeros([2, 3, size, size], (Kind::Float, Device::Cpu));
        for kind in [Kind::Double, Kind::BFloat16] {
            net.set_kind(kind).unwrap();
            let outputs = net.outputs(&images.to_kind(kind)).unwrap();
            assert_eq!(outputs.logits.kind(), kind);
            assert!(outputs.auxiliary.iter().all(|(_, logits)| logits.kind() == kind));
        }
    }
}
