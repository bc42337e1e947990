//! What a campaign has to know of a server's machine code: it is read out of the program's ELF file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind};
use libsys::abi::{Delivery, Syscall};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::debugger::Register;

/// Instructions behind a system call, on either side of branches, within which a server looks whether a call was delivered.
const LOOK: usize = 12;

/// Instructions before a system call within which its number is loaded.
const LOOK_BACK: usize = 24;

/// Bytes by which a place in a program is known again: no two programs have the same ones at one address.
const MARK: usize = 32;

/// The function that allocates: its first argument is the size.
const ALLOCATOR: &str = "<libsys::heap::Heap>::allocate";
/// The register that an allocation has its size in.
pub const ALLOCATED: Register = Register::RDI;

/// Where they come to when the account has nothing for them: it takes the size.
const REFUSED: &str = "libsys::heap::refused";

/// A function of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name, demangled.
    pub name: String,
    /// Where it begins.
    pub address: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A server's program.
#[derive(Debug, Clone)]
pub struct Program {
    text: Vec<u8>,
    start: u64,
    /// All functions, by address.
    pub functions: Vec<Function>,
    /// System-call instructions.
    pub syscalls: BTreeSet<u64>,
    /// Those of them that receive what arrives at a channel.
    pub receives: BTreeSet<u64>,
    /// Those of them that may answer a call: their number is that of an answer, or is not known before they are executed.
    pub answers: BTreeSet<u64>,
    /// Where a panic of its code begins: the instructions that name its place, and then the call.
    pub panics: Vec<u64>,
    /// Where allocations begin. 0 where there are none.
    pub allocator: u64,
    /// Where they come to when the account has nothing for them: it takes the size. 0 where there is none.
    pub refused: u64,
    /// The function that exits; 0 where there is none.
    pub exit: u64,
    /// The system call of everything that is no message.
    pub control: u64,
    /// Writable memory of the program: where it begins, and how many bytes there are.
    pub data: (u64, u64),
}

/// Bytes of a system-call instruction.
pub const SYSCALL_BYTES: u64 = 2;

impl Program {
    /// Reads a program, which must not be stripped.
    ///
    /// # Errors
    /// There is none, or it has not what a server has.
    pub fn read(elf: &Path) -> Result<Program> {
        let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
        Program::parse(&bytes).with_context(|| format!("{} is no program of the target", elf.display()))
    }

    fn parse(elf: &[u8]) -> Result<Program> {
        let file = object::File::parse(elf)?;
        let section = file.section_by_name(".text").context("no code")?;
        let mut functions = functions(&file);
        functions.retain(|function| function.address >= section.address());
        let mut program = Program {
            text: section.data()?.to_vec(),
            start: section.address(),
            functions: Vec::new(),
            syscalls: BTreeSet::new(),
            receives: BTreeSet::new(),
            answers: BTreeSet::new(),
            panics: Vec::new(),
            allocator: 0,
            refused: 0,
            exit: 0,
            control: 0,
            data: data(&file),
        };
        let panicking: BTreeSet<u64> =
            functions.iter().filter(|function| panics(&function.name)).map(|f| f.address).collect();
        for function in &functions {
            let instructions = program.instructions(function);
            let targets: BTreeSet<u64> = instructions.iter().map(Instruction::near_branch_target).collect();
            for (index, instruction) in instructions.iter().enumerate() {
                if instruction.mnemonic() == Mnemonic::Syscall {
                    program.syscalls.insert(instruction.ip());
                    if number_before(&instructions[..=index], &targets).is_none_or(answers) {
                        program.answers.insert(instruction.ip());
                    }
                    if is_loop(&function.name) && comes_to_look(&instructions, index + 1, LOOK) {
                        program.receives.insert(instruction.ip());
                    }
                    if function.name.ends_with("entry::raw_control") {
                        program.control = instruction.ip();
                    }
                }
                if instruction.code() == Code::Call_rel32_64 && panicking.contains(&instruction.near_branch_target()) {
                    program.panics.extend(panic_start(&instructions[..index]));
                }
            }
            if function.name == ALLOCATOR {
                program.allocator = function.address;
            }
            if function.name == REFUSED {
                program.refused = function.address;
            }
            if function.name == "libsys::start::exit" {
                program.exit = function.address;
            }
        }
        ensure!(!program.syscalls.is_empty(), "it makes no system call");
        program.functions = functions;
        Ok(program)
    }

    /// The instructions of a function.
    pub fn instructions(&self, function: &Function) -> Vec<Instruction> {
        let Some(bytes) = self.bytes(function.address, function.bytes) else { return Vec::new() };
        let mut decoder = Decoder::with_ip(64, bytes, function.address, DecoderOptions::NONE);
        decoder.iter().filter(|instruction| !instruction.is_invalid()).collect()
    }

    /// Code as the file has it.
    pub fn bytes(&self, address: u64, bytes: u64) -> Option<&[u8]> {
        let from = usize::try_from(address.checked_sub(self.start)?).ok()?;
        self.text.get(from..from.checked_add(usize::try_from(bytes).ok()?)?)
    }

    /// Where the code begins, and its bytes.
    pub fn text(&self) -> (u64, u64) {
        (self.start, self.text.len() as u64)
    }

    /// By which a place is known again: where to look, and what has to be there.
    pub fn mark(&self, address: u64) -> Option<(u64, &[u8])> {
        let (start, length) = self.text();
        let mark = MARK as u64;
        // Bytes before it, as what is there may have been changed.
        let from = address.saturating_sub(mark).clamp(start, (start + length).checked_sub(mark)?);
        Some((from, self.bytes(from, mark)?))
    }
}

/// Where the function with a name begins in a program.
///
/// # Errors
/// There is none.
pub fn address_of(elf: &Path, name: &str) -> Result<u64> {
    let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let all = functions(&object::File::parse(bytes.as_slice())?);
    let found = all.iter().find(|function| function.name == name);
    Ok(found.with_context(|| format!("{} has no function {name}", elf.display()))?.address)
}

fn functions(file: &object::File<'_>) -> Vec<Function> {
    let mut functions: Vec<Function> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
        .filter_map(|symbol| {
            let name = addr2line::demangle_auto(symbol.name().ok()?.into(), None).into_owned();
            Some(Function { name: without_disambiguators(&name), address: symbol.address(), bytes: symbol.size() })
        })
        .collect();
    functions.sort_by_key(|function| function.address);
    functions.dedup_by_key(|function| function.address);
    functions
}

/// A name without the `[0123456789abcdef]` that mangling adds to crates.
fn without_disambiguators(name: &str) -> String {
    let mut text = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('[') {
        match after.split_once(']') {
            Some((hash, behind)) if !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                text += before;
                rest = behind;
            }
            _ => {
                text.extend([before, "["]);
                rest = after;
            }
        }
    }
    text + rest
}

/// The writable segment.
fn data(file: &object::File<'_>) -> (u64, u64) {
    let writable = |name: &&str| matches!(*name, ".data" | ".bss");
    let ranges = file.sections().filter(|section| section.name().ok().as_ref().is_some_and(writable));
    ranges.map(|section| (section.address(), section.size())).max_by_key(|(_, size)| *size).unwrap_or((0, 0))
}

/// Whether a function of the language's library panics without asking for more than a place.
fn panics(name: &str) -> bool {
    name.starts_with("core::panicking::panic_bounds_check")
        || name.starts_with("core::panicking::panic_const")
        || name == "core::option::unwrap_failed"
        || name == "core::option::expect_failed"
        || name == "core::panicking::panic"
}

/// Whether a function may have the loop of a server in it: other receives wait for an answer, not for work.
fn is_loop(name: &str) -> bool {
    name == "skink_main" || name.contains("libsys::service::")
}

/// Whether the way on from an instruction leads to a look for a call.
fn comes_to_look(instructions: &[Instruction], index: usize, left: usize) -> bool {
    let (Some(instruction), Some(fewer)) = (instructions.get(index), left.checked_sub(1)) else { return false };
    if looks_for_a_call(instruction) {
        return true;
    }
    let jumps = || {
        let target = instruction.near_branch_target();
        let at = instructions.binary_search_by_key(&target, Instruction::ip);
        at.is_ok_and(|at| comes_to_look(instructions, at, fewer))
    };
    match instruction.flow_control() {
        FlowControl::Next => comes_to_look(instructions, index + 1, fewer),
        FlowControl::ConditionalBranch => jumps() || comes_to_look(instructions, index + 1, fewer),
        FlowControl::UnconditionalBranch => jumps(),
        _ => false,
    }
}

/// Whether it compares a word, which may be the status, with that of a delivered call.
fn looks_for_a_call(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Cmp
        && instruction.op0_register().is_gpr64()
        && matches!(instruction.op1_kind(), OpKind::Immediate32to64 | OpKind::Immediate8to64)
        && instruction.immediate(1) == Delivery::CALL_STATUS
}

/// Whether a system call answers a caller.
pub fn answers(call: u64) -> bool {
    [Syscall::ReplyReceive, Syscall::Reply, Syscall::CallReply].iter().any(|answer| *answer as u64 == call)
}

/// The number of the system call that is the last of these instructions, where they load it as a constant. `targets` are those of jumps: one in between makes it unknown.
fn number_before(instructions: &[Instruction], targets: &BTreeSet<u64>) -> Option<u64> {
    let (call, before) = instructions.split_last()?;
    let loads = |instruction: &&Instruction| instruction.op0_register().full_register() == iced_x86::Register::RAX;
    let straight = before.iter().rev().take(LOOK_BACK).take_while(|instruction| {
        instruction.mnemonic() != Mnemonic::Syscall && instruction.flow_control() == FlowControl::Next
    });
    let load = straight.filter(|instruction| instruction.op_count() > 0).find(loads)?;
    let is_joined = targets.range(load.ip() + 1..=call.ip()).next().is_some();
    (load.code() == Code::Mov_r32_imm32 && !is_joined).then(|| load.immediate(1))
}

/// The first of the instructions right before a call that load its arguments from nowhere but the program itself.
fn panic_start(before: &[Instruction]) -> Option<u64> {
    let is_load = |instruction: &&Instruction| match instruction.mnemonic() {
        Mnemonic::Lea => instruction.is_ip_rel_memory_operand(),
        Mnemonic::Mov => {
            matches!(instruction.op1_kind(), OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64)
        }
        _ => false,
    };
    before.iter().rev().take_while(is_load).last().map(Instruction::ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_hashes() {
        assert_eq!(without_disambiguators("core[0123456789abcdef]::a::<[u8; 4]>"), "core::a::<[u8; 4]>");
        assert_eq!(without_disambiguators("a[b"), "a[b");
    }

    #[test]
    fn calls_are_looked_for_behind_a_receive() {
        // syscall; cmp rax, 0x100
        let code = [0x0f, 0x05, 0x48, 0x3d, 0x00, 0x01, 0x00, 0x00];
        let mut decoder = Decoder::with_ip(64, &code, 0x1000, DecoderOptions::NONE);
        assert_eq!(decoder.decode().mnemonic(), Mnemonic::Syscall);
        assert!(looks_for_a_call(&decoder.decode()));
    }

    #[test]
    fn calls_are_looked_for_behind_branches() {
        // cmp rax, 0x14; ja +1; ret; cmp rax, 0x100
        let code = [0x48, 0x83, 0xf8, 0x14, 0x77, 0x01, 0xc3, 0x48, 0x3d, 0x00, 0x01, 0x00, 0x00];
        let instructions: Vec<_> = Decoder::with_ip(64, &code, 0x1000, DecoderOptions::NONE).iter().collect();
        assert!(comes_to_look(&instructions, 0, LOOK));
        assert!(!comes_to_look(&instructions, 0, 2) && !comes_to_look(&instructions, 2, LOOK));
    }

    #[test]
    fn numbers_of_system_calls_are_found_where_they_are_constants() {
        let number = |code: &[u8], targets: &[u64]| {
            let instructions: Vec<_> = Decoder::with_ip(64, code, 0x1000, DecoderOptions::NONE).iter().collect();
            number_before(&instructions, &targets.iter().copied().collect())
        };
        // mov eax, 3; xor esi, esi; syscall
        let code = [0xb8, 3, 0, 0, 0, 0x31, 0xf6, 0x0f, 0x05];
        assert_eq!((number(&code, &[0x1000, 0x1009]), number(&code[5..], &[])), (Some(3), None));
        assert_eq!((number(&code, &[0x1005]), number(&code, &[0x1007])), (None, None));
        // mov eax, 3; mov rax, [rdi]; syscall
        assert_eq!(number(&[0xb8, 3, 0, 0, 0, 0x48, 0x8b, 0x07, 0x0f, 0x05], &[]), None);
    }

    #[test]
    fn loops_are_told_by_their_names() {
        assert!(is_loop("<libsys::service::run::Service<uart::Uart>>::run") && is_loop("skink_main"));
        assert!(!is_loop("<libsys::sync::lock::RawLock>::wait"));
    }

    #[test]
    fn a_panic_begins_where_its_place_is_named() {
        // mov eax, [rdi]; lea rdi, [rip + 16]; mov esi, 5; call …
        let code = [0x8b, 0x07, 0x48, 0x8d, 0x3d, 16, 0, 0, 0, 0xbe, 5, 0, 0, 0, 0xe8, 0, 0, 0, 0];
        let instructions: Vec<_> = Decoder::with_ip(64, &code, 0x1000, DecoderOptions::NONE).iter().collect();
        assert_eq!(panic_start(&instructions[..3]), Some(0x1002));
        assert_eq!(panic_start(&instructions[..1]), None);
    }
}
