//! Pictures for notebooks and files: PNG and SVG by plotters, with a font of our own, so that they
//! look the same on every machine.
//!
//! ```
//! use googlenet_lib::prelude::*;
//!
//! let data = Shapes10::generate(40, 10, 0)?;
//! let picture = data.sample_grid(Split::Train, 4, 10)?;
//! assert!(picture.svg().contains("circle") && picture.png().starts_with(b"\x89PNG"));
//! # Ok::<(), Error>(())
//! ```

mod bars;
mod calibration;
mod confusion;
mod diagram;
mod grid;
mod lines;
mod loss;
mod panel;
mod placed;
mod scene;
mod text;

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use plotters_bitmap::BitMapBackend;

pub use bars::{BarGroup, bar_chart};
pub use diagram::{
    cost_bars, gap_versus_fc, inception_block, network_diagram, pointwise_convolution,
};
pub use grid::image_grid;
pub use lines::line_chart;
pub use loss::loss_curve;
use placed::Placed;

use crate::{Error, Result, file};

/// Width of every picture: that of a notebook's page.
const WIDTH: u32 = 960;

/// A finished picture, as SVG and as PNG.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Width and height of the SVG.
    size: (u32, u32),
    svg: String,
    png: Vec<u8>,
}

impl Picture {
    /// Draws the same picture twice, for SVG and for PNG, `size` pixels wide and high.
    fn draw<D: Draw>(size: (u32, u32), drawing: &D) -> Result<Picture> {
        Picture::draw_scaled(size, 1, drawing)
    }

    /// The same with `scale` pixels of the PNG for each of the SVG. The drawing must look at the
    /// size of its area.
    fn draw_scaled<D: Draw>(size: (u32, u32), scale: u32, drawing: &D) -> Result<Picture> {
        register_fonts()?;
        let mut svg = String::new();
        drawing.draw(&SVGBackend::with_string(&mut svg, size).into_drawing_area())?;
        let pixel_size = (size.0 * scale, size.1 * scale);
        let mut pixels = vec![0; pixel_size.0 as usize * pixel_size.1 as usize * 3];
        drawing.draw(&BitMapBackend::with_buffer(&mut pixels, pixel_size).into_drawing_area())?;
        let images = drawing.images()?;
        let end = svg.rfind("</svg>").unwrap_or(svg.len());
        let elements = images.iter().map(Placed::svg).collect::<Result<String>>()?;
        svg.insert_str(end, &elements);
        images.iter().for_each(|image| image.paint(&mut pixels, pixel_size, scale));
        Ok(Picture { size, svg, png: encode_png(&pixels, pixel_size)? })
    }

    /// The picture as an SVG document.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The picture as a PNG file.
    pub fn png(&self) -> &[u8] {
        &self.png
    }

    /// Writes it to a file, as SVG or PNG after the file name's ending.
    ///
    /// # Errors
    /// Another ending, and a place that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("svg") => file::write_bytes(path, self.svg.as_bytes()),
            Some("png") => file::write_bytes(path, &self.png),
            _ => Err(Error::invalid(
                "picture file",
                format!("'{}'", path.display()),
                "give a name that ends in .svg or .png",
            )),
        }
    }

    /// Shows it in an evcxr notebook.
    pub fn evcxr_display(&self) {
        println!("EVCXR_BEGIN_CONTENT image/svg+xml\n{}\nEVCXR_END_CONTENT", self.fitting_svg());
    }

    /// The SVG document for a page: as wide as there is room, and no wider than it was drawn.
    /// JupyterLab cuts off what is wider than its page.
    pub(crate) fn fitting_svg(&self) -> String {
        let (width, height) = self.size;
        let fixed = format!("width=\"{width}\" height=\"{height}\" viewBox");
        let fitting = format!("width=\"100%\" style=\"max-width:{width}px\" viewBox");
        self.svg.replacen(&fixed, &fitting, 1)
    }
}

/// Something that can be drawn on any of plotters' backends.
trait Draw {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()>;

    /// Images that come on top of it.
    fn images(&self) -> Result<Vec<Placed>> {
        Ok(Vec::new())
    }
}

/// Lets a value that has a `picture` show it in an evcxr notebook.
macro_rules! shows_its_picture {
    ($($type:ty),+) => {$(
        impl $type {
            /// Shows the picture in an evcxr notebook.
            pub fn evcxr_display(&self) {
                match self.picture() {
                    Ok(picture) => picture.evcxr_display(),
                    Err(error) => println!("{error}"),
                }
            }
        }
    )+};
}
shows_its_picture!(
    crate::look::Calibration,
    crate::look::Confusion,
    crate::look::FeatureMaps,
    crate::look::Filters,
    crate::look::GradCam,
    crate::look::GradientNorms,
    crate::look::Likeliest,
    crate::look::Mistakes
);

fn register_fonts() -> Result<()> {
    register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| Error::Plot("the built-in font cannot be read".into()))
}

/// For `map_err`: what plotters says, as our error.
fn plot_error(error: impl std::fmt::Display) -> Error {
    Error::Plot(error.to_string())
}

/// RGB pixels, row by row, as a PNG file.
fn encode_png(pixels: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().map_err(plot_error)?;
    writer.write_image_data(pixels).map_err(plot_error)?;
    writer.finish().map_err(plot_error)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_narrower_than_the_picture_shows_all_of_it() {
        let points = vec![(0.0, 0.0), (1.0, 1.0)];
        let picture = line_chart("title", "", ("x", "y"), &[("line", points)]).unwrap();
        assert!(picture.svg().starts_with("<svg width=\"960\" height=\"400\" viewBox"));
        let fitting = picture.fitting_svg();
        assert!(fitting.starts_with("<svg width=\"100%\" style=\"max-width:960px\" viewBox"));
    }
}
