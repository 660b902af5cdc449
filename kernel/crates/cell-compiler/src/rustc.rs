//! The one call of rustc that compiles a cell, and the one that compiles what cells share.

use std::env::consts::DLL_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cell_program::{FOLDERS, Source};

/// How cells are compiled.
#[derive(Debug, Clone)]
pub struct Rustc {
    /// The compiler.
    pub program: PathBuf,
    /// Where their sources and libraries are.
    pub folder: PathBuf,
    /// The library that they share.
    pub support: PathBuf,
    /// How much they are optimised: `0` to `3`.
    pub level: String,
    /// The edition of the language.
    pub edition: String,
    /// What names the crates that they may use.
    pub crates: Vec<String>,
    /// Variables of the compiler's environment.
    pub environment: Vec<(String, String)>,
}

/// What came of an attempt.
pub(crate) struct Output {
    pub(crate) succeeded: bool,
    pub(crate) messages: String,
    pub(crate) mir: String,
    pub(crate) library: PathBuf,
}

impl Rustc {
    /// Compiles a program.
    pub(crate) fn compile(&self, source: &Source) -> Result<Output> {
        fs::create_dir_all(self.folder.join("out"))?;
        for file in &source.files {
            let path = self.folder.join(&file.path);
            if fs::read_to_string(&path).is_ok_and(|there| there == file.text) {
                continue;
            }
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, &file.text)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        let root = self.folder.join(&source.name);
        fs::write(&root, &source.text)
            .with_context(|| format!("{} cannot be written", root.display()))?;
        let mut command = Command::new(&self.program);
        let suffix = source.name.replace(' ', "-");
        command
            .current_dir(&self.folder)
            .args(["--crate-name", "cell", "--crate-type", "cdylib", "--emit", "link,mir"])
            .args(["--edition", &self.edition, "--out-dir", "out"])
            .args(diagnose::OPTIONS)
            .args(FOLDERS.map(|(folder, _)| format!("--remap-path-prefix={folder}/=")))
            .args(FOLDERS.iter().flat_map(|(folder, _)| {
                // Of several that fit, the last counts. A name with an = in it cannot be given.
                let named = source.copies.iter().filter(|(_, shown)| !shown.contains('='));
                named.map(move |(copy, shown)| {
                    format!("--remap-path-prefix={folder}/../{copy}={shown}")
                })
            }))
            .args(["--remap-path-scope", "macro"])
            .args(["-C", "prefer-dynamic", "-C", &format!("opt-level={}", self.level)])
            // Sums that overflow and the like are errors, as under `cargo run`; not as under `--release`.
            .args([
                "-C",
                if self.level == "3" { "debug-assertions=no" } else { "debug-assertions=yes" },
            ])
            .args(["-C", "codegen-units=1", "-C", &format!("extra-filename=-{suffix}")])
            // A panic in a crate names the line of the cell that called it.
            .args(["-C", "debuginfo=line-tables-only"])
            .arg("--extern")
            .arg(format!("rust_live={}", self.support.display()))
            .args(&self.crates)
            .arg(&source.name)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command
            .output()
            .with_context(|| format!("{} does not start", self.program.display()))?;
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&output.status) {
            anyhow::bail!("the compiler was ended by signal {signal}");
        }
        let out = self.folder.join("out");
        let mir = out.join(format!("cell-{suffix}.mir"));
        let library = out.join(format!("libcell-{suffix}{DLL_SUFFIX}"));
        let succeeded = output.status.success();
        let mir = if succeeded {
            fs::read_to_string(&mir).with_context(|| format!("{} cannot be read", mir.display()))?
        } else {
            String::new()
        };
        Ok(Output { succeeded, messages, mir, library })
    }
}

/// Tells the linker by which name a library is found.
const OWN_NAME: &str =
    if cfg!(target_os = "macos") { "-Wl,-install_name,@rpath/" } else { "-Wl,-soname," };

/// The files of the library that cells share.
const SUPPORT: [(&str, &str); 7] = [
    ("brief.rs", include_str!("../../../src/support/brief.rs")),
    ("comms.rs", include_str!("../../../src/support/comms.rs")),
    ("lib.rs", include_str!("../../../src/support/lib.rs")),
    ("process.rs", include_str!("../../../src/support/process.rs")),
    ("show.rs", include_str!("../../../src/support/show.rs")),
    ("table.rs", include_str!("../../../src/support/table.rs")),
    ("variables.rs", include_str!("../../../src/support/variables.rs")),
];

/// Compiles the library that cells share into a folder, where it is not there yet. `version` is what the
/// compiler says of itself.
///
/// # Errors
/// A folder that cannot be written, or a compiler that does not compile it.
pub fn build_support(rustc: &Path, version: &str, folder: &Path) -> Result<PathBuf> {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (SUPPORT, version).hash(&mut hasher);
    let place = folder.join(format!("support-{:016x}", hasher.finish()));
    let name = format!("librust_live{DLL_SUFFIX}");
    let library = place.join(&name);
    if library.is_file() {
        return Ok(library);
    }
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    remove_old(folder);
    // Two sessions may begin at once: each makes its own, and the last one's name stays.
    let work = folder.join(format!("support-{}.new", std::process::id()));
    // Messages name the files so: by it they are known as the kernel's own.
    let sources = work.join("rust_live");
    fs::create_dir_all(&sources)?;
    for (name, text) in SUPPORT {
        fs::write(sources.join(name), text)?;
    }
    let output = Command::new(rustc)
        .current_dir(&work)
        .args(["--crate-name", "rust_live", "--crate-type", "dylib", "--edition", "2024", "-O"])
        .args(["-C", "prefer-dynamic", "-C", "rpath", "-C", &format!("link-arg={OWN_NAME}{name}")])
        .args(["-o", &name, "rust_live/lib.rs"])
        .output()
        .with_context(|| format!("{} does not start", rustc.display()))?;
    ensure!(
        output.status.success(),
        "what cells share does not compile with this rustc:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if fs::rename(&work, &place).is_err() {
        // Another session was faster.
        ensure!(library.is_file(), "{} cannot be made", place.display());
        fs::remove_dir_all(&work)?;
    }
    Ok(library)
}

/// How long what was compiled for another compiler or another kernel is kept: a session may still start its
/// process with it.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Removes what nobody has made for a month. What cannot be removed takes a little room.
fn remove_old(folder: &Path) {
    let made = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_support =
        |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("support-");
    for entry in made.filter(is_support) {
        let age = entry.metadata().and_then(|data| data.modified()).map(|made| made.elapsed());
        if let Ok(Ok(age)) = age
            && age > KEPT
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            log::info!("{} cannot be removed: {error}", entry.path().display());
        }
    }
}
