//! Rows of text as an aligned table for terminals and as HTML for notebooks.

use std::fmt::{self, Write};

use crate::display::{Show, at_end_of_cell, escape};
use crate::{Error, Result};

/// A table; its first columns are text, aligned left, the others numbers, aligned right. In a
/// notebook it shows itself as HTML, in a terminal it prints with aligned columns.
///
/// ```
/// use notebook::Table;
///
/// let mut table = Table::new(1, &["network", "parameters"]);
/// for (network, parameters) in [("GoogLeNet", 6_998_552), ("VGG-16", 138_357_544)] {
///     table.row([network.to_string(), parameters.to_string()])?;
/// }
/// assert!(table.to_string().contains("GoogLeNet     6998552"));
/// # Ok::<(), notebook::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    text_columns: usize,
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows, whose first `text_columns` columns are text.
    pub fn new(text_columns: usize, header: &[&'static str]) -> Table {
        Table { text_columns, header: header.to_vec(), rows: Vec::new() }
    }

    /// A table of rows that have as many cells as the header has.
    pub fn of<const N: usize>(
        text_columns: usize,
        header: [&'static str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Table {
        let rows = rows.into_iter().map(Vec::from).collect();
        Table { text_columns, header: header.to_vec(), rows }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Another number of cells than the header has.
    pub fn row<C: ToString>(&mut self, cells: impl IntoIterator<Item = C>) -> Result<()> {
        let cells: Vec<String> = cells.into_iter().map(|cell| cell.to_string()).collect();
        if cells.len() != self.header.len() {
            return Err(Error::Row { cells: cells.len(), columns: self.header.len() });
        }
        self.rows.push(cells);
        Ok(())
    }

    /// Shows it in an evcxr notebook.
    pub fn evcxr_display(&self) {
        at_end_of_cell(self);
    }

    /// As HTML. Colours are the page's own.
    pub fn html(&self) -> String {
        let mut html = String::from("<table><thead>");
        let header: Vec<_> = self.header.iter().map(ToString::to_string).collect();
        self.html_row(&mut html, "th", &header);
        html.push_str("</thead><tbody>");
        for row in &self.rows {
            self.html_row(&mut html, "td", row);
        }
        html.push_str("</tbody></table>");
        html
    }

    fn html_row(&self, html: &mut String, tag: &str, cells: &[String]) {
        html.push_str("<tr>");
        for (column, cell) in cells.iter().enumerate() {
            let side = if column < self.text_columns { "left" } else { "right" };
            // Indented names keep their spaces.
            let cell = escape(cell).replace("  ", "&emsp;");
            let _ = write!(html, "<{tag} style=\"text-align:{side}\">{cell}</{tag}>");
        }
        html.push_str("</tr>");
    }
}

impl Show for Table {
    fn content(&self) -> Vec<(&'static str, String)> {
        vec![("text/html", self.html()), ("text/plain", self.to_string())]
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header: Vec<_> = self.header.iter().map(ToString::to_string).collect();
        let widths: Vec<usize> = (0..header.len())
            .map(|column| {
                let cells =
                    self.rows.iter().chain([&header]).map(|row| row[column].chars().count());
                cells.max().unwrap_or(0)
            })
            .collect();
        let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1));
        for (index, row) in [&header].into_iter().chain(&self.rows).enumerate() {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                if column > 0 {
                    line.push_str("  ");
                }
                if column < self.text_columns {
                    write!(line, "{cell:<width$}")?;
                } else {
                    write!(line, "{cell:>width$}")?;
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

    #[test]
    fn a_row_has_as_many_cells_as_the_header() {
        let mut table = Table::new(1, &["name", "n"]);
        table.row(["a", "1"]).unwrap();
        let error = table.row(["b"]).unwrap_err().to_string();
        assert_eq!(error, "number of cells in a row is 1: the table has 2 columns");
        assert_eq!(table.rows, [["a", "1"]]);
    }

    #[test]
    fn text_is_aligned_and_html_escaped() {
        let table = Table {
            text_columns: 1,
            header: vec!["name", "n"],
            rows: vec![vec!["a<b".into(), "1".into()], vec!["  c".into(), "234".into()]],
        };
        let rule = "---------";
        let expected = format!("name    n\n{rule}\na<b     1\n  c   234\n{rule}\n");
        assert_eq!(table.to_string(), expected);
        assert!(table.html().contains("a&lt;b") && table.html().contains("&emsp;c"));
    }
}
