//! The boot archive's file `symbols`: the functions of the services' programs, by address. The host tool writes it; whoever shows a crash reads it.
//!
//! Programs share most of their functions with others, so names are stored once. All numbers are little-endian:
//!
//! | part | holds |
//! |---|---|
//! | header | [`MAGIC`], the number of programs (4 bytes) |
//! | programs | each: name, padded with zeros (32 bytes), index of its first function and how many it has (4 bytes each) |
//! | functions | each: address and offset of the name among the names (4 bytes each); those of a program in order of addresses |
//! | names | each: length (2 bytes), text |

/// What the file starts with.
pub const MAGIC: [u8; 8] = *b"skinksym";

/// The file's name in the boot archive.
pub const FILE: &str = "symbols";

/// Bytes of a program's name.
pub const NAME_BYTES: usize = 32;

const HEADER_BYTES: usize = 12;
const PROGRAM_BYTES: usize = NAME_BYTES + 8;
const FUNCTION_BYTES: usize = 8;

/// The symbols of all programs in such a file.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    programs: &'a [u8],
    rest: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

impl<'a> Symbols<'a> {
    /// Reads a file. `None`: it is no such file.
    pub fn read(file: &'a [u8]) -> Option<Symbols<'a>> {
        let count = word(file.strip_prefix(&MAGIC)?, 0)? as usize;
        let end = count.checked_mul(PROGRAM_BYTES)?.checked_add(HEADER_BYTES)?;
        Some(Symbols { programs: file.get(HEADER_BYTES..end)?, rest: &file[end..] })
    }

    /// The function of a program that an address is in, and how far behind its start.
    pub fn function(&self, program: &str, address: u64) -> Option<(&'a str, u64)> {
        let address = u32::try_from(address).ok()?;
        let is_it = |entry: &&[u8]| entry[..NAME_BYTES].split(|byte| *byte == 0).next() == Some(program.as_bytes());
        let entry = self.programs.chunks_exact(PROGRAM_BYTES).find(is_it)?;
        let (first, count) = (word(entry, NAME_BYTES)? as usize, word(entry, NAME_BYTES + 4)? as usize);
        let functions = self.rest.get(first.checked_mul(FUNCTION_BYTES)?..)?;
        let (functions, _) = functions.split_at_checked(count.checked_mul(FUNCTION_BYTES)?)?;
        let (functions, _) = functions.as_chunks::<FUNCTION_BYTES>();
        let start = |function: &[u8; FUNCTION_BYTES]| word(function, 0).unwrap_or(u32::MAX);
        let index = functions.partition_point(|function| start(function) <= address).checked_sub(1)?;
        let at = word(&functions[index], 4)? as usize;
        let names = self.rest.get(self.functions()?.checked_mul(FUNCTION_BYTES)?..)?;
        let length = u16::from_le_bytes(names.get(at..at.checked_add(2)?)?.try_into().ok()?) as usize;
        let name = core::str::from_utf8(names.get(at + 2..)?.get(..length)?).ok()?;
        // An empty name says that no function is here.
        (!name.is_empty()).then_some((name, u64::from(address - start(&functions[index]))))
    }

    /// Functions of all programs.
    fn functions(&self) -> Option<usize> {
        let counts = self.programs.chunks_exact(PROGRAM_BYTES).map(|entry| word(entry, NAME_BYTES + 4));
        counts.sum::<Option<u32>>().map(|count| count as usize)
    }
}

/// Writing such a file: what the host tool does.
#[cfg(not(target_os = "none"))]
pub mod write {
    use super::{FUNCTION_BYTES, MAGIC, NAME_BYTES, PROGRAM_BYTES};
    use std::collections::BTreeMap;
    use std::string::String;
    use std::vec::Vec;

    /// A file with the functions of programs, each by address; an empty name ends a function behind which there is none. `None`: a
    /// program's name does not fit, or there are too many names.
    pub fn file(programs: &BTreeMap<String, BTreeMap<u32, String>>) -> Option<Vec<u8>> {
        let mut offsets: BTreeMap<&str, u32> = BTreeMap::new();
        let (mut table, mut functions, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (program, of_program) in programs {
            let mut entry = [0; PROGRAM_BYTES];
            entry.get_mut(..NAME_BYTES)?.get_mut(..program.len())?.copy_from_slice(program.as_bytes());
            let first = u32::try_from(functions.len() / FUNCTION_BYTES).ok()?;
            entry[NAME_BYTES..NAME_BYTES + 4].copy_from_slice(&first.to_le_bytes());
            entry[NAME_BYTES + 4..].copy_from_slice(&u32::try_from(of_program.len()).ok()?.to_le_bytes());
            table.extend_from_slice(&entry);
            for (address, name) in of_program {
                let offset = match offsets.get(name.as_str()) {
                    Some(offset) => *offset,
                    None => {
                        let offset = u32::try_from(names.len()).ok()?;
                        names.extend_from_slice(&u16::try_from(name.len()).ok()?.to_le_bytes());
                        names.extend_from_slice(name.as_bytes());
                        offsets.insert(name, offset);
                        offset
                    }
                };
                functions.extend_from_slice(&address.to_le_bytes());
                functions.extend_from_slice(&offset.to_le_bytes());
            }
        }
        let count = u32::try_from(programs.len()).ok()?.to_le_bytes();
        Some([&MAGIC[..], &count, &table, &functions, &names].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::string::ToString;
    use std::vec::Vec;

    fn sample() -> Vec<u8> {
        let of = |functions: &[(u32, &str)]| -> BTreeMap<u32, std::string::String> {
            functions.iter().map(|(address, name)| (*address, name.to_string())).collect()
        };
        let uart = of(&[(0x1000, "uart::run"), (0x1100, "libsys::reply"), (0x1180, "")]);
        let log = of(&[(0x1000, "libsys::reply"), (0x1400, "log::append")]);
        write::file(&BTreeMap::from([("uart".to_string(), uart), ("log".to_string(), log)])).expect("fits")
    }

    #[test]
    fn addresses_are_found_in_their_program() {
        let file = sample();
        let symbols = Symbols::read(&file).expect("a file");
        assert_eq!(symbols.function("uart", 0x1000), Some(("uart::run", 0)));
        assert_eq!(symbols.function("uart", 0x117f), Some(("libsys::reply", 0x7f)));
        assert_eq!(symbols.function("uart", 0x1180), None);
        assert_eq!(symbols.function("log", 0x1180), Some(("libsys::reply", 0x180)));
        assert_eq!(symbols.function("log", 0xfff), None);
        assert_eq!(symbols.function("log", u64::MAX), None);
        assert_eq!(symbols.function("lo", 0x1180), None);
    }

    #[test]
    fn broken_files_do_no_harm() {
        let file = sample();
        for end in 0..file.len() {
            let _ = Symbols::read(&file[..end]).map(|symbols| symbols.function("uart", 0x1101));
        }
        for at in 0..file.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = file.clone();
                broken[at] = value;
                let _ = Symbols::read(&broken).map(|symbols| symbols.function("log", 0x1401));
            }
        }
    }
}
