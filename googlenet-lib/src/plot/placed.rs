//! Photographs and maps within a picture.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::encode_png;
use crate::Result;
use crate::data::Image;

/// An image at a place in a picture. Enlarged, its pixels stay squares; reduced, it is smoothed.
pub(super) struct Placed {
    at: (u32, u32),
    size: (u32, u32),
    image: Image,
}

impl Placed {
    /// Puts an image with its upper left corner `at` (x, y), `size` pixels wide and high.
    pub(super) fn new(at: (u32, u32), size: (u32, u32), image: &Image) -> Result<Placed> {
        let larger = image.width() > size.0 || image.height() > size.1;
        let image = if larger { image.fitted(size.1, size.0)? } else { image.clone() };
        Ok(Placed { at, size, image })
    }

    /// Paints over RGB pixels of a picture of this width and height, `scale` of them for each that
    /// place and size are given in.
    pub(super) fn paint(&self, pixels: &mut [u8], (width, height): (u32, u32), scale: u32) {
        let (columns, rows) = (self.image.width(), self.image.height());
        let (left, top) = (self.at.0 * scale, self.at.1 * scale);
        let size = (self.size.0 * scale, self.size.1 * scale);
        for y in 0..size.1.min(height.saturating_sub(top)) {
            for x in 0..size.0.min(width.saturating_sub(left)) {
                let (column, row) = (x * columns / size.0, y * rows / size.1);
                let from = 3 * (row * columns + column) as usize;
                let to = 3 * ((top + y) * width + left + x) as usize;
                pixels[to..to + 3].copy_from_slice(&self.image.bytes()[from..from + 3]);
            }
        }
    }

    /// The element of an SVG document.
    pub(super) fn svg(&self) -> Result<String> {
        let size = (self.image.width(), self.image.height());
        let png = STANDARD.encode(encode_png(self.image.bytes(), size)?);
        let ((x, y), (width, height)) = (self.at, self.size);
        Ok(format!(
            "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
             preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" \
             href=\"data:image/png;base64,{png}\"/>\n"
        ))
    }
}
