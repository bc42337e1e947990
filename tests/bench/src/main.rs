//! `bench`: what the kernel's operations cost. It runs in place of init (`init=bin/bench` on the kernel's command line), so that nothing else
//! runs beside it, and prints lines of `bench NAME VALUE UNIT` on the first serial port.
//!
//! Servers are processes of their own: this program again, with other arguments. Nanoseconds are instructions where the
//! emulator counts them so (`-icount shift=0`); the host tool says which it asked for.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use abi::boot::{self, Power};
use abi::{Class, Handle, Header, Rights};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;
use libsys::client;
use libsys::env::Env;
use libsys::message::{CallPage, ServePage};
use libsys::program::{Launch, Program};
use libsys::service::{self, Server};
use libsys::sys::{self, Event};
use libsys::time::Instant;
use libsys::{
    Account, Channel, Interrupt, Memory, Object, Ports, Process, Resource, Session, env, inspect, protocol, serves,
};
use serde::{Deserialize, Serialize};

libsys::main!(run);

/// Round trips that are not measured: the first ones fault pages in.
const WARM_UP: u64 = 20;
/// Round trips that are.
const ROUNDS: u64 = 1000;
/// How long pairs of processes call each other, in nanoseconds.
const PAIRS_TIME: u64 = 500_000_000;

/// What the typed server does.
#[protocol]
pub trait Measured {
    /// The sum.
    #[replay]
    fn add(&mut self, left: u64, right: u64) -> u64;

    /// Three sums.
    #[replay]
    fn fold(&mut self, six: Six) -> Three;
}

/// A struct of six fields.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Six {
    a: u64,
    b: u32,
    c: u16,
    d: bool,
    e: i32,
    f: Option<u8>,
}

/// A struct of three.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Three {
    x: u64,
    y: u32,
    z: bool,
}

struct Folder;

impl Server for Folder {
    fn start(_: &Env) -> service::Result<Self> {
        Ok(Folder)
    }
}

impl Measured for Folder {
    fn add(&mut self, left: u64, right: u64) -> u64 {
        left.wrapping_add(right)
    }

    fn fold(&mut self, six: Six) -> Three {
        Three { x: six.a + u64::from(six.c), y: six.b + u32::from(six.f.unwrap_or(0)), z: six.d && six.e > 0 }
    }
}

serves!(Folder: Measured);

type Outcome<T> = Result<T, String>;

fn said<E: Display>(error: E) -> String {
    error.to_string()
}

fn run() -> Outcome<()> {
    match env::arguments().get(1).map(String::as_str) {
        Some("words") => serve_words(env::channel()),
        Some("payload") => serve_payload(env::channel()),
        Some("typed") => service::run(Folder, env::channel()).map_err(said),
        Some("signals") => serve_signals(env::channel()),
        Some("caller") => call_for_a_while(),
        Some("nothing") => Ok(()),
        _ => measure(),
    }
}

/// Answers calls with what they brought. A function of its own, so that its registers are its own.
#[inline(never)]
fn serve_words(channel: &Channel) -> Outcome<()> {
    let mut event = channel.receive(None);
    loop {
        event = match event {
            Ok(Event::Call { words, .. }) => channel.reply_receive(Header::default(), words, None),
            Ok(_) => channel.receive(None),
            Err(error) => return Err(said(error)),
        };
    }
}

/// Answers calls with a payload that it has read and written.
#[inline(never)]
fn serve_payload(channel: &Channel) -> Outcome<()> {
    let mut event = channel.receive(None);
    let mut copy = [0; PAYLOAD];
    loop {
        event = match event {
            Ok(Event::Call { words, .. }) => {
                let mut page = ServePage::take();
                copy.copy_from_slice(&page.payload()[..PAYLOAD]);
                copy[0] = copy[0].wrapping_add(1);
                page.payload_mut()[..PAYLOAD].copy_from_slice(&copy);
                drop(page);
                channel.reply_receive(Header::default().with_payload(PAYLOAD), words, None)
            }
            Ok(_) => channel.receive(None),
            Err(error) => return Err(said(error)),
        };
    }
}

#[inline(never)]
fn serve_signals(channel: &Channel) -> Outcome<()> {
    let back: Channel = env::get().take("back").map_err(said)?;
    loop {
        channel.receive(None).map_err(said)?;
        back.signal(1).map_err(said)?;
    }
}

/// Calls a server until the time is over, and leaves the number of calls as exit code.
fn call_for_a_while() -> Outcome<()> {
    let session = env::take_session("server").map_err(said)?;
    let end = Instant::now().nanoseconds() + PAIRS_TIME;
    let mut calls = 0;
    while Instant::now().nanoseconds() < end {
        for _ in 0..64 {
            sys::call(session.handle(), Header::words(1, Class::Replay), [0; 8]).map_err(said)?;
        }
        calls += 64;
    }
    env::process().kill(abi::ExitReason::Exit, calls).map_err(said)
}

/// 64 words.
const PAYLOAD: usize = 512;

/// What everything is started with.
struct Bench {
    program: Program,
    account: Account,
    out: Ports,
    inspection: &'static Resource,
}

/// One of the first handles, which are never closed.
fn resource(handle: Handle) -> &'static Resource {
    Box::leak(Box::new(Resource::from_handle(handle)))
}

/// This program, from the boot archive.
fn own_program(account: &Account) -> Outcome<Program> {
    let archive = Memory::from_handle(boot::ARCHIVE).map_sealed().map_err(said)?;
    let archive = tar_no_std::TarArchiveRef::new(&archive).map_err(|_| "the boot archive is broken")?;
    let file = archive.entries().find(|entry| entry.filename().as_str() == Ok("bin/bench"));
    Program::load(file.ok_or("no bin/bench in the boot archive")?.data(), account).map_err(said)
}

fn measure() -> Outcome<()> {
    let account = Account::from_handle(boot::ACCOUNT);
    let out = Ports::create(resource(boot::PORTS), 0x3f8, 8, &account).map_err(said)?;
    let program = own_program(&account)?;
    let bench = Bench { program, account, out, inspection: resource(boot::INSPECT) };
    let outcome = bench.run();
    if let Err(error) = &outcome {
        bench.print(&format!("bench failed: {error}"));
    }
    let status = if outcome.is_ok() { 0x10 } else { 0x11 };
    Err(said(resource(boot::POWER).power(Power::Off, status)))
}

impl Bench {
    fn print(&self, line: &str) {
        for byte in line.bytes().chain(*b"\r\n") {
            let _ = self.out.write_u8(0, byte);
        }
    }

    fn show(&self, name: &str, value: u64, unit: &str) {
        self.print(&format!("bench {name} {value} {unit}"));
    }

    /// Measures the average of `ROUNDS` runs, and shows it.
    #[inline(never)]
    fn measure(&self, name: &str, mut run: impl FnMut() -> Outcome<()>) -> Outcome<()> {
        for _ in 0..WARM_UP {
            run()?;
        }
        let start = Instant::now();
        for _ in 0..ROUNDS {
            run()?;
        }
        let total = start.elapsed().as_nanos() as u64;
        self.show(name, (total + ROUNDS / 2) / ROUNDS, "instructions");
        Ok(())
    }

    /// Starts this program in another process, as a server of a new channel; gives that channel.
    fn server(&self, mode: &str, back: Option<&Channel>) -> Outcome<(Process, Channel)> {
        self.server_on(u64::MAX, mode, back)
    }

    /// The same on some CPUs only, a bit each.
    fn server_on(&self, cpus: u64, mode: &str, back: Option<&Channel>) -> Outcome<(Process, Channel)> {
        let process = Process::create(&self.account, mode).map_err(said)?;
        let channel = Channel::create_for(&self.account, &process).map_err(said)?;
        let mut launch =
            Launch::new(&self.program, mode).argument(mode).grant("channel", &channel, Rights::all()).affinity(cpus);
        if let Some(back) = back {
            launch = launch.grant_signal("back", back, 1);
        }
        launch.load_into(&process, &self.account).map_err(said)?;
        process.start().map_err(said)?;
        Ok((process, channel))
    }

    fn session(&self, channel: &Channel) -> Outcome<Session> {
        channel.mint(1, &self.account).map_err(said)
    }

    fn run(&self) -> Outcome<()> {
        let cpus = inspect::system(self.inspection).map_err(said)?.cpus;
        if cpus == 1 {
            self.kernel_entry()?;
            self.calls()?;
            self.signals()?;
            self.interrupt()?;
            self.memory()?;
            self.threads()?;
            self.processes()?;
        }
        self.pairs(cpus)
    }

    fn kernel_entry(&self) -> Outcome<()> {
        self.measure("null_syscall", || {
            sys::null();
            Ok(())
        })
    }

    fn calls(&self) -> Outcome<()> {
        let (_words, channel) = self.server("words", None)?;
        let session = self.session(&channel)?;
        let header = Header::words(1, Class::Replay);
        self.measure("call_0w", || sys::call(session.handle(), header, [0; 8]).map(|_| ()).map_err(said))?;
        let mut sum = 0;
        self.measure("call_8w", || {
            let (_, words) = sys::call(session.handle(), header, [sum, 2, 3, 4, 5, 6, 7, 8]).map_err(said)?;
            sum += words[7];
            Ok(())
        })?;

        let (_payload, channel) = self.server("payload", None)?;
        let session = self.session(&channel)?;
        let mut bytes = [7; PAYLOAD];
        self.measure("call_64w", || {
            CallPage::take().payload_mut()[..PAYLOAD].copy_from_slice(&bytes);
            sys::call(session.handle(), header.with_payload(PAYLOAD), [0; 8]).map_err(said)?;
            bytes.copy_from_slice(&CallPage::take().payload()[..PAYLOAD]);
            Ok(())
        })?;

        let (_typed, channel) = self.server("typed", None)?;
        let client: MeasuredClient = client::open(self.session(&channel)?).map_err(said)?;
        let mut sum = 0;
        self.measure("call_typed", || {
            sum = client.add(sum, 3).map_err(said)?;
            Ok(())
        })?;
        let six = Six { a: 1 << 40, b: 70_000, c: 3, d: true, e: -5, f: Some(9) };
        self.measure("call_postcard", || client.fold(six).map(|_| ()).map_err(said))
    }

    fn signals(&self) -> Outcome<()> {
        let own = Channel::create(&self.account).map_err(said)?;
        let (_process, channel) = self.server("signals", Some(&own))?;
        self.measure("signal", || {
            channel.signal(1).map_err(said)?;
            own.receive(None).map(|_| ()).map_err(said)
        })
    }

    /// The programmable interval timer's channel 0 (Intel 8254), once, in mode 0, while this CPU is idle.
    fn interrupt(&self) -> Outcome<()> {
        let ports = Ports::create(resource(boot::PORTS), 0x40, 4, &self.account).map_err(said)?;
        let channel = Channel::create(&self.account).map_err(said)?;
        let line = 2;
        let interrupt = Interrupt::line(
            resource(boot::INTERRUPTS),
            line,
            libsys::interrupt::Trigger::EdgeHigh,
            &channel,
            1,
            &self.account,
        )
        .map_err(said)?;
        interrupt.set_masked(false).map_err(said)?;
        let strike = || -> Outcome<()> {
            ports.write_u8(3, 0x30).map_err(said)?;
            ports.write_u8(0, 0xff).map_err(said)?;
            ports.write_u8(0, 0).map_err(said)?;
            channel.receive(None).map_err(said)?;
            interrupt.acknowledge(true).map_err(said)
        };
        strike()?;
        let record = || -> Outcome<_> {
            let all: Vec<_> = inspect::interrupts(self.inspection).collect::<Result<_, _>>().map_err(said)?;
            all.into_iter().find(|record| record.line == u64::from(line)).ok_or_else(|| "no record".to_string())
        };
        let before = record()?;
        for _ in 0..10 {
            strike()?;
        }
        let after = record()?;
        let times = (after.acknowledged - before.acknowledged).max(1);
        self.show("irq_to_thread", (after.total_latency - before.total_latency) / times, "instructions");
        Ok(())
    }

    fn memory(&self) -> Outcome<()> {
        const PAGES: usize = 1024;
        let memory = Memory::create(&self.account, (PAGES * abi::PAGE_BYTES) as u64).map_err(said)?;
        let mapping = memory.map_writable().map_err(said)?;
        for page in 0..16 {
            mapping.store_u8(page * abi::PAGE_BYTES, 1);
        }
        let start = Instant::now();
        for page in 16..PAGES {
            mapping.store_u8(page * abi::PAGE_BYTES, 1);
        }
        self.show("page_fault", start.elapsed().as_nanos() as u64 / (PAGES as u64 - 16), "instructions");
        Ok(())
    }

    fn threads(&self) -> Outcome<()> {
        self.measure("thread_spawn", || {
            libsys::thread::spawn(|| ()).map_err(said)?.join();
            Ok(())
        })
    }

    fn processes(&self) -> Outcome<()> {
        const TIMES: u64 = 20;
        let run = || {
            Launch::new(&self.program, "nothing")
                .argument("nothing")
                .spawn(&self.account)
                .map_err(said)?
                .wait()
                .map_err(said)
        };
        run()?;
        let start = Instant::now();
        for _ in 0..TIMES {
            run()?;
        }
        self.show("process_spawn", start.elapsed().as_nanos() as u64 / TIMES, "instructions");
        Ok(())
    }

    /// Calls per second with one pair of caller and server on each CPU, neither of which leaves it.
    fn pairs(&self, cpus: u64) -> Outcome<()> {
        let mut callers = Vec::new();
        for cpu in 0..cpus {
            let (_server, channel) = self.server_on(1 << cpu, "words", None)?;
            let session = self.session(&channel)?;
            let child = Launch::new(&self.program, "caller")
                .argument("caller")
                .grant("server", &session, Rights::of(abi::Kind::Session))
                .affinity(1 << cpu)
                .spawn(&self.account)
                .map_err(said)?;
            callers.push(child);
        }
        let mut calls = 0;
        for caller in &callers {
            calls += caller.wait().map_err(said)?.code;
        }
        self.show(&format!("calls_per_second_{cpus}"), calls * 1_000_000_000 / PAIRS_TIME, "/s");
        Ok(())
    }
}
