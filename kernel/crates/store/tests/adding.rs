//! Crates of every kind are added, shared with later sessions, and linked.

mod common;

use std::fs;

use cell_store::{Added, Dependency, Error};
use common::{World, git};

#[test]
fn what_one_session_has_compiled_the_next_one_takes() {
    let world = World::new();
    world.write("below", "", "pub fn two() -> i64 { 2 }");
    world.write(
        "one",
        "[dependencies]\nbelow = { path = '../below' }\n[features]\nmore = []\n",
        "pub fn value() -> i64 { below::two() + if cfg!(feature = \"more\") { 10 } else { 0 } }",
    );
    let mut first = world.session("first");
    let added = first.add("one = { path = 'one' }").unwrap();
    assert!(added.compiled && added.changed.is_empty());
    assert_eq!(first.compiled(), ["below", "one"]);
    assert_eq!(first.run("a", "one::value()"), 2);
    let mut second = world.session("second");
    assert!(!second.add("one = { path = 'one' }").unwrap().compiled);
    assert_eq!(second.told_of_crates(), [""; 0]);
    assert_eq!(second.run("b", "one::value()"), 2);
    let package = second.crates.linked().package("one").unwrap();
    assert_eq!((&*package.version, package.direct), ("0.1.0", true));
    assert!(!second.crates.linked().package("below").unwrap().direct);
    assert!(second.crates.linked().package("none").is_none());
    // Other features are another crate, and what it leans on is there.
    let mut third = world.session("third");
    third.add("one = { path = 'one', features = ['more'] }").unwrap();
    assert_eq!(third.compiled(), ["one"]);
    assert_eq!(third.run("c", "one::value()"), 12);
    assert_eq!(third.crates.linked().package("one").unwrap().features, ["more"]);
    let mut fourth = world.session("fourth");
    assert!(!fourth.add("one = { path = 'one' }").unwrap().compiled);
}

#[test]
fn macros_build_scripts_and_other_names_are_taken_too() {
    let world = World::new();
    world.write(
        "answers",
        "[lib]\nproc-macro = true\n",
        "use proc_macro::TokenStream;\n#[proc_macro] pub fn answer(_: TokenStream) -> TokenStream \
         { \"42\".parse().unwrap() }",
    );
    world.write(
        "built",
        "",
        "pub const GIVEN: &str = env!(\"GIVEN\"); include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));",
    );
    let script = "fn main() { println!(\"cargo::rerun-if-env-changed=SESSION_SAYS\");
        let said = std::env::var(\"SESSION_SAYS\").unwrap();
        println!(\"cargo::rustc-env=GIVEN={said}\");
        let out = std::env::var(\"OUT_DIR\").unwrap();
        std::fs::write(out + \"/made.rs\", \"pub const MADE: i64 = 7;\").unwrap(); }";
    fs::write(world.path("built/build.rs"), script).unwrap();
    let lines = "answers = { path = 'answers' }\nother = { package = 'built', path = 'built' }";
    let body = "answers::answer!() + other::MADE + other::GIVEN.len() as i64";
    let mut first = world.session("first");
    first.crates.set_env("SESSION_SAYS", "abc");
    first.add(lines).unwrap();
    assert_eq!(first.compiled(), ["answers", "built"]);
    assert_eq!(first.run("a", body), 52);
    let mut second = world.session("second");
    second.crates.set_env("SESSION_SAYS", "abc");
    assert!(!second.add(lines).unwrap().compiled);
    assert_eq!(second.run("b", body), 52);
    let mut third = world.session("third");
    third.crates.set_env("SESSION_SAYS", "abcd");
    third.add(lines).unwrap();
    assert_eq!(third.compiled(), ["built"]);
    assert_eq!(third.run("c", body), 53);
    // A macro alone makes no library.
    let mut fourth = world.session("fourth");
    fourth.add("answers = { path = 'answers' }").unwrap();
    assert!(fourth.crates.linked().layers.is_empty());
    assert_eq!(fourth.run("d", "answers::answer!()"), 42);
}

#[test]
fn a_library_that_a_build_script_has_made_is_found_when_the_store_is_gone() {
    let world = World::new();
    world.write(
        "native",
        "links = 'seven'\n",
        "unsafe extern \"C\" { fn seven() -> i64; } pub fn value() -> i64 { unsafe { seven() } }",
    );
    let script = "use std::process::Command; fn main() {
        println!(\"cargo::rerun-if-changed=build.rs\");
        let out = std::env::var(\"OUT_DIR\").unwrap();
        let c = format!(\"{out}/seven.c\");
        std::fs::write(&c, \"long seven(void) { return 7; }\").unwrap();
        let so = format!(\"{out}/libseven.so\");
        let done = Command::new(\"cc\").args([\"-shared\", \"-fPIC\", \"-o\", &so, &c]).status();
        assert!(done.unwrap().success());
        println!(\"cargo::rustc-link-search=native={out}\");
        println!(\"cargo::rustc-link-lib=dylib=seven\"); }";
    fs::write(world.path("native/build.rs"), script).unwrap();
    let mut session = world.session("session");
    session.add("native = { path = 'native' }").unwrap();
    assert_eq!(session.crates.linked().not_prelinked, None);
    world.store().clear().unwrap();
    assert_eq!(session.run("a", "native::value()"), 7);
}

#[test]
fn a_crate_comes_from_git_and_keeps_its_version() {
    let world = World::new();
    world.write("remote", "", "pub fn value() -> i64 { 1 }");
    let repository = world.path("remote");
    git(&repository, &["init", "-q"]);
    let commit = || {
        git(&repository, &["add", "."]);
        git(&repository, &["commit", "-qm", "a"]);
    };
    commit();
    let line = format!("remote = {{ git = 'file://{}' }}", repository.display());
    let home = world.path("cargo-home");
    fs::create_dir_all(&home).unwrap();
    let session = |name: &str| {
        let mut session = world.session(name);
        session.crates.set_env("CARGO_HOME", home.to_str().unwrap());
        session
    };
    let mut offline = session("offline");
    let error = offline.add(&line).unwrap_err().to_string();
    assert!(error.contains("remote") && error.contains("the network was not asked"), "{error}");
    let mut first = session("first");
    first.crates.offline(false);
    first.add(&line).unwrap();
    assert_eq!(first.run("a", "remote::value()"), 1);
    fs::write(repository.join("src/lib.rs"), "pub fn value() -> i64 { 2 }").unwrap();
    commit();
    let mut second = session("second");
    second.crates.offline(false);
    assert!(!second.add(&line).unwrap().compiled);
    assert_eq!(second.run("b", "remote::value()"), 1);
    // Whoever asks cargo about a session without crates, as rust-analyzer does, has it write this.
    let mut third = session("third");
    third.crates.offline(false);
    let cells = third.crates.manifest_folder();
    fs::create_dir_all(&cells).unwrap();
    let nothing = "version = 4\n\n[[package]]\nname = \"cells\"\nversion = \"0.0.0\"\n";
    fs::write(cells.join("Cargo.lock"), nothing).unwrap();
    assert!(third.crates.write_lock_file(&world.path("kept.lock")).is_err());
    assert!(!third.add(&line).unwrap().compiled);
    assert_eq!(third.run("c", "remote::value()"), 1);
}

#[test]
fn how_crates_come_here_has_no_say_in_what_is_there() {
    let world = World::new();
    world.write("one", "", "pub fn value() -> i64 { 1 }");
    let one = Dependency {
        name: "one".into(),
        spec: "path = 'one'".parse::<toml::Table>().unwrap().into(),
    };
    let session = |name: &str, variables: &[(&str, &str)]| {
        let mut session = world.session(name);
        let home = world.path(&format!("home of {name}"));
        fs::create_dir_all(&home).unwrap();
        session.crates.set_env("CARGO_HOME", home.to_str().unwrap());
        variables.iter().for_each(|(name, value)| session.crates.set_env(name, value));
        session.crates
    };
    let one = std::slice::from_ref(&one);
    assert!(session("first", &[]).add(one, &|_| ()).unwrap().compiled);
    let others = [("CARGO_NET_OFFLINE", "true"), ("CARGO_TERM_COLOR", "never")];
    assert!(session("second", &others).has(one).unwrap());
    assert!(!session("third", &[("CARGO_PROFILE_DEV_OPT_LEVEL", "3")]).has(one).unwrap());
}

#[test]
fn errors_are_in_words_and_change_nothing() {
    let world = World::new();
    world.write("good", "", "pub fn value() -> i64 { 1 }");
    world.write("bad", "", "pub fn value() -> i64 { missing }");
    let mut session = world.session("session");
    session.add("good = { path = 'good' }").unwrap();
    let manifest = fs::read_to_string(session.crates.manifest_folder().join("Cargo.toml")).unwrap();
    let arguments = session.crates.linked().rustc_arguments();
    match session.add("bad = { path = 'bad' }").unwrap_err() {
        Error::Compile { package, rendered } => {
            assert_eq!(package, format!("bad v0.1.0 ({})", world.path("bad").display()));
            assert!(rendered.contains("cannot find value `missing`"), "{rendered}");
            assert!(rendered.contains("bad/src/lib.rs:1:25"), "{rendered}");
        }
        other => panic!("{other}"),
    }
    for (line, word) in [
        ("no-such-crate-of-ours = '1'", "no-such-crate-of-ours"),
        ("good = { path = 'good', version = '99' }", "99"),
        ("gone = { path = 'gone' }", "gone"),
        ("good = { path = 'good', features = ['nope'] }", "nope"),
    ] {
        let error = session.add(line).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(text.contains(word) && text.lines().count() == 1, "{text}");
    }
    let after = fs::read_to_string(session.crates.manifest_folder().join("Cargo.toml")).unwrap();
    assert_eq!((after, session.crates.linked().rustc_arguments()), (manifest, arguments));
    assert_eq!(session.run("a", "good::value()"), 1);
    // What was at fault is put right, and taken.
    world.write("bad", "", "pub fn value() -> i64 { 3 }");
    session.add("bad = { path = 'bad' }").unwrap();
    assert_eq!(session.run("b", "good::value() + bad::value()"), 4);
}

#[test]
fn statics_are_there_once_over_two_adds() {
    let world = World::new();
    let counter = "use std::sync::atomic::{AtomicI64, Ordering}; static COUNT: AtomicI64 = \
                   AtomicI64::new(0); pub fn next() -> i64 { COUNT.fetch_add(1, Ordering::SeqCst) + 1 }";
    world.write("counter", "", counter);
    let upper = "[dependencies]\ncounter = { path = '../counter' }\n";
    world.write("upper", upper, "pub fn next() -> i64 { counter::next() }");
    let mut session = world.session("session");
    session.add("counter = { path = 'counter' }").unwrap();
    assert_eq!(session.run("a", "counter::next()"), 1);
    let added = session.add("upper = { path = 'upper' }").unwrap();
    assert!(added.changed.is_empty() && added.relinked.is_empty(), "{added:?}");
    assert_eq!(session.crates.linked().layers.len(), 2);
    assert_eq!(session.run("b", "upper::next()"), 2);
    assert_eq!(session.run("c", "counter::next() * 10 + upper::next()"), 34);
    // The same in a session that compiles nothing.
    let mut next = world.session("next");
    next.add("counter = { path = 'counter' }").unwrap();
    assert!(!next.add("upper = { path = 'upper' }").unwrap().compiled);
    assert_eq!(next.crates.linked().layers.len(), 2);
    // One that lies below another already needs no library of its own.
    let mut third = world.session("third");
    third.add("upper = { path = 'upper' }").unwrap();
    third.add("counter = { path = 'counter' }").unwrap();
    assert_eq!(third.crates.linked().layers.len(), 1);
    // A change is told, and what was linked with it has new statics.
    world.write("counter", "", &counter.replace("+ 1", "+ 101"));
    let added = session.add("").unwrap();
    assert_eq!(added.changed, ["counter", "upper"]);
    assert_eq!(session.run("d", "upper::next()"), 101);
    session.crates.forget().unwrap();
    assert!(session.crates.linked().rustc_arguments().is_empty());
}

#[test]
fn features_that_a_later_crate_asks_for_make_another_crate() {
    let world = World::new();
    world.write("base", "[features]\nmore = []\n", "pub struct Base; pub fn same() -> i64 { 5 }");
    world.write("still", "", "pub fn value() -> i64 { 1 }");
    let more = "[dependencies]\nbase = { path = '../base', features = ['more'] }\n";
    world.write("wants", more, "pub fn value() -> i64 { base::same() }");
    let mut session = world.session("session");
    session.add("base = { path = 'base' }\nstill = { path = 'still' }").unwrap();
    let added = session.add("wants = { path = 'wants' }").unwrap();
    assert_eq!(added.changed, ["base"]);
    assert_eq!(added.relinked, ["still"]);
    assert_eq!(session.run("a", "wants::value() + base::same() + still::value()"), 11);
}

#[test]
fn versions_are_those_of_a_lock_file() {
    let world = World::new();
    world.write("one", "", "");
    world.write("two", "", "");
    let mut session = world.session("session");
    assert!(session.crates.write_lock_file(&world.path("none.lock")).is_err());
    session.add("one = { path = 'one' }").unwrap();
    let lock = world.path("notebook.lock");
    session.crates.write_lock_file(&lock).unwrap();
    let mut exact = world.session("exact");
    exact.crates.lock_file(Some(lock.clone()));
    assert!(exact.add("one = { path = 'one' }").is_ok());
    let error = exact.add("two = { path = 'two' }").unwrap_err().to_string();
    assert!(error.starts_with("notebook.lock does not hold"), "{error}");
    exact.crates.lock_file(None);
    exact.add("two = { path = 'two' }").unwrap();
    exact.crates.write_lock_file(&lock).unwrap();
    assert!(fs::read_to_string(&lock).unwrap().contains("name = \"two\""));
}

#[test]
fn a_session_without_crates_costs_nothing() {
    let world = World::new();
    let mut session = world.session("session");
    assert_eq!(session.add("").unwrap(), Added::default());
    assert!(session.crates.linked().rustc_arguments().is_empty());
    assert_eq!(session.crates.linked().declarations(), "");
    assert!(!world.path("cache").exists());
    assert_eq!(world.store().size().unwrap(), 0);
    assert!(world.store().list().unwrap().is_empty());
}

#[test]
fn crates_that_do_not_go_into_one_library_are_linked_one_by_one() {
    let world = World::new();
    world.write("one", "", "pub fn value() -> i64 { 4 }");
    let mut session = world.session("session");
    session.crates.set_env("RUSTFLAGS", "-C linker=cc");
    session.add("one = { path = 'one' }").unwrap();
    assert_eq!(
        session.crates.linked().not_prelinked.as_deref(),
        Some("another linker is configured")
    );
    assert!(session.told().iter().any(|line| line.contains("do not go into one library")));
    assert_eq!(session.run("plain", "one::value()"), 4);
    world.write("one", "", "pub fn value() -> i64 { 5 }");
    assert_eq!(session.add("one = { path = 'one' }").unwrap().changed, ["one"]);
    assert_eq!(session.run("changed", "one::value()"), 5);
}

#[test]
fn a_crate_that_is_a_dynamic_library_and_one_called_as_the_cells_are_are_linked() {
    let world = World::new();
    world.write("shared", "[lib]\ncrate-type = ['dylib']\n", "pub fn value() -> i64 { 4 }");
    world.write("cells", "", "pub fn value() -> i64 { 30 }");
    let mut session = world.session("session");
    session.add("shared = { path = 'shared' }\ncells = { path = 'cells' }").unwrap();
    assert_eq!(session.crates.linked().not_prelinked, None);
    assert_eq!(session.run("both", "shared::value() + cells::value()"), 34);
}

/// A library that uses a crate with a feature, and one that wants that crate with the feature.
fn library_and_wish(public: &str) -> World {
    let world = World::new();
    world.write(
        "common",
        "[features]\nmore = []\n",
        "pub struct Held(pub i64); pub fn level() -> i64 { if cfg!(feature = \"more\") { 10 } else { 1 } }",
    );
    let manifest = format!(
        "[package.metadata.rust-live]\npublic-dependencies = {public}\n\
         [dependencies]\ncommon = {{ path = '../common' }}\n"
    );
    world.write(
        "library",
        &manifest,
        "use std::sync::atomic::{AtomicI64, Ordering::SeqCst}; static COUNT: AtomicI64 = AtomicI64::new(0);
         pub fn count() -> i64 { COUNT.fetch_add(1, SeqCst) }
         pub fn level() -> i64 { common::level() } pub fn held() -> common::Held { common::Held(5) }",
    );
    let wish = |name: &str, features: &str| {
        world.write(
            name,
            &format!("[dependencies]\ncommon = {{ path = '../common'{features} }}\n"),
            "pub fn level() -> i64 { common::level() } pub fn taken(held: common::Held) -> i64 { held.0 }",
        );
    };
    wish("wish", ", features = ['more']");
    wish("modest", "");
    world
}

#[test]
fn a_library_stays_as_it_is_whatever_comes_beside_it() {
    let world = library_and_wish("{ library = [] }");
    let mut prepared = world.session("prepared");
    prepared.add("library = { path = 'library' }").unwrap();
    let mut session = world.session("session");
    assert!(!session.add("library = { path = 'library' }").unwrap().compiled);
    assert_eq!(session.run("a", "library::count()"), 0);
    let added = session.add("wish = { path = 'wish' }").unwrap();
    assert_eq!((added.changed, added.relinked), (vec![], vec![]));
    assert_eq!(session.compiled(), ["common", "wish"]);
    assert_eq!(session.run("b", "library::level() + wish::level()"), 11);
    assert_eq!(session.run("c", "library::count()"), 1);
    // The crate by its own name, too; and what is alike meets.
    let added = session.add("common = { path = 'common', features = ['more'] }").unwrap();
    assert!(!added.compiled && added.changed.is_empty());
    let told = session.told();
    assert!(told.iter().any(|line| line.contains("keeps its own common")), "{told:?}");
    assert_eq!(session.run("d", "common::level() + wish::taken(common::Held(1))"), 11);
    // A later session finds all of it, in one go as well.
    let mut later = world.session("later");
    let all = "library = { path = 'library' }\nwish = { path = 'wish' }";
    assert!(!later.add(all).unwrap().compiled);
    assert_eq!(later.compiled(), [""; 0]);
    assert_eq!(
        later.crates.linked().layers[0].library.file_name(),
        prepared.crates.linked().layers[0].library.file_name()
    );
    let package = |name: &str| later.crates.linked().package(name).unwrap().direct;
    assert!(package("library") && package("wish") && !package("common"));
    // In the other order, too.
    let mut other = world.session("other");
    other.add("wish = { path = 'wish' }").unwrap();
    assert!(!other.add("library = { path = 'library' }").unwrap().compiled);
    assert_eq!(other.run("e", "library::level() + wish::level()"), 11);
}

#[test]
fn what_leaves_a_library_as_it_is_shares_its_crates() {
    let world = library_and_wish("{ library = [] }");
    let mut session = world.session("session");
    session.add("library = { path = 'library' }").unwrap();
    let added = session.add("modest = { path = 'modest' }").unwrap();
    assert!(added.changed.is_empty());
    assert_eq!(session.run("a", "modest::taken(library::held())"), 5);
    // What is no business of the library's keeps sharing with it when something else stands apart.
    session.add("wish = { path = 'wish' }").unwrap();
    assert_eq!(session.run("b", "wish::level() + library::level()"), 11);
}

#[test]
fn a_library_whose_users_meet_a_crate_gets_it_as_they_wish() {
    let world = library_and_wish("{ library = ['common'], common = [] }");
    let mut session = world.session("session");
    session.add("library = { path = 'library' }").unwrap();
    session.compiled();
    let added = session.add("wish = { path = 'wish' }").unwrap();
    assert_eq!(session.compiled(), ["common", "library", "wish"]);
    assert_eq!(added.changed, ["common", "library"]);
    assert_eq!(session.run("a", "library::level() + wish::taken(library::held())"), 15);
}

#[test]
fn what_the_users_of_a_library_meet_can_be_named() {
    let world = library_and_wish("{ library = ['met'], met = [] }");
    world.write("met", "", "pub struct Met(pub i64);");
    let manifest = fs::read_to_string(world.path("library/Cargo.toml")).unwrap();
    fs::write(world.path("library/Cargo.toml"), manifest + "met = { path = '../met' }\n").unwrap();
    let source = fs::read_to_string(world.path("library/src/lib.rs")).unwrap();
    let more = "pub fn met() -> met::Met { met::Met(3) }";
    fs::write(world.path("library/src/lib.rs"), source + more).unwrap();
    let mut session = world.session("session");
    session.add("library = { path = 'library' }\nwish = { path = 'wish' }").unwrap();
    let added = session.add("met = { path = 'met' }").unwrap();
    assert_eq!(added, Added::default());
    let body = "fn of(met: met::Met) -> i64 { met.0 } of(library::met()) + wish::level()";
    assert_eq!(session.run("a", body), 13);
}

#[test]
fn a_name_that_means_another_build_now_is_told_as_changed() {
    let world = library_and_wish("{ library = [] }");
    let mut session = world.session("session");
    let common = "common = { path = 'common' }";
    session.add(&format!("library = {{ path = 'library' }}\n{common}")).unwrap();
    assert_eq!(
        session.run("a", "fn of(held: common::Held) -> i64 { held.0 } of(library::held())"),
        5
    );
    // The library keeps the one that there was: a variable of its type would be taken for one of the other's.
    let added = session.add("common = { path = 'common', features = ['more'] }").unwrap();
    assert_eq!(added.changed, ["common"]);
    assert_eq!(session.run("b", "common::level() + library::level()"), 11);
    assert!(session.told().iter().any(|line| line.contains("keeps its own common")));
    // By another crate, which brings it along.
    let mut other = world.session("other");
    other.add(&format!("library = {{ path = 'library' }}\n{common}")).unwrap();
    let added = other.add("wish = { path = 'wish' }").unwrap();
    assert_eq!(added.changed, ["common"]);
    assert!(other.told().iter().any(|line| line.contains("keeps its own common")));
}

#[test]
fn crates_and_folders_of_other_names_stand_apart_too() {
    let world = library_and_wish("{ library = [] }");
    let library = "library = { path = 'library' }";
    let renamed = "[lib]\nname = 'wish_by_name'\n";
    let manifest = fs::read_to_string(world.path("wish/Cargo.toml")).unwrap();
    fs::write(world.path("wish/Cargo.toml"), format!("{manifest}{renamed}")).unwrap();
    fs::rename(world.path("wish"), world.path("a 노 wish")).unwrap();
    fs::rename(world.path("common"), world.path("a common")).unwrap();
    for folder in ["library", "a 노 wish"] {
        let path = world.path(folder).join("Cargo.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("../common", "../a common")).unwrap();
    }
    let mut session = world.session("session");
    session.add(&format!("{library}\nwish = {{ path = 'a 노 wish' }}")).unwrap();
    assert_eq!(session.run("a", "wish_by_name::level() + library::level()"), 11);
    let other = "own = { package = 'wish', path = 'a 노 wish' }\n\
                 mine = { package = 'common', path = 'a common' }";
    let mut session = world.session("other");
    session.add(&format!("{library}\n{other}")).unwrap();
    assert_eq!(session.run("b", "own::taken(mine::Held(2)) + library::level()"), 3);
}

#[test]
fn versions_that_are_locked_hold_for_what_stands_apart() {
    let world = library_and_wish("{ library = [] }");
    let mut session = world.session("session");
    let all = "library = { path = 'library' }\nwish = { path = 'wish' }";
    session.add(all).unwrap();
    let lock = world.path("notebook.lock");
    session.crates.write_lock_file(&lock).unwrap();
    let mut locked = world.session("locked");
    locked.crates.lock_file(Some(lock));
    assert!(!locked.add(all).unwrap().compiled);
    assert_eq!(locked.run("a", "library::level() + wish::level()"), 11);
    let error = locked.add("modest = { path = 'modest' }").unwrap_err();
    assert!(error.to_string().contains("does not hold the versions"), "{error}");
}
