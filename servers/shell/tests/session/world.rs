//! A world around the shell, over the fake kernel: a terminal, init, a log, programs. The shell is the real one.

use libsys::abi::inspect::*;
use libsys::abi::{ExitReason, Parameters};
use libsys::crash::{Crash, CrashSummary};
use libsys::fake::{self, FakeProcess};
use libsys::io::{Read, Write};
use libsys::pipe::{self, PipeReader, PipeWriter};
use libsys::process::ExitRecord;
use libsys::protocol::console::{Console, ConsoleError, Mode};
use libsys::protocol::log::{Cursor, Level, Log, LogError, Record, Records};
use libsys::protocol::registry::{
    Action, DeviceIds, LogSource, Member, Registry, RegistryClient, RegistryError, Service, State,
};
use libsys::service::{self, Context, Reply, Serve, Server, StartError, Subscribers};
use libsys::state::Keepsake;
use libsys::{Account, Channel, Error, Handle, Memory, Object, Rights, Session, client};
use shell::events::{CHILD, Events};
use shell::exec;
use shell::inspect::Inspect;
use shell::launch::{Child, KeptChild, Launch, LaunchError, Launcher, Scheduling};
use shell::shell::{Parts, Shell, ShutDown};
use shell::streams::{Input, Output};
use shell::terminal::Terminal;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a test waits for something.
const PATIENCE: Duration = Duration::from_secs(20);

/// Badge of a session that may control.
const CONTROL: u64 = service::CONTROL | 1;

/// What the test sees and says.
#[derive(Default)]
pub struct Stage {
    pub input: VecDeque<u8>,
    pub output: Vec<u8>,
    /// Output that the test has looked at.
    seen: usize,
    /// Bytes that the terminal takes before it is full for a moment; 0: without end.
    pub room: usize,
    pub mode: Option<Mode>,
    pub size: (u16, u16),
    pub services: Vec<Service>,
    pub controls: Vec<(String, Action)>,
    pub shut_down: Option<(bool, u8)>,
    pub records: Vec<Record>,
    pub shown: Option<Option<Level>>,
    pub launches: Vec<Launched>,
    pub flushes: usize,
}

/// A program that was started.
#[derive(Clone)]
pub struct Launched {
    pub words: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub is_foreground: bool,
    pub scheduling: Scheduling,
    pub end: Option<ExitRecord>,
    /// The next shell would find it.
    pub is_kept: bool,
    /// Whether that was so when it was started; `None`: it was not.
    pub was_kept: Option<bool>,
}

type Shared = Arc<Mutex<Stage>>;

/// A server's process.
#[derive(Clone, Copy)]
struct Served {
    process: FakeProcess,
    channel: Handle,
}

impl Served {
    fn start<S: Serve>(make: impl FnOnce() -> S + Send + 'static) -> Served {
        let process = FakeProcess::new();
        let channel = process.new_channel();
        process.spawn(move || {
            let channel = ManuallyDrop::new(Channel::from_handle(channel));
            service::run(make(), &channel).expect("a channel to serve");
        });
        Served { process, channel }
    }

    fn session(&self, badge: u64) -> Session {
        let channel = self.channel;
        let minted = self.process.run(move || {
            let channel = ManuallyDrop::new(Channel::from_handle(channel));
            channel.mint(badge, &fake::account()).expect("a session").into_handle()
        });
        let minted = minted.expect("alive");
        let session = self.process.take(minted, Rights::all());
        self.process.run(move || libsys::sys::handle_close(minted));
        session
    }

    fn signal(&self, bits: u64) {
        let channel = self.channel;
        self.process.run(move || libsys::sys::signal(channel, bits));
    }
}

/// A terminal: the test types and reads.
struct Screen {
    stage: Shared,
    subscribers: Subscribers,
    interrupts: Option<(Channel, u64)>,
}

impl Server for Screen {
    fn start(_: &libsys::env::Env) -> Result<Self, StartError> {
        unreachable!("made by the test")
    }

    fn signal(&mut self, _: u64) {
        let mut stage = self.stage.lock().expect("a stage");
        let interrupts = stage.mode.is_some_and(|mode| mode.interrupts);
        if interrupts && let Some(at) = stage.input.iter().position(|byte| *byte == 3) {
            stage.input.drain(..=at);
            if let Some((channel, bits)) = &self.interrupts {
                channel.signal(*bits).expect("the shell's channel");
            }
        }
        drop(stage);
        self.subscribers.notify();
    }
}

impl Console for Screen {
    fn read(&mut self, _: &Context, _: u32, reply: Reply<'_, Result<Vec<u8>, ConsoleError>>) {
        reply.send(Err(ConsoleError::HungUp));
    }

    fn read_now(&mut self, _: &Context, buffer: &mut [u8]) -> Result<usize, ConsoleError> {
        let input = &mut self.stage.lock().expect("a stage").input;
        // Few at a time, so that characters and sequences come in pieces.
        let count = input.len().min(buffer.len()).min(3);
        if count == 0 {
            return Err(ConsoleError::WouldBlock);
        }
        for (place, byte) in buffer.iter_mut().zip(input.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn read_noted(&mut self, cx: &Context, _: u64, buffer: &mut [u8]) -> Result<usize, ConsoleError> {
        self.read_now(cx, buffer)
    }

    fn write(&mut self, _: &Context, bytes: &[u8]) -> Result<u32, ConsoleError> {
        let mut stage = self.stage.lock().expect("a stage");
        if stage.room == 1 {
            // Full: there is room again at once, and the writer is told.
            stage.room = 100;
            drop(stage);
            self.subscribers.notify();
            return Err(ConsoleError::WouldBlock);
        }
        let count = if stage.room == 0 { bytes.len() } else { bytes.len().min(stage.room - 1) };
        stage.room = stage.room.saturating_sub(count);
        stage.output.extend_from_slice(&bytes[..count]);
        Ok(count as u32)
    }

    fn flush(&mut self, _: &Context, reply: Reply<'_, Result<(), ConsoleError>>) {
        self.stage.lock().expect("a stage").flushes += 1;
        reply.send(Ok(()));
    }

    fn set_mode(&mut self, _: &Context, mode: Mode) -> Mode {
        let before = self.stage.lock().expect("a stage").mode.replace(mode);
        before.unwrap_or_default()
    }

    fn mode(&mut self, _: &Context) -> Mode {
        self.stage.lock().expect("a stage").mode.unwrap_or_default()
    }

    fn interrupts(&mut self, cx: &Context, channel: Channel, bits: u64) -> Result<(), ConsoleError> {
        assert!(cx.may_control());
        self.interrupts = Some((channel, bits));
        Ok(())
    }

    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64) {
        assert_eq!(channel.receive(Some(0)), Err(Error::Denied), "it may signal, and nothing else");
        self.subscribers.subscribe(cx, channel, bits);
    }

    fn size(&mut self) -> (u16, u16) {
        self.stage.lock().expect("a stage").size
    }

    fn set_size(&mut self, columns: u16, rows: u16) {
        self.stage.lock().expect("a stage").size = (columns, rows);
    }
}

libsys::serves!(Screen: Console);

/// init.
struct Init {
    stage: Shared,
    log: Served,
}

impl Server for Init {
    fn start(_: &libsys::env::Env) -> Result<Self, StartError> {
        unreachable!("made by the test")
    }
}

impl Registry for Init {
    fn ready(&mut self, _: &Context) -> Result<(), RegistryError> {
        Ok(())
    }

    fn publish(&mut self, _: &Context, _: &str, _: Option<Channel>) -> Result<(), RegistryError> {
        Err(RegistryError::NotAService)
    }

    fn connect(&mut self, _: &Context, name: &str, _: bool, reply: Reply<'_, Result<Session, RegistryError>>) {
        reply.send(match name {
            "log" => Ok(self.log.session(CONTROL)),
            _ => Err(RegistryError::NoSuchName),
        });
    }

    fn watch(&mut self, _: &Context, name: &str, _: Channel, _: u64) -> Result<State, RegistryError> {
        assert_eq!(name, "console");
        Ok(State::Ready)
    }

    fn list(&mut self, first: u64) -> Vec<Service> {
        let services = &self.stage.lock().expect("a stage").services;
        services.iter().filter(|service| u64::from(service.place) >= first).take(2).cloned().collect()
    }

    fn info(&mut self, name: &str) -> Result<Service, RegistryError> {
        let services = &self.stage.lock().expect("a stage").services;
        let found = services.iter().find(|service| service.name == name);
        found.cloned().ok_or(RegistryError::NoSuchName)
    }

    fn control(&mut self, cx: &Context, name: &str, action: Action) -> Result<(), RegistryError> {
        assert!(cx.may_control());
        if name != "init" {
            self.info(name)?;
        }
        self.stage.lock().expect("a stage").controls.push((name.into(), action));
        Ok(())
    }

    fn complain(&mut self, _: &Context, _: Session, _: u32) {}

    fn upgrade(&mut self, _: &Context, _: &str, _: Memory, _: u64, reply: Reply<'_, Result<(), RegistryError>>) {
        reply.send(Err(RegistryError::BadProgram));
    }

    fn crashes(&mut self, _: u64) -> Vec<CrashSummary> {
        Vec::new()
    }

    fn crash(&mut self, _: u64) -> Result<Crash, RegistryError> {
        Err(RegistryError::NoSuchName)
    }

    fn program(&mut self, _: &str) -> Result<(Memory, u64), RegistryError> {
        Err(RegistryError::NoSuchName)
    }

    fn programs(&mut self, first: u32) -> Vec<String> {
        let all = ["echo", "sleep", "true"];
        all.iter().skip(first as usize).take(2).map(|name| name.to_string()).collect()
    }

    fn log_ring(&mut self, _: &Context, _: u32) -> Result<(LogSource, Memory), RegistryError> {
        Err(RegistryError::Denied)
    }

    fn watch_log_rings(&mut self, _: &Context, _: Channel, _: u64) -> Result<(), RegistryError> {
        Err(RegistryError::Denied)
    }

    fn add_log_ring(&mut self, _: &Context, _: LogSource, _: Memory) -> Result<(), RegistryError> {
        Err(RegistryError::Denied)
    }

    fn ended_log_rings(&mut self, _: &Context) -> Result<Vec<u32>, RegistryError> {
        Err(RegistryError::Denied)
    }

    fn release_log_ring(&mut self, _: &Context, _: u32) -> Result<(), RegistryError> {
        Err(RegistryError::Denied)
    }

    fn shut_down(&mut self, cx: &Context, restart: bool, status: u8) -> Result<(), RegistryError> {
        assert!(cx.may_control());
        self.stage.lock().expect("a stage").shut_down = Some((restart, status));
        Ok(())
    }

    fn device_found(&mut self, _: &Context, _: &str, _: DeviceIds, _: u64) -> Result<(), RegistryError> {
        Err(RegistryError::Denied)
    }

    fn device_gone(&mut self, _: &Context, _: &str) -> Result<(), RegistryError> {
        Err(RegistryError::Denied)
    }

    fn instance(
        &mut self,
        _: &Context,
        _: &str,
        _: &str,
        _: Vec<(String, String)>,
        _: Option<Session>,
    ) -> Result<String, RegistryError> {
        Err(RegistryError::Denied)
    }

    fn remove_instance(&mut self, _: &Context, _: &str) -> Result<(), RegistryError> {
        Err(RegistryError::Denied)
    }

    fn members(&mut self, _: &str, _: u64) -> Vec<Member> {
        Vec::new()
    }

    fn watch_class(&mut self, _: &Context, _: &str, _: Channel, _: u64) -> Result<(), RegistryError> {
        Err(RegistryError::Exhausted)
    }
}

libsys::serves!(Init: Registry);

/// The log server.
struct Journal {
    stage: Shared,
    subscribers: Subscribers,
}

impl Server for Journal {
    fn start(_: &libsys::env::Env) -> Result<Self, StartError> {
        unreachable!("made by the test")
    }

    fn signal(&mut self, _: u64) {
        self.subscribers.notify();
    }
}

impl Log for Journal {
    fn read(&mut self, after: Cursor, least: Level) -> Records {
        let all = &self.stage.lock().expect("a stage").records;
        let part = &all[(after.0 as usize).min(all.len())..];
        let part = &part[..part.len().min(2)];
        let records = part.iter().filter(|record| record.level <= least).cloned().collect();
        Records { records, next: Cursor(after.0 + part.len() as u64), lost: 0 }
    }

    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64, _: Level) {
        self.subscribers.subscribe(cx, channel, bits);
    }

    fn show(&mut self, cx: &Context, least: Option<Level>) -> Result<(), LogError> {
        assert!(cx.may_control());
        self.stage.lock().expect("a stage").shown = Some(least);
        Ok(())
    }
}

libsys::serves!(Journal: Log);

/// Programs that end as their names say.
struct Programs {
    stage: Shared,
}

impl Launcher for Programs {
    fn launch(
        &mut self,
        launch: &Launch<'_>,
        terminal: &Terminal,
        events: &Events,
    ) -> Result<shell::launch::Launched, LaunchError> {
        assert!(terminal.console().inspect_handle().is_ok());
        let end = |reason: ExitReason, code| {
            let (reason, address) = (reason as u32, 0x10);
            Some(ExitRecord { reason, code, address, ..ExitRecord::default() })
        };
        let end = match launch.words[0].as_str() {
            "true" => end(ExitReason::Exit, 0),
            "echo" | "cat" | "seq" | "yes" | "count" | "complain" => None,
            "false" => end(ExitReason::Exit, 1),
            "crash" => end(ExitReason::PageFault, 6),
            "panic" => end(ExitReason::Panic, 0x1000),
            "forever" => None,
            "broken" => {
                return Err(LaunchError::Refused("it cannot be started: not an ELF executable".into()));
            }
            _ => return Err(LaunchError::NoSuchProgram),
        };
        let mut stage = self.stage.lock().expect("a stage");
        let number = stage.launches.len();
        stage.launches.push(Launched {
            words: launch.words.to_vec(),
            environment: launch.environment.to_vec(),
            is_foreground: launch.is_foreground,
            scheduling: launch.scheduling,
            end,
            is_kept: false,
            was_kept: None,
        });
        let channel = events.signaller(CHILD).expect("a channel");
        channel.signal(CHILD).expect("signalled");
        drop(stage);
        let (source, input) = match launch.streams.input {
            Input::Piped => {
                let (reader, writer) = pipe::create(libsys::env::account()).expect("a pipe");
                (Some(reader), Some(writer))
            }
            _ => (None, None),
        };
        let sink = |output: &Output| match output {
            Output::Terminal => Sink::Screen(self.stage.clone()),
            Output::Pipe(pipe) => Sink::Pipe(pipe.writer.clone()),
            Output::Open(_) => unreachable!("there are no files"),
        };
        let words = launch.words.to_vec();
        let mut begin: Option<Box<dyn FnOnce()>> = None;
        if end.is_none() && words[0] != "forever" {
            let (out, errors) = (sink(&launch.streams.output), sink(&launch.streams.errors));
            let stage = self.stage.clone();
            let ended = events.signaller(CHILD).expect("a channel");
            let run = move || {
                let code = u64::from(play(&words, source, out, errors).is_none());
                let record = ExitRecord { reason: ExitReason::Exit as u32, code, ..ExitRecord::default() };
                let mut stage = stage.lock().expect("a stage");
                stage.launches[number].end.get_or_insert(record);
                drop(stage);
                ended.signal(CHILD).expect("signalled");
            };
            begin = Some(Box::new(move || drop(libsys::thread::spawn(run).expect("a thread"))));
        }
        let begin = RefCell::new(begin);
        let child = Rc::new(Played { stage: self.stage.clone(), number, channel, begin });
        Ok(shell::launch::Launched { child, input })
    }
}

/// Where a program writes.
enum Sink {
    Screen(Shared),
    Pipe(Arc<PipeWriter>),
}

impl Sink {
    fn write(&self, text: &[u8]) -> Option<()> {
        match self {
            Sink::Screen(stage) => stage.lock().expect("a stage").output.extend_from_slice(text),
            Sink::Pipe(writer) => (&**writer).write_all(text).ok()?,
        }
        Some(())
    }
}

/// What a program does; `None`: it fails.
fn play(words: &[String], source: Option<PipeReader>, out: Sink, errors: Sink) -> Option<()> {
    match words[0].as_str() {
        "echo" => out.write((words[1..].join(" ") + "\n").as_bytes()),
        "complain" => {
            errors.write((words[1..].join(" ") + "\n").as_bytes())?;
            None
        }
        "seq" => (1..=words[1].parse().ok()?).try_for_each(|n: u32| out.write(format!("{n}\n").as_bytes())),
        "yes" => loop {
            out.write(b"y\n")?;
        },
        name => {
            let (mut source, mut all) = (source?, Vec::new());
            source.read_to_end(&mut all).ok()?;
            let text = if name == "count" { format!("{}\n", all.len()).into_bytes() } else { all };
            out.write(&text)
        }
    }
}

struct Played {
    stage: Shared,
    number: usize,
    channel: Channel,
    /// What it does, until it is started.
    begin: RefCell<Option<Box<dyn FnOnce()>>>,
}

impl Child for Played {
    fn start(&self) -> Result<(), Error> {
        let launch = &mut self.stage.lock().expect("a stage").launches[self.number];
        assert_eq!(launch.was_kept.replace(launch.is_kept), None, "started twice");
        if let Some(begin) = self.begin.borrow_mut().take() {
            begin();
        }
        Ok(())
    }

    fn keep(&self) -> Option<KeptChild> {
        self.stage.lock().expect("a stage").launches[self.number].is_kept = true;
        let object = Keepsake::of(&self.channel).expect("kept");
        Some(KeptChild { process: object, account: object, thread: object })
    }

    fn process(&self) -> u64 {
        100 + self.number as u64
    }

    fn ended(&self) -> Result<Option<ExitRecord>, Error> {
        Ok(self.stage.lock().expect("a stage").launches[self.number].end)
    }

    fn last_words(&self, _: &ExitRecord) -> Option<String> {
        Some("panicked at src/main.rs:1:1:\nno".into())
    }

    fn kill(&self, code: u64) -> Result<(), Error> {
        let reason = ExitReason::Killed as u32;
        let record = ExitRecord { reason, code, ..ExitRecord::default() };
        self.stage.lock().expect("a stage").launches[self.number].end = Some(record);
        self.channel.signal(CHILD)
    }

    fn schedule(&self, scheduling: Scheduling) -> Result<(), Error> {
        if scheduling.parameters.is_some_and(|wanted| wanted.policy != Parameters::DEFAULT.policy) {
            return Err(Error::Denied);
        }
        self.stage.lock().expect("a stage").launches[self.number].scheduling = scheduling;
        Ok(())
    }

    fn account(&self) -> Option<&Account> {
        None
    }
}

/// A system of two processes on two CPUs.
struct System;

fn name(text: &str) -> [u8; 16] {
    core::array::from_fn(|at| text.as_bytes().get(at).copied().unwrap_or(0))
}

impl Inspect for System {
    fn system(&self) -> Result<SystemRecord, Error> {
        Ok(SystemRecord {
            uptime: 61_000_000_000,
            frames: 0x1_0000,
            free_frames: 0xf000,
            processes: 2,
            threads: 3,
            cpus: 2,
            ..SystemRecord::default()
        })
    }

    fn cpus(&self) -> Result<Vec<CpuRecord>, Error> {
        let cpu = CpuRecord { busy: 1_000_000_000, idle: 3_000_000_000, ..CpuRecord::default() };
        Ok(vec![cpu, CpuRecord { cpu: 1, ..cpu }])
    }

    fn processes(&self) -> Result<Vec<ProcessRecord>, Error> {
        let init = ProcessRecord {
            process: 1,
            name: name("init"),
            state: 1,
            incarnation: 1,
            threads: 1,
            ..ProcessRecord::default()
        };
        let uart = ProcessRecord { process: 2, parent: 1, name: name("uart"), run_time: 5_000_000, ..init };
        Ok(vec![init, uart])
    }

    fn threads(&self, _: u64) -> Result<Vec<ThreadRecord>, Error> {
        Ok(vec![ThreadRecord { thread: 9, process: 2, state: 3, ..ThreadRecord::default() }])
    }

    fn mappings(&self, process: u64) -> Result<Vec<MappingRecord>, Error> {
        assert_eq!(process, 2);
        Ok(vec![MappingRecord { address: 0x40_0000, bytes: 0x2000, protection: 5, ..MappingRecord::default() }])
    }

    fn handles(&self, process: u64) -> Result<Vec<HandleRecord>, Error> {
        assert_eq!(process, 2);
        Ok(vec![HandleRecord {
            handle: 3 | 1 << 32,
            object: 7,
            kind: 6,
            rights: Rights::CALL.bits(),
            detail: 4,
            keep: 1,
            ..HandleRecord::default()
        }])
    }

    fn channels(&self) -> Result<Vec<ChannelRecord>, Error> {
        Ok(vec![ChannelRecord { channel: 4, server: 2, calls: 77, ..ChannelRecord::default() }])
    }

    fn calls(&self) -> Result<Vec<CallRecord>, Error> {
        Ok(vec![CallRecord { client: 99, server: 2, state: 4, ..CallRecord::default() }])
    }

    fn interrupts(&self) -> Result<Vec<InterruptRecord>, Error> {
        Ok(vec![InterruptRecord { line: 4, process: 2, count: 12, ..InterruptRecord::default() }])
    }

    fn ranges(&self) -> Result<Vec<RangeRecord>, Error> {
        let ports = RangeRecord { kind: 1, start: 0x3f8, length: 8, process: 2 };
        Ok(vec![ports, RangeRecord { kind: 0, start: 0xfee0_0000, length: 4096, process: 1 }])
    }
}

/// The test's side of everything.
pub struct World {
    pub stage: Shared,
    screen: Served,
    journal: Served,
    shell: Option<JoinHandle<Option<Option<ShutDown>>>>,
}

impl World {
    /// A shell that runs commands of the kernel's command line; what it wrote, and how the machine goes down.
    pub fn exec(commands: &'static str) -> (String, ShutDown, World) {
        let mut world = World::start(move |shell| Some(exec::run(shell, commands)));
        let end = world.end().expect("the machine goes down");
        let output = String::from_utf8(world.stage.lock().expect("a stage").output.clone());
        (output.expect("text"), end, world)
    }

    /// A shell at its prompt.
    pub fn interact() -> World {
        let mut world = World::start(Shell::interact);
        world.expect("skink> ");
        world
    }

    fn start(body: impl FnOnce(&mut Shell) -> Option<ShutDown> + Send + 'static) -> World {
        let stage: Shared = Shared::default();
        stage.lock().expect("a stage").services =
            ["uart", "console", "log"].iter().zip(2..).map(|(name, process)| service(name, process)).collect();
        let given = stage.clone();
        let screen = Served::start(move || Screen { stage: given, subscribers: Subscribers::new(), interrupts: None });
        let given = stage.clone();
        let journal = Served::start(move || Journal { stage: given, subscribers: Subscribers::new() });
        let given = stage.clone();
        let init = Served::start(move || Init { stage: given, log: journal });
        let given = stage.clone();
        let shell = FakeProcess::new().spawn(move || {
            let registry: RegistryClient = client::open(init.session(CONTROL)).expect("a registry");
            let registry: &'static RegistryClient = Box::leak(Box::new(registry));
            let console = client::open(screen.session(CONTROL)).expect("a console");
            let events = Rc::new(Events::new(Box::leak(Box::new(fake::channel()))));
            let memory = Memory::create(&fake::account(), 256 << 10).expect("memory");
            let records = libsys::state::Records::of(memory.map_writable().expect("mapped")).expect("room");
            let session = shell::session::Session::of(records);
            let mut shell = Shell::new(Parts {
                terminal: Terminal::new(console, events.clone(), registry),
                events,
                registry,
                inspect: Box::new(System),
                launcher: Box::new(Programs { stage: given }),
                session,
            });
            body(&mut shell)
        });
        World { stage, screen, journal, shell: Some(shell) }
    }

    /// Types bytes.
    pub fn type_keys(&self, keys: &str) {
        self.stage.lock().expect("a stage").input.extend(keys.bytes());
        self.screen.signal(1);
    }

    /// Waits for text behind what was looked at; what came up to its end.
    pub fn expect(&mut self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let mut stage = self.stage.lock().expect("a stage");
            let seen = stage.seen;
            let new = &stage.output[seen..];
            if let Some(at) = new.windows(text.len()).position(|part| part == text.as_bytes()) {
                let said = String::from_utf8_lossy(&new[..at + text.len()]).into_owned();
                stage.seen += at + text.len();
                return said;
            }
            let shown = String::from_utf8_lossy(new).into_owned();
            drop(stage);
            assert!(start.elapsed() < PATIENCE, "no {text:?} in {shown:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Runs a command: what it writes between its echo and the next prompt.
    pub fn run(&mut self, command: &str) -> String {
        self.type_keys(command);
        self.type_keys("\r");
        self.expect("\n");
        let said = self.expect("skink> ");
        said.strip_suffix("skink> ").expect("the prompt").to_string()
    }

    /// Adds a record to the log.
    pub fn log(&self, level: Level, source: &str, text: &str) {
        let record = Record {
            time: 1_500_000_000,
            level,
            source: source.into(),
            process: if source == "kernel" { 0 } else { 2 },
            thread: 1,
            text: text.into(),
        };
        self.stage.lock().expect("a stage").records.push(record);
        self.journal.signal(1);
    }

    /// Waits for the shell's end.
    pub fn end(&mut self) -> Option<ShutDown> {
        let shell = self.shell.take().expect("a shell that runs");
        shell.join().expect("joined").expect("the shell's process lives")
    }
}

fn service(name: &str, process: u64) -> Service {
    Service {
        name: name.into(),
        place: process as u32,
        state: State::Ready,
        process,
        incarnation: 1,
        faults: 0,
        complaints: 0,
        last_exit: 0,
        last_code: 0,
        started: 0,
    }
}
