//! Loss and accuracy over the epochs of a training run.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::panel::{Line, Panel, TEST, TRAIN};
use super::text::{TITLE, card};
use super::{Draw, Picture, WIDTH, plot_error};
use crate::train::{History, Precision};
use crate::{Result, counted};

const SIZE: (u32, u32) = (WIDTH, 400);
/// Most points of a line: more cannot be seen at this width.
const POINTS: usize = 400;

/// Two plots side by side: the loss of every step and of every test, and the share of images that
/// were classified rightly. The title says which network, data set, recipe and device.
///
/// # Errors
/// A picture that cannot be drawn.
pub fn loss_curve(history: &History) -> Result<Picture> {
    Picture::draw(SIZE, &LossCurve { history })
}

struct LossCurve<'a> {
    history: &'a History,
}

impl Draw for LossCurve<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        self.card(area)?;
        let (_, plots) = area.split_vertically(TITLE);
        let (left, right) = plots.split_horizontally(SIZE.0 / 2);
        self.loss_panel().draw(&left)?;
        self.accuracy_panel().draw(&right)?;
        area.present().map_err(plot_error)
    }
}

impl LossCurve<'_> {
    fn card<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let history = self.history;
        let first = format!("{} on {}", history.network, history.dataset);
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
        let second = format!(
            "{result}{} parameters, recipe {}{precision}, {}",
            history.parameters, history.recipe.name, history.device,
        );
        card(area, &first, &second)
    }

    fn loss_panel(&self) -> Panel {
        let history = self.history;
        let per_epoch = history.steps_per_epoch.max(1) as f64;
        let losses: Vec<(f64, f64)> = history
            .steps
            .iter()
            .enumerate()
            .map(|(step, record)| ((step + 1) as f64 / per_epoch, f64::from(record.loss)))
            .collect();
        let test: Vec<_> =
            history.epochs.iter().map(|e| (f64::from(e.epoch), e.test_loss)).collect();
        let smooth = window_means(&losses, losses.len().div_ceil(POINTS / 8).max(1));
        // Single steps and the first tests may lie far above the rest: the axis ends a little above
        // the smooth line, and they with it.
        let highest = 1.25 * smooth.iter().map(|point| point.1).fold(0.0, f64::max);
        let highest = if highest > 0.0 { highest } else { 1.0 };
        Panel {
            x: 0.0..self.x_max(),
            x_label: "epoch".into(),
            y: 0.0..highest,
            y_label: "loss".into(),
            legend: Some(SeriesLabelPosition::UpperRight),
            background: window_means(&losses, losses.len().div_ceil(POINTS).max(1)),
            lines: vec![
                Line { label: "training".into(), color: TRAIN, points: smooth },
                Line { label: "test".into(), color: TEST, points: test },
            ],
        }
    }

    fn accuracy_panel(&self) -> Panel {
        let points = |share: fn(&crate::train::Epoch) -> f64| -> Vec<(f64, f64)> {
            self.history.epochs.iter().map(|e| (f64::from(e.epoch), 100.0 * share(e))).collect()
        };
        let (training, test) = (points(|e| e.train_accuracy), points(|e| e.test_accuracy));
        // Where the lines rise, the lower right corner is free, unless they have not risen yet.
        let in_corner = |&(x, y): &(f64, f64)| x > 0.7 * self.x_max() && y < 25.0;
        let legend = match training.iter().chain(&test).any(in_corner) {
            true => SeriesLabelPosition::UpperLeft,
            false => SeriesLabelPosition::LowerRight,
        };
        Panel {
            x: 0.0..self.x_max(),
            x_label: "epoch".into(),
            y: 0.0..100.0,
            y_label: "images right, %".into(),
            legend: Some(legend),
            background: Vec::new(),
            lines: vec![
                Line { label: "training".into(), color: TRAIN, points: training },
                Line { label: "test".into(), color: TEST, points: test },
            ],
        }
    }

    /// The end of the epoch that is running, so that the axis does not move at every step.
    fn x_max(&self) -> f64 {
        let per_epoch = self.history.steps_per_epoch.max(1);
        self.history.steps.len().div_ceil(per_epoch).max(1) as f64
    }
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
