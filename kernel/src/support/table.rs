//! A list of structs as a table, made of what their Debug says.

use std::fmt::Write as _;

/// No more rows are shown.
const ROWS: usize = 100;

/// The table of a text such as `[P { x: 1, y: 2 }, P { x: 3, y: 4 }]`, as HTML; None for any other text.
pub(crate) fn of(text: &str) -> Option<String> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let elements = parts(inner)?;
    let (name, first) = fields(elements.first()?)?;
    let columns: Vec<&str> = first.iter().map(|(column, _)| *column).collect();
    if elements.len() < 2 || columns.is_empty() {
        return None;
    }
    let mut html = String::from("<table><thead><tr><th></th>");
    for column in &columns {
        let _ = write!(html, "<th>{}</th>", escaped(column));
    }
    html += "</tr></thead><tbody>";
    for (index, element) in elements.iter().enumerate() {
        let (other, values) = fields(element)?;
        if other != name || values.iter().map(|(column, _)| *column).ne(columns.iter().copied()) {
            return None;
        }
        if index < ROWS {
            let _ = write!(html, "<tr><th>{index}</th>");
            for (_, value) in values {
                let _ = write!(html, "<td>{}</td>", escaped(value));
            }
            html += "</tr>";
        }
    }
    html += "</tbody></table>";
    if elements.len() > ROWS {
        let _ = write!(html, "<p>{} more</p>", elements.len() - ROWS);
    }
    Some(html)
}

/// The name of a struct and its fields.
fn fields(text: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let (name, rest) = text.split_once(" { ")?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let inner = rest.strip_suffix(" }").filter(|_| is_name)?;
    let fields = parts(inner)?.into_iter().map(|field| {
        let (column, value) = field.split_once(": ")?;
        let is_name = column.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '#');
        is_name.then_some((column, value))
    });
    Some((name, fields.collect::<Option<_>>()?))
}

/// What stands between the commas of a text that are in no bracket and no quotes.
fn parts(text: &str) -> Option<Vec<&str>> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '{' | '[' | '(' | '<' => depth += 1,
            '}' | ']' | ')' => depth = depth.checked_sub(1)?,
            '>' => depth = depth.saturating_sub(1),
            '"' => loop {
                match characters.next()?.1 {
                    '\\' => drop(characters.next()),
                    '"' => break,
                    _ => {}
                }
            },
            '\'' => {
                // A character; other quotes stand for lifetimes, which values do not have.
                if characters.next()?.1 == '\\' {
                    characters.next();
                }
                while characters.peek().is_some_and(|(_, next)| *next != '\'') {
                    characters.next();
                }
                characters.next();
            }
            ',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() {
        found.push(text[start..].trim());
    }
    (depth == 0).then_some(found)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_list_of_structs_is_a_table() {
        #[derive(Debug)]
        #[expect(dead_code)]
        struct P {
            name: &'static str,
            at: (u8, [i32; 2]),
            c: char,
        }
        let list = [
            P { name: "a, \"b\" }", at: (1, [2, 3]), c: '\'' },
            P { name: "<", at: (0, [0, 0]), c: ',' },
        ];
        let html = of(&format!("{list:?}")).unwrap();
        assert!(html.contains("<th>name</th><th>at</th><th>c</th>"), "{html}");
        assert!(
            html.contains("<td>(1, [2, 3])</td>") && html.contains("<td>\"&lt;\"</td>"),
            "{html}"
        );
        assert!(html.contains("<td>','</td>"), "{html}");
    }

    #[test]
    fn what_is_no_list_of_one_struct_is_none() {
        for text in [
            "[1, 2]",
            "[A { x: 1 }]",
            "[A { x: 1 }, B { x: 1 }]",
            "[A { x: 1 }, A { y: 1 }]",
            "A { x: 1 }",
            "[",
            "[A { x: \"}",
            "[A { x: 1 }, A]",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
