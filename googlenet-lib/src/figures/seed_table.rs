//! Numbers that several seeds gave, in a file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use notebook::number::counted;
use serde::Deserialize;

use super::seeds::{SeedComparison, Seeds};
use crate::{Error, Result};

/// What several kinds of runs gave with several seeds each, computed once and kept in a file:
/// `cargo xtask bench seeds` writes those of the lessons.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SeedTable {
    /// The day on which it was measured.
    pub date: String,
    /// The machine in words.
    pub machine: String,
    /// The device in words.
    pub device: String,
    /// Name of the data set, as plots show it.
    pub dataset: String,
    /// The seeds, one a run.
    pub seeds: Vec<u64>,
    /// The kinds.
    pub kinds: Vec<SeedKind>,
}

/// Runs of one kind in a [`SeedTable`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SeedKind {
    /// What the runs have in common.
    pub name: String,
    /// By what was measured, with its unit after a comma: a number for each seed.
    pub numbers: BTreeMap<String, Vec<f64>>,
}

impl SeedTable {
    /// Reads a file.
    ///
    /// ```
    /// use googlenet_lib::prelude::*;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("seeds.json");
    /// let numbers = r#"{"test images right, %": [60.5, 61.5]}"#;
    /// std::fs::write(&path, format!(
    ///     r#"{{"date": "2026-11-26", "machine": "mine", "device": "CPU", "dataset": "Shapes10",
    ///         "seeds": [0, 1], "kinds": [{{"name": "mean", "numbers": {numbers}}}]}}"#
    /// ))?;
    ///
    /// let table = SeedTable::load(&path)?;
    /// assert_eq!(table.to_string(), "2 seeds of each, on Shapes10; CPU, 2026-11-26");
    /// let right = table.compare("test images right, %")?;
    /// assert_eq!(right.group("mean")?.mean(), 61.0);
    /// assert!(table.compare("seconds").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A file that is missing or holds something else; no seed or no kind; a kind with more numbers or fewer
    /// than there are seeds.
    pub fn load(path: impl AsRef<Path>) -> Result<SeedTable> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let table: SeedTable = serde_json::from_slice(&bytes)
            .map_err(|source| Error::Json { path: path.to_path_buf(), source })?;
        match table.problem() {
            None => Ok(table),
            Some(problem) => Err(Error::Data {
                path: path.to_path_buf(),
                problem,
                remedy: "write it anew with `cargo xtask bench seeds`".into(),
            }),
        }
    }

    fn problem(&self) -> Option<String> {
        if self.seeds.is_empty() || self.kinds.is_empty() {
            return Some("it has no seed or no kind of runs".into());
        }
        let mut all = self.kinds.iter().flat_map(|kind| {
            kind.numbers.iter().map(|(what, numbers)| (&kind.name, what, numbers.len()))
        });
        let (name, what, count) = all.find(|(.., count)| *count != self.seeds.len())?;
        let seeds = counted(self.seeds.len(), "seed");
        Some(format!("'{name}' has {count} of '{what}' for {seeds}"))
    }

    /// One of the things that were measured, for all kinds that have it.
    ///
    /// # Errors
    /// No kind has it.
    pub fn compare(&self, what: &str) -> Result<SeedComparison> {
        let of = |kind: &SeedKind| {
            let values = kind.numbers.get(what)?.clone();
            Some(Seeds { name: kind.name.clone(), values })
        };
        let groups: Vec<Seeds> = self.kinds.iter().filter_map(of).collect();
        if groups.is_empty() {
            let mut known: Vec<_> = self
                .kinds
                .iter()
                .flat_map(|kind| kind.numbers.keys())
                .map(String::as_str)
                .collect();
            known.sort_unstable();
            known.dedup();
            let remedy = format!("choose one of: {}", known.join("; "));
            return Err(Error::invalid("what is compared", format!("'{what}'"), remedy));
        }
        Ok(SeedComparison { what: what.into(), groups })
    }
}

/// How many seeds, on what, where and when.
impl fmt::Display for SeedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SeedTable { date, device, dataset, seeds, .. } = self;
        write!(f, "{} of each, on {dataset}; {device}, {date}", counted(seeds.len(), "seed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(seeds: &[u64], numbers: &[f64]) -> SeedTable {
        let numbers = BTreeMap::from([("seconds".into(), numbers.into())]);
        SeedTable {
            date: "2026-11-26".into(),
            machine: "mine".into(),
            device: "CPU".into(),
            dataset: "Shapes10".into(),
            seeds: seeds.into(),
            kinds: vec![SeedKind { name: "one".into(), numbers }],
        }
    }

    #[test]
    fn a_table_has_a_number_for_each_seed() {
        assert_eq!(table(&[0, 1], &[1.0, 2.0]).problem(), None);
        let problem = table(&[0, 1], &[1.0]).problem().unwrap();
        assert_eq!(problem, "'one' has 1 of 'seconds' for 2 seeds");
        assert!(table(&[], &[]).problem().unwrap().contains("no seed"));
    }

    #[test]
    fn an_error_names_what_can_be_compared() {
        let error = table(&[0], &[1.0]).compare("minutes").unwrap_err().to_string();
        assert_eq!(error, "what is compared is 'minutes': choose one of: seconds");
    }
}
