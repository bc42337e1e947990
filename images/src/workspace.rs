//! Where the parts of the workspace are, and which packages run on the target.
//!
//! What runs on the target is decided by folder, so that a new server needs no entry here:
//! `microkernel`, `init`, everything under `servers/`, `tests/bench` and `tests/guest`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::{MetadataCommand, PackageId};

/// The checkout that this tool was built from.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
}

/// What a package's programs are on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The kernel: booted by QEMU, not part of the archive.
    Kernel,
    /// The supervisor: `init` of the archive, started by the kernel.
    Init,
    /// A server or command: `bin/NAME` of the archive.
    Program,
    /// What tests and measurements run: `bin/NAME` of the archive that they boot, and of no other.
    Test,
}

/// A package that is built for the target.
#[derive(Debug, Clone)]
pub struct TargetPackage {
    /// The package's name, which a package of the registry may have too.
    pub name: String,
    /// How cargo's messages name it.
    pub id: PackageId,
    /// What its programs are.
    pub role: Role,
}

impl Workspace {
    /// The workspace that holds this package's sources.
    ///
    /// # Errors
    /// The checkout was moved or removed after the tool was built.
    pub fn locate() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the host tool's package has no parent folder")?
            .to_path_buf();
        if !root.join("Cargo.toml").is_file() {
            bail!(
                "the checkout {} is not there any more: start the tool with `cargo run` in the checkout",
                root.display()
            );
        }
        Ok(Self { root })
    }

    /// The root folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of everything that is made: nothing is written outside of it.
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// The target folder of the inner build, apart from the host's so that the two never wait
    /// for each other's lock.
    pub fn target_build(&self) -> PathBuf {
        self.target().join("skink")
    }

    /// The packages that are built for the target, by name.
    ///
    /// # Errors
    /// `cargo metadata` fails: a Cargo.toml is broken.
    pub fn target_packages(&self, cargo: &Path) -> Result<Vec<TargetPackage>> {
        let metadata = MetadataCommand::new()
            .cargo_path(cargo)
            .manifest_path(self.root.join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("cargo could not read the workspace's packages")?;
        let mut packages = Vec::new();
        for package in metadata.workspace_packages() {
            let folder = package.manifest_path.parent().map(|path| path.as_std_path());
            let folder = folder.and_then(|path| path.strip_prefix(&self.root).ok());
            let Some(role) = folder.and_then(role_of_folder) else {
                continue;
            };
            if package.targets.iter().any(|target| target.is_bin()) {
                packages.push(TargetPackage { name: package.name.to_string(), id: package.id.clone(), role });
            }
        }
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(packages)
    }
}

/// The role of the package in `folder`, relative to the root; `None` for host packages.
fn role_of_folder(folder: &Path) -> Option<Role> {
    let parts: Vec<_> = folder.iter().map(|part| part.to_str().unwrap_or("")).collect();
    match parts.as_slice() {
        ["microkernel"] => Some(Role::Kernel),
        ["init"] => Some(Role::Init),
        ["servers", _] => Some(Role::Program),
        ["tests", "bench" | "guest"] => Some(Role::Test),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_follow_the_folders() {
        assert_eq!(role_of_folder(Path::new("microkernel")), Some(Role::Kernel));
        assert_eq!(role_of_folder(Path::new("init")), Some(Role::Init));
        assert_eq!(role_of_folder(Path::new("servers/uart")), Some(Role::Program));
        assert_eq!(role_of_folder(Path::new("tests/guest")), Some(Role::Test));
        assert_eq!(role_of_folder(Path::new("tests")), None);
        assert_eq!(role_of_folder(Path::new("libsys")), None);
    }
}
