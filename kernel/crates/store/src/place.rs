//! The folders of a store.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::content::{hash_of, modified};
use crate::error::Error;
use crate::inputs::Environment;
use crate::process::Interrupter;

/// In the place of rustc for the package `cells`: writes down how cargo calls it, which crates are named
/// and where C libraries are looked for. Nothing else of cargo's says which of two builds of a crate
/// the cells are to get. A crate of somebody else's by that name lies at another path.
const RECORDER: &str = r#"#!/bin/sh
case " $* " in *" --crate-name cells --edition=2024 src/lib.rs "*) printf '%s\0' "$@" > "$CELL_STORE_CALL" ;; esac
exec "$@"
"#;
/// Set for the recorder: where it writes.
pub(crate) const CALL: &str = "CELL_STORE_CALL";

/// The compiler, and what all that it compiles has in common.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    /// The name of the folder in the store.
    pub name: String,
    /// `RUSTFLAGS` for cargo.
    pub flags: String,
}

impl Toolchain {
    /// The compiler that is chosen in a folder.
    ///
    /// # Errors
    /// A rustc that does not run.
    pub(crate) fn find(
        folder: &Path,
        environment: &Environment,
        interrupter: &Interrupter,
    ) -> Result<Toolchain, Error> {
        let mut rustc = Command::new("rustc");
        rustc.arg("-vV").current_dir(folder).envs(environment);
        let output = interrupter.run(&mut rustc, &mut |_| ())?;
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        let release = version.lines().find_map(|line| line.strip_prefix("release: "));
        let release = release.filter(|_| output.status.success());
        let release = release.with_context(|| format!("rustc does not run: {}", output.stderr))?;
        let own = environment.get("RUSTFLAGS").map_or("", String::as_str);
        // So that dynamic libraries, those of macros included, share the standard library.
        let flags = format!("{own} -C prefer-dynamic").trim_start().to_owned();
        let other = environment.get("CARGO_BUILD_TARGET").map_or("", String::as_str);
        let hash = hash_of([version.as_str(), flags.as_str(), other]);
        let name = format!("{release}-{}", &hash[..8]);
        Ok(Toolchain { name, flags })
    }
}

/// In the folder of a toolchain: its time is that of [`Place::seal`].
const SEAL: &str = "sealed";

/// The time until which what was made stays as it is, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed(i64);

impl Sealed {
    /// Whether a file is one of those that stay.
    pub(crate) fn holds(self, file: &fs::Metadata) -> bool {
        modified(file) <= self.0
    }
}

/// Where one toolchain's crates are kept.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The folder that holds all of it.
    pub folder: PathBuf,
}

impl Place {
    /// In the folder of a store, or of a session.
    pub(crate) fn new(root: &Path, toolchain: &Toolchain) -> Place {
        Place { folder: root.join(&toolchain.name) }
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        for folder in [self.target(), self.units(), self.graphs(), self.apart(), self.layers()] {
            fs::create_dir_all(&folder)
                .with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        let recorder = self.recorder();
        if fs::read_to_string(&recorder).is_ok_and(|text| text == RECORDER) {
            return Ok(());
        }
        shared::files::replace(&recorder, RECORDER.as_bytes())?;
        fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755))?;
        ensure!(recorder.is_file(), "{} is no file", recorder.display());
        Ok(())
    }

    /// Cargo's target directory.
    pub(crate) fn target(&self) -> PathBuf {
        self.folder.join("target")
    }

    /// Notes about what cargo has made.
    pub(crate) fn units(&self) -> PathBuf {
        self.folder.join("units")
    }

    /// Notes about what belongs to a manifest.
    pub(crate) fn graphs(&self) -> PathBuf {
        self.folder.join("graphs")
    }

    /// Notes about what is resolved apart.
    pub(crate) fn apart(&self) -> PathBuf {
        self.folder.join("apart")
    }

    /// Libraries that hold many crates.
    pub(crate) fn layers(&self) -> PathBuf {
        self.folder.join("layers")
    }

    /// Says that what is in it now stays as it is: it is part of an image.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn seal(&self) -> anyhow::Result<()> {
        let seal = self.folder.join(SEAL);
        fs::write(&seal, "").with_context(|| format!("{} cannot be written", seal.display()))
    }

    /// Until when what was made in it stays as it is.
    pub(crate) fn sealed(&self) -> Option<Sealed> {
        Some(Sealed(modified(&fs::metadata(self.folder.join(SEAL)).ok()?)))
    }

    /// The program in the place of rustc.
    pub(crate) fn recorder(&self) -> PathBuf {
        self.folder.join("rustc-recorder")
    }

    /// Held by the one that changes anything here.
    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// The folders in which cargo keeps units, one for a profile and target.
    pub(crate) fn profiles(&self) -> Vec<PathBuf> {
        let below = |folder: &Path| -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
        };
        let first = below(&self.target());
        let second = first.iter().flat_map(|folder| below(folder));
        let all = first.iter().cloned().chain(second);
        all.filter(|folder| folder.join(".fingerprint").is_dir()).collect()
    }
}
