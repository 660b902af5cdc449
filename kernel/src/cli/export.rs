//! A notebook as a Cargo project.
//!
//! What a notebook defines stands at the top level of the program, each thing as it was defined last; the
//! statements of all cells stand in one function, in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cell_program::{Cell, Choices, Main, Program, Session};
use serde_json::Value as Json;
use shared::files;
use toml::{Table, Value};

use super::kernelspec::Installed;
use crate::session::library::{self, Library};
use crate::session::{local_crate, parse_crates, tokio};

/// Shows the value at the end of a cell as the notebook does. Of the three ways the compiler takes the first
/// that there is: `()` is not shown, then comes `Debug`, and what has no `Debug` is not shown either.
const SHOWING: &str = r#"
/// Shows the value at the end of a cell as the notebook does.
macro_rules! show_as_notebook {
    ($value:expr) => {
        match &($value) {
            value => {
                use as_notebook::{ByDebug as _, NotAtAll as _};
                (&as_notebook::Shown(value)).show()
            }
        }
    };
}

mod as_notebook {
    pub struct Shown<'a, T: ?Sized>(pub &'a T);

    impl Shown<'_, ()> {
        pub fn show(&self) {}
    }

    pub trait ByDebug {
        fn show(&self);
    }

    impl<T: std::fmt::Debug + ?Sized> ByDebug for Shown<'_, T> {
        fn show(&self) {
            println!("{:?}", self.0);
        }
    }

    pub trait NotAtAll {
        fn show(&self);
    }

    impl<T: ?Sized> NotAtAll for &Shown<'_, T> {
        fn show(&self) {}
    }
}
"#;

/// Runs a future where the notebook's crates bring nothing that does.
const WAITING: &str = r"
/// Waits for a future as the notebook does.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);

    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
";

/// What a project is made of.
#[derive(Debug, Default)]
struct Project {
    program: Program,
    /// `#![..]` of all cells.
    attributes: Vec<String>,
    /// Functions `main` of cells, by the names that they have in the project.
    mains: Vec<String>,
    /// The statements of all cells, and what is written between them.
    body: String,
    crates: BTreeMap<String, Value>,
    edition: String,
    waits: bool,
}

/// Writes the project into a new folder.
pub(super) fn export(file: &Path, folder: &Path, say: &dyn Fn(&str)) -> Result<()> {
    let is_used =
        folder.exists() && fs::read_dir(folder).map_or(true, |mut all| all.next().is_some());
    ensure!(
        !is_used,
        "{} is there already: name a folder that is not, or is empty",
        folder.display()
    );
    let read = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let cells: Json = serde_json::from_slice(&read)
        .with_context(|| format!("{} is no notebook", file.display()))?;
    let cells = cells["cells"].as_array();
    let cells = cells.with_context(|| format!("{} holds no cells", file.display()))?;
    let file = file.canonicalize()?;
    let base = file.parent().context("a notebook lies in a folder")?;
    let mut project = Project { edition: "2024".into(), ..Project::default() };
    let mut number = 0;
    for cell in cells {
        let text = library::source(&cell["source"]);
        if cell["cell_type"] == "code" {
            number += 1;
            project.take(number, &text, base, say)?;
        } else {
            project.body.push_str(&commented(&text));
        }
    }
    project.add_library(base, cells)?;
    let folder = std::path::absolute(folder)?;
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let folder = folder.canonicalize()?;
    let name = project.name(&file);
    let main = folder.join("src/main.rs");
    let title = file.file_name().unwrap_or_default().to_string_lossy();
    files::replace(&main, project.source(&title, base).as_bytes())?;
    for (_, module) in project.program.module_files() {
        cell_compiler::copy_module(module, &folder.join("src").join(&module.name))?;
    }
    format(&main, &project.edition);
    if let Ok(versions) = fs::read_to_string(file.with_extension("lock")) {
        // The package of a session is the project's.
        let versions = versions.replace("name = \"cells\"", &format!("name = {name:?}"));
        files::replace(&folder.join("Cargo.lock"), versions.as_bytes())?;
    }
    files::replace(&folder.join("Cargo.toml"), project.manifest(&name, &folder)?.as_bytes())?;
    say(&format!("{} is a Cargo project now: cargo run in it runs the notebook", folder.display()));
    Ok(())
}

impl Project {
    /// Takes in a cell.
    fn take(&mut self, number: usize, text: &str, base: &Path, say: &dyn Fn(&str)) -> Result<()> {
        let cell = self.program.parse(number, text, base);
        let _ = writeln!(self.body, "\n// Cell {number}");
        if cell.is_broken {
            say(&format!("cell {number} is no Rust: it is a comment in the project"));
            self.body.push_str(&commented(text));
            return Ok(());
        }
        for command in &cell.commands {
            match command.name.as_str() {
                "dep" => {
                    let (found, _) = parse_crates(&command.argument, base)
                        .with_context(|| format!("cell {number}"))?;
                    for mut one in found {
                        if let Some(path) = one.spec.get_mut("path") {
                            let place = base.join(path.as_str().unwrap_or_default());
                            *path = place.to_string_lossy().into_owned().into();
                        }
                        self.crates.insert(one.name, one.spec);
                    }
                }
                "edition" => {
                    command.argument.clone_into(&mut self.edition);
                    self.program.set_edition(&self.edition);
                }
                _ => {}
            }
        }
        for name in cell.extern_crates() {
            if !self.crates.keys().any(|known| known.replace('-', "_") == name) {
                self.crates.insert(name, "*".into());
            }
        }
        self.attributes.extend(cell.attributes.iter().cloned());
        self.waits |= cell.has_future();
        self.body.push_str(&statements(&cell, base));
        self.body.push('\n');
        if let Some(main) = cell.main() {
            let name = format!("main_of_cell_{number}");
            let wait = if main.main == Some(Main::Async) { ".await" } else { "" };
            let _ = writeln!(self.body, "std::process::Termination::report({name}(){wait});");
            self.mains.push(main.text.replacen("fn main", &format!("fn {name}"), 1));
        }
        // As after the cell was run: what it replaces is gone, what it declares is there.
        let choices = Choices::default();
        let source = self.program.source(&cell, &Session::default(), &choices);
        self.program.define(&cell, &source, &choices);
        let declared = cell.variables(&BTreeSet::new());
        let declared: Vec<_> =
            declared.into_iter().map(|one| (one.name.clone(), String::new())).collect();
        self.program.leave(&cell, &source, &choices, &declared);
        Ok(())
    }

    /// The crate that the kernel was installed for, if a cell names it.
    fn add_library(&mut self, base: &Path, cells: &[Json]) -> Result<()> {
        let Some(folder) = Installed::find(None).and_then(|installed| installed.library()) else {
            return Ok(());
        };
        let known = Library::of(&folder);
        let code = cells.iter().filter(|cell| cell["cell_type"] == "code");
        let is_named =
            code.map(|cell| library::source(&cell["source"])).any(|cell| known.is_named_in(&cell));
        if is_named && !self.crates.contains_key(&known.package) {
            let found = local_crate(&folder.to_string_lossy(), base)?;
            self.crates.insert(found.name, found.spec);
        }
        Ok(())
    }

    /// The name of the package: the notebook's, as cargo allows it.
    fn name(&self, file: &Path) -> String {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        let name: String = stem
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
            .collect();
        let name = name.trim_matches('-');
        // Cargo has names that mean something else, and a crate of the notebook's may bear this one.
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_taken = self.crates.contains_key(name);
        if begins && !is_taken && syntax_allows(name) {
            return name.to_owned();
        }
        format!("notebook-{name}").trim_end_matches('-').to_owned()
    }

    /// Whether futures run on tokio: crates that give them may need it, whether it is named or not.
    fn has_tokio(&self) -> bool {
        self.waits && !self.crates.is_empty()
    }

    fn source(&self, title: &str, base: &Path) -> String {
        let mut text = format!("//! The notebook {title}, exported.\n\n");
        text.push_str(
            "// What a notebook defines and does not use is there to be read.\n#![allow(unused)]\n",
        );
        for attribute in &self.attributes {
            let _ = writeln!(text, "{attribute}");
        }
        let names = self.program.item_names();
        for import in self.program.plain_imports() {
            // What the notebook defines itself goes before what it imports.
            let name = import.trim_end_matches(';').rsplit([':', ' ']).next().unwrap_or_default();
            if !names.contains(name) {
                let _ = writeln!(text, "{import}");
            }
        }
        text.push_str(SHOWING);
        let items = self.program.plain_items(base);
        let (heads, rest): (Vec<_>, Vec<_>) =
            items.iter().partition(|(item, _)| item.place != cell_program::Place::Items);
        for (item, code) in heads.into_iter().chain(rest) {
            if item.main.is_none() {
                let _ = write!(text, "\n{code}\n");
            }
        }
        for main in &self.mains {
            let _ = write!(text, "\n{main}\n");
        }
        let result = "Result<(), Box<dyn std::error::Error>>";
        if self.waits {
            let waits = if self.has_tokio() {
                "tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(cells())"
            } else {
                text.push_str(WAITING);
                "wait_for(cells())"
            };
            let _ = write!(
                text,
                "\nfn main() -> {result} {{\n    {waits}\n}}\n\nasync fn cells() -> {result} {{\n"
            );
        } else {
            let _ = write!(text, "\nfn main() -> {result} {{\n");
        }
        text + &self.body + "\nOk(())\n}\n"
    }

    fn manifest(&self, name: &str, folder: &Path) -> Result<String> {
        let mut crates = Table::new();
        for (name, spec) in &self.crates {
            let mut spec = spec.clone();
            if let Some(path) = spec.get_mut("path") {
                let place = PathBuf::from(path.as_str().unwrap_or_default());
                let place = place.canonicalize().unwrap_or(place);
                *path = relative(folder, &place).to_string_lossy().into_owned().into();
            }
            crates.insert(name.clone(), spec);
        }
        if self.has_tokio() && !crates.contains_key("tokio") {
            crates.insert("tokio".into(), tokio("1"));
        }
        let package = Table::from_iter([
            ("name".to_owned(), Value::from(name)),
            ("version".to_owned(), "0.1.0".into()),
            ("edition".to_owned(), self.edition.as_str().into()),
        ]);
        // Cells are optimised, too.
        let dev = Table::from_iter([("opt-level".to_owned(), Value::from(2))]);
        let manifest = Table::from_iter([
            ("package".to_owned(), Value::from(package)),
            ("dependencies".to_owned(), crates.into()),
            ("profile".to_owned(), Table::from_iter([("dev".to_owned(), dev.into())]).into()),
            // Wherever the folder lies, the project is one of its own.
            ("workspace".to_owned(), Table::new().into()),
        ]);
        Ok(toml::to_string(&manifest)?)
    }
}

/// The statements of a cell, with its commands as comments.
fn statements(cell: &Cell, base: &Path) -> String {
    let is_value = cell.closing.as_ref().is_some_and(|closing| {
        let text = &cell.text[closing.range.clone()];
        // A macro in braces is a statement, and one that never returns has no value.
        let never = ["panic!", "todo!", "unimplemented!", "unreachable!"];
        !closing.is_macro
            || !text.ends_with('}') && !never.iter().any(|name| text.starts_with(name))
    });
    let show = if is_value { ("show_as_notebook!(", ");") } else { ("", ";") };
    let text = cell.plain_statements(Some(show), base);
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    for command in &cell.commands {
        let line = cell.text[..command.range.start].matches('\n').count();
        if let Some(line) = lines.get_mut(line) {
            *line = format!("// {}", cell.text[command.range.clone()].trim());
        }
    }
    lines.join("\n")
}

fn commented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("// {line}").trim_end().to_owned() + "\n");
    format!("\n{}", lines.collect::<String>())
}

/// Whether cargo takes this as a name; keywords and names of its own it does not.
fn syntax_allows(name: &str) -> bool {
    const TAKEN: [&str; 10] = [
        "test",
        "core",
        "std",
        "alloc",
        "proc_macro",
        "proc-macro",
        "build",
        "deps",
        "examples",
        "incremental",
    ];
    let edition = ra_ap_syntax::Edition::Edition2024;
    !TAKEN.contains(&name) && ra_ap_syntax::SyntaxKind::from_keyword(name, edition).is_none()
}

/// A path from one folder to another.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(to.components().skip(shared)).collect();
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}

/// Where rustfmt is installed and understands the program, it is formatted.
fn format(main: &Path, edition: &str) {
    let done = Command::new("rustfmt").args(["--edition", edition]).arg(main).output();
    match done {
        Ok(output) if output.status.success() => {}
        Ok(output) => log::info!("rustfmt: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => log::info!("rustfmt: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(cells: &[(&str, &str)]) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let cells: Vec<_> = cells
            .iter()
            .map(|(kind, text)| serde_json::json!({"cell_type": kind, "source": text}))
            .collect();
        let file = folder.path().join("My notes.ipynb");
        fs::write(&file, serde_json::json!({"cells": cells}).to_string()).unwrap();
        fs::create_dir_all(folder.path().join("near")).unwrap();
        let project = folder.path().join("out/project");
        export(&file, &project, &|_| ()).unwrap();
        let read = |name: &str| fs::read_to_string(project.join(name)).unwrap();
        (read("src/main.rs"), read("Cargo.toml"))
    }

    #[test]
    fn the_last_definition_of_each_stands_at_the_top_level_and_statements_in_main() {
        let (main, manifest) = exported(&[
            ("markdown", "# Title\ntext"),
            ("code", "use std::fmt::Write;\nfn f() -> i32 { 1 }\nlet a = f();"),
            ("code", "!ls\n:vars\nfn f() -> i32 { 2 }\nlet b = a + f()"),
            ("code", "b * 2"),
            ("code", "#[test]\nfn holds() { assert_eq!(f(), 2); }"),
        ]);
        let (top, body) = main.split_once("fn main()").unwrap();
        assert!(top.contains("use std::fmt::Write;") && !top.contains("pub(crate)"), "{main}");
        let f = top.replace(char::is_whitespace, "");
        assert!(f.contains("fnf()->i32{2}") && !f.contains("fnf()->i32{1}"), "{main}");
        assert!(top.contains("#[test]"), "{main}");
        for line in ["// # Title", "// text", "// !ls", "// :vars", "let b = a + f();"] {
            assert!(body.contains(line), "{line}: {main}");
        }
        assert!(body.contains("show_as_notebook!(b * 2);"), "{main}");
        assert!(!body.contains("fn f()"), "{main}");
        let manifest: Table = manifest.parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("my-notes"));
    }

    #[test]
    fn crates_are_named_with_paths_from_the_project() {
        let (_, manifest) = exported(&[
            ("code", ":dep near = { path = \"near\", features = [\"x\"] }\n:dep itoa = \"1\""),
            ("code", ":dep itoa = \"1.0\"\nasync fn f() {}\nf().await"),
        ]);
        let manifest: Table = manifest.parse().unwrap();
        let crates = &manifest["dependencies"];
        assert_eq!(crates["near"]["path"].as_str(), Some("../../near"));
        assert_eq!(crates["itoa"].as_str(), Some("1.0"));
        assert!(crates.get("tokio").is_some());
        let (main, manifest) = exported(&[("code", "async fn f() {}\nf().await")]);
        assert!(main.contains("wait_for(cells())") && !manifest.contains("tokio"), "{main}");
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.ipynb");
        fs::write(&file, r#"{"cells": []}"#).unwrap();
        let error = export(&file, folder.path(), &|_| ()).unwrap_err().to_string();
        assert!(error.contains("there already"), "{error}");
        fs::write(&file, "nonsense").unwrap();
        let error = export(&file, &folder.path().join("b"), &|_| ()).unwrap_err().to_string();
        assert!(error.contains("no notebook"), "{error}");
        assert!(!folder.path().join("b").exists());
    }

    #[test]
    fn paths_lead_up_and_down() {
        for (from, to, path) in [
            ("/a/b", "/a/c/d", "../c/d"),
            ("/a", "/a/b", "b"),
            ("/a/b", "/a", ".."),
            ("/a", "/a", "."),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), Path::new(path));
        }
    }
}
