//! The Python packages of the lab: requirements.in names them, requirements.txt pins all of them. Those that wheels are
//! built with are not among them: kernel/pyproject.toml pins them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The pins, and the files they come from.
#[derive(Debug)]
pub(crate) struct Pins {
    /// requirements.in: what the lab names itself.
    pub named: PathBuf,
    /// requirements.txt: those and all they bring along.
    pub complete: PathBuf,
    /// requirements.txt as it stands.
    pub text: String,
    /// Every version pinned for a package: more than one where Python versions differ.
    versions: BTreeMap<String, BTreeSet<String>>,
    names: BTreeSet<String>,
}

impl Pins {
    /// Reads both files.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let (named, complete) = (root.join("requirements.in"), root.join("requirements.txt"));
        let read = |file: &Path| {
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
        };
        let (names, text) = (read(&named)?, read(&complete)?);
        Ok(Self {
            names: requirements(&names).map(|(name, _)| name).collect(),
            versions: versions(&text),
            named,
            complete,
            text,
        })
    }

    /// The one version of a package.
    pub(crate) fn version(&self, package: &str) -> Result<&str> {
        self.versions
            .get(package)
            .and_then(|versions| versions.first())
            .map(String::as_str)
            .with_context(|| format!("{} pins no {package}", self.complete.display()))
    }

    /// The packages named in requirements.in that are not installed in a pinned version.
    pub(crate) fn missing(&self, installed: &BTreeMap<String, String>) -> Vec<&str> {
        let present =
            |name: &str| installed.get(name).is_some_and(|version| self.allows(name, version));
        self.names.iter().map(String::as_str).filter(|name| !present(name)).collect()
    }

    /// Whether an installed version is a pinned one. A local part such as +cpu, which PyTorch's
    /// own indexes add, is no difference.
    pub(crate) fn allows(&self, package: &str, version: &str) -> bool {
        let public = version.split('+').next().unwrap_or_default();
        self.versions.get(package).is_some_and(|pinned| pinned.contains(public))
    }
}

/// `NAME==VERSION` of a package that wheels are built with.
pub(crate) fn of_the_wheel(root: &Path, package: &str) -> Result<String> {
    let file = root.join("kernel/pyproject.toml");
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let named = format!("{package}==");
    let pin = text.split('"').find(|text| text.starts_with(&named));
    pin.map(str::to_owned).with_context(|| format!("{} pins no {package}", file.display()))
}

/// The name Python's packaging tools compare by.
pub(crate) fn normal_name(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace(['_', '.'], "-")
}

fn versions(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for (name, version) in requirements(text) {
        versions.entry(name).or_default().extend(version);
    }
    versions
}

/// Name and pinned version, where there is one, of every line that names a package.
fn requirements(text: &str) -> impl Iterator<Item = (String, Option<String>)> {
    text.lines().filter_map(|line| {
        let requirement = line.split(['#', ';']).next()?.trim();
        if requirement.is_empty() {
            return None;
        }
        Some(match requirement.split_once("==") {
            Some((name, version)) => (normal_name(name), Some(version.trim().to_owned())),
            None => (normal_name(requirement), None),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(names: &str, text: &str) -> Pins {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("requirements.in"), names).unwrap();
        fs::write(folder.path().join("requirements.txt"), text).unwrap();
        Pins::read(folder.path()).unwrap()
    }

    fn installed(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    }

    #[test]
    fn comments_markers_and_spelling_do_not_matter() {
        let pins = pins(
            "# a comment\nJupyter_Client\n",
            "jupyter-client==8.10.0 ; python_version >= '3.10'\n    # via something==1\n",
        );
        assert_eq!(pins.version("jupyter-client").unwrap(), "8.10.0");
        assert!(pins.version("something").unwrap_err().to_string().contains("pins no something"));
        assert!(pins.missing(&installed(&[("jupyter-client", "8.10.0")])).is_empty());
    }

    #[test]
    fn a_package_is_missing_when_absent_or_in_another_version() {
        let pins = pins("torch\nnumpy\n", "torch==2.11.0\nnumpy==2.2.6\nsix==1.0\n");
        assert_eq!(pins.missing(&installed(&[])), ["numpy", "torch"]);
        assert_eq!(pins.missing(&installed(&[("torch", "2.10.0"), ("numpy", "2.2.6")])), ["torch"]);
    }

    #[test]
    fn a_local_version_counts_as_its_public_one() {
        let pins = pins("torch\n", "torch==2.11.0\n");
        assert!(pins.allows("torch", "2.11.0+cpu"));
        assert!(!pins.allows("torch", "2.11.01"));
        assert!(!pins.allows("torch", "2.1"));
    }

    #[test]
    fn either_version_of_a_split_pin_will_do() {
        let pins = pins(
            "numpy\n",
            "numpy==1 ; python_version < '3.11'\nnumpy==2 ; python_version >= '3.11'\n",
        );
        assert!(
            pins.allows("numpy", "1") && pins.allows("numpy", "2") && !pins.allows("numpy", "3")
        );
    }

    #[test]
    fn the_repository_pins_every_package_it_names() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let pins = Pins::read(root).unwrap();
        assert!(pins.names.len() > 10);
        for name in &pins.names {
            pins.version(name).unwrap();
        }
        assert!(requirements(&pins.text).all(|(_, version)| version.is_some()));
        for name in ["maturin", "ziglang"] {
            assert!(of_the_wheel(root, name).unwrap().starts_with(&format!("{name}==")));
        }
        assert!(of_the_wheel(root, "torch").unwrap_err().to_string().contains("pins no torch"));
    }
}
