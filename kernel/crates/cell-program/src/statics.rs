//! Statics keep their values: the cell that defines one exports it, later ones name that.

use std::collections::{BTreeMap, BTreeSet};

use crate::choices::Choices;
use crate::edit::Edit;
use crate::items::{Item, Static, StaticBy};
use crate::program::Program;

impl Program {
    /// The edits for the statics of an item: the cell that defines one exports it, later ones use that.
    pub(crate) fn statics(
        &self,
        number: usize,
        item: &Item,
        is_this: bool,
        choices: &Choices,
        defines: &mut BTreeSet<String>,
    ) -> Vec<Edit> {
        let mut edits: Vec<Edit> = Vec::new();
        let mut replaced: BTreeMap<(usize, usize), String> = BTreeMap::new();
        for made in &item.statics {
            let symbol = format!("rust_live_static_{number}_{}_{}", made.range.start, made.name);
            if is_this || !self.defined.contains(&symbol) {
                edits.push(exported(made, &symbol));
                defines.insert(symbol);
            } else if choices.read_statics.contains(&made.name) && made.by == StaticBy::Rust {
                // A copy: what can be read when a program is compiled never changes.
            } else {
                let all = replaced.entry((made.range.start, made.range.end)).or_default();
                all.push_str(&imported(made, &symbol));
            }
        }
        edits.extend(
            replaced.into_iter().map(|((start, end), text)| Edit::replace(start..end, text)),
        );
        edits
    }
}

fn exported(made: &Static, symbol: &str) -> Edit {
    let name = &made.name;
    match made.by {
        StaticBy::Rust => Edit::insert(made.head, format!("#[unsafe(export_name = {symbol:?})] ")),
        StaticBy::ThreadLocal => Edit::insert(
            made.head,
            format!(
                " #[unsafe(export_name = {symbol:?})] static __RUST_LIVE_{name}: &::std::thread::LocalKey<{}> = &{name};",
                made.kind
            ),
        ),
        StaticBy::Lazy => Edit::insert(
            made.head,
            format!(
                " #[unsafe(export_name = {symbol:?})] static __RUST_LIVE_{name}: fn() -> &'static ({}) = || &*{name};",
                made.kind
            ),
        ),
    }
}

fn imported(made: &Static, symbol: &str) -> String {
    let Static { name, visibility, .. } = made;
    // Here rustc wants to be told the lifetimes.
    let kind = &crate::types::with_static(
        &made.kind.replace("Cow<", "Cow<'static, ").replace("'static, '", "'"),
    );
    let link = format!("#[link_name = {symbol:?}]");
    match made.by {
        StaticBy::Rust if made.is_mut => {
            format!("unsafe extern \"C\" {{ {link} {visibility} static mut {name}: {kind}; }} ")
        }
        StaticBy::Rust => {
            format!("unsafe extern \"C\" {{ {link} {visibility} safe static {name}: {kind}; }} ")
        }
        StaticBy::ThreadLocal => format!(
            "unsafe extern \"C\" {{ {link} {visibility} safe static {name}: &'static ::std::thread::LocalKey<{kind}>; }} "
        ),
        StaticBy::Lazy => format!(
            "unsafe extern \"C\" {{ {link} safe static __RUST_LIVE_{name}: fn() -> &'static ({kind}); }} \
             {visibility} static {name}: ::rust_live::Lazy<{kind}> = ::rust_live::Lazy(|| __RUST_LIVE_{name}()); "
        ),
    }
}
