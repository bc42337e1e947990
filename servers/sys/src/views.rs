//! The views: what the kernel's and init's records look like as text. Each writes a table, or one line.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write};
use libsys::Memory;
use libsys::abi::boot::ResourceKind;
use libsys::abi::inspect::{CallState, ThreadState};
use libsys::abi::memory::{MemoryKind, Protection};
use libsys::abi::ports::MSI;
use libsys::abi::process::ProcessState;
use libsys::abi::{Handle, Header, Kind, Policy, Rights};
use libsys::archive::Archive;
use libsys::env::Env;
use libsys::mapping::SealedMapping;
use libsys::protocol::{RegistryClient, list};
use libsys::symbols::{self, Symbols};
use libsys::sys::clock_read;
use shell::inspect::{Inspect, Kernel};
use shell::text::{Cpus, Latency, Size, Table, Time, Uptime, name};

/// Why a view is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl From<libsys::Error> for Gone {
    fn from(_: libsys::Error) -> Gone {
        Gone
    }
}

impl From<fmt::Error> for Gone {
    fn from(_: fmt::Error) -> Gone {
        Gone
    }
}

type Outcome = Result<(), Gone>;

/// A view of the whole system.
pub type View = fn(&System, &mut String) -> Outcome;

/// What a directory has files about: numbers, in their order, and names.
pub type Items = fn(&System) -> Result<Vec<(u64, String)>, Gone>;

/// A view of one of these.
pub type ItemView = fn(&System, u64, &mut String) -> Outcome;

/// All views, by the names of their files.
pub const VIEWS: [(&str, View); 14] = [
    ("boot", boot),
    ("calls", calls),
    ("channels", channels),
    ("cpus", cpus),
    ("interrupts", interrupts),
    ("iomem", device_memory),
    ("ioports", ports),
    ("memory", memory),
    ("objects", objects),
    ("processes", processes),
    ("programs", programs),
    ("services", services),
    ("threads", threads),
    ("uptime", uptime),
];

/// Directories with a file for each of something.
pub const DIRECTORIES: [(&str, Items, ItemView); 3] =
    [("crashes", capsules, crash), ("handles", by_process, handles), ("maps", by_process, maps)];

/// Where the views come from.
pub struct System {
    kernel: Kernel,
    registry: &'static RegistryClient,
    /// The boot archive, which has the names of functions.
    archive: Option<SealedMapping>,
}

impl System {
    /// What the environment has.
    pub fn new(env: &Env) -> System {
        let archive = env.take::<Memory>("archive").ok().and_then(|memory| memory.map_sealed().ok());
        System { kernel: Kernel::new(env.take("inspect").ok()), registry: libsys::env::get().registry(), archive }
    }

    fn names(&self) -> Result<BTreeMap<u64, String>, Gone> {
        Ok(self.kernel.processes()?.iter().map(|process| (process.process, name(&process.name))).collect())
    }
}

fn name_of(names: &BTreeMap<u64, String>, process: u64) -> String {
    match (process, names.get(&process)) {
        (0, _) => "-".into(),
        (_, Some(name)) => name.clone(),
        (number, None) => format!("({number})"),
    }
}

fn boot(system: &System, text: &mut String) -> Outcome {
    let record = system.kernel.system()?;
    let used = (record.frames + record.kernel_frames).saturating_sub(record.free_frames);
    writeln!(text, "memory {}\ntsc {}", Size::of_frames(used).0, clock_read().tsc_hertz)?;
    Ok(())
}

fn calls(system: &System, text: &mut String) -> Outcome {
    let names = system.names()?;
    let mut table =
        Table::new(&["CLIENT", ">THREAD", "SERVER", ">CHANNEL", "METHOD", "STATE", ">AGE", ">FAULTS", ">SERVED BY"]);
    for call in system.kernel.calls()? {
        let state = match call.state {
            state if state == CallState::Queued as u32 => "queued",
            state if state == CallState::Current as u32 => "current",
            state if state == CallState::Kept as u32 => "kept",
            state if state == CallState::Parked as u32 => "parked",
            _ => "?",
        };
        let thread = match call.serving_thread {
            0 => "-".to_string(),
            thread => thread.to_string(),
        };
        table.row(&[
            &name_of(&names, call.client),
            &call.thread,
            &name_of(&names, call.server),
            &call.channel,
            &format!("{:#010x}", Header(call.header).method()),
            &state,
            &Latency(call.age),
            &call.faults,
            &thread,
        ]);
    }
    Ok(table.write(text)?)
}

fn channels(system: &System, text: &mut String) -> Outcome {
    let names = system.names()?;
    let mut table = Table::new(&[">CHANNEL", "SERVER", ">SESSIONS", ">QUEUED", ">RECEIVERS", ">CALLS", "SIGNALS", ""]);
    for channel in system.kernel.channels()? {
        table.row(&[
            &channel.channel,
            &name_of(&names, channel.server),
            &channel.sessions,
            &channel.queued,
            &channel.receivers,
            &channel.calls,
            &format!("{:#x}", channel.signals),
            &if channel.closed != 0 { "closed" } else { "" },
        ]);
    }
    Ok(table.write(text)?)
}

/// A part of a whole, in percent.
fn share(part: u64, whole: u64) -> String {
    let permille = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", permille / 10, permille % 10)
}

fn cpus(system: &System, text: &mut String) -> Outcome {
    let titles =
        [">CPU", ">BUSY", ">BUSY TIME", ">IDLE TIME", ">SWITCHES", ">INTERRUPTS", ">READY", ">STOLEN", ">THREAD"];
    let mut table = Table::new(&titles);
    for cpu in system.kernel.cpus()? {
        let thread = if cpu.thread == 0 { "idle".to_string() } else { cpu.thread.to_string() };
        table.row(&[
            &cpu.cpu,
            &share(cpu.busy, cpu.busy.saturating_add(cpu.idle)),
            &Time(cpu.busy),
            &Time(cpu.idle),
            &cpu.switches,
            &cpu.interrupts,
            &cpu.ready,
            &cpu.stolen,
            &thread,
        ]);
    }
    Ok(table.write(text)?)
}

fn interrupts(system: &System, text: &mut String) -> Outcome {
    let names = system.names()?;
    let mut table = Table::new(&[">LINE", ">VECTOR", "DRIVER", ">COUNT", ">MEAN LATENCY", ">LONGEST", ""]);
    for interrupt in system.kernel.interrupts()? {
        let line = match interrupt.line {
            MSI => "msi".to_string(),
            line => line.to_string(),
        };
        table.row(&[
            &line,
            &interrupt.vector,
            &name_of(&names, interrupt.process),
            &interrupt.count,
            &Latency(interrupt.total_latency / interrupt.acknowledged.max(1)),
            &Latency(interrupt.longest_latency),
            &if interrupt.masked != 0 { "masked" } else { "" },
        ]);
    }
    Ok(table.write(text)?)
}

fn ports(system: &System, text: &mut String) -> Outcome {
    ranges(system, ResourceKind::Ports, text)
}

fn device_memory(system: &System, text: &mut String) -> Outcome {
    ranges(system, ResourceKind::Physical, text)
}

fn ranges(system: &System, kind: ResourceKind, text: &mut String) -> Outcome {
    let names = system.names()?;
    let mut table = Table::new(&["FIRST", "LAST", ">LENGTH", "USED BY"]);
    let mut all = system.kernel.ranges()?;
    all.retain(|range| range.kind == kind as u64);
    all.sort_by_key(|range| range.start);
    for range in all {
        let last = range.start.saturating_add(range.length.saturating_sub(1));
        let (first, last, length) = match kind {
            ResourceKind::Ports => (format!("{:#06x}", range.start), format!("{last:#06x}"), range.length.to_string()),
            _ => (format!("{:#014x}", range.start), format!("{last:#014x}"), Size(range.length).to_string()),
        };
        table.row(&[&first, &last, &length, &name_of(&names, range.process)]);
    }
    Ok(table.write(text)?)
}

fn memory(system: &System, text: &mut String) -> Outcome {
    let record = system.kernel.system()?;
    let mut table = Table::new(&["", ">TOTAL", ">KERNEL", ">USED", ">FREE"]);
    table.row(&[
        &"memory",
        &Size::of_frames(record.frames + record.kernel_frames),
        &Size::of_frames(record.kernel_frames),
        &Size::of_frames(record.frames.saturating_sub(record.free_frames)),
        &Size::of_frames(record.free_frames),
    ]);
    Ok(table.write(text)?)
}

fn objects(system: &System, text: &mut String) -> Outcome {
    let record = system.kernel.system()?;
    let mut table = Table::new(&["OBJECT", ">COUNT"]);
    for (name, count) in [
        ("accounts", record.accounts),
        ("processes", record.processes),
        ("threads", record.threads),
        ("memories", record.memories),
        ("channels", record.channels),
        ("sessions", record.sessions),
        ("calls", record.calls),
        ("interrupts", record.interrupts),
        ("ioports", record.io_ports),
        ("dmadomains", record.dma_domains),
        ("resources", record.resources),
        ("handles", record.handles),
    ] {
        table.row(&[&name, &count]);
    }
    Ok(table.write(text)?)
}

fn processes(system: &System, text: &mut String) -> Outcome {
    let mut table =
        Table::new(&[">PID", ">PARENT", "NAME", "STATE", ">INC", ">THREADS", ">HANDLES", ">MEMORY", ">CPU TIME"]);
    for process in system.kernel.processes()? {
        let state = match ProcessState::from_number(process.state) {
            Some(ProcessState::New) => "new",
            Some(ProcessState::Running) => "running",
            Some(ProcessState::Draining) => "draining",
            Some(ProcessState::Dead) => "dead",
            None => "?",
        };
        table.row(&[
            &process.process,
            &process.parent,
            &name(&process.name),
            &state,
            &process.incarnation,
            &process.threads,
            &process.handles,
            &Size::of_frames(process.resident_frames),
            &Time(process.run_time),
        ]);
    }
    Ok(table.write(text)?)
}

fn programs(system: &System, text: &mut String) -> Outcome {
    let mut first = 0;
    loop {
        let part = system.registry.programs(first).map_err(|_| Gone)?;
        if part.is_empty() {
            return Ok(());
        }
        first += part.len() as u32;
        for program in part {
            writeln!(text, "{program}")?;
        }
    }
}

fn services(system: &System, text: &mut String) -> Outcome {
    let mut table = Table::new(&["SERVICE", "STATE", ">PID", ">INC", ">FAULTS", ">COMPLAINTS", ">STARTED"]);
    for service in list::all(|first| system.registry.list(first)).map_err(|_| Gone)? {
        table.row(&[
            &service.name,
            &format!("{:?}", service.state).to_lowercase(),
            &service.process,
            &service.incarnation,
            &service.faults,
            &service.complaints,
            &Time(service.started),
        ]);
    }
    Ok(table.write(text)?)
}

fn threads(system: &System, text: &mut String) -> Outcome {
    let names = system.names()?;
    let titles = [
        ">TID",
        ">PID",
        "PROCESS",
        "STATE",
        "POLICY",
        ">PRIORITY",
        ">NOW",
        ">WEIGHT",
        ">CPU",
        "CPUS",
        ">CPU TIME",
        ">CALL AGE",
    ];
    let mut table = Table::new(&titles);
    for thread in system.kernel.threads(0)? {
        let policy = match Policy::from_number(thread.policy.into()) {
            Some(Policy::Fair) => "fair",
            Some(Policy::Fifo) => "fifo",
            Some(Policy::RoundRobin) => "rr",
            None => "?",
        };
        let age = if thread.call_age == 0 { "-".to_string() } else { Time(thread.call_age).to_string() };
        table.row(&[
            &thread.thread,
            &thread.process,
            &name_of(&names, thread.process),
            &ThreadState::text(thread.state),
            &policy,
            &thread.priority,
            &thread.effective_priority,
            &thread.weight,
            &thread.cpu,
            &Cpus(thread.affinity),
            &Time(thread.run_time),
            &age,
        ]);
    }
    Ok(table.write(text)?)
}

fn uptime(system: &System, text: &mut String) -> Outcome {
    let record = system.kernel.system()?;
    let cpus = system.kernel.cpus()?;
    let busy: u64 = cpus.iter().map(|cpu| cpu.busy).sum();
    let all: u64 = cpus.iter().map(|cpu| cpu.busy.saturating_add(cpu.idle)).sum();
    let ready: u64 = cpus.iter().map(|cpu| cpu.ready).sum();
    writeln!(
        text,
        "up {}, {} CPUs {} busy, {} processes, {} threads, {ready} ready",
        Uptime(record.uptime),
        record.cpus,
        share(busy, all),
        record.processes,
        record.threads,
    )?;
    Ok(())
}

fn by_process(system: &System) -> Result<Vec<(u64, String)>, Gone> {
    let processes = system.kernel.processes()?;
    Ok(processes.iter().map(|process| (process.process, process.process.to_string())).collect())
}

fn capsules(system: &System) -> Result<Vec<(u64, String)>, Gone> {
    let all = list::all(|first| system.registry.crashes(first)).map_err(|_| Gone)?;
    Ok(all.iter().map(|crash| (crash.number, crash.file_name())).collect())
}

fn crash(system: &System, number: u64, text: &mut String) -> Outcome {
    let crash = system.registry.crash(number).map_err(|_| Gone)?;
    let archive = system.archive.as_deref();
    let range = archive.and_then(|bytes| Archive::read(bytes).ok()?.find(symbols::FILE));
    let symbols = archive.zip(range).and_then(|(bytes, range)| Symbols::read(&bytes[range]));
    let function = |address| {
        let found = symbols.and_then(|symbols| symbols.function(&crash.binary, address));
        found.map(|(name, offset)| format!("{name} + {offset:#x}")).into_iter().collect()
    };
    Ok(crash.write(text, function)?)
}

fn handles(system: &System, process: u64, text: &mut String) -> Outcome {
    const LETTERS: [(Rights, char); 11] = [
        (Rights::DUPLICATE, 'D'),
        (Rights::INSPECT, 'I'),
        (Rights::MANAGE, 'M'),
        (Rights::READ, 'r'),
        (Rights::WRITE, 'w'),
        (Rights::EXECUTE, 'x'),
        (Rights::RECEIVE, 'R'),
        (Rights::MINT, 'T'),
        (Rights::SIGNAL, 'S'),
        (Rights::CALL, 'C'),
        (Rights::CHARGE, '$'),
    ];
    let mut table = Table::new(&["HANDLE", "KIND", ">OBJECT", "RIGHTS", "KEPT", "DETAIL"]);
    for record in system.kernel.handles(process)? {
        let handle = Handle(record.handle);
        let rights = Rights::from_bits_truncate(record.rights);
        let letters = LETTERS.iter().map(|(right, letter)| if rights.contains(*right) { *letter } else { '-' });
        let detail = match Kind::from_number(record.kind) {
            Some(Kind::Channel) => format!("signals {:#x}", record.detail),
            Some(Kind::Session) => format!("channel {}", record.detail),
            _ if record.detail == 0 => String::new(),
            _ => format!("{:#x}", record.detail),
        };
        table.row(&[
            &format!("{}.{}", handle.slot(), handle.generation()),
            &Kind::from_number(record.kind).map_or("?", Kind::name),
            &record.object,
            &letters.collect::<String>(),
            &if record.keep != 0 { "kept" } else { "" },
            &detail,
        ]);
    }
    Ok(table.write(text)?)
}

fn maps(system: &System, process: u64, text: &mut String) -> Outcome {
    let mut table = Table::new(&["ADDRESS", "END", ">SIZE", "ACCESS", "KIND", ">MEMORY", ">OFFSET", ">RESIDENT"]);
    for mapping in system.kernel.mappings(process)? {
        let protection = Protection::from_bits_truncate(mapping.protection);
        let letters = [(Protection::READ, 'r'), (Protection::WRITE, 'w'), (Protection::EXECUTE, 'x')];
        let access = letters.iter().map(|(right, letter)| if protection.contains(*right) { *letter } else { '-' });
        let kind = match MemoryKind::from_number(mapping.kind.into()) {
            Some(MemoryKind::Anonymous) => "memory",
            Some(MemoryKind::Dma) => "dma",
            Some(MemoryKind::Device) => "device",
            None => "?",
        };
        table.row(&[
            &format!("{:#014x}", mapping.address),
            &format!("{:#014x}", mapping.address.saturating_add(mapping.bytes)),
            &Size(mapping.bytes),
            &access.collect::<String>(),
            &kind,
            &mapping.memory,
            &format!("{:#x}", mapping.offset),
            &Size::of_frames(mapping.resident_frames),
        ]);
    }
    Ok(table.write(text)?)
}
