//! From places in the program to places in the reader's text.

use std::ops::Range;

use crate::json::Span;
use crate::{Place, Source, Sources};

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spot {
    /// In a cell: an index into the files, and bytes of the reader's text.
    Reader(usize, Range<usize>),
    /// In generated code; with the reader's character beside it, if there is one.
    Generated(Option<(usize, Range<usize>)>),
    /// In a file of another crate.
    Foreign(Foreign),
}

/// A place in a file that is no cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) path: String,
    /// First line and column, then last, as rustc counts them.
    pub(crate) start: (usize, usize),
    pub(crate) end: (usize, usize),
    /// The lines from first to last, if rustc could read them.
    pub(crate) lines: Vec<String>,
}

/// Where one offset of a file falls.
enum Offset {
    Prefix,
    /// In the reader's text.
    Text(usize),
    /// Inside what replaces this range of it.
    Edit(Range<usize>),
    Behind,
}

/// The place of a span itself, whatever macro it is from.
pub(crate) fn spot(span: &Span, sources: &Sources<'_>) -> Spot {
    let Some(index) = sources.files.iter().position(|file| file.name == span.file_name) else {
        if is_own(&span.file_name) {
            return Spot::Generated(None);
        }
        return Spot::Foreign(Foreign {
            path: span.file_name.clone(),
            start: (span.line_start, span.column_start),
            end: (span.line_end, span.column_end),
            lines: span.text.iter().map(|line| line.text.clone()).collect(),
        });
    };
    let file = &sources.files[index];
    match range(file, span.byte_start, span.byte_end.max(span.byte_start)) {
        Ok(range) => Spot::Reader(index, range),
        Err(beside) => Spot::Generated(beside.map(|at| (index, near(file.text, at)))),
    }
}

/// The place of a span for the reader: what comes out of a macro that is not the reader's is where
/// the macro is called. The second place is where the reader calls a macro of the reader's own.
pub(crate) fn lead_back(span: &Span, sources: &Sources<'_>) -> (Spot, Option<Spot>) {
    let first = spot(span, sources);
    let mut calls = Vec::new();
    let mut next = &span.expansion;
    while let Some(expansion) = next {
        calls.push(spot(&expansion.span, sources));
        next = &expansion.span.expansion;
    }
    let mut chain =
        std::iter::once(first.clone()).chain(calls).filter(|spot| matches!(spot, Spot::Reader(..)));
    match chain.next() {
        Some(inner) => {
            let outer = chain.next_back().filter(|outer| *outer != inner);
            (inner, outer)
        }
        None => (first, None),
    }
}

/// Whether a name or a path is the kernel's own.
pub(crate) fn is_own(text: &str) -> bool {
    text.contains("rust_live")
}

/// Line and column of an offset.
pub(crate) fn place(file: &Source<'_>, offset: usize) -> Place {
    let before = &file.text[..file.text.floor_char_boundary(offset)];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    Place { cell: file.cell, line, column: before[start..].chars().count() + 1 }
}

/// The reader's last character: what is said of the end is said of it.
pub(crate) fn last_character(text: &str) -> Range<usize> {
    let end = text.trim_end().len();
    text[..end].char_indices().next_back().map_or(0..0, |(at, _)| at..end)
}

/// The character that something was inserted before, or else the one it was inserted behind.
fn near(text: &str, at: usize) -> Range<usize> {
    let at = text.floor_char_boundary(at);
    match text[at..].chars().next().filter(|next| !next.is_whitespace()) {
        Some(next) => at..at + next.len_utf8(),
        None => last_character(&text[..at]),
    }
}

/// The exact bytes that a suggestion changes. Nothing of it may be generated.
pub(crate) fn patch(file: &Source<'_>, start: usize, end: usize) -> Option<Range<usize>> {
    let (Offset::Text(from), Offset::Text(to)) = (offset(file, start), offset(file, end)) else {
        return None;
    };
    let sound = from <= to && file.text.is_char_boundary(from) && file.text.is_char_boundary(to);
    sound.then_some(from..to)
}

/// The reader's bytes that a range of the file covers. If it covers none, the offset beside which
/// it lies, unless it lies before the text.
fn range(file: &Source<'_>, start: usize, end: usize) -> Result<Range<usize>, Option<usize>> {
    let text = file.text;
    let (first, last) = (offset(file, start), offset(file, end));
    let inserted = start < end || matches!(first, Offset::Edit(_));
    let from = match first {
        // What surrounds all of the text is a part of none.
        Offset::Prefix if matches!(last, Offset::Prefix | Offset::Behind) => return Err(None),
        Offset::Prefix => 0,
        Offset::Text(at) => at,
        Offset::Edit(range) => range.start,
        Offset::Behind => return Err(Some(text.len())),
    };
    let to = match last {
        Offset::Prefix => 0,
        Offset::Text(at) => at,
        Offset::Edit(range) => range.end,
        Offset::Behind => text.len(),
    };
    if to <= from && inserted {
        return Err((start >= file.prefix).then_some(from));
    }
    let from = text.floor_char_boundary(from);
    let to = text.ceil_char_boundary(to).max(from);
    Ok(from..to)
}

fn offset(file: &Source<'_>, at: usize) -> Offset {
    let Some(at) = at.checked_sub(file.prefix) else { return Offset::Prefix };
    // `read` and `seen` are the same place, in the reader's text and in rustc's.
    let (mut read, mut seen) = (0, 0);
    for edit in file.edits {
        let start = seen + edit.range.start.saturating_sub(read);
        if at <= start {
            break;
        }
        if at < start + edit.len {
            return Offset::Edit(edit.range.clone());
        }
        (read, seen) = (edit.range.end, start + edit.len);
    }
    let text = read + (at - seen.min(at));
    if text > file.text.len() { Offset::Behind } else { Offset::Text(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Edit;

    const TEXT: &str = "loop {\n    日();\n}\nx";

    fn file(edits: &[Edit]) -> Source<'_> {
        Source { name: "cell 1", cell: 1, text: TEXT, prefix: 10, edits }
    }

    #[test]
    fn ranges_lead_back_across_edits() {
        // `loop { check();` and `show(&(x))`.
        let edits = [
            Edit { range: 6..6, len: 9 },
            Edit { range: 20..20, len: 7 },
            Edit { range: 21..21, len: 2 },
        ];
        let file = file(&edits);
        assert_eq!(&TEXT[20..21], "x");
        assert_eq!(range(&file, 10, 14), Ok(0..4), "before all edits");
        assert_eq!(range(&file, 16, 25), Err(Some(6)), "the insertion itself");
        assert_eq!(range(&file, 17, 20), Err(Some(6)), "within the insertion");
        let shift = 10 + 9;
        assert_eq!(range(&file, shift + 11, shift + 14), Ok(11..14), "behind one edit");
        assert_eq!(range(&file, shift + 20, shift + 30), Ok(20..21), "the call around `x`");
        assert_eq!(range(&file, shift + 26, shift + 29), Ok(20..21), "`(x)`");
        assert_eq!(range(&file, shift + 27, shift + 28), Ok(20..21), "`x`");
        assert_eq!(range(&file, shift + 20, shift + 24), Err(Some(20)), "the name of the call");
        assert_eq!(range(&file, 0, 10), Err(None), "all of the prefix");
        assert_eq!(range(&file, 0, 99), Err(None), "the function around the cell");
        assert_eq!(range(&file, 60, 61), Err(Some(21)), "behind the text");
    }

    #[test]
    fn an_end_is_its_last_character() {
        assert_eq!(last_character("let a = 日 \n"), 8..11);
        assert_eq!(last_character(" \n"), 0..0);
    }
}
