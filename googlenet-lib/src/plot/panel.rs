//! One plot: axes, lines, legend.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::plot_error;
use super::text::INK;
use crate::Result;

pub(super) const TRAIN: RGBColor = RGBColor(31, 119, 180);
pub(super) const TEST: RGBColor = RGBColor(214, 95, 14);
pub(super) const GRID: RGBColor = RGBColor(225, 225, 225);

/// Lines of at most so many points have them marked.
const FEW: usize = 12;

/// A line in a plot.
pub(super) struct Line {
    pub(super) label: String,
    pub(super) color: RGBColor,
    pub(super) points: Vec<(f64, f64)>,
}

/// A plot with its axes.
pub(super) struct Panel {
    pub(super) x: Range<f64>,
    pub(super) x_label: String,
    pub(super) y: Range<f64>,
    pub(super) y_label: String,
    /// Where the lines are named within the plot.
    pub(super) legend: Option<SeriesLabelPosition>,
    /// Drawn thin and pale, behind the lines.
    pub(super) background: Vec<(f64, f64)>,
    pub(super) lines: Vec<Line>,
}

impl Panel {
    pub(super) fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_right(18)
            .x_label_area_size(42)
            .y_label_area_size(56)
            .build_cartesian_2d(self.x.clone(), self.y.clone())
            .map_err(plot_error)?;
        chart
            .configure_mesh()
            .x_desc(self.x_label.as_str())
            .y_desc(self.y_label.as_str())
            .axis_desc_style(("sans-serif", 14, &INK))
            .label_style(("sans-serif", 13, &INK))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .x_labels(8)
            .y_labels(6)
            .x_label_formatter(&|x| short(*x, &self.x))
            .y_label_formatter(&|y| short(*y, &self.y))
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
                .label(line.label.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            // A single point makes no line, and a few are more than their line.
            if line.points.len() <= FEW {
                let dots =
                    line.points.iter().map(|&at| Circle::new(within(at), 4, line.color.filled()));
                chart.draw_series(dots).map_err(plot_error)?;
            }
        }
        let Some(position) = &self.legend else { return Ok(()) };
        chart
            .configure_series_labels()
            .position(position.clone())
            .background_style(WHITE.mix(0.85))
            .border_style(GRID)
            .label_font(("sans-serif", 13, &INK))
            .draw()
            .map_err(plot_error)
    }
}

/// A number with the decimals that tell the marks of an axis apart.
fn short(value: f64, axis: &Range<f64>) -> String {
    let decimals = (2.0 - (axis.end - axis.start).log10()).ceil().clamp(2.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
