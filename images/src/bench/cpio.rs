//! The archive that Linux takes for its first file system: cpio, "newc" (Linux's Documentation/driver-api/early-userspace/buffer-format).

use std::io::Write;

/// Kinds of entries, as the modes of files have them.
const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const TERMINAL: u32 = 0o020_600;

/// An archive in the making.
#[derive(Debug, Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

impl Cpio {
    /// Adds a folder.
    pub fn folder(&mut self, name: &str) {
        self.entry(name, FOLDER, (0, 0), &[]);
    }

    /// Adds a file that can be run.
    pub fn program(&mut self, name: &str, content: &[u8]) {
        self.entry(name, PROGRAM, (0, 0), content);
    }

    /// Adds a terminal's device, by its numbers.
    pub fn terminal(&mut self, name: &str, major: u32, minor: u32) {
        self.entry(name, TERMINAL, (major, minor), &[]);
    }

    /// The archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let (links, name_bytes) = (1, name.len() as u32 + 1);
        let fields =
            [self.entries, mode, 0, 0, links, 0, content.len() as u32, 0, 0, device.0, device.1, name_bytes, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            write!(self.bytes, "{field:08x}").expect("a vector takes everything");
        }
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_as_they_are_specified() {
        let mut cpio = Cpio::default();
        cpio.terminal("dev/console", 5, 1);
        cpio.program("init", b"xyz");
        let bytes = cpio.finish();
        let text = String::from_utf8_lossy(&bytes);
        let header = "070701000000010000218000000000000000000000000100000000000000000000000000000000000000050000000100\
                      00000c00000000dev/console\\0";
        assert!(text.starts_with(&header.replace("\\0", "\0")), "{text}");
        let second = text.find("init\0").expect("the second entry");
        assert!((second - 110).is_multiple_of(4) && text[second..].starts_with("init\0\0xyz\x00070701"));
        assert!(bytes.len().is_multiple_of(4) && text.contains("TRAILER!!!"));
    }
}
