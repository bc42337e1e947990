//! Where `arch` enters the core. (A stand-in.)
use crate::arch::*;
#[repr(C)]
pub struct Cpu { pub arch: CpuLocal }
static CPUS: [Cpu; MAX_CPUS] = [const { Cpu { arch: CpuLocal::new() } }; MAX_CPUS];
pub fn cpu(index: usize) -> &'static Cpu { &CPUS[index] }
pub extern "C" fn syscall(_cpu: &Cpu) {}
pub extern "C" fn trap(_cpu: &Cpu, _vector: u64, _error: u64, _address: u64) {}
pub extern "C" fn interrupt(_cpu: &Cpu, _vector: u64) {}
pub fn ap_main(cpu: &'static Cpu) -> ! { idle(&cpu.arch) }
pub fn main(info: &'static BootInformation) -> ! {
    crate::log!(Info, "hello {} Hz {:?}", clock::tsc_hertz(), info.usable.as_slice());
    power::off(0)
}
