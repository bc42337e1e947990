//! Device Memory over what is the kernel's: with it one could send any interrupt to any CPU, or write anywhere. Only in place of init is there
//! a right to physical memory to try it with; from the shell the attacks have nothing to begin with.

use crate::must;
use abi::{Error, Syscall};
use guest::raw::refused;
use libsys::{Object, Resource, env};

const PAGE: u64 = 4096;
/// Where every PC has its local and first I/O APIC (Intel SDM vol. 3A §11.4.1, 82093AA data sheet §3.0).
const APICS: [u64; 2] = [0xfee0_0000, 0xfec0_0000];

fn physical() -> Option<Resource> {
    env::get().take("physical").ok()
}

/// Why device Memory of a range is refused; `None` where it is made.
fn device(physical: &Resource, start: u64, bytes: u64) -> Option<Error> {
    refused(Syscall::MemoryDevice, [physical.handle().0, start, bytes, 0, env::account().handle().0])
}

crate::refused! {
    interrupt_controllers {
        let Some(physical) = physical() else { return 0 };
        for start in APICS {
            must!(device(&physical, start, PAGE), Some(Error::Busy));
            must!(device(&physical, start - PAGE, 2 * PAGE), Some(Error::Busy));
            must!(device(&physical, start - 4 * PAGE, 16 * PAGE), Some(Error::Busy));
        }
        must!(device(&physical, APICS[1], APICS[0] - APICS[1] + PAGE), Some(Error::Busy));
        // A page between them is nobody's: it is not the right that is missing.
        must!(device(&physical, APICS[1] + 0x10_0000, PAGE), None);
    }
    ram {
        let Some(physical) = physical() else { return 0 };
        for start in [0x10_0000, 0x20_0000, 0x100_0000] {
            must!(device(&physical, start, PAGE), Some(Error::Denied));
        }
        // All there is, RAM and the kernel's own image with it.
        must!(device(&physical, 0, 1 << 52), Some(Error::Denied));
        must!(device(&physical, 0xf_f000, 2 * PAGE), Some(Error::Denied));
    }
}
