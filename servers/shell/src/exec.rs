//! Commands from the kernel's command line: `shell.exec=…`, which init takes out of its percent-encoding. Nobody types;
//! the host tool reads.
//!
//! What the commands write stands between two marks (`images/src/frame.rs` reads them), and nothing else does. The
//! second one carries the status of the last command. Then the machine goes off.

use crate::shell::{Shell, ShutDown};
use core::fmt::Write;
use libsys::client;
use libsys::protocol::LogClient;
use libsys::time::Instant;

/// Before the output.
const BEGIN: &str = "\x1b]skink;begin\x07";

/// What the emulator is told when the machine goes off in order.
pub const POWER_OFF: u8 = 0x10;

/// Runs commands, and says how the machine is to go down then.
pub fn run(shell: &mut Shell, commands: &str) -> ShutDown {
    shell.is_interactive = false;
    hush(shell);
    shell.ready = Instant::now();
    let status = match shell.resume_line() {
        Some(status) => status,
        None => {
            // Writing fails only when the terminal is gone, and then there is nobody to tell.
            let _ = shell.write_str(BEGIN);
            shell.run_text(commands)
        }
    };
    shell.terminal.drain();
    let _ = write!(shell, "\x1b]skink;exit={status}\x07");
    shell.terminal.drain();
    shell.shut_down.unwrap_or(ShutDown { restart: false, status: POWER_OFF })
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
