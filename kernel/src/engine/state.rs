//! Where an engine stands.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Where an engine stands; anybody may look.
#[derive(Debug, Default)]
pub(crate) struct State {
    phase: AtomicU8,
    interrupts: AtomicU32,
    /// How many cells have begun: an interrupt is meant for one of them.
    begun: AtomicU32,
}

/// What an engine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nothing that could be interrupted.
    Idle = 0,
    /// Compiling a cell.
    Compiling = 1,
    /// Running a cell.
    Running = 2,
}

/// An interrupt that was counted.
#[derive(Debug)]
pub(crate) struct Interrupt {
    /// The number of the cell that it is meant for.
    cell: u32,
    /// Whether that cell was interrupted before.
    again: bool,
}

impl Interrupt {
    /// Whether the cell was interrupted before.
    pub(crate) fn is_again(&self) -> bool {
        self.again
    }
}

impl State {
    /// What it is doing.
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            1 => Phase::Compiling,
            2 => Phase::Running,
            _ => Phase::Idle,
        }
    }

    /// The engine does something else from now on.
    pub(crate) fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// Whether the cell that an interrupt is meant for is in this phase.
    pub(crate) fn is(&self, phase: Phase, interrupt: &Interrupt) -> bool {
        self.phase() == phase && self.begun.load(Ordering::SeqCst) == interrupt.cell
    }

    /// A cell begins.
    pub(crate) fn begin(&self) {
        self.interrupts.store(0, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.set(Phase::Compiling);
    }

    /// The cell has ended; says how often it was interrupted.
    pub(crate) fn end(&self) -> u32 {
        self.set(Phase::Idle);
        self.interrupts.load(Ordering::SeqCst)
    }

    /// Whether the cell that is being evaluated was interrupted.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupts.load(Ordering::SeqCst) > 0
    }

    /// Counts an interrupt of the cell that is being evaluated; None where there is none. Whatever ends
    /// the cell from now on, it was interrupted.
    pub(crate) fn count_interrupt(&self) -> Option<Interrupt> {
        if self.phase() == Phase::Idle {
            return None;
        }
        let cell = self.begun.load(Ordering::SeqCst);
        let before = self.interrupts.fetch_add(1, Ordering::SeqCst);
        Some(Interrupt { cell, again: before > 0 })
    }
}
