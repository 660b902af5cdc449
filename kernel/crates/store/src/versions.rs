//! Texts of Cargo.lock.

use std::collections::BTreeSet;

use anyhow::Context as _;
use toml::{Table, Value};

/// The versions of `own`, but for packages of which `first` has a version that stands for theirs.
///
/// # Errors
/// Texts that are no Cargo.lock.
pub(crate) fn of_both(own: &str, first: &str) -> anyhow::Result<String> {
    let (mut table, own) = read(own)?;
    let (_, first) = read(first)?;
    let taken: BTreeSet<_> = first.iter().filter_map(line).collect();
    let stays = |package: &Value| line(package).is_none_or(|line| !taken.contains(&line));
    let all: Vec<_> = own.into_iter().filter(stays).chain(first).collect();
    table.insert("package".into(), all.into());
    toml::to_string(&table).context("versions cannot be written")
}

/// A Cargo.lock, and its packages but for that of the cells, which has no source: cargo adds it anew.
fn read(text: &str) -> anyhow::Result<(Table, Vec<Value>)> {
    let mut table: Table = text.parse().context("a Cargo.lock cannot be read")?;
    let packages = match table.remove("package") {
        Some(Value::Array(packages)) => packages,
        _ => Vec::new(),
    };
    Ok((table, packages.into_iter().filter(|package| package.get("source").is_some()).collect()))
}

/// A package and the versions that stand for each other: 1.2 for 1.0, but not 0.2 for 0.1.
fn line(package: &Value) -> Option<(String, String)> {
    let of = |key: &str| package.get(key).and_then(Value::as_str);
    let version = of("version")?;
    let mut parts = version.split('.');
    let mut line = String::new();
    // All up to the first that is not zero.
    for part in parts.by_ref() {
        line.push_str(part);
        if part != "0" {
            break;
        }
        line.push('.');
    }
    Some((of("name")?.to_owned(), line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[(&str, &str)]) -> String {
        let package = |(name, version): &(&str, &str)| {
            format!("[[package]]\nname = '{name}'\nversion = '{version}'\nsource = 'registry+x'\n")
        };
        let own = "[[package]]\nname = 'cells'\nversion = '0.0.0'\n";
        format!("version = 4\n{own}{}", packages.iter().map(package).collect::<String>())
    }

    #[test]
    fn a_version_that_stands_for_another_takes_its_place() {
        let own = lock(&[("a", "1.2.3"), ("b", "0.3.1"), ("c", "2.0.0"), ("d", "0.0.1")]);
        let first = lock(&[("a", "1.0.0"), ("b", "0.2.9"), ("d", "0.0.2")]);
        let (table, packages) = read(&of_both(&own, &first).unwrap()).unwrap();
        assert_eq!(table["version"].as_integer(), Some(4));
        let of = |key: &str, package: &Value| package[key].as_str().unwrap().to_owned();
        let mut found: Vec<_> =
            packages.iter().map(|p| (of("name", p), of("version", p))).collect();
        found.sort();
        let expected = [
            ("a", "1.0.0"),
            ("b", "0.2.9"),
            ("b", "0.3.1"),
            ("c", "2.0.0"),
            ("d", "0.0.1"),
            ("d", "0.0.2"),
        ];
        assert_eq!(found, expected.map(|(name, version)| (name.to_owned(), version.to_owned())));
        assert!(of_both("[", &first).is_err());
    }
}
