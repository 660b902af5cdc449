//! Images in rows: samples, mistakes, filters, feature maps, Grad-CAM.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::text::{Style, TITLE, card, text};
use super::{Draw, Picture, WIDTH, placed::Placed};
use crate::data::{Dataset, Image, Split};
use crate::look::{Branch, FeatureMaps, Filters, GradCam, Mistake, Mistakes};
use crate::{Error, Result};

const MARGIN: u32 = 16;
const LINE: u32 = 15;
/// Widest cell.
const CELL: u32 = 240;
/// More cannot be told apart.
const MOST_COLUMNS: usize = 32;
const MOST_IMAGES: usize = 1024;
/// Maps shown of a branch.
const MAPS: usize = 10;

/// Images with a text of a few lines under each, `columns` in a row.
///
/// # Errors
/// No image, more than 1024 or more than 32 in a row; a picture that cannot be drawn.
pub fn image_grid(title: &str, images: &[(Image, String)], columns: usize) -> Result<Picture> {
    if !(1..=MOST_COLUMNS).contains(&columns) {
        let remedy = format!("give 1 to {MOST_COLUMNS}");
        return Err(Error::invalid("number of columns", columns, remedy));
    }
    let cells = images.iter().map(|(image, caption)| Cell::new(image.clone(), caption.clone()));
    let cells: Vec<Cell> = cells.collect();
    let rows =
        cells.chunks(columns).map(|cells| Row { label: String::new(), cells: cells.to_vec() });
    Grid { title: title.into(), note: String::new(), columns, rows: rows.collect() }.picture()
}

struct Grid {
    title: String,
    note: String,
    columns: usize,
    rows: Vec<Row>,
}

struct Row {
    label: String,
    cells: Vec<Cell>,
}

#[derive(Clone)]
struct Cell {
    image: Image,
    /// Lines under the image.
    caption: Vec<String>,
}

impl Cell {
    fn new(image: Image, caption: String) -> Cell {
        Cell { image, caption: caption.lines().map(String::from).collect() }
    }
}

impl Grid {
    fn picture(self) -> Result<Picture> {
        let images: usize = self.rows.iter().map(|row| row.cells.len()).sum();
        if !(1..=MOST_IMAGES).contains(&images) {
            let remedy = format!("give 1 to {MOST_IMAGES}");
            return Err(Error::invalid("number of images in a grid", images, remedy));
        }
        let height = self.rows.iter().map(|row| self.height(row)).sum::<u32>();
        Picture::draw((WIDTH, TITLE + height + MARGIN), &self)
    }

    /// Width of the labels on the left.
    fn label(&self) -> u32 {
        if self.rows.iter().all(|row| row.label.is_empty()) { 0 } else { 120 }
    }

    fn pitch(&self) -> u32 {
        ((WIDTH - 2 * MARGIN - self.label()) / self.columns as u32).min(CELL)
    }

    /// Width and height of a cell's image: whole multiples of its pixels where it is enlarged.
    fn size(&self, image: &Image) -> (u32, u32) {
        let room = self.pitch() - 6;
        let width = if room > image.width() { room - room % image.width() } else { room };
        let height = u64::from(width) * u64::from(image.height()) / u64::from(image.width());
        (width, (height as u32).clamp(1, 4 * CELL))
    }

    fn height(&self, row: &Row) -> u32 {
        let of = |cell: &Cell| self.size(&cell.image).1 + LINE * cell.caption.len() as u32;
        row.cells.iter().map(of).max().unwrap_or(0) + 8
    }

    /// Every cell with the upper left corner of its image.
    fn places(&self) -> Vec<(&Cell, (u32, u32))> {
        let mut places = Vec::new();
        let mut y = TITLE;
        for row in &self.rows {
            for (column, cell) in (0..).zip(&row.cells) {
                places.push((cell, (MARGIN + self.label() + column * self.pitch(), y)));
            }
            y += self.height(row);
        }
        places
    }
}

impl Draw for Grid {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        card(area, &self.title, &self.note)?;
        let mut y = TITLE;
        for row in &self.rows {
            let style = Style { size: 13, width: 112, ..Style::new(HPos::Left, VPos::Top) };
            text(area, &row.label, (MARGIN as i32, y as i32 + 2), style)?;
            y += self.height(row);
        }
        let style =
            Style { size: 11, width: self.pitch() - 6, ..Style::new(HPos::Left, VPos::Top) };
        for (cell, (x, y)) in self.places() {
            let below = y + self.size(&cell.image).1 + 2;
            for (line, caption) in (0..).zip(&cell.caption) {
                text(area, caption, (x as i32, (below + line * LINE) as i32), style)?;
            }
        }
        area.present().map_err(super::plot_error)
    }

    fn images(&self) -> Result<Vec<Placed>> {
        let placed = |(cell, at): (&Cell, _)| Placed::new(at, self.size(&cell.image), &cell.image);
        self.places().into_iter().map(placed).collect()
    }
}

impl Dataset {
    /// The first images of a split, with the names of their classes.
    ///
    /// # Errors
    /// Fewer images than `rows` x `columns`; no row; no column or more than 32.
    pub fn sample_grid(&self, split: Split, rows: usize, columns: usize) -> Result<Picture> {
        let set = self.split(split);
        let images = (0..rows.saturating_mul(columns).min(MOST_IMAGES + 1))
            .map(|index| Ok((set.image(index)?, self.classes[set.label(index)?].clone())))
            .collect::<Result<Vec<_>>>()?;
        image_grid(&self.name, &images, columns)
    }
}

impl Mistakes {
    /// The mistakes, each with its class, what it was taken for, and how surely.
    ///
    /// # Errors
    /// No mistake to show; a picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let cells: Vec<Cell> = self
            .shown
            .iter()
            .map(|mistake| {
                let Mistake { label, predicted, confidence, .. } = mistake;
                let caption =
                    format!("{label}, taken\nfor {predicted}\n{:.1} %", 100.0 * confidence);
                Cell::new(mistake.image.clone(), caption)
            })
            .collect();
        let rows = cells.chunks(8).map(|cells| Row { label: String::new(), cells: cells.to_vec() });
        let (mistakes, images) = (self.mistakes, self.images);
        Grid {
            title: "The mistakes that the network was surest of".into(),
            note: format!("{} of {mistakes} mistakes on {images} images", self.shown.len()),
            columns: 8,
            rows: rows.collect(),
        }
        .picture()
    }
}

impl Filters {
    /// Every filter as a small image: grey is 0, and the largest weight of a filter is full colour.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let size = self.weights.size();
        let (count, height, width) = (size[0] as usize, size[2] as u32, size[3] as u32);
        let cells = (0..count.min(MOST_IMAGES))
            .map(|filter| {
                let weights = self.weights.f_get(filter as i64)?;
                let weights = weights.f_permute([1, 2, 0])?.f_contiguous()?.f_view([-1])?;
                let weights = Vec::<f32>::try_from(weights)?;
                let largest = weights.iter().fold(f32::MIN_POSITIVE, |a, b| a.max(b.abs()));
                let byte = |weight: &f32| (127.5 * (1.0 + weight / largest)).round() as u8;
                let bytes = weights.iter().map(byte).collect();
                Ok(Cell::new(Image::from_bytes(height, width, bytes)?, String::new()))
            })
            .collect::<Result<Vec<Cell>>>()?;
        let rows =
            cells.chunks(16).map(|cells| Row { label: String::new(), cells: cells.to_vec() });
        Grid {
            title: format!("The filters of {}", self.layer),
            note: format!("{count} filters of {height}x{width}; grey is 0"),
            columns: 16,
            rows: rows.collect(),
        }
        .picture()
    }
}

impl FeatureMaps {
    /// The strongest maps of each branch, strongest first.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let mut rows = vec![Row {
            label: "image".into(),
            cells: vec![Cell::new(self.image.clone(), String::new())],
        }];
        for Branch { name, maps } in &self.branches {
            let means =
                Vec::<f64>::try_from(maps.f_mean_dim([1i64, 2].as_slice(), false, None)?)?;
            let mut order: Vec<usize> = (0..means.len()).collect();
            order.sort_by(|a, b| means[*b].total_cmp(&means[*a]));
            let (height, width) = (maps.size()[1] as u32, maps.size()[2] as u32);
            let cells = order
                .into_iter()
                .take(MAPS)
                .map(|channel| {
                    let map = maps.f_get(channel as i64)?.f_contiguous()?.f_view([-1])?;
                    let image = heat(&Vec::try_from(map)?, height, width)?;
                    Ok(Cell::new(image, format!("{channel}")))
                })
                .collect::<Result<_>>()?;
            rows.push(Row { label: name.clone(), cells });
        }
        Grid {
            title: format!("What {} answers to one image", self.layer),
            note: format!(
                "the {MAPS} channels of each branch with the largest means; dark is 0, yellow the \
                 largest value of the map"
            ),
            columns: MAPS,
            rows,
        }
        .picture()
    }
}

impl GradCam {
    /// The image, the map, and the map over the image.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let GradCam { image, layer, class, probability, size, map } = self;
        let heat = heat(map, size.0 as u32, size.1 as u32)?;
        let heat = heat.fitted(image.height(), image.width())?;
        let mixed = image.bytes().iter().zip(heat.bytes()).map(|(a, b)| a / 2 + b / 2).collect();
        let mixed = Image::from_bytes(image.height(), image.width(), mixed)?;
        let cells = [(image.clone(), "image"), (heat, layer), (mixed, "both")];
        let cells = cells.map(|(image, caption)| Cell::new(image, caption.into())).to_vec();
        Grid {
            title: format!("Grad-CAM: what speaks for {class}"),
            note: format!(
                "by the activations of {layer}; the network gives {class} {:.1} %",
                100.0 * probability
            ),
            columns: 3,
            rows: vec![Row { label: String::new(), cells }],
        }
        .picture()
    }
}

/// A map in colours from dark (0 and under) to yellow (its largest value).
fn heat(map: &[f32], height: u32, width: u32) -> Result<Image> {
    let largest = map.iter().copied().fold(0.0, f32::max);
    let scale = if largest > 0.0 { 1.0 / largest } else { 0.0 };
    let color = |value: &f32| {
        let RGBColor(r, g, b) = ViridisRGB::get_color((value * scale).clamp(0.0, 1.0));
        [r, g, b]
    };
    Image::from_bytes(height, width, map.iter().flat_map(color).collect())
}
