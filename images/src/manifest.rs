//! The services' manifest, checked when it is packed: what init would refuse at boot is refused here, with its line.
//!
//! The reader is init's own (`init/src/manifest.rs`).

use std::path::Path;

use anyhow::{Result, bail};
use supervisor::manifest::{Manifest, ManifestError};

/// The manifest, in the workspace.
pub const PATH: &str = "init/manifest";

/// The names of the services in a manifest.
///
/// # Errors
/// As [`check`].
pub fn services(path: &Path, text: &[u8]) -> Result<Vec<String>> {
    Ok(read(path, text)?.services.into_iter().map(|service| service.name).collect())
}

/// The programs of the services in a manifest.
///
/// # Errors
/// As [`check`].
pub fn binaries(path: &Path, text: &[u8]) -> Result<Vec<String>> {
    Ok(read(path, text)?.services.into_iter().map(|service| service.binary).collect())
}

/// Checks a manifest: its text, and that all programs that it names are there.
///
/// # Errors
/// `PATH:LINE: ` and what is wrong.
pub fn check(path: &Path, text: &[u8], has_program: impl Fn(&str) -> bool) -> Result<()> {
    let manifest = read(path, text)?;
    // At boot an optional service may lack its program; in what is built here it would be a slip of the pen.
    if let Some(service) = manifest.services.iter().find(|service| !has_program(&service.binary)) {
        let (line, name, binary) = (service.line, &service.name, &service.binary);
        bail!("{}:{line}: there is no program `{binary}` for the service {name}", path.display());
    }
    Ok(())
}

fn read(path: &Path, text: &[u8]) -> Result<Manifest> {
    let wrong = |error: ManifestError| anyhow::anyhow!("{}:{}: {}", path.display(), error.line, error.reason);
    Manifest::parse(text).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> String {
        let checked = check(Path::new(PATH), text.as_bytes(), |program| ["uart", "null"].contains(&program));
        checked.map_or_else(|error| error.to_string(), |()| "good".to_string())
    }

    #[test]
    fn what_init_would_refuse_is_refused() {
        assert_eq!(checked("service uart\nservice zero\n    binary null\n"), "good");
        assert_eq!(checked(""), "init/manifest:1: there is no service in it");
        assert!(checked("service uart\n\n    flux capacitor\n").starts_with("init/manifest:3: "));
        let missing = "service uart\n    session rtc\n";
        assert_eq!(checked(missing), "init/manifest:1: uart wants the service rtc, which is not there");
    }

    #[test]
    fn programs_that_are_not_there_are_missed() {
        let text = "service uart\n\nservice zero\n    optional\n    binary nul\n";
        assert_eq!(checked(text), "init/manifest:3: there is no program `nul` for the service zero");
    }
}
