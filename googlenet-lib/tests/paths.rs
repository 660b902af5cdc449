//! What cells name, wherever it is at home: a path that moves must stay.

#![expect(unused_imports, reason = "that they resolve is the test")]

use googlenet_lib::cost::{
    Bottleneck, BottleneckCost, Cost, GapVersusFc, InceptionComparison, LayerCost, NaiveComparison,
    NetworkCost, Share, naive_comparison,
};
use googlenet_lib::data::{
    Augment, Batches, Cifar10, Dataset, EpochPlan, Image, ImageFolder, ImageSet, Normalize,
    Shapes10, Split, cifar10_or_shapes10,
};
use googlenet_lib::device::{DEVICE_VARIABLE, best_device, describe, named, try_best_device};
use googlenet_lib::look::{
    Bin, Branch, Calibration, Classifier, Confusion, FeatureMaps, Filters, GradCam, GradientNorms,
    LayerGradient, Likeliest, Mistake, Mistakes, Predictions, filters,
};
use googlenet_lib::model::{GoogLeNet, Outputs, cross_entropy, torchvision};
use googlenet_lib::notebook::{
    DisplayHandle, Html, Listener, Place, Progress, Show, Table, display, interrupted,
};
use googlenet_lib::plot::{
    BarGroup, Picture, bar_chart, cost_bars, gap_versus_fc, image_grid, inception_block,
    line_chart, loss_curve, network_diagram, pointwise_convolution,
};
use googlenet_lib::spec::{
    ALL, AuxiliarySpec, BATCH_NORM, BatchNormSpec, BranchSpec, CIFAR, COMPACT, ConvSpec, Dropout,
    HeadPool, HeadSpec, INCEPTION_3A, INCEPTION_5B, InceptionSpec, LOCAL_RESPONSE_NORM, Layer,
    LocalResponseNormSpec, NaiveInceptionSpec, NetworkSpec, PAPER, PoolSpec, SEED, Shape,
    TORCHVISION, VGG_16, by_name, seed,
};
use googlenet_lib::tch::Tensor;
use googlenet_lib::train::{
    Control, Epoch, Epochs, Evaluation, Fit, History, Live, Observer, OptimizerSpec, Precision,
    Recipe, Schedule, SizeStep, Step, StepReport, Trainer, Turn, TurnKind, has_checkpoint,
};

/// Some have other names since 2026-11-26; those above are in cells that were written before.
mod renamed {
    use googlenet_lib::data::DataLoader;
    use googlenet_lib::look::{ConfusionMatrix, TopK};
    use googlenet_lib::train::Callback;
}

/// The prelude is what a cell needs in one `use`.
mod in_a_cell {
    use googlenet_lib::prelude::*;

    #[test]
    fn the_prelude_is_enough() -> Result<()> {
        let data = Shapes10::generate(20, 10, 0)?;
        let picture = data.sample_grid(Split::Train, 1, 10)?;
        let _: [&dyn Show; 2] = [&picture, &plot::network_diagram(&spec::COMPACT)?];
        let _ = (look::filters, cost::naive_comparison, Kind::Float);
        Ok(())
    }
}
