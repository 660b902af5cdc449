//! A drawing as data: boxes, arrows and texts at pixel positions, on a background card of its own,
//! so that it is readable on light and dark pages.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Draw, Picture, plot_error};
use crate::Result;

pub(super) const INK: RGBColor = RGBColor(40, 40, 40);
pub(super) const FAINT: RGBColor = RGBColor(110, 110, 110);
pub(super) const EDGE: RGBColor = RGBColor(120, 120, 120);
/// The colours of the paper's Figure 3, paler, so that text stands on them.
pub(super) const CONV: RGBColor = RGBColor(200, 221, 245);
pub(super) const POOL: RGBColor = RGBColor(248, 207, 202);
pub(super) const JOIN: RGBColor = RGBColor(205, 232, 205);
pub(super) const LOSS: RGBColor = RGBColor(252, 238, 190);
pub(super) const PLAIN: RGBColor = RGBColor(240, 240, 240);

/// Width of a notebook's page.
pub(super) const WIDTH: i32 = 900;
/// Small letters need more pixels than one a point.
const PNG_SCALE: u32 = 2;
const CARD: RGBColor = RGBColor(255, 255, 255);
const CARD_EDGE: RGBColor = RGBColor(205, 205, 205);

/// A rectangle: left, top, right, bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Rect {
    pub(super) const fn new(left: i32, top: i32, width: i32, height: i32) -> Rect {
        Rect { left, top, right: left + width, bottom: top + height }
    }

    pub(super) const fn center(&self) -> (i32, i32) {
        ((self.left + self.right) / 2, (self.top + self.bottom) / 2)
    }
}

#[derive(Clone)]
enum Item {
    Polygon { points: Vec<(i32, i32)>, fill: RGBColor, edge: Option<RGBColor> },
    Line { points: Vec<(i32, i32)>, color: RGBColor, width: u32 },
    Text { text: String, at: (i32, i32), size: u32, side: HPos, color: RGBColor },
}

/// Things to draw, from back to front.
#[derive(Clone)]
pub(super) struct Scene {
    size: (i32, i32),
    items: Vec<Item>,
    /// Every box with text in it, for the tests.
    #[cfg(test)]
    pub(super) boxes: Vec<Rect>,
}

impl Scene {
    /// An empty card with a title line and a line under it.
    pub(super) fn new(height: i32, title: &str, subtitle: &str) -> Scene {
        let mut scene = Scene {
            size: (WIDTH, height),
            items: Vec::new(),
            #[cfg(test)]
            boxes: Vec::new(),
        };
        let card = Rect::new(0, 0, WIDTH - 1, height - 1);
        scene.rect(card, CARD, Some(CARD_EDGE));
        scene.text(title, (24, 26), 18, HPos::Left, INK);
        scene.text(subtitle, (24, 50), 13, HPos::Left, FAINT);
        scene
    }

    pub(super) fn picture(&self) -> Result<Picture> {
        Picture::draw_scaled((self.size.0 as u32, self.size.1 as u32), PNG_SCALE, self)
    }

    pub(super) fn polygon(
        &mut self,
        points: Vec<(i32, i32)>,
        fill: RGBColor,
        edge: Option<RGBColor>,
    ) {
        self.items.push(Item::Polygon { points, fill, edge });
    }

    pub(super) fn rect(&mut self, at: Rect, fill: RGBColor, edge: Option<RGBColor>) {
        let Rect { left, top, right, bottom } = at;
        self.polygon(vec![(left, top), (right, top), (right, bottom), (left, bottom)], fill, edge);
    }

    /// A box with one or more lines of text in its middle, the first a little larger.
    pub(super) fn labelled(&mut self, at: Rect, fill: RGBColor, lines: &[String]) {
        self.rect(at, fill, Some(EDGE));
        #[cfg(test)]
        self.boxes.push(at);
        let (x, y) = at.center();
        let top = y - 8 * (lines.len() as i32 - 1);
        for (index, line) in lines.iter().enumerate() {
            let (size, color) = if index == 0 { (13, INK) } else { (12, FAINT) };
            self.text(line, (x, top + 16 * index as i32), size, HPos::Center, color);
        }
    }

    pub(super) fn text(
        &mut self,
        text: &str,
        at: (i32, i32),
        size: u32,
        side: HPos,
        color: RGBColor,
    ) {
        self.items.push(Item::Text { text: text.to_string(), at, size, side, color });
    }

    pub(super) fn line(&mut self, points: Vec<(i32, i32)>, color: RGBColor, width: u32) {
        self.items.push(Item::Line { points, color, width });
    }

    /// A line with a head at its end, which must be vertical or horizontal.
    pub(super) fn arrow(&mut self, points: Vec<(i32, i32)>) {
        if let [.., (x0, y0), (x1, y1)] = points[..] {
            let (dx, dy) = ((x1 - x0).signum(), (y1 - y0).signum());
            let (back_x, back_y) = (x1 - 7 * dx, y1 - 7 * dy);
            let head = vec![
                (x1, y1),
                (back_x + 4 * dy, back_y + 4 * dx),
                (back_x - 4 * dy, back_y - 4 * dx),
            ];
            self.line(points, EDGE, 1);
            self.polygon(head, EDGE, None);
        }
    }
}

impl Draw for Scene {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        area.fill(&CARD).map_err(plot_error)?;
        let scale = area.dim_in_pixel().0 as i32 / self.size.0;
        let at = |&(x, y): &(i32, i32)| (x * scale, y * scale);
        let style = |color: &RGBColor, width: u32| color.stroke_width(width * scale as u32);
        for item in &self.items {
            match item {
                Item::Polygon { points, fill, edge } => {
                    let points: Vec<_> = points.iter().map(at).collect();
                    let closed = points.iter().chain(&points[..1]).copied().collect::<Vec<_>>();
                    area.draw(&Polygon::new(points, fill.filled())).map_err(plot_error)?;
                    if let Some(edge) = edge {
                        area.draw(&PathElement::new(closed, style(edge, 1))).map_err(plot_error)?;
                    }
                }
                Item::Line { points, color, width } => {
                    let points: Vec<_> = points.iter().map(at).collect();
                    let path = PathElement::new(points, style(color, *width));
                    area.draw(&path).map_err(plot_error)?;
                }
                Item::Text { text, at: place, size, side, color } => {
                    let font = ("sans-serif", size * scale as u32);
                    let style = font.into_text_style(area).color(color);
                    let style = style.pos(Pos::new(*side, VPos::Center));
                    area.draw_text(text, &style, at(place)).map_err(plot_error)?;
                }
            }
        }
        area.present().map_err(plot_error)
    }
}

#[cfg(test)]
impl Scene {
    /// Panics if boxes with text overlap, if a text leaves its box or the card, or if two texts
    /// overlap. Widths are those of the built-in font, which is a wide one.
    pub(super) fn check_layout(&self) {
        for (index, a) in self.boxes.iter().enumerate() {
            for b in &self.boxes[index + 1..] {
                let apart =
                    a.right < b.left || b.right < a.left || a.bottom < b.top || b.bottom < a.top;
                assert!(apart, "boxes overlap: {a:?}, {b:?}");
            }
        }
        let texts: Vec<(&str, Rect)> = self.items.iter().filter_map(text_extent).collect();
        for (index, (text, at)) in texts.iter().enumerate() {
            assert!(at.left >= 4 && at.right <= WIDTH - 4, "'{text}' leaves the card: {at:?}");
            assert!(at.top >= 4 && at.bottom <= self.size.1 - 4, "'{text}' leaves the card");
            let (x, y) = at.center();
            let inside =
                self.boxes.iter().find(|b| b.left < x && x < b.right && b.top < y && y < b.bottom);
            if let Some(b) = inside {
                assert!(b.left < at.left && at.right < b.right, "'{text}' {at:?} leaves {b:?}");
                assert!(b.top <= at.top && at.bottom <= b.bottom, "'{text}' {at:?} leaves {b:?}");
            }
            for (other, b) in &texts[index + 1..] {
                let apart = at.right < b.left
                    || b.right < at.left
                    || at.bottom <= b.top
                    || b.bottom <= at.top;
                assert!(apart, "'{text}' and '{other}' overlap");
            }
        }
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        self.items
            .iter()
            .filter_map(|item| match item {
                Item::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }
}

#[cfg(test)]
fn text_extent(item: &Item) -> Option<(&str, Rect)> {
    let Item::Text { text, at: (x, y), size, side, .. } = item else { return None };
    super::register_fonts().unwrap();
    let font: FontDesc<'_> = ("sans-serif", *size).into_font();
    let (width, _) = font.box_size(text).unwrap();
    let (width, height) = (width as i32, *size as i32);
    let left = match side {
        HPos::Left => *x,
        HPos::Center => x - width / 2,
        HPos::Right => x - width,
    };
    Some((text, Rect::new(left, y - height / 2, width, height)))
}
