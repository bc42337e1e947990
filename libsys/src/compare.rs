//! `memcmp` of programs: eight bytes at a time. The one that comes with the compiler looks at each byte, and names are compared in every open.

use core::cmp::Ordering;

/// Bytes that are compared at once.
const WORD: usize = size_of::<u64>();

/// What the compiler makes of comparisons of slices and texts.
///
/// # Safety
/// Both pointers are to `bytes` bytes that can be read.
#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, bytes: usize) -> i32 {
    // SAFETY: as the caller says.
    unsafe { compare(one, other, bytes) as i32 }
}

/// The order of two ranges of bytes.
///
/// # Safety
/// Both pointers are to `bytes` bytes that can be read.
#[inline(always)]
unsafe fn compare(one: *const u8, other: *const u8, bytes: usize) -> Ordering {
    // SAFETY: of both ranges only bytes below `bytes` are read, as the callers of these see to.
    let word = |at: usize| unsafe {
        let (one, other) = (one.add(at).cast::<u64>().read_unaligned(), other.add(at).cast::<u64>().read_unaligned());
        u64::from_be(one).cmp(&u64::from_be(other))
    };
    // SAFETY: as above.
    let byte = |at: usize| unsafe { one.add(at).read().cmp(&other.add(at).read()) };
    let mut at = 0;
    if bytes < WORD {
        while at < bytes {
            match byte(at) {
                Ordering::Equal => at += 1,
                order => return order,
            }
        }
        return Ordering::Equal;
    }
    while at < bytes - WORD {
        match word(at) {
            Ordering::Equal => at += WORD,
            order => return order,
        }
    }
    // The last eight, of which some may have been looked at: those are the same.
    word(bytes - WORD)
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn ranges_compare_as_slices_do() {
        let text: [u8; 24] = core::array::from_fn(|at| at as u8 * 11);
        for bytes in 0..=text.len() {
            for at in 0..bytes {
                for change in [1, 0x80, 0xff] {
                    let mut other = text;
                    other[at] = other[at].wrapping_add(change);
                    let (one, other) = (&text[..bytes], &other[..bytes]);
                    // SAFETY: both are of this length.
                    let found = unsafe { compare(one.as_ptr(), other.as_ptr(), bytes) };
                    assert_eq!(found, one.cmp(other), "{one:?} {other:?}");
                }
            }
            // SAFETY: it is longer than that.
            assert!(unsafe { compare(text.as_ptr(), text.as_ptr(), bytes) }.is_eq());
        }
    }
}
