//! The colours of all pictures. Those of [`SERIES`] can be told apart also by those who see red and green
//! as one.

use plotters::style::RGBColor;
use plotters::style::colors::colormaps::ViridisRGB;

/// Red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl From<Rgb> for RGBColor {
    fn from(Rgb(red, green, blue): Rgb) -> RGBColor {
        RGBColor(red, green, blue)
    }
}

/// The card.
pub const WHITE: Rgb = Rgb(255, 255, 255);
/// Words and axes.
pub const INK: Rgb = Rgb(40, 40, 40);
/// Words that matter less, and the edges of boxes.
pub const FAINT: Rgb = Rgb(110, 110, 110);
/// What is shown but does not count.
pub const PALE: Rgb = Rgb(185, 185, 185);
/// Lines behind the data.
pub const GRID: Rgb = Rgb(225, 225, 225);

/// The first series, and what is right.
pub const BLUE: Rgb = Rgb(31, 119, 180);
/// The second series, and what is wrong.
pub const ORANGE: Rgb = Rgb(214, 95, 14);
/// The colours of the series of a chart, in their order.
pub const SERIES: [Rgb; 6] =
    [BLUE, ORANGE, Rgb(0, 140, 110), Rgb(170, 70, 150), FAINT, Rgb(225, 170, 0)];

/// What was measured on the images that a network learns from.
pub const TRAINING: Rgb = BLUE;
/// What was measured on images that it has not learned from.
pub const TEST: Rgb = ORANGE;

/// The colours of series of these names: [`TRAINING`] and [`TEST`] for the first one whose name begins
/// with the word, in every chart, and the others in their order; none twice for up to six.
pub fn colors(names: &[&str]) -> Vec<Rgb> {
    let first = |word: &str| names.iter().position(|name| begins_with(name, word));
    let named = [(first("training"), TRAINING), (first("test"), TEST)];
    let given = |place| named.iter().find(|(at, _)| *at == Some(place)).map(|(_, color)| *color);
    let (kept, free): (Vec<Rgb>, Vec<Rgb>) = match named {
        [(None, _), (None, _)] => (Vec::new(), SERIES.to_vec()),
        // A third series in a colour of those two would be taken for one of them.
        _ => SERIES.iter().partition(|color| [TRAINING, TEST].contains(color)),
    };
    let taken: Vec<Rgb> = (0..names.len()).filter_map(given).collect();
    let mut free = free.into_iter().chain(kept.into_iter().filter(|color| !taken.contains(color)));
    let color = |place| given(place).or_else(|| free.next()).unwrap_or(FAINT);
    (0..names.len()).map(color).collect()
}

/// Whether the first word of a name is this one, in letters of any case.
fn begins_with(name: &str, word: &str) -> bool {
    let first = name.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
    first.eq_ignore_ascii_case(word)
}

/// A box that texts stand on.
pub const BLUE_BOX: Rgb = Rgb(200, 221, 245);
/// A box that texts stand on.
pub const RED_BOX: Rgb = Rgb(248, 207, 202);
/// A box that texts stand on.
pub const GREEN_BOX: Rgb = Rgb(205, 232, 205);
/// A box that texts stand on.
pub const YELLOW_BOX: Rgb = Rgb(252, 238, 190);
/// A box that texts stand on.
pub const GREY_BOX: Rgb = Rgb(240, 240, 240);

/// From dark for 0 and less to yellow for 1 and more.
pub fn heat(value: f32) -> Rgb {
    let RGBColor(red, green, blue) = ViridisRGB::get_color(value.clamp(0.0, 1.0));
    Rgb(red, green, blue)
}

/// `color` on white, as much of it as `part` says, from 0 to 1.
pub fn tint(Rgb(red, green, blue): Rgb, part: f64) -> Rgb {
    let mix = |full: u8| (255.0 + (f64::from(full) - 255.0) * part.clamp(0.0, 1.0)).round() as u8;
    Rgb(mix(red), mix(green), mix(blue))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_and_test_have_their_colours_wherever_they_stand() {
        assert_eq!(colors(&["plain", "reduced"]), SERIES[..2]);
        assert_eq!(colors(&["Test loss", "training, smooth"]), [TEST, TRAINING]);
        assert_eq!(colors(&["test", "testbed", "tests"]), [TEST, SERIES[2], SERIES[3]]);
        let names = ["training, a", "training, b", "c", "d", "e", "f"];
        let colors = colors(&names);
        assert_eq!(colors[..2], [TRAINING, SERIES[2]]);
        assert!(SERIES.iter().all(|color| colors.contains(color)));
    }
}
