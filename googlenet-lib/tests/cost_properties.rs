//! The arithmetic of any network: as the real tensors say, and without a panic for any number.

use googlenet_lib::prelude::*;
use googlenet_lib::spec::{
    AuxiliarySpec, BATCH_NORM, ConvSpec, Dropout, HeadPool, HeadSpec, InceptionSpec,
    LOCAL_RESPONSE_NORM, NaiveInceptionSpec, PoolSpec,
};
use proptest::prelude::*;

/// A layer; its name is set by [`network`].
fn any_layer(number: BoxedStrategy<i64>) -> impl Strategy<Value = Layer> {
    let row = proptest::array::uniform6(number.clone());
    let four = proptest::array::uniform4(number);
    prop_oneof![
        3 => four.clone().prop_map(|[out_channels, kernel, stride, padding]| {
            Layer::Conv(ConvSpec { name: "".into(), out_channels, kernel, stride, padding, relu: true })
        }),
        2 => (four.clone(), any::<bool>()).prop_map(|([kernel, stride, padding, _], ceil_mode)| {
            Layer::MaxPool(PoolSpec { kernel, stride, padding, ceil_mode })
        }),
        1 => Just(Layer::LocalResponseNorm(LOCAL_RESPONSE_NORM)),
        2 => row.prop_map(|row| Layer::Inception(InceptionSpec::row("", row))),
        1 => four.clone().prop_map(|[conv_1x1, conv_3x3, conv_5x5, _]| {
            Layer::NaiveInception(NaiveInceptionSpec { name: "".into(), conv_1x1, conv_3x3, conv_5x5 })
        }),
        1 => four.prop_map(|[pool_kernel, pool_stride, conv, hidden]| {
            let paper = AuxiliarySpec::paper("");
            Layer::Auxiliary(AuxiliarySpec { pool_kernel, pool_stride, conv, hidden, ..paper })
        }),
    ]
}

fn any_head(number: BoxedStrategy<i64>) -> impl Strategy<Value = HeadSpec> {
    let pool = prop_oneof![
        Just(HeadPool::GlobalAverage),
        Just(HeadPool::Flatten),
        number.clone().prop_map(|kernel| HeadPool::Average { kernel }),
    ];
    (pool, proptest::option::of(number.clone()), number).prop_map(|(pool, hidden, classes)| {
        HeadSpec { pool, hidden, dropout: Dropout::None, classes }
    })
}

fn network(
    number: BoxedStrategy<i64>,
    size: BoxedStrategy<i64>,
) -> impl Strategy<Value = NetworkSpec> {
    let layers = proptest::collection::vec(any_layer(number.clone()), 0..6);
    let input = (number.clone(), size.clone(), size).prop_map(|(channels, height, width)| Shape {
        channels,
        height,
        width,
    });
    (input, any::<bool>(), layers, any_head(number)).prop_map(|(input, norm, mut layers, head)| {
        for (index, layer) in layers.iter_mut().enumerate() {
            let name = format!("layer_{index}").into();
            match layer {
                Layer::Conv(conv) => conv.name = name,
                Layer::Inception(block) => block.name = name,
                Layer::NaiveInception(block) => block.name = name,
                Layer::Auxiliary(auxiliary) => auxiliary.name = name,
                Layer::MaxPool(_) | Layer::LocalResponseNorm(_) => {}
            }
        }
        let norm = norm.then_some(BATCH_NORM);
        NetworkSpec { name: "random".into(), input, norm, layers: layers.into(), head }
    })
}

/// Small enough to be built and run.
fn small() -> impl Strategy<Value = NetworkSpec> {
    // A stride or padding that does not fit is refused: most of these networks are whole.
    let numbers = prop_oneof![8 => 1i64..4, 1 => 0i64..6].boxed();
    network(numbers, (5i64..24).boxed())
}

/// Any number at all, the dangerous ones often.
fn wild() -> impl Strategy<Value = NetworkSpec> {
    let numbers = prop_oneof![
        4 => 1i64..8,
        1 => any::<i64>(),
        1 => (0u32..63).prop_map(|bits| 1i64 << bits),
        1 => proptest::sample::select(vec![i64::MIN, -1, 0, i64::MAX, i64::MAX - 1]),
    ]
    .boxed();
    network(numbers.clone(), numbers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn counts_and_shapes_are_those_of_the_tensors(spec in small()) {
        prop_assert_eq!(spec.cost().is_ok(), spec.check().is_ok());
        // Too many networks that cannot be built would fail the test.
        prop_assume!(spec.check().is_ok());
        let cost = spec.cost().unwrap();
        let net = GoogLeNet::new(&spec, Device::Cpu).unwrap();
        prop_assert_eq!(cost.total.parameters, net.parameters());
        let all: i64 = net.variables().variables().values().map(|t| t.numel() as i64).sum();
        prop_assert_eq!(cost.total.parameters + cost.total.buffers, all);
        let weights = net.variables().variables();
        for operation in cost.operations().filter(|operation| operation.cost.parameters > 0) {
            let size = weights[&format!("{}.weight", operation.name)].size();
            prop_assert_eq!(size[0], operation.output.channels);
            let inputs = if size.len() == 4 { size[1] } else { size[1] / (operation.input.height * operation.input.width) };
            prop_assert_eq!(inputs, operation.input.channels);
            let places = operation.output.height * operation.output.width;
            prop_assert_eq!(size.iter().product::<i64>() * places, operation.cost.multiply_adds);
        }

        // The body's output has the shape that was computed: pixels seen by a network that ends
        // where this one's body ends and flattens.
        let Shape { channels, height, width } = spec.input;
        let images = Tensor::randn([2, channels, height, width], (Kind::Float, Device::Cpu));
        let logits = no_grad(|| net.forward_t(&images, false)).unwrap();
        prop_assert_eq!(logits.size(), [2, spec.head.classes]);
        let mut flat = spec.without_auxiliary();
        flat.head = HeadSpec { pool: HeadPool::Flatten, hidden: None, ..spec.head };
        let flat = GoogLeNet::new(&flat, Device::Cpu).unwrap();
        prop_assert!(no_grad(|| flat.forward_t(&images, false)).is_ok());
        // And so have the auxiliary classifiers, which only training calls.
        if spec.norm.is_none() {
            let outputs = no_grad(|| net.outputs(&images)).unwrap();
            prop_assert_eq!(outputs.auxiliary.len(), spec.auxiliaries().count());
        }
    }

    #[test]
    fn totals_are_sums(spec in small()) {
        prop_assume!(spec.check().is_ok());
        let cost = spec.cost().unwrap();
        let sum = |count: fn(&cost::Cost) -> i64| cost.operations().map(|part| count(&part.cost)).sum::<i64>();
        prop_assert_eq!(cost.total.parameters, sum(|cost| cost.parameters));
        prop_assert_eq!(cost.total.buffers, sum(|cost| cost.buffers));
        prop_assert_eq!(cost.total.multiply_adds, sum(|cost| cost.multiply_adds));
        prop_assert_eq!(cost.total.activations, sum(|cost| cost.activations));
        prop_assert_eq!(cost.total.maxima, sum(|cost| cost.maxima));
        // A layer reads what the one before it returns.
        let mut shape = spec.input;
        for layer in &cost.layers {
            prop_assert_eq!(layer.input, shape);
            if !layer.training_only {
                shape = layer.output;
            }
        }
        let batches = [1, 2, 3].map(|batch| cost.training_bytes(batch, 1).unwrap());
        prop_assert_eq!(batches[1] - batches[0], batches[2] - batches[1]);
    }

    #[test]
    fn no_number_makes_it_panic(spec in wild(), batch in any::<i64>(), values in any::<i64>()) {
        match spec.cost() {
            Ok(cost) => {
                // Each is an answer or an error, and none a panic.
                let _ = cost.training_bytes(batch, values);
                let _ = cost.inference_bytes(batch);
                let share = cost.classifier_share().unwrap();
                prop_assert!((0.0..=1.0).contains(&share.parameters));
                prop_assert!((0.0..=1.0).contains(&share.multiply_adds));
                for layer in &cost.layers {
                    prop_assert!(layer.cost.multiply_adds >= 0 && layer.output.elements() >= 1);
                }
                prop_assert!(cost.to_string().contains("random"));
                prop_assert!(cost.html().contains("random"));
            }
            Err(error) => {
                let message = error.to_string();
                prop_assert!(message.contains("it "), "{}", message);
            }
        }
        let _ = cost::naive_comparison(&spec);
    }

    #[test]
    fn the_break_even_is_the_last_that_pays(
        height in 1i64..20, width in 1i64..20, in_channels in 1i64..600,
        out_channels in 1i64..600, kernel in 1i64..12,
    ) {
        let at = |mid_channels| {
            Bottleneck { height, width, in_channels, mid_channels, out_channels, kernel }.cost().unwrap()
        };
        let cost = at(1);
        let pays = |mid| at(mid).reduced.multiply_adds <= cost.direct.multiply_adds;
        prop_assert!(cost.break_even == 0 || pays(cost.break_even));
        prop_assert!(!pays(cost.break_even + 1));
    }

    #[test]
    fn no_bottleneck_panics(numbers in proptest::array::uniform6(any::<i64>()), shift in 0u32..63) {
        let [height, width, in_channels, mid_channels, out_channels, kernel] =
            numbers.map(|number| number >> shift);
        let _ = Bottleneck { height, width, in_channels, mid_channels, out_channels, kernel }.cost();
        let _ = GapVersusFc::new(Shape { channels: in_channels, height, width }, out_channels);
    }
}
