//! Bars: the likeliest classes of an image, and the gradient of each layer.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::panel::{GRID, TEST, TRAIN};
use super::text::{Style, TITLE, card, text};
use super::{Draw, Picture, WIDTH, placed::Placed, plot_error};
use crate::Result;
use crate::look::{GradientNorms, Likeliest};

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

fn bar<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    from: (i32, i32),
    to: (i32, i32),
    color: RGBColor,
) -> Result<()> {
    area.draw(&Rectangle::new([from, to], color.filled())).map_err(plot_error)
}
