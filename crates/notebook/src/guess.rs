//! What a reader has guessed before the answer came.

use std::fmt::{self, Display};

/// A guess in words: `you guessed 3`, or `you made no guess`.
///
/// ```
/// use notebook::guessed;
///
/// let my_guess: Option<f64> = Some(3.0);
/// assert_eq!(format!("21 times fewer; {}", guessed(my_guess)), "21 times fewer; you guessed 3");
/// assert_eq!(guessed(None::<i64>).to_string(), "you made no guess");
/// ```
pub fn guessed<T: Display>(guess: Option<T>) -> Guessed<T> {
    Guessed(guess)
}

/// What [`guessed`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guessed<T>(Option<T>);

impl<T: Display> Display for Guessed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(guess) => write!(f, "you guessed {guess}"),
            None => f.write_str("you made no guess"),
        }
    }
}
