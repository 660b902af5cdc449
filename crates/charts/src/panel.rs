//! Plots with axes: lines, bars, legend.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::palette::{GRID, INK, Rgb};
use crate::picture::Draw;
use crate::text::{TITLE, card};
use crate::{Error, Picture, Result, WIDTH};

/// Lines of at most so many points have them marked.
const FEW: usize = 12;

/// A line in a plot.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name in the legend.
    pub label: String,
    /// Its colour.
    pub color: Rgb,
    /// How much of its colour covers what is behind it, from 0 to 1.
    pub opacity: f64,
    /// Whether it is thin, without marks at its points, and not in the legend.
    pub thin: bool,
    /// Its points, (x, y).
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// A line with a name.
    pub fn new(label: impl Into<String>, color: Rgb, points: Vec<(f64, f64)>) -> Line {
        Line { label: label.into(), color, opacity: 1.0, thin: false, points }
    }

    /// A thin line without a name.
    pub fn thin(color: Rgb, opacity: f64, points: Vec<(f64, f64)>) -> Line {
        Line { label: String::new(), color, opacity, thin: true, points }
    }
}

/// A bar, or a part of one, with a white edge by which it can be told from its neighbours.
#[derive(Debug, Clone)]
pub struct Bar {
    /// From left to right.
    pub x: Range<f64>,
    /// From bottom to top.
    pub y: Range<f64>,
    /// Its colour.
    pub color: Rgb,
    /// How much of its colour covers what is behind it, from 0 to 1.
    pub opacity: f64,
}

/// Where in a plot its lines are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corner {
    /// On the left, above.
    UpperLeft,
    /// On the right, above.
    UpperRight,
    /// On the right, below.
    LowerRight,
}

/// A plot with its axes. What is above its upper end is drawn there.
#[derive(Debug, Clone)]
pub struct Panel {
    /// The name of the axis to the right, and from where to where it goes.
    pub x: (String, Range<f64>),
    /// The same of the axis upwards.
    pub y: (String, Range<f64>),
    /// Where the lines are named, if they are.
    pub legend: Option<Corner>,
    /// Bars, from back to front.
    pub bars: Vec<Bar>,
    /// Lines over them, from back to front.
    pub lines: Vec<Line>,
}

/// Plots side by side under two title lines, in a picture of this height.
///
/// # Errors
/// No plot; a picture that cannot be drawn.
pub fn panels(title: &str, note: &str, height: u32, panels: &[Panel]) -> Result<Picture> {
    if panels.is_empty() {
        return Err(Error::invalid("number of plots", 0, "give at least one"));
    }
    Picture::draw((WIDTH, height), &Panels { title, note, panels })
}

struct Panels<'a> {
    title: &'a str,
    note: &'a str,
    panels: &'a [Panel],
}

impl Draw for Panels<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()> {
        card(area, self.title, self.note, scale)?;
        let (_, plots) = area.split_vertically(TITLE * scale);
        for (panel, area) in self.panels.iter().zip(plots.split_evenly((1, self.panels.len()))) {
            panel.draw(&area)?;
        }
        area.present().map_err(Error::drawing)
    }
}

impl Panel {
    pub(crate) fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let (ink, grid) = (RGBColor::from(INK), RGBColor::from(GRID));
        let (x_label, x) = &self.x;
        let (y_label, y) = &self.y;
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_right(18)
            .x_label_area_size(42)
            .y_label_area_size(56)
            .build_cartesian_2d(x.clone(), y.clone())
            .map_err(Error::drawing)?;
        chart
            .configure_mesh()
            .x_desc(x_label.as_str())
            .y_desc(y_label.as_str())
            .axis_desc_style(("sans-serif", 14, &ink))
            .label_style(("sans-serif", 13, &ink))
            .axis_style(ink)
            .bold_line_style(grid)
            .light_line_style(TRANSPARENT)
            .x_labels(8)
            .y_labels(6)
            .x_label_formatter(&|value| short(*value, x))
            .y_label_formatter(&|value| short(*value, y))
            .draw()
            .map_err(Error::drawing)?;
        let corners = |bar: &Bar| [(bar.x.start, bar.y.start), (bar.x.end, bar.y.end)];
        let bars = self.bars.iter().map(|bar| {
            let fill = RGBColor::from(bar.color).mix(bar.opacity).filled();
            Rectangle::new(corners(bar), fill)
        });
        chart.draw_series(bars).map_err(Error::drawing)?;
        let edges = self.bars.iter().map(|bar| Rectangle::new(corners(bar), WHITE.stroke_width(1)));
        chart.draw_series(edges).map_err(Error::drawing)?;
        let within = |(x, value): (f64, f64)| (x, value.min(y.end));
        for line in &self.lines {
            let color = RGBColor::from(line.color).mix(line.opacity);
            let style = color.stroke_width(if line.thin { 1 } else { 2 });
            let series = LineSeries::new(line.points.iter().copied().map(within), style);
            let drawn = chart.draw_series(series).map_err(Error::drawing)?;
            if line.thin {
                continue;
            }
            drawn
                .label(line.label.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            // A single point makes no line, and a few are more than their line.
            if line.points.len() <= FEW {
                let dots = line.points.iter().map(|&at| Circle::new(within(at), 4, color.filled()));
                chart.draw_series(dots).map_err(Error::drawing)?;
            }
        }
        let position = match self.legend {
            Some(Corner::UpperLeft) => SeriesLabelPosition::UpperLeft,
            Some(Corner::UpperRight) => SeriesLabelPosition::UpperRight,
            Some(Corner::LowerRight) => SeriesLabelPosition::LowerRight,
            None => return Ok(()),
        };
        chart
            .configure_series_labels()
            .position(position)
            .background_style(WHITE.mix(0.85))
            .border_style(grid)
            .label_font(("sans-serif", 13, &ink))
            .draw()
            .map_err(Error::drawing)
    }
}

/// A number with the decimals that tell the marks of an axis apart.
fn short(value: f64, axis: &Range<f64>) -> String {
    let decimals = (2.0 - (axis.end - axis.start).log10()).ceil().clamp(2.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
