//! `erase DISK discard|zero FIRST SECTORS`: fills a disk with a pattern, discards a range of sectors or has the device fill it with zeros, and reads all back: the range has to be
//! zeros (after a discard: zeros or the pattern, sector by sector), and everything else what was written. What was on the disk is lost.
//!
//! The pattern: each word of 64 bits is its sector's number above 16 bits, and its own number in the sector, from 1.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use guest::{disk, say};
use libsys::block::{Buffer, Disk};
use libsys::protocol::block::{Operation, SECTOR_BYTES};
use libsys::{ExitStatus, env};

libsys::main!(run);

/// Bytes that are moved at once.
const STEP: u64 = 64 * 1024;

fn run() -> ExitStatus {
    match erase(env::arguments()) {
        Ok(text) => {
            say!("{text}");
            ExitStatus::SUCCESS
        }
        Err(text) => {
            say!("erase: {text}");
            ExitStatus::FAILURE
        }
    }
}

fn erase(arguments: &[String]) -> Result<String, String> {
    let [_, name, work, first, sectors] = arguments else { return Err("usage: erase DISK WORK FIRST SECTORS".into()) };
    let operation = match work.as_str() {
        "discard" => Operation::Discard,
        "zero" => Operation::WriteZeroes,
        other => return Err(format!("`{other}` is no work")),
    };
    let first: u64 = first.parse().map_err(|_| format!("`{first}` is no number"))?;
    let sectors: u32 = sectors.parse().map_err(|_| format!("`{sectors}` is no number"))?;
    let mut disk = disk::open(name, true)?;
    let buffer = disk.allocate(STEP, env::account()).map_err(|error| format!("{error}"))?;
    fill(&mut disk, &buffer)?;
    disk.perform(operation, first, sectors).map_err(|error| format!("{work}: {error}"))?;
    disk.flush().map_err(|error| format!("flush: {error}"))?;
    let zeros = check(&mut disk, &buffer, first..first + u64::from(sectors), operation)?;
    Ok(format!("{work}: {zeros} sectors of zeros"))
}

/// Bytes of a step that begins at a sector.
fn step(disk: &Disk, sector: u64) -> u64 {
    STEP.min((disk.info().sectors - sector) * SECTOR_BYTES)
}

fn fill(disk: &mut Disk, buffer: &Buffer) -> Result<(), String> {
    let mut sector = 0;
    while sector < disk.info().sectors {
        let bytes = step(disk, sector);
        let sectors = sector..sector + bytes / SECTOR_BYTES;
        let pattern: Vec<u8> = sectors.flat_map(pattern).flat_map(u64::to_le_bytes).collect();
        buffer.copy_in(0, &pattern);
        disk.write_at(sector, buffer, 0, bytes).map_err(|error| format!("write at {sector}: {error}"))?;
        sector += bytes / SECTOR_BYTES;
    }
    disk.flush().map_err(|error| format!("flush: {error}"))
}

/// The words of a sector.
fn pattern(sector: u64) -> impl Iterator<Item = u64> {
    (1..=SECTOR_BYTES / 8).map(move |word| sector << 16 | word)
}

/// Reads all back. How many sectors are zeros.
fn check(disk: &mut Disk, buffer: &Buffer, erased: core::ops::Range<u64>, operation: Operation) -> Result<u64, String> {
    let (mut sector, mut zeros) = (0, 0);
    let mut found = vec![0; STEP as usize];
    while sector < disk.info().sectors {
        let bytes = step(disk, sector);
        disk.read_at(sector, buffer, 0, bytes).map_err(|error| format!("read at {sector}: {error}"))?;
        buffer.copy_out(0, &mut found[..bytes as usize]);
        for one in found[..bytes as usize].chunks(SECTOR_BYTES as usize) {
            let is_pattern = pattern(sector).flat_map(u64::to_le_bytes).eq(one.iter().copied());
            let is_zeros = one.iter().all(|byte| *byte == 0);
            let is_right = match erased.contains(&sector) {
                true => is_zeros || is_pattern && operation == Operation::Discard,
                false => is_pattern,
            };
            if !is_right {
                return Err(format!("sector {sector} is not what it should be"));
            }
            zeros += u64::from(is_zeros);
            sector += 1;
        }
    }
    Ok(zeros)
}
