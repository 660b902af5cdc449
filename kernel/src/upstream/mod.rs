//! All that leans on evcxr 0.22: its files, its markers, how it calls cargo and what it answers.

pub mod answers;
pub mod cargo;
pub mod dependencies;
pub mod display;
pub mod prelink;
