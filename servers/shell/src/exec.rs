//! Commands from the kernel's command line: `shell.exec=…`. Nobody types; the host tool reads.
//!
//! What the commands write stands between two marks (`images/src/frame.rs` reads them), and nothing else does. The
//! second one carries the status of the last command. Then the machine goes off.

use crate::shell::{Shell, ShutDown};
use crate::status;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use libsys::client;
use libsys::protocol::LogClient;

/// Before the output.
const BEGIN: &str = "\x1b]skink;begin\x07";

/// What the emulator is told when the machine goes off in order.
pub const POWER_OFF: u8 = 0x10;

/// Takes text out of its percent-encoding (RFC 3986 §2.1); `None` when it is not in one.
pub fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hexadecimal(rest.next()?)? << 4 | hexadecimal(rest.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hexadecimal(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Runs commands, and says how the machine is to go down then.
pub fn run(shell: &mut Shell, encoded: &str) -> ShutDown {
    shell.is_interactive = false;
    hush(shell);
    // Writing fails only when the terminal is gone, and then there is nobody to tell.
    let _ = shell.write_str(BEGIN);
    let status = match decode(encoded) {
        Some(commands) => shell.run_text(&commands),
        None => {
            let _ = shell.write_str("shell: the parameter `exec` is not percent-encoded text\n");
            status::USAGE
        }
    };
    shell.terminal.drain();
    let _ = write!(shell, "\x1b]skink;exit={status}\x07");
    shell.terminal.drain();
    shell.shut_down.unwrap_or(ShutDown {
        restart: false,
        status: POWER_OFF,
    })
}

/// Keeps the log off the serial line while commands write to it.
fn hush(shell: &Shell) {
    let Ok(session) = shell.registry.connect("log", false) else {
        return;
    };
    let log: LogClient = client::unchecked(session);
    // A log server that does not let the shell decide has not been told to show anything either.
    let _ = log.show(None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_out_of_its_encoding() {
        assert_eq!(decode("echo%20a%3B%20ps").as_deref(), Some("echo a; ps"));
        assert_eq!(decode("%C3%A9").as_deref(), Some("é"));
        assert_eq!(decode("").as_deref(), Some(""));
        for wrong in ["%", "%2", "%zz", "%ff", "a%2"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
