//! From the cells of a notebook to the program that is compiled for one of them.
//!
//! A cell is parsed into [`Cell`]; [`Program`] knows what earlier cells have left, and writes for a cell the
//! source of a crate: what the reader wrote stands on the lines on which the reader wrote it. [`types`]
//! reads out of rustc's MIR of which types the variables are.

mod again;
mod cell;
mod checks;
mod choices;
mod commands;
mod edit;
mod imports;
mod initializers;
mod items;
mod loans;
mod names;
mod parts;
mod paths;
mod program;
mod reach;
mod source;
mod statics;
mod tests;
pub mod types;
mod waiting;

pub use cell::{Binding, Cell, Closing, Surroundings, file_of_include, file_of_module};
pub use choices::{Choices, Lending, MOVED};
pub use commands::Command;
pub use edit::Edit;
pub use imports::Leaf;
pub use items::{Item, Key, MacroKind, Main, Namespace, Place, Static, StaticBy};
pub use loans::{LEASE, Lender, Loans};
pub use parts::{Fields, Parts};
pub use paths::{IncludedFile, ModuleFile, text_of_module};
pub use program::{Lost, Program, Variable};
pub use source::{FOLDERS, File, Mark, Session, Source, raw};
pub use tests::Test;
pub use waiting::Waiting;
