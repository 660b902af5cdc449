//! Bars: the likeliest classes of an image, the gradient of each layer, and bars of one's own.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::lines::COLORS;
use super::panel::{GRID, TEST, TRAIN};
use super::text::{Style, TITLE, card, text};
use super::{Draw, Picture, WIDTH, placed::Placed, plot_error};
use crate::look::{GradientNorms, Likeliest};
use crate::{Error, Result};

const MARGIN: i32 = 16;

impl Likeliest {
    /// The image, and a bar for each class.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let rows = TITLE + 34 * self.classes.len() as u32;
        Picture::draw((WIDTH, rows.max(TITLE + self.image_size().1) + 16), self)
    }

    /// Width and height of the image in the picture: 224 on the longer side, or a little less.
    fn image_size(&self) -> (u32, u32) {
        let (width, height) = (self.image.width(), self.image.height());
        let longer = width.max(height);
        if longer <= 224 {
            return (width * (224 / longer), height * (224 / longer));
        }
        ((width * 224 / longer).max(1), (height * 224 / longer).max(1))
    }
}

impl Draw for Likeliest {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let best = self.classes.first();
        let title = best.map_or(String::new(), |(name, p)| format!("{name}, {:.1} %", 100.0 * p));
        let note = format!("the {} likeliest classes", self.classes.len());
        card(area, &title, &note)?;
        let (from, to) = (MARGIN + 224 + 24 + 180, WIDTH as i32 - 80);
        for (row, (name, probability)) in (0..).zip(&self.classes) {
            let y = TITLE as i32 + 34 * row + 14;
            let end = from + (f64::from(to - from) * probability).round() as i32;
            let style = Style { size: 14, width: 170, ..Style::new(HPos::Right, VPos::Center) };
            text(area, name, (from - 8, y), style)?;
            bar(area, (from, y - 11), (end.max(from + 1), y + 11), TRAIN)?;
            let style = Style { size: 13, ..Style::new(HPos::Left, VPos::Center) };
            text(area, &format!("{:.1} %", 100.0 * probability), (end + 8, y), style)?;
        }
        area.present().map_err(plot_error)
    }

    fn images(&self) -> Result<Vec<Placed>> {
        Ok(vec![Placed::new((MARGIN as u32, TITLE), self.image_size(), &self.image)?])
    }
}

impl GradientNorms {
    /// A bar a layer on a logarithmic scale, two where the network has auxiliary classifiers.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let rows = self.layers.len() as u32 * ROW;
        Picture::draw((WIDTH, TITLE + 26 + rows + 34), self)
    }

    /// The powers of ten between which all norms lie.
    fn decades(&self) -> (i32, i32) {
        let norms = self.layers.iter().flat_map(|l| [Some(l.head), l.with_auxiliary]).flatten();
        let logs: Vec<f64> =
            norms.filter(|norm| *norm > 0.0 && norm.is_finite()).map(f64::log10).collect();
        let low = logs.iter().copied().fold(f64::INFINITY, f64::min);
        let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if logs.is_empty() {
            return (0, 1);
        }
        // A little room, so that the shortest bar can be seen.
        let low = (low - 0.05).floor() as i32;
        (low, (high.ceil() as i32).max(low + 1))
    }
}

const ROW: u32 = 26;

impl Draw for GradientNorms {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let title = format!("{}: how large the gradient is in each layer", self.network);
        card(area, &title, "Euclidean norm over the layer's weights, on a logarithmic scale")?;
        let two = self.layers.iter().any(|layer| layer.with_auxiliary.is_some());
        let legend = Style { size: 13, ..Style::new(HPos::Left, VPos::Center) };
        let (from, to) = (MARGIN + 150, WIDTH as i32 - 96);
        let top = TITLE as i32 + 26;
        let mut x = from;
        for (name, color) in [("loss of the head", TRAIN), ("with auxiliary classifiers", TEST)] {
            if color == TRAIN || two {
                bar(area, (x, top - 20), (x + 14, top - 10), color)?;
                text(area, name, (x + 20, top - 15), legend)?;
                x += 190;
            }
        }
        let (low, high) = self.decades();
        let place = |log: f64| {
            let part = (log - f64::from(low)) / f64::from(high - low);
            from + (part * f64::from(to - from)).round() as i32
        };
        let bottom = top + (self.layers.len() as u32 * ROW) as i32;
        // Ten labels at the most.
        for decade in (low..=high).step_by(((high - low) / 10 + 1) as usize) {
            let x = place(f64::from(decade));
            area.draw(&PathElement::new([(x, top), (x, bottom)], GRID)).map_err(plot_error)?;
            let style = Style::new(HPos::Center, VPos::Top);
            text(area, &format!("1e{decade}"), (x, bottom + 6), style)?;
        }
        for (row, layer) in (0..).zip(&self.layers) {
            let y = top + row * ROW as i32 + ROW as i32 / 2;
            let style = Style { size: 13, width: 142, ..Style::new(HPos::Right, VPos::Center) };
            text(area, &layer.name, (from - 8, y), style)?;
            let bars = [(Some(layer.head), TRAIN), (layer.with_auxiliary, TEST)];
            let bars: Vec<_> = bars.iter().filter_map(|(norm, c)| Some((((*norm)?), *c))).collect();
            let thick = 20 / bars.len() as i32;
            for (place_in_row, (norm, color)) in (0..).zip(&bars) {
                let y = y - 10 + place_in_row * thick;
                let end = if *norm > 0.0 && norm.is_finite() { place(norm.log10()) } else { from };
                bar(area, (from, y), (end.max(from + 1), y + thick - 1), *color)?;
                let style = Style { size: 10, ..Style::new(HPos::Left, VPos::Center) };
                text(area, &format!("{norm:.1e}"), (end + 6, y + thick / 2), style)?;
            }
        }
        area.present().map_err(plot_error)
    }
}

/// Groups of bars, each a name and a value for each of up to six series, with what is written beside
/// the bar; a bar that is missing is left out. All bars begin at 0 and have one scale.
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let batch = |size: &str, a: f64, b: f64| {
///     let bars = [a, b].map(|value| Some((value, format!("{value} images/s"))));
///     (format!("batch {size}"), bars.to_vec())
/// };
/// let groups = [batch("32", 120.0, 90.0), batch("128", 150.0, 100.0)];
/// let picture = plot::bar_chart("Two machines", "training", &["new", "old"], &groups)?;
/// assert!(picture.svg().contains("150 images/s"));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// No series or more than six, no group, a group with another number of values than there are
/// series, a value that is not finite or under 0; a picture that cannot be drawn.
pub fn bar_chart(title: &str, note: &str, series: &[&str], groups: &[BarGroup]) -> Result<Picture> {
    if !(1..=COLORS.len()).contains(&series.len()) {
        let remedy = format!("give 1 to {}", COLORS.len());
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
    let chart = BarChart { title, note, series, groups };
    Picture::draw((WIDTH, TITLE + LEGEND + groups.len() as u32 * chart.group_height() + 8), &chart)
}

/// The name of a group of bars, and for each series a value and what is written beside its bar.
pub type BarGroup = (String, Vec<Option<(f64, String)>>);

struct BarChart<'a> {
    title: &'a str,
    note: &'a str,
    series: &'a [&'a str],
    groups: &'a [BarGroup],
}

const LEGEND: u32 = 30;
const THICK: u32 = 15;

impl BarChart<'_> {
    fn group_height(&self) -> u32 {
        self.series.len() as u32 * THICK + 12
    }
}

impl Draw for BarChart<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        card(area, self.title, self.note)?;
        let (from, to) = (MARGIN + 200, WIDTH as i32 - 190);
        let column = (WIDTH as i32 - 2 * MARGIN) / self.series.len() as i32;
        for ((place, name), color) in (0..).zip(self.series).zip(COLORS) {
            let x = MARGIN + place * column;
            bar(area, (x, TITLE as i32 + 4), (x + 14, TITLE as i32 + 14), color)?;
            let width = (column - 26) as u32;
            let style = Style { size: 13, width, ..Style::new(HPos::Left, VPos::Center) };
            text(area, name, (x + 20, TITLE as i32 + 9), style)?;
        }
        let values = self.groups.iter().flat_map(|(_, bars)| bars).flatten();
        let longest = values.map(|(value, _)| *value).fold(0.0, f64::max);
        for (place, (name, bars)) in (0..).zip(self.groups) {
            let top = (TITLE + LEGEND + place * self.group_height()) as i32;
            let middle = top + (self.series.len() as u32 * THICK / 2) as i32;
            let style = Style { size: 13, width: 190, ..Style::new(HPos::Right, VPos::Center) };
            text(area, name, (from - 8, middle), style)?;
            for ((row, value), color) in (0..).zip(bars).zip(COLORS) {
                let Some((value, words)) = value else { continue };
                let y = top + row * THICK as i32;
                let part = if longest > 0.0 { value / longest } else { 0.0 };
                let end = from + (part * f64::from(to - from)).round() as i32;
                bar(area, (from, y), (end.max(from + 1), y + THICK as i32 - 2), color)?;
                let style = Style { width: 180, ..Style::new(HPos::Left, VPos::Center) };
                text(area, words, (end + 6, y + THICK as i32 / 2 - 1), style)?;
            }
        }
        area.present().map_err(plot_error)
    }
}

fn bar<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    from: (i32, i32),
    to: (i32, i32),
    color: RGBColor,
) -> Result<()> {
    area.draw(&Rectangle::new([from, to], color.filled())).map_err(plot_error)
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
