//! Debian's package manager: what it offers, and its packages installed or only unpacked.
//!
//! Unpacking needs no rights and leaves the system alone: lists and packages go into a folder
//! of ours when the system's own lists are missing or too old to download from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::linker::program_on_path;

/// Seconds that `apt-get` waits for another package manager to finish.
const LOCK_TIMEOUT: &str = "DPkg::Lock::Timeout=300";

/// `apt` with the system's package lists, or with lists of our own.
#[derive(Debug, Clone)]
pub struct Apt {
    private: Option<PathBuf>,
}

impl Apt {
    /// `apt` with the system's lists; `None` where there is no `apt`.
    pub fn system() -> Option<Self> {
        let tools = ["apt-get", "apt-cache", "dpkg", "dpkg-query"];
        tools.iter().all(|tool| program_on_path(tool).is_some()).then_some(Self { private: None })
    }

    /// `apt` with fresh lists kept under `folder`, from the system's configured sources.
    ///
    /// # Errors
    /// The lists cannot be downloaded.
    pub fn with_private_lists(folder: &Path) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("cannot make {}", folder.join(part).display()))?;
        }
        let apt = Self { private: Some(folder.to_path_buf()) };
        checked(apt.command("apt-get").arg("update"))
            .context("the package lists could not be downloaded: check the network")?;
        Ok(apt)
    }

    /// The version that an installation of `package` would bring, such as `1.96.0+dfsg1-1`.
    pub fn candidate(&self, package: &str) -> Option<String> {
        let output = checked(self.command("apt-cache").args(["policy", package])).ok()?;
        let candidate = String::from_utf8_lossy(&output.stdout)
            .lines()
            .find_map(|line| line.trim().strip_prefix("Candidate:").map(|v| v.trim().to_string()))?;
        (candidate != "(none)").then_some(candidate)
    }

    /// `packages` and all that they depend on, whether installed or not.
    ///
    /// # Errors
    /// Dependencies that cannot be met from the package lists.
    pub fn closure(&self, packages: &[&str]) -> Result<Vec<String>> {
        let output = checked(
            self.command("apt-get")
                .args(["install", "--simulate", "--no-install-recommends"])
                .args(["-o", "Dir::State::status=/dev/null"])
                .args(packages),
        )?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().filter_map(simulated_install).map(str::to_string).collect())
    }

    /// Downloads `packages` into `folder` and returns the files.
    ///
    /// # Errors
    /// The network, or lists that are too old.
    pub fn download(&self, packages: &[String], folder: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        checked(self.command("apt-get").arg("download").args(packages).current_dir(folder))?;
        let mut files: Vec<PathBuf> = fs::read_dir(folder)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .collect();
        files.sort();
        Ok(files)
    }

    /// Unpacks the package file `package` below `folder`; none of its scripts run.
    ///
    /// # Errors
    /// A broken package, or a full disk.
    pub fn unpack(package: &Path, folder: &Path) -> Result<()> {
        checked(Command::new("dpkg").arg("-x").arg(package).arg(folder)).map(drop)
    }

    /// Installs `package` on the system, as root or by password-less `sudo`.
    ///
    /// # Errors
    /// No such right, or the installation fails; the message has the command to type.
    pub fn install(&self, package: &str) -> Result<()> {
        let typed = format!("apt-get install --no-install-recommends {package}");
        let prefix: &[&str] = match Privilege::of_this_user() {
            Privilege::Root => &["env"],
            Privilege::Sudo => &["sudo", "-n", "env"],
            Privilege::None => bail!("{package} is not installed. Type: sudo {typed}"),
        };
        let apt_get = |arguments: &[&str]| {
            let mut command = Command::new(prefix[0]);
            command.args(&prefix[1..]).args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
            checked(command.args(["-y", "-o", LOCK_TIMEOUT]).args(arguments))
        };
        let install = ["install", "--no-install-recommends", package];
        if apt_get(&install).is_ok() {
            return Ok(());
        }
        apt_get(&["update"])
            .and_then(|_| apt_get(&install))
            .map(drop)
            .with_context(|| format!("{package} could not be installed. Try: sudo {typed}"))
    }

    /// Whether `package` is installed on the system.
    pub fn is_installed(package: &str) -> bool {
        let query = ["--show", "--showformat=${db:Status-Status}", package];
        checked(Command::new("dpkg-query").args(query)).is_ok_and(|output| output.stdout == b"installed")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        if let Some(folder) = &self.private {
            for (option, path) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
                command.arg("-o").arg(format!("{option}={}", folder.join(path).display()));
            }
        }
        // Downloads go where the `_apt` user may not write.
        command.args(["-o", "APT::Sandbox::User=root"]);
        command
    }
}

/// What this user may install.
enum Privilege {
    Root,
    Sudo,
    None,
}

impl Privilege {
    fn of_this_user() -> Self {
        if rustix::process::geteuid().is_root() {
            return Self::Root;
        }
        match checked(Command::new("sudo").args(["-n", "true"])) {
            Ok(_) => Self::Sudo,
            Err(_) => Self::None,
        }
    }
}

/// The package of a line `Inst NAME (VERSION …)` of a simulated installation.
fn simulated_install(line: &str) -> Option<&str> {
    line.strip_prefix("Inst ")?.split_whitespace().next()
}

/// Runs `command` to its end without input.
///
/// # Errors
/// It cannot be started, or ends with another status than 0: the message holds what it said.
fn checked(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed ({}): {}", output.status, said.trim());
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_lines() {
        assert_eq!(simulated_install("Inst rustc-web (1.96 Debian:12 [amd64]) []"), Some("rustc-web"));
        assert_eq!(simulated_install("Conf rustc-web (1.96)"), None);
        assert_eq!(simulated_install("Reading package lists..."), None);
    }
}
