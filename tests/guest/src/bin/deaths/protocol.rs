//! `deaths`: a protocol of a service that kills others, and of what it sees of that.

use alloc::string::String;
use alloc::vec::Vec;
use libsys::protocol;

/// A service that kills others.
#[protocol]
pub trait Deaths {
    /// Kills a service so many times, each time asks it what `probe` says ([`crate::probe`]), and waits for the answer: what each took from the kill to the answer. `busy`: a directory in which files are written
    /// before each kill, or nothing.
    ///
    /// Rights: any session; the service needs `control`, and to connect to that one. *fail*: a second time it would be killed again.
    #[fail]
    fn recover(&mut self, name: &str, probe: &str, busy: &str, times: u32) -> Result<Vec<Cost>, String>;

    /// The same as fast as it goes: nothing is measured.
    ///
    /// Rights, class: as [`Deaths::recover`].
    #[fail]
    fn restart(&mut self, name: &str, probe: &str, times: u32) -> Result<(), String>;

    /// Counts what all have in use, for [`Deaths::residue`].
    ///
    /// Rights: any session; the service needs `resource inspect`. *replay*: the last count is as good.
    #[replay]
    fn count(&mut self) -> Result<(), String>;

    /// What has changed since [`Deaths::count`], once what was on its way back has come: lines of words, none if nothing has.
    ///
    /// Rights: as [`Deaths::count`]. *replay*: it only reads.
    #[replay]
    fn residue(&mut self) -> Result<Vec<String>, String>;

    /// Kills one of these services, chosen by the seed, every so many nanoseconds, until [`Deaths::end`]. A moment at which none of them serves is let pass.
    ///
    /// Rights: as [`Deaths::recover`]. *fail*: the count begins anew.
    #[fail]
    fn begin(&mut self, names: Vec<String>, period: u64, seed: u64);

    /// Ends that. Returned: how many were killed, and how many moments were let pass.
    ///
    /// Rights: any session. *replay*: the counts stay.
    #[replay]
    fn end(&mut self) -> (u32, u32);

    /// Nanoseconds since boot, and nanoseconds that all processors together have been idle.
    ///
    /// Rights: as [`Deaths::count`]. *replay*: it only reads.
    #[replay]
    fn clock(&mut self) -> Result<(u64, u64), String>;
}

/// What a recovery took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// Nanoseconds that processors were at work: on one that counts instructions, instructions.
    pub busy: u64,
    /// Nanoseconds of the clock.
    pub elapsed: u64,
}
