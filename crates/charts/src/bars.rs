//! Groups of bars of one's own.

use crate::palette::SERIES;
use crate::scene::{Rect, Scene};
use crate::text::{Across, Down, Style, TITLE};
use crate::{Error, MARGIN, Picture, Result, WIDTH};

const EDGE: i32 = MARGIN as i32;
/// Height of the names of the series.
const LEGEND: i32 = 30;
/// Height of a bar, with the gap under it.
const THICK: i32 = 15;

/// The name of a group of bars, and for each series a value and what is written beside its bar.
pub type BarGroup = (String, Vec<Option<(f64, String)>>);

/// Groups of bars, each a name and a value for each of up to six series, with what is written beside
/// the bar; a bar that is missing is left out. All bars begin at 0 and have one scale.
///
/// ```
/// let batch = |size: &str, a: f64, b: f64| {
///     let bars = [a, b].map(|value| Some((value, format!("{value} images/s"))));
///     (format!("batch {size}"), bars.to_vec())
/// };
/// let groups = [batch("32", 120.0, 90.0), batch("128", 150.0, 100.0)];
/// let picture = charts::bar_chart("Two machines", "training", &["new", "old"], &groups)?;
/// assert!(picture.svg().contains("150 images/s"));
/// # Ok::<(), charts::Error>(())
/// ```
///
/// # Errors
/// No series or more than six, no group, a group with another number of values than there are
/// series, a value that is not finite or under 0; a picture that cannot be drawn.
pub fn bar_chart(title: &str, note: &str, series: &[&str], groups: &[BarGroup]) -> Result<Picture> {
    if !(1..=SERIES.len()).contains(&series.len()) {
        let remedy = format!("give 1 to {}", SERIES.len());
        return Err(Error::invalid("number of series", series.len(), remedy));
    }
    if groups.is_empty() {
        return Err(Error::invalid("number of groups", 0, "give at least one"));
    }
    for (name, bars) in groups {
        if bars.len() != series.len() {
            let remedy = format!("give one for each of the {} series", series.len());
            return Err(Error::invalid(format!("values of group '{name}'"), bars.len(), remedy));
        }
        for (value, _) in bars.iter().flatten() {
            if !(value.is_finite() && *value >= 0.0) {
                let remedy = "it must be a number of at least 0";
                return Err(Error::invalid(format!("a value of group '{name}'"), value, remedy));
            }
        }
    }
    let group_height = series.len() as i32 * THICK + 12;
    let first = TITLE as i32 + LEGEND;
    let height = first + groups.len() as i32 * group_height + 8;
    let mut scene = Scene::new(height as u32, title, note);
    let column = (WIDTH as i32 - 2 * EDGE) / series.len() as i32;
    for ((place, name), color) in (0..).zip(series).zip(SERIES) {
        let (x, y) = (EDGE + place * column, TITLE as i32 + 4);
        scene.rect(Rect::new(x, y, 14, 10), color, None);
        let width = (column - 26) as u32;
        let style = Style { size: 13, width, ..Style::new(Across::Left, Down::Center) };
        scene.text(*name, (x + 20, y + 5), style);
    }
    let (from, to) = (EDGE + 200, WIDTH as i32 - 190);
    let values = groups.iter().flat_map(|(_, bars)| bars).flatten();
    let longest = values.map(|(value, _)| *value).fold(0.0, f64::max);
    for (place, (name, bars)) in (0..).zip(groups) {
        let top = first + place * group_height;
        let middle = top + series.len() as i32 * THICK / 2;
        let style = Style { size: 13, width: 190, ..Style::new(Across::Right, Down::Center) };
        scene.text(name, (from - 8, middle), style);
        for ((row, value), color) in (0..).zip(bars).zip(SERIES) {
            let Some((value, words)) = value else { continue };
            let y = top + row * THICK;
            let part = if longest > 0.0 { value / longest } else { 0.0 };
            let length = (part * f64::from(to - from)).round() as i32;
            scene.rect(Rect::new(from, y, length.max(1), THICK - 2), color, None);
            let style = Style { width: 180, ..Style::new(Across::Left, Down::Center) };
            scene.text(words, (from + length + 6, y + THICK / 2 - 1), style);
        }
    }
    scene.picture()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(series: &[&str], groups: &[BarGroup]) -> String {
        bar_chart("title", "", series, groups).unwrap_err().to_string()
    }

    #[test]
    fn a_bar_is_drawn_for_every_value_that_is_there() {
        let bars = |values: [Option<f64>; 2]| {
            let groups =
                [("group".to_string(), values.map(|v| v.map(|v| (v, String::new()))).into())];
            bar_chart("title", "", &["a", "b"], &groups).unwrap().svg().matches("<rect").count()
        };
        // The background, two in the legend, and the bars.
        assert_eq!(bars([Some(1.0), Some(2.0)]), 5);
        assert_eq!(bars([Some(1.0), None]), 4);
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let group = |values: Vec<Option<(f64, String)>>| [("group".to_string(), values)];
        let value = |value: f64| Some((value, String::new()));
        assert!(message(&[], &group(vec![])).contains("number of series"));
        assert!(message(&["a"], &[]).contains("number of groups"));
        assert!(message(&["a", "b"], &group(vec![value(1.0)])).contains("values of group 'group'"));
        assert!(message(&["a"], &group(vec![value(f64::NAN)])).contains("a value of group"));
        assert!(message(&["a"], &group(vec![value(-1.0)])).contains("a value of group"));
    }
}
