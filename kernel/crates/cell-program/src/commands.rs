//! The kernel's own commands in a cell: lines that begin with `:name`, and shell commands behind `!`.

use std::ops::Range;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The line, as a range of the cell's bytes.
    pub range: Range<usize>,
    /// Its name; `!` for one of the shell.
    pub name: String,
    /// What stands behind the name.
    pub argument: String,
}

/// The commands of a cell, and the cell with blanks in their place. A command begins a line that stands
/// within no bracket, text or comment, and finishes no Rust that stands before it.
pub(crate) fn taken_out(text: &str, is_name: &dyn Fn(&str) -> bool) -> (Vec<Command>, String) {
    let mut commands = Vec::new();
    let mut code = text.to_owned();
    let mut start = Some(0);
    while let Some(at) = start {
        let line = text[at..].split('\n').next().unwrap_or_default().trim_end();
        let indent = line.len() - line.trim_start().len();
        start = match command(&line[indent..], &code[..at], is_name) {
            Some((name, argument)) => {
                let range = at..at + line.len();
                code.replace_range(range.clone(), &" ".repeat(line.len()));
                commands.push(Command { range, name, argument });
                text[at..].find('\n').map(|end| at + end + 1)
            }
            None => next_line(text, at),
        };
    }
    (commands, code)
}

/// Where the next line begins that stands within nothing.
fn next_line(text: &str, from: usize) -> Option<usize> {
    use rustc_lexer::{FrontmatterAllowed, TokenKind, tokenize};
    let mut at = from;
    let mut depth = 0_usize;
    for token in tokenize(&text[from..], FrontmatterAllowed::No) {
        let end = at + token.len as usize;
        match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBrace | TokenKind::OpenBracket => depth += 1,
            TokenKind::CloseParen | TokenKind::CloseBrace | TokenKind::CloseBracket => {
                depth = depth.saturating_sub(1);
            }
            TokenKind::Whitespace if depth == 0 => {
                if let Some(line) = text[at..end].find('\n') {
                    return Some(at + line + 1);
                }
            }
            _ => {}
        }
        at = end;
    }
    None
}

/// The Rust that stands before a line: its words and signs.
struct Before<'a>(Vec<&'a str>);

impl Before<'_> {
    fn of(code: &str) -> Before<'_> {
        use rustc_lexer::{FrontmatterAllowed, TokenKind, tokenize};
        let mut at = 0;
        let tokens = tokenize(code, FrontmatterAllowed::No).map(|token| {
            let start = at;
            at += token.len as usize;
            (token.kind, &code[start..at])
        });
        let is_code = |kind: TokenKind| {
            !matches!(
                kind,
                TokenKind::Whitespace
                    | TokenKind::LineComment { .. }
                    | TokenKind::BlockComment { .. }
            )
        };
        Before(tokens.filter(|(kind, _)| is_code(*kind)).map(|(_, text)| text).collect())
    }

    /// Whether it declares a variable, a function or a constant of this name.
    fn declares(&self, name: &str) -> bool {
        let words = ["let", "mut", "ref", "fn", "const", "static"];
        self.0.windows(2).any(|pair| words.contains(&pair[0]) && pair[1] == name)
    }

    /// Whether an operand has to follow.
    fn is_unfinished(&self) -> bool {
        const SIGNS: [&str; 15] =
            ["=", "+", "-", "*", "/", "%", "&", "|", "^", "<", ">", "!", ",", ".", ":"];
        const WORDS: [&str; 7] = ["if", "while", "match", "in", "return", "break", "else"];
        self.0.last().is_some_and(|last| SIGNS.contains(last) || WORDS.contains(last))
    }
}

/// The name and the argument of the command that a line is, and the Rust that stands before it.
fn command(line: &str, before: &str, is_name: &dyn Fn(&str) -> bool) -> Option<(String, String)> {
    if !line.starts_with([':', '!']) {
        return None;
    }
    let before = Before::of(before);
    if before.is_unfinished() {
        return None;
    }
    if let Some(rest) = line.strip_prefix('!') {
        let is_name = |name: &str| is_name(name) || before.declares(name);
        return is_shell(rest, &is_name).then(|| ("!".to_owned(), rest.trim().to_owned()));
    }
    let rest = line.strip_prefix(':')?;
    if !rest.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
        .unwrap_or(rest.len());
    let (name, argument) = rest.split_at(end);
    Some((name.to_owned(), argument.trim().to_owned()))
}

/// Whether what stands behind `!` is for the shell, and no Rust: `!flag` negates what the session knows.
fn is_shell(rest: &str, is_name: &dyn Fn(&str) -> bool) -> bool {
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let behind = rest[word.len()..].trim_start();
    !(rest.trim().is_empty()
        || rest.starts_with(['(', '!', '{', '[', '*', '&', '"', ' '])
        || matches!(
            word.as_str(),
            "true" | "false" | "matches" | "self" | "crate" | "std" | "if" | "match"
        )
        || is_name(&word)
        || behind.starts_with("::") && !behind.starts_with(":: ")
        || rest[word.len()..].starts_with(['(', '!', '[']))
}
