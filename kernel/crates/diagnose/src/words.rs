//! What rustc cannot know: that the program is a notebook.

use crate::Sources;
use crate::context::{Context, context};
use crate::draft::{At, Draft, Kind, Part, quoted};
use crate::locate::is_own;

/// A situation that a notebook has words for.
struct Situation {
    codes: &'static [&'static str],
    /// One of these occurs in what rustc says.
    says: &'static [&'static str],
    when: When,
    /// What `{name}` stands for; without one the situation is another.
    name: Name,
    title: Option<&'static str>,
    /// Another number, with what is said of the place.
    code: Option<(&'static str, &'static str)>,
    /// What rustc says beside, and does not fit: all parts with one of these words.
    drops: &'static [&'static str],
    adds: &'static [(Kind, &'static str)],
}

#[derive(Clone, Copy)]
enum When {
    Always,
    /// Something of it is about generated code.
    Generated,
    /// rustc shows no change of the reader's text that would help.
    NoSuggestion,
    InFunction,
    OutsideFunction,
    /// In a closure of the cell's own statements.
    InClosure,
    /// In a function, and the name is a variable of the notebook.
    VariableInFunction,
    /// In the value of a constant, and the name is a variable of the notebook.
    VariableInConstant,
    /// Not in a function, and the name was a variable's whose value was moved.
    MovedOutsideFunction,
    /// Likewise, and the variable is lost for another reason.
    LostOutsideFunction,
}

#[derive(Clone, Copy)]
enum Name {
    None,
    /// The variable that rustc points at.
    Marked,
    /// What the title names first.
    Quoted,
    /// The crate that was not found.
    Crate,
    /// The type that lacks a trait.
    Type,
}

const USUAL: Situation = Situation {
    codes: &[],
    says: &[""],
    when: When::Always,
    name: Name::None,
    title: None,
    code: None,
    drops: &[],
    adds: &[],
};

const NO_VARIABLES: &str = "functions do not see a notebook's variables: pass `{name}` as an \
                            argument, or make it a `const` or a `static`";
const NO_CONSTANT: &str = "a const cannot use a variable: use `let`, or make `{name}` a const";
const NIGHTLY: &str = "features need a nightly toolchain: `rustup toolchain install nightly` in a \
                       terminal, then `:toolchain nightly` in a cell";
/// A name like it is not what was meant: the name itself is there.
const SIMILAR: [&str; 3] = ["similar name", "similarly named", "you might have meant"];
const SHOW: [&str; 4] = ["rust_live::Show", "`Show`", ": Show`", "in `show`"];

/// The first that fits is the one.
const SITUATIONS: &[Situation] = &[
    // What borrows from a variable of the notebook is given to what may outlive it.
    Situation {
        codes: &["E0597"],
        says: &["`__rust_live_lease` does not live long enough"],
        title: Some("this has to live longer than the variables that it borrows from"),
        adds: &[(
            Kind::Help,
            "let it own what it needs: `move`, `.clone()`, `.to_owned()`, `.to_vec()`",
        )],
        ..USUAL
    },
    // A variable of an earlier cell, of which the closure around this one has a reference.
    Situation {
        codes: &["E0597"],
        says: &["argument requires that `"],
        when: When::InClosure,
        name: Name::Quoted,
        title: Some(
            "closure may outlive the current function, but it borrows `{name}`, which is owned by \
             the current function",
        ),
        code: Some(("E0373", "`{name}` is borrowed here")),
        adds: &[(
            Kind::Help,
            "to force the closure to take ownership of `{name}` (and any other referenced \
             variables), use the `move` keyword",
        )],
        ..USUAL
    },
    // The closing expression has no way to be shown.
    Situation {
        codes: &["E0277"],
        says: &["Show` is not satisfied"],
        when: When::Generated,
        name: Name::Type,
        title: Some("`{name}` cannot be shown"),
        drops: &["`Show`", ": Show`", "in `show`", "following other types implement trait"],
        adds: &[(
            Kind::Help,
            "give its type `#[derive(Debug)]`, or end the line with `;` to show nothing",
        )],
        ..USUAL
    },
    // The same in the words of the trait itself.
    Situation {
        codes: &["E0277"],
        says: &SHOW,
        when: When::Generated,
        drops: &["`Show`", ": Show`", "in `show`", "following other types implement trait"],
        ..USUAL
    },
    Situation {
        codes: &["E0277"],
        says: &["`?` couldn't convert the error"],
        when: When::OutsideFunction,
        title: Some("`?` cannot take this error"),
        drops: &[
            "question mark operation",
            "`From<",
            "following other types implement trait",
            "required for",
        ],
        adds: &[(
            Kind::Help,
            "the cell's `?` takes any error that implements `Display` or `Debug`",
        )],
        ..USUAL
    },
    Situation {
        codes: &["E0282", "E0283", "E0284"],
        when: When::NoSuggestion,
        name: Name::Marked,
        adds: &[(Kind::Help, "write its type, as in `let {name}: Vec<i32> = ..`")],
        ..USUAL
    },
    Situation {
        codes: &["E0790"],
        adds: &[(Kind::Help, "write its type, as in `let v: Vec<i32> = ..`")],
        ..USUAL
    },
    Situation {
        codes: &["E0282", "E0283", "E0284"],
        when: When::NoSuggestion,
        adds: &[(Kind::Help, "write its type, as in `let v: Vec<i32> = ..`")],
        ..USUAL
    },
    Situation {
        codes: &["E0425"],
        when: When::VariableInConstant,
        name: Name::Marked,
        drops: &SIMILAR,
        adds: &[(Kind::Help, NO_CONSTANT)],
        ..USUAL
    },
    Situation {
        codes: &["E0435"],
        name: Name::Marked,
        adds: &[(Kind::Help, NO_CONSTANT)],
        ..USUAL
    },
    Situation {
        codes: &["E0425"],
        when: When::VariableInFunction,
        name: Name::Marked,
        drops: &SIMILAR,
        adds: &[(Kind::Help, NO_VARIABLES)],
        ..USUAL
    },
    Situation {
        codes: &["E0425"],
        when: When::LostOutsideFunction,
        name: Name::Quoted,
        drops: &SIMILAR,
        ..USUAL
    },
    // rustc has not seen it.
    Situation {
        codes: &["E0425"],
        when: When::MovedOutsideFunction,
        name: Name::Quoted,
        title: Some("use of moved value: `{name}`"),
        code: Some(("E0382", "value used here after move")),
        drops: &[
            "similar name",
            "similarly named",
            "not found in this scope",
            "consider importing",
        ],
        ..USUAL
    },
    Situation {
        codes: &["E0434"],
        when: When::InFunction,
        name: Name::Marked,
        adds: &[(Kind::Help, NO_VARIABLES)],
        ..USUAL
    },
    Situation {
        codes: &["E0432", "E0433", "E0463"],
        says: &["unlinked crate `", "can't find crate for `"],
        when: When::NoSuggestion,
        name: Name::Crate,
        drops: &["cargo add", "you might be missing a crate"],
        adds: &[(Kind::Help, "if `{name}` is a crate, add it: `:dep {name} = \"*\"`")],
        ..USUAL
    },
    Situation {
        codes: &["E0554"],
        drops: &["remove the attribute"],
        adds: &[(Kind::Help, NIGHTLY)],
        ..USUAL
    },
    Situation {
        codes: &["E0728"],
        when: When::OutsideFunction,
        adds: &[(
            Kind::Help,
            "a cell is not async: hand the future to a runtime, as in \
             `tokio::runtime::Runtime::new()?.block_on(..)`",
        )],
        ..USUAL
    },
];

/// What is about rustc's command line or the names of its files, and of no use in a notebook.
const COMMAND_LINE: [&str; 4] = [
    "consider using `--verbose`",
    "the full name for the type has been written to",
    "the full type name has been written to",
    // The whole call of the linker.
    "\"-Wl,",
];

/// Says it in the words of a notebook where there are some.
pub(crate) fn reword(mut draft: Draft, sources: &Sources<'_>) -> Draft {
    let seen = Seen::of(&draft, sources);
    if let Some((situation, name)) = SITUATIONS.iter().find_map(|situation| {
        let name = seen.name(situation.name, &draft)?;
        seen.fits(situation, &draft, &name, sources).then_some((situation, name))
    }) {
        let filled = |text: &str| text.replace("{name}", &name);
        if let Some(title) = situation.title {
            draft.title = filled(title);
        }
        draft.parts.retain(|part| !has_any(part.text(), situation.drops));
        draft.marks.retain_mut(|mark| {
            let label = mark.label.take();
            let dropped = label.as_deref().is_some_and(|label| has_any(label, situation.drops));
            mark.label = label.filter(|_| !dropped);
            mark.primary || !dropped
        });
        if let Some((code, label)) = situation.code {
            draft.code = Some(code.to_owned());
            for mark in draft.marks.iter_mut().filter(|mark| mark.primary) {
                mark.label = Some(filled(label));
            }
        }
        // Before what has a snippet of its own.
        let messages = draft.parts.iter().take_while(|part| matches!(part, Part::Message { .. }));
        let at = messages.count();
        let added = situation.adds.iter();
        let added = added.map(|(kind, text)| Part::Message { kind: *kind, text: filled(text) });
        draft.parts.splice(at..at, added);
    }
    draft.parts.retain(|part| !has_any(part.text(), &COMMAND_LINE));
    if draft.code.is_none() && draft.behind {
        end_early(&mut draft);
    }
    if draft.title.contains("__rust_live") {
        draft.title = "the code that the kernel put around this cell does not compile".to_owned();
    } else if is_own(&draft.title) {
        draft.title = draft.title.replace("::rust_live::", "").replace("rust_live::", "");
    }
    draft
}

/// The cell ends where more was expected; what rustc found there is the kernel's.
fn end_early(draft: &mut Draft) {
    const UNCLOSED: [&str; 2] = ["mismatched closing delimiter", "this file contains an unclosed"];
    if has_any(&draft.title, &UNCLOSED) {
        draft.title = "this cell contains an unclosed delimiter".to_owned();
        if draft.marks.iter().any(|mark| !mark.stands_in) {
            draft.marks.retain(|mark| !mark.stands_in);
        }
        for mark in &mut draft.marks {
            mark.label = mark.label.take().filter(|label| !has_any(label, &UNCLOSED));
        }
        return;
    }
    let labels = draft.marks.iter_mut().filter_map(|mark| mark.label.as_mut());
    for text in std::iter::once(&mut draft.title).chain(labels) {
        if let Some((expected, _)) = text.split_once(", found ") {
            *text = format!("{expected}, found the end of the cell");
        } else if text.starts_with("unexpected token: ") {
            *text = "unexpected end of the cell".to_owned();
        }
    }
}

/// What the primary place of a diagnostic says of it.
struct Seen {
    around: Context,
    /// The reader's text under it, if that is the name of a variable.
    marked: Option<String>,
}

impl Seen {
    fn of(draft: &Draft, sources: &Sources<'_>) -> Seen {
        let place = draft.marks.iter().find_map(|mark| match &mark.at {
            At::Reader(index, range) if mark.primary => {
                Some((sources.files[*index].text, range.clone()))
            }
            _ => None,
        });
        let Some((text, range)) = place else {
            return Seen { around: Context::default(), marked: None };
        };
        let word = &text[range.clone()];
        let is_word =
            word.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_')
                && word.chars().all(|next| next.is_alphanumeric() || next == '_');
        let before = text[..range.start].trim_end();
        let behind = text[range.end..].trim_start();
        let is_part = before.ends_with('.') && !before.ends_with("..")
            || before.ends_with("::")
            || behind.starts_with("::")
            || behind.starts_with('(');
        Seen {
            around: context(text, range.start),
            marked: (is_word && !is_part).then(|| word.to_owned()),
        }
    }

    fn name(&self, name: Name, draft: &Draft) -> Option<String> {
        match name {
            Name::None => Some(String::new()),
            Name::Marked => self.marked.clone(),
            Name::Quoted => quoted(&draft.title).into_iter().next(),
            Name::Crate => ["unlinked crate `", "crate for `"].iter().find_map(|start| {
                let (_, behind) = draft.raw.split_once(start)?;
                Some(behind.split_once('`')?.0.to_owned())
            }),
            Name::Type => {
                let bound = quoted(&draft.title).into_iter().next()?;
                Some(bound.rsplit_once(": ").map_or(bound.clone(), |(of, _)| of.to_owned()))
            }
        }
    }

    fn fits(
        &self,
        situation: &Situation,
        draft: &Draft,
        name: &str,
        sources: &Sources<'_>,
    ) -> bool {
        let code = draft.code.as_deref().unwrap_or_default();
        let known = sources.variables.contains(&name);
        let when = match situation.when {
            When::Always => true,
            When::Generated => draft.generated,
            When::NoSuggestion => !draft.parts.iter().any(is_whole),
            When::InFunction => self.around.function,
            When::OutsideFunction => !self.around.function,
            When::InClosure => self.around.closure && !self.around.function,
            When::VariableInFunction => self.around.function && known,
            When::MovedOutsideFunction => !self.around.function && sources.moved.contains(&name),
            When::LostOutsideFunction => !self.around.function && sources.lost.contains(&name),
            When::VariableInConstant => self.around.constant && !self.around.function && known,
        };
        situation.codes.contains(&code) && has_any(&draft.raw, situation.says) && when
    }
}

/// Whether it is a suggestion that says all: rustc writes `/* Type */` where it knows no type.
fn is_whole(part: &Part) -> bool {
    let Part::Suggestion { changes, .. } = part else { return false };
    let mut patches = changes.iter().flat_map(|change| &change.patches);
    !patches.any(|(_, text)| text.contains("/* "))
}

fn has_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}
