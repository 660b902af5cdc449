//! Looking into a network: values that are known by construction, or computed here in another way.

use std::borrow::Cow;

use googlenet_lib::data::{ImageSet, Normalize};
use googlenet_lib::look::{Calibration, ConfusionMatrix, Predictions};
use googlenet_lib::prelude::*;
use googlenet_lib::spec::{AuxiliarySpec, HeadPool, HeadSpec, InceptionSpec, Shape};
use proptest::prelude::*;

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Bytes b become b / 255.
const PLAIN: Normalize = Normalize { mean: [0.0; 3], std: [1.0; 3] };

/// One inception block whose every filter count is 1, on 4x4 images, two classes.
fn hand_made() -> GoogLeNet {
    let spec = NetworkSpec {
        name: "by hand".into(),
        input: Shape::square(3, 4),
        norm: None,
        layers: Cow::Owned(vec![Layer::Inception(InceptionSpec::row("block", [1; 6]))]),
        head: HeadSpec {
            pool: HeadPool::GlobalAverage,
            hidden: None,
            dropout: spec::Dropout::None,
            classes: 2,
        },
    };
    let net = GoogLeNet::new(&spec, Device::Cpu).unwrap();
    no_grad(|| {
        for (name, mut variable) in net.variables().variables() {
            let _ = variable.zero_();
            match name.as_str() {
                // The branches: red; the sum of a 3x3 of green; blue, 5 times; the largest red
                // around.
                "block.conv_1x1.weight" | "block.pool_proj.weight" => set(&variable, 0, 1.0),
                "block.reduce_3x3.weight" => set(&variable, 1, 1.0),
                "block.conv_3x3.weight" => {
                    let _ = variable.fill_(1.0);
                }
                "block.reduce_5x5.weight" => set(&variable, 2, 1.0),
                "block.conv_5x5.weight" => {
                    let _ = variable.get(0).get(0).get(2).get(2).fill_(5.0);
                }
                // Class 0 counts red for 2 and the sum of green for -1; class 1 counts blue.
                "head.classifier.weight" => {
                    variable.copy_(&Tensor::from_slice2(&[
                        [2.0f32, -1.0, 0.0, 0.0],
                        [0.0, 0.0, 1.0, 0.0],
                    ]));
                }
                _ => {}
            }
        }
    });
    net
}

/// Sets the weight of a 1x1 filter for one input channel.
fn set(variable: &Tensor, channel: i64, value: f64) {
    let _ = variable.get(0).get(channel).fill_(value);
}

/// Red 255 at row 1, column 2; green 255 at row 3, column 0; blue 255 at row 0, column 3.
fn three_dots() -> Image {
    let mut bytes = vec![0; 48];
    for (row, column, color) in [(1, 2, 0), (3, 0, 1), (0, 3, 2)] {
        bytes[3 * (4 * row + column) + color] = 255;
    }
    Image::from_bytes(4, 4, bytes).unwrap()
}

/// A 4x4 map with this value at these places.
fn map(value: f32, places: &[(usize, usize)]) -> Vec<f32> {
    let mut map = vec![0.0; 16];
    for (row, column) in places {
        map[4 * row + column] = value;
    }
    map
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_kind(Kind::Float).contiguous().view([-1])).unwrap()
}

#[test]
fn feature_maps_of_a_hand_made_block() {
    let net = hand_made();
    let classifier = Classifier::new(&net, PLAIN, &["a", "b"]).unwrap();
    let maps = classifier.feature_maps(&three_dots(), "block").unwrap();
    let around = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| -> Vec<_> {
        rows.flat_map(|row| columns.clone().map(move |column| (row, column))).collect()
    };
    let expected = [
        ("conv_1x1", map(1.0, &[(1, 2)])),
        ("conv_3x3", map(1.0, &around(2..4, 0..2))),
        ("conv_5x5", map(5.0, &[(0, 3)])),
        ("pool_proj", map(1.0, &around(0..3, 1..4))),
    ];
    for (branch, (name, expected)) in maps.branches.iter().zip(expected) {
        assert_eq!(branch.name, name);
        assert_eq!(branch.maps.size(), [1, 4, 4]);
        assert_eq!(values(&branch.maps), expected, "{name}");
    }
    let fields = maps.branches.iter().map(|branch| branch.receptive_field);
    assert!(fields.eq([1, 3, 5, 3]));
    let of_one = maps.branch_picture("conv_5x5").unwrap();
    assert!(of_one.svg().contains("window of 5x5") && of_one.svg().contains(": 1 map\n"));
    let error = maps.branch_picture("conv_7x7").unwrap_err().to_string();
    assert!(error.contains("'conv_7x7'") && error.contains("conv_1x1, conv_3x3"), "{error}");
    assert_eq!(maps.image, three_dots());
    let error = classifier.feature_maps(&three_dots(), "inception_9").unwrap_err().to_string();
    assert!(error.contains("'inception_9'") && error.contains("choose one of block"), "{error}");
}

#[test]
fn grad_cam_of_a_hand_made_network() {
    let net = hand_made();
    let classifier = Classifier::new(&net, PLAIN, &["a", "b"]).unwrap();
    // The gradient of a class's logit is its weight over 16 positions, so that the map of class a
    // is relu(2 red - sum of green) / 16, and that of b is blue times 5 / 16.
    let a = classifier.grad_cam(&three_dots(), "block", Some("a")).unwrap();
    assert_eq!(a.map, map(2.0 / 16.0, &[(1, 2)]));
    assert_eq!((a.size, a.class.as_str(), a.layer.as_str()), ((4, 4), "a", "block"));
    let b = classifier.grad_cam(&three_dots(), "block", Some("b")).unwrap();
    assert_eq!(b.map, map(5.0 / 16.0, &[(0, 3)]));
    // Logits: a is (2 - 4) / 16, b is 5 / 16.
    let (a_logit, b_logit) = ((-2.0f64 / 16.0).exp(), (5.0f64 / 16.0).exp());
    assert!((b.probability - b_logit / (a_logit + b_logit)).abs() < 1e-6);
    assert!((a.probability + b.probability - 1.0).abs() < 1e-6);
    // Without a class, the likeliest.
    assert_eq!(classifier.grad_cam(&three_dots(), "block", None).unwrap(), b);
    let best = classifier.likeliest(&three_dots(), 5).unwrap();
    assert_eq!(best.classes[0], ("b".to_string(), b.probability));
    assert_eq!(best.classes.len(), 2);
    let title = format!("This is: a. The network says: b, {:.1} %", 100.0 * b.probability);
    assert!(best.picture_of("a").unwrap().svg().contains(&title));
    assert!(b.picture().unwrap().svg().contains("Grad-CAM: what speaks for b"));

    let error = classifier.grad_cam(&three_dots(), "block", Some("c")).unwrap_err().to_string();
    assert!(error.contains("'c'") && error.contains("a, b"), "{error}");
    let error = classifier.grad_cam(&three_dots(), "x", None).unwrap_err().to_string();
    assert!(error.contains("choose one of block"), "{error}");
    let error = Classifier::new(&net, PLAIN, &["a"]).unwrap_err().to_string();
    assert!(error.contains("by hand has 2 classes"), "{error}");
}

/// A small network with batch normalisation and, if asked for, an auxiliary classifier.
fn small(auxiliary: bool) -> GoogLeNet {
    let mut spec = spec::COMPACT.clone();
    spec.layers.to_mut().truncate(3);
    let row = [8, 8, 16, 4, 8, 8];
    spec.layers.to_mut().push(Layer::Inception(InceptionSpec::row("inception_3a", row)));
    if auxiliary {
        let paper = AuxiliarySpec::paper("aux_3a");
        let small = AuxiliarySpec { hidden: 16, conv: 8, dropout: 0.0, ..paper };
        spec.layers.to_mut().push(Layer::Auxiliary(small));
    }
    spec.layers.to_mut().push(Layer::Inception(InceptionSpec::row("inception_3b", row)));
    manual_seed(1);
    GoogLeNet::new(&spec, Device::Cpu).unwrap()
}

/// The norm of a layer's gradient after an ordinary backward pass.
fn by_hand(net: &GoogLeNet, layer: &str, loss: Tensor) -> f64 {
    for mut variable in net.variables().trainable_variables() {
        variable.zero_grad();
    }
    loss.backward();
    let variables = net.variables().variables();
    let of_layer = variables.iter().filter(|(name, variable)| {
        name.starts_with(&format!("{layer}.")) && variable.requires_grad()
    });
    of_layer.map(|(_, v)| v.grad().square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt()
}

#[test]
fn gradient_norms_are_those_of_backward() {
    let set = Shapes10::generate(16, 0, 3).unwrap().train;
    let names: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    for auxiliary in [false, true] {
        let net = small(auxiliary);
        let classifier = Classifier::new(&net, Normalize::CIFAR10, &names).unwrap();
        let statistics = net.variables().variables()["conv_1.norm.running_mean"].copy();
        let norms = classifier.gradient_norms(&set).unwrap();
        assert_eq!(net.variables().variables()["conv_1.norm.running_mean"], statistics);
        let layers: Vec<&str> = norms.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(layers, ["conv_1", "conv_2", "inception_3a", "inception_3b", "head"]);

        let mean = Tensor::from_slice(&Normalize::CIFAR10.mean);
        let std = Tensor::from_slice(&Normalize::CIFAR10.std);
        let xs = (set.images().to_kind(Kind::Double) / 255.0 - mean) / std;
        let xs = xs.permute([0, 3, 1, 2]).to_kind(Kind::Float);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-3 * b.abs();
        for layer in &norms.layers {
            let outputs = net.outputs(&xs).unwrap();
            let head = cross_entropy(&outputs.logits, set.labels(), 0.0).unwrap();
            let expected = by_hand(&net, &layer.name, head);
            assert!(close(layer.head, expected), "{layer:?}, not {expected}");
            assert_eq!(layer.with_auxiliary.is_some(), auxiliary);
            if let Some(found) = layer.with_auxiliary {
                let total = net.outputs(&xs).unwrap().loss(set.labels(), 0.0).unwrap();
                let expected = by_hand(&net, &layer.name, total);
                assert!(close(found, expected), "{layer:?}, not {expected}");
                // The auxiliary classifier reads 3a's output: what comes after gets nothing of it.
                let above = ["inception_3b", "head"].contains(&layer.name.as_str());
                assert_eq!(close(found, layer.head), above, "{layer:?}");
            }
        }
        assert!(norms.picture().unwrap().svg().contains("inception_3a"));
        assert_eq!(norms.layer("conv_2").unwrap(), &norms.layers[1]);
        let error = norms.layer("conv_3").unwrap_err().to_string();
        assert!(error.contains("conv_3") && error.contains("conv_1, conv_2"), "{error}");
    }
}

/// Images that do not matter, with these labels.
fn labelled(labels: &[i64]) -> ImageSet {
    let n = labels.len() as i64;
    let images = Tensor::arange(n * 12, (Kind::Int64, Device::Cpu)).to_kind(Kind::Uint8);
    ImageSet::new(images.view([n, 2, 2, 3]), Tensor::from_slice(labels)).unwrap()
}

fn predictions(labels: &[i64], rows: &[[f64; 3]]) -> Predictions {
    let classes = ["ant", "bee", "cow"].map(String::from).to_vec();
    let rows = rows.iter().map(|row| row.to_vec()).collect();
    Predictions::new(classes, labelled(labels), rows).unwrap()
}

/// Six images: three right (confidence 0.9, 0.6, 0.5), three wrong (0.8, 0.95, 0.5).
fn six() -> Predictions {
    predictions(
        &[0, 1, 2, 0, 1, 2],
        &[
            [0.9, 0.05, 0.05],
            [0.3, 0.6, 0.1],
            [0.25, 0.25, 0.5],
            [0.1, 0.8, 0.1],
            [0.95, 0.03, 0.02],
            [0.5, 0.25, 0.25],
        ],
    )
}

#[test]
fn confusion_counts() {
    let six = six();
    assert_eq!(six.accuracy(), 0.5);
    let confusion = six.confusion();
    assert_eq!(confusion.counts, [[1, 1, 0], [1, 1, 0], [1, 0, 1]]);
    let picture = confusion.picture().unwrap();
    for text in ["50.00 % of 6 images right", "ant", "bee", "cow", "taken for"] {
        assert!(picture.svg().contains(text), "no '{text}'");
    }
    // Many classes are drawn as pixels.
    let many = ConfusionMatrix {
        classes: (0..100).map(|class| class.to_string()).collect(),
        counts: (0..100).map(|row| (0..100).map(|c| u64::from(c == row)).collect()).collect(),
    };
    assert!(many.picture().unwrap().svg().contains("data:image/png;base64,"));
}

#[test]
fn the_surest_mistakes() {
    let six = six();
    let mistakes = six.mistakes(2).unwrap();
    assert_eq!((mistakes.mistakes, mistakes.images), (3, 6));
    let shown: Vec<_> = mistakes
        .shown
        .iter()
        .map(|m| (m.index, m.label.as_str(), m.predicted.as_str(), m.confidence))
        .collect();
    assert_eq!(shown, [(4, "bee", "ant", 0.95), (3, "ant", "bee", 0.8)]);
    // Its own pixels: bytes count up through the set.
    assert_eq!(mistakes.shown[0].image.bytes(), (48..60).collect::<Vec<u8>>());
    assert_eq!(six.mistakes(100).unwrap().shown.len(), 3);
    assert!(mistakes.picture().unwrap().svg().contains("2 of 3 mistakes on 6 images"));
    let none = predictions(&[0], &[[1.0, 0.0, 0.0]]).mistakes(5).unwrap();
    assert!(none.shown.is_empty());
    assert!(none.picture().unwrap_err().to_string().contains("number of images in a grid is 0"));
}

#[test]
fn calibration_by_hand() {
    let Calibration { bins, error } = six().calibration(2).unwrap();
    // Up to 0.5: two images, one right. Above: 0.9, 0.6, 0.8, 0.95, two of them right.
    assert_eq!((bins[0].images, bins[0].confidence, bins[0].accuracy), (2, 0.5, 0.5));
    assert_eq!((bins[1].images, bins[1].accuracy), (4, 0.5));
    assert!((bins[1].confidence - 3.25 / 4.0).abs() < 1e-12);
    assert!((error - (3.25 - 2.0) / 6.0).abs() < 1e-12, "{error}");

    // Right exactly as often as it says: no error.
    let sure = [0.75, 0.25, 0.0];
    let honest = predictions(&[0, 0, 0, 1], &[sure; 4]).calibration(15).unwrap();
    assert_eq!(honest.error, 0.0);
    // Always sure and always wrong: the largest error that there is.
    let wrong = predictions(&[1, 2], &[[1.0, 0.0, 0.0]; 2]).calibration(15).unwrap();
    assert_eq!((wrong.error, wrong.bins[14].images), (1.0, 2));
    assert!(wrong.picture().unwrap().svg().contains("Expected calibration error 100.00 %"));
    for bins in [0, 1001] {
        let error = six().calibration(bins).unwrap_err().to_string();
        assert!(error.contains(&format!("number of bins is {bins}")), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_predictions(
        rows in prop::collection::vec((0..3i64, prop::array::uniform3(0.001..1.0f64)), 1..60),
        bins in 1..40usize,
    ) {
        let labels: Vec<i64> = rows.iter().map(|(label, _)| *label).collect();
        let shares: Vec<[f64; 3]> = rows
            .iter()
            .map(|(_, row)| row.map(|value| value / row.iter().sum::<f64>()))
            .collect();
        let predictions = predictions(&labels, &shares);
        let n = rows.len();

        let counts = predictions.confusion().counts;
        prop_assert_eq!(counts.iter().flatten().sum::<u64>(), n as u64);
        for (class, row) in counts.iter().enumerate() {
            let labelled = labels.iter().filter(|label| **label == class as i64).count();
            prop_assert_eq!(row.iter().sum::<u64>(), labelled as u64);
        }
        let right = counts[0][0] + counts[1][1] + counts[2][2];
        prop_assert!((right as f64 / n as f64 - predictions.accuracy()).abs() < 1e-12);

        let mistakes = predictions.mistakes(n).unwrap();
        prop_assert_eq!(mistakes.mistakes as u64 + right, n as u64);
        prop_assert!(mistakes.shown.is_sorted_by(|a, b| a.confidence >= b.confidence));

        let calibration = predictions.calibration(bins).unwrap();
        prop_assert!((0.0..=1.0).contains(&calibration.error));
        prop_assert_eq!(calibration.bins.iter().map(|bin| bin.images).sum::<usize>(), n);
        let mut accuracy = 0.0;
        let mut error = 0.0;
        for bin in calibration.bins.iter().filter(|bin| bin.images > 0) {
            prop_assert!(bin.confidence > bin.from - 1e-9 && bin.confidence <= bin.to + 1e-9);
            accuracy += bin.accuracy * bin.images as f64 / n as f64;
            error += (bin.accuracy - bin.confidence).abs() * bin.images as f64 / n as f64;
        }
        prop_assert!((accuracy - predictions.accuracy()).abs() < 1e-9);
        prop_assert!((error - calibration.error).abs() < 1e-9);
        // Distances within a bin cancel out at most: never more than with finer bins joined.
        let one = predictions.calibration(1).unwrap().error;
        prop_assert!(one <= calibration.error + 1e-9);
    }
}

#[test]
fn bad_predictions_are_refused() {
    let classes = || vec!["a".to_string(), "b".to_string()];
    let refused = |labels: &[i64], rows: Vec<Vec<f64>>, expected: &str| {
        let error = Predictions::new(classes(), labelled(labels), rows).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(&[0], vec![], "number of predictions is 0");
    refused(&[0, 1], vec![vec![1.0, 0.0]], "for each of the 2 images");
    refused(&[0], vec![vec![1.0]], "number of probabilities is 1");
    refused(&[2], vec![vec![1.0, 0.0]], "a label is 2");
    refused(&[0], vec![vec![f64::NAN, 0.0]], "a probability is NaN");
}

#[test]
fn predictions_are_those_of_the_trainer() {
    let data = Shapes10::generate(64, 150, 9).unwrap();
    for test_flip in [false, true] {
        let recipe = Recipe { test_flip, ..Recipe::steady().with_batch(32) };
        let run = Trainer::new(small(false), &data, recipe).unwrap();
        let predictions = run.predictions().unwrap();
        let test = run.evaluate().unwrap();
        assert_eq!(predictions.accuracy(), test.accuracy);
        let loss: f64 = predictions
            .labels
            .iter()
            .zip(&predictions.probabilities)
            .map(|(label, row)| -row[*label].ln() / 150.0)
            .sum();
        assert!((loss - test.loss).abs() < 1e-5, "{loss} is not {}", test.loss);
        // One image alone, and out of a set.
        let best = run.classifier().likeliest(&data.test.image(7).unwrap(), 10).unwrap();
        for (name, probability) in &best.classes {
            let class = data.classes.iter().position(|class| class == name).unwrap();
            assert!((probability - predictions.probabilities[7][class]).abs() < 1e-5);
        }
        assert!(best.classes.is_sorted_by(|a, b| a.1 >= b.1));
    }
}

#[test]
fn the_filters_are_the_weights() {
    let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu).unwrap();
    let filters = look::filters(&net).unwrap();
    assert_eq!(filters.layer, "conv_1");
    assert_eq!(filters.weights, net.variables().variables()["conv_1.weight"]);
    assert!(filters.picture().unwrap().svg().contains("32 filters of 5x5"));
    let error = look::filters(&hand_made()).unwrap_err().to_string();
    assert!(error.contains("by hand") && error.contains("must be a convolution"), "{error}");
}

#[test]
fn activations_and_the_rest_are_the_whole() {
    let net = small(true);
    let images = Tensor::randn([3, 3, 32, 32], CPU);
    let whole = net.forward_t(&images, false).unwrap();
    for (layer, _) in net.spec().shapes().unwrap() {
        let activations = net.activations(&images, &layer).unwrap();
        assert_eq!(net.logits_from(&activations, &layer).unwrap(), whole, "{layer}");
    }
}

/// Pixel (x, y) of a PNG file, and its width and height.
fn pixel(png: &[u8], (x, y): (usize, usize)) -> ([u8; 3], (u32, u32)) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let at = 3 * (y * info.width as usize + x);
    ([pixels[at], pixels[at + 1], pixels[at + 2]], (info.width, info.height))
}

#[test]
fn a_grid_shows_the_images_themselves() {
    let green = Image::from_bytes(8, 8, [0, 200, 0].repeat(64)).unwrap();
    let red = Image::from_bytes(8, 8, [200, 0, 0].repeat(64)).unwrap();
    let images = [(green, "green".to_string()), (red, "red".to_string())];
    let picture = plot::image_grid("Two", &images, 2).unwrap();
    // Cells of 240 begin at (16, 52) and (256, 52).
    assert_eq!(pixel(picture.png().unwrap(), (20, 56)).0, [0, 200, 0]);
    assert_eq!(pixel(picture.png().unwrap(), (260, 56)).0, [200, 0, 0]);
    assert_eq!(pixel(picture.png().unwrap(), (2, 2)), ([255; 3], (960, 52 + 232 + 15 + 8 + 16)));
    assert_eq!(picture.svg().matches("<image ").count(), 2);
    assert!(picture.svg().trim_end().ends_with("</svg>"));

    let data = Shapes10::generate(20, 0, 0).unwrap();
    let picture = data.sample_grid(Split::Train, 2, 10).unwrap();
    assert_eq!(picture.svg().matches("<image ").count(), 20);
    assert!(picture.svg().contains("crescent"));
    for (rows, columns, expected) in
        [(3, 10, "there are 20"), (0, 5, "in a grid is 0"), (1, 0, "number of columns is 0")]
    {
        let error = data.sample_grid(Split::Train, rows, columns).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
