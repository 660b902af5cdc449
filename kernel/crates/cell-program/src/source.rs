//! The program of a cell: the root file, and those that it includes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use crate::cell::{Binding, Cell};
use crate::choices::Choices;
use crate::edit::{Edit, without};
use crate::items::{Main, Place};
use crate::loans::{self, LEASE, Loans, TERM};
use crate::parts;
use crate::program::{Program, Replaced, takes_place};
use crate::types;

/// What a session has that programs depend on.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Whether the crate tokio runs futures.
    pub has_tokio: bool,
    /// What stands before all items, for the crates of the session.
    pub declarations: String,
    /// The names of all crates that are linked, those that no cell can name among them.
    pub crates: Vec<String>,
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
    /// Where the copies of the reader's own files lie, and how the reader knows them: see [`Program::copies`].
    pub copies: Vec<(String, String)>,
    /// Lines of the root file that are about one variable.
    pub marks: BTreeMap<usize, Mark>,
    /// The function to call.
    pub symbol: String,
    /// The symbols of statics that it defines.
    pub defines: BTreeSet<String>,
    /// Whether items of earlier cells are left out that it does not reach.
    pub leaves_out: bool,
    /// What of its variables is lent, and what borrows.
    pub loans: Loans,
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
pub(crate) fn place(text: &str, edits: &[Edit], line: Range<usize>, mut left: usize) -> usize {
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
    /// Imports what an earlier cell has imported, so written.
    Import(String),
    /// Keeps a part of a variable, or asks about it.
    Part {
        /// The variable.
        name: String,
        /// The part; empty for all of it.
        part: String,
    },
    /// Asks whether a variable borrows from another.
    Borrows {
        /// The variable.
        name: String,
        /// The other one.
        of: String,
    },
}

/// Lints that are about the cells as one program, which they are not.
const ALLOWED: &str = "dead_code, unused_imports, unused_macros, unused_parens, unused_braces, unused_labels, \
    redundant_semicolons, improper_ctypes, static_mut_refs, unreachable_code, \
    non_local_definitions, special_module_name, macro_expanded_macro_exports_accessed_by_absolute_paths";

/// Those of them that are of one item.
const ALLOWED_IN_CELL: &str = "dead_code, unused_imports, unused_macros, unused_parens, unused_braces, unused_labels, \
    unused_attributes, redundant_semicolons, improper_ctypes, static_mut_refs, unreachable_code";

/// The folders of the files that a program includes, in the order in which a cell's own have to stand.
pub const FOLDERS: [(&str, Place); 4] = [
    ("crates", Place::Crates),
    ("macros", Place::Macros),
    ("modules", Place::Modules),
    ("items", Place::Items),
];

/// What stands around the imports of earlier cells.
const IMPORTS: (&str, &str) = ("mod __rust_live_imports {", "} use __rust_live_imports::*;");

/// `dbg!` as the cells' crate has it, and the number of characters before the reader's first, in [`BEFORE`]'s place.
const DBG: &str =
    "use ::rust_live::dbg; const __RUST_LIVE_BEFORE: u32 = \u{0}\u{0}\u{0}\u{0}\u{0}; ";
const BEFORE: &str = "\u{0}\u{0}\u{0}\u{0}\u{0}";

/// The files of a program, and what names them.
#[derive(Default)]
struct Included {
    files: Vec<File>,
    /// What includes the files of macros, and those of other items.
    heads: String,
    items: String,
    defines: BTreeSet<String>,
    leaves_out: bool,
}

impl Program {
    /// Whether a cell names `dbg!`, and nobody has made another macro of that name.
    fn means_the_usual_dbg(&self, cell: &Cell) -> bool {
        let earlier = self.cells.values().map(|left| &left.cell.text);
        let makes_one = |text: &String| text.contains("macro_rules! dbg") || text.contains("::dbg");
        cell.text.contains("dbg!") && !earlier.chain([&cell.text]).any(makes_one)
    }

    /// The program of a cell.
    pub fn source(&self, cell: &Cell, session: &Session, choices: &Choices) -> Source {
        let gone = self.variables_of_other_types(cell);
        let loaded = self.loaded(cell, choices, &gone);
        let loans = self.loans(cell, &loaded, choices);
        let number = cell.number;
        let (mut attributes, lints) = attributes(cell);
        let own = lasting(cell);
        for (_, text) in self.attributes.iter().filter(|(about, _)| !own.contains_key(*about)) {
            let _ = write!(attributes, "{text} ");
        }
        // What a later cell uses is not unused.
        let of_body = if lints.is_empty() {
            ""
        } else {
            "#[allow(unused_mut, unused_variables, unused_assignments)] "
        };
        let Included { files, heads, items, defines, leaves_out } =
            self.included(cell, &loaded, choices, &lints);
        let mut declared = cell.variables(&choices.by_macros);
        declared.retain(|binding| !choices.waiting.contains(&binding.place()));
        let made = self.waiting_for(cell, choices);

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
        for name in &loans.ended {
            let _ = write!(prefix, "::rust_live::end({name:?}); ");
        }
        for (name, of) in &loans.freed {
            let _ = write!(prefix, "::rust_live::free({name:?}, {of}); ");
        }
        if loans.has_lease {
            let _ =
                write!(prefix, "let {LEASE} = ::rust_live::Lease; let {TERM} = {LEASE}.term(); ");
        }
        let mut tied = String::new();
        for name in &loaded {
            let is_mut = self.variables.get(*name).is_some_and(|variable| variable.is_mut);
            if choices.made_anew.contains(*name)
                && let Some(text) = &self.variables[*name].made_by
            {
                let _ = write!(prefix, "{allowed}{text} ");
                continue;
            }
            if let Some(lenders) = loans.tied.get(*name) {
                let lender = |name: &String| {
                    let word = if loans.exclusive.contains(name) { "mut " } else { "" };
                    format!("&{word}*{}", raw(name))
                };
                let lenders: Vec<String> = lenders.iter().map(lender).collect();
                let word = if is_mut { "mut " } else { "" };
                let lenders = lenders.join(", ");
                let take = format!("__rust_live_take_{name}({lenders})");
                let _ = write!(tied, "{allowed}let {word}{} = {take}; ", raw(name));
                continue;
            }
            let is_reference = loans.references.contains_key(*name);
            let word = if is_mut && !is_reference { "mut " } else { "" };
            if is_reference || loans.borrowers.contains(*name) {
                let term = loans.term(name);
                let take =
                    format!("{allowed}let {word}{} = __rust_live_take_{name}({term}); ", raw(name));
                if choices.asks_for_lenders {
                    tied.push_str(&(loans.lease(name) + &take));
                } else {
                    prefix.push_str(&take);
                }
                continue;
            }
            let how = if choices.numbers.contains(*name) { "seen" } else { "take" };
            let how = if self.is_in_parts(name) { "take_parts" } else { how };
            let take =
                format!("unsafe {{ ::rust_live::{how}::<__RustLiveType_{name}>({name:?}) }}");
            // As free as the number was where it stood.
            let take = if choices.numbers.contains(*name) {
                let is_float =
                    self.variables.get(*name).is_some_and(|variable| variable.kind == "f64");
                let number = if is_float { "0.0" } else { "0" };
                format!("if false {{ {number} }} else {{ ({take}) as _ }}")
            } else {
                take
            };
            let text = if choices.within.contains(*name) { &mut tied } else { &mut prefix };
            let _ = write!(text, "{allowed}let {word}{} = {take}; ", raw(name));
            if choices.parts_of(name).is_some() {
                text.push_str(&parts::makes_place(name));
            }
            if let Some(variable) = self.variables.get(*name) {
                text.push_str(&variable.parts.forgets(name));
            }
        }
        // A macro means the variables that stood before it.
        for (number, item) in self.macros_of_variables(cell) {
            let parts = without(item.range.clone(), &item.exported);
            let lines = self.cell_text(number).map(|text| {
                parts.into_iter().map(|part| in_one_line(text, part)).collect::<Option<String>>()
            });
            if let Some(Some(text)) = lines {
                prefix.push_str(&text);
            }
        }
        if self.means_the_usual_dbg(cell) {
            prefix.push_str(DBG);
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
        if choices.asks_for_lenders {
            tied.extend(loans.own.iter().map(|name| loans.lease(name)));
        }
        let _ = write!(prefix, "let __rust_live_ended = ::rust_live::catch({begin}{tied}");
        for waiting in &made {
            let stand_in = waiting.names.keys().find_map(|name| choices.stand_ins.get(name));
            let text = stand_in.map(|kind| waiting.of_type(kind));
            let _ = write!(prefix, "{allowed}{} ", text.as_ref().unwrap_or(&waiting.text));
        }
        let before = format!("{:05}", prefix.chars().count());
        let prefix = prefix.replacen(BEFORE, &before, 1);

        let keep = |name: &String| -> Option<String> {
            if choices.dropped.contains_key(name) {
                let is_renewed = self.variables.contains_key(name)
                    && !choices.by_macros.contains(name)
                    && !choices.undeclared.contains(name);
                return is_renewed
                    .then(|| format!("{allowed}::rust_live::keep({name:?}, ::rust_live::Gone);"));
            }
            // What is never run keeps nothing of them.
            if choices.asks_for_lenders
                && (loans.lends(name) || choices.lending.borrowing.contains(name))
            {
                return None;
            }
            if loans.lends(name) {
                return Some(format!("{allowed}::rust_live::settle({name:?}, {number});"));
            }
            if choices.parts_of(name).is_some() {
                return None;
            }
            let variable = raw(name);
            let value = match choices.callables.get(name) {
                None => variable,
                Some(callable) => {
                    let (before, after) = callable.around();
                    before + &variable + after
                }
            };
            if choices.lending.typed.contains_key(name) {
                return Some(format!("{allowed}__rust_live_keep_{name}({value}, {TERM});"));
            }
            if choices.lending.borrowing.contains(name) {
                return Some(keep_borrowing(allowed, name, &value));
            }
            Some(format!("{allowed}::rust_live::keep({name:?}, {value});"))
        };
        let leave = |declared: &[&Binding], exit: usize| {
            // What is lent later is not there yet.
            let is_there =
                |name: &String| choices.lending.lent.get(name).is_none_or(|lent| *lent < exit);
            let all = declared
                .iter()
                .filter(|binding| !choices.returns_plainly && is_there(&binding.name));
            let (names, kept): (Vec<&str>, Vec<String>) = all
                .filter_map(|binding| Some((binding.name.as_str(), keep(&binding.name)?)))
                .unzip();
            let names = names.join(" ");
            format!("{{ {} ::rust_live::left_early({names:?}); return {ok} }}", kept.join(" "))
        };
        let pretty =
            if session.is_pretty { "let _pretty = ::rust_live::Pretty::begin(); " } else { "" };
        let by_debug = if choices.shows_itself { "" } else { "use ::rust_live::ByDebug as _; " };
        let shown = match choices.shows_plainly {
            true => "::rust_live::Show::show(__rust_live_value)",
            false => "(*__rust_live_value).evcxr_display()",
        };
        let shows = format!(") {{ __rust_live_value => {{ {pretty}{by_debug}{shown}; }} }}");
        let show = (!choices.closes_by_statement).then_some(("match &(", &*shows));
        let mut of_variables = loans.edits(cell, choices);
        let called = choices.called.iter();
        of_variables.extend(called.flat_map(|(at, as_what)| cell.as_called(*at, as_what)));
        of_variables.extend(choices.places_of_parts(cell));
        let (statements, edits) =
            cell.with_statements(show, &of_variables, &choices.waiting, &leave);

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
            let ended = if main.reports { "main_reported" } else { "main_ended" };
            push(&mut text, &format!("::rust_live::{ended}(main(){wait})?;"), None);
        }
        if !cell.tests.is_empty() {
            push(&mut text, &tests(cell), None);
        }
        let made = made.iter().filter(|made| !made.is_made_by_each());
        let made = made.flat_map(|made| made.names.keys());
        let made = made.filter(|name| !choices.stand_ins.contains_key(*name));
        let made = made.filter(|name| !declared.iter().any(|binding| binding.name == **name));
        let names = declared.iter().map(|binding| &binding.name).chain(made);
        if choices.asks_for_lenders {
            for (code, mark) in loans.questions(&choices.lending.borrowing) {
                push(&mut text, &code, Some(mark));
            }
        }
        for name in names {
            if let Some(code) = keep(name) {
                push(&mut text, &code, Some(Mark::Keep(name.clone())));
            } else if let Some(parts) = choices.parts_of(name) {
                for (code, mark) in parts.lines(name) {
                    push(&mut text, &code, Some(mark));
                }
            }
        }
        // What waits takes the place of what had its name.
        let waiting = choices.waiting.iter().flat_map(|at| cell.declared_at(*at));
        for binding in waiting.filter(|binding| self.variables.contains_key(&binding.name)) {
            let code =
                format!("{allowed}::rust_live::keep({:?}, ::rust_live::Gone);", binding.name);
            push(&mut text, &code, None);
        }
        let declared: BTreeSet<&str> =
            declared.iter().map(|binding| binding.name.as_str()).collect();
        // Behind the closure that has moved it, the variable is gone, whatever its value is.
        let within = |name: &str| choices.within.contains(name);
        let put_back = |name: &str| match choices.parts_of(name) {
            Some(parts) => parts.lines(name),
            None if loans.borrowers.contains(name) => {
                let code = keep_borrowing(allowed, name, &raw(name));
                vec![(code, Mark::PutBack(name.to_owned()))]
            }
            None => {
                let code = format!("{allowed}::rust_live::keep({name:?}, {});", raw(name));
                vec![(code, Mark::PutBack(name.to_owned()))]
            }
        };
        let is_back_within = |name: &str| {
            choices.given_back.contains(name) || within(name) && !choices.moved.contains(name)
        };
        let back_within = loaded.iter().filter(|name| is_back_within(name));
        for (code, mark) in back_within.flat_map(|name| put_back(name)) {
            push(&mut text, &code, Some(mark));
        }
        let decided = loaded.iter().filter(|name| choices.decides_on(name));
        for name in
            decided.filter(|name| !choices.moved.contains(**name) && !declared.contains(*name))
        {
            let code = match loans.lends(name) {
                true => format!("{allowed}::rust_live::settle({name:?}, {number});"),
                false => format!("{allowed}::rust_live::keep({name:?}, {});", raw(name)),
            };
            push(&mut text, &code, Some(Mark::PutBack((*name).to_owned())));
        }
        push(&mut text, &format!("{ok} {end};"), None);
        let is_back = |name: &str| {
            let is_asked = choices.asks_for_lenders && loans.borrowers.contains(name);
            !choices.moved.contains(name)
                && !choices.decides_on(name)
                && !within(name)
                && !loans.references.contains_key(name)
                && !loans.tied.contains_key(name)
                && !is_asked
        };
        for name in loaded.iter().filter(|name| is_back(name)) {
            // One that is declared anew is the old one still where the cell ends before, or the new one with it.
            let is_new = declared.contains(name)
                && !(choices.dropped.contains_key(*name) && choices.by_macros.contains(*name));
            for (keep, mark) in put_back(name) {
                let code = if is_new {
                    format!("if !::rust_live::is_kept({name:?}) {{ {keep} }}")
                } else {
                    keep
                };
                push(&mut text, &code, Some(mark));
            }
        }
        if loans.has_lease {
            push(&mut text, &format!("{TERM}.ends();"), None);
        }
        push(&mut text, "__rust_live_ended }", None);
        let mut by_crates: BTreeSet<String> = BTreeSet::new();
        for name in &loaded {
            if let Some(variable) = self.variables.get(*name) {
                let kind = match choices.by_crates.contains(*name) {
                    true => types::by_crates(&variable.kind, &session.crates),
                    false => variable.kind.clone(),
                };
                by_crates.extend(types::named_by_crates(&kind).map(str::to_owned));
                // MIR calls it so.
                let kind = kind.replace('!', "::rust_live::Never");
                let (of, kind) = if loans.borrowers.contains(*name) {
                    (format!("<{}>", types::LEASE), types::for_lease(&kind))
                } else {
                    (String::new(), kind)
                };
                let code = format!(
                    "#[allow(non_camel_case_types)] type __RustLiveType_{name}{of} = {kind};"
                );
                push(&mut text, &code, Some(Mark::Type((*name).to_owned())));
                if let Some(code) = loans.taking(name, variable.cell, &of) {
                    push(&mut text, &code, None);
                }
            }
        }
        for (name, kind) in &choices.lending.typed {
            push(&mut text, &loans::typed(name, kind), Some(Mark::Keep(name.clone())));
        }
        for name in by_crates {
            let code = format!("extern crate {name} as {}{name};", types::BY_CRATE);
            push(&mut text, &code, None);
        }
        push(&mut text, IMPORTS.0, None);
        for (written, statement) in self.earlier_imports(cell, choices) {
            push(&mut text, &statement, Some(Mark::Import(written)));
        }
        push(&mut text, IMPORTS.1, None);
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
            copies: self.copies(cell),
            marks,
            symbol,
            defines,
            leaves_out,
            loans,
        }
    }

    /// The items of a cell and of earlier ones, in files.
    fn included(&self, cell: &Cell, loaded: &[&str], choices: &Choices, lints: &str) -> Included {
        let mut made = Included::default();
        let reached = (!choices.with_everything).then(|| self.reached(cell, loaded));
        let older = self.older(cell, choices);
        let older = older.iter().map(|(older, holes)| (*older, holes.as_slice()));
        for (of, holes) in older.chain([(cell, &[][..])]) {
            let is_this = of.number == cell.number;
            for (folder, place) in FOLDERS {
                let wanted =
                    of.items.iter().filter(|item| item.place == place && (is_this || !item.is_use));
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
                        made.leaves_out = true;
                        continue;
                    }
                    kept.extend(left);
                    more.extend(self.statics(of.number, item, is_this, choices, &mut made.defines));
                    let opened = choices.opened.range((of.number, 0)..(of.number + 1, 0));
                    let opened = opened.filter(|(_, at)| item.range.contains(at));
                    more.extend(opened.map(|(_, at)| Edit::insert(*at, "pub(crate) ")));
                    more.extend(
                        (is_this && !lints.is_empty() && !item.is_use)
                            .then(|| Edit::insert(item.range.start, lints)),
                    );
                }
                if !kept.is_empty() {
                    let path = format!("{folder}/cell {}", of.number);
                    let list =
                        if place == Place::Items { &mut made.items } else { &mut made.heads };
                    // Of two macros of one name, the compiler takes none if one of them is included.
                    let _ = if place == Place::Macros {
                        let name = of.number;
                        write!(
                            list,
                            "#[path = \"{path}\"] #[macro_use] mod __rust_live_macros_{name}; "
                        )
                    } else {
                        write!(list, "include!(\"{path}\"); ")
                    };
                    let (text, edits) = of.items_text(&kept, &more);
                    made.files.push(File { path, text, cell: of.number, edits });
                }
            }
        }
        made
    }

    /// What earlier cells have imported: as it was written, and for a module of the crate's root: what the root
    /// defines goes before it.
    fn earlier_imports(&self, cell: &Cell, choices: &Choices) -> Vec<(String, String)> {
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
            let is_left_out = (old.is_star() && choices.without_stars)
                || choices.stale_imports.contains(&old.written());
            !is_left_out && !cell.imports.iter().any(|new| takes_place(new, old))
        });
        kept.map(|leaf| (leaf.written(), leaf.statement(&local))).collect()
    }

    /// The session's program as one text for an analysis of a cell, and where the cell's own code begins in
    /// it: items and imports of earlier cells, their variables, then the cell.
    pub fn for_analysis(&self, code: &str) -> (String, usize) {
        let cell = self.parse(usize::MAX, code, Path::new("/"));
        let imports = self.earlier_imports(&cell, &Choices::default());
        let imports: String = imports.into_iter().map(|(_, statement)| statement).collect();
        let mut text = format!("{}{imports}{} ", IMPORTS.0, IMPORTS.1);
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
            let word = if variable.is_mut { "mut " } else { "" };
            let _ = writeln!(text, "let {word}{}: {} = todo!();", raw(name), variable.kind);
        }
        for waiting in self.waiting() {
            let _ = writeln!(text, "{}", waiting.text);
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

fn keep_borrowing(allowed: &str, name: &str, value: &str) -> String {
    format!("{allowed}::rust_live::keep_borrowing({name:?}, {value}, {TERM});")
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

/// Some code of a cell in one line; None for one that has a text of several lines in it.
pub(crate) fn in_one_line(text: &str, part: Range<usize>) -> Option<String> {
    use rustc_lexer::{FrontmatterAllowed, TokenKind, tokenize};
    let mut line = String::new();
    let mut at = part.start;
    for token in tokenize(&text[part], FrontmatterAllowed::No) {
        let range = at..at + token.len as usize;
        at = range.end;
        match token.kind {
            TokenKind::Whitespace
            | TokenKind::LineComment { .. }
            | TokenKind::BlockComment { .. } => line.push(' '),
            _ if text[range.clone()].contains('\n') => return None,
            _ => line.push_str(&text[range]),
        }
    }
    line.push(' ');
    Some(line)
}

/// The inner attributes of a cell without which its items may not compile in later ones, each by what it is
/// about.
pub(crate) fn lasting(cell: &Cell) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for attribute in &cell.attributes {
        let words: Vec<&str> = crate::names::words(attribute).collect();
        match words.as_slice() {
            ["feature", features @ ..] => {
                found.extend(
                    features
                        .iter()
                        .map(|name| (format!("feature {name}"), format!("#![feature({name})]"))),
                );
            }
            [limit @ ("recursion_limit" | "type_length_limit"), ..] => {
                found.insert((*limit).to_owned(), attribute.clone());
            }
            _ => {}
        }
    }
    found
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

pub(crate) fn line_start(text: &str, line: usize) -> usize {
    match line {
        0 | 1 => 0,
        line => text.match_indices('\n').nth(line - 2).map_or(text.len(), |(at, _)| at + 1),
    }
}
