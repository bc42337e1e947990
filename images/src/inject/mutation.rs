//! A change of one instruction, of the kinds that studies of failing operating systems use (Ng and Chen 1999; Swift, Bershad and Levy 2003; Herder and others 2009).

use std::fmt;

use iced_x86::{Decoder, DecoderOptions, Encoder, FlowControl, Instruction, OpKind};

use crate::survive::random::Random;

/// An instruction that does nothing, of one byte.
const NOP: u8 = 0x90;

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One bit.
    BitFlip,
    /// The two registers that it works on.
    SwappedRegisters,
    /// Its condition.
    InvertedBranch,
    /// It is left out.
    Skipped,
    /// A constant in it, or the distance of the memory that it works on.
    WrongConstant,
}

/// All kinds.
const KINDS: [Kind; 5] =
    [Kind::BitFlip, Kind::SwappedRegisters, Kind::InvertedBranch, Kind::Skipped, Kind::WrongConstant];

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// What is changed.
    pub kind: Kind,
    /// Where.
    pub address: u64,
    /// What is there then: as many bytes as before.
    pub bytes: Vec<u8>,
    /// The function that it is in.
    pub function: String,
}

impl Mutation {
    /// A change of an instruction, which is these bytes. `None`: what was drawn does not fit it.
    pub fn draw(instruction: &Instruction, bytes: &[u8], function: &str, random: &mut Random) -> Option<Mutation> {
        let kind = *random.choose(&KINDS)?;
        let changed = match kind {
            Kind::BitFlip => {
                let mut changed = bytes.to_vec();
                let bit = usize::try_from(random.below(bytes.len() as u64 * 8)).ok()?;
                changed[bit / 8] ^= 1 << (bit % 8);
                changed
            }
            Kind::SwappedRegisters => swapped(instruction)?,
            Kind::InvertedBranch => inverted(instruction)?,
            Kind::Skipped => vec![NOP; bytes.len()],
            Kind::WrongConstant => other_constant(instruction, bytes, random)?,
        };
        (changed != bytes && changed.len() == bytes.len()).then(|| Mutation {
            kind,
            address: instruction.ip(),
            bytes: changed,
            function: function.to_string(),
        })
    }
}

/// The same instruction with its two registers exchanged.
fn swapped(instruction: &Instruction) -> Option<Vec<u8>> {
    let are_registers = instruction.op_count() == 2
        && instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register;
    let mut other = *instruction;
    if are_registers {
        if instruction.op0_register().size() != instruction.op1_register().size() {
            return None;
        }
        other.set_op0_register(instruction.op1_register());
        other.set_op1_register(instruction.op0_register());
    } else {
        // Base and index of what it works on.
        if instruction.memory_index() == iced_x86::Register::None
            || instruction.memory_base() == iced_x86::Register::None
        {
            return None;
        }
        other.set_memory_base(instruction.memory_index());
        other.set_memory_index(instruction.memory_base());
    }
    encode(&other, instruction.len())
}

fn inverted(instruction: &Instruction) -> Option<Vec<u8>> {
    if instruction.flow_control() != FlowControl::ConditionalBranch {
        return None;
    }
    let mut other = *instruction;
    other.negate_condition_code();
    encode(&other, instruction.len())
}

/// Another number in the place of a constant or a displacement: near the right one, or any.
fn other_constant(instruction: &Instruction, bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut decoder = Decoder::with_ip(64, bytes, instruction.ip(), DecoderOptions::NONE);
    let decoded = decoder.decode();
    let offsets = decoder.get_constant_offsets(&decoded);
    let is_branch = instruction.flow_control() != FlowControl::Next;
    let (offset, size) = if offsets.has_immediate() && !is_branch {
        (offsets.immediate_offset(), offsets.immediate_size())
    } else if offsets.has_displacement() {
        (offsets.displacement_offset(), offsets.displacement_size())
    } else {
        return None;
    };
    let mut changed = bytes.to_vec();
    let constant = changed.get_mut(offset..offset + size)?;
    match random.below(3) {
        0 => constant[0] = constant[0].wrapping_add(1),
        1 => constant[0] = constant[0].wrapping_sub(1),
        _ => constant.iter_mut().for_each(|byte| *byte = random.number() as u8),
    }
    Some(changed)
}

/// An instruction as bytes, with others that do nothing behind it where it has become shorter.
fn encode(instruction: &Instruction, length: usize) -> Option<Vec<u8>> {
    let mut encoder = Encoder::new(64);
    encoder.encode(instruction, instruction.ip()).ok()?;
    let mut bytes = encoder.take_buffer();
    if bytes.len() > length {
        return None;
    }
    bytes.resize(length, NOP);
    Some(bytes)
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::BitFlip => "bit flipped",
            Kind::SwappedRegisters => "registers swapped",
            Kind::InvertedBranch => "branch inverted",
            Kind::Skipped => "skipped",
            Kind::WrongConstant => "wrong constant",
        })
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {:#x} in {}", self.kind, self.address, self.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Instruction {
        Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE).decode()
    }

    #[test]
    fn each_kind_changes_what_it_says() {
        assert_eq!(swapped(&decode(&[0x48, 0x89, 0xd8])), Some(vec![0x48, 0x89, 0xc3])); // mov rax, rbx
        assert_eq!(inverted(&decode(&[0x74, 0x05])), Some(vec![0x75, 0x05])); // je
        assert_eq!(inverted(&decode(&[0xeb, 0x05])), None);
        let add = [0x48, 0x83, 0xc0, 0x08]; // add rax, 8
        let changed = other_constant(&decode(&add), &add, &mut Random::new(1)).unwrap();
        assert_eq!((changed[..3] == add[..3], changed.len()), (true, 4));
        assert_eq!(other_constant(&decode(&[0x48, 0x89, 0xd8]), &[0x48, 0x89, 0xd8], &mut Random::new(1)), None);
    }

    #[test]
    fn a_change_has_the_length_of_the_instruction_and_is_one() {
        let bytes = [0x48, 0x83, 0xc0, 0x08];
        let instruction = decode(&bytes);
        let mut random = Random::new(3);
        let drawn: Vec<_> = (0..200).filter_map(|_| Mutation::draw(&instruction, &bytes, "f", &mut random)).collect();
        assert!(drawn.len() > 50);
        assert!(drawn.iter().all(|mutation| mutation.bytes.len() == 4 && mutation.bytes != bytes));
    }
}
