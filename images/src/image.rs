//! What a build gives: a kernel to boot, an archive to boot it with, and symbols for all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::archive::BootArchive;
use crate::compile::{Artifacts, Program, compile};
use crate::lock::FileLock;
use crate::manifest;
use crate::names::names;
use crate::progress::Progress;
use crate::strip::strip;
use crate::symbol_table;
use crate::symbols::Symbols;
use crate::toolchain::Toolchain;
use crate::workspace::{Role, Workspace};

/// The supervisor's name in the archive.
const INIT: &str = "init";

/// A system that is ready to boot.
#[derive(Debug, Clone)]
pub struct Image {
    /// The kernel's ELF file, with a PVH note and with symbols.
    pub kernel: PathBuf,
    /// The boot archive.
    pub archive: PathBuf,
    /// The boot archive that also has the programs of the tests and measurements.
    pub archive_with_tests: PathBuf,
    /// The ELF file with symbols of each program, by its name in the archive; the supervisor
    /// is `init`.
    pub programs: BTreeMap<String, PathBuf>,
    /// The program that each further name in the archive stands for.
    pub links: BTreeMap<String, String>,
    /// The compiler's warnings, empty when there are none.
    pub warnings: String,
}

impl Image {
    /// The symbols of the program `name`, for its crash reports.
    ///
    /// # Errors
    /// There is no such program.
    pub fn symbols(&self, name: &str) -> Result<Symbols> {
        let name = self.links.get(name).map_or(name, String::as_str);
        let elf = self.programs.get(name).with_context(|| format!("the boot archive has no program {name}"))?;
        Symbols::open(elf)
    }

    /// The same system with the programs of the tests and measurements in its boot archive.
    pub fn with_tests(self) -> Image {
        Image { archive: self.archive_with_tests.clone(), ..self }
    }

    /// The same kernel and programs in files below a folder, which stay what they are when the system is built anew. The archives are not among them.
    ///
    /// # Errors
    /// A file cannot be linked or copied.
    pub fn held_in(&self, folder: &Path) -> Result<Image> {
        let folder = folder.join("image");
        fs::create_dir_all(folder.join("programs")).with_context(|| format!("cannot make {}", folder.display()))?;
        let hold = |file: &Path, name: &str| -> Result<PathBuf> {
            let to = folder.join(name);
            // The compiler does not write into a file, but puts another in its place.
            fs::hard_link(file, &to)
                .or_else(|_| fs::copy(file, &to).map(drop))
                .with_context(|| format!("cannot copy {}", file.display()))?;
            Ok(to)
        };
        let programs =
            self.programs.iter().map(|(name, path)| Ok((name.clone(), hold(path, &format!("programs/{name}"))?)));
        Ok(Image { kernel: hold(&self.kernel, "kernel")?, programs: programs.collect::<Result<_>>()?, ..self.clone() })
    }

    /// A boot archive with the programs, those of the tests too, under all their names, and without a manifest.
    ///
    /// # Errors
    /// A program cannot be read any more.
    pub fn programs_archive(&self) -> Result<BootArchive> {
        Ok(pack(&self.programs)?.0)
    }
}

/// Builds everything for the target and says nothing. Several processes may call it at once.
///
/// # Errors
/// No toolchain, or the build fails: the message holds what the compiler said.
pub fn build() -> Result<Image> {
    build_with(&Workspace::locate()?, &Progress::Silent)
}

/// Builds everything for the target, and shows how far it is.
///
/// # Errors
/// As for [`build`].
pub fn build_with(workspace: &Workspace, progress: &Progress) -> Result<Image> {
    let toolchain = Toolchain::find(workspace, progress)?;
    let packages = workspace.target_packages(toolchain.cargo())?;
    let _lock = FileLock::acquire(&workspace.target_build().join("build.lock"), progress)?;
    progress.detail("looking for what has changed");
    let artifacts = compile(workspace, &toolchain, &packages, progress)?;
    progress.detail("packing the boot archive");
    assemble(workspace, artifacts)
}

/// Makes the boot archives' files.
fn assemble(workspace: &Workspace, artifacts: Artifacts) -> Result<Image> {
    let (mut programs, mut tests) = (BTreeMap::new(), BTreeMap::new());
    let mut kernel = None;
    for Program { name, role, elf } in artifacts.programs {
        let (of, name) = match role {
            Role::Kernel => {
                kernel = Some(elf);
                continue;
            }
            Role::Init => (&mut programs, INIT.to_string()),
            Role::Program => (&mut programs, name),
            Role::Test => (&mut tests, name),
        };
        if of.insert(name.clone(), elf).is_some() {
            bail!("two programs are called {name}: rename the binary of one of the packages");
        }
    }
    let path = workspace.root().join(manifest::PATH);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    manifest::check(Path::new(manifest::PATH), &text, |name| programs.contains_key(name))?;
    let symbols = symbol_table::of_services(&text, &programs)?;
    let write = |name: &str, programs: &BTreeMap<String, PathBuf>| {
        let (mut archive, links) = pack(programs)?;
        archive.symbols(symbols.clone());
        archive.manifest(text.clone());
        let path = workspace.target_build().join(name);
        archive.write(&path)?;
        anyhow::Ok((path, links))
    };
    let (archive, _) = write("boot.tar", &programs)?;
    for (name, elf) in tests {
        if programs.insert(name.clone(), elf).is_some() {
            bail!("a program of the tests is called {name}, as one of the system");
        }
    }
    let (archive_with_tests, links) = write("tests.tar", &programs)?;
    Ok(Image {
        kernel: kernel.context("the package in microkernel/ has no program: it needs [[bin]] name = \"skink\"")?,
        archive,
        archive_with_tests,
        programs,
        links,
        warnings: artifacts.warnings,
    })
}

/// An archive of programs, and the links in it.
fn pack(programs: &BTreeMap<String, PathBuf>) -> Result<(BootArchive, BTreeMap<String, String>)> {
    let mut archive = BootArchive::default();
    let mut links = BTreeMap::new();
    for (program, path) in programs {
        let (stripped, names) = fs::read(path)
            .map_err(anyhow::Error::from)
            .and_then(|elf| Ok((strip(&elf)?, names(&elf)?)))
            .with_context(|| format!("cannot pack {}", path.display()))?;
        match program.as_str() {
            INIT => archive.init(stripped),
            name => archive.program(name, stripped)?,
        }
        for name in names {
            archive.link(&name, program)?;
            links.insert(name, program.clone());
        }
    }
    Ok((archive, links))
}
