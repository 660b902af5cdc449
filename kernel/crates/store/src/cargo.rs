//! How cargo is called, and what it answers.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde::Deserialize;

use crate::apart::Units;
use crate::error::{Error, is_full, tells_of_a_bus_error, tells_of_no_room};
use crate::inputs::Environment;
use crate::place::{CALL, Place, Toolchain};
use crate::process::{Interrupter, Output};
use crate::said::Said;

/// Of the package, which is an empty crate.
pub(crate) const SOURCE: &str = "src/lib.rs";

/// Asks cargo what it would compile.
const UNIT_GRAPH: &str = "--unit-graph";

/// What cargo is asked for.
pub(crate) struct Request<'a> {
    /// The folder of the manifest.
    pub folder: &'a Path,
    /// Where it puts what it makes.
    pub place: &'a Place,
    /// The compiler.
    pub toolchain: &'a Toolchain,
    /// What the session has set.
    pub variables: &'a Environment,
    /// Whether the versions must stay as they are.
    pub locked: bool,
}

/// What cargo has told of a build.
#[derive(Debug, Default)]
pub(crate) struct Built {
    /// What it compiled, or had compiled.
    pub artifacts: Vec<Artifact>,
    /// Build scripts that ran, or had run.
    pub scripts: Vec<Script>,
    /// How rustc is called for a crate that depends on all of it.
    pub call: Vec<String>,
}

/// A package, by its own name and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageId {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it lies on this machine, and may be changed.
    pub local: bool,
    /// As cargo writes it.
    pub text: String,
}

/// Something that was compiled.
#[derive(Debug, Clone)]
pub(crate) struct Artifact {
    /// Of which package.
    pub package: PackageId,
    /// The folder of that package.
    pub folder: PathBuf,
    /// The name of the crate.
    pub name: String,
    /// `lib`, `proc-macro`, `custom-build` and others.
    pub kinds: Vec<String>,
    /// The features that are on.
    pub features: Vec<String>,
    /// The files, by their full paths.
    pub files: Vec<PathBuf>,
    /// Whether it was there already.
    pub fresh: bool,
}

/// A build script that ran.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// Of which package.
    pub package: PackageId,
    /// The folder into which it wrote.
    pub out: PathBuf,
}

/// A build that did not come to a good end.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whether cargo had all crates and began to compile.
    pub began: bool,
    /// What it wrote.
    pub stderr: String,
    /// What rustc says about crates, each with the crate.
    pub errors: Vec<(PackageId, String)>,
    /// What there is all the same.
    pub built: Built,
}

/// A line of cargo's standard output; what is not named here is passed over.
#[derive(Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Line {
    CompilerArtifact {
        package_id: String,
        manifest_path: PathBuf,
        target: Target,
        features: Vec<String>,
        filenames: Vec<PathBuf>,
        fresh: bool,
    },
    BuildScriptExecuted {
        package_id: String,
        out_dir: PathBuf,
    },
    CompilerMessage {
        package_id: String,
        message: Diagnostic,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
}

impl PackageId {
    /// From the text by which cargo names it.
    pub(crate) fn of(text: &str) -> PackageId {
        let (place, end) = text.rsplit_once('#').unwrap_or((text, ""));
        let (name, version) = end.split_once('@').unwrap_or_else(|| {
            // The name is left out where the place ends with it.
            let place = place.split('?').next().unwrap_or(place);
            (place.rsplit('/').next().unwrap_or(place), end)
        });
        PackageId {
            name: name.to_owned(),
            version: version.to_owned(),
            local: text.starts_with("path+"),
            text: text.to_owned(),
        }
    }

    /// For readers: with the folder, where it is on this machine.
    fn described(&self) -> String {
        let PackageId { name, version, .. } = self;
        match folder(&self.text) {
            Some(folder) => format!("{name} v{version} ({folder})"),
            None => format!("{name} v{version}"),
        }
    }
}

/// The folder of a package on this machine, by what cargo calls it: an address, in which a space or a letter
/// outside of ASCII is written in hexadecimal digits.
pub(crate) fn folder(id: &str) -> Option<String> {
    let text = id.strip_prefix("path+file://")?.split(['#', '?']).next()?;
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

impl Request<'_> {
    /// Calls cargo once. The outer error is one of calling it.
    ///
    /// # Errors
    /// A cargo that does not start, or is killed.
    pub(crate) fn build(
        &self,
        offline: bool,
        interrupter: &Interrupter,
        say: &dyn Fn(Said<'_>),
    ) -> Result<Result<Built, Failure>, Error> {
        let call = self.folder.join("call");
        match fs::remove_file(&call) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context("the last call cannot be removed")?;
            }
            _ => {}
        }
        // Compiled whenever cargo is asked: its call is what is wanted. It is an empty crate.
        shared::files::replace(&self.folder.join(SOURCE), b"")?;
        let mut cargo = self.command();
        cargo.args(["build", "--lib", "--message-format", "json"]);
        cargo.args(offline.then_some("--offline")).args(self.locked.then_some("--locked"));
        cargo.env("RUSTC_WORKSPACE_WRAPPER", self.place.recorder()).env(CALL, &call);
        let output = heard(&mut cargo, interrupter, say)?;
        let (mut built, errors) = messages(&output.stdout, self.folder);
        if output.status.success() {
            let bytes = fs::read(&call).context("cargo did not say how it calls rustc")?;
            let arguments = bytes.split(|byte| *byte == 0);
            built.call = arguments.map(|a| String::from_utf8_lossy(a).into_owned()).collect();
            return Ok(Ok(built));
        }
        let began = !built.artifacts.is_empty()
            || !errors.is_empty()
            || output.stderr.lines().any(|line| line.trim_start().starts_with("Compiling "));
        let Output { stderr, .. } = output;
        Ok(Err(Failure { began, stderr, errors, built }))
    }

    /// What cargo would compile. Nothing is compiled, and nothing of the store is touched.
    ///
    /// # Errors
    /// A cargo that does not start, or is killed; within, one that fails.
    pub(crate) fn units(
        &self,
        offline: bool,
        interrupter: &Interrupter,
        say: &dyn Fn(Said<'_>),
    ) -> Result<Result<Units, Failure>, Error> {
        shared::files::replace(&self.folder.join(SOURCE), b"")?;
        let mut cargo = self.command();
        cargo.args(["build", "--lib", "-Z", "unstable-options", UNIT_GRAPH]);
        cargo.args(offline.then_some("--offline")).args(self.locked.then_some("--locked"));
        // Cargo tells this to nightly compilers only. What rustc answers then must not be kept for builds.
        cargo.env("RUSTC_BOOTSTRAP", "1");
        for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"] {
            cargo.env(name, self.folder.join("target"));
        }
        let output = heard(&mut cargo, interrupter, say)?;
        let Output { status, stdout, mut stderr } = output;
        if status.success() {
            match serde_json::from_slice(&stdout) {
                Ok(units) => return Ok(Ok(units)),
                Err(error) => stderr = format!("error: {UNIT_GRAPH} is not understood: {error}"),
            }
        }
        Ok(Err(Failure { began: false, stderr, errors: Vec::new(), built: Built::default() }))
    }

    fn command(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(self.folder).envs(self.variables);
        cargo.env("CARGO_TARGET_DIR", self.place.target());
        cargo.env("CARGO_BUILD_BUILD_DIR", self.place.target());
        cargo.env("RUSTFLAGS", &self.toolchain.flags).env_remove("CARGO_ENCODED_RUSTFLAGS");
        cargo.env("CARGO_INCREMENTAL", "0");
        // Without it, local dynamic libraries of all features would be of one name.
        cargo.env("__CARGO_DEFAULT_LIB_METADATA", "cells");
        for (name, value) in [
            ("COLOR", "never"),
            ("PROGRESS_WHEN", "never"),
            ("QUIET", "false"),
            ("VERBOSE", "false"),
        ] {
            cargo.env(format!("CARGO_TERM_{name}"), value);
        }
        cargo
    }
}

/// Runs cargo to its end; what it does is told as it happens.
fn heard(
    cargo: &mut Command,
    interrupter: &Interrupter,
    say: &dyn Fn(Said<'_>),
) -> Result<Output, Error> {
    interrupter.run(cargo, &mut |line| {
        if let Some(said) = progress(line) {
            say(Said::Progress(&said));
        }
    })
}

/// What cargo says about all but the package in a folder.
fn messages(stdout: &[u8], own: &Path) -> (Built, Vec<(PackageId, String)>) {
    let mut built = Built::default();
    let mut errors = Vec::new();
    for line in stdout.split(|byte| *byte == b'\n') {
        // Build scripts may write lines of their own.
        match serde_json::from_slice(line) {
            Ok(Line::CompilerArtifact {
                package_id,
                manifest_path,
                target,
                features,
                filenames,
                fresh,
            }) => {
                let folder = manifest_path.parent().unwrap_or(Path::new("/")).to_owned();
                if folder == own {
                    continue;
                }
                built.artifacts.push(Artifact {
                    package: PackageId::of(&package_id),
                    folder,
                    name: target.name.replace('-', "_"),
                    kinds: target.kind,
                    features,
                    files: filenames.into_iter().map(beside_the_others).collect(),
                    fresh,
                });
            }
            Ok(Line::BuildScriptExecuted { package_id, out_dir }) => {
                built.scripts.push(Script { package: PackageId::of(&package_id), out: out_dir });
            }
            Ok(Line::CompilerMessage { package_id, message }) if message.level == "error" => {
                let rendered = message.rendered.unwrap_or_default();
                errors.push((PackageId::of(&package_id), rendered));
            }
            _ => {}
        }
    }
    (built, errors)
}

/// Cargo names a dynamic library by a link of it without a hash, which the next one of that name replaces.
fn beside_the_others(file: PathBuf) -> PathBuf {
    let Some(folder) = file.parent().map(|folder| folder.join("deps")) else { return file };
    let inode = |path: &Path| path.metadata().ok().map(|data| data.ino());
    let same = |path: &PathBuf| inode(path) == inode(&file);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).find(same).unwrap_or(file)
}

/// What a reader is told of a line that cargo writes.
fn progress(line: &str) -> Option<String> {
    let line = line.trim();
    if line.starts_with("Blocking waiting for file lock") {
        return Some(WAITING.to_owned());
    }
    let first = line.split(' ').next()?;
    let told = ["Compiling", "Downloading", "Downloaded", "Updating"].contains(&first);
    let own = line.starts_with("Compiling cells v0.0.0 ");
    (told && !own).then(|| line.to_owned())
}

/// What a reader is told while another session compiles.
pub(crate) const WAITING: &str = "waiting for another notebook that compiles crates";

impl Failure {
    /// What tells that the disk of a folder is full or closed, if that is why.
    pub(crate) fn no_room(&self, folder: &Path) -> Option<String> {
        let texts = self.errors.iter().map(|(_, text)| text.as_str());
        let mut lines = texts.chain([self.stderr.as_str()]).flat_map(str::lines);
        let line = lines.find(|line| {
            tells_of_no_room(line) || (tells_of_a_bus_error(line) && is_full(folder))
        })?;
        Some(line.trim().trim_start_matches("error: ").to_owned())
    }

    /// Whether cargo cannot say what it would compile.
    pub(crate) fn is_of_unit_graph(&self) -> bool {
        ["unstable-options", UNIT_GRAPH].iter().any(|part| self.stderr.contains(part))
    }

    /// In words for readers.
    pub(crate) fn into_error(self, offline: bool) -> Error {
        if let Some((package, _)) = self.errors.first().cloned() {
            let of_it = self.errors.into_iter().filter(|(other, _)| *other == package);
            let rendered: String = of_it.map(|(_, rendered)| rendered).collect();
            let rendered = rendered.trim_end().to_owned();
            return Error::Compile { package: package.described(), rendered };
        }
        if self.began {
            return Error::Cargo(said(&self.stderr));
        }
        let sentence = in_short(&self.stderr);
        if offline {
            return Error::Unavailable(format!("{sentence} (the network was not asked)"));
        }
        Error::Unavailable(sentence)
    }
}

/// What cargo wrote from the first error on.
fn said(stderr: &str) -> String {
    let lines: Vec<_> = stderr.lines().skip_while(|line| !line.starts_with("error")).collect();
    let text = if lines.is_empty() { stderr.to_owned() } else { lines.join("\n") };
    text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()
}

/// An error of cargo's as one sentence: what it says first, and the last cause; where that is the system's,
/// the one before it names the file.
fn in_short(stderr: &str) -> String {
    const OF_NO_USE: [&str; 6] = [
        "location searched:",
        "required by package `cells",
        "As a reminder",
        "if this error is too confusing",
        "note: ",
        "help: ",
    ];
    let text = said(stderr);
    let causes: Vec<&str> = text.split("Caused by:").collect();
    let first = causes.first().copied().unwrap_or_default();
    let is_of_system = causes.last().is_some_and(|last| last.contains("(os error "));
    let last =
        &causes[(causes.len() - if is_of_system { 2.min(causes.len()) } else { 1 }).max(1)..];
    let useful = |part: &str| -> Vec<String> {
        let lines = part.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines = lines.filter(|line| OF_NO_USE.iter().all(|start| !line.starts_with(start)));
        lines
            .map(|line| line.split(" of package `cells").next().unwrap_or(line).to_owned())
            .collect()
    };
    let mut parts = useful(first);
    parts.extend(last.iter().copied().flat_map(useful));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_as_cargo_does() {
        let id =
            PackageId::of("registry+https://github.com/rust-lang/crates.io-index#serde@1.0.229");
        assert_eq!((&*id.name, &*id.version, id.local), ("serde", "1.0.229", false));
        let id = PackageId::of("path+file:///a/one#0.1.0");
        assert_eq!((&*id.name, &*id.version, id.local), ("one", "0.1.0", true));
        assert_eq!(id.described(), "one v0.1.0 (/a/one)");
        let id = PackageId::of("path+file:///a%20b/%EB%85%B8#mine@0.1.0");
        assert_eq!(id.described(), "mine v0.1.0 (/a b/노)");
        let id = PackageId::of("git+https://e.org/x/two?branch=a/b#0.2.0");
        assert_eq!((&*id.name, &*id.version, id.local), ("two", "0.2.0", false));
    }

    #[test]
    fn an_error_is_told_in_a_sentence() {
        let stderr = "    Updating crates.io index\nerror: no matching package named `nope` found\n\
                      location searched: crates.io index\nrequired by package `cells v0.0.0 (/x)`\n\
                      As a reminder, you're using offline mode (--offline) which can\n";
        assert_eq!(in_short(stderr), "no matching package named `nope` found");
        let stderr = "error: failed to get `one` as a dependency of package `cells v0.0.0 (/x)`\n\n\
                      Caused by:\n  failed to load source\n\nCaused by:\n  no such file\n";
        assert_eq!(in_short(stderr), "failed to get `one` as a dependency; no such file");
        let stderr = "error: failed to load manifest for dependency `one`\n\nCaused by:\n  failed to read \
                      `/x/Cargo.toml`\n\nCaused by:\n  No such file or directory (os error 2)\n";
        assert_eq!(
            in_short(stderr),
            "failed to load manifest for dependency `one`; failed to read `/x/Cargo.toml`; No such \
             file or directory (os error 2)"
        );
    }

    #[test]
    fn progress_names_crates_but_not_the_cells() {
        assert_eq!(progress("   Compiling one v1.0.0").unwrap(), "Compiling one v1.0.0");
        assert_eq!(progress("   Compiling cells v0.0.0 (/x)"), None);
        assert_eq!(progress("    Finished `dev` profile"), None);
        let blocked = "    Blocking waiting for file lock on build directory";
        assert_eq!(progress(blocked).unwrap(), WAITING);
    }
}
