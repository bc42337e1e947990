//! Linux on the same machine, to compare with: Debian's kernel for clouds, and a program of ours in place of everything else.
//!
//! The kernel comes as a package, which is only unpacked, below the build's folder. The program is in C, and compiled by the host's compiler.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cpio::Cpio;
use crate::apt::Apt;
use crate::image::Image;
use crate::linker::program_on_path;
use crate::progress::Progress;

/// The package that depends on the kernel's of the moment, and how that one's name begins.
const NEWEST: &str = "linux-image-cloud-amd64";
const KERNEL: &str = "linux-image-";

/// Drivers that may not be part of the kernel itself.
const MODULES: [&str; 15] = [
    "crc16",
    "crc32c_generic",
    "libcrc32c",
    "mbcache",
    "jbd2",
    "ext4",
    "virtio",
    "virtio_ring",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "t10-pi",
    "nvme-core",
    "nvme",
];

/// Words of the kernel's command line: what is printed goes to the serial line, and nothing else does; as fast as it can.
const APPEND: &str = "console=ttyS0 quiet loglevel=0 mitigations=off panic=-1";

/// A Linux, unpacked.
#[derive(Debug, Clone)]
pub struct Linux {
    kernel: PathBuf,
    modules: Vec<PathBuf>,
}

impl Linux {
    /// Finds the kernel below `folder`, or brings it there by the package manager.
    ///
    /// # Errors
    /// There is no `apt`, or it cannot download the package.
    pub fn find(folder: &Path, progress: &Progress) -> Result<Linux> {
        let root = folder.join("root");
        if !root.is_dir() {
            progress.step("downloading a Linux, once");
            bring(folder, &root).context("--vs-linux needs Debian's package linux-image-cloud-amd64")?;
        }
        let mut files = Vec::new();
        collect(&root, &mut files)?;
        let is_kernel = |file: &&PathBuf| name_of(file).starts_with("vmlinuz-");
        let kernel = files.iter().find(is_kernel).with_context(|| format!("no kernel in {}", root.display()))?;
        let is_wanted =
            |file: &&PathBuf| name_of(file).split_once(".ko").is_some_and(|(name, _)| MODULES.contains(&name));
        Ok(Linux { kernel: kernel.clone(), modules: files.iter().filter(is_wanted).cloned().collect() })
    }

    /// What a machine boots to run a program in C, whose source this is; its files are made in `folder`. [`Linux::append`] has to be on the command line.
    ///
    /// # Errors
    /// There is no compiler, or it does not take the source.
    pub fn image(&self, source: &str, folder: &Path) -> Result<Image> {
        let init = compile(source, folder)?;
        let mut archive = Cpio::default();
        archive.folder("dev");
        archive.terminal("dev/console", 5, 1);
        archive.program("init", &fs::read(&init)?);
        archive.folder("modules");
        for module in &self.modules {
            archive.program(&format!("modules/{}", name_of(module)), &fs::read(module)?);
        }
        let path = folder.join("linux.cpio");
        fs::write(&path, archive.finish()).with_context(|| format!("cannot write {}", path.display()))?;
        let (programs, warnings) = (BTreeMap::new(), String::new());
        let (archive, archive_with_tests) = (path.clone(), path);
        let links = BTreeMap::new();
        Ok(Image { kernel: self.kernel.clone(), archive, archive_with_tests, programs, links, warnings })
    }

    /// The kernel's command line, with words for the program.
    pub fn append(words: &str) -> String {
        format!("{APPEND} {words}")
    }
}

/// Downloads the kernel's package, and unpacks it as `root`.
fn bring(folder: &Path, root: &Path) -> Result<()> {
    let system = Apt::system().context("there is no apt on this machine")?;
    let fetch = |apt: &Apt, packages: &Path| -> Result<Vec<PathBuf>> {
        let names = apt.closure(&[NEWEST])?;
        let is_kernel = |name: &&String| name.starts_with(KERNEL) && *name != NEWEST;
        let name = names.iter().find(is_kernel).context("it depends on no kernel")?;
        apt.download(std::slice::from_ref(name), packages)
    };
    // The system's own lists may be missing, or too old to download from.
    let packages = folder.join("packages");
    let files = fetch(&system, &packages).or_else(|_| {
        let apt = Apt::with_private_lists(&folder.join("apt"))?;
        fetch(&apt, &packages)
    })?;
    let partial = folder.join("partial");
    let _ = fs::remove_dir_all(&partial);
    for file in files {
        Apt::unpack(&file, &partial)?;
    }
    fs::rename(&partial, root).with_context(|| format!("cannot make {}", root.display()))
}

/// All files below a folder.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn name_of(file: &Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Makes a program that needs no libraries.
fn compile(source: &str, folder: &Path) -> Result<PathBuf> {
    let Some(compiler) = ["cc", "gcc"].iter().find_map(|name| program_on_path(name)) else {
        bail!("--vs-linux needs a C compiler and its static library: install gcc and libc6-dev");
    };
    let (from, to) = (folder.join("init.c"), folder.join("init"));
    fs::write(&from, source).with_context(|| format!("cannot write {}", from.display()))?;
    let mut command = Command::new(compiler);
    let output = command.args(["-static", "-O2", "-o"]).arg(&to).arg(&from).output().context("the C compiler")?;
    if !output.status.success() {
        bail!("the C compiler: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(to)
}
