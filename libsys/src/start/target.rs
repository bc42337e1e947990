//! Starting on the target.

use super::block::{self, Prefix};
use super::{ExitStatus, exit};
use crate::client;
use crate::env::{Env, Startup, names};
use crate::heap;
use crate::log::{self, Level};
use crate::sync::OnceLock;
use crate::thread::block::ThreadBlock;
use crate::{Memory, Object};
use abi::note::AbiNote;
use abi::{Handle, MessagePage, boot};
use alloc::string::ToString;
use alloc::vec;
use core::cell::UnsafeCell;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The ABI that this program is built for: loaders look for it.
#[used]
#[unsafe(link_section = ".note.skink")]
static NOTE: AbiNote = AbiNote::CURRENT;

unsafe extern "Rust" {
    /// What [`crate::main!`] makes.
    safe fn skink_main() -> ExitStatus;
}

/// The first instructions: `rdi` is the address of a startup block, or of init's boot information.
///
/// # Safety
///
/// The kernel alone comes here.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    // A frame pointer of 0 ends backtraces.
    core::arch::naked_asm!("xor ebp, ebp", "and rsp, -16", "call {start}", "ud2", start = sym start)
}

/// The main thread's block. It is in the program's own data, so that a parent need not know its layout.
struct MainBlock(UnsafeCell<MaybeUninit<ThreadBlock>>);

// SAFETY: written once, by the main thread before it has others; then only it has the address, in FS.
unsafe impl Sync for MainBlock {}

static MAIN_BLOCK: MainBlock = MainBlock(UnsafeCell::new(MaybeUninit::uninit()));

/// The handle of the process's log ring, for a panic that cannot ask the environment; 0: none.
static LOG: AtomicU64 = AtomicU64::new(0);

/// Sets the Memory of the process's log ring.
pub(crate) fn set_log_memory(ring: &Memory) {
    LOG.store(ring.handle().0, Ordering::Relaxed);
}

/// The Memory of the process's log ring, for one last use.
pub(crate) fn log_memory() -> Option<ManuallyDrop<Memory>> {
    match LOG.load(Ordering::Relaxed) {
        0 => None,
        handle => Some(ManuallyDrop::new(Memory::from_handle(Handle(handle)))),
    }
}

static ENVIRONMENT: OnceLock<Env> = OnceLock::new();

/// The process's environment.
#[inline]
pub(crate) fn environment() -> &'static Env {
    // Nothing asks before `start` has made it, but for a panic on the way there.
    ENVIRONMENT.get_or_init(|| Env::new(Startup::default()))
}

extern "C" fn start(argument: u64) -> ! {
    let startup = if argument == boot::INFO_ADDRESS { start_init() } else { start_program(argument as *const Prefix) };
    let log = startup.handles.iter().find(|(name, _)| name == names::LOG);
    LOG.store(log.map_or(0, |(_, handle)| *handle), Ordering::Relaxed);
    let env = ENVIRONMENT.get_or_init(|| Env::new(startup));
    if let Ok(Some(level)) = env.parse::<Level>("log") {
        log::set_level(level);
    }
    if !is_init() {
        client::on_bad_reply(client::ask_again);
    }
    exit(skink_main())
}

/// Sets up the main thread and the heap.
fn set_up(pages: u64, stack: (u64, u64), account: Handle) {
    let place: *mut ThreadBlock = MAIN_BLOCK.0.get().cast();
    let block = ThreadBlock::new(pages as *mut MessagePage, (stack.0 as usize, stack.1 as usize));
    // SAFETY: the only thread, which nothing has given a block yet. The kernel lets user mode write FS (CR4.FSGSBASE) and keeps it.
    unsafe {
        block.install(place);
        core::arch::asm!("wrfsbase {}", in(reg) place, options(nostack, preserves_flags));
    }
    heap::HEAP.set_account(account);
}

/// A process that another one started.
fn start_program(prefix: *const Prefix) -> Startup {
    // SAFETY: the parent mapped a startup block there, for good; if it did not, this process faults, and harms nobody else.
    let found = unsafe { prefix.read() };
    set_up(found.pages, (found.stack_start, found.stack_end), Handle(found.account));
    if found.magic != block::MAGIC || found.bytes > block::LARGEST as u64 {
        panic!("no startup block");
    }
    // SAFETY: the block holds as many bytes as its prefix says, and is read-only.
    let bytes = unsafe { core::slice::from_raw_parts(prefix.add(1).cast::<u8>(), found.bytes as usize) };
    block::decode(bytes).expect("a startup block of this ABI")
}

/// This is init.
static IS_INIT: AtomicBool = AtomicBool::new(false);

/// Whether this is init.
pub(crate) fn is_init() -> bool {
    IS_INIT.load(Ordering::Relaxed)
}

/// init: its handles are where the ABI has them.
fn start_init() -> Startup {
    set_up(boot::PAGES_ADDRESS, (boot::STACK_TOP - boot::STACK_BYTES, boot::STACK_TOP), boot::ACCOUNT);
    IS_INIT.store(true, Ordering::Relaxed);
    Startup {
        arguments: vec!["init".to_string()],
        handles: crate::boot::HANDLES.iter().map(|(name, handle)| (name.to_string(), handle.0)).collect(),
        ..Startup::default()
    }
}
