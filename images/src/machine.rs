//! Which machine QEMU makes: processors, memory, buses, disks and the kernel's command line.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::accelerator::Accelerator;
use crate::command_line;
use crate::debugger::Debugger;
use crate::disk::{self, Disk};
use crate::image::Image;
use crate::percent;
use crate::progress::Progress;
use crate::qemu;
use crate::room;

/// Memory of a machine that does not say otherwise, in MiB.
pub const DEFAULT_MEMORY_MIB: u32 = 256;

/// Where a debugger connects.
pub const GDB_ADDRESS: &str = "127.0.0.1:1234";

/// A board that QEMU knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MachineKind {
    /// A PC with PCI Express.
    #[default]
    Q35,
    /// A PC with PCI only.
    Pc,
    /// A small machine without PCI, that boots fastest.
    Microvm,
}

/// A machine to boot an [`Image`] on.
///
/// Its clones are independent: a test can keep one as a pattern for others.
#[derive(Debug, Clone)]
pub struct Machine {
    image: Image,
    kind: MachineKind,
    cpus: u32,
    memory_mib: u32,
    processor: String,
    append: Vec<String>,
    disks: Vec<Disk>,
    devices: Vec<String>,
    instruction_count: bool,
    waits: bool,
    in_turns: bool,
    wait_for_gdb: bool,
    debugger: Vec<String>,
    debug_console: Option<PathBuf>,
    timeout: Option<Duration>,
    qemu: Option<PathBuf>,
}

/// What is at the other end of the machine's serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SerialEnd {
    /// A person: Ctrl-A begins QEMU's own commands, such as Ctrl-A X to end it.
    Person,
    /// A program: every byte is the guest's.
    Program,
}

impl Machine {
    /// A q35 with one processor and [`DEFAULT_MEMORY_MIB`], without disks.
    pub fn new(image: &Image) -> Self {
        Self {
            image: image.clone(),
            kind: MachineKind::default(),
            cpus: 1,
            memory_mib: DEFAULT_MEMORY_MIB,
            processor: "max".to_string(),
            append: Vec::new(),
            disks: Vec::new(),
            devices: Vec::new(),
            instruction_count: false,
            waits: false,
            in_turns: false,
            wait_for_gdb: false,
            debugger: Vec::new(),
            debug_console: None,
            timeout: None,
            qemu: None,
        }
    }

    /// Sets the board.
    pub fn kind(mut self, kind: MachineKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the number of processors.
    pub fn smp(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// The same machine, whose processors take turns where they are emulated: what QEMU does wrong when two of them are at work at the same time it does not then.
    pub fn in_turns(mut self) -> Self {
        self.in_turns = true;
        self
    }

    /// Sets the memory, in MiB.
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Sets the processor, as QEMU names them: `max,-fsgsbase` is one without a feature.
    pub fn processor(mut self, model: &str) -> Self {
        self.processor = model.to_string();
        self
    }

    /// Adds to the kernel's command line.
    pub fn append(mut self, text: &str) -> Self {
        self.append.push(text.to_string());
        self
    }

    /// Adds a disk.
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// Adds a device, as QEMU names them, with options after commas.
    pub fn device(mut self, device: &str) -> Self {
        self.devices.push(device.to_string());
        self
    }

    /// Counts virtual time in instructions: every run costs the same.
    pub fn icount(mut self, on: bool) -> Self {
        self.instruction_count = on;
        self
    }

    /// As [`Machine::icount`], for a machine that waits for devices: while it has nothing to do, virtual time passes as real time does.
    pub fn icount_with_waits(mut self) -> Self {
        (self.instruction_count, self.waits) = (true, true);
        self
    }

    /// Waits for a debugger at [`GDB_ADDRESS`] before the first instruction.
    pub fn gdb(mut self, on: bool) -> Self {
        self.wait_for_gdb = on;
        self
    }

    /// Lets this process stop and change it: see [`crate::Session::debugger`].
    pub fn debugged(mut self) -> Self {
        self.debugger.extend(Debugger::ARGUMENTS.map(str::to_string));
        self
    }

    /// Adds a debug console whose output goes to a file: [crash capsules](crate::capsules).
    pub fn debug_console(mut self, file: &Path) -> Self {
        self.debug_console = Some(file.to_path_buf());
        self
    }

    /// Ends the machine after this time, counted from QEMU's start.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The time that was set with [`Machine::timeout`].
    pub fn time_limit(&self) -> Option<Duration> {
        self.timeout
    }

    /// Sets the QEMU to use, instead of the one on `PATH`.
    pub fn qemu(mut self, program: &Path) -> Self {
        self.qemu = Some(program.to_path_buf());
        self
    }

    /// The QEMU to use.
    ///
    /// # Errors
    /// There is none and none can be installed.
    pub fn emulator(&self) -> Result<PathBuf> {
        match &self.qemu {
            Some(program) => Ok(program.clone()),
            None => qemu::find(&Progress::Silent),
        }
    }

    /// What is booted.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The same machine, whose shell runs `commands` instead of asking for some.
    pub fn with_commands(self, commands: &str) -> Self {
        let encoded = percent::encode(commands);
        self.append(&format!("{}{encoded}", command_line::EXEC))
    }

    /// The same machine, that starts the program `name` of the boot archive and no init.
    pub fn in_place_of_init(self, name: &str) -> Self {
        self.append(&format!("init=bin/{name}"))
    }

    /// QEMU's arguments.
    ///
    /// # Errors
    /// A disk that is not there or does not fit the machine, a number out of range, too little memory, or a command line that the kernel does not take.
    pub fn arguments(&self, serial: SerialEnd) -> Result<Vec<String>> {
        if !(1..=255).contains(&self.cpus) {
            bail!("a machine has 1 to 255 processors, not {}", self.cpus);
        }
        if self.memory_mib == 0 {
            bail!("a machine without memory cannot boot: give --memory a number of MiB");
        }
        room::check(&self.image, self.memory_mib)?;
        let accelerator = match (self.instruction_count, self.waits) {
            (true, true) => Accelerator::InstructionsAndWaits,
            (true, false) => Accelerator::InstructionCount,
            (false, _) => match Accelerator::detect() {
                Accelerator::Tcg if self.in_turns => Accelerator::TcgInTurns,
                accelerator => accelerator,
            },
        };
        let mut list = ArgumentList::default();
        list.add(["-name", "skink", "-nodefaults", "-no-user-config", "-no-reboot"]);
        list.add(["-machine", self.kind.qemu_name(), "-cpu", &self.processor]);
        list.add(accelerator.arguments(self.cpus));
        if self.instruction_count {
            // The processor's random numbers are the same in every run, too.
            list.add(["-seed", "0"]);
        }
        list.add(["-smp", &self.cpus.to_string(), "-m", &format!("{}M", self.memory_mib)]);
        list.add(["-display", "none", "-vga", "none"]);
        list.add(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
        if let Some(file) = &self.debug_console {
            // QEMU's way to write a comma.
            let file = file.to_string_lossy().replace(',', ",,");
            list.add(["-chardev", &format!("file,id=console,path={file}")]);
            list.add(["-device", "isa-debugcon,iobase=0xe9,chardev=console"]);
        }
        match serial {
            SerialEnd::Person => {
                list.add(["-chardev", "stdio,id=serial,mux=on,signal=off"]);
                list.add(["-mon", "chardev=serial,mode=readline"]);
            }
            SerialEnd::Program => list.add(["-chardev", "stdio,id=serial,signal=off"]),
        }
        list.add(["-serial", "chardev:serial"]);
        // QEMU puts the archive just below what it thinks that SeaBIOS needs at the top of memory, but SeaBIOS's drivers take more for every
        // disk: with some of them their memory overlaps the archive. A disk that it may not boot from gets no driver.
        list.add(["-boot", "strict=on"]);
        list.add(["-kernel", &self.image.kernel.to_string_lossy()]);
        list.add(["-initrd", &self.image.archive.to_string_lossy()]);
        let command_line = self.append.join(" ");
        command_line::check_length(&command_line)?;
        list.add(["-append", &command_line]);
        if self.wait_for_gdb {
            list.add(["-gdb", &format!("tcp:{GDB_ADDRESS}"), "-S"]);
        }
        list.0.extend_from_slice(&self.debugger);
        if self.kind == MachineKind::Q35 {
            // Slots tell of what is put in by their own registers, as on other machines, not by ACPI.
            list.add(["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]);
        }
        for device in &self.devices {
            list.add(["-device", device]);
        }
        list.0.extend(disk::arguments(&self.disks, self.kind.has_pci())?);
        Ok(list.0)
    }
}

#[derive(Default)]
struct ArgumentList(Vec<String>);

impl ArgumentList {
    fn add<'a>(&mut self, arguments: impl IntoIterator<Item = &'a str>) {
        self.0.extend(arguments.into_iter().map(str::to_string));
    }
}

impl MachineKind {
    fn qemu_name(self) -> &'static str {
        match self {
            Self::Q35 => "q35",
            Self::Pc => "pc",
            Self::Microvm => "microvm,rtc=on",
        }
    }

    /// Whether it has a PCI bus.
    pub fn has_pci(self) -> bool {
        self != Self::Microvm
    }
}

impl FromStr for MachineKind {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "q35" => Ok(Self::Q35),
            "pc" => Ok(Self::Pc),
            "microvm" => Ok(Self::Microvm),
            _ => bail!("unknown machine `{name}`: there are q35, pc and microvm"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn machine() -> Machine {
        Machine::new(&Image {
            kernel: "/k/skink".into(),
            archive: "/k/boot.tar".into(),
            archive_with_tests: "/k/boot.tar".into(),
            programs: BTreeMap::new(),
            links: BTreeMap::new(),
            warnings: String::new(),
        })
    }

    fn line(machine: &Machine, serial: SerialEnd) -> String {
        machine.arguments(serial).unwrap().join(" ")
    }

    #[test]
    fn commands_travel_encoded() {
        let machine = machine().append("log=debug").with_commands("echo a; ps");
        let arguments = machine.arguments(SerialEnd::Program).unwrap();
        let at = arguments.iter().position(|argument| argument == "-append").unwrap();
        assert_eq!(arguments[at + 1], "log=debug shell.exec=echo%20a%3B%20ps");
    }

    #[test]
    fn devices_are_added_in_order() {
        let line = line(&machine().device("pcie-root-port,id=p").device("virtio-rng-pci,bus=p"), SerialEnd::Program);
        assert!(line.ends_with("-device pcie-root-port,id=p -device virtio-rng-pci,bus=p"), "{line}");
    }

    #[test]
    fn firmware_leaves_disks_alone() {
        assert!(line(&machine(), SerialEnd::Program).contains("-boot strict=on "));
    }

    #[test]
    fn only_a_person_gets_the_monitor() {
        assert!(line(&machine(), SerialEnd::Person).contains("-mon "));
        assert!(!line(&machine(), SerialEnd::Program).contains("-mon "));
    }

    #[test]
    fn a_debug_console_writes_to_a_file() {
        let line = line(&machine().debug_console(Path::new("/a,b")), SerialEnd::Program);
        assert!(line.contains("-chardev file,id=console,path=/a,,b -device isa-debugcon,iobase=0xe9,chardev=console"));
    }

    #[test]
    fn numbers_are_checked() {
        assert!(machine().smp(0).arguments(SerialEnd::Program).is_err());
        assert!(machine().memory(0).arguments(SerialEnd::Program).is_err());
        let counted = machine().icount(true).smp(2).memory(64);
        let line = line(&counted, SerialEnd::Program);
        assert!(line.contains("-accel tcg -icount shift=0,sleep=off -seed 0 -smp 2 -m 64M"), "{line}");
    }
}
