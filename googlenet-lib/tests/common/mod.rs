//! What several tests train.

use std::ops::ControlFlow;

use googlenet_lib::prelude::*;
use googlenet_lib::spec::{AuxiliarySpec, Dropout, InceptionSpec};

/// A network small enough to be trained in a test, with all that has a state: batch normalisation, dropout,
/// an auxiliary classifier.
pub(crate) fn small() -> NetworkSpec {
    let mut spec = spec::COMPACT.clone();
    spec.name = "small".into();
    spec.layers.to_mut().truncate(3);
    let row = [8, 8, 16, 4, 8, 8];
    spec.layers.to_mut().push(Layer::Inception(InceptionSpec::row("inception_3a", row)));
    let auxiliary = AuxiliarySpec { hidden: 16, conv: 8, ..AuxiliarySpec::paper("aux_3a") };
    spec.layers.to_mut().push(Layer::Auxiliary(auxiliary));
    spec.head.dropout = Dropout::Elements(0.4);
    spec
}

/// Stops a training after so many steps.
pub(crate) struct StopAfter(pub(crate) usize);

impl Callback for StopAfter {
    fn step(&mut self, _report: &StepReport) -> ControlFlow<()> {
        self.0 -= 1;
        if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
