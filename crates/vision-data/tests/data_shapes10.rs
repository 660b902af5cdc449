//! Shapes10: the same everywhere, and worth learning.

use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};
use vision_data::{Augment, DataLoader, Normalize, Shapes10, Split};

fn bytes(images: &Tensor) -> Vec<u8> {
    Vec::try_from(images.flatten(0, -1)).unwrap()
}

#[test]
fn ten_classes_in_turn() {
    let data = Shapes10::generate(100, 30, 1).unwrap();
    assert_eq!(data.name, "Shapes10 (built-in drawings, not CIFAR-10)");
    assert_eq!(
        data.classes,
        [
            "circle", "square", "triangle", "diamond", "star", "cross", "ring", "crescent",
            "heart", "arrow"
        ]
    );
    assert_eq!(data.split(Split::Train).images().size(), [100, 32, 32, 3]);
    assert_eq!(data.split(Split::Test).len(), 30);
    let labels = Vec::<i64>::try_from(data.train.labels()).unwrap();
    assert!(labels.iter().enumerate().all(|(i, &label)| label == i as i64 % 10));
    assert_eq!(Shapes10::generate(0, 0, 1).unwrap().train.len(), 0);
    assert_eq!(
        Shapes10::generate(10_000_001, 0, 1).unwrap_err().to_string(),
        "the number of images is 10000001: give 10000000 at most"
    );
}

#[test]
fn an_image_depends_on_the_seed_and_its_number_only() {
    let data = Shapes10::generate(60, 20, 3).unwrap();
    let more = Shapes10::generate(101, 5, 3).unwrap();
    assert_eq!(bytes(data.train.images()), bytes(&more.train.images().narrow(0, 0, 60)));
    assert_eq!(bytes(&data.test.images().narrow(0, 0, 5)), bytes(more.test.images()));
    assert_ne!(bytes(&data.train.images().narrow(0, 0, 20)), bytes(data.test.images()));
    let other = Shapes10::generate(60, 20, 4).unwrap();
    assert_ne!(bytes(data.train.images()), bytes(other.train.images()));
}

/// The bytes themselves, as drawn where this was written: another machine draws the same.
#[test]
fn the_same_on_every_machine() {
    let data = Shapes10::generate(100, 100, 1).unwrap();
    let digest = |images: &Tensor| {
        Sha256::digest(bytes(images)).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(digest(data.train.images()), TRAIN_SHA256);
    assert_eq!(digest(data.test.images()), TEST_SHA256);
}

const TRAIN_SHA256: &str = "fb9f0f70f5a4e26b9267efa73df081109a5af1877a482c0f66ec4d5168121926";
const TEST_SHA256: &str = "fd339e5bdede19dcb13f85cc52571ef2e051e2e057da909b0108aaa166db1ed3";

/// A network has something to do: the nearest mean image, and the best linear classifier in the
/// least squares sense, get little of the test images right.
#[test]
fn not_to_be_had_by_a_linear_classifier() {
    let data = Shapes10::generate(6000, 1000, 2).unwrap();
    let normalize = Normalize::of(&data.train).unwrap();
    let flat = |set, n| {
        let loader = DataLoader::new(set, &normalize, Augment::NONE).unwrap();
        let (images, labels) = loader.eval(0, n, Some(16)).unwrap();
        let x = images.reshape([n, -1]);
        (Tensor::cat(&[&x, &x.ones_like().narrow(1, 0, 1)], 1), labels)
    };
    let (x, labels) = flat(&data.train, 6000);
    let targets = labels.one_hot(10).to_kind(Kind::Float);
    let ridge = Tensor::eye(x.size()[1], (Kind::Float, x.device())) * 100.0;
    let solution =
        Tensor::linalg_solve(&(x.tr().matmul(&x) + ridge), &x.tr().matmul(&targets), true);
    let (x, labels) = flat(&data.test, 1000);
    let right = x.matmul(&solution).argmax(1, false).eq_tensor(&labels);
    let accuracy = right.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    println!("linear classifier: {:.1} %", 100.0 * accuracy);
    assert!(accuracy < 0.5, "{accuracy}");
}

/// How long drawing takes: `cargo test --test data_shapes10 -- --ignored --nocapture`. With
/// SHAPES10_RAW set, the first 100 images go to that file, as bytes.
#[test]
#[ignore = "a measurement"]
fn speed() {
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let data = Shapes10::generate(10_000, 0, 1).unwrap();
        println!("10,000 images in {:?}", start.elapsed());
        if let Some(path) = std::env::var_os("SHAPES10_RAW") {
            std::fs::write(path, bytes(&data.train.images().narrow(0, 0, 100))).unwrap();
        }
    }
}
