//! `trouble`: a protocol of services that do what their clients ask of them, to themselves above all.

use alloc::string::String;
use alloc::vec::Vec;
use libsys::protocol;
use libsys::protocol::filesystem::FileError;
use libsys::service::Reply;

/// A service that gives trouble.
#[protocol]
pub trait Trouble {
    /// How many calls this incarnation has had.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn count(&mut self) -> u32;

    /// Waits, parked, until somebody calls [`Trouble::wake`].
    ///
    /// Rights: any session. *replay*: it only waits.
    #[replay]
    fn wait(&mut self, reply: Reply<'_, ()>);

    /// Answers those who wait; how many.
    ///
    /// Rights: any session. *replay*: woken twice is awake.
    #[replay]
    fn wake(&mut self) -> u32;

    /// Works without end, in the call.
    ///
    /// Rights: any session. *replay*: so that the next incarnation does as well.
    #[replay]
    fn spin(&mut self);

    /// Answers, and works without end afterwards.
    ///
    /// Rights: any session. *fail*: once.
    #[fail]
    fn lapse(&mut self);

    /// Answers, and at a moment of the monotonic clock calls another such service, from no call of its own.
    ///
    /// Rights: any session. *fail*: once. Returned: what the registry says, in words, if it does not connect.
    #[fail]
    fn embrace(&mut self, name: &str, at: u64) -> Result<(), String>;

    /// Panics.
    ///
    /// Rights: any session. *fail*: once.
    #[fail]
    fn fall(&mut self);

    /// Has this incarnation say of anything that it is corrupt.
    ///
    /// Rights: any session. *fail*: the next one is right.
    #[fail]
    fn lie(&mut self);

    /// Has this incarnation forget a handle, as if memory of it had been overwritten: it uses another number in the calls that come.
    ///
    /// Rights: any session. *fail*: the next one knows it.
    #[fail]
    fn mislay(&mut self);

    /// How many calls this incarnation has had.
    ///
    /// Rights: any session. *replay*: it only reads. Errors: `Corrupt`, where it is asked about what is not `sound`, or lies.
    #[replay]
    fn check(&mut self, sound: bool) -> Result<u32, FileError>;

    /// Gives the service another name.
    ///
    /// Rights: any session. *replay*: named twice it is the same. Returned: what the registry says, in words, if it refuses.
    #[replay]
    fn publish(&mut self, name: &str) -> Result<(), String>;

    /// Kills a service so many times, and asks it something each time: nanoseconds from the kill to the answer.
    ///
    /// Rights: any session; the service needs `control`, and to connect to that one. *fail*: a second time it would be killed again.
    #[fail]
    fn recovery(&mut self, name: &str, times: u32) -> Result<Vec<u64>, String>;

    /// Kills each of these services so many times, in turns; `init` may be among them. A name may be several with `+` between: they are killed at once. Each kill comes so many milliseconds after all of
    /// them are ready, so that a slow machine does the same as a fast one. Answered when all is done.
    ///
    /// Rights: any session; the service needs `control`. *fail*: a second time they would be killed again.
    #[fail]
    fn storm(&mut self, names: Vec<String>, times: u32, pause: u32, reply: Reply<'_, ()>);
}
