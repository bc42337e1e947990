//! Requests on their way: each is one command or several, and has ended when all of them have.
//!
//! A request becomes several commands where its data does not lie as one command can say it ([`Run`]), all at once; and where it fills more blocks with zeros than one
//! command can, one after the other.

use crate::command::{Command, block, deallocate_range};
use crate::identify::Namespace;
use crate::pages::{LIST_BYTES, Run};
use crate::queue::{Completion, Fault, Queue};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::Ordering;
use libsys::dma::DmaSegment;
use libsys::driver::block::{SECTOR_BYTES, Submitted, Tag};
use libsys::driver::{DmaBuffer, Register};
use libsys::protocol::block::{BlockStatus, Operation};

/// What is asked of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// What to do.
    pub operation: Operation,
    /// The write is to be on the medium when it ends.
    pub fua: bool,
    /// First sector.
    pub sector: u64,
    /// Sectors.
    pub sectors: u32,
}

/// A command on its way.
#[derive(Clone, Copy, Debug)]
struct Away {
    tag: Tag,
    /// When it was submitted, in ticks.
    since: u64,
}

/// A request on its way.
#[derive(Clone, Debug)]
struct Pending {
    commands: usize,
    status: BlockStatus,
    zeroes: Option<Zeroes>,
}

/// Blocks that are still to be filled with zeros.
#[derive(Clone, Debug)]
struct Zeroes {
    namespace: u32,
    blocks: Range<u64>,
    /// Blocks of one command.
    step: u64,
}

/// Most blocks of one command.
const MOST_BLOCKS: u64 = 1 << 16;

/// Ticks after which a command is overdue.
pub const PATIENCE: u64 = 30;

/// Requests and their commands.
#[derive(Debug)]
pub struct Requests {
    queue: Queue,
    /// A list of pages for each command.
    lists: DmaBuffer,
    /// By number of the command.
    away: Vec<Option<Away>>,
    free: Vec<u16>,
    /// By number of the tag.
    pending: Vec<Option<Pending>>,
    /// Of the request that is being submitted.
    commands: Vec<(u16, Command)>,
    /// Most bytes that one command fills with zeros.
    most_zeroes: u64,
    ticks: u64,
}

impl Requests {
    /// Bytes of the lists for a queue.
    pub fn list_bytes(queue: &Queue) -> u64 {
        u64::from(queue.depth()) * LIST_BYTES as u64
    }

    /// None on their way. `lists` is zeroed memory of that many bytes at a page's start; one command fills at most `most_zeroes` bytes with zeros.
    pub fn new(queue: Queue, lists: DmaBuffer, most_zeroes: u64) -> Requests {
        let depth = queue.depth();
        Requests {
            lists,
            away: vec![None; depth.into()],
            free: (0..depth).rev().collect(),
            pending: vec![None; depth.into()],
            commands: Vec::with_capacity(depth.into()),
            most_zeroes,
            ticks: 0,
            queue,
        }
    }

    /// Requests that can be on their way.
    pub fn depth(&self) -> usize {
        self.pending.len()
    }

    /// Submits a request, which was checked, to a namespace; `data` is where the device finds its segments. The tag is below [`Requests::depth`], and
    /// no other request on its way has it.
    pub fn submit(
        &mut self,
        tag: Tag,
        namespace: &Namespace,
        job: &Job,
        data: impl Iterator<Item = DmaSegment>,
    ) -> Submitted {
        self.commands.clear();
        let mut zeroes = None;
        let block_sectors = u64::from(namespace.block_bytes) / SECTOR_BYTES;
        let (first, blocks) = (job.sector / block_sectors, u64::from(job.sectors) / block_sectors);
        let made = match job.operation {
            Operation::Read => self.transfer(block::READ, namespace, job.fua, first, data),
            Operation::Write => self.transfer(block::WRITE, namespace, job.fua, first, data),
            Operation::Flush => self.single(|_, _| Command::flush(namespace.number)),
            Operation::Discard => self.single(|lists, number| {
                let at = usize::from(number) * LIST_BYTES;
                for (index, word) in deallocate_range(first, blocks as u32).into_iter().enumerate() {
                    lists.word_u64(at + 8 * index).store(word, Ordering::Relaxed);
                }
                Command::deallocate(namespace.number, lists.device_address() + at as u64)
            }),
            Operation::WriteZeroes => {
                let step = (self.most_zeroes / u64::from(namespace.block_bytes)).clamp(1, MOST_BLOCKS);
                let all = zeroes.insert(Zeroes { namespace: namespace.number, blocks: first..first + blocks, step });
                let command = all.next_command();
                self.single(|_, _| command)
            }
        };
        let pending = Pending { commands: self.commands.len(), status: BlockStatus::Done, zeroes };
        match (made, self.pending.get_mut(tag.number())) {
            (Ok(()), Some(place @ None)) => *place = Some(pending),
            (made, _) => {
                self.free.extend(self.commands.drain(..).map(|(number, _)| number));
                return made.err().unwrap_or(Submitted::Busy);
            }
        }
        for index in 0..self.commands.len() {
            let (number, command) = self.commands[index];
            self.send(tag, number, &command);
        }
        Submitted::Started
    }

    /// Makes the commands that move data.
    fn transfer(
        &mut self,
        opcode: u8,
        namespace: &Namespace,
        fua: bool,
        mut block: u64,
        data: impl Iterator<Item = DmaSegment>,
    ) -> Result<(), Submitted> {
        let mut run: Option<(u16, Run)> = None;
        for mut piece in data {
            while piece.bytes > 0 {
                let (number, mut current) = match run {
                    Some(run) => run,
                    None => {
                        let number = self.free.pop().ok_or(Submitted::Busy)?;
                        (number, Run::new(number))
                    }
                };
                let taken = current.extend(&self.lists, piece);
                piece = DmaSegment { address: piece.address + taken, bytes: piece.bytes - taken };
                run = Some((number, current));
                if piece.bytes > 0 {
                    block = self.end_run(opcode, namespace, fua, block, run.take())?;
                }
            }
        }
        self.end_run(opcode, namespace, fua, block, run).map(drop)
    }

    /// Makes the command of a run: the block behind it.
    fn end_run(
        &mut self,
        opcode: u8,
        namespace: &Namespace,
        fua: bool,
        block: u64,
        run: Option<(u16, Run)>,
    ) -> Result<u64, Submitted> {
        let Some((number, run)) = run else { return Ok(block) };
        let block_bytes = u64::from(namespace.block_bytes);
        let blocks = run.bytes / block_bytes;
        if !run.bytes.is_multiple_of(block_bytes) || !(1..=MOST_BLOCKS).contains(&blocks) {
            // A block of the disk in pieces of memory that no command can name.
            self.free.push(number);
            return Err(Submitted::Ended(BlockStatus::BadBuffer));
        }
        let data = run.pointer(&self.lists);
        self.commands.push((number, Command::transfer(opcode, namespace.number, block, blocks as u32, fua, data)));
        Ok(block + blocks)
    }

    /// Makes one command.
    fn single(&mut self, make: impl FnOnce(&DmaBuffer, u16) -> Command) -> Result<(), Submitted> {
        let number = self.free.pop().ok_or(Submitted::Busy)?;
        self.commands.push((number, make(&self.lists, number)));
        Ok(())
    }

    fn send(&mut self, tag: Tag, number: u16, command: &Command) {
        // Its number is free, so there is room.
        if self.queue.submit(number, command) {
            self.away[usize::from(number)] = Some(Away { tag, since: self.ticks });
        }
    }

    /// What is to be written to which doorbell for the controller to see what was submitted.
    pub fn publish(&mut self) -> Option<(Register<u32>, u32)> {
        self.queue.publish()
    }

    /// What is to be written to which doorbell for the controller to go on completing.
    pub fn acknowledge(&mut self) -> Option<(Register<u32>, u32)> {
        self.queue.acknowledge()
    }

    /// The next request that has ended.
    pub fn next_ended(&mut self) -> Result<Option<(Tag, BlockStatus)>, Fault> {
        while let Some(completion) = self.queue.next_completed()? {
            let ended = self.completed(completion)?;
            if ended.is_some() {
                return Ok(ended);
            }
        }
        Ok(None)
    }

    fn completed(&mut self, completion: Completion) -> Result<Option<(Tag, BlockStatus)>, Fault> {
        let Completion { number, status } = completion;
        let away = self.away.get_mut(usize::from(number)).and_then(Option::take).ok_or(Fault::UnknownCommand)?;
        let place = self.pending.get_mut(away.tag.number()).ok_or(Fault::UnknownCommand)?;
        let pending = place.as_mut().ok_or(Fault::UnknownCommand)?;
        if pending.status == BlockStatus::Done {
            pending.status = status.to_block_status();
        }
        if pending.status == BlockStatus::Done
            && let Some(zeroes) = pending.zeroes.as_mut().filter(|zeroes| !zeroes.blocks.is_empty())
        {
            let command = zeroes.next_command();
            self.send(away.tag, number, &command);
            return Ok(None);
        }
        self.free.push(number);
        pending.commands -= 1;
        if pending.commands > 0 {
            return Ok(None);
        }
        let ended = (away.tag, pending.status);
        *place = None;
        Ok(Some(ended))
    }

    /// Whether commands are on their way.
    pub fn is_busy(&self) -> bool {
        self.free.len() < self.away.len()
    }

    /// Time goes on by one tick. Error: `Overdue`.
    pub fn tick(&mut self) -> Result<(), Fault> {
        self.ticks += 1;
        let is_late = |away: &Away| self.ticks - away.since > PATIENCE;
        if self.away.iter().flatten().any(is_late) { Err(Fault::Overdue) } else { Ok(()) }
    }
}

impl Zeroes {
    fn next_command(&mut self) -> Command {
        let first = self.blocks.start;
        self.blocks.start = self.blocks.end.min(first + self.step);
        Command::write_zeroes(self.namespace, first, (self.blocks.start - first) as u32)
    }
}
