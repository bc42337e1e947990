//! `vfs`: which file system serves which paths. Serves `namespace`; and `filesystem` and `file` for `/dev`. Sessions to the file systems that the manifest mounts, under the names that
//! the parameter `mounts` says; `rtc` for times; may connect to all devices. Parameters: `mounts`, words of `PATH=SESSION[/DIRECTORY]` with `dev` for the session of /dev, and `directories`, paths that
//! are made at the start; `kinds`, the templates of file systems on disks, in the order in which a mount of kind `auto` tries them.
//!
//! Names and data do not pass through it: a process asks it once for a session to each mount that it uses.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod counter;
mod devices;
mod kept;
mod mounts;
mod namespaces;
mod serve;
mod start;

use alloc::vec::Vec;
use counter::Counter;
use devices::Devices;
use filesystem::FileServer;
use kept::KeptMounts;
use libsys::env::Env;
use libsys::protocol::namespace::NamespaceError;
use libsys::protocol::{File, FileSystem, Namespace};
use libsys::service::{Kept, Result, Serve, Server};
use libsys::wire::{Answer, Method, Request};
use libsys::{Channel, Handle};
use mounts::Table;
use namespaces::Namespaces;

/// The server.
struct Vfs {
    env: &'static Env,
    devices: FileServer<Devices>,
    mounts: Table,
    kept: KeptMounts,
    namespaces: Namespaces,
    counter: Counter,
    /// File systems that were started and are not ready: who waits for them.
    starting: Vec<Starting>,
    /// File systems that were taken away and end: who waits for that.
    ending: Vec<Ending>,
    channel: &'static Channel,
}

/// A file system that ends.
struct Ending {
    call: Kept<core::result::Result<(), NamespaceError>>,
    service: alloc::string::String,
}

/// A mount whose server starts.
struct Starting {
    call: Kept<core::result::Result<(), NamespaceError>>,
    service: alloc::string::String,
    mount: mounts::Wanted,
    /// The server does not know what is on the disk: when it is gone, the next is tried.
    is_refused: bool,
    options: libsys::protocol::namespace::MountOptions,
    /// Kinds that are tried if this one is not it, the last first.
    others: alloc::vec::Vec<alloc::string::String>,
}

impl Server for Vfs {
    fn start(_: &Env) -> Result<Vfs> {
        start::start(libsys::env::get())
    }

    fn signal(&mut self, bits: u64) {
        self.devices.signal(bits);
        if bits & serve::STATE != 0 {
            self.look_at_starting();
            self.look_at_ending();
        }
    }

    fn close(&mut self, badge: u64, client: u64, last: bool) {
        self.devices.close(badge, client, last);
        if last {
            self.namespaces.close(badge);
        }
    }

    fn withdrawn(&mut self, call: Handle) {
        self.devices.withdrawn(call);
        self.give_up(call);
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
