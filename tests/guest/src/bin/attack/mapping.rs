//! Mapping where, what and how one must not.

use crate::{lent, must};
use abi::memory::{END_ADDRESS, LARGEST, LOWEST_ADDRESS, MAPPINGS};
use abi::{Error, Syscall};
use guest::raw::{call, refused};
use libsys::{Object, env};

const PAGE: u64 = 4096;
const READ: u64 = 1;
const WRITE: u64 = 3;
const EXECUTE: u64 = 5;
const EVERY: u64 = 7;

fn account() -> u64 {
    env::account().handle().0
}

fn memory(bytes: u64) -> u64 {
    call(Syscall::MemoryCreate, [account(), bytes, 0]).handle().expect("memory").0
}

/// Maps the first page of something readable.
fn map_at(address: u64) -> Option<Error> {
    refused(Syscall::MemoryMap, [0, memory(PAGE), address, 0, PAGE, READ])
}

fn map(memory: u64, offset: u64, bytes: u64, word: u64) -> Option<Error> {
    refused(Syscall::MemoryMap, [0, memory, 0, offset, bytes, word])
}

fn create(bytes: u64, kind: u64) -> Option<Error> {
    refused(Syscall::MemoryCreate, [account(), bytes, kind])
}

fn thread(entry: u64, stack: u64, pages: u64, fs: u64) -> Option<Error> {
    refused(Syscall::ThreadCreate, [0, entry, stack, 0, pages, fs, account()])
}

crate::refused! {
    below_the_lowest_address {
        must!(map_at(PAGE), Some(Error::BadAddress));
        must!(map_at(LOWEST_ADDRESS - PAGE), Some(Error::BadAddress));
    }
    beyond_the_end {
        must!(map_at(END_ADDRESS), Some(Error::BadAddress));
        must!(refused(Syscall::MemoryMap, [0, memory(2 * PAGE), END_ADDRESS - PAGE, 0, 2 * PAGE, READ]), Some(Error::BadAddress));
    }
    in_the_kernels_half {
        for address in [0xffff_8000_0000_0000, 0xffff_ffff_8000_0000, 0xffff_ffff_ffff_f000, 0x8000_0000_0000_0000, 0x8000_0000_0000] {
            must!(map_at(address), Some(Error::BadAddress));
        }
    }
    over_other_mappings {
        let code = code_page();
        must!(map_at(code), Some(Error::BadAddress));
        let first = call(Syscall::MemoryMap, [0, memory(4 * PAGE), 0, 0, 4 * PAGE, READ]).results[0];
        for page in 0..4 {
            must!(map_at(first + page * PAGE), Some(Error::BadAddress));
        }
        must!(refused(Syscall::MemoryMap, [0, memory(2 * PAGE), first - PAGE, 0, 2 * PAGE, READ]), Some(Error::BadAddress));
    }
    odd_sizes {
        let memory = memory(4 * PAGE);
        for (offset, bytes) in [(0, 0), (0, 1), (0, PAGE - 1), (1, PAGE), (8, PAGE), (0, 5 * PAGE), (4 * PAGE, PAGE), (PAGE, 4 * PAGE), (0, u64::MAX), (u64::MAX - PAGE + 1, PAGE), (PAGE, u64::MAX - PAGE + 1)] {
            must!(map(memory, offset, bytes, READ), Some(Error::BadArgument));
        }
        must!(refused(Syscall::MemoryMap, [0, memory, 0x1234_5678, 0, PAGE, READ]), Some(Error::BadArgument));
    }
    odd_memory {
        for bytes in [0, 1, PAGE + 1, LARGEST + PAGE, u64::MAX, u64::MAX - PAGE + 1, 1 << 63] {
            must!(create(bytes, 0), Some(Error::BadArgument));
            must!(create(bytes, 1), Some(Error::BadArgument));
        }
        must!(create(PAGE, 2), Some(Error::BadArgument));
        must!(create(PAGE, 3), Some(Error::BadArgument));
        must!(create(PAGE, u64::MAX), Some(Error::BadArgument));
        must!(create(LARGEST, 0), Some(Error::AccountExhausted));
        must!(create(LARGEST, 1), Some(Error::AccountExhausted));
    }
    odd_protection {
        let memory = memory(PAGE);
        for word in [2, 4, EVERY, 8, 0x10, 1 << 12, 1 << 40, 1 << 63] {
            must!(map(memory, 0, PAGE, word), Some(Error::BadArgument));
        }
        must!(map(memory, 0, PAGE, EXECUTE), Some(Error::Sealed));
    }
    more_than_the_handle_allows {
        let lent = lent("lent");
        must!(map(lent, 0, PAGE, WRITE), Some(Error::Denied));
        must!(map(lent, 0, PAGE, EXECUTE), Some(Error::Denied));
        must!(refused(Syscall::MemorySeal, [lent]), Some(Error::Denied));
        let mapped = call(Syscall::MemoryMap, [0, lent, 0, 0, PAGE, READ]);
        must!(mapped.error(), None);
        must!(refused(Syscall::MemoryProtect, [0, mapped.results[0], WRITE]), Some(Error::Denied));
        must!(refused(Syscall::MemoryProtect, [0, mapped.results[0], EXECUTE]), Some(Error::Denied));
        must!(refused(Syscall::MemoryInspect, [lent]), None);
    }
    write_what_is_sealed {
        let sealed = lent("sealed");
        must!(map(sealed, 0, PAGE, WRITE), Some(Error::Sealed));
        let mapped = call(Syscall::MemoryMap, [0, sealed, 0, 0, PAGE, EXECUTE]);
        must!(mapped.error(), None);
        must!(refused(Syscall::MemoryProtect, [0, mapped.results[0], WRITE]), Some(Error::Sealed));
        must!(refused(Syscall::MemoryProtect, [0, mapped.results[0], EVERY]), Some(Error::BadArgument));
    }
    execute_what_is_not_sealed {
        let mapped = call(Syscall::MemoryMap, [0, memory(PAGE), 0, 0, PAGE, WRITE]);
        must!(mapped.error(), None);
        must!(refused(Syscall::MemoryProtect, [0, mapped.results[0], EXECUTE]), Some(Error::Sealed));
    }
    unmap_what_is_not_there {
        let mapped = call(Syscall::MemoryMap, [0, memory(4 * PAGE), 0, 0, 4 * PAGE, READ]).results[0];
        for address in [0, 1, mapped + 1, mapped + PAGE, mapped - PAGE, u64::MAX, 0xffff_8000_0000_0000] {
            must!(refused(Syscall::MemoryUnmap, [0, address]), Some(Error::BadAddress));
            must!(refused(Syscall::MemoryProtect, [0, address, READ]), Some(Error::BadAddress));
        }
    }
    in_another_process {
        let neighbour = lent("neighbour");
        let memory = memory(PAGE);
        must!(refused(Syscall::MemoryMap, [neighbour, memory, 0, 0, PAGE, READ]), Some(Error::Denied));
        must!(refused(Syscall::MemoryUnmap, [neighbour, code_page()]), Some(Error::Denied));
        must!(refused(Syscall::MemoryProtect, [neighbour, code_page(), READ]), Some(Error::Denied));
        must!(refused(Syscall::ThreadCreate, [neighbour, code_page(), code_page(), 0, 0x10_0000_0000, 0, account()]), Some(Error::Denied));
    }
    read_a_process_where_it_is_not {
        let own = env::process().handle().0;
        for address in [0, 0x10, 0xffff_8000_0000_0000, 0xffff_ffff_8020_0000, u64::MAX, 0x8000_0000_0000_0000] {
            must!(refused(Syscall::ProcessRead, [own, address, 64]), Some(Error::BadAddress));
        }
        for bytes in [abi::PAYLOAD_BYTES as u64 + 1, u64::MAX, 1 << 32] {
            must!(refused(Syscall::ProcessRead, [own, code_page(), bytes]), Some(Error::BadArgument));
        }
    }
    threads_in_the_kernels_half {
        let pages = 0x10_0000_0000;
        must!(thread(0xffff_ffff_8020_0000, 0, pages, 0), Some(Error::BadAddress));
        must!(thread(0x8000_0000_0000_0000, 0, pages, 0), Some(Error::BadAddress));
        must!(thread(code_page(), 0xffff_ffff_8020_0000, pages, 0), Some(Error::BadAddress));
        must!(thread(code_page(), 0, pages, 0xffff_ffff_8020_0000), Some(Error::BadAddress));
        must!(thread(code_page(), 0, pages, 0x8000_0000_0000_0000), Some(Error::BadAddress));
    }
    message_pages_out_of_place {
        must!(thread(code_page(), 0, 0, 0), Some(Error::BadAddress));
        must!(thread(code_page(), 0, 0x10_0000_0008, 0), Some(Error::BadArgument));
        must!(thread(code_page(), 0, 0xffff_8000_0000_0000, 0), Some(Error::BadAddress));
        must!(thread(code_page(), 0, END_ADDRESS - PAGE, 0), Some(Error::BadAddress));
        must!(thread(code_page(), 0, code_page(), 0), Some(Error::BadAddress));
        must!(thread(code_page(), 0, PAGE, 0), Some(Error::BadAddress));
    }
    endless_mappings {
        let memory = memory(PAGE);
        let mut count = 0;
        let error = loop {
            match map(memory, 0, PAGE, READ) {
                None => count += 1,
                error => break error,
            }
            must!(count <= MAPPINGS);
        };
        must!(error == Some(Error::BadAddress) || error == Some(Error::AccountExhausted));
    }
}

/// A page of this program's code.
fn code_page() -> u64 {
    create as *const () as u64 & !(PAGE - 1)
}
