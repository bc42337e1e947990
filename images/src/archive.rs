//! The boot archive: a plain ustar with what is needed until a disk is reached.
//!
//! | entry | what |
//! |---|---|
//! | `init` | the supervisor's ELF |
//! | `manifest` | the services, as text |
//! | `symbols` | the functions of services' programs, to name them in crashes |
//! | `bin/NAME` | every other program's ELF |
//! | `bin/NAME`, a hard link | another name of one of them |
//!
//! The same contents give the same bytes: no times, owners or modes of the host get in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tar::{Builder, EntryType, Header};

/// A boot archive in the making.
#[derive(Debug, Clone, Default)]
pub struct BootArchive {
    /// By path in the archive. `init` and `manifest` come first: the kernel looks for `init`.
    files: BTreeMap<(u8, String), File>,
    /// The path that each link is another name of, by its own. They stand behind all files.
    links: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
struct File {
    mode: u32,
    data: Vec<u8>,
}

impl BootArchive {
    /// Adds the supervisor's ELF file.
    pub fn init(&mut self, elf: Vec<u8>) {
        self.files.insert((0, "init".to_string()), File { mode: 0o755, data: elf });
    }

    /// Adds the text that says which services there are.
    pub fn manifest(&mut self, text: Vec<u8>) {
        self.files.insert((1, "manifest".to_string()), File { mode: 0o644, data: text });
    }

    /// Adds the functions of services' programs.
    pub fn symbols(&mut self, file: Vec<u8>) {
        self.files.insert((3, libsys::symbols::FILE.to_string()), File { mode: 0o644, data: file });
    }

    /// Adds a program's ELF file.
    ///
    /// # Errors
    /// There is a program of that name already, or the name is too long for the format.
    pub fn program(&mut self, name: &str, elf: Vec<u8>) -> Result<()> {
        let path = program_path(name);
        if self.links.contains_key(&path) || self.files.insert((2, path), File { mode: 0o755, data: elf }).is_some() {
            bail!("two programs are called {name}: rename the binary of one of the packages");
        }
        Ok(())
    }

    /// Adds another name of a program.
    ///
    /// # Errors
    /// There is a program of that name already.
    pub fn link(&mut self, name: &str, program: &str) -> Result<()> {
        let path = program_path(name);
        if self.files.contains_key(&(2, path.clone())) || self.links.contains_key(&path) {
            bail!("{program} wants the name {name} as well, and another program has it");
        }
        self.links.insert(path, program_path(program));
        Ok(())
    }

    /// The archive's bytes.
    ///
    /// # Errors
    /// A name that ustar cannot hold.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        for ((_, path), file) in &self.files {
            align(&mut builder)?;
            let mut header = header(path, EntryType::Regular, file.data.len())?;
            header.set_mode(file.mode);
            header.set_cksum();
            builder.append(&header, file.data.as_slice())?;
        }
        for (path, target) in &self.links {
            let mut header = header(path, EntryType::Link, 0)?;
            header.set_link_name(target).with_context(|| format!("{target} does not fit into the archive"))?;
            header.set_mode(0o755);
            header.set_cksum();
            builder.append(&header, [].as_slice())?;
        }
        Ok(builder.into_inner()?)
    }

    /// Writes the archive to `path`, unless the file has these bytes already. It is replaced
    /// as a whole, so a machine that is booting from it is not disturbed.
    ///
    /// # Errors
    /// The disk is full or not writable.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = self.bytes()?;
        if fs::read(path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        let partial = path.with_extension(format!("{}.partial", std::process::id()));
        fs::write(&partial, &bytes)
            .and_then(|()| fs::rename(&partial, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Where a program is in the archive.
fn program_path(name: &str) -> String {
    format!("bin/{name}")
}

/// A header that has nothing of the host; its checksum is still to be set.
fn header(path: &str, kind: EntryType, bytes: usize) -> Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(path).with_context(|| format!("{path} does not fit into the archive"))?;
    header.set_entry_type(kind);
    header.set_size(bytes as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    Ok(header)
}

/// Bytes of a header, and the unit of everything in the format.
const BLOCK: usize = 512;

/// Bytes of a page of memory: where an entry's contents start at one, they are mapped from the archive, and not copied.
const PAGE: usize = 4096;

/// Adds an extended header (POSIX pax, a comment, which readers pass over) so long that the contents of the next entry start at a page.
fn align(builder: &mut Builder<Vec<u8>>) -> Result<()> {
    let contents = builder.get_ref().len() + BLOCK;
    let gap = contents.next_multiple_of(PAGE) - contents;
    let Some(bytes) = gap.checked_sub(BLOCK) else { return Ok(()) };
    let mut header = header("align", EntryType::XHeader, bytes)?;
    header.set_mode(0o644);
    header.set_cksum();
    // «%d comment=%s\n» with the length of all of it (IEEE Std 1003.1, «pax Extended Header»).
    let mut text = format!("{bytes} comment=").into_bytes();
    text.resize(bytes.saturating_sub(1), b'-');
    text.resize(bytes, b'\n');
    builder.append(&header, text.as_slice())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn sample(order: &[&str]) -> BootArchive {
        let mut archive = BootArchive::default();
        for name in order {
            archive.program(name, name.as_bytes().to_vec()).unwrap();
        }
        archive.manifest(b"service uart".to_vec());
        archive.init(b"ELF".to_vec());
        archive
    }

    #[test]
    fn the_same_contents_give_the_same_bytes() {
        assert_eq!(sample(&["uart", "console"]).bytes().unwrap(), sample(&["console", "uart"]).bytes().unwrap());
    }

    #[test]
    fn holds_what_was_added_in_order() {
        let bytes = sample(&["uart", "console"]).bytes().unwrap();
        let mut read = Vec::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0);
            read.push((entry.path().unwrap().display().to_string(), text));
        }
        let expected =
            [("init", "ELF"), ("manifest", "service uart"), ("bin/console", "console"), ("bin/uart", "uart")];
        assert_eq!(read, expected.map(|(path, text)| (path.to_string(), text.to_string())));
    }

    #[test]
    fn contents_start_at_pages() {
        let bytes = sample(&["uart", "console"]).bytes().unwrap();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            assert_eq!(entry.unwrap().raw_file_position() % PAGE as u64, 0);
        }
    }

    #[test]
    fn refuses_two_of_a_name() {
        let mut archive = sample(&["uart"]);
        assert!(archive.program("uart", Vec::new()).is_err());
    }

    #[test]
    fn links_stand_behind_all_files() {
        let mut archive = sample(&["tools", "uart"]);
        archive.link("cat", "tools").unwrap();
        assert!(archive.link("uart", "tools").is_err());
        assert!(archive.link("cat", "uart").is_err());
        assert!(archive.program("cat", Vec::new()).is_err());
        let bytes = archive.bytes().unwrap();
        let mut read = tar::Archive::new(bytes.as_slice());
        let entry = read.entries().unwrap().last().unwrap().unwrap();
        assert_eq!(entry.path().unwrap(), Path::new("bin/cat"));
        assert_eq!(entry.link_name().unwrap().unwrap(), Path::new("bin/tools"));
        assert_eq!(entry.header().entry_type(), EntryType::Link);
    }

    #[test]
    fn is_written_only_when_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boot.tar");
        let archive = sample(&["uart"]);
        archive.write(&path).unwrap();
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        archive.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        sample(&["uart", "log"]).write(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), sample(&["uart", "log"]).bytes().unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
