//! The names that a piece of code uses.

use std::collections::BTreeSet;
use std::ops::Range;

use ra_ap_syntax::ast::{self, HasArgList as _, HasName as _};
use ra_ap_syntax::{AstNode as _, NodeOrToken, SyntaxKind, SyntaxNode, SyntaxToken};

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

/// The variables whose whole value an assignment replaces, by what stands on its left: `x`, `(x, [y, ..])`.
pub(crate) fn set(left: &ast::Expr) -> Vec<String> {
    let parts: Vec<ast::Expr> = match left {
        ast::Expr::PathExpr(path) => {
            return vec![path.syntax().text().to_string().trim_start_matches("r#").to_owned()];
        }
        ast::Expr::ParenExpr(inner) => inner.expr().into_iter().collect(),
        ast::Expr::TupleExpr(tuple) => tuple.fields().collect(),
        ast::Expr::ArrayExpr(array) => array.exprs().collect(),
        ast::Expr::CallExpr(call) => {
            call.arg_list().into_iter().flat_map(|list| list.args()).collect()
        }
        ast::Expr::RecordExpr(record) => {
            let fields = record.record_expr_field_list().into_iter();
            fields.flat_map(|list| list.fields()).filter_map(|field| field.expr()).collect()
        }
        _ => Vec::new(),
    };
    parts.iter().flat_map(set).collect()
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

/// A name in code where the place of a variable is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) name: String,
    /// Where it stands in the whole text; for a name in a format string, the end of what the string is given.
    pub(crate) range: Range<usize>,
    pub(crate) how: How,
}

/// How a name stands for a variable's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Alone,
    /// It names a field as well: `S { name }`.
    Field,
    /// In a format string: `"{name}"`. Whether a comma stands before the end of the arguments.
    Format {
        ends_with_comma: bool,
    },
}

/// The standard library's macros whose arguments are expressions.
const OF_EXPRESSIONS: [&str; 21] = [
    "addr_of",
    "addr_of_mut",
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "eprint",
    "eprintln",
    "format",
    "format_args",
    "matches",
    "panic",
    "print",
    "println",
    "todo",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// Where the place of a variable is meant in a statement. A name that something within the statement binds is left
/// out: what it means there would have to be found out. `declares` is where the statement itself declares variables.
pub(crate) fn places(statement: &SyntaxNode, declares: Option<&SyntaxNode>) -> Vec<Use> {
    let mut found = Vec::new();
    let mut hidden: BTreeSet<String> = statement
        .descendants()
        .filter(|node| !declares.is_some_and(|own| node.ancestors().any(|outer| outer == *own)))
        .filter_map(ast::IdentPat::cast)
        .filter_map(|pattern| Some(plain(pattern.name()?.text()).to_owned()))
        .collect();
    for node in statement.descendants() {
        if let Some(expression) = ast::PathExpr::cast(node.clone())
            && let Some(name) = expression.path().and_then(|path| path.as_single_name_ref())
        {
            let field = node.parent().and_then(ast::RecordExprField::cast);
            found.push(Use {
                name: plain(name.text()).to_owned(),
                range: range_of(node.text_range()),
                how: match field.is_some_and(|field| field.colon_token().is_none()) {
                    true => How::Field,
                    false => How::Alone,
                },
            });
        }
        if let Some(call) = ast::MacroCall::cast(node.clone())
            && let Some(name) = call.path().and_then(|path| path.segment()?.name_ref())
            && OF_EXPRESSIONS.contains(&name.text())
            && let Some(tree) = call.token_tree()
        {
            in_arguments(tree.syntax(), &mut found, &mut hidden);
            let before = match name.text().trim_start_matches("debug_") {
                "vec" | "matches" | "addr_of" | "addr_of_mut" => None,
                "write" | "writeln" | "assert" => Some(1),
                "assert_eq" | "assert_ne" => Some(2),
                _ => Some(0),
            };
            found.extend(before.into_iter().flat_map(|n| in_format_string(tree.syntax(), n)));
        }
    }
    found.retain(|used| !hidden.contains(&used.name));
    found
}

/// The same in the arguments of a macro, of which there are tokens alone.
fn in_arguments(tree: &SyntaxNode, found: &mut Vec<Use>, hidden: &mut BTreeSet<String>) {
    let tokens = tree.descendants_with_tokens().filter_map(NodeOrToken::into_token);
    let tokens: Vec<SyntaxToken> = tokens.filter(|token| !token.kind().is_trivia()).collect();
    let kind = |at: Option<usize>| {
        at.and_then(|at| tokens.get(at)).map_or(SyntaxKind::EOF, SyntaxToken::kind)
    };
    for (at, token) in tokens.iter().enumerate() {
        if token.kind() != SyntaxKind::IDENT {
            continue;
        }
        let (before, next, later) =
            (kind(at.checked_sub(1)), kind(Some(at + 1)), kind(Some(at + 2)));
        let name = plain(token.text()).to_owned();
        // Outside of macros these are one token.
        let is_twice = before == kind(at.checked_sub(2));
        match (before, next) {
            (
                SyntaxKind::PIPE
                | SyntaxKind::LET_KW
                | SyntaxKind::MUT_KW
                | SyntaxKind::REF_KW
                | SyntaxKind::FOR_KW,
                _,
            )
            | (_, SyntaxKind::PIPE | SyntaxKind::FAT_ARROW) => {
                hidden.insert(name);
            }
            (_, SyntaxKind::EQ) if later == SyntaxKind::R_ANGLE => {
                hidden.insert(name);
            }
            // A path, a macro, a field, an argument's name.
            (SyntaxKind::COLON2, _) => {}
            (SyntaxKind::COLON, _) if is_twice => {}
            (_, SyntaxKind::COLON | SyntaxKind::COLON2 | SyntaxKind::BANG) => {}
            (_, SyntaxKind::EQ) if later != SyntaxKind::EQ => {}
            (SyntaxKind::DOT, _) if !is_twice => {}
            _ => found.push(Use { name, range: range_of(token.text_range()), how: How::Alone }),
        }
    }
}

/// The names in the format string of a macro, before which so many arguments stand, and to which no argument gives a
/// value.
fn in_format_string(tree: &SyntaxNode, before: usize) -> Vec<Use> {
    let elements = tree.children_with_tokens().filter(|element| !element.kind().is_trivia());
    let elements: Vec<_> = elements.collect();
    let comma = |element: &NodeOrToken<_, SyntaxToken>| element.kind() == SyntaxKind::COMMA;
    let mut commas = elements.iter().enumerate().filter(|(_, element)| comma(element));
    let at = before.checked_sub(1).map_or(Some(0), |last| commas.nth(last).map(|(at, _)| at));
    let string = at.and_then(|at| elements.get(at + 1)?.as_token());
    let Some(string) = string.filter(|token| token.kind() == SyntaxKind::STRING) else {
        return Vec::new();
    };
    let Some(last) = elements.iter().rev().nth(1) else { return Vec::new() };
    let end = usize::from(last.text_range().end());
    let given: Vec<_> = elements
        .windows(2)
        .filter(|pair| pair[1].kind() == SyntaxKind::EQ)
        .map(|pair| pair[0].to_string())
        .collect();
    let names: BTreeSet<String> = in_format(string).into_iter().map(|(name, _)| name).collect();
    let names = names.into_iter().filter(|name| !given.contains(name));
    let how = How::Format { ends_with_comma: comma(last) };
    names.map(|name| Use { name, range: end..end, how }).collect()
}

fn range_of(range: ra_ap_syntax::TextRange) -> Range<usize> {
    usize::from(range.start())..usize::from(range.end())
}

fn plain(name: &str) -> &str {
    name.trim_start_matches("r#")
}

/// All words of some code, wherever they stand: an estimate of what it depends on.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !(character.is_alphanumeric() || character == '_'))
        .filter(|word| word.starts_with(|first: char| first.is_alphabetic() || first == '_'))
}

#[cfg(test)]
mod tests {
    use ra_ap_syntax::{AstNode as _, Edition, SourceFile};

    use super::{places, used};

    #[test]
    fn places_of_variables_are_known() {
        let names = |code: &str| {
            let code = format!("fn f() {{ {code} }}");
            let tree = SourceFile::parse(&code, Edition::Edition2024).tree();
            let found = places(tree.syntax(), None).into_iter();
            let shown = |used: super::Use| match used.how {
                super::How::Alone => code[used.range].to_owned(),
                super::How::Field => format!("{}:", used.name),
                super::How::Format { ends_with_comma: false } => format!("{{{}}}", used.name),
                super::How::Format { ends_with_comma: true } => format!("{{{},}}", used.name),
            };
            found.map(shown).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            names("v.len() + w[v.x]; S { a, b: c, ..d }; v::new(); f(&mut v)"),
            "v w v a: c d f v"
        );
        assert_eq!(names("xs.map(|v| v + w); if let Some(x) = y { x; }"), "xs w y");
        assert_eq!(
            names("println!(\"{v}\", a, b = c, d == e, f.g, 0..h); m!(v)"),
            "a c d e f h {v}"
        );
        assert_eq!(names("assert!(a.iter().all(|b| b == c), b)"), "a c");
        assert_eq!(names("vec![S { x: y }, z!(), p::q, match r { s => 1 }]"), "S y r");
        assert_eq!(names("r#type.len()"), "r#type");
        assert_eq!(names("write!(a, \"{b:c$} {d}\", d = 1,)"), "a {b,} {c,}");
        assert_eq!(names("println!(\"{}\", \"{a}\"); vec![\"{a}\"]"), "");
        assert_eq!(names("assert_eq!(a, \"{b}\", \"{c}\"); assert!(d)"), "a {c} d");
    }

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
