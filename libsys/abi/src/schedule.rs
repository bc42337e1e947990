//! How threads share the processors.

/// Scheduling policy of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Policy {
    /// Shares by weight what the real-time policies leave. Priority is 0.
    Fair = 0,
    /// Real time: runs until it blocks or a higher priority is ready.
    Fifo = 1,
    /// Real time: as `Fifo`, but takes turns within its priority.
    RoundRobin = 2,
}

impl Policy {
    /// The policy with this number.
    pub const fn from_number(number: u64) -> Option<Policy> {
        match number {
            0 => Some(Policy::Fair),
            1 => Some(Policy::Fifo),
            2 => Some(Policy::RoundRobin),
            _ => None,
        }
    }
}

/// Highest real-time priority; the lowest is 1.
pub const MAX_PRIORITY: u8 = 63;

/// Weight of a fair thread with nice value 0, as in Linux (`sched_prio_to_weight`): each nice
/// step is a factor of about 1.25.
pub const DEFAULT_WEIGHT: u32 = 1024;

/// Bounds of a weight.
pub const WEIGHTS: core::ops::RangeInclusive<u32> = 15..=88_761;

/// Length of a time slice, in nanoseconds.
pub const SLICE: u64 = 4_000_000;

/// A thread's own scheduling parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The policy.
    pub policy: Policy,
    /// 1 to [`MAX_PRIORITY`] for the real-time policies, 0 for `Fair`.
    pub priority: u8,
    /// Weight among fair threads, in [`WEIGHTS`]; read for every policy, as a thread can be demoted.
    pub weight: u32,
}

impl Parameters {
    /// What a thread starts with.
    pub const DEFAULT: Parameters = Parameters { policy: Policy::Fair, priority: 0, weight: DEFAULT_WEIGHT };

    /// Whether the fields are in range and fit together.
    pub fn is_valid(self) -> bool {
        let fits = match self.policy {
            Policy::Fair => self.priority == 0,
            Policy::Fifo | Policy::RoundRobin => (1..=MAX_PRIORITY).contains(&self.priority),
        };
        fits && WEIGHTS.contains(&self.weight)
    }
}
