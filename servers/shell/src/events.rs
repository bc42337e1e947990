//! What can happen while the shell waits: signals on its channel.
//!
//! It is the one that init made for the service: init signals it now and then, and a shell that does not take that for longer than the manifest's `hang` is
//! replaced. So whoever runs scripts has to look here between commands ([`crate::terminal::Terminal::is_interrupted`] does), be it a loop without end.

use core::cell::Cell;
use libsys::channel::Event;
use libsys::{Channel, Error, Handle, sys};

/// The terminal can be read or written again.
pub const TERMINAL: u64 = 1 << 0;
/// Ctrl-C.
pub const INTERRUPT: u64 = 1 << 1;
/// A program that the shell started has ended.
pub const CHILD: u64 = 1 << 2;
/// The console's state has changed: it may have been restarted.
pub const CONSOLE: u64 = 1 << 3;
/// There is something new in the log.
pub const LOG: u64 = 1 << 4;
/// A thread of the shell's own has done what it was to do.
pub const THREAD: u64 = 1 << 5;
/// What a program that ended had has come free.
pub const DRAINED: u64 = 1 << 6;

/// The channel, and the signals that arrived and that nobody has looked at.
#[derive(Debug)]
pub struct Events {
    channel: &'static Channel,
    pending: Cell<u64>,
}

impl Events {
    /// The events of a channel that is the shell's.
    pub fn new(channel: &'static Channel) -> Events {
        let events = Events { channel, pending: Cell::new(0) };
        // After a death all bits are set, Ctrl-C among them; whoever has something to tell is asked anew.
        while events.receive(Some(0)).is_ok() {}
        events.pending.set(0);
        events
    }

    /// The channel, to be signalled by the kernel.
    pub fn channel(&self) -> &Channel {
        self.channel
    }

    /// The channel as others get it: they may set `bits` of it, and nothing else.
    pub fn signaller(&self, bits: u64) -> Result<Channel, Error> {
        self.channel.signaller(bits)
    }

    /// Those of `bits` that were signalled; they are forgotten with that.
    pub fn take(&self, bits: u64) -> u64 {
        self.wait(bits, Some(0))
    }

    /// Waits for one of `bits`; 0 when the deadline passed. What came is forgotten with that.
    pub fn wait(&self, bits: u64, deadline: Option<u64>) -> u64 {
        loop {
            // A poll looks at the channel as well, so that no later signal is overtaken for ever.
            let came = self.pending.get() & bits;
            if came != 0 {
                self.pending.set(self.pending.get() & !came);
                return came;
            }
            if self.receive(deadline).is_err() {
                return 0;
            }
        }
    }

    /// Takes what comes next.
    fn receive(&self, deadline: Option<u64>) -> Result<(), Error> {
        match self.channel.receive(deadline)? {
            Event::Signals(signals) => self.pending.set(self.pending.get() | signals),
            // The shell has no methods.
            Event::Call { .. } => sys::call_abandon(Handle::NONE)?,
            Event::Close { badge, client, .. } => self.channel.acknowledge_close(badge, client)?,
            Event::Withdrawn(_) => {}
        }
        Ok(())
    }
}
