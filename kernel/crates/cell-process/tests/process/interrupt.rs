//! The stop button.

use std::time::Duration;

use cell_process::Outcome;
use cell_process::host::Event;

use crate::common::Session;

/// The time in which an interrupt has to be answered.
const SOON: Duration = Duration::from_secs(3);

/// Interrupts a cell, and holds that it ended so and that the session goes on.
fn ends(session: &Session, code: &str) -> String {
    let (told, took) = session.interrupt(code);
    assert_eq!(told.outcome, Some(Outcome::Interrupted), "{told:?}");
    assert!(took < SOON, "{took:?}");
    assert!(told.panics.is_empty(), "{told:?}");
    let next = session.run("assert!(!rust_live::interrupted()); rust_live::check();");
    assert!(next.is_done(), "{next:?}");
    told.out
}

#[test]
fn a_loop_that_polls_ends_and_drops_its_values() {
    let session = Session::start();
    let out = ends(
        &session,
        "struct Dropped; impl Drop for Dropped { fn drop(&mut self) {
             rust_live::check(); println!(\"dropped\"); } }
         ---
         let _value = Dropped; println!(\"ready\");
         loop { rust_live::check(); }",
    );
    assert_eq!(out, "ready\ndropped\n");
}

#[test]
fn sleeps_end() {
    let session = Session::start();
    ends(
        &session,
        "println!(\"ready\"); std::thread::sleep(std::time::Duration::from_secs(60));
         rust_live::check();",
    );
    ends(
        &session,
        "unsafe extern \"C\" { fn sleep(seconds: u32) -> u32; }
         println!(\"ready\"); unsafe { sleep(60) }; rust_live::check();",
    );
    // Sleeps are as long as ever where nobody interrupts them.
    let told = session.run(
        "let start = std::time::Instant::now();
         std::thread::sleep(std::time::Duration::from_millis(120));
         println!(\"{}\", start.elapsed().as_millis());",
    );
    let slept: u64 = told.out.trim().parse().unwrap();
    assert!((120..1000).contains(&slept), "{slept}");
}

#[test]
fn threads_of_the_cell_end_and_those_of_earlier_cells_go_on() {
    let session = Session::start();
    let told = session.run(
        "std::thread::spawn(|| for i in 0.. {
             std::thread::sleep(std::time::Duration::from_millis(20));
             rust_live::check();
             if i == 100 { println!(\"still there\"); }
         });",
    );
    assert!(told.is_done());
    // What they start while the interrupted cell runs is theirs, too.
    let told = session.run(
        "std::thread::spawn(|| loop {
             let next = std::thread::spawn(|| for _ in 0..20 {
                 std::thread::sleep(std::time::Duration::from_millis(5));
                 rust_live::check();
             });
             if next.join().is_err() { println!(\"a thread of an earlier cell ended\"); }
         });",
    );
    assert!(told.is_done());
    let out = ends(
        &session,
        "let worker = std::thread::spawn(|| loop {
             rust_live::check(); std::thread::sleep(std::time::Duration::from_secs(60)); });
         println!(\"ready\");
         let ended = worker.join().unwrap_err();
         assert!(rust_live::is_interrupt(&*ended));
         rust_live::check();",
    );
    assert!(!out.contains("earlier cell ended"), "{out}");
    session.wait_for("still there");
}

#[test]
fn waiting_for_a_program_ends() {
    let session = Session::start();
    ends(
        &session,
        "println!(\"ready\"); std::process::Command::new(\"sleep\").arg(\"60\").status().unwrap();
         rust_live::check();",
    );
}

/// Another thread that takes it may wait for its turn while the cell goes on and ends.
#[test]
fn the_signal_is_left_to_the_thread_that_runs_cells() {
    let session = Session::start();
    let told = session.run(
        "let is_blocked = |status: String| {
             let line = status.lines().find_map(|line| line.strip_prefix(\"SigBlk:\")).unwrap();
             u64::from_str_radix(line.trim(), 16).unwrap() >> 1 & 1 == 1
         };
         let of = |path: &str| is_blocked(std::fs::read_to_string(path).unwrap());
         let program = std::process::Command::new(\"cat\").arg(\"/proc/self/status\").output().unwrap();
         println!(
             \"{} {} {}\",
             of(\"/proc/self/status\"),
             of(\"/proc/thread-self/status\"),
             is_blocked(String::from_utf8(program.stdout).unwrap()),
         );",
    );
    assert_eq!(told.out, "true false false\n", "{told:?}");
}

/// The stop button may be pressed in the moment before.
#[test]
fn a_program_that_starts_after_the_interrupt_ends() {
    let session = Session::start();
    // The second has the standard library call `fork`.
    for before in ["", "unsafe { command.pre_exec(|| Ok(())) };"] {
        for wait in ["status", "output"] {
            ends(
                &session,
                &format!(
                    "use std::os::unix::process::CommandExt as _;
                     let mut command = std::process::Command::new(\"sleep\"); {before}
                     println!(\"ready\"); while !rust_live::interrupted() {{}}
                     command.arg(\"60\").{wait}().unwrap(); rust_live::check();"
                ),
            );
        }
    }
}

#[test]
fn endless_output_ends_and_the_kernel_gathers_none_of_it() {
    let session = Session::start();
    let mut pressed = None;
    let told = session.run_with("loop { println!(\"{:0100}\", 7); rust_live::check(); }", {
        let mut lines = 0;
        let pressed = &mut pressed;
        move |process, event| {
            if let Event::Stdout(bytes) = event {
                lines += bytes.len();
                if lines > 5_000_000 && pressed.is_none() {
                    *pressed = Some(std::time::Instant::now());
                    process.interrupt();
                }
            }
        }
    });
    assert_eq!(told.outcome, Some(Outcome::Interrupted));
    assert!(pressed.unwrap().elapsed() < SOON);
}

#[test]
fn a_cell_that_is_not_read_waits() {
    let (process, mut events) = crate::common::start(&[]).unwrap();
    let (library, symbol) = crate::common::compile(
        "let mut n = 0_u64; loop { println!(\"{n:0100}\"); n += 1; rust_live::check(); }",
    );
    process.run(&library, &symbol).unwrap();
    // Nobody asks for events: neither end gathers what is written.
    std::thread::sleep(Duration::from_millis(500));
    process.interrupt();
    let bytes: usize = events
        .by_ref()
        .take_while(|event| !matches!(event, Event::End(_) | Event::Ended(_)))
        .map(|event| if let Event::Stdout(bytes) = event { bytes.len() } else { 0 })
        .sum();
    assert!((1..8_000_000).contains(&bytes), "{bytes}");
}

#[test]
fn a_handler_of_a_library_s_own_works_to_the_end_of_its_cell() {
    let session = Session::start();
    let code =
        "static HEARD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
         extern \"C\" fn note(_: i32) { HEARD.store(true, std::sync::atomic::Ordering::SeqCst); }
         unsafe extern \"C\" { fn signal(n: i32, f: extern \"C\" fn(i32)) -> usize; }
         ---
         unsafe { signal(2, note) }; println!(\"ready\");
         while !HEARD.load(std::sync::atomic::Ordering::SeqCst) {
             std::thread::sleep(std::time::Duration::from_millis(5));
         }
         println!(\"heard {}\", rust_live::interrupted());";
    let (told, took) = session.interrupt(code);
    assert!(told.is_done() && took < SOON, "{told:?}");
    assert_eq!(told.out, "ready\nheard false\n");
    ends(&session, "println!(\"ready\"); loop { rust_live::check(); }");
}

#[test]
fn an_interrupt_between_cells_has_no_effect() {
    let session = Session::start();
    assert!(session.run("").is_done());
    session.process.interrupt();
    std::thread::sleep(Duration::from_millis(50));
    assert!(session.run("rust_live::check();").is_done());
}

#[test]
fn a_cell_that_does_not_listen_is_killed_with_its_programs() {
    let session = Session::start();
    let told = session.run_with(
        "let child = std::process::Command::new(\"sleep\").arg(\"300\").spawn().unwrap();
         println!(\"child {} ready\", child.id()); loop {}",
        |process, event| {
            if matches!(event, Event::Stdout(text) if text.ends_with(b"ready\n")) {
                process.kill();
            }
        },
    );
    assert!(told.end().contains("SIGKILL"), "{told:?}");
    let child: i32 = told.out.split(' ').nth(1).unwrap().parse().unwrap();
    for _ in 0..100 {
        // Ended, or waiting for a parent that reaps it.
        let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the program goes on");
}
