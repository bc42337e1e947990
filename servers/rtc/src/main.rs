//! CMOS clock of a PC (Motorola MC146818), kept in UTC. Serves `rtc`; needs the I/O ports `cmos`. Parameter: `century`, the
//! register that holds it (50, as on most PCs; 0: none, then years are 1970 to 2069).
//!
//! A date that is set is committed before it goes into the registers, one by one: a driver that dies in between has left half of it, and the next one writes
//! it anew, with the seconds that have passed.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod date;

use date::{Date, Format};
use libsys::driver::{Context, Driver, Env, Ports, Result};
use libsys::protocol::rtc::{Rtc, RtcError, UnixTime};
use libsys::state::{RecordKey, Records};
use libsys::{Error, time};
use serde::{Deserialize, Serialize};

/// Registers of the date (data sheet, figure 9): second, minute, hour, day of the month, month, year.
const DATE: [u8; 6] = [0, 2, 4, 7, 8, 9];
const DAY_OF_WEEK: u8 = 6;
const REGISTER_A: u8 = 10;
const UPDATING: u8 = 0x80;
const REGISTER_B: u8 = 11;
const HOLD: u8 = 0x80;
const REGISTER_D: u8 = 13;
const HAS_POWER: u8 = 0x80;

/// An update takes at most 2,228 µs (data sheet, table 6).
const LONGEST_UPDATE: u64 = 10_000_000;

/// The record of a date that may not be in the registers yet.
const SETTING: RecordKey = RecordKey::new(1, 0);

/// A date, and when it was that, in nanoseconds of the monotonic clock.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Setting {
    seconds: i64,
    at: u64,
}

struct Cmos {
    ports: Ports,
    century: u8,
    records: Records,
    setting: Option<Setting>,
}

impl Driver for Cmos {
    fn start(env: &Env) -> Result<Cmos> {
        Ok(Cmos::new(env.ports("cmos")?, env.parse("century")?.unwrap_or(50), Records::open(env)?))
    }

    fn records(&mut self) -> Option<&mut Records> {
        Some(&mut self.records)
    }

    fn committed(&mut self) {
        if let Some(setting) = self.setting.take() {
            self.finish(setting);
        }
    }
}

impl Rtc for Cmos {
    fn now(&mut self) -> core::result::Result<UnixTime, RtcError> {
        if self.read(REGISTER_D)? & HAS_POWER == 0 {
            return Err(RtcError::Lost);
        }
        let deadline = time::now() + LONGEST_UPDATE;
        let mut before = None;
        while time::now() < deadline {
            // The same twice, with no update begun: nothing changed in between.
            let registers = if self.read(REGISTER_A)? & UPDATING == 0 { Some(self.registers()?) } else { None };
            if registers.is_some() && registers == before {
                let format = Format::of(self.read(REGISTER_B)?);
                let date = before.and_then(|registers| decode(registers, format));
                return date.and_then(|date| date.seconds()).map(UnixTime).ok_or(RtcError::Device);
            }
            before = registers;
        }
        Err(RtcError::NotReady)
    }

    fn set(&mut self, cx: &Context, time: UnixTime) -> core::result::Result<(), RtcError> {
        if !cx.may_control() {
            return Err(RtcError::Denied);
        }
        self.date(time.0).ok_or(RtcError::OutOfRange)?;
        // Whoever cannot be asked cannot be set.
        self.read(REGISTER_B)?;
        let setting = Setting { seconds: time.0, at: time::now() };
        self.records.put(SETTING, &setting).map_err(|_| RtcError::Device)?;
        self.setting = Some(setting);
        Ok(())
    }
}

impl Cmos {
    fn new(ports: Ports, century: u8, records: Records) -> Cmos {
        let setting = records.get(SETTING);
        let mut cmos = Cmos { ports, century, records, setting: None };
        if let Some(setting) = setting {
            cmos.finish(setting);
        }
        cmos
    }

    /// The date of a time that the clock can hold.
    fn date(&self, seconds: i64) -> Option<Date> {
        Date::from_seconds(seconds).filter(|date| self.century != 0 || date.year < 2070)
    }

    /// Puts a date that was committed into the registers.
    fn finish(&mut self, setting: Setting) {
        let passed = time::now().saturating_sub(setting.at) / 1_000_000_000;
        if let Some(date) = self.date(setting.seconds.saturating_add_unsigned(passed))
            && self.write_date(date).is_err()
        {
            libsys::error!("the clock was not set: its registers are gone");
        }
        self.records.remove(SETTING);
    }

    fn write_date(&self, date: Date) -> core::result::Result<(), RtcError> {
        let register_b = self.read(REGISTER_B)?;
        let format = Format::of(register_b);
        self.write(REGISTER_B, register_b | HOLD)?;
        let hour = format.hour_register(date.hour);
        let [second, minute, day, month, year] =
            [date.second, date.minute, date.day, date.month, (date.year % 100) as u8]
                .map(|number| format.register(number));
        for (register, value) in DATE.into_iter().zip([second, minute, hour, day, month, year]) {
            self.write(register, value)?;
        }
        self.write(DAY_OF_WEEK, format.register(date.day_of_week()))?;
        if self.century != 0 {
            self.write(self.century, format.register((date.year / 100) as u8))?;
        }
        self.write(REGISTER_B, register_b & !HOLD)
    }

    /// The date's registers, and the century's.
    fn registers(&self) -> core::result::Result<[u8; 7], RtcError> {
        let mut registers = [0; 7];
        for (value, register) in registers.iter_mut().zip(DATE) {
            *value = self.read(register)?;
        }
        registers[6] = if self.century != 0 { self.read(self.century)? } else { 0 };
        Ok(registers)
    }

    fn read(&self, register: u8) -> core::result::Result<u8, RtcError> {
        self.ports.write_u8(0, register).and_then(|()| self.ports.read_u8(1)).map_err(|_: Error| RtcError::Device)
    }

    fn write(&self, register: u8, value: u8) -> core::result::Result<(), RtcError> {
        self.ports
            .write_u8(0, register)
            .and_then(|()| self.ports.write_u8(1, value))
            .map_err(|_: Error| RtcError::Device)
    }
}

/// The date that the registers hold. A century that makes no sense is the one that the year is in, from 1970 on.
fn decode([second, minute, hour, day, month, year, century]: [u8; 7], format: Format) -> Option<Date> {
    let year = u16::from(format.number(year).filter(|year| *year < 100)?);
    let century = format.number(century).filter(|century| (19..=99).contains(century));
    let century = century.map_or(if year < 70 { 20 } else { 19 }, u16::from);
    Some(Date {
        year: century * 100 + year,
        month: format.number(month)?,
        day: format.number(day)?,
        hour: format.hour(hour)?,
        minute: format.number(minute)?,
        second: format.number(second)?,
    })
}

libsys::serve!(Cmos: Rtc);

#[cfg(test)]
mod tests;
