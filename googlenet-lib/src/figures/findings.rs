//! What was found by looking into a network, as charts.

use charts::palette::{BLUE, GRID, INK, ORANGE, Rgb};
use charts::{
    Across, Bar, Down, Line, MARGIN, Panel, Picture, Rect, Scene, Style, TITLE, WIDTH, matrix,
    panels,
};

use super::images::pixels;
use crate::Result;
use crate::interpret::{Calibration, Confusion, GradientNorms, Likeliest};

const LEFT: i32 = MARGIN as i32;
const TOP: i32 = TITLE as i32;
/// Side of the image beside its likeliest classes, or the longer side.
const IMAGE: u32 = 224;

fn style(size: u32, across: Across) -> Style {
    Style { size, ..Style::new(across, Down::Center) }
}

impl Likeliest {
    /// The image, and a bar for each class.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let best = self.classes.first();
        let title = best.map_or(String::new(), |(name, p)| format!("{name}, {:.1} %", 100.0 * p));
        let note = format!("the {} likeliest classes", self.classes.len());
        let rows = TITLE + 34 * self.classes.len() as u32;
        let size = self.image_size();
        let mut scene = Scene::new(rows.max(TITLE + size.1) + MARGIN, title, note);
        scene.image(&pixels(&self.image)?, (MARGIN, TITLE), size);
        let (from, to) = (LEFT + IMAGE as i32 + 24 + 180, WIDTH as i32 - 80);
        for (row, (name, probability)) in (0..).zip(&self.classes) {
            let y = TOP + 34 * row + 14;
            let length = (f64::from(to - from) * probability).round() as i32;
            scene.text(name, (from - 8, y), Style { width: 170, ..style(14, Across::Right) });
            scene.rect(Rect::new(from, y - 11, length.max(1), 22), BLUE, None);
            let share = format!("{:.1} %", 100.0 * probability);
            scene.text(share, (from + length + 8, y), style(13, Across::Left));
        }
        Ok(scene.picture()?)
    }

    /// Width and height of the image in the picture: 224 on the longer side, or a little less.
    fn image_size(&self) -> (u32, u32) {
        let (width, height) = (self.image.width(), self.image.height());
        let longer = width.max(height);
        if longer <= IMAGE {
            return (width * (IMAGE / longer), height * (IMAGE / longer));
        }
        ((width * IMAGE / longer).max(1), (height * IMAGE / longer).max(1))
    }
}

/// Height of a layer among the gradients.
const ROW: i32 = 26;

impl GradientNorms {
    /// A bar a layer on a logarithmic scale, two where the network has auxiliary classifiers.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let top = TOP + 26;
        let bottom = top + self.layers.len() as i32 * ROW;
        let title = format!("{}: how large the gradient is in each layer", self.network);
        let note = "Euclidean norm over the layer's weights, on a logarithmic scale";
        let mut scene = Scene::new(bottom as u32 + 34, title, note);
        let two = self.layers.iter().any(|layer| layer.with_auxiliary.is_some());
        let (from, to) = (LEFT + 150, WIDTH as i32 - 96);
        let series = [("loss of the head", BLUE), ("with auxiliary classifiers", ORANGE)];
        for (place, (name, color)) in (0..).zip(&series[..1 + usize::from(two)]) {
            let x = from + 190 * place;
            scene.rect(Rect::new(x, top - 20, 14, 10), *color, None);
            scene.text(*name, (x + 20, top - 15), style(13, Across::Left));
        }
        let (low, high) = self.decades();
        let place = |log: f64| {
            let part = (log - f64::from(low)) / f64::from(high - low);
            from + (part * f64::from(to - from)).round() as i32
        };
        // Ten labels at the most.
        for decade in (low..=high).step_by(((high - low) / 10 + 1) as usize) {
            let x = place(f64::from(decade));
            scene.line(vec![(x, top), (x, bottom)], GRID);
            let below = Style::new(Across::Center, Down::Top);
            scene.text(format!("1e{decade}"), (x, bottom + 6), below);
        }
        for (row, layer) in (0..).zip(&self.layers) {
            let y = top + row * ROW + ROW / 2;
            let name = Style { width: 142, ..style(13, Across::Right) };
            scene.text(&layer.name, (from - 8, y), name);
            let bars = [(Some(layer.head), BLUE), (layer.with_auxiliary, ORANGE)];
            let bars: Vec<(f64, Rgb)> =
                bars.into_iter().filter_map(|(norm, color)| Some((norm?, color))).collect();
            let thick = 20 / bars.len() as i32;
            for (index, (norm, color)) in (0..).zip(bars) {
                let y = y - 10 + index * thick;
                let end = if norm > 0.0 && norm.is_finite() { place(norm.log10()) } else { from };
                scene.rect(Rect::new(from, y, (end - from).max(1), thick - 1), color, None);
                let at = (end + 6, y + thick / 2);
                scene.text(format!("{norm:.1e}"), at, style(10, Across::Left));
            }
        }
        Ok(scene.picture()?)
    }

    /// The powers of ten between which all norms lie.
    fn decades(&self) -> (i32, i32) {
        let norms = self.layers.iter().flat_map(|l| [Some(l.head), l.with_auxiliary]).flatten();
        let logs: Vec<f64> =
            norms.filter(|norm| *norm > 0.0 && norm.is_finite()).map(f64::log10).collect();
        let low = logs.iter().copied().fold(f64::INFINITY, f64::min);
        let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if logs.is_empty() {
            return (0, 1);
        }
        // A little room, so that the shortest bar can be seen.
        let low = (low - 0.05).floor() as i32;
        (low, (high.ceil() as i32).max(low + 1))
    }
}

impl Confusion {
    /// A row a class, a column for each class that it can be taken for.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let images: u64 = self.counts.iter().flatten().sum();
        let right: u64 = (0..self.classes.len()).map(|class| self.counts[class][class]).sum();
        let percent = 100.0 * right as f64 / images.max(1) as f64;
        let title = format!("{percent:.2} % of {images} images right");
        let note = "a row a class, a column for each class that it was taken for";
        Ok(matrix(&title, note, &self.classes, &self.counts)?)
    }
}

impl Calibration {
    /// The reliability diagram (accuracy over confidence, with what is missing to the diagonal),
    /// and how many images there are at each confidence.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let images: usize = self.bins.iter().map(|bin| bin.images).sum();
        let title = format!("Expected calibration error {:.2} %", 100.0 * self.error);
        let note = format!(
            "{images} images in {} bins; orange: surer than right, pale blue: less sure than right",
            self.bins.len()
        );
        let share = |count: usize| 100.0 * count as f64 / images.max(1) as f64;
        let (mut right, mut sure) = (Vec::new(), Vec::new());
        for bin in self.bins.iter().filter(|bin| bin.images > 0) {
            let x = 100.0 * bin.from..100.0 * bin.to;
            let (found, said) = (100.0 * bin.accuracy, 100.0 * bin.confidence);
            let (gap, pale) = if said > found { (ORANGE, 0.6) } else { (BLUE, 0.35) };
            let (low, high) = (found.min(said), found.max(said));
            let bar = |y, color, opacity| Bar { x: x.clone(), y, color, opacity };
            right.extend([bar(0.0..low, BLUE, 0.85), bar(low..high, gap, pale)]);
            sure.push(bar(0.0..share(bin.images), BLUE, 0.85));
        }
        let most = self.bins.iter().map(|bin| bin.images).max().unwrap_or(0).max(1);
        let panel = |y_label: &str, y_max, bars, lines| Panel {
            x: ("confidence, %".into(), 0.0..100.0),
            y: (y_label.into(), 0.0..y_max),
            legend: None,
            bars,
            lines,
        };
        let diagonal = Line::thin(INK, 1.0, vec![(0.0, 0.0), (100.0, 100.0)]);
        let highest = (1.1 * share(most)).min(100.0);
        let both = [
            panel("images right, %", 100.0, right, vec![diagonal]),
            panel("of the images, %", highest, sure, Vec::new()),
        ];
        Ok(panels(&title, &note, 420, &both)?)
    }
}
