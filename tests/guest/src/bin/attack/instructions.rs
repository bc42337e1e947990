//! Instructions that are the kernel's, or nobody's.

/// Runs instructions.
macro_rules! run {
    ($($text:literal),+ $(, in $register:literal = $value:expr)*) => {
        // SAFETY: the attack is that they fault, and the process ends.
        unsafe { core::arch::asm!($($text),+, $(in($register) $value,)* lateout("rax") _, lateout("rdx") _, lateout("rcx") _) }
    };
}

crate::dies! {
    cli: GeneralProtection { run!("cli") }
    sti: GeneralProtection { run!("sti") }
    hlt: GeneralProtection { run!("hlt") }
    port_in: GeneralProtection { run!("mov edx, 0x3f8", "in al, dx") }
    port_out: GeneralProtection { run!("mov edx, 0x3f8", "out dx, al") }
    port_out_string: GeneralProtection { run!("mov edx, 0x3f8", "outsb") }
    exit_device: GeneralProtection { run!("mov edx, 0xf4", "mov eax, 0x10", "out dx, eax") }
    read_cr0: GeneralProtection { run!("mov rax, cr0") }
    read_cr3: GeneralProtection { run!("mov rax, cr3") }
    write_cr0: GeneralProtection { run!("xor eax, eax", "mov cr0, rax") }
    write_cr3: GeneralProtection { run!("xor eax, eax", "mov cr3, rax") }
    write_cr4: GeneralProtection { run!("xor eax, eax", "mov cr4, rax") }
    write_cr8: GeneralProtection { run!("mov eax, 15", "mov cr8, rax") }
    write_debug_register: GeneralProtection { run!("xor eax, eax", "mov dr0, rax") }
    rdmsr: GeneralProtection { run!("mov ecx, 0xc0000082", "rdmsr") }
    wrmsr: GeneralProtection { run!("mov ecx, 0xc0000082", "xor eax, eax", "xor edx, edx", "wrmsr") }
    xsetbv: GeneralProtection { run!("xor ecx, ecx", "mov eax, 7", "xor edx, edx", "xsetbv") }
    lgdt: GeneralProtection { run!("lgdt [rsp]") }
    lidt: GeneralProtection { run!("lidt [rsp]") }
    lldt: GeneralProtection { run!("xor eax, eax", "lldt ax") }
    ltr: GeneralProtection { run!("mov eax, 0x28", "ltr ax") }
    lmsw: GeneralProtection { run!("mov eax, 1", "lmsw ax") }
    clts: GeneralProtection { run!("clts") }
    invd: GeneralProtection { run!("invd") }
    wbinvd: GeneralProtection { run!("wbinvd") }
    invlpg: GeneralProtection { run!("invlpg [rsp]") }
    swapgs: GeneralProtection { run!("swapgs") }
    sysret: GeneralProtection { run!("mov rcx, 0x1000", "mov r11, 0x202", "sysretq") }
    sysenter: GeneralProtection | IllegalInstruction { run!("sysenter") }
    iret_to_ring_0: GeneralProtection {
        run!("mov rax, rsp", "push 0x10", "push rax", "pushfq", "push 0x8", "lea rax, [rip]", "push rax", "iretq")
    }
    far_return_to_ring_0: GeneralProtection { run!("push 0x8", "lea rax, [rip]", "push rax", "retfq") }
    load_kernel_stack_segment: GeneralProtection { run!("mov eax, 0x10", "mov ss, ax") }
    load_kernel_data_segment: GeneralProtection { run!("mov eax, 0x10", "mov ds, ax") }
    load_task_segment: GeneralProtection { run!("mov eax, 0x2b", "mov es, ax") }
    interrupt_of_the_timer: GeneralProtection { run!("int 0xf0") }
    interrupt_of_a_device: GeneralProtection { run!("int 0x30") }
    interrupt_0x80: GeneralProtection { run!("int 0x80") }
    interrupt_page_fault: GeneralProtection { run!("int 14") }
    interrupt_double_fault: GeneralProtection { run!("int 8") }
    interrupt_nmi: GeneralProtection { run!("int 2") }
    rdpmc: GeneralProtection { run!("xor ecx, ecx", "rdpmc") }
    undefined: IllegalInstruction { run!("ud2") }
    stac: IllegalInstruction { run!("stac") }
    rsm: IllegalInstruction { run!("rsm") }
    lock_nothing: IllegalInstruction { run!(".byte 0xf0, 0x90") }
    too_long: GeneralProtection { run!(".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90") }
    breakpoint: Breakpoint { run!("int3") }
    int_3_of_two_bytes: Breakpoint { run!(".byte 0xcd, 0x03") }
    // QEMU translates it as an instruction that does not exist.
    icebp: Breakpoint | IllegalInstruction { run!(".byte 0xf1") }
    single_step: Breakpoint { run!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop") }
    divide_by_zero: DivideError { run!("xor ecx, ecx", "xor edx, edx", "mov eax, 1", "div ecx") }
    divide_overflow: DivideError { run!("mov ecx, 1", "mov edx, 1", "xor eax, eax", "idiv ecx") }
    x87: FloatingPoint { run!("fld1") }
    x87_control: FloatingPoint { run!("fninit") }
    mmx: FloatingPoint { run!("emms") }
    sse: FloatingPoint { run!("xorps xmm0, xmm0") }
    sse2: FloatingPoint { run!("movq xmm0, rax") }
    avx: FloatingPoint | IllegalInstruction { run!("vxorps ymm0, ymm0, ymm0") }
    save_vector_state: FloatingPoint { run!("sub rsp, 1024", "and rsp, -64", "fxsave [rsp]") }
}
