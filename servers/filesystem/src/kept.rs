//! What of open files outlives the server, besides their badges: records of the volume's, so that they change together with what the volume does.

use crate::opens::{OWN, Opens, WIDE};
use crate::server::FileServer;
use crate::volume::{NodeId, RECORDS, Result, Volume};
use crate::watched::Watched;
use libsys::protocol::filesystem::FileError;
use libsys::state::{Keepsake, RecordKey};
use libsys::{Channel, Error};

/// Kinds of records, by badge: the node, where the badge does not say it, …
const NODE: u16 = RECORDS;
/// … where the file stands, if it was ever moved, …
const POSITION: u16 = RECORDS + 1;
/// … whether its lock is exclusive, …
const LOCK: u16 = RECORDS + 2;
/// … the channel that is signalled, and its bits.
const SUBSCRIBER: u16 = RECORDS + 3;

/// No room for a record.
fn full<E>(_: E) -> FileError {
    FileError::Exhausted
}

/// What the incarnation before has left: open files, of which the kernel knows the sessions, with positions, locks and notifications.
pub(crate) fn restore<V: Volume>(volume: &mut V, channel: &Channel) -> core::result::Result<(Opens, Watched), Error> {
    let mut opens = Opens::new(volume.outlives());
    let mut watched = Watched::default();
    for session in channel.sessions()? {
        let node = volume.records().and_then(|records| records.get(RecordKey::new(NODE, session.badge)));
        opens.restore(session.badge, node);
    }
    let Some(records) = volume.records() else { return Ok((opens, watched)) };
    for (key, _) in records.all::<NodeId>(NODE) {
        if !opens.is_live(key.first) {
            records.remove(key);
        }
    }
    for (key, position) in records.all::<[u8; 8]>(POSITION) {
        if opens.is_live(key.first) {
            opens.set_position(key.first, u64::from_le_bytes(position));
        } else {
            records.remove(key);
        }
    }
    for (key, exclusive) in records.all(LOCK) {
        match opens.get(key.first).filter(|_| opens.is_live(key.first)) {
            Some(open) => watched.lock(open.node, key.first, exclusive),
            None => records.remove(key),
        }
    }
    for (key, (keepsake, bits)) in records.all::<(Keepsake, u64)>(SUBSCRIBER) {
        let channel = keepsake.take::<Channel>();
        match (opens.get(key.first).filter(|_| opens.is_live(key.first)), channel) {
            (Some(open), Ok(channel)) => watched.subscribe(open.node, key.first, channel, bits),
            _ => records.remove(key),
        }
    }
    Ok((opens, watched))
}

impl<V: Volume> FileServer<V> {
    /// Notes the node of an open file whose badge does not say it.
    pub(crate) fn note_node(&mut self, badge: u64, node: NodeId) -> Result<()> {
        match self.volume.records() {
            Some(records) if badge & WIDE != 0 => records.put(RecordKey::new(NODE, badge), &node).map_err(full),
            _ => Ok(()),
        }
    }

    /// Moves the position of an open file.
    pub(crate) fn move_to(&mut self, badge: u64, position: u64) -> Result<()> {
        self.note_position(badge, position)?;
        self.opens.set_position(badge, position);
        Ok(())
    }

    /// Notes where an open file will stand, before it moves: what was noted can be amended without room.
    pub(crate) fn note_position(&mut self, badge: u64, position: u64) -> Result<()> {
        let Some(records) = self.volume.records() else { return Ok(()) };
        records.put_bytes(RecordKey::new(POSITION, badge), &position.to_le_bytes()).map_err(full)
    }

    /// Corrects what was noted for this request.
    pub(crate) fn amend_position(&mut self, badge: u64, position: u64) {
        if let Some(records) = self.volume.records() {
            records.amend(RecordKey::new(POSITION, badge), &position.to_le_bytes());
        }
    }

    /// Gives an open file its node's lock. Errors: `WouldBlock`, `Exhausted`.
    pub(crate) fn take_lock(&mut self, node: NodeId, badge: u64, exclusive: bool) -> Result<()> {
        if !self.watched.can_lock(node, badge, exclusive) {
            return Err(FileError::WouldBlock);
        }
        if self.watched.locked(node, badge) != Some(exclusive) {
            if let Some(records) = self.volume.records() {
                records.put(RecordKey::new(LOCK, badge), &exclusive).map_err(full)?;
            }
            self.watched.lock(node, badge, exclusive);
        }
        Ok(())
    }

    /// Takes the lock away: whether it had it.
    pub(crate) fn drop_lock(&mut self, node: NodeId, badge: u64) -> bool {
        let had = self.watched.unlock(node, badge);
        if had && let Some(records) = self.volume.records() {
            records.remove(RecordKey::new(LOCK, badge));
        }
        had
    }

    /// Signals a channel at changes of a node, in place of what the open file asked for before; bits of 0 end it.
    pub(crate) fn set_subscriber(&mut self, node: NodeId, badge: u64, channel: Channel, bits: u64) -> Result<()> {
        if bits != 0
            && let Some(records) = self.volume.records()
        {
            let keepsake = records.keep(&channel).map_err(full)?;
            records.put(RecordKey::new(SUBSCRIBER, badge), &(keepsake, bits)).map_err(full)?;
        }
        let had = self.watched.unsubscribe(node, badge);
        if bits != 0 {
            self.watched.subscribe(node, badge, channel, bits);
        } else if had {
            self.forget_subscriber(badge);
        }
        Ok(())
    }

    fn forget_subscriber(&mut self, badge: u64) {
        if let Some(records) = self.volume.records() {
            records.remove(RecordKey::new(SUBSCRIBER, badge));
        }
    }

    /// A node has changed: who asked for it hears of it.
    #[inline]
    pub(crate) fn changed(&mut self, node: NodeId) {
        for badge in self.watched.changed(node) {
            self.watched.unsubscribe(node, badge);
            self.forget_subscriber(badge);
        }
    }

    /// Forgets an open file, whose session is closed: its node, and whether a lock became free.
    pub(crate) fn forget(&mut self, badge: u64) -> Option<(NodeId, bool)> {
        if badge & OWN == 0 {
            return None;
        }
        let moved = self.opens.forget_position(badge);
        let node = self.opens.remove(badge)?.node;
        if let Some(records) = self.volume.records() {
            if moved {
                records.remove(RecordKey::new(POSITION, badge));
            }
            if badge & WIDE != 0 {
                records.remove(RecordKey::new(NODE, badge));
            }
        }
        let was_locked = self.drop_lock(node, badge);
        if self.watched.unsubscribe(node, badge) {
            self.forget_subscriber(badge);
        }
        Some((node, was_locked))
    }
}
