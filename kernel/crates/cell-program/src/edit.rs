//! A cell's text with changes in it that move no line.

use std::ops::Range;

/// A change of a text: what stands in a range of it is replaced. An empty range is an insertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Byte offsets in the text as the reader wrote it.
    pub range: Range<usize>,
    /// What stands there instead; it holds no line break.
    pub text: String,
}

impl Edit {
    pub(crate) fn insert(at: usize, text: impl Into<String>) -> Edit {
        Edit { range: at..at, text: text.into() }
    }

    pub(crate) fn replace(range: Range<usize>, text: impl Into<String>) -> Edit {
        Edit { range, text: text.into() }
    }
}

/// The text with nothing left of it but the ranges in `kept`, in which the edits are made. Everything
/// else becomes blanks, so that lines and columns stay.
pub(crate) fn rendered(text: &str, kept: &[Range<usize>], edits: &[Edit]) -> String {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    // Of two at one place, the one that was written down first comes first.
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut edits = edits.into_iter().peekable();
    let mut kept = joined(kept).into_iter().peekable();
    let mut out = String::with_capacity(text.len() + 64);
    let mut at = 0;
    let is_boundary = |at: usize| text.is_char_boundary(at);
    while at <= text.len() {
        while kept.next_if(|range| range.end < at).is_some() {}
        let inside = kept.peek().is_some_and(|range| range.start <= at && at < range.end);
        let touches = inside || kept.peek().is_some_and(|range| range.end == at);
        if let Some(edit) = edits.next_if(|edit| edit.range.start <= at) {
            let applies = edit.range.start == at && touches && is_boundary(edit.range.end);
            if applies {
                out.push_str(&edit.text);
                if edit.range.end > at {
                    // Line breaks within what was replaced stay.
                    out.extend(text[at..edit.range.end].chars().filter(|c| *c == '\n'));
                    at = edit.range.end;
                }
            }
            continue;
        }
        let Some(character) = text[at..].chars().next() else { break };
        out.push(if inside || matches!(character, '\n' | '\t' | '\r') { character } else { ' ' });
        at += character.len_utf8();
        if kept.peek().is_some_and(|range| range.end < at) {
            kept.next();
        }
    }
    out
}

/// Ranges in their order, those as one between which nothing stands.
fn joined(ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut sorted: Vec<_> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_by_key(|range| range.start);
    let mut all = Vec::<Range<usize>>::with_capacity(sorted.len());
    for range in sorted {
        match all.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}

/// What remains of a range when others are taken out of it.
pub(crate) fn without(range: Range<usize>, holes: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut holes: Vec<_> = holes.iter().filter(|hole| !hole.is_empty()).collect();
    holes.sort_by_key(|hole| hole.start);
    let mut left = Vec::new();
    let mut at = range.start;
    for hole in holes {
        if hole.start >= range.end {
            break;
        }
        if hole.start > at {
            left.push(at..hole.start);
        }
        at = at.max(hole.end);
    }
    if at < range.end {
        left.push(at..range.end);
    }
    left
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges, of which some have one")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_kept_stays_in_its_place() {
        let text = "fn a() {}\nlet é = 1; a()\n";
        let edits = [Edit::insert(25, ")"), Edit::insert(22, "("), Edit::replace(0..2, "xx")];
        assert_eq!(&text[22..25], "a()");
        assert_eq!(rendered(text, &[10..25], &edits), "         \nlet é = 1; (a())\n");
        assert_eq!(rendered(text, &[0..9], &edits), "xx a() {}\n              \n");
    }

    #[test]
    fn nothing_is_lost_between_neighbours() {
        assert_eq!(rendered("abcdef", &[0..2, 2..4], &[Edit::insert(2, "x")]), "abxcd  ");
    }

    #[test]
    fn holes_are_taken_out() {
        assert_eq!(without(0..10, &[2..4, 3..5, 9..12]), [0..2, 5..9]);
        assert_eq!(without(0..3, &[]), [0..3]);
        assert_eq!(without(2..3, &[0..9]), [] as [Range<usize>; 0]);
    }

    proptest! {
        #[test]
        fn no_line_moves(text in "[a-z\\n é]{0,30}", at in 0..30_usize, length in 0..10_usize) {
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let start = ends[at % ends.len()];
            let end = ends[(at % ends.len() + length).min(ends.len() - 1)];
            let edit = [Edit::replace(start..end, "xyz")];
            for kept in [0..text.len(), start..end] {
                let changed = rendered(&text, &[kept], &edit);
                prop_assert_eq!(changed.matches('\n').count(), text.matches('\n').count());
            }
            prop_assert_eq!(rendered(&text, &[0..text.len()], &[]), text);
        }
    }
}
