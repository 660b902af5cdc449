//! The arithmetic against known values: Table 1 of the paper, the blog post, the weights of real
//! networks, and sums by hand. PyTorch's own count is in tests/test_flops.py at the top of the
//! repository.

use std::collections::BTreeMap;

use googlenet_lib::cost::{Cost, LayerCost, naive_comparison};
use googlenet_lib::prelude::*;
use googlenet_lib::spec::{Dropout, HeadPool, HeadSpec, PoolSpec};

fn layer<'a>(cost: &'a NetworkCost, name: &str) -> &'a LayerCost {
    cost.layers.iter().find(|layer| layer.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// Rows of Table 1: our layers, and the params (K) and ops (M) that it prints.
const TABLE_1: [(&str, &[&str], f64, f64); 12] = [
    ("convolution 7x7/2", &["conv_1"], 2.7, 34.0),
    ("convolution 3x3/1", &["conv_2_reduce", "conv_2"], 112.0, 360.0),
    ("3a", &["inception_3a"], 159.0, 128.0),
    ("3b", &["inception_3b"], 380.0, 304.0),
    ("4a", &["inception_4a"], 364.0, 73.0),
    ("4b", &["inception_4b"], 437.0, 88.0),
    ("4c", &["inception_4c"], 463.0, 100.0),
    ("4d", &["inception_4d"], 580.0, 119.0),
    ("4e", &["inception_4e"], 840.0, 170.0),
    ("5a", &["inception_5a"], 1072.0, 54.0),
    ("5b", &["inception_5b"], 1388.0, 71.0),
    ("linear", &["head"], 1000.0, 1.0),
];

/// Weights without biases, and multiply-adds, of a row.
fn exact(cost: &NetworkCost, layers: &[&str]) -> (i64, i64) {
    let operations = cost.operations().filter(|operation| {
        layers
            .iter()
            .any(|name| operation.name == *name || operation.name.starts_with(&format!("{name}.")))
    });
    operations.fold((0, 0), |(weights, work), operation| {
        let biases = if operation.cost.parameters > 0 { operation.output.channels } else { 0 };
        (weights + operation.cost.parameters - biases, work + operation.cost.multiply_adds)
    })
}

#[test]
fn table_1_agrees_but_for_the_documented_rows() {
    let cost = spec::PAPER.cost().unwrap();
    let (mut params_agree, mut ops_differ) = (Vec::new(), Vec::new());
    for (row, layers, params, ops) in TABLE_1 {
        let (weights, work) = exact(&cost, layers);
        let (weights, work) = (weights as f64 / 1024.0, work as f64 / 1e6);
        if params == weights.floor() || params == weights.round() {
            params_agree.push(row);
        }
        if ops != work.round() {
            ops_differ.push(row);
        }
        // But for the first row, nothing is further off than this.
        if row != "convolution 7x7/2" {
            assert!((params / weights - 1.0).abs() < 0.07, "{row}: {params} K, {weights} Ki");
            assert!((ops / work - 1.0).abs() < 0.06, "{row}: {ops} M, {work} M");
        }
    }
    assert_eq!(params_agree, ["convolution 3x3/1", "3a", "linear"]);
    assert_eq!(ops_differ, ["convolution 7x7/2", "4a", "5a"]);
}

#[test]
fn table_1s_first_row_is_a_separable_convolution() {
    let colours = spec::PAPER.input.channels;
    let cost = spec::PAPER.cost().unwrap();
    let conv = layer(&cost, "conv_1");
    let weights = 7 * 7 * colours * 8 + colours * 8 * conv.output.channels;
    assert_eq!(weights, 2712);
    let places = conv.output.height * conv.output.width;
    assert_eq!((weights * places) as f64 / 1e6, 34.019328);
    assert_eq!(exact(&cost, &["conv_1"]), (9408, 9408 * places));
}

#[test]
fn known_totals() {
    let total = |spec: &NetworkSpec| spec.cost().unwrap().inference;
    assert_eq!(total(&spec::SEED).parameters, 5_979_642);
    assert_eq!(total(&spec::PAPER).parameters, 6_998_552);
    // Section 5: averaging does without the fully connected layers that hold nine tenths of VGG-16.
    let vgg = total(&spec::VGG_16);
    assert_eq!((vgg.parameters, vgg.multiply_adds), (138_357_544, 15_470_264_320));
    // Auxiliary classifiers count in training only.
    let paper = spec::PAPER.cost().unwrap();
    let heads = [("aux_4a", 512), ("aux_4d", 528)].map(|(name, channels)| {
        let head = layer(&paper, name);
        let expected = (channels + 1) * 128 + (2048 + 1) * 1024 + (1024 + 1) * 1000;
        assert_eq!((head.cost.parameters, head.output), (expected, Shape::square(1000, 1)));
        expected
    });
    assert_eq!(paper.total.parameters, 6_998_552 + heads.iter().sum::<i64>());
    assert_eq!(paper.inference, spec::PAPER.without_auxiliary().cost().unwrap().total);
}

#[test]
fn parameters_are_those_of_the_real_weights() {
    for spec in spec::ALL.into_iter().cloned().chain([spec::COMPACT.naive()]) {
        let net = GoogLeNet::new(&spec, Device::Cpu).unwrap();
        let cost = net.summary().unwrap();
        assert_eq!(cost, spec.cost().unwrap());
        assert_eq!(counts(&cost), stored(&net), "{}", spec.name);
        assert_eq!(cost.total.parameters, net.parameters());
    }
}

/// Parameters and buffers of every operation that has some.
fn counts(cost: &NetworkCost) -> BTreeMap<String, (i64, i64)> {
    let counted = |part: &LayerCost| (part.name.clone(), (part.cost.parameters, part.cost.buffers));
    cost.operations().filter(|part| part.cost.parameters > 0).map(counted).collect()
}

/// The same from the tensors.
fn stored(net: &GoogLeNet) -> BTreeMap<String, (i64, i64)> {
    let mut counts = BTreeMap::new();
    for (name, tensor) in net.variables().variables() {
        let (operation, _) = name.rsplit_once('.').unwrap();
        let operation = operation.strip_suffix(".norm").unwrap_or(operation);
        let count: &mut (i64, i64) = counts.entry(operation.to_string()).or_default();
        let values = tensor.numel() as i64;
        *if tensor.requires_grad() { &mut count.0 } else { &mut count.1 } += values;
    }
    counts
}

#[test]
fn receptive_fields_of_the_paper() {
    let cost = spec::PAPER.cost().unwrap();
    for (name, rows) in [
        ("conv_1", 7),
        ("max_pool_1", 7 + 2 * 2),
        ("conv_2", 11 + 2 * 4),
        ("max_pool_2", 19 + 2 * 4),
        ("inception_3a", 27 + 4 * 8),
        ("inception_3b", 59 + 4 * 8),
        ("max_pool_3", 91 + 2 * 8),
        ("inception_4e", 107 + 5 * 4 * 16),
        ("max_pool_4", 427 + 2 * 16),
        ("inception_5b", 459 + 2 * 4 * 32),
        ("head", 715 + 6 * 32),
    ] {
        assert_eq!(layer(&cost, name).receptive_field, rows, "{name}");
    }
}

/// The rows of the image that the middle of the last activations really depends on.
#[test]
fn the_receptive_field_is_where_gradients_arrive() {
    manual_seed(3);
    let mut spec = spec::COMPACT.clone();
    spec.input = Shape::square(3, 41);
    spec.norm = None;
    // 5x5/2, 3x3/1 and a block: 5 + 2 x 2 + 4 x 2.
    let chosen = [0, 1, 3].map(|index| spec::COMPACT.layers[index].clone());
    spec.layers = chosen.to_vec().into();
    spec.head.pool = HeadPool::Flatten;
    let expected = layer(&spec.cost().unwrap(), "inception_3a").receptive_field;
    assert_eq!(expected, 17);

    // A classifier that reads the middle only.
    let net = GoogLeNet::new(&spec, Device::Cpu).unwrap();
    let last = spec.shapes().unwrap().pop().unwrap().1;
    let mut weight = net.variables().variables().remove("head.classifier.weight").unwrap();
    no_grad(|| {
        let middle = weight.view([-1, last.channels, last.height, last.width]);
        let kept = middle.narrow(2, last.height / 2, 1).narrow(3, last.width / 2, 1).copy();
        let _ = weight.zero_();
        let middle = weight.view([-1, last.channels, last.height, last.width]);
        middle.narrow(2, last.height / 2, 1).narrow(3, last.width / 2, 1).copy_(&kept);
    });
    let images = Tensor::randn([1, 3, 41, 41], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    net.forward_t(&images, false).unwrap().sum(Kind::Float).backward();
    for others in [[1, 3], [1, 2]] {
        let reached =
            images.grad().abs().sum_dim_intlist(&others[..], false, Kind::Float).squeeze();
        assert_eq!(reached.gt(0.0).sum(Kind::Int64).int64_value(&[]), expected);
    }
}

/// Two 2x2-pooled, 3x3-convolved channels and two classes, counted by hand below.
fn tiny() -> NetworkSpec {
    let conv = spec::ConvSpec::same("conv_1", 4, 3, 1, true);
    let pool = PoolSpec { kernel: 2, stride: 2, padding: 0, ceil_mode: false };
    NetworkSpec {
        name: "tiny".into(),
        input: Shape::square(3, 8),
        norm: None,
        layers: vec![Layer::Conv(conv), Layer::MaxPool(pool)].into(),
        head: HeadSpec {
            pool: HeadPool::GlobalAverage,
            hidden: None,
            dropout: Dropout::None,
            classes: 2,
        },
    }
}

#[test]
fn bytes_by_hand() {
    let cost = tiny().cost().unwrap();
    let parameters = (4 * 3 * 9 + 4) + (4 * 2 + 2);
    let activations = 4 * 64 + 4 * 16 + 4 + 2;
    let expected = Cost {
        parameters,
        buffers: 0,
        multiply_adds: 4 * 3 * 9 * 64 + 4 * 2,
        activations,
        maxima: 4 * 16,
    };
    assert_eq!(cost.total, expected);
    let images = 3 * 64;
    for (batch, values) in [(1, 0), (2, 1), (128, 2)] {
        let expected =
            4 * parameters * (2 + values) + batch * (4 * images + 4 * activations + 8 * 4 * 16);
        assert_eq!(cost.training_bytes(batch, values).unwrap(), expected);
        let layers = cost.layers.iter().map(|layer| layer.training_bytes(batch, values).unwrap());
        assert_eq!(layers.sum::<i64>() + 4 * batch * images, expected);
        // The convolution reads and writes most.
        let expected = 4 * parameters + batch * 4 * (images + 4 * 64);
        assert_eq!(cost.inference_bytes(batch).unwrap(), expected);
    }
    assert_eq!(cost.layers[1].inference_bytes(3).unwrap(), 3 * 4 * (4 * 64 + 4 * 16));

    // With normalisation: scales and shifts instead of biases, running statistics, and a second
    // set of values.
    let normalised = NetworkSpec { norm: Some(spec::BATCH_NORM), ..tiny() }.cost().unwrap().layers;
    let conv = normalised[0].cost;
    assert_eq!((conv.parameters, conv.buffers, conv.activations), (4 * 27 + 8, 8, 2 * 4 * 64));
    assert_eq!(conv.multiply_adds, cost.layers[0].cost.multiply_adds);
}

#[test]
fn bad_batches_are_refused() {
    let cost = tiny().cost().unwrap();
    for batch in [0, -1, i64::MIN] {
        let error = cost.training_bytes(batch, 1).unwrap_err().to_string();
        assert!(error.contains(&format!("batch is {batch}")), "{error}");
        assert!(cost.inference_bytes(batch).is_err());
    }
    assert!(cost.training_bytes(1, -1).is_err());
    for error in [cost.training_bytes(i64::MAX, 1), cost.inference_bytes(i64::MAX)] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("2^63"), "{error}");
    }
}

#[test]
fn the_posts_bottleneck() {
    let post = Bottleneck {
        height: 14,
        width: 14,
        in_channels: 480,
        mid_channels: 16,
        out_channels: 48,
        kernel: 5,
    };
    let cost = post.cost().unwrap();
    assert_eq!(cost.direct.multiply_adds, 112_896_000);
    assert_eq!(cost.reduced.multiply_adds, 1_505_280 + 3_763_200);
    // What the post calls parameters are multiply-adds: the parameters are these.
    assert_eq!(cost.direct.parameters, 480 * 48 * 25 + 48);
    assert_eq!(cost.reduced.parameters, (480 * 16 + 16) + (16 * 48 * 25 + 48));

    let with = |mid_channels| Bottleneck { mid_channels, ..post }.cost().unwrap();
    assert_eq!(cost.break_even, 342);
    assert!(with(342).reduced.multiply_adds <= cost.direct.multiply_adds);
    assert!(with(343).reduced.multiply_adds > cost.direct.multiply_adds);

    // It is the 5x5 branch of block 4a.
    let paper = spec::PAPER.cost().unwrap();
    let work =
        |name: &str| paper.operations().find(|part| part.name == name).unwrap().cost.multiply_adds;
    let branch = work("inception_4a.reduce_5x5") + work("inception_4a.conv_5x5");
    assert_eq!(branch, cost.reduced.multiply_adds);

    for bad in [0, -5] {
        let error = Bottleneck { mid_channels: bad, ..post }.cost().unwrap_err().to_string();
        assert!(error.contains(&format!("mid_channels is {bad}")), "{error}");
    }
    let error = Bottleneck { height: i64::MAX, ..post }.cost().unwrap_err().to_string();
    assert!(error.contains("2^63"), "{error}");
}

#[test]
fn average_pooling_against_a_fully_connected_layer() {
    let gap = GapVersusFc::new(Shape::square(1024, 7), 1024).unwrap();
    assert_eq!((gap.weights, gap.biases), (51_380_224, 1024));
    assert_eq!(gap.fully_connected.parameters, 51_381_248);
    assert_eq!((gap.pooled.parameters, gap.pooled.multiply_adds), (0, 0));
    assert_eq!(gap.pooled_linear.parameters, 1024 * 1024 + 1024);
    let error = GapVersusFc::new(Shape::square(0, 7), 10).unwrap_err().to_string();
    assert!(error.contains("channels is 0"), "{error}");
    assert!(GapVersusFc::new(Shape::square(i64::MAX, 7), 10).is_err());
    assert!(GapVersusFc::new(Shape::square(1 << 40, 7), 1 << 40).is_err());
}

#[test]
fn shares_of_the_classifier() {
    let share = |spec: &NetworkSpec| spec.cost().unwrap().classifier_share().unwrap();
    let vgg = share(&spec::VGG_16);
    // 4096 x (7 x 7 x 512 + 1) + 4096 x (4096 + 1) + 1000 x (4096 + 1), of 138,357,544.
    assert!((vgg.parameters - 123_642_856.0 / 138_357_544.0).abs() < 1e-12);
    assert!((vgg.multiply_adds - 123_633_664.0 / 15_470_264_320.0).abs() < 1e-12);
    // The auxiliary classifiers are no part of it.
    let paper = share(&spec::PAPER);
    assert!((paper.parameters - 1_025_000.0 / 6_998_552.0).abs() < 1e-12);
    assert_eq!(paper, share(&spec::PAPER.without_auxiliary()));
    assert!(share(&spec::SEED).parameters < 0.002);
}

#[test]
fn naive_blocks_grow() {
    let comparison = naive_comparison(&spec::PAPER).unwrap();
    assert_eq!(comparison.blocks.len(), 9);
    // 3x3, 5x5 and 1x1 filters are added to what comes in, block after block.
    let mut channels = 192;
    for (block, layer) in comparison.blocks.iter().zip(blocks(&spec::PAPER)) {
        let added = layer.conv_1x1 + layer.conv_3x3 + layer.conv_5x5;
        assert_eq!(block.stacked.input.channels, channels);
        channels += added;
        assert_eq!(block.stacked.output.channels, channels);
        assert_eq!(block.naive.input, block.reduced.input);
        assert_eq!(block.naive.output.channels, block.reduced.input.channels + added);
        assert_eq!(block.naive.receptive_field, block.reduced.receptive_field);
        let weights = layer.conv_1x1 + 9 * layer.conv_3x3 + 25 * layer.conv_5x5;
        let expected = block.naive.input.channels * weights + added;
        assert_eq!(block.naive.cost.parameters, expected);
        assert!(block.naive.cost.multiply_adds > block.reduced.cost.multiply_adds);
        assert!(block.stacked.cost.multiply_adds >= block.naive.cost.multiply_adds);
    }
    assert_eq!(channels, 192 + 224 + 416 + 448 + 448 + 448 + 464 + 704 + 704 + 896);
    let text = comparison.to_string();
    assert!(text.contains("inception_5b") && text.contains("4,944"), "{text}");
}

fn blocks(spec: &NetworkSpec) -> impl Iterator<Item = &spec::InceptionSpec> {
    spec.layers.iter().filter_map(|layer| match layer {
        Layer::Inception(block) => Some(block),
        _ => None,
    })
}

#[test]
fn another_image_size_changes_work_and_not_weights() {
    let (small, large) = (spec::CIFAR.cost().unwrap(), spec::CIFAR.cost_for(Shape::square(3, 64)));
    let large = large.unwrap();
    assert_eq!(small.total.parameters, large.total.parameters);
    let convs = |cost: &NetworkCost| {
        cost.total.multiply_adds - cost.layers.last().unwrap().cost.multiply_adds
    };
    assert_eq!(4 * convs(&small), convs(&large));
    for size in [0, -224] {
        let error = spec::PAPER.cost_for(Shape::square(3, size)).unwrap_err().to_string();
        assert!(error.contains(&format!("height of input is {size}")), "{error}");
    }
    let error = spec::PAPER.cost_for(Shape::square(3, 3)).unwrap_err().to_string();
    assert!(error.contains("give a larger image"), "{error}");
    for size in [1 << 29, i64::MAX] {
        let error = spec::CIFAR.cost_for(Shape::square(3, size)).unwrap_err().to_string();
        assert!(error.contains("2^63"), "{error}");
    }
}

#[test]
fn the_table_says_what_was_counted() {
    let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu).unwrap();
    let cost = net.summary().unwrap();
    let text = cost.to_string();
    for layer in &cost.layers {
        let row = text.lines().find(|line| line.starts_with(&layer.name)).unwrap();
        let cells: Vec<&str> = row.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
        assert_eq!(cells[1], layer.operation);
        let count = |cell: &str| cell.replace(',', "").parse::<i64>().unwrap();
        assert_eq!(count(cells[3]), layer.receptive_field);
        assert_eq!(count(cells[4]), layer.cost.parameters);
        assert_eq!(count(cells[5]), layer.cost.multiply_adds);
        assert_eq!(count(cells[6]), layer.cost.activations);
    }
    assert!(text.contains("8 x 8") && text.contains("Training with SGD"), "{text}");
    assert!(!text.contains("reduce_3x3") && format!("{cost:#}").contains("reduce_3x3"));
    // Names come from a spec, which may come from a file.
    let mut spec = spec::COMPACT.clone();
    spec.name = "<b>&".into();
    let html = spec.cost().unwrap().html();
    assert!(html.contains("&lt;b&gt;&amp;") && !html.contains("<b><b>"), "{html}");
}
