//! What the compiler says about a cell, in the reader's terms.

use cell_program::{Cell, Choices, Edit, Program, Source};

use crate::engine::Diagnostic;

/// For code of before 2025.
pub(super) const OLDER_EDITION: &str = "\x1b[1m= help\x1b[0m: this cell is written in an older \
    edition of Rust: write `:edition 2021` in a cell above it";

/// What it has said, each with its place in a cell.
pub(super) fn of(
    program: &Program,
    cell: &Cell,
    source: &Source,
    messages: &str,
) -> Vec<diagnose::Diagnostic> {
    let edits = |edits: &[Edit]| -> Vec<diagnose::Edit> {
        let mut all: Vec<_> = edits
            .iter()
            .map(|edit| diagnose::Edit { range: edit.range.clone(), len: edit.text.len() })
            .collect();
        all.sort_by_key(|edit| (edit.range.start, edit.range.end));
        all
    };
    let of_root = edits(&source.edits);
    let of_files: Vec<_> = source.files.iter().map(|file| edits(&file.edits)).collect();
    let mut files = vec![diagnose::Source {
        name: &source.name,
        cell: cell.number,
        text: &cell.text,
        prefix: source.prefix,
        edits: &of_root,
    }];
    for (file, edits) in source.files.iter().zip(&of_files) {
        let is_this = file.cell == cell.number;
        let text = if is_this { Some(&*cell.text) } else { program.cell_text(file.cell) };
        files.extend(text.map(|text| diagnose::Source {
            name: &file.path,
            cell: file.cell,
            text,
            prefix: 0,
            edits,
        }));
    }
    let mut variables: Vec<&str> = program.variables().keys().map(String::as_str).collect();
    variables.extend(cell.bindings.iter().map(|binding| binding.name.as_str()));
    let (moved, lost) = program.lost_names();
    let sources = diagnose::Sources {
        cell: cell.number,
        files: &files,
        variables: &variables,
        moved: &moved,
        lost: &lost,
    };
    let mut found = diagnose::read(&with_files_named(messages, program, cell), &sources);
    // The code of a cell stands in a closure of the kernel's, of which its reader need not know.
    if !cell.has_closures() {
        for found in found.iter_mut().filter(|found| found.code.as_deref() == Some("E0267")) {
            reword(found, "E0268", &[("inside of a closure", "outside of a loop")]);
        }
    }
    found
}

/// Says it in other words, as another error.
fn reword(
    found: &mut diagnose::Diagnostic,
    code: &str,
    words: &[(impl AsRef<str>, impl AsRef<str>)],
) {
    let code = (!code.is_empty()).then(|| code.to_owned());
    let (before, now) = (found.code.clone().unwrap_or_default(), code.clone().unwrap_or_default());
    found.code = code;
    for text in std::iter::once(&mut found.message).chain(&mut found.rendered) {
        *text = text.replace(&format!("[{before}]"), &format!("[{now}]"));
        for (said, meant) in words {
            *text = text.replace(said.as_ref(), meant.as_ref());
        }
    }
}

/// What rustc says, with the names of modules' files as the reader knows them, and not where they were copied to.
fn with_files_named(messages: &str, program: &Program, cell: &Cell) -> String {
    let mut messages = messages.to_owned();
    let copies = program.copies(cell);
    for (items, _) in cell_program::FOLDERS {
        // Where a module is looked for whose file is not there.
        for words in ["create file ", " or "] {
            messages = messages.replace(&format!("{words}\\\"{items}/"), &format!("{words}\\\""));
        }
        for (copy, shown) in copies.iter().rev() {
            messages = messages.replace(&format!("{items}/../{copy}"), shown);
        }
    }
    messages
}

/// The same errors, with what became of the variables that they do not find.
pub(super) fn with_what_was_lost(
    errors: Vec<diagnose::Diagnostic>,
    program: &Program,
    choices: &Choices,
) -> Vec<Diagnostic> {
    let told = errors.into_iter().map(|mut found| {
        about_loans(&mut found, program);
        let mut rendered = found.rendered;
        let code = found.code.as_deref();
        let is_unknown = matches!(code, Some("E0425" | "E0423" | "E0424" | "E0381"));
        let of_moved = |name: &&String| {
            code == Some("E0382") && program.lost(name).is_some_and(|lost| lost.is_moved)
        };
        let lost = found.names.iter().filter(|name| is_unknown || of_moved(name));
        for (name, lost) in lost.filter_map(|name| Some((name, program.lost(name)?))) {
            rendered.push(format!("\x1b[1m= note\x1b[0m: `{name}` {}", lost.reason));
        }
        let place = found.names.first().map(|place| diagnose::variable_of(place));
        if let Some(name) = place.filter(|_| found.code.as_deref() == Some("E0382"))
            && let Some(variable) = program.variables().get(name)
        {
            let moved = variable.parts.moved();
            rendered.extend(moved.map(|(part, cell)| {
                format!("\x1b[1m= note\x1b[0m: cell {cell} has moved `{name}{part}`")
            }));
        }
        let unnamed =
            found.names.iter().filter(|name| is_unknown && choices.unnamed.contains(*name));
        for (name, variable) in
            unnamed.filter_map(|name| Some((name, program.variables().get(name)?)))
        {
            rendered.push(format!(
                "\x1b[1m= note\x1b[0m: the type of `{name}`, `{}`, cannot be named here",
                variable.kind
            ));
        }
        Diagnostic { message: found.message, rendered }
    });
    told.collect()
}

/// An error about a reference to what is lent, which the reader knows as the variable itself.
fn about_loans(found: &mut diagnose::Diagnostic, program: &Program) {
    let mut reworded: Vec<(String, String)> = Vec::new();
    let mut code = found.code.clone().unwrap_or_default();
    let name = found.names.first().map(|place| diagnose::variable_of(place).to_owned());
    let name = name.unwrap_or_default();
    let borrowers: Vec<String> =
        program.borrowers(&name).map(|(borrower, _)| format!("`{borrower}`")).collect();
    if !borrowers.is_empty() {
        let (borrow, end) =
            if borrowers.len() == 1 { ("borrows", "it ends") } else { ("borrow", "they end") };
        let borrowers = borrowers.join(", ");
        let moved = format!(", since {borrowers} {borrow} from it");
        reworded.push((format!("`*{name}`"), format!("`{name}`")));
        reworded.push((" which is behind a shared reference".to_owned(), moved));
        for phrase in [", as it is behind a `&` reference", ", which is behind a `&` reference"] {
            reworded.push((phrase.to_owned(), ", as it is not declared as mutable".to_owned()));
        }
        if code == "E0507" {
            code = "E0505".to_owned();
            found.rendered.push(format!(
                "\x1b[1m= help\x1b[0m: a cell that does not use {borrowers} may move it: {end} before"
            ));
        }
    }
    // Behind the closure around a cell it is a change of what that has captured.
    let said = format!("cannot assign to `{name}`, as it is not declared as mutable");
    if code == "E0594" && found.message == said && program.variables().contains_key(&name) {
        code = "E0384".to_owned();
        reworded.push((said, format!("cannot assign twice to immutable variable `{name}`")));
    }
    reword(found, &code, &reworded);
}

/// Whether what the compiler says may be said of good code of an earlier edition.
pub(super) fn is_of_an_older_edition(messages: &str) -> bool {
    let signs = ["2024", "reserved keyword", "must be unsafe", "unsafe attribute", "be `unsafe`"];
    signs.iter().any(|sign| messages.contains(sign))
}
