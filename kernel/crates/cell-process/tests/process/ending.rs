//! How the process ends.

use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cell_process::host::Event;

use crate::common::{Session, start};

#[test]
fn deep_recursion_works() {
    let told = Session::start().run(
        "#[inline(never)] fn sum(n: u64) -> u64 { if n == 0 { 0 } else { n + sum(n - 1) } }
         ---
         println!(\"{}\", sum(std::hint::black_box(100_000)));",
    );
    assert_eq!(told.out, "5000050000\n");
}

const ENDLESS: &str = "#[inline(never)] fn endless(n: u64) -> u64 { \
     std::hint::black_box([n; 8]); n + endless(std::hint::black_box(n + 1)) }\n---\n";

#[test]
fn a_stack_overflow_is_told() {
    let told = Session::start().run(&format!("{ENDLESS} println!(\"begun\"); endless(0);"));
    assert!(told.err.contains("stack overflow in thread 'main'"), "{told:?}");
    assert_eq!((told.out.as_str(), told.ended.unwrap().signal), ("begun\n", Some(6)));
    let named = "std::thread::Builder::new().name(\"worker\".into()).spawn(|| endless(0))
         .unwrap().join();";
    let told = Session::start().run(&format!("{ENDLESS} {named}"));
    assert!(told.err.contains("stack overflow in thread 'worker'"), "{told:?}");
    let told =
        Session::start().run(&format!("{ENDLESS} std::thread::spawn(|| endless(0)).join();"));
    assert!(told.err.contains("stack overflow in thread 'without a name'"), "{told:?}");
}

#[test]
fn a_wrong_access_is_no_stack_overflow() {
    let told = Session::start().run("unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };");
    assert!(told.end().contains("SIGSEGV"), "{told:?}");
    assert!(!told.err.contains("stack overflow"));
}

#[test]
fn a_thread_that_exits_by_c_leaves_the_process_alone() {
    let told = Session::start().run(
        "unsafe extern \"C\" { fn pthread_exit(value: *mut u8) -> !;
             fn pthread_create(t: *mut usize, a: *const u8, f: extern \"C-unwind\" fn(*mut u8) -> *mut u8,
                 arg: *mut u8) -> i32;
             fn pthread_join(t: usize, value: *mut usize) -> i32; }
         extern \"C-unwind\" fn run(_: *mut u8) -> *mut u8 { unsafe { pthread_exit(7 as *mut u8) } }
         ---
         let (mut t, mut value) = (0, 0);
         unsafe { assert_eq!(pthread_create(&mut t, std::ptr::null(), run, std::ptr::null_mut()), 0);
             pthread_join(t, &mut value); }
         println!(\"{value}\");",
    );
    assert_eq!(told.out, "7\n");
}

#[test]
fn an_exit_is_told_and_loses_nothing() {
    let told = Session::start().run(
        "unsafe extern \"C\" { fn atexit(f: extern \"C\" fn()) -> i32; fn printf(f: *const i8, ...) -> i32; }
         extern \"C\" fn last() { unsafe { printf(c\"last words of C\".as_ptr().cast()) }; print!(\"of Rust\\n\") }
         ---
         unsafe { atexit(last) }; print!(\"no newline, \"); std::process::exit(3);",
    );
    assert_eq!(told.ended.as_ref().unwrap().code, Some(3));
    assert_eq!(told.end(), "exited with code 3");
    for text in ["no newline, ", "of Rust\n", "last words of C"] {
        assert!(told.out.contains(text), "{text}: {told:?}");
    }
}

#[test]
fn an_abort_is_told_and_loses_no_line() {
    let told = Session::start()
        .run("println!(\"EVCXR_BEGIN_CONTENT text/plain\\nhalf\"); std::process::abort();");
    assert_eq!(told.end(), "was ended by SIGABRT: it has aborted");
    assert_eq!(told.out, "EVCXR_BEGIN_CONTENT text/plain\nhalf\n");
}

/// Whether a process runs: it is there, and does not only wait for its parent to hear of its end.
fn runs(process: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

fn wait_for_the_end_of(process: &str) {
    let start = Instant::now();
    while runs(process) {
        assert!(start.elapsed() < Duration::from_secs(10), "{process} goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_session_that_is_dropped_ends_with_its_programs() {
    let session = Session::start();
    let told = session.run(
        "let child = std::process::Command::new(\"sleep\").arg(\"300\").spawn().unwrap();
         println!(\"{}\", child.id());",
    );
    let child = told.out.trim();
    assert!(runs(child));
    let Session { process, events } = session;
    process.kill();
    let last = events.iter().last();
    assert!(matches!(last, Some(Event::Ended(_))), "{last:?}");
    wait_for_the_end_of(child);

    let (process, events) = start(&[]).unwrap();
    let id = process.id().to_string();
    assert!(runs(&id));
    drop((process, events));
    assert!(!runs(&id));
}

#[test]
fn a_process_whose_kernel_has_gone_ends() {
    // A kernel by hand: its end of the socket is closed, and nothing else happens.
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let program = env!("CARGO_BIN_EXE_cells");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("exec 5<&0 6<&0; exec '{program}'"))
        .env("RUST_LIVE_SOCKET", &socket)
        .env("RUST_LIVE_SUPPORT", crate::common::support())
        .env("RUST_LIVE_PIPES", "5,6")
        .env("LD_LIBRARY_PATH", crate::common::libraries())
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut hello = [0; 9];
    stream.read_exact(&mut hello).unwrap();
    assert_eq!(hello[..5], *b"h\x04\0\0\0");
    assert_eq!(child.try_wait().unwrap(), None);
    drop(stream);
    assert!(!child.wait().unwrap().success());
}
