//! The knobs that were turned while a network trained, as marks in a plot.

use charts::Line;

use crate::train::{Turn, TurnKind};

/// More marks than this would take the room of the plot for their names.
const MOST: usize = 6;
/// Turns within this part of the axis are one mark.
const NEAR: f64 = 0.02;

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
/// more than six.
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
        if marks.len() <= MOST {
            return marks;
        }
        near = (2.0 * near).max(1.0);
    }
}

/// The marks as lines of a plot. `per_unit` steps are one unit of its axis.
pub(super) fn lines(marks: &[Mark], per_unit: f64) -> Vec<Line> {
    // Where the last of its knobs took effect.
    marks.iter().map(|mark| Line::mark(mark.label(), mark.steps.1 as f64 / per_unit)).collect()
}

#[cfg(test)]
mod tests {
    use charts::LineKind;

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
        assert!((2..=MOST).contains(&all.len()), "{all:?}");
        assert_eq!(all.last().unwrap(), "lr x500");
    }

    #[test]
    fn a_mark_stands_where_its_last_knob_took_effect() {
        let lines = lines(&marks(&[factor(10, 0.5), factor(11, 0.4)], 200), 10.0);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((line.kind, line.label.as_str()), (LineKind::Mark, "lr x0.4"));
        assert_eq!(line.points[0].0, 1.1);
    }
}
