//! All that leans on evcxr 0.22: its files, its markers, how it calls cargo and what it answers.

pub(crate) mod answers;
pub(crate) mod cargo;
pub(crate) mod dependencies;
pub(crate) mod display;
pub(crate) mod prelink;
