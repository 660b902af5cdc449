//! What is written for Jupyter about each kernel: how it is started, and in which environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use shared::files;

/// The name under which this kernel is installed, unless another is given.
pub(crate) const NAME: &str = "rust";

/// Upstream's kernel.
const UPSTREAM: &str = "evcxr_jupyter";

/// Pictures that front ends show for a kernel, by the names of their files.
type Logos = &'static [(&'static str, &'static [u8])];

/// A spark between the brackets of a cell.
const OURS: Logos = &[
    ("logo-svg.svg", include_bytes!("logos/rust-live.svg")),
    ("logo-32x32.png", include_bytes!("logos/rust-live-32.png")),
    ("logo-64x64.png", include_bytes!("logos/rust-live-64.png")),
];

/// A prompt between them.
const UPSTREAMS: Logos = &[
    ("logo-svg.svg", include_bytes!("logos/evcxr.svg")),
    ("logo-32x32.png", include_bytes!("logos/evcxr-32.png")),
    ("logo-64x64.png", include_bytes!("logos/evcxr-64.png")),
];

/// Where a kernel is installed.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct InstallLocation {
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

impl InstallLocation {
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

/// A variable of the environment in which cells are compiled and run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    name: String,
    /// As it stands in kernel.json: Jupyter puts in what it has itself for `${NAME}`.
    value: String,
}

impl Variable {
    /// Reads `NAME=VALUE`.
    pub(crate) fn parse(text: &str) -> Result<Variable, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Variable { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("a variable is given as NAME=VALUE".to_owned()),
        }
    }

    /// Gives it to this process, as Jupyter gives it to a kernel that it starts.
    pub(crate) fn apply(&self) {
        let own = std::env::var(&self.name).unwrap_or_default();
        super::set_variable(&self.name, self.value.replace(&format!("${{{}}}", self.name), &own));
    }
}

/// What `install` is told.
#[derive(Debug, Args)]
pub(crate) struct Choices {
    #[command(flatten)]
    location: InstallLocation,
    /// The name under which `jupyter console --kernel NAME` finds it. Choose another where you use
    /// evcxr_jupyter as well, which renews the one called rust whenever it starts
    #[arg(long, default_value = NAME)]
    name: String,
    /// The name that a reader sees and chooses in JupyterLab
    #[arg(long, value_name = "TEXT", default_value = "Rust")]
    display_name: String,
    /// A variable of the environment in which cells are compiled and run; for ${NAME} within it, the
    /// value that Jupyter has is put in. May be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = Variable::parse)]
    env: Vec<Variable>,
    /// The folder of a crate that cells may name without a `:dep`
    #[arg(long, value_name = "DIR")]
    library: Option<PathBuf>,
    /// Install upstream's evcxr_jupyter too, which must lie beside this program
    #[arg(long)]
    with_evcxr: bool,
}

/// Writes the kernelspecs.
pub(crate) fn install(choices: &Choices) -> Result<()> {
    let kernels = choices.location.kernels()?;
    let library = choices.library.as_deref().map(|folder| whole("crate", folder)).transpose()?;
    let exe = std::env::current_exe().context("this executable cannot be found")?;
    let bin = exe.parent().context("this executable lies in no folder")?;
    let mut specs = vec![KernelSpec::ours(&exe, library.as_deref(), choices)?];
    if choices.with_evcxr {
        specs.push(KernelSpec::evcxr(bin, &choices.env, &kernels)?);
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
pub(crate) fn uninstall(location: &InstallLocation, name: &str) -> Result<()> {
    let folder = location.kernels()?.join(name);
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
pub(crate) struct KernelSpec {
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    logos: Logos,
    argv: Vec<String>,
    /// The name a reader chooses in JupyterLab.
    pub display_name: String,
    language: String,
    interrupt_mode: String,
    env: BTreeMap<String, String>,
}

impl KernelSpec {
    /// This kernel.
    fn ours(exe: &Path, library: Option<&Path>, choices: &Choices) -> Result<Self> {
        let mut argv =
            vec![text(exe)?, "run".into(), "--connection-file".into(), "{connection_file}".into()];
        if let Some(library) = library {
            argv.extend(["--library".into(), text(library)?]);
        }
        Ok(Self::new(&choices.name, &choices.display_name, OURS, argv, environment(&choices.env)))
    }

    /// Upstream's kernel.
    ///
    /// When it starts, it renews the installation it finds under `$JUPYTER_PATH/kernels/rust`, by
    /// default the person's own in their home directory. It is given a folder where there is none.
    fn evcxr(bin: &Path, env: &[Variable], kernels: &Path) -> Result<Self> {
        let name = "evcxr";
        let mut env = environment(env);
        env.insert("JUPYTER_PATH".into(), text(&kernels.join(name))?);
        let argv =
            vec![text(&bin.join(UPSTREAM))?, "--control_file".into(), "{connection_file}".into()];
        Ok(Self::new(name, "Rust (evcxr, upstream)", UPSTREAMS, argv, env))
    }

    fn new(
        name: &str,
        shown: &str,
        logos: Logos,
        argv: Vec<String>,
        env: BTreeMap<String, String>,
    ) -> Self {
        Self {
            name: name.into(),
            logos,
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

    /// Writes the kernel.json and the logos, unless they are there already; says whether it wrote.
    fn write(&self, kernels: &Path) -> Result<bool> {
        let file = self.file(kernels);
        let content = serde_json::to_string_pretty(self)? + "\n";
        let present = fs::read_to_string(&file).unwrap_or_default();
        let logos = self.logos.iter().map(|(name, picture)| (file.with_file_name(name), *picture));
        let mut missing = logos
            .filter(|(logo, picture)| fs::read(logo).ok().as_deref() != Some(picture))
            .peekable();
        if present == content && missing.peek().is_none() {
            return Ok(false);
        }
        let starts_upstream = |spec: &KernelSpec| {
            spec.argv.first().is_some_and(|program| Path::new(program).ends_with(UPSTREAM))
        };
        ensure!(
            starts_upstream(self)
                || !serde_json::from_str(&present).is_ok_and(|s| starts_upstream(&s)),
            "{} starts {UPSTREAM}: choose another name with --name, or remove it first",
            file.display()
        );
        for (path, content) in missing.chain([(file.clone(), content.as_bytes())]) {
            files::replace(&path, content).context("the kernelspec cannot be written")?;
        }
        Ok(true)
    }
}

fn environment(variables: &[Variable]) -> BTreeMap<String, String> {
    variables.iter().map(|Variable { name, value }| (name.clone(), value.clone())).collect()
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

/// A kernelspec that starts this program.
#[derive(Debug)]
pub(crate) struct Installed {
    /// Its kernel.json.
    pub file: PathBuf,
    spec: KernelSpec,
}

impl Installed {
    /// Looks in the environment that this program lies in, then among the person's own kernels: for the
    /// kernel of this name or, where none is named, for one with a library, or else for any.
    pub(crate) fn find(name: Option<&str>) -> Option<Installed> {
        let exe = std::env::current_exe().ok()?;
        let environment = exe.parent()?.parent()?.join("share/jupyter/kernels");
        let mut found = Vec::new();
        for kernels in [Some(environment), user_kernels().ok()].into_iter().flatten() {
            let mut folders: Vec<_> = fs::read_dir(kernels)
                .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
                .unwrap_or_default();
            folders.sort();
            let named = |folder: &PathBuf| {
                name.is_none_or(|name| folder.file_name().is_some_and(|found| found == name))
            };
            found.extend(folders.iter().filter(|folder| named(folder)).filter_map(|folder| {
                let installed = Installed::read(folder.join("kernel.json"))?;
                installed.starts(&exe).then_some(installed)
            }));
        }
        let best = found.iter().position(|installed| installed.library().is_some());
        (!found.is_empty()).then(|| found.swap_remove(best.unwrap_or(0)))
    }

    fn read(file: PathBuf) -> Option<Installed> {
        let mut spec: KernelSpec = serde_json::from_str(&fs::read_to_string(&file).ok()?).ok()?;
        // As Jupyter does: a wheel does not know where it will be installed.
        let folder = file.parent()?.to_str()?;
        for word in &mut spec.argv {
            *word = word.replace("{resource_dir}", folder);
        }
        Some(Installed { file, spec })
    }

    fn starts(&self, exe: &Path) -> bool {
        let program = self.spec.argv.first().map(Path::new);
        program.is_some_and(|program| match (program.canonicalize(), exe.canonicalize()) {
            (Ok(program), Ok(exe)) => program == exe,
            _ => false,
        })
    }

    /// The folder of the crate that cells may name without a `:dep`.
    pub(crate) fn library(&self) -> Option<PathBuf> {
        let mut words = self.spec.argv.iter();
        words.find(|word| *word == "--library")?;
        words.next().map(PathBuf::from)
    }

    /// Gives this process the environment that cells will have.
    pub(crate) fn apply_environment(&self) {
        for (name, value) in &self.spec.env {
            Variable { name: name.clone(), value: value.clone() }.apply();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

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

    fn ours(bin: &str, library: &str) -> Result<KernelSpec> {
        let (library, path) =
            (format!("C_LIB={library}"), format!("LD_PATH={library}/lib:${{LD_PATH}}"));
        let choices = choices(&["--env", &library, "--env", &path]);
        KernelSpec::ours(&Path::new(bin).join("rust-live"), None, &choices)
    }

    fn json(spec: &KernelSpec) -> serde_json::Value {
        serde_json::to_value(spec).unwrap()
    }

    #[test]
    fn ours_is_started_with_the_connection_file_and_the_environment() {
        assert_eq!(
            json(&ours("/env/bin", "/c").unwrap()),
            serde_json::json!({
                "argv": [
                    "/env/bin/rust-live", "run", "--connection-file", "{connection_file}"
                ],
                "display_name": "Rust",
                "language": "rust",
                "interrupt_mode": "message",
                "env": {
                    "C_LIB": "/c",
                    "LD_PATH": "/c/lib:${LD_PATH}",
                },
            })
        );
    }

    #[test]
    fn a_library_is_named_in_the_command_and_found_there_again() {
        let choices = choices(&["--library", "/lib"]);
        let library = choices.library.as_deref();
        let spec = KernelSpec::ours(Path::new("/bin/k"), library, &choices).unwrap();
        assert_eq!(spec.argv[4..], ["--library", "/lib"]);
        let installed = Installed { file: PathBuf::new(), spec };
        assert_eq!(installed.library(), Some(PathBuf::from("/lib")));
    }

    #[test]
    fn names_are_chosen_and_a_variable_has_a_name() {
        let choices = choices(&["--name", "lab", "--display-name", "Rust (lab)", "--env", "A=b=c"]);
        let spec = KernelSpec::ours(Path::new("/bin/k"), None, &choices).unwrap();
        assert_eq!((&*spec.name, &*spec.display_name), ("lab", "Rust (lab)"));
        assert_eq!(spec.env["A"], "b=c");
        for wrong in ["A", "=b", ""] {
            assert!(Variable::parse(wrong).unwrap_err().contains("NAME=VALUE"), "{wrong}");
        }
    }

    #[test]
    fn upstreams_is_kept_away_from_the_installation_in_the_home_directory() {
        let kernels = Path::new("/env/share/jupyter/kernels");
        let env = choices(&["--env", "C_LIB=/c"]).env;
        let json = json(&KernelSpec::evcxr(Path::new("/env/bin"), &env, kernels).unwrap());
        assert_eq!(json["env"]["JUPYTER_PATH"], "/env/share/jupyter/kernels/evcxr");
        assert_eq!(json["env"]["C_LIB"], "/c");
        assert_eq!(
            json["argv"],
            serde_json::json!(["/env/bin/evcxr_jupyter", "--control_file", "{connection_file}"])
        );
    }

    #[test]
    fn a_second_write_changes_nothing_and_leaves_no_other_file() {
        let kernels = tempfile::tempdir().unwrap();
        let spec = ours("/env/bin", "/c").unwrap();
        assert!(spec.write(kernels.path()).unwrap());
        let written = fs::metadata(spec.file(kernels.path())).unwrap().modified().unwrap();
        assert!(!spec.write(kernels.path()).unwrap());
        assert_eq!(written, fs::metadata(spec.file(kernels.path())).unwrap().modified().unwrap());
        let entries = fs::read_dir(kernels.path().join(NAME)).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"]);
    }

    /// What a wheel has in the place of what `install` writes: it does not know where it will lie.
    fn of_a_wheel() -> KernelSpec {
        let mut spec = KernelSpec::ours(Path::new("/bin/k"), None, &choices(&[])).unwrap();
        spec.argv[0] = "{resource_dir}/../../../../bin/rust-live".into();
        spec
    }

    /// By name: what lies in a folder, links followed.
    fn content(folder: &Path) -> BTreeMap<OsString, Vec<u8>> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
    }

    #[test]
    fn a_wheel_s_kernelspec_is_what_install_writes_but_for_the_place_of_the_program() {
        let kernels = tempfile::tempdir().unwrap();
        let spec = of_a_wheel();
        spec.write(kernels.path()).unwrap();
        let share = "wheel/rust_live.data/data/share/jupyter/kernels";
        let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join(share).join(NAME);
        assert_eq!(content(&packed), content(&kernels.path().join(NAME)));
    }

    #[test]
    fn a_wheel_s_program_is_found_from_the_folder_of_its_kernelspec() {
        let environment = tempfile::tempdir().unwrap();
        let program = environment.path().join("bin/rust-live");
        files::replace(&program, b"").unwrap();
        let kernels = environment.path().join("share/jupyter/kernels");
        let spec = of_a_wheel();
        spec.write(&kernels).unwrap();
        let installed = Installed::read(spec.file(&kernels)).unwrap();
        assert!(installed.starts(&program));
        assert!(!installed.starts(Path::new("/bin/sh")));
    }

    #[test]
    fn a_logo_that_is_missing_or_another_is_written_again_and_the_kernels_differ_in_theirs() {
        let kernels = tempfile::tempdir().unwrap();
        let spec = ours("/env/bin", "/c").unwrap();
        spec.write(kernels.path()).unwrap();
        let logo = kernels.path().join(NAME).join("logo-64x64.png");
        fs::write(&logo, "an older one").unwrap();
        assert!(spec.write(kernels.path()).unwrap());
        assert_eq!(fs::read(&logo).unwrap(), OURS[2].1);
        fs::remove_file(&logo).unwrap();
        assert!(spec.write(kernels.path()).unwrap());
        assert!(!spec.write(kernels.path()).unwrap());
        for ((name, ours), (same, theirs)) in OURS.iter().zip(UPSTREAMS) {
            assert!(name == same && ours != theirs, "{name}");
        }
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
    fn the_kernelspec_of_upstream_s_kernel_is_not_overwritten() {
        let kernels = tempfile::tempdir().unwrap();
        let mut theirs = KernelSpec::evcxr(Path::new("/bin"), &[], kernels.path()).unwrap();
        theirs.name = NAME.into();
        assert!(theirs.write(kernels.path()).unwrap());
        let ours = ours("/env/bin", "/c").unwrap();
        let error = ours.write(kernels.path()).unwrap_err().to_string();
        assert!(error.contains("--name"), "{error}");
        theirs.display_name = "newer".into();
        assert!(theirs.write(kernels.path()).unwrap());
    }

    #[test]
    fn a_folder_that_jupyter_would_misread_is_refused() {
        let error = ours("/a$b/bin", "/t").unwrap_err();
        assert!(error.to_string().contains("/a$b/bin"), "{error}");
    }

    #[test]
    fn it_is_removed_where_it_was_installed_and_nowhere_else() {
        let prefix = tempfile::tempdir().unwrap();
        let location =
            InstallLocation { user: false, prefix: Some(prefix.path().into()), sys_prefix: false };
        let kernels = location.kernels().unwrap();
        ours("/env/bin", "/c").unwrap().write(&kernels).unwrap();
        uninstall(&location, NAME).unwrap();
        assert!(!kernels.join(NAME).exists());
        let error = uninstall(&location, NAME).unwrap_err().to_string();
        assert!(error.contains("no kernel rust is installed"), "{error}");
    }
}
