//! Other processes of the same program.
//!
//! A program is linked at fixed addresses, so the address of a function names it in every process of the program: what a process is to
//! do is passed to it as that.

use crate::system::{names, system};
use crate::test::{Failure, Outcome};
use abi::process::ProcessState;
use abi::{Class, ExitReason, ExitRecord, Handle, Header, Kind, Rights};
use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;
use libsys::program::{Child, Launch};
use libsys::sys::{self, Words};
use libsys::time::{Instant, deadline_after};
use libsys::{Account, Channel, Error, ExitStatus, Limits, Process, Session, ThreadObject, inspect, message, thread};

/// How long anything may take that should happen at once: on an emulator that gets a hundredth of a busy host, longer than one would think.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What a process does: its result is the code of its exit record.
pub type Function = fn() -> u64;

/// What a small process may use.
pub const SMALL: Limits = Limits { frames: 400, handles: 64, threads: 8, sessions: 16, processes: 4 };

/// Runs the function whose address is this text, in hexadecimal digits, and ends the process.
pub(crate) fn run_function(address: &str) -> ExitStatus {
    let address = usize::from_str_radix(address, 16).expect("an address");
    // SAFETY: the parent is a process of this same program, and took the address from a `Function`.
    let function = unsafe { core::mem::transmute::<usize, Function>(address) };
    let code = function();
    let _ = sys::process_kill(Handle::NONE, ExitReason::Exit, code);
    ExitStatus::FAILURE
}

/// A process that will run a function.
pub fn launch(name: &str, function: Function) -> Launch<'static> {
    Launch::new(&system().program, name).parameter("function", format!("{:x}", function as usize)).limits(SMALL)
}

/// The same, which can start further processes of this program.
pub fn launch_parent(name: &str, function: Function) -> Launch<'static> {
    let (elf, bytes) = &system().elf;
    launch(name, function).grant(names::ELF, elf, Rights::all()).parameter(names::ELF_BYTES, bytes.to_string())
}

/// Waits until something holds for which there is no event.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> Outcome<bool>) -> impl FnOnce() -> Outcome {
    let late = Failure::new(format!("it does not come to pass: {what}"));
    move || {
        let deadline = Instant::now() + PATIENCE;
        while !holds()? {
            if Instant::now() > deadline {
                return Err(late);
            }
            thread::yield_now();
        }
        Ok(())
    }
}

/// Waits for the end of a process, until it is drained: how it ended.
#[track_caller]
pub fn wait_until_dead(process: &Process) -> Outcome<ExitRecord> {
    let place = Failure::new("");
    let channel = Channel::create(system().account)?;
    process.watch(Some((&channel, 1)))?;
    if channel.receive(Some(deadline_after(PATIENCE))).is_err() {
        let record = process.exit_record()?;
        let threads = threads(&record);
        process.kill(ExitReason::Killed, 0)?;
        return Err(place.with_text(format!(
            "the process does not end: state {}, {:?}, threads:{threads}",
            record.state,
            reason(&record)
        )));
    }
    eventually("the process is drained", || Ok(process.exit_record()?.state == ProcessState::Dead as u32))()?;
    Ok(process.exit_record()?)
}

/// What the threads of a process do, for people.
fn threads(record: &ExitRecord) -> String {
    let Some(inspect) = &system().inspect else { return String::new() };
    let threads = inspect::threads(inspect, Some(record.process)).filter_map(Result::ok);
    let described = threads.map(|thread| {
        let inspect::ThreadRecord { thread, state, cpu, waits_on, run_time, depth, call_age, .. } = thread;
        let state = inspect::ThreadState::text(state);
        format!(" {thread}: {state} on {waits_on}, CPU {cpu}, depth {depth}, ran {run_time}, age {call_age};")
    });
    described.collect()
}

/// Waits for the end of a child, as [`wait_until_dead`].
#[track_caller]
pub fn wait_for(child: &Child) -> Outcome<ExitRecord> {
    wait_until_dead(&child.process)
}

/// Runs a function in a process of its own: how that ended.
#[track_caller]
pub fn run(name: &str, function: Function) -> Outcome<ExitRecord> {
    run_launch(launch(name, function))
}

/// Runs a process to its end.
#[track_caller]
pub fn run_launch(launch: Launch<'_>) -> Outcome<ExitRecord> {
    let child = launch.spawn(system().account)?;
    let record = wait_for(&child)?;
    // What it left behind ends.
    child.account.revoke()?;
    Ok(record)
}

/// The reason in an exit record.
pub fn reason(record: &ExitRecord) -> ExitReason {
    ExitReason::from_number(record.reason)
}

/// A server: a process with a channel, which can be started again.
pub struct Server {
    /// Its process.
    pub process: Process,
    /// Its channel.
    pub channel: Channel,
    /// Its account.
    pub account: Account,
    function: Function,
    /// Its main thread.
    pub thread: Option<ThreadObject>,
}

impl Server {
    /// Starts a function as a server, with its channel in the environment.
    pub fn start(function: Function) -> Outcome<Server> {
        let mut server = Server::prepare(function)?;
        server.load()?;
        Ok(server)
    }

    /// A server that does not run yet.
    pub fn prepare(function: Function) -> Outcome<Server> {
        let account = system().account.split(SMALL)?;
        let process = Process::create(&account, "server")?;
        let channel = Channel::create_for(&account, &process)?;
        Ok(Server { process, channel, account, function, thread: None })
    }

    /// Loads and starts it, while it is new.
    pub fn load(&mut self) -> Outcome {
        let launch = launch("server", self.function).grant("channel", &self.channel, Rights::all());
        self.thread = Some(launch.load_into(&self.process, &self.account)?);
        Ok(self.process.start()?)
    }

    /// Makes it new again, after its death.
    pub fn reset(&mut self) -> Outcome {
        self.thread = None;
        let channel = Channel::create(system().account)?;
        self.process.reset(Some((&channel, 1)))?;
        match channel.receive(Some(deadline_after(PATIENCE))) {
            Ok(_) => Ok(()),
            // What stands in its way.
            Err(error) => Err(Failure::new(format!("{error} of a reset; there are{}", crate::counts::processes()))),
        }
    }

    /// Waits for its death, and starts its next incarnation.
    pub fn restart(&mut self) -> Outcome {
        wait_until_dead(&self.process)?;
        self.reset()?;
        self.load()
    }

    /// A session, charged to this program.
    pub fn session(&self, badge: u64) -> Outcome<Session> {
        Ok(self.channel.mint(badge, system().account)?)
    }
}

/// A process without handles goes on: this one does not.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill(ExitReason::Killed, 0);
    }
}

/// The rights of a session.
pub fn session_rights() -> Rights {
    Rights::of(Kind::Session)
}

/// Calls a method with words, for as long as [`PATIENCE`].
pub fn ask(session: &Session, method: u32, class: Class, words: Words) -> Result<Words, Error> {
    ask_for(session, Header::words(method, class), words, PATIENCE).map(|(_, words)| words)
}

/// Calls for a time at most.
pub fn ask_for(session: &Session, header: Header, words: Words, timeout: Duration) -> Result<(Header, Words), Error> {
    message::set_call_deadline(deadline_after(timeout));
    session.call(header.with_deadline(), words)
}
