//! What the kernel gives init: its first handles, the boot information, the boot archive.

use crate::manifest::Manifest;
use alloc::string::String;
use alloc::vec;
use core::mem::offset_of;
use core::sync::atomic::Ordering;
use libsys::abi::boot::{self, BootInfo, COMMAND_LINE_BYTES};
use libsys::abi::schedule::MAX_PRIORITY;
use libsys::mapping::SealedMapping;
use libsys::resource::ResourceKind;
use libsys::thread;
use libsys::thread_object::{Parameters, Policy};
use libsys::{Account, Channel, Error, Handle, Memory, Object, Process, Resource};

/// init's handles. They are never dropped while init runs.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Machine {
    pub account: Account,
    pub process: Process,
    pub channel: Channel,
    pub archive: Memory,
    pub kernel_log: Memory,
    pub inspect: Resource,
    resources: [Resource; 6],
    /// Which incarnation of init this is, from 1.
    pub incarnation: u64,
    /// The kernel's command line.
    pub command_line: String,
    /// Where the firmware's tables start: the physical address of the RSDP, or 0.
    pub rsdp: u64,
}

/// The resources besides inspection, by kind.
const RESOURCES: [(ResourceKind, Handle); 6] = [
    (ResourceKind::Physical, boot::PHYSICAL),
    (ResourceKind::Ports, boot::PORTS),
    (ResourceKind::Interrupts, boot::INTERRUPTS),
    (ResourceKind::Dma, boot::DMA),
    (ResourceKind::Power, boot::POWER),
    (ResourceKind::RealTime, boot::REALTIME),
];

/// Handles with smaller slots are the kernel's gifts.
pub const FIRST_OWN_SLOT: u32 = boot::REALTIME.slot() + 1;

impl Machine {
    /// Takes over the handles, and reads the boot information.
    pub fn take() -> Result<Machine, Error> {
        let info = Memory::from_handle(boot::INFO);
        let page = info.map_part(0, libsys::abi::PAGE_BYTES as u64)?;
        // It is one of the handles that the next incarnation needs.
        info.into_handle();
        let length = page.load_u64(offset_of!(BootInfo, command_line_bytes), Ordering::Relaxed);
        let mut line = vec![0; (length as usize).min(COMMAND_LINE_BYTES)];
        page.copy_out(offset_of!(BootInfo, command_line), &mut line);
        Ok(Machine {
            account: Account::from_handle(boot::ACCOUNT),
            process: Process::from_handle(boot::PROCESS),
            channel: Channel::from_handle(boot::CHANNEL),
            archive: Memory::from_handle(boot::ARCHIVE),
            kernel_log: Memory::from_handle(boot::LOG),
            inspect: Resource::from_handle(boot::INSPECT),
            resources: RESOURCES.map(|(_, handle)| Resource::from_handle(handle)),
            incarnation: page.load_u64(offset_of!(BootInfo, incarnation), Ordering::Relaxed),
            command_line: String::from_utf8_lossy(&line).into_owned(),
            rsdp: page.load_u64(offset_of!(BootInfo, rsdp), Ordering::Relaxed),
        })
    }

    /// Gives init a priority above all of its services: one of a real-time class that turns round would take the only processor, and nobody would find that. init
    /// itself does not turn round: the kernel looks after that.
    pub fn stand_above(&self, manifest: &Manifest) -> Result<(), Error> {
        let highest = manifest.services.iter().map(|service| service.priority.priority).max().unwrap_or(0);
        let priority = highest.saturating_add(1).min(MAX_PRIORITY);
        let parameters = Parameters { policy: Policy::Fifo, priority, ..Parameters::DEFAULT };
        thread::schedule_real_time(parameters, self.resource(ResourceKind::RealTime))
    }

    /// The boot archive's bytes.
    pub fn archive_bytes(&self) -> Result<SealedMapping, Error> {
        self.archive.map_sealed()
    }

    /// The right to everything of a kind.
    pub fn resource(&self, kind: ResourceKind) -> &Resource {
        let index = RESOURCES.iter().position(|(known, _)| *known == kind);
        index.map_or(&self.inspect, |index| &self.resources[index])
    }
}

/// The parameters that the command line has for a service, `SERVICE.NAME=VALUE`, their values percent-decoded.
pub fn parameters<'a>(line: &'a str, service: &'a str) -> impl Iterator<Item = (&'a str, String)> {
    line.split_ascii_whitespace().filter_map(move |word| {
        let (name, value) = word.strip_prefix(service)?.strip_prefix('.')?.split_once('=')?;
        Some((name, decode(value)))
    })
}

/// Decodes `%XX`. What is no such thing stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = alloc::vec::Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|digits| core::str::from_utf8(digits).ok());
        let decoded =
            escaped.filter(|digits| !digits.starts_with('+')).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_and_decoded() {
        let line = "log=debug shell.exec=echo%20a%3B%20ps uart.rate=9600 shell.x shell.y=%+1%zz%4 shellx.a=b";
        let found: Vec<(&str, String)> = parameters(line, "shell").collect();
        assert_eq!(found, [("exec", "echo a; ps".to_string()), ("y", "%+1%zz%4".to_string())]);
    }
}
