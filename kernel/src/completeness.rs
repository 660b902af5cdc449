//! Whether a cell is complete, found by parsing it.

use jupyter_protocol::IsCompleteReplyStatus as Status;
use ra_ap_syntax::{Edition, Parse, SourceFile};

/// Whether `code` can be run as it stands, and how the next line is indented if not.
pub(crate) fn of(code: &str) -> (Status, String) {
    if code.lines().any(|line| line.starts_with([':', '!'])) {
        // evcxr's own commands and shell commands follow no grammar that could be parsed here.
        return (Status::Unknown, String::new());
    }
    match open(code) {
        Open::Depth(depth) => (Status::Incomplete, "    ".repeat(depth)),
        Open::TooManyClosed => (Status::Invalid, String::new()),
        Open::Closed => {
            let end = code.trim_end().len();
            match errors(code).as_slice() {
                [] => (Status::Complete, String::new()),
                // What is missing is missing at the end: an operand, an initial value, a body.
                errors if errors.iter().all(|error| *error >= end) => {
                    (Status::Incomplete, "    ".to_owned())
                }
                _ => (Status::Invalid, String::new()),
            }
        }
    }
}

/// What is still open at the end of a text.
enum Open {
    Closed,
    TooManyClosed,
    /// That many brackets; none of them for a string or a comment.
    Depth(usize),
}

fn open(code: &str) -> Open {
    use rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};
    let mut brackets = Vec::new();
    for token in tokenize(code, FrontmatterAllowed::No) {
        let closing = match token.kind {
            TokenKind::OpenParen => {
                brackets.push(TokenKind::CloseParen);
                continue;
            }
            TokenKind::OpenBrace => {
                brackets.push(TokenKind::CloseBrace);
                continue;
            }
            TokenKind::OpenBracket => {
                brackets.push(TokenKind::CloseBracket);
                continue;
            }
            TokenKind::CloseParen | TokenKind::CloseBrace | TokenKind::CloseBracket => token.kind,
            TokenKind::BlockComment { terminated: false, .. } => return Open::Depth(0),
            TokenKind::Literal {
                kind:
                    LiteralKind::Str { terminated: false }
                    | LiteralKind::ByteStr { terminated: false }
                    | LiteralKind::CStr { terminated: false }
                    | LiteralKind::RawStr { n_hashes: None }
                    | LiteralKind::RawByteStr { n_hashes: None }
                    | LiteralKind::RawCStr { n_hashes: None },
                ..
            } => return Open::Depth(0),
            _ => continue,
        };
        if brackets.pop() != Some(closing) {
            return Open::TooManyClosed;
        }
    }
    if brackets.is_empty() { Open::Closed } else { Open::Depth(brackets.len()) }
}

const BEFORE: &str = "fn cell() {\n";
const AFTER: &str = "\n}";

fn parse(code: &str) -> Parse<SourceFile> {
    SourceFile::parse(&format!("{BEFORE}{code}{AFTER}"), Edition::Edition2024)
}

/// Places of syntax errors in a cell, as byte offsets.
fn errors(code: &str) -> Vec<usize> {
    let parsed = parse(code);
    let offset = |error: &ra_ap_syntax::SyntaxError| usize::from(error.range().start());
    parsed.errors().iter().map(|error| offset(error).saturating_sub(BEFORE.len())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(code: &str) -> Status {
        of(code).0
    }

    #[test]
    fn complete() {
        for code in ["", "1 + 1", "let x = 1;", "fn f() {}\nf()", "struct A;", "\"a { b\"", "// {"]
        {
            assert_eq!(status(code), Status::Complete, "{code}");
        }
    }

    #[test]
    fn incomplete_and_how_far_the_next_line_is_indented() {
        assert_eq!(of("fn f() {"), (Status::Incomplete, "    ".into()));
        assert_eq!(of("fn f() { g(["), (Status::Incomplete, " ".repeat(12)));
        assert_eq!(of("let x = \"a"), (Status::Incomplete, String::new()));
        for code in ["let x =", "1 +", "/* a", "if x", "let y = r#\"a\"", "struct A"] {
            assert_eq!(status(code), Status::Incomplete, "{code}");
        }
    }

    #[test]
    fn invalid() {
        for code in ["}", "f(]", "let let x = 1;", "fn fn f() {}", "let x = ; 1"] {
            assert_eq!(status(code), Status::Invalid, "{code}");
        }
    }

    #[test]
    fn commands_are_unknown() {
        assert_eq!(status(":dep one = \"0.24\""), Status::Unknown);
        assert_eq!(status("!ls"), Status::Unknown);
    }

    /// Parts of cells, in any order.
    fn cell() -> impl Strategy<Value = String> {
        let words = vec![
            "fn f",
            "let x = ",
            "1",
            "(",
            ")",
            "{",
            "}",
            "[",
            "]",
            ";",
            "\n",
            " ",
            "\"",
            "\\",
            "'",
            "'a",
            "//",
            "/*",
            "*/",
            "r#\"",
            "\"#",
            "b\"",
            "c\"",
            ":dep a",
            "!ls",
            "#",
            "#![",
            "---",
            "é",
            "\r",
            "\0",
            "\u{feff}",
            "🦀",
            "0x",
            "1e",
            "|",
            "=>",
            "if",
            "match",
            "macro_rules! m",
        ];
        let any = prop_oneof![4 => proptest::sample::select(words).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
        proptest::collection::vec(any, 0..16).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_text_has_a_status(code in cell()) {
            let (status, indent) = of(&code);
            prop_assert!(indent.trim_matches(' ').is_empty() && indent.len() % 4 == 0);
            let is_command = code.lines().any(|line| line.starts_with([':', '!']));
            prop_assert_eq!(status == Status::Unknown, is_command);
            prop_assert!(indent.is_empty() || status == Status::Incomplete);
        }

        #[test]
        fn a_cell_that_lacks_its_closing_brackets_is_incomplete(
            depth in 1..6_usize, inner in "[a-z]{1,4}( \\+ [a-z]{1,4}){0,2}"
        ) {
            let open = format!("{}{inner}", "(".repeat(depth));
            prop_assert_eq!(of(&open), (Status::Incomplete, "    ".repeat(depth)));
            let closed = format!("{open}{}", ")".repeat(depth));
            prop_assert_ne!(status(&closed), Status::Incomplete);
        }
    }
}
