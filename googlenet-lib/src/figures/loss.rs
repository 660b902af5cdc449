//! Loss and accuracy over the epochs of a training run.

use charts::palette::{TEST, TRAINING};
use charts::{Corner, Line, Panel, Picture, panels};
use notebook::number::counted;

use super::turns;
use crate::Result;
use crate::train::{Epoch, History, Precision};

/// Most points of a line: more cannot be seen at this width.
const POINTS: usize = 400;

/// Two plots side by side: the loss of every step and of every test, and the share of images that
/// were classified rightly. The title says which network, data set, recipe and device. Where a knob was
/// turned, the plot of the loss has a dashed line with its name above.
///
/// # Errors
/// A picture that cannot be drawn.
pub fn loss_curve(history: &History) -> Result<Picture> {
    let title = format!("{} on {}", history.network, history.dataset);
    let result = history.last().map_or(String::new(), |epoch| {
        format!(
            "{:.2} % of the test images right after {} and {:.0} s of training; ",
            100.0 * epoch.test_accuracy,
            counted(epoch.epoch, "epoch"),
            history.seconds(),
        )
    });
    let precision = match history.recipe.precision {
        Precision::BFloat16 => " in bfloat16",
        _ => "",
    };
    let note = format!(
        "{result}{} parameters, recipe {}{precision}, {}",
        history.parameters, history.recipe.name, history.device,
    );
    Ok(panels(&title, &note, 400, &[loss(history), accuracy(history)])?)
}

fn loss(history: &History) -> Panel {
    let per_epoch = history.steps_per_epoch.max(1) as f64;
    let losses: Vec<(f64, f64)> = history
        .steps
        .iter()
        .enumerate()
        .map(|(step, record)| ((step + 1) as f64 / per_epoch, f64::from(record.loss)))
        .collect();
    let test = history.epochs.iter().map(|e| (f64::from(e.epoch), e.test_loss)).collect();
    let smooth = window_means(&losses, losses.len().div_ceil(POINTS / 8).max(1));
    // Single steps and the first tests may lie far above the rest: the axis ends a little above
    // the smooth line, and they with it.
    let highest = 1.25 * smooth.iter().map(|point| point.1).fold(0.0, f64::max);
    let highest = if highest > 0.0 { highest } else { 1.0 };
    let steps = window_means(&losses, losses.len().div_ceil(POINTS).max(1));
    let width = x_max(history) * per_epoch;
    let mut lines = vec![
        Line::thin(TRAINING, 0.3, steps),
        Line::new("training", TRAINING, smooth),
        Line::new("test", TEST, test),
    ];
    lines.extend(turns::lines(&turns::marks(&history.turns, width as usize), per_epoch));
    Panel {
        x: ("epoch".into(), 0.0..x_max(history)),
        y: ("loss".into(), 0.0..highest),
        legend: Some(Corner::UpperRight),
        bars: Vec::new(),
        lines,
    }
}

fn accuracy(history: &History) -> Panel {
    let points = |share: fn(&Epoch) -> f64| -> Vec<(f64, f64)> {
        history.epochs.iter().map(|e| (f64::from(e.epoch), 100.0 * share(e))).collect()
    };
    let (training, test) = (points(|e| e.train_accuracy), points(|e| e.test_accuracy));
    // Where the lines rise, the lower right corner is free, unless they have not risen yet.
    let in_corner = |&(x, y): &(f64, f64)| x > 0.7 * x_max(history) && y < 25.0;
    let legend = match training.iter().chain(&test).any(in_corner) {
        true => Corner::UpperLeft,
        false => Corner::LowerRight,
    };
    Panel {
        x: ("epoch".into(), 0.0..x_max(history)),
        y: ("images right, %".into(), 0.0..100.0),
        legend: Some(legend),
        bars: Vec::new(),
        lines: vec![Line::new("training", TRAINING, training), Line::new("test", TEST, test)],
    }
}

/// The end of the epoch that is running, so that the axis does not move at every step.
fn x_max(history: &History) -> f64 {
    history.steps.len().div_ceil(history.steps_per_epoch.max(1)).max(1) as f64
}

/// The mean of every `window` points in a row, at the place of their last.
fn window_means(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    points
        .chunks(window)
        .filter_map(|chunk| {
            let &(x, _) = chunk.last()?;
            Some((x, chunk.iter().map(|point| point.1).sum::<f64>() / chunk.len() as f64))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Recipe, Step, Turn, TurnKind};

    /// Four epochs of 50 steps.
    fn history(turns: Vec<Turn>) -> History {
        let falls = |step: usize| 0.4 + 2.0 * (-(step as f64) / 60.0).exp();
        let step = |step| Step { loss: falls(step) as f32, learning_rate: 0.1 };
        let epoch = |epoch: u32| Epoch {
            epoch,
            train_loss: falls(50 * epoch as usize),
            train_accuracy: 0.3 + 0.15 * f64::from(epoch),
            test_loss: falls(50 * epoch as usize) + 0.1,
            test_accuracy: 0.25 + 0.15 * f64::from(epoch),
            seconds: 10.0,
            images_per_second: 640.0,
        };
        History {
            network: "GoogLeNet".into(),
            parameters: 1000,
            dataset: "Shapes10".into(),
            device: "a CPU".into(),
            recipe: Recipe::steady(),
            steps_per_epoch: 50,
            steps: (0..200).map(step).collect(),
            epochs: (1..=4).map(epoch).collect(),
            turns,
        }
    }

    #[test]
    fn turned_knobs_stand_above_the_loss_and_can_be_read() {
        let turn = |step, kind| Turn { step, kind };
        let turns = vec![
            turn(60, TurnKind::LearningRate { factor: 0.5 }),
            turn(70, TurnKind::Paused { seconds: 12.0 }),
            turn(120, TurnKind::LearningRate { factor: 0.1 }),
            turn(200, TurnKind::Stopped),
        ];
        let picture = loss_curve(&history(turns)).unwrap();
        for words in ["lr x0.5", "paused 12 s", "lr x0.1", "stopped"] {
            assert_eq!(picture.svg().matches(words).count(), 1, "'{words}'");
        }
        let sizes = picture.svg().split("font-size=\"").skip(1);
        for size in sizes.map(|rest| rest.split('"').next().unwrap()) {
            assert!(size.parse::<f64>().unwrap() >= 11.0, "letters of {size} px");
        }
        let plain = loss_curve(&history(Vec::new())).unwrap();
        assert!(plain.svg().len() < picture.svg().len());
    }
}
