//! The prepared build directory, and the private directory that each session gets of it.
//!
//! A first cell that loads a crate on libtorch compiles for minutes. `prepare` does it once, and
//! every session starts from hard links to what was compiled. Cargo and rustc write some files in
//! place; those are copied, so that no session can change the template or another session.

use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use evcxr::{CommandContext, EvalContext};
use serde::{Deserialize, Serialize};

use crate::cargo;
use crate::files;
use crate::inputs::{Change, Inputs, modified};
use crate::prelink;

/// In the folder of the cells, and in a template: what is compiled.
const TARGET: &str = "target";

/// The directories of this kernel.
#[derive(Debug, Clone)]
pub struct Home {
    /// What can be made again: templates, sessions, hooks.
    pub cache: PathBuf,
    /// What cannot: the history.
    pub state: PathBuf,
}

impl Home {
    /// Where the cells that use a library are compiled, or those that use none.
    ///
    /// The libraries are kept apart, since Cargo finds the profile of one in the folder above.
    pub fn bench(&self, library: Option<&Path>) -> PathBuf {
        let Some(library) = library else { return self.cache.join("plain") };
        let mut hasher = DefaultHasher::new();
        library.canonicalize().unwrap_or_else(|_| library.to_path_buf()).hash(&mut hasher);
        let name = library.file_name().unwrap_or_default().to_string_lossy();
        self.cache.join(format!("{name}-{:08x}", hasher.finish() as u32))
    }

    /// Those of the person who runs this program.
    ///
    /// # Errors
    /// A person without a home directory.
    pub fn find() -> Result<Home> {
        let none = "there is no home directory: set HOME";
        let cache = dirs::cache_dir().context(none)?;
        let state = dirs::state_dir().or_else(dirs::data_local_dir).context(none)?;
        let name = env!("CARGO_PKG_NAME");
        Ok(Home { cache: cache.join(name), state: state.join(name) })
    }
}

/// What a template was made of. Another key is another template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The crate, by its folder.
    pub library: PathBuf,
    /// `rustc -Vv`.
    pub rustc: String,
    /// The version of this kernel and of evcxr.
    pub kernel: String,
    /// Where libtorch lies, and which one it is.
    pub libtorch: String,
}

/// What a template says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    #[serde(flatten)]
    key: Key,
    inputs: Inputs,
}

impl Key {
    /// The key of a crate as it is now.
    ///
    /// # Errors
    /// A folder that is no crate, and a rustc that does not run.
    pub fn of(library: &Path) -> Result<Key> {
        let manifest = library.join("Cargo.toml");
        ensure!(
            manifest.is_file(),
            "{} is no crate: it has no Cargo.toml; name another folder with --library",
            library.display()
        );
        let library = library.canonicalize()?;
        let libtorch = std::env::var("LIBTORCH").unwrap_or_default();
        let version = Path::new(&libtorch).join("version.py");
        let version = fs::read_to_string(version).unwrap_or_default();
        Ok(Key {
            library,
            rustc: rustc_version()?.to_owned(),
            kernel: format!("{} on evcxr 0.22", env!("CARGO_PKG_VERSION")),
            libtorch: format!("{libtorch} {version}"),
        })
    }
}

/// What rustc answers.
///
/// # Errors
/// A rustc that does not run.
pub fn rustc(arguments: &[&str]) -> Result<String> {
    let output = Command::new("rustc")
        .args(arguments)
        .output()
        .context("rustc does not run: install Rust 1.95 from https://rustup.rs")?;
    ensure!(output.status.success(), "rustc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `rustc -Vv`, asked once: a session that starts needs it twice.
fn rustc_version() -> Result<&'static str> {
    static VERSION: OnceLock<String> = OnceLock::new();
    if let Some(version) = VERSION.get() {
        return Ok(version);
    }
    let version = rustc(&["-Vv"])?;
    Ok(VERSION.get_or_init(|| version))
}

/// A prepared build directory.
#[derive(Debug)]
pub struct Template {
    folder: PathBuf,
}

/// Whether a template is there.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// Ready to be used.
    Ready,
    /// There is none.
    Missing,
    /// It was made of something else.
    Stale(Stale),
}

/// What is another than it was.
#[derive(Debug, PartialEq, Eq)]
pub enum Stale {
    /// The compiler.
    Rust,
    /// This program.
    Kernel,
    /// The library's own library.
    Libtorch,
    /// What cargo looked at.
    Input(Change),
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stale::Rust => f.write_str("Rust was updated"),
            Stale::Kernel => f.write_str("the kernel was updated"),
            Stale::Libtorch => f.write_str("libtorch is another"),
            Stale::Input(change) => change.fmt(f),
        }
    }
}

const KEY: &str = "template.json";

impl Made {
    /// None in a folder that is no whole template.
    fn read(folder: &Path) -> Option<Made> {
        serde_json::from_slice(&fs::read(folder.join(KEY)).ok()?).ok()
    }
}

impl Template {
    /// The place of the template of a crate.
    pub fn of(home: &Home, library: &Path) -> Template {
        Template { folder: home.bench(Some(library)).join("template") }
    }

    /// Whether it fits the key.
    pub fn standing(&self, key: &Key) -> Standing {
        let Some(made) = Made::read(&self.folder) else { return Standing::Missing };
        if made.key.rustc != key.rustc {
            Standing::Stale(Stale::Rust)
        } else if made.key.libtorch != key.libtorch {
            Standing::Stale(Stale::Libtorch)
        } else if made.key != *key {
            Standing::Stale(Stale::Kernel)
        } else {
            made.inputs
                .change()
                .map_or(Standing::Ready, |change| Standing::Stale(Stale::Input(change)))
        }
    }

    /// A file of the library whose time has not come: with it, every session compiles the library.
    pub fn dated_ahead(&self) -> Option<PathBuf> {
        Made::read(&self.folder)?.inputs.dated_ahead().map(Path::to_owned)
    }

    /// The versions that it was built with.
    pub fn lock(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join("Cargo.lock")).ok()
    }

    /// The folder, for `doctor`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes it unless it is there; says why it has to, to `say`.
    ///
    /// # Errors
    /// A crate that does not compile, and a cache that cannot be written.
    pub fn prepare(&self, home: &Home, key: &Key, say: &dyn Fn(&str)) -> Result<()> {
        if self.standing(key) == Standing::Ready {
            return Ok(());
        }
        let bench = home.bench(Some(&key.library));
        fs::create_dir_all(bench.join(".cargo"))
            .with_context(|| format!("{} cannot be made", bench.display()))?;
        let lock = wait_for(&self.folder.with_extension("lock"), say)?;
        let stale = match self.standing(key) {
            Standing::Ready => return Ok(()),
            Standing::Missing => None,
            Standing::Stale(stale) => Some(stale),
        };
        let reason =
            stale.as_ref().map_or("it was not prepared yet".to_owned(), ToString::to_string);
        let name = key.library.file_name().unwrap_or_default().to_string_lossy();
        say(&format!("Preparing {name} ({reason}). This takes minutes, once."));
        let start = Instant::now();
        remove_orphans(&home.cache);
        let (config, profile) = (bench.join(".cargo/config.toml"), profile_of(&key.library)?);
        let part = self.folder.with_extension("part");
        // Compiled in another way, or by another compiler, nothing is still good.
        let same = fs::read_to_string(&config).is_ok_and(|config| config == profile)
            && !matches!(stale, Some(Stale::Rust | Stale::Kernel));
        if !same {
            remove(&self.folder)?;
            remove(&part)?;
        }
        fs::write(config, profile)?;
        if self.folder.is_dir() {
            remove(&part)?;
            fs::rename(&self.folder, &part)
                .with_context(|| format!("{} cannot be renewed", self.folder.display()))?;
        }
        if let Some(made) = Made::read(&part) {
            made.inputs.forget_overlooked(&part, modified(&part.join(KEY))?)?;
        }
        remove(&part.join(KEY))?;
        drop_files(&part, &prelink::FILES)?;
        fs::create_dir_all(&part).with_context(|| format!("{} cannot be made", part.display()))?;
        let began = SystemTime::now();
        build(&part, key, &lock, say)?;
        let inputs = Inputs::of(&part, began)?;
        if let Some(file) = inputs.dated_ahead() {
            say(&future_date(file));
        }
        drop_files(&part, &["ctx-", "ctx.", "libctx.", "libctx-", "libcode_"])?;
        for own in ["src", cargo::CALL] {
            remove(&part.join(own))?;
        }
        let made = Made { key: key.clone(), inputs };
        fs::write(part.join(KEY), serde_json::to_vec_pretty(&made)?)?;
        fs::rename(&part, &self.folder)
            .with_context(|| format!("{} cannot be placed", self.folder.display()))?;
        say(&format!("Prepared {name} in {:.0} s.", start.elapsed().as_secs_f64()));
        Ok(())
    }
}

/// What a file of the library's means that is dated in the future.
pub fn future_date(file: &Path) -> String {
    format!(
        "{} is dated in the future, so that cargo compiles the library in every session: touch it",
        file.display()
    )
}

/// How the library's own workspace compiles its dependencies, as a configuration of Cargo. evcxr
/// would optimise all of them, and the reader would wait.
fn profile_of(library: &Path) -> Result<String> {
    let manifest = |folder: &Path| -> Option<toml::Table> {
        fs::read_to_string(folder.join("Cargo.toml")).ok()?.parse().ok()
    };
    let packages =
        |table: toml::Table| Some(table.get("profile")?.get("dev")?.get("package")?.clone());
    let found = [Some(library), library.parent()]
        .into_iter()
        .flatten()
        .find_map(|folder| packages(manifest(folder)?));
    let Some(packages) = found else { return Ok(String::new()) };
    let dev = toml::Table::from_iter([("package".to_owned(), packages)]);
    let profile = toml::Table::from_iter([("dev".to_owned(), toml::Value::Table(dev))]);
    let config = toml::Table::from_iter([("profile".to_owned(), toml::Value::Table(profile))]);
    Ok(toml::to_string(&config)?)
}

/// Removes the templates of libraries that are no more: half a gigabyte each.
fn remove_orphans(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    for bench in entries.flatten().map(|entry| entry.path()) {
        let made = Made::read(&bench.join("template"));
        if made.is_some_and(|made| !made.key.library.is_dir()) {
            let _ = fs::remove_dir_all(&bench);
        }
    }
}

/// Compiles in a process of its own: evcxr reads the folder from the environment. That process works
/// on when this one is killed, so it holds the lock as well.
fn build(folder: &Path, key: &Key, lock: &File, say: &dyn Fn(&str)) -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("build-template")
        .arg("--library")
        .arg(&key.library)
        .env("EVCXR_TMPDIR", folder)
        .stdin(lock.try_clone()?)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut last = String::new();
    if let Some(errors) = child.stderr.take() {
        for line in BufReader::new(errors).lines() {
            let line = line?;
            // The compiler's own messages come as JSON, each with what a person reads in it.
            let line = match serde_json::from_str::<serde_json::Value>(&line) {
                Ok(json) => match json["message"]["rendered"].as_str() {
                    Some(rendered) => rendered.to_owned(),
                    None => continue,
                },
                Err(_) => line,
            };
            say(&line);
            last.push_str(&line);
            last.push('\n');
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "{} does not compile:\n{last}", key.library.display());
    Ok(())
}

/// The child of [`build`]: compiles the cell crate with the library in `EVCXR_TMPDIR`.
///
/// # Errors
/// A crate that does not compile.
pub fn build_here(library: &Path) -> Result<()> {
    let folder =
        PathBuf::from(std::env::var_os("EVCXR_TMPDIR").context("EVCXR_TMPDIR is not set")?);
    // Cells run here as evcxr's own do: this process is no session.
    let (context, _outputs) =
        EvalContext::with_subprocess_command(Command::new(std::env::current_exe()?))?;
    let mut context = CommandContext::with_eval_context(context);
    // The versions of the workspace, not the newest ones.
    if let Some(lock) = library.parent().map(|parent| parent.join("Cargo.lock"))
        && lock.is_file()
    {
        fs::copy(&lock, folder.join("Cargo.lock"))?;
    }
    context.execute(&format!(":dep {}", library.display()))?;
    let name = library.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
    context.execute(&format!("{{ use {name} as _; }}"))?;
    Ok(())
}

/// Removes all that bears a name with one of these beginnings.
fn drop_files(folder: &Path, beginnings: &[&str]) -> Result<()> {
    let target = folder.join(TARGET);
    if !target.is_dir() {
        return Ok(());
    }
    let mut found = Vec::new();
    walk_all(&target, &mut |path, _| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_one = beginnings.iter().any(|beginning| name.starts_with(beginning));
        if is_one {
            found.push(path.to_path_buf());
        }
        Ok(!is_one)
    })?;
    found.iter().try_for_each(|path| remove(path))
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

/// A session's private directory; it is removed at the end.
#[derive(Debug)]
pub struct SessionFolder {
    folder: PathBuf,
    /// Whether it is being removed: nothing more may be put there.
    closed: AtomicBool,
    /// Held as long as the session lives: a directory whose lock is free has been left behind.
    _lock: File,
}

impl SessionFolder {
    /// A new directory, empty.
    ///
    /// # Errors
    /// A cache that cannot be written.
    pub fn new(home: &Home, library: Option<&Path>) -> Result<SessionFolder> {
        let sessions = home.bench(library).join("sessions");
        fs::create_dir_all(&sessions)
            .with_context(|| format!("{} cannot be made", sessions.display()))?;
        remove_left_behind(&sessions);
        let name = uuid::Uuid::new_v4().simple().to_string();
        let folder = sessions.join(&name[..12]);
        let lock_file = folder.with_extension("lock");
        let lock = files::lock(&lock_file)?;
        fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(SessionFolder { folder, closed: AtomicBool::new(false), _lock: lock })
    }

    /// Fills it with what was compiled in a template; a compiler may be at work there.
    ///
    /// # Errors
    /// A cache that cannot be read or written.
    pub fn fill(&self, template: &Template) -> Result<()> {
        let (from, to) = (template.folder.join(TARGET), self.folder.join(TARGET));
        fs::create_dir_all(&to)?;
        link_or_copy(&from, &to, &self.closed)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Where the process that runs the cells is heard.
    pub fn socket(&self) -> PathBuf {
        socket_of(&self.folder)
    }

    /// Nothing more is put into it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }
}

impl Drop for SessionFolder {
    fn drop(&mut self) {
        self.close();
        remove_session(&self.folder);
    }
}

/// Removes the directory of a session. Who is still compiling in it is waited for; what is left all
/// the same, the next kernel removes.
pub fn remove_session(folder: &Path) {
    let _ = fs::remove_file(socket_of(folder));
    for _ in 0..40 {
        let gone = fs::remove_dir_all(folder);
        if gone.is_ok() || !folder.exists() {
            let _ = fs::remove_file(folder.with_extension("lock"));
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// In the session's directory, or where that path is too long for a socket, beside other temporary
/// files.
fn socket_of(folder: &Path) -> PathBuf {
    let path = folder.join("cells.sock");
    if path.as_os_str().len() < 100 {
        return path;
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    std::env::temp_dir().join(format!("googlenet-kernel-{name}.sock"))
}

/// Removes the directories of kernels that were killed.
fn remove_left_behind(sessions: &Path) {
    let Ok(entries) = fs::read_dir(sessions) else { return };
    for lock_file in entries.flatten().map(|entry| entry.path()) {
        if lock_file.extension().is_none_or(|ending| ending != "lock") {
            continue;
        }
        let Ok(file) = File::open(&lock_file) else { continue };
        // A lock that was made a moment ago may not be held yet.
        let young = file
            .metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|made| made.elapsed().is_ok_and(|age| age < Duration::from_secs(5)));
        if !young && file.try_lock().is_ok() {
            let _ = fs::remove_file(socket_of(&lock_file.with_extension("")));
            let _ = fs::remove_dir_all(lock_file.with_extension(""));
            let _ = fs::remove_file(&lock_file);
        }
    }
}

/// Links what compilers replace and never change; copies all else that is needed, with its time.
fn link_or_copy(from: &Path, to: &Path, closed: &AtomicBool) -> Result<()> {
    walk_all(from, &mut |path, kind| {
        ensure!(!closed.load(Ordering::SeqCst), "the session has ended");
        let target = to.join(path.strip_prefix(from).unwrap_or(path));
        if kind.is_dir() {
            // What only a change to the library would need, and the most that would be copied.
            if path.file_name().is_some_and(|name| name == "incremental") {
                return Ok(false);
            }
            fs::create_dir_all(&target)?;
        } else if is_note(path) {
            return Ok(false);
        } else if is_output(path) {
            fs::hard_link(path, &target)
                .with_context(|| format!("{} cannot be linked", path.display()))?;
        } else if !target.exists() {
            fs::copy(path, &target)
                .with_context(|| format!("{} cannot be copied", path.display()))?;
            let modified = fs::metadata(path)?.modified()?;
            File::options().write(true).open(&target)?.set_modified(modified)?;
        }
        Ok(true)
    })
}

/// Whether a file is cargo's note of how it came to what it made, which it reads only to make it again.
fn is_note(path: &Path) -> bool {
    let ends = |ending: &str| path.extension().is_some_and(|found| found == ending);
    let of_a_unit = path.ancestors().nth(2).and_then(Path::file_name);
    let in_fingerprints = of_a_unit.is_some_and(|folder| folder == ".fingerprint");
    ends("d") || ends("timestamp") || (in_fingerprints && ends("json"))
}

/// Whether a file is a compiler's output, which is never opened for writing again: a library, or the
/// program that is a build script.
fn is_output(path: &Path) -> bool {
    let Some(ending) = path.extension() else {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.ancestors().nth(2).and_then(Path::file_name);
        return folder.is_some_and(|folder| folder == "build")
            && (name.starts_with("build-script-") || name.starts_with("build_script_"));
    };
    ["rlib", "rmeta", "so", "dylib", "a", "o"].contains(&&*ending.to_string_lossy())
}

/// Walks over all files and folders below one; does not enter a folder for which `entry` says no.
pub fn walk_all(
    folder: &Path,
    entry: &mut dyn FnMut(&Path, fs::FileType) -> Result<bool>,
) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for item in entries {
        let item = item?;
        let kind = item.file_type()?;
        let enter = entry(&item.path(), kind)?;
        if kind.is_dir() && enter {
            walk_all(&item.path(), entry)?;
        }
    }
    Ok(())
}

fn wait_for(path: &Path, say: &dyn Fn(&str)) -> Result<File> {
    let file = File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            say("Another kernel is preparing the library: waiting for its end.");
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => bail!("{} cannot be locked: {error}", path.display()),
    }
    Ok(file)
}

/// The library made of `hooks.rs`, for the rustc that compiles the cells.
///
/// # Errors
/// A rustc that does not run or does not compile it.
pub fn hooks(home: &Home) -> Result<PathBuf> {
    const SOURCE: &str = include_str!("hooks.rs");
    let mut hasher = DefaultHasher::new();
    (SOURCE, rustc_version()?).hash(&mut hasher);
    let path = home.cache.join(format!("hooks-{:016x}.so", hasher.finish()));
    if path.is_file() {
        return Ok(path);
    }
    fs::create_dir_all(&home.cache)
        .with_context(|| format!("{} cannot be made", home.cache.display()))?;
    let work = tempfile::tempdir_in(&home.cache)?;
    let (source, library) = (work.path().join("hooks.rs"), work.path().join("hooks.so"));
    fs::write(&source, SOURCE)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let options = ["--edition", "2024", "--crate-type", "cdylib", "-O", "-C", "prefer-dynamic"];
    let files = ["-o", &text(&library), &text(&source)];
    rustc(&[&options[..], &files[..]].concat()).context("the panic hook does not compile")?;
    fs::rename(&library, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(folder: &Path) -> Home {
        Home { cache: folder.join("cache"), state: folder.join("state") }
    }

    fn template_of(home: &Home) -> Template {
        let template = Template { folder: home.cache.join("template") };
        let files = [
            ("target/liba.rlib", "compiled"),
            ("target/a.d", "a note"),
            ("target/debug/.fingerprint/a-1/lib-a", "in place"),
            ("target/debug/.fingerprint/a-1/lib-a.json", "a note"),
            ("target/debug/incremental/a-1/s-1/dep-graph.bin", "large"),
        ];
        for (file, text) in files {
            let path = template.folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        template
    }

    #[test]
    fn a_session_shares_outputs_and_owns_the_rest() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let template = template_of(&home);
        let session = SessionFolder::new(&home, None).unwrap();
        session.fill(&template).unwrap();
        let same = |file: &str| {
            let inode = |folder: &Path| fs::metadata(folder.join(file)).unwrap().ino();
            inode(&template.folder) == inode(session.path())
        };
        assert!(same("target/liba.rlib"));
        let owned = "target/debug/.fingerprint/a-1/lib-a";
        assert!(!same(owned));
        assert!(!session.path().join(format!("{owned}.json")).exists());
        assert!(!session.path().join("target/a.d").exists());
        assert!(!session.path().join("target/debug/incremental").exists());
        let time = |folder: &Path| fs::metadata(folder.join(owned)).unwrap().modified();
        assert_eq!(time(&template.folder).unwrap(), time(session.path()).unwrap());
        let path = session.path().to_path_buf();
        drop(session);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(home.bench(None).join("sessions")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_kernel_left_is_removed_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        // Too long for a socket within it.
        let home = home(&folder.path().join("long".repeat(25)));
        let used = SessionFolder::new(&home, None).unwrap();
        let sessions = home.bench(None).join("sessions");
        let socket = socket_of(&sessions.join("dead"));
        assert!(socket.starts_with(std::env::temp_dir()) && !socket.starts_with(&sessions));
        fs::write(&socket, "").unwrap();
        fs::create_dir(sessions.join("dead")).unwrap();
        let lock = File::create(sessions.join("dead.lock")).unwrap();
        lock.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
        drop(lock);
        let _new = SessionFolder::new(&home, None).unwrap();
        assert!(!sessions.join("dead").exists() && !sessions.join("dead.lock").exists());
        assert!(!socket.exists());
        assert!(used.path().exists());
    }

    fn key(library: &Path) -> Key {
        Key {
            library: library.into(),
            rustc: "1.95".into(),
            kernel: "0.1".into(),
            libtorch: "2.11".into(),
        }
    }

    fn write_key(template: &Path, key: &Key) {
        fs::create_dir_all(template).unwrap();
        let made = Made { key: key.clone(), inputs: Inputs::default() };
        fs::write(template.join(KEY), serde_json::to_vec(&made).unwrap()).unwrap();
    }

    #[test]
    fn only_a_crate_has_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let error = Key::of(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is no crate"), "{error}");
        fs::write(folder.path().join("Cargo.toml"), "[package]").unwrap();
        assert_eq!(Key::of(folder.path()).unwrap(), Key::of(folder.path()).unwrap());
    }

    #[test]
    fn a_template_that_does_not_fit_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let template = Template { folder: folder.path().to_path_buf() };
        let key = key(Path::new("/lib"));
        assert_eq!(template.standing(&key), Standing::Missing);
        write_key(folder.path(), &key);
        assert_eq!(template.standing(&key), Standing::Ready);
        let updated = Key { rustc: "1.96".into(), ..key.clone() };
        assert_eq!(template.standing(&updated), Standing::Stale(Stale::Rust));
        let other = Key { libtorch: "2.12".into(), ..key.clone() };
        assert_eq!(template.standing(&other), Standing::Stale(Stale::Libtorch));
        let kernel = Key { kernel: "0.2".into(), ..key };
        assert_eq!(template.standing(&kernel), Standing::Stale(Stale::Kernel));
    }

    #[test]
    fn dependencies_are_compiled_as_the_library_s_workspace_does() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("lib");
        fs::create_dir(&library).unwrap();
        fs::write(library.join("Cargo.toml"), "[package]\nname = \"lib\"").unwrap();
        assert_eq!(profile_of(&library).unwrap(), "");
        let workspace = "[profile.dev.package.\"*\"]\nopt-level = 1\n";
        fs::write(folder.path().join("Cargo.toml"), workspace).unwrap();
        assert_eq!(profile_of(&library).unwrap().trim(), workspace.trim());
    }

    #[test]
    fn templates_of_libraries_that_are_no_more_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let gone = folder.path().join("gone");
        for library in [folder.path(), &gone] {
            write_key(&home.bench(Some(library)).join("template"), &key(library));
        }
        remove_orphans(&home.cache);
        assert!(home.bench(Some(folder.path())).exists());
        assert!(!home.bench(Some(&gone)).exists());
    }

    #[test]
    fn the_hooks_compile_once() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let path = hooks(&home).unwrap();
        let made = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(hooks(&home).unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), made);
    }
}
