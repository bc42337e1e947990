//! Dates and times of FAT: years from 1980 to 2107, steps of two seconds. They are taken as UTC.

/// Seconds of a day.
const DAY: i64 = 86_400;
/// The first and the last moment that can be said: 1980-01-01 00:00:00, 2107-12-31 23:59:58.
const FIRST: i64 = 315_532_800;
const LAST: i64 = 4_354_819_198;

/// Days from 1970 to a date (Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a number of days since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Seconds since 1970 of a date and a time of an entry. What is no date is the first that can be said.
pub fn seconds(date: u16, time: u16) -> i64 {
    let (year, month, day) = (1980 + i64::from(date >> 9), i64::from(date >> 5 & 0xf), i64::from(date & 0x1f));
    if !(1..=12).contains(&month) || day == 0 {
        return FIRST;
    }
    let (hour, minute, second) = (i64::from(time >> 11), i64::from(time >> 5 & 0x3f), i64::from(time & 0x1f) * 2);
    days(year, month, day) * DAY + hour * 3600 + minute * 60 + second
}

/// The date and the time of an entry for seconds since 1970.
pub fn stamp(seconds: i64) -> (u16, u16) {
    let seconds = seconds.clamp(FIRST, LAST);
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let of_day = seconds.rem_euclid(DAY);
    let date = (year - 1980) << 9 | month << 5 | day;
    let time = (of_day / 3600) << 11 | (of_day / 60 % 60) << 5 | (of_day % 60 / 2);
    (date as u16, time as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for moment in [FIRST, 951_782_400, 1_700_000_000, 1_709_164_800, LAST] {
            let (date, time) = stamp(moment);
            assert_eq!(seconds(date, time), moment);
        }
        assert_eq!(stamp(1_700_000_001), stamp(1_700_000_000), "steps of two seconds");
        assert_eq!(stamp(0), (1 << 5 | 1, 0));
        assert_eq!(stamp(i64::MAX), stamp(LAST));
        assert_eq!(seconds(0, 0), FIRST);
        assert_eq!(stamp(1_709_164_800), (44 << 9 | 2 << 5 | 29, 0), "2024-02-29");
    }
}
