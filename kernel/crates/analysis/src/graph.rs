//! Which crates there are, and which of them sees which.
//!
//! Of the standard library these are core, alloc and std: what its documentation shows. That needs no
//! call of cargo, and none of the crates below it, which lie in cargo's home only by chance; for the one
//! whose types are seen through it, there is a stand-in.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, anyhow};
use ra_ap_base_db::{
    AbsPathBuf, CrateBuilderId, CrateDisplayName, CrateGraphBuilder, CrateName, CrateOrigin,
    CrateWorkspaceData, DependencyBuilder, Env, FileId, LangCrateOrigin,
};
use ra_ap_ide::Edition;
use ra_ap_ide_db::RootDatabase;
use ra_ap_intern::Symbol;
use triomphe::Arc;

use crate::dependencies::Package;
use crate::sources::Sources;
use crate::toolchain::Toolchain;

/// The crates of the standard library, each behind those that it needs.
const STANDARD: [&str; 4] = ["core", "alloc", STAND_IN, "std"];
const STAND_IN: &str = "hashbrown";

/// The folders of the standard library's sources that are read. core has more code beside them: what single
/// processors can do (`std::arch`), which would double the time and add 125 MB, and what is no part of
/// stable Rust (`std::simd`).
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn read_standard(
    library: &Path,
    sources: &mut Sources,
    db: &mut RootDatabase,
) -> Result<()> {
    let folders = ["core/src", "alloc/src", "std/src"].map(|folder| library.join(folder));
    if sources.knows(&folders[0]) {
        return Ok(());
    }
    sources.read(db, &folders)?;
    let stand_in = library.join(STAND_IN);
    let text = include_str!("../assets/hashbrown.rs").to_owned();
    sources.tell(db, &stand_in, vec![(stand_in.join("src/lib.rs"), text)])
}

/// Makes the graph of all crates whose sources were read.
///
/// # Errors
/// A cell crate that is not among the packages.
pub(crate) fn crates(
    toolchain: &Toolchain,
    packages: &[Package],
    sources: &Sources,
) -> Result<CrateGraphBuilder> {
    let mut graph = Graph {
        builder: CrateGraphBuilder::default(),
        workspace: Arc::new(CrateWorkspaceData {
            target: toolchain.target.clone(),
            toolchain: toolchain.version.clone(),
        }),
        toolchain,
    };
    let standard = graph.standard(sources);
    let mut ids = BTreeMap::new();
    for (place, package) in packages.iter().enumerate() {
        // The first is the cells' own; its file need not exist.
        let file = if place == 0 { Some(sources.cells()) } else { sources.file(&package.root) };
        let Some(file) = file else {
            log::warn!("the sources of {} were not found", package.name);
            continue;
        };
        let id = graph.package(package, file, place == 0)?;
        for (name, standard) in &standard {
            // `alloc` has to be named by `extern crate`.
            let prelude = name.as_str() != "alloc";
            let name = CrateName::normalize_dashes(name);
            let on = DependencyBuilder::with_prelude(name, *standard, prelude, true);
            graph.depend(id, on);
        }
        ids.insert(&package.id, id);
    }
    for package in packages {
        for (name, on) in &package.dependencies {
            if let (Some(id), Some(on)) = (ids.get(&package.id), ids.get(on)) {
                let name = CrateName::normalize_dashes(name);
                graph.depend(*id, DependencyBuilder::new(name, *on));
            }
        }
    }
    Ok(graph.builder)
}

struct Graph<'a> {
    builder: CrateGraphBuilder,
    workspace: Arc<CrateWorkspaceData>,
    toolchain: &'a Toolchain,
}

impl Graph<'_> {
    fn standard(&mut self, sources: &Sources) -> Vec<(String, CrateBuilderId)> {
        let mut made: Vec<(String, CrateBuilderId)> = Vec::new();
        let Some(library) = &self.toolchain.library else { return made };
        for name in STANDARD {
            let folder = library.join(name);
            let Some(file) = sources.file(&folder.join("src/lib.rs")) else { continue };
            let Some(folder) = absolute(&folder) else { continue };
            let mut cfg = self.toolchain.cfg.clone();
            // As rust-analyzer has it: intrinsics have bodies that can be read then.
            cfg.insert_atom(Symbol::intern("miri"));
            let origin = match name {
                STAND_IN => LangCrateOrigin::Dependency,
                name => LangCrateOrigin::from(name),
            };
            let id = self.builder.add_crate_root(
                file,
                Edition::Edition2024,
                Some(CrateDisplayName::from_canonical_name(name)),
                None,
                cfg,
                None,
                Env::default(),
                CrateOrigin::Lang(origin),
                Vec::new(),
                false,
                folder,
                self.workspace.clone(),
            );
            for (name, below) in &made {
                let name = CrateName::normalize_dashes(name);
                self.depend(id, DependencyBuilder::new(name, *below));
            }
            made.push((name.to_owned(), id));
        }
        made.retain(|(name, _)| name != STAND_IN);
        made
    }

    fn package(
        &mut self,
        package: &Package,
        file: FileId,
        is_cells: bool,
    ) -> Result<CrateBuilderId> {
        let edition = package
            .edition
            .parse()
            .map_err(|_| anyhow!("edition {} of {} is unknown", package.edition, package.name))?;
        let folder = absolute(&package.folder)
            .ok_or_else(|| anyhow!("{} is no absolute path", package.folder.display()))?;
        let mut cfg = self.toolchain.cfg.clone();
        for feature in &package.features {
            cfg.insert_key_value(Symbol::intern("feature"), Symbol::intern(feature));
        }
        let mut env = Env::default();
        env.set("CARGO_MANIFEST_DIR", folder.as_str());
        env.set("CARGO_PKG_NAME", package.name.as_str());
        env.set("CARGO_PKG_VERSION", package.version.as_str());
        env.set("CARGO_CRATE_NAME", package.crate_name.as_str());
        let name = Symbol::intern(&package.name);
        let origin = match is_cells {
            true => CrateOrigin::Local { repo: None, name: Some(name) },
            false => CrateOrigin::Library { repo: None, name },
        };
        Ok(self.builder.add_crate_root(
            file,
            edition,
            Some(CrateDisplayName::from_canonical_name(&package.crate_name)),
            Some(package.version.clone()),
            cfg,
            None,
            env,
            origin,
            Vec::new(),
            package.is_proc_macro,
            folder,
            self.workspace.clone(),
        ))
    }

    fn depend(&mut self, from: CrateBuilderId, on: DependencyBuilder) {
        // A test may need the crate that it tests: such circles are between what is not read here.
        if let Err(error) = self.builder.add_dep(from, on) {
            log::debug!("{error}");
        }
    }
}

fn absolute(path: &Path) -> Option<Arc<AbsPathBuf>> {
    AbsPathBuf::try_from(path.to_str()?).ok().map(Arc::new)
}
