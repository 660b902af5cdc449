//! What is written for Jupyter about each kernel: how it is started, and in which environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

/// The name under which this kernel is installed.
pub const NAME: &str = "googlenet";

/// Where the dynamic linker looks for libtorch when a cell is loaded.
pub const LIBRARY_PATH: &str =
    if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

/// Where a kernel is installed.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Place {
    /// For you alone (the default)
    #[arg(long)]
    user: bool,
    /// Into an environment: PREFIX/share/jupyter/kernels
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<PathBuf>,
    /// Into the active conda or virtual environment
    #[arg(long)]
    sys_prefix: bool,
}

impl Place {
    /// The folder of all kernels there.
    fn kernels(&self) -> Result<PathBuf> {
        let prefix = if let Some(prefix) = &self.prefix {
            prefix.clone()
        } else if self.sys_prefix {
            let active = |name| std::env::var_os(name).map(PathBuf::from);
            active("VIRTUAL_ENV")
                .or_else(|| active("CONDA_PREFIX"))
                .context("no environment is active: activate one, or name it with --prefix")?
        } else {
            return user_kernels();
        };
        Ok(whole("environment", &prefix)?.join("share/jupyter/kernels"))
    }
}

/// The whole path of a folder that must be there.
fn whole(what: &str, folder: &Path) -> Result<PathBuf> {
    folder.canonicalize().with_context(|| format!("the {what} {} cannot be read", folder.display()))
}

/// Where Jupyter looks for a person's own kernels.
fn user_kernels() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("JUPYTER_DATA_DIR") {
        return Ok(PathBuf::from(folder).join("kernels"));
    }
    let none = "there is no home directory: set HOME, or name a place with --prefix";
    let data = if cfg!(target_os = "macos") {
        dirs::home_dir().context(none)?.join("Library/Jupyter")
    } else {
        dirs::data_dir().context(none)?.join("jupyter")
    };
    Ok(data.join("kernels"))
}

/// What `install` is told.
#[derive(Debug, Args)]
pub struct Choices {
    #[command(flatten)]
    place: Place,
    /// The name under which `jupyter console --kernel NAME` finds it
    #[arg(long, default_value = NAME)]
    name: String,
    /// The torch folder whose lib/ holds libtorch; by default $LIBTORCH
    #[arg(long, value_name = "DIR")]
    libtorch: Option<PathBuf>,
    /// The folder of a crate to be there from the first cell on
    #[arg(long, value_name = "DIR")]
    library: Option<PathBuf>,
    /// Code to analyse, not to run, while the reader reads
    #[arg(long, value_name = "CODE", requires = "library")]
    warm: Option<String>,
    /// Install upstream's evcxr_jupyter too, which must lie beside this program
    #[arg(long)]
    with_evcxr: bool,
}

/// Writes the kernelspecs.
pub fn install(choices: &Choices) -> Result<()> {
    let kernels = choices.place.kernels()?;
    let libtorch = choices
        .libtorch
        .clone()
        .or_else(|| std::env::var_os("LIBTORCH").map(PathBuf::from))
        .map(|folder| whole("torch folder", &folder))
        .transpose()?;
    let library = choices.library.as_ref().map(|folder| whole("crate", folder)).transpose()?;
    let exe = std::env::current_exe().context("this executable cannot be found")?;
    let bin = exe.parent().context("this executable lies in no folder")?;
    let ours = KernelSpec::ours(bin, libtorch.as_deref(), library.as_deref(), choices)?;
    let mut specs = vec![ours];
    if choices.with_evcxr {
        specs.push(KernelSpec::evcxr(bin, libtorch.as_deref(), &kernels)?);
    }
    for spec in specs {
        if spec.write(&kernels)? {
            let file = spec.file(&kernels);
            println!("kernelspec \"{}\" written to {}", spec.display_name, file.display());
        }
    }
    Ok(())
}

/// Removes a kernelspec.
pub fn uninstall(place: &Place, name: &str) -> Result<()> {
    let folder = place.kernels()?.join(name);
    match fs::remove_dir_all(&folder) {
        Ok(()) => println!("{} removed", folder.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("no kernel {name} is installed in {}", folder.display())
        }
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be removed", folder.display()));
        }
    }
    Ok(())
}

/// A kernel.json and the folder it lies in.
#[derive(Debug, Serialize, Deserialize)]
pub struct KernelSpec {
    #[serde(skip)]
    name: String,
    argv: Vec<String>,
    /// The name a reader chooses in JupyterLab.
    pub display_name: String,
    language: String,
    interrupt_mode: String,
    env: BTreeMap<String, String>,
}

impl KernelSpec {
    /// The lab's own kernel.
    fn ours(
        bin: &Path,
        libtorch: Option<&Path>,
        library: Option<&Path>,
        choices: &Choices,
    ) -> Result<Self> {
        let mut argv = vec![
            text(&bin.join("googlenet-kernel"))?,
            "run".into(),
            "--connection-file".into(),
            "{connection_file}".into(),
        ];
        if let Some(library) = library {
            argv.extend(["--library".into(), text(library)?]);
        }
        if let Some(warm) = &choices.warm {
            // Jupyter would take braces for names of its own.
            ensure!(!warm.contains(['{', '}']), "the code of --warm holds braces: leave them out");
            argv.extend(["--warm".into(), warm.clone()]);
        }
        Ok(Self::new(&choices.name, "Rust (GoogLeNet lab)", argv, libtorch_env(libtorch)?))
    }

    /// Upstream's kernel.
    ///
    /// When it starts, it renews the installation it finds under `$JUPYTER_PATH/kernels/rust`, by
    /// default the person's own in their home directory. It is given a folder where there is none.
    fn evcxr(bin: &Path, libtorch: Option<&Path>, kernels: &Path) -> Result<Self> {
        let name = "evcxr";
        let mut env = libtorch_env(libtorch)?;
        env.insert("JUPYTER_PATH".into(), text(&kernels.join(name))?);
        let argv = vec![
            text(&bin.join("evcxr_jupyter"))?,
            "--control_file".into(),
            "{connection_file}".into(),
        ];
        Ok(Self::new(name, "Rust (evcxr)", argv, env))
    }

    fn new(name: &str, shown: &str, argv: Vec<String>, env: BTreeMap<String, String>) -> Self {
        Self {
            name: name.into(),
            argv,
            display_name: shown.into(),
            language: "rust".into(),
            interrupt_mode: "message".into(),
            env,
        }
    }

    /// The kernel.json of this kernel below the folder of all kernels.
    fn file(&self, kernels: &Path) -> PathBuf {
        kernels.join(&self.name).join("kernel.json")
    }

    /// Writes the kernel.json unless it is there already; says whether it wrote.
    fn write(&self, kernels: &Path) -> Result<bool> {
        let file = self.file(kernels);
        let content = serde_json::to_string_pretty(self)? + "\n";
        if fs::read_to_string(&file).is_ok_and(|present| present == content) {
            return Ok(false);
        }
        let part = file.with_extension(format!("json.{}", std::process::id()));
        fs::create_dir_all(kernels.join(&self.name))
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
fn libtorch_env(libtorch: Option<&Path>) -> Result<BTreeMap<String, String>> {
    let Some(libtorch) = libtorch else { return Ok(BTreeMap::new()) };
    let lib = text(&libtorch.join("lib"))?;
    Ok(BTreeMap::from([
        ("LIBTORCH".into(), text(libtorch)?),
        (LIBRARY_PATH.into(), format!("{lib}:${{{LIBRARY_PATH}}}")),
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

/// The kernelspec that starts this program.
#[derive(Debug)]
pub struct Installed {
    /// Its kernel.json.
    pub file: PathBuf,
    spec: KernelSpec,
}

impl Installed {
    /// Looks in the environment that this program lies in, then among the person's own kernels.
    pub fn find() -> Option<Installed> {
        let exe = std::env::current_exe().ok()?;
        let environment = exe.parent()?.parent()?.join("share/jupyter/kernels");
        [Some(environment), user_kernels().ok()].into_iter().flatten().find_map(|kernels| {
            let file = kernels.join(NAME).join("kernel.json");
            let spec = serde_json::from_str(&fs::read_to_string(&file).ok()?).ok()?;
            Some(Installed { file, spec })
        })
    }

    /// The crate that is there from the first cell on.
    pub fn library(&self) -> Option<PathBuf> {
        let at = self.spec.argv.iter().position(|argument| argument == "--library")?;
        self.spec.argv.get(at + 1).map(PathBuf::from)
    }

    /// Gives this process the environment that cells will have.
    pub fn apply_environment(&self) {
        for (name, value) in &self.spec.env {
            let own = std::env::var(name).unwrap_or_default();
            super::set_variable(name, value.replace(&format!("${{{name}}}"), &own));
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Install {
        #[command(flatten)]
        choices: Choices,
    }

    fn choices(arguments: &[&str]) -> Choices {
        Install::parse_from(["install"].iter().chain(arguments)).choices
    }

    fn ours(bin: &str, torch: &str) -> Result<KernelSpec> {
        let torch = Some(Path::new(torch));
        KernelSpec::ours(Path::new(bin), torch, None, &choices(&[]))
    }

    fn json(spec: &KernelSpec) -> serde_json::Value {
        serde_json::to_value(spec).unwrap()
    }

    #[test]
    fn ours_is_started_with_the_connection_file_and_libtorch() {
        assert_eq!(
            json(&ours("/env/bin", "/env/torch").unwrap()),
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
    fn a_library_is_named_in_the_command_and_found_there_again() {
        let choices = choices(&["--library", "/lib", "--warm", "use lib as _;"]);
        let spec =
            KernelSpec::ours(Path::new("/bin"), None, Some(Path::new("/lib")), &choices).unwrap();
        assert_eq!(spec.argv[4..], ["--library", "/lib", "--warm", "use lib as _;"]);
        let installed = Installed { file: PathBuf::new(), spec };
        assert_eq!(installed.library(), Some(PathBuf::from("/lib")));
    }

    #[test]
    fn upstreams_is_kept_away_from_the_installation_in_the_home_directory() {
        let kernels = Path::new("/env/share/jupyter/kernels");
        let torch = Some(Path::new("/env/torch"));
        let json = json(&KernelSpec::evcxr(Path::new("/env/bin"), torch, kernels).unwrap());
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
        let spec = ours("/env/bin", "/env/torch").unwrap();
        assert!(spec.write(kernels.path()).unwrap());
        let written = fs::metadata(spec.file(kernels.path())).unwrap().modified().unwrap();
        assert!(!spec.write(kernels.path()).unwrap());
        assert_eq!(written, fs::metadata(spec.file(kernels.path())).unwrap().modified().unwrap());
        let files = fs::read_dir(kernels.path().join(NAME)).unwrap().count();
        assert_eq!(files, 1);
    }

    #[test]
    fn a_changed_kernelspec_is_written_anew() {
        let kernels = tempfile::tempdir().unwrap();
        ours("/env/bin", "/old").unwrap().write(kernels.path()).unwrap();
        let after = ours("/env/bin", "/new").unwrap();
        assert!(after.write(kernels.path()).unwrap());
        assert!(fs::read_to_string(after.file(kernels.path())).unwrap().contains("/new/lib"));
    }

    #[test]
    fn a_folder_that_jupyter_would_misread_is_refused() {
        let error = ours("/a$b/bin", "/t").unwrap_err();
        assert!(error.to_string().contains("/a$b/bin"), "{error}");
    }

    #[test]
    fn it_is_removed_where_it_was_installed_and_nowhere_else() {
        let prefix = tempfile::tempdir().unwrap();
        let place = || Place { user: false, prefix: Some(prefix.path().into()), sys_prefix: false };
        let kernels = place().kernels().unwrap();
        ours("/env/bin", "/env/torch").unwrap().write(&kernels).unwrap();
        uninstall(&place(), NAME).unwrap();
        assert!(!kernels.join(NAME).exists());
        let error = uninstall(&place(), NAME).unwrap_err().to_string();
        assert!(error.contains("no kernel googlenet is installed"), "{error}");
    }
}
