//! The values of variables in a line each.

use std::fmt::{self, Debug, Write as _};

/// No more of a value is written.
const LENGTH: usize = 100;

/// A value, of whatever type.
pub struct Brief<'a, T: ?Sized>(pub &'a T);

/// What has Debug is shown by it.
pub trait BriefByDebug {
    /// The value, cut short.
    fn brief(&self) -> String;
}

impl<T: Debug + ?Sized> BriefByDebug for Brief<'_, T> {
    fn brief(&self) -> String {
        of(&self.0)
    }
}

/// What has no Debug has no words.
pub trait BriefOfAny {
    /// Nothing.
    fn brief(&self) -> String;
}

// One reference further away: found where the other is not.
impl<T: ?Sized> BriefOfAny for &Brief<'_, T> {
    fn brief(&self) -> String {
        String::new()
    }
}

/// Tells the kernel values, each behind a tabulator.
pub fn tell(values: &[String]) {
    crate::show_as("application/vnd.rust-live.values", &values.join("\t"));
}

fn of(value: &dyn Debug) -> String {
    let mut text = Cut(String::new());
    // What does not fit ends it.
    if write!(text, "{value:?}").is_err() && text.0.len() >= LENGTH {
        text.0.push('…');
    }
    text.0
}

/// Takes so many bytes and no more, so that a long list is not written to its end.
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.0.len() >= LENGTH {
                return Err(fmt::Error);
            }
            // One line, and the tabulator is taken.
            self.0.push(if matches!(character, '\n' | '\t' | '\r') { ' ' } else { character });
        }
        Ok(())
    }
}
