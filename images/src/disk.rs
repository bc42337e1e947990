//! A disk of the machine: `FILE[,virtio|nvme][,ro]`.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// How a disk is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskBus {
    /// virtio-blk.
    #[default]
    Virtio,
    /// An NVMe controller with one namespace.
    Nvme,
}

/// A disk image file as a disk of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The image: raw, or qcow2 if its name ends so.
    pub file: PathBuf,
    /// How it is connected.
    pub bus: DiskBus,
    /// Whether the machine cannot write to it.
    pub read_only: bool,
}

impl Disk {
    /// A writable virtio disk.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), bus: DiskBus::default(), read_only: false }
    }

    /// QEMU's arguments for this disk as number `index`. `pci` says whether the machine has
    /// a PCI bus.
    ///
    /// # Errors
    /// The file is not there, its path is not UTF-8, or the machine has no bus for it.
    pub fn arguments(&self, index: usize, pci: bool) -> Result<Vec<String>> {
        let path = self
            .file
            .canonicalize()
            .with_context(|| format!("there is no disk image {}: make it first", self.file.display()))?;
        let path = path.to_str().with_context(|| format!("QEMU needs a path in UTF-8: rename {}", path.display()))?;
        let format = if path.ends_with(".qcow2") { "qcow2" } else { "raw" };
        let read_only = if self.read_only { "on" } else { "off" };
        let device = match (self.bus, pci) {
            (DiskBus::Virtio, true) => format!("virtio-blk-pci,drive=disk{index}"),
            (DiskBus::Virtio, false) => format!("virtio-blk-device,drive=disk{index}"),
            (DiskBus::Nvme, true) => format!("nvme,drive=disk{index},serial=skink{index}"),
            (DiskBus::Nvme, false) => {
                bail!("the machine microvm has no PCI bus for an NVMe disk: use virtio or q35")
            }
        };
        Ok(vec![
            "-drive".to_string(),
            format!("if=none,id=disk{index},format={format},readonly={read_only},file={}", path.replace(',', ",,")),
            "-device".to_string(),
            device,
        ])
    }
}

impl FromStr for Disk {
    type Err = anyhow::Error;

    /// Options follow the first comma after which only options come, so a file name may hold
    /// commas.
    fn from_str(text: &str) -> Result<Self> {
        let mut disk = Self::new("");
        let mut file = text;
        while let Some((rest, option)) = file.rsplit_once(',') {
            match option {
                "virtio" => disk.bus = DiskBus::Virtio,
                "nvme" => disk.bus = DiskBus::Nvme,
                "ro" => disk.read_only = true,
                _ if std::path::Path::new(file).exists() => break,
                _ => bail!("unknown disk option `{option}`: write FILE[,virtio|nvme][,ro]"),
            }
            file = rest;
        }
        if file.is_empty() {
            bail!("a disk needs a file: write FILE[,virtio|nvme][,ro]");
        }
        disk.file = file.into();
        Ok(disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_any_order() {
        let plain: Disk = "a.img".parse().unwrap();
        assert_eq!(plain, Disk::new("a.img"));
        for text in ["a.img,nvme,ro", "a.img,ro,nvme"] {
            let disk: Disk = text.parse().unwrap();
            assert_eq!(disk, Disk { file: "a.img".into(), bus: DiskBus::Nvme, read_only: true }, "{text}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let error = "a.img,scsi".parse::<Disk>().unwrap_err().to_string();
        assert!(error.contains("`scsi`"), "{error}");
        assert!("".parse::<Disk>().is_err());
        assert!(",ro".parse::<Disk>().is_err());
    }

    #[test]
    fn a_comma_in_a_name_reaches_qemu_doubled() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a,b.img");
        std::fs::write(&file, b"").unwrap();
        let disk: Disk = format!("{},ro", file.display()).parse().unwrap();
        assert_eq!(disk.file, file);
        let arguments = disk.arguments(3, true).unwrap();
        assert!(arguments[1].ends_with("a,,b.img"), "{}", arguments[1]);
        assert!(arguments[1].contains("id=disk3") && arguments[1].contains("readonly=on"));
        assert_eq!(arguments[3], "virtio-blk-pci,drive=disk3");
    }

    #[test]
    fn no_nvme_without_pci() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.img");
        std::fs::write(&file, b"").unwrap();
        let disk = Disk { bus: DiskBus::Nvme, ..Disk::new(&file) };
        assert!(disk.arguments(0, false).is_err());
        assert!(Disk::new(file.with_extension("none")).arguments(0, true).is_err());
    }
}
