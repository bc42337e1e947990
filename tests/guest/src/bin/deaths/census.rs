//! What the kernel and all processes have in use.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::abi::PAGE_BYTES;
use libsys::abi::memory::MemoryKind;
use libsys::inspect::{self, SystemRecord};
use libsys::time::{self, Duration};
use libsys::{Error, Resource};

/// Between two looks at whether what is given up has come back.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until what has not come back by then never will.
const LOOKS: u32 = 100;

/// The program that counts, and the one that asks it to: both have what they need for that.
const OWN: &str = "deaths";

/// Counts by what is counted.
#[derive(Debug, Default)]
pub struct Census {
    counts: BTreeMap<String, u64>,
    /// Frames that each process has placed. They are no residue: Memory is charged in full when it is made, and its frames are placed as its pages are touched. What a process
    /// is given is in the pages that it maps.
    resident: BTreeMap<String, u64>,
}

impl Census {
    /// Counts.
    pub fn now(resource: &Resource) -> Result<Census, Error> {
        let mut census = Census::default();
        // Frames placed in each Memory that somebody maps, by its number.
        let mut placed = BTreeMap::new();
        for record in inspect::processes(resource) {
            let record = record?;
            let name = inspect::name(&record);
            let (mut mappings, mut bytes) = (0, 0);
            for mapping in inspect::mappings(resource, record.process).filter_map(Result::ok) {
                if mapping.kind != MemoryKind::Device as u32 {
                    placed.insert(mapping.memory, mapping.resident_frames);
                }
                mappings += 1;
                bytes += mapping.bytes;
            }
            if name == OWN {
                continue;
            }
            let process = format!("{name} ({})", record.process);
            for (what, count) in [
                ("handles", record.handles),
                ("threads", record.threads.into()),
                ("mappings", mappings),
                ("mapped pages", bytes / PAGE_BYTES as u64),
            ] {
                census.counts.insert(format!("{what} of {process}"), count);
            }
            census.resident.insert(process, record.resident_frames);
        }
        let mut interrupts = BTreeMap::new();
        for record in inspect::interrupts(resource) {
            *interrupts.entry(record?.process).or_insert(0) += 1;
        }
        census
            .counts
            .extend(interrupts.into_iter().map(|(process, count)| (format!("interrupts of {process}"), count)));
        let SystemRecord {
            frames,
            free_frames,
            processes,
            threads,
            channels,
            sessions,
            calls,
            memories,
            handles,
            accounts,
            interrupts,
            io_ports,
            dma_domains,
            resources,
            ..
        } = inspect::system(resource)?;
        let objects = [
            ("frames that are not of mapped Memory", (frames - free_frames).saturating_sub(placed.values().sum())),
            ("processes", processes),
            ("threads", threads),
            ("channels", channels),
            ("sessions", sessions),
            ("calls", calls),
            ("memories", memories),
            ("handles", handles),
            ("accounts", accounts),
            ("interrupts", interrupts),
            ("ports", io_ports),
            ("domains", dma_domains),
            ("resources", resources),
        ];
        census.counts.extend(objects.map(|(name, count)| (String::from(name), count)));
        Ok(census)
    }

    /// Counts once nothing changes any more.
    pub fn settled(resource: &Resource) -> Result<Census, Error> {
        let mut last = Census::now(resource)?;
        for _ in 0..LOOKS {
            time::sleep(LOOK);
            let next = Census::now(resource)?;
            let is_same = next.counts == last.counts;
            last = next;
            if is_same {
                break;
            }
        }
        Ok(last)
    }

    /// What is otherwise now, once what was on its way back has come.
    pub fn changes(&self, resource: &Resource) -> Result<Vec<String>, Error> {
        let mut looks = 0;
        loop {
            let now = Census::now(resource)?;
            let changes = differences(&self.counts, &now.counts);
            looks += 1;
            if changes.is_empty() {
                return Ok(changes);
            }
            if looks == LOOKS {
                let mut changes: Vec<String> = changes.into_iter().map(|text| format!("residue {text}")).collect();
                let resident = differences(&self.resident, &now.resident);
                changes.extend(resident.into_iter().map(|text| format!("placed by {text}")));
                return Ok(changes);
            }
            time::sleep(LOOK);
        }
    }
}

fn differences(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Vec<String> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let count = |of: &BTreeMap<String, u64>, name: &str| of.get(name).copied().unwrap_or(0);
    names
        .filter(|name| count(before, name) != count(after, name))
        .map(|name| format!("{name}: {} to {}", count(before, name), count(after, name)))
        .collect()
}
