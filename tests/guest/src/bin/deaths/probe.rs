//! Requests to servers, each of which has to be answered rightly: the first one after a death says that the server is back.
//!
//! | probe | asks |
//! |---|---|
//! | `info` | init, about a service |
//! | `line` | a serial line, how it works |
//! | `size` | the console |
//! | `log` | the log, for its last records |
//! | `now` | the clock |
//! | `fill` | for random bytes |
//! | `poll` | a device |
//! | `functions` | the bus |
//! | `ready` | nobody: a service that answers nobody is looked at until it says that it is ready |
//! | `name:PATH` | vfs, which file system has a name |
//! | `file:PATH` | its server, for a page of a file, drawn at random |
//! | `disk:NAME` | its driver, through `block`, for a sector, drawn at random |

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Display;
use guest::random::Random;
use libsys::block::{Buffer, Disk};
use libsys::fs::{self, File};
use libsys::protocol::block::SECTOR_BYTES;
use libsys::protocol::log::Cursor;
use libsys::protocol::registry::{RegistryError, State};
use libsys::protocol::rtc::RtcError;
use libsys::protocol::{CharacterClient, ConsoleClient, DisksClient, LogClient, PciClient, RandomClient, RtcClient};
use libsys::time::{self, Duration};
use libsys::{client, env};

/// Bytes of a read of a file.
const PAGE: u64 = 4096;

/// Times that a clock is asked which is about to change, and the time between; also between two looks at a service.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_micros(200);

/// A request that can be made over and over.
pub struct Probe {
    target: Target,
    random: Random,
}

enum Target {
    Info,
    Line(CharacterClient),
    Size(ConsoleClient),
    Log(LogClient),
    Now(RtcClient),
    Fill(RandomClient),
    Poll(CharacterClient),
    Functions(PciClient),
    Ready(String),
    Name(String),
    File(File, u64),
    Sector(Box<Disk>, Buffer),
}

fn told<E: Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

/// Reads the clock, as soon as it is not about to change: that takes two milliseconds of each second.
fn read_clock(clock: &RtcClient) -> Result<(), String> {
    for _ in 0..TRIES {
        match clock.now() {
            Err(client::CallError::Failed(RtcError::NotReady)) => time::sleep(PAUSE),
            other => return other.map(drop).map_err(told("now")),
        }
    }
    Err("now: the clock is always busy".to_string())
}

/// Waits until a service serves.
fn wait_until_ready(name: &str) -> Result<(), String> {
    while env::get().registry().info(name).map_err(told(name))?.state != State::Ready {
        time::sleep(PAUSE);
    }
    Ok(())
}

/// A disk of `block`, and room for so many bytes of it.
pub fn open_disk(name: &str, bytes: u64) -> Result<(Box<Disk>, Buffer), String> {
    let session = env::get().registry().connect("block", true).map_err(told("block"))?;
    let disks: DisksClient = client::open(session).map_err(told("block"))?;
    let session = disks.open(name, false, false).map_err(told(name))?;
    let mut disk = Disk::open(session, "block", env::account()).map_err(told(name))?;
    let buffer = disk.allocate(bytes, env::account()).map_err(told(name))?;
    Ok((Box::new(disk), buffer))
}

impl Probe {
    /// A probe of the service `name`, opened.
    pub fn open(name: &str, probe: &str) -> Result<Probe, String> {
        let connect = || env::get().registry().connect(name, true).map_err(told(name));
        let target = match probe.split_once(':').unwrap_or((probe, "")) {
            ("info", "") => Target::Info,
            ("line", "") => Target::Line(client::open(connect()?).map_err(told(name))?),
            ("size", "") => Target::Size(client::open(connect()?).map_err(told(name))?),
            ("log", "") => Target::Log(client::open(connect()?).map_err(told(name))?),
            ("now", "") => Target::Now(client::open(connect()?).map_err(told(name))?),
            ("fill", "") => Target::Fill(client::open(connect()?).map_err(told(name))?),
            ("poll", "") => Target::Poll(client::open(connect()?).map_err(told(name))?),
            ("functions", "") => Target::Functions(client::open(connect()?).map_err(told(name))?),
            ("ready", "") => Target::Ready(name.to_string()),
            ("name", path) => Target::Name(path.to_string()),
            ("file", path) => {
                let file = File::open(path).map_err(told(path))?;
                let pages = file.metadata().map_err(told(path))?.len() / PAGE;
                Target::File(file, pages.max(1))
            }
            ("disk", disk) => {
                let (opened, buffer) = open_disk(disk, SECTOR_BYTES)?;
                Target::Sector(opened, buffer)
            }
            _ => return Err(format!("`{probe}` is no probe")),
        };
        Ok(Probe { target, random: Random::new(1) })
    }

    /// Makes the request, and waits for the answer.
    pub fn ask(&mut self) -> Result<(), String> {
        match &mut self.target {
            Target::Info => match env::get().registry().info("nobody") {
                Err(client::CallError::Failed(RegistryError::NoSuchName)) => Ok(()),
                other => Err(format!("info: {other:?}")),
            },
            Target::Line(device) => device.line().map(drop).map_err(told("line")),
            Target::Size(console) => console.size().map(drop).map_err(told("size")),
            Target::Log(log) => log.read(Cursor(u64::MAX), libsys::log::Level::Error).map(drop).map_err(told("log")),
            Target::Now(clock) => read_clock(clock),
            Target::Fill(random) => random.fill(&mut [0; 16]).map(drop).map_err(told("fill")),
            Target::Poll(device) => device.poll().map(drop).map_err(told("poll")),
            Target::Functions(bus) => bus.functions(0).map(drop).map_err(told("functions")),
            Target::Ready(name) => wait_until_ready(name),
            Target::Name(path) => {
                let namespace = fs::namespace().map_err(told("the namespace"))?;
                namespace.resolve(path).map(drop).map_err(told(path))
            }
            Target::File(file, pages) => {
                let at = self.random.below(*pages) * PAGE;
                file.read_at(&mut [0; PAGE as usize], at).map(drop).map_err(told("a file"))
            }
            Target::Sector(disk, buffer) => {
                let sector = self.random.below(disk.info().sectors);
                disk.read_at(sector, buffer, 0, SECTOR_BYTES).map_err(told("a disk"))
            }
        }
    }
}
