//! The items of a cell: what each defines, and what becomes of it when a later cell defines it anew.

use std::collections::BTreeSet;
use std::ops::Range;

use ra_ap_syntax::ast::{
    self, HasAttrs as _, HasGenericParams as _, HasName as _, HasVisibility as _,
};
use ra_ap_syntax::{AstNode as _, NodeOrToken, SyntaxKind, SyntaxNode, SyntaxToken};

use crate::cell::range_of;
use crate::edit::Edit;
use crate::reach::Reach;

/// Where a name is looked for. A function and a module may share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// Types, traits, modules.
    Type,
    /// Functions, constants, statics.
    Value,
    /// Macros.
    Macro,
    /// What `impl` adds: the header, and for inherent ones the name of each part.
    Impl,
    /// What a macro made, which has no name that could be seen.
    Call,
}

/// What an item defines. A later item with the same key takes its place.
pub type Key = (Namespace, String);

/// What a macro expands to where it stands among statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacroKind {
    /// Functions, types, statics.
    Items,
    /// Other macros.
    Macros,
    /// Statements or an expression.
    Statements,
    /// Statements that declare variables under names that the macro is given.
    Variables {
        /// Whether they can be changed.
        is_mut: bool,
    },
}

/// Where an item has to stand in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before all else: a crate that may bring macros.
    Crates,
    /// Before all that may call them: macros, which hide those of the standard library.
    Macros,
    /// Behind them: a module whose macros are for what follows.
    Modules,
    /// Anywhere.
    Items,
}

/// What `main` is, where an item is that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Main {
    /// It is called and has run.
    Sync,
    /// It gives a future.
    Async,
}

/// An item.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it defines.
    pub keys: Vec<Key>,
    /// Where it stands in its cell.
    pub range: Range<usize>,
    /// Its text.
    pub text: String,
    /// Its parts that can be replaced alone, each with its key: those of an inherent `impl` and of an `extern`
    /// block.
    pub parts: Vec<(Key, Range<usize>)>,
    /// The statics in it.
    pub statics: Vec<Static>,
    /// Whether it is `macro_rules!`.
    pub is_macro: bool,
    /// Where it has to stand.
    pub place: Place,
    /// Its rules, for a macro.
    pub(crate) rules: Vec<Rule>,
    /// The macros that a module brings: of two of one name, the compiler takes none.
    pub(crate) brings: Vec<Key>,
    /// Names in a macro that may be those of variables.
    pub(crate) names: BTreeSet<String>,
    /// Whether it is left out on some machines, by `#[cfg]`.
    pub(crate) is_conditional: bool,
    /// Whether it is a `use`.
    pub is_use: bool,
    /// Whether it is the function `main`.
    pub main: Option<Main>,
    /// Whether that returns something of which only the standard library's `Termination` is known.
    pub(crate) reports: bool,
    pub(crate) reach: Reach,
    pub(crate) edits: Vec<Edit>,
    /// Where `#[macro_export]` stands: among statements it would define the macro once more.
    pub(crate) exported: Vec<Range<usize>>,
}

/// A static in an item, or in a function of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Static {
    /// Its name.
    pub name: String,
    /// Its type, as it is written.
    pub kind: String,
    /// What stands before the word `static`: `pub`.
    pub visibility: String,
    /// Whether it can be changed.
    pub is_mut: bool,
    /// Whether each thread has one, or it is made at its first use by a macro.
    pub by: StaticBy,
    /// Where the whole of it stands.
    pub range: Range<usize>,
    /// Where an attribute can be put.
    pub head: usize,
}

/// How a static is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaticBy {
    /// The language.
    Rust,
    /// `thread_local!`, one of perhaps several in one call.
    ThreadLocal,
    /// `lazy_static!`, likewise.
    Lazy,
}

impl Item {
    fn new(node: &SyntaxNode, range: Range<usize>, keys: Vec<Key>) -> Item {
        Item {
            keys,
            range,
            text: node.text().to_string(),
            parts: Vec::new(),
            statics: Vec::new(),
            is_macro: false,
            place: Place::Items,
            rules: Vec::new(),
            brings: Vec::new(),
            names: BTreeSet::new(),
            is_conditional: false,
            is_use: false,
            main: None,
            reports: false,
            reach: Reach::of(node),
            edits: Vec::new(),
            exported: Vec::new(),
        }
    }

    pub(crate) fn of_use(item: &ast::Use, range: Range<usize>) -> Item {
        Item { is_use: true, ..Item::new(item.syntax(), range, Vec::new()) }
    }

    pub(crate) fn of(item: &ast::Item, range: Range<usize>) -> Item {
        use Namespace::{Impl, Macro, Type, Value};
        let node = item.syntax();
        let named = |spaces: &[Namespace], name: Option<ast::Name>| -> Vec<Key> {
            let name = name.map(|name| name.text().to_string());
            spaces.iter().filter_map(|space| Some((*space, name.clone()?))).collect()
        };
        let keys = match item {
            // `const _: () = ..;` may be there many times.
            ast::Item::Const(item) if item.name().is_none_or(|name| name.text() == "_") => {
                vec![(Namespace::Call, squeezed(node))]
            }
            ast::Item::Const(item) => named(&[Value], item.name()),
            ast::Item::Enum(item) => named(&[Type], item.name()),
            ast::Item::ExternCrate(item) => {
                let name = match item.rename() {
                    Some(rename) => rename.name().map(|name| name.text().to_string()),
                    None => item.name_ref().map(|name| name.text().to_string()),
                };
                name.map(|name| (Type, name)).into_iter().collect()
            }
            ast::Item::ExternBlock(item) => {
                let named: Vec<Key> =
                    parts_of_block(item).into_iter().map(|(key, _)| key).collect();
                if named.is_empty() { vec![(Namespace::Call, squeezed(node))] } else { named }
            }
            ast::Item::Fn(item) => named(&[Value], item.name()),
            ast::Item::Impl(item) => vec![(Impl, header(item))],
            ast::Item::MacroDef(item) => named(&[Macro], item.name()),
            ast::Item::MacroRules(item) => named(&[Macro], item.name()),
            ast::Item::Module(item) => named(&[Type], item.name()),
            ast::Item::Static(item) => named(&[Value], item.name()),
            ast::Item::Struct(item) => {
                let has_value = item
                    .field_list()
                    .is_none_or(|list| matches!(list, ast::FieldList::TupleFieldList(_)));
                named(if has_value { &[Type, Value] } else { &[Type] }, item.name())
            }
            ast::Item::Trait(item) => named(&[Type], item.name()),
            ast::Item::TypeAlias(item) => named(&[Type], item.name()),
            ast::Item::Union(item) => named(&[Type], item.name()),
            _ => vec![(Namespace::Call, squeezed(node))],
        };
        let mut made = Item::new(node, range, keys);
        match item {
            ast::Item::Impl(item) if item.trait_().is_none() => {
                made.parts = parts(item, &made.keys)
            }
            ast::Item::ExternBlock(item) => made.parts = parts_of_block(item),
            ast::Item::MacroRules(item) => {
                made.is_macro = true;
                made.place = Place::Macros;
                let exports = item.attrs().filter(|attribute| {
                    attribute.syntax().text().to_string().contains("macro_export")
                });
                made.exported = exports.map(|attribute| range_of(attribute.syntax())).collect();
                let names = crate::names::used(node).into_iter();
                made.names = names.map(|(name, _)| name).collect();
                made.rules = item.token_tree().map(|tree| rules(&tree)).unwrap_or_default();
            }
            ast::Item::ExternCrate(_) => made.place = Place::Crates,
            ast::Item::Module(item) if has_attribute(item, "macro_use") => {
                made.place = Place::Modules;
                let macros = node.descendants().filter_map(ast::MacroRules::cast);
                made.brings = macros.flat_map(|made| named(&[Macro], made.name())).collect();
            }
            ast::Item::Fn(item) if item.name().is_some_and(|name| name.text() == "main") => {
                let is_wrapped = item
                    .attrs()
                    .any(|attribute| attribute.syntax().text().to_string().contains("main"));
                let is_async = item.async_token().is_some() && !is_wrapped;
                made.main = Some(if is_async { Main::Async } else { Main::Sync });
                let returned = item.ret_type().and_then(|returned| returned.ty());
                let returned = returned.map(|kind| squeezed(kind.syntax())).unwrap_or_default();
                let name = returned.split('<').next().unwrap_or_default();
                made.reports = !matches!(name, "" | "()") && !name.ends_with("Result");
            }
            _ => {}
        }
        made.statics = statics(node);
        made.is_conditional = has_attribute(item, "cfg");
        made
    }

    pub(crate) fn of_call(call: &ast::MacroCall, range: Range<usize>, kind: MacroKind) -> Item {
        let name = name_of(call).unwrap_or_default();
        let by = match name.as_str() {
            "thread_local" => Some(StaticBy::ThreadLocal),
            "lazy_static" => Some(StaticBy::Lazy),
            _ => None,
        };
        let statics = match (by, call.token_tree()) {
            (Some(by), Some(tree)) => in_macro(&tree, by, &range),
            _ => Vec::new(),
        };
        let keys = if statics.is_empty() {
            let subject = call.token_tree().and_then(|tree| subject(&tree));
            vec![(
                Namespace::Call,
                format!("{name}! {}", subject.unwrap_or_else(|| squeezed(call.syntax()))),
            )]
        } else {
            statics.iter().map(|made| (Namespace::Value, made.name.clone())).collect()
        };
        let mut made = Item::new(call.syntax(), range, keys);
        made.statics = statics;
        if kind == MacroKind::Macros {
            made.place = Place::Macros;
        }
        made
    }
}

fn has_attribute(item: &impl ast::HasAttrs, name: &str) -> bool {
    item.attrs().any(|attribute| attribute.simple_name().is_some_and(|own| own == name))
}

/// `impl<T> Show for Row<T>`, with the least of blanks.
fn header(item: &ast::Impl) -> String {
    let generics =
        item.generic_param_list().map(|list| squeezed(list.syntax())).unwrap_or_default();
    let of = |kind: Option<ast::Type>| kind.map(|kind| squeezed(kind.syntax())).unwrap_or_default();
    // A path may be written in several ways: its last part counts.
    let last = |path: String| match path.split_once('<') {
        Some((path, rest)) => format!("{}<{rest}", path.rsplit("::").next().unwrap_or(path)),
        None => path.rsplit("::").next().unwrap_or(&path).to_owned(),
    };
    match item.trait_() {
        Some(of_trait) => {
            format!("impl{generics} {} for {}", last(of(Some(of_trait))), of(item.self_ty()))
        }
        None => format!("impl{generics} {}", of(item.self_ty())),
    }
}

fn parts(item: &ast::Impl, keys: &[Key]) -> Vec<(Key, Range<usize>)> {
    let header = keys.first().map(|(_, header)| header.clone()).unwrap_or_default();
    let inner = item.assoc_item_list().into_iter().flat_map(|list| list.assoc_items());
    let named = inner.filter_map(|part| {
        let name = match &part {
            ast::AssocItem::Const(part) => part.name(),
            ast::AssocItem::Fn(part) => part.name(),
            ast::AssocItem::TypeAlias(part) => part.name(),
            ast::AssocItem::MacroCall(_) => None,
        };
        Some(((Namespace::Impl, format!("{header}::{}", name?.text())), range_of(part.syntax())))
    });
    named.collect()
}

/// What an `extern` block declares.
fn parts_of_block(item: &ast::ExternBlock) -> Vec<(Key, Range<usize>)> {
    let inner = item.extern_item_list().into_iter().flat_map(|list| list.extern_items());
    let named = inner.filter_map(|part| {
        let (space, name) = match &part {
            ast::ExternItem::Fn(part) => (Namespace::Value, part.name()),
            ast::ExternItem::Static(part) => (Namespace::Value, part.name()),
            ast::ExternItem::TypeAlias(part) => (Namespace::Type, part.name()),
            ast::ExternItem::MacroCall(_) => return None,
        };
        Some(((space, name?.text().to_string()), range_of(part.syntax())))
    });
    named.collect()
}

fn squeezed(node: &SyntaxNode) -> String {
    let mut text = String::new();
    for token in tokens(node) {
        let joins = |c: char| c.is_alphanumeric() || c == '_';
        if text.ends_with(joins) && token.text().starts_with(joins) {
            text.push(' ');
        }
        text.push_str(token.text());
    }
    text
}

fn tokens(node: &SyntaxNode) -> impl Iterator<Item = SyntaxToken> {
    node.descendants_with_tokens()
        .filter_map(NodeOrToken::into_token)
        .filter(|token| !token.kind().is_trivia())
}

/// The names that a macro is given.
pub(crate) fn names_given(call: &ast::MacroCall) -> Vec<String> {
    let words =
        call.token_tree().into_iter().flat_map(|tree| tokens(tree.syntax()).collect::<Vec<_>>());
    let names = words.filter(|token| token.kind() == SyntaxKind::IDENT);
    names.map(|token| token.text().trim_start_matches("r#").to_owned()).collect()
}

/// The last part of a macro's path.
pub(crate) fn name_of(call: &ast::MacroCall) -> Option<String> {
    Some(call.path()?.segment()?.name_ref()?.text().to_string())
}

/// The macros that are defined among some statements.
pub(crate) fn macros_in(list: &SyntaxNode) -> Vec<(String, Vec<Rule>)> {
    let macros = list.children().filter_map(ast::MacroRules::cast);
    let named = macros
        .filter_map(|made| Some((made.name()?.text().to_string(), rules(&made.token_tree()?))));
    named.collect()
}

const BEGIN_ITEMS: [&str; 14] = [
    "struct",
    "enum",
    "union",
    "fn",
    "impl",
    "trait",
    "static",
    "const",
    "type",
    "mod",
    "use",
    "pub",
    "extern",
    "macro_rules",
];

/// A rule of a macro.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// What its arguments are, as far as its first variable.
    begins: Vec<String>,
    /// What may stand there; None at the end of the arguments.
    next: Option<Next>,
    kind: MacroKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Name,
    Expression,
    Anything,
}

/// The rules of a macro that is made by `macro_rules!`.
fn rules(tree: &ast::TokenTree) -> Vec<Rule> {
    let words: Vec<SyntaxToken> = tokens(tree.syntax()).collect();
    let declares = |is_mut: bool| {
        let shape: &[&str] = if is_mut { &["let", "mut", "$"] } else { &["let", "$"] };
        words
            .windows(shape.len())
            .any(|window| window.iter().zip(shape).all(|(token, word)| token.text() == *word))
    };
    let of_statements = match (declares(true), declares(false)) {
        (false, false) => MacroKind::Statements,
        (is_mut, _) => MacroKind::Variables { is_mut },
    };
    let parts: Vec<_> = tree.syntax().children().filter_map(ast::TokenTree::cast).collect();
    let pairs = parts.chunks_exact(2).map(|pair| (&pair[0], &pair[1]));
    let rules = pairs.map(|(arguments, body)| {
        let inner: Vec<String> =
            within(arguments).iter().map(|token| token.text().to_owned()).collect();
        let variable = inner.iter().position(|word| word == "$");
        let next = variable.map(|at| match inner.get(at + 3).map(String::as_str) {
            _ if inner.get(at + 2).is_none_or(|colon| colon != ":") => Next::Anything,
            Some("ident") => Next::Name,
            Some("expr" | "ty" | "literal" | "path") => Next::Expression,
            _ => Next::Anything,
        });
        let begins = inner[..variable.unwrap_or(inner.len())].to_vec();
        let kind = match begin_of_expansion(body) {
            MacroKind::Statements => of_statements,
            kind => kind,
        };
        Rule { begins, next, kind }
    });
    rules.collect()
}

/// What a call of a macro with these rules expands to.
pub(crate) fn expansion(rules: &[Rule], call: &ast::MacroCall) -> Option<MacroKind> {
    const OF_ITEMS: [&str; 10] =
        ["struct", "enum", "fn", "impl", "trait", "static", "type", "mod", "use", "pub"];
    let arguments = call.token_tree().map(|tree| within(&tree)).unwrap_or_default();
    let fits = |rule: &&Rule| {
        let begins = arguments.iter().zip(&rule.begins).all(|(token, word)| token.text() == word);
        let next = arguments.get(rule.begins.len());
        let is_next = match (rule.next, next) {
            (None, next) => next.is_none(),
            (Some(Next::Anything), _) => true,
            (Some(_), None) => false,
            (Some(Next::Name), Some(token)) => token.kind() == SyntaxKind::IDENT,
            (Some(Next::Expression), Some(token)) => !OF_ITEMS.contains(&token.text()),
        };
        begins && arguments.len() >= rule.begins.len() && is_next
    };
    rules.iter().find(fits).or(rules.first()).map(|rule| rule.kind)
}

/// What stands between the brackets of a macro's arguments.
fn within(tree: &ast::TokenTree) -> Vec<SyntaxToken> {
    let mut inner: Vec<SyntaxToken> = tokens(tree.syntax()).skip(1).collect();
    inner.pop();
    inner
}

/// What a rule's body begins with.
fn begin_of_expansion(body: &ast::TokenTree) -> MacroKind {
    let mut before = String::new();
    let mut depth = 0_usize;
    for token in tokens(body.syntax()).skip(1) {
        let text = token.text().to_owned();
        match token.kind() {
            // `#[derive(..)]`, `$(#[$attribute])*`
            SyntaxKind::L_BRACK => depth += 1,
            SyntaxKind::R_BRACK => depth = depth.saturating_sub(1),
            _ if depth > 0 || before == "$" && token.kind() == SyntaxKind::IDENT => {}
            SyntaxKind::DOLLAR
            | SyntaxKind::L_PAREN
            | SyntaxKind::R_PAREN
            | SyntaxKind::POUND
            | SyntaxKind::STAR
            | SyntaxKind::PLUS
            | SyntaxKind::QUESTION => {}
            _ if text == "unsafe" => {}
            _ if before == "unsafe" && text == "{" => return MacroKind::Statements,
            _ if text == "macro_rules" => return MacroKind::Macros,
            _ if BEGIN_ITEMS.contains(&text.as_str()) => return MacroKind::Items,
            _ => return MacroKind::Statements,
        }
        before = text;
    }
    MacroKind::Statements
}

/// What a macro expands to whose rules are not at hand.
pub(crate) fn guessed_kind(name: &str, call: &ast::MacroCall) -> MacroKind {
    if matches!(name, "thread_local" | "lazy_static" | "bitflags" | "cfg_if" | "global_asm") {
        return MacroKind::Items;
    }
    let Some(tree) = call.token_tree() else { return MacroKind::Statements };
    let in_braces =
        tree.left_delimiter_token().is_some_and(|token| token.kind() == SyntaxKind::L_CURLY);
    let mut inner = tokens(tree.syntax()).skip(1);
    let begins = inner
        .find(|token| token.kind() != SyntaxKind::POUND && token.kind() != SyntaxKind::L_BRACK);
    let is_item = begins.is_some_and(|token| {
        BEGIN_ITEMS.contains(&token.text()) && token.text() != "const" && token.text() != "use"
    });
    if in_braces && is_item { MacroKind::Items } else { MacroKind::Statements }
}

/// The name that the arguments of a macro define, as far as it can be seen.
fn subject(tree: &ast::TokenTree) -> Option<String> {
    let words: Vec<SyntaxToken> = tokens(tree.syntax()).collect();
    let keyword = words
        .windows(2)
        .find(|pair| BEGIN_ITEMS.contains(&pair[0].text()) && pair[1].kind() == SyntaxKind::IDENT);
    let first = || words.iter().find(|token| token.kind() == SyntaxKind::IDENT).cloned();
    Some(keyword.map(|pair| pair[1].clone()).or_else(first)?.text().to_owned())
}

/// The statics of an item, those within its functions too.
fn statics(node: &SyntaxNode) -> Vec<Static> {
    let mut found = Vec::new();
    for inner in node.descendants() {
        if let Some(item) = ast::Static::cast(inner.clone())
            && let (Some(name), Some(kind), Some(_)) = (item.name(), item.ty(), item.eq_token())
            && inner.parent().is_none_or(|parent| parent.kind() != SyntaxKind::EXTERN_ITEM_LIST)
        {
            let visibility = item.visibility().map(|v| v.syntax().text().to_string());
            let range = range_of(&inner);
            let shift = usize::from(inner.text_range().start()) - range.start;
            let word = item.visibility().map(|v| v.syntax().text_range().start());
            let word = word.or_else(|| item.static_token().map(|token| token.text_range().start()));
            found.push(Static {
                name: name.text().to_string(),
                kind: kind.syntax().text().to_string().replace('\n', " "),
                visibility: visibility.unwrap_or_default(),
                is_mut: item.mut_token().is_some(),
                by: StaticBy::Rust,
                head: word.map_or(range.start, |at| usize::from(at) - shift),
                range,
            });
        }
        if let Some(call) = ast::MacroCall::cast(inner.clone())
            && inner != *node
            && name_of(&call).is_some_and(|name| name == "thread_local")
            && let Some(tree) = call.token_tree()
        {
            let whole = inner.ancestors().find(|outer| outer.kind() == SyntaxKind::EXPR_STMT);
            let whole = whole.filter(|whole| whole.text().to_string().starts_with("thread_local"));
            found.extend(in_macro(
                &tree,
                StaticBy::ThreadLocal,
                &range_of(&whole.unwrap_or(inner)),
            ));
        }
    }
    found
}

/// The statics in `thread_local!` and `lazy_static!`: `static NAME: Type = value;`, `static ref NAME: ..`.
fn in_macro(tree: &ast::TokenTree, by: StaticBy, whole: &Range<usize>) -> Vec<Static> {
    let words: Vec<SyntaxToken> = tokens(tree.syntax()).collect();
    let mut found = Vec::new();
    for (index, _) in words.iter().enumerate().filter(|(_, token)| token.text() == "static") {
        let name_at = index
            + if words.get(index + 1).is_some_and(|token| token.text() == "ref") { 2 } else { 1 };
        let (Some(name), Some(colon)) = (words.get(name_at), words.get(name_at + 1)) else {
            continue;
        };
        if colon.kind() != SyntaxKind::COLON {
            continue;
        }
        let mut depth = 0_i32;
        let end = words[name_at + 2..].iter().position(|token| {
            match token.text() {
                "<" => depth += 1,
                ">" => depth -= 1,
                _ => {}
            }
            depth == 0 && token.kind() == SyntaxKind::EQ
        });
        let Some(end) = end else { continue };
        let kind: Vec<&str> =
            words[name_at + 2..name_at + 2 + end].iter().map(|token| token.text()).collect();
        let is_public = index > 0 && words[index - 1].text() == "pub";
        found.push(Static {
            name: name.text().to_owned(),
            kind: kind.join(" ").replace(" : : ", "::").replace(": :", "::").replace("& ", "&"),
            visibility: if is_public { "pub".to_owned() } else { String::new() },
            is_mut: false,
            by,
            range: whole.clone(),
            head: whole.end,
        });
    }
    found
}
