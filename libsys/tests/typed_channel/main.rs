//! Typed channels end to end: a protocol with every kind of argument, served over the fake kernel.

mod calls;
mod every;
mod hostile;
mod life;

use every::{EveryClient, Shop};
use libsys::fake::{self, FakeProcess};
use libsys::{Channel, Handle, Object, Rights, Session, client, service};

/// A server process that serves a [`Shop`].
struct Served {
    process: FakeProcess,
    channel: Handle,
}

impl Served {
    fn start() -> Served {
        let process = FakeProcess::new();
        let channel = process.new_channel();
        let served = Served { process, channel };
        served.run();
        served
    }

    /// Runs the loop, in a thread of the process's incarnation.
    fn run(&self) {
        let channel = self.channel;
        self.process.spawn(move || {
            // A panic must not close it on its way out: it is the next incarnation's as well.
            let channel = core::mem::ManuallyDrop::new(Channel::from_handle(channel));
            service::run(Shop::default(), &channel).expect("a channel to serve");
        });
    }

    /// Starts the next incarnation.
    fn restart(&self) {
        self.process.restart();
        self.run();
    }

    /// A session with a badge, in the calling process.
    fn session(&self, badge: u64) -> Session {
        let channel = self.channel;
        let minted = self.process.run(move || {
            let channel = core::mem::ManuallyDrop::new(Channel::from_handle(channel));
            channel.mint(badge, &fake::account()).expect("a session").into_handle()
        });
        let minted = minted.expect("alive");
        let session = self.process.take(minted, Rights::all());
        self.process.run(|| libsys::sys::handle_close(minted)).expect("alive").expect("closed");
        session
    }

    fn client(&self, badge: u64) -> EveryClient {
        client::open(self.session(badge)).expect("all methods")
    }
}
