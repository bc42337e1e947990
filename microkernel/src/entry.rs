//! Where `arch` enters the core: at boot, by system calls, by exceptions of user code and by interrupts.
//!
//! Each entry takes the kernel lock, does what is asked, settles which thread runs next, and gives the lock up. The exit code then
//! returns to the thread that is current, or the CPU waits for an interrupt.

use crate::arch::{self, BootInformation, MAX_CPUS, apic, clock, exception, interrupts, smp};
use crate::ipc::fast;
use crate::lock::{self, Guard};
use crate::object::interrupt;
use crate::{Cpu, Kernel, boot, cpu::attention, death, log, schedule, syscall, timer};
use abi::ExitReason;
use x86_64::structures::idt::PageFaultErrorCode;

static CPUS: [Cpu; MAX_CPUS] = [const { Cpu::new() }; MAX_CPUS];

/// Steps of work that nobody waits for, done at the end of an entry.
const WORK_STEPS: usize = 2;

/// The CPU with a number below [`MAX_CPUS`].
pub fn cpu(index: usize) -> &'static Cpu {
    &CPUS[index]
}

/// The boot CPU, once the architecture is set up: makes the first processes, starts the other CPUs, and runs init.
pub fn main(information: &'static BootInformation) -> ! {
    let mut kernel = lock::acquire();
    let here = &CPUS[0];
    kernel.cpus.set(&CPUS[..apic::present_cpus().min(MAX_CPUS)]);
    kernel.enter(here);
    here.online.set(true);
    boot::start(&kernel, information);
    if kernel.cpus.get().len() > 1 {
        drop(kernel);
        smp::start_others();
        kernel = lock::acquire();
        kernel.enter(here);
    }
    boot::start_init(&kernel);
    log!(Info, "{} CPUs, {} MiB", kernel.cpus.get().len(), kernel.frames.total.get() >> 8);
    leave(kernel, here);
    // `leave` returns when a thread is current: the first one.
    arch::resume()
}

/// Another CPU, once it is set up.
pub fn ap_main(cpu: &'static Cpu) -> ! {
    let kernel = lock::acquire();
    kernel.enter(cpu);
    cpu.online.set(true);
    // Its time until now counts as idle.
    cpu.counted_until.set(clock::tsc());
    cpu.idle_time.set(cpu.counted_until.get());
    leave(kernel, cpu);
    arch::resume()
}

/// A system call of the current thread, of the kinds that have no entry of their own.
#[unsafe(link_section = ".text.entry")]
pub extern "C" fn syscall(cpu: &'static Cpu) {
    slow_syscall(lock::acquire(), cpu);
}

/// A receive of the current thread.
#[unsafe(link_section = ".text.entry")]
pub extern "C" fn receive(cpu: &'static Cpu) {
    let mut kernel = lock::acquire();
    if !fast::receive(&kernel, cpu) {
        return slow_syscall(kernel, cpu);
    }
    // A session of which it acknowledges the close.
    kernel.reap();
}

/// A call of the current thread.
#[unsafe(link_section = ".text.entry")]
pub extern "C" fn call(cpu: &'static Cpu) -> ! {
    let kernel = lock::acquire();
    if let Some(passed) = fast::call(&kernel, cpu) {
        kernel.return_with_words(passed);
    }
    slow_syscall(kernel, cpu);
    arch::resume()
}

/// A reply-and-receive of the current thread.
#[unsafe(link_section = ".text.entry")]
pub extern "C" fn reply_receive(cpu: &'static Cpu) -> ! {
    let kernel = lock::acquire();
    if let Some(passed) = fast::reply_receive(&kernel, cpu) {
        kernel.return_with_words(passed);
    }
    slow_syscall(kernel, cpu);
    arch::resume()
}

#[inline(never)]
fn slow_syscall(kernel: Guard, cpu: &'static Cpu) {
    enter(&kernel, cpu);
    let thread = cpu.current.get(&kernel).expect("a system call comes from a thread");
    if thread.process.is_running() {
        syscall::dispatch(&kernel, cpu, thread);
    } else {
        cpu.ask(attention::STOP);
    }
    leave(kernel, cpu);
}

/// An exception of user code.
pub extern "C" fn trap(cpu: &'static Cpu, vector: u64, error: u64, address: u64) {
    let kernel = lock::acquire();
    enter(&kernel, cpu);
    let thread = cpu.current.get(&kernel).expect("an exception of user code comes from a thread");
    let process = thread.process.get(&kernel);
    if process.is_running() {
        let (mut reason, code) = exception::reason(vector, error);
        let fault = match vector {
            // No mapping answers what the processor was refused in the kernel's name: it would fault again and again.
            exception::PAGE_FAULT if error & PageFaultErrorCode::USER_MODE.bits() != 0 => {
                process.space.fault(&kernel, address, error).err()
            }
            _ => Some(crate::address_space::FaultKind::Protection),
        };
        if let Some(kind) = fault {
            if kind == crate::address_space::FaultKind::StackOverflow {
                reason = ExitReason::StackOverflow;
            }
            let address = if vector == exception::PAGE_FAULT { address } else { thread.context.frame.rip.get() };
            death::kill(&kernel, process, Some(thread), reason, code, address);
        }
    } else {
        cpu.ask(attention::STOP);
    }
    leave(kernel, cpu);
}

/// An interrupt of user code, or of an idle CPU.
pub extern "C" fn interrupt(cpu: &'static Cpu, vector: u64) {
    let kernel = lock::acquire();
    enter(&kernel, cpu);
    cpu.interrupts.set(cpu.interrupts.get() + 1);
    kernel.is_interrupt.set(true);
    match vector as u8 {
        interrupts::TIMER_VECTOR => {
            apic::end_of_interrupt();
            cpu.armed.set(u64::MAX);
            cpu.ask(attention::RESCHEDULE | attention::TIMER);
            let now = clock::now();
            timer::expire(&kernel, now);
            boot::watch_init(&kernel, now);
        }
        interrupts::KICK_VECTOR => apic::end_of_interrupt(),
        interrupts::SPURIOUS_VECTOR => {}
        vector => interrupt::deliver(&kernel, vector),
    }
    kernel.is_interrupt.set(false);
    leave(kernel, cpu);
}

/// Notes which CPU has the lock, and flushes its translations where that is asked for.
fn enter(kernel: &Kernel, cpu: &'static Cpu) {
    kernel.enter(cpu);
    kernel.shootdown.enter(kernel, cpu.index() as usize);
}

/// Does some work that waits, settles what runs next, and gives the lock up. Returns when a thread is current.
fn leave(kernel: Guard, cpu: &'static Cpu) {
    // What `boot::restart_init` is for.
    let is_init_gone = || kernel.init.get(&kernel).is_some_and(|init| !init.is_running());
    if kernel.has_work() || !kernel.flushing.is_empty() || is_init_gone() || !schedule::settle(&kernel, cpu) {
        return leave_after_work(kernel, cpu);
    }
    send_kicks(&kernel);
}

#[inline(never)]
fn leave_after_work(mut kernel: Guard, cpu: &'static Cpu) {
    // Objects to be freed are the common case.
    kernel.reap();
    let mut steps = 0..WORK_STEPS;
    while kernel.has_work() && steps.next().is_some() {
        kernel.work();
    }
    boot::restart_init(&kernel);
    schedule::wake_flushed(&kernel);
    while !schedule::settle(&kernel, cpu) {
        if !kernel.has_work() {
            send_kicks(&kernel);
            let awake_until = schedule::awake_until(cpu);
            drop(kernel);
            arch::idle(&cpu.arch, awake_until);
        }
        // Nobody wants this CPU: it works off what waits, and lets the others in between the steps.
        kernel.work();
        send_kicks(&kernel);
        drop(kernel);
        // What waits may wait for a CPU that waits for the lock: where an emulator's processors take turns, it has no other turn in which it is free.
        core::hint::spin_loop();
        kernel = lock::acquire();
        enter(&kernel, cpu);
        boot::restart_init(&kernel);
        schedule::wake_flushed(&kernel);
    }
    kernel.reap();
    send_kicks(&kernel);
}

/// Interrupts the CPUs that have to flush translations.
fn send_kicks(kernel: &Kernel) {
    let mut kicks = kernel.shootdown.requests.kicks.take();
    while kicks != 0 {
        apic::kick(kicks.trailing_zeros() as usize);
        kicks &= kicks - 1;
    }
}
