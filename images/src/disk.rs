//! A disk of the machine: `FILE[,virtio|nvme|namespace][,ro][,PROPERTY=VALUE…]`.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// How a disk is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskBus {
    /// virtio-blk.
    #[default]
    Virtio,
    /// An NVMe controller, of which it is a namespace.
    Nvme,
    /// A further namespace of the NVMe controller that came last.
    Namespace,
}

/// How a disk is written on the command line.
const SYNTAX: &str = "FILE[,virtio|nvme|namespace][,ro][,PROPERTY=VALUE…]";

/// A disk image file as a disk of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The image: raw, or qcow2 if its name ends so.
    pub file: PathBuf,
    /// How it is connected.
    pub bus: DiskBus,
    /// Whether the machine cannot write to it.
    pub read_only: bool,
    /// Whether what the machine flushes may stay in the host's memory, so that it outlives the machine but not the host.
    pub is_volatile: bool,
    /// Properties of QEMU's device, such as `logical_block_size=4096`.
    pub properties: Vec<String>,
}

impl Disk {
    /// A writable virtio disk.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            bus: DiskBus::default(),
            read_only: false,
            is_volatile: false,
            properties: Vec::new(),
        }
    }

    /// The same disk, connected otherwise.
    pub fn bus(mut self, bus: DiskBus) -> Self {
        self.bus = bus;
        self
    }

    /// The same disk, whose flushes the host does not carry out: for machines that are stopped over and over, as QEMU flushes at each stop.
    pub fn volatile(mut self) -> Self {
        self.is_volatile = true;
        self
    }

    /// The same disk with a property of QEMU's device, such as `logical_block_size=4096`.
    pub fn property(mut self, property: &str) -> Self {
        self.properties.push(property.to_string());
        self
    }

    /// What QEMU calls the disk number `index` of a machine, from 0, among the nodes of its block layer.
    pub fn node(index: usize) -> String {
        format!("image{index}")
    }

    /// What QEMU calls the node with that disk's file, below [`Disk::node`].
    pub fn file_node(index: usize) -> String {
        format!("file{index}")
    }

    /// QEMU's arguments for this disk as number `index`; `controller` is the number of the NVMe disk before it, if there is one.
    fn arguments(&self, index: usize, controller: Option<usize>, pci: bool) -> Result<Vec<String>> {
        let path = self
            .file
            .canonicalize()
            .with_context(|| format!("there is no disk image {}: make it first", self.file.display()))?;
        let path = path.to_str().with_context(|| format!("QEMU needs a path in UTF-8: rename {}", path.display()))?;
        let format = if path.ends_with(".qcow2") { "qcow2" } else { "raw" };
        let read_only = if self.read_only { "on" } else { "off" };
        // What the machine discards is given back to the host: the file gets holes.
        let discard = "discard=unmap";
        let cache = if self.is_volatile { ",cache=unsafe" } else { "" };
        let mut device = match (self.bus, pci) {
            (DiskBus::Virtio, true) => format!("virtio-blk-pci,drive=disk{index}"),
            (DiskBus::Virtio, false) => format!("virtio-blk-device,drive=disk{index}"),
            (DiskBus::Nvme, true) => format!("nvme,id=nvme{index},drive=disk{index},serial=skink{index}"),
            (DiskBus::Namespace, true) => {
                let controller = controller.context("there is no NVMe disk before this namespace")?;
                format!("nvme-ns,bus=nvme{controller},drive=disk{index}")
            }
            (DiskBus::Nvme | DiskBus::Namespace, false) => {
                bail!("the machine microvm has no PCI bus for an NVMe disk: use virtio or q35")
            }
        };
        self.properties.iter().for_each(|property| device += &format!(",{property}"));
        Ok(vec![
            "-drive".to_string(),
            format!(
                "if=none,id=disk{index},node-name={},format={format},{discard},readonly={read_only}{cache},file.node-name={},file={}",
                Disk::node(index),
                Disk::file_node(index),
                path.replace(',', ",,")
            ),
            "-device".to_string(),
            device,
        ])
    }
}

/// QEMU's arguments for all disks of a machine; `pci` says whether it has a PCI bus.
///
/// # Errors
/// A file is not there, its path is not UTF-8, or the machine has no bus or no controller for it.
pub fn arguments(disks: &[Disk], pci: bool) -> Result<Vec<String>> {
    let (mut all, mut controller) = (Vec::new(), None);
    for (index, disk) in disks.iter().enumerate() {
        all.extend(disk.arguments(index, controller, pci)?);
        controller = if disk.bus == DiskBus::Nvme { Some(index) } else { controller };
    }
    Ok(all)
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
                "namespace" => disk.bus = DiskBus::Namespace,
                "ro" => disk.read_only = true,
                property if is_property(property) => disk.properties.insert(0, property.to_string()),
                _ if std::path::Path::new(file).exists() => break,
                _ => bail!("unknown disk option `{option}`: write {SYNTAX}"),
            }
            file = rest;
        }
        if file.is_empty() {
            bail!("a disk needs a file: write {SYNTAX}");
        }
        disk.file = file.into();
        Ok(disk)
    }
}

/// Whether this has the form of a property.
fn is_property(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    text.split_once('=').is_some_and(|(name, value)| {
        !name.is_empty() && !value.is_empty() && name.bytes().chain(value.bytes()).all(is_letter)
    })
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
            assert_eq!(disk, Disk { read_only: true, ..Disk::new("a.img").bus(DiskBus::Nvme) }, "{text}");
        }
        let disk: Disk = "a.img,vectors=0,virtio,logical_block_size=4096".parse().unwrap();
        assert_eq!(disk, Disk::new("a.img").property("vectors=0").property("logical_block_size=4096"));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let error = "a.img,scsi".parse::<Disk>().unwrap_err().to_string();
        assert!(error.contains("`scsi`"), "{error}");
        assert!("".parse::<Disk>().is_err());
        assert!(",ro".parse::<Disk>().is_err());
        assert!("a.img,=4".parse::<Disk>().is_err() && "a.img,x=".parse::<Disk>().is_err());
    }

    #[test]
    fn a_comma_in_a_name_reaches_qemu_doubled() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a,b.img");
        std::fs::write(&file, b"").unwrap();
        let disk: Disk = format!("{},ro", file.display()).parse().unwrap();
        assert_eq!(disk.file, file);
        let arguments = disk.arguments(3, None, true).unwrap();
        assert!(arguments[1].ends_with("a,,b.img"), "{}", arguments[1]);
        assert!(arguments[1].contains("id=disk3") && arguments[1].contains("readonly=on"));
        assert_eq!(arguments[3], "virtio-blk-pci,drive=disk3");
    }

    #[test]
    fn no_nvme_without_pci() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.img");
        std::fs::write(&file, b"").unwrap();
        let disk = Disk::new(&file).bus(DiskBus::Nvme);
        assert!(disk.arguments(0, None, false).is_err());
        assert!(Disk::new(file.with_extension("none")).arguments(0, None, true).is_err());
    }

    #[test]
    fn namespaces_belong_to_the_controller_before_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.img");
        std::fs::write(&file, b"").unwrap();
        let disk = Disk::new(&file).bus(DiskBus::Nvme).property("logical_block_size=4096");
        let arguments = disk.arguments(1, None, true).unwrap();
        let expected = "nvme,id=nvme1,drive=disk1,serial=skink1,logical_block_size=4096";
        assert_eq!(arguments[2..], ["-device", expected]);
        let more = Disk::new(&file).bus(DiskBus::Namespace);
        assert_eq!(more.arguments(2, Some(1), true).unwrap()[2..], ["-device", "nvme-ns,bus=nvme1,drive=disk2"]);
        assert!(more.arguments(0, None, true).is_err());
    }
}
