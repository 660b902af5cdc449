//! Measures how long answers take: `measure FOLDER 'TEXT^'...`, where `^` is the cursor and FOLDER has the
//! crate's Cargo.toml. The text stands in the body of a function.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use cell_analysis::Analysis;

/// As in the kernel.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("no folder is named")?;
    let mut analysis = Analysis::new("rustc", "cargo", Path::new(&folder))?;
    let begun = Instant::now();
    analysis.load()?;
    println!("load: {:?}, {}", begun.elapsed(), memory()?);
    for text in arguments {
        let source = format!("fn cell() {{\n{text}\n}}\n");
        let offset = source.find('^').context("no cursor in the text")?;
        let source = source.replacen('^', "", 1);
        for _ in 0..2 {
            let begun = Instant::now();
            let found = analysis.complete(&source, offset)?;
            println!("{text}: {} in {:?}", found.len(), begun.elapsed());
            for one in found.iter().take(6) {
                let documentation = one.documentation.as_deref().unwrap_or_default();
                println!(
                    "  {one_text} [{kind}] {signature:?} {first:?}",
                    one_text = one.text,
                    kind = one.kind,
                    signature = one.signature.as_deref().unwrap_or_default(),
                    first = documentation.lines().next().unwrap_or_default()
                );
            }
        }
        let begun = Instant::now();
        let found = analysis.inspect(&source, offset)?;
        println!("inspected in {:?}", begun.elapsed());
        if let Some(found) = found {
            println!("{}\n{}", found.plain, found.html);
        }
    }
    let begun = Instant::now();
    analysis.reload()?;
    println!("again: {:?}, {}", begun.elapsed(), memory()?);
    Ok(())
}

/// What the process holds, in the system's own words.
fn memory() -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let lines =
        status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    Ok(lines.collect::<Vec<_>>().join(", "))
}
