//! Local crates go by what is in their files, not by the time on them.

mod common;

use std::fs;
use std::time::{Duration, SystemTime};

use common::{Session, World, ahead, git, touch};

const ONE: &str = "one = { path = 'one' }";

/// What a new session compiles, with another crate or without, and what the crate answers.
fn compiles(world: &World, lines: &str) -> (Vec<String>, i64) {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let mut session: Session = world.session(&format!("session-{number}"));
    session.add(lines).unwrap();
    let compiled = session.compiled();
    (compiled, session.run(&format!("cell{number}"), "one::value()"))
}

fn world() -> World {
    let world = World::new();
    world.write("one", "", "mod inner; pub fn value() -> i64 { inner::VALUE }");
    fs::write(world.path("one/src/inner.rs"), "pub const VALUE: i64 = 1;").unwrap();
    assert_eq!(compiles(&world, ONE), (vec!["one".to_owned()], 1));
    world
}

/// So that cargo is asked: as for a session of other crates.
fn with_another(world: &World, name: &str) -> String {
    world.write(name, "", "");
    format!("{ONE}\n{name} = {{ path = '{name}' }}")
}

fn some(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

#[test]
fn a_mere_touch_compiles_nothing() {
    let world = world();
    for file in ["one/src/lib.rs", "one/src/inner.rs", "one/Cargo.toml"] {
        touch(&world.path(file), SystemTime::now());
        assert_eq!(compiles(&world, ONE), (vec![], 1), "{file}");
    }
    touch(&world.path("one/src/inner.rs"), SystemTime::now());
    let lines = with_another(&world, "other");
    assert_eq!(compiles(&world, &lines), (some("other"), 1));
}

/// As `tar` keeps them, and the layers of an image that is pulled.
#[test]
fn a_store_whose_times_are_whole_seconds_compiles_nothing() {
    let world = World::new();
    world.write("below", "", "pub const VALUE: i64 = 1;");
    world.write(
        "one",
        "[dependencies]\nbelow = { path = '../below' }\n",
        "pub fn value() -> i64 { below::VALUE + env!(\"MORE\").len() as i64 }",
    );
    let script = "fn main() { println!(\"cargo::rerun-if-changed=build.rs\");
        println!(\"cargo::rustc-env=MORE=a\"); }";
    fs::write(world.path("one/build.rs"), script).unwrap();
    assert_eq!(compiles(&world, ONE), (vec!["below".to_owned(), "one".to_owned()], 2));
    for entry in walkdir::WalkDir::new(world.path("cache")) {
        let entry = entry.unwrap();
        let time = entry.metadata().unwrap().modified().unwrap();
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
        fs::File::open(entry.path()).unwrap().set_modified(whole).unwrap();
    }
    assert_eq!(compiles(&world, ONE), (vec![], 2));
    let lines = with_another(&world, "other");
    assert_eq!(compiles(&world, &lines), (some("other"), 2));
    // What is another file is noticed as ever.
    let library = world
        .files_of_store("libbelow-")
        .into_iter()
        .find(|file| file.extension().unwrap() == "rlib");
    fs::write(library.unwrap(), "damaged").unwrap();
    assert_eq!(compiles(&world, ONE), (vec!["below".to_owned(), "one".to_owned()], 2));
}

#[test]
fn a_session_can_ask_whether_it_would_have_to_wait_and_nothing_is_compiled_for_the_answer() {
    let world = world();
    let one = cell_store::Dependency {
        name: "one".into(),
        spec: "path = 'one'".parse::<toml::Table>().unwrap().into(),
    };
    let is_there = |name: &str| world.session(name).crates.has(std::slice::from_ref(&one)).unwrap();
    assert!(is_there("asks"));
    touch(&world.path("one/src/inner.rs"), SystemTime::now());
    assert!(is_there("asks-again"));
    fs::write(world.path("one/src/inner.rs"), "pub const VALUE: i64 = 7;").unwrap();
    assert!(!is_there("asks-after-a-change") && !is_there("and-again"));
    assert_eq!(compiles(&world, ONE), (some("one"), 7));
    assert!(is_there("asks-at-last"));
}

#[test]
fn every_change_of_content_is_noticed_whatever_its_time_says() {
    let world = world();
    let file = world.path("one/src/inner.rs");
    let old = SystemTime::now() - Duration::from_secs(100_000);
    let mut lines = ONE.to_owned();
    for value in 2..6 {
        fs::write(&file, format!("pub const VALUE: i64 = {value};")).unwrap();
        if value % 2 == 0 {
            touch(&file, old);
        }
        if value == 4 {
            lines = with_another(&world, "other");
        }
        let (compiled, found) = compiles(&world, &lines);
        assert!(compiled.contains(&"one".to_owned()), "{value}: {compiled:?}");
        assert_eq!(found, value);
    }
    // In a manifest.
    let manifest = world.path("one/Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("0.1.0", "0.1.1")).unwrap();
    assert_eq!(compiles(&world, ONE).0, ["one"]);
}

#[test]
fn a_git_switch_there_and_back_compiles_nothing() {
    let world = world();
    let folder = world.path("one");
    git(&folder, &["init", "-q"]);
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "-qm", "a"]);
    git(&folder, &["switch", "-qc", "other"]);
    fs::write(folder.join("src/inner.rs"), "pub const VALUE: i64 = 9;").unwrap();
    git(&folder, &["commit", "-qam", "b"]);
    git(&folder, &["switch", "-q", "main"]);
    assert_eq!(compiles(&world, ONE), (vec![], 1));
    git(&folder, &["switch", "-q", "other"]);
    git(&folder, &["switch", "-q", "main"]);
    let lines = with_another(&world, "another");
    assert_eq!(compiles(&world, &lines), (some("another"), 1));
    git(&folder, &["switch", "-q", "other"]);
    assert_eq!(compiles(&world, ONE), (some("one"), 9));
}

#[test]
fn a_source_of_the_future_is_compiled_once() {
    let world = world();
    let file = world.path("one/src/inner.rs");
    touch(&file, ahead(100_000));
    let first = with_another(&world, "first");
    assert_eq!(compiles(&world, &first), (some("first"), 1));
    let second = with_another(&world, "second");
    assert_eq!(compiles(&world, &second), (some("second"), 1));
    fs::write(&file, "pub const VALUE: i64 = 2;").unwrap();
    let third = with_another(&world, "third");
    assert_eq!(compiles(&world, &third), (vec!["one".to_owned(), "third".to_owned()], 2));
    // Written with a date ahead.
    fs::write(&file, "pub const VALUE: i64 = 3;").unwrap();
    touch(&file, ahead(100_000));
    assert_eq!(compiles(&world, ONE), (some("one"), 3));
    let fourth = with_another(&world, "fourth");
    assert_eq!(compiles(&world, &fourth), (some("fourth"), 3));
}

#[test]
fn what_a_build_script_reads_counts_by_content_too() {
    let world = World::new();
    world.write("one", "", "pub fn value() -> i64 { env!(\"VALUE\").parse().unwrap() }");
    let script = "fn main() { println!(\"cargo::rerun-if-changed=value.txt\");
        let value = std::fs::read_to_string(\"value.txt\").unwrap();
        println!(\"cargo::rustc-env=VALUE={value}\"); }";
    fs::write(world.path("one/build.rs"), script).unwrap();
    let file = world.path("one/value.txt");
    fs::write(&file, "1").unwrap();
    assert_eq!(compiles(&world, ONE), (some("one"), 1));
    touch(&file, SystemTime::now());
    assert_eq!(compiles(&world, ONE), (vec![], 1));
    // The same for sessions that need cargo, with a crate that leans on it, and with a date ahead.
    let one = "[dependencies]\none = { path = '../one' }\n";
    world.write("upper", one, "pub fn value() -> i64 { one::value() }");
    let upper = format!("{ONE}\nupper = {{ path = 'upper' }}");
    assert_eq!(compiles(&world, &upper), (some("upper"), 1));
    for (name, time) in [("first", SystemTime::now()), ("second", ahead(100_000))] {
        touch(&file, time);
        world.write(name, "", "");
        let lines = format!("{upper}\n{name} = {{ path = '{name}' }}");
        assert_eq!(compiles(&world, &lines), (some(name), 1));
        assert_eq!(compiles(&world, &upper), (vec![], 1));
    }
    for (value, time) in [(2, SystemTime::now() - Duration::from_secs(100_000)), (3, ahead(50))] {
        fs::write(&file, value.to_string()).unwrap();
        touch(&file, time);
        let both = vec!["one".to_owned(), "upper".to_owned()];
        assert_eq!(compiles(&world, &upper), (both, value));
        assert_eq!(compiles(&world, ONE), (vec![], value));
    }
}

#[test]
fn what_leans_on_a_crate_that_has_changed_is_compiled_with_it() {
    let world = World::new();
    world.write("low", "", "pub const VALUE: i64 = 1;");
    let low = "[dependencies]\nlow = { path = '../low' }\n";
    world.write("one", low, "pub fn value() -> i64 { low::VALUE }");
    assert_eq!(compiles(&world, ONE), (vec!["low".to_owned(), "one".to_owned()], 1));
    let file = world.path("low/src/lib.rs");
    fs::write(&file, "pub const VALUE: i64 = 2;").unwrap();
    touch(&file, SystemTime::now() - Duration::from_secs(100_000));
    assert_eq!(compiles(&world, ONE), (vec!["low".to_owned(), "one".to_owned()], 2));
    assert_eq!(compiles(&world, ONE), (vec![], 2));
}

#[test]
fn what_a_killed_session_has_left_goes_by_content_too() {
    let world = world();
    // As if it had been killed before it could note anything.
    for note in ["units", "graphs"] {
        for file in world.files_of_store("").iter().filter(|f| f.parent().unwrap().ends_with(note))
        {
            fs::remove_file(file).unwrap();
        }
    }
    let file = world.path("one/src/inner.rs");
    fs::write(&file, "pub const VALUE: i64 = 2;").unwrap();
    touch(&file, SystemTime::now() - Duration::from_secs(100_000));
    let (_, found) = compiles(&world, ONE);
    assert_eq!(found, 2);
}
