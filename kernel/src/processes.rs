//! The processes that this one has started.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Kills cargo and all that it has started, and spares the process that runs the cells.
pub fn kill_compilers(cells: i32) {
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
