//! Interrupt: a line, or a message that a device sends, bound to signal bits of a channel.
//!
//! A level line is masked when it strikes and unmasked when the driver acknowledges: so it cannot strike
//! without end; one that strikes again at once whatever its driver does, very often, stays masked. An edge or a message cannot be lost that way and is not masked, unless it strikes [`STORM`] times
//! without being acknowledged. What strikes while it is masked is signalled when it is opened again.

use super::{Account, Channel, New, Object, ObjectType, Process, Ref, Type, slab};
use crate::arch::interrupts::{DEVICE_VECTORS, msi};
use crate::arch::{apic, clock, ioapic};
use crate::{Kernel, ipc};
use abi::Error;
use abi::inspect::InterruptRecord;
use abi::ports::{MSI, Trigger};
use core::cell::Cell;
use core::ptr::NonNull;

/// Strikes without an acknowledge, after which an edge or a message is masked.
pub const STORM: u64 = 4096;

/// A level line that strikes so soon, in nanoseconds, after an acknowledge of a driver whose device had wanted nothing, was acknowledged in vain;
/// after so many times more than others, [`CALM`] of which each of these weighs up, it is a storm.
pub const SOON: u64 = 10_000;
pub const IN_VAIN: u64 = 20_000;
const CALM: u64 = 16;

/// Vectors for devices.
const VECTORS: usize = (DEVICE_VECTORS.end - DEVICE_VECTORS.start) as usize;
const WORDS: usize = VECTORS.div_ceil(64);

/// Whether an interrupt gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// Yes.
    Open,
    /// The kernel masked it, until the driver acknowledges: its process died, or it was a storm.
    Held,
    /// The driver masked it, until it unmasks.
    Masked,
}

/// An interrupt.
pub struct Interrupt {
    vector: u8,
    /// The global system interrupt; `None` for messages.
    line: Option<u32>,
    is_level: bool,
    /// The CPU that gets it.
    cpu: u32,
    channel: Ref<Channel>,
    bits: u64,
    gate: Cell<Gate>,
    /// Struck while masked.
    is_pending: Cell<bool>,
    count: Cell<u64>,
    /// Strikes since the last acknowledge, and when the first of them, or that, was, in nanoseconds.
    outstanding: Cell<u64>,
    struck: Cell<u64>,
    in_vain: Cell<u64>,
    /// The device of who acknowledged last had wanted something.
    was_served: Cell<bool>,
    longest: Cell<u64>,
    total: Cell<u64>,
    acknowledged: Cell<u64>,
}

impl Interrupt {
    /// Binds a line, or a message where `line` is [`MSI`], to bits of a channel. It gets through at once.
    ///
    /// # Errors
    /// `BadArgument` (no such line), `Busy`, `Unsupported` (no vector is left), `AccountExhausted`.
    pub fn create(
        kernel: &Kernel,
        account: &Object<Account>,
        line: u64,
        trigger: Trigger,
        channel: &Object<Channel>,
        bits: u64,
    ) -> New<Interrupt> {
        let known = u32::try_from(line).ok().filter(|line| ioapic::exists(*line));
        let line = if line == MSI { None } else { Some(known.ok_or(Error::BadArgument)?) };
        if line.is_some() && kernel.vectors.from(kernel, 0).any(|other| other.line == line) {
            return Err(Error::Busy);
        }
        let vector = kernel.vectors.unused().ok_or(Error::Unsupported)?;
        let cpu = kernel.this_cpu().index();
        let is_level = matches!(trigger, Trigger::LevelHigh | Trigger::LevelLow);
        let mut value = Interrupt {
            vector,
            line,
            is_level,
            cpu,
            channel: channel.to_ref(),
            bits,
            gate: Cell::new(Gate::Open),
            is_pending: Cell::new(false),
            count: Cell::new(0),
            outstanding: Cell::new(0),
            struck: Cell::new(0),
            in_vain: Cell::new(0),
            was_served: Cell::new(false),
            longest: Cell::new(0),
            total: Cell::new(0),
            acknowledged: Cell::new(0),
        };
        if let Some(line) = line {
            // It stays masked; where this fails below, the next who binds the line configures it anew.
            ioapic::configure(line, vector, trigger, cpu as usize);
            value.is_level = ioapic::is_level(line);
        }
        let interrupt = slab::create(kernel, account, value)?;
        kernel.vectors.set(vector, Some(NonNull::from(&*interrupt)));
        interrupt.unmask_line();
        Ok(interrupt)
    }

    /// What a device has to write, and where, to send a message; `None` for lines.
    pub fn message(&self) -> Option<(u64, u32)> {
        self.line.is_none().then(|| {
            let (address, data) = msi(self.vector, self.cpu as usize);
            (address.as_u64(), data)
        })
    }

    /// The driver has handled what struck: a level line strikes again if its device is not satisfied. `was_served`: the device had wanted something.
    pub fn acknowledge(&self, kernel: &Kernel, was_served: bool) {
        self.was_served.set(was_served);
        if self.outstanding.take() > 0 {
            let now = clock::now();
            let latency = now.saturating_sub(self.struck.replace(now));
            self.longest.set(self.longest.get().max(latency));
            self.total.set(self.total.get() + latency);
            self.acknowledged.set(self.acknowledged.get() + 1);
            if self.is_level && self.gate.get() == Gate::Open {
                self.unmask_line();
            }
        }
        if self.gate.get() == Gate::Held {
            self.open(kernel);
        }
    }

    /// Masks, or unmasks: then it need not be acknowledged.
    pub fn set_masked(&self, kernel: &Kernel, masked: bool) {
        if masked {
            self.close(Gate::Masked);
        } else {
            self.outstanding.set(0);
            self.open(kernel);
        }
    }

    fn open(&self, kernel: &Kernel) {
        self.gate.set(Gate::Open);
        // First: an edge between the driver's look at its device and this would be lost.
        self.unmask_line();
        if self.is_pending.take() {
            let _ = ipc::signal(kernel, self.channel.get(kernel), self.bits);
        }
    }

    /// An edge on a masked line is lost (82093AA data sheet §3.2.4): so it counts as struck.
    fn close(&self, gate: Gate) {
        self.gate.set(gate);
        if let Some(line) = self.line {
            ioapic::mask(line);
            self.is_pending.set(!self.is_level);
        }
    }

    fn unmask_line(&self) {
        if let Some(line) = self.line {
            ioapic::unmask(line);
        }
    }

    /// What there is to say about it.
    pub fn record(&self, kernel: &Kernel) -> InterruptRecord {
        InterruptRecord {
            line: self.line.map_or(MSI, u64::from),
            vector: self.vector as u64,
            process: self.channel.server.get(kernel).map_or(0, Object::number),
            count: self.count.get(),
            masked: (self.gate.get() != Gate::Open) as u64,
            longest_latency: self.longest.get(),
            total_latency: self.total.get(),
            acknowledged: self.acknowledged.get(),
        }
    }
}

impl Type for Interrupt {
    const TYPE: ObjectType = ObjectType::Interrupt;

    fn finalize(&self, kernel: &Kernel) {
        if let Some(line) = self.line {
            ioapic::mask(line);
        }
        kernel.vectors.set(self.vector, None);
    }
}

/// A device's vector struck on this CPU.
pub fn deliver(kernel: &Kernel, vector: u8) {
    let Some(interrupt) = kernel.vectors.get(kernel, vector) else {
        // It was on its way when its interrupt was unbound.
        return apic::end_of_interrupt();
    };
    // A level line is masked before the end of the interrupt, at which it would strike again.
    if let (true, Some(line)) = (interrupt.is_level, interrupt.line) {
        ioapic::mask(line);
    }
    apic::end_of_interrupt();
    interrupt.count.set(interrupt.count.get() + 1);
    if interrupt.gate.get() != Gate::Open {
        interrupt.is_pending.set(!interrupt.is_level);
        return;
    }
    let outstanding = interrupt.outstanding.get() + 1;
    interrupt.outstanding.set(outstanding);
    if outstanding == 1 {
        let (now, in_vain) = (clock::now(), interrupt.in_vain.get());
        let is_soon = now.saturating_sub(interrupt.struck.replace(now)) < SOON;
        interrupt.in_vain.set(if is_soon && !interrupt.was_served.get() {
            in_vain + 1
        } else {
            in_vain.saturating_sub(CALM)
        });
    }
    if outstanding == STORM && !interrupt.is_level {
        storm(interrupt, Gate::Held);
    } else if interrupt.is_level && interrupt.in_vain.get() > IN_VAIN {
        storm(interrupt, Gate::Masked);
    }
    let _ = ipc::signal(kernel, interrupt.channel.get(kernel), interrupt.bits);
}

#[cold]
fn storm(interrupt: &Interrupt, gate: Gate) {
    let times = if gate == Gate::Held { STORM } else { interrupt.in_vain.take() };
    crate::log!(Warning, "vector {} struck {times} times without an acknowledge that helped: masked", interrupt.vector);
    interrupt.close(gate);
}

/// Masks all interrupts of a process that died, until its next incarnation acknowledges or unmasks them.
pub fn mask_all_of(kernel: &Kernel, process: &Object<Process>) {
    for interrupt in kernel.vectors.from(kernel, 0).filter(|interrupt| interrupt.channel.server.holds(process)) {
        interrupt.outstanding.set(0);
        interrupt.close(Gate::Held);
    }
}

/// Who gets which vector.
pub struct Vectors {
    bound: [Cell<Option<NonNull<Object<Interrupt>>>>; VECTORS],
    /// Which of them are bound, as a bit set.
    used: [Cell<u64>; WORDS],
}

impl Vectors {
    /// Nobody gets any.
    pub const fn new() -> Vectors {
        Vectors { bound: [const { Cell::new(None) }; VECTORS], used: [const { Cell::new(0) }; WORDS] }
    }

    /// The interrupt of a vector.
    pub fn get<'k>(&self, _kernel: &'k Kernel, vector: u8) -> Option<&'k Object<Interrupt>> {
        let pointer = self.bound.get(vector.wrapping_sub(DEVICE_VECTORS.start) as usize)?.get()?;
        // SAFETY: `finalize` takes an interrupt out of here before it is freed, which needs the kernel exclusively.
        Some(unsafe { pointer.as_ref() })
    }

    /// Interrupts from a vector on.
    pub fn from<'k>(&'k self, kernel: &'k Kernel, vector: u8) -> impl Iterator<Item = &'k Object<Interrupt>> {
        let mut index = vector.saturating_sub(DEVICE_VECTORS.start) as usize;
        core::iter::from_fn(move || {
            while index < VECTORS {
                let rest = self.used[index / 64].get() >> (index % 64);
                if rest != 0 {
                    index += rest.trailing_zeros() as usize + 1;
                    return self.get(kernel, DEVICE_VECTORS.start + (index - 1) as u8);
                }
                index = (index / 64 + 1) * 64;
            }
            None
        })
    }

    fn unused(&self) -> Option<u8> {
        let index = self.used.iter().enumerate().find_map(|(word, used)| {
            (used.get() != u64::MAX).then(|| word * 64 + used.get().trailing_ones() as usize)
        })?;
        (index < VECTORS).then(|| DEVICE_VECTORS.start + index as u8)
    }

    fn set(&self, vector: u8, interrupt: Option<NonNull<Object<Interrupt>>>) {
        let index = (vector - DEVICE_VECTORS.start) as usize;
        self.bound[index].set(interrupt);
        let (word, bit) = (&self.used[index / 64], 1 << (index % 64));
        word.set(if interrupt.is_some() { word.get() | bit } else { word.get() & !bit });
    }
}
