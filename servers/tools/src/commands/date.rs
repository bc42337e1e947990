//! `date`: tells the time.

use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;
use libsys::ExitStatus;
use libsys::io::Write as _;
use tools::calendar::DateTime;
use tools::{Arguments, Failure, clock};

const HELP: &str = "usage: date [-u] [+FORMAT]
Tells date and time, as the machine's clock has them: in UTC, with -u and without.
FORMAT is a text with %Y year, %m month, %d day, %H hour, %M minute, %S second, %a day of the week,
%F the same as %Y-%m-%d, %T the same as %H:%M:%S, %s seconds since 1970, %n newline, %% percent.
";

/// What is told without a format.
const USUAL: &str = "%a %F %T UTC";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let rest = match arguments {
            [option, rest @ ..] if option == "-u" => rest,
            all => all,
        };
        let pattern = match rest {
            [] => USUAL,
            [first, ..] if !first.starts_with('+') => return Err(Failure::Usage(format!("unexpected `{first}`"))),
            [format] => &format[1..],
            [_, second, ..] => return Err(Failure::Usage(format!("unexpected `{second}`"))),
        };
        // A bad format is told before the clock is asked.
        format_date(pattern, 0)?;
        let text = format_date(pattern, clock::now()?)?;
        writeln!(out, "{text}")?;
        Ok(ExitStatus::SUCCESS)
    })
}

/// The pattern with the date in it.
fn format_date(pattern: &str, seconds: i64) -> Result<String, Failure> {
    let full = |_| Failure::Error("the format is too long".into());
    let date = DateTime::of_unix(seconds);
    let DateTime { year, month, day, hour, minute, second, .. } = date;
    let mut text = String::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        match rest.next() {
            Some('Y') => write!(text, "{year:04}").map_err(full)?,
            Some('m') => write!(text, "{month:02}").map_err(full)?,
            Some('d') => write!(text, "{day:02}").map_err(full)?,
            Some('H') => write!(text, "{hour:02}").map_err(full)?,
            Some('M') => write!(text, "{minute:02}").map_err(full)?,
            Some('S') => write!(text, "{second:02}").map_err(full)?,
            Some('a') => text.push_str(date.weekday_name()),
            Some('F') => write!(text, "{year:04}-{month:02}-{day:02}").map_err(full)?,
            Some('T') => write!(text, "{hour:02}:{minute:02}:{second:02}").map_err(full)?,
            Some('s') => write!(text, "{seconds}").map_err(full)?,
            Some('n') => text.push('\n'),
            Some('%') => text.push('%'),
            Some(other) => return Err(Failure::Usage(format!("the format has no `%{other}`"))),
            None => return Err(Failure::Usage("the format ends with a `%`".into())),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        assert_eq!(format_date(USUAL, 1_700_000_000).as_deref(), Ok("Tue 2023-11-14 22:13:20 UTC"));
        assert_eq!(format_date("%Y%m%d %H.%M.%S%n%s%%x", 5).as_deref(), Ok("19700101 00.00.05\n5%x"));
        assert!(matches!(format_date("%q", 0), Err(Failure::Usage(_))));
        assert!(matches!(format_date("a%", 0), Err(Failure::Usage(_))));
    }
}
