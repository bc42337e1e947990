//! `servers/ext4/link.ld` says which functions lie side by side, by patterns of their names. A pattern that no function has any more says nothing.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSymbol};
use tests::image;

/// Whether a name is as a pattern has it, in which each `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn every_pattern_of_the_link_order_has_functions() -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../servers/ext4/link.ld");
    let script = fs::read_to_string(&script).with_context(|| format!("cannot read {}", script.display()))?;
    let words = script.split(|c: char| c.is_whitespace() || "()".contains(c));
    let names = words.filter_map(|word| word.strip_prefix(".text."));
    let patterns: Vec<&str> = names.map(|name| name.strip_prefix("unlikely.").unwrap_or(name)).collect();
    ensure!(patterns.len() > 20, "{patterns:?}");

    let program = image().programs.get("ext4").context("no program ext4")?;
    let bytes = fs::read(program)?;
    let file = object::File::parse(bytes.as_slice())?;
    let names: Vec<&str> = file.symbols().filter_map(|symbol| symbol.name().ok()).collect();
    let empty: Vec<&&str> =
        patterns.iter().filter(|pattern| !names.iter().any(|name| matches(pattern, name))).collect();
    ensure!(empty.is_empty(), "no function has these names: {empty:?}");
    Ok(())
}

#[test]
fn patterns_match_as_in_a_linker_script() {
    for (pattern, name, is_one) in [
        ("mem*", "memcpy", true),
        ("mem*", "amemcpy", false),
        ("_R*3log*6append", "_RNvMs_Nt6volume3logNtB4_9RecordLog6append", true),
        ("_R*3log*6append", "_RNvMs_Nt6volume3logNtB4_9RecordLog6append7closure", false),
        ("skink_main", "skink_main", true),
        ("skink_main", "skink_main2", false),
    ] {
        assert_eq!(matches(pattern, name), is_one, "{pattern} {name}");
    }
}
