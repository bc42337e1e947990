//! Programs that have ended: the kernel takes them apart in steps, and what they were promised goes back as that goes on.
//!
//! What a program did not use goes back when its account is revoked; its memory when its process was reset, which the kernel signals.

use crate::events::{DRAINED, Events};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use libsys::program::Child;
use libsys::{Account, Process};

/// All of them.
pub struct Ending {
    events: Rc<Events>,
    all: RefCell<Vec<Ended>>,
}

/// A program that has ended.
struct Ended {
    process: Process,
    /// The incarnation that ended; the next one is there when the reset is done.
    incarnation: u64,
    account: Account,
}

impl Ended {
    /// Whether its memory has come free. What it was promised is given back with that.
    fn is_over(&self) -> bool {
        let is_over = self.process.exit_record().map_or(true, |record| record.incarnation != self.incarnation);
        if is_over {
            let _ = self.account.revoke();
        }
        is_over
    }
}

impl Ending {
    /// None yet; the kernel signals [`DRAINED`] here.
    pub fn new(events: Rc<Events>) -> Ending {
        Ending { events, all: RefCell::default() }
    }

    /// Ends a program, if it runs still, with all that it has started itself. Nobody is told of it any more.
    pub fn add(&self, child: Child) {
        let Child { process, account, .. } = child;
        let _ = process.watch(None);
        // Refused, these end with the shell at the latest.
        let _ = account.revoke();
        if let Ok(record) = process.exit_record()
            && process.reset(Some((self.events.channel(), DRAINED))).is_ok()
        {
            self.all.borrow_mut().push(Ended { process, incarnation: record.incarnation, account });
        }
    }

    /// Whether none is left that will give something back.
    pub fn is_over(&self) -> bool {
        let mut all = self.all.borrow_mut();
        all.retain(|ended| !ended.is_over());
        all.is_empty()
    }
}
