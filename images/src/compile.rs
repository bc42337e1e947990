//! The one cargo build of everything that runs on the target.
//!
//! Cargo's messages name the programs that it made, so no file name is guessed here.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Artifact, Message};

use crate::progress::Progress;
use crate::toolchain::Toolchain;
use crate::workspace::{Role, TargetPackage, Workspace};

/// Where the verb of cargo's status lines ends.
const STATUS_COLUMN: usize = 12;

/// The programs that a build made, with symbols.
#[derive(Debug, Clone, Default)]
pub struct Artifacts {
    /// Name, role and ELF file of each, in no particular order.
    pub programs: Vec<Program>,
    /// The compiler's warnings, as it showed them.
    pub warnings: String,
}

/// One program for the target.
#[derive(Debug, Clone)]
pub struct Program {
    /// The name of the binary target.
    pub name: String,
    /// What it is on the target.
    pub role: Role,
    /// The ELF file, not stripped.
    pub elf: PathBuf,
}

/// Builds `packages`, all in one go.
///
/// # Errors
/// Compile errors: the message holds what the compiler said.
pub fn compile(
    workspace: &Workspace,
    toolchain: &Toolchain,
    packages: &[TargetPackage],
    progress: &Progress,
) -> Result<Artifacts> {
    let mut command = toolchain.cargo_build();
    command
        .current_dir(workspace.root())
        .args(["--profile", "skink", "--bins", "--message-format=json-render-diagnostics"])
        .arg("--target-dir")
        .arg(workspace.target_build())
        .args(packages.iter().flat_map(|package| ["--package", package.id.repr.as_str()]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let stderr = child.stderr.take().context("cargo has no error output")?;

    let (made, said) = thread::scope(|scope| {
        let said = scope.spawn(|| relay_status(stderr, progress));
        let made = programs_of(stdout, packages);
        (made, said.join())
    });
    let status = child.wait().context("cannot wait for cargo")?;
    let said = said.unwrap_or_default();
    if !status.success() {
        bail!("the build for the target failed:\n{}", said.trim_end());
    }
    Ok(Artifacts { programs: made?, warnings: warnings_of(&said) })
}

/// Shows cargo's status lines as progress, and returns all that it said.
fn relay_status(stderr: impl Read, progress: &Progress) -> String {
    let mut said = String::new();
    let mut compiles = false;
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some(verb) = status_verb(&line) {
            if verb == "Compiling" && !compiles {
                compiles = true;
                progress.step("building the kernel and the programs");
            }
            progress.detail(line.trim());
        }
        said.push_str(&line);
        said.push('\n');
    }
    said
}

/// The verb of a status line such as `   Compiling x`: cargo sets it flush right before a
/// column that the compiler's own words do not respect.
fn status_verb(line: &str) -> Option<&str> {
    let (verb, rest) = line.split_at_checked(STATUS_COLUMN)?;
    let verb = verb.trim_start();
    let is_word =
        verb.starts_with(|c: char| c.is_ascii_uppercase()) && verb.bytes().all(|byte| byte.is_ascii_alphabetic());
    (is_word && rest.starts_with(' ')).then_some(verb)
}

/// Collects the programs that cargo reports.
fn programs_of(stdout: impl Read, packages: &[TargetPackage]) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for message in Message::parse_stream(BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message.context("cargo's messages broke off")?
            && let Some(program) = program_of(&artifact, packages)
        {
            programs.push(program);
        }
    }
    Ok(programs)
}

/// The program in `artifact`, if it is one of `packages`' and not a build script.
fn program_of(artifact: &Artifact, packages: &[TargetPackage]) -> Option<Program> {
    if !artifact.target.is_bin() {
        return None;
    }
    let elf = artifact.executable.as_ref()?.as_std_path().to_path_buf();
    let package = packages.iter().find(|package| package.id == artifact.package_id)?;
    Some(Program { name: artifact.target.name.clone(), role: package.role, elf })
}

/// What remains of cargo's words when status lines are left out.
fn warnings_of(said: &str) -> String {
    if said.contains("warning:") { said.to_string() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines() {
        assert_eq!(status_verb("   Compiling core v0.0.0"), Some("Compiling"));
        assert_eq!(status_verb("    Finished `skink` profile"), Some("Finished"));
        assert_eq!(status_verb("warning: unused variable"), None);
        assert_eq!(status_verb("  --> microkernel/src/main.rs:1:1"), None);
        assert_eq!(status_verb(""), None);
    }
}
