//! What may be asked about the code of a notebook, and the kernel's end of the program that answers.
//!
//! rust-analyzer takes longer to compile than all the rest of the kernel, and the memory of a small machine once
//! it has read the standard library. So it is a program of its own: the kernel is ready without it, and
//! lives on where it dies. Questions go to its standard input and answers come from its standard output, one line
//! of JSON each, in the same order; [`Question::Cancel`] alone has no answer.

mod program;

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use crate::program::{Canceller, Failure, NAME, Program};

/// What is asked. A source is the whole text of the cells' root file, an offset a byte of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// To read what was not read yet.
    Load,
    /// What may stand at a place.
    Complete {
        /// The text.
        source: String,
        /// The place.
        offset: usize,
    },
    /// What is known of a name.
    Inspect {
        /// The text.
        source: String,
        /// The place.
        offset: usize,
    },
    /// To break off what is being answered.
    Cancel,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Whether all is read.
    Loaded(bool),
    /// The best first; none where the question was broken off.
    Completions(Vec<Completion>),
    /// None where nothing is known.
    Documentation(Option<Documentation>),
}

/// One of the texts that may stand at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// What stands there afterwards; a macro has its `!`, a function no parentheses.
    pub text: String,
    /// What it is called in a list.
    pub label: String,
    /// `function`, `class`, `module`, `instance` or `keyword`.
    pub kind: Cow<'static, str>,
    /// Of a function its parameters, of a variable its type.
    pub signature: Option<String>,
    /// What its documentation says, as plain text. It is no part of an answer: hundreds of names would bring along
    /// what nobody is shown.
    #[serde(skip)]
    pub documentation: Option<String>,
    /// The bytes of the source that it replaces; the same for all of an answer.
    pub range: Range<usize>,
}

/// What is known of a name: first the signature, then what its documentation says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Documentation {
    /// As plain text.
    pub plain: String,
    /// As simple HTML.
    pub html: String,
}
