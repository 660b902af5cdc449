//! What a diagnostic is about in the reader's text, before it is drawn.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::context::context;
use crate::json::{Message, Span};
use crate::locate::{Foreign, Spot, is_own, last_character, lead_back, patch};
use crate::{Level, Sources};

/// A diagnostic without the generated code.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) level: Level,
    /// What rustc calls the level where it is neither error nor warning.
    pub(crate) level_name: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) title: String,
    pub(crate) marks: Vec<Mark>,
    pub(crate) parts: Vec<Part>,
    /// All of rustc's text, for those who look for a known situation.
    pub(crate) raw: String,
    /// Something of it was about generated code.
    pub(crate) generated: bool,
    /// Something of it was about code behind the reader's text.
    pub(crate) behind: bool,
}

/// A place that is underlined.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) at: At,
    pub(crate) primary: bool,
    pub(crate) label: Option<String>,
    /// Generated code is meant, and this is the reader's character beside it.
    pub(crate) stands_in: bool,
}

/// Where a mark is.
#[derive(Debug)]
pub(crate) enum At {
    /// An index into the files, and bytes of the reader's text.
    Reader(usize, Range<usize>),
    Foreign(Foreign),
}

/// What follows the first snippet.
#[derive(Debug)]
pub(crate) enum Part {
    Message { kind: Kind, text: String },
    Section { kind: Kind, title: String, marks: Vec<Mark> },
    Suggestion { title: String, changes: Vec<Change>, more: usize },
}

/// `note` or `help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Note,
    Help,
}

/// One way to follow a suggestion, in one file.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) file: usize,
    pub(crate) patches: Vec<(Range<usize>, String)>,
}

impl Part {
    /// What it says.
    pub(crate) fn text(&self) -> &str {
        match self {
            Part::Message { text, .. } => text,
            Part::Section { title, .. } | Part::Suggestion { title, .. } => title,
        }
    }
}

/// As many ways to follow a suggestion as rustc shows.
const MOST_CHANGES: usize = 4;

/// Lints about what a later cell may still use.
const UNUSED_NAMES: [&str; 3] = ["unused_variables", "unused_mut", "unused_assignments"];
const UNUSED_ITEMS: [&str; 3] = ["dead_code", "unused_macros", "unused_macro_rules"];

/// The diagnostic in the reader's terms, or none if it is not for the reader.
pub(crate) fn draft(message: &Message, sources: &Sources<'_>) -> Option<Draft> {
    let level = match message.level.as_str() {
        "warning" => Level::Warning,
        level if level.starts_with("error") => Level::Error,
        // rustc says nothing of its own accord at these levels that is about a cell.
        _ => return None,
    };
    let rendered = message.rendered.as_deref().map(without_colours);
    let marks = marks(&message.spans, level == Level::Error, rendered.as_deref(), sources);
    let mut draft = Draft {
        level,
        level_name: (message.level != "error" && message.level != "warning")
            .then(|| message.level.clone()),
        code: message.code.as_ref().map(|code| code.code.clone()),
        title: message.message.clone(),
        generated: marks.generated,
        behind: marks.behind,
        marks: marks.marks,
        parts: Vec::new(),
        raw: raw(message),
    };
    draft.generated |= is_own(&draft.raw);
    if level == Level::Warning && !is_for_reader(&draft, sources) {
        return None;
    }
    for child in &message.children {
        add_child(&mut draft, child, rendered.as_deref(), sources);
    }
    if let Some(origin) = rendered.as_deref().and_then(macro_note)
        && !draft.parts.iter().any(|part| part.text() == origin)
    {
        draft.parts.insert(
            draft
                .parts
                .iter()
                .position(|part| matches!(part, Part::Suggestion { .. }))
                .unwrap_or(draft.parts.len()),
            Part::Message { kind: Kind::Note, text: origin },
        );
    }
    Some(draft)
}

/// Whether a warning is about what the reader wrote in this cell.
fn is_for_reader(draft: &Draft, sources: &Sources<'_>) -> bool {
    let Some((index, range)) = draft.marks.iter().find_map(|mark| match &mark.at {
        At::Reader(index, range) if mark.primary => Some((*index, range)),
        _ => None,
    }) else {
        return false;
    };
    let file = &sources.files[index];
    if file.cell != sources.cell || is_own(&draft.title) {
        return false;
    }
    let around = context(file.text, range.start);
    let code = draft.code.as_deref().unwrap_or_default();
    if UNUSED_ITEMS.contains(&code) {
        return around.function;
    }
    if UNUSED_NAMES.contains(&code) {
        let assigned = code == "unused_assignments"
            && (around.top
                || quoted(&draft.title).first().is_some_and(|name| {
                    !around.function && sources.variables.contains(&name.as_str())
                }));
        return !around.pattern && !assigned;
    }
    code != "unused_imports" || around.statement != "use"
}

struct Marks {
    marks: Vec<Mark>,
    /// Some of the spans were in generated code.
    generated: bool,
    /// That code was behind the reader's text.
    behind: bool,
}

fn marks(spans: &[Span], is_error: bool, rendered: Option<&str>, sources: &Sources<'_>) -> Marks {
    let mut marks = Vec::new();
    let (mut generated, mut behind) = (false, false);
    let mut calls = Vec::<(usize, Range<usize>)>::new();
    for span in spans {
        let (spot, call) = lead_back(span, sources);
        let label = span.label.clone().filter(|label| !label.is_empty());
        let mut stands_in = false;
        let at = match spot {
            Spot::Reader(index, range) => At::Reader(index, range),
            Spot::Foreign(foreign) => At::Foreign(foreign),
            Spot::Generated(beside) => {
                generated = true;
                behind |= beside.as_ref().is_some_and(|(index, range)| {
                    last_character(sources.files[*index].text) == *range
                });
                // An error has to be somewhere.
                let Some((index, range)) = beside.filter(|_| is_error && span.is_primary) else {
                    continue;
                };
                stands_in = true;
                At::Reader(index, range)
            }
        };
        generated |= label.as_deref().is_some_and(is_own);
        let label = label.filter(|label| !is_own(label));
        marks.push(Mark { at, primary: span.is_primary, label, stands_in });
        if let Some(Spot::Reader(index, range)) = call
            && !calls.contains(&(index, range.clone()))
        {
            calls.push((index, range));
        }
    }
    let told = rendered.is_none_or(|text| text.contains(" macro invocation"));
    for (index, range) in calls.into_iter().filter(|_| told) {
        let label = Some("in this macro invocation".to_owned());
        marks.push(Mark { at: At::Reader(index, range), primary: false, label, stands_in: false });
    }
    Marks { marks, generated, behind }
}

fn add_child(draft: &mut Draft, child: &Message, rendered: Option<&str>, sources: &Sources<'_>) {
    let kind = if child.level == "help" { Kind::Help } else { Kind::Note };
    let text = child.message.clone();
    if is_own(&text) {
        return;
    }
    if child.spans.is_empty() {
        draft.parts.push(Part::Message { kind, text });
        return;
    }
    if child.spans.iter().any(|span| span.suggested_replacement.is_some()) {
        let first = text.lines().next().unwrap_or_default();
        let shown = rendered.and_then(|all| all.lines().find(|line| line.contains(first)));
        if rendered.is_some() && shown.is_none() {
            // For an editor only.
            return;
        }
        let (changes, more) = changes(&child.spans, sources);
        let beside = shown.is_some_and(|line| !line.trim_start().starts_with("help: "));
        if beside && let Some((file, range, label)) = label_of(&text, &changes, sources) {
            let at = At::Reader(file, range);
            let same = draft.marks.iter_mut().find(|mark| match (&mark.at, &at) {
                (At::Reader(file, range), At::Reader(index, other)) => {
                    file == index && range == other
                }
                _ => false,
            });
            match same {
                Some(mark) if mark.label.is_none() => mark.label = Some(label),
                _ => draft.marks.push(Mark {
                    at,
                    primary: false,
                    label: Some(label),
                    stands_in: false,
                }),
            }
        } else if !changes.is_empty() {
            draft.parts.push(Part::Suggestion { title: text, changes, more });
        }
        return;
    }
    let Marks { marks, generated, .. } = marks(&child.spans, false, rendered, sources);
    draft.generated |= generated;
    if !marks.is_empty() {
        draft.parts.push(Part::Section { kind, title: text, marks });
    }
}

/// A suggestion that rustc tells in a label, such as ``help: remove this `mut` ``.
fn label_of(
    text: &str,
    changes: &[Change],
    sources: &Sources<'_>,
) -> Option<(usize, Range<usize>, String)> {
    let [Change { file, patches }] = changes else { return None };
    let [(range, replacement)] = patches.as_slice() else { return None };
    if replacement.contains('\n') {
        return None;
    }
    let removed = sources.files[*file].text[range.clone()].trim_end_matches(['\r', '\n']).len();
    let range = range.start..range.start + removed;
    let shown = replacement.trim();
    // What is said in words needs no code: "add `;` here".
    let in_words = shown.is_empty() || text.contains(&format!("`{shown}`"));
    let label = if in_words { format!("help: {text}") } else { format!("help: {text}: `{shown}`") };
    Some((*file, range, label))
}

/// The ways to follow a suggestion that are in the reader's text, and how many more there are.
fn changes(spans: &[Span], sources: &Sources<'_>) -> (Vec<Change>, usize) {
    // rustc writes the parts of each way in the order of the text, and all ways in one list.
    let mut ways = Vec::<Vec<&Span>>::new();
    for span in spans {
        let joins = ways.last().and_then(|way| way.last()).is_some_and(|last| {
            last.file_name == span.file_name
                && last.byte_end <= span.byte_start
                && (last.byte_start, last.byte_end) != (span.byte_start, span.byte_end)
        });
        match ways.last_mut().filter(|_| joins) {
            Some(way) => way.push(span),
            None => ways.push(vec![span]),
        }
    }
    let mut seen = BTreeSet::new();
    let mut changes: Vec<Change> = ways
        .iter()
        .filter_map(|way| change(way, sources))
        .filter(|change| seen.insert((change.file, format!("{:?}", change.patches))))
        .collect();
    let more = changes.len().saturating_sub(MOST_CHANGES);
    changes.truncate(MOST_CHANGES);
    (changes, more)
}

fn change(way: &[&Span], sources: &Sources<'_>) -> Option<Change> {
    let mut patches = Vec::<(Range<usize>, String)>::new();
    let index = sources.files.iter().position(|file| file.name == way[0].file_name)?;
    let file = &sources.files[index];
    for span in way {
        let text = span.suggested_replacement.clone()?;
        if is_own(&text) {
            return None;
        }
        let range = match patch(file, span.byte_start, span.byte_end) {
            Some(range) => range,
            // An import belongs to the beginning of the program: to that of the cell.
            None if span.byte_end <= file.prefix && text.trim_start().starts_with("use ") => 0..0,
            None => return None,
        };
        if patches.last().is_some_and(|(last, _)| last.end > range.start) {
            return None;
        }
        let import = range == (0..0) && text.trim_start().starts_with("use ");
        let text = if import { format!("{}\n", text.trim()) } else { text };
        patches.push((range, text));
    }
    Some(Change { file: index, patches })
}

/// Which macro an error is from; rustc tells it in its own rendering only.
fn macro_note(rendered: &str) -> Option<String> {
    let note = rendered
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("= note: "))
        .find(|note| note.contains(" originates in the "))?;
    // A cell has no command line to run this with.
    let note = note.split(" (in Nightly builds, run with").next().unwrap_or(note);
    (!is_own(note)).then(|| note.to_owned())
}

/// What stands in backticks.
pub(crate) fn quoted(text: &str) -> Vec<String> {
    let mut pieces: Vec<&str> = text.split('`').collect();
    // The last piece has no closing backtick.
    pieces.pop();
    pieces.into_iter().skip(1).step_by(2).map(str::to_owned).collect()
}

fn raw(message: &Message) -> String {
    let mut all = message.message.clone();
    for text in message.spans.iter().filter_map(|span| span.label.as_deref()) {
        all.push('\n');
        all.push_str(text);
    }
    for child in &message.children {
        all.push('\n');
        all.push_str(&raw(child));
    }
    all
}

fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        plain.push_str(&rest[..at]);
        rest = rest[at..].split_once('m').map_or("", |(_, behind)| behind);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_come_in_pairs() {
        assert_eq!(quoted("a `b` c `d: E` f"), ["b", "d: E"]);
        assert_eq!(quoted("a `b"), Vec::<String>::new());
        assert_eq!(quoted(""), Vec::<String>::new());
    }

    #[test]
    fn colours_go() {
        assert_eq!(without_colours("\x1b[1m\x1b[91merror\x1b[0m: x\x1b["), "error: x");
    }
}
