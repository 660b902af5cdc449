//! Where training meets a reader: bars, a loss plot that grows, knobs, the stop button, and how it ended.

mod knobs;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use charts::Picture;
use notebook::number::counted;
use notebook::{DisplayHandle, Listener, Place, Progress, at_end_of_cell, display};

use self::knobs::Knobs;
use crate::Result;
use crate::figures::loss_curve;
use crate::train::{Callback, Control, Epochs, History, StepReport, Trainer};

/// Least time between two loss plots.
const PLOT: Duration = Duration::from_secs(1);

/// Shows progress and, in a notebook, the loss as it falls; stops when asked to.
///
/// In a notebook the stop button stops it, elsewhere Ctrl-C: training ends after the running step,
/// and the next `fit` goes on from there.
#[derive(Debug)]
pub struct Live {
    listener: Listener,
    place: Place,
    epochs: Option<(Progress, Progress)>,
    plot: Option<DisplayHandle>,
    /// When the next plot is due. A plot that takes long is drawn less often.
    due: Instant,
    /// What a stop is said to, so that the history has it.
    control: Option<Control>,
    knobs: Option<Knobs>,
    /// Words behind the bars.
    message: String,
    paused: bool,
}

impl Live {
    /// Begins to watch, and to listen to the stop button.
    #[expect(clippy::new_without_default, reason = "it changes how the process takes a signal")]
    pub fn new() -> Live {
        Live {
            listener: Listener::new(),
            place: Place::here(),
            epochs: None,
            plot: None,
            due: Instant::now() + PLOT,
            control: None,
            knobs: None,
            message: String::new(),
            paused: false,
        }
    }

    /// The same for a fit of this run, with knobs where a page can show them.
    fn turning(run: &Trainer) -> Live {
        let (live, control) = (Live::new(), run.control());
        let knobs = match live.place {
            Place::Live => Knobs::show(&control, run.history()),
            _ => None,
        };
        Live { control: Some(control), knobs, ..live }
    }

    /// Draws what came last. Whether there is a plot that shows it.
    pub fn end(mut self, history: &History) -> bool {
        self.epochs = None;
        if let Some(knobs) = self.knobs.take() {
            knobs.end(history);
        }
        if self.place != Place::Live {
            return false;
        }
        self.draw(history);
        self.plot.is_some()
    }

    fn draw(&mut self, history: &History) {
        let began = Instant::now();
        // A plot that cannot be drawn is told once, by the caller's own plot at the end.
        if let Ok(picture) = loss_curve(history) {
            match &self.plot {
                Some(handle) => handle.update(&picture),
                None => self.plot = Some(display(&picture)),
            }
        }
        self.due = Instant::now() + PLOT.max(began.elapsed() * 20);
    }

    /// Whether to go on, as far as the stop button says.
    fn listen(&self) -> ControlFlow<()> {
        match (self.listener.interrupted(), &self.control) {
            (false, _) => ControlFlow::Continue(()),
            (true, None) => ControlFlow::Break(()),
            (true, Some(control)) => {
                // It is heard before the next step.
                control.stop();
                ControlFlow::Continue(())
            }
        }
    }

    /// Writes behind the bars whether there is a pause, in which their clock stands, and lets the knobs
    /// say it.
    fn say_paused(&mut self, paused: bool) {
        if let Some(knobs) = &self.knobs {
            knobs.say_paused(paused);
        }
        if let Some((_, steps)) = &self.epochs {
            steps.message(if paused { "paused" } else { &self.message });
            match paused {
                true => steps.pause(),
                false => steps.resume(),
            }
        }
        self.paused = paused;
    }
}

impl Callback for Live {
    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        let (epochs, steps) = self.epochs.get_or_insert_with(|| {
            let epochs = Progress::new("epoch", u64::from(report.epochs));
            epochs.set(u64::from(report.epoch) - 1);
            let steps = epochs.nested("step", report.steps as u64);
            (epochs, steps)
        });
        if report.step == 1 {
            epochs.set(u64::from(report.epoch) - 1);
            *steps = epochs.nested("step", report.steps as u64);
        }
        if let Some(loss) = report.loss {
            self.message = format!("loss {loss:.3}, {:.0} images/s", report.images_per_second);
            steps.message(&self.message);
        }
        steps.set(report.step as u64);
        // The end of a pause is heard with the step after it: that one's time counts in no rate.
        if self.paused {
            self.say_paused(false);
        }
        self.listen()
    }

    fn paused(&mut self) -> ControlFlow<()> {
        if !self.paused {
            self.say_paused(true);
        }
        self.listen()
    }

    fn look(&mut self, history: &History) {
        if self.place == Place::Live && Instant::now() >= self.due {
            self.draw(history);
        }
    }

    fn epoch(&mut self, history: &History) {
        if let (Some((epochs, _)), Some(epoch)) = (&self.epochs, history.last()) {
            epochs.set(u64::from(epoch.epoch));
            epochs.print(&epoch.to_string());
        }
        if self.place == Place::Live {
            self.draw(history);
        }
    }
}

impl Trainer {
    /// Trains for this many epochs, with progress, a line for each, and in a notebook a loss plot
    /// that grows. A further call goes on from there; past the recipe's last epoch its learning rate
    /// schedule begins anew.
    ///
    /// A notebook's stop button, or Ctrl-C, ends the training after the running step; what was
    /// learned is kept. Where a notebook shows widgets, there are knobs above the bars: a factor of the
    /// learning rate, pause and stop, as [`Trainer::control`] has them. They are this fit's alone.
    /// `GOOGLENET_KNOBS=0` in the environment leaves them out, for runs that nobody watches.
    ///
    /// # Errors
    /// As [`Trainer::fit_with`].
    pub fn fit(&mut self, epochs: Epochs) -> Result<Fit> {
        let mut live = Live::turning(self);
        let mut fit = self.fit_with(epochs, &mut live)?;
        fit.shown = live.end(&fit.history);
        Ok(fit)
    }

    /// [`Trainer::fit`] with a callback, which sees every step and may stop the training. An
    /// epoch that was stopped is finished first by the next call, and counts as one of its epochs.
    ///
    /// # Errors
    /// A loss that is not a number any more; a device that fails, for want of memory for example.
    pub fn fit_with(&mut self, epochs: Epochs, callback: &mut dyn Callback) -> Result<Fit> {
        let stopped = self.run(epochs, callback)?;
        Ok(Fit { stopped, history: self.history().clone(), shown: false })
    }
}

/// How a call of [`Trainer::fit`] ended. A notebook shows its loss plot.
#[derive(Debug, Clone)]
pub struct Fit {
    /// Whether it was stopped before its last epoch was complete.
    pub stopped: bool,
    /// The run from its first step on.
    pub history: History,
    /// Whether its loss plot stands above already.
    shown: bool,
}

impl Fit {
    /// The loss plot.
    ///
    /// # Errors
    /// A plot that cannot be drawn.
    pub fn plot(&self) -> Result<Picture> {
        loss_curve(&self.history)
    }

    /// In a notebook, shows the loss plot; where it grew while the network trained, it stands there
    /// already, and this says in words how the training ended.
    pub fn evcxr_display(&self) {
        if self.shown {
            at_end_of_cell(&self.to_string());
            return;
        }
        match self.plot() {
            Ok(picture) => picture.evcxr_display(),
            Err(error) => println!("{error}"),
        }
    }
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let History { steps, epochs, steps_per_epoch, .. } = &self.history;
        let running = steps.len() - epochs.len() * steps_per_epoch;
        match (self.stopped, running) {
            (false, _) => write!(f, "{} done", counted(epochs.len(), "epoch")),
            (true, 0) => write!(f, "stopped after epoch {}: fit goes on from there", epochs.len()),
            (true, _) => write!(
                f,
                "stopped in epoch {}, after {running} of {steps_per_epoch} steps: fit goes on from \
                 there",
                epochs.len() + 1
            ),
        }
    }
}
