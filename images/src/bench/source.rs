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

/// Attributes of modules that are tests.
const TEST_ATTRIBUTES: [&str; 2] = ["#[cfg(test", "#[cfg(all(test"];

/// What stands before the name of another file that a module is on the host.
const ON_THE_HOST: &str = "#[cfg_attr(not(target_os = \"none\"), path = \"";

/// Counts the lines of the kernel in a checkout.
///
/// # Errors
/// The source cannot be read.
pub fn kernel_lines(root: &Path) -> Result<Line> {
    let value = lines_below(&root.join(FOLDER))?;
    Ok(Line::new(NAME, value, "lines"))
}

fn lines_below(folder: &Path) -> Result<u64> {
    let (mut lines, mut files, mut left_out) = (0, Vec::new(), vec![TESTS.to_string()]);
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
        let text = match path.extension() {
            Some(extension) if extension == "rs" => {
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?
            }
            _ => String::new(),
        };
        left_out.extend(not_built(&text).into_iter().map(str::to_string));
        files.push((path, text));
    }
    for (path, text) in files {
        let is_left_out = path.file_stem().is_some_and(|name| left_out.iter().any(|module| name == module.as_str()));
        match path.is_dir() {
            _ if is_left_out => {}
            true => lines += lines_below(&path)?,
            false => lines += lines_of(&text),
        }
    }
    Ok(lines)
}

/// Modules of a file's folder that no kernel is built with: tests, and what stands in for the processor on the host.
fn not_built(text: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    let mut is_test = false;
    for line in text.lines() {
        if let Some(file) = line.strip_prefix(ON_THE_HOST) {
            modules.extend(file.split('.').next());
        } else if line.starts_with("#[") {
            is_test |= TEST_ATTRIBUTES.iter().any(|attribute| line.starts_with(attribute));
        } else {
            let module = line.trim_start_matches("pub ").strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
            modules.extend(module.filter(|_| is_test));
            is_test = false;
        }
    }
    modules
}

/// Lines of code in a formatted file. Items that are for tests only, from their attribute to their last line, do not count.
fn lines_of(text: &str) -> u64 {
    let mut count = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        if TEST_ATTRIBUTES.iter().any(|attribute| code.starts_with(attribute)) {
            // The item ends with its first line, or with a brace that stands where it began.
            let end = format!("{}}}", &line[..line.len() - code.len()]);
            let first = lines.find(|line| line.ends_with(['{', '}', ';']));
            if first.is_some_and(|first| first.ends_with('{')) {
                lines.find(|line| line.starts_with(&end));
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
    fn methods_for_tests_do_not_count() {
        let text = "impl A {\n    #[cfg(test)]\n    pub fn f(\n        a: u8,\n    ) -> u8 {\n        a\n    }\n\n    #[cfg(test)]\n    g();\n}\n";
        assert_eq!(lines_of(text), 2);
    }

    #[test]
    fn tests_do_not_count() {
        let text = "#[cfg(test)]\nmod tests;\nfn f() {}\n#[cfg(test)]\nmod more {\n    fn g() {\n    }\n}\nfn h() {}\n";
        assert_eq!(lines_of(text), 2);
    }

    #[test]
    fn modules_of_the_host_are_known() {
        let text = "mod a;\n#[cfg(test)]\n#[allow(x)]\nmod model;\npub mod b;\n\
                    #[cfg_attr(not(target_os = \"none\"), path = \"host.rs\")]\npub mod processor;\n#[cfg(test)]\nmod more {\n}\n";
        assert_eq!(not_built(text), ["model", "host"]);
    }

    #[test]
    fn the_kernel_is_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(kernel_lines(root).unwrap().value > 1000);
        assert!(kernel_lines(Path::new("/nowhere")).is_err());
    }
}
