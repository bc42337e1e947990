//! A server in a process of its own, which is started again whenever it was killed.

use crate::Tree;
use filesystem::FileServer;
use libsys::abi::process::ProcessState;
use libsys::abi::{ExitReason, Limits};
use libsys::client;
use libsys::env::{self, Startup};
use libsys::fake::{FakeProcess, account};
use libsys::protocol::FileSystemClient;
use libsys::{Channel, Handle, Memory, Object, Rights};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// Frames of the server's account; one in a hundred is for files.
const FRAMES: u64 = 400_000;

/// A server.
pub struct World {
    process: FakeProcess,
    channel: Handle,
    /// Of how long the fuses of incarnations are; 0: nobody kills it.
    fuse: Arc<AtomicU64>,
    deaths: Arc<AtomicU64>,
    keeper: Option<JoinHandle<()>>,
}

/// What the fuse says when the test is over.
const OVER: u64 = u64::MAX;

impl World {
    /// A server with an empty file system.
    pub fn new() -> World {
        let process = FakeProcess::new();
        let channel = process.new_channel();
        let own = process.run(|| {
            let limits = account().usage().expect("usage").limits;
            let half = Limits { handles: limits.handles / 2, sessions: limits.sessions / 2, ..Limits::default() };
            let own = account().split(Limits { frames: FRAMES, ..half }).expect("an account");
            own.set_kept(true).expect("kept");
            own.into_handle()
        });
        let state = Memory::create(&account(), 128 << 10).expect("memory");
        let given = Given { process, init: FakeProcess::current(), channel, account: own.expect("alive"), state };
        given.give();
        let (fuse, deaths) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let keeper = thread::spawn({
            let (fuse, deaths) = (fuse.clone(), deaths.clone());
            move || keep(&given, &fuse, &deaths)
        });
        World { process, channel, fuse, deaths, keeper: Some(keeper) }
    }

    /// The root.
    pub fn root(&self) -> FileSystemClient {
        let channel = self.channel;
        let minted = loop {
            // The process may just be dead.
            let minted = self.process.run(move || {
                let channel = ManuallyDrop::new(Channel::from_handle(channel));
                channel.mint(1, env::account()).expect("a session").into_handle()
            });
            match minted {
                Some(minted) => break minted,
                None => thread::yield_now(),
            }
        };
        client::unchecked(self.process.take(minted, Rights::all()))
    }

    /// Lets every incarnation from now on live for at most so many system calls; 0: for ever.
    pub fn set_fuse(&self, most: u64) {
        self.fuse.store(most, Ordering::Relaxed);
        self.process.kill_after((most > 0).then_some(most / 2));
    }

    /// Kills it, and waits until it is started again.
    pub fn kill(&self) {
        let before = self.deaths();
        // Whoever is in the process leaves handles there: so in the incarnation that dies.
        let root = self.root();
        self.process.kill_after(Some(0));
        while self.deaths() == before {
            let _ = root.statistics();
        }
    }

    /// How often it was killed.
    pub fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::Relaxed)
    }

    /// Handles that it has.
    pub fn handles(&self) -> usize {
        self.process.open_handles()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.fuse.store(OVER, Ordering::Relaxed);
        self.process.kill_after(Some(0));
        // One that waits in a receive makes no system call.
        self.process.kill(ExitReason::Killed);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// What every incarnation gets.
struct Given {
    process: FakeProcess,
    init: FakeProcess,
    channel: Handle,
    account: Handle,
    state: Memory,
}

impl Given {
    /// Gives it to the next one, as init does: the state anew, as each closes its handle.
    fn give(&self) {
        let state = self.init.run(|| self.process.grant(&self.state, Rights::all(), false)).expect("alive");
        let handles = [("channel", self.channel), ("account", self.account), ("state", state)];
        let handles = handles.map(|(name, handle)| (name.to_string(), handle.0)).to_vec();
        let parameters = vec![("percent".to_string(), "1".to_string())];
        self.process.set_startup(Startup { handles, parameters, ..Startup::default() });
    }
}

/// Nobody else can go on where this fails.
struct Whole;

impl Drop for Whole {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

/// Starts the server again and again. Each incarnation's thread has ended before the next begins.
fn keep(given: &Given, fuse: &AtomicU64, deaths: &AtomicU64) {
    let (_whole, process, mut seed) = (Whole, given.process, 1u64);
    loop {
        let _ = process.run(|| libsys::service::main::<FileServer<Tree>>().expect("it serves"));
        let record = process.exit_record();
        let most = fuse.load(Ordering::Relaxed);
        if most == OVER {
            return;
        }
        assert_eq!(record.state, ProcessState::Dead as u32, "it does not end by itself");
        assert_eq!(record.reason, ExitReason::Killed as u32, "it does not fall");
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Most die at their start; some get far enough to do something.
        let most = if seed >> 32 & 1 == 0 { most } else { most * 4 };
        process.kill_after((most > 0).then(|| (seed >> 33) % most));
        given.give();
        process.restart();
        deaths.fetch_add(1, Ordering::Relaxed);
    }
}
