//! Wild reads, writes and jumps.

use abi::memory::Protection;
use core::ptr;
use libsys::{Memory, Object, env, sys};

/// Reads an address.
fn read(address: u64) -> u64 {
    // SAFETY: the attack is that it faults, and the process ends.
    unsafe { ptr::with_exposed_provenance::<u64>(address as usize).read_volatile() }
}

/// Writes an address.
fn write(address: u64) {
    // SAFETY: the attack is that it faults, and the process ends.
    unsafe { ptr::with_exposed_provenance_mut::<u8>(address as usize).write_volatile(0x90) };
}

/// Jumps to an address.
fn jump(address: u64) {
    // SAFETY: the attack is that it faults, and the process ends.
    unsafe { core::arch::asm!("call {}", in(reg) address, clobber_abi("C")) };
}

static CONSTANT: [u64; 64] = [0xc3c3_c3c3_c3c3_c3c3; 64];

/// `ret`, in memory that can be written.
fn code_in_heap() -> u64 {
    let code = alloc::vec![0xc3u8; 4096];
    alloc::vec::Vec::leak(code).as_ptr() as u64
}

fn map(name: &str, protection: Protection) -> u64 {
    let Ok(memory) = env::get().take::<Memory>(name) else { return 0 };
    sys::memory_map(abi::Handle::NONE, memory.handle(), 0, 0, 4096, protection).unwrap_or(0)
}

fn own(protection: Protection) -> (Memory, u64) {
    let memory = Memory::create(env::account(), 8192).expect("memory");
    let address = sys::memory_map(abi::Handle::NONE, memory.handle(), 0, 0, 4096, protection).expect("a mapping");
    (memory, address)
}

fn recurse(depth: u64) -> u64 {
    let space = core::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + space[3] }
}

const WRITABLE: Protection = Protection::READ.union(Protection::WRITE);

crate::dies! {
    read_null: PageFault { read(0) }
    read_behind_null: PageFault { read(0xfff8) }
    write_null: PageFault { write(0) }
    jump_to_null: PageFault { jump(0) }
    read_kernel_half: PageFault { read(0xffff_8000_0000_0000) }
    read_kernel_image: PageFault { read(0xffff_ffff_8020_0000) }
    write_kernel_image: PageFault { write(0xffff_ffff_8020_0000) }
    jump_to_kernel: PageFault { jump(0xffff_ffff_8020_0000) }
    read_end_of_everything: PageFault { read(0xffff_ffff_ffff_fff8) }
    read_not_canonical: GeneralProtection { read(0x8000_0000_0000_0000) }
    write_not_canonical: GeneralProtection { write(0x0000_8000_0000_0000) }
    jump_not_canonical: GeneralProtection { jump(0x4000_0000_0000_0000) }
    read_highest_page: PageFault { read(0x7fff_ffff_f000) }
    read_other_mappings_guard: PageFault {
        let (_memory, address) = own(WRITABLE);
        read(address + 4096)
    }
    write_text: PageFault { write(code_in_heap as *const () as u64) }
    write_constant: PageFault { write(core::hint::black_box(&CONSTANT).as_ptr() as u64) }
    execute_heap: PageFault { jump(code_in_heap()) }
    execute_stack: PageFault {
        let code = core::hint::black_box([0xc3u8; 16]);
        jump(code.as_ptr() as u64)
    }
    execute_constant: PageFault { jump(core::hint::black_box(&CONSTANT).as_ptr() as u64) }
    execute_message_page: PageFault { jump(libsys::message::CallPage::take().payload().as_ptr() as u64) }
    execute_sealed_read_only: PageFault { jump(map("sealed", Protection::READ)) }
    write_sealed: PageFault { write(map("sealed", Protection::READ)) }
    write_executable: PageFault { write(map("sealed", Protection::READ | Protection::EXECUTE)) }
    write_lent: PageFault { write(map("lent", Protection::READ)) }
    write_while_sealed: PageFault {
        let (memory, address) = own(WRITABLE);
        write(address);
        memory.seal().expect("sealed");
        write(address)
    }
    read_reservation: PageFault {
        let (_memory, address) = own(Protection::empty());
        read(address)
    }
    write_protected: PageFault {
        let (_memory, address) = own(WRITABLE);
        write(address);
        // SAFETY: nothing in Rust refers to the mapping.
        let _ = unsafe { sys::memory_protect(abi::Handle::NONE, address, Protection::READ.bits()) };
        write(address)
    }
    use_after_unmap: PageFault {
        let (_memory, address) = own(WRITABLE);
        write(address);
        // SAFETY: nothing in Rust refers to the mapping.
        let _ = unsafe { sys::memory_unmap(abi::Handle::NONE, address) };
        read(address)
    }
    overflow_the_stack: StackOverflow { recurse(0) }
    overflow_a_threads_stack: StackOverflow {
        libsys::thread::spawn(|| recurse(0)).expect("a thread").join()
    }
    take_the_stack_away: PageFault | StackOverflow {
        let here = core::hint::black_box(0u64);
        let page = ptr::from_ref(&here) as u64;
        // The mapping starts somewhere below.
        for below in 0..512 {
            // SAFETY: the attack is that the stack is gone, and the process ends.
            let _ = unsafe { sys::memory_unmap(abi::Handle::NONE, (page & !4095) - below * 4096) };
        }
    }
    take_the_code_away: PageFault {
        let here = take_the_code_away as *const () as u64 & !4095;
        for below in 0..4096 {
            // SAFETY: the attack is that the code is gone, and the process ends.
            let _ = unsafe { sys::memory_unmap(abi::Handle::NONE, here - below * 4096) };
        }
    }
}
