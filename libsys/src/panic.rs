//! Panics: the message stays in the corpse.
//!
//! A panicking process writes message, place and a backtrace into its [`PanicRecord`], which is at the address that its exit record's code
//! says (reason [`abi::ExitReason::Panic`]); init reads it with [`message_of`]. It also logs it.

mod backtrace;

use crate::Process;
use alloc::string::String;
use alloc::vec;

/// Longest message with its backtrace, in bytes.
pub const TEXT_BYTES: usize = 2048;

/// What a process leaves that panicked.
#[repr(C)]
pub struct PanicRecord {
    /// Bytes of the text.
    pub bytes: u64,
    /// The message, the place, and a line of return addresses.
    pub text: [u8; TEXT_BYTES],
}

/// What a corpse says about its panic, by the code of its exit record. `None`: it cannot be read. It is the process's own
/// word: control characters are replaced.
pub fn message_of(process: &Process, code: u64) -> Option<String> {
    let mut bytes = [0; 8];
    if process.read(code, &mut bytes).ok()? != bytes.len() {
        return None;
    }
    let length = usize::try_from(u64::from_le_bytes(bytes)).ok()?.min(TEXT_BYTES);
    let mut text = vec![0; length];
    let read = process.read(code.checked_add(8)?, &mut text).ok()?;
    let text = String::from_utf8_lossy(&text[..read]);
    Some(text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}"))
}

#[cfg(target_os = "none")]
mod target {
    use super::{PanicRecord, TEXT_BYTES, backtrace};
    use crate::log::{self, Level, Text};
    use crate::{sys, thread};
    use abi::{ExitReason, Handle};
    use core::cell::UnsafeCell;
    use core::fmt::Write;
    use core::panic::PanicInfo;
    use core::sync::atomic::{AtomicBool, Ordering};

    struct Record(UnsafeCell<PanicRecord>);

    // SAFETY: written by the one thread that panics first.
    unsafe impl Sync for Record {}

    static RECORD: Record = Record(UnsafeCell::new(PanicRecord { bytes: 0, text: [0; TEXT_BYTES] }));
    static PANICKING: AtomicBool = AtomicBool::new(false);

    /// The process's panic handler. It takes no lock that somebody may hold, and allocates nothing.
    #[panic_handler]
    fn panic(info: &PanicInfo) -> ! {
        if !PANICKING.swap(true, Ordering::Relaxed) {
            let mut text = Text::<TEXT_BYTES>::new();
            // It fails when the text is full.
            let _ = write!(text, "{info}");
            log::write_last(Level::Critical, text.as_str());
            let _ = text.write_str("\nbacktrace:");
            for address in backtrace::of_caller(thread::block::current().stack) {
                let _ = write!(text, " {address:#x}");
            }
            let text = text.as_str().as_bytes();
            let record = RECORD.0.get();
            // SAFETY: this thread alone is here, and no reference to the record exists.
            unsafe {
                let into = (&raw mut (*record).text).cast::<u8>();
                core::ptr::copy_nonoverlapping(text.as_ptr(), into, text.len());
                (&raw mut (*record).bytes).write_volatile(text.len() as u64);
            }
        }
        // Who panics within that, or in another thread meanwhile, leaves the message to the first.
        let _ = sys::process_kill(Handle::NONE, ExitReason::Panic, RECORD.0.get() as u64);
        loop {
            sys::thread_yield();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    #[test]
    fn a_record_is_read_with_suspicion() {
        let process = fake::FakeProcess::new();
        let mut record = PanicRecord { bytes: 9, text: [b'x'; TEXT_BYTES] };
        record.text[..9].copy_from_slice(b"a\x1bc\ndefgh");
        process.set_readable(0x1000, bytes_of(&record));
        assert_eq!(message_of(&process.object(), 0x1000).as_deref(), Some("a\u{fffd}c\ndefgh"));
        record.bytes = u64::MAX;
        process.set_readable(0x1000, bytes_of(&record));
        assert_eq!(message_of(&process.object(), 0x1000).map(|text| text.len()), Some(TEXT_BYTES + 2));
        assert_eq!(message_of(&process.object(), 0x9000), None);
        assert_eq!(message_of(&process.object(), u64::MAX), None);
    }

    fn bytes_of(record: &PanicRecord) -> std::vec::Vec<u8> {
        let mut bytes = record.bytes.to_le_bytes().to_vec();
        bytes.extend_from_slice(&record.text);
        bytes
    }
}
