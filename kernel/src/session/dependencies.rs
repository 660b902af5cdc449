//! What stands behind `:dep`, in all the ways in which notebooks write it.

use std::path::Path;

use anyhow::{Result, bail};
use cell_store::Dependency;
use toml::Value;

/// What a line names, and what its reader should know about how it is written.
pub(crate) fn parse(line: &str, base: &Path) -> Result<(Vec<Dependency>, Vec<String>)> {
    let mut hints = Vec::new();
    let line = today(line, &mut hints);
    let mut found = Vec::new();
    for part in parts(&line) {
        found.push(one(part.trim(), base)?);
    }
    if found.is_empty() {
        bail!("`:dep` names no crate: write for example `:dep rand = \"0.9\"`");
    }
    Ok((found, hints))
}

fn one(part: &str, base: &Path) -> Result<Dependency> {
    let Some((name, spec)) = part.split_once('=') else {
        let name = part.trim_matches(['"', '\'']);
        if name.starts_with(['.', '/', '~']) {
            return local(name, base);
        }
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, version),
            // Name and version without more.
            None => name.split_once(char::is_whitespace).unwrap_or((name, "*")),
        };
        return named(name, Value::String(version.trim().trim_matches(['"', '\'']).to_owned()));
    };
    let spec = spec.trim();
    let value = match format!("spec = {spec}").parse::<toml::Table>() {
        Ok(mut table) => table.remove("spec"),
        Err(_) => None,
    };
    let is_version =
        |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || ".^~*-+<>=, ".contains(c));
    let value = match value {
        Some(value @ (Value::String(_) | Value::Table(_))) => value,
        // A version without quotes: 1, 0.9, 1.2.3.
        _ if !spec.is_empty() && is_version(spec) => Value::String(spec.to_owned()),
        _ => bail!(
            "`:dep {part}` is not understood: write `:dep name = \"version\"` or \
             `:dep name = {{ version = \"version\", features = [\"feature\"] }}`"
        ),
    };
    named(name.trim().trim_matches(['"', '\'']), value)
}

fn named(name: &str, spec: Value) -> Result<Dependency> {
    let is_name = !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        && name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !is_name {
        bail!("`{name}` is no name of a crate");
    }
    Ok(Dependency { name: name.to_owned(), spec })
}

/// A crate of this machine by its folder alone.
pub(crate) fn local(folder: &str, base: &Path) -> Result<Dependency> {
    let home = || std::env::var("HOME").unwrap_or_default();
    let path = match folder.strip_prefix('~') {
        Some(rest) => format!("{}{rest}", home()),
        None => folder.to_owned(),
    };
    let path = base.join(path);
    let manifest = path.join("Cargo.toml");
    let text = match std::fs::read_to_string(&manifest) {
        Ok(text) => text,
        Err(error) => bail!("{} cannot be read: {error}", manifest.display()),
    };
    let table: toml::Table = text.parse()?;
    let name = table.get("package").and_then(|package| package.get("name"));
    let Some(name) = name.and_then(Value::as_str) else {
        bail!("{} names no package", manifest.display())
    };
    let path = Value::String(path.to_string_lossy().into_owned());
    Ok(Dependency {
        name: name.to_owned(),
        spec: toml::Table::from_iter([("path".to_owned(), path)]).into(),
    })
}

/// A line without the comment behind it, its keys as Cargo has them since the edition of 2024.
fn today(line: &str, hints: &mut Vec<String>) -> String {
    let mut changed = String::new();
    for (index, piece) in pieces(line).into_iter().enumerate() {
        let is_quoted = index % 2 == 1;
        if is_quoted {
            changed.push_str(piece);
            continue;
        }
        let end = ["//", "#"].iter().filter_map(|mark| piece.find(mark)).min();
        let code = &piece[..end.unwrap_or(piece.len())];
        if code.contains("default_features") {
            hints.push("default_features is written default-features since Rust 2024".to_owned());
        }
        changed.push_str(&code.replace("default_features", "default-features"));
        if end.is_some() {
            break;
        }
    }
    changed.trim().trim_end_matches(';').to_owned()
}

/// The crates of a line: several are told apart by semicolons or commas outside of brackets, where a name
/// and `=` follow.
fn parts(line: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let mut start = 0;
    let mut found = Vec::new();
    for (index, piece) in pieces(line).into_iter().enumerate() {
        if index % 2 == 1 {
            continue;
        }
        let offset = piece.as_ptr() as usize - line.as_ptr() as usize;
        for (at, character) in piece.char_indices() {
            match character {
                '{' | '[' | '(' => depth += 1,
                '}' | ']' | ')' => depth -= 1,
                ',' | ';' if depth == 0 => {
                    found.push(&line[start..offset + at]);
                    start = offset + at + 1;
                }
                _ => {}
            }
        }
    }
    found.push(&line[start..]);
    found.retain(|part| !part.trim().is_empty());
    found
}

/// A line cut at its quoted texts: outside, quoted, outside, and so on, the first and the last outside.
fn pieces(line: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while let Some(begin) = rest.find(['"', '\'']) {
        let quote = &rest[begin..=begin];
        let Some(length) = rest[begin + 1..].find(quote) else { break };
        let end = begin + length + 2;
        pieces.extend([&rest[..begin], &rest[begin..end]]);
        rest = &rest[end..];
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Vec<String> {
        let (found, _) = parse(line, Path::new("/")).unwrap();
        found.iter().map(|one| format!("{} = {}", one.name, one.spec)).collect()
    }

    #[test]
    fn every_spelling_is_understood() {
        for (line, meant) in [
            ("rand", r#"rand = "*""#),
            ("\"rand\"", r#"rand = "*""#),
            ("rand = \"0.9\"", r#"rand = "0.9""#),
            ("rand = '0.9'", r#"rand = "0.9""#),
            ("rand = 0.9", r#"rand = "0.9""#),
            ("rand = 0.9.1 // numbers", r#"rand = "0.9.1""#),
            ("rand = \"0.9\" # numbers", r#"rand = "0.9""#),
            ("rand@0.9", r#"rand = "0.9""#),
            ("rand=\"0.9\";", r#"rand = "0.9""#),
            (
                "plotters = { git = \"https://a//b\", default_features = false }",
                r#"plotters = { default-features = false, git = "https://a//b" }"#,
            ),
        ] {
            assert_eq!(parsed(line), [meant], "{line}");
        }
        assert_eq!(
            parsed("a = \"1\", b = { version = \"2\", features = [\"x\", \"y\"] }; c").len(),
            3
        );
    }

    #[test]
    fn an_old_key_is_told_of() {
        let hints = |line| parse(line, Path::new("/")).unwrap().1;
        assert_eq!(hints("a = { version = \"1\", default_features = false }").len(), 1);
        assert!(hints("a = { version = \"1\", default-features = false }").is_empty());
    }

    #[test]
    fn what_is_no_dependency_is_an_error_with_a_remedy() {
        for line in ["", "a = {", "a b c = \"1\"", "= \"1\"", "./nothing/here"] {
            assert!(parse(line, Path::new("/")).is_err(), "{line}");
        }
    }

    #[test]
    fn a_folder_is_a_crate_by_its_manifest() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Cargo.toml"), "[package]\nname = \"own-crate\"\n")
            .unwrap();
        let (found, _) = parse("./", folder.path()).unwrap();
        assert_eq!(found[0].name, "own-crate");
    }
}
