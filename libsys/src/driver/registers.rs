//! A device's registers in memory, as types.
//!
//! ```
//! use libsys::driver::Register;
//!
//! const CONTROL: Register<u32> = Register::at(0x00);
//! const STATUS: Register<u32> = Register::at(0x08);
//! # let _ = (CONTROL, STATUS);
//! ```
//!
//! `registers.read(STATUS)` and `registers.write(CONTROL, 1)` reach the device, each once, in order.

use crate::{Error, Memory, WritableMapping};
use core::marker::PhantomData;

/// Where a register is, and how wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register<T> {
    offset: usize,
    width: PhantomData<T>,
}

impl<T: Width> Register<T> {
    /// The register at an offset, in bytes, which its width divides.
    pub const fn at(offset: usize) -> Register<T> {
        assert!(offset.is_multiple_of(size_of::<T>()), "a register is aligned to its width");
        Register { offset, width: PhantomData }
    }

    /// The register that stands `index` strides of `stride` bytes behind this one: of an array of them.
    pub const fn index(self, index: usize, stride: usize) -> Register<T> {
        Register::at(self.offset + index * stride)
    }

    /// Its offset.
    pub const fn offset(self) -> usize {
        self.offset
    }
}

mod sealed {
    pub trait Sealed {}
}

/// The widths of registers: `u8`, `u16`, `u32`, `u64`.
pub trait Width: Copy + sealed::Sealed {}

macro_rules! widths {
    ($($name:ty),*) => { $(
        impl sealed::Sealed for $name {}
        impl Width for $name {}
    )* };
}

widths!(u8, u16, u32, u64);

/// A device's registers.
#[derive(Debug)]
pub struct Registers {
    mapping: WritableMapping,
    /// Where in the mapping they start.
    start: usize,
    bytes: usize,
}

impl Registers {
    /// The registers in device Memory. Errors: those of mapping it.
    pub fn of(memory: &Memory) -> core::result::Result<Registers, Error> {
        let mapping = memory.map_writable()?;
        Ok(Registers { start: 0, bytes: mapping.bytes(), mapping })
    }

    /// `bytes` of the registers in device Memory, from `offset` on. Errors: `BadArgument` (they are not inside, or `offset` is no multiple of 8), and those of mapping it.
    pub fn of_part(memory: &Memory, offset: u64, bytes: u64) -> core::result::Result<Registers, Error> {
        const PAGE: u64 = abi::PAGE_BYTES as u64;
        let end = offset.checked_add(bytes).filter(|_| offset.is_multiple_of(8)).ok_or(Error::BadArgument)?;
        let first = offset / PAGE * PAGE;
        let last = end.checked_next_multiple_of(PAGE).ok_or(Error::BadArgument)?;
        let mapping = memory.map_writable_part(first, last - first)?;
        Ok(Registers { mapping, start: (offset - first) as usize, bytes: bytes as usize })
    }

    /// How many bytes of them there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reads a register. Panics when it is not inside, as an index of a slice does: see [`super::Env::registers`].
    #[inline]
    pub fn read<T: Width>(&self, register: Register<T>) -> T {
        let address = self.address(register);
        // SAFETY: inside the mapping, which lives as long as `self`, and aligned, as `Register::at` and `of_part` checked and mappings start at a
        // page. Any bytes are a valid number; what reading does to the device is the driver's affair.
        unsafe { (address as *const T).read_volatile() }
    }

    /// Writes a register. Panics as [`Registers::read`].
    #[inline]
    pub fn write<T: Width>(&self, register: Register<T>, value: T) {
        let address = self.address(register);
        // SAFETY: as in `read`. No reference to the mapping's bytes exists.
        unsafe { (address as *mut T).write_volatile(value) }
    }

    /// Reads a register, changes the value, and writes it back.
    #[inline]
    pub fn change<T: Width>(&self, register: Register<T>, change: impl FnOnce(T) -> T) {
        self.write(register, change(self.read(register)));
    }

    #[inline]
    fn address<T: Width>(&self, register: Register<T>) -> usize {
        let offset = register.offset;
        let is_inside = offset.checked_add(size_of::<T>()).is_some_and(|end| end <= self.bytes);
        assert!(is_inside, "a register at {offset:#x} of {:#x} bytes", self.bytes);
        self.mapping.address() + self.start + offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Register<u16> = Register::at(6);
    const LAST: Register<u64> = Register::at(4088);

    fn registers() -> Registers {
        Registers::of(&Memory::create(&crate::fake::account(), 4096).expect("memory")).expect("a mapping")
    }

    #[test]
    fn registers_are_read_and_written_in_their_width() {
        let registers = registers();
        registers.write(Register::at(0), u64::MAX);
        registers.change(LOW, |value| value - 1);
        assert_eq!(registers.read(Register::<u64>::at(0)), u64::MAX - (1 << 48));
        registers.write(LAST, 7);
        assert_eq!(registers.read(LAST), 7);
        assert_eq!(LOW.index(3, 8).offset(), 30);
    }

    #[test]
    fn a_part_starts_and_ends_where_it_says() {
        let memory = Memory::create(&crate::fake::account(), 3 * 4096).expect("memory");
        let all = Registers::of(&memory).expect("a mapping");
        let part = Registers::of_part(&memory, 4096 + 64, 4096).expect("a mapping");
        part.write(Register::at(4088), 5_u64);
        assert_eq!((all.read(Register::<u64>::at(2 * 4096 + 56)), part.bytes()), (5, 4096));
        for (offset, bytes) in [(4, 8), (8192, 4097), (u64::MAX - 7, 16)] {
            assert!(Registers::of_part(&memory, offset, bytes).is_err(), "{offset} {bytes}");
        }
    }

    #[test]
    #[should_panic(expected = "a register at 0x1000 of 0x1000 bytes")]
    fn a_register_beyond_the_mapping_is_a_mistake() {
        registers().read(Register::<u8>::at(4096));
    }
}
