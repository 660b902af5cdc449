//! Named series in a line.

use charts::{Picture, line_chart_with_marks};

use crate::Result;

/// Up to six lines, each a name and its points (x, y), with a title, a note under it, and the names of the
/// two axes. Points are given by value or by reference, in numbers of any type: a vector or a slice that
/// is borrowed stays the cell's.
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let squares: Vec<(i64, f64)> = (0..5).map(|x| (x, (x * x) as f64)).collect();
/// let cubes: Vec<(i64, f64)> = (0..5).map(|x| (x, (x * x * x) as f64)).collect();
/// let picture = plot::lines("Powers", "", ("x", "y"), [("x^2", &squares), ("x^3", &cubes)])?;
/// assert!(picture.svg().contains("x^3"));
/// plot::lines("Doubled", format!("to {}", 9), ("x", "y"), [("2x", (0..9).map(|x| (x, 2 * x)))])?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// No line or more than six, a line without points, a number that is not finite; a picture that cannot be
/// drawn.
pub fn lines<N: AsRef<str>, P: IntoIterator<Item: Point>>(
    title: impl AsRef<str>,
    note: impl AsRef<str>,
    axes: (&str, &str),
    lines: impl IntoIterator<Item = (N, P)>,
) -> Result<Picture> {
    lines_with_marks(title, note, axes, lines, [] as [(f64, &str); 0])
}

/// [`lines()`] with marks: upright dashed lines, each an x and a name, which stands above the plot.
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let doubled = [("2x", [(0, 0), (9, 18)])];
/// let picture = plot::lines_with_marks("Doubled", "", ("x", "y"), doubled, [(4, "yours: 4")])?;
/// assert!(picture.svg().contains("yours: 4"));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// As for [`lines()`]; more than eight marks.
pub fn lines_with_marks<N: AsRef<str>, P: IntoIterator<Item: Point>, M: AsRef<str>>(
    title: impl AsRef<str>,
    note: impl AsRef<str>,
    axes: (&str, &str),
    lines: impl IntoIterator<Item = (N, P)>,
    marks: impl IntoIterator<Item = (impl Number, M)>,
) -> Result<Picture> {
    let points = |points: P| points.into_iter().map(|point| point.point()).collect();
    let (names, points): (Vec<N>, Vec<Vec<(f64, f64)>>) =
        lines.into_iter().map(|(name, line)| (name, points(line))).unzip();
    let lines: Vec<_> = names.iter().map(N::as_ref).zip(points).collect();
    let (places, names): (Vec<f64>, Vec<M>) =
        marks.into_iter().map(|(place, name)| (place.number(), name)).unzip();
    let marks: Vec<_> = places.into_iter().zip(names.iter().map(M::as_ref)).collect();
    Ok(line_chart_with_marks(title.as_ref(), note.as_ref(), axes, &lines, &marks)?)
}

/// A point of a line: a pair of [`Number`]s, x and y, or a reference to one.
pub trait Point {
    /// Its place, (x, y).
    fn point(&self) -> (f64, f64);
}

impl<X: Number, Y: Number> Point for (X, Y) {
    fn point(&self) -> (f64, f64) {
        (self.0.number(), self.1.number())
    }
}

impl<P: Point> Point for &P {
    fn point(&self) -> (f64, f64) {
        (*self).point()
    }
}

/// A number that has a place on an axis: integers to 64 bits, and floating point.
pub trait Number: Copy {
    /// The nearest 64-bit floating point number.
    fn number(self) -> f64;
}

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Number for $type {
            fn number(self) -> f64 {
                self as f64
            }
        }
    )+};
}
numbers!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, f32, f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_come_in_many_ways() {
        let vector = vec![(1_i64, 2.5_f32), (2, 3.0)];
        let svg = |picture: Result<Picture>| picture.unwrap().svg().to_owned();
        let one = svg(lines("title", "", ("x", "y"), [("a", &vector)]));
        assert_eq!(svg(lines("title", "", ("x", "y"), [("a", &vector[..])])), one);
        assert_eq!(svg(lines("title", "", ("x", "y"), [("a", [(1_u32, 2.5), (2, 3.0)])])), one);
        let name = String::from("a");
        assert_eq!(svg(lines("title", name.replace('a', ""), ("x", "y"), [(&name, vector)])), one);
        let some = ["a", "b"].map(|name| (name.to_string(), (0..3_usize).map(|x| (x, x))));
        assert!(svg(lines("title", "", ("x", "y"), some)).contains(">\nb\n<"));
        let error = lines("title", "", ("x", "y"), [("a", [(0.0, f64::NAN)])]).unwrap_err();
        assert!(error.to_string().starts_with("a point of line 'a' is NaN"), "{error}");
    }
}
