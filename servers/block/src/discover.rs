//! Drivers that come and go.

use crate::live::{self, Live};
use crate::opened::{DISK, KeptTable, TABLE};
use crate::{BlockServer, COMPLETIONS, DRIVERS, Known, counts, names};
use alloc::string::String;
use alloc::vec::Vec;
use libsys::block::{Disk, DiskError};
use libsys::client::{self, CallError};
use libsys::driver::{self, Env};
use libsys::protocol::block::{BlockError, DiskName};
use libsys::protocol::registry::{Member, State};
use libsys::protocol::{BlockClient, list};
use libsys::state::{RecordKey, Retained};
use libsys::time::{self, Duration};
use libsys::wire::NoError;
use libsys::{Channel, Memory, Object, Rights, Session, env};

/// What drivers are registered as, unless the manifest says otherwise.
pub const CLASS: &str = "block";

/// How long a start waits for drivers that are starting themselves.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most units of a driver that become disks.
const MOST_UNITS: u32 = 64;

impl BlockServer {
    /// Looks which drivers there are: takes in the disks of new ones, and lets go of those whose driver is gone. Those whose driver is about to come back stay.
    pub fn discover(&mut self) {
        let members = match members(&self.class) {
            Ok(members) => members,
            // All stays as it is: that nobody tells does not mean that they are gone.
            Err(error) => return libsys::error!("the drivers are not to be found: {error}"),
        };
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
        for index in 0..self.disks.len() {
            let known = &self.disks[index];
            if known.live.is_none() && known.session.is_some() && !is_coming(&members, &known.driver) {
                self.let_go(index);
                is_changed = true;
            }
        }
        for member in members.iter().filter(|member| member.ready) {
            let is_live = |known: &Known| known.driver == member.name && known.live.is_some();
            if !self.disks.iter().any(is_live) {
                match self.revive(&member.name).or_else(|_| self.add_driver(&member.name)) {
                    Ok(()) => is_changed = true,
                    Err(error) => libsys::error!("{}: {error}", member.name),
                }
            }
        }
        if is_changed {
            self.aim();
            self.attach_waiting();
            self.watchers.notify(&mut self.records);
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

    /// Takes in the disks of a driver that the incarnation before had, over the same sessions. Error: there are none, or the driver is another one now; it is to be asked for its disks then.
    fn revive(&mut self, driver: &str) -> Result<(), DiskError> {
        let of_driver = |known: &Known| known.driver == driver && known.session.is_some();
        let indices: Vec<usize> = (0..self.disks.len()).filter(|index| of_driver(&self.disks[*index])).collect();
        let mut revived = if indices.is_empty() { Err(DiskError::Refused(BlockError::NoSuchDisk)) } else { Ok(()) };
        for index in &indices {
            revived = revived.and_then(|()| self.enliven(*index));
        }
        if revived.is_err() {
            indices.into_iter().for_each(|index| self.let_go(index));
        }
        revived
    }

    /// Lets the driver's session of a disk go.
    fn let_go(&mut self, index: usize) {
        let known = &mut self.disks[index];
        (known.live, known.table) = (None, None);
        if let Some(session) = known.session.take() {
            session.release(&mut self.records);
            if let Err(full) = self.keep(index) {
                libsys::error!("{}: {full}", self.disks[index].name);
            }
        }
    }

    /// Takes in a disk.
    fn add(&mut self, driver: &str, unit: u32, session: Session) -> Result<(), DiskError> {
        let known = self.disks.iter().position(|known| known.driver == driver && known.unit == unit);
        let index = match known {
            Some(index) => index,
            None => {
                let info = client::unchecked::<BlockClient>(session.duplicate(Rights::all())?).info()?;
                let name = self.new_name(driver, unit, &info.name);
                let name = name.ok_or(DiskError::Refused(BlockError::OutOfRange))?;
                let (driver, scheduler) = (driver.into(), self.scheduler);
                self.disks.push(Known {
                    name,
                    driver,
                    unit,
                    scheduler,
                    session: None,
                    counts: None,
                    table: None,
                    live: None,
                    life: 0,
                });
                self.disks.len() - 1
            }
        };
        let added = self.take_session(index, session).and_then(|()| self.enliven(index));
        if added.is_err() {
            self.let_go(index);
            if known.is_none() {
                self.records.remove(RecordKey::new(DISK, index as u64));
                self.disks.truncate(index);
            }
        }
        // So that no more handles are on their way than one commit takes.
        self.records.commit();
        added
    }

    /// Takes the session of a driver's unit for a disk, staged; and makes Memory for what is counted, if the disk has none.
    fn take_session(&mut self, index: usize, session: Session) -> Result<(), DiskError> {
        let known = &mut self.disks[index];
        known.session = Some(Retained::keep(session, &mut self.records)?);
        if known.counts.is_none() {
            let memory = Memory::create(env::account(), counts::BYTES);
            known.counts = memory.and_then(|memory| Retained::keep(memory, &mut self.records)).ok();
        }
        self.keep(index).map_err(|_| DiskError::Refused(BlockError::Exhausted))
    }

    /// Attaches a disk to its driver.
    fn enliven(&mut self, index: usize) -> Result<(), DiskError> {
        let env = env::get();
        let Known { name, driver, session, counts, .. } = &self.disks[index];
        let bit = 1 << (index as u32 % COMPLETIONS);
        let open = |session| {
            let mut disk = Disk::with(session, driver, env.account(), env.channel(), bit, DRIVERS, live::DEPTH)?;
            disk.set_patience(self.patience);
            Ok(disk)
        };
        let session = session.as_ref().ok_or(DiskError::Refused(BlockError::NoSuchDisk))?;
        let key = RecordKey::new(TABLE, index as u64);
        let kept = self.records.get::<KeptTable>(key);
        let counts = counts.as_ref().map(|counts| counts.map_writable()).transpose()?;
        let (mut live, table) = Live::open(session, driver, env.account(), kept.clone(), counts, open)?;
        live.queue.set_scheduler(self.disks[index].scheduler);
        if kept.as_ref() != Some(&table) {
            libsys::info!("{name}: {} sectors, {} partitions", table.info.sectors, table.partitions.len());
            self.keep_table(index, &table);
        }
        self.lives += 1;
        let known = &mut self.disks[index];
        (known.live, known.table, known.life) = (Some(live), Some(table), self.lives);
        Ok(())
    }

    /// Stages what was found on a disk. Without room it is looked for again after a death.
    fn keep_table(&mut self, index: usize, table: &KeptTable) {
        let key = RecordKey::new(TABLE, index as u64);
        if let Err(full) = self.records.put(key, table) {
            libsys::warn!("{}: {full}", self.disks[index].name);
            self.records.remove(key);
        }
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
            found.partitions.iter().any(|one| one.number == number && one.start == start && one.sectors == sectors)
        };
        let mut open = self.promises.sessions.iter().filter(|session| session.disk == *name && session.partition != 0);
        if open.any(|session| !stays(session.partition, session.start, session.sectors)) {
            return Err(BlockError::Busy);
        }
        if let Some(live) = &mut self.disks[index].live {
            live.rescanned(&found);
        }
        self.keep_table(index, &found);
        self.disks[index].table = Some(found);
        self.aim();
        self.watchers.notify(&mut self.records);
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

/// Waits until each driver of a class that init knows of serves, so that disks have their names in the order of the buses; and who asks for a disk that the machine has is not to hear that there is none
/// only because the system has just started. One that does not come in time is taken in later.
pub fn await_drivers(env: &Env, class: &str) -> driver::Result<()> {
    let news = Channel::create(env.account())?;
    env.registry().watch_class(class, &news.signaller(1)?, 1)?;
    let deadline = time::now() + PATIENCE.as_nanos() as u64;
    while members(class)?.iter().any(|member| !member.ready) && news.receive(Some(deadline)).is_ok() {}
    Ok(())
}

/// Whether a driver serves, or will without anybody's doing.
fn is_coming(members: &[Member], driver: &str) -> bool {
    let Some(member) = members.iter().find(|member| member.name == driver) else { return false };
    let state = || env::get().registry().info(driver).map(|service| service.state);
    // What is being stopped may be to start again.
    member.ready || !matches!(state(), Ok(State::Stopped | State::GivenUp) | Err(CallError::Failed(_)))
}

/// All drivers of a class.
fn members(class: &str) -> Result<Vec<Member>, CallError<NoError>> {
    list::all(|first| env::get().registry().members(class, first))
}
