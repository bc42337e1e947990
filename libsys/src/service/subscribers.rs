//! Channels to signal when something is ready: the server's side of `notify` methods.

use super::Context;
use crate::state::{Full, Keepsake, RecordKey, Records, Retained, Storage};
use crate::{Channel, Error, Object};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Who is signalled: one channel a session. A client that waits for several servers names bits of one channel of
/// its own to each of them. Call [`Subscribers::close`] in [`super::Server::close`].
#[derive(Debug, Default)]
pub struct Subscribers {
    by_badge: BTreeMap<u64, (Channel, u64)>,
}

impl Subscribers {
    /// Nobody.
    pub const fn new() -> Subscribers {
        Subscribers { by_badge: BTreeMap::new() }
    }

    /// Signals `bits` of `channel` from now on, in place of what the calling session named before. Bits of 0
    /// end it. Tell the client at once, with [`Subscribers::notify_one`], if something is ready already.
    pub fn subscribe(&mut self, cx: &Context, channel: Channel, bits: u64) {
        if bits == 0 {
            self.by_badge.remove(&cx.badge());
        } else {
            self.by_badge.insert(cx.badge(), (channel, bits));
        }
    }

    /// Signals everybody. Who cannot be signalled any more is forgotten.
    pub fn notify(&mut self) {
        self.by_badge.retain(|_, (channel, bits)| is_there(channel.signal(*bits)));
    }

    /// Signals one session's channel.
    pub fn notify_one(&mut self, badge: u64) {
        if let Some((channel, bits)) = self.by_badge.get(&badge)
            && !is_there(channel.signal(*bits))
        {
            self.by_badge.remove(&badge);
        }
    }

    /// Forgets a session that is closed for the last time.
    pub fn close(&mut self, badge: u64, last: bool) {
        if last {
            self.by_badge.remove(&badge);
        }
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.by_badge.is_empty()
    }
}

/// Subscribers that outlive the process: the same, with a record for each. After a restart everybody is signalled once ([`KeptSubscribers::notify`]), as
/// a signal may have been lost with the incarnation before.
#[derive(Debug)]
pub struct KeptSubscribers {
    kind: u16,
    by_badge: BTreeMap<u64, (Retained<Channel>, u64)>,
}

impl KeptSubscribers {
    /// Those that the records know; `kind` is the kind of record that holds them.
    pub fn recover<S: Storage>(kind: u16, records: &Records<S>) -> KeptSubscribers {
        let known = records.all::<(Keepsake, u64)>(kind).into_iter();
        let by_badge =
            known.filter_map(|(key, (channel, bits))| Some((key.first, (Retained::recover(channel).ok()?, bits))));
        KeptSubscribers { kind, by_badge: by_badge.collect() }
    }

    /// As [`Subscribers::subscribe`], staged. Error: `Full`: it is in force, but ends with this incarnation.
    pub fn subscribe<S: Storage>(
        &mut self,
        records: &mut Records<S>,
        cx: &Context,
        channel: Channel,
        bits: u64,
    ) -> Result<(), Full> {
        self.forget(records, cx.badge());
        if bits == 0 {
            return Ok(());
        }
        let key = RecordKey::new(self.kind, cx.badge());
        let kept = records.keep(&channel).map_err(|_| Full);
        let kept = kept.and_then(|channel| records.put(key, &(channel, bits)));
        if kept.is_err() {
            // Nothing names it: it goes with the process.
            let _ = channel.set_kept(false);
        }
        self.by_badge.insert(cx.badge(), (Retained::of(channel), bits));
        kept
    }

    /// As [`Subscribers::notify`].
    pub fn notify<S: Storage>(&mut self, records: &mut Records<S>) {
        let is_gone = |(badge, (channel, bits)): (&u64, &(Retained<Channel>, u64))| {
            (!is_there(channel.signal(*bits))).then_some(*badge)
        };
        let gone: Vec<u64> = self.by_badge.iter().filter_map(is_gone).collect();
        gone.into_iter().for_each(|badge| self.forget(records, badge));
    }

    /// As [`Subscribers::notify_one`].
    pub fn notify_one<S: Storage>(&mut self, records: &mut Records<S>, badge: u64) {
        if let Some((channel, bits)) = self.by_badge.get(&badge)
            && !is_there(channel.signal(*bits))
        {
            self.forget(records, badge);
        }
    }

    /// As [`Subscribers::close`].
    pub fn close<S: Storage>(&mut self, records: &mut Records<S>, badge: u64, last: bool) {
        if last {
            self.forget(records, badge);
        }
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.by_badge.is_empty()
    }

    fn forget<S: Storage>(&mut self, records: &mut Records<S>, badge: u64) {
        if let Some((channel, _)) = self.by_badge.remove(&badge) {
            records.remove(RecordKey::new(self.kind, badge));
            channel.release(records);
        }
    }
}

/// Whether a channel can be signalled again.
fn is_there(result: Result<(), Error>) -> bool {
    result.is_ok()
}
