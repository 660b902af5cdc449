//! Of which types a cell's variables are, as rustc's MIR says it.
//!
//! The generated code hands each variable to `rust_live::keep` or `lend`, whose result bears the variable's type. The
//! MIR names every type by a path under which it can be reached. Whatever MIR leaves out, the lifetimes,
//! is `'static`: `keep` asks for it, and what borrows from other variables is kept as if it were.

use crate::names::words;

/// A variable that a cell keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Its type.
    pub shape: Shape,
}

/// A type, as far as it can be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// It can be named so.
    Named(String),
    /// A closure or a function: what it can be kept as, with blanks where the compiler knows better.
    Callable(Callable),
    /// It has no name. The words are the compiler's.
    Unnamed(String),
}

/// What a closure, a function or an iterator is kept as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callable {
    /// A function pointer of this type.
    Pointer(String),
    /// A box of this type.
    Boxed(String),
    /// A future in a box of this type, in which it may be already.
    Future {
        /// The type.
        kind: String,
        /// Whether it is.
        is_boxed: bool,
    },
}

impl Callable {
    /// An iterator without a name is kept in a box: as one with two ends, or else with one.
    pub fn iterator() -> Callable {
        let kind = "::std::boxed::Box<dyn ::std::iter::DoubleEndedIterator<Item = _>>";
        Callable::Boxed(kind.to_owned())
    }

    /// A future without a name is kept in a box: as one that may go to another thread, or else as one that may not.
    /// None of what is no future. The type is as rustc names it.
    pub fn future(kind: &str) -> Option<Callable> {
        let boxed = kind.strip_prefix("std::pin::Pin<std::boxed::Box<");
        let of = boxed.unwrap_or(kind);
        let is_one = ["{async ", "impl std::future::Future<", "impl Future<"];
        is_one.iter().any(|begin| of.starts_with(begin)).then(|| Callable::Future {
            kind: "::std::pin::Pin<::std::boxed::Box<dyn ::std::future::Future<Output = _> \
                   + ::std::marker::Send>>"
                .to_owned(),
            is_boxed: boxed.is_some(),
        })
    }

    /// What stands around a value to make it this. A type behind `as` would not reach a closure.
    pub(crate) fn around(&self) -> (String, &'static str) {
        match self {
            Callable::Pointer(kind) => (format!("{{ let kept: {kind} = "), "; kept }"),
            Callable::Boxed(kind) => {
                (format!("{{ let kept: {kind} = ::std::boxed::Box::new("), "); kept }")
            }
            Callable::Future { kind, is_boxed: true } => {
                (format!("{{ let kept: {kind} = "), "; kept }")
            }
            Callable::Future { kind, .. } => {
                (format!("{{ let kept: {kind} = ::std::boxed::Box::pin("), "); kept }")
            }
        }
    }

    /// The same of a closure that stands within a value, and may borrow from what is there.
    pub(crate) fn in_place(&self) -> Callable {
        match self {
            Callable::Boxed(kind) => Callable::Boxed(with_lifetime(kind, " + '_")),
            _ => self.clone(),
        }
    }

    /// What else it may be kept as: with blanks for references as well, since the compiler may find out for
    /// which lifetimes it takes them; then boxed, for a closure may capture what takes no room.
    pub fn looser(&self) -> Option<Callable> {
        let (Callable::Pointer(kind) | Callable::Boxed(kind) | Callable::Future { kind, .. }) =
            self;
        let looser = kind.replace("&mut _", "_").replace("&_", "_").replace("DoubleEnded", "");
        match self {
            Callable::Pointer(kind) if looser != *kind => Some(Callable::Pointer(looser)),
            Callable::Boxed(kind) if looser != *kind => Some(Callable::Boxed(looser)),
            Callable::Pointer(kind) => {
                let called = kind.strip_prefix("fn")?;
                Some(Callable::Boxed(format!("::std::boxed::Box<dyn ::std::ops::Fn{called}>")))
            }
            Callable::Future { kind, is_boxed } => {
                let looser = kind.replace(" + ::std::marker::Send", "");
                (looser != *kind).then_some(Callable::Future { kind: looser, is_boxed: *is_boxed })
            }
            Callable::Boxed(_) => None,
        }
    }
}

/// The variables that are kept, in the order in which they are.
pub fn kept(mir: &str) -> Vec<Kept> {
    let mut found = Vec::new();
    let mut body = 0;
    let mut at = 0;
    for line in mir.split_inclusive('\n') {
        if line.starts_with("fn ") {
            body = at;
        }
        at += line.len();
        // The path is written down where another function has the same name.
        let Some((local, call)) = line.trim_start().split_once(" = ") else { continue };
        let call = call.strip_prefix("rust_live::").unwrap_or(call);
        let functions = [
            ("keep::<", ("rust_live::Kept<", ">;\n")),
            ("keep_borrowing::<", ("rust_live::Kept<", ">;\n")),
            ("keep_parts::<", ("rust_live::Kept<", ">;\n")),
            ("lend::<", ("&mut ", ";\n")),
            ("lend_borrowing::<", ("&mut ", ";\n")),
        ];
        let function = functions.iter().find(|(function, _)| call.starts_with(function));
        let Some((_, around)) = function else { continue };
        let Some((_, rest)) = call.split_once("(const \"") else { continue };
        let Some((name, argument)) = rest.split_once('"') else { continue };
        let Some(kind) = type_of(&mir[body..], local, *around) else { continue };
        let is_empty = argument.starts_with(", const ZeroSized");
        found.push(Kept { name: name.to_owned(), shape: shape(kind, mir, is_empty) });
    }
    found
}

/// Whether a cell's own code has a variable of this name.
pub fn declares(mir: &str, name: &str) -> bool {
    let debug = format!("debug {name} => ");
    let bodies = mir
        .split("\nfn ")
        .filter(|body| body.trim_start_matches("fn ").starts_with("__rust_live_body::{closure#0}"));
    bodies.into_iter().any(|body| body.contains(&debug))
}

/// The type of what is kept in a local of a function, between what stands around it in the local's type.
fn type_of<'a>(body: &'a str, local: &str, (before, after): (&str, &str)) -> Option<&'a str> {
    let end = body.find("\n}").unwrap_or(body.len());
    let declared = format!(" {local}: {before}");
    let start = body[..end].find(&declared)? + declared.len();
    body[start..end].split(after).next()
}

fn shape(kind: &str, mir: &str, is_empty: bool) -> Shape {
    if kind.starts_with("{closure@") && kind.find('}') == Some(kind.len() - 1) {
        return closure(kind, mir, is_empty)
            .map_or_else(|| Shape::Unnamed(kind.to_owned()), Shape::Callable);
    }
    if let Some((signature, _)) = kind.split_once(" {")
        && kind.ends_with('}')
        && let Some(at) = signature.find("fn(")
        && !signature.contains("impl ")
    {
        let arguments = arguments(&signature[at + 3..]);
        // Which lifetimes are one, and how it is called, its type says alone.
        let is_named = signature.contains("-> &") && arguments.len() > 1
            || signature.contains("extern ")
            || signature.contains("unsafe ");
        let pointer = match is_named {
            true => with_static_of_mir(signature),
            false => callable("fn", &arguments, signature.contains("-> &")),
        };
        return Shape::Callable(Callable::Pointer(pointer));
    }
    let has_words = |words: &str| kind.contains(words);
    if has_words("{")
        || kind.starts_with("impl ")
        || [" impl ", "<impl ", "(impl ", "&impl "].iter().any(|words| has_words(words))
    {
        return Shape::Unnamed(kind.to_owned());
    }
    Shape::Named(with_static_of_mir(&by_stable_paths(kind)))
}

/// The errors of channels, which rustc names by a module that is not stable.
const ERRORS_OF_CHANNELS: [&str; 5] =
    ["RecvError", "TryRecvError", "RecvTimeoutError", "SendError", "TrySendError"];

fn by_stable_paths(kind: &str) -> String {
    let mut kind = kind.to_owned();
    for name in ERRORS_OF_CHANNELS {
        let (found, stable) =
            (format!("std::sync::mpmc::{name}"), format!("std::sync::mpsc::{name}"));
        kind = kind.replace(&found, &stable);
    }
    kind
}

/// What is known of a closure: rustc prints its body as a function whose first argument is the closure.
struct Signature<'a> {
    /// The trait by which it is called.
    of: &'static str,
    /// As `_2: u32`.
    arguments: Vec<&'a str>,
    returned: &'a str,
    captures: bool,
}

impl<'a> Signature<'a> {
    fn find(kind: &str, mir: &'a str) -> Option<Signature<'a>> {
        let header = mir.lines().find_map(|line| {
            let at = line.find("}(_1: ").filter(|_| line.starts_with("fn "))?;
            let rest = &line[at + 6..];
            rest.trim_start_matches("&mut ")
                .trim_start_matches('&')
                .starts_with(kind)
                .then_some((line, rest))
        });
        let (line, own) = header?;
        let (of, own) = if let Some(own) = own.strip_prefix("&mut ") {
            ("std::ops::FnMut", own)
        } else if let Some(own) = own.strip_prefix('&') {
            ("std::ops::Fn", own)
        } else {
            ("std::ops::FnOnce", own)
        };
        let rest = own.strip_prefix(kind)?;
        let arguments = arguments(rest.strip_prefix(", ").unwrap_or(rest));
        let returned = line.rsplit_once(") -> ")?.1.trim_end_matches(" {");
        // What it captures is named behind its header.
        let start = mir.find(line)?;
        let body = &mir[start..start + mir[start..].find("\n}").unwrap_or(mir.len() - start)];
        let captures = body.contains("=> ((*_1).")
            || body.contains("=> (*((*_1).")
            || body.contains("=> (_1.")
            || body.contains("=> (*(_1.");
        Some(Signature { of, arguments, returned, captures })
    }

    /// A type that a closure can be made, with what stands between its traits and the arrow.
    fn called(&self, as_pointer: bool, signature: impl Fn(&str) -> String) -> Callable {
        match as_pointer {
            true => Callable::Pointer(signature("fn")),
            false => Callable::Boxed(format!("::std::boxed::Box<dyn ::{}>", signature(self.of))),
        }
    }

    /// The same with the types as rustc prints them, or blanks where these say too little.
    fn in_full(&self, name: &str) -> String {
        let types = self
            .arguments
            .iter()
            .map(|argument| argument.split_once(": ").map_or(*argument, |(_, kind)| kind).trim());
        let types: Vec<&str> = types.collect();
        let borrows = |kind: &&&str| kind.contains(['&', '\'']);
        let is_told =
            |kind: &&str| !kind.contains(['{', '\'']) && !words(kind).any(|word| word == "impl");
        let is_plain = !borrows(&&self.returned) || types.iter().filter(borrows).count() == 1;
        if is_plain && types.iter().chain([&self.returned]).all(is_told) {
            return format!("{name}({}) -> {}", types.join(", "), self.returned);
        }
        callable(name, &self.arguments, self.returned.starts_with('&'))
    }
}

/// What a closure is kept as.
fn closure(kind: &str, mir: &str, is_empty: bool) -> Option<Callable> {
    let found = Signature::find(kind, mir)?;
    let as_pointer = !found.captures && (is_empty || found.of == "std::ops::Fn");
    let returns_reference = found.returned.starts_with('&');
    Some(found.called(as_pointer, |name| callable(name, &found.arguments, returns_reference)))
}

/// The closures of a cell's own in a type, each by line and column, with what it can be made so that the type has a name.
pub fn closures_in(kind: &str, cell: &str, mir: &str) -> Vec<((usize, usize), Callable)> {
    let before = format!("{{closure@{cell}:");
    let found = kind.match_indices(&before).filter_map(|(at, _)| {
        let whole = &kind[at..at + kind[at..].find('}')? + 1];
        let mut numbers = whole[before.len()..].split([':', ' ']);
        let place = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        let signature = Signature::find(whole, mir)?;
        let called = signature.called(!signature.captures, |name| signature.in_full(name));
        Some((place, called))
    });
    found.collect()
}

/// A type of functions, with blanks for what the compiler finds out: references are told apart, so that a
/// function takes one of any lifetime.
fn callable(name: &str, arguments: &[&str], returns_reference: bool) -> String {
    let blank = |argument: &&str| {
        let argument = argument.split_once(": ").map_or(*argument, |(_, kind)| kind).trim();
        if argument.starts_with("&mut ") || argument.starts_with("&'") && argument.contains("mut ")
        {
            "&mut _"
        } else if argument.starts_with('&') {
            "&_"
        } else {
            "_"
        }
    };
    let references = arguments.iter().map(blank).filter(|blank| blank.starts_with('&')).count();
    let blanks: Vec<&str> = arguments.iter().map(blank).collect();
    let returned = if returns_reference && references == 1 { "&_" } else { "_" };
    format!("{name}({}) -> {returned}", blanks.join(", "))
}

/// The arguments up to the closing parenthesis.
fn arguments(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let mut start = 0;
    let mut found = Vec::new();
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        match character {
            ')' if depth == 0 => {
                if !text[start..at].trim().is_empty() {
                    found.push(text[start..at].trim());
                }
                break;
            }
            '(' | '[' | '<' | '{' => depth += 1,
            '>' if before == '-' => {}
            ')' | ']' | '>' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        before = character;
    }
    found
}

/// What the names of crates begin with where types are named by them.
pub(crate) const BY_CRATE: &str = "__rust_live_crate_";

/// A type whose paths begin at the crates that define it. rustc names a type by a way to it through the crates
/// that are named; where one of them passes another on under a new name, there is no such way.
pub(crate) fn by_crates(kind: &str, crates: &[String]) -> String {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut out = String::with_capacity(kind.len() + 32);
    let mut rest = kind;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_path(c)).unwrap_or(rest.len());
        let (path, behind) = rest.split_at(end);
        let parts: Vec<&str> = path.split("::").collect();
        let at = parts.iter().rposition(|part| crates.iter().any(|name| name == part));
        match at.filter(|at| at + 1 < parts.len()) {
            Some(at) => {
                out.push_str(BY_CRATE);
                out.push_str(&parts[at..].join("::"));
            }
            None => out.push_str(path),
        }
        let next = behind.chars().next().map_or(0, char::len_utf8);
        out.push_str(&behind[..next]);
        rest = &behind[next..];
    }
    out
}

/// The crates that a type names so.
pub(crate) fn named_by_crates(kind: &str) -> impl Iterator<Item = &str> {
    kind.split(BY_CRATE).skip(1).filter_map(|rest| rest.split("::").next())
}

/// Whether a type does not say of everything in it how long it lives.
pub fn hides_lifetimes(kind: &str) -> bool {
    words(kind).any(|word| matches!(word, "dyn" | "fn"))
}

/// The type of a variable that borrows from others: a closure or an iterator in a box is as short-lived as what it
/// captures.
pub fn of_borrower(kind: &str) -> String {
    let boxed = kind.strip_prefix("std::boxed::Box<dyn ").and_then(|kind| kind.strip_suffix('>'));
    let is_by_kernel = |called: &&str| {
        called.starts_with("std::ops::Fn")
            || called.starts_with("for<") && called.contains("> std::ops::Fn")
            || called.starts_with("std::iter::Iterator<Item = ")
            || called.starts_with("std::iter::DoubleEndedIterator<Item = ")
    };
    let future = kind.strip_prefix("std::pin::Pin<std::boxed::Box<dyn ");
    let future = future.and_then(|kind| kind.strip_suffix(">>"));
    match boxed.filter(is_by_kernel) {
        Some(called) => format!("std::boxed::Box<dyn {called} + 'static>"),
        None => match future.filter(|future| future.starts_with("std::future::Future<")) {
            Some(future) => format!("std::pin::Pin<std::boxed::Box<dyn {future} + 'static>>"),
            None => kind.to_owned(),
        },
    }
}

/// The type of a variable that borrows from others by closures in boxes, wherever in it these are.
pub fn of_borrower_by_closures(kind: &str) -> String {
    with_lifetime(kind, " + 'static")
}

/// A type with a lifetime for each closure in a box that has none.
fn with_lifetime(kind: &str, lifetime: &str) -> String {
    const BOX: &str = "std::boxed::Box<dyn ";
    let Some((before, rest)) = kind.split_once(BOX) else { return kind.to_owned() };
    let mut depth = 0;
    let mut last = ' ';
    let end = rest.find(|c: char| {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' if last == '-' => {}
            '>' | ')' | ']' => depth -= 1,
            _ => {}
        }
        last = c;
        depth < 0
    });
    let (called, behind) = rest.split_at(end.unwrap_or(rest.len()));
    let has_none = called.contains("ops::Fn") && !called.contains(" + '");
    let lifetime_of_it = if has_none { lifetime } else { "" };
    format!("{before}{BOX}{called}{lifetime_of_it}{}", with_lifetime(behind, lifetime))
}

/// Whether nothing can be put into a value of this type that is not declared with `mut`: it is made of the standard
/// library's types, none of which lets one in.
pub(crate) fn is_frozen(kind: &str) -> bool {
    // Nor does a closure take anything that lives for a certain time alone.
    if kind.ends_with(" + 'static>") && kind.matches("'static").count() == 1 {
        return true;
    }
    let lets_in = [
        "Cell",
        "RefCell",
        "OnceCell",
        "LazyCell",
        "Mutex",
        "RwLock",
        "OnceLock",
        "LazyLock",
        "Sender",
        "SyncSender",
    ];
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut paths = kind.split(|c| !is_path(c)).filter(|path| !path.is_empty());
    paths.all(|path| {
        let first = path.split("::").next().unwrap_or_default();
        let is_primitive = !path.contains("::") && path.starts_with(|c: char| !c.is_uppercase());
        (is_primitive || matches!(first, "std" | "core" | "alloc"))
            && !words(path).any(|word| word == "dyn" || lets_in.contains(&word))
    })
}

/// The type with the lifetime of what a cell may use in place of `'static`.
pub(crate) fn for_lease(kind: &str) -> String {
    kind.replace("'static", LEASE)
}

/// The lifetime of what a cell may use of what others have lent.
pub(crate) const LEASE: &str = "'lease";

/// The type with `'static` where none is written, but for those of a function's arguments.
pub(crate) fn with_static(kind: &str) -> String {
    made_static(kind, false)
}

/// The type with `'static` where MIR shows no lifetime, in functions that return references too: MIR names those
/// lifetimes that a function takes any of, as in `for<'a> fn(&'a str) -> &'a str`.
fn with_static_of_mir(kind: &str) -> String {
    made_static(kind, true)
}

fn made_static(kind: &str, is_of_mir: bool) -> String {
    let mut out = String::with_capacity(kind.len() + 16);
    // For each open bracket whether what follows belongs to a function, and whether the bracket does.
    let mut of_function = vec![(false, false)];
    let mut rest = kind;
    while let Some(character) = rest.chars().next() {
        let inside = of_function.iter().any(|(of, _)| *of);
        if rest.starts_with("'_")
            && !rest[2..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
        {
            out.push_str(if inside { "'_" } else { "'static" });
            rest = &rest[2..];
            continue;
        }
        match character {
            '&' => {
                out.push('&');
                if !inside && !rest[1..].starts_with('\'') {
                    out.push_str("'static ");
                }
            }
            '(' => {
                let is_function = opens_function(&out, rest, is_of_mir);
                of_function.push((is_function, is_function));
                out.push('(');
            }
            ')' => {
                let (_, was) = of_function.pop().unwrap_or_default();
                out.push(')');
                // What a function returns is its own, too, up to the end of what it stands in.
                if was
                    && rest[1..].starts_with(" -> ")
                    && let Some((last, _)) = of_function.last_mut()
                {
                    *last = true;
                }
            }
            '<' | '[' => {
                of_function.push((false, false));
                out.push(character);
            }
            '>' if out.ends_with('-') => out.push('>'),
            '>' | ']' => {
                of_function.pop();
                out.push(character);
            }
            ',' => {
                // A return type ends here, an argument does not.
                if let Some((last, opened)) = of_function.last_mut() {
                    *last = *opened;
                }
                out.push(',');
            }
            other => out.push(other),
        }
        rest = &rest[character.len_utf8()..];
        if of_function.is_empty() {
            of_function.push((false, false));
        }
    }
    out
}

/// Whether the bracket between two texts holds arguments whose lifetimes may be any.
fn opens_function(before: &str, from: &str, is_of_mir: bool) -> bool {
    if ["Fn", "FnMut", "FnOnce"].iter().any(|name| before.ends_with(name)) {
        return true;
    }
    let Some(before) = before.strip_suffix("fn") else { return false };
    let before = before.trim_end_matches("unsafe ");
    let is_bound = before.ends_with("> ") && !before.ends_with("-> ") || before.ends_with("\" ");
    !is_of_mir || is_bound || !returned(from).contains(['&', '\''])
}

/// What a function returns whose arguments a text begins with, in brackets.
fn returned(text: &str) -> &str {
    let mut depth = 0_i32;
    let mut start = None;
    for (at, character) in text.char_indices() {
        match character {
            '>' if text[..at].ends_with('-') => {}
            '(' | '[' | '<' => depth += 1,
            ')' | ']' | '>' => depth -= 1,
            _ => {}
        }
        let ends = depth < 0 || depth == 0 && character == ',';
        match start {
            None if depth == 0 => start = text[at + 1..].starts_with(" -> ").then_some(at + 1),
            Some(start) if ends => return &text[start..at],
            _ => {}
        }
        if start.is_none() && depth <= 0 {
            return "";
        }
    }
    start.map_or("", |start| &text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_by_the_crate_that_defines_it() {
        let crates = ["lab", "data"].map(str::to_owned);
        let kind = by_crates("std::vec::Vec<(lab::data::Set, &'static lab::Net)>", &crates);
        assert_eq!(
            kind,
            "std::vec::Vec<(__rust_live_crate_data::Set, &'static __rust_live_crate_lab::Net)>"
        );
        assert_eq!(named_by_crates(&kind).collect::<Vec<_>>(), ["data", "lab"]);
        // As it comes back when the variable is kept again.
        assert_eq!(by_crates(&kind, &crates), kind);
    }

    #[test]
    fn closures_in_boxes_have_a_lifetime() {
        for (kind, with) in [
            (
                "a::Op<std::boxed::Box<dyn std::ops::Fn(i32) -> i32>>",
                "a::Op<std::boxed::Box<dyn std::ops::Fn(i32) -> i32 + 'static>>",
            ),
            (
                "(std::boxed::Box<dyn std::ops::FnOnce() -> std::vec::Vec<u8>>, std::boxed::Box<dyn std::fmt::Debug>)",
                "(std::boxed::Box<dyn std::ops::FnOnce() -> std::vec::Vec<u8> + 'static>, std::boxed::Box<dyn std::fmt::Debug>)",
            ),
            (
                "std::boxed::Box<dyn std::ops::Fn() + 'a>",
                "std::boxed::Box<dyn std::ops::Fn() + 'a>",
            ),
        ] {
            assert_eq!(of_borrower_by_closures(kind), with);
        }
    }

    #[test]
    fn what_borrows_has_a_type_that_says_so() {
        let plain = "(&'static str, std::slice::Iter<'static, S<'static>>)";
        assert!(of_borrower(plain) == plain && !hides_lifetimes(plain));
        let closure = of_borrower("std::boxed::Box<dyn for<'a> std::ops::Fn(&'a str) -> i32>");
        let bound = "std::boxed::Box<dyn for<'a> std::ops::Fn(&'a str) -> i32 + 'static>";
        assert!(closure == bound && hides_lifetimes(bound));
        assert_eq!(for_lease(bound), bound.replace("'static", "'lease"));
        assert!(is_frozen("std::vec::Vec<(&'static str, [i32; 3])>"));
        assert!(is_frozen(bound));
        for open in ["std::cell::Cell<&'static str>", "Parser<'static>"] {
            assert!(!is_frozen(open), "{open}");
        }
    }

    #[test]
    fn lifetimes_that_are_not_shown_are_static() {
        for (shown, meant) in [
            ("&str", "&'static str"),
            ("inner::Q<'_>", "inner::Q<'static>"),
            ("(u8, &str, char)", "(u8, &'static str, char)"),
            ("for<'a> fn(&'a str, &u8) -> u8", "for<'a> fn(&'a str, &u8) -> u8"),
            (
                "HashMap<&str, std::boxed::Box<dyn for<'a> std::ops::Fn(&'a str) -> &str>>",
                "HashMap<&'static str, std::boxed::Box<dyn for<'a> std::ops::Fn(&'a str) -> &str>>",
            ),
            ("(fn(&u8) -> &u8, &u8)", "(fn(&u8) -> &u8, &'static u8)"),
            ("&mut [&str]", "&'static mut [&'static str]"),
        ] {
            assert_eq!(with_static(shown), meant);
        }
        for (shown, meant) in [
            ("fn(&str, &str) -> &str", "fn(&'static str, &'static str) -> &'static str"),
            ("Vec<for<'a> fn(&'a str) -> usize>", "Vec<for<'a> fn(&'a str) -> usize>"),
            ("(fn(&u8) -> u8, fn(&u8) -> &u8)", "(fn(&u8) -> u8, fn(&'static u8) -> &'static u8)"),
        ] {
            assert_eq!(with_static_of_mir(shown), meant);
        }
    }

    #[test]
    fn variables_are_read_out_of_mir() {
        let mir = "fn __rust_live_body::{closure#0}(_1: X) -> R {\n    let _3: rust_live::Kept<std::vec::Vec<i32>>;\n\
            let _5: rust_live::Kept<{closure@cell 1:2:9: 2:17}>;\n\
            let _7: rust_live::Kept<{closure@cell 1:3:9: 3:17}>;\n\
            let _8: rust_live::Kept<std::iter::Map<A, {closure@cell 1:4:9: 4:17}>>;\n\
            let _9: rust_live::Kept<fn(&i32) -> i32 {foo}>;\n\
            bb0: {\n        _3 = rust_live::keep::<Vec<i32>>(const \"v\", move _2) -> [return: bb1, unwind: bb2];\n\
            _5 = rust_live::keep::<{closure@cell 1:2:9: 2:17}>(const \"inc\", const ZeroSized: {closure}) -> x;\n\
            _7 = rust_live::keep::<{closure@cell 1:3:9: 3:17}>(const \"own\", move _6) -> x;\n\
            _8 = rust_live::keep::<Map<A, {closure@cell 1:4:9: 4:17}>>(const \"it\", move _6) -> x;\n\
            _9 = rust_live::keep::<fn(&i32) -> i32 {foo}>(const \"item\", foo) -> x;\n    }\n}\n\
            fn __rust_live_body::{closure#0}::{closure#0}(_1: &{closure@cell 1:2:9: 2:17}, _2: i32) -> i32 {\n}\n\
            fn __rust_live_body::{closure#0}::{closure#1}(_1: &mut {closure@cell 1:3:9: 3:17}, _2: &str, _3: (u8, u8)) -> usize {\n\
                debug k => ((*_1).0: usize);\n}\n";
        let kept = kept(mir);
        let shapes: Vec<_> = kept.iter().map(|kept| (kept.name.as_str(), &kept.shape)).collect();
        let boxed = "::std::boxed::Box<dyn ::std::ops::FnMut(&_, _) -> _>".to_owned();
        assert_eq!(
            shapes,
            [
                ("v", &Shape::Named("std::vec::Vec<i32>".into())),
                ("inc", &Shape::Callable(Callable::Pointer("fn(_) -> _".into()))),
                ("own", &Shape::Callable(Callable::Boxed(boxed))),
                ("it", &Shape::Unnamed("std::iter::Map<A, {closure@cell 1:4:9: 4:17}>".into())),
                ("item", &Shape::Callable(Callable::Pointer("fn(&_) -> _".into()))),
            ]
        );
    }
}
