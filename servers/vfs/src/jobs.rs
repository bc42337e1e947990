//! Mounts and unmounts that are under way: a server of a file system starts or ends, and somebody waits for that.
//!
//! A job is kept from the commit before init hears of it, with the name that the server has or is to have: so vfs, which may die between any two steps,
//! makes no server twice and loses none. What init is asked for is asked for again by the next incarnation, under the same name. The call that waits comes again too, and finds its job by its key.

use crate::kept::JOB;
use crate::mounts::{DEV, Wanted};
use crate::{Vfs, serve};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use filesystem::FileError;
use libsys::Handle;
use libsys::abi::ExitReason;
use libsys::client::{self, CallError};
use libsys::protocol::FileSystemClient;
use libsys::protocol::namespace::{DISKS_PARAMETER, MountOptions, NamespaceError};
use libsys::protocol::registry::{RegistryError, Service, State};
use libsys::service::{Context, Kept};
use libsys::state::replies::ReplyKey;
use libsys::state::{Full, RecordKey, Records};
use serde::{Deserialize, Serialize};

type Result<T> = core::result::Result<T, NamespaceError>;

/// Signal bit: a service that is waited for has changed its state.
pub const STATE: u64 = 1 << 2;

/// Most servers of file systems of one kind.
const MOST_SERVERS: u32 = 1000;

/// How often init is asked again where it dies.
const ATTEMPTS: u32 = 16;

/// A server that starts, to be mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounting {
    /// Name of the server.
    pub service: String,
    pub what: Wanted,
    pub options: MountOptions,
    /// Kinds that are tried if this one is not it, the last first.
    pub others: Vec<String>,
}

/// What there is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// The server is to be made, and mounted when it serves.
    Start(Mounting),
    /// The server does not know what is on the disk: when it is gone, the next kind is tried.
    Next(Mounting),
    /// The server of this name is to end.
    End(String),
    /// The server of this name cannot be mounted: when it is gone, and its disk is free again, who waits hears why.
    Fail(String, NamespaceError),
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// `None`: nobody waits for it.
    pub caller: Option<ReplyKey>,
    pub work: Work,
}

impl Job {
    fn mounting(&self) -> Option<&Mounting> {
        match &self.work {
            Work::Start(mounting) | Work::Next(mounting) => Some(mounting),
            Work::End(_) | Work::Fail(..) => None,
        }
    }

    fn service(&self) -> &String {
        match &self.work {
            Work::Start(mounting) | Work::Next(mounting) => &mounting.service,
            Work::End(service) | Work::Fail(service, _) => service,
        }
    }
}

/// The call that waits for a job. It is parked: how long a server may take to start or to end is init's to say.
type Call = Kept<Result<()>>;

/// A job in this incarnation.
#[derive(Debug)]
struct UnderWay {
    number: u64,
    job: Job,
    /// `None` until it has come again.
    call: Option<Call>,
    /// init is to be asked, when the record is committed.
    is_due: bool,
}

impl UnderWay {
    fn wait(&mut self, call: Call) {
        // Of a caller that is gone `withdraw` hears.
        let _ = call.park();
        self.call = Some(call);
    }

    /// Whether it may go on: who waits for it has to be there to be told.
    fn can_go_on(&self) -> bool {
        !self.is_due && (self.call.is_some() || self.job.caller.is_none())
    }

    fn stage(&mut self, records: &mut Records, job: Job) -> core::result::Result<(), Full> {
        records.put(RecordKey::new(JOB, self.number), &job)?;
        self.job = job;
        self.is_due = true;
        Ok(())
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Jobs {
    all: Vec<UnderWay>,
    last: u64,
}

impl Jobs {
    /// Those of the incarnation before; init is asked again for each.
    pub fn recover(records: &Records) -> Jobs {
        let all = records.all::<Job>(JOB).into_iter();
        let all: Vec<UnderWay> =
            all.map(|(key, job)| UnderWay { number: key.first, job, call: None, is_due: true }).collect();
        let last = all.last().map_or(0, |job| job.number);
        Jobs { all, last }
    }

    /// What is about to be mounted.
    pub fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        self.all.iter().filter_map(|one| Some(&one.job.mounting()?.what))
    }

    fn has_service(&self, name: &str) -> bool {
        self.all.iter().any(|one| one.job.service() == name)
    }

    /// Whether a request is under way already: its call has come again.
    pub fn knows(&self, caller: Option<ReplyKey>) -> bool {
        caller.is_some() && self.all.iter().any(|one| one.job.caller == caller)
    }

    /// Adds one, staged. It is begun when that is committed.
    fn add(&mut self, records: &mut Records, job: Job) -> core::result::Result<&mut UnderWay, Full> {
        let mut one = UnderWay { number: self.last + 1, job: job.clone(), call: None, is_due: true };
        one.stage(records, job)?;
        self.last = one.number;
        self.all.push(one);
        let last = self.all.len() - 1;
        Ok(&mut self.all[last])
    }
}

impl Vfs {
    /// A call that came again waits for its job.
    pub fn adopt(&mut self, caller: Option<ReplyKey>, call: Call) {
        if let Some(one) = self.jobs.all.iter_mut().find(|one| one.job.caller == caller) {
            one.wait(call);
        }
        self.look_at_jobs();
    }

    /// Whoever makes this call does not wait for his earlier ones.
    pub fn outdate(&mut self, caller: Option<ReplyKey>) {
        let Some(caller) = caller else { return };
        self.give_up(|one| one.job.caller.is_some_and(|former| caller.is_behind(&former)));
    }

    /// A process closed a session: it waits for nothing.
    pub fn closed(&mut self, badge: u64, client: u64) {
        self.give_up(|one| one.job.caller.is_some_and(|caller| caller.badge == badge && caller.client == client));
    }

    /// Who waited is gone.
    pub fn withdraw(&mut self, call: Handle) {
        self.give_up(|one| one.call.as_ref().is_some_and(|kept| kept.is(call)));
    }

    /// What nobody waits for is taken back.
    fn give_up(&mut self, is_it: impl Fn(&UnderWay) -> bool) {
        let records = self.devices.volume().kept();
        for one in self.jobs.all.iter_mut().filter(|one| is_it(one)) {
            let job = Job { caller: None, work: Work::End(one.job.service().clone()) };
            one.call = None;
            if one.stage(records, job).is_err() {
                // It goes on, and is mounted or not; either way nobody hears of it.
                one.job.caller = None;
            }
        }
    }

    /// Begins to mount what somebody waits for. The first kind is tried first.
    pub fn begin_mount(&mut self, cx: &Context, what: Wanted, options: MountOptions, others: Vec<String>, call: Call) {
        let job = self.free_name(&what.kind).map(|service| Job {
            caller: cx.request(),
            work: Work::Start(Mounting { service, what, options, others }),
        });
        let records = self.devices.volume().kept();
        let added = job.and_then(|job| self.jobs.add(records, job).map_err(|Full| NamespaceError::Exhausted));
        match added {
            Ok(one) => one.wait(call),
            Err(error) => drop(call.reply(Err(error))),
        }
    }

    /// Stages that a server ends.
    pub fn begin_end(&mut self, caller: Option<ReplyKey>, service: String) -> Result<()> {
        let job = Job { caller, work: Work::End(service) };
        self.jobs.add(self.devices.volume().kept(), job).map(drop).map_err(|Full| NamespaceError::Exhausted)
    }

    /// A name for the server of a mount: one that init does not know, nor will by a job of here.
    fn free_name(&self, kind: &str) -> Result<String> {
        let is_free = |name: &String| {
            let is_mounted = self.mounts.iter().any(|mounted| mounted.service == *name);
            !is_mounted && !self.jobs.has_service(name) && self.server(name).is_none()
        };
        let mut names = (0..MOST_SERVERS).map(|number| format!("{kind}-{number}"));
        names.find(is_free).ok_or(NamespaceError::Exhausted)
    }

    /// What init says of a server; `None`: there is none of this name.
    fn server(&self, name: &str) -> Option<Service> {
        self.env.registry().info(name).ok()
    }

    /// Asks init for what is committed to be asked for.
    pub fn do_jobs(&mut self) {
        while let Some(at) = self.jobs.all.iter().position(|one| one.is_due) {
            self.jobs.all[at].is_due = false;
            let result = match self.jobs.all[at].job.work.clone() {
                Work::Start(mounting) => self.make_server(&mounting),
                Work::Next(Mounting { service, .. }) | Work::End(service) | Work::Fail(service, _) => {
                    self.remove_server(&service);
                    Ok(())
                }
            };
            if let Ok(signaller) = self.channel.signaller(STATE) {
                let _ = self.env.registry().watch(self.jobs.all[at].job.service(), &signaller, STATE);
            }
            if let Err(error) = result {
                let one = self.jobs.all.remove(at);
                self.end(one, Err(error));
            }
        }
    }

    /// Makes the server of a file system on a disk; without a disk, where the source is none. It may be there already, by an earlier incarnation.
    fn make_server(&mut self, mounting: &Mounting) -> Result<()> {
        let Mounting { service, what, options, .. } = mounting;
        if self.server(service).is_some() {
            return Ok(());
        }
        let kinds = self.kinds();
        let disk = match what.source.strip_prefix(DEV).filter(|_| kinds.is_on_disk(&what.kind)) {
            Some(name) => {
                let disks = self.devices.volume();
                // What cannot be written is mounted to be read.
                let disk = match disks.disk(name, !what.read_only, true) {
                    Err(FileError::ReadOnly) => disks.disk(name, false, true),
                    result => result,
                };
                Some(disk.map_err(|error| match error {
                    FileError::NotFound => NamespaceError::NoDisk,
                    FileError::Busy => NamespaceError::Busy,
                    error => NamespaceError::File(error),
                })?)
            }
            None => None,
        };
        let mut parameters = options.parameters.clone();
        // The last one counts.
        parameters.extend(disk.as_ref().map(|(_, service)| (DISKS_PARAMETER.into(), service.clone())));
        if what.read_only {
            parameters.push(("read-only".into(), "true".into()));
        }
        let device = disk.as_ref().map(|(session, _)| session);
        for _ in 0..ATTEMPTS {
            match self.env.registry().instance(kinds.template(&what.kind), service, parameters.clone(), device) {
                // By an earlier attempt: nobody else makes servers of this name.
                Ok(_) | Err(CallError::Failed(RegistryError::Taken)) => return Ok(()),
                // init died in it, and may have done it or not.
                Err(CallError::PeerDied) => {}
                Err(error) => return Err(serve::refused(error)),
            }
        }
        Err(NamespaceError::Died)
    }

    /// Asks for the end of a server. It may be gone already; init says so in its log if it does not want to.
    fn remove_server(&self, service: &str) {
        for _ in 0..ATTEMPTS {
            if self.env.registry().remove_instance(service) != Err(CallError::PeerDied) {
                return;
            }
        }
    }

    /// Looks what has become of the servers that start or end.
    pub fn look_at_jobs(&mut self) {
        for at in (0..self.jobs.all.len()).rev() {
            if !self.jobs.all[at].can_go_on() {
                continue;
            }
            let one = self.jobs.all.remove(at);
            if let Some(one) = self.go_on(one) {
                self.jobs.all.insert(at, one);
            }
        }
    }

    /// Takes a job as far as it goes; returned is one that is not over.
    fn go_on(&mut self, one: UnderWay) -> Option<UnderWay> {
        let server = self.server(one.job.service());
        let result = match (&one.job.work, server) {
            (Work::End(_), None) => Ok(()),
            (Work::Fail(_, error), None) => Err(*error),
            (Work::End(_) | Work::Fail(..) | Work::Next(_), Some(_)) => return Some(one),
            (Work::Next(mounting), None) => match self.next_kind(mounting.clone()) {
                Ok(mounting) => return self.change(one, Work::Start(mounting)),
                Err(error) => Err(error),
            },
            (Work::Start(mounting), Some(server)) => {
                let result = match server {
                    Service { state: State::Ready, .. } => self.finish(&mounting.clone()),
                    server => match why_not(&server) {
                        Some(error) => Err(error),
                        None => return Some(one),
                    },
                };
                match result {
                    Err(NamespaceError::NoFileSystem) if !mounting.others.is_empty() => {
                        let work = Work::Next(mounting.clone());
                        return self.change(one, work);
                    }
                    Err(error) => {
                        let work = Work::Fail(mounting.service.clone(), error);
                        return self.change(one, work);
                    }
                    Ok(()) => Ok(()),
                }
            }
            (Work::Start(_), None) => Err(NamespaceError::Died),
        };
        self.end(one, result);
        None
    }

    fn next_kind(&mut self, mut mounting: Mounting) -> Result<Mounting> {
        mounting.what.kind = mounting.others.pop().ok_or(NamespaceError::NoFileSystem)?;
        mounting.service = self.free_name(&mounting.what.kind)?;
        Ok(mounting)
    }

    fn change(&mut self, mut one: UnderWay, work: Work) -> Option<UnderWay> {
        let job = Job { caller: one.job.caller, work };
        match one.stage(self.devices.volume().kept(), job) {
            Ok(()) => Some(one),
            Err(Full) => {
                self.remove_server(one.job.service());
                self.end(one, Err(NamespaceError::Exhausted));
                None
            }
        }
    }

    fn end(&mut self, one: UnderWay, result: Result<()>) {
        self.devices.volume().kept().remove(RecordKey::new(JOB, one.number));
        if let Some(call) = one.call {
            let _ = call.reply(result);
        }
    }

    /// Mounts what has become ready.
    fn finish(&mut self, mounting: &Mounting) -> Result<()> {
        let Mounting { service, what, .. } = mounting;
        let session = self.env.registry().connect(service, true).map_err(serve::refused)?;
        let root: FileSystemClient = client::open(session).map_err(serve::not_open)?;
        let mut what = what.clone();
        what.read_only |= root.statistics().map_err(serve::refused)?.read_only;
        self.add_mount(what, service.clone(), true, Some(root))
    }
}

/// Why a server that does not serve will not: `None` while it may yet.
fn why_not(server: &Service) -> Option<NamespaceError> {
    const EXIT: u32 = ExitReason::Exit as u32;
    // One that ends by itself before it has ever served says in its status why it cannot. One that died is started again.
    let verdict = FileError::of_exit_status(server.last_code).filter(|_| server.last_exit == EXIT);
    match (verdict, &server.state) {
        (Some(FileError::Unsupported), _) => Some(NamespaceError::NoFileSystem),
        (Some(error), _) => Some(NamespaceError::File(error)),
        (None, State::Waiting | State::Starting | State::Restarting(_)) => None,
        (None, _) => Some(NamespaceError::Died),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(state: State, reason: ExitReason, code: u64) -> Service {
        Service {
            name: "ext4-0".into(),
            place: 0,
            state,
            process: 9,
            incarnation: 1,
            faults: 0,
            complaints: 0,
            last_exit: reason as u32,
            last_code: code,
            started: 0,
        }
    }

    #[test]
    fn a_server_that_dies_before_it_serves_may_serve_yet() {
        let why_not = |state, reason, code| why_not(&ended(state, reason, code));
        let unsupported = FileError::Unsupported.exit_status().0.into();
        let corrupt = FileError::Corrupt.exit_status().0.into();
        for state in [State::Starting, State::Restarting(7)] {
            assert_eq!(why_not(state, ExitReason::None, 0), None);
            assert_eq!(why_not(state, ExitReason::PageFault, 0x14), None);
            assert_eq!(why_not(state, ExitReason::Hung, unsupported), None, "no status of its own");
            assert_eq!(why_not(state, ExitReason::Exit, 3), None, "nothing that a file system says");
            assert_eq!(why_not(state, ExitReason::Exit, unsupported), Some(NamespaceError::NoFileSystem));
            assert_eq!(why_not(state, ExitReason::Exit, corrupt), Some(NamespaceError::File(FileError::Corrupt)));
        }
        assert_eq!(why_not(State::GivenUp, ExitReason::Panic, 0), Some(NamespaceError::Died));
    }
}
