//! `lspci`: lists the functions of the PCI buses.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::client::{self, CallError};
use libsys::io::{self, Write};
use libsys::protocol::pci::{BarKind, FunctionInfo};
use libsys::protocol::registry::RegistryError;
use libsys::protocol::{PciClient, list};
use libsys::{ExitStatus, env};
use tools::pci_names;
use tools::{Arguments, Failure, Output};

const HELP: &str = "usage: lspci [-v]
Lists the functions of the PCI buses: address, class, vendor and device, revision.
  -v  what each has: bridges, BARs, interrupts, capabilities, its driver
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let verbose = match arguments {
            [] => false,
            [option] if option == "-v" => true,
            [word, ..] => return Err(Failure::Usage(format!("unexpected `{word}`"))),
        };
        for info in functions()? {
            show(out, &info)?;
            if verbose {
                show_more(out, &info)?;
            }
        }
        Ok(ExitStatus::SUCCESS)
    })
}

fn functions() -> Result<Vec<FunctionInfo>, Failure> {
    let session = env::get().registry().connect("pci", true).map_err(|error| {
        Failure::Error(match error {
            CallError::Failed(RegistryError::NoSuchName) => "this system has no PCI server".into(),
            other => format!("no connection to the PCI server: {other}"),
        })
    })?;
    let pci: PciClient = client::unchecked(session);
    list::all(|first| pci.functions(first)).map_err(|error| Failure::Error(format!("{error}")))
}

fn show(out: &mut Output, info: &FunctionInfo) -> io::Result<()> {
    let class = match pci_names::class(info.class) {
        Some(name) => String::from(name),
        None => format!("class {:06x}", info.class),
    };
    let FunctionInfo { address, vendor, device, revision, .. } = info;
    writeln!(out, "{address} {class}: {vendor:04x}:{device:04x} (rev {revision:02x})")
}

fn show_more(out: &mut Output, info: &FunctionInfo) -> io::Result<()> {
    let (vendor, device) = info.subsystem;
    if (vendor, device) != (0, 0) {
        writeln!(out, "    subsystem {vendor:04x}:{device:04x}")?;
    }
    if let Some((primary, secondary, subordinate)) = info.bridge {
        writeln!(out, "    bridge from bus {primary:02x} to {secondary:02x}-{subordinate:02x}")?;
    }
    for bar in &info.bars {
        let kind = match bar.kind {
            BarKind::Ports => "ports",
            BarKind::Memory { wide: false, prefetchable: false } => "memory",
            BarKind::Memory { wide: true, prefetchable: false } => "memory, 64 bits",
            BarKind::Memory { wide: false, prefetchable: true } => "memory, prefetchable",
            BarKind::Memory { wide: true, prefetchable: true } => "memory, 64 bits, prefetchable",
        };
        match bar.address {
            0 => writeln!(out, "    BAR {}: {:#x} bytes, without a place ({kind})", bar.index, bar.bytes)?,
            start => writeln!(out, "    BAR {}: {:#x} bytes at {start:#x} ({kind})", bar.index, bar.bytes)?,
        }
    }
    match (info.msi_x, info.msi, info.pin) {
        (0, 0, 0) => {}
        (0, 0, pin) => writeln!(out, "    interrupts: pin {}, line {}", char::from(b'@' + pin), info.line)?,
        (0, msi, _) => writeln!(out, "    interrupts: MSI, {msi}")?,
        (vectors, ..) => writeln!(out, "    interrupts: MSI-X, {vectors}")?,
    }
    if !info.capabilities.is_empty() {
        let all = info.capabilities.iter().map(|(id, at)| format!("{:02x}@{at:02x}", id));
        let extended = info.extended.iter().map(|(id, at)| format!("{:04x}@{at:03x}", id));
        writeln!(out, "    capabilities: {}", all.chain(extended).collect::<Vec<String>>().join(" "))?;
    }
    let has = |bit: u16| if info.command & bit != 0 { '+' } else { '-' };
    write!(out, "    ports{} memory{} bus master{}", has(1), has(2), has(4))?;
    match info.owner {
        0 => writeln!(out, ", no driver"),
        owner => writeln!(out, ", driven by process {owner}, {} pieces of memory", info.attachments),
    }
}
