//! The server's side of all its block sessions: their rings, the Memory that they lent, and what is in flight.
//!
//! The owner asks [`Queues::next_client`] for requests, either takes them ([`Queues::begin`]), refuses them ([`Queues::refuse`]) or leaves them
//! for later, and ends what it took, in any order, with [`Queues::end`]. Clients see completions and are signalled, where they sleep, at the next [`Queues::publish`].
//!
//! A client whose ring makes no sense is detached; nobody else notices.

use super::Submission;
use super::ring::ServerRing;
use crate::protocol::block::{BlockError, BlockStatus, MOST_BUFFERS, MOST_SEGMENTS};
use crate::service::{Kept, Reply};
use crate::wire::Shared;
use crate::{Channel, Error, Handle};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A session with a queue, as long as it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(usize);

impl Client {
    /// A number, below that of the sessions that there are.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A request in flight. Its number is the smallest that was free, or one that was free lately: never more than the most that were in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u32);

impl Ticket {
    /// Its number.
    pub fn number(self) -> usize {
        self.0 as usize
    }

    /// The ticket with a number; one that is not in flight does nothing.
    pub fn from_number(number: usize) -> Ticket {
        Ticket(u32::try_from(number).unwrap_or(u32::MAX))
    }
}

type Attached = Result<(Channel, u64), BlockError>;

/// Lent Memory.
#[derive(Debug)]
struct Lent<B> {
    buffer: B,
    bytes: u64,
}

/// A ring and who is at its other end.
#[derive(Debug)]
struct Ring {
    ring: ServerRing,
    channel: Channel,
    bits: u64,
}

/// A session with a queue.
#[derive(Debug)]
struct Attachment<B> {
    badge: u64,
    /// `None`: it was closed or spoiled its ring, and only what is in flight keeps it.
    ring: Option<Ring>,
    /// The ring that takes the place of `ring` when nothing of that is in flight any more.
    next: Option<(Ring, Kept<Attached>)>,
    buffers: Vec<Option<Lent<B>>>,
    /// Loans that end when no request names them.
    ending: Vec<(u32, Kept<Result<(), BlockError>>)>,
    in_flight: u32,
    /// The request that came last, while `has_request`.
    request: Box<Submission>,
    has_request: bool,
    /// Has completions that were not published.
    is_dirty: bool,
    is_closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    client: usize,
    id: u64,
    /// The buffers that it names.
    buffers: [u32; MOST_SEGMENTS],
    segments: usize,
}

/// Most sessions with a queue.
const MOST_CLIENTS: usize = 1024;

/// The queues of a server. `B` is what it knows of a piece of lent Memory.
#[derive(Debug)]
pub struct Queues<B> {
    doorbell: Channel,
    doorbell_bits: u64,
    clients: Vec<Option<Attachment<B>>>,
    in_flight: Vec<Option<InFlight>>,
    free: Vec<u32>,
    /// Whose turn it is.
    cursor: usize,
    /// Memory that nobody lends any more.
    returned: Vec<B>,
    is_dirty: bool,
    most_buffers: usize,
}

impl<B> Queues<B> {
    /// No sessions yet. Clients signal `bits` of `channel`, the server's own. Errors: `NoSlot`, `AccountExhausted`.
    pub fn new(channel: &Channel, bits: u64) -> Result<Queues<B>, Error> {
        Ok(Queues {
            doorbell: channel.signaller(bits)?,
            doorbell_bits: bits,
            clients: Vec::new(),
            in_flight: Vec::new(),
            free: Vec::new(),
            cursor: 0,
            returned: Vec::new(),
            is_dirty: false,
            most_buffers: MOST_BUFFERS,
        })
    }

    /// Lets each client lend no more than so many buffers.
    pub fn limit_buffers(mut self, most: usize) -> Queues<B> {
        self.most_buffers = most.min(MOST_BUFFERS);
        self
    }

    /// [`crate::protocol::block::Block::attach`], for the session with a badge.
    pub fn attach(&mut self, badge: u64, queue: Shared, channel: Channel, bits: u64, reply: Reply<'_, Attached>) {
        match self.prepare(badge, &queue, channel, bits) {
            Err(error) => reply.send(Err(error)),
            Ok((index, ring)) if self.is_idle(index) => reply.send(self.replace(index, ring)),
            Ok((index, ring)) => {
                if let Ok(call) = reply.keep() {
                    wait_for_device(&call);
                    self.attach_later(index, ring, call);
                }
            }
        }
    }

    /// The same for a call that was kept.
    pub fn attach_kept(&mut self, badge: u64, queue: Shared, channel: Channel, bits: u64, call: Kept<Attached>) {
        // A caller that is gone attaches again, or closes.
        let _ = match self.prepare(badge, &queue, channel, bits) {
            Err(error) => call.reply(Err(error)),
            Ok((index, ring)) if self.is_idle(index) => call.reply(self.replace(index, ring)),
            Ok((index, ring)) => {
                self.attach_later(index, ring, call);
                Ok(())
            }
        };
    }

    fn prepare(
        &mut self,
        badge: u64,
        queue: &Shared,
        channel: Channel,
        bits: u64,
    ) -> Result<(usize, Ring), BlockError> {
        let ring = ServerRing::attach(queue).map_err(|_| BlockError::OutOfRange)?;
        let index = self.index(badge).or_else(|| self.add(badge)).ok_or(BlockError::Exhausted)?;
        self.reserve(ring.depth());
        let attachment = self.clients[index].as_mut().ok_or(BlockError::Exhausted)?;
        if attachment.next.is_some() {
            return Err(BlockError::Busy);
        }
        // Whatever comes now belongs to the ring that goes.
        attachment.has_request = false;
        Ok((index, Ring { ring, channel, bits }))
    }

    fn is_idle(&self, index: usize) -> bool {
        self.clients[index].as_ref().is_some_and(|attachment| attachment.in_flight == 0)
    }

    fn attach_later(&mut self, index: usize, ring: Ring, call: Kept<Attached>) {
        if let Some(attachment) = &mut self.clients[index] {
            attachment.ring = None;
            attachment.next = Some((ring, call));
        }
    }

    /// Gives a client, of which nothing is in flight, its new ring.
    fn replace(&mut self, index: usize, ring: Ring) -> Attached {
        let doorbell = self.doorbell.signaller(self.doorbell_bits).map_err(|_| BlockError::Exhausted)?;
        if let Some(attachment) = &mut self.clients[index] {
            attachment.return_all(&mut self.returned);
            attachment.ring = Some(ring);
            attachment.has_request = false;
            attachment.is_dirty = false;
        }
        Ok((doorbell, self.doorbell_bits))
    }

    /// Whether the session with a badge can lend: error `NotAttached`, `Exhausted`.
    pub fn check_lend(&self, badge: u64) -> Result<Client, BlockError> {
        let index = self.index(badge).ok_or(BlockError::NotAttached)?;
        let attachment = self.clients[index].as_ref().filter(|attachment| attachment.ring.is_some());
        let attachment = attachment.ok_or(BlockError::NotAttached)?;
        let lent = attachment.buffers.iter().flatten().count();
        if lent >= self.most_buffers { Err(BlockError::Exhausted) } else { Ok(Client(index)) }
    }

    /// Takes a loan of so many bytes: its number. The client was checked with [`Queues::check_lend`]; otherwise the loan is returned at once.
    pub fn lend(&mut self, client: Client, buffer: B, bytes: u64) -> Result<u32, BlockError> {
        let lent = Lent { buffer, bytes };
        let attachment = self.clients.get_mut(client.0).and_then(Option::as_mut);
        let Some(attachment) = attachment.filter(|attachment| attachment.ring.is_some()) else {
            self.returned.push(lent.buffer);
            return Err(BlockError::NotAttached);
        };
        if let Some(number) = attachment.buffers.iter().position(Option::is_none) {
            attachment.buffers[number] = Some(lent);
            return Ok(number as u32);
        }
        if attachment.buffers.len() >= self.most_buffers {
            self.returned.push(lent.buffer);
            return Err(BlockError::Exhausted);
        }
        attachment.buffers.push(Some(lent));
        Ok(attachment.buffers.len() as u32 - 1)
    }

    /// [`crate::protocol::block::Block::take_back`].
    pub fn take_back(&mut self, badge: u64, buffer: u32, reply: Reply<'_, Result<(), BlockError>>) {
        let Some(index) = self.index(badge) else { return reply.send(Err(BlockError::NotAttached)) };
        let in_use = self.is_in_use(index, buffer);
        let Some(attachment) = &mut self.clients[index] else { return reply.send(Err(BlockError::NotAttached)) };
        let is_ending = attachment.ending.iter().any(|(other, _)| *other == buffer);
        if attachment.buffers.get(buffer as usize).is_none_or(Option::is_none) || is_ending {
            return reply.send(Err(BlockError::BadBuffer));
        }
        if !in_use {
            self.returned.extend(attachment.forget(buffer));
            return reply.send(Ok(()));
        }
        if let Ok(kept) = reply.keep() {
            wait_for_device(&kept);
            attachment.ending.push((buffer, kept));
        }
    }

    /// A session was closed for the last time.
    pub fn close(&mut self, badge: u64) {
        if let Some(index) = self.index(badge)
            && let Some(attachment) = &mut self.clients[index]
        {
            attachment.is_closed = true;
            attachment.detach();
            self.settle(index);
        }
    }

    /// The caller of a kept call is gone.
    pub fn withdrawn(&mut self, call: Handle) {
        for attachment in self.clients.iter_mut().flatten() {
            attachment.next.take_if(|(_, kept)| kept.is(call));
            attachment.ending.retain(|(_, kept)| !kept.is(call));
        }
    }

    /// The next client that has a request, in turn: the same one again, until it was begun or refused, if it has to wait.
    pub fn next_client(&mut self) -> Option<Client> {
        for step in 0..self.clients.len() {
            let index = (self.cursor + step) % self.clients.len();
            let Some(attachment) = &mut self.clients[index] else { continue };
            if attachment.look() {
                self.cursor = index;
                return Some(Client(index));
            }
            // Its queue may just have been found to be spoiled.
            if attachment.ring.is_none() {
                self.settle(index);
            }
        }
        None
    }

    /// The next request of one client, if it has one.
    pub fn look(&mut self, client: Client) -> Option<&Submission> {
        let attachment = self.clients.get_mut(client.0)?.as_mut()?;
        attachment.look().then_some(&*attachment.request)
    }

    /// The request that [`Queues::next_client`] found.
    pub fn request(&self, client: Client) -> Option<&Submission> {
        let attachment = self.clients.get(client.0)?.as_ref()?;
        attachment.has_request.then_some(&*attachment.request)
    }

    /// The badge of a client's session.
    pub fn badge(&self, client: Client) -> Option<u64> {
        Some(self.clients.get(client.0)?.as_ref()?.badge)
    }

    /// What a client lent under a number, and its bytes.
    pub fn buffer(&self, client: Client, number: u32) -> Option<(&B, u64)> {
        let attachment = self.clients.get(client.0)?.as_ref()?;
        let lent = attachment.buffers.get(number as usize)?.as_ref()?;
        // What is being taken back cannot be named any more.
        let is_ending = attachment.ending.iter().any(|(other, _)| *other == number);
        (!is_ending).then_some((&lent.buffer, lent.bytes))
    }

    /// All that a client has lent.
    pub fn buffers_mut(&mut self) -> impl Iterator<Item = &mut B> {
        self.clients
            .iter_mut()
            .flatten()
            .flat_map(|client| client.buffers.iter_mut().flatten().map(|lent| &mut lent.buffer))
    }

    /// Takes the client's request, which was checked.
    pub fn begin(&mut self, client: Client) -> Option<Ticket> {
        let attachment = self.clients.get_mut(client.0)?.as_mut()?;
        if !core::mem::take(&mut attachment.has_request) {
            return None;
        }
        let number = self.free.pop()?;
        let named = attachment.request.segments();
        let mut one = InFlight {
            client: client.0,
            id: attachment.request.id,
            buffers: [0; MOST_SEGMENTS],
            segments: named.len(),
        };
        one.buffers.iter_mut().zip(named).for_each(|(buffer, segment)| *buffer = segment.buffer);
        self.in_flight[number as usize] = Some(one);
        attachment.in_flight += 1;
        self.cursor = client.0 + 1;
        Some(Ticket(number))
    }

    /// The ticket that the next request to be begun gets.
    pub fn next_ticket(&self) -> Option<Ticket> {
        self.free.last().copied().map(Ticket)
    }

    /// Answers the client's request without taking it.
    pub fn refuse(&mut self, client: Client, status: BlockStatus) {
        if let Some(ticket) = self.begin(client) {
            self.end(ticket, status);
        }
    }

    /// Answers a request that was taken.
    pub fn end(&mut self, ticket: Ticket, status: BlockStatus) {
        let Some(slot) = self.in_flight.get_mut(ticket.number()) else { return };
        let Some(InFlight { client, id, .. }) = slot.take() else { return };
        self.free.push(ticket.0);
        let Some(attachment) = &mut self.clients[client] else { return };
        attachment.in_flight -= 1;
        if let Some(ring) = &mut attachment.ring {
            // A ring's own count of what is in flight and this one are the same.
            attachment.is_dirty |= ring.ring.complete(id, status);
            self.is_dirty = true;
        }
        if !attachment.ending.is_empty() {
            self.end_loans(client);
        }
        self.settle(client);
    }

    /// Whose a request in flight is.
    pub fn client(&self, ticket: Ticket) -> Option<Client> {
        Some(Client(self.in_flight.get(ticket.number())?.as_ref()?.client))
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len() - self.free.len()
    }

    /// Lets clients see their completions, and wakes those that sleep.
    pub fn publish(&mut self) {
        if !core::mem::take(&mut self.is_dirty) {
            return;
        }
        for attachment in self.clients.iter_mut().flatten() {
            if core::mem::take(&mut attachment.is_dirty)
                && let Some(ring) = &mut attachment.ring
                && ring.ring.publish()
            {
                // A client that cannot be signalled is dead, or its close is on the way.
                let _ = ring.channel.signal(ring.bits);
            }
        }
    }

    /// Asks all clients for a signal when they have requests: whether none has one now.
    pub fn sleep(&mut self) -> bool {
        let mut is_quiet = true;
        for attachment in self.clients.iter_mut().flatten() {
            if attachment.next.is_none()
                && let Some(ring) = &mut attachment.ring
            {
                is_quiet &= !attachment.has_request && ring.ring.sleep();
            }
        }
        is_quiet
    }

    /// Makes the server look again, when it has looked at other things.
    pub fn ring_doorbell(&self) {
        // Bits of its own channel, which it serves: nothing could refuse that.
        let _ = self.doorbell.signal(self.doorbell_bits);
    }

    /// A loan that has ended: the device must not reach it any more.
    pub fn returned(&mut self) -> Option<B> {
        self.returned.pop()
    }

    /// Clients with a queue.
    pub fn clients(&self) -> impl Iterator<Item = Client> {
        self.clients.iter().enumerate().filter(|(_, client)| client.is_some()).map(|(index, _)| Client(index))
    }

    fn index(&self, badge: u64) -> Option<usize> {
        let is_it = |client: &Option<Attachment<B>>| {
            client.as_ref().is_some_and(|client| client.badge == badge && !client.is_closed)
        };
        self.clients.iter().position(is_it)
    }

    fn add(&mut self, badge: u64) -> Option<usize> {
        let attachment = Attachment {
            badge,
            ring: None,
            next: None,
            buffers: Vec::new(),
            ending: Vec::new(),
            in_flight: 0,
            request: Box::default(),
            has_request: false,
            is_dirty: false,
            is_closed: false,
        };
        if let Some(index) = self.clients.iter().position(Option::is_none) {
            self.clients[index] = Some(attachment);
            return Some(index);
        }
        (self.clients.len() < MOST_CLIENTS).then(|| {
            self.clients.push(Some(attachment));
            self.clients.len() - 1
        })
    }

    /// Makes sure that there are tickets for all that the clients can have in flight.
    fn reserve(&mut self, more: u32) {
        let depths = self.clients.iter().flatten().filter_map(|client| client.ring.as_ref());
        let wanted = self.in_flight() + (depths.map(|ring| ring.ring.depth()).sum::<u32>() + more) as usize;
        while self.in_flight.len() < wanted {
            // At the bottom: the smaller numbers are used first.
            self.free.insert(0, self.in_flight.len() as u32);
            self.in_flight.push(None);
        }
        self.free.reserve(self.in_flight.len() - self.free.len());
    }

    fn is_in_use(&self, client: usize, buffer: u32) -> bool {
        let names = |one: &InFlight| one.client == client && one.buffers[..one.segments].contains(&buffer);
        self.in_flight.iter().flatten().any(names)
    }

    #[cold]
    fn end_loans(&mut self, client: usize) {
        let Some(attachment) = &mut self.clients[client] else { return };
        let ending = core::mem::take(&mut attachment.ending);
        for (buffer, kept) in ending {
            let in_use = self.is_in_use(client, buffer);
            let Some(attachment) = &mut self.clients[client] else { return };
            if in_use {
                attachment.ending.push((buffer, kept));
            } else {
                self.returned.extend(attachment.forget(buffer));
                // Its caller may be gone; the loan has ended all the same.
                let _ = kept.reply(Ok(()));
            }
        }
    }

    /// Does what waited for the last request in flight.
    fn settle(&mut self, client: usize) {
        let Some(attachment) = &mut self.clients[client] else { return };
        if attachment.in_flight > 0 || attachment.ring.is_some() {
            return;
        }
        if let Some((ring, call)) = attachment.next.take() {
            let attached = self.replace(client, ring);
            // A caller that is gone attaches again, or closes.
            let _ = call.reply(attached);
            return;
        }
        attachment.return_all(&mut self.returned);
        if attachment.is_closed {
            self.clients[client] = None;
        }
    }
}

/// A call that is answered when requests in flight have ended: how long these may take is not the server's to say, so it is not to be taken for one that hangs. Nothing
/// of it is done before, as parking asks for.
fn wait_for_device<T>(call: &Kept<T>) {
    // Of a caller that is gone `withdrawn` hears.
    let _ = call.park();
}

impl<B> Attachment<B> {
    /// Whether a request is there.
    fn look(&mut self) -> bool {
        if self.has_request {
            return true;
        }
        let Some(ring) = &mut self.ring else { return false };
        match ring.ring.pop(&mut self.request) {
            Ok(there) => self.has_request = there,
            Err(_) => {
                crate::warn!("a client spoiled its queue: detached");
                self.detach();
            }
        }
        self.has_request
    }

    fn detach(&mut self) {
        if let Some(ring) = self.ring.take() {
            // So that it does not wait for ever: its next call says what has become of it.
            let _ = ring.channel.signal(ring.bits);
        }
        self.next = None;
        self.has_request = false;
    }

    fn return_all(&mut self, returned: &mut Vec<B>) {
        returned.extend(self.buffers.drain(..).flatten().map(|lent| lent.buffer));
        for (_, kept) in self.ending.drain(..) {
            let _ = kept.reply(Ok(()));
        }
    }

    fn forget(&mut self, buffer: u32) -> Option<B> {
        Some(self.buffers.get_mut(buffer as usize)?.take()?.buffer)
    }
}
