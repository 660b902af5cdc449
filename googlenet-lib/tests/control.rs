//! Knobs that are turned while a network trains: they act at the next step, are remembered, and a run in
//! which they were turned can be done again.

mod common;

use std::ops::ControlFlow;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use googlenet_lib::prelude::*;
use googlenet_lib::train::{Turn, TurnKind};

/// libtorch has one random generator for all threads: tests that draw from it take turns.
fn alone() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Three steps an epoch, with dropout.
fn start() -> Trainer {
    manual_seed(1);
    let net = GoogLeNet::new(&common::small(), Device::Cpu).unwrap();
    let recipe = Recipe::steady().with_epochs(4).with_batch(32).with_precision(Precision::Float32);
    Trainer::new(net, Shapes10::generate(96, 32, 5).unwrap(), recipe).unwrap()
}

/// Turns a knob after a step of all that it sees, or in the middle of a pause.
struct After<F: FnMut(usize) -> ControlFlow<()>, P: FnMut() -> ControlFlow<()>> {
    step: F,
    paused: P,
    steps: usize,
}

impl<F: FnMut(usize) -> ControlFlow<()>, P: FnMut() -> ControlFlow<()>> Callback for After<F, P> {
    fn step(&mut self, _report: &StepReport) -> ControlFlow<()> {
        self.steps += 1;
        (self.step)(self.steps)
    }

    fn paused(&mut self) -> ControlFlow<()> {
        (self.paused)()
    }
}

fn after<F: FnMut(usize) -> ControlFlow<()>>(step: F) -> impl Callback {
    After { step, paused: || ControlFlow::Continue(()), steps: 0 }
}

fn same_weights(a: &Trainer, b: &Trainer) {
    let theirs = b.net().variables().variables();
    for (name, value) in a.net().variables().variables() {
        assert_eq!(value, theirs[&name], "{name}");
    }
}

fn factors(run: &Trainer) -> Vec<(usize, f64)> {
    let turns = run.history().turns.iter();
    turns
        .filter_map(|turn| match turn.kind {
            TurnKind::LearningRate { factor } => Some((turn.step, factor)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_factor_acts_at_the_next_step_and_stays_until_it_is_turned_again() {
    let _alone = alone();
    let mut plain = start();
    plain.fit(Epochs(3)).unwrap();
    let mut run = start();
    let control = run.control();
    let turn = control.clone();
    let mut callback = after(move |step| {
        match step {
            2 => turn.set_learning_rate_factor(0.5).unwrap(),
            // Turned twice before the next step: the last one counts.
            4 => {
                turn.set_learning_rate_factor(9.0).unwrap();
                turn.set_learning_rate_factor(2.0).unwrap();
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    assert!(!run.fit_with(Epochs(2), &mut callback).unwrap().stopped);
    run.fit(Epochs(1)).unwrap();
    assert_eq!(factors(&run), [(2, 0.5), (4, 2.0)]);
    assert_eq!(control.learning_rate_factor(), 2.0);
    for (step, (ours, theirs)) in run.history().steps.iter().zip(&plain.history().steps).enumerate()
    {
        let factor = [1.0, 1.0, 0.5, 0.5].get(step).copied().unwrap_or(2.0);
        let (found, expected) = (ours.learning_rate, factor * theirs.learning_rate);
        assert!((found - expected).abs() <= 1e-6 * expected, "step {step}: {found}");
    }
    let text = plot::loss_curve(run.history()).unwrap();
    assert!(text.svg().contains("lr x0.5") && text.svg().contains("lr x2"));
    // Nothing turned, nothing marked.
    assert!(plain.history().turns.is_empty());
    assert!(!plot::loss_curve(plain.history()).unwrap().svg().contains("lr x"));
}

#[test]
fn a_run_is_done_again_with_the_turns_of_its_history() {
    let _alone = alone();
    let mut run = start();
    let control = run.control();
    let (turn, other) = (control.clone(), control.clone());
    let mut callback = After {
        step: move |step| {
            match step {
                1 => turn.set_learning_rate_factor(0.1 + 0.2).unwrap(),
                3 => turn.pause(),
                5 => turn.stop(),
                _ => {}
            }
            ControlFlow::Continue(())
        },
        paused: move || {
            other.set_learning_rate_factor(3.0).unwrap();
            other.go_on();
            ControlFlow::Continue(())
        },
        steps: 0,
    };
    assert!(run.fit_with(Epochs(3), &mut callback).unwrap().stopped);
    control.set_learning_rate_factor(1.0).unwrap();
    run.fit(Epochs(2)).unwrap();
    let kinds: Vec<_> = run.history().turns.iter().map(|turn| (turn.step, turn.kind)).collect();
    assert!(
        matches!(
            kinds[..],
            [
                (1, TurnKind::LearningRate { .. }),
                (3, TurnKind::Paused { .. }),
                (3, TurnKind::LearningRate { .. }),
                (5, TurnKind::Stopped),
                (5, TurnKind::LearningRate { .. }),
            ]
        ),
        "{kinds:?}"
    );

    // By way of a file, as a reader would.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.json");
    run.history().save(&path).unwrap();
    let history = History::load(&path).unwrap();
    assert_eq!(&history, run.history());
    let mut again = start();
    again.follow(&history.turns).unwrap();
    assert!(!again.fit(Epochs(3)).unwrap().stopped);
    assert_eq!(again.history().steps, history.steps);
    assert_eq!(factors(&again), factors(&run));
    same_weights(&again, &run);
    let mut other = start();
    other.fit(Epochs(3)).unwrap();
    assert_ne!(other.history().steps, history.steps, "the knobs change nothing");
}

#[test]
fn turns_that_cannot_be_followed_are_refused_and_past_ones_left_out() {
    let _alone = alone();
    let mut run = start();
    let turn = |step, factor| Turn { step, kind: TurnKind::LearningRate { factor } };
    for factor in [0.0, -1.0, f64::NAN] {
        run.follow(&[turn(0, 2.0), turn(1, factor)]).unwrap_err();
    }
    assert!(run.fit_with(Epochs(1), &mut common::StopAfter(1)).unwrap().stopped);
    // In any order.
    run.follow(&[turn(2, 0.25), turn(1, 0.5), turn(0, 7.0)]).unwrap();
    run.fit(Epochs(1)).unwrap();
    assert_eq!(factors(&run), [(1, 0.5), (2, 0.25)]);
}

#[test]
fn a_pause_computes_nothing_and_counts_in_no_time() {
    let _alone = alone();
    const PAUSE: Duration = Duration::from_millis(1500);
    let mut run = start();
    let (control, go_on) = (run.control(), run.control());
    let (mut began, mut asked) = (None, 0);
    let mut reports = Vec::new();
    let mut callback = After {
        step: |step| {
            reports.push(step);
            if step == 2 {
                control.pause();
            }
            ControlFlow::Continue(())
        },
        paused: || {
            asked += 1;
            if began.get_or_insert_with(Instant::now).elapsed() >= PAUSE {
                go_on.go_on();
            }
            ControlFlow::Continue(())
        },
        steps: 0,
    };
    let whole = Instant::now();
    assert!(!run.fit_with(Epochs(1), &mut callback).unwrap().stopped);
    let whole = whole.elapsed().as_secs_f64();
    assert_eq!(reports, [1, 2, 3]);
    assert!((10..=40).contains(&asked), "asked {asked} times in {PAUSE:?}");
    let [Turn { step: 2, kind: TurnKind::Paused { seconds } }] = run.history().turns[..] else {
        panic!("{:?}", run.history().turns)
    };
    assert!(seconds >= PAUSE.as_secs_f64());
    let epoch = run.history().last().unwrap();
    assert!(epoch.seconds <= whole - seconds, "{} of {whole}", epoch.seconds);
    assert!((epoch.images_per_second - 96.0 / epoch.seconds).abs() < 1e-6);
    let mut straight = start();
    straight.fit(Epochs(1)).unwrap();
    same_weights(&run, &straight);
}

#[test]
fn a_stop_ends_one_fit_and_the_next_goes_on() {
    let _alone = alone();
    let mut straight = start();
    straight.fit(Epochs(2)).unwrap();
    let mut run = start();
    let control = run.control();
    // No fit runs.
    control.stop();
    let turn = control.clone();
    // The second one is in a pause, the third before the first step of an epoch.
    for (last, paused) in [(1, false), (2, true), (3, false)] {
        let (turn, stop) = (turn.clone(), turn.clone());
        let done = run.history().steps.len();
        let mut callback = After {
            step: move |step| {
                match done + step == last {
                    true if paused => turn.pause(),
                    true => turn.stop(),
                    false => {}
                }
                ControlFlow::Continue(())
            },
            paused: move || {
                stop.stop();
                ControlFlow::Continue(())
            },
            steps: 0,
        };
        let fit = run.fit_with(Epochs(2), &mut callback).unwrap();
        assert!(fit.stopped && !control.is_paused());
        assert_eq!(fit.history.steps.len(), last);
        assert_eq!(
            fit.history.turns.last().unwrap(),
            &Turn { step: last, kind: TurnKind::Stopped }
        );
    }
    assert!(run.history().turns.iter().any(|turn| matches!(turn.kind, TurnKind::Paused { .. })));
    // After the last step there is nothing left to stop, and nothing is kept for the next fit.
    let turn = control.clone();
    let mut callback = after(move |step| {
        if step == 3 {
            turn.pause();
            turn.stop();
        }
        ControlFlow::Continue(())
    });
    assert!(!run.fit_with(Epochs(1), &mut callback).unwrap().stopped);
    same_weights(&run, &straight);
    assert!(!run.fit(Epochs(1)).unwrap().stopped);
}

#[test]
fn a_callback_ends_a_pause_as_it_ends_a_step() {
    let _alone = alone();
    let mut run = start();
    let control = run.control();
    // No fit runs: the next one begins with it.
    control.pause();
    let mut callback =
        After { step: |_| ControlFlow::Continue(()), paused: || ControlFlow::Break(()), steps: 0 };
    assert!(run.fit_with(Epochs(1), &mut callback).unwrap().stopped);
    assert_eq!(run.history().steps.len(), 0);
    assert!(!control.is_paused());
    assert!(!run.fit(Epochs(1)).unwrap().stopped);
    assert_eq!(run.history().steps.len(), 3);
}

#[test]
fn the_stop_button_ends_a_pause() {
    let _alone = alone();
    let mut run = start();
    let control = run.control();
    control.pause();
    // A signal that comes before the fit listens, or after it, must not end the tests.
    let listener = googlenet_lib::notebook::Listener::new();
    let over = AtomicBool::new(false);
    let fit = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(200));
                let process = std::process::id().to_string();
                let sent = Command::new("kill").args(["-INT", &process]).status().unwrap();
                assert!(sent.success());
            }
        });
        let fit = run.fit(Epochs(1)).unwrap();
        over.store(true, Ordering::SeqCst);
        fit
    });
    assert!(fit.stopped && !control.is_paused());
    let kinds: Vec<_> = fit.history.turns.iter().map(|turn| (turn.step, turn.kind)).collect();
    assert!(
        matches!(kinds[..], [(0, TurnKind::Paused { .. }), (0, TurnKind::Stopped)]),
        "{kinds:?}"
    );
    drop(listener);
    assert!(!run.fit(Epochs(1)).unwrap().stopped);
}

#[test]
fn histories_from_before_there_were_knobs_are_read() {
    let _alone = alone();
    let mut run = start();
    run.fit(Epochs(1)).unwrap();
    let mut old = serde_json::to_value(run.history()).unwrap();
    old.as_object_mut().unwrap().remove("turns").unwrap();
    let old: History = serde_json::from_value(old).unwrap();
    assert_eq!(&old, run.history());
    assert_eq!(old.learning_rate_factor(), 1.0);
}
