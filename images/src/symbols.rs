//! Function names and source lines of addresses, from a program's symbols.

use std::fmt;
use std::path::Path;

use addr2line::Loader;
use anyhow::{Result, anyhow};

use crate::workspace::Workspace;

/// The symbols of one ELF file.
pub struct Symbols {
    loader: Loader,
    /// Folder that is left out of file names, with a slash at its end.
    root: String,
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The function, demangled.
    pub function: String,
    /// File, relative to the checkout if it is in it, and line.
    pub line: Option<(String, u32)>,
}

impl Symbols {
    /// Reads the symbols of the program `elf`, which must not be stripped.
    ///
    /// # Errors
    /// No such file, or not an ELF file.
    pub fn open(elf: &Path) -> Result<Self> {
        let loader = Loader::new(elf).map_err(|error| anyhow!("no symbols in {}: {error}", elf.display()))?;
        let root = Workspace::locate().map(|workspace| workspace.root().display().to_string());
        Ok(Self { loader, root: format!("{}/", root.unwrap_or_default()) })
    }

    /// The places that the instruction at `address` belongs to: the innermost function first,
    /// then those that it was inlined into. Empty for an address outside of the program.
    pub fn places(&self, address: u64) -> Vec<Place> {
        let mut places = Vec::new();
        if let Ok(mut frames) = self.loader.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame.function.as_ref().and_then(|name| name.demangle().ok());
                places.push(Place {
                    function: name.map_or_else(|| "?".to_string(), |name| without_hash(&name)),
                    line: frame.location.and_then(|at| Some((self.file(at.file?), at.line?))),
                });
            }
        }
        // Line tables alone have short names, or none; the symbol has the whole path.
        if let Some(symbol) = self.loader.find_symbol(address) {
            let function = without_hash(&addr2line::demangle_auto(symbol.into(), None));
            match places.last_mut() {
                Some(outermost) => outermost.function = function,
                None => places.push(Place { function, line: None }),
            }
        }
        places
    }

    /// The places of the call that returns to `address`. The instruction there may already be
    /// another line's, or another function's after a call that never returns.
    pub fn caller(&self, address: u64) -> Vec<Place> {
        self.places(address.saturating_sub(1))
    }

    fn file(&self, path: &str) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string()
    }
}

impl fmt::Debug for Symbols {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Symbols").finish_non_exhaustive()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.function)?;
        match &self.line {
            Some((file, line)) => write!(formatter, " at {file}:{line}"),
            None => Ok(()),
        }
    }
}

/// A function's name without the `::h0123456789abcdef` that older mangling adds.
pub(crate) fn without_hash(name: &str) -> String {
    let hash = name
        .rsplit_once("::h")
        .filter(|(_, hash)| hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()));
    hash.map_or(name, |(name, _)| name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_program_knows_its_own_lines() {
        use object::{Object, ObjectSymbol};
        let program = std::env::current_exe().unwrap();
        let bytes = std::fs::read(&program).unwrap();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        let address = file
            .symbols()
            .find(|symbol| symbol.name().is_ok_and(|name| name.contains("marked_for_the_test")))
            .expect("the marked function is in the program")
            .address();
        marked_for_the_test();
        let places = Symbols::open(&program).unwrap().places(address);
        assert!(places[0].function.ends_with("marked_for_the_test"), "{places:?}");
        let (file, line) = places[0].line.clone().unwrap();
        assert_eq!(file, "images/src/symbols.rs");
        assert!(line > 100);
    }

    #[inline(never)]
    fn marked_for_the_test() {
        std::hint::black_box(0);
    }

    #[test]
    fn nothing_outside_of_the_program() {
        let symbols = Symbols::open(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(symbols.places(0xffff_ffff_8000_0000), []);
        assert!(Symbols::open(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn hashes_are_left_out() {
        assert_eq!(without_hash("a::b::h0123456789abcdef"), "a::b");
        assert_eq!(without_hash("a::handle"), "a::handle");
    }
}
