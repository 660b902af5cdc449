//! Rows of text as an aligned table for terminals and as HTML for notebooks, and numbers as people
//! write them.

use std::fmt::{self, Write};

use crate::{Error, Result};

/// A table; its first columns are text, aligned left, the others numbers, aligned right. In a
/// notebook it shows itself as HTML, in a terminal it prints with aligned columns.
///
/// ```
/// use googlenet_lib::prelude::*;
///
/// let mut table = Table::new(1, &["network", "parameters"]);
/// for spec in [&spec::SEED, &spec::COMPACT] {
///     table.row([spec.name.to_string(), spec.cost()?.total.parameters.to_string()])?;
/// }
/// assert!(table.to_string().contains("SEED        5979642"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub(crate) text_columns: usize,
    pub(crate) header: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows, whose first `text_columns` columns are text.
    pub fn new(text_columns: usize, header: &[&'static str]) -> Table {
        Table { text_columns, header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Another number of cells than the header has.
    pub fn row<C: ToString>(&mut self, cells: impl IntoIterator<Item = C>) -> Result<()> {
        let cells: Vec<String> = cells.into_iter().map(|cell| cell.to_string()).collect();
        if cells.len() != self.header.len() {
            let remedy = format!("the table has {} columns", self.header.len());
            return Err(Error::invalid("number of cells in a row", cells.len(), remedy));
        }
        self.rows.push(cells);
        Ok(())
    }

    /// Shows it in an evcxr notebook.
    pub fn evcxr_display(&self) {
        show(&self.html(), &self.to_string());
    }

    /// As HTML. Colours are the page's own.
    pub(crate) fn html(&self) -> String {
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

/// Text as it stands in HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Shows a value in a notebook, as HTML and, where that cannot be shown, as text.
pub(crate) fn show(html: &str, text: &str) {
    println!("EVCXR_BEGIN_CONTENT text/html\n{html}\nEVCXR_END_CONTENT");
    println!("EVCXR_BEGIN_CONTENT text/plain\n{text}\nEVCXR_END_CONTENT");
}

/// 5979642 as 5,979,642.
pub(crate) fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 112896000 as 112.9M: three or more digits and K, M, G or T for thousands.
pub(crate) fn short(value: i64) -> String {
    scaled(value, 1000.0, &["", "K", "M", "G", "T", "P", "E"])
}

/// Bytes in units of 1024.
pub(crate) fn bytes(value: i64) -> String {
    scaled(value, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

fn scaled(value: i64, step: f64, units: &[&str]) -> String {
    let mut scaled = value as f64;
    let mut unit = 0;
    // What would be rounded up to the next unit belongs to it.
    while scaled.abs() >= step - 0.05 && unit + 1 < units.len() {
        scaled /= step;
        unit += 1;
    }
    match unit {
        0 => format!("{value}{}", units[0]),
        _ => format!("{scaled:.1}{}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_write_them() {
        for (value, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (5_979_642, "5,979,642"),
            (-12_345, "-12,345"),
            (i64::MIN, "-9,223,372,036,854,775,808"),
        ] {
            assert_eq!(grouped(value), expected);
        }
        for (value, expected) in
            [(999, "999"), (1000, "1.0K"), (999_960, "1.0M"), (112_896_000, "112.9M")]
        {
            assert_eq!(short(value), expected);
        }
        assert_eq!(
            (bytes(1023), bytes(1536), bytes(3 << 30)),
            ("1023 B".into(), "1.5 KiB".into(), "3.0 GiB".into())
        );
    }

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
