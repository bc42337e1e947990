//! Session: a client's connection to a channel. Each process that has handles to it is one use of it.
//!
//! The states are in `docs/states.md`. Nobody's use: a session in flight, in a message.

use super::{Account, Channel, New, Object, ObjectType, Process, Quantity, Ref, Slot, Type, slab};
use crate::handle_table::Found;
use crate::{Kernel, Link, List, Node, ipc};
use abi::Error;
use core::cell::Cell;

/// Most processes that can share a session: finding a process's use takes that many steps at most.
const MOST_USES: u32 = 64;

/// A connection.
pub struct Session {
    /// The channel that it leads to.
    pub channel: Ref<Channel>,
    /// What the server knows it by.
    pub badge: u64,
    account: Slot<Account>,
    /// Uses that have handles.
    open: Cell<u32>,
    /// Handles in flight. With the last use and flight it is closed.
    flights: Cell<u32>,
    /// The use that was the last while a handle flew: whether it was is known when the flight ends.
    closing: Slot<SessionUse>,
    uses: List<SessionUse, InSession>,
    in_channel: Node<Session>,
}

/// A process's use of a session: what its handles name.
pub struct SessionUse {
    /// The session.
    pub session: Ref<Session>,
    /// The channel that it leads to, for calls.
    pub channel: Ref<Channel>,
    /// The process, while it exists.
    pub process: Slot<Process>,
    /// The process's number.
    pub client: u64,
    /// The badge, for calls.
    pub badge: u64,
    /// Handles that the process has.
    pub handles: Cell<u32>,
    /// With its close, no process has the session any more.
    pub last: Cell<bool>,
    in_session: Link<SessionUse>,
    in_closes: Link<SessionUse>,
    in_delivered: Node<SessionUse>,
}

impl Session {
    /// Makes a session that is in flight once.
    ///
    /// # Errors
    /// `AccountExhausted`, `Closed`.
    pub fn mint(kernel: &Kernel, account: &Object<Account>, channel: &Object<Channel>, badge: u64) -> New<Session> {
        if channel.closed.get() {
            return Err(Error::Closed);
        }
        account.charge(Quantity::Sessions, 1)?;
        let new = Session {
            channel: channel.to_ref(),
            badge,
            account: Slot::with(account.to_ref()),
            open: Cell::new(0),
            flights: Cell::new(1),
            closing: Slot::empty(),
            uses: List::new(),
            in_channel: Node::new(),
        };
        let session = slab::create(kernel, account, new).inspect_err(|_| account.uncharge(Quantity::Sessions, 1))?;
        channel.sessions.insert(session.clone(), session.number());
        Ok(session)
    }

    /// Moves the charge for the session to the account of its receiver.
    ///
    /// # Errors
    /// `AccountExhausted`: it stays where it was.
    pub fn move_charge(&self, to: &Object<Account>) -> Result<(), Error> {
        to.charge(Quantity::Sessions, 1)?;
        if let Some(from) = self.account.take() {
            from.uncharge(Quantity::Sessions, 1);
        }
        self.account.set(Some(to.to_ref()));
        Ok(())
    }

    /// Its uses, one that was the last while a handle flies among them: at most 64.
    pub fn uses<'k>(&'k self, kernel: &'k Kernel) -> impl Iterator<Item = &'k Object<SessionUse>> {
        self.uses.iter(kernel)
    }
}

impl Object<Session> {
    /// A flight begins: a handle was put into a message.
    pub fn take_flight(&self) {
        self.flights.set(self.flights.get() + 1);
    }

    /// A flight is over: it has landed as a use, or ends without a receiver.
    pub fn end_flight(&self, kernel: &Kernel) {
        self.flights.set(self.flights.get() - 1);
        if self.is_over() {
            match self.closing.take() {
                Some(last) => last.report(kernel, true),
                None => self.unlist(),
            }
        }
    }

    /// Takes it off its channel's list, where no close has to be acknowledged.
    fn unlist(&self) {
        if self.is_over() && self.uses.is_empty() {
            self.channel.sessions.remove(self);
        }
    }

    /// Whether neither a use nor a flight is left.
    fn is_over(&self) -> bool {
        self.open.get() == 0 && self.flights.get() == 0
    }

    /// The channel closes: nobody is left to tell of a use that may have been the last.
    pub(crate) fn forget_closing(&self) {
        if let Some(closing) = self.closing.take() {
            self.uses.remove(&closing);
        }
    }

    /// The use of a process, for one more handle of it: a new one, or the one that it has.
    ///
    /// # Errors
    /// `AccountExhausted`, `NoSlot` (64 processes use it).
    pub fn use_by(&self, kernel: &Kernel, process: &Object<Process>) -> New<SessionUse> {
        let open = self.uses.iter(kernel).find(|one| one.process.holds(process) && one.handles.get() > 0);
        if let Some(open) = open {
            open.handles.set(open.handles.get() + 1);
            return Ok(open.to_ref());
        }
        if let Some(closing) = self.closing.get(kernel).filter(|closing| closing.client == process.number()) {
            // It came back before anybody was told.
            closing.process.set(Some(process.to_ref()));
            closing.handles.set(1);
            self.open.set(1);
            return self.closing.take().ok_or(Error::BadState);
        }
        if self.uses.len() >= MOST_USES {
            return Err(Error::NoSlot);
        }
        let new = SessionUse {
            session: self.to_ref(),
            channel: self.channel.clone(),
            process: Slot::with(process.to_ref()),
            client: process.number(),
            badge: self.badge,
            handles: Cell::new(1),
            last: Cell::new(false),
            in_session: Link::new(),
            in_closes: Link::new(),
            in_delivered: Node::new(),
        };
        let new = slab::create(kernel, &process.account, new)?;
        self.uses.push_back(new.clone());
        self.open.set(self.open.get() + 1);
        if let Some(other) = self.closing.take() {
            other.report(kernel, false);
        }
        Ok(new)
    }
}

impl Object<SessionUse> {
    /// One handle of the process is closed. With the last one, the server is told.
    pub fn closed(&self, kernel: &Kernel) {
        let left = self.handles.get() - 1;
        self.handles.set(left);
        if left > 0 {
            return;
        }
        self.process.set(None);
        let session = &self.session;
        session.open.set(session.open.get() - 1);
        if session.open.get() == 0 && session.flights.get() > 0 && !self.channel.closed.get() {
            session.closing.set(Some(self.to_ref()));
            return;
        }
        self.report(kernel, session.is_over());
    }

    /// Tells the server: but not of its own use, which ends when it gives a session away that it has minted, unless that is the last.
    fn report(&self, kernel: &Kernel, last: bool) {
        self.last.set(last);
        let is_own = || self.channel.server.get(kernel).is_some_and(|server| server.number() == self.client);
        if self.channel.closed.get() || !last && is_own() {
            self.forget();
        } else {
            self.channel.closes.push_back(self.to_ref());
            ipc::wake_receiver(kernel, self.channel.get(kernel));
        }
    }

    /// Its close was delivered, and waits for the acknowledge.
    pub fn delivered(&self) {
        self.channel.delivered_closes.insert(self.to_ref(), close_key(self.badge, self.client));
    }

    /// The close is acknowledged, or nobody is left to tell: the use is gone.
    pub fn forget(&self) {
        self.channel.closes.remove(self);
        self.channel.delivered_closes.remove(self);
        self.session.uses.remove(self);
        self.session.unlist();
    }
}

impl Type for Session {
    const TYPE: ObjectType = ObjectType::Session;

    fn finalize(&self, _kernel: &Kernel) {
        if let Some(account) = self.account.take() {
            account.uncharge(Quantity::Sessions, 1);
        }
    }
}

impl Type for SessionUse {
    const TYPE: ObjectType = ObjectType::SessionUse;
}

crate::nodes! {
    /// Nodes of a session among those of its channel.
    InChannel: Session, in_channel;
    /// Nodes of a use among the delivered closes of its channel.
    InDelivered: SessionUse, in_delivered;
}

/// Closes that are looked at to find the one that is acknowledged: those of one badge and client are alike, and others have the same
/// key where a server chooses its badges so.
const SAME_KEY: usize = 16;

fn close_key(badge: u64, client: u64) -> u64 {
    badge.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ client.rotate_left(40)
}

/// The delivered close of a badge and a client.
///
/// # Errors
/// `BadState`: there is none.
pub fn delivered_close<'k>(kernel: &'k Kernel, channel: &Channel, badge: u64, client: u64) -> Found<'k, SessionUse> {
    let key = close_key(badge, client);
    let with_key = channel.delivered_closes.from(kernel, key).take_while(|close| close.in_delivered.key.get() == key);
    let mut some = with_key.take(SAME_KEY);
    some.find(|close| close.badge == badge && close.client == client).ok_or(Error::BadState)
}

crate::links! {
    /// Links of a use among those of its session.
    InSession: SessionUse, in_session;
    /// Links of a use among the closes of its channel.
    InCloses: SessionUse, in_closes;
}
