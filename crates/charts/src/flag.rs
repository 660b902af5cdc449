//! The names of a plot's marks: flags above it, each at a pole that goes down to its lower end.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::palette::{INK, Rgb};
use crate::text::{self, Across, Down, SMALLEST, Style};
use crate::{Error, Result};

/// Height of a row of names.
const ROW: i32 = 16;
/// From a pole to its name.
const GAP: i32 = 4;
/// Between two names in a row.
const APART: i32 = 10;
/// Poles that are no farther apart are one.
const NEAR: i32 = 2;
/// A dash of a pole, and with the gap after it.
const DASH: (i32, i32) = (5, 9);

/// A pole with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flag {
    /// Where the pole is.
    x: i32,
    color: Rgb,
    label: String,
    /// From where to where the name goes.
    at: Range<i32>,
    /// The row of the name, 0 for the lowest.
    row: u32,
}

/// Gives each of these (x, name, colour) a place within a plot from its left end to its right one, so
/// that no name is on another one. Those at the same place are one.
pub(crate) fn placed(mut marks: Vec<(i32, String, Rgb)>, plot: Range<i32>) -> Result<Vec<Flag>> {
    marks.sort_by_key(|mark| mark.0);
    marks.dedup_by(|later, kept| {
        let one = later.0 - kept.0 <= NEAR;
        if one && !later.1.is_empty() && later.1 != kept.1 {
            let comma = if kept.1.is_empty() { "" } else { ", " };
            kept.1 = format!("{}{comma}{}", kept.1, later.1);
        }
        one
    });
    let mut flags: Vec<Flag> = Vec::new();
    // From the right: the pole of a name in a higher row is then left of the names below it.
    for (x, label, color) in marks.into_iter().rev() {
        let width = text::width(&label, SMALLEST)?.min(plot.end - plot.start);
        let left = (x + GAP).min(plot.end - width).max(plot.start);
        let at = left..left + width;
        let taken = |row| {
            let near =
                |flag: &Flag| flag.at.start < at.end + APART && at.start < flag.at.end + APART;
            flags.iter().any(|flag| flag.row == row && near(flag))
        };
        let row = (0..).find(|&row| label.is_empty() || !taken(row)).unwrap_or(0);
        flags.push(Flag { x, color, label, at, row });
    }
    Ok(flags)
}

/// How many rows of names there are.
pub(crate) fn rows(flags: &[Flag]) -> u32 {
    let named = flags.iter().filter(|flag| !flag.label.is_empty());
    named.map(|flag| flag.row + 1).max().unwrap_or(0)
}

/// Height of so many rows.
pub(crate) fn height(rows: u32) -> i32 {
    rows as i32 * ROW
}

/// Draws them over a plot from its upper end to its lower one.
pub(crate) fn draw<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    flags: &[Flag],
    plot: Range<i32>,
) -> Result<()> {
    let middle = |flag: &Flag| plot.start - height(flag.row) - ROW / 2;
    for flag in flags {
        let top = if flag.label.is_empty() { plot.start } else { middle(flag) - ROW / 2 + 2 };
        let color = RGBColor::from(flag.color);
        for end in (top..plot.end).rev().step_by(DASH.1 as usize) {
            let dash = [(flag.x, end), (flag.x, (end - DASH.0).max(top))];
            area.draw(&PathElement::new(dash, color)).map_err(Error::drawing)?;
        }
    }
    // After all poles, which end behind a name that stands over them.
    for flag in flags.iter().filter(|flag| !flag.label.is_empty()) {
        let Range { start, end } = flag.at;
        let y = middle(flag);
        let corners = [(start - 2, y - ROW / 2), (end + 2, y + ROW / 2 - 1)];
        area.draw(&Rectangle::new(corners, WHITE.filled())).map_err(Error::drawing)?;
        let width = (end - start) as u32;
        let style = Style { color: INK, width, ..Style::new(Across::Left, Down::Center) };
        text::text(area, &flag.label, (start, y), style, 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palette::FAINT;

    fn flags(marks: &[(i32, &str)]) -> Vec<Flag> {
        let marks = marks.iter().map(|&(x, label)| (x, label.to_string(), FAINT)).collect();
        placed(marks, 66..460).unwrap()
    }

    #[test]
    fn names_stand_beside_their_poles_and_never_on_each_other() {
        let [one] = &flags(&[(100, "yours")])[..] else { panic!("one") };
        assert_eq!((one.at.start, one.row), (104, 0));
        let many: Vec<(i32, &str)> = (0..12).map(|n| (70 + 33 * n, "lr x0.5, paused")).collect();
        let many = flags(&many);
        assert!(rows(&many) <= 5, "{} rows", rows(&many));
        for (index, a) in many.iter().enumerate() {
            assert!(66 <= a.at.start && a.at.end <= 460, "{a:?} is cut");
            for b in &many[index + 1..] {
                let apart = a.row != b.row || a.at.end < b.at.start || b.at.end < a.at.start;
                assert!(apart, "{a:?} on {b:?}");
            }
        }
    }

    #[test]
    fn marks_at_one_place_are_one_and_a_mark_needs_no_name() {
        let [one] = &flags(&[(101, "paused"), (100, "lr x0.5"), (102, "paused")])[..] else {
            panic!("one")
        };
        assert_eq!((one.x, one.label.as_str()), (100, "lr x0.5, paused, paused"));
        assert_eq!(rows(&flags(&[(100, ""), (200, "")])), 0);
        let long = flags(&[(440, &"goes on and on ".repeat(9))]);
        assert_eq!(long[0].at, 66..460);
    }
}
