//! Tables written byte by byte, and what becomes of broken ones.

use super::crc::Crc;
use super::*;
use std::cell::Cell;

/// An image; it counts what is read of it.
struct Image {
    bytes: Vec<u8>,
    block: usize,
    reads: Cell<usize>,
    broken: Option<u64>,
}

impl Medium for Image {
    fn block_bytes(&self) -> usize {
        self.block
    }

    fn blocks(&self) -> u64 {
        (self.bytes.len() / self.block) as u64
    }

    fn read(&mut self, block: u64, into: &mut [u8]) -> Result<(), ReadError> {
        self.reads.set(self.reads.get() + 1);
        assert!(block < self.blocks(), "block {block} is not there");
        if self.broken == Some(block) {
            return Err(ReadError);
        }
        into[..self.block].copy_from_slice(&self.bytes[block as usize * self.block..][..self.block]);
        Ok(())
    }
}

const BLOCKS: usize = 4096;

fn image(block: usize) -> Image {
    Image { bytes: vec![0; BLOCKS * block], block, reads: Cell::new(0), broken: None }
}

fn record(image: &mut Image, at: usize, entries: &[(u8, u32, u32)]) {
    let start = at * image.block;
    image.bytes[start + 510..start + 512].copy_from_slice(&[0x55, 0xaa]);
    for (index, (kind, first, blocks)) in entries.iter().enumerate() {
        let entry = &mut image.bytes[start + 446 + index * 16..][..16];
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&first.to_le_bytes());
        entry[12..16].copy_from_slice(&blocks.to_le_bytes());
    }
}

/// A GPT with two partitions, both copies.
fn gpt(block: usize) -> Image {
    let mut image = image(block);
    record(&mut image, 0, &[(0xee, 1, BLOCKS as u32 - 1)]);
    let array_blocks = 128 * 128 / block;
    let mut array = vec![0; 128 * 128];
    for (index, (first, last, label)) in [(64u64, 1063u64, "root"), (2000, 2999, "Größe")].into_iter().enumerate() {
        let entry = &mut array[index * 2 * 128..][..128];
        entry[..16].fill(7);
        entry[16..32].fill(index as u8 + 1);
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
        for (unit, place) in label.encode_utf16().zip(entry[56..].chunks_exact_mut(2)) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
    }
    let sum = Crc::new().add(&array).value();
    for (own, other, array_at) in [(1, BLOCKS - 1, 2), (BLOCKS - 1, 1, BLOCKS - 1 - array_blocks)] {
        image.bytes[array_at * block..][..array.len()].copy_from_slice(&array);
        let mut header = vec![0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(8, &0x1_0000u32.to_le_bytes());
        put(12, &92u32.to_le_bytes());
        put(24, &(own as u64).to_le_bytes());
        put(32, &(other as u64).to_le_bytes());
        put(40, &40u64.to_le_bytes());
        put(48, &(BLOCKS as u64 - 40).to_le_bytes());
        put(72, &(array_at as u64).to_le_bytes());
        put(80, &128u32.to_le_bytes());
        put(84, &128u32.to_le_bytes());
        put(88, &sum.to_le_bytes());
        let own_sum = Crc::new().add(&header).value();
        header[16..20].copy_from_slice(&own_sum.to_le_bytes());
        image.bytes[own * block..][..92].copy_from_slice(&header);
    }
    image
}

fn ranges(partitions: &[Partition]) -> Vec<(u32, u64, u64)> {
    partitions.iter().map(|one| (one.number, one.start, one.sectors)).collect()
}

/// Four entries, one of them extended, with three logical partitions.
fn mbr() -> Image {
    let mut image = image(512);
    record(&mut image, 0, &[(0x83, 64, 100), (0x0f, 1000, 2000), (0, 0, 0), (0x0c, 3500, 500)]);
    record(&mut image, 1000, &[(0x83, 10, 100), (0x05, 500, 200)]);
    record(&mut image, 1500, &[(0x82, 1, 150), (0x05, 200, 300)]);
    record(&mut image, 1200, &[(0x07, 20, 30)]);
    image
}

#[test]
fn mbr_with_logical_partitions() {
    let (table, partitions) = read(&mut mbr()).expect("readable");
    assert_eq!(table, PartitionTable::Mbr);
    let expected = [(1, 64, 100), (4, 3500, 500), (5, 1010, 100), (6, 1501, 150), (7, 1220, 30)];
    assert_eq!(ranges(&partitions), expected);
    assert_eq!(partitions[3].kind, DiskKind::Mbr(0x82));
}

#[test]
fn chains_that_go_round_end() {
    let mut image = mbr();
    record(&mut image, 1200, &[(0x07, 20, 30), (0x05, 500, 200)]);
    assert_eq!(read(&mut image).expect("readable").1.len(), 5);
    record(&mut image, 1200, &[(0x07, 20, 30), (0x05, 200, 200)]);
    assert_eq!(read(&mut image).expect("readable").1.len(), 5);
    assert!(image.reads.get() < 20);
}

#[test]
fn partitions_beyond_the_end_are_not_there() {
    let mut image = image(512);
    record(&mut image, 0, &[(0x83, 1, 4095), (0x83, 1, 4096), (0x83, u32::MAX, u32::MAX), (0x83, 0, 10)]);
    assert_eq!(ranges(&read(&mut image).expect("readable").1), [(1, 1, 4095)]);
}

#[test]
fn what_is_no_table_is_none() {
    let mut empty = image(512);
    assert_eq!(read(&mut empty), Ok((PartitionTable::None, Vec::new())));
    // The boot sector of a file system: the same signature, and code where the entries would be.
    record(&mut empty, 0, &[(0x83, 1, 10)]);
    empty.bytes[446] = 0xfa;
    assert_eq!(read(&mut empty), Ok((PartitionTable::None, Vec::new())));
    empty.broken = Some(0);
    assert_eq!(read(&mut empty), Err(ReadError));
    let mut nothing = Image { bytes: Vec::new(), block: 512, reads: Cell::new(0), broken: None };
    assert_eq!(read(&mut nothing), Ok((PartitionTable::None, Vec::new())));
}

#[test]
fn gpt_in_blocks_of_both_sizes() {
    for block in [512, 4096] {
        let (table, partitions) = read(&mut gpt(block)).expect("readable");
        let scale = block as u64 / 512;
        assert_eq!(table, PartitionTable::Gpt);
        assert_eq!(ranges(&partitions), [(1, 64 * scale, 1000 * scale), (3, 2000 * scale, 1000 * scale)]);
        let DiskKind::Gpt { kind, identity, label } = &partitions[1].kind else { panic!("a GPT") };
        assert_eq!((kind, identity, label.as_str()), (&[7; 16], &[2; 16], "Größe"));
    }
}

#[test]
fn the_backup_counts_where_the_first_copy_is_broken() {
    let good = ranges(&read(&mut gpt(512)).expect("readable").1);
    // Every byte of the header and of the array that its checksums cover.
    for at in (512..512 + 92).chain((1024..1024 + 128 * 128).step_by(97)) {
        let mut image = gpt(512);
        image.bytes[at] ^= 0x10;
        let (table, partitions) = read(&mut image).expect("readable");
        assert_eq!((table, ranges(&partitions)), (PartitionTable::GptBackup, good.clone()), "byte {at}");
    }
    for broken in [1, 2, 20] {
        let mut image = gpt(512);
        image.broken = Some(broken);
        assert_eq!(read(&mut image).expect("readable").0, PartitionTable::GptBackup);
    }
    let mut image = gpt(512);
    image.bytes[512] = 0;
    image.bytes[(BLOCKS - 1) * 512] = 0;
    assert_eq!(read(&mut image), Ok((PartitionTable::None, Vec::new())));
}

#[test]
fn mutated_tables_harm_nobody() {
    let mut seed = 1u64;
    let mut random = |end: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % end
    };
    let places = [0..512, 512..604, 1024..2048, 1000 * 512..1001 * 512, 1500 * 512..1501 * 512];
    let mut found = 0;
    for round in 0..6000 {
        let mut image = if round % 2 == 0 { gpt(512) } else { mbr() };
        for _ in 0..=random(6) {
            let place = places[random(places.len())].clone();
            let at = place.start + random(place.len());
            image.bytes[at] = [0, 1, 0xff, 0x7f, 0x80, random(256) as u8][random(6)];
        }
        if round % 4 == 0 {
            // With checksums that are right: the numbers themselves are to be checked.
            let entries = Crc::new().add(&image.bytes[1024..1024 + 128 * 128]).value();
            image.bytes[512 + 88..512 + 92].copy_from_slice(&entries.to_le_bytes());
            image.bytes[512 + 16..512 + 20].fill(0);
            let sum = Crc::new().add(&image.bytes[512..604]).value();
            image.bytes[512 + 16..512 + 20].copy_from_slice(&sum.to_le_bytes());
        }
        let (_, partitions) = read(&mut image).expect("readable");
        assert!(image.reads.get() < 2000, "{} reads", image.reads.get());
        for one in &partitions {
            assert!(one.start > 0 && one.sectors > 0 && one.start + one.sectors <= BLOCKS as u64, "{one:?}");
        }
        found += partitions.len();
    }
    assert!(found > 6000, "most of them still have partitions: {found}");
}
