//! What is known of a cell only when it is compiled.

use std::collections::{BTreeMap, BTreeSet};

use crate::parts::Parts;
use crate::types::Callable;

/// What the attempts to compile a cell have shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// Variables that it declares and that end with it, each with the reason.
    pub dropped: BTreeMap<String, String>,
    /// Those of them that it does not declare after all: an attribute has left them out.
    pub undeclared: BTreeSet<String>,
    /// Variables of earlier cells that it moves.
    pub moved: BTreeSet<String>,
    /// Those of them that may have a new value at its end: `v = add(v, 2)`.
    pub given_back: BTreeSet<String>,
    /// Variables of which it moves some parts, its own or of earlier cells.
    pub parts: BTreeMap<String, Parts>,
    /// Variables in parts that only its own code has, and not what stands around it: it may make them whole again.
    pub within: BTreeSet<String>,
    /// What it lends, and what borrows.
    pub lending: Lending,
    /// Variables of earlier cells whose types cannot be named.
    pub unnamed: BTreeSet<String>,
    /// Variables of earlier cells whose types are named by the crates that define them.
    pub by_crates: BTreeSet<String>,
    /// What of earlier cells is private and leads to the type of a variable: cell, and where it stands.
    pub opened: BTreeSet<(usize, usize)>,
    /// Closures and functions among its variables.
    pub callables: BTreeMap<String, Callable>,
    /// Closures, by where they begin, that are made something with a name of its type where they stand.
    pub called: BTreeMap<usize, Callable>,
    /// Statements that later cells run, by where they begin: the type of what they declare is not known.
    pub waiting: BTreeSet<usize>,
    /// Variables whose type it does not tell either, each with one that has a stand-in where the type is not known: they
    /// wait on.
    pub stand_ins: BTreeMap<String, String>,
    /// Variables that macros declare in it.
    pub by_macros: BTreeSet<String>,
    /// The macro at its end is a statement.
    pub closes_by_statement: bool,
    /// The value at its end is shown without a method, which would have to know its type where it stands.
    pub shows_plainly: bool,
    /// Errors that `?` returns are shown by Debug.
    pub errors_by_debug: bool,
    /// Names that it imports and that were items before.
    pub imported_anew: BTreeSet<String>,
    /// Imports of earlier cells, as they were written, of what this one defines anew without it.
    pub stale_imports: BTreeSet<String>,
    /// Items of earlier cells that do not compile with this one: cell, and where they begin.
    pub put_aside: BTreeSet<(usize, usize)>,
    /// Statics of earlier cells whose value a constant of this one needs when it is compiled.
    pub read_statics: BTreeSet<String>,
    /// Numbers of earlier cells whose type this one decides.
    pub numbers: BTreeSet<String>,
    /// Variables of earlier cells that this one makes anew: it decides on the type of the numbers in them.
    pub made_anew: BTreeSet<String>,
    /// Names of the standard library's prelude that earlier cells use for something else: the statements of
    /// this one mean what every program means by them.
    pub prelude: BTreeSet<String>,
    /// What earlier cells have imported with a star is left out: it makes a name mean two things.
    pub without_stars: bool,
    /// Items of earlier cells are compiled with it, whether it can reach them or not.
    pub with_everything: bool,
    /// `return` keeps no variables.
    pub returns_plainly: bool,
    /// The program is never run: the compiler says from which lent variables each that borrows does.
    pub asks_for_lenders: bool,
    /// The value at its end is shown by a trait of a crate's.
    pub shows_itself: bool,
}

/// What a cell lends, and what borrows in it, as far as the attempts to compile it have shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lending {
    /// Variables that it lends, its own or of earlier cells, each with the place of the statement from which on.
    pub lent: BTreeMap<String, usize>,
    /// Those of them that have waited, and that it makes.
    pub made: BTreeSet<String>,
    /// Those of them that it lends to be changed.
    pub exclusive: BTreeSet<String>,
    /// Those of them into which there are raw pointers.
    pub pinned: BTreeSet<String>,
    /// Where the statements begin behind those in which it changes some of them.
    pub changed: BTreeMap<String, usize>,
    /// Those of them that borrow themselves.
    pub lent_borrowing: BTreeSet<String>,
    /// Variables that are declared first by statements that borrow from values without names.
    pub temporaries: BTreeSet<String>,
    /// Variables that it cannot lend.
    pub not_lent: BTreeSet<String>,
    /// Variables that it declares and that borrow from lent ones.
    pub borrowing: BTreeSet<String>,
    /// Those of them whose types have to be as they are written here, for the compiler to say whether they are.
    pub typed: BTreeMap<String, String>,
    /// Variables of earlier cells into which it puts what borrows from lent ones.
    pub loosened: BTreeSet<String>,
    /// Variables that cannot be such as borrow.
    pub cannot_borrow: BTreeSet<String>,
    /// Lent variables of earlier cells that it has back: what borrows from them ends before it.
    pub reclaimed: BTreeSet<String>,
    /// Lent variables of earlier cells that it changes behind its last use of what borrows from them.
    pub changed_while_lent: BTreeSet<String>,
}

/// Why a variable ends with its cell whose value that has moved.
pub const MOVED: &str = "it was moved there";

impl Choices {
    /// Whether a variable that the cell declares has lost its value in it.
    pub(crate) fn moved_within(&self, name: &str) -> bool {
        self.dropped.get(name).is_some_and(|reason| reason == MOVED)
    }

    /// What is lent now, and was not before, may stay where it is: it was no move that was refused.
    pub fn stays_where_lent(&mut self, before: &Choices) {
        let lent = self.lending.lent.keys();
        for name in lent.filter(|name| !before.lending.lent.contains_key(*name)) {
            self.moved.remove(name);
            self.given_back.remove(name);
        }
    }

    /// Whether the cell decides on the type of a variable of an earlier one: that is kept as it was until it has ended well.
    pub(crate) fn decides_on(&self, name: &str) -> bool {
        self.numbers.contains(name) || self.made_anew.contains(name)
    }
}

impl Lending {
    /// Lends no variable that this attempt has lent. Returns whether there were any.
    pub fn lend_nothing(&mut self) -> bool {
        if self.lends_nothing() {
            return false;
        }
        let lent = std::mem::take(&mut self.lent);
        self.not_lent.extend(lent.into_keys());
        self.cannot_borrow.append(&mut self.borrowing);
        self.cannot_borrow.append(&mut self.loosened);
        self.temporaries.clear();
        self.lent_borrowing.clear();
        self.exclusive.clear();
        self.pinned.clear();
        self.typed.clear();
        true
    }

    /// Does not lend a variable: what would borrow from it does not.
    pub fn cannot_lend(&mut self, name: &str) {
        self.lent.remove(name);
        self.exclusive.remove(name);
        self.pinned.remove(name);
        self.not_lent.insert(name.to_owned());
        self.borrowing.clear();
        self.typed.clear();
        self.loosened.clear();
    }

    /// Has lent variables of earlier cells back. Returns whether any of them was lent until now.
    pub fn have_back(&mut self, names: BTreeSet<String>) -> bool {
        let is_new = !names.is_subset(&self.reclaimed);
        self.reclaimed.extend(names);
        if is_new {
            self.borrowing.clear();
            self.typed.clear();
        }
        is_new
    }

    /// Whether it lends nothing, and nothing in it borrows from what is lent.
    pub fn lends_nothing(&self) -> bool {
        self.lent.is_empty() && self.borrowing.is_empty() && self.loosened.is_empty()
    }
}
