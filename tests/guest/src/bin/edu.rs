//! A driver of QEMU's device for teaching, `edu` (QEMU's docs/specs/edu): it has the device compute factorials and copy memory, goes on at each interrupt, and
//! logs what came of it. With the parameter `storm` it never tells the device that it has seen an interrupt. So a test can see that interrupts arrive: by MSI, which this device has and others of QEMU's have only besides MSI-X, or by its line.
#![cfg_attr(target_os = "none", no_std, no_main)]

use libsys::driver::pci::Function;
use libsys::driver::{DmaBuffer, Driver, Env, Interrupt, Register, Registers, Result};
use libsys::service::Serve;
use libsys::wire::{Answer, Method, Request};

/// Bit of the channel: the device has interrupted.
const INTERRUPT: u64 = 1 << 0;

const FACTORIAL: Register<u32> = Register::at(0x08);
const STATUS: Register<u32> = Register::at(0x20);
const INTERRUPT_STATUS: Register<u32> = Register::at(0x24);
const INTERRUPT_ACKNOWLEDGE: Register<u32> = Register::at(0x64);
const FROM: Register<u64> = Register::at(0x80);
const TO: Register<u64> = Register::at(0x88);
const BYTES: Register<u64> = Register::at(0x90);
const COMMAND: Register<u64> = Register::at(0x98);

/// Bits of [`STATUS`].
const COMPUTES: u32 = 0x01;
const INTERRUPT_WHEN_COMPUTED: u32 = 0x80;

/// Bits of [`INTERRUPT_STATUS`].
const COMPUTED: u32 = 0x001;
const COPIED: u32 = 0x100;

/// Bits of [`COMMAND`]: begins to copy, out of the device, and interrupts.
const COPY: u64 = 1;
const OUT: u64 = 2;
const INTERRUPT_WHEN_COPIED: u64 = 4;

/// The device's own memory, as it names it.
const OWN_MEMORY: u64 = 0x40000;

/// The last number, whose factorial 32 bits hold.
const LAST: u32 = 12;

/// What is copied there and back.
const TEXT: [u8; 8] = *b"and back";

struct Edu {
    /// The device is this driver's as long as it has this.
    _function: Function,
    registers: Registers,
    interrupt: Interrupt,
    buffer: DmaBuffer,
    number: u32,
    copies: u32,
}

impl Driver for Edu {
    fn start(env: &Env) -> Result<Edu> {
        let function = Function::open(env)?;
        let registers = function.registers(0, 0, 0x100)?;
        while registers.read(STATUS) & COMPUTES != 0 || registers.read(COMMAND) & COPY != 0 {
            libsys::thread::yield_now();
        }
        registers.write(INTERRUPT_ACKNOWLEDGE, u32::MAX);
        function.reset_complete()?;
        let buffer = function.dma_buffer(4096)?;
        buffer.copy_in(0, &TEXT);
        let interrupt = function.interrupt(0, INTERRUPT)?;
        registers.write(STATUS, INTERRUPT_WHEN_COMPUTED);
        registers.write(FACTORIAL, 1);
        Ok(Edu { _function: function, registers, interrupt, buffer, number: 1, copies: 0 })
    }

    fn signal(&mut self, _: u64) {
        if libsys::env::parameter("storm").is_some() {
            // The device goes on asking for attention.
            let _ = self.interrupt.acknowledge(false);
            return;
        }
        let seen = self.registers.read(INTERRUPT_STATUS);
        self.registers.write(INTERRUPT_ACKNOWLEDGE, seen);
        if seen & COMPUTED != 0 {
            self.computed();
        }
        if seen & COPIED != 0 {
            self.copied();
        }
        // It is there as long as this is.
        let _ = self.interrupt.acknowledge(seen != 0);
    }
}

impl Edu {
    fn computed(&mut self) {
        libsys::info!("{}! is {}", self.number, self.registers.read(FACTORIAL));
        if self.number < LAST {
            self.number += 1;
            self.registers.write(FACTORIAL, self.number);
        } else {
            self.copy(self.buffer.device_address(), OWN_MEMORY, 0);
        }
    }

    fn copy(&self, from: u64, to: u64, direction: u64) {
        self.registers.write(FROM, from);
        self.registers.write(TO, to);
        self.registers.write(BYTES, TEXT.len() as u64);
        self.registers.write(COMMAND, COPY | direction | INTERRUPT_WHEN_COPIED);
    }

    fn copied(&mut self) {
        self.copies += 1;
        if self.copies == 1 {
            return self.copy(OWN_MEMORY, self.buffer.device_address() + 64, OUT);
        }
        let mut bytes = [0; TEXT.len()];
        self.buffer.copy_out(64, &mut bytes);
        libsys::info!("there {}", core::str::from_utf8(&bytes).unwrap_or("and not back"));
    }
}

impl Serve for Edu {
    const PROTOCOLS: &'static [&'static [Method]] = &[];

    fn dispatch(&mut self, _: &Request) -> Answer {
        Answer::NoSuchMethod
    }
}

libsys::serve!(Edu);
