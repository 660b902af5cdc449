//! Diagrams of a network and its parts, drawn from a spec: what a channel count is in the spec is
//! one in the picture.
//!
//! ```
//! use googlenet_lib::prelude::*;
//!
//! let block = plot::inception_block(&spec::PAPER, "inception_3a")?;
//! assert!(block.svg().contains("256 x 28 x 28"));
//! # Ok::<(), Error>(())
//! ```

use charts::palette::{
    BLUE, BLUE_BOX, FAINT, GREEN_BOX, GREY_BOX, INK, ORANGE, PALE, RED_BOX, Rgb, YELLOW_BOX,
};
use charts::{Across, Down, Picture, Rect, Scene, Style};
use notebook::number::{grouped, short};

use crate::cost::{Cost, GapVersusFc, LayerCost, NetworkCost, dimensions};
use crate::spec::{BranchSpec, Layer, NetworkSpec, Shape};
use crate::{Error, Result};

const WIDTH: i32 = charts::WIDTH as i32;
const MARGIN: i32 = charts::MARGIN as i32;
/// The colours of the paper's Figure 3, paler, so that text stands on them.
const CONV: Rgb = BLUE_BOX;
const POOL: Rgb = RED_BOX;
const JOIN: Rgb = GREEN_BOX;
const LOSS: Rgb = YELLOW_BOX;
const PLAIN: Rgb = GREY_BOX;

/// An empty drawing of this height.
fn card(height: i32, title: &str, note: &str) -> Scene {
    Scene::new(height as u32, title, note).fine()
}

/// A text of this size, which stands about its point as said, its middle at the point's height.
fn style(size: u32, across: Across, color: Rgb) -> Style {
    Style { size, color, ..Style::new(across, Down::Center) }
}

/// An inception block of a network with the channels of every branch, naive or with dimension
/// reduction (Figure 2 of the paper, read from bottom to top).
///
/// # Errors
/// A name that no inception block of the network has, and a spec that cannot be built.
pub fn inception_block(spec: &NetworkSpec, name: &str) -> Result<Picture> {
    Ok(inception_scene(spec, name)?.picture()?)
}

/// A 1x1 convolution of a network, such as `inception_4a.reduce_5x5`, as a picture of the channels
/// that come in and go out (section 3 of the paper).
///
/// # Errors
/// A name that no 1x1 convolution of the network has, and a spec that cannot be built.
pub fn pointwise_convolution(spec: &NetworkSpec, name: &str) -> Result<Picture> {
    Ok(pointwise_scene(spec, name)?.picture()?)
}

/// The whole network from bottom to top, as Figure 3 of the paper shows it.
///
/// # Errors
/// A spec that cannot be built.
pub fn network_diagram(spec: &NetworkSpec) -> Result<Picture> {
    Ok(network_scene(spec)?.picture()?)
}

/// Parameters and multiply-adds of every layer as bars.
///
/// # Errors
/// A picture that cannot be drawn.
pub fn cost_bars(cost: &NetworkCost) -> Result<Picture> {
    Ok(bars_scene(cost).picture()?)
}

/// Flattening and a fully connected layer against global average pooling.
///
/// # Errors
/// A picture that cannot be drawn.
pub fn gap_versus_fc(comparison: &GapVersusFc) -> Result<Picture> {
    Ok(gap_scene(comparison).picture()?)
}

fn not_found<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a LayerCost>) -> Error {
    let names: Vec<_> = names.map(|layer| layer.name.as_str()).collect();
    Error::invalid(what, format!("'{name}'"), format!("choose one of {}", names.join(", ")))
}

/// The operations of each branch, from the input upwards.
fn columns<'a>(layer: &'a LayerCost, branches: &[BranchSpec]) -> Vec<Vec<&'a LayerCost>> {
    let mut parts = layer.parts.iter();
    let steps = |branch: &BranchSpec| branch.convs.len() + usize::from(branch.pool.is_some());
    branches.iter().map(|branch| parts.by_ref().take(steps(branch)).collect()).collect()
}

fn inception_scene(spec: &NetworkSpec, name: &str) -> Result<Scene> {
    let cost = spec.cost()?;
    let blocks = || {
        let layers = spec.layers.iter().zip(&cost.layers);
        layers.filter(|(layer, _)| !layer.branches().is_empty())
    };
    let (block, layer) = blocks()
        .find(|(_, cost)| cost.name == name)
        .ok_or_else(|| not_found("inception block", name, blocks().map(|(_, cost)| cost)))?;
    let branches = block.branches();
    let naive = matches!(block, Layer::NaiveInception(_));
    let form = if naive { "naive" } else { "with dimension reduction" };
    let columns = columns(layer, &branches);
    let rows = columns.iter().map(Vec::len).max().unwrap_or(1) as i32;
    let (box_height, gap, first) = (62, 44, 78);
    let pitch = box_height + gap;
    let input_top = first + 52 + gap + rows * pitch;
    let title = format!("{name} of {}, {form}", spec.name);
    let subtitle = format!(
        "{} parameters, {} multiply-adds for one image",
        grouped(layer.cost.parameters),
        grouped(layer.cost.multiply_adds),
    );
    let mut scene = card(input_top + 52 + MARGIN, &title, &subtitle);

    let full = |top| Rect::new(MARGIN, top, WIDTH - 2 * MARGIN, 52);
    let counts: Vec<_> =
        branches.iter().map(|b| b.out_channels(layer.input.channels).to_string()).collect();
    let joined = format!("{} = {} channels", counts.join(" + "), layer.output.channels);
    let output = [format!("concatenation: {}", dimensions(layer.output)), joined];
    scene.labelled(full(first), JOIN, &output);
    let input = [format!("input: {}", dimensions(layer.input))];
    scene.labelled(full(input_top), PLAIN, &input);

    let width = (WIDTH - 2 * MARGIN) / columns.len() as i32;
    for (column, steps) in columns.iter().enumerate() {
        let left = MARGIN + width * column as i32 + 8;
        let x = left + (width - 16) / 2;
        let mut below = input_top;
        for (index, step) in steps.iter().enumerate() {
            // A single box stands in the upper row, as in the paper.
            let from_top = (steps.len() - 1 - index) as i32;
            let top = first + 52 + gap + from_top * pitch;
            let (into, out) = (step.input.channels, step.output.channels);
            let lines = match step.cost.parameters {
                0 => vec![step.operation.clone(), format!("{out} channels")],
                parameters => vec![
                    step.operation.clone(),
                    format!("{into} to {out} channels"),
                    format!("{} parameters", short(parameters)),
                ],
            };
            let at = Rect::new(left, top, width - 16, box_height);
            scene.labelled(at, part_fill(step), &lines);
            scene.arrow(vec![(x, below), (x, top + box_height)]);
            below = top;
        }
        scene.arrow(vec![(x, below), (x, first + 52)]);
    }
    Ok(scene)
}

/// Most planes drawn in a stack.
const PLANES: i64 = 24;

/// Rounded up; the first is at least 1.
fn divided_up(value: i64, by: i64) -> i64 {
    1 + (value - 1) / by
}

/// Channels as a stack of planes, from behind; one of `PLANES` stands for `per_plane` channels.
/// Returns the front plane. Every plane is moved by (6, -5) from the one before it.
fn stack(scene: &mut Scene, front: Rect, channels: i64, per_plane: i64) {
    let planes = divided_up(channels, per_plane).clamp(1, PLANES) as i32;
    for plane in (0..planes).rev() {
        let (dx, dy) = (6 * plane, -5 * plane);
        let Rect { left, top, right, bottom } = front;
        let at = Rect { left: left + dx, top: top + dy, right: right + dx, bottom: bottom + dy };
        scene.rect(at, CONV, Some(FAINT));
    }
}

/// The front plane's grid and one of its cells, the same place in every stack.
fn grid(scene: &mut Scene, front: Rect, shape: Shape) {
    // More lines than these would be a grey area.
    let cells = |size: i64| size.clamp(1, 14) as i32;
    let (rows, columns) = (cells(shape.height), cells(shape.width));
    let (width, height) = (front.right - front.left, front.bottom - front.top);
    let x = |column: i32| front.left + width * column / columns;
    let y = |row: i32| front.top + height * row / rows;
    for column in 1..columns {
        scene.line(vec![(x(column), front.top), (x(column), front.bottom)], PLAIN);
    }
    for row in 1..rows {
        scene.line(vec![(front.left, y(row)), (front.right, y(row))], PLAIN);
    }
    let (row, column) = (rows / 2, columns / 2);
    let cell = Rect { left: x(column), top: y(row), right: x(column + 1), bottom: y(row + 1) };
    scene.rect(cell, ORANGE, None);
}

fn pointwise_scene(spec: &NetworkSpec, name: &str) -> Result<Scene> {
    let cost = spec.cost()?;
    let pointwise = || cost.operations().filter(|part| part.operation == "Conv 1x1");
    let part = pointwise()
        .find(|part| part.name == name)
        .ok_or_else(|| not_found("1x1 convolution", name, pointwise()))?;
    let (into, out) = (part.input.channels, part.output.channels);
    let per_plane = divided_up(into.max(out), PLANES);
    let title = format!("{name} of {}: a 1x1 convolution", spec.name);
    let subtitle = format!(
        "{} parameters, {} multiply-adds for one image; one plane drawn for {per_plane} channels",
        grouped(part.cost.parameters),
        grouped(part.cost.multiply_adds),
    );
    let mut scene = card(450, &title, &subtitle);
    let (size, top) = (150, 200);
    let left_front = Rect::new(70, top, size, size);
    let right_front = Rect::new(600, top, size, size);
    for (front, shape) in [(left_front, part.input), (right_front, part.output)] {
        stack(&mut scene, front, shape.channels, per_plane);
        grid(&mut scene, front, shape);
        let label = dimensions(shape);
        scene.text(label, (front.center().0, top + size + 24), style(15, Across::Center, INK));
    }
    scene.text("channels in", (left_front.center().0, 394), style(12, Across::Center, FAINT));
    scene.text("channels out", (right_front.center().0, 394), style(12, Across::Center, FAINT));

    // The weights: as wide as the channels in, as high as the channels out, at one scale.
    let longest = into.max(out) as f64;
    let side = |channels: i64| ((130.0 * channels as f64 / longest) as i32).max(4);
    let (width, height) = (side(into), side(out));
    let (x, y) = (475, left_front.center().1);
    let weights = Rect::new(x - width / 2, y - height / 2, width, height);
    scene.rect(weights, ORANGE, None);
    scene.arrow(vec![(370, y), (404, y)]);
    scene.arrow(vec![(546, y), (590, y)]);
    let below = weights.bottom + 24;
    scene.text(format!("{out} x {into} weights"), (x, below), style(13, Across::Center, INK));
    let explained = [
        "each value out is a sum".to_string(),
        format!("over the {into} values in"),
        "at the same place: height".to_string(),
        "and width stay".to_string(),
    ];
    for (y, text) in (below + 22..).step_by(16).zip(explained) {
        scene.text(text, (x, y), style(12, Across::Center, FAINT));
    }
    Ok(scene)
}

/// A box over the whole width of the trunk.
const TRUNK: i32 = 640;
const BOX: i32 = 30;
const GAP: i32 = 16;

/// Places boxes upwards from the bottom of a drawing whose height is not known before its end:
/// `y` counts upwards from 0.
struct Tower {
    boxes: Vec<(Rect, Rgb, String)>,
    arrows: Vec<Vec<(i32, i32)>>,
    /// Upper edge of the last box over the whole width.
    y: i32,
}

impl Tower {
    /// A box that spans the trunk, with an arrow from the one below.
    fn trunk(&mut self, fill: Rgb, text: String) {
        let arrow = self.y > 0;
        self.joined(fill, text);
        if arrow {
            let bottom = self.y - BOX;
            let x = MARGIN + TRUNK / 2;
            self.arrows.push(vec![(x, bottom - GAP), (x, bottom)]);
        }
    }

    /// The same without the arrow.
    fn joined(&mut self, fill: Rgb, text: String) {
        let bottom = if self.y > 0 { self.y + GAP } else { 0 };
        self.boxes.push((Rect::new(MARGIN, bottom, TRUNK, BOX), fill, text));
        self.y = bottom + BOX;
    }

    /// The branches of an inception block and its concatenation.
    fn block(&mut self, layer: &LayerCost, branches: &[BranchSpec]) {
        let columns = columns(layer, branches);
        let rows = columns.iter().map(Vec::len).max().unwrap_or(1) as i32;
        let (below, pitch) = (self.y, GAP + BOX);
        let above = below + rows * pitch + GAP;
        let width = TRUNK / columns.len() as i32;
        for (column, steps) in columns.into_iter().enumerate() {
            let left = MARGIN + width * column as i32 + 5;
            let x = left + (width - 10) / 2;
            let mut from = below;
            let lowest = rows - steps.len() as i32;
            for (row, step) in (lowest..).zip(steps) {
                let bottom = below + GAP + row * pitch;
                let at = Rect::new(left, bottom, width - 10, BOX);
                let text = format!("{}, {}", step.operation, step.output.channels);
                self.boxes.push((at, part_fill(step), text));
                self.arrows.push(vec![(x, from), (x, bottom)]);
                from = bottom + BOX;
            }
            self.arrows.push(vec![(x, from), (x, above)]);
        }
        self.y = above - GAP;
        self.joined(JOIN, format!("{}: concatenation, {}", layer.name, dimensions(layer.output)));
    }

    /// A column of boxes to the right of the trunk, from its last box upwards.
    fn aside(&mut self, layer: &LayerCost) {
        let (left, width) = (MARGIN + TRUNK + 34, WIDTH - 2 * MARGIN - TRUNK - 34);
        let x = left + width / 2;
        // Above the column before it, if that reaches so far.
        let beside = |at: &Rect| at.left == left;
        let free = self.boxes.iter().filter(|(at, ..)| beside(at)).map(|(at, ..)| at.bottom).max();
        let start = free.map_or(self.y, |free| self.y.max(free + GAP));
        let from = (MARGIN + TRUNK, self.y - BOX / 2);
        let mut path = vec![from, (x, from.1), (x, start + GAP)];
        let mut bottom = start + GAP;
        let boxes = layer.parts.iter().map(|part| (part_fill(part), part_text(part)));
        let title = (LOSS, format!("softmax: {}", layer.name));
        for (fill, text) in boxes.chain([title]) {
            self.boxes.push((Rect::new(left, bottom, width, BOX), fill, text));
            self.arrows.push(std::mem::take(&mut path));
            path = vec![(x, bottom + BOX), (x, bottom + BOX + GAP)];
            bottom += BOX + GAP;
        }
    }
}

fn part_fill(part: &LayerCost) -> Rgb {
    match part.operation.contains("Pool") {
        true => POOL,
        false if part.cost.multiply_adds > 0 => CONV,
        false => PLAIN,
    }
}

fn part_text(part: &LayerCost) -> String {
    format!("{}, {}", part.operation, dimensions(part.output))
}

fn network_scene(spec: &NetworkSpec) -> Result<Scene> {
    let cost = spec.cost()?;
    let mut tower = Tower { boxes: Vec::new(), arrows: Vec::new(), y: 0 };
    tower.trunk(PLAIN, format!("input: {}", dimensions(cost.input)));
    for (layer, cost) in spec.layers.iter().zip(&cost.layers) {
        match layer {
            Layer::Inception(_) | Layer::NaiveInception(_) => tower.block(cost, &layer.branches()),
            Layer::Auxiliary(_) => tower.aside(cost),
            _ => tower.trunk(part_fill(cost), format!("{}: {}", cost.name, part_text(cost))),
        }
    }
    if let Some(head) = cost.layers.last() {
        for part in &head.parts {
            tower.trunk(part_fill(part), format!("{}: {}", part.name, part_text(part)));
        }
    }
    tower.trunk(LOSS, "softmax".to_string());

    let highest = tower.boxes.iter().map(|(at, ..)| at.bottom).max().unwrap_or(0);
    let title = format!("{}, from the image at the bottom to the classes at the top", spec.name);
    let auxiliary = match spec.auxiliaries().count() {
        0 => "",
        _ => "; the auxiliary classifiers at the right work in training only",
    };
    let subtitle = format!(
        "{} parameters, {} multiply-adds for one image{auxiliary}",
        short(cost.inference.parameters),
        short(cost.inference.multiply_adds),
    );
    let base = highest + 76;
    let mut scene = card(base + MARGIN, &title, &subtitle);
    for points in tower.arrows {
        scene.arrow(points.into_iter().map(|(x, y)| (x, base - y)).collect());
    }
    for (at, fill, text) in tower.boxes {
        let at = Rect { top: base - at.bottom, bottom: base - at.top, ..at };
        scene.labelled(at, fill, &[text]);
    }
    Ok(scene)
}

fn bars_scene(cost: &NetworkCost) -> Scene {
    let row = 24;
    let top = 92;
    let counted: Vec<&LayerCost> =
        cost.layers.iter().filter(|layer| layer.cost.parameters > 0).collect();
    let title = format!("{}: where its parameters and its work are", cost.network);
    let mut subtitle = format!(
        "{} parameters, {} multiply-adds for one image",
        grouped(cost.inference.parameters),
        grouped(cost.inference.multiply_adds),
    );
    if counted.iter().any(|layer| layer.training_only) {
        subtitle.push_str("; auxiliary classifiers (grey, in training only) not included");
    }
    let mut scene = card(top + row * counted.len() as i32 + MARGIN, &title, &subtitle);
    let values = |count: fn(&Cost) -> i64| counted.iter().map(move |layer| count(&layer.cost));
    let panels: [(_, _, _, Vec<i64>); 2] = [
        ("parameters", 170, BLUE, values(|cost| cost.parameters).collect()),
        ("multiply-adds", 560, ORANGE, values(|cost| cost.multiply_adds).collect()),
    ];
    let length = 310;
    for (label, left, color, values) in panels {
        let largest = values.iter().copied().max().unwrap_or(1).max(1);
        scene.text(label, (left, top - 12), style(13, Across::Left, INK));
        for (index, (layer, value)) in counted.iter().zip(values).enumerate() {
            let y = top + row * index as i32;
            let width = (f64::from(length) * value as f64 / largest as f64).round() as i32;
            let fill = if layer.training_only { PALE } else { color };
            scene.rect(Rect::new(left, y + 3, width.max(1), row - 6), fill, None);
            let at = (left + width + 6, y + row / 2);
            scene.text(short(value), at, style(12, Across::Left, INK));
        }
    }
    for (index, layer) in counted.iter().enumerate() {
        let y = top + row * index as i32 + row / 2;
        scene.text(&layer.name, (158, y), style(12, Across::Right, INK));
    }
    scene
}

fn gap_scene(comparison: &GapVersusFc) -> Scene {
    let GapVersusFc { features, outputs, weights, biases, .. } = *comparison;
    let subtitle = format!(
        "the last activations, {}, hold {} values; the vector has {}",
        dimensions(features),
        grouped(features.elements()),
        grouped(outputs),
    );
    let mut scene = card(600, "From feature maps to a vector", &subtitle);
    let per_plane = divided_up(features.channels, PLANES / 2);
    let averages = grouped(features.channels);
    let rows = [
        (
            80,
            "flatten, then a fully connected layer",
            [grouped(features.elements()), grouped(outputs)],
            [format!("{} weights", grouped(weights)), format!("and {} biases", grouped(biases))],
        ),
        (
            340,
            "global average pooling",
            [averages.clone(), averages],
            ["0 weights".to_string(), "each channel's mean".to_string()],
        ),
    ];
    for (index, (top, heading, [from, to], [first, second])) in rows.into_iter().enumerate() {
        scene.text(heading, (MARGIN, top + 10), style(15, Across::Left, INK));
        let front = Rect::new(60, top + 100, 100, 100);
        stack(&mut scene, front, features.channels, per_plane);
        grid(&mut scene, front, features);
        let below = top + 222;
        scene.text(dimensions(features), (110, below), style(13, Across::Center, INK));
        let middle = top + 120;
        let flatten = index == 0;
        let output = Rect::new(690, middle - 50, 16, 100);
        if flatten {
            let vector = Rect::new(380, middle - 90, 16, 180);
            scene.arrow(vec![(270, middle), (360, middle)]);
            // Every value is connected with every output; a few of the lines stand for all.
            for i in 0..=12 {
                for o in 0..=6 {
                    let a = (vector.right, vector.top + 15 * i);
                    let b = (output.left, output.top + 100 * o / 6);
                    scene.line(vec![a, b], PALE);
                }
            }
            scene.rect(vector, ORANGE, Some(FAINT));
            scene.text(from, (388, below), style(13, Across::Center, INK));
        } else {
            scene.arrow(vec![(270, middle), (670, middle)]);
            let Shape { height, width, .. } = features;
            let mean = format!("mean over {height} x {width} places");
            scene.text(mean, (470, middle - 14), style(13, Across::Center, INK));
        }
        scene.rect(output, JOIN, Some(FAINT));
        scene.text(to, (698, below), style(13, Across::Center, INK));
        scene.text(first, (728, middle - 10), style(14, Across::Left, INK));
        scene.text(second, (728, middle + 12), style(12, Across::Left, FAINT));
    }
    scene
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    fn sound(scene: Scene) {
        assert_eq!(scene.problems().unwrap(), [""; 0]);
    }

    fn texts(scene: &Scene) -> String {
        scene.texts().collect::<Vec<_>>().join("\n")
    }

    /// Every drawing of every network, so that none overlaps or is cut.
    #[test]
    fn nothing_overlaps_and_nothing_is_cut() {
        for spec in spec::ALL.into_iter().chain([&spec::VGG_16]) {
            sound(network_scene(spec).unwrap());
            sound(bars_scene(&spec.cost().unwrap()));
            for spec in [spec.clone(), spec.naive()] {
                sound(network_scene(&spec).unwrap());
                for layer in spec.layers.iter().zip(spec.shapes().unwrap()) {
                    if let (Layer::Inception(_) | Layer::NaiveInception(_), (name, _)) = layer {
                        sound(inception_scene(&spec, &name).unwrap());
                    }
                }
                let cost = spec.cost().unwrap();
                for part in cost.operations().filter(|part| part.operation == "Conv 1x1") {
                    sound(pointwise_scene(&spec, &part.name).unwrap());
                }
            }
        }
        for (features, outputs) in
            [(Shape::square(1024, 7), 1024), (Shape::square(3, 1), 2), (Shape::square(4096, 64), 1)]
        {
            sound(gap_scene(&GapVersusFc::new(features, outputs).unwrap()));
        }
    }

    #[test]
    fn two_auxiliary_classifiers_in_a_row_stand_above_each_other() {
        let mut spec = spec::PAPER.clone();
        let layer = spec.layers[11].clone();
        let Layer::Auxiliary(mut auxiliary) = layer else { panic!("layer 11 is no classifier") };
        auxiliary.name = "aux_second".into();
        spec.layers.to_mut().insert(12, Layer::Auxiliary(auxiliary));
        sound(network_scene(&spec).unwrap());
    }

    #[test]
    fn the_channels_are_the_specs() {
        let mut spec = spec::PAPER.clone();
        if let Layer::Inception(block) = &mut spec.layers.to_mut()[7] {
            block.conv_3x3 = 131;
        }
        let scene = inception_scene(&spec, "inception_3a").unwrap();
        let block = texts(&scene);
        assert!(block.contains("96 to 131 channels"), "{block}");
        assert!(block.contains("64 + 131 + 32 + 32 = 259 channels"), "{block}");
        assert!(block.contains("concatenation: 259 x 28 x 28"), "{block}");
        // The next block reads them.
        let next = texts(&inception_scene(&spec, "inception_3b").unwrap());
        assert!(next.contains("input: 259 x 28 x 28"), "{next}");
        // The naive block's pool branch passes all of its input on.
        let naive = texts(&inception_scene(&spec.naive(), "inception_3a").unwrap());
        assert!(naive.contains("64 + 131 + 32 + 192 = 419 channels"), "{naive}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        let error = inception_block(&spec::COMPACT, "inception_9z").unwrap_err().to_string();
        assert!(error.contains("'inception_9z'") && error.contains("inception_4b"), "{error}");
        let error = pointwise_convolution(&spec::COMPACT, "conv_1").unwrap_err().to_string();
        assert!(error.contains("inception_3a.reduce_5x5"), "{error}");
    }
}
