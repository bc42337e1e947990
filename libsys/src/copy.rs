//! `memcpy`, `memmove` and `memset` of programs. Those that come with the compiler move up to seven single bytes before and after the words; here the
//! first and the last word overlap what lies between, and what is short is a few words and nothing else: most copies are.

/// Bytes up to which all words are read before any is written.
const SHORT: usize = 64;

/// What the compiler makes of copies.
///
/// # Safety
/// `bytes` bytes can be read at `from` and written at `to`, and do not overlap.
#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: as the caller says.
    unsafe {
        if bytes <= SHORT {
            copy_short(to, from, bytes);
        } else {
            copy_up(to, from, bytes);
        }
    }
    to
}

/// The same where they may overlap.
///
/// # Safety
/// `bytes` bytes can be read at `from` and written at `to`.
#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: as the caller says.
    unsafe { move_bytes(to, from, bytes) };
    to
}

/// What the compiler makes of filling memory.
///
/// # Safety
/// `bytes` bytes can be written at `to`.
#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, bytes: usize) -> *mut u8 {
    // SAFETY: as the caller says.
    unsafe { fill(to, byte as u8, bytes) };
    to
}

/// # Safety
/// As `memmove`.
#[inline(always)]
unsafe fn move_bytes(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: as the caller says. Upwards, a word is written over only after it was read if `to` is below `from`, or behind its end.
    unsafe {
        if bytes <= SHORT {
            copy_short(to, from, bytes);
        } else if (to as usize).wrapping_sub(from as usize) >= bytes {
            copy_up(to, from, bytes);
        } else {
            copy_down(to, from, bytes);
        }
    }
}

/// Copies up to [`SHORT`] bytes.
///
/// # Safety
/// As `memmove`.
#[inline(always)]
unsafe fn copy_short(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: each of these reads and writes inside of `bytes`; all are read before the first is written.
    unsafe {
        match bytes {
            33.. => ends::<[u64; 4]>(to, from, bytes),
            16.. => ends::<[u64; 2]>(to, from, bytes),
            8.. => ends::<u64>(to, from, bytes),
            4.. => ends::<u32>(to, from, bytes),
            2.. => ends::<u16>(to, from, bytes),
            1 => to.write(from.read()),
            0 => {}
        }
    }
}

/// Copies the first and the last bytes, as many as a `T` has: that is all where there are not more than two of it.
///
/// # Safety
/// As `memmove`; there is at least one `T`.
#[inline(always)]
unsafe fn ends<T: Copy>(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: both lie inside of `bytes`.
    unsafe {
        let last = bytes - size_of::<T>();
        let (head, tail) = (from.cast::<T>().read_unaligned(), from.add(last).cast::<T>().read_unaligned());
        to.cast::<T>().write_unaligned(head);
        to.add(last).cast::<T>().write_unaligned(tail);
    }
}

/// Copies words from the first to the last, which overlaps the one before it.
///
/// # Safety
/// As `memmove`, with more than eight bytes, of which none is written before it is read.
#[inline(always)]
unsafe fn copy_up(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: the words end before the last byte. The last word is read first, as it may be written over.
    unsafe {
        let last = from.add(bytes - 8).cast::<u64>().read_unaligned();
        string::copy_words(to, from, (bytes - 1) / 8);
        to.add(bytes - 8).cast::<u64>().write_unaligned(last);
    }
}

/// Copies words from the last to the first, which overlaps the one behind it.
///
/// # Safety
/// As `memmove`, with more than eight bytes, and `to` above `from`.
#[inline(always)]
unsafe fn copy_down(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: the words begin behind the first byte. The first word is read first, as it may be written over.
    unsafe {
        let first = from.cast::<u64>().read_unaligned();
        string::copy_words_down(to.add(bytes - 8), from.add(bytes - 8), (bytes - 1) / 8);
        to.cast::<u64>().write_unaligned(first);
    }
}

/// # Safety
/// As `memset`.
#[inline(always)]
unsafe fn fill(to: *mut u8, byte: u8, bytes: usize) {
    let word = u64::from(byte) * 0x0101_0101_0101_0101;
    // SAFETY: each of these writes inside of `bytes`.
    unsafe {
        match bytes {
            65.. => {
                string::fill_words(to, word, (bytes - 1) / 8);
                to.add(bytes - 8).cast::<u64>().write_unaligned(word);
            }
            33.. => both_ends(to, bytes, [word; 4]),
            16.. => both_ends(to, bytes, [word; 2]),
            8.. => both_ends(to, bytes, word),
            4.. => both_ends(to, bytes, word as u32),
            2.. => both_ends(to, bytes, word as u16),
            1 => to.write(byte),
            0 => {}
        }
    }
}

/// Writes the first and the last bytes.
///
/// # Safety
/// As `memset`; there is at least one `T`.
#[inline(always)]
unsafe fn both_ends<T: Copy>(to: *mut u8, bytes: usize, value: T) {
    // SAFETY: both lie inside of `bytes`.
    unsafe {
        to.cast::<T>().write_unaligned(value);
        to.add(bytes - size_of::<T>()).cast::<T>().write_unaligned(value);
    }
}

/// Intel SDM vol. 2, REP: string instructions. A loop would be taken for a copy, and call what it is part of.
mod string {
    use core::arch::asm;

    /// # Safety
    /// `words` words can be read and written, and none is written before it is read upwards.
    #[inline(always)]
    pub unsafe fn copy_words(to: *mut u8, from: *const u8, words: usize) {
        // SAFETY: as the caller says; the direction flag is clear in all compiled code.
        unsafe {
            asm!("rep movsq", inout("rcx") words => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
        }
    }

    /// # Safety
    /// As [`copy_words`], downwards from the words at `to` and `from`.
    #[inline(always)]
    pub unsafe fn copy_words_down(to: *mut u8, from: *const u8, words: usize) {
        // SAFETY: as the caller says; the direction flag is clear again afterwards.
        unsafe {
            asm!("std", "rep movsq", "cld", inout("rcx") words => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack));
        }
    }

    /// # Safety
    /// `words` words can be written.
    #[inline(always)]
    pub unsafe fn fill_words(to: *mut u8, word: u64, words: usize) {
        // SAFETY: as the caller says; the direction flag is clear in all compiled code.
        unsafe {
            asm!("rep stosq", inout("rcx") words => _, inout("rdi") to => _, in("rax") word, options(nostack, preserves_flags));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn text(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at * 7 + 1) as u8).collect()
    }

    #[test]
    fn bytes_move_as_slices_do_wherever_they_overlap() {
        for bytes in 0..200 {
            for (from, to) in
                [(0, 300), (300, 0), (100, 100), (100, 101), (101, 100), (100, 107), (107, 100), (90, 170), (170, 90)]
            {
                let mut moved = text(600);
                let mut expected = moved.clone();
                expected.copy_within(from..from + bytes, to);
                let base = moved.as_mut_ptr();
                // SAFETY: both ranges lie in the text.
                unsafe { move_bytes(base.add(to), base.add(from), bytes) };
                assert_eq!(moved, expected, "{bytes} bytes from {from} to {to}");
            }
        }
    }

    #[test]
    fn nothing_but_the_range_is_filled() {
        for bytes in 0..200 {
            for at in 0..9 {
                let mut filled = text(300);
                let mut expected = filled.clone();
                expected[at..at + bytes].fill(0xa5);
                // SAFETY: the range lies in the text.
                unsafe { fill(filled.as_mut_ptr().add(at), 0xa5, bytes) };
                assert_eq!(filled, expected, "{bytes} bytes at {at}");
            }
        }
    }
}
