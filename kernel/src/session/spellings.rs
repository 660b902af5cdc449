//! What notebooks of other years write in their commands, in the way in which it is written today.

/// A cell as evcxr takes it today, line for line, and what its reader should know.
pub(super) fn of_today(code: &str) -> (String, Vec<String>) {
    let mut hints = Vec::new();
    let lines = code.split('\n').map(|line| match line.trim_start().strip_prefix(':') {
        Some(command) if command.starts_with("dep ") => dependency(line, &mut hints),
        Some(command) if command.starts_with("sccache ") && !has_sccache() => {
            hints.push(format!(
                "{}: there is no sccache on this machine; it goes on without.",
                line.trim()
            ));
            String::new()
        }
        _ => line.to_owned(),
    });
    (lines.collect::<Vec<_>>().join("\n"), hints)
}

/// Whether the program that `:sccache 1` needs is there.
fn has_sccache() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("sccache").is_file())
}

/// A `:dep` without the comment behind it, its keys as Cargo has them since the edition of 2024.
fn dependency(line: &str, hints: &mut Vec<String>) -> String {
    let mut changed = String::new();
    for (index, piece) in pieces(line).into_iter().enumerate() {
        let is_quoted = index % 2 == 1;
        if is_quoted {
            changed.push_str(piece);
            continue;
        }
        let end = piece.find("//");
        let code = &piece[..end.unwrap_or(piece.len())];
        if code.contains("default_features") {
            hints.push("default_features is written default-features in Rust 2024.".to_owned());
        }
        changed.push_str(&code.replace("default_features", "default-features"));
        if end.is_some() {
            return changed.trim_end().to_owned();
        }
    }
    changed
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

    fn today(code: &str) -> String {
        of_today(code).0
    }

    #[test]
    fn old_keys_are_those_of_today() {
        let old =
            r#":dep plotters = { git = "https://a//default_features", default_features = false }"#;
        let new =
            r#":dep plotters = { git = "https://a//default_features", default-features = false }"#;
        assert_eq!(today(old), new);
        assert_eq!(of_today(old).1, ["default_features is written default-features in Rust 2024."]);
        assert_eq!(of_today(new), (new.to_owned(), Vec::new()));
        assert_eq!(today("let default_features = 1;"), "let default_features = 1;");
    }

    #[test]
    fn a_comment_behind_a_dependency_is_none_of_its() {
        assert_eq!(
            today(":dep rand = \"0.8\" // random numbers\nlet a = 1;"),
            ":dep rand = \"0.8\"\nlet a = 1;"
        );
        assert_eq!(today(":dep rand // \"quoted\""), ":dep rand");
        let (code, hints) = of_today(":dep a = { default_features = false } // small");
        assert_eq!((&*code, hints.len()), (":dep a = { default-features = false }", 1));
        for as_it_is in [":dep a = '1'", ":dep a = \"unfinished", ":dep \"a//b\"", "// :dep a", ""]
        {
            assert_eq!(today(as_it_is), as_it_is);
        }
    }

    #[test]
    fn lines_stay_lines() {
        let code = ":sccache 1\n:dep a = \"1\"\n\nlet b = 2;\n";
        assert_eq!(today(code).split('\n').count(), code.split('\n').count());
        if !has_sccache() {
            let (code, hints) = of_today(":sccache 1\n1");
            assert_eq!(code, "\n1");
            assert!(hints[0].starts_with(":sccache 1: there is no sccache"), "{hints:?}");
        }
    }
}
