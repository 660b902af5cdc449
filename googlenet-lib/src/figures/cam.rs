//! Class activation maps in two colours.

use charts::palette::{BLUE, ORANGE, Rgb, tint};
use charts::{Cell, Grid, Picture};
use vision_data::Image;

use super::images::pixels;
use crate::Result;
use crate::interpret::ActivationMap;

impl ActivationMap {
    /// The image, the map, and the map over the image: orange speaks for the class, blue against it, white
    /// is 0.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        self.captioned("image")
    }

    /// [`ActivationMap::picture`] with a caption of your own under the image, such as what it shows.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn captioned(&self, caption: &str) -> Result<Picture> {
        let ActivationMap { image, layer, class, probability, logit, bias, size, map } = self;
        let map = in_two_colors(map, size.0 as u32, size.1 as u32)?;
        let map = map.fitted(image.height(), image.width())?;
        let mixed = image.bytes().iter().zip(map.bytes()).map(|(a, b)| a / 2 + b / 2).collect();
        let mixed = Image::from_bytes(image.height(), image.width(), mixed)?;
        let cells = [(image, caption), (&map, layer.as_str()), (&mixed, "both")]
            .map(|(image, caption)| Ok(Cell::new(pixels(image)?, caption)));
        let note = format!(
            "orange speaks for it, blue against it; mean {:.2} and bias {bias:.2} are the logit \
             {logit:.2}; probability {:.1} %",
            logit - bias,
            100.0 * probability
        );
        let title = format!("Class activation map: what speaks for {class}");
        let cells = cells.into_iter().collect::<Result<_>>()?;
        Ok(Grid { note, ..Grid::of(title, 3, cells) }.picture()?)
    }
}

/// A map in orange above 0 and blue under it; what is farthest from 0 has the full colour.
fn in_two_colors(map: &[f32], height: u32, width: u32) -> Result<Image> {
    let largest = map.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let color = |value: &f32| {
        let full = if *value > 0.0 { ORANGE } else { BLUE };
        let Rgb(red, green, blue) = tint(full, f64::from(value.abs() / largest));
        [red, green, blue]
    };
    Ok(Image::from_bytes(height, width, map.iter().flat_map(color).collect())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_white_and_the_farthest_has_the_full_color() {
        let Rgb(red, green, blue) = ORANGE;
        let image = in_two_colors(&[0.0, 2.0, -1.0], 1, 3).unwrap();
        assert_eq!(image.bytes()[..6], [255, 255, 255, red, green, blue]);
        let Rgb(red, green, blue) = tint(BLUE, 0.5);
        assert_eq!(image.bytes()[6..], [red, green, blue]);
        assert_eq!(in_two_colors(&[0.0], 1, 1).unwrap().bytes(), [255; 3]);
    }

    #[test]
    fn the_image_has_the_caption_that_is_given() {
        let map = ActivationMap {
            image: Image::from_bytes(2, 2, vec![9; 12]).unwrap(),
            layer: "inception_3b".into(),
            class: "cat".into(),
            probability: 0.5,
            logit: 2.0,
            bias: 1.0,
            size: (1, 2),
            map: vec![1.5, 0.5],
        };
        assert!(map.captioned("image 7: dog").unwrap().svg().contains("image 7: dog"));
        assert!(map.picture().unwrap().svg().contains("image"));
    }
}
