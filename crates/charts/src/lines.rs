//! Lines of one's own, to compare runs or designs.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::palette::SERIES;
use crate::panel::{Line, Panel};
use crate::picture::Draw;
use crate::text::{Across, Down, Style, TITLE, card, text};
use crate::{Error, Picture, Result, WIDTH};

const SIZE: (u32, u32) = (WIDTH, 400);
/// Height of the names of the lines.
const LEGEND: u32 = 24;

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
/// # Errors
/// No line or more than six, a line without points, a number that is not finite; a picture that
/// cannot be drawn.
pub fn line_chart(
    title: &str,
    note: &str,
    (x_label, y_label): (&str, &str),
    lines: &[(&str, Vec<(f64, f64)>)],
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
    let all = || lines.iter().flat_map(|(_, points)| points);
    let panel = Panel {
        x: (x_label.into(), range(all().map(|point| point.0), 0.0)),
        y: (y_label.into(), range(all().map(|point| point.1), 0.06)),
        legend: None,
        bars: Vec::new(),
        lines: lines
            .iter()
            .zip(SERIES)
            .map(|((name, points), color)| Line::new(*name, color, points.clone()))
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
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()> {
        card(area, self.title, self.note, scale)?;
        let middle = (TITLE + LEGEND / 2) as i32;
        let style = Style { size: 13, ..Style::new(Across::Left, Down::Center) };
        let mut x = 66;
        for line in &self.panel.lines {
            let stroke = RGBColor::from(line.color).stroke_width(3);
            let dash = PathElement::new([(x, middle), (x + 22, middle)], stroke);
            area.draw(&dash).map_err(Error::drawing)?;
            text(area, &line.label, (x + 28, middle), style, scale)?;
            let font = ("sans-serif", style.size).into_text_style(area);
            let (width, _) = area.estimate_text_size(&line.label, &font).map_err(Error::drawing)?;
            x += 28 + width as i32 + 26;
        }
        let (_, plot) = area.split_vertically(TITLE + LEGEND);
        self.panel.draw(&plot)?;
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
    }

    #[test]
    fn the_axes_reach_as_far_as_the_points() {
        assert_eq!(range([2.0, 1.0, 3.0].into_iter(), 0.0), 1.0..3.0);
        assert_eq!(range([1.0, 2.0].into_iter(), 0.1), 0.9..2.1);
        assert_eq!(range([4.0].into_iter(), 0.1), 3.5..4.5);
    }
}
