//! Where the kernel ends an incarnation, and where what it is told about that lies.
//!
//! The kernel is linked as a whole, and an argument that its function does not use is not passed: then all others are a register further down. Which it is
//! is read from the calls of that function that name the reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction};
use libsys::abi::ExitReason;
use object::{Object, ObjectSection};

use super::program::address_of;
use crate::debugger::{Debugger, Register, Registers};

/// The kernel's function: the process, who is to blame if anybody is, and the reason follow each other among its arguments.
const DEATH: &str = "microkernel::death::kill";

/// Reasons that are named where it is called. Others are small numbers, which are no sign.
const NAMED: [ExitReason; 2] = [ExitReason::Hung, ExitReason::Revoked];

/// Instructions before a call in which its arguments are loaded.
const LOOK_BACK: usize = 8;

/// Registers of arguments, in order.
const ARGUMENTS: [(Register, iced_x86::Register); 4] = [
    (Register::RDI, iced_x86::Register::EDI),
    (Register::RSI, iced_x86::Register::ESI),
    (Register::RDX, iced_x86::Register::EDX),
    (Register::RCX, iced_x86::Register::ECX),
];

/// Where incarnations end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// The first instruction.
    pub address: u64,
    process: Register,
    culprit: Register,
    reason: Register,
}

impl Death {
    /// Looks for it in the kernel, which must not be stripped.
    ///
    /// # Errors
    /// The kernel has no such function, or its calls do not say where the reason is.
    pub fn find(kernel: &Path) -> Result<Death> {
        let address = address_of(kernel, DEATH)?;
        let bytes = fs::read(kernel).with_context(|| format!("cannot read {}", kernel.display()))?;
        let file = object::File::parse(bytes.as_slice())?;
        let text = file.section_by_name(".text").context("the kernel has no code")?;
        let decoder = Decoder::with_ip(64, text.data()?, text.address(), DecoderOptions::NONE);
        Death::of(address, &decoder.into_iter().collect::<Vec<_>>())
    }

    fn of(address: u64, code: &[Instruction]) -> Result<Death> {
        let is_call = |instruction: &Instruction| {
            instruction.code() == Code::Call_rel32_64 && instruction.near_branch_target() == address
        };
        let calls = code.iter().enumerate().filter(|(_, instruction)| is_call(instruction));
        let places: BTreeSet<usize> = calls.filter_map(|(at, _)| place_of_reason(&code[..at])).collect();
        ensure!(places.len() <= 1, "calls of {DEATH} name the reason in different places");
        let place = *places.first().with_context(|| format!("no call of {DEATH} names the reason"))?;
        let [process, culprit, reason] = [2, 1, 0].map(|before| place.checked_sub(before).map(|at| ARGUMENTS[at].0));
        let missing = || format!("{DEATH} has too few arguments");
        let (process, culprit) = (process.with_context(missing)?, culprit.with_context(missing)?);
        Ok(Death { address, process, culprit, reason: reason.with_context(missing)? })
    }

    /// Why an incarnation ends, where the processor stands there.
    pub fn reason(&self, registers: &Registers) -> ExitReason {
        ExitReason::from_number(u32::try_from(registers.get(self.reason) & 0xff).unwrap_or(0))
    }

    /// The kernel's address of the process that ends.
    pub fn process(&self, registers: &Registers) -> u64 {
        registers.get(self.process)
    }

    /// Makes it a kill by somebody else, where the processor stands there.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn make_kill(&self, debugger: &mut Debugger) -> Result<()> {
        debugger.set(self.reason, ExitReason::Killed as u64)?;
        debugger.set(self.culprit, 0)
    }
}

/// Which argument a call gets a named reason in, if it does, by the instructions before it.
fn place_of_reason(before: &[Instruction]) -> Option<usize> {
    let is_reason = |number: u64| NAMED.iter().any(|reason| *reason as u64 == number);
    let straight = before.iter().rev().take(LOOK_BACK).take_while(|one| one.flow_control() == FlowControl::Next);
    let mut loads = straight.filter(|one| one.code() == Code::Mov_r32_imm32 && is_reason(one.immediate(1)));
    loads.find_map(|load| ARGUMENTS.iter().position(|(_, register)| *register == load.op0_register()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(code: &[u8]) -> Vec<Instruction> {
        Decoder::with_ip(64, code, 0x1000, DecoderOptions::NONE).iter().collect()
    }

    #[test]
    fn arguments_that_are_not_passed_move_the_others() {
        // xor esi, esi; mov edx, 12; xor ecx, ecx; call 0x2000
        let code = [0x31, 0xf6, 0xba, 12, 0, 0, 0, 0x31, 0xc9, 0xe8, 0xf2, 0x0f, 0, 0];
        let found = Death::of(0x2000, &decoded(&code)).unwrap();
        assert_eq!((found.process, found.culprit, found.reason), (Register::RDI, Register::RSI, Register::RDX));
        // mov ecx, 13; call 0x2000
        let code = [0xb9, 13, 0, 0, 0, 0xe8, 0xf6, 0x0f, 0, 0];
        let found = Death::of(0x2000, &decoded(&code)).unwrap();
        assert_eq!((found.process, found.culprit, found.reason), (Register::RSI, Register::RDX, Register::RCX));
    }

    #[test]
    fn what_is_not_named_is_not_guessed() {
        // mov edx, 1; call 0x2000
        let code = [0xba, 1, 0, 0, 0, 0xe8, 0xf6, 0x0f, 0, 0];
        assert!(Death::of(0x2000, &decoded(&code)).is_err());
        assert!(Death::of(0x3000, &decoded(&code)).is_err());
    }
}
