//! Takes programs apart into the cells of notebooks: their items, then a statement each. Standard input is programs,
//! standard output their cells; a zero byte stands between programs, and the separator of records between cells.

use std::io::{Read as _, Write as _};
use std::path::Path;

use cell_program::Program;

const CELLS: &str = "\u{1e}";
const PROGRAMS: &str = "\0";

fn main() -> std::io::Result<()> {
    let mut programs = String::new();
    std::io::stdin().read_to_string(&mut programs)?;
    let programs: Vec<String> = programs.split(PROGRAMS).map(cells).collect();
    std::io::stdout().write_all(programs.join(PROGRAMS).as_bytes())
}

fn cells(code: &str) -> String {
    let cell = Program::default().parse(1, code, Path::new("/"));
    let items: Vec<&str> = cell.items.iter().map(|item| &code[item.range.clone()]).collect();
    let statements = cell.statements().iter().map(|range| code[range.clone()].to_owned());
    let first = (!items.is_empty()).then(|| items.join("\n"));
    first.into_iter().chain(statements).collect::<Vec<_>>().join(CELLS)
}
