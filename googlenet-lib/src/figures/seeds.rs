//! Several seeds of each of several kinds of runs.

use std::fmt;

use charts::palette::{BLUE, FAINT, GRID, INK};
use charts::{Across, Down, MARGIN, Picture, Rect, SMALLEST, Scene, Style, TITLE, WIDTH};
use notebook::number::counted;
use notebook::{Decimals, Maybe, Show, Table, at_end_of_cell, table};

use super::compare::{Run, RunSummary};
use crate::{Error, Result};

/// Height of a row of runs.
const ROW: i32 = 40;

/// Several runs of each of several kinds, which differ in their seed. In a notebook it shows itself as a
/// table, [`SeedComparison::picture`] is where the runs lie.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedComparison {
    /// What is compared, with its unit after a comma: `test images right, %`.
    pub what: String,
    /// The kinds.
    pub groups: Vec<Seeds>,
}

/// Runs that differ in their seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Seeds {
    /// What they have in common.
    pub name: String,
    /// A number for each run: with [`compare_seeds`], how many of the test images were right after its last
    /// epoch, in per cent.
    pub values: Vec<f64>,
}

/// How far one kind is ahead of another, seed by seed.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedDifference {
    /// The kind that stands first.
    pub one: String,
    /// The kind that is taken away from it.
    pub other: String,
    /// For each seed, the number of the first kind less that of the other.
    pub values: Vec<f64>,
}

/// Several runs of each of several kinds: for each a name and the runs, which differ in their seed. They are
/// given as to [`compare`](super::compare()).
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let data = Shapes10::generate(32, 10, 0)?;
/// let train = |seed| {
///     let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
///     let recipe = Recipe::fast().with_epochs(1).with_batch(16).with_seed(seed);
///     let mut run = Trainer::new(net, &data, recipe)?;
///     run.fit(Epochs(1))?;
///     Ok::<_, Error>(run)
/// };
/// let compact = [train(1)?, train(2)?];
/// let seeds = compare_seeds([("compact", &compact)])?;
/// assert_eq!(seeds.groups[0].values.len(), 2);
/// assert!(seeds.picture()?.svg().contains("compact"));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// No kind, a kind without runs, a run without a complete epoch.
pub fn compare_seeds<N: Into<String>, R: Run, G: IntoIterator<Item = R>>(
    groups: impl IntoIterator<Item = (N, G)>,
) -> Result<SeedComparison> {
    let group = |(name, runs): (N, G)| {
        let name = name.into();
        let values: Vec<f64> = runs
            .into_iter()
            .map(|run| {
                RunSummary::of(&run).right().ok_or_else(|| {
                    let what = format!("complete epochs of a run of '{name}'");
                    Error::invalid(what, 0, "train it first")
                })
            })
            .collect::<Result<_>>()?;
        if values.is_empty() {
            return Err(Error::invalid(format!("runs of '{name}'"), 0, "give at least one"));
        }
        Ok(Seeds { name, values })
    };
    let groups = groups.into_iter().map(group).collect::<Result<Vec<_>>>()?;
    if groups.is_empty() {
        return Err(Error::invalid("kinds of runs", 0, "give at least one"));
    }
    Ok(SeedComparison { what: "test images right, %".into(), groups })
}

impl Seeds {
    /// Mean over the runs.
    pub fn mean(&self) -> f64 {
        mean(&self.values)
    }

    /// Standard deviation over the runs: the root of the sum of squares over n - 1. `None` for a single run.
    pub fn deviation(&self) -> Option<f64> {
        deviation(&self.values)
    }

    /// The lowest and the highest number.
    pub fn range(&self) -> (f64, f64) {
        let from = (f64::INFINITY, f64::NEG_INFINITY);
        self.values.iter().fold(from, |(low, high), &value| (low.min(value), high.max(value)))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> Option<f64> {
    let more = values.len().checked_sub(1).filter(|more| *more > 0)?;
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / more as f64).sqrt())
}

impl SeedDifference {
    /// Mean over the seeds.
    pub fn mean(&self) -> f64 {
        mean(&self.values)
    }

    /// Standard deviation over the seeds; `None` for a single one.
    pub fn deviation(&self) -> Option<f64> {
        deviation(&self.values)
    }

    /// With how many seeds the first kind has the larger number.
    pub fn above(&self) -> usize {
        self.values.iter().filter(|value| **value > 0.0).count()
    }
}

/// As `mean minus flatten: 1.2 +- 0.5, above 0 with 3 of 3 seeds`, where +- is one standard deviation.
impl fmt::Display for SeedDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} minus {}: {:.1}", self.one, self.other, self.mean())?;
        if let Some(deviation) = self.deviation() {
            write!(f, " +- {deviation:.1}")?;
        }
        write!(f, ", above 0 with {} of {}", self.above(), counted(self.values.len(), "seed"))
    }
}

impl SeedComparison {
    /// The numbers: how many runs, and over them mean, standard deviation, lowest and highest.
    pub fn table(&self) -> Table {
        table![
            self.what, "runs", "mean", "standard deviation", "lowest", "highest";
            ..self.groups.iter().map(|group| {
                let (low, high) = group.range();
                let deviation = Maybe(group.deviation().map(|points| Decimals(points, 2)));
                let (mean, runs) = (Decimals(group.mean(), 2), group.values.len());
                (&group.name, runs, mean, deviation, Decimals(low, 1), Decimals(high, 1))
            })
        ]
    }

    /// One kind less another, seed by seed: their runs must be in one order.
    ///
    /// # Errors
    /// A name that no kind has, another number of runs.
    pub fn difference(&self, one: &str, other: &str) -> Result<SeedDifference> {
        let values = |name| Ok::<_, Error>(&self.group(name)?.values);
        let (ours, theirs) = (values(one)?, values(other)?);
        if ours.len() != theirs.len() {
            let remedy = format!("'{one}' has {}", ours.len());
            return Err(Error::invalid(format!("runs of '{other}'"), theirs.len(), remedy));
        }
        let values = ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs).collect();
        Ok(SeedDifference { one: one.into(), other: other.into(), values })
    }

    /// The kind of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn group(&self, name: &str) -> Result<&Seeds> {
        self.groups.iter().find(|group| group.name == name).ok_or_else(|| {
            let names: Vec<_> = self.groups.iter().map(|group| group.name.as_str()).collect();
            Error::invalid(
                "kind",
                format!("'{name}'"),
                format!("choose one of {}", names.join(", ")),
            )
        })
    }

    /// A row a kind: a square for each run, a line from the lowest to the highest, a bar at the mean.
    ///
    /// # Errors
    /// A picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        Ok(self.scene().picture()?)
    }

    fn scene(&self) -> Scene {
        let note =
            "a square is a run, the bar is their mean; +- is one standard deviation of the runs";
        let (top, rows) = (TITLE as i32, self.groups.len() as i32);
        let bottom = top + rows * ROW;
        let (what, unit) =
            self.what.strip_suffix(", %").map_or((&*self.what, ""), |what| (what, " %"));
        let first = what.chars().next().map_or(0, char::len_utf8);
        let title = format!("{}{}, several seeds", what[..first].to_uppercase(), &what[first..]);
        let mut scene = Scene::new(bottom as u32 + 52, title, note);
        let style =
            |across, down, width| Style { size: SMALLEST, width, ..Style::new(across, down) };
        let (from, to) = (MARGIN as i32 + 210, (WIDTH - MARGIN) as i32 - 150);
        let axis = Axis::of(self.groups.iter().flat_map(|group| &group.values));
        let place = |value: f64| {
            let part = (value - axis.from) / (axis.to - axis.from);
            from + (part * f64::from(to - from)).round() as i32
        };
        for mark in axis.marks() {
            let x = place(mark);
            scene.line(vec![(x, top), (x, bottom)], GRID);
            let text = format!("{mark:.*}", axis.decimals());
            scene.text(text, (x, bottom + 6), style(Across::Center, Down::Top, 100));
        }
        let middle = ((from + to) / 2, bottom + 28);
        scene.text(&self.what, middle, style(Across::Center, Down::Top, 400));
        for (row, group) in (0..).zip(&self.groups) {
            let y = top + row * ROW + ROW / 2;
            scene.text(&group.name, (from - 12, y), style(Across::Right, Down::Center, 200));
            let (low, high) = group.range();
            scene.line(vec![(place(low), y), (place(high), y)], FAINT);
            for &value in &group.values {
                scene.rect(Rect::new(place(value) - 4, y - 4, 8, 8), BLUE, None);
            }
            let mean = group.mean();
            scene.rect(Rect::new(place(mean) - 1, y - 13, 3, 26), INK, None);
            // One more than at the marks: a place between them can be told.
            let decimals = axis.decimals() + 1;
            let spread = group
                .deviation()
                .map_or(String::new(), |spread| format!(" +- {spread:.decimals$}"));
            let text = format!("{mean:.decimals$}{unit}{spread}");
            scene.text(text, (to + 14, y), style(Across::Left, Down::Center, 140));
        }
        scene
    }

    /// Shows the table in an evcxr notebook.
    pub fn evcxr_display(&self) {
        at_end_of_cell(self);
    }
}

impl fmt::Display for SeedComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}

impl Show for SeedComparison {
    fn content(&self) -> Vec<(&'static str, String)> {
        self.table().content()
    }
}

/// An axis in per cent, from one mark to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    from: f64,
    to: f64,
    step: f64,
}

impl Axis {
    /// The one with at most seven marks that has these values on it.
    fn of<'a>(values: impl Iterator<Item = &'a f64> + Clone) -> Axis {
        let low = values.clone().copied().fold(100.0, f64::min);
        let high = values.copied().fold(0.0, f64::max).max(low);
        let steps = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];
        let span = |step: f64| {
            let (first, last) = ((low / step).floor(), (high / step).ceil());
            // At least one step, and none beyond 100 %.
            if first < last {
                (first, last)
            } else if high < 100.0 {
                (first, first + 1.0)
            } else {
                (first - 1.0, first)
            }
        };
        let fits = |step: &&f64| span(**step).1 - span(**step).0 <= 6.0;
        let step = steps.iter().find(fits).copied().unwrap_or(20.0);
        let (first, last) = span(step);
        Axis { from: first * step, to: last * step, step }
    }

    fn marks(self) -> impl Iterator<Item = f64> {
        let count = ((self.to - self.from) / self.step).round() as i32;
        (0..=count).map(move |mark| self.from + f64::from(mark) * self.step)
    }

    fn decimals(self) -> usize {
        usize::from(self.step < 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(name: &str, values: &[f64]) -> Seeds {
        Seeds { name: name.into(), values: values.into() }
    }

    fn right(groups: Vec<Seeds>) -> SeedComparison {
        SeedComparison { what: "test images right, %".into(), groups }
    }

    #[test]
    fn seeds_have_a_mean_and_a_spread() {
        let three = seeds("three", &[88.0, 91.0, 94.0]);
        assert_eq!(
            (three.mean(), three.deviation(), three.range()),
            (91.0, Some(3.0), (88.0, 94.0))
        );
        let one = seeds("one", &[50.0]);
        assert_eq!((one.mean(), one.deviation(), one.range()), (50.0, None, (50.0, 50.0)));
        let text = right(vec![three, one]).to_string();
        assert!(text.starts_with("test images right, %  runs   mean"), "{text}");
        assert!(
            text.contains("three                    3  91.00                3.00    88.0"),
            "{text}"
        );
    }

    #[test]
    fn kinds_are_taken_from_each_other_seed_by_seed() {
        let groups =
            vec![seeds("a", &[5.0, 7.0, 4.0]), seeds("b", &[4.0, 4.0, 4.0]), seeds("c", &[1.0])];
        let both = right(groups);
        let apart = both.difference("a", "b").unwrap();
        assert_eq!((apart.mean(), apart.above()), (4.0 / 3.0, 2));
        assert_eq!(apart.to_string(), "a minus b: 1.3 +- 1.5, above 0 with 2 of 3 seeds");
        let alone = both.difference("c", "c").unwrap().to_string();
        assert_eq!(alone, "c minus c: 0.0, above 0 with 0 of 1 seed");
        let error = both.difference("a", "c").unwrap_err().to_string();
        assert_eq!(error, "runs of 'c' is 1: 'a' has 3");
        let error = both.difference("a", "d").unwrap_err().to_string();
        assert_eq!(error, "kind is 'd': choose one of a, b, c");
    }

    #[test]
    fn the_picture_of_seeds_has_room_for_its_words() {
        let groups = vec![
            seeds("mean, then linear", &[88.1, 91.0, 90.4, 89.9]),
            seeds("flatten, then linear", &[84.0, 84.5]),
            seeds("one", &[90.0]),
        ];
        let scene = right(groups.clone()).scene();
        assert_eq!(scene.problems().unwrap(), [""; 0]);
        let texts: Vec<_> = scene.texts().collect();
        assert!(texts.contains(&"90.0 %") && texts.contains(&"84.2 % +- 0.4"), "{texts:?}");
        assert!(texts.contains(&"84") && texts.contains(&"92"), "{texts:?}");
        let svg = |seeds: &SeedComparison| seeds.picture().unwrap().svg().to_owned();
        assert!(svg(&right(groups.clone())).contains("Test images right, several seeds"));
        let lost = SeedComparison { what: "points lost by a shift".into(), groups };
        let scene = lost.scene();
        let texts: Vec<_> = scene.texts().collect();
        assert!(svg(&lost).contains("Points lost by a shift, several seeds"));
        assert!(texts.contains(&"84.2 +- 0.4") && texts.contains(&"90.0"), "{texts:?}");
    }

    #[test]
    fn an_axis_goes_from_mark_to_mark() {
        let marks = |values: &[f64]| Axis::of(values.iter()).marks().collect::<Vec<_>>();
        assert_eq!(marks(&[84.0, 91.0]), [84.0, 86.0, 88.0, 90.0, 92.0]);
        assert_eq!(marks(&[0.0, 100.0]), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(marks(&[50.0]), [50.0, 50.1]);
        assert_eq!(marks(&[100.0]), [99.9, 100.0]);
    }
}
