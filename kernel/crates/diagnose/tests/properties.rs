//! Whatever rustc writes, it is read.

use diagnose::{Diagnostic, Edit, Level, Source, Sources, read};
use proptest::prelude::*;
use serde_json::{Value, json};

const TEXT: &str = "let 日 = \"🦀\";\n\tloop { f(); }\r\n\nuse a::{b, c};\nx";

fn reading(output: &str, text: &str) -> Vec<Diagnostic> {
    let edits = [
        Edit { range: 4.min(text.len())..7.min(text.len()), len: 2 },
        Edit { range: text.len()..text.len(), len: 5 },
    ];
    let sources = Sources {
        cell: 7,
        files: &[
            Source { name: "cell 7", cell: 7, text, prefix: 20, edits: &edits },
            Source { name: "cell 3", cell: 3, text: TEXT, prefix: 0, edits: &[] },
        ],
        variables: &["x"],
        moved: &[],
        lost: &[],
    };
    read(output, &sources)
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("`x` is not `y: Show`".to_owned()),
        Just("unlinked crate `rand`".to_owned()),
        Just("rust_live::Show` is not satisfied".to_owned()),
        Just("expected `;`, found `}`".to_owned()),
        Just("mismatched closing delimiter: `}`".to_owned()),
        Just("use std::fs;\n\n".to_owned()),
        Just(String::new()),
        ".{0,12}",
    ]
}

fn span() -> impl Strategy<Value = Value> {
    let file =
        prop_oneof![Just("cell 7"), Just("cell 3"), Just("/std/x.rs"), Just("rust_live/a.rs")];
    let leaf = (
        (file, 0..90_usize, 0..12_usize, any::<bool>()),
        (0..9_usize, 0..4_usize, 0..30_usize, 0..30_usize),
        (proptest::option::of(word()), proptest::option::of(word())),
        proptest::collection::vec(".{0,20}", 0..4),
    )
        .prop_map(|((file, start, length, primary), (line, lines, from, to), words, text)| {
            let text: Vec<Value> = text.into_iter().map(|text| json!({ "text": text })).collect();
            json!({
                "file_name": file, "byte_start": start, "byte_end": start + length,
                "line_start": line, "line_end": line + lines, "column_start": from,
                "column_end": to, "is_primary": primary, "label": words.0,
                "suggested_replacement": words.1, "text": text, "expansion": null,
            })
        });
    let leaf = leaf.boxed();
    (leaf.clone(), proptest::option::of(leaf)).prop_map(|(mut span, call)| {
        if let Some(call) = call {
            span["expansion"] = json!({ "span": call });
        }
        span
    })
}

fn message() -> impl Strategy<Value = Value> {
    let code = prop_oneof![
        Just("E0277"),
        Just("E0425"),
        Just("E0432"),
        Just("E0282"),
        Just("unused_variables"),
        Just("unused_imports"),
        Just("dead_code"),
        Just("unused_assignments"),
    ];
    let level =
        prop_oneof![Just("error"), Just("warning"), Just("note"), Just("help"), Just("error: x")];
    let leaf = (level, word(), proptest::option::of(code), proptest::collection::vec(span(), 0..5))
        .prop_map(|(level, text, code, spans)| {
            let code = code.map(|code| json!({ "code": code }));
            json!({
                "$message_type": "diagnostic", "message": text, "code": code, "level": level,
                "spans": spans, "children": [], "rendered": null,
            })
        });
    let leaf = leaf.boxed();
    (leaf.clone(), proptest::collection::vec(leaf, 0..4), proptest::option::of(word())).prop_map(
        |(mut message, children, rendered)| {
            message["children"] = Value::Array(children);
            message["rendered"] = json!(rendered);
            message
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_diagnostic_is_drawn_within_its_cell(
        messages in proptest::collection::vec(message(), 1..4),
        text in prop_oneof![Just(TEXT.to_owned()), Just(String::new()), ".{0,40}", "[ \n(){};a-c🦀]{0,60}"],
    ) {
        let lines: Vec<String> = messages.iter().map(Value::to_string).collect();
        let found = reading(&lines.join("\n"), &text);
        let errors = messages.iter().any(|message| {
            message["level"].as_str().is_some_and(|level| level.starts_with("error"))
        });
        prop_assert_eq!(errors, found.iter().any(|one| one.level == Level::Error));
        for one in &found {
            prop_assert!(!one.rendered.is_empty());
            let Some(place) = one.primary else { continue };
            let text = if place.cell == 7 { &text } else { TEXT };
            let line = text.split('\n').nth(place.line - 1);
            prop_assert!(line.is_some(), "{:?} is behind the end", place);
            let width = line.unwrap_or_default().chars().count();
            prop_assert!(place.column <= width + 1, "{:?} is beside the line", place);
        }
    }

    #[test]
    fn any_line_is_read(lines in proptest::collection::vec("[ -~é🦀]{0,30}|\\{\"message\":.{0,9}\\}", 0..5)) {
        let text = lines.join("\n");
        let found = reading(&text, TEXT);
        // What is no JSON is all there is to say.
        prop_assert!(found.len() <= 1);
    }
}

#[test]
fn a_compiler_that_dies_is_told_of() {
    let found = reading("thread 'rustc' panicked at x.rs:1:1:\nindex out of bounds\n", TEXT);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].level, Level::Error);
    assert_eq!(found[0].message, "thread 'rustc' panicked at x.rs:1:1:");
    assert!(found[0].rendered.iter().any(|line| line.contains("index out of bounds")));
    assert_eq!(reading("", TEXT), []);
    assert_eq!(reading("{\"$message_type\":\"artifact\",\"artifact\":\"a\"}", TEXT), []);
}

#[test]
fn the_same_is_told_once() {
    let line = json!({
        "$message_type": "diagnostic", "message": "no", "code": null, "level": "error",
        "spans": [], "children": [], "rendered": "error: no",
    });
    let other = json!({
        "$message_type": "diagnostic", "message": "not", "code": null, "level": "error",
        "spans": [], "children": [], "rendered": "error: not",
    });
    let end = json!({
        "$message_type": "diagnostic", "message": "aborting due to 3 previous errors",
        "code": null, "level": "error", "spans": [], "children": [], "rendered": "",
    });
    let found = reading(&format!("{line}\n{other}\n{line}\n{end}"), TEXT);
    let messages: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(messages, ["no", "not"]);
}
