//! The first account, the Resources, and init: what a machine starts with, and how init starts again.
//!
//! init runs from its pinned image in the boot archive. When it dies, or has not received for too long, the kernel resets it and
//! loads it again, with the handles that it marked to be kept.

use crate::address_space::Placement;
use crate::arch::{BootInformation, Context, clock};
use crate::elf_image::{self, Segment};
use crate::ipc::flight;
use crate::object::{Account, AnyRef, Channel, Memory, Object, Process, Resource, Thread, process::State};
use crate::{Kernel, Progress, arch, archive, death, log, panic, syscall};
use abi::boot::{self, BootInfo, ResourceKind};
use abi::memory::{MemoryKind, Protection};
use abi::{Error, ExitReason, Handle, Limits, Rights};

/// How long init may run without receiving, in nanoseconds.
pub const INIT_DEADLINE: u64 = 5_000_000_000;

/// Deaths of init without having received once, after which the machine stops.
const MOST_EARLY_DEATHS: u64 = 5;

/// Name of init in the boot archive, unless the command line's `init=` says otherwise.
const DEFAULT_INIT: &str = "init";

/// Gives the kernel its memory, and makes the root account and the process of init with its handles.
pub fn start(kernel: &Kernel, information: &'static BootInformation) {
    kernel.kernel_table.set(arch::kernel_table());
    for range in information.usable.as_slice() {
        // SAFETY: the boot code found this memory usable, direct-mapped it, and took out what it uses itself.
        unsafe { kernel.frames.add(range.clone()) };
    }
    kernel.ranges.ram.set(information.ram.as_slice());
    kernel.boot.set(Some(information));
    let limits = Limits {
        frames: kernel.frames.free.get(),
        handles: 1 << 20,
        threads: 1 << 16,
        sessions: 1 << 20,
        processes: 1 << 16,
    };
    let root = Account::root(kernel, limits);
    if let Err(error) = make_init(kernel, root.get(kernel), information) {
        panic::boot_error(format_args!("too little memory for init: {error}"));
    }
    kernel.root_account.set(Some(root));
}

/// Makes init's process, and gives it its first handles, in the order of [`abi::boot`].
fn make_init(kernel: &Kernel, root: &Object<Account>, information: &'static BootInformation) -> Result<(), Error> {
    // The pages of the devices that the kernel drives itself: nobody gets them as device memory.
    for range in information.devices.as_slice() {
        kernel.ranges.claim(kernel, root, ResourceKind::Physical, range.start.as_u64(), range.end - range.start, 0)?;
    }
    let mut name = [0; 16];
    name[..4].copy_from_slice(b"init");
    let init = Process::create(kernel, root, 0, name)?;
    let init = init.get(kernel);
    // The kernel itself holds init: no closed handle ends it.
    init.outside_handles.set(1);
    init.is_init.set(true);
    kernel.init.set(Some(init.to_ref()));
    let channel = Channel::create(kernel, root, init)?;
    let info = Memory::create(kernel, root, abi::PAGE_BYTES as u64, MemoryKind::Anonymous)?;
    let archive = Memory::adopt(kernel, root, information.archive.clone())?;
    let log = Memory::adopt(kernel, root, log::ring()..log::ring() + log::BYTES)?;
    let mut next = 1;
    let mut give = |object: AnyRef, rights: Rights, mask: u64| {
        let handle = flight::land_new(kernel, init, object, mask)?;
        assert_eq!(handle, Handle::new(next, 1), "init's handles have fixed numbers");
        next += 1;
        let limited = rights & Rights::of(init.handles.describe(kernel, handle)?.kind);
        init.handles.limit(handle, limited)?;
        init.handles.set_keep(handle, true)
    };
    let read = Rights::DUPLICATE | Rights::INSPECT | Rights::READ;
    give(AnyRef::new(root.to_ref()), Rights::all(), 0)?;
    give(AnyRef::new(init.to_ref()), Rights::all(), 0)?;
    give(AnyRef::new(channel.clone()), Rights::all(), u64::MAX)?;
    give(AnyRef::new(info.clone()), read, 0)?;
    give(AnyRef::new(archive.clone()), read | Rights::EXECUTE, 0)?;
    give(AnyRef::new(log.clone()), read, 0)?;
    for kind in ResourceKind::ALL {
        give(AnyRef::new(Resource::create(kernel, root, kind)?), Rights::all(), 0)?;
    }
    channel.is_watched.set(true);
    kernel.init_memory.set(Some((info, archive)));
    Ok(())
}

/// Loads init and starts it, as its current incarnation.
pub fn start_init(kernel: &Kernel) {
    let init = kernel.init.get(kernel).expect("init was made");
    if let Err(reason) = load_init(kernel, init) {
        panic::boot_error(format_args!("init: {reason}"));
    }
    syscall::process::start_process(kernel, init).expect("init is new and has a thread");
}

fn load_init(kernel: &Kernel, init: &Object<Process>) -> Result<(), &'static str> {
    let information = kernel.boot.get().expect("set at boot");
    let no_memory = |_: Error| "not enough memory";
    let (info, archive) = kernel.init_memory.take().expect("made at boot");
    write_info(kernel, info.get(kernel), init.incarnation.get(), information);
    map(kernel, init, info.get(kernel), boot::INFO_ADDRESS, Protection::READ).map_err(no_memory)?;
    map(kernel, init, archive.get(kernel), boot::ARCHIVE_ADDRESS, Protection::READ).map_err(no_memory)?;
    kernel.init_memory.set(Some((info, archive)));

    let name = parameter(information.command_line(), b"init=").unwrap_or(DEFAULT_INIT.as_bytes());
    let bytes = archive::find(archive_bytes(information), name)?;
    let entry =
        elf_image::load(bytes, |segment| map_segment(kernel, init, segment).map_err(|_| "a segment cannot be mapped"))?;
    let root = kernel.root_account.get(kernel).unwrap_or_else(|| init.account.get(kernel));
    let stack = Memory::create(kernel, root, boot::STACK_BYTES, MemoryKind::Anonymous).map_err(no_memory)?;
    let stack_bottom = boot::STACK_TOP - boot::STACK_BYTES;
    map(kernel, init, stack.get(kernel), stack_bottom, Protection::READ | Protection::WRITE).map_err(no_memory)?;
    let context = Context::new(entry, boot::STACK_TOP, boot::INFO_ADDRESS, 0);
    Thread::create(kernel, init, root, context, boot::PAGES_ADDRESS).map_err(no_memory)?;
    Ok(())
}

/// The bytes of the boot archive.
fn archive_bytes(information: &'static BootInformation) -> &'static [u8] {
    let range = &information.archive;
    // SAFETY: the boot loader put the archive there; nobody writes it, and it is never freed.
    unsafe { core::slice::from_raw_parts(arch::direct_map(range.start), (range.end - range.start) as usize) }
}

fn map_segment(kernel: &Kernel, init: &Object<Process>, segment: Segment) -> Result<(), Error> {
    let root = init.account.get(kernel);
    let memory = Memory::create(kernel, root, segment.pages_bytes, MemoryKind::Anonymous)?;
    memory.write(kernel, segment.offset, segment.bytes)?;
    if segment.protection.contains(Protection::EXECUTE) {
        while let Progress::More = memory.seal(kernel)? {}
    }
    map(kernel, init, memory.get(kernel), segment.address, segment.protection)
}

fn map(kernel: &Kernel, init: &Process, memory: &Object<Memory>, at: u64, protection: Protection) -> Result<(), Error> {
    let placement = Placement {
        address: at,
        offset: 0,
        bytes: memory.bytes(),
        word: protection.bits() as u64,
        rights: Rights::all(),
    };
    init.space.map(kernel, memory, placement).map(|_| ())
}

/// Tells init about the machine.
fn write_info(kernel: &Kernel, info: &Memory, incarnation: u64, information: &BootInformation) {
    let line = information.command_line();
    let length = line.len().min(boot::COMMAND_LINE_BYTES);
    let words = [
        incarnation,
        information.archive.end - information.archive.start,
        information.rsdp.as_u64(),
        clock::tsc_hertz(),
        kernel.cpus.get().len() as u64,
        kernel.frames.total.get(),
        information.boot_tsc,
        length as u64,
    ];
    const { assert!(core::mem::offset_of!(BootInfo, command_line) == 64) };
    for (index, word) in words.into_iter().enumerate() {
        info.write(kernel, index as u64 * 8, &word.to_le_bytes()).expect("the page holds it");
    }
    info.write(kernel, 64, &line[..length]).expect("the page holds it");
}

/// The value of the first `key=value` word of a command line.
pub fn parameter<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    line.split(|byte| *byte == b' ').find_map(|word| word.strip_prefix(key))
}

/// Starts init again once it is dead: called at the end of each entry.
pub fn restart_init(kernel: &Kernel) {
    let Some(init) = kernel.init.get(kernel) else { return };
    match init.state.get() {
        State::Running => {}
        State::Dead if !init.reset_asked.get() => reset_init(kernel, init),
        State::New if init.incarnation.get() > 1 => start_init(kernel),
        _ => {}
    }
}

#[cold]
fn reset_init(kernel: &Kernel, init: &Object<Process>) {
    let exit = init.exit.get().expect("the dead have a record");
    let reason = ExitReason::from_number(exit.reason).text();
    log!(
        Critical,
        "init ended ({}, code {:#x}, address {:#x}, rip {:#x}): it starts again",
        reason,
        exit.code,
        exit.address,
        exit.registers.rip
    );
    let deaths = kernel.init_early_deaths.get() + 1;
    kernel.init_early_deaths.set(deaths);
    if deaths >= MOST_EARLY_DEATHS {
        panic::boot_error(format_args!("init ends again and again ({}, rip {:#x})", reason, exit.registers.rip));
    }
    death::ask_reset(kernel, init).expect("a dead process can be reset");
}

/// init has received, and waits or has something to do at once: it has to receive again until then.
pub fn init_receives(kernel: &Kernel, until: u64) {
    kernel.watchdog.set(until);
    kernel.init_early_deaths.set(0);
}

/// A thread of init runs: it has to receive again within a time.
pub fn init_runs(kernel: &Kernel) {
    if kernel.watchdog.get() == u64::MAX {
        kernel.watchdog.set(clock::now() + INIT_DEADLINE);
    }
}

/// Kills init when it has not received for too long.
pub fn watch_init(kernel: &Kernel, now: u64) {
    if now >= kernel.watchdog.get()
        && let Some(init) = kernel.init.get(kernel)
    {
        kernel.watchdog.set(u64::MAX);
        death::kill(kernel, init, None, ExitReason::Hung, 0, 0);
    }
}
