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
    assert!(told.is_done() && told.err.is_empty(), "{}", told.err);
    let [panic] = &told.panics[..] else { panic!("{told:?}") };
    assert!(!panic.is_on_cells && panic.thread == "worker" && panic.message == "in a thread");
    let panic = told.events.iter().position(|event| matches!(event, Event::Panic(_)));
    let out = told.events.iter().position(|event| *event == Event::Stdout(b"after\n".to_vec()));
    assert!(panic.unwrap() < out.unwrap());
}

#[test]
fn a_panic_outside_of_cells_names_the_cell_s_call() {
    let session = Session::start();
    let told = session.run_as(
        "cell 7",
        "let v: Vec<u32> = vec![2, 1];\nlet _ = v.iter().map(|x| if *x == 1 { rust_live::fail() } else { 0 }).sum::<u32>();",
    );
    let [panic] = &told.panics[..] else { panic!("{told:?}") };
    assert!(panic.file.ends_with("far.rs"), "{panic:?}");
    assert_eq!(panic.called_at.as_deref(), Some("cell 7:5:39"));
    // One that is in the cell itself needs no call.
    let told = session.run_as("cell 8", "panic!(\"here\")");
    assert_eq!((told.panics[0].file.as_str(), &told.panics[0].called_at), ("cell 8", &None));
}

#[test]
fn a_backtrace_holds_the_cell_s_own_frames() {
    let session = Session::start_with(&[("RUST_BACKTRACE", "1")]);
    // Libraries that were loaded behind the first backtrace are known as well.
    session.run_as("cell 1", PANIC);
    let told = session.run_as("cell 2", PANIC);
    let backtrace = told.panics[0].backtrace.as_deref().unwrap();
    assert_eq!(told.err, "");
    let names: Vec<&str> = backtrace
        .lines()
        .filter(|line| !line.trim_start().starts_with("at "))
        .map(|line| line.split_once(": ").unwrap().1)
        .collect();
    assert!(names.iter().any(|name| name.ends_with("inner")), "{backtrace}");
    for part in ["panicking", "rust_live", "cell_process", "begin_unwind", "start_thread", "__rust"]
    {
        assert!(!backtrace.contains(part), "{part}: {backtrace}");
    }
    assert!(backtrace.contains("at cell 2:2:"), "{backtrace}");
    let told = session.run_as("cell 3", "let _ = std::thread::spawn(|| panic!(\"there\")).join();");
    let backtrace = told.panics[0].backtrace.as_deref().unwrap();
    assert!(!backtrace.contains("rust_live"), "{backtrace}");
}

#[test]
fn no_backtrace_where_the_reader_has_not_asked_for_one() {
    for value in ["0", ""] {
        let session = Session::start_with(&[("RUST_BACKTRACE", value)]);
        assert_eq!(session.run(PANIC).panics[0].backtrace, None);
        let told = session.run("let _ = std::thread::spawn(|| panic!(\"there\")).join();");
        assert_eq!(told.panics[0].backtrace, None);
    }
}
