//! The two legacy interrupt controllers (Intel 8259A data sheet): set to harmless vectors, and masked for good.

use super::processor::port_write;

const MASTER: u16 = 0x20;
const SLAVE: u16 = 0xa0;
/// First vector of the master; the slave's follow. Even a masked controller can signal a spurious line 7.
const FIRST_VECTOR: u32 = 0x20;

/// Masks all lines.
pub fn mask() {
    for (controller, vector, cascade) in [(MASTER, FIRST_VECTOR, 4), (SLAVE, FIRST_VECTOR + 8, 2)] {
        // Initialisation words 1 to 4: edge, cascaded; vector; wiring; 8086 mode. Then the mask.
        port_write(controller, 1, 0x11);
        for word in [vector, cascade, 1, 0xff] {
            port_write(controller + 1, 1, word);
        }
    }
}
