//! The boot archive ([`abi::archive`]), as far as the kernel reads it: to find init.

use abi::archive::EntryKind;

/// The contents of a file of the archive.
///
/// # Errors
/// A text that says what is wrong with the archive.
pub fn find<'a>(archive: &'a [u8], name: &[u8]) -> Result<&'a [u8], &'static str> {
    if archive.is_empty() {
        return Err("there is no boot archive");
    }
    let mut at = 0;
    while let Some((entry, next)) = abi::archive::entry(archive, at)? {
        if entry.kind == EntryKind::File && entry.name == name {
            return Ok(&archive[entry.range]);
        }
        at = next;
    }
    Err("no such file in the boot archive")
}

#[cfg(test)]
mod tests {
    use super::find;

    fn file(name: &str, contents: &[u8]) -> Vec<u8> {
        let mut block = vec![0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
        block[257..262].copy_from_slice(b"ustar");
        block.extend_from_slice(contents);
        block.resize(block.len().next_multiple_of(512), 0);
        block
    }

    #[test]
    fn finds_files_behind_others() {
        let mut archive = file("manifest", &[7; 700]);
        archive.extend(file("init", b"hello"));
        archive.extend([0; 1024]);
        assert_eq!(find(&archive, b"init"), Ok(&b"hello"[..]));
        assert_eq!(find(&archive, b"manifest").map(<[u8]>::len), Ok(700));
        assert_eq!(find(&archive, b"in"), Err("no such file in the boot archive"));
    }

    #[test]
    fn broken_archives_are_refused() {
        let mut archive = file("init", &[1; 600]);
        archive.extend([0; 1024]);
        assert!(find(&[], b"init").is_err());
        for length in 1..512 + 600 {
            assert!(find(&archive[..length], b"init").is_err(), "cut at {length}");
        }
        for byte in 0..512 {
            let mut mutated = archive.clone();
            mutated[byte] ^= 0x80;
            let _ = find(&mutated, b"init");
        }
        archive[124..136].copy_from_slice(b"77777777777\0");
        assert!(find(&archive, b"init").is_err());
    }
}
