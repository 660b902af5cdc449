//! What the cells of a session have left, and the program of the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use crate::cell::{Binding, Cell, Surroundings};
use crate::edit::{Edit, without};
use crate::imports::Leaf;
use crate::items::{Item, Key, MacroKind, Main, Namespace, Static, StaticBy};
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
    /// Variables that it declares and that end with it, each with the reason.
    pub dropped: BTreeMap<String, String>,
    /// Those of them that it does not declare after all: an attribute has left them out.
    pub undeclared: BTreeSet<String>,
    /// Variables of earlier cells that it moves.
    pub moved: BTreeSet<String>,
    /// Variables of earlier cells whose types cannot be named.
    pub unnamed: BTreeSet<String>,
    /// Closures and functions among its variables.
    pub callables: BTreeMap<String, Callable>,
    /// Variables that macros declare in it.
    pub by_macros: BTreeSet<String>,
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
    /// Names of the standard library's prelude that earlier cells use for something else: the statements of
    /// this one mean what every program means by them.
    pub prelude: BTreeSet<String>,
    /// What earlier cells have imported with a star is left out: it makes a name mean two things.
    pub without_stars: bool,
    /// Items of earlier cells are compiled with it, whether it can reach them or not.
    pub with_everything: bool,
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
    /// Whether values are shown over several lines, as by `{:#?}`.
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
    /// Whether items of earlier cells are left out that it does not reach.
    pub leaves_out: bool,
}

impl Source {
    /// The column in the reader's text of a place in this program, both from 1 and in characters.
    pub fn reader_column(&self, text: &str, line: usize, column: usize) -> usize {
        let begin = line_start(text, line);
        let end = line_start(text, line + 1);
        let before = if line == 1 { self.text[..self.prefix].chars().count() } else { 0 };
        let Some(left) = column.checked_sub(before + 1) else { return column };
        text[begin..place(text, &self.edits, begin..end, left)].chars().count() + 1
    }

    /// The offset in the reader's text of a place in this program, by line and column from 1. None for what
    /// is not the reader's.
    pub fn reader_offset(&self, text: &str, line: usize, column: usize) -> Option<usize> {
        let begin = line_start(text, line);
        let before = if line == 1 { self.text[..self.prefix].chars().count() } else { 0 };
        let left = column.checked_sub(before + 1)?;
        let is_readers = line > 0 && line <= text.matches('\n').count() + 1;
        is_readers.then(|| place(text, &self.edits, begin..line_start(text, line + 1), left))
    }
}

/// Where in a line of the reader's text the character stands that is so many behind the line's beginning
/// once the edits are made.
fn place(text: &str, edits: &[Edit], line: Range<usize>, mut left: usize) -> usize {
    let within = |edit: &&Edit| edit.range.start >= line.start && edit.range.end <= line.end;
    let mut edits: Vec<&Edit> = edits.iter().filter(within).collect();
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut at = line.start;
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
    let rest = &text[at..line.end];
    at + rest.char_indices().nth(left).map_or(rest.len(), |(at, _)| at)
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

/// Those of them that are of one item.
const ALLOWED_IN_CELL: &str = "dead_code, unused_imports, unused_macros, unused_parens, unused_braces, unused_labels, \
    unused_attributes, redundant_semicolons, improper_ctypes, static_mut_refs, unreachable_code";

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
            let keyed = |item: &&Item| {
                item.keys.iter().any(|(space, key)| *space == Namespace::Macro && key == name)
            };
            self.alive_items()
                .map(|(_, item)| item)
                .filter(keyed)
                .last()
                .and_then(|item| item.makes)
        };
        let known = |name: &str| -> Option<MacroKind> { macros(name) };
        Cell::parse(number, text, &Surroundings { macros: &known, is_name: &is_name, folder })
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
                variable.is_number && matches!(&*variable.kind, "i32" | "f64")
            })
        };
        cell.uses(&is_number).into_iter().map(str::to_owned).collect()
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

    fn alive_items(&self) -> impl Iterator<Item = (usize, &Item)> {
        self.cells.iter().flat_map(|(number, left)| {
            left.cell
                .items
                .iter()
                .filter(|item| !left.is_gone(item))
                .map(move |item| (*number, item))
        })
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
        let text = &self.cells.get(&number)?.cell.text;
        let line = line_start(text, line)..line_start(text, line + 1);
        let at = place(text, &file.edits, line, column.saturating_sub(1));
        let left = self.cells.get(&number)?;
        let item = left.cell.items.iter().find(|item| item.range.contains(&at))?;
        let name = item.keys.first().map(|(_, name)| name.clone()).unwrap_or_default();
        Some(((number, item.range.start), name))
    }

    /// The variables that a cell uses and that can be there for it.
    fn loaded<'a>(
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
        cell.uses(&known)
            .into_iter()
            .map(|name| self.variables.get_key_value(name).map_or("", |(name, _)| name))
            .collect()
    }

    /// The program of a cell.
    pub fn source(&self, cell: &Cell, session: &Session, choices: &Choices) -> Source {
        let gone = self.variables_of_other_types(cell);
        let loaded = self.loaded(cell, choices, &gone);
        let number = cell.number;
        let (attributes, lints) = attributes(cell);
        // What a later cell uses is not unused.
        let of_body = if lints.is_empty() {
            ""
        } else {
            "#[allow(unused_mut, unused_variables, unused_assignments)] "
        };
        let mut files = Vec::new();
        let mut defines = BTreeSet::new();
        let (mut heads, mut items) = (String::new(), String::new());
        let reached = (!choices.with_everything).then(|| self.reached(cell, &loaded));
        let mut leaves_out = false;
        let older: Vec<(&Cell, Vec<Range<usize>>)> = self.older(cell, choices);
        let all =
            older.iter().map(|(older, holes)| (*older, holes.as_slice())).chain([(cell, &[][..])]);
        for (of, holes) in all {
            let is_this = of.number == number;
            for (folder, is_head, list) in
                [("macros", true, &mut heads), ("items", false, &mut items)]
            {
                let wanted = of
                    .items
                    .iter()
                    .filter(|item| item.is_head == is_head && (is_this || !item.is_use));
                let mut more = Vec::new();
                let mut kept = Vec::new();
                for item in wanted {
                    let left = without(item.range.clone(), holes);
                    if left.is_empty() {
                        continue;
                    }
                    let place = (of.number, item.range.start);
                    if !is_this && reached.as_ref().is_some_and(|reached| !reached.contains(&place))
                    {
                        leaves_out = true;
                        continue;
                    }
                    kept.extend(left);
                    more.extend(self.statics(of.number, item, is_this, &mut defines));
                    more.extend(
                        (is_this && !lints.is_empty() && !item.is_use)
                            .then(|| Edit::insert(item.range.start, lints.as_str())),
                    );
                }
                if !kept.is_empty() {
                    let path = format!("{folder}/cell {}", of.number);
                    let _ = write!(list, "include!(\"{path}\"); ");
                    let (text, edits) = of.items_text(&kept, &more);
                    files.push(File { path, text, cell: of.number, edits });
                }
            }
        }

        let mut prefix = format!(
            "#![allow({ALLOWED})] {attributes} {}{heads}{lints}{of_body}fn __rust_live_body() -> ::rust_live::Ended {{ ",
            session.declarations
        );
        if !choices.prelude.is_empty() {
            let names = choices.prelude.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let _ = write!(prefix, "use ::std::prelude::rust_2024::{{{names}}}; ");
        }
        let allowed =
            if lints.is_empty() { "" } else { "#[allow(warnings, unsafe_code, unused_results)] " };
        for name in &loaded {
            let is_mut = self.variables.get(*name).is_some_and(|variable| variable.is_mut);
            let word = if is_mut { "mut " } else { "" };
            let take = format!("unsafe {{ ::rust_live::take::<__RustLiveType_{name}>({name:?}) }}");
            // As free as the number was where it stood.
            let take = if choices.numbers.contains(*name) {
                let is_float =
                    self.variables.get(*name).is_some_and(|variable| variable.kind == "f64");
                let number = if is_float { "0.0" } else { "0" };
                format!("if false {{ {number} }} else {{ ({take}) as _ }}")
            } else {
                take
            };
            let _ = write!(prefix, "{allowed}let {word}{} = {take}; ", raw(name));
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
            if choices.dropped.contains_key(name) {
                let is_renewed = self.variables.contains_key(name)
                    && !choices.by_macros.contains(name)
                    && !choices.undeclared.contains(name);
                return is_renewed
                    .then(|| format!("{allowed}::rust_live::keep({name:?}, ::rust_live::Gone);"));
            }
            let variable = raw(name);
            let value = match choices.callables.get(name) {
                None => variable,
                Some(Callable::Pointer(kind)) => {
                    format!("{{ let kept: {kind} = {variable}; kept }}")
                }
                Some(Callable::Boxed(kind)) => {
                    format!("{{ let kept: {kind} = ::std::boxed::Box::new({variable}); kept }}")
                }
            };
            Some(format!("{allowed}::rust_live::keep({name:?}, {value});"))
        };
        let leave = |declared: &[&Binding]| {
            let all = declared.iter().filter(|_| !choices.returns_plainly);
            let (names, kept): (Vec<&str>, Vec<String>) =
                all.filter_map(|binding| Some((binding.name.as_str(), keep(binding)?))).unzip();
            let names = names.join(" ");
            format!("{{ {} ::rust_live::left_early({names:?}); return {ok} }}", kept.join(" "))
        };
        let pretty =
            if session.is_pretty { "let _pretty = ::rust_live::Pretty::begin(); " } else { "" };
        let by_debug = if choices.shows_itself { "" } else { "use ::rust_live::ByDebug as _; " };
        let shows = format!(
            ") {{ __rust_live_value => {{ {pretty}{by_debug}(*__rust_live_value).evcxr_display(); }} }}"
        );
        let show = (!choices.closes_by_statement).then_some(("match &(", &*shows));
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
        for binding in cell.variables(&choices.by_macros) {
            if let Some(code) = keep(binding) {
                push(&mut text, &code, Some(Mark::Keep(binding.name.clone())));
            }
        }
        push(&mut text, &format!("{ok} {end};"), None);
        let declared = cell.variables(&choices.by_macros);
        let declared: BTreeSet<&str> =
            declared.iter().map(|binding| binding.name.as_str()).collect();
        for name in loaded.iter().filter(|name| !choices.moved.contains(**name)) {
            let keep = format!("{allowed}::rust_live::keep({name:?}, {});", raw(name));
            // One that is declared anew is the old one still where the cell ends before, or the new one with it.
            let is_new = declared.contains(name)
                && !(choices.dropped.contains_key(*name) && choices.by_macros.contains(*name));
            let code = if is_new {
                format!("if !::rust_live::is_kept({name:?}) {{ {keep} }}")
            } else {
                keep
            };
            push(&mut text, &code, Some(Mark::PutBack((*name).to_owned())));
        }
        push(&mut text, "__rust_live_ended }", None);
        for name in &loaded {
            if let Some(variable) = self.variables.get(*name) {
                let code = format!(
                    "#[allow(non_camel_case_types)] type __RustLiveType_{name} = {};",
                    variable.kind
                );
                push(&mut text, &code, Some(Mark::Type((*name).to_owned())));
            }
        }
        push(&mut text, &self.imports_module(cell, choices), None);
        push(&mut text, &items, None);
        let symbol = format!("rust_live_cell_{number}");
        push(
            &mut text,
            &format!(
                "#[unsafe(export_name = {symbol:?})] pub extern \"C\" fn __rust_live_entry() -> u8 {{ ::rust_live::run(__rust_live_body) }}"
            ),
            None,
        );
        text.push('\n');
        Source {
            name: format!("cell {number}"),
            prefix: prefix.len(),
            text,
            edits,
            files,
            marks,
            symbol,
            defines,
            leaves_out,
        }
    }

    /// The items of earlier cells that a cell can reach, and those that use what it defines anew: cell, and
    /// where they begin.
    fn reached(&self, cell: &Cell, loaded: &[&str]) -> BTreeSet<(usize, usize)> {
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
    fn imports_module(&self, cell: &Cell, choices: &Choices) -> String {
        let items = self.item_names();
        let of_cell: BTreeSet<&str> =
            cell.items.iter().flat_map(|item| &item.keys).map(|(_, name)| name.as_str()).collect();
        let imported: BTreeSet<&str> = self
            .imports
            .iter()
            .chain(&cell.imports)
            .filter_map(|leaf| leaf.name.as_deref())
            .collect();
        let local = |first: &str| {
            items.contains(first) || of_cell.contains(first) || imported.contains(first)
        };
        let kept = self.imports.iter().filter(|old| {
            let is_left_out = old.is_star() && choices.without_stars;
            !is_left_out && !cell.imports.iter().any(|new| takes_place(new, old))
        });
        let statements: String = kept.map(|leaf| leaf.statement(&local)).collect();
        format!("mod __rust_live_imports {{ {statements} }} use __rust_live_imports::*;")
    }

    /// The edits for the statics of an item: the cell that defines one exports it, later ones use that.
    fn statics(
        &self,
        number: usize,
        item: &Item,
        is_this: bool,
        defines: &mut BTreeSet<String>,
    ) -> Vec<Edit> {
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
        edits.extend(
            replaced.into_iter().map(|((start, end), text)| Edit::replace(start..end, text)),
        );
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
    fn variables_of_other_types(&self, cell: &Cell) -> BTreeSet<String> {
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
            if let Some(variable) = self.variables.remove(name) {
                let reason = format!("is gone: its type `{}` was defined anew", variable.kind);
                self.lost.insert(name.clone(), Lost { cell: cell.number, reason });
            }
        }
        let hidden = self.variables.keys().filter(|name| is_value_of(cell, name)).cloned();
        let hidden: Vec<String> = hidden.collect();
        for name in &hidden {
            self.variables.remove(name);
            let reason = format!("is gone: cell {} defines an item of this name", cell.number);
            self.lost.insert(name.clone(), Lost { cell: cell.number, reason });
        }
        gone.extend(hidden);
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
        self.cells.retain(|_, left| {
            left.cell.items.iter().any(|item| !item.is_use && !left.is_gone(item))
        });
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
        for (name, reason) in &choices.dropped {
            if !choices.undeclared.contains(name) {
                let reason = format!("ended with cell {}: {reason}", cell.number);
                self.lost.insert(name.clone(), Lost { cell: cell.number, reason });
            }
        }
        for (name, kind) in kept {
            if kind == "rust_live::Gone" {
                // Why it ended is known: it is among what was dropped.
                self.variables.remove(name);
                continue;
            }
            let declared = cell
                .variables(&choices.by_macros)
                .into_iter()
                .find(|binding| binding.name == *name);
            if let Some(binding) = declared {
                self.lost.remove(name);
                let (is_mut, is_number) = (binding.is_mut, binding.is_number);
                let variable =
                    Variable { kind: kind.clone(), is_mut, is_number, cell: cell.number };
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
        let mut text = format!("{} ", self.imports_module(&cell, &Choices::default()));
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
                    || !matches!(key.0, Namespace::Impl | Namespace::Call)
                        && self.imported.contains(&key.1)
            });
            return if again { vec![old.range.clone()] } else { Vec::new() };
        }
        let parts = old.parts.iter().filter(|(key, _)| self.keys.contains(key));
        let holes: Vec<_> = parts.map(|(_, range)| range.clone()).collect();
        if holes.len() == old.parts.len() { vec![old.range.clone()] } else { holes }
    }
}

/// Whether a cell defines a function, a constant or the like of this name: a variable would hide it.
fn is_value_of(cell: &Cell, name: &str) -> bool {
    let is_it =
        |(space, key): &Key| *space == Namespace::Value && key.trim_start_matches("r#") == name;
    cell.items.iter().any(|item| item.keys.iter().any(is_it))
}

/// The inner attributes of a cell: those for its whole program, and lints that refuse something. The latter
/// are for what this cell itself has written, and not for earlier cells.
fn attributes(cell: &Cell) -> (String, String) {
    let word = |attribute: &str| {
        let inner = attribute.trim_start_matches("#![").trim_start().to_owned();
        inner
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let (mut whole, mut own) = (String::new(), String::new());
    for attribute in &cell.attributes {
        match word(attribute).as_str() {
            "no_std" | "no_main" | "no_implicit_prelude" | "crate_type" | "crate_name" => {}
            // What stands around the cell's code has to be allowed what this forbids.
            refused @ ("deny" | "forbid") => {
                let _ = write!(
                    own,
                    "{} ",
                    attribute.replacen("#!", "#", 1).replacen(refused, "deny", 1)
                );
            }
            _ => {
                let _ = write!(whole, "{attribute} ");
            }
        }
    }
    if !own.is_empty() {
        let _ = write!(own, "#[allow({ALLOWED_IN_CELL})] ");
    }
    (whole.replace('\n', " "), own.replace('\n', " "))
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
    let Static { name, visibility, .. } = made;
    // Here rustc wants to be told the lifetimes.
    let kind = &crate::types::with_static(
        &made.kind.replace("Cow<", "Cow<'static, ").replace("'static, '", "'"),
    );
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
pub fn raw(name: &str) -> String {
    // Those that no name may be, raw or not, are left out.
    const KEYWORDS: [&str; 48] = [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do",
        "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in",
        "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
        "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe",
        "unsized", "use", "virtual", "where", "while", "yield",
    ];
    if KEYWORDS.contains(&name) { format!("r#{name}") } else { name.to_owned() }
}

fn line_start(text: &str, line: usize) -> usize {
    match line {
        0 | 1 => 0,
        line => text.match_indices('\n').nth(line - 2).map_or(text.len(), |(at, _)| at + 1),
    }
}
