//! The generator from a fixed key, and the server with and without a source.

use super::*;
use libsys::{Header, message::Stamp, service::CONTROL};
use proptest::prelude::*;

fn bytes(generator: &mut Generator, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    generator.fill(&mut bytes);
    bytes
}

fn context(badge: u64) -> Context {
    Context::new(badge, Header(0), Stamp::default())
}

/// RFC 8439 is ChaCha20 with a block counter of 32 bits and a nonce of 96; with zeros, its first block (appendix A.1, vector 1) is both's.
#[test]
fn the_keystream_is_that_of_the_standard() {
    let block = [
        0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28, 0xbd, 0xd2,
        0x19, 0xb8, 0xa0, 0x8d, 0xed, 0x1a, 0xa8, 0x36, 0xef, 0xcc, 0x8b, 0x77, 0x0d, 0xc7, 0xda, 0x41, 0x59, 0x7c,
        0x51, 0x57, 0x48, 0x8d, 0x77, 0x24, 0xe0, 0x3f, 0xb8, 0xd8, 0x4a, 0x37, 0x6a, 0x43, 0xb8, 0xf4, 0x15, 0x18,
        0xa1, 0x1c, 0xc3, 0x87, 0xb6, 0x69, 0xb2, 0xee, 0x65, 0x86,
    ];
    assert_eq!(bytes(&mut Generator::new([0; 32]), 32), block[32..]);
}

#[test]
fn the_same_key_makes_the_same_bytes_and_no_key_stays() {
    let (mut one, mut other) = (Generator::new([7; 32]), Generator::new([7; 32]));
    assert_eq!(bytes(&mut one, 4000), bytes(&mut other, 4000));
    assert_ne!(bytes(&mut one, 32), bytes(&mut Generator::new([7; 32]), 32));
    one.stir(b"");
    assert_eq!(bytes(&mut other, 32).len(), 32);
}

#[test]
fn without_a_seed_there_are_no_numbers() {
    let mut pool = Pool { generator: Generator::new([1; 32]), is_seeded: false, requests: 0 };
    assert_eq!(pool.seed(None), Err(RandomError::NotSeeded));
    pool.add(b"what somebody believes to be random");
    assert!(!pool.is_seeded);
    assert_eq!(pool.seed(Some([2; 32])), Ok(()));
    assert_eq!(pool.fill(&mut [0; 9]), Ok(9));
    // A source that dries up later does not stop a generator that was seeded.
    assert_eq!(pool.seed(None), Err(RandomError::NotSeeded));
    assert_eq!(pool.fill(&mut [0; 9]), Ok(9));
    assert_eq!(pool.reseed(&context(1)), Err(RandomError::Denied));
    assert_eq!(pool.reseed(&context(CONTROL)).is_ok(), processor_seed().is_some());
}

proptest! {
    #[test]
    fn all_that_is_stirred_in_counts(first in any::<Vec<u8>>(), second in any::<Vec<u8>>()) {
        let after = |stirred: &[u8]| {
            let mut generator = Generator::new([3; 32]);
            generator.stir(stirred);
            bytes(&mut generator, 32)
        };
        prop_assert_eq!(after(&first) == after(&second), first == second);
    }
}
