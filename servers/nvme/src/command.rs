//! Commands and how they end (§3.3.3, §4.1; NVM command set §3).

use libsys::protocol::block::BlockStatus;

/// Where the data of a command is: two physical region page entries (§4.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataPointer {
    /// Where it begins.
    pub first: u64,
    /// The second page, or the list of all pages but the first, or 0.
    pub second: u64,
}

impl DataPointer {
    /// Data within one page.
    pub fn page(address: u64) -> DataPointer {
        DataPointer { first: address, second: 0 }
    }
}

/// A command, without its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub opcode: u8,
    /// Of which namespace.
    pub namespace: u32,
    /// Where its data is.
    pub data: DataPointer,
    /// The command's own words, 10 to 12.
    pub words: [u32; 3],
}

/// Bytes of a command in its queue.
pub const COMMAND_BYTES: usize = 64;

/// Opcodes of the admin queue (§5).
pub mod admin {
    pub const CREATE_SUBMISSION_QUEUE: u8 = 0x01;
    pub const CREATE_COMPLETION_QUEUE: u8 = 0x05;
    pub const IDENTIFY: u8 = 0x06;
    pub const SET_FEATURES: u8 = 0x09;
}

/// Opcodes of blocks (NVM command set §3.2).
pub mod block {
    pub const FLUSH: u8 = 0x00;
    pub const WRITE: u8 = 0x01;
    pub const READ: u8 = 0x02;
    pub const WRITE_ZEROES: u8 = 0x08;
    pub const DATASET_MANAGEMENT: u8 = 0x09;
}

/// What can be identified (§5.17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identify {
    /// A namespace.
    Namespace(u32),
    /// The controller.
    Controller,
    /// The namespaces with numbers above this one.
    Namespaces(u32),
}

impl Command {
    /// Asks for 4 KiB about something.
    pub fn identify(what: Identify, to: u64) -> Command {
        let (kind, namespace) = match what {
            Identify::Namespace(number) => (0, number),
            Identify::Controller => (1, 0),
            Identify::Namespaces(above) => (2, above),
        };
        Command { opcode: admin::IDENTIFY, namespace, data: DataPointer::page(to), words: [kind, 0, 0] }
    }

    /// Asks for one queue of each kind besides the admin queues (§5.27.1.5).
    pub fn want_queues() -> Command {
        const NUMBER_OF_QUEUES: u32 = 7;
        Command { opcode: admin::SET_FEATURES, words: [NUMBER_OF_QUEUES, 0, 0], ..Command::default() }
    }

    /// Makes a completion queue that interrupts (§5.4).
    pub fn create_completion_queue(queue: u16, entries: u16, at: u64, vector: u16) -> Command {
        const CONTIGUOUS_AND_INTERRUPTS: u32 = 0b11;
        let (size, vector) = (u32::from(queue) | u32::from(entries - 1) << 16, u32::from(vector) << 16);
        Command {
            opcode: admin::CREATE_COMPLETION_QUEUE,
            namespace: 0,
            data: DataPointer::page(at),
            words: [size, vector | CONTIGUOUS_AND_INTERRUPTS, 0],
        }
    }

    /// Makes a submission queue that completes into the completion queue with the same number (§5.5).
    pub fn create_submission_queue(queue: u16, entries: u16, at: u64) -> Command {
        const CONTIGUOUS: u32 = 1;
        let (size, completions) = (u32::from(queue) | u32::from(entries - 1) << 16, u32::from(queue) << 16);
        Command {
            opcode: admin::CREATE_SUBMISSION_QUEUE,
            namespace: 0,
            data: DataPointer::page(at),
            words: [size, completions | CONTIGUOUS, 0],
        }
    }

    /// Reads or writes blocks: at most 65,536 (NVM command set §3.2.4, §3.2.6).
    pub fn transfer(opcode: u8, namespace: u32, block: u64, blocks: u32, fua: bool, data: DataPointer) -> Command {
        Command { opcode, namespace, data, words: range(block, blocks, fua) }
    }

    /// Puts on the medium what was written (§7.1).
    pub fn flush(namespace: u32) -> Command {
        Command { opcode: block::FLUSH, namespace, ..Command::default() }
    }

    /// Fills blocks with zeros: at most 65,536 (NVM command set §3.2.8).
    pub fn write_zeroes(namespace: u32, block: u64, blocks: u32) -> Command {
        let words = range(block, blocks, false);
        Command { opcode: block::WRITE_ZEROES, namespace, words, data: DataPointer::default() }
    }

    /// Gives up the blocks of the one range at an address (NVM command set §3.2.3).
    pub fn deallocate(namespace: u32, range: u64) -> Command {
        const DEALLOCATE: u32 = 1 << 2;
        let (opcode, data) = (block::DATASET_MANAGEMENT, DataPointer::page(range));
        Command { opcode, namespace, data, words: [0, DEALLOCATE, 0] }
    }

    /// The command as it stands in its queue, with its number.
    pub fn quadwords(&self, number: u16) -> [u64; COMMAND_BYTES / 8] {
        let [word10, word11, word12] = self.words.map(u64::from);
        let first = u64::from(self.opcode) | u64::from(number) << 16 | u64::from(self.namespace) << 32;
        [first, 0, 0, self.data.first, self.data.second, word10 | word11 << 32, word12, 0]
    }
}

/// Words 10 to 12 of commands about blocks.
fn range(block: u64, blocks: u32, fua: bool) -> [u32; 3] {
    [block as u32, (block >> 32) as u32, (blocks - 1) & 0xffff | u32::from(fua) << 30]
}

/// The range of blocks to be given up, as two quadwords.
pub fn deallocate_range(block: u64, blocks: u32) -> [u64; 2] {
    [u64::from(blocks) << 32, block]
}

/// How a command ended: type and code (§3.3.3.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// It was done.
    pub const SUCCESS: Status = Status(0);

    /// From the field of a completion: what is said of retrying is left out.
    pub fn of_field(field: u16) -> Status {
        Status(field & 0x7ff)
    }

    /// What a client is told.
    pub fn to_block_status(self) -> BlockStatus {
        match self.0 {
            0x000 => BlockStatus::Done,
            // Invalid opcode.
            0x001 => BlockStatus::Unsupported,
            // Namespace is write protected; attempted write to read only range.
            0x020 | 0x182 => BlockStatus::ReadOnly,
            // LBA out of range.
            0x080 => BlockStatus::OutOfRange,
            _ => BlockStatus::Device,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_as_they_are_specified() {
        let data = DataPointer { first: 0x1000, second: 0x2000 };
        let read = Command::transfer(block::READ, 7, 0x1_2345_6789, 8, false, data);
        assert_eq!(read.quadwords(0x55), [0x7_0055_0002, 0, 0, 0x1000, 0x2000, 0x1_2345_6789, 7, 0]);
        let write = Command::transfer(block::WRITE, 7, 0, 65536, true, data);
        assert_eq!(write.quadwords(0)[6], 0x4000_ffff);
        let queue = Command::create_completion_queue(1, 128, 0x3000, 2);
        assert_eq!(queue.quadwords(0)[5], 0x2_0003_007f_0001);
        let queue = Command::create_submission_queue(1, 128, 0x3000);
        assert_eq!(queue.quadwords(0)[5], 0x1_0001_007f_0001);
        assert_eq!(Command::identify(Identify::Namespaces(3), 0).quadwords(1)[0], 0x3_0001_0006);
        assert_eq!((deallocate_range(5, 6), Command::deallocate(1, 0x4000).words), ([6 << 32, 5], [0, 4, 0]));
    }

    #[test]
    fn statuses_are_told_apart() {
        let status = |field: u16| Status::of_field(field).to_block_status();
        assert_eq!(
            (status(0), status(0x4080), status(0x0001)),
            (BlockStatus::Done, BlockStatus::OutOfRange, BlockStatus::Unsupported)
        );
        assert_eq!(
            (status(0x0182), status(0x0281), status(0x07ff)),
            (BlockStatus::ReadOnly, BlockStatus::Device, BlockStatus::Device)
        );
    }
}
