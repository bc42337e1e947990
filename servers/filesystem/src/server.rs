//! [`FileServer`]: the server of a volume. Here is what happens besides calls; `names` and `files` answer those.

use crate::buffers::Buffers;
use crate::kept;
use crate::opens::{Open, Opens, WIDE};
use crate::volume::{NodeId, Result, Volume};
use crate::waiting::{Call, Wanted};
use crate::watched::Watched;
use alloc::vec::Vec;
use libsys::env::Env;
use libsys::protocol::filesystem::{FileError, OpenFlags};
use libsys::protocol::{File, FileSystem};
use libsys::service::{self, Context, Reply, Serve, Server};
use libsys::state::Records;
use libsys::time::{TimerId, Timers};
use libsys::wire::{Answer, Method, Request};
use libsys::{Account, Channel, ExitStatus, Handle, Session, sys};

pub use crate::opens::OWN;

/// A server of a volume. A program of one is `serve!(FileServer<MyVolume>)`.
#[derive(Debug)]
pub struct FileServer<V> {
    pub(crate) volume: V,
    pub(crate) opens: Opens,
    pub(crate) buffers: Buffers,
    pub(crate) watched: Watched,
    pub(crate) waiting: Vec<(Call, Wanted)>,
    channel: &'static Channel,
    account: &'static Account,
}

impl<V: Volume> FileServer<V> {
    /// A server whose sessions are minted on the channel of the environment: with the files open that were open in the incarnation before, if the volume lets them.
    pub fn new(mut volume: V, env: &'static Env) -> service::Result<FileServer<V>> {
        let channel = env.channel();
        let (opens, watched) = kept::restore(&mut volume, channel)?;
        for node in opens.nodes() {
            // What the incarnation before had opened for an answer that never left may not be there.
            let _ = volume.hold(node);
        }
        volume.reclaim(&|node| opens.is_open(node));
        let buffers = Buffers::new(sys::identify().incarnation);
        Ok(FileServer { volume, opens, buffers, watched, waiting: Vec::new(), channel, account: env.account() })
    }

    /// The volume.
    pub fn volume(&mut self) -> &mut V {
        &mut self.volume
    }

    /// What a session stands for. Sessions that were minted by others are the root. Error: `BadSession`.
    #[inline]
    pub(crate) fn open_of(&mut self, cx: &Context) -> Result<Open> {
        let badge = cx.badge();
        if badge & OWN == 0 {
            return Ok(Open::root(self.volume.root(), self.volume.is_read_only()));
        }
        self.opens.get(badge).ok_or(FileError::BadSession)
    }

    /// The directory of a session. Error: `NotDirectory`.
    pub(crate) fn directory(&mut self, cx: &Context) -> Result<Open> {
        let open = self.open_of(cx)?;
        if open.is_directory { Ok(open) } else { Err(FileError::NotDirectory) }
    }

    /// The same of a session that may change something. Error: `ReadOnly`.
    pub(crate) fn changeable(&mut self, cx: &Context) -> Result<Open> {
        let open = self.directory(cx)?;
        if open.read_only { Err(FileError::ReadOnly) } else { Ok(open) }
    }

    /// An open file or directory, and its session.
    pub(crate) fn add_open(&mut self, open: Open) -> Result<Session> {
        self.volume.hold(open.node)?;
        let minted = self.opens.add(&open).and_then(|badge| self.mint(&open, badge));
        if minted.is_err() {
            self.lost_name(open.node);
        }
        minted
    }

    fn mint(&mut self, open: &Open, badge: u64) -> Result<Session> {
        let minted = self.note_node(badge, open.node).and_then(|()| {
            // Either nothing is kept of this open, not its answer either; or the badge says all that is to be known of it (`reopened`).
            if badge & WIDE == 0 || self.volume.records().is_none_or(|records| records.is_clean()) {
                return Ok(self.channel.mint_with_reply(badge));
            }
            let minted = self.channel.mint(badge, self.account);
            minted.map_err(|_| FileError::Exhausted)
        });
        if minted.is_err() {
            self.forget(badge);
        }
        minted
    }

    /// Flags that count once a file is open.
    pub(crate) fn kept_flags(flags: OpenFlags) -> OpenFlags {
        flags & (OpenFlags::READ | OpenFlags::WRITE | OpenFlags::APPEND)
    }

    /// A name of this node is gone, or somebody does not have it open any more.
    pub(crate) fn lost_name(&mut self, node: NodeId) {
        if !self.volume.stays(node) && !self.opens.is_open(node) {
            self.volume.release(node);
        }
    }

    /// Does what a call wants, or parks it until that can be done.
    pub(crate) fn wait_or_send<T>(
        &mut self,
        result: Result<T>,
        reply: Reply<'_, Result<T>>,
        wanted: Wanted,
        call: impl FnOnce(service::Kept<Result<T>>) -> Call,
    ) {
        if !matches!(result, Err(FileError::WouldBlock)) {
            return reply.send(result);
        }
        if self.waiting.try_reserve(1).is_err() {
            return reply.send(Err(FileError::Exhausted));
        }
        // A call that cannot be kept is let go: its caller gets `Abandoned`.
        if let Ok(kept) = reply.keep()
            && kept.park().is_ok()
        {
            self.waiting.push((call(kept), wanted));
        }
    }

    /// Tries what waits once more.
    pub(crate) fn try_again(&mut self) {
        for (call, wanted) in core::mem::take(&mut self.waiting) {
            match self.attempt(wanted) {
                Err(FileError::WouldBlock) => self.waiting.push((call, wanted)),
                result => call.answer(result),
            }
        }
    }

    /// One attempt at what a call wants.
    pub(crate) fn attempt(&mut self, wanted: Wanted) -> Result<u32> {
        match wanted {
            Wanted::Transfer(transfer) => self.transfer(transfer),
            Wanted::Truncate { badge, bytes } => self.truncate_to(badge, bytes).map(|()| 0),
            Wanted::Sync { node, data_only } => self.volume.sync(node, data_only).map(|()| 0),
            Wanted::Lock { badge, exclusive } => {
                let node = self.opens.get(badge).ok_or(FileError::BadSession)?.node;
                self.take_lock(node, badge, exclusive).map(|()| 0)
            }
        }
    }
}

impl<V: Volume> Server for FileServer<V> {
    fn start(_: &Env) -> service::Result<Self> {
        let env = libsys::env::get();
        FileServer::new(V::start(env)?, env)
    }

    fn records(&mut self) -> Option<&mut Records> {
        self.volume.records()
    }

    fn committed(&mut self) {
        self.volume.committed();
    }

    fn reopened(&mut self, badge: u64) {
        if !self.opens.is_live(badge) {
            self.opens.restore(badge, None);
            if let Some(open) = self.opens.get(badge) {
                // What cannot be held is told to who uses it.
                let _ = self.volume.hold(open.node);
            }
        }
    }

    fn signal(&mut self, bits: u64) {
        if bits & service::QUIESCE != 0 && service::is_stopping() {
            let ended = self.volume.end();
            if let Err(error) = ended {
                libsys::error!("not everything is on the medium: {error}");
            }
            libsys::exit(ended.map_or(ExitStatus::FAILURE, |()| ExitStatus::SUCCESS));
        }
        if self.volume.signal(bits) && !self.waiting.is_empty() {
            self.try_again();
        }
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        self.volume.timers()
    }

    fn timer(&mut self, timer: TimerId) {
        if self.volume.timer(timer) && !self.waiting.is_empty() {
            self.try_again();
        }
    }

    fn close(&mut self, badge: u64, client: u64, last: bool) {
        self.buffers.close(badge, client);
        if !last {
            return;
        }
        let Some((node, was_locked)) = self.forget(badge) else { return };
        self.volume.closed(badge);
        self.lost_name(node);
        if was_locked {
            self.try_again();
        }
    }

    fn withdrawn(&mut self, call: Handle) {
        self.waiting.retain(|(waiting, _)| !waiting.is(call));
    }
}

impl<V: Volume> Serve for FileServer<V> {
    const PROTOCOLS: &'static [&'static [Method]] = &[<dyn File>::METHODS, <dyn FileSystem>::METHODS];

    #[inline(always)]
    fn dispatch(&mut self, request: &Request) -> Answer {
        match <dyn File>::dispatch(self, request) {
            Answer::NoSuchMethod => <dyn FileSystem>::dispatch(self, request),
            answer => answer,
        }
    }
}

const _: () = assert!(service::distinct(&[<dyn File>::METHODS, <dyn FileSystem>::METHODS]));
