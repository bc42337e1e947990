//! The boot archive's `symbols`: the functions of the services' programs, for the target to name them (`libsys::symbols`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::{Object, ObjectSymbol, SymbolKind};

use crate::manifest;
use crate::symbols::without_hash;

/// Longest name; the end of a longer one is left out.
const LONGEST: usize = 160;

/// The file for the programs that a manifest names, and init.
///
/// # Errors
/// The manifest is broken, or a program cannot be read.
pub fn of_services(manifest: &[u8], programs: &BTreeMap<String, PathBuf>) -> Result<Vec<u8>> {
    let mut wanted = manifest::binaries(Path::new(manifest::PATH), manifest)?;
    wanted.push("init".to_string());
    let mut table = BTreeMap::new();
    for (name, path) in programs.iter().filter(|(name, _)| wanted.contains(name)) {
        let elf = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        table.insert(name.clone(), functions(&elf).with_context(|| format!("no symbols in {}", path.display()))?);
    }
    libsys::symbols::write::file(&table).context("the symbols do not fit into their file")
}

/// The functions of a program, and where none is any more.
fn functions(elf: &[u8]) -> Result<BTreeMap<u32, String>> {
    let file = object::File::parse(elf)?;
    let mut functions = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        let (Ok(name), Ok(start)) = (symbol.name(), u32::try_from(symbol.address())) else { continue };
        let mut name = without_hash(&addr2line::demangle_auto(name.into(), None));
        if name.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|at| name.is_char_boundary(*at));
            name.truncate(end.unwrap_or(0));
        }
        functions.insert(start, name);
        if let Ok(end) = u32::try_from(symbol.address() + symbol.size()) {
            functions.entry(end).or_default();
        }
    }
    Ok(functions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libsys::symbols::Symbols;

    #[test]
    fn this_program_knows_its_functions() {
        // Its addresses are relative to where it is loaded, and so small.
        let elf = fs::read(std::env::current_exe().unwrap()).unwrap();
        let all = functions(&elf).unwrap();
        let (address, name) = all.iter().find(|(_, name)| name.contains("this_program_knows_its_functions")).unwrap();
        let file = libsys::symbols::write::file(&BTreeMap::from([("x".to_string(), all.clone())])).unwrap();
        let found = Symbols::read(&file).unwrap().function("x", u64::from(*address) + 3);
        assert_eq!(found, Some((name.as_str(), 3)));
    }
}
