//! Words in pictures.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::plot_error;
use crate::Result;

pub(super) const INK: RGBColor = RGBColor(40, 40, 40);

/// Height of the two title lines.
pub(super) const TITLE: u32 = 52;

/// A white background, so that a picture can be read on a dark page too, with two title lines.
pub(super) fn card<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    title: &str,
    note: &str,
) -> Result<()> {
    area.fill(&WHITE).map_err(plot_error)?;
    let width = area.dim_in_pixel().0 - 32;
    for (line, size, y) in [(title, 17, 8), (note, 13, 32)] {
        text(area, line, (16, y), Style { size, width, ..Style::new(HPos::Left, VPos::Top) })?;
    }
    Ok(())
}

/// How a text is set.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) size: u32,
    pub(super) color: RGBColor,
    /// What is longer ends in an ellipsis.
    pub(super) width: u32,
    pub(super) across: HPos,
    pub(super) down: VPos,
}

impl Style {
    /// Small and black; where the text stands about its point.
    pub(super) fn new(across: HPos, down: VPos) -> Style {
        Style { size: 12, color: INK, width: u32::MAX, across, down }
    }
}

/// Writes a text at a point.
pub(super) fn text<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    text: &str,
    at: (i32, i32),
    style: Style,
) -> Result<()> {
    let font = ("sans-serif", style.size).into_text_style(area).color(&style.color);
    let mut fitting = text.to_string();
    let mut letters: Vec<char> = text.chars().collect();
    while !letters.is_empty()
        && area.estimate_text_size(&fitting, &font).map_err(plot_error)?.0 > style.width
    {
        letters.pop();
        fitting = letters.iter().collect::<String>().trim_end().to_string() + "…";
    }
    if fitting.is_empty() {
        return Ok(());
    }
    area.draw_text(&fitting, &font.pos(Pos::new(style.across, style.down)), at).map_err(plot_error)
}
