//! The shell's program. Needs the session `stdin` to the console, the registry, and for most commands the resource
//! `inspect`; for real-time programs, the resource `realtime`. With the parameter `exec` it runs those commands and switches the machine off.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::rc::Rc;
use libsys::client;
use libsys::env::{self, names};
use libsys::service::{Result, StartError};
use libsys::thread;
use libsys::{Channel, Object};
use shell::events::Events;
use shell::exec;
use shell::inspect::Kernel;
use shell::program::{self, Archive};
use shell::session::Session;
use shell::shell::{Parts, Shell};
use shell::terminal::Terminal;

/// Stack of the thread that runs scripts, in bytes: commands can be within each other.
const STACK: usize = 256 * 1024;

fn start() -> Result<()> {
    thread::Builder::new().stack_bytes(STACK).spawn(run)?.join()
}

fn run() -> Result<()> {
    let env = env::get();
    let missing = |error: env::EnvError| StartError::Peer(alloc::format!("{error}"));
    let registry = env.registry();
    let console = client::open(env.take_session(names::STDIN).map_err(missing)?)?;
    // A shell that init does not know as a service has none.
    let channel = match env.channel().inspect_handle() {
        Ok(_) => env.channel(),
        Err(_) => Box::leak(Box::new(Channel::create(env.account())?)),
    };
    let events = Rc::new(Events::new(channel));
    let inspect = Kernel::new(env.take("inspect").ok());
    // Whatever it comes upon later, it has as many handles as before.
    libsys::log::prepare();
    let session = Session::open(env);
    program::end_left_behind(&inspect, &session.programs());
    let mut shell = Shell::new(Parts {
        terminal: Terminal::new(console, events.clone(), registry),
        registry,
        inspect: Box::new(inspect),
        launcher: Box::new(Archive::new(registry, env.account(), env.take("realtime").ok(), events.clone())),
        events,
        session,
    });
    // A shell that init does not know as a service works as well.
    let _ = registry.ready();
    let shut_down = match env.parameter("exec") {
        Some(commands) => Some(exec::run(&mut shell, commands)),
        None => shell.interact(),
    };
    if let Some(shut_down) = shut_down {
        registry.shut_down(shut_down.restart, shut_down.status)?;
        // The end comes from outside.
        loop {
            libsys::time::sleep(libsys::time::Duration::from_secs(3600));
        }
    }
    Ok(())
}

libsys::main!(start);
