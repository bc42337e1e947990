//! A stream device, as its driver describes it, and the exchange of bytes with it.

use super::super::{Env, Result};
use super::StreamRing;
use crate::Error;
use crate::protocol::character::{CharacterError, Line};

/// Rounds of one exchange: a device that has more is asked again after others had their turn.
const ROUNDS: usize = 128;

/// What becomes of a device's registers: an error is the kernel's.
pub type Done<T> = core::result::Result<T, Error>;

/// A device that is a stream of bytes.
pub trait StreamDevice: Sized {
    /// The name of its interrupt in the manifest, if it has one.
    const INTERRUPT: Option<&str> = None;

    /// Finds the device and makes it ready.
    fn start(env: &Env) -> Result<Self>;

    /// Moves what the device has received into a ring that may be full. What is taken out of the device is lost if the driver dies before it is in the
    /// ring: [`Ports::drain`](crate::Ports::drain) does both at once. Error: `BadState` (the ring makes no sense).
    fn receive(&mut self, input: &StreamRing) -> Done<Received>;

    /// Moves from a ring into the device what that takes now, and returns how many bytes. Error: as [`StreamDevice::receive`].
    fn send(&mut self, output: &StreamRing) -> Done<u64>;

    /// From now on it interrupts when it has received something (`receive`), and when it can send (`send`), or not. Called
    /// when that changes, and at the start.
    fn enable(&mut self, receive: bool, send: bool) -> Done<()> {
        let _ = (receive, send);
        Ok(())
    }

    /// Whether it would interrupt for something that [`StreamDevice::receive`] or [`StreamDevice::send`] did not take care of yet.
    fn is_pending(&mut self) -> Done<bool> {
        Ok(false)
    }

    /// Whether everything that it took has left.
    fn is_idle(&mut self) -> Done<bool>;

    /// Sets speed and format, of a serial line; the format is one that exists.
    fn set_line(&mut self, line: Line) -> core::result::Result<(), CharacterError> {
        let _ = line;
        Err(CharacterError::Unsupported)
    }

    /// Begins or ends the break state, of a serial line.
    fn set_break(&mut self, on: bool) -> core::result::Result<(), CharacterError> {
        let _ = on;
        Err(CharacterError::Unsupported)
    }
}

/// What came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes.
    pub bytes: u64,
    /// The device says that it has lost some.
    pub has_overrun: bool,
}

/// The divisor of a clock in Hz whose rate is within 3 % of the wanted one, if there is one.
pub fn divisor(clock: u32, rate: u32) -> Option<u16> {
    let (clock, rate) = (u64::from(clock), u64::from(rate));
    let divisor = (clock + rate / 2).checked_div(rate).filter(|divisor| *divisor > 0)?;
    let is_close = (clock / divisor).abs_diff(rate) * 100 <= 3 * rate;
    u16::try_from(divisor).ok().filter(|_| is_close)
}

/// What an exchange of bytes with the device came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exchanged {
    pub(super) received: u64,
    pub(super) sent: u64,
    /// Times the device said that it had lost input.
    pub(super) overruns: u64,
    /// There is more to do.
    pub(super) unfinished: bool,
    /// A ring makes no sense any more.
    pub(super) broken: bool,
    /// The device is not to be reached.
    pub(super) failure: Option<Error>,
}

/// Moves what can be moved, and leaves the device such that it interrupts when more can be: when it has input and there
/// is room for it, when it can send and there is output. `enabled`: for which of both it interrupts. Without `receives`, input stays with the device.
pub(super) fn exchange<D: StreamDevice>(
    device: &mut D,
    enabled: &mut Option<(bool, bool)>,
    receives: bool,
    input: &StreamRing,
    output: &StreamRing,
) -> Exchanged {
    let mut done = Exchanged::default();
    let mut round = || -> Done<bool> {
        let received = if receives { device.receive(input)? } else { Received::default() };
        done.received += received.bytes;
        done.overruns += u64::from(received.has_overrun);
        if output.available() > 0 {
            done.sent += device.send(output)?;
        }
        let wanted = (receives && input.room() > 0, output.available() > 0);
        if *enabled != Some(wanted) {
            device.enable(wanted.0, wanted.1)?;
            *enabled = Some(wanted);
        }
        device.is_pending()
    };
    let ended = (0..ROUNDS).map(|_| round()).find(|again| *again != Ok(true));
    done.unfinished = ended.is_none();
    done.broken = ended == Some(Err(Error::BadState));
    done.failure = ended.and_then(|last| last.err()).filter(|error| *error != Error::BadState);
    done
}
