//! How far a download is: a bar on a terminal, a line each tenth elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// Progress of a download, on standard error.
pub(crate) struct Progress {
    name: String,
    size: u64,
    bar: ProgressBar,
    tenths: u64,
}

impl Progress {
    pub(crate) fn new(name: &str, size: u64) -> Self {
        let bar = ProgressBar::new(size);
        if let Ok(style) = ProgressStyle::with_template(
            "{msg} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} to go",
        ) {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        Progress { name: name.to_owned(), size, bar, tenths: 0 }
    }

    /// `bytes` are there.
    pub(crate) fn set(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
        let tenths = bytes * 10 / self.size.max(1);
        if self.bar.is_hidden() && tenths > self.tenths {
            eprintln!("{}: {} % of {} MB", self.name, tenths * 10, self.size / 1_000_000);
        }
        self.tenths = tenths;
    }

    /// A line that does not break the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{}: {line}", self.name));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
