//! Pictures one below the other.

use crate::picture::{Bitmap, Paint};
use crate::{Error, Picture, Result};

/// One picture of several, one below the other in their order, each with its own title. It is as wide as
/// the widest; beside narrower ones it is white.
///
/// ```
/// let chart = |title| charts::line_chart(title, "", ("x", "y"), &[("a", vec![(0.0, 1.0)])]);
/// let both = charts::stacked(&[chart("before")?, chart("after")?])?;
/// assert_eq!(both.size(), (960, 800));
/// # Ok::<(), charts::Error>(())
/// ```
///
/// # Errors
/// No picture.
pub fn stacked(pictures: &[Picture]) -> Result<Picture> {
    if pictures.is_empty() {
        return Err(Error::invalid("number of pictures", 0, "give at least one"));
    }
    let width = pictures.iter().map(|picture| picture.size().0).max().unwrap_or(0);
    let height = pictures.iter().map(|picture| picture.size().1).sum();
    let mut svg = format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         xmlns=\"http://www.w3.org/2000/svg\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#FFFFFF\"/>\n"
    );
    let mut y = 0;
    for picture in pictures {
        svg += &picture.svg().replacen("<svg ", &format!("<svg x=\"0\" y=\"{y}\" "), 1);
        y += picture.size().1;
    }
    svg += "</svg>\n";
    Ok(Picture::new((width, height), svg, Stack(pictures.to_vec())))
}

#[derive(Debug)]
struct Stack(Vec<Picture>);

impl Paint for Stack {
    fn paint(&self) -> Result<Bitmap> {
        let parts = self.0.iter().map(Picture::paint).collect::<Result<Vec<_>>>()?;
        // All as fine as the finest, so that they keep their sizes beside each other.
        let scale = parts.iter().map(|part| part.scale).max().unwrap_or(1);
        let parts: Vec<Bitmap> = parts.into_iter().map(|part| enlarged(part, scale)).collect();
        let width = parts.iter().map(|part| part.size.0).max().unwrap_or(0);
        let height = parts.iter().map(|part| part.size.1).sum();
        let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
        for Bitmap { pixels: part, size, .. } in parts {
            for row in part.chunks(3 * size.0 as usize) {
                pixels.extend_from_slice(row);
                pixels.resize(pixels.len() + 3 * (width - size.0) as usize, 255);
            }
        }
        Ok(Bitmap { pixels, size: (width, height), scale })
    }
}

/// The same picture with `scale` pixels for each of its SVG, of which it has a divisor.
fn enlarged(Bitmap { pixels, size: (width, height), scale: from }: Bitmap, scale: u32) -> Bitmap {
    let times = scale / from;
    if times == 1 {
        return Bitmap { pixels, size: (width, height), scale };
    }
    let mut large = Vec::with_capacity(pixels.len() * (times * times) as usize);
    for row in pixels.chunks(3 * width as usize) {
        let row: Vec<u8> = row.chunks(3).flat_map(|pixel| pixel.repeat(times as usize)).collect();
        (0..times).for_each(|_| large.extend_from_slice(&row));
    }
    Bitmap { pixels: large, size: (width * times, height * times), scale: from * times }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palette::BLUE;
    use crate::{Rect, Scene, WIDTH, line_chart};

    fn chart(title: &str) -> Picture {
        line_chart(title, "", ("x", "y"), &[("a", vec![(0.0, 1.0)])]).unwrap()
    }

    fn pixels(picture: &Picture) -> image::RgbImage {
        image::load_from_memory(picture.png().unwrap()).unwrap().to_rgb8()
    }

    #[test]
    fn all_parts_are_there_one_below_the_other() {
        let parts = [chart("first"), chart("second"), chart("third")];
        let picture = stacked(&parts).unwrap();
        assert_eq!(picture.size(), (WIDTH, 1200));
        for expected in
            ["first", "second", "third", "<svg x=\"0\" y=\"400\" ", "<svg x=\"0\" y=\"800\" "]
        {
            assert!(picture.svg().contains(expected), "no '{expected}'");
        }
        assert_eq!(picture.svg().matches("<svg ").count(), picture.svg().matches("</svg>").count());
        let whole = pixels(&picture);
        assert_eq!(whole.dimensions(), (WIDTH, 1200));
        let rows: Vec<u8> = parts.iter().flat_map(|part| pixels(part).into_raw()).collect();
        assert_eq!(whole.into_raw(), rows);
        // A stack is a picture like any other.
        assert_eq!(stacked(&[picture.clone(), picture]).unwrap().size(), (WIDTH, 2400));
        let error = stacked(&[]).unwrap_err().to_string();
        assert_eq!(error, "number of pictures is 0: give at least one");
    }

    #[test]
    fn parts_keep_their_sizes_beside_finer_and_wider_ones() {
        let mut scene = Scene::new(100, "fine", "").fine();
        scene.rect(Rect::new(0, 90, 10, 10), BLUE, None);
        let narrow = Picture::new((2, 1), "<svg ></svg>".into(), Dots);
        let whole = pixels(&stacked(&[narrow, scene.picture().unwrap()]).unwrap());
        assert_eq!(whole.dimensions(), (2 * WIDTH, 2 * 101));
        let at = |x, y| whole.get_pixel(x, y).0;
        assert_eq!([at(0, 0), at(1, 1), at(2, 0), at(3, 1)], [[1; 3], [1; 3], [2; 3], [2; 3]]);
        assert_eq!([at(4, 0), at(2 * WIDTH - 1, 1)], [[255; 3]; 2]);
        assert_eq!(at(10, 2 + 190), [BLUE.0, BLUE.1, BLUE.2]);
    }

    #[derive(Debug)]
    struct Dots;

    impl Paint for Dots {
        fn paint(&self) -> Result<Bitmap> {
            Ok(Bitmap { pixels: vec![1, 1, 1, 2, 2, 2], size: (2, 1), scale: 1 })
        }
    }
}
