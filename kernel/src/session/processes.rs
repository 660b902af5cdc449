//! The processes that this one has started.

use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Kills all that this process has started, and waits for its end. A program that could not be ended
/// within two seconds is left to the system.
pub(crate) fn end_all() {
    for _ in 0..100 {
        kill_compilers(Vec::new());
        loop {
            // SAFETY: null: the status is not asked for.
            match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
                // There is none any more.
                -1 => return,
                0 => break,
                _ => {}
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills compilers and all that they have started, and spares the programs of these numbers and theirs.
pub(crate) fn kill_compilers(spared: Vec<i32>) {
    let Ok(mut system) = System::new() else { return };
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, ProcessRefreshKind::nothing());
    let mut family = vec![Pid::from_u32(std::process::id())];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        next += 1;
        let children = system.processes().values().filter(|process| {
            process.parent() == Some(parent)
                && process.thread_kind().is_none()
                && !spared.contains(&(process.pid().as_u32() as i32))
        });
        family.extend(children.map(sysinfo::Process::pid));
    }
    for process in family.iter().skip(1) {
        if let Some(process) = system.process(*process) {
            process.kill();
        }
    }
}
