//! What a refusal of the compiler shows about a cell.

use cell_program::{Cell, Choices, LEASE, MOVED, Mark, Parts, Program, Source};
use diagnose::{Message, Span};

use crate::loans::{self, lends, place_named};

/// Errors of borrowing: what is kept would outlive what it borrows from.
const BORROWS: [&str; 13] = [
    "E0597", "E0505", "E0506", "E0716", "E0499", "E0502", "E0503", "E0521", "E0310", "E0515",
    "E0373", "E0712", "E0713",
];
/// What rustc says of a place where it has to know a type.
const KNOWN_HERE: &str = "type must be known at this point";
/// Errors of two things under one name.
const TWICE: [&str; 8] = ["E0428", "E0119", "E0592", "E0201", "E0255", "E0252", "E0254", "E0034"];

/// What was refused, and what was known of it before.
pub(crate) struct Refusal<'a> {
    pub(crate) program: &'a Program,
    pub(crate) cell: &'a Cell,
    pub(crate) source: &'a Source,
    pub(crate) before: &'a Choices,
}

impl Refusal<'_> {
    /// Where in the reader's text a place is; None where it is not in it.
    pub(crate) fn at(&self, place: &Span) -> Option<usize> {
        self.offset(place, place.line_start, place.column_start)
    }

    /// Where in the reader's text a place ends.
    fn end_of(&self, place: &Span) -> Option<usize> {
        self.offset(place, place.line_end, place.column_end)
    }

    fn offset(&self, place: &Span, line: usize, column: usize) -> Option<usize> {
        let is_here = place.file_name == self.source.name;
        is_here.then(|| self.source.reader_offset(&self.cell.text, line, column))?
    }
}

/// Whether an error says of a place that a borrow has to last as long as the session.
pub(crate) fn has_to_last(place: &Span) -> bool {
    place.label.as_ref().is_some_and(|label| label.contains("'static"))
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
    for error in errors().filter(|error| loans::THROUGH_REFERENCE.contains(&error.number())) {
        loans::about_lenders(error, &refusal, &mut choices.lending);
    }
    if *choices != before {
        return notes;
    }
    for error in errors().filter(|error| BORROWS.contains(&error.number())) {
        loans::about_borrowers(error, &refusal, choices);
    }
    if *choices != before {
        return notes;
    }
    for error in errors() {
        about_variables(error, &refusal, choices, &mut notes);
        about_lifetimes_of_closures(error, &refusal, choices);
    }
    if *choices != before {
        return notes;
    }
    for error in errors().filter(|error| error.number() == "E0382") {
        if let Some(name) = loans::place_named(error).filter(|name| program.is_in_parts(name)) {
            choices.within.insert(name.to_owned());
        }
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
    } else if errors().any(|error| matches!(error.number(), "E0308" | "E0277" | "E0271" | "E0599"))
        && choices.numbers.is_empty()
        && choices.made_anew.is_empty()
    {
        choices.numbers = program.numbers(cell);
        choices.made_anew = program.made_anew(cell);
    }
    // `Err("..")?` is of a type that only a value that is shown has to have.
    let of_no_type =
        |error: &Message| matches!(error.number(), "E0282" | "E0283" | "E0284" | "E0790");
    for error in errors().filter(|error| of_no_type(error)) {
        about_types(error, &refusal, choices, &mut notes);
    }
    if *choices == before
        && let Some(closing) = &cell.closing
        && (closing.is_macro || choices.shows_plainly || errors().any(of_no_type))
        && !choices.closes_by_statement
    {
        if closing.is_macro || choices.shows_plainly {
            choices.closes_by_statement = true;
        } else {
            choices.shows_plainly = true;
        }
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
    if let Mark::Keep(name) | Mark::PutBack(name) = mark
        && number == "E0382"
        && error.message.contains("partially")
        && let Some(parts) = program.parts_left(cell, &source.loans, refusal.before, name)
    {
        choices.parts.insert(name.clone(), parts);
        return;
    }
    match mark {
        Mark::Keep(name) => {
            if number == "E0381" {
                let before = choices.waiting.len();
                choices.waiting.extend(cell.waiting_for_value(name));
                if choices.waiting.len() > before {
                    return;
                }
            }
            // What borrows and has another type than the one that could be written.
            let is_typed = choices.lending.typed.contains_key(name);
            let is_borrowed = is_typed
                || BORROWS.contains(&number)
                || number.is_empty() && error.message.contains("lifetime");
            let refused = choices.callables.contains_key(name)
                && (matches!(number, "E0308" | "E0277" | "E0605" | "E0606")
                    || error.message.contains("cannot be sent between threads"));
            // `#[cfg(..)] let` may declare nothing.
            let is_nothing = number == "E0425";
            let is_known = is_nothing
                || is_borrowed
                || refused
                || matches!(number, "E0382" | "E0381" | "E0277");
            let reason = if is_borrowed {
                borrows(cell, name)
            } else if number == "E0382" {
                MOVED.to_owned()
            } else if number == "E0381" {
                "it had no value there in every case".to_owned()
            } else {
                "a value of its type cannot be kept".to_owned()
            };
            // Of several errors about it, one is enough.
            let is_judged = choices.callables.get(name) != refusal.before.callables.get(name);
            if (refused || is_borrowed) && is_judged {
                return;
            }
            // References of one lifetime, as in `|a: &'static str, b: &'static str| if .. { a } else { b }`.
            if (refused || is_borrowed)
                && let Some(callable) = choices.callables.get_mut(name)
                && let Some(looser) = callable.looser()
            {
                *callable = looser;
                choices.lending.typed.remove(name);
                return;
            }
            if choices.lending.typed.get_mut(name).is_some_and(loans::loosen) {
                return;
            }
            if !is_known || choices.dropped.insert(name.clone(), reason).is_some() {
                return;
            }
            choices.callables.remove(name);
            choices.lending.typed.remove(name);
            if is_nothing {
                choices.undeclared.insert(name.clone());
            }
            if is_borrowed {
                notes.push(ends(name, &borrows(cell, name)));
            } else if number == "E0277" || refused {
                notes.push(ends(name, "a value of its type cannot be kept"));
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
        Mark::Part { name, part } => about_parts(error, name, part, refusal, choices),
        // The program of the cell asks nothing.
        Mark::Borrows { .. } => {}
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

/// What the compiler says of a part of a variable of which others were moved.
fn about_parts(
    error: &Message,
    name: &str,
    part: &str,
    refusal: &Refusal<'_>,
    choices: &mut Choices,
) {
    let Some(parts) = choices.parts.get_mut(name) else { return };
    match error.number() {
        "E0382" if error.message.contains("partially") => parts.is_moved_in_part(part),
        "E0382" if !part.is_empty() => parts.is_moved(part, refusal.cell.number),
        "E0609" if parts.is_asked(part) => {
            let kind = error.message.split_once("on type `").map(|(_, kind)| kind);
            let kind = kind.map(|kind| kind.strip_suffix('`').unwrap_or(kind));
            let said = error.children.iter().find(|note| note.message.contains("available field"));
            let said = said.map(|note| note.message.as_str()).unwrap_or_default();
            match kind.and_then(|kind| refusal.program.fields(refusal.cell, kind, said)) {
                Some(fields) => parts.has_fields(part, fields, refusal.cell.number),
                None => parts.is_moved(part, refusal.cell.number),
            }
        }
        _ => *parts = Parts::none(),
    }
    if !parts.is_some() {
        *parts = Parts::none();
    }
}

/// A closure that takes a reference of any lifetime only if it is said where it is made: what it is kept as is
/// said there.
fn about_lifetimes_of_closures(error: &Message, refusal: &Refusal<'_>, choices: &mut Choices) {
    if error.message.ends_with("is not general enough")
        && let Some(Mark::Keep(name)) = mark_of(error, refusal.source)
        && let Some(place) = refusal.cell.place_of_closure(name)
        && let Some(callable) = choices.callables.remove(name)
    {
        choices.called.insert(place, callable);
    }
}

/// What the generated line is about that an error names.
pub(crate) fn mark_of<'a>(error: &Message, source: &'a Source) -> Option<&'a Mark> {
    let places = error.places();
    let marks = places
        .iter()
        .filter(|place| place.file_name == source.name)
        .filter_map(|place| Some((place, source.marks.get(&place.line_start)?)));
    let mut marks: Vec<(&&Span, &Mark)> = marks.collect();
    // What has to live as long as the session is the cause of what cannot be moved or put back.
    marks.sort_by_key(|(place, mark)| {
        (!has_to_last(place), !matches!(mark, Mark::Keep(_)), place.is_primary)
    });
    marks.first().map(|(_, mark)| *mark)
}

/// A variable whose type the cell does not tell: the first cell that uses it does.
fn about_types(
    error: &Message,
    refusal: &Refusal<'_>,
    choices: &mut Choices,
    notes: &mut Vec<String>,
) {
    let cell = refusal.cell;
    let mut places = error.places().into_iter().filter(|place| place.is_primary);
    let at = places.find_map(|place| refusal.at(place));
    // In a closure a method asks for the type where it stands: no later use would tell it.
    let asks = |place: &Span| {
        let end = refusal.end_of(place).filter(|_| place.label.as_deref() == Some(KNOWN_HERE));
        end.is_some_and(|end| cell.text[end..].trim_start().starts_with('.'))
    };
    let is_asked = at.is_some_and(|at| cell.has_closure_at(at)) && error.spans.iter().any(asks);
    if at.is_none()
        && let Some(name) = of_waiting(error, refusal)
    {
        // A copy of it is of the same type.
        let before = choices.waiting.len();
        choices.waiting.extend(cell.copies_of(name));
        if choices.waiting.len() > before {
            return;
        }
        if let Some(kind) = stand_in(error) {
            choices.stand_ins.insert(name.clone(), kind);
            // Without a type the value at the end could not be shown.
            choices.closes_by_statement = false;
            choices.shows_plainly = false;
            return;
        }
    }
    let starts = at.filter(|_| !is_asked).map(|at| cell.waiting_at(at)).unwrap_or_default();
    let new: Vec<usize> =
        starts.into_iter().filter(|start| choices.waiting.insert(*start)).collect();
    if !new.is_empty() {
        let declared = new.into_iter().flat_map(|start| cell.declared_at(start));
        let names: Vec<String> = declared.map(|binding| format!("`{}`", binding.name)).collect();
        notes.push(format!(
            "{} {} no type yet: the first cell that uses {} decides",
            names.join(", "),
            if names.len() == 1 { "has" } else { "have" },
            if names.len() == 1 { "it" } else { "them" },
        ));
    }
}

/// The variable that waits whose type an error is about: this cell does not tell it either.
fn of_waiting<'a>(error: &Message, refusal: &Refusal<'a>) -> Option<&'a String> {
    let Refusal { program, cell, source, before } = *refusal;
    let mut places = error.spans.iter().filter(|place| place.is_primary);
    let at = places.find(|place| place.file_name == source.name)?.byte_start;
    program.waiting_in(cell, before, &source.text, at)
}

/// A type for this cell alone, where an error names one that is not known: what is of an unknown type is empty.
fn stand_in(error: &Message) -> Option<String> {
    let (_, kind) = error.message.split_once("type annotations needed for `")?;
    let mut known = String::new();
    for part in kind.strip_suffix('`')?.split_inclusive(['<', ' ', ',', '>', '(', ')']) {
        let end = part.trim_start_matches('_');
        let is_blank = part.starts_with('_') && end.len() <= 1;
        known += &if is_blank { format!("::rust_live::Unknown{end}") } else { part.to_owned() };
    }
    Some(known)
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

/// That a variable ends with its cell, and why.
pub(crate) fn ends(name: &str, reason: &str) -> String {
    format!("`{name}` ends with this cell: {reason}")
}

/// Why a variable ends with a cell in which it borrows from another, and what its reader can do.
fn borrows(cell: &Cell, name: &str) -> String {
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
    let cell = refusal.cell;
    for place in error.spans.iter().filter(|place| has_to_last(place)) {
        let at = refusal.at(place);
        for binding in at.into_iter().flat_map(|at| cell.declared_at(at)) {
            let name = &binding.name;
            if !choices.lending.cannot_borrow.contains(name)
                && lends(error, refusal, &mut choices.lending)
            {
                let is_new = choices.lending.borrowing.insert(name.clone());
                if !is_new && place_named(error) == Some(LEASE) {
                    choices.lending.have_back(refusal.program.lent_in(cell));
                }
                continue;
            }
            let reason = borrows(cell, name);
            let note = ends(name, &reason);
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
    // What a macro has made does not fit where it is called.
    let is_call = |place: &Span| {
        let label = place.label.as_deref().unwrap_or_default();
        place.file_name == source.name && label == "caused by the macro expansion here"
    };
    if error.spans.iter().any(is_call) {
        return;
    }
    for place in error.spans.iter().filter(|place| place.is_primary || is_twice) {
        let place = if is_twice { place } else { place.called_at() };
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
