//! What cells import, name by name.

use ra_ap_syntax::AstNode as _;
use ra_ap_syntax::ast::{self, HasName as _};

/// One name that a `use` brings into scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The whole path, with neither braces nor a new name.
    pub path: String,
    /// The name; None for a star and for `_`.
    pub name: Option<String>,
    /// The name behind `as`.
    pub renamed: Option<String>,
}

impl Leaf {
    /// The statement that brings the name into scope from a module of the crate's root. What is `local` is in the
    /// crate: a path that begins so does not lead to another crate.
    pub(crate) fn statement(&self, local: &dyn Fn(&str) -> bool) -> String {
        let first = self.path.split("::").next().unwrap_or_default().trim();
        let root = match first {
            "self" => {
                return self.clone().with_path(self.path.replacen("self", "crate", 1)).plain();
            }
            first if local(first) => "crate::",
            _ => "",
        };
        self.clone().with_path(format!("{root}{}", self.path)).plain()
    }

    /// Whether it brings all names of a module.
    pub(crate) fn is_star(&self) -> bool {
        self.name.is_none() && self.renamed.is_none()
    }

    fn with_path(mut self, path: String) -> Leaf {
        self.path = path;
        self
    }

    fn plain(&self) -> String {
        format!("pub(crate) {}", self.written())
    }

    /// As it stands in the root of a crate.
    pub(crate) fn written(&self) -> String {
        let renamed = self.renamed.as_ref().map(|name| format!(" as {name}")).unwrap_or_default();
        format!("use {}{renamed};", self.path)
    }
}

/// The names that a `use` brings into scope.
pub(crate) fn leaves(item: &ast::Use) -> Vec<Leaf> {
    let mut found = Vec::new();
    if let Some(tree) = item.use_tree() {
        walk(&tree, "", &mut found);
    }
    found
}

fn walk(tree: &ast::UseTree, before: &str, found: &mut Vec<Leaf>) {
    let own = tree.path().map(|path| path.syntax().text().to_string()).unwrap_or_default();
    let global = tree.coloncolon_token().filter(|_| own.is_empty() && before.is_empty());
    let path = match (before, own.as_str()) {
        (before, "") => before.to_owned(),
        ("", own) => own.to_owned(),
        (before, own) => format!("{before}::{own}"),
    };
    let path = if global.is_some() { format!("::{path}") } else { path };
    if let Some(list) = tree.use_tree_list() {
        list.use_trees().for_each(|inner| walk(&inner, &path, found));
        return;
    }
    if tree.star_token().is_some() {
        found.push(Leaf { path: format!("{path}::*"), name: None, renamed: None });
        return;
    }
    // `use a::b::{self}` brings b.
    let path = path.strip_suffix("::self").map(str::to_owned).unwrap_or(path);
    let last = path.rsplit("::").next().unwrap_or_default().to_owned();
    let renamed = tree.rename().map(|rename| match rename.name() {
        Some(name) => name.text().to_string(),
        None => "_".to_owned(),
    });
    let name = renamed.clone().unwrap_or(last);
    found.push(Leaf { path, name: (name != "_").then_some(name), renamed });
}

#[cfg(test)]
mod tests {
    use ra_ap_syntax::{Edition, SourceFile};

    use super::*;

    fn statements(code: &str) -> Vec<String> {
        let tree = SourceFile::parse(code, Edition::Edition2024).tree();
        let items = tree.syntax().descendants().filter_map(ast::Use::cast);
        let leaves: Vec<Leaf> = items.flat_map(|item| leaves(&item)).collect();
        leaves.iter().map(|leaf| leaf.statement(&|first| first == "shapes")).collect()
    }

    #[test]
    fn every_name_has_a_statement_of_its_own() {
        assert_eq!(
            statements("use std::{fmt::{self, Write as _}, collections::{HashMap as Map, *}};"),
            [
                "pub(crate) use std::fmt;",
                "pub(crate) use std::fmt::Write as _;",
                "pub(crate) use std::collections::HashMap as Map;",
                "pub(crate) use std::collections::*;"
            ]
        );
    }

    #[test]
    fn a_path_within_the_crate_begins_at_its_root() {
        assert_eq!(
            statements(
                "use shapes::Square; use self::shapes::*; use ::rand::random; use crate::a;"
            ),
            [
                "pub(crate) use crate::shapes::Square;",
                "pub(crate) use crate::shapes::*;",
                "pub(crate) use ::rand::random;",
                "pub(crate) use crate::a;"
            ]
        );
    }
}
