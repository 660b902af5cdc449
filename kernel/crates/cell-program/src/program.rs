//! What the cells of a session have left, and the program of the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use crate::cell::{Binding, Cell, Surroundings};
use crate::edit::{Edit, without};
use crate::imports::Leaf;
use crate::items::{Item, Key, Main, MacroKind, Namespace, Static, StaticBy};
use crate::names::words;
use crate::types::Callable;

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
}

/// Why a name that was a variable is none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The cell after which it was gone.
    pub cell: usize,
    /// Why, as the rest of a sentence that begins with its name.
    pub reason: String,
}

/// What cells have left.
#[derive(Debug, Clone, Default)]
pub struct Program {
    cells: BTreeMap<usize, Left>,
    imports: Vec<Leaf>,
    variables: BTreeMap<String, Variable>,
    lost: BTreeMap<String, Lost>,
    /// The symbols of statics that are in the process that runs the cells.
    defined: BTreeSet<String>,
}

/// What is left of a cell.
#[derive(Debug, Clone)]
struct Left {
    cell: Cell,
    /// What of its items was replaced by later cells.
    holes: Vec<Range<usize>>,
}

/// What the attempts to compile a cell have shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// Variables that it declares and that end with it.
    pub dropped: BTreeSet<String>,
    /// Variables of earlier cells that it moves.
    pub moved: BTreeSet<String>,
    /// Variables of earlier cells whose types cannot be named.
    pub unnamed: BTreeSet<String>,
    /// Closures and functions among its variables.
    pub callables: BTreeMap<String, Callable>,
    /// The macro at its end is a statement.
    pub closes_by_statement: bool,
    /// Errors that `?` returns are shown by Debug.
    pub errors_by_debug: bool,
    /// Names that it imports and that were items before.
    pub imported_anew: BTreeSet<String>,
    /// Items of earlier cells that do not compile with this one: cell, and where they begin.
    pub put_aside: BTreeSet<(usize, usize)>,
    /// Numbers of earlier cells whose type this one decides.
    pub numbers: BTreeSet<String>,
    /// `return` keeps no variables.
    pub returns_plainly: bool,
    /// The value at its end is shown by a trait of a crate's.
    pub shows_itself: bool,
}

/// What a session has that programs depend on.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Whether the crate tokio runs futures.
    pub has_tokio: bool,
    /// What stands before all items, for the crates of the session.
    pub declarations: String,
    /// Values that have no way of their own are shown as by `{:#?}`.
    pub is_pretty: bool,
}

/// The program of a cell.
#[derive(Debug, Clone)]
pub struct Source {
    /// The name of the root file: `cell 7`.
    pub name: String,
    /// The root file.
    pub text: String,
    /// The bytes of its first line that stand before the reader's.
    pub prefix: usize,
    /// What was changed in the reader's statements.
    pub edits: Vec<Edit>,
    /// The files that it includes: name, text, and what was changed in the reader's text.
    pub files: Vec<File>,
    /// Lines of the root file that are about one variable.
    pub marks: BTreeMap<usize, Mark>,
    /// The function to call.
    pub symbol: String,
    /// The symbols of statics that it defines.
    pub defines: BTreeSet<String>,
}

impl Source {
    /// The column in the reader's text of a place in this program, both from 1 and in characters.
    pub fn reader_column(&self, text: &str, line: usize, column: usize) -> usize {
        let begin = line_start(text, line);
        let end = line_start(text, line + 1);
        let before = if line == 1 { self.text[..self.prefix].chars().count() } else { 0 };
        let Some(mut left) = column.checked_sub(before + 1) else { return column };
        let mut edits: Vec<&Edit> =
            self.edits.iter().filter(|edit| edit.range.start >= begin && edit.range.end <= end).collect();
        edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
        let mut at = begin;
        for edit in edits {
            let kept = text[at..edit.range.start.max(at)].chars().count();
            if left < kept {
                break;
            }
            left -= kept;
            at = edit.range.end.max(at);
            let new = edit.text.chars().count();
            if left < new {
                left = 0;
                break;
            }
            left -= new;
        }
        text[begin..at].chars().count() + left + 1
    }
}

/// A file that the program includes.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path beside the root file: `items/cell 3`.
    pub path: String,
    /// What stands in it.
    pub text: String,
    /// The cell whose lines it has.
    pub cell: usize,
    /// What was changed in them.
    pub edits: Vec<Edit>,
}

/// What a generated line does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Keeps a variable that the cell declares.
    Keep(String),
    /// Keeps a variable that an earlier cell has left.
    PutBack(String),
    /// Names the type of a variable of an earlier cell.
    Type(String),
}

/// Lints that are about the cells as one program, which they are not.
const ALLOWED: &str = "dead_code, unused_imports, unused_macros, unused_parens, unused_braces, unused_labels, \
    redundant_semicolons, improper_ctypes, static_mut_refs, unreachable_code, \
    non_local_definitions, special_module_name, macro_expanded_macro_exports_accessed_by_absolute_paths";

impl Program {
    /// Takes a cell apart, as one of this session.
    pub fn parse(&self, number: usize, text: &str, folder: &Path) -> Cell {
        let is_value = |name: &str| {
            self.alive_items().any(|(_, item)| {
                item.keys.iter().any(|(space, key)| *space == Namespace::Value && key == name)
            })
        };
        let is_name = |name: &str| self.variables.contains_key(name) || is_value(name);
        let macros = |name: &str| {
            let keyed = |item: &&Item| item.keys.iter().any(|(space, key)| *space == Namespace::Macro && key == name);
            self.alive_items().map(|(_, item)| item).filter(keyed).last().and_then(|item| item.makes)
        };
        let known = |name: &str| -> Option<MacroKind> { macros(name) };
        Cell::parse(number, text, &Surroundings { macros: &known, is_name: &is_name, folder })
    }

    /// The variables that are there.
    pub fn variables(&self) -> &BTreeMap<String, Variable> {
        &self.variables
    }

    /// Numbers that a cell uses and whose type it may decide.
    pub fn numbers(&self, cell: &Cell) -> BTreeSet<String> {
        let is_number = |name: &str| {
            let variable = self.variables.get(name);
            variable.is_some_and(|variable| variable.is_number && matches!(&*variable.kind, "i32" | "f64"))
        };
        cell.uses(&is_number).into_iter().map(str::to_owned).collect()
    }

    /// Why a name is no variable any more, if it was one.
    pub fn lost(&self, name: &str) -> Option<&Lost> {
        self.lost.get(name)
    }

    /// The names of the items that are there.
    pub fn item_names(&self) -> BTreeSet<&str> {
        let keys = self.alive_items().flat_map(|(_, item)| &item.keys);
        keys.filter(|(space, _)| !matches!(space, Namespace::Impl | Namespace::Call))
            .map(|(_, name)| name.as_str())
            .collect()
    }

    /// The text of an earlier cell.
    pub fn cell_text(&self, number: usize) -> Option<&str> {
        self.cells.get(&number).map(|left| left.cell.text.as_str())
    }

    fn alive_items(&self) -> impl Iterator<Item = (usize, &Item)> {
        self.cells.iter().flat_map(|(number, left)| {
            left.cell.items.iter().filter(|item| !left.is_gone(item)).map(move |item| (*number, item))
        })
    }

    /// The item of an earlier cell that stands on a line of it, from 1, with its place and a name for it.
    pub fn item_at(&self, number: usize, line: usize) -> Option<((usize, usize), String)> {
        let left = self.cells.get(&number)?;
        let start = line_start(&left.cell.text, line);
        let end = line_start(&left.cell.text, line + 1);
        let item = left.cell.items.iter().find(|item| item.range.start < end && item.range.end > start)?;
        let name = item.keys.first().map(|(_, name)| name.clone()).unwrap_or_default();
        Some(((number, item.range.start), name))
    }

    /// The variables that a cell uses and that can be there for it.
    fn loaded<'a>(&'a self, cell: &'a Cell, choices: &Choices, gone: &BTreeSet<String>) -> Vec<&'a str> {
        let known = |name: &str| {
            self.variables.contains_key(name) && !choices.unnamed.contains(name) && !gone.contains(name)
        };
        cell.uses(&known).into_iter().map(|name| self.variables.get_key_value(name).map_or("", |(name, _)| name)).collect()
    }

    /// The program of a cell.
    pub fn source(&self, cell: &Cell, session: &Session, choices: &Choices) -> Source {
        let gone = self.variables_of_other_types(cell);
        let loaded = self.loaded(cell, choices, &gone);
        let number = cell.number;
        let mut files = Vec::new();
        let mut defines = BTreeSet::new();
        let (mut heads, mut items) = (String::new(), String::new());
        let older: Vec<(&Cell, Vec<Range<usize>>)> = self.older(cell, choices);
        let all = older.iter().map(|(older, holes)| (*older, holes.as_slice())).chain([(cell, &[][..])]);
        for (of, holes) in all {
            let is_this = of.number == number;
            let mut more = Vec::new();
            for item in &of.items {
                more.extend(self.statics(of.number, item, is_this, &mut defines));
            }
            for (folder, is_head, list) in [("macros", true, &mut heads), ("items", false, &mut items)] {
                let wanted = of.items.iter().filter(|item| item.is_head == is_head && (is_this || !item.is_use));
                let kept: Vec<_> = wanted.flat_map(|item| without(item.range.clone(), holes)).collect();
                if !kept.is_empty() {
                    let path = format!("{folder}/cell {}", of.number);
                    let _ = write!(list, "include!(\"{path}\"); ");
                    let (text, edits) = of.items_text(&kept, &more);
                    files.push(File { path, text, cell: of.number, edits });
                }
            }
        }

        let mut attributes = cell.attributes.join(" ");
        if cell.attributes.iter().any(|attribute| attribute.contains("no_std") || attribute.contains("no_main")) {
            attributes.clear();
        }
        let mut prefix = format!("#![allow({ALLOWED})] {attributes} {}{heads}fn __rust_live_body() -> ::rust_live::Ended {{ ", session.declarations);
        for name in &loaded {
            let is_mut = self.variables.get(*name).is_some_and(|variable| variable.is_mut);
            let word = if is_mut { "mut " } else { "" };
            let take = format!("unsafe {{ ::rust_live::take::<__RustLiveType_{name}>({name:?}) }}");
            // As free as the number was where it stood.
            let take = if choices.numbers.contains(*name) {
                let is_float = self.variables.get(*name).is_some_and(|variable| variable.kind == "f64");
                let number = if is_float { "0.0" } else { "0" };
                format!("if false {{ {number} }} else {{ ({take}) as _ }}")
            } else {
                take
            };
            let _ = write!(prefix, "let {word}{} = {take}; ", raw(name));
        }
        let failure = if choices.errors_by_debug { "FailureByDebug" } else { "Failure" };
        let ok = format!("::std::result::Result::<(), ::rust_live::{failure}>::Ok(())");
        let (begin, end) = match (cell.has_future(), session.has_tokio) {
            (false, _) => (format!("|| -> ::std::result::Result<(), ::rust_live::{failure}> {{ "), "})"),
            (true, false) => ("|| ::rust_live::block_on(async { ".to_owned(), "}))"),
            (true, true) => (
                "|| ::rust_live::shared(\"tokio\", || ::std::sync::Mutex::new(::tokio::runtime::Runtime::new().expect(\"tokio's runtime starts\"))).lock().unwrap_or_else(::std::sync::PoisonError::into_inner).block_on(async { ".to_owned(),
                "}))",
            ),
        };
        let _ = write!(prefix, "let __rust_live_ended = ::rust_live::catch({begin}");

        let keep = |binding: &Binding| -> Option<String> {
            let name = &binding.name;
            if choices.dropped.contains(name) {
                return None;
            }
            let variable = raw(name);
            let value = match choices.callables.get(name) {
                None => variable,
                Some(Callable::Pointer(kind)) => format!("{{ let kept: {kind} = {variable}; kept }}"),
                Some(Callable::Boxed(kind)) => format!("{{ let kept: {kind} = ::std::boxed::Box::new({variable}); kept }}"),
            };
            Some(format!("::rust_live::keep({name:?}, {value});"))
        };
        let leave = |declared: &[&Binding]| {
            let kept: Vec<String> = if choices.returns_plainly {
                Vec::new()
            } else {
                declared.iter().filter_map(|binding| keep(binding)).collect()
            };
            let names: Vec<&str> = declared.iter().map(|binding| binding.name.as_str()).collect();
            let names = names.join(" ");
            format!("{{ {} ::rust_live::left_early({names:?}); return {ok} }}", kept.join(" "))
        };
        let show = (!choices.closes_by_statement).then_some((
            "match &(",
            if choices.shows_itself {
                ") { __rust_live_value => { (*__rust_live_value).evcxr_display(); } }"
            } else if session.is_pretty {
                ") { __rust_live_value => { let _pretty = ::rust_live::Pretty::begin(); use ::rust_live::ByDebug as _; (*__rust_live_value).evcxr_display(); } }"
            } else {
                ") { __rust_live_value => { use ::rust_live::ByDebug as _; (*__rust_live_value).evcxr_display(); } }"
            },
        ));
        let (statements, edits) = cell.statements(show, &leave);

        let mut text = format!("{prefix}{statements}");
        let mut marks = BTreeMap::new();
        let mut line = text.matches('\n').count() + 1;
        let mut push = |text: &mut String, code: &str, mark: Option<Mark>| {
            text.push('\n');
            text.push_str(code);
            line += 1;
            if let Some(mark) = mark {
                marks.insert(line, mark);
            }
        };
        push(&mut text, ";", None);
        if let Some(main) = cell.main() {
            let wait = if main.main == Some(Main::Async) { ".await" } else { "" };
            push(&mut text, &format!("::rust_live::main_ended(main(){wait})?;"), None);
        }
        if !cell.tests.is_empty() {
            push(&mut text, &tests(cell), None);
        }
        for binding in cell.variables() {
            if let Some(code) = keep(binding) {
                push(&mut text, &code, Some(Mark::Keep(binding.name.clone())));
            }
        }
        push(&mut text, &format!("{ok} {end};"), None);
        let declared: BTreeSet<&str> = cell.bindings.iter().map(|binding| binding.name.as_str()).collect();
        for name in loaded.iter().filter(|name| !choices.moved.contains(**name)) {
            let keep = format!("::rust_live::keep({name:?}, {});", raw(name));
            // One that is declared anew is the old one still where the cell fails.
            let is_new = declared.contains(name);
            let code = if is_new { format!("if __rust_live_ended.failed() {{ {keep} }}") } else { keep };
            push(&mut text, &code, Some(Mark::PutBack((*name).to_owned())));
        }
        push(&mut text, "__rust_live_ended }", None);
        for name in &loaded {
            if let Some(variable) = self.variables.get(*name) {
                let code = format!("#[allow(non_camel_case_types)] type __RustLiveType_{name} = {};", variable.kind);
                push(&mut text, &code, Some(Mark::Type((*name).to_owned())));
            }
        }
        push(&mut text, &self.imports_module(cell), None);
        push(&mut text, &items, None);
        let symbol = format!("rust_live_cell_{number}");
        push(&mut text, &format!("#[unsafe(export_name = {symbol:?})] pub extern \"C\" fn __rust_live_entry() -> u8 {{ ::rust_live::run(__rust_live_body) }}"), None);
        text.push('\n');
        Source { name: format!("cell {number}"), prefix: prefix.len(), text, edits, files, marks, symbol, defines }
    }

    /// Earlier cells, each with what of it is replaced by this one or by those between.
    fn older(&self, cell: &Cell, choices: &Choices) -> Vec<(&Cell, Vec<Range<usize>>)> {
        let new = Replaced::by(cell, &choices.imported_anew);
        let of = |(number, left): (&usize, &'_ Left)| {
            let mut holes = left.holes.clone();
            for item in &left.cell.items {
                holes.extend(new.holes(item));
                if choices.put_aside.contains(&(*number, item.range.start)) {
                    holes.push(item.range.clone());
                }
            }
            holes
        };
        self.cells.iter().map(|(number, left)| (&left.cell, of((number, left)))).collect()
    }

    /// What earlier cells have imported, in a module: what the root of the crate defines goes before it.
    fn imports_module(&self, cell: &Cell) -> String {
        let items = self.item_names();
        let of_cell: BTreeSet<&str> =
            cell.items.iter().flat_map(|item| &item.keys).map(|(_, name)| name.as_str()).collect();
        let imported: BTreeSet<&str> =
            self.imports.iter().chain(&cell.imports).filter_map(|leaf| leaf.name.as_deref()).collect();
        let local = |first: &str| items.contains(first) || of_cell.contains(first) || imported.contains(first);
        let kept = self.imports.iter().filter(|old| !cell.imports.iter().any(|new| takes_place(new, old)));
        let statements: String = kept.map(|leaf| leaf.statement(&local)).collect();
        format!("mod __rust_live_imports {{ {statements} }} use __rust_live_imports::*;")
    }

    /// The edits for the statics of an item: the cell that defines one exports it, later ones use that.
    fn statics(&self, number: usize, item: &Item, is_this: bool, defines: &mut BTreeSet<String>) -> Vec<Edit> {
        let mut edits: Vec<Edit> = Vec::new();
        let mut replaced: BTreeMap<(usize, usize), String> = BTreeMap::new();
        for made in &item.statics {
            let symbol = format!("rust_live_static_{number}_{}_{}", made.range.start, made.name);
            if is_this || !self.defined.contains(&symbol) {
                edits.push(exported(made, &symbol));
                defines.insert(symbol);
            } else {
                let all = replaced.entry((made.range.start, made.range.end)).or_default();
                all.push_str(&imported(made, &symbol));
            }
        }
        edits.extend(replaced.into_iter().map(|((start, end), text)| Edit::replace(start..end, text)));
        edits
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
                if item.words().iter().any(|word| changed.contains(*word)) {
                    for (_, name) in item.keys.iter().filter(|(space, _)| is_type(space)) {
                        grows |= changed.insert(name.clone());
                    }
                }
            }
        }
        changed
    }

    /// The variables whose types this cell changes: they cannot be used any more.
    fn variables_of_other_types(&self, cell: &Cell) -> BTreeSet<String> {
        let changed = self.changed_types(cell);
        let is_changed = |variable: &Variable| words(&variable.kind).any(|word| changed.contains(word));
        let found = self.variables.iter().filter(|(_, variable)| is_changed(variable));
        found.map(|(name, _)| name.clone()).collect()
    }

    /// Takes in what a cell defines, once it was compiled. Says which variables are lost by it.
    pub fn define(&mut self, cell: &Cell, source: &Source, choices: &Choices) -> Vec<String> {
        let gone: Vec<String> = self.variables_of_other_types(cell).into_iter().collect();
        for name in &gone {
            if let Some(variable) = self.variables.remove(name) {
                let reason = format!("is gone: its type `{}` was defined anew", variable.kind);
                self.lost.insert(name.clone(), Lost { cell: cell.number, reason });
            }
        }
        for name in &choices.unnamed {
            if let Some(variable) = self.variables.remove(name) {
                let reason = format!("is gone: its type `{}` cannot be named here", variable.kind);
                self.lost.insert(name.clone(), Lost { cell: cell.number, reason });
            }
        }
        let new = Replaced::by(cell, &choices.imported_anew);
        for (number, left) in &mut self.cells {
            for item in &left.cell.items {
                let mut holes = new.holes(item);
                if choices.put_aside.contains(&(*number, item.range.start)) {
                    holes.push(item.range.clone());
                }
                left.holes.extend(holes);
            }
        }
        self.cells.retain(|_, left| left.cell.items.iter().any(|item| !item.is_use && !left.is_gone(item)));
        self.imports.retain(|old| !cell.imports.iter().any(|new| takes_place(new, old)));
        self.imports.extend(cell.imports.iter().cloned());
        if cell.items.iter().any(|item| !item.is_use) {
            self.cells.insert(cell.number, Left { cell: cell.clone(), holes: Vec::new() });
        }
        self.defined.extend(source.defines.iter().cloned());
        gone
    }

    /// Takes in the variables that a cell has left: those in `kept`, of these types.
    pub fn leave(&mut self, cell: &Cell, choices: &Choices, kept: &[(String, String)]) {
        for name in &choices.moved {
            if self.variables.remove(name).is_some() {
                let reason = format!("was moved by cell {}", cell.number);
                self.lost.insert(name.clone(), Lost { cell: cell.number, reason });
            }
        }
        for (name, kind) in kept {
            let declared = cell.variables().into_iter().find(|binding| binding.name == *name);
            if let Some(binding) = declared {
                self.lost.remove(name);
                let (is_mut, is_number) = (binding.is_mut, binding.is_number);
                let variable = Variable { kind: kind.clone(), is_mut, is_number, cell: cell.number };
                self.variables.insert(name.clone(), variable);
            } else if let Some(variable) = self.variables.get_mut(name) {
                variable.kind.clone_from(kind);
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
            self.variables.remove(name);
            let reason = format!("is gone: the crate {package} is another one now");
            self.lost.insert(name.clone(), Lost { cell, reason });
        }
        gone
    }

    /// The process that ran the cells has ended: items and imports are left.
    pub fn restarted(&mut self, cell: usize) {
        for name in std::mem::take(&mut self.variables).into_keys() {
            let reason = format!("is gone since the process of the cells ended in cell {cell}");
            self.lost.insert(name, Lost { cell, reason });
        }
        self.defined.clear();
    }

    /// The session's program as one text for an analysis of a cell, and where the cell's own code begins in
    /// it: items and imports of earlier cells, their variables, then the cell.
    pub fn for_analysis(&self, code: &str) -> (String, usize) {
        let cell = self.parse(usize::MAX, code, Path::new("/"));
        let mut text = format!("{} ", self.imports_module(&cell));
        let none = BTreeSet::new();
        let new = Replaced::by(&cell, &none);
        for (_, item) in self.alive_items() {
            if !item.is_use && new.holes(item).is_empty() {
                text.push_str(&item.text);
                text.push('\n');
            }
        }
        text.push_str("async fn __rust_live_body() {\n");
        for (name, variable) in &self.variables {
            let _ = writeln!(text, "let mut {}: {} = todo!();", raw(name), variable.kind);
        }
        let start = text.len();
        // Commands are no Rust, and take as many bytes.
        let mut rust = code.to_owned();
        for command in &cell.commands {
            rust.replace_range(command.range.clone(), &" ".repeat(command.range.len()));
        }
        text.push_str(&rust);
        text.push_str("\n}\n");
        (text, start)
    }
}

impl Left {
    fn is_gone(&self, item: &Item) -> bool {
        without(item.range.clone(), &self.holes).is_empty()
    }
}

/// What a cell defines anew.
struct Replaced<'a> {
    keys: BTreeSet<&'a Key>,
    imported: &'a BTreeSet<String>,
}

impl<'a> Replaced<'a> {
    fn by(cell: &'a Cell, imported: &'a BTreeSet<String>) -> Replaced<'a> {
        let of = |item: &'a Item| {
            let own = if item.parts.is_empty() { item.keys.as_slice() } else { &[] };
            own.iter().chain(item.parts.iter().map(|(key, _)| key))
        };
        Replaced { keys: cell.items.iter().flat_map(of).collect(), imported }
    }

    /// What of an earlier item it takes the place of.
    fn holes(&self, old: &Item) -> Vec<Range<usize>> {
        if old.parts.is_empty() {
            let again = old.keys.iter().any(|key| {
                self.keys.contains(key)
                    || !matches!(key.0, Namespace::Impl | Namespace::Call) && self.imported.contains(&key.1)
            });
            return if again { vec![old.range.clone()] } else { Vec::new() };
        }
        let parts = old.parts.iter().filter(|(key, _)| self.keys.contains(key));
        let holes: Vec<_> = parts.map(|(_, range)| range.clone()).collect();
        if holes.len() == old.parts.len() { vec![old.range.clone()] } else { holes }
    }
}

fn takes_place(new: &Leaf, old: &Leaf) -> bool {
    match (&new.name, &old.name) {
        (Some(new), Some(old)) => new == old,
        _ => new.path == old.path && new.renamed == old.renamed,
    }
}

fn exported(made: &Static, symbol: &str) -> Edit {
    let name = &made.name;
    match made.by {
        StaticBy::Rust => Edit::insert(made.head, format!("#[unsafe(export_name = {symbol:?})] ")),
        StaticBy::ThreadLocal => Edit::insert(
            made.head,
            format!(
                " #[unsafe(export_name = {symbol:?})] static __RUST_LIVE_{name}: &::std::thread::LocalKey<{}> = &{name};",
                made.kind
            ),
        ),
        StaticBy::Lazy => Edit::insert(
            made.head,
            format!(
                " #[unsafe(export_name = {symbol:?})] static __RUST_LIVE_{name}: fn() -> &'static ({}) = || &*{name};",
                made.kind
            ),
        ),
    }
}

fn imported(made: &Static, symbol: &str) -> String {
    let Static { name, kind, visibility, .. } = made;
    let link = format!("#[link_name = {symbol:?}]");
    match made.by {
        StaticBy::Rust if made.is_mut => {
            format!("unsafe extern \"C\" {{ {link} {visibility} static mut {name}: {kind}; }} ")
        }
        StaticBy::Rust => {
            format!("unsafe extern \"C\" {{ {link} {visibility} safe static {name}: {kind}; }} ")
        }
        StaticBy::ThreadLocal => format!(
            "unsafe extern \"C\" {{ {link} {visibility} safe static {name}: &'static ::std::thread::LocalKey<{kind}>; }} "
        ),
        StaticBy::Lazy => format!(
            "unsafe extern \"C\" {{ {link} safe static __RUST_LIVE_{name}: fn() -> &'static ({kind}); }} \
             {visibility} static {name}: ::rust_live::Lazy<{kind}> = ::rust_live::Lazy(|| __RUST_LIVE_{name}()); "
        ),
    }
}

/// The code that runs a cell's tests.
fn tests(cell: &Cell) -> String {
    let tests = cell.tests.iter().map(|test| {
        let panics = match &test.panics {
            Some(words) => format!("::std::option::Option::Some({words:?})"),
            None => "::std::option::Option::None".to_owned(),
        };
        format!(
            "::rust_live::Test {{ name: {:?}, run: || ::rust_live::main_ended({}()), is_ignored: {}, panics: {panics} }}",
            test.path, test.path, test.is_ignored
        )
    });
    format!("::rust_live::run_tests(&[{}])?;", tests.collect::<Vec<_>>().join(", "))
}

/// A name as it is written in code.
fn raw(name: &str) -> String {
    const KEYWORDS: [&str; 14] = [
        "type", "match", "move", "ref", "async", "await", "dyn", "try", "gen", "box", "macro", "yield", "final", "loop",
    ];
    if KEYWORDS.contains(&name) { format!("r#{name}") } else { name.to_owned() }
}

fn line_start(text: &str, line: usize) -> usize {
    match line {
        0 | 1 => 0,
        line => text.match_indices('\n').nth(line - 2).map_or(text.len(), |(at, _)| at + 1),
    }
}
