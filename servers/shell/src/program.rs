//! Programs, started with the kernel: each under a sub-account, with a session to the console, and the shell's names without the right to mount. A name
//! without `/` is one in /bin; where there are no files, one of the boot archive.

use crate::ending::Ending;
use crate::events::{CHILD, DRAINED, Events};
use crate::inspect::{Inspect, Kernel};
use crate::launch::{Child, KeptChild, Launch, LaunchError, Launched, Launcher, Scheduling, Share};
use crate::streams::{Input, Output};
use crate::terminal::Terminal;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use libsys::abi::inspect::HandleRecord;
use libsys::abi::{Kind, Policy};
use libsys::client::{CallError, Client};
use libsys::env::{self, names};
use libsys::fs::{self, FileError};
use libsys::path;
use libsys::process::ExitRecord;
use libsys::program::{self, LoadError, OpenError, Program};
use libsys::protocol::RegistryClient;
use libsys::protocol::registry::RegistryError;
use libsys::state::Keepsake;
use libsys::{
    Account, Error, Handle, Limits, Object, Process, Resource, Rights, Session, ThreadObject, client, panic, sys,
};

/// The console's name in the registry.
const CONSOLE: &str = "console";

/// What a program may do with its sessions.
const SESSION: Rights = Rights::CALL.union(Rights::DUPLICATE).union(Rights::INSPECT);

/// Most programs that stay prepared.
const PREPARED: usize = 16;

/// Programs that get the same session to the namespace. A session has 64 users at most (`docs/objects/session.md`), and one that has ended is its user until the server has taken
/// note of that.
const SHARING: u32 = 32;

/// Starts programs of the boot archive.
pub struct Archive {
    registry: &'static RegistryClient,
    account: &'static Account,
    /// The right to real time, if the shell has it.
    real_time: Option<Rc<Resource>>,
    /// Programs that were started before: their code is shared with the next process.
    prepared: BTreeMap<String, Rc<Program>>,
    /// The shell's namespace, as programs get it, and how many more get this session: see [`SHARING`].
    namespace: Option<(Session, u32)>,
    /// Programs that have ended.
    ending: Rc<Ending>,
}

/// The parameter with the names of the programs of [`PROGRAMS`] that may mount file systems.
const MOUNTERS: &str = "mounters";

/// Where programs are that are named without a path.
const PROGRAMS: &str = "/bin";

impl Archive {
    /// Programs that this registry has, charged to this account; with the right to real time, if there is one.
    pub fn new(
        registry: &'static RegistryClient,
        account: &'static Account,
        real_time: Option<Resource>,
        events: Rc<Events>,
    ) -> Archive {
        let real_time = real_time.map(Rc::new);
        let ending = Rc::new(Ending::new(events));
        Archive { registry, account, real_time, prepared: BTreeMap::new(), namespace: None, ending }
    }

    fn program(&mut self, name: &str) -> Result<Rc<Program>, LaunchError> {
        if let Some(program) = self.prepared.get(name) {
            return Ok(program.clone());
        }
        let program = match open(name, self.account) {
            Some(opened) => opened?,
            None => self.of_archive(name)?,
        };
        let program = Rc::new(program);
        // A file of any other path may change.
        if !name.contains('/') {
            if self.prepared.len() >= PREPARED {
                self.prepared.pop_first();
            }
            self.prepared.insert(name.to_string(), program.clone());
        }
        Ok(program)
    }

    /// A program that init has.
    fn of_archive(&self, name: &str) -> Result<Program, LaunchError> {
        let (memory, bytes) = self.registry.program(name).map_err(|error| match error {
            CallError::Failed(RegistryError::NoSuchName) => LaunchError::NoSuchProgram,
            other => LaunchError::Refused(format!("init does not give the program: {other}")),
        })?;
        Program::from_memory(&memory, 0, bytes, self.account).map_err(|error| LaunchError::Refused(error.to_string()))
    }

    /// The namespace for a program; none where the shell has none. Those that are to mount file systems get the shell's own, which may.
    fn namespace(&mut self, name: &str) -> Option<&Session> {
        let mut mounters = env::parameter(MOUNTERS).unwrap_or_default().split_whitespace();
        let program = name.strip_prefix(PROGRAMS).and_then(|name| name.strip_prefix('/')).unwrap_or(name);
        if mounters.any(|mounter| mounter == program) {
            return fs::namespace().ok().map(|namespace| namespace.link().session());
        }
        self.namespace = match self.namespace.take() {
            Some((session, left @ 1..)) => Some((session, left - 1)),
            _ => fs::namespace().ok().and_then(|namespace| Some((namespace.subtree("/", false).ok()?, SHARING - 1))),
        };
        self.namespace.as_ref().map(|(session, _)| session)
    }

    /// What a program is promised: a part of what is left of each thing.
    fn limits(&self, Share { parts }: Share) -> Result<Limits, Error> {
        self.account.part(parts)
    }

    /// Sessions for a program: to init, without the shell's right to control, and through that one to the console, where it has
    /// modes of its own.
    fn sessions(&self, terminal: &Terminal) -> Result<(RegistryClient, Session), LaunchError> {
        let refused = |what: &str, error: &dyn fmt::Display| {
            LaunchError::Refused(format!("no session to {what} for it: {error}"))
        };
        let registry = self.registry.connect(names::REGISTRY, true).map_err(|error| refused("init", &error))?;
        let registry: RegistryClient = client::unchecked(registry);
        let console = match registry.connect(CONSOLE, true) {
            Ok(session) => session,
            // Where the registry has no console, the shell's own will do.
            Err(CallError::Failed(RegistryError::NoSuchName)) => {
                terminal.console().duplicate(SESSION).map_err(|error| refused(CONSOLE, &error))?
            }
            Err(error) => return Err(refused(CONSOLE, &error)),
        };
        Ok((registry, console))
    }
}

/// The program of a path, or of a name in /bin; `None` where only init can have it.
fn open(name: &str, account: &Account) -> Option<Result<Program, LaunchError>> {
    let is_path = name.contains('/');
    let found = match is_path {
        true => Program::open(name, account),
        false => Program::open(&path::join(PROGRAMS, name), account),
    };
    match found {
        Ok(program) => Some(Ok(program)),
        Err(OpenError::File(error)) if error.file() == Some(FileError::NotFound) => {
            Some(Err(LaunchError::NoSuchProgram))
        }
        // Without vfs there are the programs of the boot archive.
        Err(OpenError::File(_)) if !is_path => None,
        Err(error) => Some(Err(LaunchError::Refused(error.to_string()))),
    }
}

impl Launcher for Archive {
    fn launch(&mut self, launch: &Launch<'_>, terminal: &Terminal, events: &Events) -> Result<Launched, LaunchError> {
        let Some((name, arguments)) = launch.words.split_first() else {
            return Err(LaunchError::NoSuchProgram);
        };
        let program = self.program(name)?;
        let (registry, console) = self.sessions(terminal)?;
        let refused = |error: LoadError| LaunchError::Refused(format!("it cannot be started: {error}"));
        let limits = self.limits(launch.share).map_err(|error| refused(error.into()))?;
        let account = self.account;
        let real_time = self.real_time.clone();
        let mut request = program::Launch::new(&program, name)
            .arguments(arguments)
            .grant(names::REGISTRY, registry.link().session(), SESSION)
            .log(&registry, account)
            .watch(events.channel(), CHILD);
        let streams = launch.streams;
        for (name, output) in [(names::STDOUT, &streams.output), (names::STDERR, &streams.errors)] {
            request = match output {
                Output::Terminal => request.grant(name, &console, SESSION),
                Output::Open(open) => request.stream(name, open.kind, &open.session),
                Output::Pipe(pipe) => request.output(name, &pipe.writer),
            };
        }
        request = match &streams.input {
            Input::Terminal if launch.is_foreground => request.grant(names::STDIN, &console, SESSION),
            Input::Terminal => request,
            Input::Open(open) => request.stream(names::STDIN, open.kind, &open.session),
            Input::Pipe(_) | Input::Piped => request.piped(names::STDIN),
        };
        let current = fs::current_directory();
        if let (Some(namespace), Ok(current)) = (self.namespace(name), &current) {
            request = request.namespace(namespace, current);
        }
        for (name, value) in launch.environment.iter().filter(|(name, _)| name != "PWD") {
            request = request.variable(name, value);
        }
        let account = account.split(limits).map_err(|error| refused(error.into()))?;
        // So that the next incarnation of the shell finds it, should this one die: see `end_left_behind`.
        account.set_kept(true).map_err(|error| refused(error.into()))?;
        let mut child = request.make_in(account).map_err(refused)?;
        // Dropped, it ends the input.
        let input = child.pipes.pop().filter(|_| matches!(streams.input, Input::Piped));
        let running = Running { child: Some(child), real_time, ending: Rc::clone(&self.ending) };
        // Refused, it ends here.
        running
            .schedule(launch.scheduling)
            .map_err(|error| LaunchError::Refused(format!("it cannot be scheduled so: {error}")))?;
        Ok(Launched { child: Rc::new(running), input })
    }

    fn recover(&mut self, kept: KeptChild, events: &Events) -> Option<Rc<dyn Child>> {
        let KeptChild { process, account, thread } = kept;
        let child = program::Child {
            process: process.take().ok()?,
            account: account.take().ok()?,
            thread: thread.take().ok()?,
            pipes: Vec::new(),
        };
        // It may have ended already: it is looked at before it is waited for.
        child.process.watch(Some((events.channel(), CHILD))).ok()?;
        // The shell before may have died between noting it and this; else it is refused.
        let _ = child.process.start();
        let real_time = self.real_time.clone();
        Some(Rc::new(Running { child: Some(child), real_time, ending: Rc::clone(&self.ending) }))
    }

    fn settle(&mut self, terminal: &mut Terminal) {
        while !self.ending.is_over() && terminal.wait(DRAINED, None) != 0 {}
    }
}

/// Ends the programs that an earlier incarnation of the shell had started and not noted, or whose end it was about: nobody would ever wait for them, and they would have
/// their part of the shell's account for good.
pub fn end_left_behind(inspect: &Kernel, known: &[KeptChild]) {
    // Without the right to inspect nobody knows them.
    let held = inspect.handles(sys::identify().process).unwrap_or_default();
    let named: Vec<Handle> = known.iter().flat_map(KeptChild::handles).collect();
    let is_left = |record: &&HandleRecord| record.keep == 1 && !named.contains(&Handle(record.handle));
    for record in held.iter().filter(is_left) {
        // Dropped, the handle is closed.
        match record.kind {
            kind if kind == Kind::Account as u8 => {
                let _ = Account::from_handle(Handle(record.handle)).revoke();
            }
            kind if kind == Kind::Process as u8 => drop(Process::from_handle(Handle(record.handle))),
            kind if kind == Kind::Thread as u8 => drop(ThreadObject::from_handle(Handle(record.handle))),
            _ => {}
        }
    }
}

/// A process of a program.
struct Running {
    /// There until the drop.
    child: Option<program::Child>,
    real_time: Option<Rc<Resource>>,
    ending: Rc<Ending>,
}

impl Running {
    fn child(&self) -> Result<&program::Child, Error> {
        self.child.as_ref().ok_or(Error::BadState)
    }
}

impl Child for Running {
    fn start(&self) -> Result<(), Error> {
        self.child()?.process.start()
    }

    fn process(&self) -> u64 {
        let record = self.child().and_then(|child| child.process.exit_record());
        record.map_or(0, |record| record.process)
    }

    fn ended(&self) -> Result<Option<ExitRecord>, Error> {
        self.child()?.try_wait()
    }

    fn last_words(&self, record: &ExitRecord) -> Option<String> {
        panic::message_of(&self.child().ok()?.process, record.code)
    }

    fn kill(&self, code: u64) -> Result<(), Error> {
        self.child()?.kill(code)
    }

    fn schedule(&self, scheduling: Scheduling) -> Result<(), Error> {
        let thread = &self.child()?.thread;
        if let Some(parameters) = scheduling.parameters {
            match (parameters.policy, &self.real_time) {
                (Policy::Fair, _) => thread.schedule(parameters)?,
                (_, Some(right)) => thread.schedule_real_time(parameters, right)?,
                (_, None) => return Err(Error::Denied),
            }
        }
        if let Some(cpus) = scheduling.cpus {
            thread.set_affinity(cpus)?;
        }
        Ok(())
    }

    fn account(&self) -> Option<&Account> {
        self.child.as_ref().map(|child| &child.account)
    }

    fn keep(&self) -> Option<KeptChild> {
        let child = self.child().ok()?;
        let (process, account) = (Keepsake::of(&child.process).ok()?, Keepsake::of(&child.account).ok()?);
        Some(KeptChild { process, account, thread: Keepsake::of(&child.thread).ok()? })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            self.ending.add(child);
        }
    }
}
