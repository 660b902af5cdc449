//! How many of each class were taken for which.

use crate::palette::{BLUE, INK, ORANGE, Rgb, WHITE, tint};
use crate::scene::{Rect, Scene};
use crate::text::{Across, Down, Style, TITLE};
use crate::{Error, MARGIN, Picture, Pixels, Result, WIDTH};

/// More classes than this are shown as pixels, without names and numbers.
const NAMED: usize = 20;
const LEFT: i32 = 150;
const RIGHT: i32 = 90;
const HEADER: i32 = 44;
const ROW: i32 = 32;
/// Side of the square of pixels.
const SQUARE: u32 = 600;

/// A row a class, a column for each class that it can be taken for, and the share that is right at the end
/// of the row: `counts[row][column]`. Of more than 20 classes there is a pixel for each count.
///
/// # Errors
/// No class, and another number of counts than one for each pair of classes; a picture that cannot be
/// drawn.
pub fn matrix(title: &str, note: &str, classes: &[String], counts: &[Vec<u64>]) -> Result<Picture> {
    let n = classes.len();
    let rows = counts.iter().map(Vec::len).chain([counts.len()]);
    if let Some(wrong) = rows.chain([n]).find(|&count| count != n || count == 0) {
        let remedy = format!("give one for each of the {n} classes, one at least");
        return Err(Error::invalid("number of rows or columns of a matrix", wrong, remedy));
    }
    let matrix = Matrix { classes, counts };
    let rows = if n <= NAMED { (HEADER + ROW * n as i32) as u32 } else { SQUARE };
    let mut scene = Scene::new(TITLE + rows + MARGIN, title, note);
    match n <= NAMED {
        true => matrix.table(&mut scene),
        false => {
            let pixels = (0..n * n).map(|place| matrix.color(place / n, place % n));
            let bytes = pixels.flat_map(|Rgb(red, green, blue)| [red, green, blue]).collect();
            let image = Pixels::new(n as u32, n as u32, bytes)?;
            scene.image(&image, ((WIDTH - SQUARE) / 2, TITLE), (SQUARE, SQUARE));
        }
    }
    scene.picture()
}

struct Matrix<'a> {
    classes: &'a [String],
    counts: &'a [Vec<u64>],
}

impl Matrix<'_> {
    /// Share of class `row` that was taken for class `column`.
    fn share(&self, row: usize, column: usize) -> f64 {
        let all: u64 = self.counts[row].iter().sum();
        if all == 0 { 0.0 } else { self.counts[row][column] as f64 / all as f64 }
    }

    /// White for nothing, blue for what is right, orange for what is wrong, where half a class is
    /// full colour already.
    fn color(&self, row: usize, column: usize) -> Rgb {
        let share = self.share(row, column);
        if row == column { tint(BLUE, share) } else { tint(ORANGE, 2.0 * share) }
    }

    fn table(&self, scene: &mut Scene) {
        let n = self.classes.len() as i32;
        let width = (WIDTH as i32 - LEFT - RIGHT) / n;
        let top = TITLE as i32 + HEADER;
        let middle = |style: Style| Style { across: Across::Center, ..style };
        let name_width = LEFT as u32 - 24;
        let name = Style { width: name_width, ..Style::new(Across::Right, Down::Center) };
        let head = middle(Style { width: width as u32 - 2, ..name });
        let end = LEFT + n * width;
        scene.text("taken for", (LEFT + (end - LEFT) / 2, top - 32), middle(name));
        scene.text("right", (end + 45, top - 12), middle(name));
        for (row, label) in self.classes.iter().enumerate() {
            let y = top + row as i32 * ROW;
            let center = y + ROW / 2;
            scene.text(label, (LEFT - 10, center), name);
            scene.text(label, (LEFT + row as i32 * width + width / 2, top - 12), head);
            for column in 0..self.classes.len() {
                let x = LEFT + column as i32 * width;
                let color = self.color(row, column);
                scene.rect(Rect::new(x, y, width - 2, ROW - 2), color, None);
                let dark = u32::from(color.0) + u32::from(color.1) + u32::from(color.2) < 400;
                let style = Style { color: if dark { WHITE } else { INK }, ..head };
                let count = self.counts[row][column];
                if count > 0 {
                    // A number that is cut would be another one.
                    let style = Style { width: u32::MAX, ..style };
                    scene.text(count.to_string(), (x + width / 2 - 1, center - 1), style);
                }
            }
            let share = format!("{:.1} %", 100.0 * self.share(row, row));
            scene.text(share, (end + 45, center), middle(name));
        }
    }
}
