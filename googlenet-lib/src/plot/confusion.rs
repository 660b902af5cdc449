//! The confusion matrix.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::panel::{TEST, TRAIN};
use super::text::{INK, Style, TITLE, card, text};
use super::{Draw, Picture, WIDTH, placed::Placed, plot_error};
use crate::Result;
use crate::data::Image;
use crate::look::Confusion;

/// More classes than this are shown as pixels, without names and numbers.
const NAMED: usize = 20;
const LEFT: u32 = 150;
const RIGHT: u32 = 90;
const HEADER: u32 = 44;
const ROW: u32 = 32;
/// Side of the square of pixels.
const SQUARE: u32 = 600;

impl Confusion {
    /// A row a class, a column for each class that it can be taken for.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let rows = if self.named() { HEADER + ROW * self.classes.len() as u32 } else { SQUARE };
        Picture::draw((WIDTH, TITLE + rows + 16), self)
    }

    fn named(&self) -> bool {
        self.classes.len() <= NAMED
    }

    /// Share of the images of class `row` that were taken for class `column`.
    fn share(&self, row: usize, column: usize) -> f64 {
        let all: u64 = self.counts[row].iter().sum();
        if all == 0 { 0.0 } else { self.counts[row][column] as f64 / all as f64 }
    }

    /// White for nothing, blue for what is right, orange for what is wrong, where half a class is
    /// full colour already.
    fn color(&self, row: usize, column: usize) -> RGBColor {
        let share = self.share(row, column);
        let (full, part) = if row == column { (TRAIN, share) } else { (TEST, 2.0 * share) };
        let mix = |full: u8| (255.0 + (f64::from(full) - 255.0) * part.min(1.0)).round() as u8;
        RGBColor(mix(full.0), mix(full.1), mix(full.2))
    }
}

impl Draw for Confusion {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let images: u64 = self.counts.iter().flatten().sum();
        let right: u64 = (0..self.classes.len()).map(|class| self.counts[class][class]).sum();
        let percent = 100.0 * right as f64 / images.max(1) as f64;
        let title = format!("{percent:.2} % of {images} images right");
        card(area, &title, "a row a class, a column for each class that it was taken for")?;
        if self.named() {
            self.table(area)?;
        }
        area.present().map_err(plot_error)
    }

    fn images(&self) -> Result<Vec<Placed>> {
        let n = self.classes.len();
        if self.named() {
            return Ok(Vec::new());
        }
        let pixel = |place: usize| {
            let RGBColor(r, g, b) = self.color(place / n, place % n);
            [r, g, b]
        };
        let image = Image::from_bytes(n as u32, n as u32, (0..n * n).flat_map(pixel).collect())?;
        Ok(vec![Placed::new(((WIDTH - SQUARE) / 2, TITLE), (SQUARE, SQUARE), &image)?])
    }
}

impl Confusion {
    fn table<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let n = self.classes.len();
        let width = ((WIDTH - LEFT - RIGHT) as usize / n) as i32;
        let (left, top) = (LEFT as i32, (TITLE + HEADER) as i32);
        let middle = |style: Style| Style { across: HPos::Center, down: VPos::Center, ..style };
        let name = Style { width: LEFT - 24, ..Style::new(HPos::Right, VPos::Center) };
        let head = middle(Style { size: 11, width: width as u32 - 2, ..name });
        let end = left + n as i32 * width;
        text(area, "taken for", (left + (end - left) / 2, top - 32), middle(name))?;
        text(area, "right", (end + 45, top - 12), middle(name))?;
        for (row, label) in self.classes.iter().enumerate() {
            let y = top + row as i32 * ROW as i32;
            let centre = y + ROW as i32 / 2;
            text(area, label, (left - 10, centre), name)?;
            text(area, label, (left + row as i32 * width + width / 2, top - 12), head)?;
            for column in 0..n {
                let x = left + column as i32 * width;
                let color = self.color(row, column);
                let cell =
                    Rectangle::new([(x, y), (x + width - 2, y + ROW as i32 - 2)], color.filled());
                area.draw(&cell).map_err(plot_error)?;
                let dark = u32::from(color.0) + u32::from(color.1) + u32::from(color.2) < 400;
                let style = middle(Style { color: if dark { WHITE } else { INK }, ..head });
                let count = self.counts[row][column];
                if count > 0 {
                    text(area, &count.to_string(), (x + width / 2 - 1, centre - 1), style)?;
                }
            }
            let share = format!("{:.1} %", 100.0 * self.share(row, row));
            text(area, &share, (end + 45, centre), middle(name))?;
        }
        Ok(())
    }
}
