//! The names that a piece of code uses.

use ra_ap_syntax::{NodeOrToken, SyntaxKind, SyntaxNode, SyntaxToken};

/// Every name in a node that may be a variable's, with its place in the whole text. Those behind a dot are
/// fields and methods, but not those behind two, which are one token only outside of macros; those behind `$`
/// are what a macro is given. Format strings name variables, too: `"{x}"`.
pub(crate) fn used(node: &SyntaxNode) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut dots = 0;
    let mut is_given = false;
    for element in node.descendants_with_tokens() {
        let NodeOrToken::Token(token) = element else { continue };
        if token.kind().is_trivia() {
            continue;
        }
        match token.kind() {
            SyntaxKind::IDENT if dots != 1 && !is_given => {
                let name = token.text().trim_start_matches("r#").to_owned();
                found.push((name, usize::from(token.text_range().start())));
            }
            SyntaxKind::STRING => found.extend(in_format(&token)),
            _ => {}
        }
        dots = if token.kind() == SyntaxKind::DOT { dots + 1 } else { 0 };
        is_given = token.kind() == SyntaxKind::DOLLAR;
    }
    found
}

/// The names in the braces of a format string, as `{name}`, `{name:?}`, `{:width$}`.
fn in_format(token: &SyntaxToken) -> Vec<(String, usize)> {
    let start = usize::from(token.text_range().start());
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let text = token.text();
    let mut found = Vec::new();
    let words = text.split(|character| !is_word(character)).filter(|word| !word.is_empty());
    for word in words {
        let at = word.as_ptr() as usize - text.as_ptr() as usize;
        let follows_brace =
            text[..at].ends_with('{') || text[..at].ends_with('.') || text[..at].ends_with(':');
        let before_dollar = text[at + word.len()..].starts_with('$');
        if follows_brace || before_dollar {
            found.push((word.to_owned(), start));
        }
    }
    found
}

/// All words of some code, wherever they stand: an estimate of what it depends on.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !(character.is_alphanumeric() || character == '_'))
        .filter(|word| word.starts_with(|first: char| first.is_alphabetic() || first == '_'))
}

#[cfg(test)]
mod tests {
    use ra_ap_syntax::{AstNode as _, Edition, SourceFile};

    use super::used;

    #[test]
    fn fields_are_no_variables_and_ends_of_ranges_are() {
        let names = |code: &str| {
            let tree = SourceFile::parse(&format!("fn f() {{ {code} }}"), Edition::Edition2024);
            let names = used(tree.tree().syntax()).into_iter().map(|(name, _)| name);
            names.skip(1).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("a.b.c().d; 0..e; S { ..g }"), "a e S g");
        assert_eq!(names("m![a.b, 0..c.d, 0..=e, ..g.h()]; n!(1.. 2, i . j)"), "m a c e g n i");
        assert_eq!(names("println!(\"{x} {:y$} {z:?}\", 1)"), "println x y z");
    }
}
