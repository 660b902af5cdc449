//! What makes cells short: snapshots, class activation maps, comparisons of runs, all from the prelude.

use googlenet_lib::data::{ImageSet, Normalize};
use googlenet_lib::prelude::*;
use googlenet_lib::spec::HeadPool;

/// A network on drawn shapes after two epochs, without dropout: libtorch's generator is that of all tests.
fn trained(data: &Dataset, recipe: Recipe) -> Trainer {
    after_two_epochs(
        GoogLeNet::new(&spec::COMPACT.without_dropout(), Device::Cpu).unwrap(),
        data,
        recipe,
    )
}

fn after_two_epochs(net: GoogLeNet, data: &Dataset, recipe: Recipe) -> Trainer {
    let mut run = Trainer::new(net, data, recipe.with_epochs(2).with_batch(32)).unwrap();
    run.fit(Epochs(2)).unwrap();
    run
}

/// Two networks with the same weights.
fn twins() -> [GoogLeNet; 2] {
    let twins =
        [(); 2].map(|()| GoogLeNet::new(&spec::COMPACT.without_dropout(), Device::Cpu).unwrap());
    let weights = twins[0].variables().variables();
    no_grad(|| {
        for (name, mut weight) in twins[1].variables().variables() {
            weight.copy_(&weights[&name]);
        }
    });
    twins
}

fn weights(net: &GoogLeNet) -> Vec<(String, Tensor)> {
    let mut weights: Vec<_> = net.variables().variables().into_iter().collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    weights.into_iter().map(|(name, weight)| (name, weight.detach().copy())).collect()
}

#[test]
fn a_snapshot_stays_as_it_was_and_the_run_goes_on_as_it_would_have() {
    fn is_send<T: Send + 'static>(_: &T) {}

    let data = Shapes10::generate(96, 40, 0).unwrap();
    let seen = data.test.image(3).unwrap();
    let [mut run, mut alone] = twins().map(|net| after_two_epochs(net, &data, Recipe::seed()));
    let before = run.classifier().likeliest(&seen, 10).unwrap().classes;
    let snapshot: Snapshot = run.snapshot().unwrap();
    is_send(&snapshot);
    for run in [&mut run, &mut alone] {
        run.fit(Epochs(1)).unwrap();
    }
    assert!(weights(run.net()) == weights(alone.net()));
    assert_ne!(run.classifier().likeliest(&seen, 10).unwrap().classes, before);
    // In a thread of its own, as a widget uses it.
    let again = snapshot.snapshot().unwrap();
    let (image, labelled) = (seen.clone(), data.test.clone());
    let (classes, accuracy) = std::thread::spawn(move || {
        let classes = snapshot.likeliest(&image, 10).unwrap().classes;
        (classes, snapshot.predictions(&labelled).unwrap().accuracy())
    })
    .join()
    .unwrap();
    assert_eq!(classes, before);
    let known = run.history().test_accuracy()[1].1;
    assert!((100.0 * accuracy - known).abs() < 1e-4, "{accuracy}, {known}");
    assert_eq!(again.likeliest(&seen, 10).unwrap().classes, before);
}

#[test]
fn a_snapshot_has_the_kind_of_its_network() {
    let mut net = GoogLeNet::new(&spec::COMPACT, Device::Cpu).unwrap();
    net.set_kind(Kind::Double).unwrap();
    let names: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    let set = Shapes10::generate(4, 0, 0).unwrap().train;
    let expected = weights(&net);
    let copy = Classifier::new(&net, Normalize::CIFAR10, &names).unwrap().snapshot().unwrap();
    assert!(weights(&net) == expected);
    drop(net);
    assert_eq!(copy.predictions(&set).unwrap().probabilities.len(), 4);
    // Or without a copy, by value.
    let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu).unwrap();
    let own = Snapshot::new(net, Normalize::CIFAR10, &names).unwrap();
    assert_eq!(own.predictions(&set).unwrap().probabilities.len(), 4);
}

#[test]
fn the_mean_of_an_activation_map_and_the_bias_are_the_logit() {
    let data = Shapes10::generate(96, 10, 0).unwrap();
    let run = trained(&data, Recipe::seed());
    let image = data.test.image(0).unwrap();
    let likeliest = run.classifier().likeliest(&image, 10).unwrap().classes;
    // As the network computes it, by hand.
    let set = ImageSet::new(image.tensor().unwrap(), Tensor::from_slice(&[0i64])).unwrap();
    let normalize = Normalize::of(&data.train).unwrap();
    let loader = googlenet_lib::data::DataLoader::new(&set, &normalize, Augment::NONE).unwrap();
    let (pixels, _) = loader.eval(0, 1, None).unwrap();
    let logits = no_grad(|| run.net().forward_t(&pixels, false)).unwrap();
    for (place, class) in data.classes.iter().enumerate() {
        let map = run.classifier().activation_map(&image, Some(class)).unwrap();
        let mean =
            map.map.iter().map(|value| f64::from(*value)).sum::<f64>() / map.map.len() as f64;
        assert_eq!(map.map.len(), map.size.0 * map.size.1);
        assert!((mean + map.bias - map.logit).abs() < 1e-4, "{mean}, {map:?}");
        assert!((map.logit - logits.double_value(&[0, place as i64])).abs() < 1e-4);
        let (_, probability) = likeliest.iter().find(|(name, _)| name == class).unwrap();
        assert!((map.probability - probability).abs() < 1e-6);
    }
    let best = run.snapshot().unwrap().activation_map(&image, None).unwrap();
    assert_eq!((&best.class, best.layer.as_str()), (&likeliest[0].0, "inception_4b"));
    let svg = best.picture().unwrap().svg().to_owned();
    assert!(svg.contains("what speaks for") && svg.contains("inception_4b"));
    assert_eq!(best.content()[0].0, "image/svg+xml");
    let error = run.classifier().activation_map(&image, Some("cow")).unwrap_err().to_string();
    assert!(error.contains("'cow'"), "{error}");
}

#[test]
fn other_heads_have_no_activation_map() {
    let image = Shapes10::generate(1, 0, 0).unwrap().train.image(0).unwrap();
    let names: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    let map = |pool: HeadPool, hidden: Option<i64>| {
        let mut spec = spec::COMPACT.clone();
        (spec.head.pool, spec.head.hidden) = (pool, hidden);
        let net = GoogLeNet::new(&spec, Device::Cpu)?;
        Snapshot::new(net, Normalize::CIFAR10, &names)?.activation_map(&image, None)
    };
    let whole = spec::COMPACT.shapes().unwrap().last().unwrap().1.height;
    assert_eq!(map(HeadPool::GlobalAverage, None).unwrap().size, (whole as usize, whole as usize));
    assert!(map(HeadPool::Average { kernel: whole }, None).is_ok());
    for (pool, hidden) in [(HeadPool::Flatten, None), (HeadPool::GlobalAverage, Some(16))] {
        let error = map(pool, hidden).unwrap_err().to_string();
        assert!(error.contains("a mean over all places and one linear layer"), "{error}");
    }
}

#[test]
fn runs_are_compared_by_what_tells_them_apart() {
    let data = Shapes10::generate(96, 50, 0).unwrap();
    let fast = trained(&data, Recipe::fast());
    let seed = trained(&data, Recipe::seed());
    let history = seed.history();
    let names = |comparison: plot::Comparison| -> Vec<String> {
        comparison.runs.into_iter().map(|run| run.name).collect()
    };
    assert_eq!(names(compare([&fast])), ["COMPACT"]);
    assert_eq!(names(compare([&fast, &seed])), ["COMPACT, fast", "COMPACT, seed"]);
    let same = names(compare(vec![history; 2]));
    assert_eq!(same, ["COMPACT, seed, run 1", "COMPACT, seed, run 2"]);
    assert_eq!(names(compare([("a", history), ("b", history)])), ["a", "b"]);

    let both = compare([&fast, &seed]);
    let (p, run) = (seed.history().last().unwrap().test_accuracy, &both.runs[1]);
    let error = 100.0 * (p * (1.0 - p) / 50.0).sqrt();
    assert!((run.standard_error().unwrap() - error).abs() < 1e-9);
    assert_eq!((run.images_seen, run.test_accuracy.len()), (192, 2));
    let text = both.to_string();
    let right = format!("{:.1} +- {:.1}\n", 100.0 * p, 2.0 * error);
    assert!(text.contains(&right) && text.contains("training loss"), "{text}");
    assert!(both.picture().unwrap().svg().contains("COMPACT, fast"));
    // A history does not know how many images there were.
    assert_eq!(compare([history]).runs[0].standard_error(), None);

    let summary = seed.summary().to_string();
    for text in ["COMPACT", "Shapes10", "seed", "192", "one standard error, of 50 images"] {
        assert!(summary.contains(text), "no '{text}' in {summary}");
    }
    assert!(!history.summary().to_string().contains("standard error"));

    let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu).unwrap();
    let new = Trainer::new(net, &data, Recipe::fast().with_batch(32)).unwrap();
    let comparison = compare([("new", &new), ("old", &fast)]);
    assert!(!comparison.picture().unwrap().svg().contains("\nnew\n"));
    let error = compare([&new]).picture().unwrap_err().to_string();
    assert_eq!(error, "runs with a complete epoch is 0: train one of them first");
    let error = compare_seeds([("new", [&new])]).unwrap_err().to_string();
    assert_eq!(error, "complete epochs of a run of 'new' is 0: train it first");
    let error = compare_seeds([("none", [history; 0])]).unwrap_err().to_string();
    assert_eq!(error, "runs of 'none' is 0: give at least one");
}
