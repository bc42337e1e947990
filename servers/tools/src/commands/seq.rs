//! `seq`: numbers in a row.

use alloc::format;
use alloc::string::String;
use libsys::ExitStatus;
use libsys::io::Write;
use tools::{Arguments, Failure, Options};

const HELP: &str = "usage: seq [-w] [-s TEXT] [FIRST [STEP]] LAST
Shows the numbers from FIRST, or 1, to LAST, in steps of STEP, or 1; they may have decimals, and be negative.
  -s  the text between numbers, instead of a newline
  -w  all as wide as the widest, with zeros in front
";

/// Most decimals.
const DECIMALS: usize = 18;

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        // A negative number is no option.
        let start = arguments.iter().position(|word| is_number(word)).unwrap_or(arguments.len());
        let separated = start > 0 && arguments[start - 1] == "-s";
        let options = Options::parse("ws:", &arguments[..start + usize::from(separated && start < arguments.len())])?;
        let mut numbers = arguments[start + usize::from(separated && start < arguments.len())..].iter();
        let first_words = options.operands.iter().copied().chain(numbers.by_ref().map(String::as_str));
        let words: alloc::vec::Vec<&str> = first_words.collect();
        let (first, step, last) = match words[..] {
            [last] => ("1", "1", last),
            [first, last] => (first, "1", last),
            [first, step, last] => (first, step, last),
            [] => return Err(Failure::Usage("a number is missing".into())),
            [_, _, _, extra, ..] => return Err(Failure::Usage(format!("unexpected `{extra}`"))),
        };
        let decimals = decimals_of(first).max(decimals_of(step));
        let scale = decimals.max(decimals_of(last));
        let number = |text: &str| parse(text, scale).ok_or_else(|| Failure::Usage(format!("`{text}` is not a number")));
        let (first, step, last) = (number(first)?, number(step)?, number(last)?);
        if step == 0 {
            return Err(Failure::Usage("the step is 0".into()));
        }
        let width = if options.has('w') {
            show(first, scale, decimals, 0).len().max(show(last, scale, decimals, 0).len())
        } else {
            0
        };
        let separator = options.value('s').unwrap_or("\n");
        let (mut number, mut before) = (first, "");
        while if step > 0 { number <= last } else { number >= last } {
            write!(out, "{before}{}", show(number, scale, decimals, width))?;
            (number, before) = (number.saturating_add(step), separator);
        }
        if !before.is_empty() || number != first {
            writeln!(out)?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}

fn is_number(word: &str) -> bool {
    parse(word, DECIMALS).is_some()
}

fn decimals_of(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

/// A number, multiplied by a power of ten.
fn parse(text: &str, scale: usize) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let good = |text: &str| text.len() <= DECIMALS && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + decimals.len() == 0 || !good(whole) || !good(decimals) || decimals.len() > scale {
        return None;
    }
    let value: i128 = format!("{whole}{decimals:0<scale$}").parse().ok()?;
    Some(if negative { -value } else { value })
}

fn show(number: i128, scale: usize, decimals: usize, width: usize) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let unit = 10i128.pow(scale as u32);
    let (whole, rest) = (number.abs() / unit, number.abs() % unit);
    let fraction = format!("{rest:0scale$}");
    let fraction = if decimals > 0 { format!(".{}", &fraction[..decimals]) } else { String::new() };
    let width = width.saturating_sub(sign.len() + fraction.len());
    format!("{sign}{whole:0width$}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_decimals() {
        assert_eq!((parse("-1.5", 2), parse(".5", 1), parse("3", 0)), (Some(-150), Some(5), Some(3)));
        for wrong in ["", ".", "-", "1x", "1.2.3", "--1", "1e3"] {
            assert_eq!(parse(wrong, 3), None, "{wrong}");
        }
        assert_eq!(
            (show(-150, 2, 1, 0), show(5, 1, 1, 0), show(7, 0, 0, 3)),
            ("-1.5".into(), "0.5".into(), "007".into())
        );
    }
}
