//! What a disk does about a server that died, or that is not to be believed: it attaches its queue to the next incarnation, or to the same one anew.

use super::super::limits::Limits;
use super::super::lookout::Server;
use super::super::ring;
use super::{Disk, DiskError, MOST_BROKEN, NOT_LENT, send};
use crate::client::{self, CallError, Complaint};
use crate::protocol::block::{Block, BlockClient, BlockError, BlockStatus};
use crate::wire::Shared;
use crate::{Memory, Object, Rights};

impl Disk {
    /// Tells init of the server. The requests stay where they are: another incarnation gets them, or this one ends them yet.
    #[cold]
    pub(super) fn complain(&self) {
        let Some(method) = <dyn Block>::METHODS.iter().find(|method| method.name == "attach") else { return };
        // Whether it is asked again is the registry's affair here: the queue is attached once an incarnation.
        client::ask_again(&Complaint { session: self.session(), method, bad_replies: 1 });
    }

    /// Asks the server something that it answers as soon as its device allows. One that takes too long for that may have forgotten the call: it is complained of, and asked again. (One that cannot answer because it
    /// does not serve yet, or hangs, is init's affair, and what is said of it then changes nothing.)
    pub(super) fn ask<T>(
        &self,
        call: impl Fn(&BlockClient) -> Result<T, CallError<BlockError>>,
    ) -> Result<T, CallError<BlockError>> {
        loop {
            match call(&self.block) {
                Err(CallError::NotStarted | CallError::Unknown) => {
                    crate::warn!("a disk does not answer");
                    self.complain();
                }
                answer => return answer,
            }
        }
    }

    /// The server's side of the ring makes no sense: begins anew, a few times.
    #[cold]
    pub(super) fn distrust(&mut self) {
        crate::warn!("the queue of a disk makes no sense");
        self.complain();
        if self.begin_anew() {
            self.check_server();
        }
    }

    /// Forgets what is attached: whether it is worth another attempt. The next incarnation has as many.
    fn begin_anew(&mut self) -> bool {
        self.doorbell = None;
        self.lookout.incarnation = 0;
        self.broken.0 += 1;
        if self.broken.0 >= MOST_BROKEN {
            self.give_up();
        }
        self.broken.0 < MOST_BROKEN
    }

    /// Whether the server says of a request that it cannot be made, and it can: by what the server itself has said of the device. Who says so again is complained of twice, as of a bad reply, and
    /// what the next incarnation says is believed.
    #[cold]
    pub(super) fn is_doubtful(&mut self, id: u64, status: BlockStatus) -> bool {
        if !matches!(
            status,
            BlockStatus::OutOfRange | BlockStatus::ReadOnly | BlockStatus::Unsupported | BlockStatus::BadBuffer
        ) {
            return false;
        }
        let (limits, buffers) = (Limits::of(&self.info), &self.buffers);
        let bytes_of = |buffer: u32| {
            let lent = buffers.get(buffer as usize)?.as_ref().filter(|lent| lent.number != NOT_LENT)?;
            Some(lent.memory.info().ok()?.bytes)
        };
        let doubts = self.outstanding.doubt(id, |request| limits.check(request, bytes_of) != Err(status));
        (1..MOST_BROKEN).contains(&doubts)
    }

    /// Does not believe how the server has ended a request: it is complained of, and gets all that is outstanding again.
    #[cold]
    pub(super) fn doubt(&mut self, status: BlockStatus) {
        crate::warn!("a disk refuses what it can do: {status}");
        self.complain();
        (self.doorbell, self.lookout.incarnation) = (None, 0);
        self.check_server();
    }

    /// Lends Memory to the server of the moment: the number there. A refusal is not believed at once, as the Memory is of the right kind.
    pub(super) fn lend_to_server(&self, memory: &Memory) -> Result<u32, CallError<BlockError>> {
        let mut refusals = 1;
        loop {
            match self.ask(|block| block.lend(memory)) {
                Err(CallError::Failed(BlockError::BadBuffer | BlockError::Exhausted)) if refusals < MOST_BROKEN => {
                    refusals += 1;
                    self.complain();
                }
                other => return other,
            }
        }
    }

    /// Sees whether the server is another one, and then tells that all that the last one knew.
    pub(super) fn check_server(&mut self) {
        loop {
            match self.lookout.look() {
                Server::Same => return,
                Server::Down => {
                    self.doorbell = None;
                    self.lookout.incarnation = 0;
                    return;
                }
                Server::Gone => return self.give_up(),
                Server::Restarted(incarnation) => {
                    self.is_gone = false;
                    // Noted first: if it dies while it is told, the next look says so.
                    self.lookout.incarnation = incarnation;
                    if self.broken.1 != incarnation {
                        self.broken = (0, incarnation);
                    }
                    match self.attach() {
                        Ok(()) => {}
                        // It died meanwhile, and some of this was said by its next incarnation, which knows nothing of the rest.
                        Err(_) if self.lookout.look() != Server::Same => self.doorbell = None,
                        Err(error) => {
                            let is_refused = matches!(error, DiskError::Refused(_));
                            if !(is_refused || is_of_death(&error)) || !self.begin_anew() {
                                crate::error!("a disk cannot be attached again: {error}");
                                return self.give_up();
                            }
                            if is_refused {
                                self.complain();
                            }
                        }
                    }
                }
            }
        }
    }

    /// Shares the queue anew, lends everything, and submits what is outstanding.
    fn attach(&mut self) -> Result<(), DiskError> {
        (self.doorbell, self.oldest) = (None, None);
        self.ring.reset()?;
        let queue = Shared::whole(self.queue.duplicate(Rights::all())?, ring::memory_bytes(self.ring.depth()));
        let doorbell = self.ask(|block| block.attach(&queue, &self.signaller, self.completions))?;
        self.info = self.ask(BlockClient::info)?;
        for index in 0..self.buffers.len() {
            let Some(lent) = &self.buffers[index] else { continue };
            let number = match self.lend_to_server(&lent.memory) {
                Ok(number) => number,
                Err(CallError::Failed(error @ (BlockError::BadBuffer | BlockError::Exhausted))) => {
                    crate::error!("the disk does not take a buffer again, and requests that name it fail: {error:?}");
                    NOT_LENT
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(lent) = &mut self.buffers[index] {
                lent.number = number;
            }
        }
        self.outstanding.in_order(|request| {
            send(&mut self.ring, &self.buffers, request);
            self.resubmitted += 1;
        });
        self.doorbell = Some(doorbell);
        self.commit();
        Ok(())
    }

    /// Ends everything that is outstanding, and will be.
    #[cold]
    pub(super) fn give_up(&mut self) {
        self.doorbell = None;
        self.is_gone = true;
        while let Some(id) = self.outstanding.first() {
            self.end(id, BlockStatus::Gone);
        }
    }
}

/// Whether a call failed by its server's death, of which init may not have heard yet.
fn is_of_death(error: &DiskError) -> bool {
    use CallError::{Abandoned, BadReply, Deadly, PeerDied};
    matches!(error, DiskError::Unreachable(PeerDied | Deadly | Abandoned | BadReply))
}
