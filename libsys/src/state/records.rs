//! What a service keeps from one incarnation to the next, as records that change together.
//!
//! A record has a [`RecordKey`] and a value. A server *stages* changes, [`Records::put`] and [`Records::remove`], while it carries out a request; [`Records::commit`]
//! makes all of them true at once, with the reply. Whatever the instruction at which the service dies, the next incarnation finds the
//! records of the last commit. The loop of [`crate::service`] commits after every event, before an answer is sent, so that a server only stages.
//!
//! The Memory (the line `state BYTES` of the manifest) has two halves; one is in use. A commit is appended to it, and counts with the store of
//! one word. When it is full the records that are left go to the other half, which then is the one in use, with the same store. The same is done at
//! the start when most of what was read is not true any more: what a start takes does not grow with the deaths before it.
//!
//! | words of the Memory | hold |
//! |---|---|
//! | 0 | [`MAGIC`] |
//! | 1 | the root: the half in use (bit 0), and twice the bytes of it that count; above, a checksum of that |
//! | 2 | a hint at the form of the records, for who looks from outside ([`super::schema`]) |
//! | 3… | handles on their way in or out: the handle, and the commit that settles it |
//!
//! | words of a commit | hold |
//! |---|---|
//! | 0 | its bytes, these three words included |
//! | 1 | its number, from 1 |
//! | 2 | checksum of the rest: against a server that wrote wildly, as memory itself is never torn |
//! | 3… | changes: kind, whether it is removed, and length of the value in one word; the key's two numbers; the value, filled up to words |
//!
//! Objects are named by a [`Keepsake`] in a value: [`Records::keep`] when that is staged, [`Records::release`] when it goes.

use super::storage::Storage;
use super::{Keepsake, NAME, Schema};
use crate::env::Env;
use crate::service;
use crate::{Error, Handle, Mapping, Object, WritableMapping, sys};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use core::sync::atomic::Ordering;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first word of Memory that holds records of this form.
const MAGIC: u64 = u64::from_le_bytes(*b"records1");

const WORD: usize = 8;
const ROOT: usize = WORD;
const HINT: usize = 2 * WORD;
const ON_THEIR_WAY: usize = 3 * WORD;

/// Handles that one commit may take in and give up.
const MOST_ON_THEIR_WAY: usize = 32;

/// Where the halves start.
const HALVES: usize = ON_THEIR_WAY + MOST_ON_THEIR_WAY * 2 * WORD;

const COMMIT_HEADER: usize = 3 * WORD;
const CHANGE_HEADER: usize = 3 * WORD;
const REMOVED: u64 = 1 << 16;

/// Room that changes leave free, so that the reply fits and things can be removed: the largest message, twice.
const RESERVE: usize = 2 * abi::PAYLOAD_BYTES;

/// A half is written anew when it holds so many times what is live, and so many bytes more: who starts reads all of it.
const MOST_DEAD: usize = 4;
const LEAST: usize = 16 << 10;
/// Bytes of commits that a start may find and read again at the next, beside twice those of the records that there are: it writes these anew where there are more.
const MOST_OUTDATED: usize = 1024;

/// Which record: what kind of thing, and up to two numbers that say which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// Chosen by the server; `u16::MAX` is for kept replies, the one below for the form of the records.
    pub kind: u16,
    /// Such as a badge.
    pub first: u64,
    /// Where one number is not enough.
    pub second: u64,
}

impl RecordKey {
    /// The record of a kind with one number.
    pub const fn new(kind: u16, first: u64) -> RecordKey {
        RecordKey { kind, first, second: 0 }
    }
}

/// There is no room for what was to be staged; nothing was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the Memory for the service's state is full")
    }
}

impl core::error::Error for Full {}

/// Where a value is: offset in the Memory, and bytes.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: usize,
    bytes: usize,
}

impl Place {
    /// Bytes of the change that made it.
    fn change_bytes(self) -> usize {
        CHANGE_HEADER + self.bytes.next_multiple_of(WORD)
    }
}

/// A handle that a commit takes in or gives up.
#[derive(Clone, Copy, Debug)]
struct OnItsWay {
    slot: usize,
    handle: Handle,
    is_leaving: bool,
}

/// The records of a service.
#[derive(Debug)]
pub struct Records<S = WritableMapping> {
    storage: S,
    half: usize,
    /// Bytes of the half that count.
    end: usize,
    /// Of the last commit.
    number: u64,
    index: BTreeMap<RecordKey, Place>,
    /// Bytes of the changes that made the records there are.
    live: usize,
    /// The next commit, behind room for its header.
    staged: Vec<u8>,
    handles: Vec<OnItsWay>,
    /// Replies with handles that an earlier incarnation may not have sent.
    pub(super) unsent: BTreeSet<RecordKey>,
    /// Badges of sessions with kept replies, and of some that had one: most sessions are closed without.
    pub(super) replied: BTreeSet<u64>,
    /// So many there may be before those that had one are taken out.
    pub(super) most_replied: usize,
    is_damaged: bool,
}

impl Records {
    /// The records that the incarnation before has left. What they mean is for the server to check.
    ///
    /// # Errors
    /// The manifest gives no Memory `state`, or too little of it.
    pub fn open(env: &Env) -> service::Result<Records> {
        Records::open_as(env, &Schema::FIRST)
    }

    pub(super) fn open_unchecked(env: &Env) -> service::Result<Records> {
        let records = Records::of(env.memory(NAME)?.map_writable()?)?;
        if records.is_damaged {
            crate::error!("what was kept is damaged: later changes are lost");
        }
        Ok(records)
    }
}

impl<S: Storage> Records<S> {
    /// The records in Memory: none where it is zeroed. Error: `BadArgument` (it is too small).
    pub fn of(storage: S) -> Result<Records<S>, Error> {
        if storage.bytes() < HALVES + 4 * RESERVE {
            return Err(Error::BadArgument);
        }
        let mut records = Records {
            storage,
            half: 0,
            end: 0,
            number: 0,
            index: BTreeMap::new(),
            live: 0,
            staged: alloc::vec![0; COMMIT_HEADER],
            handles: Vec::new(),
            unsent: BTreeSet::new(),
            replied: BTreeSet::new(),
            most_replied: 0,
            is_damaged: false,
        };
        let magic = records.storage.word(0);
        records.recover();
        if magic != MAGIC {
            // Memory that was never used is zeroed.
            records.is_damaged |= magic != 0;
            records.storage.set_word(0, MAGIC);
        }
        records.recover_replies();
        Ok(records)
    }

    /// Stages a value, in place of the one there is under the key.
    pub fn put<V: Serialize>(&mut self, key: RecordKey, value: &V) -> Result<(), Full> {
        let start = begin(&mut self.staged, key);
        let staged = core::mem::take(&mut self.staged);
        match postcard::to_extend(value, staged) {
            Ok(staged) => self.staged = staged,
            // It only fails for values that have no length.
            Err(_) => unreachable!("a value that cannot be written"),
        }
        self.finish(start, RESERVE)
    }

    /// The same of bytes as they are.
    pub fn put_bytes(&mut self, key: RecordKey, value: &[u8]) -> Result<(), Full> {
        let start = begin(&mut self.staged, key);
        self.staged.extend_from_slice(value);
        self.finish(start, RESERVE)
    }

    /// Stages a few bytes with which something is given up: there is room for them where [`Records::put_bytes`] has none any more. Error: not even so, as many clients
    /// wait for replies.
    pub fn put_last(&mut self, key: RecordKey, value: &[u8]) -> Result<(), Full> {
        let start = begin(&mut self.staged, key);
        self.staged.extend_from_slice(value);
        self.finish(start, RESERVE / 2)
    }

    /// Stages a reply, words and bytes behind them, for which there is room behind [`Records::has_reserve`].
    pub(super) fn put_reply(&mut self, key: RecordKey, words: impl Iterator<Item = u64>, bytes: &[u8]) {
        let start = begin(&mut self.staged, key);
        words.for_each(|word| self.staged.extend_from_slice(&word.to_le_bytes()));
        self.staged.extend_from_slice(bytes);
        if self.finish(start, 0).is_err() {
            // The reserve is as long as two messages; many deferred answers in one commit may be longer.
            crate::warn!("a reply is not kept: {Full}");
        }
    }

    /// Puts other bytes in the place of those that were staged last under a key, as many: this never needs room. Whether there were such.
    pub fn amend(&mut self, key: RecordKey, value: &[u8]) -> bool {
        let is_it = |change: &Change| change.key == key && !change.is_removed && change.value.len() == value.len();
        let Some(change) = Changes::of(&self.staged).filter(is_it).last() else { return false };
        self.staged[change.value].copy_from_slice(value);
        true
    }

    /// Whether there is room for the reply to a request that stages what it likes.
    pub(crate) fn has_reserve(&self) -> bool {
        COMMIT_HEADER + self.live + RESERVE <= self.half_bytes()
    }

    /// Stages that there is no record under a key any more.
    pub fn remove(&mut self, key: RecordKey) {
        if self.index.contains_key(&key) || !self.is_clean() {
            let start = begin(&mut self.staged, key);
            let word = u64::from(key.kind) | REMOVED;
            self.staged[start..start + WORD].copy_from_slice(&word.to_le_bytes());
        }
    }

    /// Keeps an object whose keepsake is staged: its handle stays, under its number, for the next incarnation. It does not if the commit never comes.
    /// Errors: those of [`Object::set_kept`]; `NoSlot` (too many in one commit).
    pub fn keep(&mut self, object: &impl Object) -> Result<Keepsake, Error> {
        self.keep_handle(object.handle())?;
        Ok(Keepsake(object.handle().0))
    }

    pub(super) fn keep_handle(&mut self, handle: Handle) -> Result<(), Error> {
        let slot = self.put_on_its_way(handle, false).ok_or(Error::NoSlot)?;
        sys::handle_keep(handle, true).inspect_err(|_| {
            self.handles.pop();
            self.storage.set_word(on_its_way(slot) + WORD, 0);
        })
    }

    /// Closes an object when the commit comes in which no record names it any more.
    pub fn release(&mut self, keepsake: Keepsake) {
        self.release_handle(Handle(keepsake.0));
    }

    pub(super) fn release_handle(&mut self, handle: Handle) {
        if self.put_on_its_way(handle, true).is_none() {
            // So many at once: those before go first.
            self.commit();
            self.put_on_its_way(handle, true);
        }
    }

    /// A word of a value, of the last commit; 0 where it is shorter. `None`: there is no value.
    pub fn word_of(&self, key: RecordKey, offset: usize) -> Option<u64> {
        let place = self.index.get(&key)?;
        Some(if offset + WORD <= place.bytes { self.storage.word(place.at + offset) } else { 0 })
    }

    /// The value under a key, of the last commit. `None`: there is none, or another version of the program wrote it.
    pub fn get<V: DeserializeOwned>(&self, key: RecordKey) -> Option<V> {
        postcard::from_bytes(&self.bytes_of(key)?).ok()
    }

    /// The same as bytes.
    pub fn bytes_of(&self, key: RecordKey) -> Option<Vec<u8>> {
        let place = self.index.get(&key)?;
        let mut bytes = alloc::vec![0; place.bytes];
        self.storage.read(place.at, &mut bytes);
        Some(bytes)
    }

    /// All records of a kind, of the last commit, in the order of their numbers.
    pub fn all<V: DeserializeOwned>(&self, kind: u16) -> Vec<(RecordKey, V)> {
        let keys = self.keys(RecordKey::new(kind, 0), RecordKey { kind, first: u64::MAX, second: u64::MAX });
        keys.filter_map(|key| Some((key, self.get(key)?))).collect()
    }

    pub(super) fn keys(&self, from: RecordKey, to: RecordKey) -> impl Iterator<Item = RecordKey> {
        self.index.range(from..=to).map(|(key, _)| *key)
    }

    /// Says to who looks from outside that the records may have another form from now on.
    pub(super) fn set_hint(&mut self, form: u32) {
        self.storage.set_word(HINT, form.into());
    }

    /// Whether nothing is staged.
    #[inline]
    pub fn is_clean(&self) -> bool {
        self.staged.len() == COMMIT_HEADER && self.handles.is_empty()
    }

    /// Whether the records end before what the incarnation before had written: it wrote over them.
    pub fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Makes everything true that was staged.
    pub fn commit(&mut self) {
        if self.is_clean() {
            return;
        }
        self.number += 1;
        let mut staged = core::mem::take(&mut self.staged);
        if self.end + staged.len() > self.half_bytes().min(MOST_DEAD * self.live + LEAST) {
            self.compact(&staged);
        } else {
            seal(&mut staged, self.number);
            let at = self.start_of(self.half) + self.end;
            self.storage.write(at, &staged);
            self.set_root(self.half, self.end + staged.len());
            self.note(at, &staged);
        }
        staged.truncate(COMMIT_HEADER);
        self.staged = staged;
        self.settle_handles();
    }

    /// Forgets everything that was staged.
    pub fn roll_back(&mut self) {
        self.staged.truncate(COMMIT_HEADER);
        for OnItsWay { slot, handle, is_leaving } in core::mem::take(&mut self.handles) {
            if !is_leaving {
                // It is the server's again, as it was before.
                let _ = sys::handle_keep(handle, false);
            }
            self.storage.set_word(on_its_way(slot) + WORD, 0);
        }
    }

    /// Ends a staged change, if there is room for it.
    fn finish(&mut self, start: usize, reserve: usize) -> Result<(), Full> {
        finish(&mut self.staged, start);
        if COMMIT_HEADER + self.live + self.staged.len() + reserve > self.half_bytes() {
            self.staged.truncate(start);
            return Err(Full);
        }
        Ok(())
    }

    fn put_on_its_way(&mut self, handle: Handle, is_leaving: bool) -> Option<usize> {
        let slot = self.handles.len();
        if slot == MOST_ON_THEIR_WAY {
            return None;
        }
        self.storage.set_word(on_its_way(slot), handle.0);
        self.storage.set_word(on_its_way(slot) + WORD, (self.number + 1) << 1 | u64::from(is_leaving));
        self.handles.push(OnItsWay { slot, handle, is_leaving });
        Some(slot)
    }

    fn settle_handles(&mut self) {
        while let Some(OnItsWay { slot, handle, is_leaving }) = self.handles.pop() {
            if is_leaving {
                // One that was moved away in a reply is not there any more.
                let _ = sys::handle_close(handle);
            }
            self.storage.set_word(on_its_way(slot) + WORD, 0);
        }
    }

    fn half_bytes(&self) -> usize {
        ((self.storage.bytes() - HALVES) / 2) & !(WORD - 1)
    }

    fn start_of(&self, half: usize) -> usize {
        HALVES + half * self.half_bytes()
    }

    fn set_root(&mut self, half: usize, end: usize) {
        self.storage.set_word(ROOT, root_word(half, end));
        (self.half, self.end) = (half, end);
    }

    /// Writes the records that there are after a commit to the other half.
    fn compact(&mut self, staged: &[u8]) {
        let changes: BTreeMap<RecordKey, Change> = Changes::of(staged).map(|change| (change.key, change)).collect();
        let mut all = alloc::vec![0; COMMIT_HEADER];
        for (key, place) in self.index.iter().filter(|(key, _)| !changes.contains_key(key)) {
            let start = begin(&mut all, *key);
            all.resize(start + CHANGE_HEADER + place.bytes, 0);
            self.storage.read(place.at, &mut all[start + CHANGE_HEADER..]);
            finish(&mut all, start);
        }
        for (key, change) in changes.iter().filter(|(_, change)| !change.is_removed) {
            let start = begin(&mut all, *key);
            all.extend_from_slice(&staged[change.value.clone()]);
            finish(&mut all, start);
        }
        seal(&mut all, self.number);
        let other = 1 - self.half;
        let at = self.start_of(other);
        self.storage.write(at, &all);
        self.set_root(other, all.len());
        self.index.clear();
        self.live = 0;
        self.note(at, &all);
    }

    /// Enters the changes of a commit at an offset into the index.
    fn note(&mut self, at: usize, commit: &[u8]) {
        for Change { key, is_removed, value } in Changes::of(commit) {
            let place = Place { at: at + value.start, bytes: value.len() };
            let before = if is_removed { self.index.remove(&key) } else { self.index.insert(key, place) };
            self.live -= before.map_or(0, Place::change_bytes);
            self.live += if is_removed { 0 } else { place.change_bytes() };
        }
    }

    /// Reads what the incarnation before has left.
    fn recover(&mut self) {
        let root = self.storage.word(ROOT);
        let (half, end) = ((root & 1) as usize, (root as u32 >> 1) as usize);
        if root_word(half, end) == root && end <= self.half_bytes() {
            self.read_half(half, end);
            self.is_damaged = self.end < end;
        } else {
            // Nobody knows what counts: all that is whole, of the half that goes further.
            self.is_damaged = true;
            self.read_half(1, self.half_bytes());
            let other = self.number;
            self.read_half(0, self.half_bytes());
            if self.number < other {
                self.read_half(1, self.half_bytes());
            }
        }
        if self.is_damaged {
            self.set_root(self.half, self.end);
        }
        if self.end > 2 * self.live + MOST_OUTDATED {
            self.compact(&[]);
        }
        self.recover_handles();
    }

    /// Reads the commits of a half, up to its end or the first that is not whole.
    fn read_half(&mut self, half: usize, end: usize) {
        self.index.clear();
        (self.half, self.end, self.live, self.number) = (half, 0, 0, 0);
        let mut commit = Vec::new();
        while self.end + COMMIT_HEADER <= end {
            let at = self.start_of(half) + self.end;
            let [bytes, number, sum] = [0, 1, 2].map(|word| self.storage.word(at + word * WORD));
            let is_next = self.end == 0 || number == self.number + 1;
            if !is_next || bytes < COMMIT_HEADER as u64 || bytes > (end - self.end) as u64 || bytes % WORD as u64 != 0 {
                return;
            }
            commit.resize(bytes as usize, 0);
            self.storage.read(at, &mut commit);
            if sum != checksum(number, &commit[COMMIT_HEADER..]) {
                return;
            }
            self.note(at, &commit);
            self.number = number;
            self.end += bytes as usize;
        }
    }

    /// Closes handles that were kept for a commit that never came, and those that a commit gave up.
    fn recover_handles(&mut self) {
        for slot in 0..MOST_ON_THEIR_WAY {
            let (handle, settled) = (self.storage.word(on_its_way(slot)), self.storage.word(on_its_way(slot) + WORD));
            let (is_leaving, is_committed) = (settled & 1 != 0, settled >> 1 <= self.number);
            if settled != 0 {
                if is_leaving == is_committed {
                    let _ = sys::handle_close(Handle(handle));
                }
                self.storage.set_word(on_its_way(slot) + WORD, 0);
            }
        }
    }
}

/// What the hint at the form is, and one more; 0: there are no records.
pub(super) fn hint(memory: &Mapping) -> u64 {
    let is_there = memory.bytes() >= HALVES && memory.load_u64(0, Ordering::Acquire) == MAGIC;
    if is_there { memory.load_u64(HINT, Ordering::Acquire).saturating_add(1) } else { 0 }
}

/// The root that says that so many bytes of a half count.
fn root_word(half: usize, end: usize) -> u64 {
    let root = (end as u64) << 1 | half as u64;
    root | root.wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0xffff_ffff_0000_0000
}

/// Where a handle on its way is noted.
fn on_its_way(slot: usize) -> usize {
    ON_THEIR_WAY + slot * 2 * WORD
}

/// Appends the header of a change: where it is.
fn begin(commit: &mut Vec<u8>, key: RecordKey) -> usize {
    let start = commit.len();
    for word in [u64::from(key.kind), key.first, key.second] {
        commit.extend_from_slice(&word.to_le_bytes());
    }
    start
}

/// Ends a change whose value was appended.
fn finish(commit: &mut Vec<u8>, start: usize) {
    let bytes = commit.len() - start - CHANGE_HEADER;
    commit.resize(commit.len().next_multiple_of(WORD), 0);
    commit[start + 4..start + WORD].copy_from_slice(&(bytes as u32).to_le_bytes());
}

/// The changes of a commit.
struct Changes<'a> {
    commit: &'a [u8],
    next: usize,
}

/// One of them: the value is a part of the commit.
struct Change {
    key: RecordKey,
    is_removed: bool,
    value: Range<usize>,
}

impl Changes<'_> {
    fn of(commit: &[u8]) -> Changes<'_> {
        Changes { commit, next: COMMIT_HEADER }
    }
}

impl Iterator for Changes<'_> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        let start = self.next + CHANGE_HEADER;
        if start > self.commit.len() {
            return None;
        }
        let [head, first, second] = [0, 1, 2].map(|number| word(self.commit, self.next + number * WORD));
        let end = start.checked_add((head >> 32) as usize).filter(|end| *end <= self.commit.len())?;
        self.next = end.next_multiple_of(WORD);
        Some(Change {
            key: RecordKey { kind: head as u16, first, second },
            is_removed: head & REMOVED != 0,
            value: start..end,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// Fills in the header of a commit.
fn seal(commit: &mut [u8], number: u64) {
    let (bytes, sum) = (commit.len() as u64, checksum(number, &commit[COMMIT_HEADER..]));
    for (place, word) in commit.chunks_exact_mut(WORD).zip([bytes, number, sum]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
}

/// Multiplies and rotates word by word, as FxHash does.
fn checksum(number: u64, bytes: &[u8]) -> u64 {
    let words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
    words.fold(number, |sum, word| (sum.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95))
}

#[cfg(test)]
mod tests;
