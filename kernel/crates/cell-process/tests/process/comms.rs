//! Messages of comms both ways, and writing to the output of an earlier cell.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use cell_process::host::Event;

use crate::common::Session;

/// Items of a cell that finds the functions as a crate does, and a listener that echoes.
const FUNCTIONS: &str = r#"
unsafe extern "C" {
    fn dlsym(handle: *mut std::ffi::c_void, name: *const std::ffi::c_char) -> *mut std::ffi::c_void;
}
fn find(name: &std::ffi::CStr) -> *mut std::ffi::c_void {
    let found = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    assert!(!found.is_null(), "{name:?}");
    found
}
fn send(parts: &[u8]) {
    let send: extern "C" fn(*const u8, usize) = unsafe { std::mem::transmute(find(c"live_comm_send")) };
    send(parts.as_ptr(), parts.len());
}
fn listen(receiver: extern "C" fn(*const u8, usize)) {
    let listen: extern "C" fn(extern "C" fn(*const u8, usize)) =
        unsafe { std::mem::transmute(find(c"live_comm_listen")) };
    listen(receiver);
}
fn new_output() -> u32 {
    let new: extern "C" fn() -> u32 = unsafe { std::mem::transmute(find(c"live_output_new")) };
    new()
}
fn enter(output: u32) -> u32 {
    let enter: extern "C" fn(u32) -> u32 = unsafe { std::mem::transmute(find(c"live_output_enter")) };
    enter(output)
}
fn one(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}
extern "C" fn echo(parts: *const u8, length: usize) {
    send(unsafe { std::slice::from_raw_parts(parts, length) });
}
---
"#;

fn cell(code: &str) -> String {
    format!("{FUNCTIONS}{code}")
}

#[test]
fn a_message_comes_back_from_a_crate_that_listens_between_cells_and_while_one_runs() {
    let session = Session::start();
    let told = session.run(&cell("listen(echo);"));
    assert!(told.is_done(), "{told:?}");
    let comm = |json: &[u8], buffers: &[&[u8]]| {
        session.process.comm(json, buffers).unwrap();
        let event = session.events.recv_timeout(Duration::from_secs(10)).unwrap();
        let Event::Comm { json, buffers } = event else { panic!("{event:?}") };
        (json, buffers)
    };
    assert_eq!(comm(b"{}", &[]), (b"{}".to_vec(), vec![]));
    let buffers = [&b"\0\xff"[..], b""];
    assert_eq!(comm(b"[1]", &buffers), (b"[1]".to_vec(), buffers.map(<[u8]>::to_vec).to_vec()));

    let told = session.run_with(
        &cell("println!(\"ready\"); std::thread::sleep(std::time::Duration::from_secs(1));"),
        |process, event| {
            if let Event::Stdout(text) = event
                && text.starts_with(b"ready")
            {
                process.comm(b"now", &[]).unwrap();
            }
        },
    );
    let comms = told.events.iter().filter(|event| matches!(event, Event::Comm { .. })).count();
    assert_eq!((comms, told.is_done()), (1, true), "{told:?}");
}

#[test]
fn what_is_in_no_parts_is_told() {
    let session = Session::start();
    let told = session.run(&cell("send(b\"\\x09\\0\\0\\0\");"));
    assert!(told.is_done() && told.err.contains("in no parts"), "{told:?}");
    let told = session.run(&cell("send(&one(\"{}\"));"));
    assert!(told.events.contains(&Event::Comm { json: b"{}".to_vec(), buffers: vec![] }));
}

/// What comes, with the output that it goes to.
fn by_output(events: impl IntoIterator<Item = Event>) -> Vec<(u32, String)> {
    let (mut output, mut texts) = (0, Vec::<(u32, String)>::new());
    for event in events {
        let text = match event {
            Event::Output(number) => {
                output = number;
                continue;
            }
            Event::Stdout(bytes) | Event::Stderr(bytes) => String::from_utf8(bytes).unwrap(),
            Event::Panic(panic) => panic.message,
            _ => continue,
        };
        match texts.iter_mut().find(|(number, _)| *number == output) {
            Some((_, before)) => before.push_str(&text),
            None => texts.push((output, text)),
        }
    }
    texts
}

#[test]
fn what_a_thread_writes_goes_to_the_output_that_it_has_entered() {
    let session = Session::start();
    let told = session.run(&cell(
        r#"let output = new_output();
        println!("here");
        std::thread::spawn(move || {
            assert_eq!(enter(output), 0);
            println!("there");
            eprintln!("wrong");
            let _ = std::panic::catch_unwind(|| panic!("caught"));
            assert_eq!(enter(0), output);
            println!("and here");
        }).join().unwrap();
        println!("at last");"#,
    ));
    assert!(told.is_done(), "{told:?}");
    assert_eq!(told.events.iter().filter(|event| matches!(event, Event::NewOutput(1))).count(), 1);
    let expected = [(0, "here\nand here\nat last\n".into()), (1, "there\nwrong\ncaught".into())];
    assert_eq!(by_output(told.events), expected);
}

#[test]
fn lines_of_two_outputs_that_come_in_turns_stay_whole() {
    let session = Session::start();
    let told = session.run(&cell(
        r#"let output = new_output();
        let message = "EVCXR_JUPYTER_MESSAGE {\"type\":\"a\",\"content\":{}}\n";
        for (here, there) in message.as_bytes().chunks(7).zip(message.as_bytes().chunks(7)) {
            for (number, piece) in [(0, here), (output, there)] {
                enter(number);
                std::io::stdout().write_all(piece).unwrap();
                std::io::stdout().flush().unwrap();
            }
        }
        enter(0);"#,
    ));
    let messages = told.events.iter().filter(|event| matches!(event, Event::Message(_))).count();
    assert_eq!((messages, told.out.as_str()), (2, ""), "{told:?}");
}

#[test]
fn a_callback_without_end_is_interrupted_while_no_cell_runs() {
    let session = Session::start();
    let told = session.run(&cell(
        r#"let output = new_output();
        std::thread::spawn(move || {
            enter(output);
            println!("begins");
            let stopped = std::panic::catch_unwind(|| loop {
                rust_live::check();
                std::thread::sleep(std::time::Duration::from_millis(1));
            });
            let was_asked = stopped.is_err_and(|payload| rust_live::is_interrupt(&*payload));
            enter(0);
            println!("stopped: {was_asked}");
        });"#,
    ));
    assert!(told.is_done(), "{told:?}");
    if !told.out.contains("begins") {
        session.wait_for("begins");
    }
    let silent = session.events.recv_timeout(Duration::from_millis(200));
    assert!(matches!(silent, Err(RecvTimeoutError::Timeout) | Ok(Event::Output(_))), "{silent:?}");
    session.process.interrupt_callbacks();
    session.wait_for("stopped: true");
    // The next cell is another's business.
    let told = session.run("for _ in 0..10 { rust_live::check(); } println!(\"done\");");
    assert!(told.is_done() && told.out.contains("done"), "{told:?}");
}
