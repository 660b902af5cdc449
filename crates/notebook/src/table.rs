//! Rows of text as an aligned table for terminals and as HTML for notebooks.

use std::fmt::{self, Write};

use crate::cell::{Cell, Cells};
use crate::display::{Show, at_end_of_cell, escape};
use crate::{Error, Result};

/// A table. In a notebook it shows itself as HTML, in a terminal it prints with aligned columns.
///
/// [`table!`](crate::table) makes one of what stands in a cell, [`Table::from_rows`] of an iterator, and
/// [`Table::push`] adds rows one by one. Its cells are anything that displays: [`Cell`] says how numbers are
/// written. A column with a number in it is aligned right, the others left.
///
/// ```
/// use notebook::Table;
///
/// let networks = [("GoogLeNet", 6_998_552), ("VGG-16", 138_357_544)];
/// let table = Table::from_rows(["network", "parameters"], networks);
/// assert!(table.to_string().contains("GoogLeNet    6,998,552"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// How many of the first columns are text; `None` where the cells tell.
    text_columns: Option<usize>,
    header: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// A table of what stands in it: the header, and after a semicolon the rows, or two dots and an iterator of
/// rows. Another number of cells than the header has does not compile.
///
/// ```
/// use notebook::{Percent, table};
///
/// let table = table![
///     "network", "parameters", "right";
///     ("GoogLeNet", 6_998_552, Percent(0.913)),
///     ("no network", "none", Percent(0.1)),
/// ];
/// assert!(table.to_string().contains("GoogLeNet    6,998,552  91.3 %"));
///
/// let squares = table!["n", "n x n"; ..(1..=9).map(|n| (n, n * n))];
/// assert!(squares.to_string().ends_with("9     81\n--------\n"));
///
/// // For rows that come one by one, possibly with a `?` in each.
/// let mut roots = table!["n", "root"];
/// for n in ["4", "9"] {
///     let n: f64 = n.parse()?;
///     roots.push((n, n.sqrt()))?;
/// }
/// assert!(roots.to_string().ends_with("9     3\n-------\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```compile_fail
/// notebook::table!["network", "parameters"; ("GoogLeNet", 6_998_552, 0.913)];
/// ```
#[macro_export]
macro_rules! table {
    ($($header:expr),+ $(,)?) => {
        $crate::Table::of_cells([$(::std::string::ToString::to_string(&$header)),+], [])
    };
    ($($header:expr),+ $(,)?; ..$rows:expr) => {
        $crate::Table::from_rows([$(::std::string::ToString::to_string(&$header)),+], $rows)
    };
    ($($header:expr),+ $(,)?; $(($($cell:expr),+ $(,)?)),+ $(,)?) => {
        $crate::Table::of_cells(
            [$(::std::string::ToString::to_string(&$header)),+],
            [$([$($crate::Cell::of(&$cell)),+]),+],
        )
    };
}

impl Table {
    /// A table of rows that have as many cells as the header has: tuples of up to ten values, or arrays.
    ///
    /// ```
    /// use notebook::{Decimals, Table};
    ///
    /// let rows = [(4, 2.0), (8, 3.0)].map(|(n, log)| (n, Decimals(log, 1)));
    /// assert!(Table::from_rows(["n", "log2"], rows).to_string().contains("8   3.0"));
    /// ```
    pub fn from_rows<H: Into<String>, R: Cells<N>, const N: usize>(
        header: [H; N],
        rows: impl IntoIterator<Item = R>,
    ) -> Table {
        Table::of_cells(header.map(H::into), rows.into_iter().map(|row| row.cells()))
    }

    /// What [`table!`](crate::table) becomes.
    #[doc(hidden)]
    pub fn of_cells<const N: usize>(
        header: [String; N],
        rows: impl IntoIterator<Item = [Cell; N]>,
    ) -> Table {
        let rows = rows.into_iter().map(Vec::from).collect();
        Table { text_columns: None, header: header.into(), rows }
    }

    /// A table without rows, whose first `text_columns` columns are text; the others are aligned right,
    /// whatever they hold.
    pub fn new(text_columns: usize, header: &[&'static str]) -> Table {
        let header = header.iter().map(ToString::to_string).collect();
        Table { text_columns: Some(text_columns), header, rows: Vec::new() }
    }

    /// A table of rows of texts, whose first `text_columns` columns are aligned left and the others right.
    pub fn of<const N: usize>(
        text_columns: usize,
        header: [&'static str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Table {
        let rows = rows.into_iter().map(|row| row.map(Cell::text_of).into()).collect();
        Table { rows, ..Table::new(text_columns, &header) }
    }

    /// Adds a row: a tuple of up to ten values, or an array.
    ///
    /// # Errors
    /// Another number of cells than the header has.
    pub fn push<const N: usize>(&mut self, row: impl Cells<N>) -> Result<()> {
        self.add(row.cells().into())
    }

    /// Adds a row of texts as they are.
    ///
    /// # Errors
    /// Another number of cells than the header has.
    pub fn row<C: ToString>(&mut self, cells: impl IntoIterator<Item = C>) -> Result<()> {
        self.add(cells.into_iter().map(Cell::text_of).collect())
    }

    fn add(&mut self, cells: Vec<Cell>) -> Result<()> {
        if cells.len() != self.header.len() {
            return Err(Error::Row { cells: cells.len(), columns: self.header.len() });
        }
        self.rows.push(cells);
        Ok(())
    }

    /// Whether a column is aligned right.
    fn is_right(&self, column: usize) -> bool {
        match self.text_columns {
            Some(text_columns) => column >= text_columns,
            None => self.rows.iter().any(|row| row[column].is_number()),
        }
    }

    /// The header and the rows, as they are shown.
    fn lines(&self) -> impl Iterator<Item = Vec<&str>> {
        let header = self.header.iter().map(String::as_str).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::text).collect());
        std::iter::once(header).chain(rows)
    }

    /// Shows it in an evcxr notebook.
    pub fn evcxr_display(&self) {
        at_end_of_cell(self);
    }

    /// As HTML. Colours are the page's own.
    pub fn html(&self) -> String {
        let sides: Vec<_> = (0..self.header.len())
            .map(|column| if self.is_right(column) { "right" } else { "left" })
            .collect();
        let mut html = String::from("<table><thead>");
        for (index, line) in self.lines().enumerate() {
            let tag = if index == 0 { "th" } else { "td" };
            html.push_str("<tr>");
            for (cell, side) in line.into_iter().zip(&sides) {
                // Indented names keep their spaces.
                let cell = escape(cell).replace("  ", "&emsp;");
                let _ = write!(html, "<{tag} style=\"text-align:{side}\">{cell}</{tag}>");
            }
            html.push_str("</tr>");
            if index == 0 {
                html.push_str("</thead><tbody>");
            }
        }
        html.push_str("</tbody></table>");
        html
    }
}

impl Show for Table {
    fn content(&self) -> Vec<(&'static str, String)> {
        vec![("text/html", self.html()), ("text/plain", self.to_string())]
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut columns: Vec<(bool, usize)> =
            (0..self.header.len()).map(|column| (self.is_right(column), 0)).collect();
        for line in self.lines() {
            for (cell, (_, width)) in line.into_iter().zip(&mut columns) {
                *width = cell.chars().count().max(*width);
            }
        }
        let widths: usize = columns.iter().map(|(_, width)| width).sum();
        let rule = "-".repeat(widths + 2 * columns.len().saturating_sub(1));
        for (index, cells) in self.lines().enumerate() {
            let mut line = String::new();
            for (column, (cell, &(right, width))) in cells.into_iter().zip(&columns).enumerate() {
                if column > 0 {
                    line.push_str("  ");
                }
                match right {
                    true => write!(line, "{cell:>width$}")?,
                    false => write!(line, "{cell:<width$}")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
            if index == 0 {
                writeln!(f, "{rule}")?;
            }
        }
        writeln!(f, "{rule}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Percent;

    #[test]
    fn a_row_has_as_many_cells_as_the_header() {
        let mut table = Table::new(1, &["name", "n"]);
        table.row(["a", "1"]).unwrap();
        let error = table.row(["b"]).unwrap_err().to_string();
        assert_eq!(error, "number of cells in a row is 1: the table has 2 columns");
        assert_eq!(table.push(("b", 2, 3)).unwrap_err(), Error::Row { cells: 3, columns: 2 });
        table.push(("b", 2000)).unwrap();
        assert!(table.lines().eq([["name", "n"], ["a", "1"], ["b", "2,000"]]));
    }

    #[test]
    fn text_is_aligned_and_html_escaped() {
        let rows = [["a<b", "1"], ["  c", "234"]].map(|row| row.map(String::from));
        let table = Table::of(1, ["name", "n"], rows);
        let rule = "---------";
        let expected = format!("name    n\n{rule}\na<b     1\n  c   234\n{rule}\n");
        assert_eq!(table.to_string(), expected);
        assert!(table.html().contains("a&lt;b") && table.html().contains("&emsp;c"));
    }

    #[test]
    fn columns_with_numbers_are_aligned_right() {
        let table = table![
            "name", "n", format!("{} right", "test");
            ("a", 1234, Percent(0.5)),
            ("bcdefg", "none", "unknown"),
        ];
        let rule = "-".repeat(25);
        let expected = format!(
            "name        n  test right\n{rule}\na       1,234      50.0 %\n\
             bcdefg   none     unknown\n{rule}\n"
        );
        assert_eq!(table.to_string(), expected);
        let html = table.html();
        assert!(html.contains("left\">name<") && html.contains("right\">none<"), "{html}");
    }

    #[test]
    fn all_ways_to_a_table_give_the_same() {
        let rows = [("a", 1), ("b", 2)];
        let written = table!["name", "n"; ("a", 1), ("b", 2)];
        let mut pushed = table!["name", "n"];
        for row in rows {
            pushed.push(row).unwrap();
        }
        let name = String::from("name");
        for other in [
            table![name, "n"; ..&rows],
            table!["name", "n"; ..rows.into_iter().filter(|_| true)],
            Table::from_rows(["name", "n"], rows),
            pushed,
        ] {
            assert_eq!(other, written);
        }
        assert_eq!(table!["n"].to_string(), "n\n-\n-\n");
    }
}
