//! The boot CPU's way from the first 64-bit instruction to the core's `main`.

use super::acpi::Tables;
use super::fadt::{self, Fadt};
use super::kernel_space::{self, BOOT_END, Image};
use super::layout::{IO_APIC_PAGE, LOCAL_APIC_PAGE, direct_map};
use super::madt::Madt;
use super::ranges::Ranges;
use super::start_info::{BootMemory, StartInfo};
use super::{apic, clock, features, ioapic, pic, power, serial, smp, stacks, syscall, vectors};
use crate::panic::boot_error;
use abi::boot::COMMAND_LINE_BYTES;
use core::ops::Range;
use spin::Once;
use x86_64::PhysAddr;

/// What the core learns about the machine.
pub struct BootInformation {
    /// RAM that is nobody's: without the kernel, its page tables and stacks, the archive, and what is below 1 MiB.
    pub usable: Ranges,
    /// All RAM above 1 MiB.
    pub ram: Ranges,
    /// The boot archive; empty if the boot loader gave none. It is mapped in the direct map, and can be used as memory when done with.
    pub archive: Range<PhysAddr>,
    /// Pages of devices that the kernel drives itself: interrupt controllers, power registers.
    pub devices: Ranges,
    /// The ACPI RSDP, or 0. It and the tables are not in the direct map.
    pub rsdp: PhysAddr,
    /// Time-stamp counter at the kernel's first instruction.
    pub boot_tsc: u64,
    command_line: [u8; COMMAND_LINE_BYTES],
    command_line_bytes: usize,
}

impl BootInformation {
    /// The command line.
    pub fn command_line(&self) -> &[u8] {
        &self.command_line[..self.command_line_bytes]
    }
}

static INFORMATION: Once<BootInformation> = Once::new();

/// Physical memory through the boot tables.
struct FirstGigabytes;

impl BootMemory for FirstGigabytes {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        address.checked_add(length as u64).filter(|&end| end <= BOOT_END)?;
        // SAFETY: the boot tables map all of it, and nobody writes the boot loader's and the firmware's tables while they are read.
        Some(unsafe { core::slice::from_raw_parts(direct_map(PhysAddr::new(address)), length) })
    }
}

unsafe extern "C" {
    static image_start: u8;
    static image_constants: u8;
    static image_data: u8;
    static image_end: u8;
}

fn image() -> Image {
    let [start, constants, data, end] =
        [&raw const image_start, &raw const image_constants, &raw const image_data, &raw const image_end]
            .map(|symbol| symbol as u64);
    Image { text: start..constants, constants: constants..data, data: data..end }
}

/// From `start`, on the boot stack and tables.
pub extern "C" fn start(start_info: u64, boot_tsc: u64) -> ! {
    serial::initialize();
    vectors::load();
    if let Some(missing) = features::missing() {
        boot_error(format_args!("{missing}"));
    }
    features::enable();
    let memory = FirstGigabytes;
    let info = StartInfo::parse(&memory, start_info).unwrap_or_else(|text| boot_error(format_args!("{text}")));
    if info.command_line.split(|&byte| byte == b' ').any(|word| word == b"log=serial") {
        crate::log::echo_to_serial();
    }
    let (madt, fadt, rsdp) = firmware(&memory, info.rsdp);
    let info = StartInfo { rsdp, ..info };
    if info.low_memory {
        smp::place_trampoline();
    }
    let information =
        memory_for_kernel(info, &madt, &fadt, boot_tsc).unwrap_or_else(|text| boot_error(format_args!("{text}")));
    INFORMATION.call_once(|| information);
    apic::set_cpus(&madt);
    ioapic::set_wiring(madt);
    power::set_registers(fadt);
    kernel_space::load();
    stacks::continue_on(stacks::top(0), finish)
}

/// What the ACPI tables say, as far as there are any, and where their root is, or 0.
fn firmware(memory: &FirstGigabytes, rsdp: u64) -> (Madt, Fadt, u64) {
    let Some(tables) = Tables::find(memory, rsdp) else {
        return (Madt::absent(), Fadt::default(), 0);
    };
    let fadt = tables.table(b"FACP").map(|table| {
        let dsdt = fadt::dsdt(table).and_then(|address| tables.table_at(address, b"DSDT"));
        Fadt::parse(table, dsdt)
    });
    (tables.table(b"APIC").map_or_else(Madt::absent, Madt::parse), fadt.unwrap_or_default(), tables.rsdp)
}

/// Makes the final page tables and stacks, and says what is left.
fn memory_for_kernel(
    info: StartInfo,
    madt: &Madt,
    fadt: &Fadt,
    boot_tsc: u64,
) -> Result<BootInformation, &'static str> {
    let image = image();
    let kernel_image = kernel_space::image_range(&image);
    let ram = info.usable.clone();
    if !ram.contain(&kernel_image) {
        return Err("the kernel lies outside of memory");
    }
    let mut usable = info.usable;
    for taken in [kernel_image, info.archive.clone()] {
        usable.remove(taken).map_err(|_| "the memory map has too many ranges")?;
    }
    let io_apics = madt.io_apics[..madt.io_apic_count].iter().zip(IO_APIC_PAGE..).map(|(at, page)| (page, at.address));
    let devices = io_apics.chain([(LOCAL_APIC_PAGE, madt.local_apic)]).chain(power::pages(fadt));
    let devices = devices.map(|(page, address)| (page, address & !0xfff));
    let mut owned = Ranges::new();
    for (_, address) in devices.clone() {
        owned
            .add(PhysAddr::new_truncate(address)..PhysAddr::new_truncate(address + 4096))
            .map_err(|_| "too many devices")?;
    }
    kernel_space::build(&mut usable, &ram, image, madt.cpus.max(1), devices).map_err(|_| "too little memory")?;
    let mut command_line = [0; COMMAND_LINE_BYTES];
    command_line[..info.command_line.len()].copy_from_slice(info.command_line);
    Ok(BootInformation {
        usable,
        ram,
        archive: info.archive,
        devices: owned,
        rsdp: PhysAddr::new_truncate(info.rsdp),
        boot_tsc,
        command_line,
        command_line_bytes: info.command_line.len(),
    })
}

/// On the final tables and the boot CPU's own stack.
extern "C" fn finish() -> ! {
    let information = INFORMATION.get().expect("set above");
    crate::entry::cpu(0).arch.install(0);
    syscall::enable();
    pic::mask();
    apic::enable(0);
    ioapic::mask_all();
    if let Err(text) = clock::start(information.boot_tsc) {
        boot_error(format_args!("{text}"));
    }
    for name in features::absent_protections() {
        crate::log!(Warning, "this processor has no {name}: continuing without");
    }
    crate::entry::main(information)
}
