//! Lines of one's own, to compare runs or designs.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::panel::{Line, Panel, TEST, TRAIN};
use super::text::{Style, TITLE, card, text};
use super::{Draw, Picture, WIDTH, plot_error};
use crate::{Error, Result};

const SIZE: (u32, u32) = (WIDTH, 400);
/// Height of the names of the lines.
const LEGEND: u32 = 24;
/// Colours that can be told apart also by those who see red and green as one.
pub(super) const COLORS: [RGBColor; 6] = [
    TRAIN,
    TEST,
    RGBColor(0, 140, 110),
    RGBColor(170, 70, 150),
    RGBColor(110, 110, 110),
    RGBColor(225, 170, 0),
];

/// Up to six lines, each a name and its points (x, y), with a title, a note under it, and the names
/// of the two axes. The axes reach as far as the points do: y need not begin at 0.
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let plain = vec![(1.0, 2.30), (2.0, 2.29)];
/// let with = vec![(1.0, 2.20), (2.0, 1.95)];
/// let picture = plot::line_chart(
///     "Two networks",
///     "on 2,000 test images",
///     ("epoch", "loss"),
///     &[("plain", plain), ("with auxiliary classifiers", with)],
/// )?;
/// assert!(picture.svg().contains("with auxiliary classifiers"));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// No line or more than six, a line without points, a number that is not finite; a picture that
/// cannot be drawn.
pub fn line_chart(
    title: &str,
    note: &str,
    (x_label, y_label): (&str, &str),
    lines: &[(&str, Vec<(f64, f64)>)],
) -> Result<Picture> {
    if !(1..=COLORS.len()).contains(&lines.len()) {
        let remedy = format!("give 1 to {}", COLORS.len());
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
    let all = || lines.iter().flat_map(|(_, points)| points);
    let panel = Panel {
        x: range(all().map(|point| point.0), 0.0),
        x_label: x_label.into(),
        y: range(all().map(|point| point.1), 0.06),
        y_label: y_label.into(),
        legend: None,
        background: Vec::new(),
        lines: lines
            .iter()
            .zip(COLORS)
            .map(|((name, points), color)| Line {
                label: (*name).into(),
                color,
                points: points.clone(),
            })
            .collect(),
    };
    Picture::draw(SIZE, &LineChart { title, note, panel })
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

struct LineChart<'a> {
    title: &'a str,
    note: &'a str,
    panel: Panel,
}

impl Draw for LineChart<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        card(area, self.title, self.note)?;
        let middle = (TITLE + LEGEND / 2) as i32;
        let style = Style { size: 13, ..Style::new(HPos::Left, VPos::Center) };
        let mut x = 66;
        for line in &self.panel.lines {
            let stroke = line.color.stroke_width(3);
            let dash = PathElement::new([(x, middle), (x + 22, middle)], stroke);
            area.draw(&dash).map_err(plot_error)?;
            text(area, &line.label, (x + 28, middle), style)?;
            let font = ("sans-serif", style.size).into_text_style(area);
            let (width, _) = area.estimate_text_size(&line.label, &font).map_err(plot_error)?;
            x += 28 + width as i32 + 26;
        }
        let (_, plot) = area.split_vertically(TITLE + LEGEND);
        self.panel.draw(&plot)?;
        area.present().map_err(plot_error)
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
    }

    #[test]
    fn the_axes_reach_as_far_as_the_points() {
        assert_eq!(range([2.0, 1.0, 3.0].into_iter(), 0.0), 1.0..3.0);
        assert_eq!(range([1.0, 2.0].into_iter(), 0.1), 0.9..2.1);
        assert_eq!(range([4.0].into_iter(), 0.1), 3.5..4.5);
    }
}
