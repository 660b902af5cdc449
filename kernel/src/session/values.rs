//! What commands show.

use std::collections::HashMap;
use std::process::Command;

use cell_compiler::probe;

use super::evaluator::Evaluator;
use super::library;
use crate::engine::CellError;

/// The variables, with their types and values.
pub(super) fn variables(evaluator: &mut Evaluator) -> Result<String, CellError> {
    let variables = evaluator.program.variables();
    let names: Vec<String> = variables.keys().cloned().collect();
    let typed: Vec<String> = variables
        .iter()
        .map(|(name, variable)| {
            let word = if variable.is_mut { "mut " } else { "" };
            let moved: Vec<String> =
                variable.parts.moved().map(|(part, _)| format!("`{name}{part}`")).collect();
            let without = match moved.as_slice() {
                [] => String::new(),
                moved => format!(" without {}", moved.join(", ")),
            };
            format!("{word}{name}: {}{without}", cell_compiler::short(&variable.kind))
        })
        .collect();
    let waiting = evaluator.program.waiting().flat_map(|waiting| &waiting.names);
    let waiting: Vec<String> = waiting
        .map(|(name, is_mut)| format!("{}{name}: _", if *is_mut { "mut " } else { "" }))
        .collect();
    if names.is_empty() {
        return Ok(waiting.join("\n"));
    }
    // To look at one that is lent to be changed would end what borrows from it.
    let is_seen = |name: &&String| {
        !evaluator.program.is_lent_exclusively(name) && !evaluator.program.is_in_parts(name)
    };
    let seen: Vec<String> = names.iter().filter(is_seen).cloned().collect();
    // A value whose Debug panics must not hide the others.
    let values = evaluator.values(&seen).unwrap_or_else(|error| {
        log::info!("values cannot be told: {error:?}");
        Vec::new()
    });
    let values: HashMap<&String, &String> = seen.iter().zip(&values).collect();
    let lines = names.iter().zip(typed).map(|(name, typed)| match values.get(name) {
        Some(value) if !value.is_empty() => format!("{typed} = {value}"),
        _ => typed,
    });
    Ok(lines.chain(waiting).collect::<Vec<_>>().join("\n"))
}

/// The type of an expression.
pub(super) fn type_of(evaluator: &mut Evaluator, expression: &str) -> Result<String, CellError> {
    if expression.is_empty() {
        return Err(CellError::Other("`:type` needs an expression, such as `:type 1 + 1`".into()));
    }
    let found = probe(&evaluator.rustc, &evaluator.program, expression, &evaluator.folder);
    match found.map_err(|error| CellError::Other(format!("{error:#}")))? {
        Some(kind) => Ok(cell_compiler::short(&kind)),
        None => Err(CellError::Other(format!(
            "`{expression}` does not compile, or its type has no name"
        ))),
    }
}

/// rustc's explanation of the last errors.
pub(super) fn explain(evaluator: &Evaluator) -> Result<String, CellError> {
    let mut text = String::new();
    for code in &evaluator.last_errors {
        let output = Command::new(&evaluator.rustc.program).args(["--explain", code]).output();
        let output = output.map_err(|error| CellError::Other(error.to_string()))?;
        text.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    Ok(if text.is_empty() {
        "rustc explains nothing about the last error".to_owned()
    } else {
        text
    })
}

/// The crates that were added.
pub(super) fn crates(evaluator: &Evaluator) -> String {
    let lines = evaluator.crates.named().map(|one| format!("{} = {}", one.name, one.spec));
    lines.collect::<Vec<_>>().join("\n")
}

/// The versions of what evaluates cells.
pub(super) fn version(evaluator: &Evaluator) -> String {
    let output = Command::new(&evaluator.rustc.program).arg("-V").output();
    let rustc = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!("rust-live {}\n{}", env!("CARGO_PKG_VERSION"), rustc.unwrap_or_default())
}

/// Writes the versions of the crates beside the notebook.
pub(super) fn lock_versions(evaluator: &mut Evaluator) -> Result<String, CellError> {
    let Some(path) = library::lock_of_notebook() else {
        return Err(CellError::Other(
            "the front end does not say which notebook this is: `:lock` needs its path".into(),
        ));
    };
    let written = evaluator.crates.own().write_lock_file(&path);
    written.map_err(|error| CellError::Other(error.to_string()))?;
    Ok(format!("{} names the versions from now on", path.display()))
}
