//! What a panic tells.

use cell_process::Outcome;
use cell_process::host::Event;

use crate::common::Session;

const PANIC: &str = "fn inner() { let v: Vec<u8> = Vec::new(); v[3]; }\n---\ninner();";

#[test]
fn a_panic_says_where_and_what() {
    let session = Session::start();
    let told = session.run("println!(\"before\"); panic!(\"oh\\0no {}\", 1);");
    assert_eq!(told.outcome, Some(Outcome::Panicked));
    let [panic] = &told.panics[..] else { panic!("{told:?}") };
    assert_eq!((panic.thread.as_str(), panic.message.as_str()), ("main", "oh\0no 1"));
    assert!(panic.file.ends_with(".rs") && panic.line == 4 && panic.column == 21, "{panic:?}");
    assert_eq!(panic.backtrace, None);
    assert_eq!(told.err, "");
}

#[test]
fn a_panic_that_the_cell_catches_and_one_that_is_no_text() {
    let session = Session::start();
    let told = session.run("let _ = std::panic::catch_unwind(|| panic!(\"caught\"));");
    assert!(told.is_done());
    assert_eq!(told.panics.len(), 1);
    let told = session.run("std::panic::panic_any(3_u8);");
    assert_eq!(told.outcome, Some(Outcome::Panicked));
    assert_eq!(told.panics[0].message, "a value that is no text");
    let told = session.run(
        "struct Bad; impl Drop for Bad { fn drop(&mut self) { panic!(\"second\") } }
         ---
         std::panic::panic_any(Bad);",
    );
    assert_eq!(told.outcome, Some(Outcome::Panicked));
    assert!(session.run("").is_done());
}

#[test]
fn a_panic_on_another_thread_is_told_at_once() {
    let session = Session::start();
    let told = session.run(
        "let _ = std::thread::Builder::new().name(\"worker\".into())
             .spawn(|| panic!(\"in a thread\")).unwrap().join(); println!(\"after\");",
    );
    assert!(told.is_done() && told.panics.is_empty());
    assert!(told.err.contains("thread 'worker'"), "{}", told.err);
    assert!(told.err.contains("panicked at ") && told.err.contains(":\nin a thread\n"));
    let err = told.events.iter().position(|event| matches!(event, Event::Stderr(_)));
    let out = told.events.iter().position(|event| *event == Event::Stdout(b"after\n".to_vec()));
    assert!(err.unwrap() < out.unwrap());
}

#[test]
fn a_backtrace_holds_the_cell_s_own_frames() {
    let session = Session::start_with(&[("RUST_BACKTRACE", "1")]);
    let told = session.run(PANIC);
    let backtrace = told.panics[0].backtrace.as_deref().unwrap();
    assert_eq!(told.err, "");
    let names: Vec<&str> = backtrace
        .lines()
        .filter(|line| !line.trim_start().starts_with("at "))
        .map(|line| line.split_once(": ").unwrap().1)
        .collect();
    assert!(names.iter().any(|name| name.ends_with("::inner")), "{backtrace}");
    for part in ["panicking", "rust_live", "cell_process", "begin_unwind", "start_thread", "__rust"]
    {
        assert!(!backtrace.contains(part), "{part}: {backtrace}");
    }
    let told = session.run("let _ = std::thread::spawn(|| panic!(\"there\")).join();");
    assert_eq!(told.err.matches("stack backtrace:").count(), 1, "{}", told.err);
    assert!(told.err.find("there").unwrap() < told.err.find("stack backtrace:").unwrap());
    assert!(!told.err.contains("rust_live"), "{}", told.err);
}

#[test]
fn no_backtrace_where_the_reader_has_not_asked_for_one() {
    for value in ["0", ""] {
        let session = Session::start_with(&[("RUST_BACKTRACE", value)]);
        assert_eq!(session.run(PANIC).panics[0].backtrace, None);
        let told = session.run("let _ = std::thread::spawn(|| panic!(\"there\")).join();");
        assert!(!told.err.contains("stack backtrace:"), "{}", told.err);
    }
}
