//! Loss and accuracy over the epochs of a training run.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::text::{INK, TITLE, card};
use super::{Draw, Picture, WIDTH, plot_error};
use crate::Result;
use crate::train::History;

const SIZE: (u32, u32) = (WIDTH, 400);
/// Most points of a line: more cannot be seen at this width.
const POINTS: usize = 400;

pub(super) const TRAIN: RGBColor = RGBColor(31, 119, 180);
pub(super) const TEST: RGBColor = RGBColor(214, 95, 14);
pub(super) const GRID: RGBColor = RGBColor(225, 225, 225);

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

/// A line in one of the two plots.
struct Line {
    label: &'static str,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

/// One of the two plots.
struct Panel {
    x_max: f64,
    y: std::ops::Range<f64>,
    y_label: &'static str,
    legend: SeriesLabelPosition,
    /// Drawn thin and pale, behind the lines.
    background: Vec<(f64, f64)>,
    lines: Vec<Line>,
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
                "{:.2} % of the test images right after {} epochs and {:.0} s of training; ",
                100.0 * epoch.test_accuracy,
                epoch.epoch,
                history.seconds(),
            )
        });
        let second = format!(
            "{result}{} parameters, recipe {}, {}",
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
            x_max: self.x_max(),
            y: 0.0..highest,
            y_label: "loss",
            legend: SeriesLabelPosition::UpperRight,
            background: window_means(&losses, losses.len().div_ceil(POINTS).max(1)),
            lines: vec![
                Line { label: "training", color: TRAIN, points: smooth },
                Line { label: "test", color: TEST, points: test },
            ],
        }
    }

    fn accuracy_panel(&self) -> Panel {
        let points = |share: fn(&crate::train::Epoch) -> f64| {
            self.history.epochs.iter().map(|e| (f64::from(e.epoch), 100.0 * share(e))).collect()
        };
        Panel {
            x_max: self.x_max(),
            y: 0.0..100.0,
            y_label: "images right, %",
            legend: SeriesLabelPosition::LowerRight,
            background: Vec::new(),
            lines: vec![
                Line { label: "training", color: TRAIN, points: points(|e| e.train_accuracy) },
                Line { label: "test", color: TEST, points: points(|e| e.test_accuracy) },
            ],
        }
    }

    /// The end of the epoch that is running, so that the axis does not move at every step.
    fn x_max(&self) -> f64 {
        let per_epoch = self.history.steps_per_epoch.max(1);
        self.history.steps.len().div_ceil(per_epoch).max(1) as f64
    }
}

impl Panel {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_right(18)
            .x_label_area_size(42)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..self.x_max, self.y.clone())
            .map_err(plot_error)?;
        chart
            .configure_mesh()
            .x_desc("epoch")
            .y_desc(self.y_label)
            .axis_desc_style(("sans-serif", 14, &INK))
            .label_style(("sans-serif", 13, &INK))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .x_labels(8)
            .y_labels(6)
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .draw()
            .map_err(plot_error)?;
        let within = |(x, y): (f64, f64)| (x, y.min(self.y.end));
        chart
            .draw_series(LineSeries::new(
                self.background.iter().copied().map(within),
                TRAIN.mix(0.3),
            ))
            .map_err(plot_error)?;
        for line in &self.lines {
            let style = line.color.stroke_width(2);
            chart
                .draw_series(LineSeries::new(line.points.iter().copied().map(within), style))
                .map_err(plot_error)?
                .label(line.label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            // A single point makes no line.
            if line.points.len() == 1 {
                let dots =
                    line.points.iter().map(|&at| Circle::new(within(at), 4, line.color.filled()));
                chart.draw_series(dots).map_err(plot_error)?;
            }
        }
        chart
            .configure_series_labels()
            .position(self.legend.clone())
            .background_style(WHITE.mix(0.85))
            .border_style(GRID)
            .label_font(("sans-serif", 13, &INK))
            .draw()
            .map_err(plot_error)
    }
}

/// A number with as many decimals as it needs, two at the most.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
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
