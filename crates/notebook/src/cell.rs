//! What stands in a cell of a table: anything that displays, numbers as people write them.

use std::fmt::{self, Display, Formatter};

use crate::number::grouped;

/// Significant digits of a number that is not whole.
const DIGITS: i32 = 4;

/// What stands in a cell of a table.
///
/// Whole numbers have thousands separators, others four significant digits, all else is as it displays
/// itself. [`Percent`], [`Decimals`] and [`Scientific`] say it otherwise, and [`Maybe`] is for what may be
/// missing.
///
/// ```
/// use notebook::{Cell, Decimals, Percent, Scientific};
///
/// let texts = [Cell::of(6_998_552), Cell::of(2.302585), Cell::of("GoogLeNet"), Cell::of(0.0002)];
/// assert_eq!(texts.each_ref().map(Cell::text), ["6,998,552", "2.303", "GoogLeNet", "0.0002"]);
/// let texts = [Cell::of(Percent(0.913)), Cell::of(Decimals(2.0, 2)), Cell::of(Scientific(0.0013))];
/// assert_eq!(texts.each_ref().map(Cell::text), ["91.3 %", "2.00", "1.3e-3"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    number: bool,
}

/// A row of `N` cells: a tuple of one to ten things that display, or an array.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a row of {N} cells",
    label = "give a tuple or an array of as many values as the header has, all of which display"
)]
pub trait Cells<const N: usize> {
    /// The cells, from left to right.
    fn cells(&self) -> [Cell; N];
}

/// A share from 0 to 1 in per cent, with one decimal or as many as the format says: `91.3 %`.
///
/// ```
/// use notebook::Percent;
///
/// assert_eq!(format!("{} or {:.2}", Percent(0.91345), Percent(0.91345)), "91.3 % or 91.34 %");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percent(pub f64);

/// A number with this many decimals, and thousands separators: `1,234.50`.
///
/// ```
/// assert_eq!(notebook::Decimals(1234.5, 2).to_string(), "1,234.50");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Decimals(pub f64, pub usize);

/// A number with its power of ten, with one decimal or as many as the format says: `1.3e-5`.
///
/// ```
/// assert_eq!(notebook::Scientific(0.000013).to_string(), "1.3e-5");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Scientific(pub f64);

/// What may be missing: a dash, aligned as a number is, where there is nothing.
///
/// ```
/// use notebook::{Cell, Maybe};
///
/// let losses = [Some(2.302585), None].map(|loss| Cell::of(Maybe(loss)));
/// assert_eq!(losses.each_ref().map(Cell::text), ["2.303", "-"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Maybe<T>(pub Option<T>);

impl Cell {
    /// A cell of this value.
    pub fn of(value: impl Display) -> Cell {
        let plain = value.to_string();
        // Rust itself fills up numbers on their left and words on their right, and a type that is made
        // of a number passes that on: so all types that display can be told apart without a list of them.
        let width = plain.chars().count() + 1;
        let number = !plain.trim().is_empty() && format!("{value:width$}") == format!(" {plain}");
        if !number {
            return Cell { text: plain, number };
        }
        // Whole numbers have no decimals to be asked for, and what chose its own does not heed it. Rust
        // displays no number with its power of ten, so that who does has chosen it.
        let asked = [0, 1].map(|decimals| format!("{value:.decimals$}"));
        let fraction = asked.iter().any(|text| *text != plain) && !plain.contains('e');
        let text = match (plain.parse::<i64>(), plain.parse::<f64>()) {
            (Ok(value), _) if !fraction => grouped(value),
            (_, Ok(value)) if fraction => rounded(value),
            _ => plain,
        };
        Cell { text, number }
    }

    /// A text as it is.
    pub(crate) fn text_of(text: impl ToString) -> Cell {
        Cell { text: text.to_string(), number: false }
    }

    /// What stands in it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is a number, which a table aligns right.
    pub fn is_number(&self) -> bool {
        self.number
    }
}

/// Four significant digits, without zeros at the end.
fn rounded(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".into();
    }
    if !(1e-4..1e15).contains(&size) {
        let text = format!("{value:.*e}", DIGITS as usize - 1);
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", without_zeros(digits));
    }
    let decimals = (DIGITS - 1 - size.log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.decimals$}");
    let text = without_zeros(&text);
    text.parse().map_or(text.to_string(), grouped)
}

fn without_zeros(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}

/// As Rust displays a number: filled up on its left unless the format says otherwise.
fn number(f: &mut Formatter<'_>, value: f64, digits: &str) -> fmt::Result {
    f.pad_integral(!value.is_sign_negative() || value.is_nan(), "", digits)
}

impl Display for Percent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(1);
        number(f, self.0, &format!("{:.decimals$} %", 100.0 * self.0.abs()))
    }
}

impl Display for Decimals {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Decimals(value, decimals) = *self;
        let text = format!("{:.decimals$}", value.abs());
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let point = if fraction.is_empty() { "" } else { "." };
        // What is no number, or has more than 18 digits, has no separators.
        let whole = whole.parse().map_or(whole.to_string(), grouped);
        number(f, value, &format!("{whole}{point}{fraction}"))
    }
}

impl Display for Scientific {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(1);
        number(f, self.0, &format!("{:.decimals$e}", self.0.abs()))
    }
}

impl<T: Display> Display for Maybe<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.pad_integral(true, "", "-"),
        }
    }
}

impl<T: Display, const N: usize> Cells<N> for [T; N] {
    fn cells(&self) -> [Cell; N] {
        self.each_ref().map(Cell::of)
    }
}

impl<R: Cells<N>, const N: usize> Cells<N> for &R {
    fn cells(&self) -> [Cell; N] {
        (*self).cells()
    }
}

macro_rules! rows {
    ($($number:literal: $($type:ident)+;)+) => {$(
        impl<$($type: Display),+> Cells<$number> for ($($type,)+) {
            fn cells(&self) -> [Cell; $number] {
                #[expect(non_snake_case, reason = "each value has the name of its type")]
                let ($($type,)+) = self;
                [$(Cell::of($type)),+]
            }
        }
    )+};
}
rows! {
    1: A;
    2: A B;
    3: A B C;
    4: A B C D;
    5: A B C D E;
    6: A B C D E F;
    7: A B C D E F G;
    8: A B C D E F G H;
    9: A B C D E F G H I;
    10: A B C D E F G H I J;
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    /// A number in a type of one's own.
    struct Kept(i64);

    impl Display for Kept {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }

    /// A type that heeds no format.
    struct Plain(f64);

    impl Display for Plain {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            write!(f, "{:.2} each", self.0)
        }
    }

    #[test]
    fn numbers_are_told_from_words() {
        let cells = [
            (Cell::of(6_998_552_i64), "6,998,552", true),
            (Cell::of(-1234_i32), "-1,234", true),
            (Cell::of(u64::MAX), "18446744073709551615", true),
            (Cell::of(0_usize), "0", true),
            (Cell::of(0.0), "0", true),
            (Cell::of(2.0), "2", true),
            (Cell::of(0.5_f32), "0.5", true),
            (Cell::of(0.1 + 0.2), "0.3", true),
            (Cell::of(-91.345), "-91.34", true),
            (Cell::of(999.96), "1,000", true),
            (Cell::of(1_234_567.8), "1,234,568", true),
            (Cell::of(0.0000123456), "1.235e-5", true),
            (Cell::of(2e15), "2e15", true),
            (Cell::of(f64::NAN), "NaN", true),
            (Cell::of(f64::NEG_INFINITY), "-inf", true),
            (Cell::of(Kept(1234)), "1,234", true),
            (Cell::of(Percent(-0.5)), "-50.0 %", true),
            (Cell::of(Decimals(0.5, 2)), "0.50", true),
            (Cell::of(Decimals(-1234.0, 0)), "-1,234", true),
            (Cell::of(Scientific(1234.0)), "1.2e3", true),
            (Cell::of(Maybe(Some(1234))), "1,234", true),
            (Cell::of(Maybe(None::<&str>)), "-", true),
            (Cell::of(Maybe(Some("1234"))), "1234", false),
            (Cell::of("1234"), "1234", false),
            (Cell::of(String::from("  indented")), "  indented", false),
            (Cell::of(Cow::Borrowed("")), "", false),
            (Cell::of(true), "true", false),
            (Cell::of(Plain(1.0)), "1.00 each", false),
        ];
        for (cell, text, number) in cells {
            assert_eq!((cell.text(), cell.is_number()), (text, number));
        }
    }

    #[test]
    fn formats_are_heeded() {
        assert_eq!(format!("{:8}|{:<8}|", Percent(0.5), Percent(0.5)), "  50.0 %|50.0 %  |");
        assert_eq!(format!("{:.0} {:.3}", Percent(0.126), Scientific(-0.00013)), "13 % -1.300e-4");
        assert_eq!(Decimals(f64::NAN, 2).to_string(), "NaN");
    }

    #[test]
    fn rows_are_tuples_and_arrays_by_value_and_by_reference() {
        let texts = |cells: [Cell; 2]| cells.map(|cell| cell.text);
        assert_eq!(texts(("a", 1).cells()), ["a", "1"]);
        assert_eq!(texts(Cells::<2>::cells(&&("a".to_string(), 1))), ["a", "1"]);
        assert_eq!(texts([1000, 1].cells()), ["1,000", "1"]);
    }
}
