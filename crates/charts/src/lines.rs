//! Lines of one's own, to compare runs or designs.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::flag;
use crate::palette::{SERIES, colors};
use crate::panel::{Line, Panel};
use crate::picture::Draw;
use crate::text::{Across, Down, SMALLEST, Style, TITLE, card, text, width};
use crate::{Error, MARGIN, Picture, Result, WIDTH};

const SIZE: (u32, u32) = (WIDTH, 400);
/// Height of a row of names of the lines, from where to where it goes, and a dash before a name.
const LEGEND: u32 = 24;
const LEFT: i32 = 66;
const RIGHT: i32 = (WIDTH - MARGIN) as i32;
const DASH: i32 = 28;
/// More would leave no room for the plot, if each needed a row of its own.
const MOST_MARKS: usize = 8;

/// Up to six lines, each a name and its points (x, y), with a title, a note under it, and the names
/// of the two axes. The axes reach as far as the points do: y need not begin at 0.
///
/// ```
/// let plain = vec![(1.0, 2.30), (2.0, 2.29)];
/// let with = vec![(1.0, 2.20), (2.0, 1.95)];
/// let picture = charts::line_chart(
///     "Two networks",
///     "on 2,000 test images",
///     ("epoch", "loss"),
///     &[("plain", plain), ("with auxiliary classifiers", with)],
/// )?;
/// assert!(picture.svg().contains("with auxiliary classifiers"));
/// # Ok::<(), charts::Error>(())
/// ```
///
/// The first line whose name begins with `training`, and the first that begins with `test`, have the
/// colours that they have in every chart ([`crate::palette::colors`]).
///
/// # Errors
/// No line or more than six, a line without points, a number that is not finite; a picture that
/// cannot be drawn.
pub fn line_chart(
    title: &str,
    note: &str,
    axes: (&str, &str),
    lines: &[(&str, Vec<(f64, f64)>)],
) -> Result<Picture> {
    line_chart_with_marks(title, note, axes, lines, &[])
}

/// [`line_chart`] with marks: upright dashed lines, each an x and a name, which stands above the plot.
/// The axis reaches as far as they do.
///
/// ```
/// let cost = |scale: f64| (1..=10).map(|x| (f64::from(x), scale * f64::from(x))).collect();
/// let picture = charts::line_chart_with_marks(
///     "Two designs",
///     "",
///     ("channels", "multiply-adds"),
///     &[("naive", cost(9.0)), ("reduced", cost(2.0))],
///     &[(4.0, "yours: 4")],
/// )?;
/// assert!(picture.svg().contains("yours: 4"));
/// # Ok::<(), charts::Error>(())
/// ```
///
/// # Errors
/// As [`line_chart`]; more than eight marks.
pub fn line_chart_with_marks(
    title: &str,
    note: &str,
    (x_label, y_label): (&str, &str),
    lines: &[(&str, Vec<(f64, f64)>)],
    marks: &[(f64, &str)],
) -> Result<Picture> {
    if !(1..=SERIES.len()).contains(&lines.len()) {
        let remedy = format!("give 1 to {}", SERIES.len());
        return Err(Error::invalid("number of lines", lines.len(), remedy));
    }
    for (name, points) in lines {
        if points.is_empty() {
            return Err(Error::invalid(format!("points of line '{name}'"), 0, "give at least one"));
        }
        if let Some(bad) = points.iter().flat_map(|p| [p.0, p.1]).find(|v| !v.is_finite()) {
            let what = format!("a point of line '{name}'");
            return Err(Error::invalid(what, bad, "leave it out or give a number"));
        }
    }
    if marks.len() > MOST_MARKS {
        let remedy = format!("give at most {MOST_MARKS}");
        return Err(Error::invalid("number of marks", marks.len(), remedy));
    }
    if let Some((x, name)) = marks.iter().find(|(x, _)| !x.is_finite()) {
        return Err(Error::invalid(format!("the place of mark '{name}'"), x, "give a number"));
    }
    let all = || lines.iter().flat_map(|(_, points)| points);
    let places = all().map(|point| point.0).chain(marks.iter().map(|mark| mark.0));
    let names: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
    let series = lines.iter().zip(colors(&names));
    let series = series.map(|((name, points), color)| Line::new(*name, color, points.clone()));
    let panel = Panel {
        x: (x_label.into(), range(places, 0.0)),
        y: (y_label.into(), range(all().map(|point| point.1), 0.06)),
        legend: None,
        bars: Vec::new(),
        lines: series.chain(marks.iter().map(|&(x, name)| Line::mark(name, x))).collect(),
    };
    let legend = legend(&panel.lines[..lines.len()])?;
    let (title, note) = (title.to_string(), note.to_string());
    Picture::draw(SIZE, LineChart { title, note, panel, legend })
}

/// From the smallest to the largest value, with a margin as a part of their distance.
fn range(values: impl Iterator<Item = f64>, margin: f64) -> Range<f64> {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let room = match high - low {
        0.0 => 0.5,
        distance => margin * distance,
    };
    low - room..high + room
}

/// The names of the lines.
#[derive(Debug)]
struct Legend {
    /// Where each begins: its x, and its row.
    places: Vec<(i32, u32)>,
    rows: u32,
}

/// The names side by side, in as many rows as they need.
fn legend(lines: &[Line]) -> Result<Legend> {
    let mut places = Vec::new();
    let (mut x, mut row) = (LEFT, 0);
    for line in lines {
        let width = DASH + width(&line.label, SMALLEST)?;
        if x > LEFT && x + width > RIGHT {
            (x, row) = (LEFT, row + 1);
        }
        places.push((x, row));
        x += width + 26;
    }
    Ok(Legend { places, rows: row + 1 })
}

#[derive(Debug)]
struct LineChart {
    title: String,
    note: String,
    panel: Panel,
    legend: Legend,
}

impl Draw for LineChart {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()> {
        card(area, &self.title, &self.note, scale)?;
        for (line, &(x, row)) in self.panel.lines.iter().zip(&self.legend.places) {
            let middle = (TITLE + row * LEGEND + LEGEND / 2) as i32;
            let stroke = RGBColor::from(line.color).stroke_width(3);
            let dash = PathElement::new([(x, middle), (x + DASH - 6, middle)], stroke);
            area.draw(&dash).map_err(Error::drawing)?;
            let width = (RIGHT - x - DASH) as u32;
            let style = Style { width, ..Style::new(Across::Left, Down::Center) };
            text(area, &line.label, (x + DASH, middle), style, scale)?;
        }
        let (_, plot) = area.split_vertically(TITLE + self.legend.rows * LEGEND);
        let flags = self.panel.flags(WIDTH)?;
        self.panel.draw(&plot, &flags, flag::rows(&flags))?;
        area.present().map_err(Error::drawing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let draw = |lines: &[(&str, Vec<(f64, f64)>)]| {
            line_chart("title", "", ("x", "y"), lines).map(|_| ()).map_err(|e| e.to_string())
        };
        assert_eq!(draw(&[]).unwrap_err(), "number of lines is 0: give 1 to 6");
        let empty = draw(&[("plain", vec![])]).unwrap_err();
        assert_eq!(empty, "points of line 'plain' is 0: give at least one");
        let nan = draw(&[("plain", vec![(0.0, f64::NAN)])]).unwrap_err();
        assert_eq!(nan, "a point of line 'plain' is NaN: leave it out or give a number");
        draw(&[("one point", vec![(1.0, 1.0)])]).unwrap();
        let marked = |marks: &[(f64, &str)]| {
            let lines = [("line", vec![(1.0, 1.0)])];
            let picture = line_chart_with_marks("title", "", ("x", "y"), &lines, marks);
            picture.map(|_| ()).map_err(|error| error.to_string())
        };
        marked(&[(0.0, "mark"); 8]).unwrap();
        assert_eq!(
            marked(&[(0.0, "mark"); 9]).unwrap_err(),
            "number of marks is 9: give at most 8"
        );
        let nan = marked(&[(f64::NAN, "yours")]).unwrap_err();
        assert_eq!(nan, "the place of mark 'yours' is NaN: give a number");
    }

    #[test]
    fn a_mark_is_a_line_with_its_name_and_the_axis_reaches_it() {
        let lines = [("line", vec![(0.0, 1.0), (10.0, 2.0)])];
        let draw = |marks: &[(f64, &str)]| {
            line_chart_with_marks("title", "", ("x", "y"), &lines, marks).unwrap()
        };
        let plain = line_chart("title", "", ("x", "y"), &lines).unwrap();
        assert_eq!(draw(&[]).svg(), plain.svg());
        let marked = draw(&[(4.0, "yours"), (30.0, "far")]);
        assert!(marked.svg().contains("yours") && marked.svg().contains("far"));
        let ends = |svg: &str| svg.lines().any(|line| line == "30");
        assert!(ends(marked.svg()) && !ends(plain.svg()));
    }

    #[test]
    fn names_that_are_too_many_for_a_row_take_another() {
        let lines = |name: &str| -> Vec<Line> {
            (0..6).map(|_| Line::new(name, SERIES[0], Vec::new())).collect()
        };
        assert_eq!(legend(&lines("short")).unwrap().rows, 1);
        let long = legend(&lines("with auxiliary classifiers")).unwrap();
        assert_eq!((long.rows, long.places[3].1, long.places[4]), (2, 0, (LEFT, 1)));
    }

    #[test]
    fn the_axes_reach_as_far_as_the_points() {
        assert_eq!(range([2.0, 1.0, 3.0].into_iter(), 0.0), 1.0..3.0);
        assert_eq!(range([1.0, 2.0].into_iter(), 0.1), 0.9..2.1);
        assert_eq!(range([4.0].into_iter(), 0.1), 3.5..4.5);
    }
}
