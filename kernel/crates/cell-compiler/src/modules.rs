//! Modules of a cell that are in files beside the notebook, and files that it includes: later cells are compiled
//! with them as they were.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use cell_program::{Cell, ModuleFile, file_of_include, file_of_module, text_of_module};

/// Copies the files of a cell's modules, and those that it includes, to where its program reads them.
pub(crate) fn copy(cell: &Cell, folder: &Path) -> Result<()> {
    for module in &cell.module_files {
        let to = folder.join(file_of_module(cell.number, &module.name));
        copy_module(module, to.parent().unwrap_or(folder))?;
    }
    for (place, included) in cell.included_files.iter().enumerate() {
        let to = folder.join(file_of_include(cell.number, place));
        let parent = to.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .with_context(|| format!("{} cannot be made", parent.display()))?;
        let written = match &included.text {
            Some(text) => {
                let beside = included.file.parent().unwrap_or(&included.file);
                fs::write(&to, text_of_module(text, beside))
            }
            None => fs::copy(&included.file, &to).map(|_| ()),
        };
        written
            .with_context(|| format!("the file {} cannot be copied", included.file.display()))?;
    }
    Ok(())
}

/// Makes a folder of a module's file, as `mod.rs`, and of the modules below it. What else was in that folder is gone:
/// the same cell may be tried again.
///
/// # Errors
/// Files that cannot be read, and a folder that cannot be written.
pub fn copy_module(module: &ModuleFile, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("{} cannot be removed", to.display()))?;
    }
    copy_folder(&module.folder, to)?;
    copy_file(&module.file, &to.join("mod.rs"))
}

/// The Rust files of a folder, if there is one, and those of the folders in it.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    if !from.is_dir() {
        return Ok(());
    }
    let entries =
        fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("{} cannot be read", from.display()))?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        // A link to a folder may lead back to one around it.
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if path.is_dir() && !is_link {
            copy_folder(&path, &to)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            copy_file(&path, &to)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let text = fs::read_to_string(from)
        .with_context(|| format!("the module's file {} cannot be read", from.display()))?;
    let text = text_of_module(&text, from.parent().unwrap_or(from));
    fs::write(to, text).with_context(|| format!("{} cannot be written", to.display()))
}
