//! Words in pictures.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::palette::{INK, Rgb};
use crate::picture::register_fonts;
use crate::{Error, MARGIN, Result};

/// Height of the two title lines.
pub const TITLE: u32 = 52;

/// The smallest letters there are, as [`Style::size`]: a font size of 11.2 px. A page of
/// [`crate::WIDTH`] shows them as large as this.
pub const SMALLEST: u32 = 13;

/// Height of a letter's box over its font size, in the built-in font.
const BOX: f64 = 2384.0 / 2048.0;
/// The same in plotters' SVG, for whatever font a reader has.
const SVG_BOX: f64 = 1.24;

/// Where a text stands about its point, from side to side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Across {
    /// It begins there.
    Left,
    /// Its middle is there.
    Center,
    /// It ends there.
    Right,
}

/// Where a text stands about its point, from top to bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// Its upper edge is there.
    Top,
    /// Its middle is there.
    Center,
}

/// How a text is set.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Height of its letters, from the highest to the lowest; what is under [`SMALLEST`] is as that.
    pub size: u32,
    /// Its colour.
    pub color: Rgb,
    /// What is longer ends in an ellipsis.
    pub width: u32,
    /// Its point, from side to side.
    pub across: Across,
    /// Its point, from top to bottom.
    pub down: Down,
}

impl Style {
    /// Small and black; where the text stands about its point.
    pub fn new(across: Across, down: Down) -> Style {
        Style { size: SMALLEST, color: INK, width: u32::MAX, across, down }
    }

    /// Height of the letters, as they are drawn.
    pub(crate) fn height(&self) -> u32 {
        self.size.max(SMALLEST)
    }

    /// For `scale` pixels in place of one.
    fn scaled(self, scale: u32) -> Style {
        Style { size: self.height() * scale, width: self.width.saturating_mul(scale), ..self }
    }
}

/// Width of a text in the built-in font, in pixels.
pub(crate) fn width(text: &str, size: u32) -> Result<i32> {
    register_fonts()?;
    let font: FontDesc<'_> = ("sans-serif", size).into_font();
    Ok(font.box_size(text).map_err(Error::drawing)?.0 as i32)
}

/// The lines of a text that is broken between words to be no wider than this. A text with a word that
/// is too wide by itself stays one line.
pub(crate) fn wrapped(text: &str, size: u32, most: u32) -> Result<Vec<String>> {
    let fits = |text: &str| Ok::<_, Error>(width(text, size)? as u32 <= most);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        if !fits(word)? {
            return Ok(vec![text.to_string()]);
        }
        match lines.last_mut() {
            Some(line) if fits(&format!("{line} {word}"))? => *line = format!("{line} {word}"),
            _ => lines.push(word.to_string()),
        }
    }
    // A line without words is one too.
    Ok(if lines.is_empty() { vec![text.to_string()] } else { lines })
}

/// An SVG document of plotters with letters as large as those of its PNG, by which texts are measured.
pub(crate) fn with_measured_letters(svg: &str) -> Result<String> {
    const SIZE: &str = "font-size=\"";
    let mut parts = svg.split(SIZE);
    let mut whole = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (size, rest) = part.split_once('"').unwrap_or((part, ""));
        let size: f64 = size.parse().map_err(Error::drawing)?;
        whole += &format!("{SIZE}{:.2}\"{rest}", size * SVG_BOX / BOX);
    }
    Ok(whole)
}

/// The two lines of a title: text, place and style.
pub(crate) fn title_lines<'a>(title: &'a str, note: &'a str) -> [(&'a str, (i32, i32), Style); 2] {
    let style = Style::new(Across::Left, Down::Top);
    let style = |size| Style { size, width: crate::WIDTH - 2 * MARGIN, ..style };
    [(title, (MARGIN as i32, 8), style(17)), (note, (MARGIN as i32, 32), style(13))]
}

/// A white background, so that a picture can be read on a dark page too, with two title lines.
pub(crate) fn card<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    title: &str,
    note: &str,
    scale: u32,
) -> Result<()> {
    area.fill(&WHITE).map_err(Error::drawing)?;
    for (line, at, style) in title_lines(title, note) {
        text(area, line, at, style, scale)?;
    }
    Ok(())
}

/// Writes a text at a point of an area that has `scale` pixels for each that the point and the style
/// are given in.
pub(crate) fn text<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    text: &str,
    at: (i32, i32),
    style: Style,
    scale: u32,
) -> Result<()> {
    let style = style.scaled(scale);
    let color = RGBColor::from(style.color);
    let font = ("sans-serif", style.size).into_text_style(area).color(&color);
    let mut fitting = text.to_string();
    let mut letters: Vec<char> = text.chars().collect();
    while !letters.is_empty()
        && area.estimate_text_size(&fitting, &font).map_err(Error::drawing)?.0 > style.width
    {
        letters.pop();
        fitting = letters.iter().collect::<String>().trim_end().to_string() + "…";
    }
    if fitting.is_empty() {
        return Ok(());
    }
    let across = match style.across {
        Across::Left => HPos::Left,
        Across::Center => HPos::Center,
        Across::Right => HPos::Right,
    };
    let down = match style.down {
        Down::Top => VPos::Top,
        Down::Center => VPos::Center,
    };
    let at = (at.0 * scale as i32, at.1 * scale as i32);
    area.draw_text(&fitting, &font.pos(Pos::new(across, down)), at).map_err(Error::drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let most = width("taken for a", SMALLEST).unwrap() as u32;
        let lines = wrapped("taken for a truck", SMALLEST, most).unwrap();
        assert_eq!(lines, ["taken for a", "truck"]);
        // Broken, it would still be cut.
        assert_eq!(wrapped("a convertible", SMALLEST, 20).unwrap(), ["a convertible"]);
        assert_eq!(wrapped("", SMALLEST, 20).unwrap(), [""]);
    }

    #[test]
    fn letters_of_a_document_are_as_large_as_those_of_its_pixels() {
        let svg = r#"<text font-size="10.483870967741936" x="1">13</text><text font-size="1.24">"#;
        let expected = r#"<text font-size="11.17" x="1">13</text><text font-size="1.32">"#;
        assert_eq!(with_measured_letters(svg).unwrap(), expected);
    }
}
