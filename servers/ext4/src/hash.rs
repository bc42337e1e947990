//! Hashes of names, as the indexes of directories have them.

/// Where the state begins if the disk does not say it: as MD4's does.
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// How a disk hashes names.
#[derive(Clone, Copy, Debug)]
pub struct Hashing {
    /// Where the state begins; zeros: where MD4's does.
    pub seed: [u32; 4],
    /// Bytes of names are taken as unsigned.
    pub is_unsigned: bool,
}

impl Hashing {
    /// The hash of a name by the algorithm with this number; its lowest bit is clear. `None`: not a known one.
    pub fn hash(&self, name: &[u8], algorithm: u8) -> Option<u32> {
        let is_unsigned = self.is_unsigned || (3..=5).contains(&algorithm);
        let mut state = if self.seed == [0; 4] { START } else { self.seed };
        let hash = match algorithm {
            0 | 3 => legacy(name, is_unsigned),
            1 | 4 => {
                pieces::<8>(name, is_unsigned, |words| half_md4(&mut state, words));
                state[1]
            }
            2 | 5 => {
                pieces::<4>(name, is_unsigned, |words| tea(&mut state, words));
                state[0]
            }
            _ => return None,
        };
        // The largest one is the mark of an end.
        Some(if hash & !1 == 0xffff_fffe { 0xffff_fffc } else { hash & !1 })
    }
}

fn widen(byte: u8, is_unsigned: bool) -> u32 {
    if is_unsigned { byte.into() } else { byte as i8 as u32 }
}

fn legacy(name: &[u8], is_unsigned: bool) -> u32 {
    let (mut hash, mut before) = (0x12a3_fe2du32, 0x37ab_e8f9u32);
    for byte in name {
        let next = before.wrapping_add(hash ^ widen(*byte, is_unsigned).wrapping_mul(7_152_373));
        (before, hash) = (hash, if next >> 31 == 1 { next.wrapping_sub(0x7fff_ffff) } else { next });
    }
    hash << 1
}

/// Gives a name in pieces of so many words, the last one filled up with the length that was left of the name.
fn pieces<const WORDS: usize>(name: &[u8], is_unsigned: bool, mut take: impl FnMut(&[u32; WORDS])) {
    let mut rest = name;
    while !rest.is_empty() {
        let length = rest.len() as u32 & 0xff;
        let pad = length * 0x0101_0101;
        let mut words = [pad; WORDS];
        let (piece, behind) = rest.split_at(rest.len().min(WORDS * 4));
        for (word, bytes) in words.iter_mut().zip(piece.chunks(4)) {
            for byte in bytes {
                *word = widen(*byte, is_unsigned).wrapping_add(*word << 8);
            }
        }
        take(&words);
        rest = behind;
    }
}

/// The transformation of TEA, sixteen rounds.
fn tea(state: &mut [u32; 4], key: &[u32; 4]) {
    let half = |other: u32, sum: u32, keys: [u32; 2]| {
        (other << 4).wrapping_add(keys[0]) ^ other.wrapping_add(sum) ^ (other >> 5).wrapping_add(keys[1])
    };
    let ([mut left, mut right], mut sum) = ([state[0], state[1]], 0u32);
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9e37_79b9);
        left = left.wrapping_add(half(right, sum, [key[0], key[1]]));
        right = right.wrapping_add(half(left, sum, [key[2], key[3]]));
    }
    (state[0], state[1]) = (state[0].wrapping_add(left), state[1].wrapping_add(right));
}

/// MD4 (RFC 1320) with eight steps a round in place of sixteen.
fn half_md4(state: &mut [u32; 4], words: &[u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    const ROUNDS: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (|x, y, z| x & y | !x & z, 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (|x, y, z| x & y | x & z | y & z, 0x5a82_7999, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
        (|x, y, z| x ^ y ^ z, 0x6ed9_eba1, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    let mut work = *state;
    for (mix, constant, order, shifts) in ROUNDS {
        for (step, word) in order.into_iter().enumerate() {
            let at = |offset: usize| (offset + 4 - step % 4) % 4;
            let mixed = mix(work[at(1)], work[at(2)], work[at(3)]);
            let sum = work[at(0)].wrapping_add(mixed).wrapping_add(words[word]).wrapping_add(constant);
            work[at(0)] = sum.rotate_left(shifts[step % 4]);
        }
    }
    for (into, from) in state.iter_mut().zip(work) {
        *into = into.wrapping_add(from);
    }
}
