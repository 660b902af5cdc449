//! Drawing, as rustc does it.

use std::ops::Range;

use annotate_snippets::renderer::{AnsiColor, Effects, Style};
use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level as Title, Origin, Patch, Renderer, Snippet,
};

use crate::draft::{At, Change, Draft, Kind, Mark, Part, quoted};
use crate::locate::{Foreign, last_character, place};
use crate::{Diagnostic, Level, Source, Sources};

/// Grey, as not every front end knows "dim".
const DIM: Style = AnsiColor::BrightBlack.on_default();

/// What a reader sees of it.
pub(crate) fn draw(draft: &Draft, sources: &Sources<'_>) -> Diagnostic {
    let first = first_of(&draft.marks);
    let primary = first.and_then(|mark| match &mark.at {
        At::Reader(index, range) => {
            let file = &sources.files[*index];
            Some(place(file, shown(file.text, range).start))
        }
        At::Foreign(_) => None,
    });
    Diagnostic {
        level: draft.level,
        code: draft.code.clone(),
        message: draft.title.clone(),
        primary,
        elsewhere: primary.is_some_and(|place| place.cell != sources.cell),
        names: quoted(&draft.title),
        rendered: render(draft.level, &groups(draft, sources)),
    }
}

/// Lines that are no diagnostic, under a title in the colours of one.
pub(crate) fn plain(written: &[&str]) -> Vec<String> {
    let title = Title::ERROR.primary_title("rustc ended without a diagnostic");
    let group = Group::with_title(title).element(Title::NOTE.message(written.join("\n")));
    render(Level::Error, &[group])
}

/// The lines. The renderer takes it that each begins in the style of plain text.
fn render(level: Level, groups: &[Group<'_>]) -> Vec<String> {
    let begin = match level {
        Level::Error => String::new(),
        Level::Warning => DIM.to_string(),
    };
    let rendered = renderer(level).render(groups);
    rendered
        .lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("{begin}{line}") })
        .collect()
}

fn renderer(level: Level) -> Renderer {
    let styled = Renderer::styled();
    match level {
        Level::Error => styled,
        Level::Warning => styled
            .warning(AnsiColor::Yellow.on_default())
            .emphasis(DIM)
            .none(DIM)
            .line_num(DIM)
            .context(DIM)
            .note(DIM)
            .help(DIM)
            .info(DIM)
            .addition(DIM)
            .removal(DIM.effects(Effects::STRIKETHROUGH)),
    }
}

fn groups<'a>(draft: &'a Draft, sources: &Sources<'a>) -> Vec<Group<'a>> {
    let level = match draft.level {
        Level::Error => Title::ERROR,
        Level::Warning => Title::WARNING,
    };
    let level = match &draft.level_name {
        Some(name) => level.with_name(name.as_str()),
        None => level,
    };
    let mut title = level.primary_title(draft.title.as_str());
    // rustc names a lint in a note.
    if let Some(code) = draft.code.as_deref().filter(|code| is_number(code)) {
        title = title.id(code);
    }
    let mut groups = Vec::new();
    let mut group = snippets(Group::with_title(title), &draft.marks, sources);
    for part in &draft.parts {
        match part {
            Part::Message { kind, text } => {
                group = group.element(level_of(*kind).message(text.as_str()));
            }
            Part::Section { kind, title, marks } => {
                groups.push(group);
                let title = level_of(*kind).secondary_title(title.as_str());
                group = snippets(Group::with_title(title), marks, sources);
            }
            Part::Suggestion { title, changes, more } => {
                groups.push(group);
                let title = Title::HELP.secondary_title(title.as_str());
                group = Group::with_title(title);
                group = group.elements(changes.iter().map(|change| patched(change, sources)));
                if *more > 0 {
                    let text = format!("and {more} other candidates");
                    group = group.element(Title::NOTE.no_name().message(text));
                }
            }
        }
    }
    groups.push(group);
    groups
}

/// Such as `E0308`.
fn is_number(code: &str) -> bool {
    code.strip_prefix('E').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn level_of(kind: Kind) -> Title<'static> {
    match kind {
        Kind::Note => Title::NOTE,
        Kind::Help => Title::HELP,
    }
}

fn patched<'a>(change: &'a Change, sources: &Sources<'a>) -> Snippet<'a, Patch<'a>> {
    let file = &sources.files[change.file];
    let patches = change.patches.iter().map(|(range, text)| Patch::new(range.clone(), text));
    Snippet::source(file.text).path(shown_name(file)).patches(patches)
}

/// The mark that leads: the first primary one of the text, or else the first.
fn first_of(marks: &[Mark]) -> Option<&Mark> {
    let leading = |mark: &&Mark| {
        let start = match &mark.at {
            At::Reader(_, range) => range.start,
            At::Foreign(foreign) => foreign.start.0,
        };
        (matches!(mark.at, At::Foreign(_)), start)
    };
    let primary = marks.iter().filter(|mark| mark.primary).min_by_key(leading);
    primary.or_else(|| marks.iter().min_by_key(leading))
}

/// One snippet for each file, that of the leading mark first.
fn snippets<'a>(mut group: Group<'a>, marks: &'a [Mark], sources: &Sources<'a>) -> Group<'a> {
    let mut done = Vec::<&str>::new();
    for lead in first_of(marks).into_iter().chain(marks) {
        let name = name_of(&lead.at, sources);
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        let same = marks.iter().filter(|mark| name_of(&mark.at, sources) == name);
        group = match &lead.at {
            At::Reader(index, _) => {
                let text = sources.files[*index].text;
                let annotations = same.filter_map(|mark| match &mark.at {
                    At::Reader(_, range) => Some(annotation(mark, shown(text, range))),
                    At::Foreign(_) => None,
                });
                let shown = shown_name(&sources.files[*index]);
                group.element(Snippet::source(text).path(shown).annotations(annotations))
            }
            At::Foreign(foreign) => draw_foreign(group, foreign, same),
        };
    }
    group
}

/// The name of a cell, whatever folder its file lies in.
fn shown_name<'a>(file: &Source<'a>) -> &'a str {
    file.name.rsplit('/').next().unwrap_or(file.name)
}

fn name_of<'a>(at: &'a At, sources: &Sources<'a>) -> &'a str {
    match at {
        At::Reader(index, _) => shown_name(&sources.files[*index]),
        At::Foreign(foreign) => &foreign.path,
    }
}

fn annotation<'a>(mark: &'a Mark, range: Range<usize>) -> Annotation<'a> {
    let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
    kind.span(range).label(mark.label.as_deref())
}

/// What is to be underlined: nothing behind the last character, where no reader looks.
fn shown(text: &str, range: &Range<usize>) -> Range<usize> {
    let end = text.trim_end().len();
    if range.start >= end { last_character(text) } else { range.start..range.end.min(end) }
}

/// The lines of another crate's file, or its name where rustc could not read them.
fn draw_foreign<'a>(
    group: Group<'a>,
    lead: &'a Foreign,
    marks: impl Iterator<Item = &'a Mark>,
) -> Group<'a> {
    let origin = || Origin::path(&*lead.path).line(lead.start.0).char_column(lead.start.1);
    if lead.lines.is_empty() {
        return group.element(origin());
    }
    let within: Vec<(&Mark, &Foreign)> = marks
        .filter_map(|mark| match &mark.at {
            At::Foreign(foreign) => Some((mark, foreign)),
            At::Reader(..) => None,
        })
        .collect();
    let together = lines_of(within.iter().map(|(_, foreign)| *foreign));
    let Some((start, lines)) = together.or_else(|| lines_of([lead].into_iter())) else {
        return group.element(origin());
    };
    let text = lines.join("\n");
    let annotations: Vec<_> = within
        .iter()
        .filter_map(|(mark, foreign)| {
            let from = offset(&lines, start, foreign.start)?;
            let to = offset(&lines, start, foreign.end)?;
            Some(annotation(mark, from..to.max(from)))
        })
        .collect();
    let snippet = Snippet::source(text).path(&*lead.path).line_start(start);
    group.element(snippet.annotations(annotations))
}

/// The lines that these places have together, with the number of the first, unless some between
/// them are unknown.
fn lines_of<'a>(
    places: impl Iterator<Item = &'a Foreign> + Clone,
) -> Option<(usize, Vec<&'a str>)> {
    let start = places.clone().map(|place| place.start.0).min()?;
    let known = |number: usize| {
        places.clone().find_map(|place| {
            place.lines.get(number.checked_sub(place.start.0)?).map(String::as_str)
        })
    };
    let lines: Vec<&str> = (start..).map_while(known).collect();
    let end = places.clone().map(|place| place.end.0).max()?;
    (start + lines.len() > end).then_some((start, lines))
}

/// The byte of a line and a column, where `lines` begin with the line `start`.
fn offset(lines: &[&str], start: usize, (line, column): (usize, usize)) -> Option<usize> {
    let index = line.checked_sub(start)?;
    let text = lines.get(index)?;
    let before: usize = lines[..index].iter().map(|line| line.len() + 1).sum();
    let within = text.char_indices().nth(column.checked_sub(1)?).map_or(text.len(), |(at, _)| at);
    Some(before + within)
}
