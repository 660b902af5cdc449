//! Plots with axes: lines, bars, marks, legend.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::flag::{self, Flag};
use crate::palette::{FAINT, GRID, INK, Rgb, tint};
use crate::picture::Draw;
use crate::text::{TITLE, card};
use crate::{Error, Picture, Result, WIDTH};

/// Lines of at most so many points have dots there.
const FEW: usize = 12;

/// Room around a plot and its labels, and to its right, where half a label may stand.
const EDGE: i32 = 10;
const RIGHT: i32 = 18;
/// Room for the labels of the axes.
const X_LABELS: i32 = 42;
const Y_LABELS: i32 = 56;

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// Two pixels wide, with dots where it has few points, and named in the legend.
    Series,
    /// One pixel wide, without a name.
    Thin,
    /// Upright and dashed from the lower end of the plot to above its upper one, where its name stands;
    /// only the x of its first point counts. It is left out where the axis does not reach.
    Mark,
}

/// A line in a plot.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name.
    pub label: String,
    /// Its colour.
    pub color: Rgb,
    /// How much of its colour covers what is behind it, from 0 to 1.
    pub opacity: f64,
    /// How it is drawn.
    pub kind: LineKind,
    /// Its points, (x, y).
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// A line with a name.
    pub fn new(label: impl Into<String>, color: Rgb, points: Vec<(f64, f64)>) -> Line {
        Line { label: label.into(), color, opacity: 1.0, kind: LineKind::Series, points }
    }

    /// A thin line without a name.
    pub fn thin(color: Rgb, opacity: f64, points: Vec<(f64, f64)>) -> Line {
        Line { label: String::new(), color, opacity, kind: LineKind::Thin, points }
    }

    /// An upright line that names a place of the axis to the right.
    pub fn mark(label: impl Into<String>, x: f64) -> Line {
        let points = vec![(x, 0.0)];
        Line { kind: LineKind::Mark, ..Line::new(label, FAINT, points) }
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
    let (title, note) = (title.to_string(), note.to_string());
    Picture::draw((WIDTH, height), Panels { title, note, panels: panels.to_vec() })
}

#[derive(Debug)]
struct Panels {
    title: String,
    note: String,
    panels: Vec<Panel>,
}

impl Draw for Panels {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()> {
        card(area, &self.title, &self.note, scale)?;
        let (_, plots) = area.split_vertically(TITLE * scale);
        let areas = plots.split_evenly((1, self.panels.len()));
        let plots = self.panels.iter().zip(&areas);
        let flags = plots.map(|(panel, area)| panel.flags(area.dim_in_pixel().0));
        let flags = flags.collect::<Result<Vec<_>>>()?;
        // The plots are of one height.
        let rows = flags.iter().map(|flags| flag::rows(flags)).max().unwrap_or(0);
        for ((panel, area), flags) in self.panels.iter().zip(&areas).zip(&flags) {
            panel.draw(area, flags, rows)?;
        }
        area.present().map_err(Error::drawing)
    }
}

impl Panel {
    /// Where the names of its marks stand in an area of this width.
    pub(crate) fn flags(&self, width: u32) -> Result<Vec<Flag>> {
        let (left, right) = (EDGE + Y_LABELS, width as i32 - RIGHT - 1);
        let x = &self.x.1;
        let marks = self.lines.iter().filter(|line| line.kind == LineKind::Mark);
        let marks = marks.filter_map(|line| {
            let &(value, _) = line.points.first()?;
            let part = (value - x.start) / (x.end - x.start);
            let color = tint(line.color, line.opacity);
            let at = left + (part * f64::from(right - left)).round() as i32;
            (0.0..=1.0).contains(&part).then(|| (at, line.label.clone(), color))
        });
        flag::placed(marks.collect(), left..right)
    }

    /// Draws it with its marks' names in `rows` rows above the plot.
    pub(crate) fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        flags: &[Flag],
        rows: u32,
    ) -> Result<()> {
        let (ink, grid) = (RGBColor::from(INK), RGBColor::from(GRID));
        let (x_label, x) = &self.x;
        let (y_label, y) = &self.y;
        let mut chart = ChartBuilder::on(area)
            .margin(EDGE)
            .margin_top(EDGE + flag::height(rows))
            .margin_right(RIGHT)
            .x_label_area_size(X_LABELS)
            .y_label_area_size(Y_LABELS)
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
        let bottom = area.dim_in_pixel().1 as i32 - EDGE - X_LABELS;
        flag::draw(area, flags, EDGE + flag::height(rows)..bottom)?;
        for line in self.lines.iter().filter(|line| line.kind != LineKind::Mark) {
            let color = RGBColor::from(line.color).mix(line.opacity);
            let thin = line.kind == LineKind::Thin;
            let style = color.stroke_width(if thin { 1 } else { 2 });
            let series = LineSeries::new(line.points.iter().copied().map(within), style);
            let drawn = chart.draw_series(series).map_err(Error::drawing)?;
            if thin {
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
