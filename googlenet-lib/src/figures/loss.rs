//! Loss and accuracy over the epochs of a training run.

use charts::palette::{BLUE, ORANGE};
use charts::{Corner, Line, Panel, Picture, panels};
use notebook::number::counted;

use super::turns;
use crate::Result;
use crate::train::{Epoch, History, Precision};

/// Most points of a line: more cannot be seen at this width.
const POINTS: usize = 400;

/// Two plots side by side: the loss of every step and of every test, and the share of images that
/// were classified rightly. The title says which network, data set, recipe and device. Where a knob was
/// turned, the plot of the loss has a dashed line in a colour that its legend names.
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
        Line::thin(BLUE, 0.3, steps),
        Line::new("training", BLUE, smooth),
        Line::new("test", ORANGE, test),
    ];
    lines.extend(turns::lines(&turns::marks(&history.turns, width as usize), per_epoch, highest));
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
        lines: vec![Line::new("training", BLUE, training), Line::new("test", ORANGE, test)],
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
