//! Bars: groups of one's own, shares beside an image, a logarithmic scale.

use crate::palette::{BLUE, GRID, SERIES, colors};
use crate::scene::{Rect, Scene};
use crate::text::{Across, Down, SMALLEST, Style, TITLE};
use crate::{Error, MARGIN, Picture, Pixels, Result, WIDTH};

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
    check_series(series)?;
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
    let colors = colors(series);
    for ((place, name), &color) in (0..).zip(series).zip(&colors) {
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
        for ((row, value), &color) in (0..).zip(bars).zip(&colors) {
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

/// Longer side of the image beside shares.
const IMAGE: u32 = 224;

/// An image, and beside it a bar for each name with its share of the whole, from 0 to 1.
///
/// # Errors
/// A picture that cannot be drawn.
pub fn share_bars(
    title: &str,
    note: &str,
    image: &Pixels,
    shares: &[(String, f64)],
) -> Result<Picture> {
    let size = image_size(image);
    let rows = TITLE + 34 * shares.len() as u32;
    let mut scene = Scene::new(rows.max(TITLE + size.1) + MARGIN, title, note);
    scene.image(image, (MARGIN, TITLE), size);
    let (from, to) = (EDGE + IMAGE as i32 + 24 + 180, WIDTH as i32 - 80);
    let name_style = Style { size: 14, width: 170, ..Style::new(Across::Right, Down::Center) };
    let share_style = Style { size: 13, ..Style::new(Across::Left, Down::Center) };
    for (row, (name, share)) in (0..).zip(shares) {
        let y = TITLE as i32 + 34 * row + 14;
        let length = (f64::from(to - from) * share).round() as i32;
        scene.text(name, (from - 8, y), name_style);
        scene.rect(Rect::new(from, y - 11, length.max(1), 22), BLUE, None);
        scene.text(format!("{:.1} %", 100.0 * share), (from + length + 8, y), share_style);
    }
    scene.picture()
}

/// As large as [`IMAGE`] allows: a whole multiple of the pixels where the image is enlarged.
fn image_size(image: &Pixels) -> (u32, u32) {
    let (width, height) = (image.width(), image.height());
    let longer = width.max(height);
    if longer <= IMAGE {
        return (width * (IMAGE / longer), height * (IMAGE / longer));
    }
    ((width * IMAGE / longer).max(1), (height * IMAGE / longer).max(1))
}

/// Height of a bar alone in its row, with the gap under it.
const ALONE: i32 = 20;

/// Rows of bars on a logarithmic scale, each a name and a value for each of up to six series, or for the
/// first of them. What is not above 0 has no length.
///
/// # Errors
/// No series or more than six, a row without a value or with more than there are series; a picture that
/// cannot be drawn.
pub fn log_bars(
    title: &str,
    note: &str,
    series: &[&str],
    rows: &[(String, Vec<f64>)],
) -> Result<Picture> {
    check_series(series)?;
    if let Some((name, values)) = rows.iter().find(|row| !(1..=series.len()).contains(&row.1.len()))
    {
        let remedy = format!("give one at least, and one for each of the {} at most", series.len());
        return Err(Error::invalid(format!("values of row '{name}'"), values.len(), remedy));
    }
    let top = TITLE as i32 + 26;
    // Bars of several series are as high as the number beside each.
    let thick = if series.len() > 1 { THICK } else { ALONE };
    let row_height = series.len() as i32 * thick + 6;
    let bottom = top + rows.len() as i32 * row_height;
    let mut scene = Scene::new(bottom as u32 + 34, title, note);
    let style = |size, across| Style { size, ..Style::new(across, Down::Center) };
    let (from, to) = (EDGE + 150, WIDTH as i32 - 96);
    let colors = colors(series);
    for ((place, name), &color) in (0..).zip(series).zip(&colors) {
        let x = from + 190 * place;
        scene.rect(Rect::new(x, top - 20, 14, 10), color, None);
        scene.text(*name, (x + 20, top - 15), style(13, Across::Left));
    }
    let (low, high) = decades(rows.iter().flat_map(|(_, values)| values));
    let place = |log: f64| {
        let part = (log - f64::from(low)) / f64::from(high - low);
        from + (part * f64::from(to - from)).round() as i32
    };
    // Ten labels at the most.
    for decade in (low..=high).step_by(((high - low) / 10 + 1) as usize) {
        let x = place(f64::from(decade));
        scene.line(vec![(x, top), (x, bottom)], GRID);
        let below = Style::new(Across::Center, Down::Top);
        scene.text(format!("1e{decade}"), (x, bottom + 6), below);
    }
    for (row, (name, values)) in (0..).zip(rows) {
        let y = top + row * row_height + row_height / 2;
        scene.text(name, (from - 8, y), Style { width: 142, ..style(13, Across::Right) });
        let first = y - values.len() as i32 * thick / 2;
        for ((index, &value), &color) in (0..).zip(values).zip(&colors) {
            let y = first + index * thick;
            let end = if value > 0.0 && value.is_finite() { place(value.log10()) } else { from };
            scene.rect(Rect::new(from, y, (end - from).max(1), thick - 1), color, None);
            let at = (end + 6, y + thick / 2);
            scene.text(format!("{value:.1e}"), at, style(SMALLEST, Across::Left));
        }
    }
    scene.picture()
}

/// The powers of ten between which all values lie.
fn decades<'a>(values: impl Iterator<Item = &'a f64>) -> (i32, i32) {
    let logs = values.filter(|value| **value > 0.0 && value.is_finite()).map(|value| value.log10());
    let (low, high) = logs
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), log| (low.min(log), high.max(log)));
    if low > high {
        return (0, 1);
    }
    // A little room, so that the shortest bar can be seen.
    let low = (low - 0.05).floor() as i32;
    (low, (high.ceil() as i32).max(low + 1))
}

fn check_series(series: &[&str]) -> Result<()> {
    if (1..=SERIES.len()).contains(&series.len()) {
        return Ok(());
    }
    let remedy = format!("give 1 to {}", SERIES.len());
    Err(Error::invalid("number of series", series.len(), remedy))
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
    fn a_logarithmic_scale_goes_from_power_to_power() {
        assert_eq!(decades([0.02, 3.0, 0.0, f64::NAN].iter()), (-2, 1));
        assert_eq!(decades([1.0].iter()), (-1, 0));
        assert_eq!(decades([0.0].iter()), (0, 1));
        let rows = [("layer".to_string(), vec![1.0, 2.0])];
        let error = log_bars("title", "", &["one"], &rows).unwrap_err().to_string();
        assert!(error.starts_with("values of row 'layer' is 2"), "{error}");
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
