//! The networks as data, against the paper's Table 1 and the blog post.

use googlenet_lib::prelude::*;
use googlenet_lib::spec::{ConvSpec, HeadPool, InceptionSpec, PoolSpec, Shape};

/// Name and (channels, rows) of the layers that Table 1 gives an output size for.
const TABLE_1: [(&str, i64, i64); 15] = [
    ("conv_1", 64, 112),
    ("max_pool_1", 64, 56),
    ("conv_2", 192, 56),
    ("max_pool_2", 192, 28),
    ("inception_3a", 256, 28),
    ("inception_3b", 480, 28),
    ("max_pool_3", 480, 14),
    ("inception_4a", 512, 14),
    ("inception_4b", 512, 14),
    ("inception_4c", 512, 14),
    ("inception_4d", 528, 14),
    ("inception_4e", 832, 14),
    ("max_pool_4", 832, 7),
    ("inception_5a", 832, 7),
    ("inception_5b", 1024, 7),
];

fn shape_of(shapes: &[(String, Shape)], name: &str) -> Shape {
    shapes.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no layer {name}")).1
}

#[test]
fn paper_and_seed_have_the_output_sizes_of_table_1() {
    for spec in [&spec::PAPER, &spec::SEED] {
        let shapes = spec.shapes().unwrap();
        for (name, channels, size) in TABLE_1 {
            assert_eq!(shape_of(&shapes, name), Shape::square(channels, size), "{name}");
        }
        assert_eq!(spec.head_features().unwrap(), 1024);
    }
}

#[test]
fn cifar_is_full_width_without_early_downsampling() {
    let shapes = spec::CIFAR.shapes().unwrap();
    for (name, channels, size) in
        [("inception_3b", 480, 32), ("inception_4e", 832, 16), ("inception_5b", 1024, 8)]
    {
        assert_eq!(shape_of(&shapes, name), Shape::square(channels, size), "{name}");
    }
}

#[test]
fn the_paper_has_two_auxiliary_classifiers_and_the_others_none() {
    let names: Vec<_> = spec::PAPER.auxiliaries().map(|aux| aux.name.as_ref()).collect();
    assert_eq!(names, ["aux_4a", "aux_4d"]);
    assert!(spec::PAPER.auxiliaries().all(|aux| aux.weight == 0.3 && aux.dropout == 0.7));
    for spec in [&spec::SEED, &spec::CIFAR, &spec::COMPACT] {
        assert_eq!(spec.auxiliaries().count(), 0, "{}", spec.name);
    }
    assert_eq!(spec::PAPER.without_auxiliary().auxiliaries().count(), 0);
}

#[test]
fn the_posts_stem_has_no_relu_and_the_papers_has() {
    let stem = |spec: &NetworkSpec| -> Vec<ConvSpec> {
        let convs = spec.layers.iter().filter_map(|layer| match layer {
            Layer::Conv(conv) => Some(conv.clone()),
            _ => None,
        });
        convs.collect()
    };
    assert!(stem(&spec::SEED).iter().all(|conv| !conv.relu));
    assert!(stem(&spec::PAPER).iter().all(|conv| conv.relu));
    assert_eq!(stem(&spec::SEED).len(), 2);
    assert_eq!(stem(&spec::PAPER).len(), 3);
}

#[test]
fn local_response_norm_is_an_option() {
    let norms = |spec: &NetworkSpec| {
        spec.layers.iter().filter(|layer| matches!(layer, Layer::LocalResponseNorm(_))).count()
    };
    assert_eq!(norms(&spec::PAPER), 2);
    let without = spec::PAPER.without_local_response_norm();
    assert_eq!(norms(&without), 0);
    assert_eq!(without.shapes().unwrap().last().unwrap().1, Shape::square(1024, 7));
}

#[test]
fn seed_takes_any_base_width_and_class_count() {
    assert_eq!(spec::seed(64, 10).unwrap(), spec::SEED);
    let narrow = spec::seed(16, 2).unwrap();
    let shapes = narrow.shapes().unwrap();
    assert_eq!(shape_of(&shapes, "conv_1").channels, 16);
    assert_eq!(shape_of(&shapes, "conv_2").channels, 48);
    assert_eq!(narrow.head.classes, 2);
    for (base, classes) in [(0, 10), (-1, 10), (i64::MAX, 10), (64, 0), (64, -3)] {
        let error = spec::seed(base, classes).unwrap_err().to_string();
        assert!(error.contains("at least 1"), "{base}, {classes}: {error}");
    }
}

#[test]
fn a_naive_block_passes_all_its_input_channels_on() {
    let naive = spec::INCEPTION_3A.naive();
    assert_eq!(naive.out_channels(192), 64 + 128 + 32 + 192);
}

#[test]
fn a_narrowed_network_has_a_part_of_the_channels() {
    let narrow = spec::PAPER.narrowed(4);
    let channels = |spec: &NetworkSpec| -> Vec<i64> {
        spec.shapes().unwrap().iter().map(|(_, shape)| shape.channels).collect()
    };
    let (whole, quarter) = (channels(&spec::PAPER), channels(&narrow));
    assert!(whole.iter().zip(&quarter).all(|(whole, quarter)| *whole == 4 * quarter));
    assert_eq!(narrow.head, spec::PAPER.head);
    assert!(narrow.auxiliaries().eq(spec::PAPER.auxiliaries()));
    assert_eq!(spec::PAPER.naive().narrowed(4), spec::PAPER.narrowed(4).naive());
    for (times, channels) in [(1, 192), (0, 192), (1000, 1)] {
        let conv = &spec::CIFAR.narrowed(times).layers[0];
        assert!(matches!(conv, Layer::Conv(conv) if conv.out_channels == channels));
    }
}

#[test]
fn names_are_found_whatever_their_case() {
    assert_eq!(spec::by_name("Compact").unwrap(), spec::COMPACT);
    let error = spec::by_name("resnet").unwrap_err().to_string();
    assert!(error.contains("'resnet'") && error.contains("paper, seed, cifar, compact"), "{error}");
}

/// COMPACT with one of its layers replaced.
fn compact_with(index: usize, layer: Layer) -> NetworkSpec {
    let mut spec = spec::COMPACT.clone();
    spec.layers.to_mut()[index] = layer;
    spec
}

#[test]
fn bad_numbers_are_refused_by_name() {
    let conv = |out_channels, kernel, stride, padding| {
        let name = "conv_1".into();
        Layer::Conv(ConvSpec { name, out_channels, kernel, stride, padding, relu: true })
    };
    let pool = |kernel, stride, padding| {
        Layer::MaxPool(PoolSpec { kernel, stride, padding, ceil_mode: false })
    };
    let block = |row| Layer::Inception(InceptionSpec::row("inception_3a", row));
    let huge = i64::MAX / 2;
    for (layer, expected) in [
        (conv(0, 3, 1, 1), "out_channels of conv_1 is 0"),
        (conv(32, 0, 1, 1), "kernel of conv_1 is 0"),
        (conv(32, 3, 0, 1), "stride of conv_1 is 0"),
        (conv(32, 3, 1, -1), "padding of conv_1 is -1"),
        (conv(32, 33, 1, 0), "window of conv_1 is 33: it does not fit into 32"),
        (conv(huge, 3, 1, 1), "size of conv_1"),
        (pool(3, 2, 2), "padding of max_pool_1 is 2"),
        (block([48, 32, 0, 16, 24, 24]), "conv_3x3 of inception_3a is 0"),
        (block([48, 32, 64, 16, 24, -1]), "pool_proj of inception_3a is -1"),
    ] {
        let spec = compact_with(0, layer);
        let error = spec.check().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let error = GoogLeNet::new(&spec, Device::Cpu).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    for size in [0, -32] {
        let error = spec::COMPACT.shapes_for(Shape::square(3, size)).unwrap_err().to_string();
        assert!(error.contains(&format!("height of input is {size}")), "{error}");
    }
    let mut spec = spec::CIFAR.clone();
    spec.head.pool = HeadPool::Average { kernel: 9 };
    let error = spec.check().unwrap_err().to_string();
    assert!(error.contains("window of head is 9"), "{error}");
    let mut spec = spec::PAPER.clone();
    spec.head.dropout = spec::Dropout::Elements(1.0);
    let error = spec.check().unwrap_err().to_string();
    assert!(error.contains("dropout of head is 1"), "{error}");
}

#[test]
fn a_spec_survives_json() {
    for spec in spec::ALL {
        let json = serde_json::to_string(spec).unwrap();
        assert_eq!(&serde_json::from_str::<NetworkSpec>(&json).unwrap(), spec);
    }
}

#[test]
fn the_5x5_branch_keeps_height_and_width() {
    for kernel_5x5 in [0, -1, 4] {
        let mut spec = spec::COMPACT.clone();
        spec.layers.to_mut()[3] =
            Layer::Inception(InceptionSpec { kernel_5x5, ..spec::INCEPTION_3A });
        let error = spec.check().unwrap_err().to_string();
        assert!(error.contains(&format!("kernel_5x5 of inception_3a is {kernel_5x5}")), "{error}");
    }
}

#[test]
fn torchvisions_network_has_the_papers_blocks_with_a_3x3_for_the_5x5() {
    let blocks = |spec: &NetworkSpec| -> Vec<InceptionSpec> {
        let of = |layer: &Layer| match layer {
            Layer::Inception(block) => Some(InceptionSpec { kernel_5x5: 3, ..block.clone() }),
            _ => None,
        };
        spec.layers.iter().filter_map(of).collect()
    };
    assert_eq!(blocks(&spec::TORCHVISION), blocks(&spec::PAPER));
    // 14x14 to 4x4, where windows of 5 with stride 3 give the same size.
    let shapes = |spec: &NetworkSpec| -> Vec<_> {
        spec.shapes().unwrap().into_iter().filter(|(name, _)| name.starts_with("in")).collect()
    };
    assert_eq!(shapes(&spec::TORCHVISION), shapes(&spec::PAPER));
}
