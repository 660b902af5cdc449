//! What may stand at a place, the best first.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

use cell_questions::Completion;
use ra_ap_hir::PrefixKind;
use ra_ap_ide::{
    CompletionConfig, CompletionFieldsToResolve, CompletionItem, CompletionItemKind,
    CompletionRelevance, RaFixtureConfig,
};
use ra_ap_ide_completion::CompletionRelevanceTypeMatch;
use ra_ap_ide_db::SymbolKind;
use ra_ap_ide_db::imports::insert_use::{ImportGranularity, InsertUseConfig};

use crate::markdown;

/// Names and nothing else: no snippets, no edits elsewhere, nothing to be imported.
pub(crate) fn config() -> CompletionConfig<'static> {
    CompletionConfig {
        enable_postfix_completions: false,
        enable_imports_on_the_fly: false,
        enable_self_on_the_fly: true,
        enable_auto_iter: false,
        enable_auto_await: false,
        enable_private_editable: false,
        enable_term_search: false,
        term_search_fuel: 0,
        full_function_signatures: true,
        callable: None,
        add_colons_to_module: false,
        add_semicolon_to_unit: false,
        snippet_cap: None,
        insert_use: InsertUseConfig {
            granularity: ImportGranularity::Item,
            enforce_granularity: false,
            prefix_kind: PrefixKind::ByCrate,
            group: false,
            skip_glob_imports: false,
        },
        prefer_no_std: false,
        prefer_prelude: true,
        prefer_absolute: false,
        snippets: Vec::new(),
        limit: None,
        fields_to_resolve: CompletionFieldsToResolve::empty(),
        exclude_flyimport: Vec::new(),
        exclude_traits: &[],
        ra_fixture: RaFixtureConfig::default(),
    }
}

/// The text with a name behind the cursor, where a value is missing: rust-analyzer takes what stands there
/// to be before the last statement, and would not know the variable that it declares.
pub(crate) fn with_a_name(source: &str, offset: usize) -> Cow<'_, str> {
    let (before, after) = source.split_at(offset);
    let value = before.trim_end().strip_suffix('=');
    let is_missing = value.is_some_and(|before| !before.ends_with(['=', '!', '<', '>']))
        && after
            .trim_start_matches([' ', '\t'])
            .chars()
            .next()
            .is_none_or(|next| matches!(next, ';' | '\r' | '\n' | '}' | ')'));
    match is_missing {
        true => Cow::Owned(format!("{before}value{after}")),
        false => Cow::Borrowed(source),
    }
}

/// How well a name fits what was typed of it; what is less comes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a> {
    /// Letters of another case come behind those of the same.
    other_case: bool,
    /// What is typed in full already comes first.
    is_longer: bool,
    /// The reader's own variables come first, and of them those of the wanted type.
    is_not_local: bool,
    is_other_type: bool,
    relevance: Reverse<u32>,
    /// Where something was typed, what is nearest to it: `sort` before `sort_by`.
    rest: usize,
    name: &'a str,
}

/// Chooses and orders what rust-analyzer found, which is all that could stand there.
pub(crate) fn chosen(source: &str, offset: usize, found: Vec<CompletionItem>) -> Vec<Completion> {
    let Some(range) = found.first().map(|item| item.source_range) else { return Vec::new() };
    let range = usize::from(range.start())..usize::from(range.end());
    let Some(typed) = source.get(range.start..offset) else { return Vec::new() };
    let mut fitting: Vec<(Rank<'_>, &CompletionItem)> = found
        .iter()
        .filter(|item| usize::from(item.source_range.start()) == range.start)
        .filter_map(|item| Some((rank(typed, item)?, item)))
        .collect();
    fitting.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut texts = BTreeSet::new();
    let completions = fitting.into_iter().filter_map(|(_, item)| completion(&range, item));
    completions.filter(|completion| texts.insert(completion.text.clone())).collect()
}

/// None for what does not begin as it was typed.
fn rank<'a>(typed: &str, item: &'a CompletionItem) -> Option<Rank<'a>> {
    let name = item.lookup();
    let same_case = name.starts_with(typed);
    let begins = || {
        let mut letters = name.chars().flat_map(char::to_lowercase);
        typed.chars().flat_map(char::to_lowercase).all(|letter| letters.next() == Some(letter))
    };
    let fits = match item.kind {
        CompletionItemKind::Snippet | CompletionItemKind::UnresolvedReference => false,
        // Nobody looks for these in a list.
        CompletionItemKind::Keyword => !typed.is_empty() && same_case,
        _ => same_case || begins(),
    };
    // What a program has written for itself.
    let is_hidden = name.starts_with("__") && !typed.starts_with('_');
    // rust-analyzer would have functions first that return nearly what they are called on.
    let relevance = CompletionRelevance { function: None, ..item.relevance };
    (fits && !is_hidden).then(|| Rank {
        other_case: !same_case,
        is_longer: name != typed,
        is_not_local: !relevance.is_local,
        is_other_type: relevance.type_match != Some(CompletionRelevanceTypeMatch::Exact),
        relevance: Reverse(relevance.score()),
        rest: if typed.is_empty() { 0 } else { name.len() },
        name,
    })
}

/// None for what changes more than one place.
fn completion(range: &Range<usize>, item: &CompletionItem) -> Option<Completion> {
    let mut edits = item.text_edit.iter();
    let edit = edits.next().filter(|_| edits.next().is_none())?;
    let replaced = usize::from(edit.delete.start())..usize::from(edit.delete.end());
    if replaced != *range {
        return None;
    }
    let is_called = matches!(
        item.kind,
        CompletionItemKind::SymbolKind(
            SymbolKind::Function | SymbolKind::Method | SymbolKind::Variant | SymbolKind::Struct
        ) | CompletionItemKind::Binding
    );
    let written = &edit.insert;
    // In a pattern, rust-analyzer brings names for all parts of a tuple; what attributes are given is
    // an ellipsis.
    let end = match written.contains('…') {
        true => written.find(|letter: char| !letter.is_alphanumeric() && letter != '_'),
        false => written.find('(').filter(|_| is_called),
    };
    let end = end.unwrap_or(written.len());
    let text = written[..end].trim_end().to_owned();
    let label = match end < written.len() {
        true => text.clone(),
        false => item.label.primary.to_string(),
    };
    let documentation = item.documentation.as_ref();
    Some(Completion {
        text,
        label,
        kind: kind(item.kind).into(),
        signature: item.detail.clone().filter(|detail| !detail.is_empty()),
        documentation: documentation.map(|text| markdown::plain(text.as_str())),
        range: range.clone(),
    })
}

fn kind(kind: CompletionItemKind) -> &'static str {
    use SymbolKind as S;
    let CompletionItemKind::SymbolKind(symbol) = kind else {
        return match kind {
            CompletionItemKind::Keyword => "keyword",
            CompletionItemKind::BuiltinType => "class",
            _ => "instance",
        };
    };
    match symbol {
        S::Function | S::Method | S::Macro | S::ProcMacro => "function",
        S::Derive | S::DeriveHelper | S::Attribute | S::BuiltinAttr => "function",
        S::Struct | S::Enum | S::Union | S::Trait | S::TypeAlias | S::TypeParam => "class",
        S::SelfType => "class",
        S::Module | S::CrateRoot | S::ToolModule => "module",
        _ => "instance",
    }
}
