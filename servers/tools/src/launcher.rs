//! Programs that a command starts, and waits for: they are given what it was given itself, and a part of what its account has left.

use crate::{About, Failure, failed};
use alloc::format;
use alloc::string::String;
use libsys::abi::ExitReason;
use libsys::client::Client;
use libsys::env::{self, names};
use libsys::fs::FileError;
use libsys::process::ExitRecord;
use libsys::program::{Child, Launch, OpenError, Program};
use libsys::protocol::RegistryClient;
use libsys::{Channel, Error, Rights, client, path};

/// Where programs are that are named without a path.
const PROGRAMS: &str = "/bin";

/// What it may do with its session to init.
const SESSION: Rights = Rights::CALL.union(Rights::DUPLICATE).union(Rights::INSPECT);

/// Signal bit: the program has ended.
const ENDED: u64 = 1 << 0;
/// Signal bit: what it had is free again.
const FREE: u64 = 1 << 1;

/// What a program is given of what is left: one of so many parts.
const PARTS: u64 = 2;

/// Starts programs, one after the other.
#[derive(Debug)]
pub struct Launcher {
    channel: Channel,
    /// The program that was started last, under its name: as a rule the next one is the same.
    last: Option<(String, Program)>,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exit(u64),
    /// Otherwise: how.
    Died(&'static str),
}

impl End {
    fn of(record: &ExitRecord) -> End {
        match ExitReason::from_number(record.reason) {
            ExitReason::Exit => End::Exit(record.code),
            other => End::Died(other.text()),
        }
    }
}

impl Launcher {
    /// Errors: those of making a channel.
    pub fn new() -> Result<Launcher, Error> {
        Ok(Launcher { channel: Channel::create(env::account())?, last: None })
    }

    /// Runs a program to its end; the first word is its name. What was written before is to be out. Error: it was not started.
    pub fn run(&mut self, words: &[String]) -> Result<End, Failure> {
        let (name, arguments) = words.split_first().ok_or_else(|| failed("", FileError::NotFound))?;
        let channel = &self.channel;
        let program = match &mut self.last {
            Some((last, program)) if last == name => program,
            last => &mut last.insert((name.clone(), open(name)?)).1,
        };
        let refused = |error| failed(name, format_args!("it cannot be started: {error}"));
        let limits = env::account().part(PARTS).map_err(|error| refused(error.into()))?;
        // One of its own, as what it logs is collected as long as that one is open.
        let registry = env::get().registry().connect(names::REGISTRY, true);
        let registry: RegistryClient = client::unchecked(registry.map_err(|error| failed(name, error))?);
        let mut launch = Launch::new(program, name)
            .arguments(arguments)
            .limits(limits)
            .with_streams()
            .with_files()
            .grant(names::REGISTRY, registry.link().session(), SESSION)
            .log(&registry, env::account())
            .watch(channel, ENDED);
        for (name, value) in env::get().variables().iter().filter(|(name, _)| name != "PWD") {
            launch = launch.variable(name, value);
        }
        let child = launch.spawn(env::account()).map_err(refused)?;
        end_of(&child, channel).about(name)
    }
}

/// Waits for the end of a program, and until what it had is free: the next one may need it.
fn end_of(child: &Child, channel: &Channel) -> Result<End, Error> {
    let record = loop {
        if let Some(record) = child.try_wait()? {
            break record;
        }
        channel.receive(None)?;
    };
    child.process.watch(None)?;
    if child.process.reset(Some((channel, FREE))).is_ok() {
        while child.process.exit_record()?.incarnation == record.incarnation {
            channel.receive(None)?;
        }
    }
    Ok(End::of(&record))
}

/// The program of a path, or of a name.
fn open(name: &str) -> Result<Program, Failure> {
    let place = if name.contains('/') { name.into() } else { path::join(PROGRAMS, name) };
    Program::open(&place, env::account()).map_err(|error| match error {
        OpenError::File(error) if error.file() == Some(FileError::NotFound) => {
            Failure::Error(format!("{name}: there is no program of this name"))
        }
        error => failed(name, error),
    })
}
