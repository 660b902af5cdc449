//! The command line.

mod doctor;
mod export;
pub(crate) mod kernelspec;
mod store;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use tokio::sync::{Notify, mpsc};

use crate::engine::Output;
use crate::home::{Home, SessionFolder, remove_session};
use crate::protocol::history::History;
use crate::protocol::iopub::Event;
use crate::protocol::{self, Parts, Sockets};
use crate::session::{Session, Setup, processes};
use kernelspec::{Choices, InstallLocation, Installed, Variable};

/// A Jupyter kernel for Rust: live output, a stop button that keeps variables, an instant first cell.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Serve one notebook; Jupyter calls this
    Run {
        /// The connection file that Jupyter wrote for this session
        #[arg(long, value_name = "FILE")]
        connection_file: PathBuf,
        /// The folder of a crate that cells may name without a `:dep`
        #[arg(long, value_name = "DIR")]
        library: Option<PathBuf>,
    },
    /// Tell Jupyter about this kernel
    Install(Choices),
    /// Make Jupyter forget this kernel
    Uninstall {
        #[command(flatten)]
        location: InstallLocation,
        /// The name it was installed under
        #[arg(long, default_value = kernelspec::NAME)]
        name: String,
    },
    /// Compile a crate, so that every session finds it in the store
    Prepare {
        /// The name of the installed kernel whose library and variables are meant, where no library is
        /// named; by default, the one that has a library
        #[arg(long)]
        name: Option<String>,
        /// The folder of the crate
        #[arg(long, value_name = "DIR", conflicts_with = "name")]
        library: Option<PathBuf>,
        /// A variable of the environment in which it is compiled. May be given again
        #[arg(long, value_name = "NAME=VALUE", value_parser = Variable::parse)]
        env: Vec<Variable>,
    },
    /// Make a Cargo project of a notebook: `cargo run` in it writes what the notebook's cells show
    Export {
        /// The file of the notebook
        #[arg(value_name = "NOTEBOOK")]
        notebook: PathBuf,
        /// The folder of the project, which is made
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Say whether everything is there that cells need, and what to do about what is not
    Doctor {
        /// The name of the installed kernel that is meant; by default, the one that has a library
        #[arg(long)]
        name: Option<String>,
    },
    /// The store of compiled crates: what is in it
    Store {
        #[command(subcommand)]
        action: Option<store::Action>,
    },
    /// End what a session has started, and remove its directory
    #[command(hide = true)]
    RemoveSession { folder: PathBuf },
}

/// Does what the command line asks for.
pub(crate) fn main() -> ExitCode {
    match act(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(action: Action) -> Result<ExitCode> {
    // RUST_LOG says what is logged; Jupyter keeps standard error in its own log.
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    forget_cargo();
    find_rust();
    let say = |line: &str| eprintln!("{line}");
    match action {
        Action::Run { connection_file, library } => run(&connection_file, library)?,
        Action::Install(choices) => kernelspec::install(&choices)?,
        Action::Uninstall { location, name } => kernelspec::uninstall(&location, &name)?,
        Action::Prepare { name, library, env } => {
            let installed = Installed::find(name.as_deref()).filter(|_| library.is_none());
            if let Some(installed) = &installed {
                installed.apply_environment();
            }
            env.iter().for_each(Variable::apply);
            let library = library.or_else(|| installed.as_ref()?.library());
            let library = library.context("no library is known: name its folder with --library")?;
            store::prepare(&Home::find()?, &library, &say)?;
        }
        Action::Export { notebook, folder } => export::export(&notebook, &folder, &say)?,
        Action::Store { action } => store::act(&Home::find()?, action.as_ref(), &say)?,
        Action::Doctor { name } => return Ok(doctor::examine(name.as_deref())),
        Action::RemoveSession { folder } => {
            processes::end_all();
            remove_session(&folder);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Crates would be compiled anew by a kernel that was started in another way than the one before.
fn forget_cargo() {
    for name in shared::environment::told_by_cargo().collect::<Vec<_>>() {
        // SAFETY: no thread was started yet.
        unsafe { std::env::remove_var(name) };
    }
}

/// Programs that were not started by a shell may not have cargo's folder on their path.
fn find_rust() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_rust = |folder: &Path| folder.join("rustc").is_file();
    if std::env::split_paths(&path).any(|folder| has_rust(&folder)) {
        return;
    }
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(dirs::home_dir()?.join(".cargo")));
    if let Some(bin) = cargo.map(|cargo| cargo.join("bin")).filter(|bin| has_rust(bin))
        && let Ok(path) = std::env::join_paths(std::env::split_paths(&path).chain([bin]))
    {
        set_variable("PATH", path);
    }
}

/// Only for the time before any thread is started.
pub(crate) fn set_variable(name: &str, value: impl Into<OsString>) {
    // SAFETY: see above: nothing else reads the environment yet.
    unsafe { std::env::set_var(name, value.into()) }
}

/// Serves one notebook.
fn run(connection_file: &Path, library: Option<PathBuf>) -> Result<()> {
    // Looked at first: Jupyter may end while this starts.
    let parent = std::os::unix::process::parent_id();
    // Jupyter asks for an interrupt by a message; Ctrl-C in a terminal is not meant for this process.
    // SAFETY: no handler is set.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    let home = Home::find()?;
    let folder = Arc::new(SessionFolder::new(&home)?);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(serve(connection_file, library, &home, &folder, parent))?;
    end(&folder)
}

/// Removes the directory of the session and ends this process. Threads may write into the directory as long
/// as they live: another program, in the place of this one, ends them all and removes it then.
fn end(folder: &SessionFolder) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    let program = crate::home::this_program()?;
    let error = Command::new(&program).arg("remove-session").arg(folder.path()).exec();
    Err(error).with_context(|| format!("{} cannot be started again", program.display()))
}

async fn serve(
    connection_file: &Path,
    library: Option<PathBuf>,
    home: &Home,
    folder: &Arc<SessionFolder>,
    parent: u32,
) -> Result<()> {
    let sockets = Sockets::bind(connection_file).await?;
    let (events, published) = mpsc::channel::<Event>(256);
    let history = History::open(&home.state)
        .inspect_err(|error| log::warn!("cells are not kept in the history: {error:#}"))
        .ok();
    let setup = Setup { home: home.clone(), folder: Arc::clone(folder), library };
    let output: Output = Arc::new({
        let events = events.clone();
        move |event| events.blocking_send(Event::Engine(event)).is_ok()
    });
    let engine = Arc::new(Session::start(setup, output)?);
    let ended = Arc::new(Notify::new());
    tokio::spawn(watch(Arc::clone(&ended), parent));
    protocol::serve(sockets, Parts { engine, events, published, history, ended }).await;
    Ok(())
}

/// Tells when this kernel has to end: it was asked to, or Jupyter, its parent, has gone.
async fn watch(ended: Arc<Notify>, parent: u32) {
    use tokio::signal::unix::{SignalKind, signal};
    let orphaned = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            if std::env::var_os("JPY_PARENT_PID").is_some()
                && std::os::unix::process::parent_id() != parent
            {
                return;
            }
        }
    };
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            () = orphaned => {}
        },
        Err(_) => orphaned.await,
    }
    ended.notify_one();
}
