//! Named tests, run one after the other: a line for each, and a last one with their numbers.

use crate::say;
use alloc::format;
use alloc::string::{String, ToString};
use core::panic::Location;
use libsys::program::LoadError;
use libsys::{ExitStatus, client::CallError};

/// Why a test did not succeed.
#[derive(Debug)]
pub struct Failure {
    text: String,
    place: &'static Location<'static>,
    is_skip: bool,
}

impl Failure {
    /// A failure, at the caller's place.
    #[track_caller]
    pub fn new(text: impl ToString) -> Failure {
        Failure { text: text.to_string(), place: Location::caller(), is_skip: false }
    }

    /// The same failure, said otherwise.
    pub fn with_text(self, text: impl ToString) -> Failure {
        Failure { text: text.to_string(), ..self }
    }

    /// What the test needs is not there.
    #[track_caller]
    pub fn skip(text: impl ToString) -> Failure {
        Failure { is_skip: true, ..Failure::new(text) }
    }
}

impl From<LoadError> for Failure {
    #[track_caller]
    fn from(error: LoadError) -> Failure {
        Failure::new(error)
    }
}

impl<E: core::fmt::Debug> From<CallError<E>> for Failure {
    #[track_caller]
    fn from(error: CallError<E>) -> Failure {
        Failure::new(format!("{error:?}"))
    }
}

/// How a test ends.
pub type Outcome<T = ()> = Result<T, Failure>;

/// A test.
#[derive(Clone, Copy)]
pub struct Test {
    /// Its name: that of its function.
    pub name: &'static str,
    /// What it does.
    pub run: fn() -> Outcome,
}

/// Lists tests by their functions.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$($crate::test::Test { name: stringify!($name), run: $name }),*] };
}

/// Fails the test unless something holds.
#[macro_export]
macro_rules! check {
    ($condition:expr) => {
        if !$condition {
            return Err($crate::test::Failure::new(stringify!($condition)));
        }
    };
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err($crate::test::Failure::new(format_args!($($text)*)));
        }
    };
}

/// Fails the test unless two values are equal.
#[macro_export]
macro_rules! check_eq {
    ($left:expr, $right:expr) => {
        match (&$left, &$right) {
            (left, right) => {
                if *left != *right {
                    let text = format_args!("{} is {left:?}, not {right:?}", stringify!($left));
                    return Err($crate::test::Failure::new(text));
                }
            }
        }
    };
}

/// Runs the tests of some groups whose names, `GROUP.TEST`, contain one of `wanted`; all where that is empty.
pub fn run_all(groups: &[(&str, &[Test])], wanted: &[String]) -> ExitStatus {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (group, tests) in groups {
        for test in *tests {
            let name = format!("{group}.{}", test.name);
            if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
                continue;
            }
            match (test.run)() {
                Ok(()) => {
                    passed += 1;
                    say!("ok {name}");
                }
                Err(Failure { text, is_skip: true, .. }) => {
                    skipped += 1;
                    say!("skip {name}: {text}");
                }
                Err(Failure { text, place, .. }) => {
                    failed += 1;
                    say!("FAIL {name}: {text} ({}:{})", place.file(), place.line());
                }
            }
        }
    }
    if skipped > 0 {
        say!("{skipped} skipped");
    }
    say!("{passed} passed, {failed} failed");
    if failed == 0 && passed + skipped > 0 { ExitStatus::SUCCESS } else { ExitStatus::FAILURE }
}
