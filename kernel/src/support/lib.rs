//! What the cells of a session share: their variables, how their values are shown, and how they end.
//!
//! The reader's own rustc compiles this file once into a dynamic library, to which every cell links. The code
//! that stands around a cell calls what is here by `::rust_live::…`.

mod brief;
mod comms;
mod process;
mod show;
mod table;
mod variables;

use std::any::Any;
use std::collections::HashMap;
use std::fmt::{self, Debug, Display};
use std::future::Future;
use std::ops::Deref;
use std::pin::pin;
use std::process::{ExitCode, Termination};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

pub use brief::{Brief, BriefByDebug, BriefOfAny, tell as tell_values};
pub use process::{check, interrupted, run as caught};
pub use show::{ByDebug, Pretty, Show, show_as, show_png};
pub use variables::{
    Gone, Kept, Lease, Parts, Term, Unknown, asks, end, free, is_kept, keep, keep_borrowing,
    keep_parts, left_early, lend, lend_borrowing, lent, seen, settle, take, take_parts, type_of,
    uses,
};

/// The standard library's `dbg!`, which does not count what stands in a cell's first line before the reader's text.
/// `__RUST_LIVE_BEFORE` is the cell's.
#[macro_export]
macro_rules! dbg {
    () => {
        ::std::eprintln!("[{}]", $crate::place(file!(), line!(), column!(), __RUST_LIVE_BEFORE))
    };
    ($value:expr $(,)?) => {
        match $value {
            value => {
                ::std::eprintln!(
                    "[{}] {} = {:#?}",
                    $crate::place(file!(), line!(), column!(), __RUST_LIVE_BEFORE),
                    stringify!($value),
                    &&value as &dyn ::std::fmt::Debug,
                );
                value
            }
        }
    };
    ($($value:expr),+ $(,)?) => {
        ($($crate::dbg!($value)),+,)
    };
}

/// A place as `dbg!` names it.
pub fn place(file: &str, line: u32, column: u32, before: u32) -> String {
    let before = if line == 1 { before } else { 0 };
    format!("{file}:{line}:{}", column.saturating_sub(before))
}

/// How a cell ended, as its function returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended(u8);

/// What a cell's code returns.
pub trait Outcome {
    /// The error that ended it, in words.
    fn error(self) -> Option<String>;
}

impl Outcome for Result<(), Failure> {
    fn error(self) -> Option<String> {
        self.err().map(|failure| failure.0)
    }
}

impl Outcome for Result<(), FailureByDebug> {
    fn error(self) -> Option<String> {
        self.err().map(|failure| failure.0)
    }
}

/// Runs a cell's own code; whatever ends it, the cell goes on behind it.
pub fn catch<R: Outcome>(code: impl FnOnce() -> R) -> Ended {
    Ended(process::run(|| match code().error() {
        None => true,
        Some(error) => {
            show_as("application/vnd.rust-live.error", &error);
            false
        }
    }))
}

/// Runs a cell with the code that stands around it.
pub fn run(cell: fn() -> Ended) -> u8 {
    let mut ended = Ended(process::PANICKED);
    let around = process::run(|| {
        ended = cell();
        true
    });
    if around == process::DONE { ended.0 } else { around }
}

/// An error that ended a cell, in the words of its Display.
pub struct Failure(String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Failure {
        // Errors that know what lies behind them say it so.
        Failure(format!("{error:#}"))
    }
}

/// An error that ended a cell and has no Display.
pub struct FailureByDebug(String);

impl<E: Debug> From<E> for FailureByDebug {
    fn from(error: E) -> FailureByDebug {
        FailureByDebug(format!("{error:?}"))
    }
}

/// The type of what never returns, which has no name of its own yet: cells name it so.
pub type Never = <fn() -> ! as Returns>::Returned;

/// What a function returns.
pub trait Returns {
    /// Its type.
    type Returned;
}

impl<T> Returns for fn() -> T {
    type Returned = T;
}

/// What `main` and tests may return.
pub trait MainResult {
    /// Whether it went well; else in words what did not.
    fn ended(self) -> Result<(), String>;
}

impl MainResult for () {
    fn ended(self) -> Result<(), String> {
        Ok(())
    }
}

impl MainResult for ExitCode {
    fn ended(self) -> Result<(), String> {
        main_reported(self)
    }
}

impl<T: Termination, E: Debug> MainResult for Result<T, E> {
    fn ended(self) -> Result<(), String> {
        match self {
            Ok(value) => main_reported(value),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}

/// What `main` has returned.
///
/// # Errors
/// An error that it returned, or a code that is not 0.
pub fn main_ended(returned: impl MainResult) -> Result<(), String> {
    returned.ended()
}

/// What a `main` has returned whose type says itself how that is reported.
///
/// # Errors
/// A code that is not 0.
pub fn main_reported(returned: impl Termination) -> Result<(), String> {
    let code = format!("{:?}", returned.report());
    if code == format!("{:?}", ExitCode::SUCCESS) { Ok(()) } else { Err(code) }
}

/// A static of an earlier cell that is made at its first use.
pub struct Lazy<T: 'static>(pub fn() -> &'static T);

impl<T> Deref for Lazy<T> {
    type Target = T;

    fn deref(&self) -> &T {
        (self.0)()
    }
}

/// A test in a cell.
pub struct Test {
    /// Its path.
    pub name: &'static str,
    /// Runs it.
    pub run: fn() -> Result<(), String>,
    /// Whether it is left out.
    pub is_ignored: bool,
    /// Whether it has to panic, with a message that holds these words.
    pub panics: Option<&'static str>,
}

/// Runs tests one after the other and reports on each.
///
/// # Errors
/// How many failed.
pub fn run_tests(tests: &[Test]) -> Result<(), String> {
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    let mut report = String::new();
    for test in tests {
        if test.is_ignored {
            ignored += 1;
            report += &format!("test {} ... ignored\n", test.name);
            continue;
        }
        let result = std::panic::catch_unwind(test.run);
        let words = match (result, test.panics) {
            (Ok(Ok(())), None) => None,
            (Ok(Ok(())), Some(_)) => Some("it did not panic".to_owned()),
            (Ok(Err(error)), _) => Some(error),
            (Err(payload), _) if process::is_interrupt(&*payload) => {
                std::panic::resume_unwind(payload)
            }
            (Err(payload), expected) => {
                let text = text_of(&*payload);
                match expected {
                    Some(words) if text.contains(words) => None,
                    Some(words) => Some(format!("it panicked with {text:?}, expected {words:?}")),
                    None => Some(text),
                }
            }
        };
        match words {
            None => {
                passed += 1;
                report += &format!("test {} ... ok\n", test.name);
            }
            Some(words) => {
                failed += 1;
                report += &format!(
                    "test {} ... FAILED\n    {}\n",
                    test.name,
                    words.replace('\n', "\n    ")
                );
            }
        }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    print!(
        "{report}\ntest result: {result}. {passed} passed; {failed} failed; {ignored} ignored\n"
    );
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} tests failed", passed + failed)) }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned())
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        check();
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
}

/// A value that is made once in a session, by its name.
pub fn shared<T: Any + Send + Sync>(name: &'static str, make: impl FnOnce() -> T) -> &'static T {
    static SHARED: Mutex<Option<HashMap<&'static str, &'static (dyn Any + Send + Sync)>>> =
        Mutex::new(None);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = shared.get_or_insert_with(HashMap::new);
    if let Some(value) = shared.get(name).and_then(|value| value.downcast_ref()) {
        return value;
    }
    // It is there to the end of the process, as the threads are that it may have started.
    let value: &'static T = Box::leak(Box::new(make()));
    shared.insert(name, value);
    value
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
