//! Images within a picture.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::imageops::FilterType;
use image::{DynamicImage, RgbImage};

use crate::picture::encode_png;
use crate::{Error, Result};

/// An image as bytes: red, green and blue of a pixel side by side, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels(RgbImage);

impl Pixels {
    /// Takes `height` rows of `width` pixels.
    ///
    /// # Errors
    /// Another number of bytes than `width` x `height` x 3, and an image without a pixel.
    pub fn new(width: u32, height: u32, bytes: Vec<u8>) -> Result<Pixels> {
        let count = bytes.len();
        let wanted = 3 * u64::from(width) * u64::from(height);
        RgbImage::from_raw(width, height, bytes)
            .filter(|_| count > 0 && count as u64 == wanted)
            .map(Pixels)
            .ok_or_else(|| {
                let wanted = format!("give width x height x 3 for {width}x{height}, one at least");
                Error::invalid("number of bytes of an image", count, wanted)
            })
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.0.width()
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.0.height()
    }
}

/// An image at a place in a picture. Enlarged, its pixels stay squares; reduced, it is smoothed.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    at: (u32, u32),
    size: (u32, u32),
    image: RgbImage,
}

impl Placed {
    /// Puts an image with its upper left corner `at` (x, y), `size` pixels wide and high.
    pub(crate) fn new(at: (u32, u32), size: (u32, u32), image: &Pixels) -> Placed {
        let image = image.0.clone();
        let larger = image.width() > size.0 || image.height() > size.1;
        let image = match larger {
            true => DynamicImage::from(image)
                .resize_to_fill(size.0.max(1), size.1.max(1), FilterType::Triangle)
                .to_rgb8(),
            false => image,
        };
        Placed { at, size, image }
    }

    /// Paints over RGB pixels of a picture of this width and height, `scale` of them for each that
    /// place and size are given in.
    pub(crate) fn paint(&self, pixels: &mut [u8], (width, height): (u32, u32), scale: u32) {
        let (columns, rows) = self.image.dimensions();
        let (left, top) = (self.at.0 * scale, self.at.1 * scale);
        let size = (self.size.0 * scale, self.size.1 * scale);
        for y in 0..size.1.min(height.saturating_sub(top)) {
            for x in 0..size.0.min(width.saturating_sub(left)) {
                let (column, row) = (x * columns / size.0, y * rows / size.1);
                let from = 3 * (row * columns + column) as usize;
                let to = 3 * ((top + y) * width + left + x) as usize;
                pixels[to..to + 3].copy_from_slice(&self.image.as_raw()[from..from + 3]);
            }
        }
    }

    /// The element of an SVG document.
    pub(crate) fn svg(&self) -> Result<String> {
        let png = STANDARD.encode(encode_png(self.image.as_raw(), self.image.dimensions())?);
        let ((x, y), (width, height)) = (self.at, self.size);
        Ok(format!(
            "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
             preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" \
             href=\"data:image/png;base64,{png}\"/>\n"
        ))
    }
}
