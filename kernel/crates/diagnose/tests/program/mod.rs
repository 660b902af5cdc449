//! A program as the kernel makes it of cells, and what rustc says of it.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use diagnose::{Diagnostic, Edit, Level, OPTIONS, Source, Sources, read};

/// Stands before the reader's text, on the same line.
const PREFIX: &str = "use rust_live as live; include!(\"items/cell 3\"); pub fn __rust_live_cell() \
                      -> Result<(), rust_live::Failure> { let mut __rust_live_kept = 0; ";

/// Stands behind it.
const TAIL: &str = "\n; let _ = __rust_live_kept; Ok(()) }\nfn __rust_live_end() {}\n";

/// The kernel's own library, as far as a cell needs it.
const LIBRARY: &str = "
pub struct Failure;
impl<E: std::fmt::Display> From<E> for Failure { fn from(_: E) -> Failure { Failure } }
pub fn check() {}
pub trait Show {}
impl Show for i32 {}
impl<T: Show> Show for Vec<T> {}
pub fn show<T: Show>(_: &T) {}
pub trait Kept {}
#[diagnostic::on_unimplemented(message = \"a `{Self}` cannot be kept\", label = \"this one\", note = \"it borrows\")]
pub trait Keep {}
impl Keep for i32 {}
pub fn keep<T: Keep>(_: &T) {}
#[macro_export]
macro_rules! twice { ($e:expr) => { { let q: i32 = $e; let r: bool = q; r } } }
";

/// Cell 3, of which only items are left.
const CELL_3: &str = "let n = 3;\nfn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n\
                                 struct P;\nfn double(x: i32) -> i32 { let unused = 1; x * 2 }";

/// A cell with what the kernel puts between the reader's words.
pub(crate) struct Cell {
    text: String,
    seen: String,
    edits: Vec<Edit>,
    third: &'static str,
    prefix: &'static str,
    tail: &'static str,
}

impl Cell {
    /// The reader's text as it is.
    pub(crate) fn new(text: &str) -> Cell {
        Cell {
            text: text.to_owned(),
            seen: text.to_owned(),
            edits: Vec::new(),
            third: CELL_3,
            prefix: PREFIX,
            tail: TAIL,
        }
    }

    /// `«..»` is inserted by the kernel.
    pub(crate) fn edited(marked: &str) -> Cell {
        let (mut text, mut seen, mut edits) = (String::new(), String::new(), Vec::new());
        let mut rest = marked;
        while let Some((before, behind)) = rest.split_once('«') {
            let (inserted, behind) = behind.split_once('»').expect("a pair of marks");
            text.push_str(before);
            seen.push_str(before);
            seen.push_str(inserted);
            edits.push(Edit { range: text.len()..text.len(), len: inserted.len() });
            rest = behind;
        }
        text.push_str(rest);
        seen.push_str(rest);
        Cell { text, seen, edits, third: CELL_3, prefix: PREFIX, tail: TAIL }
    }

    /// With this as cell 3, which begins with `let n = 3;`.
    pub(crate) fn after(mut self, third: &'static str) -> Cell {
        self.third = third;
        self
    }

    /// With nothing around it but an attribute.
    pub(crate) fn of_items(mut self) -> Cell {
        (self.prefix, self.tail) = ("#![allow(dead_code)] ", "\n");
        self
    }

    /// What is read of what rustc says. The notebook has the variables `n` and `data`.
    pub(crate) fn read(&self) -> Vec<Diagnostic> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        std::fs::create_dir(path.join("items")).expect("a folder");
        // The statement of cell 3 is blanked out.
        let items = self.third.replacen("let n = 3;", "          ", 1);
        std::fs::write(path.join("items/cell 3"), items).expect("cell 3");
        std::fs::write(path.join("cell 7"), format!("{}{}{}", self.prefix, self.seen, self.tail))
            .expect("cell 7");
        let output = rustc(path, &["cell 7", "--crate-name", "cell_7", "--edition=2024"]);
        let blanked = [Edit { range: 0..10, len: 10 }];
        let sources = Sources {
            cell: 7,
            files: &[
                Source {
                    name: "cell 7",
                    cell: 7,
                    text: &self.text,
                    prefix: self.prefix.len(),
                    edits: &self.edits,
                },
                Source { name: "cell 3", cell: 3, text: self.third, prefix: 0, edits: &blanked },
            ],
            variables: &["n", "data"],
            moved: &[],
            lost: &[],
        };
        let found = read(&output, &sources);
        for diagnostic in &found {
            println!("{}\n", diagnostic.rendered.join("\n"));
            let text = plain(diagnostic);
            assert!(!text.contains("rust_live"), "generated code is shown:\n{text}\n{output}");
            assert!(!text.contains("aborting due to") && !text.contains("--explain"), "{text}");
            if let (Some(place), Level::Error) = (diagnostic.primary, diagnostic.level) {
                let arrow = format!("--> cell {}:{}:{}", place.cell, place.line, place.column);
                assert!(text.contains(&arrow), "{arrow} is not in\n{text}");
            }
        }
        found
    }

    /// The only error there is, with its text.
    pub(crate) fn error(&self) -> (Diagnostic, String) {
        let mut found = self.read();
        found.retain(|diagnostic| diagnostic.level == Level::Error);
        assert_eq!(found.len(), 1, "{found:#?}");
        let error = found.remove(0);
        let text = plain(&error);
        (error, text)
    }
}

/// Without colours.
pub(crate) fn plain(diagnostic: &Diagnostic) -> String {
    let text = diagnostic.rendered.join("\n");
    let mut pieces = text.split("\x1b[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        plain.push_str(piece.split_once('m').expect("a colour").1);
    }
    plain
}

/// Calls rustc as the kernel does, but without making code.
fn rustc(folder: &Path, arguments: &[&str]) -> String {
    let library = library();
    let run = compiler()
        .current_dir(folder)
        .args(arguments)
        .args(["--crate-type=lib", "--emit=metadata", "--remap-path-prefix=items/="])
        .args(OPTIONS)
        .arg(format!("--extern=rust_live={}", library.join("librust_live.rmeta").display()))
        .output()
        .expect("rustc runs");
    String::from_utf8(run.stderr).expect("text")
}

fn compiler() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// The folder with the kernel's library, compiled once.
fn library() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("rust_live")).expect("a folder");
        std::fs::write(folder.path().join("rust_live/lib.rs"), LIBRARY).expect("the library");
        let done = compiler()
            .current_dir(folder.path())
            .args(["rust_live/lib.rs", "--crate-name=rust_live", "--crate-type=lib"])
            .args(["--emit=metadata", "--edition=2024"])
            .status()
            .expect("rustc runs");
        assert!(done.success());
        folder
    });
    folder.path()
}
