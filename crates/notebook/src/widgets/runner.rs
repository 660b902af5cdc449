//! The thread on which closures of widgets run, one after the other.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread;

use super::comm::Seam;
use super::model::Model;

/// Something to run, and the output in which it writes.
struct Job {
    output: u32,
    run: Box<dyn FnOnce() + Send>,
}

/// The way to the thread.
pub(super) struct Runner {
    queue: Sender<Job>,
}

impl Runner {
    /// Starts the thread.
    pub(super) fn start(seam: Arc<dyn Seam>) -> std::io::Result<Runner> {
        let (queue, jobs) = channel();
        thread::Builder::new().name("widgets".to_owned()).spawn(move || work(&*seam, &jobs))?;
        Ok(Runner { queue })
    }

    /// Runs this when what came before is done.
    pub(super) fn run(&self, output: u32, run: impl FnOnce() + Send + 'static) {
        // The thread ends after the last of those who could ask it.
        let _ = self.queue.send(Job { output, run: Box::new(run) });
    }
}

fn work(seam: &dyn Seam, jobs: &Receiver<Job>) {
    for job in jobs {
        flush();
        let before = seam.enter_output(job.output);
        // What a closure leaves half done is its own: it is reached by the next call of it alone. The
        // message of a panic was written by the hook.
        let _ = catch_unwind(AssertUnwindSafe(job.run));
        flush();
        seam.enter_output(before);
    }
}

/// Standard output is shared by all threads: what was written belongs to where it was written.
fn flush() {
    // Standard output that is gone has nobody who could be told.
    let _ = std::io::stdout().flush();
}

/// A closure that is called with the model that changed.
type Call = Box<dyn FnMut(&Model) + Send>;

/// A closure that hears of changes. However many there are while it waits or runs, it is called once
/// more, and finds the newest values.
pub(super) struct Listener {
    call: Mutex<Call>,
    waiting: AtomicBool,
}

impl Listener {
    /// A listener that calls this.
    pub(super) fn new(call: impl FnMut(&Model) + Send + 'static) -> Arc<Listener> {
        Arc::new(Listener { call: Mutex::new(Box::new(call)), waiting: AtomicBool::new(false) })
    }

    /// Something changed: soon, on the thread for it. Without comms there is none: at once.
    pub(super) fn hear(self: &Arc<Listener>, model: &Model) {
        let waits_already = self.waiting.swap(true, Ordering::SeqCst);
        match model.hub() {
            Some(_) if waits_already => {}
            Some(hub) => {
                // Once: what changes meanwhile waits behind the closures of others.
                let (listener, model) = (Arc::clone(self), model.clone());
                hub.runner().run(model.output(), move || {
                    listener.turn(&model);
                });
            }
            None => self.take_turns(model),
        }
    }

    /// Calls the closure until nothing has changed meanwhile.
    fn take_turns(&self, model: &Model) {
        let mut free = true;
        while free && self.waiting.load(Ordering::SeqCst) {
            free = self.turn(model);
        }
    }

    /// Calls the closure, if it still waits. `false` if it runs already: as it made the change itself,
    /// or another thread runs it, which looks again afterwards.
    fn turn(&self, model: &Model) -> bool {
        let mut call = match self.call.try_lock() {
            Ok(call) => call,
            Err(TryLockError::Poisoned(call)) => PoisonError::into_inner(call),
            Err(TryLockError::WouldBlock) => return false,
        };
        if self.waiting.swap(false, Ordering::SeqCst) {
            call(model);
        }
        true
    }
}
