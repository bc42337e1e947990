//! The time of day, for the times of files: the real-time clock once, at the start, and the monotonic clock from then on.

use libsys::client;
use libsys::env::Env;
use libsys::protocol::RtcClient;
use libsys::protocol::filesystem::Timestamp;
use libsys::time;

/// A clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Seconds since 1970 when the machine was started.
    boot: i64,
}

impl Clock {
    /// The clock behind the session `rtc`, if the manifest gives one that knows the time; else one that starts in 1970 with the machine.
    pub fn of(env: &Env) -> Clock {
        let rtc = env.take_session("rtc").ok().map(client::unchecked::<RtcClient>);
        let now = rtc.and_then(|rtc| rtc.now().ok());
        let uptime = (time::now() / 1_000_000_000) as i64;
        Clock { boot: now.map_or(0, |now| now.0.saturating_sub(uptime)) }
    }

    /// This moment.
    pub fn now(&self) -> Timestamp {
        let now = time::now();
        Timestamp {
            seconds: self.boot.saturating_add((now / 1_000_000_000) as i64),
            nanoseconds: (now % 1_000_000_000) as u32,
        }
    }
}
