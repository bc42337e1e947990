//! Random system calls: the guest's program `fuzz` in place of init. It prints its seed, how far
//! it is, and what is left of the system; its status says whether all is as it was.

use std::time::Duration;

use crate::image::Image;
use crate::machine::Machine;

/// The program of the boot archive that makes the calls.
const PROGRAM: &str = "fuzz";

/// How long the machine may take for anything but calls, on a busy host.
const BASE_TIMEOUT: Duration = Duration::from_secs(300);

/// Calls that it makes in a second at least. Mostly it makes a hundred times as many.
const CALLS_PER_SECOND: u64 = 1000;

/// What is to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fuzzing {
    /// How many system calls.
    pub calls: u64,
    /// Where the random numbers begin.
    pub seed: u64,
    /// How many CPUs make them.
    pub cpus: u32,
}

impl Fuzzing {
    /// The machine that does it. One CPU runs in virtual time, so that the same seed does the
    /// same. Bounded by `timeout`, else by a time that grows with the calls.
    pub fn machine(&self, image: &Image, timeout: Option<Duration>) -> Machine {
        Machine::new(image)
            .smp(self.cpus)
            .icount(self.cpus == 1)
            .timeout(timeout.unwrap_or_else(|| self.time_limit()))
            .in_place_of_init(PROGRAM)
            .append(&format!("guest.arguments={},{}", self.calls, self.seed))
    }

    fn time_limit(&self) -> Duration {
        BASE_TIMEOUT + Duration::from_secs(self.calls / CALLS_PER_SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::SerialEnd;
    use std::collections::BTreeMap;

    #[test]
    fn the_guest_gets_calls_and_seed() {
        let image = Image {
            kernel: "/k".into(),
            archive: "/a".into(),
            archive_with_tests: "/a".into(),
            programs: BTreeMap::new(),
            links: BTreeMap::new(),
            warnings: String::new(),
        };
        let mut fuzzing = Fuzzing { calls: 100_000_000, seed: u64::MAX, cpus: 1 };
        let line = |fuzzing: &Fuzzing| {
            let machine = fuzzing.machine(&image, None);
            machine.arguments(SerialEnd::Program).unwrap().join(" ")
        };
        let expected = "init=bin/fuzz guest.arguments=100000000,18446744073709551615";
        assert!(line(&fuzzing).contains(expected), "{}", line(&fuzzing));
        assert!(line(&fuzzing).contains("-icount"));
        let limit = fuzzing.machine(&image, None).time_limit();
        assert_eq!(limit, Some(Duration::from_secs(100_300)));
        fuzzing.cpus = 2;
        assert!(!line(&fuzzing).contains("-icount"));
        let second = Duration::from_secs(1);
        let limit = fuzzing.machine(&image, Some(second)).time_limit();
        assert_eq!(limit, Some(second));
    }
}
