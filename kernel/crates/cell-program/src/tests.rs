//! Tests in a cell: functions with `#[test]`, which the kernel runs.

use ra_ap_syntax::AstNode as _;
use ra_ap_syntax::ast::{
    self, HasAttrs as _, HasModuleItem as _, HasName as _, HasVisibility as _,
};

use crate::cell::range_of;
use crate::edit::Edit;

/// A test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// Its path from the root of the crate.
    pub path: String,
    /// Whether it is left out unless it is asked for.
    pub is_ignored: bool,
    /// Whether it has to panic, and with which words in its message.
    pub panics: Option<String>,
}

/// Makes the tests in an item ordinary functions that can be called from outside of their modules, and
/// lists them.
pub(crate) fn taken(item: &ast::Item, found: &mut Vec<Test>) -> Vec<Edit> {
    let mut edits = Vec::new();
    take(item, "", found, &mut edits);
    edits
}

fn take(item: &ast::Item, path: &str, found: &mut Vec<Test>, edits: &mut Vec<Edit>) {
    match item {
        ast::Item::Fn(function) => {
            let attribute = |name: &str| {
                function
                    .attrs()
                    .find(|attribute| word_of(attribute).is_some_and(|word| word == name))
            };
            let (Some(test), Some(name)) = (attribute("test"), function.name()) else { return };
            let panics = attribute("should_panic").map(|attribute| expected(&attribute));
            let is_ignored = attribute("ignore").is_some();
            found.push(Test { path: format!("{path}{}", name.text()), is_ignored, panics });
            let gone = [Some(test), attribute("should_panic"), attribute("ignore")];
            edits.extend(gone.into_iter().flatten().map(|gone| blank(&gone)));
            if !path.is_empty() && function.visibility().is_none() {
                let start =
                    function.fn_token().map(|token| usize::from(token.text_range().start()));
                let shift = usize::from(function.syntax().text_range().start())
                    - range_of(function.syntax()).start;
                edits.extend(start.map(|start| Edit::insert(start - shift, "pub(crate) ")));
            }
        }
        ast::Item::Module(module) => {
            let (Some(items), Some(name)) = (module.item_list(), module.name()) else { return };
            let before = found.len();
            let inner = format!("{path}{}::", name.text());
            for item in items.items() {
                take(&item, &inner, found, edits);
            }
            if found.len() == before {
                return;
            }
            let only_for_tests = |attribute: &ast::Attr| {
                attribute.syntax().text().to_string().split_whitespace().collect::<String>()
                    == "#[cfg(test)]"
            };
            edits.extend(module.attrs().filter(only_for_tests).map(|attribute| blank(&attribute)));
            if !path.is_empty() && module.visibility().is_none() {
                let start = module.mod_token().map(|token| usize::from(token.text_range().start()));
                let shift = usize::from(module.syntax().text_range().start())
                    - range_of(module.syntax()).start;
                edits.extend(start.map(|start| Edit::insert(start - shift, "pub(crate) ")));
            }
        }
        _ => {}
    }
}

fn blank(attribute: &ast::Attr) -> Edit {
    Edit::replace(range_of(attribute.syntax()), "")
}

/// The first word of an attribute.
fn word_of(attribute: &ast::Attr) -> Option<String> {
    let text = attribute.syntax().text().to_string();
    let inner = text.trim_start_matches("#[").trim_end_matches(']').trim();
    inner.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().map(str::to_owned)
}

/// The text in `#[should_panic(expected = "text")]`.
fn expected(attribute: &ast::Attr) -> String {
    let text = attribute.syntax().text().to_string();
    let quoted = text.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
    quoted.map(|(quoted, _)| quoted.to_owned()).unwrap_or_default()
}
