//! Runs in numbers: one, and several side by side.

use std::fmt;

use charts::Picture;
use notebook::number::grouped;
use notebook::{Decimals, Show, Table, at_end_of_cell, table};

use super::series::lines;
use crate::train::{History, Trainer};
use crate::{Error, Result};

/// What [`compare`] compares: a [`Trainer`], a [`History`], a reference to one, or a pair of a name and one
/// of these.
pub trait Run {
    /// What has happened in it.
    fn history(&self) -> &History;

    /// Images that it was tested with: a history does not know it.
    fn test_images(&self) -> Option<usize>;

    /// What the reader calls it.
    fn name(&self) -> Option<&str> {
        None
    }
}

impl Run for History {
    fn history(&self) -> &History {
        self
    }

    fn test_images(&self) -> Option<usize> {
        None
    }
}

impl Run for Trainer {
    fn history(&self) -> &History {
        self.history()
    }

    fn test_images(&self) -> Option<usize> {
        Some(self.test.len())
    }
}

impl<R: Run> Run for &R {
    fn history(&self) -> &History {
        (*self).history()
    }

    fn test_images(&self) -> Option<usize> {
        (*self).test_images()
    }

    fn name(&self) -> Option<&str> {
        (*self).name()
    }
}

impl<N: AsRef<str>, R: Run> Run for (N, R) {
    fn history(&self) -> &History {
        self.1.history()
    }

    fn test_images(&self) -> Option<usize> {
        self.1.test_images()
    }

    fn name(&self) -> Option<&str> {
        Some(self.0.as_ref())
    }
}

/// A run in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    /// What the reader calls it, or the name of its network.
    pub name: String,
    /// Name of the network's spec.
    pub network: String,
    /// Name of the data set.
    pub dataset: String,
    /// The device in words.
    pub device: String,
    /// Name of the recipe.
    pub recipe: String,
    /// Number of learned values.
    pub parameters: i64,
    /// Images that it has learned from, each as often as it was seen.
    pub images_seen: i64,
    /// Seconds of training, without the tests and without pauses.
    pub seconds: f64,
    /// Mean training loss of the last epoch; `None` before the first one is complete.
    pub train_loss: Option<f64>,
    /// Images that it was tested with, where that is known.
    pub test_images: Option<usize>,
    /// For each epoch, its number and how many of the test images are right, in per cent.
    pub test_accuracy: Vec<(f64, f64)>,
}

impl RunSummary {
    /// The numbers of a run.
    pub fn of(run: &impl Run) -> RunSummary {
        let history = run.history();
        RunSummary {
            name: run.name().unwrap_or(&history.network).to_owned(),
            network: history.network.clone(),
            dataset: history.dataset.clone(),
            device: history.device.clone(),
            recipe: history.recipe.name.clone(),
            parameters: history.parameters,
            images_seen: history.images_seen(),
            seconds: history.seconds(),
            train_loss: history.last().map(|epoch| epoch.train_loss),
            test_images: run.test_images(),
            test_accuracy: history.test_accuracy(),
        }
    }

    /// How many of the test images were right after the last epoch, in per cent.
    pub fn right(&self) -> Option<f64> {
        self.test_accuracy.last().map(|&(_, percent)| percent)
    }

    /// Standard error of [`RunSummary::right`], in percentage points: of a share p of n images, that is
    /// the root of p (1 - p) / n.
    pub fn standard_error(&self) -> Option<f64> {
        let (right, images) = (self.right()?, self.test_images?);
        Some((right * (100.0 - right) / images as f64).sqrt())
    }

    fn table(&self) -> Table {
        let epochs = self.test_accuracy.len();
        let right = match (self.right(), self.standard_error(), self.test_images) {
            (Some(right), Some(error), Some(images)) => format!(
                "{right:.2} % +- {error:.2}, one standard error, of {} images",
                grouped(images as i64)
            ),
            (Some(right), ..) => format!("{right:.2} %"),
            _ => "no epoch is complete yet".into(),
        };
        // All are words: numbers of different things are not aligned with each other.
        table![
            "network", self.network;
            ("parameters", grouped(self.parameters)),
            ("data", self.dataset),
            ("device", self.device),
            ("recipe", self.recipe),
            ("epochs", epochs.to_string()),
            ("images seen", grouped(self.images_seen)),
            ("seconds", Decimals(self.seconds, 1).to_string()),
            ("test images right", right),
        ]
    }
}

impl History {
    /// The run in a table: network, parameters, data, device, recipe, epochs, images seen, seconds of
    /// training, and how many of the test images are right. [`Trainer::summary`] knows the error of that.
    pub fn summary(&self) -> Table {
        RunSummary::of(self).table()
    }
}

impl Trainer {
    /// The run in a table: network, parameters, data, device, recipe, epochs, images seen, seconds of
    /// training, and how many of the test images are right, with its standard error.
    ///
    /// ```
    /// use googlenet_lib::prelude::*;
    ///
    /// let data = Shapes10::generate(64, 10, 0)?;
    /// let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
    /// let run = Trainer::new(net, &data, Recipe::fast().with_batch(32))?;
    /// assert!(run.summary().to_string().contains("no epoch is complete yet"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn summary(&self) -> Table {
        RunSummary::of(self).table()
    }
}

/// Several runs side by side. In a notebook it shows itself as a table, [`Comparison::picture`] is how
/// they went.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The runs.
    pub runs: Vec<RunSummary>,
}

/// Several runs side by side: [`Trainer`]s or [`History`]s, each of which may have a name before it. Those
/// without one are called after their network, and after their recipe where networks are the same.
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let data = Shapes10::generate(32, 10, 0)?;
/// let train = |recipe: Recipe| {
///     let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
///     let mut run = Trainer::new(net, &data, recipe.with_epochs(1).with_batch(16))?;
///     run.fit(Epochs(1))?;
///     Ok::<_, Error>(run)
/// };
/// let fast = train(Recipe::fast())?;
/// let slow = train(Recipe { name: "slow".into(), learning_rate: 0.002, ..Recipe::fast() })?;
///
/// let both = compare([&fast, &slow]);
/// assert!(both.to_string().contains("COMPACT, slow"));
/// let named = compare([("0.2", &fast), ("a hundredth", &slow)]);
/// assert!(named.picture()?.svg().contains("a hundredth"));
/// # Ok::<(), Error>(())
/// ```
pub fn compare<R: Run>(runs: impl IntoIterator<Item = R>) -> Comparison {
    let mut runs: Vec<RunSummary> = runs.into_iter().map(|run| RunSummary::of(&run)).collect();
    let twice = repeated(&runs);
    for (run, twice) in runs.iter_mut().zip(twice) {
        if twice {
            run.name = format!("{}, {}", run.name, run.recipe);
        }
    }
    let twice = repeated(&runs);
    for (place, (run, twice)) in (1..).zip(runs.iter_mut().zip(twice)) {
        if twice {
            run.name = format!("{}, run {place}", run.name);
        }
    }
    Comparison { runs }
}

/// For each run, whether another one has its name.
fn repeated(runs: &[RunSummary]) -> Vec<bool> {
    runs.iter().map(|run| runs.iter().filter(|other| other.name == run.name).count() > 1).collect()
}

impl Comparison {
    /// The numbers: parameters, images seen, minutes of training, loss in the last epoch, and how many of
    /// the test images are right, with two standard errors where the number of images is known.
    pub fn table(&self) -> Table {
        let rows = self.runs.iter().map(|run| {
            let right = match (run.right(), run.standard_error()) {
                (Some(right), Some(error)) => format!("{right:.1} +- {:.1}", 2.0 * error),
                (Some(right), None) => format!("{right:.1}"),
                (None, _) => "-".into(),
            };
            let loss = run.train_loss.map_or("-".into(), |loss| format!("{loss:.3}"));
            [
                run.name.clone(),
                run.dataset.clone(),
                run.recipe.clone(),
                grouped(run.parameters),
                grouped(run.images_seen),
                Decimals(run.seconds / 60.0, 1).to_string(),
                loss,
                right,
            ]
        });
        let header = [
            "run",
            "data",
            "recipe",
            "parameters",
            "images seen",
            "minutes",
            "training loss",
            "test images right, %",
        ];
        Table::of(3, header, rows)
    }

    /// How many of the test images were right after each epoch, a line a run; runs without a complete
    /// epoch are left out.
    ///
    /// # Errors
    /// No run with a complete epoch, or more than six; a picture that cannot be drawn.
    pub fn picture(&self) -> Result<Picture> {
        let begun = || self.runs.iter().filter(|run| !run.test_accuracy.is_empty());
        if begun().next().is_none() {
            return Err(Error::invalid("runs with a complete epoch", 0, "train one of them first"));
        }
        let mut places: Vec<String> =
            begun().map(|run| format!("{} on {}", run.dataset, run.device)).collect();
        places.sort();
        places.dedup();
        let runs = begun().map(|run| (&run.name, &run.test_accuracy));
        let axes = ("epoch", "test images right, %");
        lines("Test images right after each epoch", places.join("; "), axes, runs)
    }

    /// Shows the table in an evcxr notebook.
    pub fn evcxr_display(&self) {
        at_end_of_cell(self);
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}

impl Show for Comparison {
    fn content(&self) -> Vec<(&'static str, String)> {
        self.table().content()
    }
}
