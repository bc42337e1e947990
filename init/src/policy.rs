//! Whether, and when, a service that ended starts again. Nothing here knows the kernel.

use crate::manifest::{Restart, When};
use alloc::vec::Vec;
use libsys::abi::ExitReason;
use serde::{Deserialize, Serialize};

/// What becomes of a service that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It starts again, not before this time.
    Restart(u64),
    /// It stays as it is: it is done.
    Stop,
    /// It died too often.
    GiveUp,
}

/// Deaths that are remembered: one more than the largest limit.
const MOST_DEATHS: usize = 17;

/// When a service died by its own fault, as far back as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    deaths: Vec<u64>,
}

impl History {
    /// Forgets it all: somebody starts the service by hand.
    pub fn clear(&mut self) {
        self.deaths.clear();
    }

    /// Whether a service may be replaced now because clients complain: not where complaints alone could add up to its being given up.
    pub fn can_spare(&self, policy: &Restart, now: u64) -> bool {
        let recent = self.deaths.iter().filter(|death| now.saturating_sub(**death) < policy.window).count();
        policy.when != When::Never && (recent as u64 + 1) * 2 <= u64::from(policy.limit)
    }

    /// A service ended at `now`: what next?
    pub fn judge(&mut self, policy: &Restart, reason: ExitReason, code: u64, now: u64) -> Verdict {
        let is_done = reason == ExitReason::Exit && code == 0;
        let again = match policy.when {
            When::Always => true,
            When::OnFailure => !is_done,
            When::Never => false,
        };
        if reason == ExitReason::Revoked {
            return Verdict::GiveUp;
        }
        if !again {
            return Verdict::Stop;
        }
        // Who is killed is not to blame, and does not wait.
        if reason == ExitReason::Killed {
            return Verdict::Restart(now);
        }
        self.deaths.retain(|death| now.saturating_sub(*death) < policy.window);
        self.deaths.push(now);
        // Who ends in order again and again is slowed down, not given up.
        if self.deaths.len() as u64 > u64::from(policy.limit) && !is_done {
            return Verdict::GiveUp;
        }
        if self.deaths.len() > MOST_DEATHS {
            self.deaths.remove(0);
        }
        Verdict::Restart(now.saturating_add(backoff(policy, self.deaths.len() as u32)))
    }
}

/// How long to wait at the `deaths`th death in the window: not at all at the first.
fn backoff(policy: &Restart, deaths: u32) -> u64 {
    match deaths.checked_sub(2) {
        None => 0,
        Some(doublings) => policy.backoff.saturating_mul(1 << doublings.min(32)).min(policy.most_backoff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Restart = Restart { when: When::Always, limit: 4, window: 1000, backoff: 10, most_backoff: 25 };

    #[test]
    fn complaints_alone_do_not_have_a_service_given_up() {
        let mut history = History::default();
        assert!(history.can_spare(&POLICY, 100));
        history.judge(&POLICY, ExitReason::Hung, 0, 100);
        assert!(history.can_spare(&POLICY, 200));
        history.judge(&POLICY, ExitReason::Hung, 0, 200);
        assert!(!history.can_spare(&POLICY, 300), "half of what it may die is used");
        assert!(history.can_spare(&POLICY, 1150), "the first death is long ago");
        assert!(!History::default().can_spare(&Restart { limit: 1, ..POLICY }, 100));
        assert!(!History::default().can_spare(&Restart { when: When::Never, ..POLICY }, 100));
    }

    #[test]
    fn own_deaths_wait_longer_and_longer_and_end() {
        let mut history = History::default();
        let mut judge = |now| history.judge(&POLICY, ExitReason::PageFault, 0, now);
        assert_eq!(judge(100), Verdict::Restart(100));
        assert_eq!(judge(200), Verdict::Restart(210));
        assert_eq!(judge(300), Verdict::Restart(320));
        assert_eq!(judge(400), Verdict::Restart(425));
        assert_eq!(judge(500), Verdict::GiveUp);
    }

    #[test]
    fn deaths_are_forgotten_after_the_window() {
        let mut history = History::default();
        for round in 0..100 {
            let at = round * 1000;
            assert_eq!(history.judge(&POLICY, ExitReason::Panic, 0, at), Verdict::Restart(at));
        }
    }

    #[test]
    fn kills_are_not_counted() {
        let mut history = History::default();
        for now in 0..100 {
            assert_eq!(history.judge(&POLICY, ExitReason::Killed, 9, now), Verdict::Restart(now));
        }
        assert_eq!(history.judge(&POLICY, ExitReason::Hung, 0, 100), Verdict::Restart(100));
        assert_eq!(history.judge(&POLICY, ExitReason::Revoked, 0, 101), Verdict::GiveUp);
    }

    #[test]
    fn who_ends_in_order_is_not_given_up() {
        let mut history = History::default();
        for now in 10..100 {
            assert!(matches!(history.judge(&POLICY, ExitReason::Exit, 0, now), Verdict::Restart(at) if at <= now + 25));
        }
        assert_eq!(history.deaths.len(), MOST_DEATHS);
        assert_eq!(history.judge(&POLICY, ExitReason::Exit, 1, 100), Verdict::GiveUp);
    }

    #[test]
    fn the_policy_says_which_ends_count() {
        let judge = |when, reason, code| History::default().judge(&Restart { when, ..POLICY }, reason, code, 5);
        assert_eq!(judge(When::OnFailure, ExitReason::Exit, 0), Verdict::Stop);
        assert_eq!(judge(When::OnFailure, ExitReason::Exit, 1), Verdict::Restart(5));
        assert_eq!(judge(When::Always, ExitReason::Exit, 0), Verdict::Restart(5));
        assert_eq!(judge(When::Never, ExitReason::PageFault, 0), Verdict::Stop);
        assert_eq!(judge(When::OnFailure, ExitReason::Killed, 0), Verdict::Restart(5));
    }
}
