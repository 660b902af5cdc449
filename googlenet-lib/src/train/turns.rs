//! What was turned while a network trained: taken from the [`Control`], kept in the history, and done
//! again from there.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::callback::Callback;
use super::control::{Control, check_factor};
use super::history::History;
use super::trainer::{Running, Trainer};
use crate::Result;

/// A knob of a [`Control`] that was turned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Number of steps of the whole run that were done before it took effect.
    pub step: usize,
    /// Which knob, and to what.
    pub kind: TurnKind,
}

/// Which knob was turned, and to what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TurnKind {
    /// From here on the learning rate is that of the schedule times `factor`.
    LearningRate {
        /// Finite and over 0.
        factor: f64,
    },
    /// The training was paused.
    Paused {
        /// How long, in seconds. They count in no rate and no time of training.
        seconds: f64,
    },
    /// The fit was stopped.
    Stopped,
}

/// In a few words: `lr x0.5`, `paused 12 s`, `stopped`.
impl std::fmt::Display for TurnKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            TurnKind::LearningRate { factor } => write!(f, "lr x{}", three_digits(factor)),
            TurnKind::Paused { seconds } => write!(f, "paused {}", duration(seconds)),
            TurnKind::Stopped => f.write_str("stopped"),
        }
    }
}

/// With its place in the run: `lr x0.5 after step 40`.
impl std::fmt::Display for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} after step {}", self.kind, self.step)
    }
}

/// The factors that are still to be set, in their order.
#[derive(Debug, Default)]
pub(super) struct Script(VecDeque<(usize, f64)>);

/// What was asked for before a step.
pub(super) struct Heeded {
    /// Whether the step is to be taken.
    pub(super) flow: ControlFlow<()>,
    /// Time in a pause.
    pub(super) waited: Duration,
}

impl History {
    /// What the learning rate of the schedule was multiplied by last; 1 if no factor was set.
    pub fn learning_rate_factor(&self) -> f64 {
        let factor = |turn: &Turn| match turn.kind {
            TurnKind::LearningRate { factor } => Some(factor),
            _ => None,
        };
        self.turns.iter().rev().find_map(factor).unwrap_or(1.0)
    }
}

impl Trainer {
    /// The knobs of this run: learning rate, pause and stop, also while it trains.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Turns the learning rate as it was turned in another run, at the same steps: with the same
    /// network, data and recipe, every step is then that of the other run. Pauses and stops are left
    /// out. Turns before the steps that are done already are past. What was to be followed before is
    /// forgotten; a checkpoint does not keep it.
    ///
    /// ```
    /// # use googlenet_lib::prelude::*;
    /// # let data = Shapes10::generate(64, 32, 0)?;
    /// # let recipe = Recipe::fast().with_epochs(1).with_batch(32);
    /// # let net = || { manual_seed(1); GoogLeNet::new(&spec::COMPACT, Device::Cpu) };
    /// let mut first = Trainer::new(net()?, &data, recipe.clone())?;
    /// first.control().set_learning_rate_factor(0.5)?;
    /// first.fit(Epochs(1))?;
    ///
    /// let mut again = Trainer::new(net()?, &data, recipe)?;
    /// again.follow(&first.history().turns)?;
    /// again.fit(Epochs(1))?;
    /// assert_eq!(again.history().steps, first.history().steps);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// A factor that is not finite or not over 0. Nothing is changed then.
    pub fn follow(&mut self, turns: &[Turn]) -> Result<()> {
        let done = self.history.epochs.len() * self.history.steps_per_epoch
            + self.running.as_ref().map_or(0, |running| running.next);
        let mut factors = Vec::new();
        for turn in turns {
            if let TurnKind::LearningRate { factor } = turn.kind {
                check_factor(factor)?;
                factors.push((turn.step, factor));
            }
        }
        factors.retain(|&(step, _)| step >= done);
        factors.sort_by_key(|&(step, _)| step);
        self.script = Script(factors.into());
        Ok(())
    }

    /// Takes over what was turned since the last step. In a pause it waits here.
    ///
    /// # Errors
    /// As [`Trainer::look`].
    pub(super) fn heed(
        &mut self,
        running: &Running,
        callback: &mut dyn Callback,
    ) -> Result<Heeded> {
        let step = self.history.epochs.len() * running.steps() + running.next;
        let mut waited = Duration::ZERO;
        let mut flow = ControlFlow::Continue(());
        if self.control.is_paused() {
            // What a GPU has still to do is no part of the pause, and the plot shows all that there is.
            self.look(running)?;
            callback.look(&self.history);
            let began = Instant::now();
            flow = self.control.wait(|| callback.paused());
            waited = began.elapsed();
            let seconds = waited.as_secs_f64();
            self.history.turns.push(Turn { step, kind: TurnKind::Paused { seconds } });
        }
        if self.control.is_stopped() {
            self.history.turns.push(Turn { step, kind: TurnKind::Stopped });
            flow = ControlFlow::Break(());
        }
        if flow.is_continue() {
            while let Some((_, factor)) = self.script.0.pop_front_if(|next| next.0 <= step) {
                self.control.set_learning_rate_factor(factor)?;
            }
            let factor = self.control.learning_rate_factor();
            if factor != self.learning_rate_factor {
                self.learning_rate_factor = factor;
                self.history.turns.push(Turn { step, kind: TurnKind::LearningRate { factor } });
            }
        }
        Ok(Heeded { flow, waited })
    }
}

/// A number over 0 with up to three digits that count.
fn three_digits(value: f64) -> String {
    let decimals = (2.0 - value.log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        ..9.95 => format!("{seconds:.1} s"),
        ..99.5 => format!("{seconds:.0} s"),
        ..5970.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_told_in_a_few_words() {
        let turn = Turn { step: 40, kind: TurnKind::LearningRate { factor: 0.5 } };
        assert_eq!(turn.to_string(), "lr x0.5 after step 40");
        assert_eq!(TurnKind::Stopped.to_string(), "stopped");
        for (value, expected) in
            [(10.0, "10"), (0.1, "0.1"), (1.0, "1"), (0.123_456, "0.123"), (1250.0, "1250")]
        {
            assert_eq!(three_digits(value), expected);
        }
        for (seconds, expected) in
            [(0.31, "0.3 s"), (59.6, "60 s"), (150.0, "2 min"), (7200.0, "2.0 h")]
        {
            assert_eq!(duration(seconds), expected);
        }
    }
}
