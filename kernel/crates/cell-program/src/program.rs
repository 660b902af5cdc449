//! What the cells of a session have left, and the program of the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use ra_ap_syntax::{Edition, ast};

use crate::cell::{Binding, Cell, Surroundings};
use crate::choices::Choices;
use crate::edit::without;
use crate::imports::Leaf;
use crate::items::{Item, Key, MacroKind, Namespace};
use crate::loans::Lender;
use crate::names::words;
use crate::parts::Parts;
use crate::paths::ModuleFile;
use crate::source::{File, Source, line_start, place};
use crate::waiting::Waiting;

/// A variable that a cell has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its type.
    pub kind: String,
    /// Whether it was declared with `mut`.
    pub is_mut: bool,
    /// The cell that declared it.
    pub cell: usize,
    /// Whether it is a number whose type nobody has written down: a later cell may need another.
    pub is_number: bool,
    /// The statements that make it as it is whenever they are run, if that is known: a later cell may need numbers of
    /// another type in it.
    pub made_by: Option<String>,
    /// Where in its cell it was declared.
    pub at: usize,
    /// The variables from which it may borrow.
    pub lenders: BTreeSet<Lender>,
    /// The variables into which it may hold raw pointers.
    pub pins: BTreeSet<Lender>,
    /// Whether its value has to stay where it lies: there are raw pointers into it.
    pub is_pinned: bool,
    /// Its parts, if some of them were moved.
    pub parts: Parts,
}

/// Why a name that was a variable is none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The cell after which it was gone.
    pub cell: usize,
    /// Why, as the rest of a sentence that begins with its name.
    pub reason: String,
    /// Whether its value was moved.
    pub is_moved: bool,
}

/// What cells have left.
#[derive(Debug, Clone, Default)]
pub struct Program {
    pub(crate) cells: BTreeMap<usize, Left>,
    pub(crate) imports: Vec<Leaf>,
    pub(crate) variables: BTreeMap<String, Variable>,
    pub(crate) lost: BTreeMap<String, Lost>,
    pub(crate) waiting: Vec<Waiting>,
    /// The symbols of statics that are in the process that runs the cells.
    pub(crate) defined: BTreeSet<String>,
    /// Variables that were lent, and whose values may still be where they were.
    pub(crate) lent: BTreeSet<Lender>,
    /// Those of them from which others borrow to change them.
    pub(crate) exclusive: BTreeSet<Lender>,
    /// Variables that borrowed, and whose names are gone while their values are there.
    pub(crate) stale: BTreeSet<String>,
    /// Inner attributes that later cells have as well, each by what it is about.
    pub(crate) attributes: BTreeMap<String, String>,
    /// The edition of the language; None for the newest.
    edition: Option<Edition>,
}

/// What is left of a cell.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    pub(crate) cell: Cell,
    /// What of its items was replaced by later cells.
    pub(crate) holes: Vec<Range<usize>>,
}

/// Types, traits and functions that every program knows by these names.
const PRELUDE: [&str; 46] = [
    "Option",
    "Some",
    "None",
    "Result",
    "Ok",
    "Err",
    "Box",
    "String",
    "Vec",
    "ToString",
    "ToOwned",
    "Clone",
    "Copy",
    "Default",
    "Drop",
    "Eq",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Iterator",
    "IntoIterator",
    "FromIterator",
    "Extend",
    "DoubleEndedIterator",
    "ExactSizeIterator",
    "From",
    "Into",
    "TryFrom",
    "TryInto",
    "AsRef",
    "AsMut",
    "Fn",
    "FnMut",
    "FnOnce",
    "AsyncFn",
    "AsyncFnMut",
    "AsyncFnOnce",
    "Send",
    "Sync",
    "Sized",
    "Unpin",
    "drop",
    "size_of",
    "align_of",
    "size_of_val",
    "align_of_val",
];

impl Program {
    /// Takes a cell apart, as one of this session.
    pub fn parse(&self, number: usize, text: &str, folder: &Path) -> Cell {
        let is_value = |name: &str| {
            self.alive_items().any(|(_, item)| {
                item.keys.iter().any(|(space, key)| *space == Namespace::Value && key == name)
            })
        };
        let is_name =
            |name: &str| self.variables.contains_key(name) || self.waits(name) || is_value(name);
        let macros = |name: &str, call: &ast::MacroCall| -> Option<MacroKind> {
            let keyed = |item: &&Item| {
                item.keys.iter().any(|(space, key)| *space == Namespace::Macro && key == name)
            };
            self.alive_items()
                .map(|(_, item)| item)
                .filter(keyed)
                .last()
                .and_then(|item| crate::items::expansion(&item.rules, call))
        };
        let edition = self.edition.unwrap_or(Edition::Edition2024);
        Cell::parse(
            number,
            text,
            &Surroundings { macros: &macros, is_name: &is_name, edition, folder },
        )
    }

    /// Takes the cells from now on as of an edition of the language.
    pub fn set_edition(&mut self, edition: &str) {
        self.edition = edition.parse().ok();
    }

    /// The variables that are there.
    pub fn variables(&self) -> &BTreeMap<String, Variable> {
        &self.variables
    }

    /// The macros by which a cell makes statics that cannot be told from the outside.
    pub fn static_makers(&self, cell: &Cell) -> BTreeSet<String> {
        let rules = self.alive_items().map(|(_, item)| item).chain(&cell.items);
        let with_statics: BTreeSet<&str> = rules
            .filter(|item| item.is_macro && words(&item.text).any(|word| word == "static"))
            .flat_map(|item| item.keys.iter().map(|(_, name)| name.as_str()))
            .collect();
        let calls = cell.items.iter().filter(|item| item.statics.is_empty());
        let calls =
            calls.flat_map(|item| &item.keys).filter(|(space, _)| *space == Namespace::Call);
        let names = calls.filter_map(|(_, key)| key.split_once('!').map(|(name, _)| name));
        names.filter(|name| with_statics.contains(name)).map(str::to_owned).collect()
    }

    /// Numbers that a cell uses and whose type it may decide.
    pub fn numbers(&self, cell: &Cell) -> BTreeSet<String> {
        let is_number = |name: &str| {
            let variable = self.variables.get(name);
            variable.is_some_and(|variable| {
                let is_free = !variable.is_pinned && !self.is_lent(name);
                is_free && variable.is_number && matches!(&*variable.kind, "i32" | "f64")
            })
        };
        cell.uses(&is_number).into_iter().map(str::to_owned).collect()
    }

    /// Variables that a cell uses and may make anew, with other types of numbers.
    pub fn made_anew(&self, cell: &Cell) -> BTreeSet<String> {
        let is_free = |name: &str| {
            self.variables.get(name).is_some_and(|variable| {
                let has_numbers = words(&variable.kind).any(|word| matches!(word, "i32" | "f64"));
                let is_free =
                    !variable.is_pinned && !self.is_lent(name) && variable.parts.is_whole();
                // What others may change behind a reference would not be as they left it.
                let is_frozen = crate::types::is_frozen(&variable.kind);
                has_numbers && is_free && is_frozen && variable.made_by.is_some()
            })
        };
        cell.uses(&is_free).into_iter().map(str::to_owned).collect()
    }

    /// Whether a cell and earlier ones both import with a star: one name may come from two places.
    pub fn stars_meet(&self, cell: &Cell) -> bool {
        cell.imports.iter().any(Leaf::is_star) && self.imports.iter().any(Leaf::is_star)
    }

    /// Names of the prelude in a cell that earlier cells have made something else.
    pub fn prelude_names(&self, cell: &Cell) -> BTreeSet<String> {
        let own: BTreeSet<&str> = cell
            .items
            .iter()
            .flat_map(|item| &item.keys)
            .map(|(_, name)| name.as_str())
            .chain(cell.imports.iter().filter_map(|leaf| leaf.name.as_deref()))
            .collect();
        let items = self.item_names();
        let imported: BTreeSet<&str> =
            self.imports.iter().filter_map(|leaf| leaf.name.as_deref()).collect();
        let has_star = self.imports.iter().any(Leaf::is_star);
        words(&cell.text)
            .filter(|word| PRELUDE.contains(word) && !own.contains(word))
            .filter(|word| has_star || items.contains(word) || imported.contains(word))
            .map(str::to_owned)
            .collect()
    }

    /// Why a name is no variable any more, if it was one.
    pub fn lost(&self, name: &str) -> Option<&Lost> {
        self.lost.get(name)
    }

    /// The names of what is no variable any more: of those whose values were moved, and of the others.
    pub fn lost_names(&self) -> (Vec<&str>, Vec<&str>) {
        let names = |is_moved: bool| {
            let lost = self.lost.iter().filter(move |(_, lost)| lost.is_moved == is_moved);
            lost.map(|(name, _)| name.as_str()).collect()
        };
        (names(true), names(false))
    }

    /// The names of the items that are there.
    pub fn item_names(&self) -> BTreeSet<&str> {
        let keys = self.alive_items().flat_map(|(_, item)| &item.keys);
        keys.filter(|(space, _)| !matches!(space, Namespace::Impl | Namespace::Call))
            .map(|(_, name)| name.as_str())
            .collect()
    }

    /// The items that are there as the reader wrote them, but for imports, in their order, without what later
    /// cells have replaced of them. Relative paths in them mean a folder.
    pub fn plain_items(&self, folder: &Path) -> Vec<(&Item, String)> {
        let mut found = Vec::new();
        for left in self.cells.values() {
            for item in left.cell.items.iter().filter(|item| !item.is_use) {
                let kept = without(item.range.clone(), &left.holes);
                if !kept.is_empty() {
                    found.push((item, left.cell.plain(&kept, folder).trim().to_owned()));
                }
            }
        }
        found
    }

    /// What is imported, as statements of the root of a crate.
    pub fn plain_imports(&self) -> Vec<String> {
        self.imports.iter().map(Leaf::written).collect()
    }

    /// The text of an earlier cell.
    pub fn cell_text(&self, number: usize) -> Option<&str> {
        self.cells.get(&number).map(|left| left.cell.text.as_str())
    }

    /// Where the files of a cell and of earlier ones lie as they were, below the folder of the root file, and how the
    /// reader knows them; a folder before the files in it.
    pub fn copies(&self, cell: &Cell) -> Vec<(String, String)> {
        let earlier = self.cells.values().map(|left| &left.cell);
        earlier.chain([cell]).flat_map(Cell::copies).collect()
    }

    /// The modules of earlier cells that were in files of their own, with their cells.
    pub fn module_files(&self) -> impl Iterator<Item = (usize, &ModuleFile)> {
        self.cells.iter().flat_map(|(number, left)| {
            left.cell.module_files.iter().map(|module| (*number, module))
        })
    }

    pub(crate) fn alive_items(&self) -> impl Iterator<Item = (usize, &Item)> {
        self.cells.iter().flat_map(|(number, left)| {
            left.cell
                .items
                .iter()
                .filter(|item| !left.is_gone(item))
                .map(move |item| (*number, item))
        })
    }

    /// Where in the text of an earlier cell a place of one of a program's files is, by line and column from 1.
    pub fn offset_at(&self, file: &File, line: usize, column: usize) -> Option<usize> {
        let text = &self.cells.get(&file.cell)?.cell.text;
        let line = line_start(text, line)..line_start(text, line + 1);
        Some(place(text, &file.edits, line, column.saturating_sub(1)))
    }

    /// The item of an earlier cell that stands at a place of one of a program's files, by line and column
    /// from 1: its place, and a name for it.
    pub fn item_at(
        &self,
        file: &File,
        line: usize,
        column: usize,
    ) -> Option<((usize, usize), String)> {
        let number = file.cell;
        let at = self.offset_at(file, line, column)?;
        let left = self.cells.get(&number)?;
        let item = left.cell.items.iter().find(|item| item.range.contains(&at))?;
        let name = item.keys.first().map(|(_, name)| name.clone()).unwrap_or_default();
        Some(((number, item.range.start), name))
    }

    /// The variables that a cell uses and that can be there for it.
    pub(crate) fn loaded<'a>(
        &'a self,
        cell: &'a Cell,
        choices: &Choices,
        gone: &BTreeSet<String>,
    ) -> Vec<&'a str> {
        let known = |name: &str| {
            self.variables.contains_key(name)
                && !choices.unnamed.contains(name)
                && !gone.contains(name)
                && !is_value_of(cell, name)
        };
        let mut names = cell.uses(&known);
        let macros = self.macros_of_variables(cell);
        let own = cell.items.iter().filter(|item| item.is_macro);
        let macros = macros.iter().map(|(_, item)| *item).chain(own);
        names.extend(macros.flat_map(|item| &item.names).map(String::as_str));
        let made = self.waiting_for(cell, choices).into_iter();
        names.extend(made.flat_map(|made| &made.uses).map(String::as_str));
        let variables = self.variables.keys().map(String::as_str);
        variables.filter(|name| names.contains(name) && known(name)).collect()
    }

    /// The macros of earlier cells that a cell may call and that name variables.
    pub(crate) fn macros_of_variables(&self, cell: &Cell) -> Vec<(usize, &Item)> {
        let new: BTreeSet<&Key> = cell.items.iter().flat_map(|item| &item.keys).collect();
        let macros: Vec<(usize, &Item)> = self
            .alive_items()
            .filter(|(_, item)| item.is_macro && !item.keys.iter().any(|key| new.contains(key)))
            .collect();
        let all: Vec<&Item> = macros.iter().map(|(_, item)| *item).collect();
        let called = crate::reach::reached(&all, words(&cell.text).map(str::to_owned).collect());
        let called = called.into_iter().map(|place| macros[place]);
        called
            .filter(|(_, item)| item.names.iter().any(|name| self.variables.contains_key(name)))
            .collect()
    }

    /// The items of earlier cells that a cell can reach, and those that use what it defines anew: cell, and
    /// where they begin.
    pub(crate) fn reached(&self, cell: &Cell, loaded: &[&str]) -> BTreeSet<(usize, usize)> {
        let items: Vec<(usize, &Item)> =
            self.alive_items().filter(|(_, item)| !item.is_use).collect();
        let mut known: BTreeSet<String> = words(&cell.text).map(str::to_owned).collect();
        let kinds = loaded.iter().filter_map(|name| self.variables.get(*name));
        known.extend(kinds.flat_map(|variable| words(&variable.kind)).map(str::to_owned));
        // A trait that is imported needs no further word.
        let names = self.item_names();
        let is_local = |path: &str| {
            words(path)
                .find(|word| !matches!(*word, "crate" | "self"))
                .is_some_and(|first| names.contains(first))
        };
        let local = self.imports.iter().filter(|leaf| is_local(&leaf.path));
        known.extend(local.flat_map(|leaf| words(&leaf.path)).map(str::to_owned));
        let new: BTreeSet<&Key> = cell.items.iter().flat_map(|item| &item.keys).collect();
        for (_, item) in &items {
            for (_, name) in item.keys.iter().filter(|key| new.contains(key)) {
                let users = items
                    .iter()
                    .filter(|(_, other)| other.says(name))
                    .flat_map(|(_, other)| &other.keys);
                let named =
                    users.filter(|(space, _)| !matches!(space, Namespace::Impl | Namespace::Call));
                known.extend(named.map(|(_, name)| name.clone()));
            }
        }
        let all: Vec<&Item> = items.iter().map(|(_, item)| *item).collect();
        let places = crate::reach::reached(&all, known);
        places.iter().map(|place| (items[*place].0, items[*place].1.range.start)).collect()
    }

    /// Earlier cells, each with what of it is replaced by this one or by those between.
    pub(crate) fn older(&self, cell: &Cell, choices: &Choices) -> Vec<(&Cell, Vec<Range<usize>>)> {
        let new = Replaced::by(cell, &choices.imported_anew);
        let of = |left: &Left| {
            let mut holes = left.holes.clone();
            holes.extend(new.holes_of(&left.cell, choices));
            holes
        };
        self.cells.values().map(|left| (&left.cell, of(left))).collect()
    }

    /// The names of types that this cell defines in another way, and of those that are made of them.
    fn changed_types(&self, cell: &Cell) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        let is_type = |space: &Namespace| matches!(space, Namespace::Type | Namespace::Call);
        for item in &cell.items {
            for key in item.keys.iter().filter(|(space, _)| is_type(space)) {
                let old = self.alive_items().find(|(_, old)| old.keys.contains(key));
                if old.is_some_and(|(_, old)| old.text != item.text) {
                    changed.insert(key.1.rsplit(' ').next().unwrap_or_default().to_owned());
                }
            }
        }
        let mut grows = !changed.is_empty();
        while grows {
            grows = false;
            for (_, item) in self.alive_items() {
                if changed.iter().any(|name| item.says(name)) {
                    for (_, name) in item.keys.iter().filter(|(space, _)| is_type(space)) {
                        grows |= changed.insert(name.clone());
                    }
                }
            }
        }
        changed
    }

    /// The variables whose types this cell changes: they cannot be used any more.
    pub(crate) fn variables_of_other_types(&self, cell: &Cell) -> BTreeSet<String> {
        let changed = self.changed_types(cell);
        let is_changed =
            |variable: &Variable| words(&variable.kind).any(|word| changed.contains(word));
        let found = self.variables.iter().filter(|(_, variable)| is_changed(variable));
        found.map(|(name, _)| name.clone()).collect()
    }

    /// Takes in what a cell defines, once it was compiled. Says which variables are lost by it.
    pub fn define(&mut self, cell: &Cell, source: &Source, choices: &Choices) -> Vec<String> {
        let mut gone: Vec<String> = self.variables_of_other_types(cell).into_iter().collect();
        for name in &gone {
            self.lose(name, cell.number, |variable| {
                format!("is gone: its type `{}` was defined anew", variable.kind)
            });
        }
        let hidden = self.variables.keys().filter(|name| is_value_of(cell, name)).cloned();
        let hidden: Vec<String> = hidden.collect();
        for name in &hidden {
            self.lose(name, cell.number, |_| {
                format!("is gone: cell {} defines an item of this name", cell.number)
            });
        }
        gone.extend(hidden);
        for name in &choices.unnamed {
            self.lose(name, cell.number, |variable| {
                format!("is gone: its type `{}` cannot be named here", variable.kind)
            });
        }
        gone.extend(self.begin_loans(cell.number, &source.loans, choices));
        let new = Replaced::by(cell, &choices.imported_anew);
        for left in self.cells.values_mut() {
            left.holes.extend(new.holes_of(&left.cell, choices));
        }
        self.cells.retain(|_, left| {
            left.cell.items.iter().any(|item| !item.is_use && !left.is_gone(item))
        });
        self.imports.retain(|old| {
            !choices.stale_imports.contains(&old.written())
                && !cell.imports.iter().any(|new| takes_place(new, old))
        });
        self.imports.extend(cell.imports.iter().cloned());
        if cell.items.iter().any(|item| !item.is_use) {
            self.cells.insert(cell.number, Left { cell: cell.clone(), holes: Vec::new() });
        }
        self.defined.extend(source.defines.iter().cloned());
        self.attributes.extend(crate::source::lasting(cell));
        gone
    }

    /// Takes in the variables that a cell has left: those in `kept`, of these types.
    pub fn leave(
        &mut self,
        cell: &Cell,
        source: &Source,
        choices: &Choices,
        kept: &[(String, String)],
    ) {
        self.end_loans(&source.loans, choices);
        let made = self.wait(cell, choices, kept);
        for name in cell.uses(&|_| true) {
            let Some(variable) = self.variables.get_mut(name) else { continue };
            let is_other = |(kept, kind): &(String, String)| kept == name && *kind != variable.kind;
            if kept.iter().any(is_other) {
                variable.made_by = None;
            } else if variable.is_mut {
                let made = variable.made_by.take();
                variable.made_by = made.and_then(|made| cell.changed_again(made, name));
            }
        }
        for name in &choices.moved {
            let is_back =
                choices.given_back.contains(name) && kept.iter().any(|(kept, _)| kept == name);
            if !is_back {
                self.waiting
                    .extend(self.variables.get(name).and_then(|moved| Waiting::moved(name, moved)));
                self.lose(name, cell.number, |_| format!("was moved by cell {}", cell.number));
                if let Some(lost) = self.lost.get_mut(name) {
                    lost.is_moved = true;
                }
            }
        }
        for (name, kind) in kept {
            if kind == "rust_live::Gone" {
                self.variables.remove(name);
                continue;
            }
            let declared = cell.variables(&choices.by_macros);
            let binding = declared.into_iter().find(|binding| binding.name == *name);
            let made = made.iter().find_map(|made| Some((made, *made.names.get(name)?)));
            let is_mut = made.map(|(_, is_mut)| is_mut);
            if let Some(is_mut) = binding.map(|binding| binding.is_mut).or(is_mut) {
                self.lost.remove(name);
                let variable = Variable {
                    kind: kind.clone(),
                    is_mut,
                    is_number: binding.is_some_and(|binding| binding.is_number),
                    made_by: match binding {
                        Some(binding) => cell.statements_of(binding),
                        None => made.and_then(|(made, _)| made.made_again(cell, name)),
                    },
                    cell: cell.number,
                    at: binding.map_or(0, Binding::place),
                    lenders: BTreeSet::new(),
                    pins: BTreeSet::new(),
                    is_pinned: choices.lending.pinned.contains(name),
                    parts: Parts::default(),
                };
                self.variables.insert(name.clone(), variable);
                if choices.lending.borrowing.contains(name)
                    || choices.lending.lent_borrowing.contains(name)
                {
                    self.borrow(name, &source.loans);
                }
            } else if let Some(variable) = self.variables.get_mut(name) {
                if source.loans.lends(name) {
                    variable.cell = cell.number;
                }
                variable.kind.clone_from(kind);
                variable.parts = Parts::default();
            }
        }
        self.leave_parts(cell, choices, kept);
        self.pin(cell, &source.loans, choices, kept);
        let declared = cell.variables(&choices.by_macros);
        for (name, reason) in &choices.dropped {
            // A macro that declares it may have left the older one.
            if !choices.undeclared.contains(name) && !self.variables.contains_key(name) {
                let reason = format!("ended with cell {}: {reason}", cell.number);
                let is_moved = choices.moved_within(name);
                self.lost.insert(name.clone(), Lost { cell: cell.number, reason, is_moved });
                let is_mut = declared.iter().any(|one| one.name == *name && one.is_mut);
                self.waiting.extend((is_moved && is_mut).then(|| Waiting::moved_within(name)));
            }
        }
    }

    /// A cell has not come to its end: what it declares is not there, and how far it has changed variables of earlier
    /// cells is not known.
    pub fn left_undone(&mut self, cell: &Cell) {
        for name in cell.uses(&|_| true) {
            if let Some(variable) = self.variables.get_mut(name).filter(|variable| variable.is_mut)
            {
                variable.made_by = None;
            }
        }
        for binding in &cell.bindings {
            if !self.variables.contains_key(&binding.name) && !self.waits(&binding.name) {
                let reason = format!(
                    "is not there: cell {}, which declares it, did not come to its end",
                    cell.number
                );
                let lost = Lost { cell: cell.number, reason, is_moved: false };
                self.lost.insert(binding.name.clone(), lost);
            }
        }
    }

    /// The variables whose types come from one of these packages are of no use any more. Returns them, each
    /// with its package.
    pub fn lose_types_of(&mut self, packages: &[String], cell: usize) -> Vec<(String, String)> {
        let mut gone = Vec::new();
        for package in packages {
            let name = package.replace('-', "_");
            let of_it = |variable: &Variable| words(&variable.kind).any(|word| word == name);
            let names = self.variables.iter().filter(|(_, variable)| of_it(variable));
            gone.extend(names.map(|(variable, _)| (variable.clone(), package.clone())));
        }
        for (name, package) in &gone {
            self.lose(name, cell, |_| format!("is gone: the crate {package} is another one now"));
        }
        gone
    }

    /// Forgets a variable, if it is there, after this cell and for this reason.
    pub(crate) fn lose(&mut self, name: &str, cell: usize, reason: impl Fn(&Variable) -> String) {
        if let Some(variable) = self.variables.remove(name) {
            if !variable.lenders.is_empty() {
                self.stale.insert(name.to_owned());
            }
            let lost = Lost { cell, reason: reason(&variable), is_moved: false };
            self.lost.insert(name.to_owned(), lost);
        }
    }

    /// The process that ran the cells has ended: items and imports are left.
    pub fn restarted(&mut self, cell: usize) {
        for name in std::mem::take(&mut self.variables).into_keys() {
            let reason = format!("is gone since the process of the cells ended in cell {cell}");
            self.lost.insert(name, Lost { cell, reason, is_moved: false });
        }
        self.waiting.retain(|waiting| !waiting.is_moved());
        self.defined.clear();
        self.lent.clear();
        self.exclusive.clear();
        self.stale.clear();
    }
}

impl Left {
    pub(crate) fn is_gone(&self, item: &Item) -> bool {
        without(item.range.clone(), &self.holes).is_empty()
    }
}

/// What a cell defines anew.
pub(crate) struct Replaced<'a> {
    keys: BTreeSet<&'a Key>,
    imported: &'a BTreeSet<String>,
}

impl<'a> Replaced<'a> {
    pub(crate) fn by(cell: &'a Cell, imported: &'a BTreeSet<String>) -> Replaced<'a> {
        let of = |item: &'a Item| {
            let own = if item.parts.is_empty() { item.keys.as_slice() } else { &[] };
            own.iter().chain(item.parts.iter().map(|(key, _)| key)).chain(&item.brings)
        };
        // What may be left out takes no place: where it is not, the compiler says that there are two.
        let items = cell.items.iter().filter(|item| !item.is_conditional);
        Replaced { keys: items.flat_map(of).collect(), imported }
    }

    /// What of an earlier cell it takes the place of, and what is put aside of it.
    fn holes_of(&self, old: &Cell, choices: &Choices) -> Vec<Range<usize>> {
        let mut holes = Vec::new();
        for item in &old.items {
            holes.extend(self.holes(item));
            if choices.put_aside.contains(&(old.number, item.range.start)) {
                holes.push(item.range.clone());
            }
        }
        holes
    }

    /// What of an earlier item it takes the place of.
    pub(crate) fn holes(&self, old: &Item) -> Vec<Range<usize>> {
        let is_again = |key: &Key| {
            self.keys.contains(key)
                || !matches!(key.0, Namespace::Impl | Namespace::Call)
                    && self.imported.contains(&key.1)
        };
        if old.parts.is_empty() {
            let again = old.keys.iter().any(is_again);
            return if again { vec![old.range.clone()] } else { Vec::new() };
        }
        let parts = old.parts.iter().filter(|(key, _)| is_again(key));
        let holes: Vec<_> = parts.map(|(_, range)| range.clone()).collect();
        if holes.len() == old.parts.len() { vec![old.range.clone()] } else { holes }
    }
}

/// Whether a cell defines a function, a constant or the like of this name: a variable would hide it.
pub(crate) fn is_value_of(cell: &Cell, name: &str) -> bool {
    let is_it =
        |(space, key): &Key| *space == Namespace::Value && key.trim_start_matches("r#") == name;
    cell.items.iter().any(|item| item.keys.iter().any(is_it))
}

pub(crate) fn takes_place(new: &Leaf, old: &Leaf) -> bool {
    match (&new.name, &old.name) {
        (Some(new), Some(old)) => new == old,
        _ => new.path == old.path && new.renamed == old.renamed,
    }
}
