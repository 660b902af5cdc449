//! The processes that this one has started.

use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Kills all that this process has started, and waits for its end. A program that could not be ended
/// within two seconds is left to the system.
pub(crate) fn end_all() {
    for _ in 0..100 {
        kill_compilers(0);
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

/// Kills cargo and all that it has started, and spares the process that runs the cells.
pub(crate) fn kill_compilers(cells: i32) {
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
                && process.pid().as_u32() as i32 != cells
        });
        family.extend(children.map(sysinfo::Process::pid));
    }
    for process in family.iter().skip(1) {
        if let Some(process) = system.process(*process) {
            process.kill();
        }
    }
}
