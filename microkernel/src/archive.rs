//! The boot archive, as far as the kernel reads it: a ustar file (POSIX.1-1988, IEEE Std 1003.1 «ustar Interchange
//! Format») in which it finds init.

const BLOCK: usize = 512;
const NAME: core::ops::Range<usize> = 0..100;
const SIZE: core::ops::Range<usize> = 124..136;
const MAGIC: core::ops::Range<usize> = 257..262;

/// The contents of a file of the archive.
///
/// # Errors
/// A text that says what is wrong with the archive.
pub fn find<'a>(archive: &'a [u8], name: &[u8]) -> Result<&'a [u8], &'static str> {
    if archive.is_empty() {
        return Err("there is no boot archive");
    }
    let mut rest = archive;
    loop {
        let Some((header, after)) = rest.split_at_checked(BLOCK) else { return Err("the boot archive is cut off") };
        if header.iter().all(|byte| *byte == 0) {
            return Err("no such file in the boot archive");
        }
        if &header[MAGIC] != b"ustar" {
            return Err("the boot archive is not a ustar file");
        }
        let size = octal(&header[SIZE]).ok_or("a size in the boot archive is not a number")?;
        let blocks = size.div_ceil(BLOCK).checked_mul(BLOCK).ok_or("a size in the boot archive is too large")?;
        if size > after.len() {
            return Err("the boot archive is cut off");
        }
        let field = &header[NAME];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        if &field[..end] == name {
            return Ok(&after[..size]);
        }
        rest = after.get(blocks..).ok_or("the boot archive is cut off")?;
    }
}

/// A number in octal digits, ended by a blank or zero.
fn octal(field: &[u8]) -> Option<usize> {
    let digits = field.split(|byte| matches!(byte, 0 | b' ')).next()?;
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0usize, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        number.checked_mul(8)?.checked_add(digit as usize)
    })
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
