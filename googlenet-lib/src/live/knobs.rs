//! The knobs of a fit on a page: widgets that are bound to a [`Control`].

use std::sync::{Arc, Mutex, PoisonError};

use notebook::{Button, DisplayHandle, LogSlider, Row, display, widgets};

use crate::train::{Control, History, Turn};

/// In the environment, 0 for no knobs.
const KNOBS: &str = "GOOGLENET_KNOBS";

/// The control, for the closures of the widgets. It is taken away at the end of the fit: a click that
/// comes late, or on a row that still stands on some page, does nothing to a later fit.
#[derive(Debug, Clone)]
struct Held(Arc<Mutex<Option<Control>>>);

impl Held {
    fn new(control: &Control) -> Held {
        Held(Arc::new(Mutex::new(Some(control.clone()))))
    }

    /// Does this with the control as long as the fit runs.
    fn act(&self, act: impl FnOnce(&Control)) {
        if let Some(control) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            act(control);
        }
    }

    /// Takes the control away. Whether it was there.
    fn release(&self) -> bool {
        let control = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(control) = &control {
            // A click on pause that came after the last step.
            control.go_on();
        }
        control.is_some()
    }
}

/// A row of knobs, as long as its fit runs. Then words stand in its place.
#[derive(Debug)]
pub(super) struct Knobs {
    held: Held,
    pause: Button,
    go_on: Button,
    shown: DisplayHandle,
    /// Number of turns in the history when the fit began.
    turns: usize,
}

impl Knobs {
    /// Shows them for the fit of a run that is about to begin. `None` where they are not wanted, and
    /// where there are no widgets: nothing is shown then.
    pub(super) fn show(control: &Control, history: &History) -> Option<Knobs> {
        let is_wanted = std::env::var_os(KNOBS).is_none_or(|value| value != "0");
        if !is_wanted || !widgets::are_here() {
            return None;
        }
        let held = Held::new(control);
        // While it is moved, each step would have another learning rate, and the history all of them.
        let factor = LogSlider::new("learning rate x", 0.1..=10.0)
            .ok()?
            .value(control.learning_rate_factor())
            .continuous(false);
        let (pause, go_on) = (Button::new("pause"), Button::new("go on"));
        let stop = Button::new("stop");
        let on = held.clone();
        factor.on_change(move |factor| {
            on.act(|control| {
                if let Err(error) = control.set_learning_rate_factor(factor) {
                    println!("{error}");
                }
            });
        });
        for (button, act) in [
            (&pause, Control::pause as fn(&Control)),
            (&go_on, Control::go_on),
            (&stop, Control::stop),
        ] {
            let on = held.clone();
            button.on_click(move || on.act(act));
        }
        go_on.enable(false);
        let shown = display(&Row::new((&factor, &pause, &go_on, &stop)));
        Some(Knobs { held, pause, go_on, shown, turns: history.turns.len() })
    }

    /// Lets the buttons that can be pressed say whether there is a pause.
    pub(super) fn say_paused(&self, paused: bool) {
        self.pause.enable(!paused);
        self.go_on.enable(paused);
    }

    /// Says in their place what was turned.
    pub(super) fn end(self, history: &History) {
        let turns = history.turns.get(self.turns..).unwrap_or_default();
        self.replace(&told(turns));
    }

    fn replace(&self, words: &str) {
        if self.held.release() {
            self.shown.update(words);
        }
    }
}

impl Drop for Knobs {
    /// Where [`Knobs::end`] has not come before it, an error did.
    fn drop(&mut self) {
        self.replace("ended by an error");
    }
}

/// What stands in the knobs' place after a fit in which these were turned: a saved notebook has no
/// widgets, and nothing else that would say there were some.
fn told(turns: &[Turn]) -> String {
    if turns.is_empty() {
        return "While it trained, knobs for the learning rate, pause and stop stood here; none was \
                turned."
            .to_owned();
    }
    let turns: Vec<String> = turns.iter().map(ToString::to_string).collect();
    format!("While it trained: {}", turns.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GoogLeNet;
    use crate::spec;
    use crate::train::{Recipe, Trainer, TurnKind};

    fn run() -> Trainer {
        let data = vision_data::Shapes10::generate(4, 2, 0).unwrap();
        let net = GoogLeNet::new(&spec::COMPACT, tch::Device::Cpu).unwrap();
        Trainer::new(net, data, Recipe::fast().with_batch(2)).unwrap()
    }

    #[test]
    fn without_widgets_nothing_is_shown() {
        let run = run();
        assert!(Knobs::show(&run.control(), run.history()).is_none());
    }

    #[test]
    fn what_was_turned_is_told_in_words() {
        let factor = Turn { step: 40, kind: TurnKind::LearningRate { factor: 0.5 } };
        let paused = Turn { step: 60, kind: TurnKind::Paused { seconds: 12.0 } };
        let words = "While it trained: lr x0.5 after step 40; paused 12 s after step 60";
        assert_eq!(told(&[factor, paused]), words);
        assert!(told(&[]).ends_with("stop stood here; none was turned."), "{}", told(&[]));
    }

    #[test]
    fn a_row_of_a_fit_that_has_ended_turns_nothing() {
        let run = run();
        let control = run.control();
        let held = Held::new(&control);
        let late = held.clone();
        late.act(Control::pause);
        assert!(control.is_paused());
        assert!(held.release() && !held.release());
        assert!(!control.is_paused());
        late.act(Control::pause);
        assert!(!control.is_paused());
    }
}
