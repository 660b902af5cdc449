//! The reliability diagram.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::panel::{GRID, TEST, TRAIN};
use super::text::{INK, TITLE, card};
use super::{Draw, Picture, WIDTH, plot_error};
use crate::Result;
use crate::look::Calibration;

impl Calibration {
    /// The reliability diagram (accuracy over confidence, with what is missing to the diagonal),
    /// and how many images there are at each confidence.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        Picture::draw((WIDTH, 420), self)
    }
}

/// One of the two plots.
struct Panel<'a> {
    y_label: &'a str,
    y_max: f64,
    x_label: &'a str,
}

impl Draw for Calibration {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let images: usize = self.bins.iter().map(|bin| bin.images).sum();
        let title = format!("Expected calibration error {:.2} %", 100.0 * self.error);
        let note = format!(
            "{images} images in {} bins; orange: surer than right, pale blue: less sure than right",
            self.bins.len()
        );
        card(area, &title, &note)?;
        let (_, plots) = area.split_vertically(TITLE);
        let (left, right) = plots.split_horizontally(WIDTH / 2);

        let panel = Panel { y_label: "images right, %", y_max: 100.0, x_label: "confidence, %" };
        let mut bars = Vec::new();
        for bin in self.bins.iter().filter(|bin| bin.images > 0) {
            let (from, to) = (100.0 * bin.from, 100.0 * bin.to);
            let (found, said) = (100.0 * bin.accuracy, 100.0 * bin.confidence);
            let gap = if said > found { TEST.mix(0.6) } else { TRAIN.mix(0.35) };
            let (low, high) = (found.min(said), found.max(said));
            bars.push(Rectangle::new([(from, 0.0), (to, low)], TRAIN.mix(0.85).filled()));
            bars.push(Rectangle::new([(from, low), (to, high)], gap.filled()));
        }
        let edges = bars.iter().map(outline).collect();
        panel.draw(&left, bars, edges, vec![(0.0, 0.0), (100.0, 100.0)])?;

        let most = self.bins.iter().map(|bin| bin.images).max().unwrap_or(0).max(1) as f64;
        let share = |count: f64| 100.0 * count / images.max(1) as f64;
        let panel = Panel {
            y_label: "of the images, %",
            y_max: (1.1 * share(most)).min(100.0),
            x_label: "confidence, %",
        };
        let filled = self.bins.iter().filter(|bin| bin.images > 0);
        let bars: Vec<_> = filled
            .map(|bin| {
                let corner = (100.0 * bin.to, share(bin.images as f64));
                Rectangle::new([(100.0 * bin.from, 0.0), corner], TRAIN.mix(0.85).filled())
            })
            .collect();
        let edges = bars.iter().map(outline).collect();
        panel.draw(&right, bars, edges, Vec::new())?;
        area.present().map_err(plot_error)
    }
}

type Bar = Rectangle<(f64, f64)>;

/// The same bar, its edge only, so that neighbours can be told apart.
fn outline(bar: &Bar) -> Bar {
    let (a, b) = bar.get_points();
    Rectangle::new([*a, *b], WHITE.stroke_width(1))
}

impl Panel<'_> {
    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        bars: Vec<Bar>,
        edges: Vec<Bar>,
        line: Vec<(f64, f64)>,
    ) -> Result<()> {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_right(18)
            .x_label_area_size(42)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..100.0, 0.0..self.y_max)
            .map_err(plot_error)?;
        chart
            .configure_mesh()
            .x_desc(self.x_label)
            .y_desc(self.y_label)
            .axis_desc_style(("sans-serif", 14, &INK))
            .label_style(("sans-serif", 13, &INK))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .draw()
            .map_err(plot_error)?;
        chart.draw_series(bars).map_err(plot_error)?;
        chart.draw_series(edges).map_err(plot_error)?;
        chart.draw_series(LineSeries::new(line, INK.stroke_width(1))).map_err(plot_error)?;
        Ok(())
    }
}
