//! The linker for the target: any ELF linker does.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A linker and how rustc has to talk to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linker {
    path: PathBuf,
    flavor: &'static str,
}

impl Linker {
    /// `rust-lld` of the toolchain at `sysroot`, else `ld.lld`, else GNU `ld`.
    ///
    /// # Errors
    /// None of the three is there.
    pub fn find(sysroot: &Path, host: &str) -> Result<Self> {
        let bundled = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
        if bundled.is_file() {
            return Ok(Self { path: bundled, flavor: "ld.lld" });
        }
        let installed = [("ld.lld", "ld.lld"), ("ld", "ld")];
        installed.into_iter().find_map(|(name, flavor)| Some(Self { path: program_on_path(name)?, flavor })).context(
            "no linker: the Rust toolchain has no rust-lld, and neither ld.lld nor ld is on \
                 PATH. Install one, for example with: apt-get install binutils",
        )
    }

    /// The rustc arguments that choose this linker.
    pub fn rustc_arguments(&self) -> [String; 2] {
        [format!("-Clinker={}", self.path.display()), format!("-Clinker-flavor={}", self.flavor)]
    }
}

/// The first file called `name` in the folders of `PATH`.
pub fn program_on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
