//! `console`: a terminal, between a program and a stream device: lines, echo, keys that mean something.
//!
//! In *canonical* mode input comes in lines, which the user can correct until Enter: Backspace erases a character, Ctrl-U the
//! line, Ctrl-D ends the line without a newline, or the input where the line is empty. In *raw* mode every byte comes as it is typed.
//!
//! Every session has modes of its own; the console is in those of the session that reads first in line.

use crate::Channel;
use crate::service::{Context, Reply};
use alloc::vec::Vec;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// A terminal.
#[protocol]
pub trait Console {
    /// Waits for input, at most `most` bytes of it: in canonical mode a line with its newline, or the rest of
    /// one; in raw mode at least a byte, and nothing behind an Enter, which may be meant for another reader. Nothing at all means the end of the input (Ctrl-D). Readers are served in order of
    /// arrival. A console that dies meanwhile does not end the wait, and what was typed is not lost.
    ///
    /// Rights: any session. Errors: `HungUp`. *once*: what is read is taken out of the input.
    #[once]
    fn read(&mut self, cx: &Context, most: u32, reply: Reply<'_, Result<Vec<u8>, ConsoleError>>);

    /// The same without waiting; returns how many bytes. 0: the end of the input.
    ///
    /// Rights and class as [`Console::read`]. Errors: `WouldBlock`, `HungUp`.
    #[once]
    fn read_now(&mut self, cx: &Context, buffer: &mut [u8]) -> Result<usize, ConsoleError>;

    /// As [`Console::read_now`], for a reader that outlives its own death: the console holds what it gave until the reader has noted it. `noted` is how many bytes the
    /// reader has had from this method and noted, all in all. Where that is fewer than the console has given, it gives the last ones again. 0: from a reader that has
    /// noted nothing, and wants nothing again.
    ///
    /// Rights, class and errors as [`Console::read_now`]. It holds for one session: the one that read so last.
    #[once]
    fn read_noted(&mut self, cx: &Context, noted: u64, buffer: &mut [u8]) -> Result<usize, ConsoleError>;

    /// Writes bytes, as many as there is room for; returns how many. A newline becomes carriage return and newline
    /// where the mode says so. Text of several sessions is mixed at most between writes.
    ///
    /// Rights: any session. Errors: `WouldBlock` (no room: ask to be notified), `HungUp`. *once*: written twice it would be
    /// seen twice.
    #[once]
    fn write(&mut self, cx: &Context, bytes: &[u8]) -> Result<u32, ConsoleError>;

    /// Waits until everything that was written has left.
    ///
    /// Rights: any session. Error: `HungUp`. *replay*: it only waits.
    #[replay]
    fn flush(&mut self, cx: &Context, reply: Reply<'_, Result<(), ConsoleError>>);

    /// Sets the session's modes; returns those before. A line that is half typed stays, and is treated by the new
    /// modes.
    ///
    /// Rights: any session. *once*: the returned modes must be those before.
    #[once]
    fn set_mode(&mut self, cx: &Context, mode: Mode) -> Mode;

    /// The session's modes.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn mode(&mut self, cx: &Context) -> Mode;

    /// Signals `bits` of `channel` when Ctrl-C is typed and the reading session's modes let keys interrupt. It is one channel at a time, of the
    /// session that asked last: the shell's, which knows what runs in the foreground. `bits` of 0 end it, if the session is that one.
    ///
    /// Rights: a session with [`Context::may_control`]; the channel with `SIGNAL` for the bits. Errors: `Denied`, `Exhausted`. *once*: another session may have asked
    /// since. A signal may come twice when the console dies, but before anything more can be read from it.
    #[once]
    fn interrupts(&mut self, cx: &Context, channel: Channel, bits: u64) -> Result<(), ConsoleError>;

    /// Signals `bits` of `channel` whenever reading or writing becomes possible for this session that was not, and once at once if it
    /// is already. It replaces what the session asked for before; `bits` of 0 end it.
    ///
    /// Rights: any session; the channel with `SIGNAL` for the bits. *replay*: asked twice it is the same.
    #[replay]
    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64);

    /// Columns and rows of the terminal; 0 and 0 where nobody knows.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn size(&mut self) -> (u16, u16);

    /// Says how large the terminal is, by whoever has found out.
    ///
    /// Rights: any session. *once*: the terminal may have changed since.
    #[once]
    fn set_size(&mut self, columns: u16, rows: u16);
}

/// What a console does with what is typed and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode {
    /// Input comes in lines that can be corrected.
    pub canonical: bool,
    /// What is typed is shown.
    pub echo: bool,
    /// Ctrl-C interrupts; otherwise it is a byte as any other.
    pub interrupts: bool,
    /// A carriage return that is typed counts as a newline.
    pub newline_in: bool,
    /// A newline that is written becomes carriage return and newline.
    pub newline_out: bool,
}

impl Mode {
    /// Lines, shown and corrected: where a session starts.
    pub const CANONICAL: Mode =
        Mode { canonical: true, echo: true, interrupts: true, newline_in: true, newline_out: true };

    /// Every byte as it is, both ways.
    pub const RAW: Mode =
        Mode { canonical: false, echo: false, interrupts: false, newline_in: false, newline_out: false };
}

impl Default for Mode {
    fn default() -> Self {
        Mode::CANONICAL
    }
}

/// Why a console did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsoleError {
    /// It would have to wait.
    WouldBlock,
    /// The terminal is gone.
    HungUp,
    /// The session may not do this.
    Denied,
    /// The console has no room to remember it.
    Exhausted,
}

impl ConsoleError {
    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            ConsoleError::WouldBlock => "it would have to wait",
            ConsoleError::HungUp => "the terminal is gone",
            ConsoleError::Denied => "not permitted",
            ConsoleError::Exhausted => "the console has no room for it",
        }
    }
}

impl core::fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for ConsoleError {}
