//! Watching a training run in a notebook: bars, a loss plot that grows, and the stop button.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::history::History;
use super::observer::{Observer, StepReport};
use crate::notebook::{DisplayHandle, Listener, Place, Progress, display};
use crate::plot;

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
        }
    }

    /// Draws what came last. Whether there is a plot that shows it.
    pub fn end(mut self, history: &History) -> bool {
        self.epochs = None;
        if self.place != Place::Live {
            return false;
        }
        self.draw(history);
        self.plot.is_some()
    }

    fn draw(&mut self, history: &History) {
        let began = Instant::now();
        // A plot that cannot be drawn is told once, by the caller's own plot at the end.
        if let Ok(picture) = plot::loss_curve(history) {
            match &self.plot {
                Some(handle) => handle.update(&picture),
                None => self.plot = Some(display(&picture)),
            }
        }
        self.due = Instant::now() + PLOT.max(began.elapsed() * 20);
    }
}

impl Observer for Live {
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
            steps.message(format!("loss {loss:.3}, {:.0} images/s", report.images_per_second));
        }
        steps.set(report.step as u64);
        if self.listener.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
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
