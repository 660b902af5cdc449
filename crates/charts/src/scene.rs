//! A drawing as data: boxes, arrows, texts and images at pixel positions, on a card.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::palette::{FAINT, INK, Rgb};
use crate::picture::Draw;
use crate::pixels::{Pixels, Placed};
use crate::text::{self, Across, Down, Style, card, title_lines};
use crate::{Error, Picture, Result, WIDTH};

/// A rectangle: left, top, right, bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Its left edge.
    pub left: i32,
    /// Its upper edge.
    pub top: i32,
    /// Its right edge.
    pub right: i32,
    /// Its lower edge.
    pub bottom: i32,
}

impl Rect {
    /// From its upper left corner, its width and its height.
    pub const fn new(left: i32, top: i32, width: i32, height: i32) -> Rect {
        Rect { left, top, right: left + width, bottom: top + height }
    }

    /// Its middle, (x, y).
    pub const fn center(&self) -> (i32, i32) {
        ((self.left + self.right) / 2, (self.top + self.bottom) / 2)
    }

    fn holds(&self, (x, y): (i32, i32)) -> bool {
        self.left < x && x < self.right && self.top < y && y < self.bottom
    }
}

#[derive(Debug, Clone)]
enum Item {
    Rect { at: Rect, fill: Rgb, edge: Option<Rgb> },
    Polygon { points: Vec<(i32, i32)>, fill: Rgb },
    Line { points: Vec<(i32, i32)>, color: Rgb },
    Text { text: String, at: (i32, i32), style: Style },
}

/// Things to draw, from back to front, under two title lines. Places are in pixels; the title ends at
/// [`crate::TITLE`].
#[derive(Debug, Clone)]
pub struct Scene {
    height: u32,
    png_scale: u32,
    title: String,
    note: String,
    items: Vec<Item>,
    images: Vec<Placed>,
    /// Every box with text in it.
    boxes: Vec<Rect>,
}

impl Scene {
    /// An empty card of this height with a title line and a line under it.
    pub fn new(height: u32, title: impl Into<String>, note: impl Into<String>) -> Scene {
        Scene {
            height,
            png_scale: 1,
            title: title.into(),
            note: note.into(),
            items: Vec::new(),
            images: Vec::new(),
            boxes: Vec::new(),
        }
    }

    /// The same with a PNG twice as fine: small letters need more pixels than one a point.
    pub fn fine(self) -> Scene {
        Scene { png_scale: 2, ..self }
    }

    /// Draws it.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        Picture::draw_scaled((WIDTH, self.height), self.png_scale, self.clone())
    }

    /// A filled rectangle.
    pub fn rect(&mut self, at: Rect, fill: Rgb, edge: Option<Rgb>) {
        self.items.push(Item::Rect { at, fill, edge });
    }

    /// A box with one or more lines of text in its middle, the first a little darker.
    pub fn labelled(&mut self, at: Rect, fill: Rgb, lines: &[String]) {
        self.rect(at, fill, Some(FAINT));
        self.boxes.push(at);
        let (x, y) = at.center();
        let top = y - 8 * (lines.len() as i32 - 1);
        for (index, line) in (0..).zip(lines) {
            let color = if index == 0 { INK } else { FAINT };
            let style = Style { color, ..Style::new(Across::Center, Down::Center) };
            self.text(line, (x, top + 16 * index), style);
        }
    }

    /// A text at a point.
    pub fn text(&mut self, text: impl Into<String>, at: (i32, i32), style: Style) {
        self.items.push(Item::Text { text: text.into(), at, style });
    }

    /// A line through these points.
    pub fn line(&mut self, points: Vec<(i32, i32)>, color: Rgb) {
        self.items.push(Item::Line { points, color });
    }

    /// A line with a head at its end, which must be vertical or horizontal.
    pub fn arrow(&mut self, points: Vec<(i32, i32)>) {
        if let [.., (x0, y0), (x1, y1)] = points[..] {
            let (dx, dy) = ((x1 - x0).signum(), (y1 - y0).signum());
            let (back_x, back_y) = (x1 - 7 * dx, y1 - 7 * dy);
            let head = vec![
                (x1, y1),
                (back_x + 4 * dy, back_y + 4 * dx),
                (back_x - 4 * dy, back_y - 4 * dx),
            ];
            self.line(points, FAINT);
            self.items.push(Item::Polygon { points: head, fill: FAINT });
        }
    }

    /// An image with its upper left corner `at` (x, y), `size` pixels wide and high, on top of all else.
    /// Enlarged, its pixels stay squares; reduced, it is smoothed.
    pub fn image(&mut self, image: &Pixels, at: (u32, u32), size: (u32, u32)) {
        self.images.push(Placed::new(at, size, image));
    }

    /// The texts, without the title.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.items.iter().filter_map(|item| match item {
            Item::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
    }

    /// What is wrong with the layout, in words: boxes with text that overlap, texts that leave their box
    /// or the card or are cut, texts that overlap. Widths are those of the built-in font, which is a wide
    /// one.
    ///
    /// # Errors
    /// A text that cannot be measured.
    pub fn problems(&self) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        let mut wrong = |yes: bool, problem: &dyn Fn() -> String| {
            if yes {
                problems.push(problem());
            }
        };
        for (index, a) in self.boxes.iter().enumerate() {
            for b in &self.boxes[index + 1..] {
                let apart =
                    a.right < b.left || b.right < a.left || a.bottom < b.top || b.bottom < a.top;
                wrong(!apart, &|| format!("boxes overlap: {a:?}, {b:?}"));
            }
        }
        let titles = title_lines(&self.title, &self.note);
        let texts = self.items.iter().filter_map(|item| match item {
            Item::Text { text, at, style } => Some((text.as_str(), *at, *style)),
            _ => None,
        });
        let texts = titles.into_iter().chain(texts).map(extent).collect::<Result<Vec<_>>>()?;
        for (index, (text, at, longest)) in texts.iter().enumerate() {
            let (width, height) = (WIDTH as i32, self.height as i32);
            wrong(at.left < 4 || at.right > width - 4, &|| {
                format!("'{text}' leaves the card: {at:?}")
            });
            wrong(at.top < 4 || at.bottom > height - 4, &|| format!("'{text}' leaves the card"));
            wrong((at.right - at.left) as u32 > *longest, &|| format!("'{text}' is cut"));
            if let Some(b) = self.boxes.iter().find(|b| b.holds(at.center())) {
                let across = b.left < at.left && at.right < b.right;
                let down = b.top <= at.top && at.bottom <= b.bottom;
                wrong(!(across && down), &|| format!("'{text}' {at:?} leaves {b:?}"));
            }
            for (other, b, _) in &texts[index + 1..] {
                let apart = at.right < b.left
                    || b.right < at.left
                    || at.bottom <= b.top
                    || b.bottom <= at.top;
                wrong(!apart, &|| format!("'{text}' and '{other}' overlap"));
            }
        }
        Ok(problems)
    }
}

/// A text, where it stands in all its length, and how long it may be.
fn extent((text, (x, y), style): (&str, (i32, i32), Style)) -> Result<(&str, Rect, u32)> {
    let (width, height) = (text::width(text, style.height())?, style.height() as i32);
    let left = match style.across {
        Across::Left => x,
        Across::Center => x - width / 2,
        Across::Right => x - width,
    };
    let top = match style.down {
        Down::Top => y,
        Down::Center => y - height / 2,
    };
    Ok((text, Rect::new(left, top, width, height), style.width))
}

impl Draw for Scene {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()> {
        card(area, &self.title, &self.note, scale)?;
        let at = |&(x, y): &(i32, i32)| (x * scale as i32, y * scale as i32);
        let stroke = |color: Rgb| RGBColor::from(color).stroke_width(scale);
        for item in &self.items {
            match item {
                Item::Rect { at: Rect { left, top, right, bottom }, fill, edge } => {
                    let corners = [at(&(*left, *top)), at(&(*right, *bottom))];
                    let fill = RGBColor::from(*fill).filled();
                    area.draw(&Rectangle::new(corners, fill)).map_err(Error::drawing)?;
                    if let Some(edge) = edge {
                        let edge = Rectangle::new(corners, stroke(*edge));
                        area.draw(&edge).map_err(Error::drawing)?;
                    }
                }
                Item::Polygon { points, fill } => {
                    let points: Vec<_> = points.iter().map(at).collect();
                    let polygon = Polygon::new(points, RGBColor::from(*fill).filled());
                    area.draw(&polygon).map_err(Error::drawing)?;
                }
                Item::Line { points, color } => {
                    let points: Vec<_> = points.iter().map(at).collect();
                    let path = PathElement::new(points, stroke(*color));
                    area.draw(&path).map_err(Error::drawing)?;
                }
                Item::Text { text, at, style } => text::text(area, text, *at, *style, scale)?,
            }
        }
        area.present().map_err(Error::drawing)
    }

    fn images(&self) -> Vec<&Placed> {
        self.images.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palette::GREY_BOX;

    #[test]
    fn what_overlaps_or_is_cut_is_told() {
        let mut scene = Scene::new(200, "title", "note");
        let lines = ["one".to_string(), "two".to_string()];
        scene.labelled(Rect::new(20, 80, 100, 60), GREY_BOX, &lines);
        assert_eq!(scene.problems().unwrap(), [""; 0]);
        scene.labelled(Rect::new(100, 120, 20, 60), GREY_BOX, &["much too long".to_string()]);
        scene.text("far out", (950, 100), Style::new(Across::Left, Down::Top));
        let problems = scene.problems().unwrap();
        for expected in ["boxes overlap", "leaves Rect", "leaves the card"] {
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{problems:?}");
        }
        let long = Scene::new(100, "a title that goes on ".repeat(10), "");
        assert!(long.problems().unwrap()[1].ends_with("is cut"));
    }
}
