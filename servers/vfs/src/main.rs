//! `vfs`: which file system serves which paths. Serves `namespace`; and `filesystem` and `file` for `/dev`. Sessions to the file systems that the manifest mounts, under the names that
//! the parameter `mounts` says; `rtc` for times; may connect to all devices. Parameters: `mounts`, words of `PATH=SESSION[/DIRECTORY]` with `dev` for the session of /dev, and `directories`, paths that
//! are made at the start; `kinds`, `aliases` and `options`, what can be mounted ([`kinds`]).
//!
//! Names and data do not pass through it: a process asks it once for a session to each mount that it uses.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod counter;
mod devices;
mod jobs;
mod kept;
mod kinds;
mod mounts;
mod namespaces;
mod serve;
mod start;

use counter::Counter;
use devices::Devices;
use filesystem::FileServer;
use jobs::Jobs;
use libsys::env::Env;
use libsys::protocol::{File, FileSystem, Namespace};
use libsys::service::{Result, Serve, Server};
use libsys::state::Records;
use libsys::wire::{Answer, Method, Request};
use libsys::{Channel, Handle};
use mounts::Table;
use namespaces::Namespaces;

/// The server.
struct Vfs {
    env: &'static Env,
    /// `/dev`, whose volume has the records of all.
    devices: FileServer<Devices>,
    mounts: Table,
    namespaces: Namespaces,
    counter: Counter,
    jobs: Jobs,
    channel: &'static Channel,
}

impl Server for Vfs {
    fn start(_: &Env) -> Result<Vfs> {
        start::start(libsys::env::get())
    }

    fn records(&mut self) -> Option<&mut Records> {
        self.devices.records()
    }

    fn committed(&mut self) {
        self.devices.committed();
        self.counter.publish();
        self.do_jobs();
        self.look_at_jobs();
    }

    fn signal(&mut self, bits: u64) {
        self.devices.signal(bits);
        if bits & jobs::STATE != 0 {
            self.do_jobs();
            self.look_at_jobs();
        }
    }

    fn close(&mut self, badge: u64, client: u64, last: bool) {
        self.devices.close(badge, client, last);
        self.closed(badge, client);
        if last {
            self.namespaces.close(self.devices.volume().kept(), badge);
        }
    }

    fn withdrawn(&mut self, call: Handle) {
        self.devices.withdrawn(call);
        self.withdraw(call);
    }
}

impl Serve for Vfs {
    const PROTOCOLS: &'static [&'static [Method]] =
        &[<dyn Namespace>::METHODS, <dyn File>::METHODS, <dyn FileSystem>::METHODS];

    fn dispatch(&mut self, request: &Request) -> Answer {
        match <dyn Namespace>::dispatch(self, request) {
            Answer::NoSuchMethod => self.devices.dispatch(request),
            answer => answer,
        }
    }
}

const _: () = assert!(libsys::service::distinct(<Vfs as Serve>::PROTOCOLS));

libsys::serve!(Vfs);
