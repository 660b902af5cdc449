//! One photograph: from a JPEG or PNG file, or out of a set.

use std::io::{Cursor, Write as _};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage, imageops::FilterType};
use tch::{Device, Kind, Tensor};

use crate::{Error, ImageSet, Result};

/// An image as bytes: red, green and blue of a pixel side by side, row by row.
///
/// ```
/// use vision_data::*;
///
/// let image = Shapes10::generate(10, 0, 0)?.train.image(3)?;
/// assert_eq!((image.height(), image.width()), (32, 32));
/// assert_eq!(image.fitted(24, 48)?.width(), 48);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    pixels: RgbImage,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({}x{})", self.height(), self.width())
    }
}

impl Image {
    /// Reads a JPEG or PNG file, whatever its name ends in. It is turned upright as a camera's note
    /// in the file says; grey becomes colour, transparency is left out.
    ///
    /// # Errors
    /// A file that is missing, cut, or not a JPEG or PNG image; the message names it.
    pub fn open(path: impl AsRef<Path>) -> Result<Image> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let problem = |error: &dyn std::fmt::Display| Error::Data {
            path: path.to_path_buf(),
            problem: format!("cannot be read as an image ({error})"),
            remedy: "give a whole JPEG or PNG file".into(),
        };
        if is_cut_jpeg(&bytes) {
            return Err(problem(&"the end is missing"));
        }
        let decoded = || -> image::ImageResult<DynamicImage> {
            let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?;
            let mut decoder = reader.into_decoder()?;
            let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
            let mut decoded = DynamicImage::from_decoder(decoder)?;
            decoded.apply_orientation(orientation);
            Ok(decoded)
        };
        let decoded = decoded().map_err(|error| problem(&error))?;
        Ok(Image { pixels: decoded.to_rgb8() })
    }

    /// Writes it as a PNG file, byte for byte. Folders that are missing on the way there are made.
    ///
    /// # Errors
    /// A place that cannot be written to; the message names it.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        let file = std::fs::File::create(path).map_err(Error::io(path))?;
        let mut file = std::io::BufWriter::new(file);
        let written = self.pixels.write_to(&mut file, ImageFormat::Png);
        written.map_err(|error| match error {
            image::ImageError::IoError(error) => Error::io(path)(error),
            error => Error::io(path)(std::io::Error::other(error)),
        })?;
        file.flush().map_err(Error::io(path))
    }

    /// Takes bytes of shape (H, W, 3).
    ///
    /// # Errors
    /// Another number of bytes than `height` x `width` x 3, and an image without a pixel.
    pub fn from_bytes(height: u32, width: u32, bytes: Vec<u8>) -> Result<Image> {
        let count = bytes.len();
        let wanted = 3 * u64::from(height) * u64::from(width);
        RgbImage::from_raw(width, height, bytes)
            .filter(|_| count > 0 && count as u64 == wanted)
            .map(|pixels| Image { pixels })
            .ok_or_else(|| {
                let wanted = format!("give height x width x 3 for {height}x{width}, one at least");
                Error::invalid("number of bytes of an image", count, wanted)
            })
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.pixels.height()
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.pixels.width()
    }

    /// The bytes, (H, W, 3).
    pub fn bytes(&self) -> &[u8] {
        self.pixels.as_raw()
    }

    /// The image in another size: enlarged or reduced (bilinear, with antialiasing) until it covers
    /// `height` x `width`, then cropped about its middle.
    ///
    /// # Errors
    /// A size of 0.
    pub fn fitted(&self, height: u32, width: u32) -> Result<Image> {
        if height == 0 || width == 0 {
            return Err(Error::invalid(
                "image size",
                format!("{height}x{width}"),
                "give 1 or more",
            ));
        }
        if (height, width) == (self.height(), self.width()) {
            return Ok(self.clone());
        }
        let pixels = DynamicImage::from(self.pixels.clone());
        Ok(Image { pixels: pixels.resize_to_fill(width, height, FilterType::Triangle).to_rgb8() })
    }

    /// The bytes as a tensor: u8, (1, H, W, 3), on the CPU.
    ///
    /// # Errors
    /// [`Error::Torch`] where there is no room.
    pub fn tensor(&self) -> Result<Tensor> {
        let shape = [1, i64::from(self.height()), i64::from(self.width()), 3];
        Ok(Tensor::f_from_data_size(self.bytes(), &shape, Kind::Uint8)?)
    }
}

impl ImageSet {
    /// Image `index` of the set, counted from 0.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are fewer images.
    pub fn image(&self, index: usize) -> Result<Image> {
        if index >= self.len() {
            let remedy = format!("there are {}, counted from 0", self.len());
            return Err(Error::invalid("index of an image", index, remedy));
        }
        let pixels = self.images().f_get(index as i64)?.f_to_device(Device::Cpu)?;
        let bytes = Vec::<u8>::try_from(pixels.f_contiguous()?.f_view([-1])?)?;
        let (height, width) = self.image_size();
        Image::from_bytes(height as u32, width as u32, bytes)
    }

    /// The label of image `index`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are fewer images.
    pub fn label(&self, index: usize) -> Result<usize> {
        if index >= self.len() {
            let remedy = format!("there are {}, counted from 0", self.len());
            return Err(Error::invalid("index of a label", index, remedy));
        }
        Ok(self.labels().f_int64_value(&[index as i64])? as usize)
    }
}

/// Whether these are the bytes of a JPEG file without the marker that ends it. The decoder would
/// fill what is missing with grey.
fn is_cut_jpeg(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    let mut at = match bytes {
        [0xff, 0xd8, ..] => 2,
        _ => return false,
    };
    // Segments, one of which may hold a whole small JPEG, up to the first scan: a marker and two
    // bytes of length. Within a scan a marker can be nothing else.
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) {
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == START_OF_SCAN {
            return !bytes.get(at..).is_some_and(|scan| scan.windows(2).any(|w| w == [0xff, 0xd9]));
        }
    }
    // What comes here is cut before its first scan, or odd: the decoder says which.
    false
}
