//! What a place in a cell is surrounded by, from its tokens alone: the cell need not be whole.

use rustc_lexer::{FrontmatterAllowed, TokenKind, tokenize};

/// The surroundings of a place.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Context {
    /// Outside of all brackets.
    pub(crate) top: bool,
    /// The first word of the statement or item of the cell, such as `let`, `use`, `fn`.
    pub(crate) statement: String,
    /// In the names that a `let` of the cell itself declares.
    pub(crate) pattern: bool,
    /// In the body of a function.
    pub(crate) function: bool,
    /// In the value of a `const` or a `static`.
    pub(crate) constant: bool,
    /// In a closure that is given to a function as its first argument.
    pub(crate) closure: bool,
}

#[derive(Default)]
struct Frame {
    first: Option<String>,
    equals: bool,
    constant: bool,
    /// The last word, while it may still announce a function: `fn name(..) -> T`.
    function: Announced,
    body: bool,
    begun: bool,
    closure: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Announced {
    #[default]
    No,
    Word,
    Name,
}

/// What surrounds this offset of a cell.
pub(crate) fn context(text: &str, offset: usize) -> Context {
    let mut frames = vec![Frame::default()];
    let mut at = 0;
    // Behind these a `let` belongs to a condition, and is no statement.
    let mut condition = false;
    for token in tokenize(text, FrontmatterAllowed::No) {
        if at >= offset {
            break;
        }
        let word = &text[at..at + token.len as usize];
        at += token.len as usize;
        let Some(frame) = frames.last_mut() else { break };
        if is_silent(token.kind) {
            continue;
        }
        let is_first = !std::mem::replace(&mut frame.begun, true);
        frame.closure |= is_first && token.kind == TokenKind::Or;
        let in_condition = std::mem::replace(
            &mut condition,
            matches!(token.kind, TokenKind::And | TokenKind::Or) || matches!(word, "if" | "while"),
        );
        if word == "let" && !in_condition {
            // A statement begins, even if the one before it lacks its end.
            frame.end();
        }
        match token.kind {
            TokenKind::Ident | TokenKind::RawIdent => frame.word(word),
            TokenKind::Eq => frame.equals = true,
            TokenKind::Semi => frame.end(),
            TokenKind::OpenBrace => {
                let body = std::mem::take(&mut frame.function) == Announced::Name;
                frames.push(Frame { body, ..Frame::default() });
            }
            TokenKind::OpenParen | TokenKind::OpenBracket => {
                // The type of a function has no name.
                if frame.function == Announced::Word {
                    frame.function = Announced::No;
                }
                frames.push(Frame::default());
            }
            TokenKind::CloseBrace => {
                close(&mut frames);
                if let Some(frame) = frames.last_mut().filter(|frame| frame.ends_at_brace()) {
                    frame.end();
                }
            }
            TokenKind::CloseParen | TokenKind::CloseBracket => close(&mut frames),
            _ => {}
        }
    }
    let cell = &frames[0];
    let statement = cell.first.clone().unwrap_or_default();
    Context {
        top: frames.len() == 1,
        pattern: statement == "let" && !cell.equals,
        statement,
        function: frames.iter().any(|frame| frame.body),
        constant: frames.iter().any(|frame| frame.constant && frame.equals),
        closure: frames.iter().any(|frame| frame.closure),
    }
}

fn is_silent(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Whitespace | TokenKind::LineComment { .. } | TokenKind::BlockComment { .. }
    )
}

impl Frame {
    fn word(&mut self, word: &str) {
        match word {
            "fn" => self.function = Announced::Word,
            "const" | "static" if self.first.is_none() => self.constant = true,
            _ if self.function == Announced::Word => self.function = Announced::Name,
            _ => {}
        }
        // `const fn` is no constant.
        self.constant &= word != "fn";
        if self.first.is_none() && word != "pub" {
            self.first = Some(word.to_owned());
        }
    }

    fn end(&mut self) {
        *self = Frame { body: self.body, ..Frame::default() };
    }

    /// `let`, `use` and the value of a constant go on behind a brace; all else ends with it.
    fn ends_at_brace(&self) -> bool {
        match self.first.as_deref() {
            Some("let" | "use") => false,
            Some("const" | "static") => !self.constant,
            _ => true,
        }
    }
}

fn close(frames: &mut Vec<Frame>) {
    if frames.len() > 1 {
        frames.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The surroundings of `@`.
    fn at(text: &str) -> Context {
        let offset = text.find('@').expect("a mark");
        context(&text.replace('@', ""), offset)
    }

    #[test]
    fn names_of_a_let_of_the_cell() {
        assert!(at("let @a = 1;").pattern);
        assert!(at("let Point { x, @y } = p;").pattern);
        assert!(at("fn f() { 1 }\nlet @a = 1;").pattern);
        assert!(at("let a = 5 // no end\nlet @b = 1;").pattern);
        assert!(!at("let f = |@x| 1;").pattern);
        assert!(!at("let a = 1 == 1 && let Some(@x) = y;").pattern);
        assert!(!at("if let Some(@x) = y {}").pattern);
        assert!(!at("{ let @a = 1; }").pattern);
        assert!(at("const fn f() { 1 }\nlet @a = 1;").pattern);
    }

    #[test]
    fn bodies_of_functions() {
        assert!(at("fn f(a: &str) -> i32 { if x { @a } }").function);
        assert!(!at("let g: fn(i32) -> i32 = { @a };").function);
        assert!(!at("fn f() { 1 }\n@a").function);
        assert!(at("impl P { fn f(&self) { @a } }").function);
        assert!(!at("\"fn f() {\" @").function);
    }

    #[test]
    fn values_of_constants() {
        assert!(at("const K: usize = @n;").constant);
        assert!(at("pub static K: [u8; 2] = [1, @n];").constant);
        assert!(!at("const fn f() -> usize { @n }").constant);
        assert!(!at("const K: usize = 1;\n@n").constant);
        assert_eq!(at("use std::{fs, @io};").statement, "use");
    }
}
