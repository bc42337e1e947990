//! CRC-32C (Castagnoli), as ext4 and its journal use it: reflected, without the final inversion, so that sums can be continued.

/// Tables for eight bytes at a time.
const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        tables[0][index] = value;
        index += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut index = 0;
        while index < 256 {
            let previous = tables[table - 1][index];
            tables[table][index] = previous >> 8 ^ tables[0][(previous & 0xff) as usize];
            index += 1;
        }
        table += 1;
    }
    tables
}

/// Continues a sum over bytes. A new one starts with `u32::MAX`.
pub fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    let mut sum = sum;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let low = sum ^ u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        sum = TABLES[7][(low & 0xff) as usize]
            ^ TABLES[6][(low >> 8 & 0xff) as usize]
            ^ TABLES[5][(low >> 16 & 0xff) as usize]
            ^ TABLES[4][(low >> 24) as usize]
            ^ TABLES[3][usize::from(word[4])]
            ^ TABLES[2][usize::from(word[5])]
            ^ TABLES[1][usize::from(word[6])]
            ^ TABLES[0][usize::from(word[7])];
    }
    for byte in words.remainder() {
        sum = sum >> 8 ^ TABLES[0][((sum ^ u32::from(*byte)) & 0xff) as usize];
    }
    sum
}

/// What appending zeros does to a sum, for 1, 2, 4, … of them: the image of each value of each half of a byte.
const ZEROS: [[[u32; 16]; 8]; 13] = zeros();

const fn zeros() -> [[[u32; 16]; 8]; 13] {
    let mut images = [[[0; 16]; 8]; 13];
    let mut power = 0;
    while power < images.len() {
        let mut bit = 0;
        while bit < 32 {
            let value = 1u32 << bit;
            let single = match power {
                0 => value >> 8 ^ TABLES[0][(value & 0xff) as usize],
                _ => image(&images[power - 1], image(&images[power - 1], value)),
            };
            // With the images of all values below this bit.
            let (half, high) = (bit / 4, 1 << (bit % 4));
            let mut low = 0;
            while low < high {
                images[power][half][high + low] = images[power][half][low] ^ single;
                low += 1;
            }
            bit += 1;
        }
        power += 1;
    }
    images
}

/// The image of a value.
const fn image(images: &[[u32; 16]; 8], value: u32) -> u32 {
    let (mut sum, mut half) = (0, 0);
    while half < 8 {
        sum ^= images[half][(value >> (4 * half) & 0xf) as usize];
        half += 1;
    }
    sum
}

/// The sum of bytes in which `old` was replaced by `new`, as long, with `behind` more bytes after it (less than 8 KiB): what does not change need not be looked at.
pub fn replace(sum: u32, old: &[u8], new: &[u8], behind: usize) -> u32 {
    let mut difference = 0;
    for (old, new) in old.iter().zip(new) {
        difference = difference >> 8 ^ TABLES[0][((difference ^ u32::from(old ^ new)) & 0xff) as usize];
    }
    for (power, images) in ZEROS.iter().enumerate() {
        if behind >> power & 1 == 1 {
            difference = image(images, difference);
        }
    }
    sum ^ difference
}

/// CRC-16 (reflected 0x8005), as group descriptors have it where nothing else has checksums.
pub fn crc16(sum: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(sum, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xa001 } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::{crc16, crc32c, replace};

    #[test]
    fn what_changes_in_the_middle_changes_the_sum_as_if_it_was_made_anew() {
        let old: [u8; 4096] = core::array::from_fn(|index| (index * 7 + index / 256) as u8);
        for (from, to) in [(0, 1), (0, 4096), (17, 18), (1000, 1077), (4095, 4096), (2048, 2080)] {
            let mut new = old;
            new[from..to].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(3).wrapping_add(1));
            let sum = replace(crc32c(99, &old), &old[from..to], &new[from..to], old.len() - to);
            assert_eq!(sum, crc32c(99, &new), "{from} to {to}");
        }
    }

    #[test]
    fn the_check_value_of_crc_16() {
        assert_eq!(crc16(0, b"123456789"), 0xbb3d);
    }

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(!crc32c(u32::MAX, b"123456789"), 0xe306_9283);
        let halves = crc32c(crc32c(u32::MAX, b"1234567"), b"89");
        assert_eq!(!halves, 0xe306_9283);
    }
}
