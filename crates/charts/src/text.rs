//! Words in pictures.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::palette::{INK, Rgb};
use crate::{Error, MARGIN, Result};

/// Height of the two title lines.
pub const TITLE: u32 = 52;

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
    /// Height of its letters.
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
        Style { size: 12, color: INK, width: u32::MAX, across, down }
    }

    /// For `scale` pixels in place of one.
    fn scaled(self, scale: u32) -> Style {
        Style { size: self.size * scale, width: self.width.saturating_mul(scale), ..self }
    }
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
