//! Variables that say who started a program, and must not reach what it starts.

use std::ffi::{OsStr, OsString};

/// The variables by which cargo tells a program about the package that it runs for.
const FAMILIES: [&str; 4] = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_"];
const NAMES: [&str; 3] = ["CARGO", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];

/// The variables of this process by which cargo has told it about its package. A cargo that this process
/// starts must not see them: build scripts read the same names, and where those differ from one start
/// to the next, cargo compiles a crate anew that has not changed.
pub fn told_by_cargo() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| is_of_a_package(name))
}

fn is_of_a_package(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        NAMES.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says_of_a_package_is_told_from_what_the_person_says_to_cargo() {
        for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "OUT_DIR"] {
            assert!(is_of_a_package(OsStr::new(name)), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_TARGET_DIR", "PATH"] {
            assert!(!is_of_a_package(OsStr::new(name)), "{name}");
        }
    }
}
