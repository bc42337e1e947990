//! Debian's Rust compiler with the source of its library, driven by any cargo.
//!
//! An installed one is used as it is. Else its packages are downloaded and unpacked below
//! `target/toolchain`, which needs no rights: rustc finds its sysroot, and cargo the library
//! source, from where the compiler is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Compiler, LIBRARY_SOURCE};
use crate::apt::Apt;
use crate::lock::FileLock;
use crate::progress::Progress;

/// Compiler and library source: the second pair is what stable releases get for browsers'
/// sake, newer than the first.
const PAIRS: [[&str; 2]; 2] = [["rustc", "rust-src"], ["rustc-web", "rust-web-src"]];

/// Folder of the shared libraries in Debian's packages.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// A compiler's version, minor last: `(1, 90)`.
type Version = (u32, u32);

/// The installed compiler, the one unpacked in `folder`, or one newly unpacked there.
///
/// # Errors
/// The packages are not to be had; the message says why.
pub(super) fn find_or_unpack(folder: &Path, progress: &Progress) -> Result<Compiler> {
    if let Some(compiler) = installed() {
        return Ok(compiler);
    }
    if let Some(compiler) = unpacked(folder) {
        return Ok(compiler);
    }
    let _lock = FileLock::acquire(&folder.with_extension("lock"), progress)?;
    if let Some(compiler) = unpacked(folder) {
        return Ok(compiler);
    }
    unpack(folder, progress)?;
    unpacked(folder).context("the unpacked compiler is incomplete")
}

/// The system's own compiler, if it is new enough and has its library source.
fn installed() -> Option<Compiler> {
    let rustc = Path::new("/usr/bin/rustc");
    let has_source = Path::new("/usr").join(LIBRARY_SOURCE).is_file();
    let compiler = Compiler::Foreign { rustc: rustc.into(), libraries: None };
    (has_source && version_of(rustc, None).ok()? >= minimum()).then_some(compiler)
}

/// The compiler in `folder`. The folder appears under this name when it is complete.
fn unpacked(folder: &Path) -> Option<Compiler> {
    let rustc = folder.join("usr/bin/rustc");
    let complete = rustc.is_file() && folder.join("usr").join(LIBRARY_SOURCE).is_file();
    complete.then(|| Compiler::Foreign { rustc, libraries: Some(folder.join(LIBRARIES)) })
}

fn unpack(folder: &Path, progress: &Progress) -> Result<()> {
    let apt = Apt::system().context("there is no apt on this machine")?;
    let partial = folder.with_extension("partial");
    let work = folder.with_extension("download");
    for old in [folder, &partial, &work] {
        remove(old)?;
    }
    progress.step("downloading a compiler for the target, once (about 150 MB)");
    let packages = match fetch(&apt, &work.join("packages"), progress) {
        Ok(packages) => packages,
        Err(_) => {
            progress.detail("updating the package lists");
            let apt = Apt::with_private_lists(&work)?;
            fetch(&apt, &work.join("packages"), progress)?
        }
    };
    progress.step("unpacking the compiler for the target");
    for package in &packages {
        if let Some(name) = package.file_stem() {
            progress.detail(&name.to_string_lossy());
        }
        Apt::unpack(package, &partial)?;
    }
    keep_only_the_library(&partial.join("usr/src"))?;
    let version = version_of(&partial.join("usr/bin/rustc"), Some(&partial.join(LIBRARIES)))?;
    if version < minimum() {
        bail!("the compiler is {}.{}, which is too old", version.0, version.1);
    }
    fs::rename(&partial, folder)
        .with_context(|| format!("cannot rename {} to {}", partial.display(), folder.display()))?;
    remove(&work)
}

/// Downloads the best pair with what it needs and this system has not.
fn fetch(apt: &Apt, folder: &Path, progress: &Progress) -> Result<Vec<PathBuf>> {
    let pair = PAIRS
        .iter()
        .find(|pair| {
            let version = apt.candidate(pair[0]).and_then(|text| parse_version(&text));
            version.is_some_and(|version| version >= minimum())
        })
        .with_context(|| format!("apt offers no Rust compiler of {}.{} or later", minimum().0, minimum().1))?;
    // The compiler's own packages must lie beside each other even if some are installed.
    let needed: Vec<String> = apt
        .closure(pair)?
        .into_iter()
        .filter(|package| package.contains("rust") || !Apt::is_installed(package))
        .collect();
    progress.detail(&needed.join(" "));
    apt.download(&needed, folder)
}

/// Removes the sources of the compiler itself and of its tests: 300 MB of no use here.
fn keep_only_the_library(sources: &Path) -> Result<()> {
    for version in fs::read_dir(sources)?.flatten() {
        for part in fs::read_dir(version.path())?.flatten() {
            if part.file_name() != "library" {
                remove(&part.path())?;
            }
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let outcome = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else if path.exists() || path.is_symlink() {
        fs::remove_file(path)
    } else {
        Ok(())
    };
    outcome.with_context(|| format!("cannot remove {}", path.display()))
}

/// The oldest compiler that builds the workspace.
fn minimum() -> Version {
    parse_version(env!("CARGO_PKG_RUST_VERSION")).unwrap_or((1, 90))
}

fn version_of(rustc: &Path, libraries: Option<&Path>) -> Result<Version> {
    let mut command = Command::new(rustc);
    if let Some(folder) = libraries {
        command.env("LD_LIBRARY_PATH", folder);
    }
    let output = command.arg("--version").output().with_context(|| format!("cannot start {}", rustc.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    text.strip_prefix("rustc ")
        .and_then(parse_version)
        .with_context(|| format!("{} does not run: {}", rustc.display(), said.trim()))
}

/// The first two numbers of `1.96.0+dfsg1` or of `1.90`.
fn parse_version(text: &str) -> Option<Version> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
        assert_eq!(parse_version("1.90"), Some((1, 90)));
        assert_eq!(parse_version("rolling"), None);
        assert!(parse_version("1.63.0").unwrap() < minimum());
    }
}
