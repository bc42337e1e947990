//! What of init outlives init: one record of the [table](crate::table) each, in postcard.

use crate::policy::History;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// init's own things.
    Own {
        /// init's log ring: a kept handle.
        log: u64,
        /// Place that the next log ring gets.
        next_ring: u32,
        /// The Memory of the crash capsules: a kept handle; 0: there are none.
        capsules: u64,
    },
    /// A service.
    Service(ServiceRecord),
    /// Somebody watches a service.
    Watch(WatchRecord),
    /// Somebody watches a class of services.
    ClassWatch(ClassWatchRecord),
    /// What an instance was made from. It is written before the instance's first record as a service, and removed after that one.
    Instance(InstanceRecord),
    /// A log ring that somebody added.
    LogRing(LogRingRecord),
    /// Who is told of log rings.
    LogWatch {
        /// The badge of the session that asked.
        badge: u64,
        /// A kept handle.
        channel: u64,
        /// To signal.
        bits: u64,
    },
    /// The machine goes down.
    ShutDown {
        /// And comes up again.
        restart: bool,
        /// For an emulator.
        status: u8,
    },
}

/// What is known of a service. Handles are kept ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Place in the manifest.
    pub index: usize,
    /// Name in the manifest: to know it again.
    pub name: String,
    /// Its objects, once it was made.
    pub objects: Option<Handles>,
    /// Where it stands.
    pub phase: Phase,
    /// When it died by its own fault.
    pub history: History,
    /// Deaths that it caused itself.
    pub faults: u32,
    /// Clients that complained of this incarnation.
    pub complaints: Vec<u64>,
    /// How the incarnation before ended: reason and code.
    pub last_exit: (u32, u64),
    /// When the incarnation started.
    pub started: u64,
    /// Which incarnation of its process was started last; 0: none.
    pub incarnation: u64,
    /// Place of its log ring among all.
    pub ring: Option<u32>,
    /// What it runs in place of its program of the boot archive.
    pub upgrade: Option<UpgradeRecord>,
    /// How the last upgrade ended: number of the Memory that it was asked for with, and whether it holds.
    pub upgraded: Option<(u64, bool)>,
    /// Further names, with the handles of channels if they are not its own.
    pub names: Vec<(String, Option<u64>)>,
}

/// A program that a service was upgraded to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeRecord {
    /// The Memory with its ELF file: a kept handle.
    pub file: u64,
    /// Bytes of that.
    pub bytes: u64,
    /// Handle and bytes of the upgrade that it takes the place of, until it is approved; `None`: the program of the boot archive.
    pub before: Option<(u64, u64)>,
    /// Number of the Memory that it was asked for with.
    pub source: u64,
    /// What the form of the state was, for comparison.
    pub form: u64,
    /// How far it is.
    pub stage: Stage,
}

/// How far an upgrade is: [`crate::upgrade`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The new program runs, or is about to, and has to prove itself.
    Trial {
        /// Since when it serves; 0: not yet.
        ready: u64,
    },
    /// It is started only to bring the state back to its old form.
    Back,
    /// It is the service's program now.
    #[default]
    Approved,
}

/// The handles to a service's objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Handles {
    pub account: u64,
    pub process: u64,
    pub channel: u64,
    pub log: u64,
    /// In the order of the manifest.
    pub grants: Vec<u64>,
    /// Sessions, in the service's own handle table: to init, then those of the manifest, name by name, then an instance's `device`. 0: none yet.
    pub sessions: Vec<u64>,
}

/// Where a service stands, as init remembers it; the rest is the kernel's to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It is not to run.
    #[default]
    Stopped,
    /// It starts when all that it depends on serves.
    Waiting,
    /// It was started.
    Starting,
    /// It serves.
    Ready,
    /// It died, and starts again at this time.
    Restarting(u64),
    /// It was told to end.
    Stopping {
        /// When it is killed.
        until: u64,
        /// Whether it starts again then.
        again: bool,
    },
    /// It died too often.
    GivenUp,
}

impl ServiceRecord {
    /// Whether it does not serve now, and will again without anybody's doing.
    pub fn comes_back(&self) -> bool {
        match self.phase {
            Phase::Restarting(_) | Phase::Stopping { again: true, .. } => true,
            Phase::Starting => self.incarnation > 1,
            _ => false,
        }
    }
}

impl Phase {
    /// Whether its process is expected to live.
    pub fn is_up(self) -> bool {
        matches!(self, Phase::Starting | Phase::Ready | Phase::Stopping { .. })
    }
}

/// Somebody who watches a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRecord {
    /// The badge of the session that asked.
    pub badge: u64,
    /// The service.
    pub index: usize,
    /// A kept handle.
    pub channel: u64,
    /// To signal.
    pub bits: u64,
}

/// Somebody who watches a class of services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassWatchRecord {
    /// The badge of the session that asked.
    pub badge: u64,
    /// The class.
    pub class: String,
    /// A kept handle.
    pub channel: u64,
    /// To signal.
    pub bits: u64,
}

/// What an instance was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// Its place among the services.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Name of the template.
    pub template: String,
    /// Name of the service that it was made for.
    pub maker: String,
    /// What its session `device` leads to.
    pub device: DeviceRecord,
    /// Its own parameters.
    pub parameters: Vec<(String, String)>,
    /// It is stopped and goes for good.
    pub removing: bool,
}

/// What an instance's session `device` leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceRecord {
    /// It has none.
    None,
    /// To its maker, a bus's server: the device at a place, under a badge.
    Found {
        /// Where it is.
        place: String,
        /// Of the session.
        badge: u64,
    },
    /// A session that the maker gave: a kept handle.
    Given(u64),
}

/// A log ring that somebody added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRingRecord {
    /// The badge of the session that added it.
    pub badge: u64,
    /// Place among the log rings.
    pub index: u32,
    /// Name of the program.
    pub name: String,
    /// Number of the process.
    pub process: u64,
    /// A kept handle.
    pub ring: u64,
    /// Whether the session is closed: the ring waits for the collector to take what is in it.
    pub has_ended: bool,
}

impl Record {
    /// In bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Only an allocation could fail, and that does not return.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// From bytes that were whole.
    pub fn decode(bytes: &[u8]) -> Option<Record> {
        postcard::from_bytes(bytes).ok()
    }

    /// The kept handles in it, in init's own table.
    pub fn handles(&self) -> Vec<u64> {
        match self {
            Record::Own { log, capsules, .. } => alloc::vec![*log, *capsules],
            Record::Service(service) => {
                let mut handles: Vec<u64> = service.names.iter().filter_map(|(_, channel)| *channel).collect();
                if let Some(upgrade) = &service.upgrade {
                    handles.push(upgrade.file);
                    handles.extend(upgrade.before.map(|(file, _)| file));
                }
                if let Some(objects) = &service.objects {
                    handles.extend([objects.account, objects.process, objects.channel, objects.log]);
                    handles.extend(&objects.grants);
                }
                handles
            }
            Record::Watch(watch) => alloc::vec![watch.channel],
            Record::ClassWatch(watch) => alloc::vec![watch.channel],
            Record::Instance(InstanceRecord { device: DeviceRecord::Given(session), .. }) => alloc::vec![*session],
            Record::Instance(_) => Vec::new(),
            Record::LogRing(ring) => alloc::vec![ring.ring],
            Record::LogWatch { channel, .. } => alloc::vec![*channel],
            Record::ShutDown { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{MOST_HANDLES, Restart};
    use crate::table::RECORD_BYTES;
    use libsys::abi::ExitReason;

    #[test]
    fn who_has_served_comes_back_and_who_is_stopped_does_not() {
        let comes_back = |phase, incarnation| ServiceRecord { phase, incarnation, ..Default::default() }.comes_back();
        assert!(comes_back(Phase::Restarting(7), 1) && comes_back(Phase::Starting, 2));
        assert!(comes_back(Phase::Stopping { until: 7, again: true }, 1));
        assert!(!comes_back(Phase::Starting, 1) && !comes_back(Phase::Stopping { until: 7, again: false }, 2));
        assert!(!comes_back(Phase::Stopped, 2) && !comes_back(Phase::GivenUp, 2) && !comes_back(Phase::Waiting, 0));
    }

    #[test]
    fn the_largest_service_fits_in_a_slot() {
        let mut history = History::default();
        let policy = Restart { limit: 16, window: u64::MAX, ..Restart::DEFAULT };
        for now in 0..17 {
            history.judge(&policy, ExitReason::Panic, 0, u64::MAX - now);
        }
        // Slots are small numbers, generations may be any.
        let handle = u64::MAX << 32 | 0xffff;
        let objects = Handles {
            account: handle,
            process: handle,
            channel: handle,
            log: handle,
            grants: vec![handle; MOST_HANDLES],
            // The registry's, the manifest's, and an instance's `device`.
            sessions: vec![handle; MOST_HANDLES + 2],
        };
        let record = Record::Service(ServiceRecord {
            index: crate::manifest::MOST_WITH_INSTANCES,
            name: "sixteen-letters-".to_string(),
            objects: Some(objects),
            phase: Phase::Stopping { until: u64::MAX, again: true },
            history,
            faults: u32::MAX,
            complaints: vec![u64::MAX; crate::registry::MOST_COMPLAINTS],
            last_exit: (13, u64::MAX),
            started: u64::MAX,
            incarnation: u64::MAX,
            ring: Some(u32::MAX),
            upgrade: Some(UpgradeRecord {
                file: handle,
                bytes: u64::MAX,
                before: Some((handle, u64::MAX)),
                source: u64::MAX,
                form: u64::MAX,
                stage: Stage::Trial { ready: u64::MAX },
            }),
            upgraded: Some((u64::MAX, true)),
            names: vec![("sixteen-letters-".to_string(), Some(handle)); crate::registry::MOST_NAMES],
        });
        let bytes = record.encode();
        assert!(bytes.len() <= RECORD_BYTES, "{}", bytes.len());
        assert_eq!(Record::decode(&bytes), Some(record));
    }
    #[test]
    fn the_largest_instance_fits_in_a_slot() {
        let parameters = vec![("n".repeat(100), "v".repeat(crate::instances::PARAMETER_BYTES - 100))];
        let name = || "sixteen-letters-".to_string();
        let device = DeviceRecord::Found { place: "p".repeat(crate::instances::LONGEST_PLACE), badge: u64::MAX };
        let (template, maker) = (name(), name());
        let record = InstanceRecord { index: 120, name: name(), template, maker, device, parameters, removing: true };
        let bytes = Record::Instance(record.clone()).encode();
        assert!(bytes.len() <= RECORD_BYTES, "{}", bytes.len());
        assert_eq!(Record::decode(&bytes), Some(Record::Instance(record)));
    }
}
