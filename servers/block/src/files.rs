//! Files that become disks: a driver is started for each, as an instance of a template, and then found like any other.
//!
//! What is under way is kept from the commit before init hears of it, with the name that the driver has or is to have: so a driver is not started twice, and none is
//! forgotten, whenever this server dies. The request comes again then, and finds its job by its key.

use crate::opened::FILE;
use crate::serve::LONGEST_TEXT;
use crate::{BlockServer, Known};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use libsys::client::CallError;
use libsys::protocol::block::BlockError;
use libsys::protocol::filesystem::FileError;
use libsys::protocol::registry::{RegistryError, Service, State};
use libsys::service::{Context, Kept, Reply};
use libsys::state::replies::ReplyKey;
use libsys::state::{Full, RecordKey, Records};
use libsys::{Handle, Session, env};
use serde::{Deserialize, Serialize};

type Answer<T> = Result<T, BlockError>;

/// Most drivers of files.
const MOST_DRIVERS: u32 = 1000;

/// How often init is asked again where it dies.
const ATTEMPTS: u32 = 16;

/// What there is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Work {
    /// A driver is to be started, for the file at a path.
    Add { path: String, read_only: bool },
    /// A driver is to end.
    Remove,
}

/// A driver that comes or goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Who waits for it; `None`: nobody.
    caller: Option<ReplyKey>,
    driver: String,
    work: Work,
}

/// The call that waits.
#[derive(Debug)]
enum Call {
    Added(Kept<Answer<String>>),
    Removed(Kept<Answer<()>>),
}

impl Call {
    fn is(&self, call: Handle) -> bool {
        match self {
            Call::Added(kept) => kept.is(call),
            Call::Removed(kept) => kept.is(call),
        }
    }

    fn answer(self, result: Answer<String>) {
        // Who is gone leaves a disk that the next one finds.
        let _ = match self {
            Call::Added(kept) => kept.reply(result),
            Call::Removed(kept) => kept.reply(result.map(drop)),
        };
    }
}

/// A job in this incarnation.
#[derive(Debug)]
struct UnderWay {
    number: u64,
    job: Job,
    /// `None` until it has come, perhaps again.
    call: Option<Call>,
    /// The file, which comes with the call.
    file: Option<Session>,
    /// init is to be asked, when the record is committed.
    is_due: bool,
}

/// What is under way.
#[derive(Debug, Default)]
pub struct Files {
    /// The template of the drivers, if this server makes disks of files.
    template: Option<String>,
    jobs: Vec<UnderWay>,
    last: u64,
}

impl Files {
    /// What was under way when the incarnation before died.
    pub fn recover(template: Option<&str>, records: &Records) -> Files {
        let jobs = records.all::<Job>(FILE).into_iter();
        let jobs: Vec<UnderWay> =
            jobs.map(|(key, job)| UnderWay { number: key.first, job, call: None, file: None, is_due: true }).collect();
        let last = jobs.last().map_or(0, |one| one.number);
        Files { template: template.map(String::from), jobs, last }
    }

    fn add(&mut self, records: &mut Records, job: Job, file: Option<Session>, call: Call) {
        let number = self.last + 1;
        if records.put(RecordKey::new(FILE, number), &job).is_err() {
            return call.answer(Err(BlockError::Exhausted));
        }
        self.last = number;
        self.jobs.push(UnderWay { number, job, call: Some(call), file, is_due: true });
    }

    /// The job that a request has made already.
    fn known(&mut self, caller: Option<ReplyKey>) -> Option<&mut UnderWay> {
        self.jobs.iter_mut().find(|one| caller.is_some() && one.job.caller == caller)
    }

    /// A process closed a session: it waits for nothing.
    pub fn closed(&mut self, records: &mut Records, badge: u64, client: u64) {
        let waits = |caller: &ReplyKey| caller.badge == badge && caller.client == client;
        self.give_up(records, |one| one.job.caller.as_ref().is_some_and(waits));
    }

    /// Who waited is gone: a disk that nobody knows of is taken away again.
    pub fn withdrawn(&mut self, records: &mut Records, call: Handle) {
        self.give_up(records, |one| one.call.as_ref().is_some_and(|waiting| waiting.is(call)));
    }

    fn outdate(&mut self, records: &mut Records, caller: Option<ReplyKey>) {
        let is_past = |former: &ReplyKey| caller.is_some_and(|caller| caller.is_behind(former));
        self.give_up(records, |one| one.job.caller.as_ref().is_some_and(is_past));
    }

    fn give_up(&mut self, records: &mut Records, is_it: impl Fn(&UnderWay) -> bool) {
        for one in self.jobs.iter_mut().filter(|one| is_it(one)) {
            one.call = None;
            one.remove_for_nobody(records);
        }
    }
}

impl UnderWay {
    /// The driver goes, and nobody waits for that.
    fn remove_for_nobody(&mut self, records: &mut Records) {
        (self.job.caller, self.job.work, self.is_due) = (None, Work::Remove, true);
        if records.put(RecordKey::new(FILE, self.number), &self.job).is_err() {
            libsys::error!("{}: {Full}", self.job.driver);
        }
    }
}

impl BlockServer {
    /// Starts a driver for a file.
    pub fn begin_to_add(
        &mut self,
        cx: &Context,
        file: Session,
        path: &str,
        read_only: bool,
        reply: Reply<'_, Answer<String>>,
    ) {
        let Some(template) = self.files.template.clone() else { return reply.send(Err(BlockError::Unsupported)) };
        let caller = cx.request();
        if let Some(one) = self.files.known(caller) {
            // A call that cannot be kept is let go; the job waits for the close of its session.
            one.call = reply.keep().ok().map(Call::Added);
            one.file = Some(file);
            return self.look_at_files();
        }
        self.files.outdate(&mut self.records, caller);
        let Some(driver) = self.free_name(&template) else { return reply.send(Err(BlockError::Exhausted)) };
        if let Ok(call) = reply.keep() {
            let job = Job { caller, driver, work: Work::Add { path: shown(path), read_only } };
            self.files.add(&mut self.records, job, Some(file), Call::Added(call));
        }
    }

    /// Ends the driver of a disk, if it is a file's.
    pub fn begin_to_remove(&mut self, cx: &Context, name: &str, reply: Reply<'_, Answer<()>>) {
        let caller = cx.request();
        if let Some(one) = self.files.known(caller) {
            one.call = reply.keep().ok().map(Call::Removed);
            return self.look_at_files();
        }
        self.files.outdate(&mut self.records, caller);
        let driver = match self.removable(name) {
            Ok(driver) => driver,
            Err(error) => return reply.send(Err(error)),
        };
        if let Ok(call) = reply.keep() {
            let job = Job { caller, driver, work: Work::Remove };
            self.files.add(&mut self.records, job, None, Call::Removed(call));
        }
    }

    /// A name for a driver: one that init does not know, nor will by a job of here.
    fn free_name(&self, template: &str) -> Option<String> {
        let mut names = (0..MOST_DRIVERS).map(|number| format!("{template}-{number}"));
        names.find(|name| !self.files.jobs.iter().any(|one| one.job.driver == *name) && !self.drivers_named(name))
    }

    /// The driver of a disk that nobody has open.
    fn removable(&self, name: &str) -> Answer<String> {
        // Also one whose driver was given up.
        let is_it = |known: &&Known| known.name == name && self.drivers_named(&known.driver);
        let Some(known) = self.disks.iter().find(is_it) else {
            // What is no disk may be a partition.
            return Err(if self.find(name).is_ok() { BlockError::Unsupported } else { BlockError::NoSuchDisk });
        };
        if self.files.template.is_none() {
            return Err(BlockError::Unsupported);
        }
        if self.promises.sessions.iter().any(|session| session.disk == name) {
            return Err(BlockError::Busy);
        }
        Ok(known.driver.clone())
    }

    /// Whether there is a driver of this name, in whatever state.
    fn drivers_named(&self, driver: &str) -> bool {
        !matches!(env::get().registry().info(driver), Err(CallError::Failed(_)))
    }

    /// Asks init for what is committed to be asked for, and answers one whose driver has come or gone; the next one when that is committed.
    pub fn look_at_files(&mut self) {
        for at in 0..self.files.jobs.len() {
            if self.files.jobs[at].is_due && self.ask_init(at) || self.go_on(at) {
                return;
            }
        }
    }

    /// Asks init for what a job wants. Whether that ends the job.
    fn ask_init(&mut self, at: usize) -> bool {
        let one = &mut self.files.jobs[at];
        let driver = one.job.driver.clone();
        let result = match (&one.job.work, &one.file) {
            (Work::Remove, _) => {
                remove(&driver);
                Ok(())
            }
            (Work::Add { path, read_only }, Some(file)) => {
                let read_only = if *read_only { "yes" } else { "no" };
                let parameters = vec![("path".into(), path.clone()), ("read-only".into(), read_only.into())];
                let template = self.files.template.as_deref().unwrap_or_default();
                add(template, &driver, &parameters, file)
            }
            // Its call comes again, with the file.
            (Work::Add { .. }, None) => return false,
        };
        let one = &mut self.files.jobs[at];
        one.is_due = false;
        one.file = None;
        match result {
            Ok(()) => false,
            Err(error) => {
                self.end(at, Err(error));
                true
            }
        }
    }

    /// Looks what has become of a driver. Whether something was staged by that.
    fn go_on(&mut self, at: usize) -> bool {
        let one = &self.files.jobs[at];
        if one.is_due || one.call.is_none() && one.job.caller.is_some() {
            return false;
        }
        let driver = one.job.driver.clone();
        let result = match one.job.work {
            Work::Add { .. } => self.added(&driver),
            Work::Remove => {
                let is_live = self.disks.iter().any(|known| known.driver == driver && known.live.is_some());
                (!is_live && !self.drivers_named(&driver)).then(|| Ok(String::new()))
            }
        };
        match result {
            None => return false,
            Some(Err(error)) => {
                // Who waits is told, and the driver goes.
                let one = &mut self.files.jobs[at];
                if let Some(call) = one.call.take() {
                    call.answer(Err(error));
                }
                one.remove_for_nobody(&mut self.records);
            }
            Some(Ok(name)) => self.end(at, Ok(name)),
        }
        true
    }

    fn end(&mut self, at: usize, result: Answer<String>) {
        let one = self.files.jobs.remove(at);
        self.records.remove(RecordKey::new(FILE, one.number));
        if let Some(call) = one.call {
            call.answer(result);
        }
    }

    /// What became of a driver that was started; `None`: nothing yet.
    fn added(&mut self, driver: &str) -> Option<Answer<String>> {
        let info = env::get().registry().info(driver);
        let is_it = |known: &&Known| known.driver == driver && known.live.is_some();
        if matches!(&info, Ok(service) if service.state == State::Ready)
            && !self.disks.iter().any(|known| is_it(&known))
        {
            self.discover();
        }
        if let Some(known) = self.disks.iter().find(is_it) {
            return Some(Ok(known.name.clone()));
        }
        match info {
            // One that ends before it has ever served says in its status why it cannot.
            Ok(Service { last_exit, last_code, .. }) if last_exit != 0 => {
                Some(Err(match FileError::of_exit_status(last_code) {
                    Some(FileError::Busy) => BlockError::Busy,
                    Some(FileError::Unsupported) => BlockError::Unsupported,
                    Some(FileError::Exhausted) => BlockError::Exhausted,
                    Some(FileError::Denied) => BlockError::Denied,
                    Some(FileError::ReadOnly) => BlockError::ReadOnly,
                    _ => BlockError::Device,
                }))
            }
            Ok(Service { state: State::Waiting | State::Starting | State::Restarting(_), .. }) => None,
            // It serves, and is no disk; or it cannot be started.
            _ => Some(Err(BlockError::Device)),
        }
    }
}

/// Asks for a driver. It may be there already, by an earlier incarnation.
fn add(template: &str, driver: &str, parameters: &[(String, String)], file: &Session) -> Answer<()> {
    for _ in 0..ATTEMPTS {
        match env::get().registry().instance(template, driver, parameters.to_vec(), Some(file)) {
            // By an earlier attempt: nobody else makes drivers of this name.
            Ok(_) | Err(CallError::Failed(RegistryError::Taken)) => return Ok(()),
            // init died in it, and may have done it or not.
            Err(CallError::PeerDied) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    Err(BlockError::Device)
}

/// Asks for a driver's end. It may be gone already.
fn remove(driver: &str) {
    for _ in 0..ATTEMPTS {
        match env::get().registry().remove_instance(driver) {
            Ok(()) | Err(CallError::Failed(RegistryError::NoSuchName)) => return,
            Err(CallError::PeerDied) => {}
            Err(error) => return libsys::error!("{driver} stays: {error}"),
        }
    }
}

/// A path as it is shown: where it is long, its end.
fn shown(path: &str) -> String {
    let length = path.chars().count();
    if length <= LONGEST_TEXT {
        return path.into();
    }
    core::iter::once('…').chain(path.chars().skip(length - (LONGEST_TEXT - 1))).collect()
}

fn refused(error: CallError<RegistryError>) -> BlockError {
    match error {
        CallError::Failed(RegistryError::NotPossible) => BlockError::Nested,
        CallError::Failed(RegistryError::Exhausted) => BlockError::Exhausted,
        CallError::Failed(RegistryError::NoSuchName | RegistryError::NotAService) => BlockError::Unsupported,
        CallError::Failed(RegistryError::Denied) => BlockError::Denied,
        _ => BlockError::Device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_paths_the_end_is_shown() {
        assert_eq!(shown("/mnt/disk.img"), "/mnt/disk.img");
        let long = shown(&"ä/".repeat(300));
        assert!(long.starts_with('…') && long.ends_with("ä/") && long.chars().count() == LONGEST_TEXT, "{long}");
    }
}
