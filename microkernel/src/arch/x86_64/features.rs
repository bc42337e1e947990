//! What the processor can do: what the kernel cannot do without, and what it uses where it is there.

use core::arch::x86_64::__cpuid_count;

/// The four registers of a CPUID leaf (Intel SDM vol. 2A, CPUID), or zeros where the processor has no such leaf.
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    // SAFETY: every 64-bit processor has CPUID.
    #[allow(unused_unsafe)]
    let read = |leaf, subleaf| unsafe { __cpuid_count(leaf, subleaf) };
    if read(leaf & 0xffff_0000, 0).eax < leaf {
        return [0; 4];
    }
    let leaf = read(leaf, subleaf);
    [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]
}

/// A bit of CPUID: leaf, register, bit.
pub struct Feature(u32, usize, u32);

impl Feature {
    /// Whether this processor has it.
    pub fn is_there(&self) -> bool {
        cpuid(self.0, 0)[self.1] >> self.2 & 1 != 0
    }
}

const EBX: usize = 1;
const ECX: usize = 2;
const EDX: usize = 3;

const XSAVE: Feature = Feature(1, ECX, 26);
const SMEP: Feature = Feature(7, EBX, 7);
const SMAP: Feature = Feature(7, EBX, 20);
const UMIP: Feature = Feature(7, ECX, 2);
/// Page tables can have pages of 1 GiB.
pub const GIGABYTE_PAGES: Feature = Feature(0x8000_0001, EDX, 26);

/// What the kernel cannot do without, and what to say where it is missing.
const REQUIRED: [(Feature, &str); 8] = [
    (Feature(0x8000_0001, EDX, 20), "this processor has no execute-disable (NX)"),
    (Feature(0x8000_0001, EDX, 11), "this processor has no SYSCALL"),
    (Feature(7, EBX, 0), "this processor has no FSGSBASE"),
    (Feature(1, EDX, 4), "this processor has no time-stamp counter"),
    (Feature(1, EDX, 9), "this processor has no local APIC"),
    (Feature(1, EDX, 13), "this processor has no global pages"),
    (Feature(1, EDX, 16), "this processor has no page attribute table"),
    (Feature(1, EDX, 24), "this processor has no FXSAVE"),
];

/// What is missing, if anything is.
pub fn missing() -> Option<&'static str> {
    REQUIRED.iter().find(|(feature, _)| !feature.is_there()).map(|(_, text)| *text)
}

/// Protections that this processor lacks and that the kernel does without.
pub fn absent_protections() -> impl Iterator<Item = &'static str> {
    [(SMEP, "SMEP"), (SMAP, "SMAP"), (UMIP, "UMIP")]
        .into_iter()
        .filter(|(feature, _)| !feature.is_there())
        .map(|(_, name)| name)
}

/// Sets the control registers of this CPU. Once for each.
pub fn enable() {
    use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags};
    use x86_64::registers::xcontrol::XCr0;
    if !cfg!(target_os = "none") {
        return;
    }
    // Page faults write-protect the kernel too; the caches are on, which INIT leaves off. Any vector or floating-point instruction raises
    // #NM: TS catches them all where the processor believes that the system manages their state (Intel SDM vol. 3A §2.5, table 14-1),
    // while EM would turn some into #UD, which user code could not tell from an instruction that does not exist.
    let cr0 = Cr0Flags::PROTECTED_MODE_ENABLE
        | Cr0Flags::MONITOR_COPROCESSOR
        | Cr0Flags::TASK_SWITCHED
        | Cr0Flags::EXTENSION_TYPE
        | Cr0Flags::NUMERIC_ERROR
        | Cr0Flags::WRITE_PROTECT
        | Cr0Flags::PAGING;
    let mut cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        | Cr4Flags::PAGE_GLOBAL
        | Cr4Flags::MACHINE_CHECK_EXCEPTION
        | Cr4Flags::OSFXSR
        | Cr4Flags::FSGSBASE;
    let optional = [
        (SMEP, Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
        (SMAP, Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
        (UMIP, Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION),
        (XSAVE, Cr4Flags::OSXSAVE),
    ];
    for (feature, flag) in optional {
        cr4.set(flag, feature.is_there());
    }
    // SAFETY: the flags keep paging and 64-bit mode as they are; the rest is checked against CPUID; no kernel code uses
    // vector registers or user mappings. XCR0 gets the x87, SSE, AVX and AVX-512 states that leaf 13 offers, which belong together.
    unsafe {
        Efer::update(|efer| *efer |= EferFlags::NO_EXECUTE_ENABLE | EferFlags::SYSTEM_CALL_EXTENSIONS);
        Cr0::write(cr0);
        Cr4::write(cr4);
        if cr4.contains(Cr4Flags::OSXSAVE) {
            XCr0::write_raw(u64::from(cpuid(13, 0)[0]) & 0xe7);
        }
    }
    // The page attribute table (Intel SDM vol. 3A §12.12.4): as at reset, but what `PWT` alone selects is write-combining, not write-through.
    const PAT: u32 = 0x277;
    const ATTRIBUTES: u64 = 0x0007_0406_0007_0106;
    // SAFETY: no mapping has had PWT alone so far, so no page changes its type.
    unsafe { x86_64::registers::model_specific::Msr::new(PAT).write(ATTRIBUTES) };
}
