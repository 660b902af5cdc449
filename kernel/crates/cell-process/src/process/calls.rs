//! The calls that have led to a panic.
//!
//! The standard library can name none in a library that was loaded after its first backtrace, as those of
//! all later cells are. Here the lines are read from the cell's own library.

use std::ffi::CStr;
use std::path::{Path, PathBuf};

use addr2line::Context;
use addr2line::gimli::{self, EndianSlice, RunTimeEndian};
use object::{Object as _, ObjectSection as _};

/// No library of a cell is larger.
const LARGE: u64 = 64 << 20;
/// A recursion may be deep.
const CALLS: usize = 200;

/// One call.
struct Call {
    /// The function, as far as it is known.
    name: Option<String>,
    /// File, line and column.
    place: Option<(String, u32, u32)>,
}

impl Call {
    /// Its place, where that is in a cell: the file without folders.
    fn in_cell(&self) -> Option<String> {
        let (file, line, column) = self.place.as_ref()?;
        is_of_cell(file)
            .then(|| format!("{}:{line}:{column}", file.rsplit('/').next().unwrap_or_default()))
    }
}

/// Whether this is the file of a cell: `cell 7`, in whichever folder.
pub(super) fn is_of_cell(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or_default();
    let number = name.strip_prefix("cell ").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The innermost call in a cell: its file, line and column, with colons between.
pub(super) fn place_in_cell() -> Option<String> {
    let mut found = None;
    backtrace::trace(|frame| {
        found = calls_at(frame.ip() as usize).iter().find_map(Call::in_cell);
        found.is_none()
    });
    found
}

/// All calls from the panic to the outermost in a cell, line by line; none where no cell is among them.
pub(super) fn backtrace() -> Option<String> {
    let mut calls = Vec::new();
    backtrace::trace(|frame| {
        calls.extend(calls_at(frame.ip() as usize));
        calls.len() < CALLS
    });
    let is = |call: &Call, parts: &[&str]| {
        call.name.as_deref().is_some_and(|name| parts.iter().any(|part| name.contains(part)))
    };
    let inner = calls.iter().position(|call| call.in_cell().is_some())?;
    let of_panic = |call: &Call| is(call, &["panicking", "begin_unwind", "rust_live::"]);
    let first = calls[..inner].iter().rposition(of_panic).map_or(0, |of_panic| of_panic + 1);
    // The support library has called the cell.
    let around = |call: &Call| is(call, &["rust_live::"]);
    let end = calls[inner..].iter().position(around).map_or(calls.len(), |around| inner + around);
    let last = calls[..end].iter().rposition(|call| call.in_cell().is_some())?;
    let mut text = String::new();
    for (number, call) in calls[first..=last].iter().enumerate() {
        text += &format!("{number:4}: {}\n", call.name.as_deref().unwrap_or("<unknown>"));
        if let Some(place) = call.in_cell() {
            text += &format!("             at {place}\n");
        } else if let Some((file, line, column)) = &call.place {
            text += &format!("             at {file}:{line}:{column}\n");
        }
    }
    Some(text)
}

/// The calls that have led to the one that returns to this address: several where functions were compiled
/// into others.
fn calls_at(address: usize) -> Vec<Call> {
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // The call is before the address to which it returns.
    let address = address.wrapping_sub(1);
    // SAFETY: the call fills in the structure.
    if unsafe { libc::dladdr(address as *const libc::c_void, &mut info) } == 0 {
        return Vec::new();
    }
    let text = |text: *const libc::c_char| {
        // SAFETY: a text of the dynamic linker's, as long as the library is loaded.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    };
    let path = text(info.dli_fname).map(PathBuf::from).unwrap_or_default();
    let is_cell =
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libcell"));
    let offset = address.wrapping_sub(info.dli_fbase as usize) as u64;
    // A library that says nothing of lines is one without them.
    let calls = if is_cell { calls_in(&path, offset).unwrap_or_default() } else { Vec::new() };
    if calls.is_empty() {
        return vec![Call { name: text(info.dli_sname).map(|name| demangled(&name)), place: None }];
    }
    calls
}

/// What a library says of an address in it.
fn calls_in(library: &Path, offset: u64) -> anyhow::Result<Vec<Call>> {
    anyhow::ensure!(std::fs::metadata(library)?.len() < LARGE, "this is no library of a cell");
    let bytes = std::fs::read(library)?;
    let file = object::File::parse(&*bytes)?;
    let endian = if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let section = |id: gimli::SectionId| -> Result<_, gimli::Error> {
        let data = file.section_by_name(id.name()).and_then(|section| section.data().ok());
        Ok(EndianSlice::new(data.unwrap_or_default(), endian))
    };
    let lines = Context::from_dwarf(gimli::Dwarf::load(section)?)?;
    let mut calls = Vec::new();
    let mut frames = lines.find_frames(offset).skip_all_loads()?;
    while let Some(frame) = frames.next()? {
        let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
        let place = frame.location.as_ref().and_then(|place| {
            Some((place.file?.to_owned(), place.line?, place.column.unwrap_or_default()))
        });
        calls.push(Call { name: name.as_deref().map(demangled), place });
    }
    Ok(calls)
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
