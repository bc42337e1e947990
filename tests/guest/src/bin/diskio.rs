//! `diskio DISK WORK [ORDER] [BYTES] [DEPTH] [COUNT] [SEED]`: reads and writes a disk, as fast as it goes. What is on it is lost.
//!
//! WORK: `read` and `write` (measured), `verify` (writes, then reads and compares), `churn` (reads and writes mixed, every read compared with what was written
//! last; also while servers die). ORDER: `sequential`, `random`. BYTES of a request (`K` for 1024), requests at a time, and requests in all. DISK is a name that
//! `block` knows, or `@SERVICE` for a driver itself.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use guest::disk;
use guest::random::Random;
use guest::say;
use libsys::block::{Buffer, Disk, Request, Segment};
use libsys::protocol::block::{BlockStatus, Flags, Operation, SECTOR_BYTES};
use libsys::{ExitStatus, env, time};

libsys::main!(run);

/// Most requests at a time: each has a buffer.
const MOST_DEPTH: usize = 64;

/// What is to be done.
struct Plan {
    work: Work,
    is_random: bool,
    bytes: u64,
    depth: usize,
    count: u64,
    random: Random,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Read,
    Write,
    Verify,
    Churn,
}

fn run() -> ExitStatus {
    match start(env::arguments()) {
        Ok(()) => ExitStatus::SUCCESS,
        Err(text) => {
            say!("diskio: {text}");
            ExitStatus::FAILURE
        }
    }
}

fn start(arguments: &[String]) -> Result<(), String> {
    let word = |index: usize| arguments.get(index).map(String::as_str);
    let (Some(name), Some(work)) = (word(1), word(2)) else { return Err("a disk and a work are needed".into()) };
    let work = match work {
        "read" => Work::Read,
        "write" => Work::Write,
        "verify" => Work::Verify,
        "churn" => Work::Churn,
        other => return Err(format!("`{other}` is no work")),
    };
    let is_random = match word(3).unwrap_or("sequential") {
        "sequential" => false,
        "random" => true,
        other => return Err(format!("`{other}` is no order")),
    };
    let number = |index: usize, default: u64| match word(index) {
        None => Ok(default),
        Some(text) => size(text).ok_or_else(|| format!("`{text}` is no number")),
    };
    let (bytes, depth, count) = (number(4, 4096)?, number(5, 1)? as usize, number(6, 1000)?);
    let random = Random::new(number(7, 1)?);
    if bytes == 0 || !bytes.is_multiple_of(SECTOR_BYTES) || !(1..=MOST_DEPTH).contains(&depth) {
        return Err(format!("requests of whole sectors, 1 to {MOST_DEPTH} at a time"));
    }
    let disk = disk::open(name, work != Work::Read)?;
    Exerciser::new(disk, Plan { work, is_random, bytes, depth, count, random })?.run()
}

/// A number, or with `K` so many times 1024.
fn size(text: &str) -> Option<u64> {
    match text.strip_suffix('K') {
        Some(number) => number.parse::<u64>().ok()?.checked_mul(1024),
        None => text.parse().ok(),
    }
}

/// A request on its way.
#[derive(Clone, Copy)]
struct Away {
    id: u64,
    block: u64,
    operation: Operation,
}

/// Plays requests against a disk, in blocks as large as a request.
struct Exerciser {
    disk: Disk,
    plan: Plan,
    blocks: u64,
    /// One for each request at a time.
    buffers: Vec<Buffer>,
    away: Vec<Option<Away>>,
    /// What was written last to each block: the number of a pattern, 0 for what was there before.
    versions: Vec<u32>,
    is_busy: Vec<bool>,
}

impl Exerciser {
    fn new(mut disk: Disk, plan: Plan) -> Result<Exerciser, String> {
        let blocks = disk.info().sectors * SECTOR_BYTES / plan.bytes;
        if blocks < plan.depth as u64 || plan.bytes > disk.info().most_bytes.into() {
            return Err("the disk is too small, or requests are too large for it".into());
        }
        let allocate = |_| disk.allocate(plan.bytes, env::account()).map_err(|error| format!("{error}"));
        let buffers = (0..plan.depth).map(allocate).collect::<Result<Vec<Buffer>, String>>()?;
        let away = vec![None; plan.depth];
        let (versions, is_busy) = (vec![0; blocks as usize], vec![false; blocks as usize]);
        Ok(Exerciser { disk, plan, blocks, buffers, away, versions, is_busy })
    }

    fn run(mut self) -> Result<(), String> {
        let count = self.plan.count;
        match self.plan.work {
            Work::Read => self.measure("read", count, |_| Operation::Read),
            Work::Write => self.measure("write", count, |_| Operation::Write),
            Work::Verify => {
                self.measure("write", count, |_| Operation::Write)?;
                self.disk.flush().map_err(|error| format!("flush: {error}"))?;
                self.measure("read", count, |_| Operation::Read)
            }
            Work::Churn => {
                self.measure("churn", count, |random| if random.one_in(2) { Operation::Read } else { Operation::Write })
            }
        }
    }

    fn measure(&mut self, what: &str, count: u64, operation: impl Fn(&mut Random) -> Operation) -> Result<(), String> {
        let start = time::now();
        let (mut begun, mut ended) = (0, 0);
        while ended < count {
            while begun < count
                && let Some(slot) = self.away.iter().position(Option::is_none)
            {
                let operation = operation(&mut self.plan.random);
                let block = self.next_block(begun);
                self.submit(slot, block, operation)?;
                begun += 1;
            }
            let completion = self.disk.wait().ok_or("nothing is outstanding, and not all is done")?;
            self.end(completion.id, completion.status)?;
            ended += 1;
        }
        let nanoseconds = (time::now() - start).max(1);
        let per_second = u128::from(count) * 1_000_000_000 / u128::from(nanoseconds);
        let kib = per_second * u128::from(self.plan.bytes) / 1024;
        say!("{what}: {count} requests of {} bytes, {per_second} a second, {kib} KiB/s", self.plan.bytes);
        if self.disk.resubmitted() > 0 {
            say!("{} requests were submitted again", self.disk.resubmitted());
        }
        Ok(())
    }

    /// A block that no request is on its way to.
    fn next_block(&mut self, number: u64) -> u64 {
        let mut block = if self.plan.is_random { self.plan.random.below(self.blocks) } else { number % self.blocks };
        while self.is_busy[block as usize] {
            block = (block + 1) % self.blocks;
        }
        block
    }

    fn submit(&mut self, slot: usize, block: u64, operation: Operation) -> Result<(), String> {
        if operation == Operation::Write && self.is_compared() {
            self.versions[block as usize] += 1;
            self.fill(slot, block);
        }
        let segment = Segment { buffer: self.buffers[slot].number(), bytes: self.plan.bytes as u32, offset: 0 };
        let sector = block * self.plan.bytes / SECTOR_BYTES;
        let request = Request { operation, flags: Flags::NONE, sector, sectors: 0, segments: &[segment] };
        let id = self.disk.submit(&request).map_err(|error| format!("{operation:?} of block {block}: {error}"))?;
        self.away[slot] = Some(Away { id, block, operation });
        self.is_busy[block as usize] = true;
        Ok(())
    }

    fn end(&mut self, id: u64, status: BlockStatus) -> Result<(), String> {
        let is_it = |away: &Option<Away>| away.is_some_and(|away| away.id == id);
        let slot = self.away.iter().position(is_it).ok_or("a completion of nothing")?;
        let Some(Away { block, operation, .. }) = self.away[slot].take() else { return Ok(()) };
        self.is_busy[block as usize] = false;
        status.result().map_err(|status| format!("{operation:?} of block {block}: {status}"))?;
        let is_known = self.is_compared() && self.versions[block as usize] > 0;
        if operation == Operation::Read && is_known { self.compare(slot, block) } else { Ok(()) }
    }

    fn is_compared(&self) -> bool {
        matches!(self.plan.work, Work::Verify | Work::Churn)
    }

    /// The first of the words that a block's sectors consist of.
    fn seed(&self, block: u64) -> u64 {
        block << 32 | u64::from(self.versions[block as usize])
    }

    fn fill(&self, slot: usize, block: u64) {
        let words = self.plan.bytes as usize / 8;
        let seed = self.seed(block);
        for word in 0..words {
            let value = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(word as u64);
            self.buffers[slot].word_u64(word * 8).store(value, core::sync::atomic::Ordering::Relaxed);
        }
    }

    fn compare(&self, slot: usize, block: u64) -> Result<(), String> {
        let seed = self.seed(block);
        for word in 0..self.plan.bytes as usize / 8 {
            let value = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(word as u64);
            let found = self.buffers[slot].load_u64(word * 8, core::sync::atomic::Ordering::Relaxed);
            if found != value {
                let version = self.versions[block as usize];
                return Err(format!("block {block}, version {version}: word {word} is {found:#x}, not {value:#x}"));
            }
        }
        Ok(())
    }
}
