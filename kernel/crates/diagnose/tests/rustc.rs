//! What a reader sees of what the real rustc says.

mod program;

use diagnose::{Level, Place};
use program::{Cell, plain};

fn at(line: usize, column: usize) -> Option<Place> {
    Some(Place { cell: 7, line, column })
}

/// Whether the texts stand in this order.
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else {
            panic!("{part:?} is missing, or out of order, in\n{text}");
        };
        rest = behind;
    }
}

/// The text of the only error of a cell, and that a cell without it has a place.
fn error(text: &str) -> String {
    Cell::new(text).error().1
}

#[test]
fn the_primary_place_leads_and_the_function_of_another_cell_follows() {
    let (error, text) = Cell::new("let a = 1;\nlet r = add(a, \"2\");").error();
    assert_eq!(error.code.as_deref(), Some("E0308"));
    assert_eq!(error.message, "mismatched types");
    assert_eq!((error.primary, error.elsewhere), (at(2, 16), false));
    in_order(
        &text,
        &[
            "error[E0308]: mismatched types\n --> cell 7:2:16\n",
            "2 | let r = add(a, \"2\");\n",
            "  |         ---    ^^^ expected `i32`, found `&str`\n",
            "arguments to this function are incorrect",
            "note: function defined here\n --> cell 3:2:4\n",
            "2 | fn add(a: i32, b: i32) -> i32 {\n  |    ^^^         ------",
        ],
    );
}

#[test]
fn the_first_line_is_free_of_what_stands_before_it() {
    let (error, text) = Cell::new("let a: i32 = true;").error();
    assert_eq!(error.primary, at(1, 14));
    in_order(
        &text,
        &["1 | let a: i32 = true;\n", "  |        ---   ^^^^ expected `i32`, found `bool`"],
    );
}

#[test]
fn wide_letters_do_not_shift_the_underline() {
    let (error, text) = Cell::new("let s = \"日🦀\"; let x: bool = nope;").error();
    assert_eq!(error.primary, at(1, 29), "columns are characters");
    assert_eq!(error.names, ["nope"]);
    // Two columns for each of the two.
    let blank = " ".repeat("1 | let s = \"....\"; let x: bool = ".len() - 3);
    assert!(text.contains(&format!("\n  |{blank}^^^^ not found in this scope")), "{text}");
}

#[test]
fn what_was_inserted_is_not_counted() {
    let marked = "loop {«rust_live::check();» let q: bool = 1; break }";
    let (error, text) = Cell::edited(marked).error();
    assert_eq!(error.primary, at(1, 22));
    in_order(
        &text,
        &["1 | loop { let q: bool = 1; break }\n", "  |               ----   ^ expected"],
    );
}

#[test]
fn a_suggestion_shows_the_changed_line() {
    let text = error("let s: String = \"a\";");
    in_order(
        &text,
        &[
            "help: try using a conversion method\n",
            "1 | let s: String = \"a\".to_string();\n",
            "  |                    ++++++++++++",
        ],
    );
    let text = error("let m = 3; const K: usize = m;");
    in_order(
        &text,
        &[
            "= help: a const cannot use a variable: use `let`, or make `m` a const",
            "help: consider using `let` instead of `const`",
            "1 - let m = 3; const K: usize = m;",
            "1 + let m = 3; let K: usize = m;",
        ],
    );
}

#[test]
fn a_suggestion_in_words_is_a_label() {
    let text = error("let a = 5\nlet b = 6;");
    in_order(&text, &["cell 7:1:10\n", "1 | let a = 5\n  |          ^ help: add `;` here\n"]);
}

#[test]
fn a_suggested_import_is_for_the_beginning_of_the_cell() {
    let text = error("let a = 1;\nlet m = HashMap::<i32, i32>::new();");
    in_order(
        &text,
        &["cell 7:2:9", "help: consider importing", "1 + use std::collections::HashMap;"],
    );
    assert!(!text.contains(":dep"), "{text}");
    // rustc knows several by this name.
    let text = error("let a: Entry = 1;");
    in_order(&text, &["help: consider importing one of these", "1 + use std::collections::"]);
    assert!(text.matches("1 + use ").count() > 1, "{text}");
}

#[test]
fn suggestions_in_generated_code_are_left_out() {
    // rustc would have `&` of the generated call removed.
    let text = Cell::edited("let p = 1.5;«rust_live::keep(»&p«);»").error().1;
    assert!(!text.contains("+++"), "{text}");
    in_order(&text, &["cell 7:1:13", "^^ this one"]);
}

#[test]
fn a_value_that_cannot_be_shown() {
    let (error, text) = Cell::edited("let a = 1;\n«rust_live::show(&(»P«))»").error();
    assert_eq!(error.message, "`P` cannot be shown");
    assert_eq!(error.primary, at(2, 1));
    in_order(&text, &["2 | P\n  | ^ ", "= help: give its type `#[derive(Debug)]`"]);
    assert!(!text.contains("Show"), "{text}");
    // Of a type with parameters.
    let (error, text) = Cell::edited("«rust_live::show(&(»vec![vec![P]]«))»").error();
    assert_eq!(error.message, "`P` cannot be shown");
    in_order(&text, &["1 | vec![vec![P]]\n  | ^^^^^^^^^^^^^"]);
    assert!(!text.contains("Show"), "{text}");
}

#[test]
fn a_trait_of_the_kernel_with_words_of_its_own_keeps_them() {
    let (error, text) = Cell::edited("let p = P;«rust_live::keep(&»p«);»").error();
    assert_eq!(error.message, "a `P` cannot be kept");
    in_order(&text, &["^ this one", "note: it borrows"]);
}

#[test]
fn a_type_that_is_not_known() {
    in_order(&error("let v = Vec::new();"), &["cell 7:1:5", "1 | let v: Vec<T> = Vec::new();"]);
    // Here rustc has no type to suggest.
    let text = error("let w = \"1\".parse().unwrap();");
    in_order(&text, &["cell 7:1:5", "write its type, as in `let w: Vec<i32> = ..`"]);
}

#[test]
fn a_question_mark_says_what_the_cell_takes() {
    let text = error("let w: i32 = Err::<i32, P>(P)?;");
    in_order(
        &text,
        &["`?` cannot take this error", "cell 7:1:30", "implements `Display` or `Debug`"],
    );
    let text = error("fn f() -> Result<i32, String> { Ok(Err::<i32, P>(P)?) }");
    assert!(!text.contains("the cell's"), "a function has its own error type:\n{text}");
    in_order(&text, &["`?` couldn't convert the error to `String`"]);
}

#[test]
fn functions_and_constants_do_not_see_variables() {
    let text = error("fn f() -> i32 { n + 1 }");
    in_order(&text, &["cell 7:1:17", "functions do not see a notebook's variables: pass `n`"]);
    assert!(!text.contains("similar"), "{text}");
    let text = error("let m = 3;\nfn f() -> i32 { m + 1 }");
    in_order(&text, &["cell 7:2:17", "functions do not see a notebook's variables: pass `m`"]);
    let text = error("fn f() -> i32 { unknown + 1 }");
    assert!(!text.contains("notebook"), "{text}");
    let text = error("const K: usize = n;");
    in_order(
        &text,
        &["cell 7:1:18", "a const cannot use a variable: use `let`, or make `n` a const"],
    );
}

#[test]
fn a_crate_that_is_not_loaded() {
    for text in ["use rand::Rng;", "let x: i32 = rand::random();", "extern crate rand;"] {
        let text = error(text);
        in_order(&text, &["cell 7:1:", "add it: `:dep rand = \"*\"`"]);
        assert!(!text.contains("cargo") && !text.contains("you might be missing"), "{text}");
    }
}

#[test]
fn features_and_await() {
    let text = Cell::new("#![feature(never_type)]\nfn f() {}").of_items().error().1;
    in_order(
        &text,
        &["error[E0554]", "`rustup toolchain install nightly`", "`:toolchain nightly`"],
    );
    let text = error("async fn f() -> i32 { 1 }\nlet x = f().await;");
    in_order(&text, &["error[E0728]", "cell 7:2:13", "a cell is not async"]);
    let text = error("async fn f() {}\nfn g() { f().await }");
    assert!(!text.contains("a cell is not async"), "{text}");
}

#[test]
fn half_a_program_ends_in_the_cell() {
    for (text, place, title) in [
        ("let a = std::", at(1, 13), "expected identifier, found the end of the cell"),
        ("let a = 日::\n\n", at(1, 11), "expected identifier, found the end of the cell"),
        ("let a =", at(1, 7), "expected expression, found the end of the cell"),
        ("let a = (1,\n2;", at(1, 9), "this cell contains an unclosed delimiter"),
        ("let a = {\n1", at(2, 1), "this cell contains an unclosed delimiter"),
    ] {
        let found = Cell::new(text).read();
        assert_eq!((found[0].primary, found[0].message.as_str()), (place, title), "{text}");
        for diagnostic in found {
            let shown = plain(&diagnostic);
            let last = text.trim_end().lines().count();
            assert!(!shown.contains(&format!("{} | ", last + 1)), "{shown}");
        }
    }
}

#[test]
fn macros_lead_to_where_they_are_called() {
    let text = error("let a = 1;\nassert_eq!(1, \"a\");");
    in_order(&text, &["cell 7:2:1", "2 | assert_eq!(1, \"a\");\n  | ^^^^^^^^^^^^^^^^^^ no impl"]);
    let text = error("let y: bool = live::twice!(1);");
    in_order(&text, &["cell 7:1:15", "^^^^^^^^^^^^^^^\n", "expected `bool`, found `i32`"]);
    let text =
        error("macro_rules! bad { ($e:expr) => { { let q: i32 = \"x\"; $e } } }\nlet y = bad!(1);");
    in_order(
        &text,
        &["cell 7:1:50", "2 | let y = bad!(1);\n  |         ------- in this macro invocation"],
    );
}

#[test]
fn other_crates_are_named_by_file_and_line() {
    let text = error("let d = Some(1).unwrap_or(1, 2);");
    in_order(&text, &["cell 7:1:17", "note: method defined here", "--> ", "option.rs:"]);
}

#[test]
fn warnings_are_for_what_the_reader_wrote_here() {
    let found = Cell::new(
        "let a = 1; let mut b = 2; let P2 { c, d } = P2 { c: 1, d: 2 };\n\
                           struct P2 { c: i32, d: i32 } fn unused() {} use std::fs;",
    )
    .read();
    assert_eq!(found, [], "later cells may use all of this");

    let found = Cell::new("let u = 1;\nif true { let 日 = 1; let x = 2; }").read();
    let names: Vec<_> = found.iter().map(|warning| warning.names.join(" ")).collect();
    assert_eq!(names, ["日", "x"]);
    assert_eq!(found[1].primary, at(2, 26));
    assert!(found.iter().all(|warning| warning.level == Level::Warning));
    let text = plain(&found[1]);
    in_order(&text, &["warning: unused variable: `x`\n --> cell 7:2:26\n", "_x`"]);
    for line in found.iter().flat_map(|warning| &warning.rendered).filter(|line| line.contains('|'))
    {
        assert!(line.starts_with("\x1b[90m"), "grey: {line:?}");
    }
}

#[test]
fn beside_an_error_warnings_stay_warnings() {
    let found = Cell::new("std::fs::read(\"a\");\nlet a: i32 = true;").read();
    let levels: Vec<_> = found.iter().map(|diagnostic| diagnostic.level).collect();
    // rustc looks for unused results only where types are right.
    assert_eq!(levels, [Level::Error]);
    let found = Cell::new("fn f() { let y = 2; }\nlet a: i32 = true;").read();
    let mut levels: Vec<_> = found.iter().map(|one| (one.level, one.code.as_deref())).collect();
    levels.sort_by_key(|(level, _)| *level == Level::Warning);
    assert_eq!(levels, [(Level::Error, Some("E0308")), (Level::Warning, Some("unused_variables"))]);
}

#[test]
fn an_error_of_an_earlier_cell_is_said_to_be_there() {
    let (error, text) =
        Cell::new("let a = 1;").after("let n = 3;\nfn f() -> i32 {\n    true\n}").error();
    assert_eq!(error.primary, Some(Place { cell: 3, line: 3, column: 5 }));
    assert!(error.elsewhere);
    in_order(&text, &["--> cell 3:3:5", "3 |     true"]);
    // One on the line with the blanked statement.
    let (error, _) = Cell::new("").after("let n = 3; fn f() -> i32 { true }").error();
    assert_eq!(error.primary, Some(Place { cell: 3, line: 1, column: 28 }));
}
