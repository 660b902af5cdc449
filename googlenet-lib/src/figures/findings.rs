//! What was found by looking into a network, as charts.

use charts::palette::{BLUE, INK, ORANGE};
use charts::{Bar, Line, Panel, Picture, log_bars, matrix, panels, share_bars};

use super::images::pixels;
use crate::Result;
use crate::interpret::{Calibration, ConfusionMatrix, GradientNorms, TopK};

impl TopK {
    /// The image, and a bar for each class.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        self.titled(self.likeliest())
    }

    /// The same of an image whose class is known: its title says it.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture_of(&self, class: &str) -> Result<Picture> {
        self.titled(format!("This is: {class}. The network says: {}", self.likeliest()))
    }

    /// The likeliest class and its probability, in words.
    fn likeliest(&self) -> String {
        let best = self.classes.first();
        best.map_or(String::new(), |(name, p)| format!("{name}, {:.1} %", 100.0 * p))
    }

    fn titled(&self, title: String) -> Result<Picture> {
        let note = format!("the {} likeliest classes", self.classes.len());
        Ok(share_bars(&title, &note, &pixels(&self.image)?, &self.classes)?)
    }
}

impl GradientNorms {
    /// A bar a layer on a logarithmic scale, two where the network has auxiliary classifiers.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let title = format!("{}: how large the gradient is in each layer", self.network);
        let note = "Euclidean norm over the layer's weights, on a logarithmic scale";
        let two = self.layers.iter().any(|layer| layer.with_auxiliary.is_some());
        let series = ["loss of the head", "with auxiliary classifiers"];
        let norms = self.layers.iter().map(|layer| {
            let norms = [Some(layer.head), layer.with_auxiliary].into_iter().flatten();
            (layer.name.clone(), norms.collect())
        });
        let series = &series[..1 + usize::from(two)];
        Ok(log_bars(&title, note, series, &norms.collect::<Vec<_>>())?)
    }
}

impl ConfusionMatrix {
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
