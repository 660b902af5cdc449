//! Costs as tables, as torchinfo and Keras show them.
//!
//! ```
//! use googlenet_lib::prelude::*;
//!
//! let text = spec::COMPACT.cost()?.to_string();
//! assert!(text.contains("inception_4b") && text.contains("Multiply-adds"));
//! # Ok::<(), Error>(())
//! ```

use std::fmt;

use notebook::number::{bytes, grouped, short};
use notebook::{Show, Table, at_end_of_cell, escape};

use super::{InceptionComparison, LayerCost, NaiveComparison, NetworkCost};
use crate::Result;
use crate::spec::Shape;

const LAYERS: [&str; 7] = [
    "Layer",
    "Operation",
    "Output",
    "Receptive field",
    "Parameters",
    "Multiply-adds",
    "Activations",
];

/// Each count of a block, of its naive form, and of that in a stack of such blocks.
const BLOCKS: [&str; 10] = [
    "Block",
    "Channels",
    "naive",
    "stacked",
    "Parameters",
    "naive",
    "stacked",
    "Multiply-adds",
    "naive",
    "stacked",
];

/// The table that [`NetworkCost`] shows in a terminal: `{}` one row a layer, `{:#}` with the
/// operations inside the layers.
impl fmt::Display for NetworkCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} for images {}", self.network, dimensions(self.input))?;
        write!(f, "{}", self.table(f.alternate()))?;
        for line in self.footer() {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl NetworkCost {
    /// Shows it in an evcxr notebook as a table; a click opens that of all operations.
    pub fn evcxr_display(&self) {
        at_end_of_cell(self);
    }

    /// The same as HTML.
    pub fn html(&self) -> String {
        format!(
            "<div><b>{}</b> for images {}{}<p>{}</p><details><summary>all operations</summary>{}\
             </details></div>",
            escape(&self.network),
            dimensions(self.input),
            self.table(false).html(),
            self.footer().map(|line| escape(&line)).join("<br>"),
            self.table(true).html(),
        )
    }

    fn table(&self, parts: bool) -> Table {
        let mut rows = Vec::new();
        for layer in &self.layers {
            rows.push(row(&layer.name, layer));
            if parts {
                let inside = |part: &LayerCost| {
                    let name = part.name.rsplit('.').next().unwrap_or(&part.name);
                    row(&format!("  {name}"), part)
                };
                rows.extend(layer.parts.iter().map(inside));
            }
        }
        Table::of(3, LAYERS, rows)
    }

    fn footer(&self) -> [String; 4] {
        let (all, evaluated) = (&self.total, &self.inference);
        let apart = match all.parameters - evaluated.parameters {
            0 => String::new(),
            auxiliary => format!(", {} of them in auxiliary classifiers", grouped(auxiliary)),
        };
        let size = |bytes_: Result<i64>| bytes_.map_or("more than 2^63 bytes".into(), bytes);
        [
            format!("Parameters: {}{apart}", grouped(all.parameters)),
            format!(
                "Multiply-adds of one image: {} in evaluation, {} forward in training",
                grouped(evaluated.multiply_adds),
                grouped(all.multiply_adds),
            ),
            format!("Evaluation of one image: {}", size(self.inference_bytes(1))),
            format!(
                "Training with SGD and momentum: {} for one image, {} for 128",
                size(self.training_bytes(1, 1)),
                size(self.training_bytes(128, 1)),
            ),
        ]
    }
}

fn row(name: &str, layer: &LayerCost) -> [String; 7] {
    [
        name.to_string(),
        layer.operation.clone(),
        dimensions(layer.output),
        layer.receptive_field.to_string(),
        grouped(layer.cost.parameters),
        grouped(layer.cost.multiply_adds),
        grouped(layer.cost.activations),
    ]
}

/// `C x H x W`, or the number of values of a vector.
pub(crate) fn dimensions(shape: Shape) -> String {
    match shape {
        Shape { channels, height: 1, width: 1 } => channels.to_string(),
        Shape { channels, height, width } => format!("{channels} x {height} x {width}"),
    }
}

impl Show for NetworkCost {
    fn content(&self) -> Vec<(&'static str, String)> {
        vec![("text/html", self.html()), ("text/plain", self.to_string())]
    }
}

impl fmt::Display for NaiveComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{CAPTION}, in {}", self.network)?;
        write!(f, "{}", self.table())
    }
}

const CAPTION: &str = "Inception blocks with reduction, naive with the same input, and naive in a \
                       stack of naive blocks";

impl NaiveComparison {
    /// Shows it in an evcxr notebook as a table.
    pub fn evcxr_display(&self) {
        at_end_of_cell(self);
    }

    fn table(&self) -> Table {
        let rows = self.blocks.iter().map(|block| {
            let InceptionComparison { reduced, naive, stacked } = block;
            let channels = |form: &LayerCost| grouped(form.output.channels);
            let parameters = |form: &LayerCost| short(form.cost.parameters);
            let multiply_adds = |form: &LayerCost| short(form.cost.multiply_adds);
            [
                reduced.name.clone(),
                channels(reduced),
                channels(naive),
                channels(stacked),
                parameters(reduced),
                parameters(naive),
                parameters(stacked),
                multiply_adds(reduced),
                multiply_adds(naive),
                multiply_adds(stacked),
            ]
        });
        Table::of(1, BLOCKS, rows)
    }
}

impl Show for NaiveComparison {
    fn content(&self) -> Vec<(&'static str, String)> {
        let caption = format!("<div>{CAPTION}, in <b>{}</b>", escape(&self.network));
        let html = format!("{caption}{}</div>", self.table().html());
        vec![("text/html", html), ("text/plain", self.to_string())]
    }
}
