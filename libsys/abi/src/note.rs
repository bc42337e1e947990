//! The ELF notes of programs.
//!
//! A program (not the kernel) holds one [`AbiNote`] in the section `.note.skink`; the loader
//! refuses a program without it or with another number. One of several names holds a [`NamesNote`] as well, in `.note.skink.names`.

/// Owner name of the notes, with its terminating zero and padding.
pub const NAME: [u8; 8] = *b"Skink\0\0\0";

/// Type of the note: the descriptor is the ABI number.
pub const TYPE: u32 = 1;

/// An ELF note (System V ABI, «Note Section») whose descriptor is the ABI number.
#[repr(C)]
pub struct AbiNote {
    name_bytes: u32,
    descriptor_bytes: u32,
    kind: u32,
    name: [u8; 8],
    version: u32,
}

impl AbiNote {
    /// The note of this ABI.
    pub const CURRENT: AbiNote =
        AbiNote { name_bytes: 6, descriptor_bytes: 4, kind: TYPE, name: NAME, version: crate::ABI_VERSION };
}

/// Type of the note whose descriptor is names.
pub const NAMES_TYPE: u32 = 2;

/// An ELF note whose descriptor is the names under which a program is there besides its own: each with a newline behind it.
#[repr(C)]
pub struct NamesNote<const BYTES: usize> {
    name_bytes: u32,
    descriptor_bytes: u32,
    kind: u32,
    name: [u8; 8],
    names: [u8; BYTES],
}

impl<const BYTES: usize> NamesNote<BYTES> {
    /// The note of these names: a text of `BYTES` bytes.
    pub const fn new(names: &str) -> Self {
        let mut copy = [0; BYTES];
        copy.copy_from_slice(names.as_bytes());
        NamesNote { name_bytes: 6, descriptor_bytes: BYTES as u32, kind: NAMES_TYPE, name: NAME, names: copy }
    }
}

/// The ABI number in the contents of a note section, if it holds the note.
pub fn version(section: &[u8]) -> Option<u32> {
    let word = |at: usize| Some(u32::from_le_bytes(section.get(at..at + 4)?.try_into().ok()?));
    let is_ours = word(0)? == 6 && word(4)? == 4 && word(8)? == TYPE && section.get(12..20)? == NAME;
    if is_ours { word(20) } else { None }
}

#[cfg(test)]
mod tests {
    #[test]
    fn truncated_or_foreign_notes_have_no_version() {
        let mut note = [0u8; 24];
        note[0] = 6;
        note[4] = 4;
        note[8] = 1;
        note[12..20].copy_from_slice(b"Skink\0\0\0");
        note[20] = 7;
        assert_eq!(super::version(&note), Some(7));
        assert_eq!(super::version(&note[..23]), None);
        note[12] = b'X';
        assert_eq!(super::version(&note), None);
    }
}
