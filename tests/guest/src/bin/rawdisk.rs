//! `rawdisk SERVICE ROUNDS SEED`: writes sectors of a block service, side by side, and reads them back: all has to be what was written last, also when
//! the service dies meanwhile. Everything on the disk is lost.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use guest::random::Random;
use libsys::block::{Disk, Request, Segment};
use libsys::protocol::block::{BlockStatus, Flags, Operation, SECTOR_BYTES};
use libsys::{ExitStatus, env};

libsys::main!(run);

/// Requests at a time.
const DEPTH: usize = 32;
/// Bytes of each.
const BYTES: u64 = 16 * 1024;
/// The part of the disk that is written, in requests.
const PLACES: u64 = 128;

fn run() -> ExitStatus {
    match test() {
        Ok(text) => {
            libsys::info!("{text}");
            ExitStatus::SUCCESS
        }
        Err(text) => {
            libsys::error!("{text}");
            ExitStatus::FAILURE
        }
    }
}

fn test() -> Result<String, String> {
    let [_, service, rounds, seed] = env::arguments() else { return Err("usage: rawdisk SERVICE ROUNDS SEED".into()) };
    let number = |word: &String| word.parse::<u64>().map_err(|_| format!("`{word}` is not a number"));
    let (rounds, mut random) = (number(rounds)?, Random::new(number(seed)?));
    let session = env::get().registry().connect(service, true).map_err(|error| format!("{service}: {error}"))?;
    let mut disk = Disk::open(session, service, env::account()).map_err(|error| format!("{error}"))?;
    let sectors = PLACES * BYTES / SECTOR_BYTES;
    if disk.info().sectors < sectors {
        return Err(format!("{service} has less than {sectors} sectors"));
    }
    let buffer = disk.allocate(DEPTH as u64 * BYTES, env::account()).map_err(|error| format!("{error}"))?;
    // What was written last, by place.
    let mut written = vec![0_u64; PLACES as usize];
    for round in 1..=rounds {
        let places: Vec<u64> = (0..DEPTH as u64).map(|slot| slot * 4 + random.below(4)).collect();
        let is_write = round == 1 || random.one_in(2);
        for (slot, place) in places.iter().enumerate().filter(|_| is_write) {
            written[*place as usize] = stamp(*place, round);
            fill(&buffer, slot, written[*place as usize]);
        }
        let operation = if is_write { Operation::Write } else { Operation::Read };
        transfer(&mut disk, buffer.number(), &places, operation)?;
        if is_write && random.one_in(4) {
            disk.flush().map_err(|error| format!("flush: {error}"))?;
        }
        for (slot, place) in places.iter().enumerate().filter(|(_, place)| !is_write && written[**place as usize] != 0)
        {
            check(&buffer, slot, written[*place as usize]).map_err(|found| {
                format!("round {round}, place {place}: {found:#x} where {:#x} was written", written[*place as usize])
            })?;
        }
    }
    Ok(format!("{service}: {rounds} rounds, {} requests were made again", disk.resubmitted()))
}

fn stamp(place: u64, round: u64) -> u64 {
    place << 32 | round
}

fn fill(buffer: &libsys::block::Buffer, slot: usize, stamp: u64) {
    let bytes: Vec<u8> = (0..BYTES / 8).flat_map(|word| (stamp ^ word << 48).to_le_bytes()).collect();
    buffer.copy_in(slot * BYTES as usize, &bytes);
}

fn check(buffer: &libsys::block::Buffer, slot: usize, stamp: u64) -> Result<(), u64> {
    let mut bytes = vec![0; BYTES as usize];
    buffer.copy_out(slot * BYTES as usize, &mut bytes);
    for (word, found) in bytes.as_chunks::<8>().0.iter().enumerate() {
        let found = u64::from_le_bytes(*found);
        if found != stamp ^ (word as u64) << 48 {
            return Err(found);
        }
    }
    Ok(())
}

/// Moves all places side by side.
fn transfer(disk: &mut Disk, buffer: u32, places: &[u64], operation: Operation) -> Result<(), String> {
    for (slot, place) in places.iter().enumerate() {
        // Two segments, so that there is more than one.
        let (first, second) = (BYTES as u32 / 4, BYTES as u32 / 4 * 3);
        let offset = slot as u64 * BYTES;
        let segments = [
            Segment { buffer, bytes: first, offset },
            Segment { buffer, bytes: second, offset: offset + u64::from(first) },
        ];
        let sector = place * BYTES / SECTOR_BYTES;
        let request = Request { operation, flags: Flags::NONE, sector, sectors: 0, segments: &segments };
        disk.submit(&request).map_err(|error| format!("submit: {error}"))?;
    }
    while let Some(done) = disk.wait() {
        if done.status != BlockStatus::Done {
            return Err(format!("{operation:?}: {}", done.status.text()));
        }
    }
    Ok(())
}
