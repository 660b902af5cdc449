//! Variables whose type no cell has told yet, as in `let mut all = Vec::new();`.

use std::collections::BTreeMap;

use crate::cell::Cell;
use crate::choices::Choices;
use crate::program::{Program, is_value_of};

/// Variables that a cell has declared and whose type it does not tell: they are made by the first cell that uses them.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The statement that makes them.
    pub(crate) text: String,
    /// Their names, each with whether it is declared with `mut`.
    pub names: BTreeMap<String, bool>,
}

impl Program {
    /// The variables whose type no cell has told yet.
    pub fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }

    pub(crate) fn waits(&self, name: &str) -> bool {
        self.waiting.iter().any(|waiting| waiting.names.contains_key(name))
    }

    /// Those of them that a cell uses.
    pub fn waiting_for(&self, cell: &Cell) -> Vec<&Waiting> {
        let waits = |name: &str| self.waits(name) && !is_value_of(cell, name);
        let used = cell.uses(&waits);
        let is_used =
            |waiting: &&Waiting| waiting.names.keys().any(|name| used.contains(name.as_str()));
        self.waiting.iter().filter(is_used).collect()
    }

    /// Takes in what of a cell waits, and what has waited for it. Returns the latter.
    pub(crate) fn wait(
        &mut self,
        cell: &Cell,
        choices: &Choices,
        kept: &[(String, String)],
    ) -> Vec<Waiting> {
        let is_kept = |name: &String| {
            choices.dropped.contains_key(name) || kept.iter().any(|(kept, _)| kept == name)
        };
        let made = self.waiting_for(cell).into_iter();
        let made: Vec<Waiting> =
            made.filter(|made| made.names.keys().any(is_kept)).cloned().collect();
        let declared = cell.variables(&choices.by_macros);
        self.waiting.retain(|waiting| {
            let is_made = made.iter().any(|made| made.names == waiting.names);
            let is_declared = declared.iter().any(|new| waiting.names.contains_key(&new.name));
            !is_made && !is_declared && !waiting.names.keys().any(|name| is_value_of(cell, name))
        });
        for range in cell.waiting(&choices.waiting) {
            let Some(text) = cell.as_statement(range.clone()) else { continue };
            let names = cell.declared_at(range.start).map(|one| (one.name.clone(), one.is_mut));
            let names: BTreeMap<String, bool> = names.collect();
            for name in names.keys() {
                self.lost.remove(name);
                self.variables.remove(name);
            }
            self.waiting.push(Waiting { text, names });
        }
        made
    }
}
