//! Paths in a cell are relative to the notebook, not to where the cell is compiled.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ra_ap_syntax::ast::HasModuleItem as _;
use ra_ap_syntax::{Edition, SourceFile};
use rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};

use crate::edit::Edit;

/// A module whose text is in a file of its own beside the notebook, as `mod helpers;` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleFile {
    /// Its name.
    pub name: String,
    /// `helpers.rs`, or `helpers/mod.rs`.
    pub file: PathBuf,
    /// The folder of the modules that are in it: `helpers`.
    pub folder: PathBuf,
    /// Where in the cell an attribute can be put.
    pub at: usize,
}

impl ModuleFile {
    /// Its attribute for a program whose compiler is to read another file.
    pub(crate) fn read_from(&self, path: &str) -> Edit {
        Edit::insert(self.at, format!("#[path = {path:?}] "))
    }
}

/// A file that an item of a cell includes, as `const TEXT: &str = include_str!("words.txt");` says, or which holds the
/// items itself, as in `include!("helpers.rs");` and `#[path = "helpers.rs"] mod helpers;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludedFile {
    /// As the reader has written it.
    pub written: String,
    /// Where it is.
    pub file: PathBuf,
    /// What it held when the cell was taken apart, if it is Rust and can be read.
    pub text: Option<String>,
    /// Where in the cell it is written, with its quotes.
    pub literal: Range<usize>,
}

/// The text of a module's file, to be read from another folder: paths in it are relative to its own.
pub fn text_of_module(text: &str, folder: &Path) -> String {
    let whole = 0..text.len();
    crate::edit::rendered(text, std::slice::from_ref(&whole), &absolute(text, folder))
}

/// The words and signs of a text, without blanks and comments, and where they stand.
struct Tokens<'a> {
    code: &'a str,
    all: Vec<(TokenKind, Range<usize>)>,
}

impl<'a> Tokens<'a> {
    fn of(code: &'a str) -> Tokens<'a> {
        let mut at = 0;
        let all = tokenize(code, FrontmatterAllowed::No)
            .map(|token| {
                let range = at..at + token.len as usize;
                at = range.end;
                (token.kind, range)
            })
            .filter(|(kind, _)| {
                !matches!(
                    kind,
                    TokenKind::Whitespace
                        | TokenKind::LineComment { .. }
                        | TokenKind::BlockComment { .. }
                )
            })
            .collect();
        Tokens { code, all }
    }

    fn text(&self, index: usize) -> &'a str {
        self.all.get(index).map_or("", |(_, range)| &self.code[range.clone()])
    }

    fn is_text(&self, index: usize) -> bool {
        self.all.get(index).is_some_and(|(kind, _)| {
            matches!(kind, TokenKind::Literal { kind: LiteralKind::Str { terminated: true }, .. })
        })
    }

    /// Where a path stands that `include_str!("..")` or its like, or `#[path = ".."]`, names here.
    fn path_at(&self, index: usize) -> Option<usize> {
        let literal = match (self.text(index), self.text(index + 1)) {
            ("include_str" | "include_bytes" | "include", "!") => index + 3,
            ("path", "=")
                if index >= 2 && self.text(index - 2) == "#" && self.text(index - 1) == "[" =>
            {
                index + 2
            }
            _ => return None,
        };
        self.is_text(literal).then_some(literal)
    }

    /// Where the bracket was opened that is closed here.
    fn opening(&self, close: usize) -> Option<usize> {
        let mut depth = 0;
        (0..=close).rev().find(|index| {
            match self.text(*index) {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" => depth -= 1,
                _ => {}
            }
            depth == 0
        })
    }
}

/// The modules of a cell, outside of all brackets, whose files lie in a folder. One that names its file itself is none
/// of them.
pub(crate) fn modules(code: &str, folder: &Path) -> Vec<ModuleFile> {
    let tokens = Tokens::of(code);
    let mut depth = 0;
    let mut found = Vec::new();
    for index in 0..tokens.all.len() {
        match tokens.text(index) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            "mod" if depth == 0 && tokens.text(index + 2) == ";" => {
                let name = tokens.text(index + 1).trim_start_matches("r#").to_owned();
                let inner = folder.join(&name);
                let files = [folder.join(format!("{name}.rs")), inner.join("mod.rs")];
                let file = files.into_iter().find(|file| file.is_file());
                found.extend(file.zip(head(&tokens, index)).map(|(file, at)| ModuleFile {
                    name,
                    file,
                    folder: inner,
                    at,
                }));
            }
            _ => {}
        }
    }
    found
}

/// The files that a cell includes and that are there; not one with modules in further files, which are looked for
/// beside it.
pub(crate) fn included(code: &str, folder: &Path) -> Vec<IncludedFile> {
    let tokens = Tokens::of(code);
    let all = (0..tokens.all.len()).filter_map(|index| Some((index, tokens.path_at(index)?)));
    let found = all.map(|(index, literal)| {
        let literal = tokens.all[literal].1.clone();
        let written = code[literal.start + 1..literal.end - 1].to_owned();
        let file = folder.join(&written);
        let is_rust = matches!(tokens.text(index), "include" | "path");
        let text = is_rust.then(|| std::fs::read_to_string(&file).ok()).flatten();
        IncludedFile { written, file, text, literal }
    });
    found.filter(|included| included.file.is_file() && !included.has_modules_in_files()).collect()
}

impl IncludedFile {
    fn has_modules_in_files(&self) -> bool {
        let tokens = Tokens::of(self.text.as_deref().unwrap_or_default());
        (0..tokens.all.len())
            .any(|index| tokens.text(index) == "mod" && tokens.text(index + 2) == ";")
    }
}

/// Whether a file of this text holds items and nothing else. One with statics does not count: each cell that is compiled
/// with it would have its own.
pub(crate) fn has_items_alone(text: &str, edition: Edition) -> bool {
    let tokens = Tokens::of(text);
    let parse = SourceFile::parse(text, edition);
    parse.errors().is_empty()
        && parse.tree().items().next().is_some()
        && !(0..tokens.all.len()).any(|index| tokens.text(index) == "static")
}

/// Where the item begins whose `mod` stands here, behind its attributes; None where one of these names its file.
fn head(tokens: &Tokens<'_>, word: usize) -> Option<usize> {
    let before = |index: usize| index.checked_sub(1).map_or("", |before| tokens.text(before));
    let mut first = word;
    if before(first) == ")" {
        first = tokens.opening(first - 1)?;
    }
    if before(first) == "pub" {
        first -= 1;
    }
    let at = tokens.all[first].1.start;
    while before(first) == "]" {
        let open = tokens.opening(first - 1)?;
        if tokens.text(open + 1) == "path" {
            return None;
        }
        first = open.checked_sub(1)?;
    }
    Some(at)
}

/// Makes the paths in `include_str!("..")` and its like, and in `#[path = ".."]`, absolute.
pub(crate) fn absolute(code: &str, folder: &Path) -> Vec<Edit> {
    let tokens = Tokens::of(code);
    let mut edits = Vec::new();
    for literal in (0..tokens.all.len()).filter_map(|index| tokens.path_at(index)) {
        let range = tokens.all[literal].1.clone();
        let written = &code[range.start + 1..range.end - 1];
        if !written.contains('\\') && Path::new(written).is_relative() {
            let path = folder.join(written);
            edits.push(Edit::replace(range, format!("{:?}", path.to_string_lossy())));
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_in_files_are_those_whose_files_are_there() {
        let folder = std::env::temp_dir().join(format!("modules-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("b")).unwrap();
        for file in ["a.rs", "b/mod.rs", "c.rs", "d.rs"] {
            std::fs::write(folder.join(file), "").unwrap();
        }
        let code = "mod a; /* mod c; */ #[allow(unused)] pub(crate) mod b;\n\
                    #[path = \"x.rs\"] mod c; mod e; fn f() { mod d; } let mod_ = \"mod d;\";";
        let found = modules(code, &folder);
        let found: Vec<_> = found.iter().map(|one| (&*one.name, &code[one.at..])).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].0 == "a" && found[0].1.starts_with("mod a;"));
        assert!(found[1].0 == "b" && found[1].1.starts_with("pub(crate) mod b;"), "{found:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn files_that_are_included_and_those_that_hold_items_alone() {
        let folder = std::env::temp_dir().join(format!("included-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (file, text) in [
            ("items.rs", "//! Items.\nfn f() -> i32 { 1 }\nstruct P;\n"),
            ("value.rs", "1 + 1"),
            ("broken.rs", "fn f( {"),
            ("static.rs", "fn f() { static N: u8 = 0; }"),
            ("local.rs", "std::thread_local! { static N: u8 = 0; }"),
            ("upper.rs", "mod lower; fn f() {}"),
        ] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let code = "include!(\"items.rs\"); include!(\"value.rs\"); include!{\"broken.rs\"}\n\
                    include!(\"static.rs\"); include!(\"local.rs\"); include!(\"none.rs\");\n\
                    let x = { include!(\"items.rs\") }; include_str!(\"items.rs\");\n\
                    include!(\"upper.rs\"); #[path = \"upper.rs\"] mod a; #[path = \"items.rs\"] mod b;";
        let found = included(code, &folder);
        let written: Vec<_> = found.iter().map(|one| (&*one.written, one.text.is_some())).collect();
        let expected = [
            ("items.rs", true),
            ("value.rs", true),
            ("broken.rs", true),
            ("static.rs", true),
            ("local.rs", true),
            ("items.rs", true),
            ("items.rs", false),
            ("items.rs", true),
        ];
        assert_eq!(written, expected);
        assert_eq!(&code[found[0].literal.clone()], "\"items.rs\"");
        let has_items = |one: &IncludedFile| {
            has_items_alone(&std::fs::read_to_string(&one.file).unwrap(), Edition::Edition2024)
        };
        let items: Vec<_> = found.iter().map(has_items).collect();
        assert_eq!(items, [true, false, false, false, false, true, true, true]);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn relative_paths_are_the_notebooks() {
        let code = "include_str!(\"a/b.txt\"); include_bytes!(\"/c\"); #[path = \"d.rs\"] mod d; let path = \"e\";";
        let edits = absolute(code, Path::new("/n"));
        let texts: Vec<_> = edits.iter().map(|edit| edit.text.as_str()).collect();
        assert_eq!(texts, ["\"/n/a/b.txt\"", "\"/n/d.rs\""]);
        assert_eq!(&code[edits[0].range.clone()], "\"a/b.txt\"");
    }
}
