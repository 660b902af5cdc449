//! Images in rows, with a text of a few lines under each.

use crate::pixels::Pixels;
use crate::scene::Scene;
use crate::text::{Across, Down, SMALLEST, Style, TITLE, wrapped};
use crate::{Error, MARGIN, Picture, Result, WIDTH};

const LINE: u32 = 15;
/// Widest cell.
const CELL: u32 = 240;
/// More cannot be told apart.
const MOST_COLUMNS: usize = 32;
/// The most images in a grid.
pub const MOST_IMAGES: usize = 1024;

/// Images in rows.
#[derive(Debug, Clone)]
pub struct Grid {
    /// The title.
    pub title: String,
    /// The line under it.
    pub note: String,
    /// For how many images side by side there is room.
    pub columns: usize,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row of images.
#[derive(Debug, Clone)]
pub struct Row {
    /// What stands to their left.
    pub label: String,
    /// The images.
    pub cells: Vec<Cell>,
}

/// An image and what is written under it.
#[derive(Debug, Clone)]
pub struct Cell {
    image: Pixels,
    caption: Vec<String>,
}

impl Cell {
    /// An image with the lines of a text under it.
    pub fn new(image: Pixels, caption: &str) -> Cell {
        Cell { image, caption: caption.lines().map(String::from).collect() }
    }
}

impl Grid {
    /// Images without labels at their left, `columns` in a row.
    pub fn of(title: impl Into<String>, columns: usize, cells: Vec<Cell>) -> Grid {
        let rows = cells
            .chunks(columns.max(1))
            .map(|cells| Row { label: String::new(), cells: cells.to_vec() })
            .collect();
        Grid { title: title.into(), note: String::new(), columns, rows }
    }

    /// Draws it.
    ///
    /// # Errors
    /// No image, more than [`MOST_IMAGES`] or more than 32 in a row; a picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        if !(1..=MOST_COLUMNS).contains(&self.columns) {
            let remedy = format!("give 1 to {MOST_COLUMNS}");
            return Err(Error::invalid("number of columns", self.columns, remedy));
        }
        let images: usize = self.rows.iter().map(|row| row.cells.len()).sum();
        if !(1..=MOST_IMAGES).contains(&images) {
            let remedy = format!("give 1 to {MOST_IMAGES}");
            return Err(Error::invalid("number of images in a grid", images, remedy));
        }
        let rows = self.rows.iter().map(|row| self.wrapped(row)).collect::<Result<Vec<_>>>()?;
        let height = rows.iter().map(|row| self.height(row)).sum::<u32>();
        let mut scene = Scene::new(TITLE + height + MARGIN, &self.title, &self.note);
        let corner = Style::new(Across::Left, Down::Top);
        let label = Style { size: 13, width: 112, ..corner };
        let caption = Style { width: self.pitch() - 6, ..corner };
        let mut y = TITLE;
        for row in &rows {
            scene.text(&row.label, (MARGIN as i32, y as i32 + 2), label);
            for (column, cell) in (0..).zip(&row.cells) {
                let x = MARGIN + self.label() + column * self.pitch();
                let size = self.size(&cell.image);
                scene.image(&cell.image, (x, y), size);
                for (line, text) in (0..).zip(&cell.caption) {
                    let below = y + size.1 + 2 + line * LINE;
                    scene.text(text, (x as i32, below as i32), caption);
                }
            }
            y += self.height(row);
        }
        scene.picture()
    }

    /// The row with the lines under its images broken where they are wider than an image may be.
    fn wrapped(&self, row: &Row) -> Result<Row> {
        let room = self.pitch() - 6;
        let cells = row.cells.iter().map(|Cell { image, caption }| {
            let lines = caption.iter().map(|line| wrapped(line, SMALLEST, room));
            let caption = lines.collect::<Result<Vec<_>>>()?.concat();
            Ok(Cell { image: image.clone(), caption })
        });
        Ok(Row { label: row.label.clone(), cells: cells.collect::<Result<_>>()? })
    }

    /// Width of the labels on the left.
    fn label(&self) -> u32 {
        if self.rows.iter().all(|row| row.label.is_empty()) { 0 } else { 120 }
    }

    fn pitch(&self) -> u32 {
        ((WIDTH - 2 * MARGIN - self.label()) / self.columns as u32).min(CELL)
    }

    /// Width and height of a cell's image: whole multiples of its pixels where it is enlarged.
    fn size(&self, image: &Pixels) -> (u32, u32) {
        let room = self.pitch() - 6;
        let width = if room > image.width() { room - room % image.width() } else { room };
        let height = u64::from(width) * u64::from(image.height()) / u64::from(image.width());
        (width, (height as u32).clamp(1, 4 * CELL))
    }

    fn height(&self, row: &Row) -> u32 {
        let of = |cell: &Cell| self.size(&cell.image).1 + LINE * cell.caption.len() as u32;
        row.cells.iter().map(of).max().unwrap_or(0) + 8
    }
}
