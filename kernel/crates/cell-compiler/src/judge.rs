//! What a refusal of the compiler shows about a cell.

use cell_program::{Cell, Choices, LEASE, Mark, Program, Source};
use diagnose::{Message, Span};

/// Errors of borrowing: what is kept would outlive what it borrows from.
const BORROWS: [&str; 13] = [
    "E0597", "E0505", "E0506", "E0716", "E0499", "E0502", "E0503", "E0521", "E0310", "E0515",
    "E0373", "E0712", "E0713",
];
/// Errors of a change or a move through a reference.
const THROUGH_REFERENCE: [&str; 3] = ["E0507", "E0594", "E0596"];
/// Errors of two things under one name.
const TWICE: [&str; 8] = ["E0428", "E0119", "E0592", "E0201", "E0255", "E0252", "E0254", "E0034"];

/// What was refused, and what was known of it before.
struct Refusal<'a> {
    program: &'a Program,
    cell: &'a Cell,
    source: &'a Source,
    before: &'a Choices,
}

/// Takes what the messages show into the choices. Returns what the reader is to know.
pub(crate) fn judge(
    messages: &[Message],
    program: &Program,
    cell: &Cell,
    source: &Source,
    choices: &mut Choices,
) -> Vec<String> {
    let mut notes = Vec::new();
    let before = choices.clone();
    let errors = || messages.iter().filter(|message| message.level == "error");
    for error in errors().filter(|error| error.number() == "E0080") {
        choices.read_statics.extend(read_static(error));
    }
    if *choices != before {
        return notes;
    }
    let refusal = Refusal { program, cell, source, before: &before };
    for error in errors().filter(|error| THROUGH_REFERENCE.contains(&error.number())) {
        about_loans(error, &refusal, choices);
    }
    if *choices != before {
        return notes;
    }
    for error in errors().filter(|error| BORROWS.contains(&error.number())) {
        about_borrows(error, &refusal, choices);
    }
    if *choices != before {
        return notes;
    }
    for error in errors() {
        about_variables(error, &refusal, choices, &mut notes);
    }
    if *choices != before {
        return notes;
    }
    for error in errors() {
        about_items(error, program, cell, source, choices, &mut notes);
    }
    if *choices != before {
        return notes;
    }
    for error in errors().filter(|error| BORROWS.contains(&error.number())) {
        about_closures(error, &refusal, choices, &mut notes);
    }
    if *choices != before {
        return notes;
    }
    let by_question_mark = |error: &Message| {
        error.number() == "E0277"
            && (error.message.contains('?') || mentions(error, "rust_live::Failure"))
            && mentions(error, "Failure")
    };
    // A crate's trait shows the value: where both could, the compiler takes neither.
    let by_two = |error: &Message| error.number() == "E0034" && mentions(error, "ByDebug");
    if errors().any(by_two) && !choices.shows_itself {
        choices.shows_itself = true;
    } else if errors().any(by_question_mark) && !choices.errors_by_debug {
        choices.errors_by_debug = true;
    } else if errors().any(|error| BORROWS.contains(&error.number()) || error.number() == "E0382")
        && !choices.returns_plainly
        && cell.returns()
    {
        choices.returns_plainly = true;
    } else if errors().any(|error| matches!(error.number(), "E0308" | "E0277"))
        && choices.numbers.is_empty()
    {
        choices.numbers = program.numbers(cell);
    }
    // `Err("..")?` is of a type that only a value that is shown has to have.
    let of_no_type =
        |error: &Message| matches!(error.number(), "E0282" | "E0283" | "E0284" | "E0790");
    for error in errors().filter(|error| of_no_type(error)) {
        about_types(error, cell, source, choices, &mut notes);
    }
    if *choices == before
        && let Some(closing) = &cell.closing
        && (closing.is_macro || errors().any(of_no_type))
        && !choices.closes_by_statement
    {
        choices.closes_by_statement = true;
    }
    notes
}

fn mentions(message: &Message, words: &str) -> bool {
    message.message.contains(words) || message.children.iter().any(|child| mentions(child, words))
}

/// The static of an earlier cell, in place of which there is its address alone, whose value a constant needs.
fn read_static(error: &Message) -> Option<String> {
    let texts = std::iter::once(&error.message);
    let labels = error.spans.iter().filter_map(|span| span.label.as_ref());
    let mut names = texts.chain(labels).filter_map(|text| {
        let (_, name) = text.split_once("cannot access extern static `")?;
        let path = name.split('`').next()?;
        Some(path.rsplit("::").next().unwrap_or(path).to_owned())
    });
    names.next()
}

/// An error about a line that keeps a variable, that names its type, or that imports what an earlier cell did.
fn about_variables(
    error: &Message,
    refusal: &Refusal<'_>,
    choices: &mut Choices,
    notes: &mut Vec<String>,
) {
    let Refusal { program, cell, source, .. } = *refusal;
    let number = error.number();
    let Some(mark) = mark_of(error, source) else { return };
    match mark {
        Mark::Keep(name) => {
            // What borrows and has another type than the one that could be written.
            let is_typed = choices.typed.contains_key(name);
            let is_borrowed = is_typed
                || BORROWS.contains(&number)
                || number.is_empty() && error.message.contains("lifetime");
            let refused = choices.callables.contains_key(name)
                && matches!(number, "E0308" | "E0277" | "E0605" | "E0606");
            // `#[cfg(..)] let` may declare nothing.
            let is_nothing = number == "E0425";
            let is_known = is_nothing
                || is_borrowed
                || refused
                || matches!(number, "E0382" | "E0381" | "E0277");
            let reason = if is_borrowed {
                borrows(cell, name)
            } else if matches!(number, "E0382" | "E0381") {
                "it was moved there, or had no value in every case".to_owned()
            } else {
                "a value of its type cannot be kept".to_owned()
            };
            // References of one lifetime, as in `|a: &'static str, b: &'static str| if .. { a } else { b }`.
            let is_judged = choices.callables.get(name) != refusal.before.callables.get(name);
            if (refused || is_borrowed) && is_judged {
                return;
            }
            if (refused || is_borrowed)
                && let Some(callable) = choices.callables.get_mut(name)
                && let Some(looser) = callable.looser()
            {
                *callable = looser;
                choices.typed.remove(name);
                return;
            }
            if !is_known || choices.dropped.insert(name.clone(), reason).is_some() {
                return;
            }
            choices.callables.remove(name);
            choices.typed.remove(name);
            if is_nothing {
                choices.undeclared.insert(name.clone());
            }
            if is_borrowed {
                notes.push(format!("`{name}` ends with this cell: {}", borrows(cell, name)));
            } else if number == "E0277" || refused {
                notes.push(format!(
                    "`{name}` ends with this cell: a value of its type cannot be kept"
                ));
            }
        }
        Mark::PutBack(name) => {
            if BORROWS.contains(&number) || matches!(number, "E0382" | "E0381") {
                // What the cell assigns may be there again.
                if choices.moved.insert(name.clone()) && cell.gives_back(name) {
                    choices.given_back.insert(name.clone());
                } else {
                    choices.given_back.remove(name);
                }
            }
        }
        Mark::Type(name) => {
            if number == "E0603"
                && let Some(place) = private(error, program, source)
                && choices.opened.insert(place)
            {
                return;
            }
            // There may be another way to it.
            if !choices.by_crates.insert(name.clone()) {
                choices.unnamed.insert(name.clone());
            }
        }
        Mark::Import(written) => {
            if choices.stale_imports.insert(written.clone()) {
                notes.push(format!(
                    "`{written}` of an earlier cell does not fit this cell and does not count any more: {}",
                    error.message
                ));
            }
        }
    }
}

/// What the generated line is about that an error names.
fn mark_of<'a>(error: &Message, source: &'a Source) -> Option<&'a Mark> {
    let places = error.places();
    let marks = places
        .iter()
        .filter(|place| place.file_name == source.name)
        .filter_map(|place| Some((place, source.marks.get(&place.line_start)?)));
    let mut marks: Vec<(&&Span, &Mark)> = marks.collect();
    // What has to live as long as the session is the cause of what cannot be moved or put back.
    let has_to_live =
        |place: &Span| place.label.as_ref().is_some_and(|label| label.contains("'static"));
    marks.sort_by_key(|(place, mark)| {
        (!has_to_live(place), !matches!(mark, Mark::Keep(_)), place.is_primary)
    });
    marks.first().map(|(_, mark)| *mark)
}

/// An error of borrowing: what is kept would outlive what it borrows from, unless that is lent.
fn about_borrows(error: &Message, refusal: &Refusal<'_>, choices: &mut Choices) {
    let Refusal { program, cell, source, before } = *refusal;
    match mark_of(error, source) {
        Some(Mark::Keep(name)) => {
            if before.cannot_borrow.contains(name)
                || before.dropped.contains_key(name)
                || before.typed.contains_key(name)
            {
                return;
            }
            let of_temporary = error.number() == "E0716"
                && cell.has_temporary(name)
                && choices.temporaries.insert(name.clone());
            if of_temporary || lends(error, refusal, choices) {
                choices.borrowing.insert(name.clone());
            }
        }
        Some(Mark::PutBack(name))
            if program.can_borrow(name)
                && !before.cannot_borrow.contains(name)
                && lends(error, refusal, choices) =>
        {
            choices.loosened.insert(name.clone());
        }
        Some(_) => {}
        // What borrows from a lent variable borrows from another one, too.
        None if !before.lends_nothing() => match borrowing_lender(error, refusal) {
            Some(name) => choices.lent_borrowing.extend([name]),
            None => {
                lends(error, refusal, choices);
            }
        },
        None => {}
    }
}

/// An error about a variable of which a cell has a reference, since others borrow from it.
fn about_loans(error: &Message, refusal: &Refusal<'_>, choices: &mut Choices) {
    let Refusal { program, cell, source, .. } = *refusal;
    let Some(name) = place_named(error) else { return };
    if let Some(from) = choices.lent.get(name).copied() {
        // rustc names the first use in the cell where a later one borrows: it is lent behind the change.
        let places = error.places().into_iter().filter(|place| place.is_primary);
        let at = places.filter_map(|place| {
            source.reader_offset(&cell.text, place.line_start, place.column_start)
        });
        let at = at.max();
        // Where what borrows is declared, it borrows to change.
        let is_here = at.and_then(|at| cell.statement_at(at)) == Some(from)
            && cell.declared_at(from).any(|binding| choices.borrowing.contains(&binding.name));
        if is_here && error.number() != "E0507" && choices.exclusive.insert(name.to_owned()) {
            return;
        }
        if let Some(next) = at.and_then(|at| cell.statement_after(at)) {
            choices.lent.insert(name.to_owned(), next);
            choices.changed.insert(name.to_owned(), next);
            return;
        }
        choices.cannot_lend(name);
    } else if program.can_have_back(cell, name) {
        choices.reclaimed.insert(name.to_owned());
    } else if program.is_lent(name) && error.number() != "E0507" {
        choices.changed_while_lent.insert(name.to_owned());
    }
}

/// Whether what an error says of a borrow that has to last can be had by lending the variable. What borrows from one
/// is kept as a borrower then.
fn lends(error: &Message, refusal: &Refusal<'_>, choices: &mut Choices) -> bool {
    let Refusal { program, cell, source, before } = *refusal;
    let Some(name) = place_named(error) else { return false };
    if name == LEASE {
        return true;
    }
    let is_borrow = |place: &&Span| {
        let says = |label: &String| label.contains("borrow") && !label.contains("'static");
        place.file_name == source.name && place.label.as_ref().is_some_and(says)
    };
    let places = error.places().into_iter().filter(is_borrow);
    let at = places
        .filter_map(|place| source.reader_offset(&cell.text, place.line_start, place.column_start));
    let Some(at) = at.filter_map(|at| cell.statement_at(at)).min() else { return false };
    let at = at.max(choices.changed.get(name).copied().unwrap_or_default());
    let is_variable = cell.declares_before(name, at) || program.variables().contains_key(name);
    if !is_variable || before.not_lent.contains(name) {
        return false;
    }
    // It was lent from there on already: that does not help.
    if before.lent.get(name).is_some_and(|from| *from <= at) {
        return false;
    }
    let from = choices.lent.entry(name.to_owned()).or_insert(at);
    *from = at.min(*from);
    true
}

/// The variable that cannot be lent as one that owns everything in it.
fn borrowing_lender(error: &Message, refusal: &Refusal<'_>) -> Option<String> {
    let Refusal { cell, source, before, .. } = *refusal;
    let lasts = |place: &&Span| {
        let said = place.label.as_ref().is_some_and(|label| label.contains("'static"));
        said && place.file_name == source.name
    };
    let places = error.places().into_iter().filter(lasts);
    let mut places = places
        .filter_map(|place| source.reader_offset(&cell.text, place.line_start, place.column_start));
    places.find_map(|at| {
        let (name, _) = before
            .lent
            .iter()
            .find(|(name, from)| **from == at && !before.lent_borrowing.contains(*name))?;
        Some(name.clone())
    })
}

/// The variable of whose place an error is: that of "`*v`" and "`v.field`".
fn place_named(error: &Message) -> Option<&str> {
    let (_, named) = error.message.split_once('`')?;
    let named = named.trim_start_matches(['*', '(', '&']);
    let end = named.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    (end > 0).then_some(&named[..end])
}

/// A variable whose type the cell does not tell: the first cell that uses it does.
fn about_types(
    error: &Message,
    cell: &Cell,
    source: &Source,
    choices: &mut Choices,
    notes: &mut Vec<String>,
) {
    let places = error.places().into_iter();
    let mut places = places.filter(|place| place.is_primary && place.file_name == source.name);
    let at = places
        .find_map(|place| source.reader_offset(&cell.text, place.line_start, place.column_start));
    let Some(start) = at.and_then(|at| cell.waiting_at(at)) else { return };
    if choices.waiting.insert(start) {
        let names: Vec<String> =
            cell.declared_at(start).map(|binding| format!("`{}`", binding.name)).collect();
        notes.push(format!(
            "{} {} no type yet: the first cell that uses {} decides",
            names.join(", "),
            if names.len() == 1 { "has" } else { "have" },
            if names.len() == 1 { "it" } else { "them" },
        ));
    }
}

/// What is private, as a note of the error shows it: a module that passes its types on, for example.
fn private(error: &Message, program: &Program, source: &Source) -> Option<(usize, usize)> {
    let notes = error.children.iter().flat_map(|note| &note.spans);
    let mut places = notes.filter_map(|place| {
        let file = source.files.iter().find(|file| file.path == place.file_name)?;
        let at = program.offset_at(file, place.line_start, place.column_start)?;
        let text = program.cell_text(file.cell)?;
        // What is public for some is left as it is.
        (!text[at..].starts_with("pub")).then_some((file.cell, at))
    });
    places.next()
}

/// Why a variable ends with a cell in which it borrows from another, and what its reader can do.
pub(crate) fn borrows(cell: &Cell, name: &str) -> String {
    let remedy = if cell.is_closure(name) {
        "what it captures: `move |..|`"
    } else {
        "what it holds: `.clone()`, `.to_owned()`, `.to_vec()`, `.collect()`"
    };
    format!("it borrows from another variable. To keep it, let it own {remedy}")
}

/// A borrow that has to last, and no line that keeps a variable is named: that the variable is to be kept has
/// reached a closure in the statement that declares it.
fn about_closures(
    error: &Message,
    refusal: &Refusal<'_>,
    choices: &mut Choices,
    notes: &mut Vec<String>,
) {
    let Refusal { cell, source, .. } = *refusal;
    let lasts = |place: &&Span| {
        let said = place.label.as_ref().is_some_and(|label| label.contains("'static"));
        said && place.file_name == source.name
    };
    for place in error.spans.iter().filter(lasts) {
        let at = source.reader_offset(&cell.text, place.line_start, place.column_start);
        for binding in at.into_iter().flat_map(|at| cell.declared_at(at)) {
            let name = &binding.name;
            if !choices.cannot_borrow.contains(name) && lends(error, refusal, choices) {
                let is_new = choices.borrowing.insert(name.clone());
                if !is_new && place_named(error) == Some(LEASE) {
                    choices.have_back(refusal.program.lent_in(cell));
                }
                continue;
            }
            let reason = borrows(cell, name);
            let note = format!("`{name}` ends with this cell: {reason}");
            if choices.dropped.insert(name.clone(), reason).is_none() {
                choices.callables.remove(name);
                notes.push(note);
            }
        }
    }
}

/// An error about items of earlier cells, which this one has changed.
fn about_items(
    error: &Message,
    program: &Program,
    cell: &Cell,
    source: &Source,
    choices: &mut Choices,
    notes: &mut Vec<String>,
) {
    let number = error.number();
    let is_twice = TWICE.contains(&number);
    if matches!(number, "E0255" | "E0252" | "E0254" | "E0260") {
        let imports = cell.imports.iter().filter_map(|leaf| leaf.name.as_deref());
        for name in imports.filter(|name| error.message.contains(&format!("`{name}`"))) {
            choices.imported_anew.insert(name.to_owned());
        }
        return;
    }
    for place in error.spans.iter().filter(|place| place.is_primary || is_twice) {
        let file = source.files.iter().find(|file| file.path == place.file_name);
        let Some(file) = file.filter(|file| file.cell != cell.number) else { continue };
        let of = file.cell;
        if let Some((item, name)) = program.item_at(file, place.line_start, place.column_start)
            && choices.put_aside.insert(item)
            && !is_twice
        {
            notes.push(format!(
                "`{name}` of cell {of} does not fit this cell and is put aside: {}. Run its cell again, corrected",
                error.message
            ));
        }
    }
}
