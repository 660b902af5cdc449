//! Upstream's kernel, which is built from this workspace and installed beside ours.
//!
//! Ours evaluates cells by its own means, and keeps what evcxr has promised to libraries and notebooks: `:dep`
//! and its other commands, the method `evcxr_display`, content between marker lines.

/// The version of evcxr that is built in: the one in the workspace's Cargo.toml.
pub(crate) fn version() -> &'static str {
    const MANIFEST: &str = include_str!("../../../Cargo.toml");
    let version = MANIFEST.lines().find_map(|line| line.strip_prefix("evcxr = \"="));
    version.map_or("of unknown version", |version| version.trim_end_matches('"'))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_of_evcxr_is_a_whole_one() {
        let version = super::version();
        assert_eq!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3);
    }
}
