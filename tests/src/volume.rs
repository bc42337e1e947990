//! Disks with file systems: made by the host's tools from the host's files, and checked and read back by them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use images::progress::Progress;
use images::{Disk, host_program};

/// Debian's packages of the tools: for ext2, ext3 and ext4, for FAT, and for files on FAT.
const EXT_TOOLS: &str = "e2fsprogs";
const FAT_TOOLS: &str = "dosfstools";
const FAT_FILES: &str = "mtools";

/// That of the tool for disk images of QEMU.
const IMAGE_TOOLS: &str = "qemu-utils";

/// Where a partition begins, in bytes.
const PARTITION: u64 = 1 << 20;

/// How a disk is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Not at all: the file system is the disk.
    Whole,
    /// A boot record with one partition.
    Mbr,
    /// A GUID partition table with one partition.
    Gpt,
}

/// A disk image with one file system, in a folder of the test's own.
#[derive(Debug)]
pub struct DiskImage {
    folder: tempfile::TempDir,
    layout: Layout,
    bytes: u64,
}

impl DiskImage {
    /// A file system of so many MiB, as `mke2fs` makes it with these arguments: from the files below `tree`, if there is one.
    ///
    /// # Errors
    /// `mke2fs` is not there and cannot be installed, or fails.
    pub fn ext(mebibytes: u64, layout: Layout, arguments: &[&str], tree: Option<&Path>) -> Result<DiskImage> {
        let folder = tempfile::tempdir()?;
        let volume = folder.path().join("volume.img");
        let mut command = tool("mke2fs", EXT_TOOLS)?;
        command.args(["-q", "-F"]).args(arguments);
        if let Some(tree) = tree {
            command.arg("-d").arg(tree);
        }
        run(command.arg(&volume).arg(format!("{mebibytes}m")))?;
        DiskImage::with(folder, &volume, layout, mebibytes << 20)
    }

    /// A FAT file system of so many MiB, as `mkfs.fat` makes it with these arguments; with what is in the directory `tree`, if there is one.
    ///
    /// # Errors
    /// The tools are not there and cannot be installed, or fail.
    pub fn fat(mebibytes: u64, layout: Layout, arguments: &[&str], tree: Option<&Path>) -> Result<DiskImage> {
        let folder = tempfile::tempdir()?;
        let volume = folder.path().join("volume.img");
        fs::File::create(&volume)?.set_len(mebibytes << 20)?;
        run(tool("mkfs.fat", FAT_TOOLS)?.args(arguments).arg(&volume))?;
        if let Some(tree) = tree {
            let names = fs::read_dir(tree)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
            run(mtool("mcopy")?.args(["-s", "-i"]).arg(&volume).args(names).arg("::"))?;
        }
        DiskImage::with(folder, &volume, layout, mebibytes << 20)
    }

    fn with(folder: tempfile::TempDir, volume: &Path, layout: Layout, bytes: u64) -> Result<DiskImage> {
        let image = DiskImage { folder, layout, bytes };
        match layout {
            Layout::Whole => fs::rename(volume, image.file())?,
            Layout::Mbr | Layout::Gpt => image.wrap(volume)?,
        }
        Ok(image)
    }

    /// Puts the file system into the only partition of a disk.
    fn wrap(&self, volume: &Path) -> Result<()> {
        let mut disk = vec![0; PARTITION as usize];
        disk.extend(fs::read(volume)?);
        disk.resize(disk.len() + PARTITION as usize, 0);
        let (start, sectors) = (PARTITION / 512, self.bytes / 512);
        match self.layout {
            Layout::Whole => {}
            Layout::Mbr => boot_record(&mut disk, 0x83, start as u32, sectors as u32),
            Layout::Gpt => guid_table(&mut disk, start, start + sectors - 1),
        }
        fs::write(self.file(), disk)?;
        fs::remove_file(volume)?;
        Ok(())
    }

    /// The disk's image.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("disk.img")
    }

    /// A disk with this image, to be connected to a machine.
    pub fn disk(&self) -> Disk {
        Disk::new(self.file())
    }

    /// A layer over the image that takes all writes from now on. There is one at a time.
    ///
    /// # Errors
    /// `qemu-img` is not there and cannot be installed, or fails.
    pub fn overlay(&self) -> Result<Overlay> {
        let file = self.folder.path().join("overlay.qcow2");
        let mut command = tool("qemu-img", IMAGE_TOOLS)?;
        command.args(["create", "-q", "-f", "qcow2", "-o", "cluster_size=4096", "-F", "raw", "-b"]);
        run(command.arg(self.file()).arg(&file))?;
        Ok(Overlay { file })
    }

    /// What Skink calls the file system, on the disk with a name.
    pub fn device(&self, disk: &str) -> String {
        let separator = if disk.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
        if self.layout == Layout::Whole { format!("/dev/{disk}") } else { format!("/dev/{disk}{separator}1") }
    }

    /// The file system alone, as a file.
    fn volume(&self) -> Result<PathBuf> {
        if self.layout == Layout::Whole {
            return Ok(self.file());
        }
        let disk = fs::read(self.file())?;
        let start = PARTITION as usize;
        let volume = self.folder.path().join("volume.img");
        let part = disk.get(start..start + self.bytes as usize).context("the disk has become shorter")?;
        fs::File::create(&volume)?.write_all(part)?;
        Ok(volume)
    }

    /// Whether `e2fsck -fn` finds nothing.
    ///
    /// # Errors
    /// What it finds.
    pub fn check(&self) -> Result<()> {
        run(tool("e2fsck", EXT_TOOLS)?.arg("-fn").arg(self.volume()?)).map(drop)
    }

    /// Whether `fsck.fat -n` finds nothing.
    ///
    /// # Errors
    /// What it finds.
    pub fn check_fat(&self) -> Result<()> {
        run(tool("fsck.fat", FAT_TOOLS)?.arg("-nv").arg(self.volume()?)).map(drop)
    }

    /// Copies a file or directory of a FAT file system to the host, as `mcopy` reads it, and returns where it is.
    ///
    /// # Errors
    /// It is not there.
    pub fn copy_from_fat(&self, path: &str) -> Result<PathBuf> {
        let to = self.folder.path().join("tree");
        let _ = fs::remove_dir_all(&to);
        fs::create_dir(&to)?;
        run(mtool("mcopy")?.args(["-s", "-n", "-i"]).arg(self.volume()?).arg(format!("::{path}")).arg(&to))?;
        Ok(to.join(path.rsplit('/').next().unwrap_or(path)))
    }

    /// The content of a file of the file system, as `debugfs` reads it.
    ///
    /// # Errors
    /// There is no such file.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let to = self.folder.path().join("file");
        let _ = fs::remove_file(&to);
        self.debugfs(&format!("dump \"{path}\" {}", to.display()))?;
        fs::read(to).with_context(|| format!("{path} is not in the file system"))
    }

    /// Copies a directory of the file system to the host, and returns where it is.
    ///
    /// # Errors
    /// `debugfs` fails.
    pub fn read_tree(&self, path: &str) -> Result<PathBuf> {
        let to = self.folder.path().join("tree");
        let _ = fs::remove_dir_all(&to);
        fs::create_dir(&to)?;
        self.debugfs(&format!("rdump \"{path}\" {}", to.display()))?;
        Ok(to.join(path.trim_matches('/')))
    }

    /// Changes the file system by a command of `debugfs`.
    ///
    /// # Errors
    /// `debugfs` fails, or the disk has partitions.
    pub fn change(&self, command: &str) -> Result<()> {
        ensure!(self.layout == Layout::Whole, "a file system in a partition is not changed");
        run(tool("debugfs", EXT_TOOLS)?.args(["-w", "-R", command]).arg(self.file())).map(drop)
    }

    fn debugfs(&self, command: &str) -> Result<()> {
        run(tool("debugfs", EXT_TOOLS)?.args(["-R", command]).arg(self.volume()?)).map(drop)
    }
}

/// A layer over a disk's image. QEMU keeps in its memory where its new clusters of 4 KiB are, until the machine flushes the disk.
#[derive(Debug)]
pub struct Overlay {
    file: PathBuf,
}

impl Overlay {
    /// A disk with the layer, to be connected to a machine.
    pub fn disk(&self) -> Disk {
        Disk::new(&self.file)
    }

    /// Writes what is in the layer to the image below, and removes the layer.
    ///
    /// # Errors
    /// `qemu-img` fails.
    pub fn merge(self) -> Result<()> {
        run(tool("qemu-img", IMAGE_TOOLS)?.args(["commit", "-q", "-f", "qcow2"]).arg(&self.file))?;
        Ok(fs::remove_file(&self.file)?)
    }
}

fn tool(name: &str, package: &str) -> Result<Command> {
    Ok(Command::new(host_program::find(name, package, &Progress::Lines)?))
}

/// A program of mtools, which takes names for what they are here: UTF-8.
fn mtool(name: &str) -> Result<Command> {
    let mut command = tool(name, FAT_FILES)?;
    command.env("LC_ALL", "C.UTF-8").env("MTOOLS_SKIP_CHECK", "1");
    Ok(command)
}

/// Runs a program to its end. Returns what it printed.
fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} cannot be started"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{command:?}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// Writes a boot record with one partition.
fn boot_record(disk: &mut [u8], kind: u8, start: u32, sectors: u32) {
    disk[450] = kind;
    disk[454..458].copy_from_slice(&start.to_le_bytes());
    disk[458..462].copy_from_slice(&sectors.to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
}

/// Writes both copies of a GUID partition table with one partition, and the boot record that protects it.
fn guid_table(disk: &mut [u8], first: u64, last: u64) {
    const ENTRIES: usize = 128;
    const ENTRY: usize = 128;
    /// `0FC63DAF-8483-4772-8E79-3D69D8477DE4`: data of Linux.
    const LINUX: [u8; 16] = *b"\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4";
    let sectors = (disk.len() / 512) as u64;
    let end = sectors - 1;
    boot_record(disk, 0xee, 1, end as u32);
    let mut entries = vec![0; ENTRIES * ENTRY];
    entries[..16].copy_from_slice(&LINUX);
    entries[16..32].copy_from_slice(b"a partition of a");
    entries[32..40].copy_from_slice(&first.to_le_bytes());
    entries[40..48].copy_from_slice(&last.to_le_bytes());
    let table = (ENTRIES * ENTRY / 512) as u64;
    for (own, other, place) in [(1, end, 2), (end, 1, end - table)] {
        let mut header = [0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        let words: [(usize, u32); 4] = [(8, 0x1_0000), (12, 92), (80, ENTRIES as u32), (84, ENTRY as u32)];
        for (at, value) in words {
            header[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        for (at, value) in [(24, own), (32, other), (40, 2 + table), (48, end - table - 1), (72, place)] {
            header[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
        }
        header[56..72].copy_from_slice(b"a disk of a test");
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        let sum = crc32(&header);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        disk[own as usize * 512..][..92].copy_from_slice(&header);
        disk[place as usize * 512..][..entries.len()].copy_from_slice(&entries);
    }
}

/// The CRC-32 of the table's checksums.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ 0xedb8_8320 })
    })
}
