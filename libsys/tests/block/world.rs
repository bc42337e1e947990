//! A driver of a device that is an array, an init that restarts it, and clients.

use libsys::block::Disk;
use libsys::driver::block::{BlockDevice, Completions, DOORBELL, DiskName, Request, SECTOR_BYTES, Submitted, Tag};
use libsys::driver::{BlockServer, Env, StartError};
use libsys::env::Startup;
use libsys::fake::{self, FakeProcess};
use libsys::protocol;
use libsys::protocol::block::{BlockError, BlockInfo, BlockStatus, MOST_SEGMENTS, Operation};
use libsys::protocol::registry::{RegistryError, Service, State};
use libsys::service::{self, Context, Reply, Server};
use libsys::{Channel, Handle, Memory, Object, Rights, Session, WritableMapping, env};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;

/// Sectors of the device.
pub const SECTORS: u64 = 256;

/// Most sectors of a request.
const MOST_SECTORS: u32 = 8;

/// Signal bit of the device's interrupt.
const INTERRUPT: u64 = 1;

/// The device, which outlives its drivers.
#[derive(Default)]
pub struct Device {
    pub sectors: Mutex<HashMap<u64, [u8; 512]>>,
    /// What was written and not flushed yet.
    pub unflushed: AtomicU64,
    /// After so many more steps the driver dies; negative: never.
    pub steps: AtomicI64,
    pub deaths: AtomicU64,
    /// Requests that a driver has begun.
    pub begun: AtomicU64,
    /// So many requests more are taken and forgotten.
    pub forgets: AtomicU64,
    /// So many buffers more are refused, for no reason.
    pub refuses: AtomicU64,
    /// So many requests more are said to be beyond the end.
    pub lies: AtomicU64,
}

impl Device {
    /// A point at which the driver can die.
    fn point(&self) {
        if self.steps.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.deaths.fetch_add(1, Ordering::SeqCst);
            panic!("the driver dies here, as the test wants");
        }
    }
}

/// Whether there was one more.
fn takes_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

static DEVICES: LazyLock<Mutex<HashMap<u64, Arc<Device>>>> = LazyLock::new(Mutex::default);

fn device_of_this_process() -> Arc<Device> {
    let process = FakeProcess::current().number();
    DEVICES.lock().expect("devices")[&process].clone()
}

/// The driver.
pub struct ArrayDisk {
    device: Arc<Device>,
    pending: Vec<Tag>,
    interrupt: Channel,
}

impl BlockDevice for ArrayDisk {
    type Buffer = WritableMapping;

    fn start(env: &Env) -> Result<Self, StartError> {
        let device = device_of_this_process();
        device.point();
        Ok(ArrayDisk { device, pending: Vec::new(), interrupt: env.channel().signaller(INTERRUPT)? })
    }

    fn info(&self, _: u32) -> BlockInfo {
        self.device.point();
        BlockInfo {
            name: DiskName::Exact("array".into()),
            model: String::new(),
            serial: String::new(),
            sectors: SECTORS,
            logical_block_bytes: 512,
            physical_block_bytes: 512,
            read_only: false,
            flush: true,
            fua: false,
            discard: false,
            write_zeroes: true,
            most_bytes: MOST_SECTORS * 512,
            most_segments: MOST_SEGMENTS as u32,
            queue_depth: 4,
            units: 2,
        }
    }

    fn depth(&self) -> usize {
        4
    }

    fn lend(&mut self, memory: Memory) -> Result<WritableMapping, BlockError> {
        self.device.point();
        if takes_one(&self.device.refuses) {
            return Err(BlockError::Device);
        }
        memory.map_writable().map_err(|_| BlockError::BadBuffer)
    }

    fn take_back(&mut self, _: WritableMapping) {
        self.device.point();
    }

    fn submit(&mut self, tag: Tag, request: &Request<'_, WritableMapping>) -> Submitted {
        assert!(tag.number() < self.depth());
        self.device.point();
        self.device.begun.fetch_add(1, Ordering::SeqCst);
        if takes_one(&self.device.forgets) {
            return Submitted::Started;
        }
        if takes_one(&self.device.lies) {
            return Submitted::Ended(BlockStatus::OutOfRange);
        }
        let mut sector = request.sector;
        let mut sectors = self.device.sectors.lock().expect("sectors");
        for (buffer, offset, bytes) in request.segments() {
            for piece in (0..u64::from(bytes)).step_by(SECTOR_BYTES as usize) {
                let at = (offset + piece) as usize;
                match request.operation {
                    Operation::Read => buffer.copy_in(at, sectors.get(&sector).unwrap_or(&[0; 512])),
                    _ => buffer.copy_out(at, sectors.entry(sector).or_insert([0; 512])),
                }
                sector += 1;
            }
        }
        match request.operation {
            Operation::Write => drop(self.device.unflushed.fetch_add(1, Ordering::SeqCst)),
            Operation::Flush => self.device.unflushed.store(0, Ordering::SeqCst),
            Operation::WriteZeroes => {
                sectors.retain(|other, _| !(sector..sector + u64::from(request.sectors)).contains(other));
            }
            _ => {}
        }
        drop(sectors);
        self.device.point();
        // Every other request is done at once.
        if tag.number() % 2 == 1 {
            return Submitted::Ended(BlockStatus::Done);
        }
        self.pending.push(tag);
        Submitted::Started
    }

    fn commit(&mut self) {
        self.device.point();
        self.interrupt.signal(INTERRUPT).expect("an interrupt");
    }

    fn interrupt(&mut self, bits: u64, completions: &mut Completions) {
        assert_eq!(bits & DOORBELL, 0);
        self.device.point();
        // In another order than they came.
        while let Some(tag) = self.pending.pop() {
            completions.end(tag, BlockStatus::Done);
        }
    }
}

/// As much of init's registry as a client and a driver ask for: methods of the same name, types and class are the same ones.
#[protocol]
pub trait Registry {
    /// As there.
    #[replay]
    fn ready(&mut self, cx: &Context) -> Result<(), RegistryError>;
    /// As there.
    #[replay]
    fn connect(&mut self, cx: &Context, name: &str, wait: bool, reply: Reply<'_, Result<Session, RegistryError>>);
    /// As there.
    #[replay]
    fn watch(&mut self, cx: &Context, name: &str, channel: Channel, bits: u64) -> Result<State, RegistryError>;
    /// As there.
    #[replay]
    fn info(&mut self, name: &str) -> Result<Service, RegistryError>;
    /// As there.
    #[replay]
    fn complain(&mut self, cx: &Context, session: Session, method: u32);
}

/// What init knows of the driver.
#[derive(Default)]
struct Record {
    incarnation: u64,
    is_ready: bool,
    is_given_up: bool,
    complaints: u32,
    watchers: Vec<(Channel, u64)>,
}

/// Signal bit: the record has changed.
const CHANGED: u64 = 1;

struct Init {
    record: Arc<Mutex<Record>>,
    driver: FakeProcess,
}

impl Init {
    fn tell(&self) {
        for (channel, bits) in &self.record.lock().expect("a record").watchers {
            let _ = channel.signal(*bits);
        }
    }
}

impl Server for Init {
    fn start(_: &Env) -> Result<Self, StartError> {
        unreachable!("made by the test")
    }

    fn signal(&mut self, _: u64) {
        self.tell();
    }
}

impl Registry for Init {
    fn ready(&mut self, _: &Context) -> Result<(), RegistryError> {
        self.record.lock().expect("a record").is_ready = true;
        self.tell();
        Ok(())
    }

    fn connect(&mut self, _: &Context, name: &str, _: bool, reply: Reply<'_, Result<Session, RegistryError>>) {
        assert_eq!(name, env::names::REGISTRY);
        reply.send(env::channel().mint(7, env::account()).map_err(|_| RegistryError::Exhausted));
    }

    fn watch(&mut self, _: &Context, name: &str, channel: Channel, bits: u64) -> Result<State, RegistryError> {
        assert_eq!(name, "array");
        self.record.lock().expect("a record").watchers.push((channel, bits));
        Ok(self.info(name)?.state)
    }

    fn info(&mut self, name: &str) -> Result<Service, RegistryError> {
        let record = self.record.lock().expect("a record");
        let state = match (record.is_given_up, record.is_ready) {
            (true, _) => State::GivenUp,
            (_, true) => State::Ready,
            _ => State::Starting,
        };
        Ok(Service {
            place: 0,
            name: name.into(),
            state,
            process: 1,
            incarnation: record.incarnation,
            faults: 0,
            complaints: record.complaints,
            last_exit: 0,
            last_code: 0,
            started: 0,
        })
    }

    /// The second complaint is believed.
    fn complain(&mut self, _: &Context, _: Session, _: u32) {
        let mut record = self.record.lock().expect("a record");
        record.complaints += 1;
        let is_again = record.complaints == 2;
        drop(record);
        if is_again {
            self.driver.kill(libsys::abi::ExitReason::Hung);
        }
    }
}

libsys::serves!(Init: Registry);

/// Init, the driver, and the client's process.
pub struct World {
    pub device: Arc<Device>,
    pub driver: FakeProcess,
    pub channel: Handle,
    /// The driver's channel, to mint sessions of while the driver is dead.
    minting: Channel,
    init: FakeProcess,
    client: FakeProcess,
    is_over: Arc<AtomicBool>,
    record: Arc<Mutex<Record>>,
    supervisor: Option<JoinHandle<()>>,
}

fn startup(handles: &[(&str, Handle)]) -> Startup {
    let handles = handles.iter().map(|(name, handle)| (name.to_string(), handle.0)).collect();
    Startup { handles, ..Startup::default() }
}

/// A session to a channel of another process, in the calling one.
pub fn session(process: FakeProcess, channel: Handle, badge: u64) -> Session {
    let minted = process.run(move || {
        let channel = std::mem::ManuallyDrop::new(Channel::from_handle(channel));
        channel.mint(badge, &fake::account()).expect("a session").into_handle()
    });
    process.take(minted.expect("alive"), Rights::all())
}

impl World {
    /// A driver that dies after so many steps, and whenever `again` steps have passed since (0: only once); after `lives` of them it is given up.
    pub fn new(steps: i64, again: i64, lives: u64) -> World {
        let record = Arc::new(Mutex::new(Record::default()));
        let (init, driver, client) = (FakeProcess::new(), FakeProcess::new(), FakeProcess::new());
        let init_channel = init.new_channel();
        init.set_startup(startup(&[("channel", init_channel)]));
        let server = Init { record: record.clone(), driver };
        init.spawn(move || service::run(server, env::channel()));
        let channel = driver.new_channel();
        let minting = driver.take(channel, Rights::all());
        let registry = driver.grant(&session(init, init_channel, 1), Rights::all(), true);
        driver.set_startup(startup(&[("channel", channel), ("registry", registry)]));
        let registry = client.grant(&session(init, init_channel, 2), Rights::all(), true);
        client.set_startup(startup(&[("registry", registry)]));

        let device = Arc::new(Device { steps: AtomicI64::new(steps), ..Device::default() });
        DEVICES.lock().expect("devices").insert(driver.number(), device.clone());
        let is_over = Arc::new(AtomicBool::new(false));
        let changed = session_signaller(init, init_channel);
        let (known, over, kept) = (device.clone(), is_over.clone(), record.clone());
        record.lock().expect("a record").incarnation = 1;
        let here = FakeProcess::current();
        let supervisor = std::thread::spawn(move || {
            here.run(move || {
                loop {
                    // Ends when the incarnation does.
                    let _ = driver.spawn(service::main::<BlockServer<ArrayDisk>>).join();
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    if again > 0 {
                        known.steps.store(again, Ordering::SeqCst);
                    }
                    let mut record = kept.lock().expect("a record");
                    record.is_ready = false;
                    record.incarnation += 1;
                    record.is_given_up = record.incarnation > lives;
                    let is_given_up = record.is_given_up;
                    drop(record);
                    changed.signal(CHANGED).expect("init");
                    if is_given_up {
                        return;
                    }
                    driver.restart();
                }
            });
        });
        World { device, driver, channel, minting, init, client, is_over, record, supervisor: Some(supervisor) }
    }

    /// Nobody is told any more that the driver has died, or started.
    pub fn forget_watchers(&self) {
        self.record.lock().expect("a record").watchers.clear();
    }

    /// Complaints of the driver that init has heard.
    pub fn complaints(&self) -> u32 {
        self.record.lock().expect("a record").complaints
    }

    /// Runs a client with an open disk.
    pub fn with_disk<R>(&self, body: impl FnOnce(Disk) -> R) -> R {
        let session = self.minting.mint(3, &fake::account()).expect("a session");
        let session = self.client.grant(&session, Rights::all(), false);
        let run = || {
            let disk = Disk::open(Session::from_handle(session), "array", env::account());
            body(disk.expect("a disk"))
        };
        self.client.run(run).expect("the client lives")
    }
}

/// A handle to a process's channel that signals [`CHANGED`].
fn session_signaller(process: FakeProcess, channel: Handle) -> Channel {
    let made = process.run(move || {
        let channel = std::mem::ManuallyDrop::new(Channel::from_handle(channel));
        channel.signaller(CHANGED).expect("a handle").into_handle()
    });
    process.take(made.expect("alive"), Rights::SIGNAL | Rights::DUPLICATE)
}

impl Drop for World {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.driver.kill(libsys::abi::ExitReason::Killed);
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
        // Otherwise its thread would be woken by every event of the worlds that come.
        self.init.kill(libsys::abi::ExitReason::Killed);
    }
}
