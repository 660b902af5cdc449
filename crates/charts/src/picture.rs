//! A finished picture: drawn as SVG, as PNG when that is asked for, written, shown.

use std::fmt::Debug;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use notebook::Show;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use plotters_bitmap::BitMapBackend;

use crate::pixels::Placed;
use crate::text::with_measured_letters;
use crate::{Error, Result};

/// A finished picture, as SVG and as PNG.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Width and height of the SVG.
    size: (u32, u32),
    svg: String,
    /// Drawn when it is asked for: it takes twenty times as long as the SVG, which is all that a
    /// notebook shows.
    png: Arc<Png>,
}

/// The PNG file of a picture and all its clones.
#[derive(Debug)]
struct Png {
    drawing: Box<dyn Paint>,
    file: OnceLock<Vec<u8>>,
}

impl Picture {
    /// Draws a picture that is `size` pixels wide and high.
    pub(crate) fn draw<D: Draw>(size: (u32, u32), drawing: D) -> Result<Picture> {
        Picture::draw_scaled(size, 1, drawing)
    }

    /// The same with `scale` pixels of the PNG for each of the SVG.
    pub(crate) fn draw_scaled<D: Draw>(
        size: (u32, u32),
        scale: u32,
        drawing: D,
    ) -> Result<Picture> {
        register_fonts()?;
        let mut svg = String::new();
        drawing.draw(&SVGBackend::with_string(&mut svg, size).into_drawing_area(), 1)?;
        let mut svg = with_measured_letters(&svg)?;
        let end = svg.rfind("</svg>").unwrap_or(svg.len());
        let images = drawing.images();
        let elements = images.iter().map(|image| image.svg()).collect::<Result<String>>()?;
        svg.insert_str(end, &elements);
        Ok(Picture::new(size, svg, Drawn { size, scale, drawing }))
    }

    pub(crate) fn new(size: (u32, u32), svg: String, drawing: impl Paint + 'static) -> Picture {
        let png = Arc::new(Png { drawing: Box::new(drawing), file: OnceLock::new() });
        Picture { size, svg, png }
    }

    /// Width and height in pixels, as a page shows it.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The picture as an SVG document.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The picture as a PNG file, drawn at the first call.
    ///
    /// # Errors
    /// A picture that cannot be drawn or encoded.
    pub fn png(&self) -> Result<&[u8]> {
        let Png { drawing, file } = &*self.png;
        if let Some(bytes) = file.get() {
            return Ok(bytes);
        }
        let Bitmap { pixels, size, .. } = drawing.paint()?;
        let bytes = encode_png(&pixels, size)?;
        Ok(file.get_or_init(|| bytes))
    }

    pub(crate) fn paint(&self) -> Result<Bitmap> {
        self.png.drawing.paint()
    }

    /// Writes it to a file, as SVG or PNG after the file name's ending.
    ///
    /// # Errors
    /// Another ending, a place that cannot be written, and a PNG that cannot be drawn.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = match path.extension().and_then(|ending| ending.to_str()) {
            Some("svg") => self.svg.as_bytes(),
            Some("png") => self.png()?,
            _ => {
                return Err(Error::invalid(
                    "picture file",
                    format!("'{}'", path.display()),
                    "give a name that ends in .svg or .png",
                ));
            }
        };
        write(path, bytes).map_err(Error::io(path))
    }

    /// Shows it in an evcxr notebook.
    pub fn evcxr_display(&self) {
        notebook::at_end_of_cell(self);
    }

    /// The SVG document for a page: as wide as there is room, and no wider than it was drawn.
    /// JupyterLab cuts off what is wider than its page.
    fn fitting_svg(&self) -> String {
        let (width, height) = self.size;
        let fixed = format!("width=\"{width}\" height=\"{height}\" viewBox");
        let fitting = format!("width=\"100%\" style=\"max-width:{width}px\" viewBox");
        self.svg.replacen(&fixed, &fitting, 1)
    }
}

impl Show for Picture {
    fn content(&self) -> Vec<(&'static str, String)> {
        vec![("image/svg+xml", self.fitting_svg())]
    }
}

/// Something that can be drawn on any of plotters' backends.
pub(crate) trait Draw: Debug + Send + Sync + 'static {
    /// `scale` pixels of the area are one of the drawing.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>;

    /// Images that come on top of it.
    fn images(&self) -> Vec<&Placed> {
        Vec::new()
    }
}

/// RGB pixels, row by row.
#[derive(Debug)]
pub(crate) struct Bitmap {
    pub(crate) pixels: Vec<u8>,
    /// Width and height.
    pub(crate) size: (u32, u32),
    /// How many of them are one of the SVG, from side to side.
    pub(crate) scale: u32,
}

/// What gives a picture's pixels.
pub(crate) trait Paint: Debug + Send + Sync {
    fn paint(&self) -> Result<Bitmap>;
}

#[derive(Debug)]
struct Drawn<D> {
    size: (u32, u32),
    scale: u32,
    drawing: D,
}

impl<D: Draw> Paint for Drawn<D> {
    fn paint(&self) -> Result<Bitmap> {
        let Drawn { size, scale, drawing } = self;
        let size = (size.0 * scale, size.1 * scale);
        let mut pixels = vec![0; size.0 as usize * size.1 as usize * 3];
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        drawing.draw(&area, *scale)?;
        drop(area);
        drawing.images().iter().for_each(|image| image.paint(&mut pixels, size, *scale));
        Ok(Bitmap { pixels, size, scale: *scale })
    }
}

/// Writes a file beside its place and renames it, so that one of this name is always whole. The folder
/// is made if it is missing.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // As readable as any other new file: a temporary one is its owner's alone.
    let everybody = std::fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(everybody).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

pub(crate) fn register_fonts() -> Result<()> {
    register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| Error::Drawing("the built-in font cannot be read".into()))
}

/// RGB pixels, row by row, as a PNG file.
pub(crate) fn encode_png(pixels: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(Error::drawing)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line_chart;

    #[test]
    fn a_page_narrower_than_the_picture_shows_all_of_it() {
        let points = vec![(0.0, 0.0), (1.0, 1.0)];
        let picture = line_chart("title", "", ("x", "y"), &[("line", points)]).unwrap();
        assert!(picture.svg().starts_with("<svg width=\"960\" height=\"400\" viewBox"));
        let fitting = picture.fitting_svg();
        assert!(fitting.starts_with("<svg width=\"100%\" style=\"max-width:960px\" viewBox"));
    }

    #[test]
    fn a_file_is_whole_and_as_readable_as_any() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("new/picture.svg"), folder.path().join("other"));
        for words in ["first", "second"] {
            let points = vec![(0.0, 0.0), (1.0, 1.0)];
            let picture = line_chart(words, "", ("x", "y"), &[("line", points)]).unwrap();
            picture.save(&path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), picture.svg());
        }
        std::fs::write(&other, "").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn clones_have_one_png_and_it_is_drawn_once() {
        let points = vec![(0.0, 0.0), (1.0, 1.0)];
        let picture = line_chart("title", "", ("x", "y"), &[("line", points)]).unwrap();
        let clone = picture.clone();
        assert!(picture.png.file.get().is_none());
        let png = picture.png().unwrap();
        assert!(std::ptr::eq(png, clone.png().unwrap()));
        let read = image::load_from_memory(png).unwrap();
        assert_eq!((read.width(), read.height()), picture.size());
    }

    #[test]
    fn a_png_that_cannot_be_drawn_is_told() {
        #[derive(Debug)]
        struct Broken;
        impl Paint for Broken {
            fn paint(&self) -> Result<Bitmap> {
                Err(Error::drawing("no memory"))
            }
        }
        let picture = Picture::new((1, 1), String::new(), Broken);
        let path = tempfile::tempdir().unwrap().path().join("picture.png");
        for error in [picture.png().map(|_| ()).unwrap_err(), picture.save(&path).unwrap_err()] {
            assert_eq!(error.to_string(), "plot: no memory");
        }
        assert!(!path.exists());
    }
}
