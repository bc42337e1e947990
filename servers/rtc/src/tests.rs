//! Dates, and the driver over a model of the clock.

use super::*;
use libsys::Memory;
use libsys::fake::{self, PortDevice};
use libsys::{Header, message::Stamp, service::CONTROL};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

/// A clock whose time stands still, but for what a test does.
struct Model {
    state: Mutex<State>,
}

struct State {
    registers: [u8; 128],
    index: usize,
    /// Reads of register A for which an update goes on.
    updating: usize,
    /// The second changes at so many reads of it.
    ticks: usize,
}

impl PortDevice for Model {
    fn read(&self, offset: u16, _: u64) -> u32 {
        let mut state = self.state.lock().expect("sound");
        assert_eq!(offset, 1, "the index is not read");
        let (index, mut value) = (state.index, state.registers[state.index]);
        if index == 10 && state.updating > 0 {
            state.updating -= 1;
            value |= 0x80;
        }
        if index == 0 && state.ticks > 0 {
            state.ticks -= 1;
            state.registers[0] += 1;
        }
        value.into()
    }

    fn write(&self, offset: u16, _: u64, value: u32) {
        let mut state = self.state.lock().expect("sound");
        match offset {
            0 => state.index = value as usize & 0x7f,
            _ => {
                let index = state.index;
                assert!(index > 9 || state.registers[11] & 0x80 != 0, "set while it runs");
                state.registers[index] = value as u8;
            }
        }
    }
}

fn clock(register_b: u8, set: &[(usize, u8)]) -> (Cmos, Arc<Model>) {
    let mut registers = [0; 128];
    registers[11] = register_b;
    registers[13] = 0x80;
    for (register, value) in set {
        registers[*register] = *value;
    }
    let model = Arc::new(Model { state: Mutex::new(State { registers, index: 0, updating: 0, ticks: 0 }) });
    let state = Memory::create(&fake::account(), 40 << 10).expect("memory");
    (driver(&model, &state), model)
}

fn driver(model: &Arc<Model>, state: &Memory) -> Cmos {
    let records = Records::of(state.map_writable().expect("mapped")).expect("room");
    Cmos::new(fake::ports(model.clone()), 50, records)
}

/// Sets the clock, and commits as the loop does.
fn set(cmos: &mut Cmos, cx: &Context, time: i64) -> core::result::Result<(), RtcError> {
    cmos.set(cx, UnixTime(time))?;
    settle(cmos);
    Ok(())
}

fn settle(cmos: &mut Cmos) {
    while !cmos.records.is_clean() {
        cmos.records.commit();
        cmos.committed();
    }
}

fn control(badge: u64) -> Context {
    Context::new(badge, Header(0), Stamp::default())
}

const LEAP: [(usize, u8); 7] = [(0, 0x59), (2, 0x58), (4, 0x23), (7, 0x29), (8, 0x02), (9, 0x24), (50, 0x20)];

#[test]
fn bcd_and_binary_and_halves_of_a_day() {
    let leap = 1_709_251_139;
    assert_eq!(clock(0x02, &LEAP).0.now(), Ok(UnixTime(leap)));
    let binary = [(0, 59), (2, 58), (4, 23), (7, 29), (8, 2), (9, 24), (50, 20)];
    assert_eq!(clock(0x06, &binary).0.now(), Ok(UnixTime(leap)));
    let mut half = LEAP;
    half[2] = (4, 0x11 | 0x80);
    assert_eq!(clock(0x00, &half).0.now(), Ok(UnixTime(leap)));
    half[2] = (4, 0x12);
    assert_eq!(clock(0x00, &half).0.now(), Ok(UnixTime(leap - 23 * 3600)));
    half[2] = (4, 0x12 | 0x80);
    assert_eq!(clock(0x00, &half).0.now(), Ok(UnixTime(leap - 11 * 3600)));
}

#[test]
fn a_century_that_makes_no_sense_is_guessed() {
    for (century, year, expected) in [(0xff, 0x24, 2024), (0, 0x70, 1970), (0, 0x69, 2069), (0x21, 0x24, 2124)] {
        let set = [(7, 0x01), (8, 0x01), (9, year), (50, century)];
        let seconds = clock(0x02, &set).0.now().expect("a time").0;
        assert_eq!(Date::from_seconds(seconds).expect("a date").year, expected);
    }
}

#[test]
fn an_update_is_waited_for_and_a_torn_read_is_repeated() {
    let (mut cmos, model) = clock(0x02, &LEAP);
    {
        let mut state = model.state.lock().expect("sound");
        state.registers[0] = 0x55;
        (state.updating, state.ticks) = (20, 4);
    }
    assert_eq!(cmos.now(), Ok(UnixTime(1_709_251_139)));
    model.state.lock().expect("sound").updating = usize::MAX;
    assert_eq!(cmos.now(), Err(RtcError::NotReady));
}

#[test]
fn a_clock_without_power_or_sense_has_no_time() {
    assert_eq!(clock(0x02, &[(13, 0)]).0.now(), Err(RtcError::Lost));
    for bad in [(0, 0x6a), (2, 0x60), (4, 0x24), (7, 0x30), (8, 0x13), (8, 0), (7, 0), (9, 0xff)] {
        let mut set = LEAP.to_vec();
        set.push(bad);
        assert_eq!(clock(0x02, &set).0.now(), Err(RtcError::Device), "{bad:?}");
    }
    assert_eq!(clock(0x00, &[(4, 0x13), (7, 1), (8, 1)]).0.now(), Err(RtcError::Device));
}

#[test]
fn it_is_set_by_those_who_may() {
    for register_b in [0, 0x02, 0x04, 0x06] {
        let (mut cmos, model) = clock(register_b, &[]);
        assert_eq!(set(&mut cmos, &control(1), 0), Err(RtcError::Denied));
        for time in [0, 951_782_400, 1_709_251_139, 4_102_444_799, 253_402_300_799] {
            assert_eq!(set(&mut cmos, &control(CONTROL), time), Ok(()));
            assert_eq!(cmos.now(), Ok(UnixTime(time)));
            assert_eq!(model.state.lock().expect("sound").registers[11], register_b);
        }
        for time in [-1, i64::MIN, i64::MAX, 253_402_300_800] {
            assert_eq!(set(&mut cmos, &control(CONTROL), time), Err(RtcError::OutOfRange));
        }
        cmos.century = 0;
        assert_eq!(set(&mut cmos, &control(CONTROL), 4_102_444_799), Err(RtcError::OutOfRange));
    }
}

#[test]
fn a_date_is_set_as_a_whole_whatever_dies() {
    let state = Memory::create(&fake::account(), 40 << 10).expect("memory");
    let (_, model) = clock(0x06, &[]);
    // Not committed: not set.
    let mut cmos = driver(&model, &state);
    set(&mut cmos, &control(CONTROL), 951_782_400).expect("set");
    cmos.set(&control(CONTROL), UnixTime(0)).expect("staged");
    let mut cmos = driver(&model, &state);
    assert_eq!(cmos.now(), Ok(UnixTime(951_782_400)));
    // Committed, and half of it is in the registers.
    cmos.set(&control(CONTROL), UnixTime(1_709_251_139)).expect("staged");
    cmos.records.commit();
    {
        let mut state = model.state.lock().expect("sound");
        state.registers[11] |= HOLD;
        state.registers[0] = 30;
    }
    let mut cmos = driver(&model, &state);
    let now = cmos.now().expect("a time").0;
    assert!((1_709_251_139..1_709_251_200).contains(&now), "{now}");
    assert_eq!(model.state.lock().expect("sound").registers[11], 0x06);
    // What was set since is not taken back.
    settle(&mut cmos);
    set(&mut cmos, &control(CONTROL), 7).expect("set");
    assert_eq!(driver(&model, &state).now(), Ok(UnixTime(7)));
}

#[test]
fn days_of_the_week() {
    for (seconds, day) in [(0, 5), (1_709_251_139, 5), (1_709_251_139 + 86_400 * 2, 7), (946_684_800, 7)] {
        assert_eq!(Date::from_seconds(seconds).expect("a date").day_of_week(), day);
    }
}

#[test]
fn every_day_follows_the_one_before() {
    let mut before = Date::from_seconds(0).expect("a date");
    for day in 1..=2_932_896 {
        let date = Date::from_seconds(day * 86_400).expect("a date");
        let is_next_day = (date.year, date.month, date.day) == (before.year, before.month, before.day + 1);
        let is_next_month = date.day == 1 && before.day >= 28 && date.month == before.month % 12 + 1;
        assert!(is_next_day || is_next_month, "{before:?} {date:?}");
        before = date;
    }
    assert_eq!((before.year, before.month, before.day), (9999, 12, 31));
}

proptest! {
    #[test]
    fn seconds_and_dates_are_the_same(seconds in 0i64..253_402_300_800) {
        prop_assert_eq!(Date::from_seconds(seconds).expect("a date").seconds(), Some(seconds));
    }

    #[test]
    fn registers_and_numbers_are_the_same(number in 0u8..100, hour in 0u8..24, b in any::<u8>()) {
        let format = Format::of(b);
        prop_assert_eq!(format.number(format.register(number)), Some(number));
        prop_assert_eq!(format.hour(format.hour_register(hour)), Some(hour));
    }

    #[test]
    fn whatever_the_registers_hold_is_no_harm(registers in any::<[u8; 7]>(), b in any::<u8>()) {
        let _ = decode(registers, Format::of(b)).and_then(|date| date.seconds());
    }
}
