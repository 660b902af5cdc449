//! What is known of the name or the call at a place.

use std::fmt::Write as _;

use cell_questions::Documentation;
use ra_ap_ide::{
    HoverConfig, HoverDocFormat, HoverResult, RaFixtureConfig, SignatureHelp, SubstTyLen, TextSize,
};
use ra_ap_syntax::{Edition, SourceFile, SyntaxKind, T};

use crate::markdown;

pub(crate) fn config() -> HoverConfig<'static> {
    HoverConfig {
        links_in_hover: true,
        memory_layout: None,
        documentation: true,
        keywords: true,
        format: HoverDocFormat::Markdown,
        max_trait_assoc_items_count: Some(10),
        max_fields_count: Some(10),
        max_enum_variants_count: Some(10),
        max_subst_ty_len: SubstTyLen::Unlimited,
        show_drop_glue: false,
        ra_fixture: RaFixtureConfig::default(),
    }
}

/// Whether a name stands at a place, of which more is wanted than of the call around it.
pub(crate) fn is_name(source: &str, offset: TextSize) -> bool {
    let file = SourceFile::parse(source, Edition::Edition2024);
    file.syntax_node().token_at_offset(offset).any(|token| {
        let kind = token.kind();
        kind == SyntaxKind::IDENT || kind.is_keyword(Edition::Edition2024) || kind == T![?]
    })
}

/// Of a name.
pub(crate) fn of_name(hover: &HoverResult) -> Option<Documentation> {
    let text = hover.markup.as_str().trim();
    if text.is_empty() {
        return None;
    }
    Some(Documentation { plain: markdown::plain_below_code(text), html: markdown::html(text) })
}

/// Of a call, whose parameter at the place is shown apart.
pub(crate) fn of_call(call: &SignatureHelp) -> Option<Documentation> {
    if call.signature.is_empty() {
        return None;
    }
    let body = call.doc.as_ref().map(|text| text.as_str()).unwrap_or_default();
    let active =
        call.active_parameter.and_then(|place| call.parameter_ranges().get(place)).copied();
    let mut signature = call.signature.clone();
    let mut html = String::from("<pre><code class=\"language-rust\">");
    match active {
        Some(active) => {
            let [from, to] = [active.start(), active.end()].map(usize::from);
            let of = |part: Option<&str>| escaped(part.unwrap_or_default());
            let (before, after) = (signature.get(..from), signature.get(to..));
            let parameter = signature.get(from..to);
            html.push_str(&of(before));
            // A write to a string does not fail.
            let _ = write!(html, "<strong>{}</strong>{}", of(parameter), of(after));
            let parameter = parameter.unwrap_or_default().to_owned();
            let _ = write!(signature, "\n\nParameter here: {parameter}");
        }
        None => html.push_str(&escaped(&signature)),
    }
    html.push_str("</code></pre>");
    Some(Documentation {
        plain: joined(&signature, &markdown::plain(body)),
        html: joined_html(&html, body),
    })
}

fn joined(signature: &str, body: &str) -> String {
    match body.is_empty() {
        true => signature.to_owned(),
        false => format!("{signature}\n\n{body}"),
    }
}

fn joined_html(signature: &str, body: &str) -> String {
    match body.is_empty() {
        true => signature.to_owned(),
        false => format!("{signature}\n{}", markdown::html(body)),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
