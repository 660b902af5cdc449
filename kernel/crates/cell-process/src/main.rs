//! The process that runs the cells, as a program of its own.

fn main() -> std::process::ExitCode {
    cell_process::enter();
    eprintln!("this program is started by the kernel");
    std::process::ExitCode::from(2)
}
