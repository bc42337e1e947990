//! Where `arch` enters the core. (A stand-in, replaced by the core: it runs two user threads.)
#![allow(missing_docs)]
use crate::arch::*;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use ::x86_64::PhysAddr;
use ::x86_64::structures::paging::{PageTable, PageTableFlags as F};

#[repr(C)]
pub struct Cpu {
    pub arch: CpuLocal,
    current: Cell<Option<&'static Context>>,
}
// SAFETY: stand-in.
unsafe impl Sync for Cpu {}
static CPUS: [Cpu; MAX_CPUS] = [const { Cpu { arch: CpuLocal::new(), current: Cell::new(None) } }; MAX_CPUS];
static ALIVE: AtomicUsize = AtomicUsize::new(0);
static KICKS: AtomicUsize = AtomicUsize::new(0);
static TICKS: AtomicU64 = AtomicU64::new(0);
static TABLE: AtomicU64 = AtomicU64::new(0);
static BUMP: AtomicU64 = AtomicU64::new(0);

pub fn cpu(index: usize) -> &'static Cpu {
    &CPUS[index]
}

pub extern "C" fn syscall(cpu: &Cpu) {
    let frame = &cpu.current.get().unwrap().frame;
    match frame.rax.get() {
        0 => {}
        1 => {
            crate::log!(Info, "user says {} ({:#x})", frame.rdi.get(), frame.rsi.get());
        }
        2 => {
            // sleep: leave, idle, come back by the timer
            leave(cpu.current.get().unwrap());
            load_kernel_space();
            timer::arm(clock::now() + frame.rdi.get());
            idle(&cpu.arch);
        }
        3 => {
            timer::arm(clock::now() + frame.rdi.get());
        }
        4 => panic!("deliberate"),
        5 => {
            // SAFETY: stand-in: a wild write of the kernel.
            unsafe { (0xffff_c000_dead_0000 as *mut u64).write_volatile(1) };
        }
        6 => {
            fn deep(n: u64) -> u64 { let a = core::hint::black_box([n; 64]); if n == 0 { 0 } else { deep(core::hint::black_box(n) + 1) + a[5] } }
            deep(1);
        }
        7 => {
            // SAFETY: stand-in: SMAP and the read-only text in the direct map.
            unsafe { if frame.rdi.get() == 0 { (0x40_0000 as *mut u64).read_volatile(); } else { (PHYSICAL_BASE as *mut u64).add(0x10_0000/8).write_volatile(0) } };
        }
        8 => { clock_check(); }
        n => {
            crate::log!(Info, "exit {n} ticks {} kicks {}", TICKS.load(Relaxed), KICKS.load(Relaxed));
            power::off(n as u8);
        }
    }
    frame.rax.set(0);
}

pub extern "C" fn trap(cpu: &Cpu, vector: u64, error: u64, address: u64) {
    let frame = &cpu.current.get().unwrap().frame;
    crate::log!(Info, "trap {vector} {:?} error {error:#x} address {address:#x} rip {:#x} rcx {:#x}", exception::reason(vector, error), frame.rip.get(), frame.rcx.get());
    // the user left the address to go on at in rbx
    frame.rip.set(frame.rbx.get());
}

pub extern "C" fn interrupt(cpu: &Cpu, vector: u64) {
    apic::end_of_interrupt();
    match vector as u8 {
        interrupts::TIMER_VECTOR => {
            TICKS.fetch_add(1, Relaxed);
            let thread = cpu.current.get().unwrap();
            switch(&cpu.arch, None, thread, PhysAddr::new(TABLE.load(Relaxed)), false);
        }
        interrupts::KICK_VECTOR => {
            KICKS.fetch_add(1, Relaxed);
            if cpu.current.get().is_none() {
                idle(&cpu.arch)
            }
        }
        _ => panic!("vector {vector}"),
    }
}

pub fn ap_main(cpu: &'static Cpu) -> ! {
    ALIVE.fetch_add(1, Relaxed);
    idle(&cpu.arch)
}

fn clock_check() {
    // against the PIT: 20 ms
    port::write(0x43, 1, 0x30); port::write(0x40, 1, 0xff); port::write(0x40, 1, 0xff);
    let read = || { port::write(0x43, 1, 0); let l = port::read(0x40, 1); l | port::read(0x40, 1) << 8 };
    while read() > 0xfff0 {}
    let (a, t) = (read(), clock::now());
    while a - read() < 30000 {}
    let (b, u) = (read(), clock::now());
    crate::log!(Info, "pit {} ns, clock {} ns", u64::from(a - b) * 1_000_000_000 / 1193182, u - t);
}

fn frame() -> PhysAddr {
    let at = BUMP.fetch_add(4096, Relaxed);
    // SAFETY: stand-in.
    unsafe { direct_map(PhysAddr::new(at)).write_bytes(0, 4096) };
    PhysAddr::new(at)
}

fn map(table: PhysAddr, address: u64, flags: F) -> PhysAddr {
    let mut at = table;
    for level in (1..=4).rev() {
        // SAFETY: stand-in.
        let t = unsafe { &mut *direct_map(at).cast::<PageTable>() };
        let e = &mut t[(address >> (3 + 9 * level) & 511) as usize];
        if e.is_unused() {
            e.set_addr(frame(), if level == 1 { flags | F::PRESENT | F::USER_ACCESSIBLE } else { F::PRESENT | F::WRITABLE | F::USER_ACCESSIBLE });
        }
        at = e.addr();
    }
    at
}

core::arch::global_asm!(
    ".pushsection .rodata.user, \"a\"",
    ".global user_code, user_code_end",
    "user_code:",
    // registers survive a timer interrupt
    "mov rbp, 0x1234", "mov r15, 0x15", "mov rcx, 0xcc", "mov r11, 0x11",
    "mov eax, 3", "mov edi, 100000", "syscall",
    "mov rcx, 0xcc", "mov r11, 0x11", "xor esi, esi",
    "2: inc rsi", "cmp rsi, 3000000", "jb 2b",
    "cmp rcx, 0xcc", "jne 9f", "cmp r11, 0x11", "jne 9f", "cmp rbp, 0x1234", "jne 9f", "cmp r15, 0x15", "jne 9f",
    "mov eax, 1", "mov edi, 1", "syscall",
    // sleep through idle; fs base kept
    "mov rax, 0x123456", "wrfsbase rax",
    "mov eax, 2", "mov edi, 3000000", "syscall",
    "rdfsbase rsi", "mov eax, 1", "mov edi, 2", "syscall",
    // null syscalls
    "rdtsc", "mov r12d, eax", "mov r13d, 1000",
    "3: xor eax, eax", "syscall", "dec r13d", "jnz 3b",
    "rdtsc", "sub eax, r12d", "mov esi, eax", "mov edi, 3", "mov eax, 1", "syscall",
    "mov eax, 8", "syscall",
    // faults
    "lea rbx, [rip + 4f]", "mov rax, 0xdead0000", "mov rcx, 0x77", "mov [rax], eax", "4:",
    "lea rbx, [rip + 4f]", "mov rax, 0x8000000000000000", "mov [rax], eax", "4:",
    "lea rbx, [rip + 4f]", "ud2", "4:",
    "lea rbx, [rip + 4f]", "cli", "4:",
    "lea rbx, [rip + 4f]", "in al, dx", "4:",
    "lea rbx, [rip + 4f]", "movaps xmm0, xmm1", "4:",
    "lea rbx, [rip + 4f]", "fld1", "4:",
    "lea rbx, [rip + 4f]", "vaddps ymm0, ymm1, ymm2", "4:",
    "lea rbx, [rip + 4f]", "paddb mm0, mm1", "4:",
    "lea rbx, [rip + 4f]", "int3", "4:",
    "lea rbx, [rip + 4f]", "int 0x80", "4:",
    "lea rbx, [rip + 4f]", "int 0xf0", "4:",
    "lea rbx, [rip + 4f]", "xor ecx, ecx", "div ecx", "4:",
    "lea rbx, [rip + 4f]", "sgdt [rsp-16]", "4:",
    "lea rbx, [rip + 4f]", "mov qword ptr [rip + user_code], 0", "4:",
    "lea rbx, [rip + 4f]", "mov rax, 0xffffffff80100000", "jmp rax", "4:",
    "lea rbx, [rip + 4f]", "mov rax, 0xffff800000000000", "mov rax, [rax]", "4:",
    "lea rbx, [rip + 4f]", "mov rax, 0x500000", "jmp rax", "4:",
    // flags that must not hurt
    "lea rbx, [rip + 4f]", "pushfq", "or qword ptr [rsp], 0x44400", "popfq", "mov eax, 1", "mov edi, 4", "syscall", "mov eax, [0x7000000]", "4: mov eax, 0x21", "syscall",
    "9: mov eax, 99", "syscall",
    "user_code_end:",
    ".popsection",
);
unsafe extern "C" {
    static user_code: u8;
    static user_code_end: u8;
}

pub fn main(info: &'static BootInformation) -> ! {
    crate::log!(Info, "hello {} Hz {:?} cmdline {:?} rsdp {:x}", clock::tsc_hertz(), info.usable.as_slice(), str::from_utf8(info.command_line()), info.rsdp);
    let n = smp::start_others();
    crate::log!(Info, "{n} cpus, lines {}", ioapic::lines());
    while ALIVE.load(Relaxed) + 1 < n {}
    let before = clock::now();
    (1..n).for_each(apic::kick);
    while KICKS.load(Relaxed) + 1 < n {}
    crate::log!(Info, "kicked in {} ns", clock::now() - before);
    BUMP.store(info.usable.as_slice().iter().find(|r| r.end - r.start > 1 << 17).unwrap().start.as_u64(), Relaxed);
    let table = frame();
    TABLE.store(table.as_u64(), Relaxed);
    // SAFETY: stand-in.
    unsafe {
        direct_map(table).add(2048).copy_from(direct_map(kernel_table()).add(2048), 2048);
        let code = map(table, 0x40_0000, F::empty());
        direct_map(code).copy_from(&raw const user_code, (&raw const user_code_end).offset_from_unsigned(&raw const user_code));
    }
    map(table, 0x50_0000, F::WRITABLE | F::NO_EXECUTE);
    static THREAD: spin::Once<Thread> = spin::Once::new();
    struct Thread(Context);
    // SAFETY: stand-in.
    unsafe impl Sync for Thread {}
    // SAFETY: stand-in.
    unsafe impl Send for Thread {}
    let thread = &THREAD.call_once(|| Thread(Context::new(0x40_0000, 0x50_1000, 0, 0))).0;
    let cpu = cpu(0);
    cpu.current.set(Some(thread));
    let line = info.command_line();
    let word = |w: &[u8]| line.split(|b| *b == b' ').any(|x| x == w);
    let call = if word(b"panic") { 4 } else if word(b"wild") { 5 } else if word(b"deep") { 6 } else if word(b"smap") { 7 } else if word(b"text") { thread.frame.rdi.set(1); 7 } else { 0 };
    if word(b"restart") { power::restart() }
    if word(b"off") { port::write(0xf4, 1, 3); power::off(5) }
    if call != 0 {
        thread.frame.rax.set(call);
        syscall(cpu);
    }
    switch(&cpu.arch, None, thread, table, false);
    timer::arm(0);
    idle(&cpu.arch)
}
