//! Variables that borrow from others.
//!
//! A variable from which another borrows is lent: its value stays where it lies, and cells have a reference to it.
//! How long a cell may use what has been lent is the lifetime of a reference to a local variable of its own, the
//! lease: so the compiler says of each new variable whether it may hold some of it, and lets none hold what ends
//! earlier. From which of the lent ones a variable borrows it says where each has a lease of its own that ends before
//! the variable is used: in a program that is never run, for a cell that has several. Where it does not say so, the
//! variable is taken to borrow from all that its cell has used.
//!
//! A variable into which there are raw pointers stays where it lies, too, and may be changed: the compiler knows
//! nothing of them.
//!
//! A cell that changes or moves a lent variable has it back where it uses none of those that borrow from it. They end
//! before it, as they do in a function.

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::Cell;
use crate::choices::{Choices, Lending};
use crate::edit::Edit;
use crate::program::{Program, Variable};
use crate::source::{Mark, Session, Source, raw};
use crate::types::{for_lease, hides_lifetimes, is_frozen};

/// A variable that is lent: its name, and the cell that declared it.
pub type Lender = (String, usize);

/// The local variable of a cell as long as which it has what is lent.
pub const LEASE: &str = "__rust_live_lease";
/// The local variable that stands for its lifetime.
pub(crate) const TERM: &str = "__rust_live_term";

/// What of a cell's variables is lent, and what borrows.
#[derive(Debug, Clone, Default)]
pub struct Loans {
    /// Variables of earlier cells that end before it.
    pub(crate) ended: Vec<String>,
    /// Values that nothing borrows from any more.
    pub(crate) freed: Vec<Lender>,
    /// Variables of earlier cells to which it has references, each with whether it may change them at first.
    pub(crate) references: BTreeMap<String, bool>,
    /// Variables of earlier cells that borrow, or will.
    pub(crate) borrowers: BTreeSet<String>,
    /// Those of them that borrow from a variable which the cell changes behind their last use, each with all such: they
    /// end with it.
    pub(crate) tied: BTreeMap<String, Vec<String>>,
    /// Lent variables of earlier cells that it has back.
    pub(crate) reclaimed: BTreeSet<String>,
    /// Those that it changes behind its last use of what borrows from them.
    pub(crate) changed: BTreeSet<String>,
    /// From which of them others borrow to change them.
    pub(crate) exclusive: BTreeSet<String>,
    /// Its own variables that it lends to its end.
    pub(crate) own: BTreeSet<String>,
    /// Whether there is a lease.
    pub(crate) has_lease: bool,
    /// All from which variables of this cell may borrow.
    pub(crate) lenders: BTreeSet<Lender>,
    /// What of them it lends itself.
    pub(crate) new: BTreeSet<Lender>,
    /// From which of them its new variables borrow, where the compiler has said so.
    pub(crate) of: BTreeMap<String, BTreeSet<Lender>>,
    /// Whether each has a lease of its own.
    asks: bool,
}

impl Loans {
    /// Whether a variable of an earlier cell borrows from others.
    pub fn is_borrower(&self, name: &str) -> bool {
        self.borrowers.contains(name)
    }

    /// The local variable that stands for how long the cell has what this variable lends it.
    pub(crate) fn term(&self, name: &str) -> String {
        if self.asks { format!("{TERM}_{name}") } else { TERM.to_owned() }
    }

    /// The lease of a variable's own, where each has one.
    pub(crate) fn lease(&self, name: &str) -> String {
        let lease = format!("{LEASE}_{name}");
        format!("let {lease} = ::rust_live::Lease; let {} = {lease}.term(); ", self.term(name))
    }

    /// The variables by which a cell has what is lent.
    fn sources(&self) -> BTreeSet<&String> {
        self.references.keys().chain(&self.borrowers).chain(&self.own).collect()
    }

    /// The lines that ask the compiler from which of them each of these borrows.
    pub(crate) fn questions<'a>(
        &'a self,
        borrowing: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = (String, Mark)> + 'a {
        let pairs = self
            .sources()
            .into_iter()
            .flat_map(move |of| borrowing.iter().map(move |one| (one, of)));
        pairs.map(|(name, of)| {
            let code = format!(
                "#[allow(warnings)] if ::rust_live::asks() {{ ::std::mem::drop({LEASE}_{of}); \
                 ::rust_live::uses(&{}); ::std::process::abort(); }}",
                raw(name)
            );
            (code, Mark::Borrows { name: name.clone(), of: of.clone() })
        })
    }

    /// What the compiler has said: from which variables each borrows.
    fn lenders_of(&self, of: &str, cell: usize, program: &Program) -> BTreeSet<Lender> {
        if self.own.contains(of) {
            return BTreeSet::from([(self.place_of(of), cell)]);
        }
        let variable = program.variables.get(of);
        let itself = self.references.contains_key(of).then(|| program.lender(of)).flatten();
        let more = variable.into_iter().flat_map(|variable| variable.lenders.iter().cloned());
        itself.into_iter().chain(more).collect()
    }

    /// Under which name a value of the cell's own is lent: one that loses its variable's name in it has another.
    fn place_of(&self, name: &str) -> String {
        if self.own.contains(name) { name.to_owned() } else { format!("*{name}") }
    }

    /// Whether the cell lends this variable, which it has declared, to its end.
    pub fn lends(&self, name: &str) -> bool {
        self.own.contains(name)
    }

    /// Whether a variable is lent or borrows, or did before this cell.
    pub(crate) fn concerns(&self, name: &str) -> bool {
        self.references.contains_key(name)
            || self.borrowers.contains(name)
            || self.tied.contains_key(name)
            || self.own.contains(name)
    }

    /// The function by which a cell has a variable of an earlier one that is lent or borrows; `of` is how its type
    /// names the lifetime of the lease.
    pub(crate) fn taking(&self, name: &str, declared: usize, of: &str) -> Option<String> {
        let lifetime = crate::types::LEASE;
        let kind = format!("__RustLiveType_{name}{of}");
        if let Some(lenders) = self.tied.get(name) {
            let lender = |name: &String| {
                let of = if self.borrowers.contains(name) { "<'_>" } else { "" };
                let word = if self.exclusive.contains(name) { "mut " } else { "" };
                format!("_: &{lifetime} {word}__RustLiveType_{name}{of}")
            };
            let lenders: Vec<String> = lenders.iter().map(lender).collect();
            return Some(format!(
                "#[allow(warnings, unsafe_code)] fn __rust_live_take_{name}<{lifetime}>({}) -> {kind} \
                 {{ unsafe {{ ::rust_live::take({name:?}) }} }}",
                lenders.join(", ")
            ));
        }
        let (returned, body) = match self.references.get(name) {
            Some(changes) => {
                let word = if *changes { "mut " } else { "" };
                let lent = format!("::rust_live::lent(term, {name:?}, {declared})");
                (format!("&{lifetime} {word}{kind}"), lent)
            }
            None if self.borrowers.contains(name) => (kind, format!("::rust_live::take({name:?})")),
            None => return None,
        };
        Some(format!(
            "#[allow(warnings, unsafe_code)] fn __rust_live_take_{name}<{lifetime}>(term: ::rust_live::Term<{lifetime}>) \
             -> {returned} {{ unsafe {{ {body} }} }}"
        ))
    }

    /// What makes the variables of a cell lent within its statements.
    pub(crate) fn edits(&self, cell: &Cell, choices: &Choices) -> Vec<Edit> {
        let mut edits = Vec::new();
        for name in &choices.lending.temporaries {
            let (before, after) = lending(&of_temporary(name), cell.number, true, TERM);
            edits.extend(cell.temporaries(name).iter().flat_map(|value| {
                let begins = Edit::insert(value.start, format!("(*{before}"));
                [begins, Edit::insert(value.end, format!("{after})"))]
            }));
        }
        for name in self.references.keys() {
            edits.extend(cell.behind_reference(name, 0));
        }
        for (name, at) in &choices.lending.lent {
            let variable = raw(name);
            let code = if is_own(cell, choices, name, *at) {
                edits.extend(cell.behind_reference(name, *at));
                let borrows = choices.lending.lent_borrowing.contains(name);
                let term = self.term(name);
                let (before, after) = lending(&self.place_of(name), cell.number, borrows, &term);
                let sign = if choices.lending.exclusive.contains(name) { "" } else { "&*" };
                format!("let {variable} = {sign}{before}{variable}{after}; ")
            } else if self.references.get(name) == Some(&true) {
                let word = if choices.lending.exclusive.contains(name) { "mut " } else { "" };
                format!("let {variable}: &{word}_ = {{ {variable} }}; ")
            } else {
                continue;
            };
            edits.push(Edit::insert(*at, format!("#[allow(warnings, unsafe_code)] {code}")));
        }
        edits
    }
}

impl Program {
    /// A variable as others borrow from it.
    fn lender(&self, name: &str) -> Option<Lender> {
        self.variables.get(name).map(|variable| (name.to_owned(), variable.cell))
    }

    /// Whether a variable borrows from this one.
    pub fn is_lent(&self, name: &str) -> bool {
        self.borrowers(name).next().is_some()
    }

    /// The variables that borrow from this one.
    pub fn borrowers<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, &'a Variable)> {
        let lender = self.lender(name);
        self.variables
            .iter()
            .filter(move |(_, other)| {
                lender.as_ref().is_some_and(|lender| other.lenders.contains(lender))
            })
            .map(|(name, variable)| (name.as_str(), variable))
    }

    /// Whether there are raw pointers into a variable.
    fn is_pinned(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|variable| variable.is_pinned)
    }

    /// The variables that a cell has to leave where they lie for a new variable of this type: those that the statement
    /// names which declares it. Each with where that begins.
    pub fn pinned_for(&self, cell: &Cell, name: &str, kind: &str) -> BTreeMap<String, usize> {
        let (start, names) = cell.named_for(name);
        let pointers = ["*const ", "*mut ", "NonNull<", "AtomicPtr<"];
        let is_pointer = pointers.iter().any(|pointer| kind.contains(pointer));
        // `unsafe { &*v.as_ptr() }` is as good as a pointer: its lifetime is any.
        let is_as_good = kind.contains('&') && cell.is_unsafe(start);
        if !is_pointer && !is_as_good {
            return BTreeMap::new();
        }
        let is_there = |name: &&str| {
            cell.declares_before(name, start)
                || self.variables.get(*name).is_some_and(|variable| !variable.is_pinned)
        };
        names.into_iter().filter(is_there).map(|name| (name.to_owned(), start)).collect()
    }

    /// Takes in which variables a cell has raw pointers into.
    pub(crate) fn pin(
        &mut self,
        cell: &Cell,
        loans: &Loans,
        choices: &Choices,
        kept: &[(String, String)],
    ) {
        for name in &choices.lending.pinned {
            if let Some(variable) = self.variables.get_mut(name) {
                variable.is_pinned = true;
            }
        }
        for (name, _) in kept {
            let (_, names) = cell.named_for(name);
            let pins = loans.new.iter().filter(|(lender, _)| {
                let lender = lender.trim_start_matches('*');
                choices.lending.pinned.contains(lender) && names.contains(lender)
            });
            if let Some(variable) = self.variables.get_mut(name) {
                variable.pins.extend(pins.cloned());
            }
        }
    }

    /// Whether a cell can have a lent variable back: it uses nothing that borrows from it.
    pub fn can_have_back(&self, cell: &Cell, name: &str) -> bool {
        let is_variable = |name: &str| self.variables.contains_key(name);
        let used = cell.uses(&is_variable);
        (self.is_lent(name) || self.is_pinned(name))
            && !self.borrowers(name).any(|(borrower, _)| used.contains(borrower))
    }

    /// The lent variables that a cell uses and can have back.
    pub fn lent_in(&self, cell: &Cell) -> BTreeSet<String> {
        let is_variable = |name: &str| self.variables.contains_key(name);
        let used = cell.uses(&is_variable);
        let lent = used.into_iter().filter(|name| self.can_have_back(cell, name));
        lent.map(str::to_owned).collect()
    }

    /// Whether a variable can borrow from others: its type has to say so.
    pub fn can_borrow(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|variable| !hides_lifetimes(&variable.kind))
    }

    /// Whether a variable borrows from this one to change it: who uses this one ends that.
    pub fn is_lent_exclusively(&self, name: &str) -> bool {
        let lender = self.lender(name);
        lender.is_some_and(|lender| self.exclusive.contains(&lender)) && self.is_lent(name)
    }

    pub(crate) fn loans(&self, cell: &Cell, loaded: &[&str], choices: &Choices) -> Loans {
        let exclusive = loaded.iter().filter(|name| self.is_lent_exclusively(name));
        let exclusive: BTreeSet<String> = exclusive.map(|name| (*name).to_owned()).collect();
        let (tied, back): (Vec<_>, Vec<_>) = exclusive
            .iter()
            .cloned()
            .partition(|name| self.borrowers(name).any(|(borrower, _)| loaded.contains(&borrower)));
        let changed: BTreeSet<String> =
            choices.lending.changed_while_lent.iter().cloned().chain(tied).collect();
        let reclaimed: BTreeSet<String> =
            choices.lending.reclaimed.iter().cloned().chain(back).collect();
        let mut ended: Vec<(&str, &Variable)> = reclaimed
            .iter()
            .chain(&changed)
            .flat_map(|name| self.borrowers(name))
            .filter(|(name, _)| !loaded.contains(name))
            .collect();
        // What was declared last ends first.
        ended.sort_by_key(|(name, variable)| {
            (std::cmp::Reverse((variable.cell, variable.at)), *name)
        });
        ended.dedup_by_key(|(name, _)| *name);
        let ended: Vec<String> = ended.into_iter().map(|(name, _)| name.to_owned()).collect();
        let left = || self.variables.iter().filter(|(name, _)| !ended.contains(name));
        let needed: BTreeSet<&Lender> = left()
            .flat_map(|(_, variable)| variable.lenders.iter().chain(&variable.pins))
            .collect();
        let lent: BTreeSet<&Lender> = left().flat_map(|(_, variable)| &variable.lenders).collect();
        let has_name = |(name, of): &Lender| {
            self.variables.get(name).is_some_and(|variable| variable.cell == *of)
                && !ended.contains(name)
        };
        let is_free = |lender: &&Lender| !needed.contains(*lender) && !has_name(lender);
        let mut loans = Loans {
            freed: self.lent.iter().filter(is_free).cloned().collect(),
            ..Loans::default()
        };
        for name in loaded {
            let Some(variable) = self.variables.get(*name) else { continue };
            let lender = || ((*name).to_owned(), variable.cell);
            let is_pinned = variable.is_pinned && !reclaimed.contains(*name);
            let is_lent = lent.contains(&lender());
            let is_new =
                choices.lending.lent.get(*name).is_some_and(|at| !is_own(cell, choices, name, *at));
            if is_lent || is_new || is_pinned {
                let can_change = variable.is_mut || variable.kind.starts_with("&'static mut ");
                let is_free = !is_lent || changed.contains(*name);
                loans.references.insert((*name).to_owned(), can_change && is_free);
                loans.lenders.insert(lender());
            }
            if is_new {
                loans.new.insert(lender());
            }
            let of_changed = changed.iter().filter(|name| {
                self.lender(name).is_some_and(|lender| variable.lenders.contains(&lender))
            });
            let of_changed: Vec<String> = of_changed.cloned().collect();
            if !of_changed.is_empty() {
                loans.tied.insert((*name).to_owned(), of_changed);
            }
            if !variable.lenders.is_empty() || choices.lending.loosened.contains(*name) {
                loans.borrowers.insert((*name).to_owned());
                loans.lenders.extend(variable.lenders.iter().cloned());
            }
        }
        let lent = choices.lending.lent.iter();
        let own: Vec<(&String, &usize)> =
            lent.filter(|(name, at)| is_own(cell, choices, name, **at)).collect();
        let to_the_end = own.iter().filter(|(name, at)| cell.is_lent_to_the_end(name, **at));
        loans.own = to_the_end.map(|(name, _)| (*name).clone()).collect();
        let own = own.iter().map(|(name, _)| (loans.place_of(name), cell.number));
        let temporaries = choices.lending.temporaries.iter();
        let temporaries = temporaries.map(|name| (of_temporary(name), cell.number));
        let own: BTreeSet<Lender> = own.chain(temporaries).collect();
        loans.lenders.extend(own.iter().cloned());
        loans.new.extend(own);
        loans.asks = choices.asks_for_lenders;
        loans.has_lease = !loans.lenders.is_empty() || !choices.lending.lends_nothing();
        let stale = self.stale.iter().filter(|name| !self.variables.contains_key(*name)).cloned();
        (loans.reclaimed, loans.changed, loans.exclusive) = (reclaimed, changed, exclusive);
        loans.ended = ended;
        loans.ended.extend(stale);
        loans
    }

    /// The program that asks the compiler from which lent variables each new one borrows, if there is something to
    /// ask: several lend. Of a variable that loses its name in the cell it would say nothing.
    pub fn asking_for_lenders(
        &self,
        cell: &Cell,
        session: &Session,
        choices: &Choices,
        loans: &Loans,
    ) -> Option<Source> {
        let Lending { temporaries, typed, lent_borrowing, borrowing, lent, .. } = &choices.lending;
        let sources = loans.sources();
        let declared = cell.variables(&choices.by_macros);
        let is_renamed = |name: &&String| {
            self.variables.contains_key(*name) && declared.iter().any(|new| new.name == **name)
        };
        let is_plain = temporaries.is_empty()
            && typed.is_empty()
            && lent_borrowing.is_empty()
            && loans.tied.is_empty()
            && lent
                .keys()
                .filter(|name| declared.iter().any(|new| new.name == **name))
                .all(|name| loans.own.contains(name))
            && !sources.iter().any(is_renamed);
        if borrowing.is_empty() || sources.len() < 2 || !is_plain {
            return None;
        }
        let choices = Choices { asks_for_lenders: true, ..choices.clone() };
        let mut source = self.source(cell, session, &choices);
        source.name += " asks";
        Some(source)
    }

    /// Takes in what the compiler has answered: pairs of a variable and one that it borrows from.
    pub fn answered(&self, cell: &Cell, loans: &mut Loans, pairs: &BTreeSet<(String, String)>) {
        for (name, of) in pairs {
            let lenders = loans.lenders_of(of, cell.number, self);
            loans.of.entry(name.clone()).or_default().extend(lenders);
        }
    }

    /// What a cell that is about to run changes about loans.
    pub(crate) fn begin_loans(
        &mut self,
        cell: usize,
        loans: &Loans,
        choices: &Choices,
    ) -> Vec<String> {
        let mut gone = Vec::new();
        for name in loans.ended.iter().chain(loans.tied.keys()) {
            let lenders = self.variables.get(name).map(|variable| variable.lenders.clone());
            let mut changed = loans.reclaimed.iter().chain(&loans.changed);
            let of =
                changed.find(|lender| lenders.iter().flatten().any(|(name, _)| name == *lender));
            if let Some(lender) = of {
                self.lose(name, cell, |_| {
                    let does =
                        if loans.exclusive.contains(lender) { "uses" } else { "changes or moves" };
                    format!("has ended: it borrowed from `{lender}`, which cell {cell} {does}")
                });
                gone.push(name.clone());
            }
        }
        self.stale.retain(|name| !loans.ended.contains(name));
        self.lent.retain(|lender| !loans.freed.contains(lender));
        self.lent.extend(loans.new.iter().cloned());
        let exclusive =
            loans.new.iter().filter(|(name, _)| choices.lending.exclusive.contains(name));
        self.exclusive.extend(exclusive.cloned());
        self.exclusive.retain(|lender| self.lent.contains(lender));
        for name in &loans.reclaimed {
            if let Some(variable) = self.variables.get_mut(name) {
                variable.is_pinned = false;
            }
        }
        // Whoever uses it now has ended those that borrowed to change it.
        let used = loans.exclusive.iter().filter(|name| !choices.lending.exclusive.contains(*name));
        for name in used {
            let lender = self.lender(name);
            self.exclusive.retain(|other| Some(other) != lender.as_ref());
        }
        gone
    }

    /// From which variables one borrows that a cell has used or declared.
    pub(crate) fn borrow(&mut self, name: &str, loans: &Loans) {
        let Some(variable) = self.variables.get_mut(name) else { return };
        let own = (name.to_owned(), variable.cell);
        let lenders = loans.of.get(name).unwrap_or(&loans.lenders);
        variable.lenders.extend(lenders.iter().filter(|lender| **lender != own).cloned());
    }

    /// What the variables of earlier cells may hold after a cell, whether it came to its end or not.
    pub(crate) fn end_loans(&mut self, loans: &Loans, choices: &Choices) {
        for name in &loans.borrowers {
            let takes_more = |variable: &Variable| {
                choices.lending.loosened.contains(name)
                    || variable.is_mut
                    || !is_frozen(&variable.kind)
            };
            if self.variables.get(name).is_some_and(takes_more) {
                self.borrow(name, loans);
            }
        }
    }
}

/// Whether a variable that is lent from a place on is one that the cell makes.
fn is_own(cell: &Cell, choices: &Choices, name: &str, at: usize) -> bool {
    cell.declares_before(name, at)
        || choices.made_anew.contains(name)
        || choices.lending.made.contains(name)
}

/// What stands around a value that is lent.
fn lending(name: &str, cell: usize, borrows: bool, term: &str) -> (String, String) {
    let lend = if borrows { "lend_borrowing" } else { "lend" };
    (format!("::rust_live::{lend}({name:?}, {cell}, "), format!(", {term})"))
}

/// The function that keeps a variable whose type has to be as it is written.
pub(crate) fn typed(name: &str, kind: &str) -> String {
    let (lifetime, kind) = (crate::types::LEASE, for_lease(kind));
    format!(
        "#[allow(warnings)] fn __rust_live_keep_{name}<{lifetime}>(value: {kind}, term: ::rust_live::Term<{lifetime}>) {{ \
         ::rust_live::keep_borrowing({name:?}, value, term); }}"
    )
}

/// Under which name the values without names are lent from which a variable borrows: `let x = &f();`.
fn of_temporary(name: &str) -> String {
    format!("&{name}")
}
