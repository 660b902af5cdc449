//! Completion and help in cells, with the standard library and one small crate beside them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cell_analysis::Analysis;
use cell_questions::{Completion, Documentation};

const LIBRARY: &str = r#"
//! Small animals.

/// A cat, which has whiskers.
pub struct Cat {
    /// How many there are.
    pub whiskers: usize,
    hidden: u8,
}

/// What can be stroked.
pub trait Stroke {
    /// Strokes it.
    ///
    /// # Examples
    ///
    /// ```
    /// # let hidden = 0;
    /// cat.stroke_gently(3);
    /// ```
    fn stroke_gently(&self, times: usize);
}

impl Stroke for Cat {
    fn stroke_gently(&self, _times: usize) {}
}

/// Makes a cat.
#[macro_export]
macro_rules! a_new_cat { () => { $crate::Cat::default() } }
"#;

/// Of all tests, since reading the standard library takes seconds.
static SHARED: LazyLock<Mutex<Analysis>> = LazyLock::new(|| {
    Mutex::new(
        Analysis::new("rustc", "cargo", &folder("shared", "animals = { path = \"animals\" }"))
            .unwrap(),
    )
});

fn shared() -> MutexGuard<'static, Analysis> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A crate of cells and the library beside it.
fn folder(name: &str, dependencies: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    let package = |folder: &Path, name: &str, rest: &str| {
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join("src/lib.rs"), if rest.is_empty() { LIBRARY } else { "" }).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{rest}"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    };
    package(&folder.join("animals"), "animals", "");
    package(&folder, "cells", &format!("[workspace]\n[dependencies]\n{dependencies}\n"));
    folder
}

/// The text of a crate with some statements in it, and where `^` stood.
fn source(statements: &str) -> (String, usize) {
    let text = format!("use animals::*;\npub fn cell() {{\n{statements}\n}}\n");
    (text.replacen('^', "", 1), text.find('^').unwrap())
}

fn complete(statements: &str) -> Vec<Completion> {
    let (source, offset) = source(statements);
    shared().complete(&source, offset).unwrap()
}

fn texts(statements: &str) -> Vec<String> {
    complete(statements).into_iter().map(|completion| completion.text).collect()
}

fn inspect(statements: &str) -> Option<Documentation> {
    let (source, offset) = source(statements);
    shared().inspect(&source, offset).unwrap()
}

fn plain(statements: &str) -> String {
    inspect(statements).unwrap_or_else(|| panic!("nothing is known at {statements}")).plain
}

#[test]
fn the_nearest_name_comes_first() {
    let found = texts("let mut s = vec![2, 1]; s.so^");
    assert_eq!(found[..2], ["sort", "sort_by"]);
    assert!(found.iter().any(|text| text == "sort_by_cached_key"));
    assert!(found.iter().all(|text| text.starts_with("so")), "{found:?}");
    assert!(!texts("let s = [2, 1]; s.as_^").contains(&"as_ascii".to_owned()), "it is not stable");
    assert_eq!(texts("let sum = 1; let sum_of = 2; sum^")[..2], ["sum", "sum_of"]);
}

#[test]
fn a_method_is_its_name_its_signature_and_its_documentation() {
    let (source, offset) = source("let mut s = String::new(); s.push_s^");
    let found = shared().complete(&source, offset).unwrap();
    let [push_str] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&*push_str.text, &*push_str.kind), ("push_str", "function"));
    assert_eq!(push_str.signature.as_deref(), Some("pub fn push_str(&mut self, string: &str)"));
    let documentation = push_str.documentation.as_deref().unwrap();
    assert!(documentation.starts_with("Appends a given string slice"), "{documentation}");
    assert_eq!(source[push_str.range.clone()], *"push_s");
    assert_eq!(push_str.range.end, offset);
}

#[test]
fn what_stands_behind_the_cursor_is_replaced() {
    let (source, offset) = source("let mut s = String::new(); s.pu^sh();");
    let found = shared().complete(&source, offset).unwrap();
    assert!(found.iter().all(|completion| source[completion.range.clone()] == *"push"));
    assert_eq!(found[1].text, "push_str");
}

#[test]
fn elements_have_their_fields_and_methods() {
    let cat = "struct Dog { also_barks: bool }";
    assert_eq!(texts(&format!("{cat} fn f(v: Vec<Dog>) {{ v[0].al^ }}")), ["also_barks"]);
    let found = complete(&format!("{cat} fn f(v: Vec<Dog>) {{ v[0].also^ }}"));
    assert_eq!((&*found[0].kind, found[0].signature.as_deref()), ("instance", Some("bool")));
    assert_eq!(texts("let v = vec![String::new()]; v[0].is_em^"), ["is_empty"]);
}

#[test]
fn what_is_in_a_map_is_known() {
    let map = "use std::collections::*; let map: HashMap<String, Vec<u8>> = HashMap::new();";
    assert_eq!(texts(&format!("{map} map.get(\"a\").unwrap().is_em^")), ["is_empty"]);
    assert_eq!(texts(&format!("{map} for (key, _) in map.iter() {{ key.push_s^ }}")), ["push_str"]);
    let set = "let set = std::collections::HashSet::from([String::new()]);";
    assert_eq!(texts(&format!("{set} set.iter().next().unwrap().push_s^")), ["push_str"]);
    assert!(texts("let a = hashbr^").is_empty());
}

#[test]
fn paths_are_completed_and_so_is_half_of_one() {
    let found = complete("let a = std::collec^;");
    assert_eq!((&*found[0].text, &*found[0].kind), ("collections", "module"));
    let found = texts("let a = std::^");
    assert!(found.iter().any(|text| text == "collections"), "{found:?}");
    assert!(!found.iter().any(|text| text == "fn" || text == "let"), "{found:?}");
    assert!(texts("use std::collections::HashM^;").contains(&"HashMap".to_owned()));
    assert_eq!(texts("let a: hashm^").first().map(String::as_str), None);
    assert_eq!(texts("use std::collections::*; let a: hashm^")[0], "HashMap");
}

#[test]
fn macros_have_their_mark_and_keywords_match() {
    assert_eq!(texts("printl^")[0], "println!");
    assert_eq!(texts("let a = a_new^")[0], "a_new_cat!");
    let found = complete("whil^");
    assert_eq!((&*found[0].text, &*found[0].kind), ("while", "keyword"));
    assert!(complete("^").iter().all(|completion| completion.kind != "keyword"));
    assert!(complete("^").iter().all(|completion| !completion.text.contains('$')));
    assert_eq!(texts("#[deriv^] struct S;"), ["derive"]);
    let found = complete("match Some(1) { So^ }");
    assert_eq!((&*found[0].text, &*found[0].label), ("Some", "Some"));
}

#[test]
fn a_local_crate_has_its_public_fields_and_traits() {
    let found = texts("fn f(cat: Cat) { cat.^ }");
    assert!(found.iter().any(|text| text == "whiskers"), "{found:?}");
    assert!(found.iter().any(|text| text == "stroke_gently"), "{found:?}");
    assert!(!found.iter().any(|text| text == "hidden"), "{found:?}");
    assert_eq!(texts("fn f(cat: animals::C^) {}"), ["Cat"]);
}

#[test]
fn own_variables_come_first_where_nothing_is_typed() {
    assert_eq!(
        texts("let whiskers = 3; let text = String::new(); f(^)")[..2],
        ["text", "whiskers"]
    );
    let wanted = "fn g(text: String) {} let a = 3usize; let b = String::new(); g(^)";
    assert_eq!(texts(wanted)[..2], ["b", "a"]);
    for value in ["let c: String = ^;", "let c: String =^", "let mut c = a; c = ^"] {
        let (source, offset) = source(&format!("let a = 3usize; let b = String::new(); {value}"));
        let found = shared().complete(&source, offset).unwrap();
        let first: Vec<_> = found.iter().take(3).map(|completion| &*completion.text).collect();
        assert!(first.contains(&"a") && first.contains(&"b"), "{value}: {first:?}");
        assert!(found.iter().all(|completion| completion.range == (offset..offset)), "{value}");
    }
}

#[test]
fn what_a_program_writes_for_itself_is_not_offered() {
    let own = "let __generated = 1; let generated = 2;";
    assert!(!texts(&format!("{own} ^")).contains(&"__generated".to_owned()));
    assert_eq!(texts(&format!("{own} __gen^")), ["__generated"]);
}

#[test]
fn a_name_has_its_signature_then_its_documentation() {
    let known = inspect("let mut s = String::new(); s.push_^str(\"a\");").unwrap();
    assert!(
        known.plain.starts_with(
            "alloc::string::String\n\npub fn push_str(&mut self, string: &str)\n\n\
             Appends a given string slice onto the end of this `String`.\n\nPanics\n\n"
        ),
        "{}",
        known.plain
    );
    assert!(known.html.contains("<pre><code class=\"language-rust\">pub fn push_str("));
    assert!(known.html.contains("<h4>Examples</h4>"), "{}", known.html);
}

#[test]
fn variables_types_and_keywords_are_known() {
    assert!(plain("let number = 1u8; num^ber;").contains("let number: u8"));
    assert!(plain("let c = Ca^t { whiskers: 1 };").contains("A cat, which has whiskers."));
    let vec = plain("let v: V^ec<u8> = vec![];");
    assert!(vec.contains("\n\nA contiguous growable array type, written as `Vec<T>`"), "{vec}");
    assert!(!vec.contains("](http") && !vec.contains("```"), "{vec}");
    assert!(plain("whi^le true {}").contains("Loop while a condition is upheld."));
    assert!(plain("println^!();").contains("Prints to the standard output"));
}

#[test]
fn between_arguments_the_call_is_known() {
    for place in ["s.push_str(^", "s.push_str(^)", "s.push_str(\"a^b\")", "s.push_str( ^ );"] {
        let known = inspect(&format!("let mut s = String::new(); {place}")).unwrap();
        assert!(
            known.plain.starts_with(
                "fn push_str(&mut self, string: &str)\n\nParameter here: string: &str\n\nAppends"
            ),
            "{place}: {}",
            known.plain
        );
        assert!(known.html.contains("<strong>string: &amp;str</strong>"), "{}", known.html);
    }
    let second = plain("fn two(first: u8, second: u16) {} two(1, ^)");
    assert_eq!(second, "fn two(first: u8, second: u16)\n\nParameter here: second: u16");
    let example = plain("fn f(cat: Cat) { cat.stroke_gently(^) }");
    assert!(example.contains("cat.stroke_gently(3);") && !example.contains("hidden"), "{example}");
}

#[test]
fn where_nothing_is_known_nothing_is_said() {
    assert_eq!(inspect("// a com^ment"), None);
    assert_eq!(inspect("unknown_name^"), None);
    assert_eq!(inspect("^"), None);
    assert!(texts("// a com^ment").is_empty());
    assert!(texts("let a = unknown.fie^").is_empty());
}

#[test]
fn no_place_of_no_text_is_too_much() {
    let mut analysis = shared();
    let texts = [
        "",
        "fn é() { let ü = \"日本\"; ü.ch }",
        "fn f() { let x = vec![1, 2.iter().map(|x| x. ; }} struct S<'a, T: { a: &'",
        "macro_rules! m { ($($x:expr),*) => { m!($($x),*) } } fn f() { m!(1, m!(2)); }",
        "#![a]\r\n#[derive(] enum E { A(, B { } } impl E for E { fn e(&self) -> Self::E { self. } }",
        "fn f() { \"{x} {0:?}\"; format!(\"{y\"); r#\"a\"; 'a: loop { break 'a } async { } .await }",
    ];
    for text in texts {
        for offset in 0..=text.len() + 2 {
            analysis.complete(text, offset).unwrap();
            analysis.inspect(text, offset).unwrap();
            assert!(analysis.is_loaded(), "{text} at {offset}");
        }
    }
    assert!(analysis.complete("é", 1).unwrap().is_empty());
    assert!(analysis.complete("", usize::MAX).unwrap().is_empty());
}

#[test]
fn deep_nesting_is_survived() {
    let mut analysis = shared();
    for depth in [100, 450, 3_000, 100_000] {
        for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("f(", ")")] {
            let text = format!("fn g() {{ {}{} }}", open.repeat(depth), close.repeat(depth));
            let offset = 9 + open.len() * depth;
            analysis.complete(&text, offset).unwrap();
            analysis.inspect(&text, offset).unwrap();
        }
    }
    for part in ["-", "1+", "|a| ", "if a { } else ", "Vec::<", "a.b().", "&", "a = "] {
        for times in [400, 1_950, 50_000] {
            let text = format!("fn g() {{ {}c }}", part.repeat(times));
            analysis.complete(&text, text.len() - 2).unwrap();
            analysis.inspect(&text, text.len() - 3).unwrap();
            let text = format!("fn g() {{ dbg!({}c); }}", part.repeat(times));
            analysis.complete(&text, text.len() - 5).unwrap();
        }
    }
    let after = analysis.complete("fn f() { let mut s = String::new(); s.push_s }", 44).unwrap();
    assert_eq!(after.len(), 1);
}

#[test]
fn a_crate_that_is_added_is_read_and_an_unfinished_load_goes_on() {
    let folder = folder("added", "");
    let mut analysis = Analysis::new("rustc", "cargo", &folder).unwrap();
    assert!(!analysis.is_loaded());
    // From the midst of the standard library on, until it is heard.
    let (canceller, ended) = (analysis.canceller(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            while !ended.load(Ordering::Relaxed) {
                canceller.cancel();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let loaded = analysis.load();
        ended.store(true, Ordering::Relaxed);
        loaded.unwrap();
    });
    assert!(!analysis.is_loaded());
    analysis.load().unwrap();
    assert!(analysis.is_loaded());
    let text = "fn f() { animals::C }";
    assert!(analysis.complete(text, 19).unwrap().is_empty());

    let manifest = folder.join("Cargo.toml");
    let added = fs::read_to_string(&manifest).unwrap() + "animals = { path = \"animals\" }\n";
    fs::write(&manifest, added).unwrap();
    assert!(!analysis.is_loaded());
    let found = analysis.complete(text, 19).unwrap();
    assert_eq!(found[0].text, "Cat");
    assert!(analysis.is_loaded());

    let library = folder.join("animals/src/lib.rs");
    fs::write(&library, "/// Barks.\npub struct Chihuahua;").unwrap();
    analysis.reload().unwrap();
    let found = analysis.complete(text, 19).unwrap();
    assert_eq!((&*found[0].text, found.len()), ("Chihuahua", 1));
    assert_eq!(found[0].documentation.as_deref(), Some("Barks."));
}

#[test]
fn what_cannot_be_read_is_an_error() {
    assert!(Analysis::new("rustc", "cargo", Path::new("/no/such/folder")).is_err());
    let folder = folder("broken", "animals = { path = \"no animals\" }");
    let mut analysis = Analysis::new("rustc", "cargo", &folder).unwrap();
    let error = analysis.load().unwrap_err().to_string();
    assert!(error.contains("no animals"), "{error}");
    assert!(!analysis.is_loaded());
    let mut analysis = Analysis::new("/no/such/rustc", "cargo", &folder).unwrap();
    assert!(analysis.complete("", 0).unwrap_err().to_string().contains("/no/such/rustc"));
}
