//! The overlay: what is committed survives its server at every instruction, what is not is gone; and everything reaches the disk.

use libsys::{Memory, env};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use volume::log::ItemKey;
use volume::requests::Requests;
use volume::testing::{Death, Dice, FakeDisk, Image, SharedImage, end_after};
use volume::{Overlay, OverlayError, SharedRequests};

const BLOCK: usize = 1024;
const BLOCKS: u64 = 512;
const MEMORY: u64 = 256 << 10;

fn disk() -> (SharedImage, SharedRequests) {
    let image = Image::new(vec![0; BLOCKS as usize * BLOCK]);
    let requests = Requests::new(Box::new(FakeDisk::new(image.clone(), 3)));
    (image, requests)
}

fn block(dice: &mut Dice) -> Vec<u8> {
    let value = dice.below(256) as u8;
    vec![value; BLOCK]
}

/// The bytes of a Memory as they are now.
fn snapshot(memory: &Memory) -> Vec<u8> {
    let mapping = memory.map().unwrap();
    let mut bytes = vec![0; mapping.bytes()];
    mapping.copy_out(0, &mut bytes);
    bytes
}

fn restored(bytes: &[u8]) -> Memory {
    let memory = Memory::create_dma(env::account(), bytes.len() as u64).unwrap();
    memory.map_writable().unwrap().copy_in(0, bytes);
    memory
}

type State = (BTreeMap<u64, Vec<u8>>, BTreeMap<ItemKey, Vec<u8>>);

/// Whether an overlay that is opened on these bytes of Memory shows this state over what the disk has.
fn shows(memory: &[u8], image: &SharedImage, state: &State) -> bool {
    let requests = Requests::new(Box::new(FakeDisk::new(image.clone(), 1)));
    let mut overlay = Overlay::open(&restored(memory), requests, BLOCK, 0).unwrap();
    let mut bytes = vec![0; BLOCK];
    let blocks = state.0.iter().all(|(number, expected)| {
        overlay.read(*number, &mut bytes).unwrap();
        bytes == *expected
    });
    let items: BTreeMap<ItemKey, Vec<u8>> = (0..3)
        .flat_map(|kind| overlay.items(kind).map(|(key, value)| (*key, value.to_vec())).collect::<Vec<_>>())
        .collect();
    blocks && items == state.1
}

/// Writes some blocks and items, pending, and returns the state with them.
fn change(overlay: &mut Overlay, state: &State, dice: &mut Dice) -> State {
    let mut next = state.clone();
    for _ in 0..1 + dice.below(8) {
        let (number, bytes) = (dice.below(BLOCKS), block(dice));
        overlay.write(number, &bytes).unwrap();
        next.0.insert(number, bytes);
    }
    for _ in 0..dice.below(3) {
        let key = ItemKey { kind: dice.below(3) as u32, words: [dice.below(4), 0, dice.below(3)] };
        let value = (!dice.once_in(3)).then(|| vec![dice.below(256) as u8; dice.below(60) as usize]);
        overlay.set_item(key, value.clone());
        match value {
            Some(value) => drop(next.1.insert(key, value)),
            None => drop(next.1.remove(&key)),
        }
    }
    next
}

#[test]
fn a_death_anywhere_leaves_the_record_or_not() {
    let (image, requests) = disk();
    let memory = Memory::create_dma(env::account(), MEMORY).unwrap();
    let mut overlay = Overlay::create(&memory, requests, BLOCK).unwrap();
    let mut dice = Dice::new(5);
    let mut state = State::default();
    let (mut boundaries, mut inside) = (0, 0);
    for _ in 0..400 {
        overlay.make_room_for_request().unwrap();
        let next = change(&mut overlay, &state, &mut dice);
        let before = snapshot(&memory);
        assert!(shows(&before, &image, &state), "what is pending is not there");
        overlay.commit().unwrap();
        let after = snapshot(&memory);
        assert!(shows(&after, &image, &next), "what is committed is");
        boundaries += 1;
        let words: Vec<usize> =
            (0..after.len()).step_by(8).filter(|at| before[*at..at + 8] != after[*at..at + 8]).collect();
        // Moves of the tail are stores of their own, in an order of their own.
        let tail_moved = words.iter().any(|at| *at < 4096);
        if !tail_moved {
            for cut in 0..words.len() {
                let mut torn = before.clone();
                for at in &words[words.len() - cut..] {
                    torn[*at..at + 8].copy_from_slice(&after[*at..at + 8]);
                }
                assert!(shows(&torn, &image, &state), "{cut} of {} words of a record", words.len());
                inside += 1;
            }
        }
        state = next;
        if dice.once_in(5) {
            overlay.want_durable();
        }
        overlay.advance();
        assert!(shows(&snapshot(&memory), &image, &state), "draining changes nothing");
    }
    assert!(boundaries > 300 && inside > 2000);
    overlay.empty().unwrap();
    for (number, bytes) in &state.0 {
        let at = *number as usize * BLOCK;
        assert!(image.borrow().bytes[at..at + BLOCK] == bytes[..], "block {number} on the disk");
    }
    assert_eq!(overlay.uncommitted(), 0);
}

#[test]
fn damage_is_found() {
    let (image, requests) = disk();
    let memory = Memory::create_dma(env::account(), MEMORY).unwrap();
    let mut overlay = Overlay::create(&memory, requests, BLOCK).unwrap();
    let mut dice = Dice::new(6);
    for _ in 0..20 {
        change(&mut overlay, &State::default(), &mut dice);
        overlay.commit().unwrap();
    }
    let bytes = snapshot(&memory);
    let open = |bytes: &[u8]| {
        let requests = Requests::new(Box::new(FakeDisk::new(image.clone(), 1)));
        Overlay::open(&restored(bytes), requests, BLOCK, 0).map(drop)
    };
    open(&bytes).unwrap();
    let mut refused = 0;
    for _ in 0..300 {
        let mut damaged = bytes.clone();
        let at = dice.below(damaged.len() as u64) as usize;
        damaged[at] ^= 1 << dice.below(8);
        refused += usize::from(matches!(open(&damaged), Err(OverlayError::Log(_))));
    }
    assert!(refused > 20, "{refused}");
    assert!(matches!(open(&vec![0; bytes.len()]), Err(OverlayError::Log(_))));
}

#[test]
fn a_disk_that_fails_ends_writing_and_keeps_what_is_committed() {
    let (image, requests) = disk();
    let memory = Memory::create_dma(env::account(), MEMORY).unwrap();
    let mut overlay = Overlay::create(&memory, requests, BLOCK).unwrap();
    overlay.write(7, &[7; BLOCK]).unwrap();
    overlay.commit().unwrap();
    image.borrow_mut().fail_writes = true;
    assert_eq!(overlay.make_durable(), Err(OverlayError::Failed));
    assert_eq!(overlay.write(8, &[8; BLOCK]), Err(OverlayError::Failed));
    let mut bytes = [0; BLOCK];
    overlay.read(7, &mut bytes).unwrap();
    assert_eq!(bytes, [7; BLOCK]);
    assert_eq!(overlay.read(BLOCKS, &mut bytes), Err(OverlayError::OutOfRange));
    image.borrow_mut().bad_sectors.push(20);
    assert!(matches!(overlay.read(10, &mut bytes), Err(OverlayError::Disk(_))));
}

/// A block that was only read as the neighbour of another one may have been a file's data since: what is written there counts, also when it is what was read.
#[test]
fn a_neighbour_that_changed_on_the_disk_is_written() {
    let (image, requests) = disk();
    let memory = Memory::create(env::account(), MEMORY).unwrap();
    let mut overlay = Overlay::create(&memory, requests, BLOCK).unwrap();
    overlay.read(9, &mut [0; BLOCK]).unwrap();
    // Somebody else's data, past the overlay.
    image.borrow_mut().bytes[10 * BLOCK..11 * BLOCK].fill(7);
    overlay.write(10, &[0; BLOCK]).unwrap();
    overlay.commit().unwrap();
    overlay.make_durable().unwrap();
    assert!(image.borrow().bytes[10 * BLOCK..11 * BLOCK] == [0; BLOCK]);
}

/// Blocks as they should be, by their numbers.
type Blocks = BTreeMap<u64, Vec<u8>>;

fn all_of(overlay: &mut Overlay, numbers: &Blocks) -> Blocks {
    let read = |number: &u64| {
        let mut bytes = vec![0; BLOCK];
        overlay.read(*number, &mut bytes).unwrap();
        (*number, bytes)
    };
    numbers.keys().map(read).collect()
}

/// Changes parts of some blocks, pending; and sometimes a whole one.
fn change_parts(overlay: &mut Overlay, now: &Blocks, dice: &mut Dice) -> Blocks {
    let mut next = now.clone();
    for _ in 0..1 + dice.below(6) {
        let number = dice.below(now.len() as u64);
        let offset = dice.below(BLOCK as u64) as usize;
        let bytes = vec![dice.below(4) as u8; 1 + dice.below((BLOCK - offset).min(120) as u64) as usize];
        overlay.write_part(number, offset, &bytes).unwrap();
        next.get_mut(&number).unwrap()[offset..offset + bytes.len()].copy_from_slice(&bytes);
        if dice.once_in(12) {
            let (number, bytes) = (dice.below(now.len() as u64), block(dice));
            overlay.write(number, &bytes).unwrap();
            next.insert(number, bytes);
        }
    }
    next
}

#[test]
fn parts_change_in_place_with_their_record_or_not_at_all() {
    let image = Image::new(vec![0; BLOCKS as usize * BLOCK]);
    let requests = || Requests::new(Box::new(FakeDisk::new(image.clone(), 3)));
    let memory = Memory::create_dma(env::account(), MEMORY).unwrap();
    let mut overlay = Overlay::create(&memory, requests(), BLOCK).unwrap();
    let mut dice = Dice::new(9);
    let mut now: Blocks = (0..8).map(|number| (number, vec![0; BLOCK])).collect();
    let (mut deaths, mut undone, mut counted, mut taken_back) = (0, 0, 0, 0);
    // The last record that somebody has committed.
    let mut committed = 0;
    for round in 0..1500 {
        let mut next = now.clone();
        let kind = dice.below(4);
        end_after(dice.below(200));
        let lives = catch_unwind(AssertUnwindSafe(|| {
            overlay.make_room_for_request().unwrap();
            next = change_parts(&mut overlay, &now, &mut dice);
            assert_eq!(all_of(&mut overlay, &next), next, "what is pending is read, round {round}");
            match kind {
                0 => overlay.abandon(),
                1 | 2 => {
                    overlay.commit().unwrap();
                }
                _ => {
                    let number = overlay.prepare().unwrap();
                    committed = number;
                    overlay.settle(number);
                }
            }
            if dice.once_in(9) {
                overlay.want_durable();
            }
            overlay.advance();
        }));
        end_after(u64::MAX);
        let lives = match lives {
            Err(what) if !what.is::<Death>() => resume_unwind(what),
            lives => lives.is_ok(),
        };
        if lives {
            if kind == 0 {
                taken_back += 1;
            } else {
                now = next;
            }
        } else {
            deaths += 1;
            drop(overlay);
            overlay = Overlay::open(&memory, requests(), BLOCK, committed).unwrap();
            let found = all_of(&mut overlay, &now);
            if found == now {
                undone += 1;
            } else {
                assert!(found == next && kind != 0, "neither before nor after, round {round}");
                counted += 1;
                now = next;
            }
        }
        assert_eq!(all_of(&mut overlay, &now), now, "round {round}");
    }
    assert!(
        deaths > 300 && undone > 250 && counted > 3 && taken_back > 100,
        "{deaths} {undone} {counted} {taken_back}"
    );
    overlay.empty().unwrap();
    for (number, bytes) in &now {
        let at = *number as usize * BLOCK;
        assert!(image.borrow().bytes[at..at + BLOCK] == bytes[..], "block {number} on the disk");
    }
}

/// A store into an image that went wrong is found at the next start, also where parts of it were changed since.
#[test]
fn damage_is_found_where_parts_were_changed() {
    let (image, requests) = disk();
    let memory = Memory::create_dma(env::account(), MEMORY).unwrap();
    let mut overlay = Overlay::create(&memory, requests, BLOCK).unwrap();
    let mut dice = Dice::new(10);
    let pattern: Vec<u8> = (0..BLOCK).map(|byte| (byte * 7) as u8 | 1).collect();
    overlay.write(3, &pattern).unwrap();
    overlay.commit().unwrap();
    let before = snapshot(&memory);
    let at = before.windows(BLOCK).position(|bytes| bytes == pattern).expect("the image");
    memory.map_writable().unwrap().store_u8(at + 500, pattern[500] ^ 4);
    for _ in 0..20 {
        overlay.write_part(3, 8 * dice.below(60) as usize, &[dice.below(256) as u8; 5]).unwrap();
        overlay.commit().unwrap();
    }
    let requests = Requests::new(Box::new(FakeDisk::new(image.clone(), 1)));
    assert!(matches!(Overlay::open(&memory, requests, BLOCK, 0), Err(OverlayError::Log(_))));
}
