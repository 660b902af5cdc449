//! Paths in a cell are relative to the notebook, not to where the cell is compiled.

use std::ops::Range;
use std::path::Path;

use rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};

use crate::edit::Edit;

/// Makes the paths in `include_str!("..")` and its like, and in `#[path = ".."]`, absolute.
pub(crate) fn absolute(code: &str, folder: &Path) -> Vec<Edit> {
    let mut at = 0;
    let tokens: Vec<(TokenKind, Range<usize>)> = tokenize(code, FrontmatterAllowed::No)
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
    let text = |index: usize| tokens.get(index).map_or("", |(_, range)| &code[range.clone()]);
    let is_text = |index: usize| {
        tokens.get(index).is_some_and(|(kind, _)| {
            matches!(kind, TokenKind::Literal { kind: LiteralKind::Str { terminated: true }, .. })
        })
    };
    let mut edits = Vec::new();
    for index in 0..tokens.len() {
        let literal = match (text(index), text(index + 1)) {
            ("include_str" | "include_bytes" | "include", "!") if is_text(index + 3) => index + 3,
            ("path", "=")
                if index >= 2
                    && text(index - 2) == "#"
                    && text(index - 1) == "["
                    && is_text(index + 2) =>
            {
                index + 2
            }
            _ => continue,
        };
        let range = tokens[literal].1.clone();
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
    fn relative_paths_are_the_notebooks() {
        let code = "include_str!(\"a/b.txt\"); include_bytes!(\"/c\"); #[path = \"d.rs\"] mod d; let path = \"e\";";
        let edits = absolute(code, Path::new("/n"));
        let texts: Vec<_> = edits.iter().map(|edit| edit.text.as_str()).collect();
        assert_eq!(texts, ["\"/n/a/b.txt\"", "\"/n/d.rs\""]);
        assert_eq!(&code[edits[0].range.clone()], "\"a/b.txt\"");
    }
}
