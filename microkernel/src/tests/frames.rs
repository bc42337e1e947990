//! The buddy allocator against a list of what is allocated.

use super::machine::Arena;
use crate::frames::Frames;
use proptest::prelude::*;

const PAGE: u64 = 4096;

fn frames_of(arena: &Arena, ranges: &[(usize, usize)]) -> Frames {
    let frames = Frames::new();
    for (start, end) in ranges {
        // SAFETY: the arena is ours.
        unsafe { frames.add(arena.range(*start..*end)) };
    }
    frames
}

#[derive(Debug, Clone)]
enum Step {
    Allocate(usize),
    Run(u64),
    Free(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0usize..6).prop_map(Step::Allocate),
        1 => (1u64..70).prop_map(Step::Run),
        4 => any::<usize>().prop_map(Step::Free),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    #[test]
    fn never_overlaps_and_coalesces_to_the_start(
        steps in steps(),
        cuts in (0usize..40, 45usize..300, 301usize..600, 603usize..1024),
    ) {
        let arena = Arena::new(1024);
        let frames = frames_of(&arena, &[(cuts.0, cuts.1), (cuts.2, cuts.3)]);
        let (shape, total) = (frames.shape(), frames.total.get());
        prop_assert_eq!(frames.free.get(), total);
        let mut owner = vec![false; 1024];
        let index = |address: u64| ((address - arena.frame(0).as_u64()) / PAGE) as usize;
        let mut held: Vec<(x86_64::PhysAddr, u64)> = Vec::new();
        let mut used = 0;
        for step in steps {
            match step {
                Step::Allocate(_) | Step::Run(_) => {
                    let (run, count) = match step {
                        Step::Allocate(order) => (frames.allocate(order), 1 << order),
                        Step::Run(count) => (frames.allocate_run(count), count),
                        Step::Free(_) => unreachable!(),
                    };
                    let Some(start) = run else { continue };
                    if let Step::Allocate(order) = step {
                        prop_assert!(start.is_aligned(PAGE << order));
                    }
                    let first = index(start.as_u64());
                    let numbers = first..first + count as usize;
                    let within = |cut: std::ops::Range<usize>| cut.start <= numbers.start && numbers.end <= cut.end;
                    prop_assert!(within(cuts.0..cuts.1) || within(cuts.2..cuts.3));
                    prop_assert!(owner[numbers.clone()].iter().all(|owned| !owned), "given twice");
                    owner[numbers.clone()].fill(true);
                    for number in numbers {
                        // SAFETY: the frame was just given to us.
                        unsafe { crate::frames::zero(arena.frame(number)) };
                    }
                    held.push((start, count));
                    used += count;
                }
                Step::Free(which) if !held.is_empty() => {
                    let (start, count) = held.swap_remove(which % held.len());
                    owner[index(start.as_u64())..][..count as usize].fill(false);
                    frames.free_run(start, count);
                    used -= count;
                }
                Step::Free(_) => {}
            }
            prop_assert_eq!(frames.free.get(), total - used);
        }
        for (start, count) in held {
            frames.free_run(start, count);
        }
        prop_assert_eq!(frames.shape(), shape);
    }
}

#[test]
fn every_frame_can_be_had() {
    let arena = Arena::new(8192);
    let frames = frames_of(&arena, &[(0, 8192)]);
    assert_eq!(frames.total.get(), 8191, "32 MiB: the bits take one frame");
    for _ in 0..8191 {
        assert!(frames.allocate(0).is_some());
    }
    assert_eq!(frames.allocate(0), None);
    assert_eq!(frames.free.get(), 0);
}

#[test]
fn ranges_too_small_for_their_own_bits_are_left_out() {
    let arena = Arena::new(16);
    let frames = frames_of(&arena, &[(0, 0), (1, 2), (4, 6)]);
    assert_eq!((frames.total.get(), frames.allocate(0)), (1, Some(arena.frame(5))));
    // SAFETY: the arena is ours.
    unsafe { frames.add(arena.frame(8) + 1..arena.frame(11) + 4095) };
    assert_eq!((frames.total.get(), frames.allocate(0)), (2, Some(arena.frame(10))));
}

#[test]
fn too_long_runs_are_refused() {
    let arena = Arena::new(64);
    let frames = frames_of(&arena, &[(0, 64)]);
    assert_eq!(frames.allocate_run(64), None);
    assert_eq!(frames.allocate_run(u64::MAX / 4), None);
    assert_eq!(frames.allocate(19), None);
    assert_eq!(frames.allocate(63), None);
    assert!(frames.allocate_run(32).is_some());
}

#[test]
#[should_panic(expected = "freed twice")]
fn freeing_twice_is_noticed() {
    let arena = Arena::new(64);
    let frames = frames_of(&arena, &[(0, 64)]);
    let frame = frames.allocate(0).unwrap();
    frames.free(frame, 0);
    frames.free(frame, 0);
}

#[test]
#[should_panic(expected = "not managed")]
fn freeing_what_is_not_managed_is_noticed() {
    let arena = Arena::new(64);
    frames_of(&arena, &[(0, 32)]).free(arena.frame(40), 0);
}
