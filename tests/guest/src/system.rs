//! How these programs start, and what they are given.
//!
//! From the shell they have a console and what the shell gives. With `init=bin/NAME` on the kernel's command line they start as init:
//! then they start themselves once more, as an ordinary process with every Resource there is, report its end to the host, and switch the
//! machine off. Arguments stand on the command line as `guest.arguments=A,B,C`.

use crate::console;
use crate::process::run_function;
use crate::test::Failure;
use abi::boot::{self, BootInfo, Power};
use abi::{ExitReason, Handle, Rights};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::mem::offset_of;
use libsys::program::{Launch, Program};
use libsys::sync::OnceLock;
use libsys::{Account, Channel, ExitStatus, Limits, Memory, Object, Ports, Resource, env};

/// Names of what they are given.
pub mod names {
    #![allow(missing_docs)]
    pub const ELF: &str = "elf";
    pub const ELF_BYTES: &str = "elf.bytes";
    pub const SERIAL: &str = "serial";
    pub const INSPECT: &str = "inspect";
    pub const REALTIME: &str = "realtime";
    pub const PHYSICAL: &str = "physical";
    pub const PORTS: &str = "ports";
    pub const INTERRUPTS: &str = "interrupts";
    pub const DMA: &str = "dma";
}

/// The first serial port of a PC.
const SERIAL_PORT: (u16, u16) = (0x3f8, 8);

/// Threads that these programs have at once, themselves.
const SPARE_THREADS: usize = 6;

/// What the program has to work with.
pub struct System {
    /// This program, to start other processes of it.
    pub program: Program,
    /// Its file, sealed, and how long that is.
    pub elf: (Memory, u64),
    /// What all of that is charged to.
    pub account: &'static Account,
    /// The right to inspect the system.
    pub inspect: Option<Resource>,
    /// The right to real-time priorities.
    pub realtime: Option<Resource>,
    /// The right to physical memory.
    pub physical: Option<Resource>,
    /// The right to I/O ports.
    pub ports: Option<Resource>,
    /// The right to interrupts.
    pub interrupts: Option<Resource>,
    /// The right to DMA domains.
    pub dma: Option<Resource>,
}

static SYSTEM: OnceLock<System> = OnceLock::new();

/// What the program has to work with. Panics where it could not find itself.
pub fn system() -> &'static System {
    SYSTEM.get_or_init(|| {
        let env = env::get();
        let elf = own_elf().expect("a program that finds itself");
        System {
            program: Program::from_memory(&elf.0, 0, elf.1, env::account()).expect("a program that can be started"),
            elf,
            account: env::account(),
            inspect: env.take(names::INSPECT).ok(),
            realtime: env.take(names::REALTIME).ok(),
            physical: env.take(names::PHYSICAL).ok(),
            ports: env.take(names::PORTS).ok(),
            interrupts: env.take(names::INTERRUPTS).ok(),
            dma: env.take(names::DMA).ok(),
        }
    })
}

fn own_elf() -> Result<(Memory, u64), Failure> {
    match env::get().take::<Memory>(names::ELF) {
        Ok(memory) => Ok((memory, env::parameter(names::ELF_BYTES).and_then(|bytes| bytes.parse().ok()).unwrap_or(0))),
        Err(_) => Ok(env::get().registry().program(&env::arguments()[0])?),
    }
}

/// Names the function that one of these programs runs: it gets the arguments behind the program's name.
#[macro_export]
macro_rules! main {
    ($run:path) => {
        fn start() -> libsys::ExitStatus {
            $crate::system::enter($run)
        }
        libsys::main!(start);
    };
}

/// What such a program does first.
pub fn enter(run: fn(&[String]) -> ExitStatus) -> ExitStatus {
    if let Some(function) = env::parameter("function") {
        return run_function(function);
    }
    if is_init() {
        supervise();
    }
    // Room that stays, every page of it placed: what is in use does not change with every message that is put together.
    drop(core::hint::black_box(vec![1u8; 1 << 20]));
    touch_stack();
    // The same for threads' stacks and channels, which are used again.
    libsys::thread::scope(|scope| (0..SPARE_THREADS).for_each(|_| drop(scope.spawn(|| ()))));
    run(&env::arguments()[1..])
}

/// Has the pages of the stack placed that may be needed.
#[inline(never)]
fn touch_stack() {
    core::hint::black_box([1u8; 80 * 1024]);
}

fn is_init() -> bool {
    env::arguments() == ["init"]
}

/// The kernel's command line.
fn command_line() -> Vec<u8> {
    let Ok(page) = Memory::from_handle(boot::INFO).map() else { return Vec::new() };
    let length = page.load_u64(offset_of!(BootInfo, command_line_bytes), core::sync::atomic::Ordering::Relaxed);
    let mut line = vec![0; (length as usize).min(boot::COMMAND_LINE_BYTES)];
    page.copy_out(offset_of!(BootInfo, command_line), &mut line);
    line
}

fn word_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split(' ').find_map(|word| word.strip_prefix(key))
}

/// As init: runs the program in another process, and switches the machine off when that has ended.
fn supervise() -> ! {
    let account = Account::from_handle(boot::ACCOUNT);
    let ports = Resource::from_handle(boot::PORTS);
    let serial = Ports::create(&ports, SERIAL_PORT.0, SERIAL_PORT.1, &account).expect("a serial port");
    console::serial(&serial, "\x1b]skink;begin\x07");
    let status = match run_again(&account, &ports, &serial) {
        Ok(status) => status,
        Err(error) => {
            console::serial(&serial, &format!("cannot start: {error:?}\n"));
            ExitStatus::FAILURE
        }
    };
    console::serial(&serial, &format!("\x1b]skink;exit={}\x07", status.0));
    let error = Resource::from_handle(boot::POWER).power(Power::Off, 0x10);
    panic!("the machine stays on: {error}")
}

fn run_again(account: &Account, ports: &Resource, serial: &Ports) -> Result<ExitStatus, Failure> {
    let line = String::from_utf8_lossy(&command_line()).to_string();
    let path = word_of(&line, "init=").unwrap_or("init").to_string();
    let name = path.rsplit('/').next().unwrap_or_default();
    let arguments = word_of(&line, "guest.arguments=").unwrap_or_default();
    let archive = Memory::from_handle(boot::ARCHIVE).map_sealed()?;
    let archive = tar_no_std::TarArchiveRef::new(&archive).map_err(|_| Failure::new("the boot archive is broken"))?;
    let file = archive.entries().find(|entry| entry.filename().as_str() == Ok(path.as_str()));
    let file = file.ok_or(Failure::new("this program is not in the boot archive"))?;
    let elf = file.data();
    let memory = Memory::create(account, elf.len() as u64)?;
    memory.map_writable()?.copy_in(0, elf);
    memory.seal()?;
    let program = Program::from_memory(&memory, 0, elf.len() as u64, account)?;

    let usage = account.usage()?;
    // A part is left for init itself.
    let part = |limit: u64, used: u64| (limit - used) / 10 * 9;
    let (limits, used) = (usage.limits, usage.used);
    let channel = Channel::from_handle(boot::CHANNEL);
    let resources = [
        (names::INSPECT, boot::INSPECT),
        (names::REALTIME, boot::REALTIME),
        (names::PHYSICAL, boot::PHYSICAL),
        (names::INTERRUPTS, boot::INTERRUPTS),
        (names::DMA, boot::DMA),
    ]
    .map(|(name, handle): (&str, Handle)| (name, Resource::from_handle(handle)));
    let every = Rights::all();
    let mut launch = Launch::new(&program, name)
        .arguments(arguments.split(',').filter(|argument| !argument.is_empty()))
        .grant(names::ELF, &memory, every)
        .parameter(names::ELF_BYTES, elf.len().to_string())
        .grant(names::SERIAL, serial, every)
        .grant(names::PORTS, ports, every)
        .watch(&channel, 1)
        .limits(Limits {
            frames: part(limits.frames, used.frames),
            handles: part(limits.handles, used.handles),
            threads: part(limits.threads, used.threads),
            sessions: part(limits.sessions, used.sessions),
            processes: part(limits.processes, used.processes),
        });
    for (name, resource) in &resources {
        launch = launch.grant(name, resource, every);
    }
    let child = launch.spawn(account)?;
    loop {
        if let Some(record) = child.try_wait()? {
            let reason = ExitReason::from_number(record.reason);
            if reason == ExitReason::Exit {
                return Ok(ExitStatus(record.code as u8));
            }
            let is_panic = reason == ExitReason::Panic;
            let message =
                libsys::panic::message_of(&child.process, record.code).filter(|_| is_panic).unwrap_or_default();
            let (code, address, rip) = (record.code, record.address, record.registers.rip);
            let text = format!(
                "{name} died: {} (code {code:#x}, address {address:#x}, rip {rip:#x}) {message}\n",
                reason.text()
            );
            console::serial(serial, &text);
            return Ok(ExitStatus::FAILURE);
        }
        channel.receive(None)?;
    }
}
