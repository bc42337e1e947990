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

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(!crc32c(u32::MAX, b"123456789"), 0xe306_9283);
        let halves = crc32c(crc32c(u32::MAX, b"1234567"), b"89");
        assert_eq!(!halves, 0xe306_9283);
    }
}
