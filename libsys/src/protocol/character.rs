//! `character`: devices that are streams of bytes: serial lines, keyboards, `null`, `zero`, `full`.
//!
//! A client that waits does so in its own way: it polls; it asks to be signalled ([`Character::notify`]) and then
//! reads until `WouldBlock`; or it waits in a call ([`Character::read_wait`]). A client that wants all of a
//! device's bytes, as the console does of a serial line, shares rings with it ([`Character::attach`]), and then there are
//! no calls for data at all.
//!
//! Devices without an operation answer `Unsupported`: a keyboard cannot be written, `zero` has no rings.

use crate::Channel;
use crate::service::{Context, Reply};
use crate::wire::Shared;
use alloc::vec::Vec;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// A stream device.
#[protocol]
pub trait Character {
    /// Reads what is there, as much as fits in `buffer` and in a message; returns how many bytes. At the end of
    /// the stream, for ever: 0.
    ///
    /// Rights: any session. Errors: `WouldBlock` (nothing is there yet), `HungUp`, `Attached`, `Unsupported`, `Device`. *once*: what is read
    /// is taken out of the stream.
    #[once]
    fn read(&mut self, cx: &Context, buffer: &mut [u8]) -> Result<usize, CharacterError>;

    /// The same, but it waits until something is there: at most `most` bytes. A server that dies meanwhile does
    /// not end the wait.
    ///
    /// Rights and class as [`Character::read`]. Errors: as there, without `WouldBlock`.
    #[once]
    fn read_wait(&mut self, cx: &Context, most: u32, reply: Reply<'_, Result<Vec<u8>, CharacterError>>);

    /// Writes bytes, as many as the device has room for; returns how many it took. They are on their way
    /// when this returns, not out: see [`Character::flush`].
    ///
    /// Rights: any session. Errors: `WouldBlock` (no room at all), `Full` (there will never be room), `HungUp`, `Attached`,
    /// `Unsupported`, `Device`. *once*: written twice they would be there twice.
    #[once]
    fn write(&mut self, cx: &Context, bytes: &[u8]) -> Result<u32, CharacterError>;

    /// Waits until everything that was written has left the device.
    ///
    /// Rights: any session. Errors: `HungUp`, `Device`. *replay*: it only waits.
    #[replay]
    fn flush(&mut self, cx: &Context, reply: Reply<'_, Result<(), CharacterError>>);

    /// What could be done without waiting.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn poll(&mut self, cx: &Context) -> Readiness;

    /// Signals `bits` of `channel` whenever reading or writing becomes possible that was not, and once at once if something is
    /// possible already. It replaces what the session asked for before; `bits` of 0 end it.
    ///
    /// Rights: any session; the channel with `SIGNAL` for the bits. *replay*: asked twice it is the same. A server that was restarted
    /// signals everybody once.
    #[replay]
    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64) -> Result<(), CharacterError>;

    /// Shares the device's data with one client: the device's bytes go into the ring `input`, and those in the ring
    /// `output` go to the device ([`abi::ring::ByteRing`]s, made by the client, who stays the consumer of one and the producer of the
    /// other). `bits` of `channel` are signalled when input has arrived, when a full ring of output has become half empty, and when all output has left it. Returned are a channel and
    /// its bits, to signal after putting output into a ring that was empty, and after taking input from one that was full.
    ///
    /// While it lasts, until the session is closed or attaches anew, others get `Attached` for reads and writes. Input that
    /// the ring has no room for is counted in it as lost. What is in the rings outlives the server, which goes on with them; to attach them again does no
    /// harm. What is in the rings of a client that is gone goes to the next one, or to who reads.
    ///
    /// Rights: a session with [`Context::may_control`]; the Memory with `READ`, `WRITE` and `INSPECT`. Errors: `Denied`, `Attached` (by another session),
    /// `OutOfRange` (these are no rings), `Unsupported`. *replay*: the same rings attached twice are attached.
    #[replay]
    fn attach(
        &mut self,
        cx: &Context,
        input: Shared,
        output: Shared,
        channel: Channel,
        bits: u64,
    ) -> Result<(Channel, u64), CharacterError>;

    /// Changes how the device works.
    ///
    /// Rights: a session with [`Context::may_control`]. Errors: `Denied`, `OutOfRange`, `Unsupported`, `Device`. *once*: another client may change it
    /// as well.
    #[once]
    fn control(&mut self, cx: &Context, control: Control) -> Result<(), CharacterError>;

    /// How the device works.
    ///
    /// Rights: any session. Error: `Unsupported` (it is not a serial line). *replay*: it only reads.
    #[replay]
    fn line(&mut self, cx: &Context) -> Result<Line, CharacterError>;
}

/// What could be done without waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Bytes that a read would get. `u32::MAX`: without end.
    pub readable: u32,
    /// Bytes that a write would take. `u32::MAX`: without end.
    pub writable: u32,
    /// The other end is gone.
    pub hung_up: bool,
}

/// A change of how a device works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// Sets speed and format of a serial line.
    Line(Line),
    /// Holds a serial line in the break state for so many milliseconds.
    Break(u32),
    /// Drops input that nobody has read.
    DropInput,
    /// Drops output that has not left yet.
    DropOutput,
}

/// Speed and format of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Bits a second.
    pub baud: u32,
    /// Bits of data a character, 5 to 8.
    pub data_bits: u8,
    /// Bits of stop a character, 1 or 2.
    pub stop_bits: u8,
    /// The check bit.
    pub parity: Parity,
}

impl Line {
    /// A line of this speed, with 8 bits of data, no check bit and one of stop.
    pub const fn of_8_bits(baud: u32) -> Line {
        Line { baud, data_bits: 8, stop_bits: 1, parity: Parity::None }
    }

    /// Whether there are characters of this format.
    pub fn has_known_format(&self) -> bool {
        (5..=8).contains(&self.data_bits) && (1..=2).contains(&self.stop_bits)
    }
}

/// The check bit of a serial line's characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parity {
    /// None.
    None,
    /// Makes the number of ones odd.
    Odd,
    /// Makes the number of ones even.
    Even,
}

/// Why a stream device did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CharacterError {
    /// It would have to wait.
    WouldBlock,
    /// There will never be room: the device `full` says so.
    Full,
    /// The other end is gone.
    HungUp,
    /// Its data goes through rings that another session attached.
    Attached,
    /// A number means nothing to the device.
    OutOfRange,
    /// The session may not do this.
    Denied,
    /// The device cannot do this.
    Unsupported,
    /// The device failed.
    Device,
}

impl CharacterError {
    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            CharacterError::WouldBlock => "it would have to wait",
            CharacterError::Full => "no space left",
            CharacterError::HungUp => "the other end is gone",
            CharacterError::Attached => "another session has attached rings",
            CharacterError::OutOfRange => "the device does not know this number",
            CharacterError::Denied => "not permitted",
            CharacterError::Unsupported => "the device cannot do this",
            CharacterError::Device => "the device failed",
        }
    }
}

impl core::fmt::Display for CharacterError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for CharacterError {}

/// The kernel's refusals, as of registers that are gone.
impl From<crate::Error> for CharacterError {
    fn from(_: crate::Error) -> CharacterError {
        CharacterError::Device
    }
}
