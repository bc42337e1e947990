//! The rings of a stream device: whose they are at the moment, what former ones have left in them, and what the next incarnation has to know.
//!
//! All of it is one record. Bytes that this side puts in or takes out are staged first, and published when the record tells of it. Which rings there are, and whose, is staged only where it was changed here: a wild write
//! into it would be true for the next incarnation as well.

use super::ring::{KeptRing, StreamRing};
use crate::protocol::character::CharacterError;
use crate::service::{Result, StartError};
use crate::state::{Full, Keepsake, RecordKey, Records, Retained};
use crate::wire::Shared;
use crate::{Account, Channel};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Rings of former clients with something left, at most, of each kind.
const MOST_LEFT: usize = 4;

/// Bytes that are moved at once from a ring of before to the one of now.
const PART: usize = 1024;

/// Why a driver ends whose rings are others than it knows.
const OVERWRITTEN: &str = "the rings are not those of the records: memory was overwritten";

/// Input and output.
#[derive(Debug)]
struct Pair {
    input: StreamRing,
    output: StreamRing,
}

/// Who has attached rings.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) badge: u64,
    channel: Retained<Channel>,
    bits: u64,
}

impl Owner {
    /// Tells that something has moved.
    pub(super) fn signal(&self) {
        // A client that cannot be signalled is dead: it attaches again when it lives again.
        let _ = self.channel.signal(self.bits);
    }
}

/// All rings.
#[derive(Debug)]
pub(super) struct Rings {
    own: Pair,
    /// In use in place of the own ones, also when who attached them is gone.
    attached: Option<Pair>,
    owner: Option<Owner>,
    /// Input that is to be read before anything new is received, and output that goes first, besides what is in the own ones.
    left_inputs: VecDeque<StreamRing>,
    left_outputs: VecDeque<StreamRing>,
    /// Other rings than were staged, or somebody else's.
    are_others: bool,
    staged: Option<Kept>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    own: [KeptRing; 2],
    attached: Option<[KeptRing; 2]>,
    owner: Option<(u64, Keepsake, u64)>,
    left_inputs: Vec<KeptRing>,
    left_outputs: Vec<KeptRing>,
}

impl Rings {
    /// Those of the incarnation before, as far as they make sense, or new ones.
    pub(super) fn recover(key: RecordKey, records: &mut Records, account: &Account) -> Result<Rings> {
        let kept: Option<Kept> = records.get(key);
        let pair = |[input, output]: [KeptRing; 2]| -> Option<Pair> {
            Some(Pair { input: StreamRing::recover(input)?, output: StreamRing::recover(output)? })
        };
        let all = |kept: &[KeptRing]| kept.iter().copied().filter_map(StreamRing::recover).collect();
        let own = match kept.as_ref().and_then(|kept| pair(kept.own)) {
            Some(own) => own,
            None => Pair { input: StreamRing::own(account, records)?, output: StreamRing::own(account, records)? },
        };
        let owner = kept
            .as_ref()
            .and_then(|kept| kept.owner)
            .and_then(|(badge, channel, bits)| Some(Owner { badge, channel: Retained::recover(channel).ok()?, bits }));
        let attached = kept.as_ref().and_then(|kept| kept.attached).and_then(pair);
        let (left_inputs, left_outputs) =
            kept.as_ref().map(|kept| (all(&kept.left_inputs), all(&kept.left_outputs))).unwrap_or_default();
        let owner = owner.filter(|_| attached.is_some());
        let mut rings = Rings { own, attached, owner, left_inputs, left_outputs, are_others: true, staged: kept };
        rings.stage(key, records).map_err(|Full| StartError::Device("its state is too small"))?;
        Ok(rings)
    }

    fn current(&self) -> &Pair {
        self.attached.as_ref().unwrap_or(&self.own)
    }

    /// Where input goes.
    pub(super) fn input(&self) -> &StreamRing {
        &self.current().input
    }

    /// Where output is put.
    pub(super) fn output(&self) -> &StreamRing {
        &self.current().output
    }

    /// Where output is taken from: what was left goes first.
    pub(super) fn first_output(&self) -> &StreamRing {
        let own = &self.own.output;
        if self.attached.is_some() && own.available() > 0 {
            return own;
        }
        self.left_outputs.front().unwrap_or(self.output())
    }

    /// Forgets output rings of before that are empty.
    pub(super) fn drop_empty_outputs(&mut self, records: &mut Records) {
        self.are_others |= drop_empty(&mut self.left_outputs, records);
    }

    /// Drops all output.
    pub(super) fn drop_output(&mut self, records: &mut Records) {
        self.are_others = true;
        self.left_outputs.drain(..).for_each(|ring| ring.release(records));
        for ring in [&self.own.output, self.output()] {
            while ring.take(&mut [0; 256]) > 0 {}
        }
    }

    /// Drops all input.
    pub(super) fn drop_input(&mut self, records: &mut Records) {
        self.are_others = true;
        self.left_inputs.drain(..).for_each(|ring| ring.release(records));
        for ring in [&self.own.input, self.input()] {
            ring.stage_taken(usize::MAX);
        }
    }

    /// Who has attached the rings.
    pub(super) fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    fn left_input(&self) -> Option<&StreamRing> {
        let own = Some(&self.own.input).filter(|own| self.attached.is_some() && own.available() > 0);
        own.or(self.left_inputs.front())
    }

    /// Whether there is input of before that has to go first.
    pub(super) fn has_left_input(&self) -> bool {
        self.left_input().is_some()
    }

    /// Stages that input of before goes where input goes now: whether some does.
    pub(super) fn forward(&mut self, records: &mut Records) -> bool {
        self.are_others |= drop_empty(&mut self.left_inputs, records);
        let Some(from) = self.left_input() else { return false };
        let bytes = from.stage_taken(PART.min(self.input().room()));
        self.input().stage(&bytes);
        !bytes.is_empty()
    }

    /// Uses a client's rings from now on. Errors: those of [`StreamRing::shared`]; nothing has changed then.
    pub(super) fn attach(
        &mut self,
        (input, output): (Shared, Shared),
        (badge, channel, bits): (u64, Channel, u64),
        records: &mut Records,
    ) -> core::result::Result<(), CharacterError> {
        let input = StreamRing::shared(input, records)?;
        let output = match StreamRing::shared(output, records) {
            Ok(output) => output,
            Err(error) => {
                input.release(records);
                return Err(error);
            }
        };
        let channel = match Retained::keep(channel, records) {
            Ok(channel) => channel,
            Err(_) => {
                [input, output].into_iter().for_each(|ring| ring.release(records));
                return Err(CharacterError::Device);
            }
        };
        self.are_others = true;
        if let Some(former) = self.owner.replace(Owner { badge, channel, bits }) {
            former.channel.release(records);
        }
        let pair = match self.attached.take() {
            None => Pair { input, output },
            Some(former) => Pair {
                input: replace(former.input, input, &mut self.left_inputs, records),
                output: replace(former.output, output, &mut self.left_outputs, records),
            },
        };
        self.attached = Some(pair);
        Ok(())
    }

    /// Whoever attached the rings is gone; what is in them stays.
    pub(super) fn detach(&mut self, badge: u64, records: &mut Records) -> bool {
        let former = self.owner.take_if(|owner| owner.badge == badge);
        self.are_others |= former.is_some();
        former.map(|former| former.channel.release(records)).is_some()
    }

    /// Gives up the rings that make no sense any more: whether these were a client's.
    pub(super) fn give_up(&mut self, records: &mut Records) -> bool {
        self.are_others = true;
        if let Some(left) = self.left_outputs.pop_front() {
            left.release(records);
            return true;
        }
        if let Some(former) = self.owner.take() {
            former.channel.release(records);
        }
        let Some(Pair { input, output }) = self.attached.take() else { return false };
        [input, output].into_iter().for_each(|ring| ring.release(records));
        true
    }

    /// Shows others what was staged; whether there was something.
    pub(super) fn publish(&self) -> bool {
        let pairs = [Some(&self.own), self.attached.as_ref()].into_iter().flatten();
        let left = self.left_inputs.iter();
        let all = pairs.flat_map(|pair| [&pair.input, &pair.output]).chain(left);
        all.fold(false, |moved, ring| ring.publish() | moved)
    }

    fn kept(&self) -> Kept {
        let pair = |pair: &Pair| [pair.input.kept(), pair.output.kept()];
        Kept {
            own: pair(&self.own),
            attached: self.attached.as_ref().map(pair),
            owner: self.owner.as_ref().map(|owner| (owner.badge, owner.channel.keepsake(), owner.bits)),
            left_inputs: self.left_inputs.iter().map(StreamRing::kept).collect(),
            left_outputs: self.left_outputs.iter().map(StreamRing::kept).collect(),
        }
    }

    /// Stages the record, if it has changed. Panics where that is not by anything that was done here.
    pub(super) fn stage(&mut self, key: RecordKey, records: &mut Records) -> core::result::Result<(), Full> {
        let kept = self.kept();
        if self.staged.as_ref() != Some(&kept) {
            let are_same = self.staged.as_ref().is_none_or(|staged| staged.names_the_same(&kept));
            assert!(are_same || self.are_others, "{OVERWRITTEN}");
            self.staged = None;
            records.put(key, &kept)?;
            self.staged = Some(kept);
        }
        self.are_others = false;
        Ok(())
    }

    /// Panics where they are not what was staged, as they are whenever the driver is done with something. A ring that makes no sense would seem empty. Without room nothing is staged, nor known.
    pub(super) fn check(&self) {
        assert!(self.staged.as_ref().is_none_or(|staged| *staged == self.kept()), "{OVERWRITTEN}");
    }
}

impl Kept {
    /// Whether they are the same rings, of the same owner, however far they are used.
    fn names_the_same(&self, other: &Kept) -> bool {
        let pair = |one: &[KeptRing; 2], other: &[KeptRing; 2]| (0..2).all(|end| one[end].is_same(&other[end]));
        let attached = match (&self.attached, &other.attached) {
            (Some(one), Some(other)) => pair(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let all = |one: &[KeptRing], other: &[KeptRing]| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_same(other))
        };
        attached
            && pair(&self.own, &other.own)
            && self.owner == other.owner
            && all(&self.left_inputs, &other.left_inputs)
            && all(&self.left_outputs, &other.left_outputs)
    }
}

/// Releases rings from the front on that have nothing left: whether there were any.
fn drop_empty(left: &mut VecDeque<StreamRing>, records: &mut Records) -> bool {
    let before = left.len();
    while left.front().is_some_and(|ring| ring.available() == 0)
        && let Some(empty) = left.pop_front()
    {
        empty.release(records);
    }
    left.len() < before
}

/// The ring that is used from now on; what the former one still has goes to `left`.
fn replace(former: StreamRing, new: StreamRing, left: &mut VecDeque<StreamRing>, records: &mut Records) -> StreamRing {
    if former.is_same(&new) {
        new.release(records);
        former.reset();
        return former;
    }
    left.push_back(former);
    if left.len() > MOST_LEFT
        && let Some(oldest) = left.pop_front()
    {
        oldest.release(records);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Memory, fake};

    const KEY: RecordKey = RecordKey::new(1, 0);

    fn rings() -> (Rings, Records) {
        let memory = Memory::create(&fake::account(), 64 << 10).expect("memory");
        let mut records = Records::of(memory.map_writable().expect("mapped")).expect("room");
        (Rings::recover(KEY, &mut records, &fake::account()).expect("rings"), records)
    }

    #[test]
    fn what_was_done_with_them_is_staged() {
        let (mut rings, mut records) = rings();
        assert_eq!(rings.output().stage(b"abc"), 3);
        rings.stage(KEY, &mut records).expect("room");
        rings.check();
        rings.input().reset();
        rings.check();
        rings.drop_output(&mut records);
        rings.stage(KEY, &mut records).expect("room");
        rings.check();
        assert!(!rings.detach(7, &mut records) && rings.stage(KEY, &mut records).is_ok());
    }

    #[test]
    #[should_panic(expected = "memory was overwritten")]
    fn a_position_that_nothing_was_done_for_is_no_position() {
        let (rings, _records) = rings();
        rings.output().stage(b"abc");
        rings.check();
    }

    #[test]
    #[should_panic(expected = "memory was overwritten")]
    fn rings_that_have_become_others_are_not_staged() {
        let (mut rings, mut records) = rings();
        core::mem::swap(&mut rings.own.input, &mut rings.own.output);
        let _ = rings.stage(KEY, &mut records);
    }
}
