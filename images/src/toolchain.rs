//! A compiler for `x86_64-unknown-none`, from the first of these that is there:
//!
//! 1. the active Rust toolchain with the target installed: ready-made `core` and `alloc`;
//! 2. the active Rust toolchain with its library source (`rust-src`): cargo builds the two;
//! 3. Debian's compiler with its library source ([`debian`]), installed or unpacked under
//!    `target/toolchain`: for machines that cannot download more of rustup's toolchain.
//!
//! The look at each costs a few file system checks, so nothing of it is remembered but the
//! unpacked compiler itself.

mod debian;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::linker::Linker;
use crate::progress::Progress;
use crate::workspace::Workspace;

/// The target of the kernel and of every program.
pub const TARGET: &str = "x86_64-unknown-none";

/// Where the sources of `core` are below a sysroot.
const LIBRARY_SOURCE: &str = "lib/rustlib/src/rust/library/Cargo.lock";

/// What it takes to compile for the target.
#[derive(Debug, Clone)]
pub struct Toolchain {
    cargo: PathBuf,
    compiler: Compiler,
    linker: Linker,
}

/// The compiler, and how it gets `core` and `alloc`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Compiler {
    /// The active toolchain's, with the target installed.
    WithTarget,
    /// The active toolchain's, which builds them from source.
    WithSource,
    /// Another one, which builds them from source.
    Foreign {
        rustc: PathBuf,
        /// Where its shared libraries are, if the system does not know.
        libraries: Option<PathBuf>,
    },
}

impl Toolchain {
    /// Finds a toolchain, or makes one under `target/toolchain`.
    ///
    /// # Errors
    /// There is none and none can be made: the message says what to install.
    pub fn find(workspace: &Workspace, progress: &Progress) -> Result<Self> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let sysroot = PathBuf::from(ask(&rustc, &["--print", "sysroot"])?);
        let host = host_of_this_tool();
        let compiler = if has_target(&sysroot) {
            Compiler::WithTarget
        } else if sysroot.join(LIBRARY_SOURCE).is_file() {
            Compiler::WithSource
        } else {
            debian::find_or_unpack(&workspace.target().join("toolchain"), progress).context(WHAT_TO_INSTALL)?
        };
        Ok(Self {
            cargo: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into(),
            compiler,
            linker: Linker::find(&sysroot, host)?,
        })
    }

    /// The cargo that drives the compiler.
    pub fn cargo(&self) -> &Path {
        &self.cargo
    }

    /// A `cargo build` for the target, without profile, packages and target folder. The
    /// caller's own settings for compiler flags are not taken over: what runs on the target
    /// is the same whoever builds it.
    pub fn cargo_build(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        command.arg("build").args(["--target", TARGET]);
        for name in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS", "CARGO_TARGET_DIR"] {
            command.env_remove(name);
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", self.rustc_arguments().join("\x1f"));
        if self.compiler != Compiler::WithTarget {
            command.env("RUSTC_BOOTSTRAP", "1");
            command.args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"]);
        }
        if let Compiler::Foreign { rustc, libraries } = &self.compiler {
            command.env("RUSTC", rustc);
            command.env_remove("RUSTC_WRAPPER").env_remove("RUSTC_WORKSPACE_WRAPPER");
            if let Some(folder) = libraries {
                command.env("LD_LIBRARY_PATH", folder);
            }
        }
        command
    }

    /// What every crate on the target is compiled with. The kernel is linked 2 GiB below the
    /// top of the address space and programs in the lowest 2 GiB; the `kernel` code model
    /// serves both. Frame pointers make back traces cheap and certain.
    fn rustc_arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "-Crelocation-model=static".to_string(),
            "-Ccode-model=kernel".to_string(),
            "-Cforce-frame-pointers=yes".to_string(),
            // Nothing is relocated at a start, so nothing has to lie in pages of its own to be made read-only after it.
            "-Crelro-level=off".to_string(),
        ];
        arguments.extend(self.linker.rustc_arguments());
        arguments
    }
}

/// What a person can do where no compiler was found.
const WHAT_TO_INSTALL: &str = "no compiler for x86_64-unknown-none. Install one of: \
    `rustup target add x86_64-unknown-none`, `rustup component add rust-src`, or on Debian \
    `apt-get install rustc-web rust-web-src` (later Debians: `rustc rust-src`)";

/// Whether the toolchain at `sysroot` has a ready-made `core` for the target.
fn has_target(sysroot: &Path) -> bool {
    let libraries = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    libraries
        .read_dir()
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-")))
}

/// The platform that this tool runs on, as the toolchain's folders name it.
fn host_of_this_tool() -> &'static str {
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" }
}

/// What `rustc` prints for `arguments`, without the newline.
fn ask(rustc: &OsString, arguments: &[&str]) -> Result<String> {
    let output = Command::new(rustc)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {}: is Rust on PATH?", rustc.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} {} failed: {}", rustc.display(), arguments.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}
