//! The date as the clock's registers hold it, and seconds since 1970. Pure.

/// Seconds of a day.
const DAY: i64 = 86_400;

/// A date and time, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Date {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

impl Date {
    /// The date so many seconds after 1970 began, of the years that the clock can hold.
    pub fn from_seconds(seconds: i64) -> Option<Date> {
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY) as u32);
        // Years that start in March have their leap day last; 400 of them are 146,097 days (H. Hinnant, «chrono-compatible
        // low-level date algorithms»).
        let shifted = days.checked_add(719_468)?;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Some(Date {
            year: u16::try_from(year).ok().filter(|year| (1970..=9999).contains(year))?,
            month: month as u8,
            day: (day_of_year - (153 * from_march + 2) / 5 + 1) as u8,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        })
    }

    /// Seconds since 1970 began; `None` where this is no date. A leap second counts as the one after it.
    pub fn seconds(&self) -> Option<i64> {
        let Date { year, month, day, hour, minute, second } = *self;
        let is_time = hour < 24 && minute < 60 && second <= 60;
        if !is_time || year < 1970 || !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
            return None;
        }
        let (year, month, day) = (i64::from(year) - i64::from(month <= 2), i64::from(month), i64::from(day));
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
        Some(days * DAY + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second))
    }

    /// Day of the week: 1 is Sunday.
    pub fn day_of_week(&self) -> u8 {
        // 1970-01-01 was a Thursday.
        self.seconds().map_or(1, |seconds| ((seconds.div_euclid(DAY) + 4).rem_euclid(7) + 1) as u8)
    }
}

fn days_of_month(year: u16, month: u8) -> u8 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// How the clock holds numbers: bits of its register B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Plain numbers, otherwise two decimal digits.
    pub is_binary: bool,
    /// Hours 0 to 23, otherwise 1 to 12 with the highest bit in the afternoon.
    pub has_24_hours: bool,
}

const AFTERNOON: u8 = 0x80;

impl Format {
    /// The format that register B says.
    pub fn of(register: u8) -> Format {
        Format { is_binary: register & 0x04 != 0, has_24_hours: register & 0x02 != 0 }
    }

    /// The number that a register holds, if it holds one.
    pub fn number(self, register: u8) -> Option<u8> {
        if self.is_binary {
            return Some(register);
        }
        let (tens, ones) = (register >> 4, register & 0xf);
        (tens < 10 && ones < 10).then_some(tens * 10 + ones)
    }

    /// A number below 100 as a register holds it.
    pub fn register(self, number: u8) -> u8 {
        if self.is_binary { number } else { ((number / 10) << 4) | (number % 10) }
    }

    /// The hour that a register holds, if it holds one.
    pub fn hour(self, register: u8) -> Option<u8> {
        if self.has_24_hours {
            return self.number(register);
        }
        let hour = self.number(register & !AFTERNOON).filter(|hour| (1..=12).contains(hour))?;
        Some(hour % 12 + if register & AFTERNOON != 0 { 12 } else { 0 })
    }

    /// An hour as a register holds it.
    pub fn hour_register(self, hour: u8) -> u8 {
        if self.has_24_hours {
            return self.register(hour);
        }
        let of_half = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
        self.register(of_half) | if hour >= 12 { AFTERNOON } else { 0 }
    }
}
