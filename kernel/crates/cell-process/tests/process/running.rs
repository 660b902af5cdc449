//! How cells are run.

use crate::common::{Session, start};
use cell_process::Outcome;
use cell_process::host::Event;

#[test]
fn a_cell_runs_and_says_what_came_of_it() {
    let session = Session::start();
    let told = session.run("println!(\"hello\"); eprint!(\"x\"); print!(\"no newline\");");
    assert!(told.is_done(), "{told:?}");
    assert_eq!((told.out.as_str(), told.err.as_str()), ("hello\nno newline", "x"));
    assert_eq!(told.events.first(), Some(&Event::Begin));
    let told = session.run("return false;");
    assert_eq!(told.outcome, Some(Outcome::Failed));
    let told = session.run("let v: Vec<u8> = vec![]; v[1];");
    assert_eq!(told.outcome, Some(Outcome::Panicked));
    // Statics of the support library and of the standard library are those of all cells.
    let told = session.run("rust_live::interrupted();");
    assert!(told.is_done());
}

#[test]
fn streams_keep_their_order() {
    let session = Session::start();
    let told = session.run(
        "for i in 0..50 { println!(\"{i}\"); eprintln!(\"{i}\"); }
         std::process::Command::new(\"echo\").arg(\"child\").status().unwrap();
         println!(\"after\");",
    );
    let mut expected: String = (0..50).map(|i| format!("{i}\n{i}\n")).collect();
    expected += "child\nafter\n";
    let written: Vec<u8> = told
        .events
        .iter()
        .flat_map(|event| match event {
            Event::Stdout(bytes) | Event::Stderr(bytes) => bytes.clone(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(String::from_utf8(written).unwrap(), expected);
}

#[test]
fn a_library_that_cannot_be_run_is_told() {
    let session = Session::start();
    session.process.run("/nothing/here.so".as_ref(), "cell").unwrap();
    assert_eq!(session.events.recv().unwrap(), Event::Begin);
    let Event::End(Outcome::NotRun(why)) = session.events.recv().unwrap() else { panic!() };
    assert!(why.contains("/nothing/here.so cannot be loaded"), "{why}");
    assert!(session.run("").is_done());
}

#[test]
fn a_process_that_cannot_begin_says_why() {
    let error = start(&[("SUPPORT", "/nothing/here.so")]).err().unwrap();
    assert!(error.contains("/nothing/here.so cannot be loaded"), "{error}");
}
