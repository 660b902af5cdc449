//! Images in rows: samples, mistakes, filters, feature maps, Grad-CAM.

use charts::palette::{Rgb, heat};
use charts::{Cell, Grid, MOST_IMAGES, Picture, Pixels, Row};
use notebook::number::counted;
use tch::Tensor;
use vision_data::{Dataset, Image, Split};

use crate::Result;
use crate::interpret::{Branch, FeatureMaps, Filters, GradCam, Mistake, Mistakes};

/// Maps shown of a branch beside others.
const MAPS: usize = 10;
/// Maps in a row where all of a branch are shown and are more than [`FEW`].
const COLUMNS: usize = 16;
const FEW: usize = 64;

/// Images with a text of a few lines under each, `columns` in a row.
///
/// # Errors
/// No image, more than 1024 or more than 32 in a row; a picture that cannot be drawn.
pub fn image_grid(title: &str, images: &[(Image, String)], columns: usize) -> Result<Picture> {
    let cells = images.iter().map(|(image, caption)| cell(image, caption));
    Ok(Grid::of(title, columns, cells.collect::<Result<_>>()?).picture()?)
}

/// A data set's images as a picture.
pub trait SampleGrid {
    /// The first images of a split, with the names of their classes.
    ///
    /// # Errors
    /// Fewer images than `rows` x `columns`; no row; no column or more than 32.
    fn sample_grid(&self, split: Split, rows: usize, columns: usize) -> Result<Picture>;
}

impl SampleGrid for Dataset {
    fn sample_grid(&self, split: Split, rows: usize, columns: usize) -> Result<Picture> {
        let set = self.split(split);
        let images = (0..rows.saturating_mul(columns).min(MOST_IMAGES + 1))
            .map(|index| Ok((set.image(index)?, self.classes[set.label(index)?].clone())))
            .collect::<Result<Vec<_>>>()?;
        image_grid(&self.name, &images, columns)
    }
}

/// An image as charts take it.
pub(super) fn pixels(image: &Image) -> Result<Pixels> {
    Ok(Pixels::new(image.width(), image.height(), image.bytes().to_vec())?)
}

fn cell(image: &Image, caption: &str) -> Result<Cell> {
    Ok(Cell::new(pixels(image)?, caption))
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
                cell(&mistake.image, &caption)
            })
            .collect::<Result<_>>()?;
        let (mistakes, images) = (self.mistakes, self.images);
        let note = format!("{} of {mistakes} mistakes on {images} images", self.shown.len());
        let title = "The mistakes that the network was surest of";
        Ok(Grid { note, ..Grid::of(title, 8, cells) }.picture()?)
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
                Ok(Cell::new(Pixels::new(width, height, bytes)?, ""))
            })
            .collect::<Result<Vec<Cell>>>()?;
        let note = format!("{count} filters of {height}x{width}; grey is 0");
        let title = format!("The filters of {}", self.layer);
        Ok(Grid { note, ..Grid::of(title, 16, cells) }.picture()?)
    }
}

impl FeatureMaps {
    /// The strongest maps of each branch, strongest first.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let mut rows = vec![self.image_row()?];
        for Branch { name, maps, .. } in &self.branches {
            let means =
                Vec::<f64>::try_from(maps.f_mean_dim([1i64, 2].as_slice(), false, None)?)?;
            let mut order: Vec<usize> = (0..means.len()).collect();
            order.sort_by(|a, b| means[*b].total_cmp(&means[*a]));
            let cells = order.into_iter().take(MAPS).map(|channel| map_cell(maps, channel, None));
            let label = format!("{name}: {}", means.len());
            rows.push(Row { label, cells: cells.collect::<Result<_>>()? });
        }
        let maps: i64 = self.branches.iter().map(|branch| branch.maps.size()[0]).sum();
        let grid = Grid {
            title: format!("What {} answers to one image: {maps} maps", self.layer),
            note: format!(
                "the {MAPS} maps of each branch with the largest means, each over the number of its channel; \
                 dark is 0, yellow the largest value of the map"
            ),
            columns: MAPS,
            rows,
        };
        Ok(grid.picture()?)
    }

    /// All maps of one branch in the order of their channels, so that each has its place whatever the
    /// image; of a branch with more than 1023 the first ones.
    ///
    /// # Errors
    /// As [`FeatureMaps::branch`]; a picture that cannot be drawn.
    pub fn branch_picture(&self, branch: &str) -> Result<Picture> {
        let Branch { name, receptive_field, maps } = self.branch(branch)?;
        let count = maps.size()[0] as usize;
        let largest = maps.f_max()?.f_double_value(&[])? as f32;
        let columns = if count <= FEW { MAPS } else { COLUMNS };
        let cells = (0..count.min(MOST_IMAGES - 1))
            .map(|channel| map_cell(maps, channel, Some(largest)))
            .collect::<Result<_>>()?;
        let mut rows = vec![self.image_row()?];
        rows.extend(Grid::of("", columns, cells).rows);
        if let Some(first) = rows.get_mut(1) {
            first.label.clone_from(name);
        }
        let grid = Grid {
            title: format!(
                "What {name} of {} answers to one image: {}",
                self.layer,
                counted(count, "map")
            ),
            note: format!(
                "one value depends on a window of {receptive_field}x{receptive_field} pixels; \
                 dark is 0, yellow the largest value of all maps"
            ),
            columns,
            rows,
        };
        Ok(grid.picture()?)
    }

    fn image_row(&self) -> Result<Row> {
        Ok(Row { label: "image".into(), cells: vec![cell(&self.image, "")?] })
    }
}

/// A channel of maps (C, H, W) over its number, in colours up to this value or to its own largest.
fn map_cell(maps: &Tensor, channel: usize, largest: Option<f32>) -> Result<Cell> {
    let (height, width) = (maps.size()[1] as u32, maps.size()[2] as u32);
    let map = Vec::try_from(maps.f_get(channel as i64)?.f_contiguous()?.f_view([-1])?)?;
    cell(&heat_map(&map, largest, height, width)?, &channel.to_string())
}

impl GradCam {
    /// The image, the map, and the map over the image.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let GradCam { image, layer, class, probability, size, map } = self;
        let heat = heat_map(map, None, size.0 as u32, size.1 as u32)?;
        let heat = heat.fitted(image.height(), image.width())?;
        let mixed = image.bytes().iter().zip(heat.bytes()).map(|(a, b)| a / 2 + b / 2).collect();
        let mixed = Image::from_bytes(image.height(), image.width(), mixed)?;
        let cells = vec![cell(image, "image")?, cell(&heat, layer)?, cell(&mixed, "both")?];
        let note = format!(
            "by the activations of {layer}; the network gives {class} {:.1} %",
            100.0 * probability
        );
        let title = format!("Grad-CAM: what speaks for {class}");
        Ok(Grid { note, ..Grid::of(title, 3, cells) }.picture()?)
    }
}

/// A map in colours from dark (0 and under) to yellow: this value, or the map's largest.
fn heat_map(map: &[f32], largest: Option<f32>, height: u32, width: u32) -> Result<Image> {
    let largest = largest.unwrap_or_else(|| map.iter().copied().fold(0.0, f32::max));
    let scale = if largest > 0.0 { 1.0 / largest } else { 0.0 };
    let color = |value: &f32| {
        let Rgb(red, green, blue) = heat(value * scale);
        [red, green, blue]
    };
    Ok(Image::from_bytes(height, width, map.iter().flat_map(color).collect())?)
}
