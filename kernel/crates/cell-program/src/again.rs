//! Statements that make the same value whenever they are run, and those that change it so: a list of numbers whose type
//! nobody has written down can be made again, with numbers of another type.
//!
//! They name nothing but the variable and what stands in [`KNOWN`], and call no methods but those of the standard
//! library that are listed here. What they do to the variable is what they would do again, for its type lets nobody change
//! it behind a reference (`types::is_frozen`).

use std::collections::BTreeSet;

use ra_ap_syntax::ast::{self, HasName as _};
use ra_ap_syntax::{AstNode as _, SyntaxKind, SyntaxNode, SyntaxToken};

/// What becomes of a variable by a statement that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is as it was.
    Reads,
    /// It would change in the same way if it was made again.
    Changes,
    Unknown,
}

/// What is known of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether it changes nothing by a method or an assignment.
    only_reads: bool,
    /// Whether it does the same whenever it is run, if what it names does.
    is_repeatable: bool,
    is_let: bool,
    /// What it names and does not bind itself, but for what is known.
    names: BTreeSet<String>,
}

/// Names of the standard library and the language that mean the same everywhere.
#[rustfmt::skip]
const KNOWN: [&str; 32] = [
    "std", "Box", "Cursor", "Wrapping", "Vec", "VecDeque", "HashMap", "HashSet", "BTreeMap", "BTreeSet",
    "BinaryHeap", "String", "Reverse",
    "Some", "None", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize",
    "f32", "f64", "bool", "char", "str",
];
/// Methods that leave what they are called on as it is.
#[rustfmt::skip]
const READING: [&str; 95] = [
    "abs", "abs_diff", "all", "any", "as_bytes", "as_ref", "as_slice", "as_str", "binary_search", "bytes", "chain",
    "char_indices", "chars", "chunks", "clone", "cloned", "cmp", "collect", "concat", "contains", "contains_key",
    "copied", "count", "cycle", "ends_with", "enumerate", "eq", "filter", "filter_map", "find", "find_map", "first",
    "flat_map", "flatten", "fold", "get", "into", "into_iter", "into_keys", "into_values", "is_empty", "is_some",
    "is_none", "iter", "join", "keys", "last", "len", "lines", "map", "map_while", "max", "max_by", "max_by_key",
    "min", "min_by", "min_by_key", "parse", "partial_cmp", "partition", "peekable", "position", "pow", "powi",
    "product", "range", "reduce", "repeat", "rev", "scan", "skip", "skip_while", "split", "split_once",
    "split_whitespace", "sqrt", "starts_with", "step_by", "strip_prefix", "sum", "take", "take_while", "to_lowercase",
    "to_owned", "to_string", "to_uppercase", "to_vec", "total_cmp", "trim", "trim_end", "trim_start", "unzip",
    "values", "windows", "zip",
];
/// Methods that change it.
#[rustfmt::skip]
const CHANGING: [&str; 30] = [
    "append", "clear", "dedup", "drain", "entry", "extend", "fill", "get_mut", "insert", "iter_mut", "or_default",
    "or_insert", "pop", "pop_back", "pop_front", "push", "push_back", "push_front", "push_str", "remove", "resize",
    "retain", "reverse", "sort", "sort_by", "sort_unstable", "swap", "truncate", "unwrap", "values_mut",
];
/// Macros that look at what they are given.
const SHOWING: [&str; 8] =
    ["assert", "assert_eq", "assert_ne", "eprint", "eprintln", "format", "print", "println"];

impl Facts {
    pub(crate) fn of(node: &SyntaxNode) -> Facts {
        let macros = node.descendants().filter_map(ast::MacroCall::cast);
        let macros = macros.filter_map(|call| Some(call.path()?.syntax().text().to_string()));
        let macros: Vec<String> = macros.filter(|name| name != "vec").collect();
        let methods = methods(node);
        let all_in = |lists: &[&[&str]]| {
            methods.iter().all(|name| lists.iter().any(|list| list.contains(&name.as_str())))
        };
        let has =
            |kind: SyntaxKind| node.descendants_with_tokens().any(|element| element.kind() == kind);
        let leaves = [
            SyntaxKind::RETURN_KW,
            SyntaxKind::QUESTION,
            SyntaxKind::AWAIT_KW,
            SyntaxKind::LOOP_KW,
            SyntaxKind::WHILE_KW,
        ];
        let patterns = node.descendants().filter_map(ast::IdentPat::cast);
        let bound: BTreeSet<String> =
            patterns.filter_map(|pattern| Some(pattern.name()?.text().to_string())).collect();
        let is_let = ast::LetStmt::can_cast(node.kind());
        let mut references = node.descendants().filter_map(ast::RefExpr::cast);
        // What it borrows from would be another one.
        let is_let_of_change = is_let && references.any(|one| one.mut_token().is_some());
        Facts {
            only_reads: macros.iter().all(|name| SHOWING.contains(&name.as_str()))
                && all_in(&[&READING])
                && !assigns(node)
                && !has(SyntaxKind::MUT_KW),
            is_repeatable: !is_let_of_change
                && macros.is_empty()
                && all_in(&[&READING, &CHANGING])
                && !leaves.into_iter().any(has),
            is_let,
            names: variables(node)
                .into_iter()
                .filter(|name| !bound.contains(name) && !KNOWN.contains(&name.as_str()))
                .collect(),
        }
    }

    /// Whether it is a `let` whose value is the same whenever it is made.
    pub(crate) fn makes_the_same(&self) -> bool {
        self.is_let && self.is_repeatable && self.names.is_empty()
    }

    /// What becomes of a variable that it names.
    pub(crate) fn effect_on(&self, variable: &str) -> Effect {
        if self.only_reads {
            Effect::Reads
        } else if self.is_repeatable
            && !self.is_let
            && self.names.iter().all(|name| name == variable)
        {
            Effect::Changes
        } else {
            Effect::Unknown
        }
    }
}

fn assigns(node: &SyntaxNode) -> bool {
    let mut operators = node.descendants().filter_map(ast::BinExpr::cast);
    operators.any(|both| matches!(both.op_kind(), Some(ast::BinaryOp::Assignment { .. })))
}

fn tokens(node: &SyntaxNode) -> Vec<SyntaxToken> {
    let tokens = node.descendants_with_tokens().filter_map(|element| element.into_token());
    tokens.filter(|token| !token.kind().is_trivia()).collect()
}

/// The methods that are called in a piece of code, in the arguments of macros too. One that takes something out of an
/// iterator which has a name is none of them that are known.
fn methods(node: &SyntaxNode) -> Vec<String> {
    const TAKING_OUT: [&str; 6] = ["all", "any", "find", "find_map", "position", "scan"];
    let tokens = tokens(node);
    let is_call = |at: &usize| {
        let kinds: Vec<SyntaxKind> = tokens[*at..].iter().take(3).map(SyntaxToken::kind).collect();
        matches!(
            kinds[..],
            [SyntaxKind::DOT, SyntaxKind::IDENT, SyntaxKind::L_PAREN | SyntaxKind::COLON2]
        )
    };
    let calls = (0..tokens.len()).filter(is_call);
    calls
        .map(|at| {
            let is_of_name = at > 0 && tokens[at - 1].kind() == SyntaxKind::IDENT;
            let name = tokens[at + 1].text();
            let takes_out = is_of_name && TAKING_OUT.contains(&name);
            format!("{}{name}", if takes_out { "." } else { "" })
        })
        .collect()
}

/// What may be the names of variables: not those of fields, methods and macros, nor what follows in a path.
fn variables(node: &SyntaxNode) -> Vec<String> {
    let tokens = tokens(node);
    let kind = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(SyntaxToken::kind);
    let is_one = |at: usize| {
        let follows = kind(at.checked_sub(1));
        // In the arguments of a macro a path has two of them.
        let colons = [follows, kind(at.checked_sub(2))];
        tokens[at].kind() == SyntaxKind::IDENT
            && !matches!(follows, Some(SyntaxKind::DOT | SyntaxKind::COLON2))
            && colons != [Some(SyntaxKind::COLON); 2]
            && kind(Some(at + 1)) != Some(SyntaxKind::BANG)
    };
    let places = (0..tokens.len()).filter(|at| is_one(*at));
    places.map(|at| tokens[at].text().trim_start_matches("r#").to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use ra_ap_syntax::{Edition, SourceFile};

    use super::*;

    fn facts(statement: &str) -> Facts {
        let tree =
            SourceFile::parse(&format!("fn f() {{ {statement} }}"), Edition::Edition2024).tree();
        let mut nodes = tree.syntax().descendants();
        let list = nodes.find_map(ast::StmtList::cast).unwrap();
        Facts::of(&list.syntax().first_child().unwrap())
    }

    #[test]
    fn a_value_of_constants_is_the_same_again() {
        for same in [
            "let v = vec![1, 2];",
            "let v: Vec<_> = (1..=9).map(|x| x * x).collect();",
            "let m = HashMap::from([(\"a\", 1)]);",
            "let mut all = Vec::with_capacity(9);",
            "let mut all = vec![Vec::new(); 9];",
        ] {
            assert!(facts(same).makes_the_same(), "{same}");
        }
        for other in [
            "let v = &mut [1];",
            "let v = vec![n];",
            "let t = Instant::now();",
            "let v = read()?;",
            "let v = dbg!(5);",
            "v.push(1);",
        ] {
            assert!(!facts(other).makes_the_same(), "{other}");
        }
    }

    #[test]
    fn what_a_statement_does_to_a_list() {
        for (statement, effect) in [
            ("println!(\"{v:?} {}\", v.len());", Effect::Reads),
            ("let n = v.iter().max();", Effect::Reads),
            ("v", Effect::Reads),
            ("v.push(4);", Effect::Changes),
            ("for i in 0..3 { v.push(i * 2); v[0] += 1; }", Effect::Changes),
            ("v[1] = 5;", Effect::Changes),
            ("v.push(n);", Effect::Unknown),
            ("v.push(new);", Effect::Unknown),
            ("v.push(vec);", Effect::Unknown),
            ("v.extend(vec![1, n]);", Effect::Unknown),
            ("v.extend(vec![1, 2]);", Effect::Changes),
            ("let last = v.pop();", Effect::Unknown),
            ("println!(\"{:?}\", v.pop());", Effect::Unknown),
            ("change(&mut v);", Effect::Unknown),
            ("v.any(|x| x == 1);", Effect::Unknown),
            ("let some = v.iter().any(|x| *x == 1);", Effect::Reads),
            ("v.my_own();", Effect::Unknown),
            ("let mut more = || v.push(1);", Effect::Unknown),
        ] {
            assert_eq!(facts(statement).effect_on("v"), effect, "{statement}");
        }
    }
}
