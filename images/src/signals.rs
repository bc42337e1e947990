//! Signals to this process as events of a machine, so that QEMU is ended in order.

use std::sync::mpsc::SyncSender;
use std::thread;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::emulator::Event;

/// Signals are reported until this is dropped.
#[derive(Debug)]
pub struct Reporting {
    handle: Handle,
}

/// Reports SIGINT, SIGTERM and SIGHUP as [`Event::Interrupted`].
///
/// # Errors
/// The system refuses the handlers.
pub fn report_to(events: SyncSender<Event>) -> Result<Reporting> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
    let handle = signals.handle();
    thread::spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Interrupted(signal)).is_err() {
                return;
            }
        }
    });
    Ok(Reporting { handle })
}

impl Drop for Reporting {
    fn drop(&mut self) {
        self.handle.close();
    }
}
