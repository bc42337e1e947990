//! Drivers that come and go.

use crate::live::{self, Live};
use crate::opened::Named;
use crate::{BlockServer, COMPLETIONS, DRIVERS, Known, names};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::block::{Disk, DiskError};
use libsys::client;
use libsys::protocol::BlockClient;
use libsys::protocol::block::{BlockError, DiskName};
use libsys::protocol::registry::Member;
use libsys::{Object, Rights, Session, env};

/// What drivers are registered as, unless the manifest says otherwise.
pub const CLASS: &str = "block";

/// Most units of a driver that become disks.
const MOST_UNITS: u32 = 64;

impl BlockServer {
    /// Looks which drivers there are: takes in the disks of new ones, and lets go of those whose driver is gone.
    pub fn discover(&mut self) {
        let members = members(&self.class);
        let mut is_changed = false;
        for known in &mut self.disks {
            let is_there = members.iter().any(|member| member.name == known.driver);
            // Its requests have ended, or are about to, as the disk's own watch told it.
            let is_over = |live: &Live| (!is_there || live.disk.is_gone()) && live.queue.is_empty();
            if known.live.as_ref().is_some_and(is_over) {
                known.live = None;
                is_changed = true;
            }
        }
        for member in members.iter().filter(|member| member.ready) {
            let is_live = |known: &Known| known.driver == member.name && known.live.is_some();
            if !self.disks.iter().any(is_live) {
                match self.add_driver(&member.name) {
                    Ok(()) => is_changed = true,
                    Err(error) => libsys::error!("{}: {error}", member.name),
                }
            }
        }
        if is_changed {
            self.aim();
            self.attach_waiting();
            self.watchers.notify();
        }
    }

    /// Takes in the disks of a driver.
    fn add_driver(&mut self, driver: &str) -> Result<(), DiskError> {
        let session = env::get().registry().connect(driver, false)?;
        let block: BlockClient = client::open(session)?;
        let units = block.info()?.units.clamp(1, MOST_UNITS);
        for unit in 0..units {
            let added = block.unit(unit).map_err(DiskError::from).and_then(|session| self.add(driver, unit, session));
            if let Err(error) = added {
                libsys::error!("{driver}, unit {unit}: {error}");
            }
        }
        Ok(())
    }

    /// Takes in a disk.
    fn add(&mut self, driver: &str, unit: u32, session: Session) -> Result<(), DiskError> {
        let known = self.disks.iter().position(|known| known.driver == driver && known.unit == unit);
        let index = known.unwrap_or(self.disks.len());
        let env = env::get();
        let bit = 1 << (index as u32 % COMPLETIONS);
        let open = |session| Disk::with(session, driver, env.account(), env.channel(), bit, DRIVERS, live::DEPTH);
        let mut live = Live::open(session, driver, env.account(), open)?;
        live.queue.set_scheduler(self.scheduler);
        if known.is_none() {
            let name = self.new_name(driver, unit, &live.info.name);
            let name = name.ok_or(DiskError::Refused(BlockError::OutOfRange))?;
            self.promises.disks.push(Named { name: name.clone(), driver: driver.into(), unit });
            if !self.keep() {
                self.promises.disks.pop();
                return Err(DiskError::Refused(BlockError::Exhausted));
            }
            self.disks.push(Known { name, driver: driver.into(), unit, live: None, life: 0 });
        }
        self.lives += 1;
        let known = &mut self.disks[index];
        libsys::info!("{}: {} sectors, {} partitions", known.name, live.info.sectors, live.partitions.len());
        (known.live, known.life) = (Some(live), self.lives);
        Ok(())
    }

    fn new_name(&self, driver: &str, unit: u32, name: &DiskName) -> Option<String> {
        let mut drivers: Vec<&str> = Vec::new();
        if let DiskName::Units(prefix) = name {
            let others = self.disks.iter().filter(|known| known.name.starts_with(prefix.as_str()));
            for known in others {
                if !drivers.contains(&known.driver.as_str()) {
                    drivers.push(&known.driver);
                }
            }
        }
        let controller = drivers.iter().position(|other| *other == driver).unwrap_or(drivers.len());
        let is_taken = |name: &str| self.disks.iter().any(|known| known.name == name);
        names::disk(name, unit, controller as u32, is_taken)
    }

    /// Reads a disk's partition table again.
    pub fn rescan_disk(&mut self, index: usize) -> Result<(), BlockError> {
        let Known { name, driver, unit, .. } = &self.disks[index];
        let session = self.session_of(driver, *unit)?;
        let found = live::scan(session, driver, env::account()).map_err(|_| BlockError::Device)?;
        let stays = |number, start, sectors| {
            found.2.iter().any(|one| one.number == number && one.start == start && one.sectors == sectors)
        };
        let mut open = self.promises.sessions.iter().filter(|session| session.disk == *name && session.partition != 0);
        if open.any(|session| !stays(session.partition, session.start, session.sectors)) {
            return Err(BlockError::Busy);
        }
        let live = self.disks[index].live.as_mut().ok_or(BlockError::NoSuchDisk)?;
        live.rescanned(found);
        self.aim();
        self.watchers.notify();
        Ok(())
    }

    /// Another session to a driver's unit: each has a queue of its own.
    fn session_of(&self, driver: &str, unit: u32) -> Result<Session, BlockError> {
        let session = env::get().registry().connect(driver, false).map_err(|_| BlockError::NoSuchDisk)?;
        let block: BlockClient = client::open(session).map_err(|_| BlockError::Device)?;
        if unit == 0 {
            return client::Client::link(&block).session().duplicate(Rights::all()).map_err(|_| BlockError::Exhausted);
        }
        block.unit(unit).map_err(|_| BlockError::Device)
    }
}

/// All drivers of a class.
fn members(class: &str) -> Vec<Member> {
    let mut all: Vec<Member> = Vec::new();
    loop {
        match env::get().registry().members(class, all.len() as u32) {
            Ok(part) if part.is_empty() => return all,
            Ok(part) => all.extend(part),
            Err(error) => {
                libsys::error!("the drivers are not to be found: {}", error.to_string());
                return all;
            }
        }
    }
}
