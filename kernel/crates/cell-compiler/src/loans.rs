//! What a refusal of the compiler shows about variables that borrow from others, and what it is asked about them.

use std::collections::BTreeSet;

use anyhow::Result;
use cell_program::{Cell, Choices, LEASE, Lending, Loans, Mark, Program, Session};
use diagnose::{Message, Span};

use crate::judge::{Refusal, has_to_last, mark_of};
use crate::rustc::Rustc;

/// Errors of a change or a move through a reference.
pub(crate) const THROUGH_REFERENCE: [&str; 3] = ["E0507", "E0594", "E0596"];

/// Asks the compiler from which lent variables each new one borrows. Each lease ends before the variable is used: an
/// error there says yes. Where the answer is not plain, they are taken to borrow from all.
pub(crate) fn ask(
    rustc: &Rustc,
    program: &Program,
    cell: &Cell,
    session: &Session,
    choices: &Choices,
    loans: &mut Loans,
) -> Result<()> {
    let Some(source) = program.asking_for_lenders(cell, session, choices, loans) else {
        return Ok(());
    };
    let messages = diagnose::messages(&rustc.compile(&source)?.messages);
    let mut pairs = BTreeSet::new();
    let is_error = |message: &&Message| message.level == "error" && !message.spans.is_empty();
    for error in messages.iter().filter(is_error) {
        match mark_of(error, &source) {
            Some(Mark::Borrows { name, of }) if error.number() == "E0505" => {
                pairs.insert((name.clone(), of.clone()));
            }
            _ => return Ok(()),
        }
    }
    program.answered(cell, loans, &pairs);
    Ok(())
}

/// An error of borrowing: what is kept would outlive what it borrows from, unless that is lent.
pub(crate) fn about_borrowers(error: &Message, refusal: &Refusal<'_>, choices: &mut Choices) {
    let Refusal { program, cell, source, before } = *refusal;
    match mark_of(error, source) {
        Some(Mark::Keep(name)) => {
            if before.lending.cannot_borrow.contains(name)
                || before.dropped.contains_key(name)
                || before.lending.typed.contains_key(name)
            {
                return;
            }
            let holder = cell.holder_of_temporaries(name).filter(|_| error.number() == "E0716");
            let holder = holder.filter(|name| !before.lending.temporaries.contains(*name));
            choices.lending.temporaries.extend(holder.map(str::to_owned));
            if holder.is_some() || lends(error, refusal, &mut choices.lending) {
                choices.lending.borrowing.insert(name.clone());
            }
        }
        Some(Mark::PutBack(name))
            if program.can_borrow(name)
                && !before.lending.cannot_borrow.contains(name)
                && lends(error, refusal, &mut choices.lending) =>
        {
            choices.lending.loosened.insert(name.clone());
        }
        Some(_) => {}
        None if place_named(error) == Some(LEASE) && loosened(&mut choices.lending) => {}
        // What borrows from a lent variable borrows from another one, too.
        None if !before.lending.lends_nothing() => match borrowing_lender(error, refusal) {
            Some(name) => choices.lending.lent_borrowing.extend([name]),
            None => {
                lends(error, refusal, &mut choices.lending);
            }
        },
        None => {}
    }
}

/// Whether types that have to be as they are written may be so with closures in boxes that borrow.
fn loosened(lending: &mut Lending) -> bool {
    let mut is_new = false;
    for kind in lending.typed.values_mut() {
        is_new |= loosen(kind);
    }
    is_new
}

/// The same of one such type.
pub(crate) fn loosen(kind: &mut String) -> bool {
    let looser = cell_program::types::of_borrower_by_closures(kind);
    let is_new = looser != *kind;
    *kind = looser;
    is_new
}

/// An error about a variable of which a cell has a reference, since others borrow from it.
pub(crate) fn about_lenders(error: &Message, refusal: &Refusal<'_>, lending: &mut Lending) {
    let Refusal { program, cell, .. } = *refusal;
    let Some(name) = place_named(error) else { return };
    if let Some(from) = lending.lent.get(name).copied() {
        // rustc names the first use in the cell where a later one borrows: it is lent behind the change.
        let places = error.places().into_iter().filter(|place| place.is_primary);
        let at = places.filter_map(|place| refusal.at(place)).max();
        // Where what borrows is declared, it borrows to change.
        let is_here = at.and_then(|at| cell.statement_at(at)) == Some(from)
            && (cell.declared_at(from).any(|binding| lending.borrowing.contains(&binding.name))
                || cell.names_at(from).iter().any(|name| lending.loosened.contains(name)));
        if is_here && error.number() != "E0507" && lending.exclusive.insert(name.to_owned()) {
            return;
        }
        if let Some(next) = at.and_then(|at| cell.statement_after(at)) {
            lending.lent.insert(name.to_owned(), next);
            lending.changed.insert(name.to_owned(), next);
            return;
        }
        lending.cannot_lend(name);
    } else if program.can_have_back(cell, name) {
        lending.reclaimed.insert(name.to_owned());
    } else if program.is_lent(name) && error.number() != "E0507" {
        lending.changed_while_lent.insert(name.to_owned());
    }
}

/// Whether what an error says of a borrow that has to last can be had by lending the variable. What borrows from one
/// is kept as a borrower then.
pub(crate) fn lends(error: &Message, refusal: &Refusal<'_>, lending: &mut Lending) -> bool {
    let Refusal { program, cell, before, .. } = *refusal;
    let Some(name) = place_named(error) else { return false };
    if name == LEASE {
        return true;
    }
    let is_borrow = |place: &&Span| {
        !has_to_last(place) && place.label.as_ref().is_some_and(|label| label.contains("borrow"))
    };
    let places = error.places().into_iter().filter(is_borrow);
    let at = places.filter_map(|place| cell.statement_at(refusal.at(place)?));
    let Some(at) = at.min() else { return false };
    let at = at.max(lending.changed.get(name).copied().unwrap_or_default());
    let is_made = program.makes(cell, before, name);
    let is_variable =
        cell.declares_before(name, at) || program.variables().contains_key(name) || is_made;
    // A number whose type this cell decides lies in the cell alone until its end.
    let is_variable = is_variable && !before.numbers.contains(name);
    // Behind a reference nobody would know what was moved of it.
    let is_variable = is_variable && !before.parts.contains_key(name) && !program.is_in_parts(name);
    if !is_variable || before.lending.not_lent.contains(name) {
        return false;
    }
    // It was lent from there on already: that does not help.
    if before.lending.lent.get(name).is_some_and(|from| *from <= at) {
        return false;
    }
    lending.made.extend(is_made.then(|| name.to_owned()));
    let from = lending.lent.entry(name.to_owned()).or_insert(at);
    *from = at.min(*from);
    true
}

/// The variable that cannot be lent as one that owns everything in it.
fn borrowing_lender(error: &Message, refusal: &Refusal<'_>) -> Option<String> {
    let before = &refusal.before.lending;
    let places = error.places().into_iter().filter(|place| has_to_last(place));
    let mut places = places.filter_map(|place| refusal.at(place));
    places.find_map(|at| {
        let (name, _) = before
            .lent
            .iter()
            .find(|(name, from)| **from == at && !before.lent_borrowing.contains(*name))?;
        Some(name.clone())
    })
}

/// The variable of whose place an error is: that of "`*v`" and "`v.field`".
pub(crate) fn place_named(error: &Message) -> Option<&str> {
    let (_, named) = error.message.split_once('`')?;
    let name = diagnose::variable_of(named);
    (!name.is_empty()).then_some(name)
}
