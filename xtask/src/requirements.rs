//! What requirements.in and requirements.txt say.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The two lists of Python packages.
#[derive(Debug)]
pub struct Requirements {
    /// requirements.txt: every package, with its version and, where it is not for all, its marker.
    pub file: PathBuf,
    /// The content of that file.
    pub text: String,
    /// The packages that requirements.in asks for by name.
    asked_for: Vec<String>,
}

impl Requirements {
    /// Reads both files.
    pub fn read(root: &Path) -> Result<Requirements> {
        let read = |name: &str| {
            let file = root.join(name);
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            anyhow::Ok((file, text))
        };
        let (file, text) = read("requirements.txt")?;
        let (_, asked_for) = read("requirements.in")?;
        let asked_for = packages(&asked_for).map(|line| name(line).replace('_', "-")).collect();
        Ok(Requirements { file, text, asked_for })
    }

    /// The pinned version of a package that all Pythons share.
    pub fn version(&self, package: &str) -> Result<&str> {
        packages(&self.text)
            .filter(|line| name(line) == package)
            .find_map(|line| line.split_once("==").map(|(_, version)| version))
            .with_context(|| format!("{} names no version of {package}", self.file.display()))
    }

    /// The lines of PyTorch itself.
    pub fn torch(&self) -> Vec<&str> {
        packages(&self.text).filter(|line| is_torch(line)).collect()
    }

    /// The lines that requirements.in asks for by name, without PyTorch.
    pub fn asked_for(&self) -> Vec<&str> {
        packages(&self.text)
            .filter(|line| {
                !is_torch(line) && self.asked_for.iter().any(|asked| asked == name(line))
            })
            .collect()
    }

    /// All lines but PyTorch's and those that only its CUDA wheels need.
    pub fn without_torch(&self) -> Vec<&str> {
        packages(&self.text).filter(|line| !is_torch(line) && !is_for_cuda(line)).collect()
    }
}

/// The lines that name a package.
fn packages(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| line.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// The package that a line names.
fn name(line: &str) -> &str {
    line.split(['=', ' ', ';', '[']).next().unwrap_or(line)
}

fn is_torch(line: &str) -> bool {
    matches!(name(line), "torch" | "torchvision")
}

fn is_for_cuda(line: &str) -> bool {
    let name = name(line);
    name == "triton" || name.starts_with("nvidia-") || name.starts_with("cuda-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Requirements {
        Requirements {
            file: "requirements.txt".into(),
            text: "anyio==4.1 # c\n    # via jupyter\njupyterlab==4.6\nnvidia-cublas==13 ; x\n\
                   numpy==2.2 ; python_full_version < '3.11'\ntorch==2.11.0\ntriton==3 ; x\n"
                .into(),
            asked_for: vec!["torch".into(), "jupyterlab".into(), "numpy".into()],
        }
    }

    #[test]
    fn versions_and_parts() {
        let pins = sample();
        assert_eq!(pins.version("torch").unwrap(), "2.11.0");
        let error = pins.version("tensorflow").unwrap_err().to_string();
        assert!(error.contains("requirements.txt names no version of tensorflow"), "{error}");
        assert_eq!(pins.torch(), ["torch==2.11.0"]);
        let numpy = "numpy==2.2 ; python_full_version < '3.11'";
        assert_eq!(pins.asked_for(), ["jupyterlab==4.6", numpy]);
        assert_eq!(pins.without_torch(), ["anyio==4.1 # c", "jupyterlab==4.6", numpy]);
    }

    #[test]
    fn the_committed_files_go_together() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let pins = Requirements::read(root).unwrap();
        assert_eq!(pins.torch().len(), 2);
        for asked in &pins.asked_for {
            assert!(
                packages(&pins.text).any(|line| name(line) == asked && line.contains("==")),
                "requirements.txt has no version of {asked}"
            );
        }
    }
}
