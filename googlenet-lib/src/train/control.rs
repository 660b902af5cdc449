//! The knobs of a training run, for whoever turns them while it runs.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::{Error, Result};

/// Time between two questions to the callback in a pause: a signal cannot wake who waits.
const ASK: Duration = Duration::from_millis(50);

/// A fit runs.
const RUNNING: u8 = 1;
/// A pause was asked for.
const PAUSED: u8 = 2;
/// The end of the running fit was asked for.
const STOPPED: u8 = 4;

/// The knobs of a [`Trainer`](super::Trainer): learning rate, pause and stop. What is turned acts at
/// the next step, and stands in the [`History`](super::History) from then on.
///
/// Every clone turns the same knobs, from any thread.
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let data = Shapes10::generate(128, 64, 0)?;
/// let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
/// let mut run = Trainer::new(net, &data, Recipe::fast().with_epochs(2).with_batch(32))?;
/// let control: Control = run.control();
/// control.set_learning_rate_factor(0.5)?;
/// run.fit(Epochs(1))?;
/// assert_eq!(run.history().turns.len(), 1);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Control(Arc<Knobs>);

#[derive(Debug)]
struct Knobs {
    /// Bits of the factor.
    learning_rate_factor: AtomicU64,
    /// Read without the lock, since the loop reads it at every step; changed under it.
    flags: AtomicU8,
    changing: Mutex<()>,
    changed: Condvar,
}

impl Control {
    pub(super) fn new() -> Control {
        Control(Arc::new(Knobs {
            learning_rate_factor: AtomicU64::new(1f64.to_bits()),
            flags: AtomicU8::new(0),
            changing: Mutex::new(()),
            changed: Condvar::new(),
        }))
    }

    /// What the learning rate of the recipe's schedule is multiplied by.
    pub fn learning_rate_factor(&self) -> f64 {
        f64::from_bits(self.0.learning_rate_factor.load(Ordering::Relaxed))
    }

    /// Multiplies the learning rate of the recipe's schedule by this, from the next step on, in later
    /// fits too, until it is set again.
    ///
    /// # Errors
    /// A factor that is not finite or not over 0.
    pub fn set_learning_rate_factor(&self, factor: f64) -> Result<()> {
        check_factor(factor)?;
        self.0.learning_rate_factor.store(factor.to_bits(), Ordering::Relaxed);
        Ok(())
    }

    /// Halts the training before its next step, until [`Control::go_on`] or the end of the fit: it
    /// computes nothing meanwhile. Where no fit runs, the next one begins with it.
    pub fn pause(&self) {
        self.change(|flags| flags | PAUSED);
    }

    /// Ends a pause.
    pub fn go_on(&self) {
        self.change(|flags| flags & !PAUSED);
    }

    /// Whether a pause was asked for and not ended.
    pub fn is_paused(&self) -> bool {
        self.flags() & PAUSED != 0
    }

    /// Ends the running fit before its next step, and with it a pause. What was learned is kept, and
    /// the next fit goes on from there. Where no fit runs, it does nothing.
    pub fn stop(&self) {
        self.change(|flags| match flags & RUNNING {
            0 => flags,
            _ => (flags | STOPPED) & !PAUSED,
        });
    }

    /// Whether the running fit is asked to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.flags() & STOPPED != 0
    }

    /// A fit runs as long as what is returned lives. Pause and stop end with the fit that they were meant
    /// for.
    pub(super) fn begin(&self) -> Fitting {
        self.change(|flags| flags | RUNNING);
        Fitting(self.clone())
    }

    /// Waits until a pause ends, without computing. The callback is asked about every 50 ms whether to
    /// wait on.
    pub(super) fn wait(&self, mut ask: impl FnMut() -> ControlFlow<()>) -> ControlFlow<()> {
        while self.is_paused() {
            // Without the lock: the callback may turn a knob.
            if ask().is_break() {
                return ControlFlow::Break(());
            }
            let guard = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
            if self.is_paused() {
                let waited = self.0.changed.wait_timeout(guard, ASK);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        }
        ControlFlow::Continue(())
    }

    fn flags(&self) -> u8 {
        self.0.flags.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(u8) -> u8) {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.flags.store(change(self.flags()), Ordering::Relaxed);
        self.0.changed.notify_all();
    }
}

/// A fit that runs.
#[derive(Debug)]
pub(super) struct Fitting(Control);

impl Drop for Fitting {
    fn drop(&mut self) {
        self.0.change(|flags| flags & !(RUNNING | PAUSED | STOPPED));
    }
}

/// Whether a learning rate may be multiplied by this.
pub(super) fn check_factor(factor: f64) -> Result<()> {
    if factor.is_finite() && factor > 0.0 {
        return Ok(());
    }
    Err(Error::invalid("factor of the learning rate", factor, "give a number over 0"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn only_factors_over_0_are_taken() {
        let control = Control::new();
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = control.set_learning_rate_factor(factor).unwrap_err().to_string();
            assert!(error.starts_with("factor of the learning rate is "), "{error}");
        }
        assert_eq!(control.learning_rate_factor(), 1.0);
        control.clone().set_learning_rate_factor(0.25).unwrap();
        assert_eq!(control.learning_rate_factor(), 0.25);
    }

    #[test]
    fn a_stop_is_for_the_fit_that_runs() {
        let control = Control::new();
        control.stop();
        let fitting = control.begin();
        assert!(!control.is_stopped());
        control.pause();
        control.stop();
        assert!(control.is_stopped() && !control.is_paused());
        drop(fitting);
        let _fitting = control.begin();
        assert!(!control.is_stopped());
    }

    #[test]
    fn a_pause_waits_without_spinning_and_is_woken() {
        let control = Control::new();
        let _fitting = control.begin();
        for end in [Control::go_on, Control::stop] {
            control.pause();
            let other = control.clone();
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(220));
                end(&other);
            });
            let (began, mut asked) = (Instant::now(), 0);
            let flow = control.wait(|| {
                asked += 1;
                ControlFlow::Continue(())
            });
            thread.join().unwrap();
            assert!(flow.is_continue() && began.elapsed() > Duration::from_millis(200));
            assert!((1..=6).contains(&asked), "asked {asked} times");
        }
    }

    #[test]
    fn a_callback_may_end_a_pause_in_two_ways() {
        let control = Control::new();
        control.pause();
        let fitting = control.begin();
        assert!(control.wait(|| ControlFlow::Break(())).is_break());
        drop(fitting);
        assert!(!control.is_paused(), "the next fit would wait");
        control.pause();
        let flow = control.wait(|| {
            control.go_on();
            ControlFlow::Continue(())
        });
        assert!(flow.is_continue());
    }
}
