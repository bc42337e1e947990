//! `sleep`: does nothing for a while.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use libsys::ExitStatus;
use libsys::time::{self, Duration};
use tools::Failure;

const HELP: &str = "usage: sleep SECONDS
Waits so long; 0.5 is half a second.
";

fn run() -> ExitStatus {
    tools::run(HELP, |arguments, _| {
        let [word] = arguments else {
            return Err(Failure::Usage("one number of seconds".into()));
        };
        let time = parse(word).ok_or_else(|| Failure::Usage(format!("`{word}` is not a number of seconds")))?;
        time::sleep(time);
        Ok(ExitStatus::SUCCESS)
    })
}

/// Digits, and perhaps a point and at most nine more of them.
fn parse(word: &str) -> Option<Duration> {
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: u32 = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(whole.parse().ok()?, nanoseconds))
}

libsys::main!(run);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_point() {
        assert_eq!(parse("2"), Some(Duration::from_secs(2)));
        assert_eq!(parse("0.05"), Some(Duration::from_millis(50)));
        for wrong in ["", ".5", "-1", "1e3", "1.2.3", "x", "99999999999999999999"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
