//! Where in the reader's text a place of a cell's program is: code of the kernel's own stands on its first
//! line.

use std::collections::VecDeque;

use cell_program::Source;

use crate::engine::{Panic, Place};

/// How many cells are remembered: threads and closures of an earlier one may panic.
const CELLS: usize = 500;

/// The programs of the cells that were run.
#[derive(Debug, Default)]
pub(super) struct Places(VecDeque<(String, Source)>);

impl Places {
    /// Remembers a cell: its text and its program.
    pub(super) fn add(&mut self, text: &str, source: &Source) {
        self.0.retain(|(_, known)| known.name != source.name);
        self.0.push_back((text.to_owned(), source.clone()));
        if self.0.len() > CELLS {
            self.0.pop_front();
        }
    }

    /// A panic at its places in the reader's text.
    pub(super) fn panic(&self, panic: cell_process::Panic) -> Panic {
        let cell_process::Panic { file, line, column, message, called_at, backtrace, .. } = panic;
        Panic {
            place: self.place(file, line as usize, column as usize),
            called_at: called_at.and_then(|place| {
                let mut parts = place.rsplitn(3, ':');
                let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
                Some(self.place(parts.next()?.to_owned(), line, column))
            }),
            message,
            backtrace: backtrace.map(|text| {
                let lines = text.lines().map(|line| self.line(line));
                lines.map(|line| line + "\n").collect()
            }),
        }
    }

    /// A line of a backtrace.
    fn line(&self, line: &str) -> String {
        let Some((before, place)) = line.split_once("at cell ") else { return line.to_owned() };
        let mut numbers = place.splitn(3, ':').map(str::parse::<usize>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(cell)), Some(Ok(line)), Some(Ok(column))) => {
                format!("{before}at {}", self.place(format!("cell {cell}"), line, column))
            }
            _ => line.to_owned(),
        }
    }

    fn place(&self, file: String, line: usize, column: usize) -> Place {
        let known = self.0.iter().find(|(_, source)| source.name == file);
        let column =
            known.map_or(column, |(text, source)| source.reader_column(text, line, column));
        Place { file, line, column }
    }
}
