//! One process of a program.

use super::{LoadError, PAGE, Program, page_of, pages_of};
use crate::client::Client;
use crate::env::{self, Startup, StreamKind, names};
use crate::fs;
use crate::io::{self, Shared};
use crate::log::LogWriter;
use crate::pipe::{self, PipeWriter};
use crate::protocol::RegistryClient;
use crate::protocol::registry::LogSource;
use crate::service::exhausted;
use crate::start::block::{Prefix, encode};
use crate::thread::parking;
use crate::{Account, Channel, Error, Handle, Limits, Memory, Object, Process, Rights, Session, ThreadObject, sys};
use abi::memory::Protection;
use abi::process::ProcessState;
use abi::{ExitReason, ExitRecord, Parameters};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Stack of a main thread, in bytes, where nothing else is asked for.
pub const STACK_BYTES: u64 = 128 * 1024;

/// What a process may do with the sessions of its streams.
const STREAM: Rights = Rights::CALL.union(Rights::DUPLICATE).union(Rights::INSPECT);

/// What it may do with the channel of one who reads what it writes.
const SIGNALLER: Rights = Rights::SIGNAL.union(Rights::DUPLICATE);

/// What a process may use where nothing else is said.
pub const DEFAULT_LIMITS: Limits = Limits { frames: 2048, handles: 256, threads: 16, sessions: 64, processes: 16 };

/// A log ring with what it takes around it.
const LOG_BYTES: u64 = 3 * PAGE;

/// Longest name in the log.
const LOG_NAME: usize = 16;

/// A program's name as the registry takes names: other characters than `a`–`z` and `0`–`9` become `-`.
fn log_name(name: &str) -> String {
    let known = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().take(LOG_NAME).map(known).collect();
    if name.is_empty() { "-".to_string() } else { name }
}

/// A handle that the process gets.
struct Grant {
    name: String,
    handle: Handle,
    rights: Rights,
    signals: u64,
    keep: bool,
}

/// What a process is started with.
pub struct Launch<'a> {
    program: &'a Program,
    name: String,
    startup: Startup,
    grants: Vec<Grant>,
    limits: Limits,
    stack_bytes: u64,
    watch: Option<(&'a Channel, u64)>,
    parameters: Option<Parameters>,
    affinity: Option<u64>,
    log: Option<(&'a RegistryClient, &'a Account)>,
    /// Names of inputs that are to be pipes, whose writing ends the parent gets.
    piped: Vec<String>,
}

impl<'a> Launch<'a> {
    /// A process of a program, under a name, which is also its first argument.
    pub fn new(program: &'a Program, name: &str) -> Launch<'a> {
        Launch {
            program,
            name: name.to_string(),
            startup: Startup { arguments: alloc::vec![name.to_string()], ..Startup::default() },
            grants: Vec::new(),
            limits: DEFAULT_LIMITS,
            stack_bytes: STACK_BYTES,
            watch: None,
            parameters: None,
            affinity: None,
            log: None,
            piped: Vec::new(),
        }
    }

    /// One more argument.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.startup.arguments.push(argument.into());
        self
    }

    /// More arguments.
    pub fn arguments<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.startup.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// A variable of its environment.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.startup.environment.push((name.into(), value.into()));
        self
    }

    /// A parameter.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.startup.parameters.push((name.into(), value.into()));
        self
    }

    /// A duplicate of an object's handle with some of its rights, under a name. Needs `DUPLICATE` of the object.
    pub fn grant(self, name: &str, object: &'a impl Object, rights: Rights) -> Self {
        self.grant_as(name, object.handle(), rights, u64::MAX, false)
    }

    /// As [`Launch::grant`], kept across incarnations.
    pub fn grant_kept(self, name: &str, object: &'a impl Object, rights: Rights) -> Self {
        self.grant_as(name, object.handle(), rights, u64::MAX, true)
    }

    /// A handle that can signal some bits of a channel.
    pub fn grant_signal(self, name: &str, channel: &'a Channel, bits: u64) -> Self {
        self.grant_as(name, channel.handle(), SIGNALLER, bits, false)
    }

    /// A stream that it finds under a name: a session of this kind. For files, that of [`File::share`](crate::fs::File::share); pipes have methods of their own.
    pub fn stream(mut self, name: &str, kind: StreamKind, session: &'a Session) -> Self {
        self.startup.streams.push((name.to_string(), kind));
        self.grant(name, session, STREAM)
    }

    /// An output that goes into a pipe, which may have other writers.
    pub fn output(mut self, name: &str, pipe: &'a PipeWriter) -> Self {
        self.add_pipe(name, pipe);
        self
    }

    fn add_pipe(&mut self, name: &str, pipe: &PipeWriter) {
        self.startup.streams.push((name.to_string(), StreamKind::Pipe));
        self.add(name, pipe.session().handle(), STREAM, u64::MAX, false);
        self.add(&pipe::memory_name(name), pipe.memory().handle(), pipe::SHARED, u64::MAX, false);
        self.add(&pipe::signal_name(name), pipe.signal().handle(), SIGNALLER, u64::MAX, false);
    }

    /// The standard streams of this process, which both use from then on, as far as it has them; but an input that is a pipe has one reader, and is not given.
    pub fn with_streams(mut self) -> Self {
        let env = env::get();
        // They outlive the launch: the process never closes them.
        env.streams.share(|name, stream| match stream {
            Shared::Session(session) => {
                self.startup.streams.push((name.to_string(), env.stream(name)));
                self.add(name, session.handle(), STREAM, u64::MAX, false);
            }
            Shared::Pipe(pipe) => self.add_pipe(name, pipe),
        });
        self
    }

    /// An input that is a pipe: [`Launch::spawn`] gives its writing end, in [`Child::pipes`].
    pub fn piped(mut self, name: &str) -> Self {
        self.startup.streams.push((name.to_string(), StreamKind::Pipe));
        self.piped.push(name.to_string());
        self
    }

    /// The namespace and current directory of this process, if it has one.
    pub fn with_files(self) -> Self {
        let (Ok(namespace), Ok(current)) = (fs::namespace(), fs::current_directory()) else { return self };
        self.namespace(namespace.link().session(), &current)
    }

    /// A namespace and the current directory in it.
    pub fn namespace(self, session: &'a Session, current: &str) -> Self {
        self.grant(names::NAMESPACE, session, STREAM).variable(fs::PWD, current)
    }

    fn grant_as(mut self, name: &str, handle: Handle, rights: Rights, signals: u64, keep: bool) -> Self {
        self.add(name, handle, rights, signals, keep);
        self
    }

    fn add(&mut self, name: &str, handle: Handle, rights: Rights, signals: u64, keep: bool) {
        self.grants.push(Grant { name: name.to_string(), handle, rights, signals, keep });
    }

    /// A handle that the process has already, from an earlier incarnation or by [`Process::grant`]: its number there.
    pub fn known(mut self, name: &str, handle: Handle) -> Self {
        self.startup.handles.push((name.to_string(), handle.0));
        self
    }

    /// What it may use: promised by the parent's account at once.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The size of its stack, in bytes.
    pub fn stack_bytes(mut self, bytes: u64) -> Self {
        self.stack_bytes = bytes;
        self
    }

    /// Signals bits of a channel at its death.
    pub fn watch(mut self, channel: &'a Channel, bits: u64) -> Self {
        self.watch = Some((channel, bits));
        self
    }

    /// Scheduling parameters of its main thread.
    pub fn schedule(mut self, parameters: Parameters) -> Self {
        self.parameters = Some(parameters);
        self
    }

    /// The CPUs, as a bit set, on which its main thread may run.
    pub fn affinity(mut self, cpus: u64) -> Self {
        self.affinity = Some(cpus);
        self
    }

    /// Gives it a log ring, which the log server collects until the last holder of this session to init is gone: the process's own session, as a
    /// rule. `payer` pays for the ring, which may outlive the process. Where init has room for no more rings, the process has none.
    pub fn log(mut self, registry: &'a RegistryClient, payer: &'a Account) -> Self {
        self.log = Some((registry, payer));
        self
    }

    /// Makes and starts the process, under a sub-account of `account`. Errors: [`LoadError`].
    pub fn spawn(self, account: &Account) -> Result<Child, LoadError> {
        let account = account.split(self.limits)?;
        self.spawn_in(account)
    }

    /// Makes and starts the process, charged to an account that was split off for it. Errors: [`LoadError`].
    pub fn spawn_in(self, account: Account) -> Result<Child, LoadError> {
        let child = self.make_in(account)?;
        child.process.start()?;
        Ok(child)
    }

    /// Makes the process, charged to an account that was split off for it, and does not start it: [`Process::start`] does. Errors: [`LoadError`].
    pub fn make_in(mut self, account: Account) -> Result<Child, LoadError> {
        let process = Process::create(&account, &self.name)?;
        if let Some((registry, payer)) = self.log
            && let Some(ring) = self.added_ring(registry, &process, payer)?
        {
            let rights = Rights::READ | Rights::WRITE | Rights::INSPECT;
            let number = sys::handle_grant(process.handle(), ring.handle(), rights, u64::MAX, false)?;
            self = self.known(names::LOG, number);
        }
        let (launch, pipes) = self.with_pipes(&process, &account)?;
        let thread = launch.load_into(&process, &account)?;
        Ok(Child { process, account, thread, pipes })
    }

    /// Makes the pipes that the process reads from, on its account.
    fn with_pipes(mut self, process: &Process, account: &Account) -> Result<(Self, Vec<PipeWriter>), LoadError> {
        let mut pipes = Vec::new();
        for name in core::mem::take(&mut self.piped) {
            let (channel, writer) = pipe::create_for(process, account).map_err(|error| match error {
                io::Error::Kernel(error) => LoadError::Kernel(error),
                _ => LoadError::Kernel(Error::BadState),
            })?;
            let number = process.grant_channel(&channel, pipe::READER, 0, false)?;
            self.startup.handles.push((name.clone(), number.0));
            let number = process.grant(writer.memory(), pipe::SHARED, false)?;
            self.startup.handles.push((pipe::memory_name(&name), number.0));
            pipes.push(writer);
        }
        Ok((self, pipes))
    }

    /// Loads the program into a process that is new, or new again after a reset, and makes its main thread; the caller
    /// starts it. Memory is charged to `account`. Handles named `account` and `process` are granted if they were not given.
    pub fn load_into(mut self, process: &Process, account: &Account) -> Result<ThreadObject, LoadError> {
        if !self.has(names::ACCOUNT) {
            self = self.grant_as(names::ACCOUNT, account.handle(), Rights::all(), 0, false);
        }
        if !self.has(names::PROCESS) {
            self = self.grant_as(names::PROCESS, process.handle(), Rights::all(), 0, false);
        }
        for grant in &self.grants {
            let Grant { name, handle, rights, signals, keep } = grant;
            let number = sys::handle_grant(process.handle(), *handle, *rights, *signals, *keep)?;
            self.startup.handles.push((name.clone(), number.0));
        }
        if let Some((channel, bits)) = self.watch {
            process.watch(Some((channel, bits)))?;
        }
        let start = self.map(process, account)?;
        // SAFETY: the process has not started, so it is not the caller's own.
        let thread = unsafe { sys::thread_create(process.handle(), start, account.handle()) }?;
        let thread = ThreadObject::from_handle(thread);
        if let Some(parameters) = self.parameters {
            thread.schedule(parameters)?;
        }
        if let Some(cpus) = self.affinity {
            thread.set_affinity(cpus)?;
        }
        Ok(thread)
    }

    /// A ring of a new process, which init has taken up; `None` where it does not.
    fn added_ring(
        &self,
        registry: &RegistryClient,
        process: &Process,
        account: &Account,
    ) -> Result<Option<Memory>, LoadError> {
        let ring = Memory::create(account, LOG_BYTES)?;
        // Whoever reads it finds a ring, before the process has written anything.
        LogWriter::open(ring.map_writable_part(0, LOG_BYTES)?);
        let source = LogSource { name: log_name(&self.name), process: process.exit_record()?.process };
        match registry.add_log_ring(source, &ring) {
            Ok(()) => Ok(Some(ring)),
            Err(error) => {
                crate::warn!("what {} logs is lost: {error}", self.name);
                Ok(None)
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        let known = self.startup.handles.iter().any(|(known, _)| known == name);
        known || self.grants.iter().any(|grant| grant.name == name)
    }

    /// Maps everything: where the main thread starts.
    fn map(&self, process: &Process, account: &Account) -> Result<sys::ThreadStart, LoadError> {
        let program = self.program;
        let stack_bytes = crate::memory::whole_pages(self.stack_bytes)?;
        let own = self.startup.handles.iter().find(|(name, _)| name == names::ACCOUNT);
        let own = own.map_or(Handle::NONE, |(_, number)| Handle(*number));
        // Each part has a free page before it.
        let mut block = encode(&self.startup)?;
        let block_bytes = (block.len() as u64).next_multiple_of(PAGE);
        let block_at = program.end() + PAGE;
        let pages_at = block_at + block_bytes + PAGE;
        let stack_at = pages_at + 2 * PAGE + PAGE;
        let stack_end = stack_at + stack_bytes;
        Prefix::write(&mut block, pages_at, stack_at..stack_end, own);

        // One Memory: block, data, stack.
        let map = |memory: &Memory, address, offset, bytes, protection| {
            let map = || process.map(memory, address, offset, bytes, protection);
            exhausted::charged_to(account, &exhausted::tables(bytes), map)
        };
        let data_bytes: u64 = program.data.iter().map(|data| pages_of(data.address, data.bytes)).sum();
        let memory = Memory::create(account, block_bytes + data_bytes + stack_bytes)?;
        let filling = memory.map_writable_part(0, block_bytes + data_bytes)?;
        filling.copy_in(0, &block);
        let mut offset = block_bytes;
        for data in &program.data {
            let start = page_of(data.address);
            filling.copy_in((offset + data.address - start) as usize, &data.initial);
            let bytes = pages_of(data.address, data.bytes);
            map(&memory, start, offset, bytes, Protection::READ | Protection::WRITE)?;
            offset += bytes;
        }
        drop(filling);
        map(&memory, block_at, 0, block_bytes, Protection::READ)?;
        map(&memory, stack_at, offset, stack_bytes, Protection::READ | Protection::WRITE)?;
        for part in &program.shared {
            map(&program.memory, part.address, part.offset, part.bytes, part.protection)?;
        }
        Ok(sys::ThreadStart {
            entry: program.entry,
            stack: stack_end,
            argument: block_at,
            pages: pages_at,
            thread_block: 0,
        })
    }
}

/// A process that was made. Dropping it lets it run on by itself.
#[derive(Debug)]
pub struct Child {
    /// The process.
    pub process: Process,
    /// Its account: revoking it ends the process and all that it started.
    pub account: Account,
    /// Its main thread.
    pub thread: ThreadObject,
    /// The writing ends of its inputs, in the order of [`Launch::piped`]. Dropped, they end the input, unless others write as well.
    pub pipes: Vec<PipeWriter>,
}

impl Child {
    /// Waits for its end: how it ended, as [`Child::try_wait`] says it. Error: as [`Process::exit_record`]. It takes the process's watch; who has other things to wait for
    /// uses [`Launch::watch`] and [`Child::try_wait`].
    pub fn wait(&self) -> Result<ExitRecord, Error> {
        let channel = parking::own_channel();
        sys::process_watch(self.process.handle(), channel, parking::CHILD)?;
        loop {
            if let Some(record) = self.try_wait()? {
                return Ok(record);
            }
            parking::wait_for(parking::CHILD, None);
        }
    }

    /// How it ended, if it did. What its account was promised and does not use is given back then, and what it has left running ends: else the promise would
    /// stand until the last server has taken note that its sessions are closed.
    pub fn try_wait(&self) -> Result<Option<ExitRecord>, Error> {
        let record = self.process.exit_record()?;
        let has_ended = [ProcessState::Draining as u32, ProcessState::Dead as u32].contains(&record.state);
        if has_ended {
            // Without the right to do it the promise goes back later.
            let _ = self.account.revoke();
        }
        Ok(has_ended.then_some(record))
    }

    /// Ends it. `code` stays in its exit record.
    pub fn kill(&self, code: u64) -> Result<(), Error> {
        self.process.kill(ExitReason::Killed, code)
    }
}
