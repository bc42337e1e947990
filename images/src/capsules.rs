//! Crash capsules as files: init writes each to QEMU's debug console, and after the run they become text with functions and lines.
//!
//! On the console a capsule is [`MARK`], its length (4 bytes, little-endian), and `libsys::crash::Crash` in postcard.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use libsys::crash::{Crash, MOST_BYTES};
use supervisor::MARK;

use crate::image::Image;
use crate::machine::Machine;
use crate::workspace::Workspace;

/// Where the capsules of a run go.
#[derive(Debug)]
pub struct CrashFolder {
    folder: PathBuf,
    console: PathBuf,
}

impl CrashFolder {
    /// The folder that a person asked for, or one of its own for this run, in `target/crashes`. It is made when there is a crash.
    ///
    /// # Errors
    /// The file for the console cannot be made.
    pub fn new(workspace: &Workspace, folder: Option<&Path>) -> Result<Self> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let run = format!("{seconds}-{}", std::process::id());
        let base = workspace.target().join("crashes");
        fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
        let folder = match folder {
            Some(folder) => std::path::absolute(folder)?,
            None => base.join(&run),
        };
        Ok(Self { folder, console: base.join(format!(".{run}")) })
    }

    /// A machine whose capsules go there.
    pub fn of(&self, machine: Machine) -> Machine {
        machine.debug_console(&self.console)
    }

    /// Writes what came as text, a file for each; these files. To be called when the machine has ended.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn collect(&self, image: &Image) -> Result<Vec<PathBuf>> {
        // Without a machine there is no file.
        let bytes = fs::read(&self.console).unwrap_or_default();
        let _ = fs::remove_file(&self.console);
        let mut files = Vec::new();
        for crash in capsules(&bytes) {
            fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
            let path = self.folder.join(format!("{}.txt", crash.summary().file_name()));
            fs::write(&path, text(&crash, image)).with_context(|| format!("cannot write {}", path.display()))?;
            files.push(path);
        }
        Ok(files)
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

/// All that is whole in what a machine wrote to its console; a capsule that was cut off is left out.
fn capsules(mut bytes: &[u8]) -> Vec<Crash> {
    let mut found = Vec::new();
    while let Some(start) = bytes.windows(MARK.len()).position(|window| window == MARK) {
        bytes = &bytes[start + MARK.len()..];
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else { break };
        let length = u32::from_le_bytes(*length) as usize;
        let capsule = rest.get(..length).filter(|_| length <= MOST_BYTES);
        let crash = capsule.and_then(|capsule| postcard::from_bytes::<Crash>(capsule).ok());
        // A mark in the midst of something else: on behind it.
        if let Some(crash) = crash.filter(|crash| is_file_name(&crash.service)) {
            bytes = &rest[length..];
            found.push(crash);
        }
    }
    found
}

/// Whether a service's name may be part of a file's.
fn is_file_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn text(crash: &Crash, image: &Image) -> String {
    let symbols = image.symbols(&crash.binary).ok();
    let mut text = String::new();
    let places = |address| {
        let places = symbols.as_ref().map_or(Vec::new(), |symbols| symbols.places(address));
        places.iter().map(ToString::to_string).collect()
    };
    // Writing to a String cannot fail.
    let _ = crash.write(&mut text, places);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(number: u64) -> Vec<u8> {
        let crash = Crash { number, service: "uart".to_string(), ..Crash::default() };
        let bytes = postcard::to_allocvec(&crash).unwrap();
        [&MARK[..], &(bytes.len() as u32).to_le_bytes(), &bytes].concat()
    }

    #[test]
    fn capsules_are_found_among_other_things() {
        let bytes = [&sample(1)[..], b"noise", &MARK, b"\xff\xff\xff\xff", &sample(2), &sample(3)].concat();
        let numbers = |bytes: &[u8]| capsules(bytes).iter().map(|crash| crash.number).collect::<Vec<u64>>();
        assert_eq!(numbers(&bytes), [1, 2, 3]);
        for end in 0..bytes.len() {
            assert!(numbers(&bytes[..end]).len() < 3);
        }
        let stranger = Crash { service: "../x".to_string(), ..Crash::default() };
        let stranger = postcard::to_allocvec(&stranger).unwrap();
        assert_eq!(numbers(&[&MARK[..], &(stranger.len() as u32).to_le_bytes(), &stranger].concat()), [0; 0]);
    }
}
