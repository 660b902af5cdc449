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
///
/// ```
/// let steps = notebook::Progress::new("step", 100);
/// steps.set(40);
/// steps.message("waiting for a disk");
/// steps.pause();
/// // What takes time here counts neither in the rate nor in the time left.
/// steps.resume();
/// steps.set(41);
/// ```
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
    /// When it began, by the clock of the bars.
    began: Duration,
    terminal: Option<ProgressBar>,
}

/// A clock that can be halted.
#[derive(Debug)]
struct Clock {
    began: Instant,
    /// How long it was halted.
    halted: Duration,
    /// Since when it is.
    since: Option<Instant>,
}

/// The bars that are shown together.
#[derive(Debug)]
struct Bars {
    clock: Clock,
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
            clock: Clock::new(),
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
            if let Ok(style) =
                ProgressStyle::with_template("{prefix:10} {wide_bar} {pos}/{len}{msg}")
            {
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
            began: all.clock.now(),
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
        let now = self.bars.borrow().clock.now();
        let last = {
            let mut bar = self.bar.borrow_mut();
            bar.done = done;
            if let Some(terminal) = &bar.terminal {
                terminal.set_position(done);
                // The terminal's own rate and time left know of no pause.
                terminal.set_message(bar.words(now));
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
        let now = self.bars.borrow().clock.now();
        let mut bar = self.bar.borrow_mut();
        bar.message = message.into();
        if let Some(terminal) = &bar.terminal {
            terminal.set_message(bar.words(now));
        }
    }

    /// Halts the clock of this bar and of all that are shown with it, until [`Progress::resume`]: the
    /// time between counts neither in a rate nor in the time that is left.
    pub fn pause(&self) {
        self.bars.borrow_mut().clock.halt();
        self.show(true);
    }

    /// Lets the clock go on. Without a [`Progress::pause`] before it, nothing happens.
    pub fn resume(&self) {
        self.bars.borrow_mut().clock.go_on();
        self.show(true);
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
        let clock = bars.clock.now();
        let alive: Vec<_> = bars.bars.iter().filter_map(Weak::upgrade).collect();
        match bars.place {
            Place::Terminal => {}
            Place::Plain => {
                let lines: Vec<String> = alive.iter().map(|bar| bar.borrow().line(clock)).collect();
                eprintln!("{}", lines.join("  "));
            }
            Place::Live | Place::EndOfCell => {
                let rows: String = alive.iter().map(|bar| bar.borrow().row(clock)).collect();
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

impl Clock {
    fn new() -> Clock {
        Clock { began: Instant::now(), halted: Duration::ZERO, since: None }
    }

    /// What it shows: for how long it ran.
    fn now(&self) -> Duration {
        let end = self.since.unwrap_or_else(Instant::now);
        end.saturating_duration_since(self.began).saturating_sub(self.halted)
    }

    fn halt(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    fn go_on(&mut self) {
        if let Some(since) = self.since.take() {
            self.halted += since.elapsed();
        }
    }
}

impl Bar {
    /// Things a second, and the seconds that are left; nothing before the first is done. `now` is what
    /// the clock shows.
    fn rate(&self, now: Duration) -> Option<(f64, f64)> {
        let seconds = now.saturating_sub(self.began).as_secs_f64();
        if self.done == 0 || seconds <= 0.0 {
            return None;
        }
        let rate = self.done as f64 / seconds;
        Some((rate, self.total.saturating_sub(self.done) as f64 / rate))
    }

    /// Rate, time left and message, each after a comma.
    fn words(&self, now: Duration) -> String {
        let mut words = String::new();
        if let Some((rate, left)) = self.rate(now) {
            let _ = write!(words, ", {rate:.1}/s, {} left", clock(left));
        }
        if !self.message.is_empty() {
            let _ = write!(words, ", {}", self.message);
        }
        words
    }

    fn line(&self, now: Duration) -> String {
        format!("{} {}/{}{}", self.name, self.done, self.total, self.words(now))
    }

    fn row(&self, now: Duration) -> String {
        let words = escape(&self.line(now));
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

    /// What the clock shows to bars that began when it showed 5 s.
    fn after(seconds: u64) -> Duration {
        Duration::from_secs(5 + seconds)
    }

    fn bar(done: u64, total: u64) -> Bar {
        Bar {
            name: "step".into(),
            done,
            total,
            message: "loss <1".into(),
            began: after(0),
            terminal: None,
        }
    }

    #[test]
    fn a_bar_tells_its_rate_and_the_time_left() {
        let bar = bar(25, 100);
        assert_eq!(bar.rate(after(10)), Some((2.5, 30.0)));
        assert_eq!(bar.line(after(10)), "step 25/100, 2.5/s, 30 s left, loss <1");
        assert!(bar.row(after(10)).contains("width:25.0%"));
        assert!(bar.row(after(10)).contains("loss &lt;1"));
    }

    #[test]
    fn nothing_done_has_no_rate_and_too_much_is_no_wider_than_the_bar() {
        assert_eq!(bar(0, 100).rate(after(10)), None);
        assert_eq!(bar(25, 100).rate(after(0)), None);
        assert!(bar(150, 100).row(after(10)).contains("width:100.0%"));
        assert!(bar(0, 0).row(after(10)).contains("width:0.0%"));
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

    #[test]
    fn a_clock_that_is_halted_stands() {
        let ago = |seconds| Instant::now() - Duration::from_secs(seconds);
        let mut clock = Clock { began: ago(100), halted: Duration::from_secs(20), since: None };
        assert_eq!(clock.now().as_secs(), 80);
        clock.since = Some(ago(30));
        assert_eq!(clock.now(), clock.now());
        assert_eq!(clock.now().as_secs(), 50);
        clock.halt();
        assert_eq!(clock.now().as_secs(), 50, "a second pause began anew");
        clock.go_on();
        clock.go_on();
        assert_eq!(clock.now().as_secs(), 50);
    }

    #[test]
    fn a_pause_counts_in_no_rate_and_no_time_left() {
        const PAUSE: Duration = Duration::from_millis(300);
        for place in [Place::Plain, Place::Terminal] {
            let epochs = Progress::at(place, "epoch", 2);
            let steps = epochs.nested("step", 10);
            steps.set(5);
            // The outer bar's too, and that of one that begins in the pause.
            steps.pause();
            std::thread::sleep(PAUSE);
            let late = epochs.nested("test", 10);
            steps.resume();
            late.set(1);
            let bars = steps.bars.borrow();
            assert!(bars.clock.began.elapsed() >= PAUSE && bars.clock.halted >= PAUSE);
            let now = bars.clock.now();
            assert!(now <= bars.clock.began.elapsed() - PAUSE);
            let seconds = |bar: &Progress| (now - bar.bar.borrow().began).as_secs_f64();
            let (rate, left) = steps.bar.borrow().rate(now).unwrap();
            assert!((rate - 5.0 / seconds(&steps)).abs() <= 1e-9 * rate);
            assert!((left - seconds(&steps)).abs() < 1e-9);
        }
    }
}
