//! evcxr's answers in this kernel's own types.

use evcxr::{CompilationError, Error};
use serde_json::{Map, Value};

use crate::engine::{
    CellError, Completion, Completions, Diagnostic, Documentation, Label, value_of,
};

/// What was wrong with a cell.
pub(crate) fn cell_error(error: Error) -> CellError {
    match error {
        Error::CompilationErrors(errors) => {
            CellError::Compilation(errors.iter().map(diagnostic).collect())
        }
        Error::SubprocessTerminated(status) => {
            CellError::ProcessEnded { status, last_words: String::new() }
        }
        other => CellError::Other(other.to_string()),
    }
}

fn diagnostic(error: &CompilationError) -> Diagnostic {
    let labels = error.spanned_messages().iter().filter_map(|spanned| {
        let span = spanned.span?;
        Some(Label {
            span: [(span.start_line, span.start_column), (span.end_line, span.end_column)],
            text: spanned.label.clone(),
            is_primary: spanned.is_primary,
        })
    });
    Diagnostic {
        message: error.message(),
        code: error.code().map(str::to_owned),
        labels: labels.collect(),
        help: error.help(),
        note: error.evcxr_extra_hint().map(str::to_owned),
    }
}

/// What evcxr's own commands show, by MIME type.
pub(crate) fn shown(outputs: evcxr::EvalOutputs) -> Map<String, Value> {
    let content = outputs.content_by_mime_type.into_iter();
    let parsed = content.map(|(kind, body)| {
        let value = value_of(&kind, &body);
        (kind, value)
    });
    parsed.collect()
}

/// What may stand at a place.
pub(crate) fn completions(found: evcxr::Completions) -> Completions {
    let items = found.completions.into_iter().map(|item| Completion {
        code: item.code,
        kind: item.kind,
        label: item.label,
    });
    Completions { replaced: found.start_offset..found.end_offset, items: items.collect() }
}

/// What is known of a name; None where evcxr says that it is nothing.
pub(crate) fn documentation((plain, html): (String, String)) -> Option<Documentation> {
    (plain != "No documentation found").then_some(Documentation { plain, html })
}
