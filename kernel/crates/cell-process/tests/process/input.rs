//! Standard input asks the reader.

use std::time::{Duration, Instant};

use cell_process::Outcome;
use cell_process::host::{Event, Process};

use crate::common::{Session, Told};

/// Answers questions with these lines, in turn, then with the end of the input.
fn answers(lines: &'static [&'static str]) -> impl FnMut(&Process, &Event) {
    let mut lines = lines.iter();
    move |process, event| {
        if let Event::Input { question, .. } = event {
            process.answer(*question, lines.next().copied()).unwrap();
        }
    }
}

fn prompts(told: &Told) -> Vec<(&str, bool)> {
    let questions = told.events.iter().filter_map(|event| match event {
        Event::Input { prompt, is_password, .. } => Some((prompt.as_str(), *is_password)),
        _ => None,
    });
    questions.collect()
}

#[test]
fn a_line_is_asked_for_and_comes_with_its_newline() {
    let session = Session::start();
    let told = session.run_with(
        "print!(\"name? \"); let mut line = String::new();
         let n = stdin().read_line(&mut line).unwrap(); println!(\"{n} {line:?}\");",
        answers(&["Ada é"]),
    );
    assert!(told.is_done(), "{told:?}");
    assert_eq!(told.out, "name? 7 \"Ada é\\n\"\n");
    // What was printed came before the question.
    let question = told.events.iter().position(|event| matches!(event, Event::Input { .. }));
    let text = told.events.iter().position(|event| *event == Event::Stdout(b"name? ".to_vec()));
    assert!(text.unwrap() < question.unwrap());
}

#[test]
fn lines_and_c_read_and_long_lines_work() {
    let session = Session::start();
    let told = session.run_with(
        "for line in stdin().lines() { println!(\"<{}>\", line.unwrap()); }",
        answers(&["a", "", "c"]),
    );
    assert_eq!(told.out, "<a>\n<>\n<c>\n");
    let told = session.run_with(
        "unsafe extern \"C\" { fn read(fd: i32, to: *mut u8, n: usize) -> isize; }
         let mut piece = [0u8; 4]; let mut all = vec![];
         loop {
             let n = unsafe { read(0, piece.as_mut_ptr(), 4) };
             all.extend_from_slice(&piece[..n as usize]);
             if n == 0 || piece[n as usize - 1] == b'\\n' { break }
         }
         println!(\"{}\", String::from_utf8(all).unwrap());",
        answers(&["0123456789"]),
    );
    assert_eq!(told.out, "0123456789\n\n");
    assert_eq!(prompts(&told).len(), 1);
    let long = Box::leak("x".repeat(100_000).into_boxed_str());
    let lines: &'static [&'static str] = Box::leak(Box::new([&*long]));
    let told = session.run_with(
        "let mut line = String::new(); stdin().read_line(&mut line).unwrap();
         println!(\"{}\", line.len());",
        answers(lines),
    );
    assert_eq!(told.out, "100001\n");
    let told = session.run_with(
        "let (mut a, mut b) = ([0; 2], [0; 2]);
         let n = stdin().read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]);
         println!(\"{:?} {a:?}\", n.unwrap() > 0);",
        answers(&["abc"]),
    );
    assert_eq!(told.out, "true [97, 98]\n");
}

#[test]
fn where_nobody_can_answer_a_read_ends_at_once() {
    let session = Session::start();
    let start = Instant::now();
    let told = session.run(
        "let mut line = String::new(); let n = stdin().read_line(&mut line).unwrap();
         let m = stdin().read_to_string(&mut line).unwrap(); println!(\"{n} {m} {line:?}\");",
    );
    assert_eq!(told.out, "0 0 \"\"\n");
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn what_a_cell_does_not_read_is_no_line_of_the_next() {
    let session = Session::start();
    // One byte is read; the standard library keeps the rest of the line.
    let told = session.run_with(
        "let mut byte = [0]; stdin().read_exact(&mut byte).unwrap(); println!(\"{byte:?}\");",
        answers(&["first"]),
    );
    assert_eq!(told.out, "[102]\n");
    // And here it keeps none: the line is longer than what is read past it.
    session.run_with(
        "unsafe extern \"C\" { fn read(fd: i32, to: *mut u8, n: usize) -> isize; }
         unsafe { read(0, [0u8; 2].as_mut_ptr(), 2) };",
        answers(&["second"]),
    );
    let told = session.run_with(
        "let mut line = String::new(); stdin().read_line(&mut line).unwrap(); print!(\"{line}\");",
        answers(&["third"]),
    );
    assert_eq!((told.out.as_str(), prompts(&told).len()), ("third\n", 1));
}

#[test]
fn evcxr_input_s_requests_are_prompts() {
    let session = Session::start();
    let code = "fn ask(request: &str, prompt: &str) -> String {
            println!(\"{request}:{prompt}\");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            line.trim().to_owned()
        }
        ---
        let name = ask(\"EVCXR_INPUT_REQUEST\", \"name (first: last)\");
        let key = ask(\"EVCXR_INPUT_REQUEST_PASSWORD\", \"key: \");
        println!(\"{name} {key}\");";
    let told = session.run_with(code, answers(&[" Ada ", "123"]));
    assert_eq!(told.out, "Ada 123\n");
    assert_eq!(prompts(&told), [("name (first: last)", false), ("key: ", true)]);
}

#[test]
fn an_interrupt_ends_a_read_and_a_late_answer_is_dropped() {
    let session = Session::start();
    let mut late = None;
    let start = Instant::now();
    let told = session.run_with(
        "let mut line = String::new(); let n = stdin().read_line(&mut line).unwrap();
         println!(\"{n}\"); rust_live::check(); println!(\"not here\");",
        |process, event| match event {
            Event::Input { question, .. } => {
                late = Some(*question);
                process.interrupt();
            }
            Event::InputOver(question) => {
                assert_eq!(Some(*question), late);
                process.answer(*question, Some("late")).unwrap();
            }
            _ => {}
        },
    );
    assert_eq!(told.outcome, Some(Outcome::Interrupted), "{told:?}");
    assert_eq!(told.out, "0\n");
    assert!(told.events.contains(&Event::InputOver(late.unwrap())));
    assert!(start.elapsed() < Duration::from_secs(3));
    let told = session.run_with(
        "let mut line = String::new(); stdin().read_line(&mut line).unwrap(); print!(\"{line}\");",
        answers(&["new"]),
    );
    assert_eq!(told.out, "new\n");
}

#[test]
fn a_thread_that_waits_past_the_end_of_its_cell_is_told_that_there_is_no_more() {
    let session = Session::start();
    let told = session.run_with(
        "std::thread::spawn(|| {
             let mut line = String::new(); let n = std::io::stdin().read_line(&mut line).unwrap();
             println!(\"read {n}\");
         });
         std::thread::sleep(std::time::Duration::from_millis(200));",
        |_, _| {},
    );
    assert!(told.is_done());
    if !told.out.contains("read 0") {
        session.wait_for("read 0");
    }
    assert!(session.run("").is_done());
}

#[test]
fn programs_find_no_input() {
    let told = Session::start().run(
        "let output = std::process::Command::new(\"cat\").stdin(std::process::Stdio::inherit())
             .output().unwrap(); println!(\"{:?}\", output.stdout);",
    );
    assert_eq!(told.out, "[]\n");
}
