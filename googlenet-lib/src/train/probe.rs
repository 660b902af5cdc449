//! How long a training will take, found by a few steps of it.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Instant;

use vision_data::Dataset;

use super::callback::{Callback, StepReport};
use super::recipe::Recipe;
use super::trainer::{Epochs, Trainer};
use crate::Result;
use crate::model::GoogLeNet;
use crate::spec::NetworkSpec;

/// Steps before the clock runs: memory is taken, on a GPU algorithms are chosen and a graph is recorded.
const WARM_UP: usize = 5;
/// Rounds of steps, of which the fastest counts: what else runs on the machine only slows them down.
const ROUNDS: usize = 3;
/// Steps of a round.
const STEPS: usize = 3;
/// Images of the test.
const TEST: usize = 1024;

/// How long an epoch of a recipe takes for a network, on this device.
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let data = Shapes10::generate(256, 64, 0)?;
/// let probe = Probe::of(&spec::COMPACT, &data, &Recipe::fast(), Device::Cpu)?;
/// let recipe = Recipe::fast().with_epochs(probe.epochs_in(0.5));
/// assert!(recipe.epochs >= 1);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    /// Seconds of an epoch and the test at its end: the mean over the recipe's schedule, whose images may
    /// grow.
    pub seconds_per_epoch: f64,
}

impl Probe {
    /// Trains a network with weights of its own for a few steps in each size of the recipe's images, and
    /// forgets it.
    ///
    /// # Errors
    /// As [`Trainer::new`] and [`Trainer::fit_with`].
    pub fn of(
        network: &NetworkSpec,
        data: &Dataset,
        recipe: &Recipe,
        device: tch::Device,
    ) -> Result<Probe> {
        let mut seconds_per_epoch = 0.0;
        for (size, share) in shares(recipe) {
            let mut alike = recipe.clone();
            alike.sizes.clear();
            let mut run = Trainer::new(GoogLeNet::new(network, device)?, data, alike)?;
            let size = size.or(run.size);
            run.size = size;
            let epoch = seconds_of_an_epoch(&mut run)?;
            let images = data.test.len().min(TEST);
            let began = Instant::now();
            run.evaluate_first(images, size)?;
            let test = began.elapsed().as_secs_f64() * data.test.len() as f64 / images as f64;
            seconds_per_epoch += share * (epoch + test);
        }
        Ok(Probe { seconds_per_epoch })
    }

    /// How many epochs this many minutes afford; at least one.
    pub fn epochs_in(&self, minutes: f64) -> u32 {
        ((60.0 * minutes / self.seconds_per_epoch) as u32).max(1)
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds_per_epoch;
        let digits = usize::from(seconds < 10.0);
        let afforded = self.epochs_in(8.0);
        let epochs = if afforded == 1 { "epoch" } else { "epochs" };
        write!(
            f,
            "an epoch takes {seconds:.digits$} s here: eight minutes afford {afforded} {epochs}"
        )
    }
}

/// Each size of a recipe's images, and its part of the schedule.
fn shares(recipe: &Recipe) -> Vec<(Option<i64>, f64)> {
    let Some(first) = recipe.sizes.first() else { return vec![(None, 1.0)] };
    let ends = recipe.sizes.iter().skip(1).map(|step| step.from).chain([1.0]);
    let own = (first.from > 0.0).then_some((None, first.from));
    let sizes = recipe.sizes.iter().zip(ends);
    own.into_iter()
        .chain(sizes.map(|(step, end)| (Some(step.size), end - step.from)))
        .filter(|(_, share)| *share > 0.0)
        .collect()
}

/// Seconds of training of an epoch.
fn seconds_of_an_epoch(run: &mut Trainer) -> Result<f64> {
    let steps = run.history().steps_per_epoch;
    if steps <= WARM_UP + ROUNDS * STEPS {
        run.run(Epochs(2), &mut After(usize::MAX))?;
        return Ok(run.history().last().map_or(0.0, |epoch| epoch.seconds));
    }
    run.run(Epochs(1), &mut After(WARM_UP))?;
    let mut fastest = f64::INFINITY;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        // It ends with a look at the losses, which waits for the device.
        run.run(Epochs(1), &mut After(STEPS))?;
        fastest = fastest.min(began.elapsed().as_secs_f64());
    }
    Ok(fastest / STEPS as f64 * steps as f64)
}

/// Stops after so many steps.
struct After(usize);

impl Callback for After {
    fn step(&mut self, _: &StepReport) -> ControlFlow<()> {
        self.0 -= 1;
        if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_counts_for_its_part_of_the_schedule() {
        let shares = shares(&Recipe::fast());
        let sizes: Vec<_> = shares.iter().map(|(size, _)| *size).collect();
        assert_eq!(sizes, [Some(16), Some(24), Some(32)]);
        assert!((shares.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(super::shares(&Recipe::steady()), [(None, 1.0)]);
    }
}
