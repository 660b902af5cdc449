//! Progress bars, one within the other.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::display::{DisplayHandle, Html, PAGE_WIDTH, Place, display, escape};

/// Time between two pictures of the same bars.
const REDRAW: Duration = Duration::from_millis(50);
/// Time between two lines where there are no bars.
const LINE: Duration = Duration::from_secs(10);

/// A progress bar with rate and time left. It goes away when it is dropped, bars within it before.
#[derive(Debug)]
pub struct Progress {
    bars: Rc<RefCell<Bars>>,
    bar: Rc<RefCell<Bar>>,
}

#[derive(Debug)]
struct Bar {
    name: String,
    done: u64,
    total: u64,
    message: String,
    began: Instant,
    terminal: Option<ProgressBar>,
}

/// The bars that are shown together.
#[derive(Debug)]
struct Bars {
    place: Place,
    bars: Vec<Weak<RefCell<Bar>>>,
    shown: Instant,
    display: Option<DisplayHandle>,
    terminal: MultiProgress,
}

impl Progress {
    /// A bar of `total` things.
    pub fn new(name: &str, total: u64) -> Progress {
        Progress::at(Place::here(), name, total)
    }

    fn at(place: Place, name: &str, total: u64) -> Progress {
        let bars = Rc::new(RefCell::new(Bars {
            place,
            bars: Vec::new(),
            shown: Instant::now(),
            display: None,
            terminal: MultiProgress::new(),
        }));
        Progress::within(&bars, name, total)
    }

    /// A bar below this one.
    pub fn nested(&self, name: &str, total: u64) -> Progress {
        Progress::within(&self.bars, name, total)
    }

    fn within(bars: &Rc<RefCell<Bars>>, name: &str, total: u64) -> Progress {
        let mut all = bars.borrow_mut();
        let terminal = (all.place == Place::Terminal).then(|| {
            let bar = all.terminal.add(ProgressBar::new(total));
            if let Ok(style) = ProgressStyle::with_template(
                "{prefix:10} {wide_bar} {pos}/{len} {per_sec} {eta} {msg}",
            ) {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar
        });
        let bar = Rc::new(RefCell::new(Bar {
            name: name.to_owned(),
            done: 0,
            total,
            message: String::new(),
            began: Instant::now(),
            terminal,
        }));
        all.bars.push(Rc::downgrade(&bar));
        drop(all);
        let progress = Progress { bars: Rc::clone(bars), bar };
        progress.show(false);
        progress
    }

    /// `done` things are done.
    pub fn set(&self, done: u64) {
        let last = {
            let mut bar = self.bar.borrow_mut();
            bar.done = done;
            if let Some(terminal) = &bar.terminal {
                terminal.set_position(done);
            }
            done >= bar.total
        };
        self.show(last);
    }

    /// So many more are done.
    pub fn add(&self, more: u64) {
        let done = self.bar.borrow().done + more;
        self.set(done);
    }

    /// Words behind the bar; shown with the next step.
    pub fn message(&self, message: impl Into<String>) {
        let mut bar = self.bar.borrow_mut();
        bar.message = message.into();
        if let Some(terminal) = &bar.terminal {
            terminal.set_message(bar.message.clone());
        }
    }

    /// Prints a line that does not break the bars.
    pub fn print(&self, line: &str) {
        let bars = self.bars.borrow();
        bars.terminal.suspend(|| println!("{line}"));
    }

    fn show(&self, now: bool) {
        let mut bars = self.bars.borrow_mut();
        let pause = if bars.place == Place::Plain { LINE } else { REDRAW };
        let first = bars.place.is_notebook() && bars.display.is_none();
        if !first && bars.shown.elapsed() < pause && !(now && bars.place.is_notebook()) {
            return;
        }
        bars.shown = Instant::now();
        let alive: Vec<_> = bars.bars.iter().filter_map(Weak::upgrade).collect();
        match bars.place {
            Place::Terminal => {}
            Place::Plain => {
                let lines: Vec<String> = alive.iter().map(|bar| bar.borrow().line()).collect();
                eprintln!("{}", lines.join("  "));
            }
            Place::Live | Place::EndOfCell => {
                let rows: String = alive.iter().map(|bar| bar.borrow().row()).collect();
                let style = format!("width:100%;max-width:{PAGE_WIDTH}px");
                let table = Html(format!("<table style=\"{style}\">{rows}</table>"));
                match &bars.display {
                    Some(display) => display.update(&table),
                    None => bars.display = Some(display(&table)),
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let mut bars = self.bars.borrow_mut();
        let this = Rc::downgrade(&self.bar);
        if bars.bars.len() > 1 {
            bars.bars.retain(|bar| !bar.ptr_eq(&this));
        }
        if let Some(terminal) = &self.bar.borrow().terminal {
            terminal.finish_and_clear();
        }
    }
}

impl Bar {
    /// Things a second, and the seconds that are left; nothing before the first is done.
    fn rate(&self) -> Option<(f64, f64)> {
        let seconds = self.began.elapsed().as_secs_f64();
        if self.done == 0 || seconds <= 0.0 {
            return None;
        }
        let rate = self.done as f64 / seconds;
        Some((rate, self.total.saturating_sub(self.done) as f64 / rate))
    }

    fn line(&self) -> String {
        let mut line = format!("{} {}/{}", self.name, self.done, self.total);
        if let Some((rate, left)) = self.rate() {
            let _ = write!(line, ", {rate:.1}/s, {} left", clock(left));
        }
        if !self.message.is_empty() {
            let _ = write!(line, ", {}", self.message);
        }
        line
    }

    fn row(&self) -> String {
        let words = escape(&self.line());
        let share = 100.0 * self.done.min(self.total) as f64 / self.total.max(1) as f64;
        format!(
            "<tr><td style=\"width:40%\"><div style=\"background:#8884;border-radius:3px\"><div \
             style=\"width:{share:.1}%;height:0.8em;background:#2a78d6;border-radius:3px\"></div>\
             </div></td><td style=\"text-align:left;white-space:nowrap\">{words}</td></tr>"
        )
    }
}

fn clock(seconds: f64) -> String {
    let seconds = seconds.min(360_000.0) as u64;
    if seconds < 60 {
        format!("{seconds} s")
    } else if seconds < 3600 {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    } else {
        format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(done: u64, total: u64, seconds: f64) -> Bar {
        Bar {
            name: "step".into(),
            done,
            total,
            message: "loss <1".into(),
            began: Instant::now() - Duration::from_secs_f64(seconds),
            terminal: None,
        }
    }

    #[test]
    fn a_bar_tells_its_rate_and_the_time_left() {
        let bar = bar(25, 100, 10.0);
        let (rate, left) = bar.rate().unwrap();
        assert!((rate - 2.5).abs() < 0.1 && (left - 30.0).abs() < 1.0);
        assert!(bar.line().starts_with("step 25/100, 2.5/s, "), "{}", bar.line());
        assert!(bar.row().contains("width:25.0%"));
        assert!(bar.row().contains("loss &lt;1"));
    }

    #[test]
    fn nothing_done_has_no_rate_and_too_much_is_no_wider_than_the_bar() {
        assert_eq!(bar(0, 100, 10.0).rate(), None);
        assert!(bar(150, 100, 10.0).row().contains("width:100.0%"));
        assert!(bar(0, 0, 10.0).row().contains("width:0.0%"));
    }

    #[test]
    fn times_are_read_as_on_a_clock() {
        assert_eq!([0.0, 59.9, 61.0, 3661.0].map(clock), ["0 s", "59 s", "1:01", "1:01:01"]);
    }

    #[test]
    fn a_nested_bar_goes_and_the_outer_one_stays() {
        let outer = Progress::at(Place::Plain, "epoch", 2);
        {
            let inner = outer.nested("step", 10);
            inner.set(10);
            assert_eq!(outer.bars.borrow().bars.len(), 2);
        }
        assert_eq!(outer.bars.borrow().bars.len(), 1);
        outer.add(1);
        outer.add(1);
        assert_eq!(outer.bar.borrow().done, 2);
    }
}
