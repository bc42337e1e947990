//! `attack`: what a process can try against the kernel and against others. Each attack is made by a process of its own, and shows
//! that it ends that process, with the right reason, or is refused; that the server next to it and the memory it was lent are as
//! they were; and that everything comes back.
//!
//! Arguments choose the attacks whose names contain one of them.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod calls;
mod devices;
mod exhaustion;
mod flags;
mod forgery;
mod instructions;
mod mapping;
mod races;
mod wild;

use abi::{Class, ExitReason, Rights};
use alloc::string::String;
use guest::counts::Counts;
use guest::process::{self, Function, Server, ask, reason};
use guest::system::system;
use guest::test::{Outcome, Test, run_all};
use guest::{check, check_eq, puppet};
use libsys::program::Launch;
use libsys::sync::OnceLock;
use libsys::{Channel, Error, ExitStatus, Memory, Object, Process, Session};

guest::main!(run);

const GROUPS: &[(&str, &[Test])] = &[
    ("wild", wild::TESTS),
    ("instructions", instructions::TESTS),
    ("flags", flags::TESTS),
    ("mapping", mapping::TESTS),
    ("devices", devices::TESTS),
    ("forgery", forgery::TESTS),
    ("exhaustion", exhaustion::TESTS),
    ("calls", calls::TESTS),
    ("races", races::TESTS),
];

fn run(arguments: &[String]) -> ExitStatus {
    // What is made once for all of them is not missed afterwards.
    let warm_up = || {
        neighbour()?;
        let _ = dies(|| puppet::fault(), &[ExitReason::PageFault]);
        is_refused(|| 0)
    };
    if let Err(failure) = warm_up() {
        guest::say!("the neighbour does not start: {failure:?}");
        return ExitStatus::FAILURE;
    }
    run_all(GROUPS, arguments)
}

/// Bytes of the Memory that attackers are lent.
const LENT_BYTES: usize = 3 * 4096;
/// What is in it.
const LENT: u64 = 0x5a5a_1234_8765_a5a5;
/// The bits that attackers may signal.
const BITS: u64 = 0b11;

/// What an attacker could harm.
struct Neighbour {
    server: Server,
    session: Session,
    lent: Memory,
    sealed: Memory,
    channel: Channel,
    signaller: Channel,
}

fn neighbour() -> Outcome<&'static Neighbour> {
    static NEIGHBOUR: OnceLock<Neighbour> = OnceLock::new();
    if NEIGHBOUR.get().is_none() {
        let account = system().account;
        let server = puppet::start()?;
        let session = server.session(77)?;
        let lent = Memory::create(account, LENT_BYTES as u64)?;
        let mapping = lent.map_writable()?;
        for offset in (0..LENT_BYTES).step_by(8) {
            mapping.word_u64(offset).store(LENT, core::sync::atomic::Ordering::Relaxed);
        }
        let sealed = Memory::create(account, 2 * 4096)?;
        sealed.map_writable()?.copy_in(0, &[0xc3; 8192]);
        sealed.seal()?;
        let channel = Channel::create(account)?;
        let signaller = channel.signaller(BITS)?;
        let made = Neighbour { server, session, lent, sealed, channel, signaller };
        NEIGHBOUR.get_or_init(|| made);
    }
    NEIGHBOUR.get().ok_or(guest::test::Failure::new("no neighbour"))
}

impl Neighbour {
    /// Fails where an attack has had an effect.
    fn is_well(&self) -> Outcome {
        let words = [1, 2, 3, 4, 5, 6, 7, 8];
        check_eq!(ask(&self.session, puppet::ECHO, Class::Replay, words), Ok(words));
        let record = self.server.process.exit_record()?;
        check_eq!((record.incarnation, reason(&record)), (1, ExitReason::None));
        let mapping = self.lent.map()?;
        for offset in (0..LENT_BYTES).step_by(8) {
            check_eq!(mapping.load_u64(offset, core::sync::atomic::Ordering::Relaxed), LENT);
        }
        match self.channel.receive(Some(0)) {
            Ok(libsys::channel::Event::Signals(bits)) => check_eq!(bits & !BITS, 0),
            other => check_eq!(other, Err(Error::TimedOut)),
        }
        Ok(())
    }
}

/// An attacker: what it is lent is named as the fields of [`Neighbour`].
fn attacker(function: Function) -> Outcome<Launch<'static>> {
    let neighbour = neighbour()?;
    let rights = Rights::DUPLICATE | Rights::INSPECT;
    let launch = process::launch_parent("attacker", function)
        .grant("session", &neighbour.session, Rights::all())
        .grant("lent", &neighbour.lent, rights | Rights::READ)
        .grant("sealed", &neighbour.sealed, rights | Rights::READ | Rights::WRITE | Rights::EXECUTE)
        .grant("signaller", &neighbour.signaller, Rights::all())
        .grant("single", &neighbour.lent, Rights::READ)
        .grant("neighbour", &neighbour.server.process, rights);
    Ok(match &system().physical {
        Some(physical) => launch.grant("physical", physical, Rights::all()),
        None => launch,
    })
}

/// Makes an attack that ends its process for a reason.
#[track_caller]
fn dies(function: Function, expected: &[ExitReason]) -> Outcome {
    let before = Counts::settled()?;
    let record = process::run_launch(attacker(function)?)?;
    let found = reason(&record);
    check!(expected.contains(&found), "it ended with {found:?} (code {:#x}), not {expected:?}", record.code);
    check!(record.thread != 0 && record.registers.rsp != 0, "a record without a thread");
    neighbour()?.is_well()?;
    before.wait_until_back()
}

/// Makes an attack that is refused.
#[track_caller]
fn is_refused(function: Function) -> Outcome {
    let before = Counts::settled()?;
    let record = process::run_launch(attacker(function)?)?;
    check!(
        reason(&record) == ExitReason::Exit,
        "it ended with {:?} (code {:#x}, address {:#x}, rip {:#x})",
        reason(&record),
        record.code,
        record.address,
        record.registers.rip
    );
    check!(
        record.code == 0,
        "not refused in line {}, with {:?}",
        record.code >> 8,
        Error::from_status(record.code & 0xff)
    );
    neighbour()?.is_well()?;
    before.wait_until_back()
}

/// Attacks that end their process: `NAME: REASON {…}`.
#[macro_export]
macro_rules! dies {
    ($($name:ident: $($reason:ident)|+ $body:block)*) => {
        /// The attacks of this file.
        pub const TESTS: &[guest::test::Test] = guest::tests![$($name),*];
        $(fn $name() -> guest::test::Outcome {
            #[allow(unreachable_code)]
            fn attack() -> u64 {
                $body;
                0
            }
            $crate::dies(attack, &[$(abi::ExitReason::$reason),+])
        })*
    };
}

/// Attacks that are refused: `NAME {…}`, with [`must!`] inside.
#[macro_export]
macro_rules! refused {
    ($($name:ident $body:block)*) => {
        /// The attacks of this file.
        pub const TESTS: &[guest::test::Test] = guest::tests![$($name),*];
        $(fn $name() -> guest::test::Outcome {
            #[allow(unreachable_code)]
            fn attack() -> u64 {
                $body;
                0
            }
            $crate::is_refused(attack)
        })*
    };
}

/// In an attack: ends the process with the line unless something is equal to something.
#[macro_export]
macro_rules! must {
    ($left:expr, $right:expr) => {{
        let left = $left;
        if left != $right {
            return u64::from(line!()) << 8 | $crate::number_of(left);
        }
    }};
    ($condition:expr) => {
        if !$condition {
            return u64::from(line!()) << 8;
        }
    };
}

/// What an exit code says about the error of a system call.
trait Told {
    fn number(&self) -> u64;
}

impl Told for Option<Error> {
    fn number(&self) -> u64 {
        self.map_or(0, |error| error as u64)
    }
}

impl<T> Told for Result<T, Error> {
    fn number(&self) -> u64 {
        self.as_ref().err().map_or(0, |error| *error as u64)
    }
}

fn number_of(told: impl Told) -> u64 {
    told.number()
}

/// What the attacker was lent, as a bare handle. Once each.
fn lent(name: &str) -> u64 {
    let env = libsys::env::get();
    let handle = env.take::<Memory>(name).map(Object::into_handle);
    let handle = handle.or_else(|_| env.take::<Session>(name).map(Object::into_handle));
    let handle = handle.or_else(|_| env.take::<Channel>(name).map(Object::into_handle));
    let handle = handle.or_else(|_| env.take::<Process>(name).map(Object::into_handle));
    handle.map_or(0, |handle| handle.0)
}
