//! `sleep`: does nothing for a while.

use alloc::format;
use libsys::ExitStatus;
use libsys::time::{self, Duration};
use tools::{Arguments, Failure};

const HELP: &str = "usage: sleep TIME…
Waits so long, all times together; 0.5 is half a second. A time may end in s, m, h or d.
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, _| {
        if arguments.is_empty() {
            return Err(Failure::Usage("a time is missing".into()));
        }
        let mut time = Duration::ZERO;
        for word in arguments {
            let more = parse(word).ok_or_else(|| Failure::Usage(format!("`{word}` is not a time")))?;
            time = time.saturating_add(more);
        }
        time::sleep(time);
        Ok(ExitStatus::SUCCESS)
    })
}

/// Digits, perhaps with a point before at most nine of them, and perhaps a unit.
fn parse(word: &str) -> Option<Duration> {
    const UNITS: [(char, u32); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let unit = UNITS.iter().find_map(|(letter, seconds)| Some((word.strip_suffix(*letter)?, *seconds)));
    let (number, unit) = unit.unwrap_or((word, 1));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanoseconds: u32 = format!("{fraction:0<9}").parse().ok()?;
    Duration::new(whole, nanoseconds).checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_have_a_point_and_a_unit() {
        assert_eq!(parse("2"), Some(Duration::from_secs(2)));
        assert_eq!(parse("0.05"), Some(Duration::from_millis(50)));
        assert_eq!(parse(".5m"), Some(Duration::from_secs(30)));
        assert_eq!([parse("1s"), parse("1h"), parse("2d")], [1, 3600, 172_800].map(|s| Some(Duration::from_secs(s))));
        for wrong in
            ["", ".", "s", ".m", "-1", "1e3", "1.2.3", "x", "1y", "99999999999999999999", "9999999999999999999d"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
