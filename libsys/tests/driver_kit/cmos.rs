//! The smallest driver: a clock that is polled.

use crate::Started;
use libsys::Rights;
use libsys::client::{self, CallError};
use libsys::driver::{Context, Driver, Env, Ports, Result};
use libsys::fake::{self, FakeProcess, PortDevice};
use libsys::protocol::rtc::{Rtc, RtcClient, RtcError, UnixTime};
use libsys::service::{self, CONTROL};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A clock that counts seconds in its register 0.
struct Cmos {
    ports: Ports,
}

impl Driver for Cmos {
    fn start(env: &Env) -> Result<Self> {
        Ok(Cmos { ports: env.ports("cmos")? })
    }
}

impl Rtc for Cmos {
    fn now(&mut self) -> std::result::Result<UnixTime, RtcError> {
        let seconds = self.ports.read_u32(0).map_err(|_| RtcError::Device)?;
        if seconds == 0 { Err(RtcError::Lost) } else { Ok(UnixTime(seconds.into())) }
    }

    fn set(&mut self, cx: &Context, time: UnixTime) -> std::result::Result<(), RtcError> {
        if !cx.may_control() {
            return Err(RtcError::Denied);
        }
        let seconds = u32::try_from(time.0).map_err(|_| RtcError::OutOfRange)?;
        self.ports.write_u32(0, seconds).map_err(|_| RtcError::Device)
    }
}

libsys::serves!(Cmos: Rtc);

/// The fake device.
#[derive(Default)]
struct Counter(AtomicU32);

impl PortDevice for Counter {
    fn read(&self, _: u16, _: u64) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn write(&self, _: u16, _: u64, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }
}

#[test]
fn a_polled_driver_answers() {
    let process = FakeProcess::new();
    let ports = process.grant(&fake::ports(Arc::new(Counter::default())), Rights::all(), true);
    let channel = process.new_channel();
    let started = Started::with(&[("cmos", ports)], &[], process, channel);
    process.spawn(service::main::<Cmos>);
    let user: RtcClient = client::open(started.session(1)).expect("all methods");
    let owner: RtcClient = client::open(started.session(CONTROL | 2)).expect("all methods");
    assert_eq!(user.now(), Err(CallError::Failed(RtcError::Lost)));
    assert_eq!(user.set(UnixTime(5)), Err(CallError::Failed(RtcError::Denied)));
    assert_eq!(owner.set(UnixTime(-1)), Err(CallError::Failed(RtcError::OutOfRange)));
    assert_eq!(owner.set(UnixTime(1_700_000_000)), Ok(()));
    assert_eq!(user.now(), Ok(UnixTime(1_700_000_000)));
}

#[test]
fn what_the_manifest_forgot_is_named() {
    let process = FakeProcess::new();
    let channel = process.new_channel();
    let memory = libsys::Memory::create(&fake::account(), 1).expect("memory");
    let wrong = process.grant(&memory, Rights::all(), false);
    Started::with(&[], &[], process, channel);
    let error = process.run(service::main::<Cmos>).expect("alive").expect_err("no ports");
    assert_eq!(error.to_string(), "no handle `cmos` was given");
    Started::with(&[("cmos", wrong)], &[], process, channel);
    let error = process.run(service::main::<Cmos>).expect("alive").expect_err("no ports");
    assert_eq!(error.to_string(), "handle `cmos`: wrong kind of object");
}
