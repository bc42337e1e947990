//! Calls per second with a pair of caller and server on each CPU: the evidence for or against
//! splitting the kernel lock. The pairs share nothing but the kernel.

use std::{fs, thread};

/// How the guest calls the figures, before the number of CPUs.
const PREFIX: &str = "calls_per_second_";

/// Where each CPU does at least so much of what one alone does, in percent, the lock is no
/// hindrance.
const ENOUGH: u64 = 80;

/// The load of a quiet host, in hundredths, at most.
const QUIET: u64 = 50;

/// Calls per second of all pairs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// CPUs of the machine.
    pub cpus: u32,
    /// Calls per second.
    pub calls: u64,
}

impl Rate {
    /// The figure's name.
    pub fn name(&self) -> String {
        name(self.cpus)
    }
}

/// The name of the figure for a machine of so many CPUs.
pub fn name(cpus: u32) -> String {
    format!("{PREFIX}{cpus}")
}

/// For how many CPUs a figure is; `None` if it is another one.
pub fn cpus_of(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// How many hundredths of one CPU's calls are made on the machine with these.
pub fn speedup(rates: &[Rate], rate: &Rate) -> Option<u64> {
    let one = rates.iter().find(|rate| rate.cpus == 1)?;
    (rate.calls * 100).checked_div(one.calls)
}

/// What the measurements run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Processors.
    pub cpus: u32,
    /// How many of them were busy before, on average, in hundredths.
    pub load: u64,
}

impl Host {
    /// This host, as it is now.
    pub fn look() -> Self {
        let cpus = thread::available_parallelism().map_or(1, |cpus| cpus.get());
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self { cpus: cpus.try_into().unwrap_or(u32::MAX), load: load_of(&load).unwrap_or(0) }
    }
}

/// The load of the last minute, in hundredths: the first word of /proc/loadavg.
fn load_of(text: &str) -> Option<u64> {
    let (whole, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 100 + hundredths.parse::<u64>().ok()?)
}

/// What the rates mean for splitting the kernel lock.
pub fn meaning(rates: &[Rate], host: Host) -> String {
    // CPUs that the host itself has to take turns with say nothing about a lock.
    let real = rates.iter().filter(|rate| (2..=host.cpus).contains(&rate.cpus));
    let best = real.max_by_key(|rate| rate.cpus);
    let Some((rate, speedup)) = best.and_then(|rate| Some((rate, speedup(rates, rate)?))) else {
        let cpus = host.cpus;
        return format!("Nothing about the kernel lock: too few processors on this host ({cpus}).");
    };
    let each = speedup / u64::from(rate.cpus);
    let mut text =
        format!("{} CPUs make {} times the calls of one ({each} % for each CPU): ", rate.cpus, hundredths(speedup));
    if each >= ENOUGH {
        text.push_str("the kernel lock is no hindrance; there is little to gain by splitting it.");
    } else if host.load > QUIET {
        let (load, cpus) = (hundredths(host.load), host.cpus);
        text.push_str(&format!(
            "no evidence, because this host was busy (a load of {load} on {cpus} processors); \
             measure again when it is quiet."
        ));
    } else {
        text.push_str("CPUs wait for each other, which speaks for splitting the kernel lock.");
    }
    if rates.iter().any(|rate| rate.cpus > host.cpus) {
        text.push_str(&format!(" More CPUs than this host's {} only take turns.", host.cpus));
    }
    text
}

/// A number of hundredths, as a decimal fraction.
pub fn hundredths(number: u64) -> String {
    format!("{}.{:02}", number / 100, number % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(calls: [u64; 3]) -> Vec<Rate> {
        [1, 2, 4].into_iter().zip(calls).map(|(cpus, calls)| Rate { cpus, calls }).collect()
    }

    #[test]
    fn names_come_back() {
        assert_eq!(cpus_of(&name(4)), Some(4));
        assert_eq!(cpus_of("call_0w"), None);
        assert_eq!(cpus_of("calls_per_second_x"), None);
    }

    fn on(cpus: u32, calls: [u64; 3]) -> String {
        meaning(&rates(calls), Host { cpus, load: 0 })
    }

    #[test]
    fn only_the_hosts_processors_count() {
        let text = on(2, [100, 190, 200]);
        assert!(text.contains("2 CPUs make 1.90 times"), "{text}");
        assert!(text.contains("no hindrance"), "{text}");
        assert!(text.contains("than this host's 2"), "{text}");
        let text = on(4, [100, 190, 200]);
        assert!(text.contains("4 CPUs make 2.00 times"), "{text}");
        assert!(text.contains("speaks for splitting"), "{text}");
        assert!(!text.contains("take turns"), "{text}");
        assert!(on(1, [100, 190, 200]).contains("too few"));
        assert!(on(2, [0, 1, 1]).contains("Nothing"));
        let quiet = Host { cpus: 2, load: 0 };
        assert!(meaning(&[], quiet).contains("Nothing"));
    }

    #[test]
    fn a_busy_host_is_no_evidence_against_the_lock() {
        let busy = Host { cpus: 2, load: 446 };
        let text = meaning(&rates([100, 60, 50]), busy);
        assert!(text.contains("no evidence"), "{text}");
        assert!(text.contains("a load of 4.46 on 2"), "{text}");
        assert!(meaning(&rates([100, 190, 50]), busy).contains("no hindrance"));
    }

    #[test]
    fn the_load_is_read() {
        assert_eq!(load_of("4.46 6.00 5.20 3/200 99"), Some(446));
        assert_eq!(load_of("0.05 0.10"), Some(5));
        assert_eq!(load_of(""), None);
    }
}
