//! `free`, `uptime`, `channels`, `interrupts`, and the views that only `sys` shows.

use super::arguments::unknown_option;
use super::process::{name_of, names};
use super::{Arguments, Command, Outcome, Topic};
use crate::shell::Shell;
use crate::text::{Latency, Size, Table, Time, Uptime};
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write;
use libsys::abi::Header;
use libsys::abi::boot::ResourceKind;
use libsys::abi::inspect::CallState;
use libsys::abi::ports::MSI;
use libsys::sys::clock_read;

pub(super) static FREE: Command = Command {
    name: "free",
    usage: "[-b]",
    summary: "Shows how much memory there is, and how much of it is free.",
    details: "  -b  in bytes\n`kernel` is the kernel's image and its tables of frames; `used` is what accounts were charged for and is placed.\n",
    topic: Topic::Nothing,
    run: free,
};

fn free(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let mut bytes = false;
    while let Some(option) = arguments.option() {
        match option {
            "-b" => bytes = true,
            _ => return unknown_option(option),
        }
    }
    arguments.end()?;
    memory(shell, bytes)
}

pub(super) fn show_memory(shell: &mut Shell) -> Outcome {
    memory(shell, false)
}

fn memory(shell: &mut Shell, bytes: bool) -> Outcome {
    let system = shell.inspect.system()?;
    let show = |frames: u64| {
        let size = Size::of_frames(frames);
        if bytes { size.0.to_string() } else { size.to_string() }
    };
    let mut table = Table::new(&["", ">TOTAL", ">KERNEL", ">USED", ">FREE"]);
    table.row(&[
        &"memory",
        &show(system.frames + system.kernel_frames),
        &show(system.kernel_frames),
        &show(system.frames.saturating_sub(system.free_frames)),
        &show(system.free_frames),
    ]);
    Ok(table.write(shell)?)
}

/// What the host tool measures a boot by: nanoseconds, bytes, hertz.
pub(super) fn show_boot(shell: &mut Shell) -> Outcome {
    let system = shell.inspect.system()?;
    let used = (system.frames + system.kernel_frames).saturating_sub(system.free_frames);
    let (prompt, memory) = (shell.ready.nanoseconds(), Size::of_frames(used).0);
    let hertz = clock_read().tsc_hertz;
    writeln!(shell, "prompt {prompt}\nmemory {memory}\ntsc {hertz}")?;
    Ok(())
}

pub(super) static UPTIME: Command = Command {
    name: "uptime",
    usage: "",
    summary: "Tells how long the system runs, and how busy it was.",
    details: "",
    topic: Topic::Nothing,
    run: |shell, arguments| {
        arguments.end()?;
        show_uptime(shell)
    },
};

pub(super) fn show_uptime(shell: &mut Shell) -> Outcome {
    let system = shell.inspect.system()?;
    let cpus = shell.inspect.cpus()?;
    let busy: u64 = cpus.iter().map(|cpu| cpu.busy).sum();
    let all: u64 = cpus.iter().map(|cpu| cpu.busy.saturating_add(cpu.idle)).sum();
    let ready: u64 = cpus.iter().map(|cpu| cpu.ready).sum();
    writeln!(
        shell,
        "up {}, {} CPUs {} busy, {} processes, {} threads, {ready} ready",
        Uptime(system.uptime),
        system.cpus,
        share(busy, all),
        system.processes,
        system.threads,
    )?;
    Ok(())
}

/// A part of a whole, in percent.
fn share(part: u64, whole: u64) -> String {
    let permille = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", permille / 10, permille % 10)
}

pub(super) fn show_cpus(shell: &mut Shell) -> Outcome {
    let mut table = Table::new(&[
        ">CPU",
        ">BUSY",
        ">BUSY TIME",
        ">IDLE TIME",
        ">SWITCHES",
        ">INTERRUPTS",
        ">READY",
        ">STOLEN",
        ">THREAD",
    ]);
    for cpu in shell.inspect.cpus()? {
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
    Ok(table.write(shell)?)
}

pub(super) fn show_objects(shell: &mut Shell) -> Outcome {
    let system = shell.inspect.system()?;
    let mut table = Table::new(&["OBJECT", ">COUNT"]);
    let counts = [
        ("accounts", system.accounts),
        ("processes", system.processes),
        ("threads", system.threads),
        ("memories", system.memories),
        ("channels", system.channels),
        ("sessions", system.sessions),
        ("calls", system.calls),
        ("interrupts", system.interrupts),
        ("ioports", system.io_ports),
        ("dmadomains", system.dma_domains),
        ("resources", system.resources),
        ("handles", system.handles),
    ];
    for (name, count) in counts {
        table.row(&[&name, &count]);
    }
    Ok(table.write(shell)?)
}

pub(super) static CHANNELS: Command = Command {
    name: "channels",
    usage: "",
    summary: "Shows the channels: who serves them, and what waits there.",
    details: "",
    topic: Topic::Nothing,
    run: |shell, arguments| {
        arguments.end()?;
        show_channels(shell)
    },
};

pub(super) fn show_channels(shell: &mut Shell) -> Outcome {
    let names = names(shell)?;
    let mut table = Table::new(&[">CHANNEL", "SERVER", ">SESSIONS", ">QUEUED", ">RECEIVERS", ">CALLS", "SIGNALS", ""]);
    for channel in shell.inspect.channels()? {
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
    Ok(table.write(shell)?)
}

pub(super) fn show_calls(shell: &mut Shell) -> Outcome {
    let names = names(shell)?;
    let mut table =
        Table::new(&["CLIENT", ">THREAD", "SERVER", ">CHANNEL", "METHOD", "STATE", ">AGE", ">FAULTS", ">SERVED BY"]);
    for call in shell.inspect.calls()? {
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
    Ok(table.write(shell)?)
}

pub(super) static INTERRUPTS: Command = Command {
    name: "interrupts",
    usage: "",
    summary: "Shows the interrupts: how often they struck, and how fast their drivers were.",
    details: "Latencies are from the interrupt to the driver's acknowledgement.\n",
    topic: Topic::Nothing,
    run: |shell, arguments| {
        arguments.end()?;
        show_interrupts(shell)
    },
};

pub(super) fn show_interrupts(shell: &mut Shell) -> Outcome {
    let names = names(shell)?;
    let mut table = Table::new(&[">LINE", ">VECTOR", "DRIVER", ">COUNT", ">MEAN LATENCY", ">LONGEST", ""]);
    for interrupt in shell.inspect.interrupts()? {
        let line = match interrupt.line {
            MSI => "msi".to_string(),
            line => line.to_string(),
        };
        let mean = interrupt.total_latency / interrupt.acknowledged.max(1);
        table.row(&[
            &line,
            &interrupt.vector,
            &name_of(&names, interrupt.process),
            &interrupt.count,
            &Latency(mean),
            &Latency(interrupt.longest_latency),
            &if interrupt.masked != 0 { "masked" } else { "" },
        ]);
    }
    Ok(table.write(shell)?)
}

pub(super) fn show_ports(shell: &mut Shell) -> Outcome {
    ranges(shell, ResourceKind::Ports)
}

pub(super) fn show_device_memory(shell: &mut Shell) -> Outcome {
    ranges(shell, ResourceKind::Physical)
}

fn ranges(shell: &mut Shell, kind: ResourceKind) -> Outcome {
    let names = names(shell)?;
    let mut table = Table::new(&["FIRST", "LAST", ">LENGTH", "USED BY"]);
    let mut all = shell.inspect.ranges()?;
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
    Ok(table.write(shell)?)
}
