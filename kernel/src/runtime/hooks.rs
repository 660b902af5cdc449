//! What has to happen inside the standard library of the cells.
//!
//! The cells share a standard library of their own, loaded with the first of them. This file is
//! compiled by the reader's own rustc into a library that links to the same one, so that a panic
//! hook set here serves every cell, and text that `print!` holds back can be flushed. It is no part
//! of the kernel's own modules.

use std::io::Write as _;

type Report = extern "C" fn(*const u8, usize);

/// Sets the panic hook. A panic on this thread, which runs the cells, goes to `report` as file,
/// line, column and message, between zeros: whether it ends the cell is known only later. A panic
/// on another thread is told at once.
#[unsafe(no_mangle)]
pub extern "C" fn live_install(report: Report, backtrace: bool) {
    let cells = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or("a value that is no text");
        let (file, line, column) = panic
            .location()
            .map_or(("", 0, 0), |place| (place.file(), place.line(), place.column()));
        if std::thread::current().id() == cells {
            let text = format!("{file}\0{line}\0{column}\0{message}");
            report(text.as_ptr(), text.len());
        } else {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("without a name");
            eprintln!("thread '{name}' panicked at {file}:{line}:{column}:\n{message}");
        }
        if backtrace {
            eprintln!("{}", std::backtrace::Backtrace::force_capture());
        }
    }));
}

/// Writes what `print!` has held back for want of a newline.
#[unsafe(no_mangle)]
pub extern "C" fn live_flush() {
    let _ = std::io::stdout().flush();
}
