//! Variables whose type no cell has told yet, as in `let mut all = Vec::new();` and `let add = |a, b| a + b;`.

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::Cell;
use crate::choices::Choices;
use crate::initializers::Later;
use crate::program::{Lost, Program, Variable, is_value_of};

/// Variables that a cell has declared and whose type it does not tell: they are made by the first cell that uses them,
/// and closures that refer to other variables by each: all that they remember is in those.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The statement that makes them.
    pub(crate) text: String,
    /// Their names, each with whether it is declared with `mut`.
    pub names: BTreeMap<String, bool>,
    /// What the statement names: other variables that wait, and those of which a closure is made.
    pub(crate) uses: BTreeSet<String>,
    later: Later,
    /// Whether it makes the same whenever it is run.
    is_same_again: bool,
}

impl Waiting {
    /// A variable whose value was moved, and which may have another.
    pub(crate) fn moved(name: &str, variable: &Variable) -> Option<Waiting> {
        let is_plain = variable.is_mut && variable.lenders.is_empty();
        let kind = variable.kind.replace('!', "::rust_live::Never");
        let declared = Waiting::declared(name, true, &format!(": {kind}"));
        is_plain.then_some(Waiting { later: Later::Moved, ..declared })
    }

    /// The same of one whose cell has moved it: its type is not known.
    pub(crate) fn moved_within(name: &str) -> Waiting {
        Waiting { later: Later::Moved, ..Waiting::declared(name, true, "") }
    }

    /// A variable without a value; its type stands behind a colon, if it is known.
    fn declared(name: &str, is_mut: bool, kind: &str) -> Waiting {
        let word = if is_mut { "mut " } else { "" };
        Waiting {
            text: format!("let {word}{}{kind};", crate::source::raw(name)),
            names: BTreeMap::from([(name.to_owned(), is_mut)]),
            uses: BTreeSet::new(),
            later: Later::Declared,
            is_same_again: false,
        }
    }

    /// Whether each cell that uses it makes it.
    pub(crate) fn is_made_by_each(&self) -> bool {
        self.later == Later::Referring && !self.uses.is_empty()
    }

    /// Whether it is made of what others are worth now.
    fn takes(&self) -> bool {
        matches!(self.later, Later::Cloned | Later::Taking)
    }

    /// The statement, with this type for its one variable.
    pub(crate) fn of_type(&self, kind: &str) -> String {
        match self.text.split_once('=') {
            Some((variable, value)) => format!("{}: {kind} ={value}", variable.trim_end()),
            None => self.text.clone(),
        }
    }

    /// The statements that make its variable as a cell leaves it that has run it, whenever they are run, if that is
    /// known.
    pub(crate) fn made_again(&self, cell: &Cell, name: &str) -> Option<String> {
        self.is_same_again.then(|| cell.changed_again(self.text.clone(), name))?
    }

    /// The one variable that it makes, of an empty thing.
    fn only_name(&self) -> Option<&String> {
        let name = self.names.keys().next().filter(|_| self.names.len() == 1);
        name.filter(|_| self.later == Later::Constructed)
    }

    /// Whether it has a place only where a cell gives it a value.
    pub(crate) fn is_moved(&self) -> bool {
        self.later == Later::Moved
    }

    /// Whether it is made of nothing that a cell may change.
    fn is_of_itself(&self) -> bool {
        matches!(self.later, Later::Constructed | Later::Declared | Later::Moved)
    }

    fn is_one_of(&self, names: &BTreeSet<&str>) -> bool {
        self.names.keys().any(|name| names.contains(name.as_str()))
    }
}

impl Program {
    /// The variables whose type no cell has told yet.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter().filter(|waiting| !waiting.is_moved())
    }

    pub(crate) fn waits(&self, name: &str) -> bool {
        self.waiting().any(|waiting| waiting.names.contains_key(name))
    }

    /// Those of them that a cell makes: what it uses, what that is made of, and what is made of that.
    pub(crate) fn waiting_for(&self, cell: &Cell, choices: &Choices) -> Vec<&Waiting> {
        let waits = |name: &str| self.waits(name) && !is_value_of(cell, name);
        let mut made = cell.uses_outside(&choices.waiting, &waits);
        let moved = self.waiting.iter().filter(|waiting| waiting.is_moved());
        let moved = moved.flat_map(|waiting| waiting.names.keys());
        made.extend(moved.map(String::as_str).filter(|name| {
            cell.sets(name)
                && !is_value_of(cell, name)
                && !cell.uses(&|used| used == *name).is_empty()
        }));
        loop {
            let before = made.len();
            for waiting in &self.waiting {
                if waiting.is_one_of(&made) {
                    made.extend(waiting.uses.iter().map(String::as_str).filter(|name| waits(name)));
                } else if waiting.later == Later::Cloned
                    && waiting.uses.iter().any(|name| made.contains(name.as_str()))
                {
                    made.extend(waiting.names.keys().map(String::as_str));
                }
            }
            if made.len() == before {
                break;
            }
        }
        self.waiting.iter().filter(|waiting| waiting.is_one_of(&made)).collect()
    }

    /// Whether a cell makes a variable that waits.
    pub fn makes(&self, cell: &Cell, choices: &Choices, name: &str) -> bool {
        let made = self.waiting_for(cell, choices);
        made.into_iter().any(|made| !made.is_made_by_each() && made.names.contains_key(name))
    }

    /// The variable that waits and is made where an error is, in a program's text.
    pub fn waiting_in(
        &self,
        cell: &Cell,
        choices: &Choices,
        text: &str,
        at: usize,
    ) -> Option<&String> {
        let made = self.waiting_for(cell, choices);
        made.into_iter().find_map(|made| {
            let start = text.find(&made.text)?;
            (start..start + made.text.len()).contains(&at).then(|| made.only_name())?
        })
    }

    /// Takes in what of a cell waits, and what has waited for it. Returns the latter.
    pub(crate) fn wait(
        &mut self,
        cell: &Cell,
        choices: &Choices,
        kept: &[(String, String)],
    ) -> Vec<Waiting> {
        let is_kept = |name: &String| kept.iter().any(|(kept, _)| kept == name);
        let is_dropped = |name: &String| choices.dropped.contains_key(name);
        let made = self.waiting_for(cell, choices).into_iter();
        // One that has no value again may have another later.
        let is_made = |made: &&Waiting| {
            made.names.keys().any(|name| is_kept(name) || !made.is_moved() && is_dropped(name))
        };
        let made: Vec<Waiting> = made.filter(is_made).cloned().collect();
        let declared = cell.variables(&choices.by_macros);
        let is_declared = |name: &String| declared.iter().any(|new| new.name == *name);
        let mut lost = Vec::new();
        self.waiting.retain(|waiting| {
            let is_made = made.iter().any(|made| made.names == waiting.names);
            let is_made_anew = |name: &String| is_declared(name) || is_value_of(cell, name);
            if is_made || waiting.names.keys().any(is_made_anew) {
                return false;
            }
            let of = waiting.uses.iter().find(|name| {
                is_declared(name)
                    || choices.moved.contains(*name)
                    || waiting.takes() && cell.assigns(name)
            });
            if waiting.is_of_itself() {
                return true;
            }
            lost.extend(of.map(|of| (waiting.names.clone(), of.clone())));
            of.is_none()
        });
        let number = cell.number;
        for (names, of) in lost {
            let reason = format!(
                "is gone: no cell told its type before cell {number} made `{of}` another one, \
                 which it names"
            );
            let lost = Lost { cell: number, reason, is_moved: false };
            self.lost.extend(names.into_keys().map(|name| (name, lost.clone())));
        }
        for range in cell.waiting(&choices.waiting) {
            let Some(text) = cell.as_statement(range.clone()) else { continue };
            let names = cell.declared_at(range.start).map(|one| (one.name.clone(), one.is_mut));
            let names: BTreeMap<String, bool> = names.collect();
            for name in names.keys() {
                self.lost.remove(name);
                self.variables.remove(name);
            }
            // Of `let (a, b);` each may get its value by itself.
            if names.len() > 1 && !text.contains([':', '=']) {
                self.waiting.extend(
                    names.iter().map(|(name, is_mut)| Waiting::declared(name, *is_mut, "")),
                );
                continue;
            }
            let is_name = |name: &String| {
                self.variables.contains_key(name) || is_kept(name) || self.waits(name)
            };
            let mut uses = cell.names_within(&range);
            uses.retain(|name| is_name(name) && !names.contains_key(name));
            let later = cell.declared_at(range.start).find_map(|one| one.later);
            let later = later.unwrap_or(Later::Constructed);
            let is_same_again = cell.declared_at(range.start).any(|one| one.is_same_again);
            self.waiting.push(Waiting { text, names, uses, later, is_same_again });
        }
        made
    }
}
