//! Keys of `once` requests: by them a server knows a request that it has carried out already.
//!
//! A lane belongs to one thread, and its sequence counts up; the next number in a lane tells the server that the
//! reply before it has arrived. Numbers start behind those of the process's earlier incarnations.
//!
//! What a server remembers by it is in [`crate::state::replies`].

use crate::sys;
use crate::thread::block;
use core::sync::atomic::{AtomicU64, Ordering};
use serde::{Deserialize, Serialize};

/// The key of a `once` request, within its session and client process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Which of the client's sequences; one a thread.
    pub lane: u64,
    /// The number in the lane. Later ones are larger.
    pub sequence: u64,
}

/// Bits of a sequence below the incarnation's number.
const INCARNATION_SHIFT: u32 = 40;

/// Lanes that were given to threads.
static LANES: AtomicU64 = AtomicU64::new(0);

/// The last sequence given out; one counter for all lanes, as numbers in a lane need only grow.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

impl Key {
    /// The next key of the calling thread.
    pub(crate) fn next() -> Key {
        let lane = &block::current().lane;
        if lane.get() == 0 {
            lane.set(LANES.fetch_add(1, Ordering::Relaxed) + 1);
            SEQUENCE.fetch_max(sys::identify().incarnation << INCARNATION_SHIFT, Ordering::Relaxed);
        }
        Key { lane: lane.get(), sequence: SEQUENCE.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_in_its_lane_and_counts_up() {
        let (first, second) = (Key::next(), Key::next());
        assert_eq!(first.lane, second.lane);
        assert!(first.sequence < second.sequence);
        let other = std::thread::spawn(Key::next).join().expect("no panic");
        assert_ne!(other.lane, first.lane);
    }
}
