//! Compiles a cell: one call of rustc, or a few until it fits.
//!
//! Some things about a cell are known only when it was compiled: that it moves a variable, that a variable
//! borrows from another, that a closure has a type without a name. Each attempt shows some of them
//! ([`judge`]), and the program is written anew.

mod judge;
mod loans;
mod modules;
mod rustc;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use cell_program::types::{self, Callable, Shape};
use cell_program::{Cell, Choices, Program, Session, Source};

pub use modules::copy_module;
pub use rustc::{Rustc, build_support};

/// A cell that was compiled.
#[derive(Debug)]
pub struct Compiled {
    /// Its program.
    pub source: Source,
    /// What was found out about it.
    pub choices: Choices,
    /// Its library.
    pub library: std::path::PathBuf,
    /// The variables that it leaves, with their types.
    pub kept: Vec<(String, String)>,
    /// What the compiler says about it, as JSON lines.
    pub messages: String,
    /// What the reader is to know, a sentence each.
    pub notes: Vec<String>,
}

/// A cell that does not compile.
#[derive(Debug)]
pub struct Refused {
    /// Its program.
    pub source: Source,
    /// What was found out about it.
    pub choices: Choices,
    /// What the compiler says, as JSON lines.
    pub messages: String,
}

/// Attempts at one cell: each shows something new, and there is an end to what can be new.
const ATTEMPTS: usize = 24;

/// Compiles a cell.
///
/// # Errors
/// A compiler that does not run, and a module's file that cannot be read; not a cell that does not compile.
pub fn compile(
    rustc: &Rustc,
    program: &Program,
    cell: &Cell,
    session: &Session,
) -> Result<Result<Compiled, Refused>> {
    modules::copy(cell, &rustc.folder)?;
    let mut choices = Choices::default();
    let mut notes = Vec::new();
    // The first refusal is about what the reader wrote; those after it may be about what was tried.
    let mut first: Option<Refused> = None;
    let mut boxed = BTreeSet::new();
    let mut meanings = None;
    let mut returns_again = false;
    // Variables whose types have no names, each with why it cannot be kept if it is no iterator.
    let mut without_names = BTreeMap::<String, String>::new();
    // What was known before closures within values were made something else.
    let mut before_called: Option<Choices> = None;
    let mut within = BTreeSet::new();
    for _ in 0..ATTEMPTS {
        let mut source = program.source(cell, session, &choices);
        let output = rustc.compile(&source)?;
        if !output.succeeded {
            let messages = diagnose::messages(&output.messages);
            let before = choices.clone();
            let said = notes.len();
            let mut judged = judge::judge(&messages, program, cell, &source, &mut choices);
            choices.stays_where_lent(&before);
            for (name, reason) in &without_names {
                let is_new = !before.dropped.contains_key(name);
                if let Some(dropped) = choices.dropped.get_mut(name).filter(|_| is_new) {
                    dropped.clone_from(reason);
                    judged = vec![judge::ends(name, reason)];
                }
            }
            // What is no better with closures made something else is as it was before.
            if choices.dropped.len() > before.dropped.len()
                && let Some(before) = before_called.take()
            {
                choices = before;
                continue;
            }
            notes.append(&mut judged);
            let is_misfit = choices.put_aside != before.put_aside && notes.len() > said;
            let is_guess = is_misfit
                || choices.closes_by_statement != before.closes_by_statement
                || choices.shows_plainly != before.shows_plainly
                || choices.numbers != before.numbers
                || choices.stand_ins != before.stand_ins
                || choices.made_anew != before.made_anew;
            let is_stale = choices.stale_imports != before.stale_imports;
            if source.leaves_out && (is_guess || is_stale || choices == before) {
                // It may want something that it has not named.
                choices = Choices { with_everything: true, ..before };
                notes.truncate(said);
                continue;
            }
            if choices != before {
                // Where guesses do not help, what was said before them is.
                if first.is_none() && is_guess {
                    first = Some(Refused { source, choices: before, messages: output.messages });
                }
                continue;
            }
            if let Some(before) = before_called.take() {
                choices = before;
                continue;
            }
            if choices.lending.lend_nothing() {
                continue;
            }
            // What is lent is a reference in the cell; as a value it may fit.
            if choices.lending.have_back(program.lent_in(cell)) {
                first =
                    first.or(Some(Refused { source, choices: before, messages: output.messages }));
                continue;
            }
            let now = Refused { source, choices, messages: output.messages };
            let meanings =
                meanings.get_or_insert_with(|| other_meanings(program, cell).into_iter());
            let Some((meaning, note)) = meanings.next() else {
                return Ok(Err(first.unwrap_or(now)));
            };
            // Whatever was tried before was tried with the other meaning.
            boxed.clear();
            first = first.or(Some(now));
            choices = meaning;
            notes = vec![note];
            continue;
        }
        let mut kept = Vec::new();
        let mut is_new = false;
        // What has no name in the cell has none that a variable can have.
        let named = |variable: &types::Kept| !variable.name.starts_with(['&', '*']);
        for variable in types::kept(&output.mir).into_iter().filter(named) {
            let borrows = choices.lending.borrowing.contains(&variable.name);
            if source.loans.lends(&variable.name) {
                let is_fit = match &variable.shape {
                    Shape::Named(kind) => {
                        let borrows = choices.lending.lent_borrowing.contains(&variable.name);
                        !borrows || !types::hides_lifetimes(kind)
                    }
                    _ => false,
                };
                if !is_fit {
                    choices.lending.cannot_lend(&variable.name);
                    is_new = true;
                    continue;
                }
            }
            if let Shape::Named(kind) = &variable.shape
                && (borrows || source.loans.is_borrower(&variable.name))
            {
                let kind = types::of_borrower(kind);
                let typed = &mut choices.lending.typed;
                if borrows && types::hides_lifetimes(&kind) && !typed.contains_key(&variable.name) {
                    // Boxes in which closures were put where they stand borrow what these do.
                    let kind = match choices.called.is_empty() {
                        true => kind.clone(),
                        false => types::of_borrower_by_closures(&kind),
                    };
                    typed.insert(variable.name.clone(), kind);
                    is_new = true;
                }
                let kind = typed.get(&variable.name).cloned().unwrap_or(kind);
                kept.push((variable.name, kind));
                continue;
            }
            if let Shape::Named(kind) = &variable.shape
                && let Some(parts) = choices.parts.get_mut(&variable.name)
            {
                is_new |= parts.is_of(kind);
            }
            if let Shape::Unnamed(kind) = &variable.shape
                && within.insert(variable.name.clone())
            {
                let called = called_within(kind, cell, &source, &output.mir);
                if !called.is_empty() {
                    before_called.get_or_insert_with(|| choices.clone());
                    choices.called.extend(called);
                    is_new = true;
                    continue;
                }
            }
            match variable.shape {
                Shape::Named(kind) => kept.push((variable.name, kind)),
                Shape::Callable(callable) if boxed.insert(variable.name.clone()) => {
                    choices.callables.insert(variable.name, callable);
                    is_new = true;
                }
                Shape::Unnamed(kind)
                    if let Some(future) = Callable::future(&kind)
                        && boxed.insert(variable.name.clone()) =>
                {
                    without_names.insert(variable.name.clone(), has_no_name(&kind));
                    choices.callables.insert(variable.name, future);
                    is_new = true;
                }
                Shape::Unnamed(kind)
                    if !kind.contains("async") && boxed.insert(variable.name.clone()) =>
                {
                    without_names.insert(variable.name.clone(), has_no_name(&kind));
                    choices.callables.insert(variable.name, Callable::iterator());
                    is_new = true;
                }
                Shape::Callable(
                    Callable::Pointer(kind) | Callable::Boxed(kind) | Callable::Future { kind, .. },
                )
                | Shape::Unnamed(kind) => {
                    let reason = has_no_name(&kind);
                    choices.callables.remove(&variable.name);
                    notes.push(judge::ends(&variable.name, &reason));
                    is_new |= choices.dropped.insert(variable.name, reason).is_none();
                }
            }
        }
        for binding in &cell.given {
            let is_known = cell.bindings.iter().any(|known| known.name == binding.name);
            if !is_known && types::declares(&output.mir, &binding.name) {
                is_new |= choices.by_macros.insert(binding.name.clone());
            }
        }
        for (name, kind) in &kept {
            for (pinned, at) in program.pinned_for(cell, name, kind) {
                let is_lent = choices.lending.lent.contains_key(&pinned);
                if !is_lent && !choices.lending.not_lent.contains(&pinned) {
                    choices.lending.lent.insert(pinned.clone(), at);
                    choices.lending.exclusive.insert(pinned.clone());
                }
                let is_there = is_lent || choices.lending.lent.contains_key(&pinned);
                is_new |= is_there && choices.lending.pinned.insert(pinned);
            }
        }
        if is_new {
            continue;
        }
        // What is of an unknown type in this cell has none that a later one could know it by.
        if !choices.stand_ins.is_empty()
            && kept.iter().any(|(_, kind)| kind.contains("rust_live::Unknown"))
            && let Some(first) = first
        {
            return Ok(Err(first));
        }
        // A `return` was told to keep nothing before it was known what borrows.
        if choices.returns_plainly && !choices.lending.lent.is_empty() && !returns_again {
            returns_again = true;
            choices.returns_plainly = false;
            continue;
        }
        let in_boxes =
            choices.callables.iter().filter(|(name, _)| without_names.contains_key(*name));
        for (name, kept) in in_boxes {
            let kind = match kept {
                Callable::Future { .. } => "Pin<Box<dyn Future>>",
                _ => "Box<dyn Iterator>",
            };
            notes.push(format!("`{name}` is a `{kind}` from here on: its type has no name"));
        }
        for name in program.static_makers(cell) {
            notes.push(format!(
                "statics that `{name}!` makes begin anew in each cell: written out, they keep their values"
            ));
        }
        notes.dedup();
        loans::ask(rustc, program, cell, session, &choices, &mut source.loans)?;
        let messages = output.messages;
        return Ok(Ok(Compiled {
            source,
            choices,
            library: output.library,
            kept,
            messages,
            notes,
        }));
    }
    if let Some(first) = first {
        return Ok(Err(first));
    }
    anyhow::bail!(
        "the compiler says something new about this cell at each attempt; please report it"
    )
}

/// What names of earlier cells may mean in a cell that does not compile, each with what its reader is to know.
fn other_meanings(program: &Program, cell: &Cell) -> Vec<(Choices, String)> {
    let mut meanings = Vec::new();
    if program.stars_meet(cell) {
        meanings.push((
            Choices { without_stars: true, ..Choices::default() },
            "in this cell the `use ..::*` of earlier cells do not count: a name of theirs does not fit here"
                .to_owned(),
        ));
    }
    let prelude = program.prelude_names(cell);
    if !prelude.is_empty() {
        let names: Vec<String> = prelude.iter().map(|name| format!("`{name}`")).collect();
        let note = format!(
            "in this cell {} is what the standard library means by it: what an earlier cell made of the name \
             does not fit here",
            names.join(", ")
        );
        meanings.push((Choices { prelude, ..Choices::default() }, note));
    }
    meanings
}

/// The type of an expression, as one of the session's next cell; None where it does not compile or has no
/// name. Nothing is run.
///
/// # Errors
/// A compiler that does not run.
pub fn probe(
    rustc: &Rustc,
    program: &Program,
    expression: &str,
    folder: &Path,
) -> Result<Option<String>> {
    const NAME: &str = "rust_live_probe";
    let code = format!("let {NAME} = ::rust_live::type_of(&(\n{expression}\n));");
    let cell = program.parse(usize::MAX, &code, folder);
    let compiled = compile(rustc, program, &cell, &Session::default())?;
    let found = compiled.ok().and_then(|compiled| {
        let (_, kind) = compiled.kept.into_iter().find(|(name, _)| name == NAME)?;
        Some(kind.strip_prefix("rust_live::Kept<")?.strip_suffix('>')?.to_owned())
    });
    Ok(found)
}

/// The closures within a value whose type has no name, each with what it is made for it to have one. None of an
/// iterator: it is kept in a box as a whole.
fn called_within(
    kind: &str,
    cell: &Cell,
    source: &Source,
    mir: &str,
) -> Vec<(usize, types::Callable)> {
    let closures = types::closures_in(kind, &source.name, mir).into_iter();
    let of_reader = closures.filter_map(|((line, column), called)| {
        let at = source.reader_offset(&cell.text, line, column)?;
        cell.closure_begins_at(at).then_some((at, called))
    });
    let called: Vec<(usize, Callable)> = of_reader.collect();
    let is_plain = |(_, called): &(usize, Callable)| matches!(called, Callable::Pointer(_));
    if is_iterator(kind) && !called.iter().all(is_plain) {
        return Vec::new();
    }
    called
}

fn is_iterator(kind: &str) -> bool {
    ["std::iter::", "std::slice::"].iter().any(|path| kind.starts_with(path))
}

/// Why a value cannot be kept whose type has no name.
fn has_no_name(kind: &str) -> String {
    let (short, remedy) = (short(kind), remedy(kind));
    format!("its type, {short}, has no name to be kept under. To keep it, {remedy}")
}

/// What a reader can write instead of a value whose type has no name.
fn remedy(kind: &str) -> &'static str {
    if kind.contains("async") {
        "box it: `Box::pin(..) as std::pin::Pin<Box<dyn Future<Output = _>>>`"
    } else if is_iterator(kind) {
        "collect it, or box it: `Box::new(..) as Box<dyn Iterator<Item = _>>`"
    } else if kind.contains("closure") || kind.contains("fn(") {
        "box each closure in it: `Box::new(..) as Box<dyn Fn(_) -> _>`"
    } else {
        "box it as a trait that it implements: `Box::new(..) as Box<dyn Trait>`"
    }
}

/// A type in few words: without the paths, and without where a closure stands.
pub fn short(kind: &str) -> String {
    let mut parts = kind.split('@');
    let mut kind = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kind.push_str(part.find('}').map_or("", |end| &part[end..]));
    }
    let mut out = String::new();
    let mut word = String::new();
    for character in kind.chars() {
        if character.is_alphanumeric() || character == '_' {
            word.push(character);
        } else if character == ':' {
            if out.ends_with(':') {
                out.pop();
            } else {
                word.clear();
                out.push(':');
            }
        } else {
            out.push_str(&word);
            word.clear();
            out.push(character);
        }
    }
    let text = out + &word;
    if text.chars().count() > 80 {
        text.chars().take(77).chain("...".chars()).collect()
    } else {
        text
    }
}
