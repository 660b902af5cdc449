//! Which items of earlier cells a cell can reach: the others need not be compiled with it.
//!
//! An item is reached by its name, wherever it stands as a word: in the cell, in the type of a variable that
//! it uses, or in an item that is reached. A trait is reached by the names of its parts, too, for a method is
//! called without its trait's name. What implements something comes with its types and its trait. All
//! of this takes in too much rather than too little; a cell that is refused is compiled with everything
//! before its reader is told.

use std::collections::BTreeSet;

use ra_ap_syntax::ast::{self, HasGenericParams as _, HasName as _};
use ra_ap_syntax::{AstNode as _, SyntaxNode};

use crate::items::{Item, Namespace, Place};
use crate::names::words;

/// What is known of an item for this.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach {
    /// All words in it.
    words: BTreeSet<String>,
    /// Names other than its own by which it is reached: the parts of a trait.
    parts: BTreeSet<String>,
    /// For an `impl`, the names that its types and its trait begin with.
    subjects: Option<BTreeSet<String>>,
    /// Those of what is implemented somewhere within it.
    inner: BTreeSet<String>,
    /// Whether it has an effect that no name leads to.
    always: bool,
}

impl Reach {
    pub(crate) fn of(node: &SyntaxNode) -> Reach {
        let text = node.text().to_string();
        let mut reach =
            Reach { words: words(&text).map(str::to_owned).collect(), ..Reach::default() };
        for inner in node.descendants() {
            if let Some(item) = ast::Impl::cast(inner.clone()) {
                let subjects = subjects(&item);
                if inner == *node {
                    reach.subjects = Some(subjects);
                } else {
                    reach.inner.extend(subjects);
                }
            } else if let Some(item) = ast::Trait::cast(inner.clone()) {
                let parts = item.assoc_item_list().into_iter().flat_map(|list| list.assoc_items());
                reach.parts.extend(parts.filter_map(|part| match part {
                    ast::AssocItem::Const(part) => name(part.name()),
                    ast::AssocItem::Fn(part) => name(part.name()),
                    ast::AssocItem::TypeAlias(part) => name(part.name()),
                    // Whatever it makes.
                    ast::AssocItem::MacroCall(_) => {
                        reach.always = true;
                        None
                    }
                }));
            } else if ast::MacroRules::can_cast(inner.kind()) && inner != *node {
                // It may be seen from outside of its module.
                reach.always = true;
            }
        }
        reach
    }
}

fn name(name: Option<ast::Name>) -> Option<String> {
    Some(bare(name?.text()).to_owned())
}

/// A name as [`words`] finds it.
fn bare(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}

/// The names that the types and the trait of an `impl` begin with, but for its own parameters.
fn subjects(item: &ast::Impl) -> BTreeSet<String> {
    let parameters: BTreeSet<String> = item
        .generic_param_list()
        .into_iter()
        .flat_map(|list| list.generic_params())
        .filter_map(|parameter| match parameter {
            ast::GenericParam::TypeParam(parameter) => name(parameter.name()),
            ast::GenericParam::ConstParam(parameter) => name(parameter.name()),
            ast::GenericParam::LifetimeParam(_) => None,
        })
        .collect();
    let kinds = item.trait_().into_iter().chain(item.self_ty());
    let paths = kinds.flat_map(|kind| {
        let paths = kind.syntax().descendants().filter_map(ast::Path::cast);
        paths.filter(|path| path.qualifier().is_none()).filter_map(first).collect::<Vec<_>>()
    });
    paths.filter(|first| !parameters.contains(first)).collect()
}

/// The name that a path begins with: of `crate::a::b`, it is `a`.
fn first(path: ast::Path) -> Option<String> {
    let own = bare(path.segment()?.name_ref()?.text()).to_owned();
    if !matches!(own.as_str(), "crate" | "self" | "super") {
        return Some(own);
    }
    let outer = path.syntax().parent().and_then(ast::Path::cast)?;
    Some(bare(outer.segment()?.name_ref()?.text()).to_owned())
}

/// Those of some items that are reached from some words, by their places among them.
pub(crate) fn reached(items: &[&Item], mut known: BTreeSet<String>) -> BTreeSet<usize> {
    let types: BTreeSet<&str> = items
        .iter()
        .flat_map(|item| &item.keys)
        .filter(|(space, _)| *space == Namespace::Type)
        .map(|(_, name)| bare(name))
        .collect();
    let mut found = BTreeSet::new();
    let mut grows = true;
    while grows {
        grows = false;
        for (place, item) in items.iter().enumerate() {
            if !found.contains(&place) && is_reached(item, &types, &known) {
                found.insert(place);
                known.extend(item.reach.words.iter().cloned());
                grows = true;
            }
        }
    }
    found
}

fn is_reached(item: &Item, types: &BTreeSet<&str>, known: &BTreeSet<String>) -> bool {
    let Reach { parts, subjects, inner, always, .. } = &item.reach;
    if let Some(subjects) = subjects {
        let mut ours = subjects.iter().filter(|name| types.contains(name.as_str()));
        return ours.all(|name| known.contains(name));
    }
    let is_named = |(space, name): &(Namespace, String)| {
        // What a macro has made has no name that could be seen.
        matches!(space, Namespace::Call) || known.contains(bare(name))
    };
    *always
        || matches!(item.place, Place::Crates | Place::Modules)
        || item.keys.is_empty()
        || item.keys.iter().any(is_named)
        || parts.iter().chain(inner).any(|name| known.contains(name))
}

impl Item {
    /// Whether a name stands in it as a word.
    pub(crate) fn says(&self, name: &str) -> bool {
        self.reach.words.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use ra_ap_syntax::ast::HasModuleItem as _;
    use ra_ap_syntax::{Edition, SourceFile};

    use super::*;

    /// The first words of the items in `code` that are reached from `from`.
    fn found(code: &str, from: &str) -> Vec<String> {
        let tree = SourceFile::parse(code, Edition::Edition2024).tree();
        let items: Vec<Item> = tree.items().map(|item| Item::of(&item, 0..0)).collect();
        let items: Vec<&Item> = items.iter().collect();
        let places = reached(&items, words(from).map(str::to_owned).collect());
        let first = |place: &usize| {
            items[*place].text.split(['{', '(', ';']).next().unwrap_or_default().trim().to_owned()
        };
        places.iter().map(first).collect()
    }

    #[test]
    fn names_lead_to_items() {
        let code = "fn a() { b() } fn b() {} fn c() {} macro_rules! m { () => { c() } }";
        assert_eq!(found(code, "a()"), ["fn a", "fn b"]);
        assert_eq!(found(code, "m!()"), ["fn c", "macro_rules! m"]);
        assert_eq!(found(code, "1 + 1"), [] as [&str; 0]);
    }

    #[test]
    fn what_is_implemented_comes_with_its_types_and_trait() {
        let code = "struct A; struct B; trait T { fn t(&self); } impl A {} impl T for A {} impl<X> T for Vec<X> {} \
            impl From<A> for B {} impl Drop for B {} impl std::fmt::Display for crate::A {}";
        let of_a = ["struct A", "impl A", "impl std::fmt::Display for crate::A"];
        assert_eq!(found(code, "A"), of_a);
        assert_eq!(found(code, "B"), ["struct B", "impl Drop for B"]);
        assert_eq!(found(code, "x.t()"), ["trait T", "impl<X> T for Vec<X>"]);
        assert_eq!(found(code, "A B T").len(), 9);
    }

    #[test]
    fn what_has_effects_without_a_name_is_there() {
        let code = "mod m { impl super::A {} } struct A; const _: () = (); unsafe extern \"C\" {} \
            mod n { macro_rules! inside { () => {} } }";
        assert_eq!(found(code, ""), ["const _: ", "unsafe extern \"C\"", "mod n"].map(str::trim));
        assert_eq!(found(code, "A").len(), 5);
    }
}
