//! Names of PCI classes (PCI Code and ID Assignment Specification), those that are met.

/// Class and subclass, and interface where that says more.
const NAMES: &[(u32, u32, &str)] = &[
    (0x010802, 0xffffff, "NVMe controller"),
    (0x010601, 0xffffff, "AHCI controller"),
    (0x0c0300, 0xffffff, "UHCI USB controller"),
    (0x0c0320, 0xffffff, "EHCI USB controller"),
    (0x0c0330, 0xffffff, "xHCI USB controller"),
    (0x010000, 0xffff00, "SCSI controller"),
    (0x010100, 0xffff00, "IDE controller"),
    (0x010600, 0xffff00, "SATA controller"),
    (0x010800, 0xffff00, "non-volatile memory controller"),
    (0x018000, 0xffff00, "storage controller"),
    (0x020000, 0xffff00, "Ethernet controller"),
    (0x030000, 0xffff00, "VGA controller"),
    (0x038000, 0xffff00, "display controller"),
    (0x040100, 0xffff00, "audio device"),
    (0x040300, 0xffff00, "HD audio device"),
    (0x050000, 0xffff00, "RAM controller"),
    (0x060000, 0xffff00, "host bridge"),
    (0x060100, 0xffff00, "ISA bridge"),
    (0x060400, 0xffff00, "PCI bridge"),
    (0x068000, 0xffff00, "bridge"),
    (0x070000, 0xffff00, "serial controller"),
    (0x078000, 0xffff00, "communication controller"),
    (0x088000, 0xffff00, "system peripheral"),
    (0x0c0300, 0xffff00, "USB controller"),
    (0x0c0500, 0xffff00, "SMBus controller"),
    (0x010000, 0xff0000, "storage controller"),
    (0x020000, 0xff0000, "network controller"),
    (0x030000, 0xff0000, "display controller"),
    (0x040000, 0xff0000, "multimedia device"),
    (0x050000, 0xff0000, "memory controller"),
    (0x060000, 0xff0000, "bridge"),
    (0x070000, 0xff0000, "communication controller"),
    (0x080000, 0xff0000, "system peripheral"),
    (0x090000, 0xff0000, "input device"),
    (0x0b0000, 0xff0000, "processor"),
    (0x0c0000, 0xff0000, "serial bus controller"),
    (0x0d0000, 0xff0000, "wireless controller"),
    (0x120000, 0xff0000, "accelerator"),
    (0x000000, 0xff0000, "unclassified device"),
    (0xff0000, 0xff0000, "unclassified device"),
];

/// The name of a class, `0xccsspp`.
pub fn class(class: u32) -> Option<&'static str> {
    NAMES.iter().find(|(value, mask, _)| class & mask == *value).map(|(_, _, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::class;

    #[test]
    fn the_closest_name_counts() {
        assert_eq!(class(0x010802), Some("NVMe controller"));
        assert_eq!(class(0x010801), Some("non-volatile memory controller"));
        assert_eq!(class(0x01ff00), Some("storage controller"));
        assert_eq!(class(0x0c0330), Some("xHCI USB controller"));
        assert_eq!(class(0x550000), None);
    }
}
