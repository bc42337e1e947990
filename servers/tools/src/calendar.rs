//! Dates of the Gregorian calendar, in UTC.

use core::fmt;

const SECONDS_A_DAY: i64 = 86_400;

/// A date and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// Year; 1 BC is 0.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// Day of the week; 0 is Sunday.
    pub weekday: u8,
}

impl DateTime {
    /// The date so many seconds after 1970-01-01 00:00:00.
    pub fn of_unix(seconds: i64) -> DateTime {
        let (days, rest) = (seconds.div_euclid(SECONDS_A_DAY), seconds.rem_euclid(SECONDS_A_DAY));
        // Days of a year that begins in March, counted in cycles of 400 years (146,097 days) from 0000-03-01.
        let days = days + 719_468;
        let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_cycle = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        DateTime {
            year: cycle * 400 + year_of_cycle + i64::from(month <= 2),
            month: month as u8,
            day: day_of_month as u8,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
            // 0000-03-01 was a Wednesday.
            weekday: (days + 3).rem_euclid(7) as u8,
        }
    }

    /// The name of its day, short.
    pub fn weekday_name(&self) -> &'static str {
        const NAMES: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        NAMES.get(usize::from(self.weekday)).unwrap_or(&"?")
    }
}

/// As ISO 8601 has it, with a blank in the middle.
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DateTime { year, month, day, hour, minute, second, .. } = self;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn date(seconds: i64) -> alloc::string::String {
        let date = DateTime::of_unix(seconds);
        alloc::format!("{} {date}", date.weekday_name())
    }

    #[test]
    fn known_dates() {
        assert_eq!(date(0), "Thu 1970-01-01 00:00:00");
        assert_eq!(date(951_782_400), "Tue 2000-02-29 00:00:00");
        assert_eq!(date(-1), "Wed 1969-12-31 23:59:59");
        assert_eq!(date(1_700_000_000), "Tue 2023-11-14 22:13:20");
        assert_eq!(date(4_107_542_400), "Mon 2100-03-01 00:00:00");
        assert_eq!(date(253_402_300_800).len(), "Sat 10000-01-01 00:00:00".len());
        let _ = DateTime::of_unix(i64::MAX).to_string();
        let _ = DateTime::of_unix(i64::MIN).to_string();
    }

    proptest! {
        #[test]
        fn days_follow_each_other(seconds in -100_000_000_000i64..1_000_000_000_000) {
            let (one, next) = (DateTime::of_unix(seconds), DateTime::of_unix(seconds + SECONDS_A_DAY));
            prop_assert_eq!((one.weekday + 1) % 7, next.weekday);
            prop_assert_eq!((one.hour, one.minute, one.second), (next.hour, next.minute, next.second));
            let is_next = next.day == one.day + 1 && next.month == one.month
                || next.day == 1 && one.day >= 28 && next.month == one.month % 12 + 1;
            prop_assert!(is_next);
        }
    }
}
