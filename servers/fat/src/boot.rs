//! The boot sector: where everything is on a FAT file system. The reference is Microsoft's «FAT: General Overview of On-Disk Format», 1.03.
//!
//! What it says is checked here once; places that come from a [`Layout`] are on the disk.

use alloc::vec::Vec;

/// Bytes of a boot sector that are looked at.
pub const BOOT_BYTES: usize = 512;
/// Bytes of an entry of a directory.
pub const SLOT_BYTES: u64 = 32;
/// The largest cluster: beyond, nobody makes them.
const LARGEST_CLUSTER: u64 = 256 << 10;
/// Where the state of the volume is in the boot sector.
const STATE: usize = 0x25;
const STATE_32: usize = 0x41;
/// The state's bit of a volume that is in use.
const DIRTY: u8 = 1;

/// How wide the entries of the table are, which is also the name of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// FAT12.
    Twelve,
    /// FAT16.
    Sixteen,
    /// FAT32.
    ThirtyTwo,
}

/// Where the root directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// At a sector, so many sectors long.
    Fixed(u64, u64),
    /// A chain that begins with this cluster.
    Chain(u32),
}

/// Why a boot sector is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No FAT.
    Foreign,
    /// It contradicts itself or the disk.
    Corrupt,
}

/// Where everything is. Places are in sectors of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a sector.
    pub sector_bytes: usize,
    /// Sectors of a cluster.
    pub cluster_sectors: u64,
    /// The format.
    pub width: Width,
    /// The first sector of the table that is read.
    pub table: u64,
    /// The first sectors of the tables that are written, that one among them.
    pub tables: Vec<u64>,
    /// Where the root directory is.
    pub root: Root,
    /// The first sector of cluster 2.
    pub data: u64,
    /// Clusters that there are: their numbers begin with 2.
    pub clusters: u32,
    /// The sector that remembers how much is free.
    pub info: Option<u64>,
}

fn u16_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
}

/// Whether these are the first bytes of something that a PC could boot, as every FAT file system pretends to be. What is not is none, whatever else it says.
pub fn is_bootable(boot: &[u8; BOOT_BYTES]) -> bool {
    matches!(boot[..3], [0xeb, _, 0x90] | [0xe9, ..]) && boot[510..] == [0x55, 0xaa]
}

impl Layout {
    /// What a boot sector says; `disk` is the disk's size in bytes.
    pub fn of(boot: &[u8; BOOT_BYTES], disk: u64) -> Result<Layout, Refusal> {
        let sector_bytes = u16_at(boot, 0x0b);
        let cluster_sectors = u64::from(boot[0x0d]);
        let media = boot[0x15];
        let plausible = (512..=4096).contains(&sector_bytes)
            && sector_bytes.is_power_of_two()
            && cluster_sectors.is_power_of_two()
            && (media == 0xf0 || media >= 0xf8);
        if !plausible {
            return Err(Refusal::Foreign);
        }
        let reserved = u16_at(boot, 0x0e);
        let copies = u64::from(boot[0x10]);
        let root_slots = u16_at(boot, 0x11);
        let sectors = match u16_at(boot, 0x13) {
            0 => u32_at(boot, 0x20),
            sectors => sectors,
        };
        let small = u16_at(boot, 0x16);
        let is_32 = small == 0;
        let table_sectors = if is_32 { u32_at(boot, 0x24) } else { small };
        let root_sectors = (root_slots * SLOT_BYTES).div_ceil(sector_bytes);
        let table = reserved;
        let root = table + copies * table_sectors;
        let data = root + root_sectors;
        let right = reserved > 0
            && (1..=4).contains(&copies)
            && table_sectors > 0
            && cluster_sectors * sector_bytes <= LARGEST_CLUSTER
            && data < sectors
            && sectors <= disk / sector_bytes
            && is_32 == (root_slots == 0);
        if !right {
            return Err(Refusal::Corrupt);
        }
        let clusters = (sectors - data) / cluster_sectors;
        let width = match clusters {
            _ if is_32 => Width::ThirtyTwo,
            0..4085 => Width::Twelve,
            4085..65525 => Width::Sixteen,
            _ => return Err(Refusal::Corrupt),
        };
        // A table that is too short for all clusters leaves some unused.
        let entries = table_sectors * sector_bytes * 8 / u64::from(width.bits());
        let clusters = clusters.min(entries.saturating_sub(2)).min(width.most());
        if clusters == 0 {
            return Err(Refusal::Corrupt);
        }
        let flags = if is_32 { u16_at(boot, 0x28) } else { 0 };
        let (active, all) = match flags & 0x80 {
            0 => (0, 0..copies),
            _ => (flags & 0xf, flags & 0xf..(flags & 0xf) + 1),
        };
        let root = match is_32 {
            false => Root::Fixed(root, root_sectors),
            true => Root::Chain((u32_at(boot, 0x2c) & 0x0fff_ffff) as u32),
        };
        let root_is_there = match root {
            Root::Fixed(..) => true,
            Root::Chain(cluster) => (2..clusters + 2).contains(&u64::from(cluster)),
        };
        let version_is_known = !is_32 || u16_at(boot, 0x2a) == 0;
        if active >= copies || !root_is_there || !version_is_known {
            return Err(Refusal::Corrupt);
        }
        let info = Some(u16_at(boot, 0x30)).filter(|info| is_32 && (1..reserved).contains(info));
        Ok(Layout {
            sector_bytes: sector_bytes as usize,
            cluster_sectors,
            width,
            table: table + active * table_sectors,
            tables: all.map(|copy| table + copy * table_sectors).collect(),
            root,
            data,
            clusters: clusters as u32,
            info,
        })
    }

    /// Bytes of a cluster.
    pub fn cluster_bytes(&self) -> u64 {
        self.cluster_sectors * self.sector_bytes as u64
    }

    /// Whether there is such a cluster.
    pub fn has(&self, cluster: u32) -> bool {
        cluster >= 2 && cluster - 2 < self.clusters
    }

    /// The first sector of a cluster that there is.
    pub fn sector_of(&self, cluster: u32) -> u64 {
        self.data + u64::from(cluster - 2) * self.cluster_sectors
    }

    /// The cluster that the root directory begins with; 0 where it is not made of clusters.
    pub fn root_cluster(&self) -> u32 {
        match self.root {
            Root::Fixed(..) => 0,
            Root::Chain(cluster) => cluster,
        }
    }

    fn state_at(&self) -> usize {
        if self.width == Width::ThirtyTwo { STATE_32 } else { STATE }
    }

    /// Whether the boot sector says that somebody has not unmounted the volume.
    pub fn is_marked(&self, boot: &[u8]) -> bool {
        boot[self.state_at()] & DIRTY != 0
    }

    /// Notes that in the boot sector, or the contrary.
    pub fn mark(&self, boot: &mut [u8], dirty: bool) {
        let state = &mut boot[self.state_at()];
        *state = if dirty { *state | DIRTY } else { *state & !DIRTY };
    }
}

impl Width {
    /// Bits of an entry.
    pub fn bits(self) -> u32 {
        match self {
            Width::Twelve => 12,
            Width::Sixteen => 16,
            Width::ThirtyTwo => 32,
        }
    }

    /// The bits of an entry that count.
    pub fn mask(self) -> u32 {
        match self {
            Width::Twelve => 0xfff,
            Width::Sixteen => 0xffff,
            Width::ThirtyTwo => 0x0fff_ffff,
        }
    }

    /// Most clusters: numbers beyond have a meaning of their own.
    fn most(self) -> u64 {
        u64::from(self.mask()) - 0xf - 2
    }
}
