//! What is written for Jupyter about each kernel: how it is started, and in which environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

/// Where the dynamic linker looks for libtorch when a cell is loaded.
const LIBRARY_PATH: &str =
    if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

/// A kernel.json and the folder it lies in.
#[derive(Debug, Serialize)]
pub struct KernelSpec {
    #[serde(skip)]
    name: &'static str,
    argv: Vec<String>,
    /// The name a reader chooses in JupyterLab.
    pub display_name: &'static str,
    language: &'static str,
    interrupt_mode: &'static str,
    env: BTreeMap<&'static str, String>,
}

impl KernelSpec {
    /// The lab's own kernel.
    pub fn googlenet(bin: &Path, libtorch: &Path) -> Result<Self> {
        Ok(Self {
            name: "googlenet",
            argv: vec![
                text(&bin.join("googlenet-kernel"))?,
                "run".into(),
                "--connection-file".into(),
                "{connection_file}".into(),
            ],
            display_name: "Rust (GoogLeNet lab)",
            language: "rust",
            interrupt_mode: "message",
            env: libtorch_env(libtorch)?,
        })
    }

    /// Upstream's kernel.
    ///
    /// When it starts, it renews the installation it finds under `$JUPYTER_PATH/kernels/rust`, by
    /// default the person's own in their home directory. It is given a folder where there is none.
    pub fn evcxr(bin: &Path, libtorch: &Path, kernels: &Path) -> Result<Self> {
        let name = "evcxr";
        let mut env = libtorch_env(libtorch)?;
        env.insert("JUPYTER_PATH", text(&kernels.join(name))?);
        Ok(Self {
            name,
            argv: vec![
                text(&bin.join("evcxr_jupyter"))?,
                "--control_file".into(),
                "{connection_file}".into(),
            ],
            display_name: "Rust (evcxr)",
            language: "rust",
            interrupt_mode: "message",
            env,
        })
    }

    /// The kernel.json of this kernel below the folder of all kernels.
    pub fn file(&self, kernels: &Path) -> PathBuf {
        kernels.join(self.name).join("kernel.json")
    }

    /// Writes the kernel.json unless it is there already; says whether it wrote.
    pub fn write(&self, kernels: &Path) -> Result<bool> {
        let file = self.file(kernels);
        let content = serde_json::to_string_pretty(self)? + "\n";
        if fs::read_to_string(&file).is_ok_and(|present| present == content) {
            return Ok(false);
        }
        let part = file.with_extension(format!("json.{}", std::process::id()));
        fs::create_dir_all(kernels.join(self.name))
            .and_then(|()| fs::write(&part, content))
            .and_then(|()| fs::rename(&part, &file))
            .with_context(|| format!("the kernelspec {} cannot be written", file.display()))?;
        Ok(true)
    }
}

/// What a cell needs to compile against libtorch and to load it.
///
/// Jupyter replaces `${…}` by the value it has itself. Where it has none the text stays as it is
/// and names a folder that does not exist, which the dynamic linker passes over.
fn libtorch_env(libtorch: &Path) -> Result<BTreeMap<&'static str, String>> {
    let lib = text(&libtorch.join("lib"))?;
    Ok(BTreeMap::from([
        ("LIBTORCH", text(libtorch)?),
        (LIBRARY_PATH, format!("{lib}:${{{LIBRARY_PATH}}}")),
    ]))
}

/// A path as it may stand in kernel.json, where `$` and `:` would change its meaning.
fn text(path: &Path) -> Result<String> {
    let text = path
        .to_str()
        .with_context(|| format!("{} is not UTF-8: choose another folder", path.display()))?;
    ensure!(
        !text.contains(['$', ':', '{', '}']),
        "{text} holds one of $ : {{ }}, which Jupyter or the dynamic linker would read as \
         something else: choose another folder"
    );
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(spec: &KernelSpec) -> serde_json::Value {
        serde_json::to_value(spec).unwrap()
    }

    #[test]
    fn ours_is_started_with_the_connection_file_and_libtorch() {
        let spec = KernelSpec::googlenet(Path::new("/env/bin"), Path::new("/env/torch")).unwrap();
        assert_eq!(
            json(&spec),
            serde_json::json!({
                "argv": [
                    "/env/bin/googlenet-kernel", "run", "--connection-file", "{connection_file}"
                ],
                "display_name": "Rust (GoogLeNet lab)",
                "language": "rust",
                "interrupt_mode": "message",
                "env": {
                    "LIBTORCH": "/env/torch",
                    (LIBRARY_PATH): format!("/env/torch/lib:${{{LIBRARY_PATH}}}"),
                },
            })
        );
    }

    #[test]
    fn upstreams_is_kept_away_from_the_installation_in_the_home_directory() {
        let kernels = Path::new("/env/share/jupyter/kernels");
        let spec =
            KernelSpec::evcxr(Path::new("/env/bin"), Path::new("/env/torch"), kernels).unwrap();
        let json = json(&spec);
        assert_eq!(json["env"]["JUPYTER_PATH"], "/env/share/jupyter/kernels/evcxr");
        assert_eq!(json["env"]["LIBTORCH"], "/env/torch");
        assert_eq!(
            json["argv"],
            serde_json::json!(["/env/bin/evcxr_jupyter", "--control_file", "{connection_file}"])
        );
    }

    #[test]
    fn a_second_write_changes_nothing_and_leaves_no_other_file() {
        let kernels = tempfile::tempdir().unwrap();
        let spec = KernelSpec::googlenet(Path::new("/env/bin"), Path::new("/env/torch")).unwrap();
        assert!(spec.write(kernels.path()).unwrap());
        let written = fs::metadata(spec.file(kernels.path())).unwrap().modified().unwrap();
        assert!(!spec.write(kernels.path()).unwrap());
        assert_eq!(written, fs::metadata(spec.file(kernels.path())).unwrap().modified().unwrap());
        let files = fs::read_dir(kernels.path().join("googlenet")).unwrap().count();
        assert_eq!(files, 1);
    }

    #[test]
    fn a_changed_kernelspec_is_written_anew() {
        let kernels = tempfile::tempdir().unwrap();
        let before = KernelSpec::googlenet(Path::new("/env/bin"), Path::new("/old")).unwrap();
        let after = KernelSpec::googlenet(Path::new("/env/bin"), Path::new("/new")).unwrap();
        before.write(kernels.path()).unwrap();
        assert!(after.write(kernels.path()).unwrap());
        assert!(fs::read_to_string(after.file(kernels.path())).unwrap().contains("/new/lib"));
    }

    #[test]
    fn a_folder_that_jupyter_would_misread_is_refused() {
        let error = KernelSpec::googlenet(Path::new("/a$b/bin"), Path::new("/t")).unwrap_err();
        assert!(error.to_string().contains("/a$b/bin"), "{error}");
    }
}
