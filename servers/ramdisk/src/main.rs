//! A disk in memory. Serves `block`. Parameters: `size`, such as `8M` (that of the image, or 4M); `number`, of its name `ram0`; `read-only`, `yes` or `no`;
//! `image`, a file of the boot archive (its path there, such as `bin/echo`) that is on it at first. It needs, from the manifest, Memory `state` and,
//! for an image, the Memory of the boot archive as `archive`.
//!
//! What is on it outlives its server: the Memory is kept, and the next incarnation finds it.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod image;

use alloc::format;
use alloc::string::String;
use core::str::FromStr;
use libsys::driver::block::{BlockDevice, DiskName, Request, SECTOR_BYTES, Submitted, Tag};
use libsys::driver::{BlockServer, Env, Result, StartError};
use libsys::protocol::block::{BlockError, BlockInfo, BlockStatus, MOST_SEGMENTS, Operation};
use libsys::state::{Keepsake, State};
use libsys::{Memory, WritableMapping};
use serde::{Deserialize, Serialize};

/// Most bytes that one request moves.
const MOST_BYTES: u32 = 1 << 20;

/// Requests that it is good to send at once: it does them as it finds them.
const BATCH: u32 = 64;

/// Size where nothing says another.
const DEFAULT_BYTES: u64 = 4 << 20;

/// What the next incarnation has to know.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Kept {
    memory: Keepsake,
    bytes: u64,
}

struct RamDisk {
    data: WritableMapping,
    sectors: u64,
    number: u32,
    read_only: bool,
}

impl BlockDevice for RamDisk {
    type Buffer = WritableMapping;

    fn start(env: &Env) -> Result<Self> {
        let (mut state, kept) = State::<Kept>::open(env)?;
        let (memory, bytes) = match kept {
            Some(kept) => (kept.memory.take::<Memory>()?, kept.bytes),
            None => {
                let (memory, bytes) = make(env)?;
                // Before its Memory is kept, nothing was promised to anybody.
                state.update(&Kept { memory: Keepsake::of(&memory)?, bytes })?;
                (memory, bytes)
            }
        };
        let data = memory.map_writable()?;
        // The handle is the next incarnation's.
        core::mem::forget(memory);
        let read_only = env.parse::<YesOrNo>("read-only")?.is_some_and(|YesOrNo(yes)| yes);
        Ok(RamDisk { data, sectors: bytes / SECTOR_BYTES, number: env.parse("number")?.unwrap_or(0), read_only })
    }

    fn info(&self, _: u32) -> BlockInfo {
        BlockInfo {
            name: DiskName::Exact(format!("ram{}", self.number)),
            model: "memory".into(),
            serial: String::new(),
            sectors: self.sectors,
            logical_block_bytes: SECTOR_BYTES as u32,
            physical_block_bytes: libsys::abi::PAGE_BYTES as u32,
            read_only: self.read_only,
            flush: false,
            fua: false,
            discard: false,
            write_zeroes: true,
            most_bytes: MOST_BYTES,
            most_segments: MOST_SEGMENTS as u32,
            queue_depth: BATCH,
            units: 1,
        }
    }

    fn depth(&self) -> usize {
        1
    }

    fn lend(&mut self, memory: Memory) -> core::result::Result<WritableMapping, BlockError> {
        memory.map_writable().map_err(|_| BlockError::BadBuffer)
    }

    fn submit(&mut self, _: Tag, request: &Request<'_, WritableMapping>) -> Submitted {
        // The kit has checked that all of it is inside.
        let mut at = (request.sector * SECTOR_BYTES) as usize;
        for (buffer, offset, bytes) in request.segments() {
            let (offset, bytes) = (offset as usize, bytes as usize);
            match request.operation {
                Operation::Read => buffer.copy_from(offset, &self.data, at, bytes),
                _ => self.data.copy_from(at, buffer, offset, bytes),
            }
            at += bytes;
        }
        if request.operation == Operation::WriteZeroes {
            self.data.zero(at, request.sectors as usize * SECTOR_BYTES as usize);
        }
        Submitted::Ended(BlockStatus::Done)
    }
}

/// Makes the Memory, with the image on it if there is one: it, and bytes of the disk.
fn make(env: &Env) -> Result<(Memory, u64)> {
    let image = env.parameter("image").map(|path| image::find(env, path)).transpose()?;
    let image_bytes = image.as_ref().map_or(0, |image| image.bytes().next_multiple_of(SECTOR_BYTES));
    let asked = env.parse::<Size>("size")?.map(|Size(bytes)| bytes);
    let bytes = asked.unwrap_or(if image_bytes > 0 { image_bytes } else { DEFAULT_BYTES });
    if bytes < image_bytes || !bytes.is_multiple_of(SECTOR_BYTES) {
        return Err(StartError::Device("its size is not whole sectors, or too small for the image"));
    }
    let memory = Memory::create(env.account(), bytes)?;
    if let Some(image) = image {
        image.copy_to(&memory.map_writable()?);
    }
    Ok((memory, bytes))
}

/// A size: bytes, or with `K`, `M` or `G` behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size(u64);

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> core::result::Result<Size, ()> {
        let units = [('K', 10), ('M', 20), ('G', 30)];
        let unit = units.iter().find_map(|(letter, shift)| text.strip_suffix(*letter).map(|number| (number, *shift)));
        let (number, shift) = unit.unwrap_or((text, 0));
        let bytes: u64 = number.parse().map_err(|_| ())?;
        bytes.checked_mul(1 << shift).filter(|bytes| *bytes > 0).map(Size).ok_or(())
    }
}

/// `yes` or `no`.
struct YesOrNo(bool);

impl FromStr for YesOrNo {
    type Err = ();

    fn from_str(text: &str) -> core::result::Result<YesOrNo, ()> {
        match text {
            "yes" => Ok(YesOrNo(true)),
            "no" => Ok(YesOrNo(false)),
            _ => Err(()),
        }
    }
}

libsys::serve!(BlockServer<RamDisk>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_numbers_with_a_unit() {
        for (text, size) in [("512", 512), ("4K", 4096), ("3M", 3 << 20), ("1G", 1 << 30)] {
            assert_eq!(text.parse(), Ok(Size(size)));
        }
        for wrong in ["", "0", "M", "1.5M", "-1", "4k", "99999999999G"] {
            assert_eq!(wrong.parse::<Size>(), Err(()), "{wrong}");
        }
    }
}
