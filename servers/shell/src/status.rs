//! Exit statuses: what the end of a program, or of a command, comes to.

use alloc::format;
use alloc::string::String;
use libsys::abi::ExitReason;
use libsys::process::ExitRecord;

/// Everything went well.
pub const SUCCESS: u8 = 0;
/// A command failed.
pub const FAILURE: u8 = 1;
/// A command was called in a wrong way.
pub const USAGE: u8 = 2;
/// A program could not be started.
pub const NOT_STARTED: u8 = 126;
/// There is no such command or program.
pub const NOT_FOUND: u8 = 127;
/// Nobody reads what it writes.
pub const BROKEN_PIPE: u8 = 141;
/// Ctrl-C. As a code of a kill: it was the user's.
pub const INTERRUPTED: u8 = 130;

/// What other systems call signal 6, 9, …, plus 128.
const fn signal(number: u8) -> u8 {
    128 + number
}

/// Status of a program that ended, and what is to be said about it if it did not end by itself.
pub fn of_program(record: &ExitRecord) -> (u8, Option<String>) {
    let reason = ExitReason::from_number(record.reason);
    let status = match reason {
        ExitReason::None => NOT_STARTED,
        ExitReason::Exit => return (exit_code(record.code), None),
        ExitReason::Killed if record.code == u64::from(INTERRUPTED) => return (INTERRUPTED, None),
        ExitReason::Panic => signal(6),
        ExitReason::IllegalInstruction => signal(4),
        ExitReason::Breakpoint => signal(5),
        ExitReason::DivideError | ExitReason::FloatingPoint => signal(8),
        ExitReason::Killed | ExitReason::Hung | ExitReason::Revoked => signal(9),
        ExitReason::PageFault | ExitReason::StackOverflow | ExitReason::GeneralProtection | ExitReason::Exception => {
            signal(11)
        }
    };
    (status, Some(describe(reason, record)))
}

/// Statuses have eight bits: a failure that has none of them stays a failure.
fn exit_code(code: u64) -> u8 {
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// How a program ended, in a few words.
pub fn describe(reason: ExitReason, record: &ExitRecord) -> String {
    let rip = record.registers.rip;
    match reason {
        ExitReason::PageFault => {
            let access = match record.code {
                code if code & 1 << 4 != 0 => "execute",
                code if code & 1 << 1 != 0 => "write",
                _ => "read",
            };
            format!("{} ({access} of {:#x}, at {rip:#x})", reason.text(), record.address)
        }
        _ if reason.is_fault() && !matches!(reason, ExitReason::Panic | ExitReason::Hung) => {
            format!("{} (at {rip:#x})", describe_code(reason, record.code))
        }
        _ => describe_code(reason, record.code),
    }
}

/// The same where only reason and code are known.
pub fn describe_code(reason: ExitReason, code: u64) -> String {
    let text = reason.text();
    match reason {
        ExitReason::Exit => format!("{text} with status {code}"),
        ExitReason::Killed | ExitReason::Hung if code != 0 => format!("{text} with code {code}"),
        ExitReason::GeneralProtection | ExitReason::IllegalInstruction | ExitReason::Exception => {
            format!("{text}, code {code:#x}")
        }
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(reason: ExitReason, code: u64) -> (u8, Option<String>) {
        let mut record = ExitRecord { reason: reason as u32, code, address: 0x10, ..ExitRecord::default() };
        record.registers.rip = 0x40_1000;
        of_program(&record)
    }

    #[test]
    fn statuses_tell_ends_apart() {
        assert_eq!(end(ExitReason::Exit, 0), (0, None));
        assert_eq!(end(ExitReason::Exit, 7), (7, None));
        assert_eq!(end(ExitReason::Exit, 256), (255, None), "never a success");
        assert_eq!(end(ExitReason::Killed, 130), (130, None));
        let (status, said) = end(ExitReason::PageFault, 6);
        assert_eq!(status, 139);
        assert_eq!(said.as_deref(), Some("page fault (write of 0x10, at 0x401000)"));
        assert_eq!(end(ExitReason::Killed, 0), (137, Some("killed".into())));
        assert_eq!(end(ExitReason::Panic, 0), (134, Some("panicked".into())));
        for number in 0..20 {
            let reason = ExitReason::from_number(number);
            if !matches!(reason, ExitReason::Exit) {
                assert_ne!(end(reason, 0).0, 0, "{reason:?}");
            }
        }
    }
}
