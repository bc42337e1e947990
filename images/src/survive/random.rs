//! Numbers from a seed: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).

/// A sequence of numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence that a seed begins.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The sequence that a seed and words begin: others have others.
    pub fn of(seed: u64, words: &[&str], number: u64) -> Random {
        let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
        let mixed = bytes
            .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Random(Random(mixed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).number())
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The error of the remainder is far below what a campaign can see.
        if end == 0 { 0 } else { self.number() % end }
    }

    /// One of these.
    pub fn choose<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(of.len() as u64)).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_numbers_and_another_makes_others() {
        let some = |mut random: Random| [random.number(), random.number()];
        assert_eq!(some(Random::new(7)), some(Random::new(7)));
        assert_ne!(some(Random::new(7)), some(Random::new(8)));
        assert_ne!(some(Random::of(7, &["a", "b"], 0)), some(Random::of(7, &["ab"], 0)));
        assert_ne!(some(Random::of(7, &["a"], 0)), some(Random::of(7, &["a"], 1)));
    }

    #[test]
    fn numbers_are_in_range() {
        let mut random = Random::new(1);
        assert!((0..1000).all(|_| random.below(3) < 3));
        assert_eq!((random.below(0), random.choose::<u8>(&[])), (0, None));
    }
}
