//! The knobs that were turned while a network trained, as marks in a plot.

use charts::Line;
use charts::palette::{Rgb, SERIES};

use crate::train::{Turn, TurnKind};

/// Colours that the lines of the plot leave over: as many marks can be told apart.
const COLORS: &[Rgb] = SERIES.split_at(2).1;
/// Turns within this part of the axis are one mark.
const NEAR: f64 = 0.02;
/// Dashes of a mark from the lower end of the plot to the upper one.
const DASHES: usize = 30;

/// One or more knobs that were turned at about the same step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Mark {
    /// Number of steps before the first of them and before the last.
    steps: (usize, usize),
    /// The last factor of the learning rate.
    factor: Option<f64>,
    /// Seconds in pauses, together.
    paused: Option<f64>,
    stopped: bool,
}

impl Mark {
    fn of(turn: &Turn) -> Mark {
        let mark = Mark { steps: (turn.step, turn.step), ..Mark::default() };
        match turn.kind {
            TurnKind::LearningRate { factor } => Mark { factor: Some(factor), ..mark },
            TurnKind::Paused { seconds } => Mark { paused: Some(seconds), ..mark },
            TurnKind::Stopped => Mark { stopped: true, ..mark },
        }
    }

    /// This one and a later one as one.
    fn and(self, later: Mark) -> Mark {
        let paused = match (self.paused, later.paused) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        Mark {
            steps: (self.steps.0, later.steps.1),
            factor: later.factor.or(self.factor),
            paused,
            stopped: self.stopped || later.stopped,
        }
    }

    /// What was turned, in a few words.
    fn label(&self) -> String {
        let kinds = [
            self.factor.map(|factor| TurnKind::LearningRate { factor }),
            self.paused.map(|seconds| TurnKind::Paused { seconds }),
            self.stopped.then_some(TurnKind::Stopped),
        ];
        let words: Vec<String> = kinds.iter().flatten().map(TurnKind::to_string).collect();
        words.join(", ")
    }
}

/// The marks of these turns in a plot that is so many steps wide: near ones are one, and there are never
/// more than there are colours.
pub(super) fn marks(turns: &[Turn], steps: usize) -> Vec<Mark> {
    let mut near = NEAR * steps as f64;
    loop {
        let mut marks: Vec<Mark> = Vec::new();
        for mark in turns.iter().map(Mark::of) {
            match marks.last_mut() {
                Some(last) if mark.steps.0.saturating_sub(last.steps.0) as f64 <= near => {
                    *last = last.and(mark);
                }
                _ => marks.push(mark),
            }
        }
        if marks.len() <= COLORS.len() {
            return marks;
        }
        near = (2.0 * near).max(1.0);
    }
}

/// The marks as dashed lines from the lower end of a plot to `top`, and the names of their colours for
/// its legend. `per_unit` steps are one unit of the axis.
pub(super) fn lines(marks: &[Mark], per_unit: f64, top: f64) -> Vec<Line> {
    let dash = top / DASHES as f64;
    let mut lines = Vec::new();
    for (mark, &color) in marks.iter().zip(COLORS) {
        // Where the last of its knobs took effect.
        let x = mark.steps.1 as f64 / per_unit;
        lines.extend((0..DASHES).map(|index| {
            let low = index as f64 * dash;
            Line::thin(color, 1.0, vec![(x, low), (x, low + 0.6 * dash)])
        }));
        lines.push(Line::new(mark.label(), color, Vec::new()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor(step: usize, factor: f64) -> Turn {
        Turn { step, kind: TurnKind::LearningRate { factor } }
    }

    fn paused(step: usize, seconds: f64) -> Turn {
        Turn { step, kind: TurnKind::Paused { seconds } }
    }

    fn labels(turns: &[Turn], steps: usize) -> Vec<String> {
        marks(turns, steps).iter().map(Mark::label).collect()
    }

    #[test]
    fn marks_say_what_was_turned() {
        let stopped = Turn { step: 90, kind: TurnKind::Stopped };
        let turns = [factor(10, 0.5), paused(40, 12.2), stopped];
        assert_eq!(labels(&turns, 100), ["lr x0.5", "paused 12 s", "stopped"]);
        assert_eq!(marks(&[], 100), []);
    }

    #[test]
    fn near_turns_are_one_mark_that_says_the_last() {
        let turns = [factor(10, 0.5), factor(11, 0.4), paused(12, 1.0), paused(13, 2.0)];
        assert_eq!(labels(&turns, 200), ["lr x0.4, paused 3.0 s"]);
        // Turned again and again over the whole run.
        let turns: Vec<Turn> = (0..500).map(|step| factor(step, 1.0 + step as f64)).collect();
        let all = labels(&turns, 500);
        assert!((2..=COLORS.len()).contains(&all.len()), "{all:?}");
        assert_eq!(all.last().unwrap(), "lr x500");
    }
}
