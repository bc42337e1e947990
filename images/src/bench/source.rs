//! The size of the kernel's source: its lines of code, without tests, comments and blank lines.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::lines::Line;

/// The figure's name.
pub const NAME: &str = "kernel_source_lines";

/// Where the kernel's source is.
const FOLDER: &str = "microkernel/src";

/// Folders of this name hold tests.
const TESTS: &str = "tests";

/// Counts the lines of the kernel in a checkout.
///
/// # Errors
/// The source cannot be read.
pub fn kernel_lines(root: &Path) -> Result<Line> {
    let value = lines_below(&root.join(FOLDER))?;
    Ok(Line::new(NAME, value, "lines"))
}

fn lines_below(folder: &Path) -> Result<u64> {
    let mut lines = 0;
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != TESTS) {
                lines += lines_below(&path)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            lines += lines_of(&text);
        }
    }
    Ok(lines)
}

/// Lines of code in a formatted file. What is for tests only is a module of its own there, from its attribute to the brace
/// in the first column.
fn lines_of(text: &str) -> u64 {
    let mut count = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let code = line.trim();
        if line == "#[cfg(test)]" {
            let module = lines.next().unwrap_or_default();
            if module.ends_with('{') {
                lines.find(|line| *line == "}");
            }
        } else if !code.is_empty() && !code.starts_with("//") {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_counts_and_nothing_else() {
        let text = "//! Says what.\n\nuse a;\n/// Does.\nfn f() {\n    // Why.\n    g(); // how\n}\n";
        assert_eq!(lines_of(text), 4);
        assert_eq!(lines_of(""), 0);
    }

    #[test]
    fn tests_do_not_count() {
        let text = "#[cfg(test)]\nmod tests;\nfn f() {}\n#[cfg(test)]\nmod more {\n    fn g() {\n    }\n}\nfn h() {}\n";
        assert_eq!(lines_of(text), 2);
    }

    #[test]
    fn the_kernel_is_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(kernel_lines(root).unwrap().value > 1000);
        assert!(kernel_lines(Path::new("/nowhere")).is_err());
    }
}
