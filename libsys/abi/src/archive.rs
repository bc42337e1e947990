//! The boot archive's format: a ustar file (POSIX.1-1988, IEEE Std 1003.1 «ustar Interchange Format»). The kernel finds init in it,
//! and user space everything else.

use core::ops::Range;

const BLOCK: usize = 512;
const NAME: Range<usize> = 0..100;
const SIZE: Range<usize> = 124..136;
const MAGIC: Range<usize> = 257..262;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;

/// What an entry of the archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind<'a> {
    /// A file.
    File,
    /// Another name of the file of this path, which stands before it: a hard link.
    Link(&'a [u8]),
    /// Something else: a header by which the host tool aligns files.
    Other,
}

/// An entry of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its path.
    pub name: &'a [u8],
    /// What it is.
    pub kind: EntryKind<'a>,
    /// Where its contents are in the archive.
    pub range: Range<usize>,
}

/// The entry whose header is at `at`, and where the next one's is; `None` at the end.
///
/// # Errors
/// A text that says what is wrong with the archive.
pub fn entry(archive: &[u8], at: usize) -> Result<Option<(Entry<'_>, usize)>, &'static str> {
    const CUT_OFF: &str = "the boot archive is cut off";
    let header = archive.get(at..).and_then(|rest| rest.get(..BLOCK)).ok_or(CUT_OFF)?;
    if header.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    if &header[MAGIC] != b"ustar" {
        return Err("the boot archive is not a ustar file");
    }
    let size = octal(&header[SIZE]).ok_or("a size in the boot archive is not a number")?;
    let start = at + BLOCK;
    let end = start.checked_add(size).filter(|end| *end <= archive.len()).ok_or(CUT_OFF)?;
    let kind = match header[TYPE] {
        b'0' | 0 => EntryKind::File,
        b'1' => EntryKind::Link(text(&header[LINK])),
        _ => EntryKind::Other,
    };
    let name = text(&header[NAME]);
    Ok(Some((Entry { name, kind, range: start..end }, start + size.next_multiple_of(BLOCK))))
}

/// A text, ended by a zero where it is shorter than its field.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
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
