//! The driver kit: drivers as their authors write them, started as programs are, on fake devices.

mod cmos;
mod line;
mod program;

use libsys::env::Startup;
use libsys::fake::{FakeProcess, account};
use libsys::{Channel, Handle, Object, Rights, Session};

/// A process that is to run a driver.
struct Started {
    process: FakeProcess,
    channel: Handle,
}

impl Started {
    /// With these objects and parameters of the manifest.
    fn with(objects: &[(&str, Handle)], parameters: &[(&str, &str)], process: FakeProcess, channel: Handle) -> Started {
        let mut handles: Vec<(String, u64)> =
            objects.iter().map(|(name, handle)| (name.to_string(), handle.0)).collect();
        handles.push(("channel".into(), channel.0));
        let parameters = parameters.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        process.set_startup(Startup { handles, parameters, ..Startup::default() });
        Started { process, channel }
    }

    /// A session to it, in the calling process.
    fn session(&self, badge: u64) -> Session {
        let channel = self.channel;
        let minted = self.process.run(move || {
            let channel = core::mem::ManuallyDrop::new(Channel::from_handle(channel));
            channel.mint(badge, &account()).expect("a session").into_handle()
        });
        self.process.take(minted.expect("alive"), Rights::all())
    }
}
