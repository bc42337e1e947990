//! The kernel's command line, as a person gives it with `--append`: a slip of the pen is told before anything boots. The words are
//! those of `docs/command-line.md`.

use crate::percent;
use anyhow::{Result, bail, ensure};
use libsys::abi::boot::COMMAND_LINE_BYTES;
use libsys::log::Level;

/// Parameters that belong to no service of the manifest: those of the programs that run in place of init.
const GUEST: &str = "guest";

/// The parameter of the shell that `--exec` sets.
pub const EXEC: &str = "shell.exec=";

/// Checks words for the command line. `services` are the names in the manifest.
///
/// # Errors
/// A word that means nothing, and what there is instead; or more than the kernel takes.
pub fn check(text: &str, services: &[String]) -> Result<()> {
    check_length(text)?;
    text.split_ascii_whitespace().try_for_each(|word| check_word(word, services))
}

/// Checks that a whole command line is not longer than the kernel takes.
///
/// # Errors
/// It is.
pub fn check_length(text: &str) -> Result<()> {
    ensure!(
        text.len() <= COMMAND_LINE_BYTES,
        "the kernel's command line has at most {COMMAND_LINE_BYTES} bytes, not {}",
        text.len()
    );
    Ok(())
}

/// Checks that commands for `--exec` have room behind what else is on the command line. What does not would not even get as far as the kernel, which could not say so.
///
/// # Errors
/// They are too long, and how much too long.
pub fn check_commands(before: &str, commands: &str) -> Result<()> {
    let others = EXEC.len() + if before.is_empty() { 0 } else { before.len() + 1 };
    let room = COMMAND_LINE_BYTES.saturating_sub(others);
    let bytes = percent::encode(commands).len();
    ensure!(
        bytes <= room,
        "the commands take {bytes} bytes of the kernel's command line, and at most {room} are left of its {COMMAND_LINE_BYTES}; blanks and most signs take three"
    );
    Ok(())
}

fn check_word(word: &str, services: &[String]) -> Result<()> {
    let Some((name, value)) = word.split_once('=') else {
        bail!("`{word}` on the command line is not NAME=VALUE; there are log=, init= and SERVICE.PARAMETER=")
    };
    match (name, name.split_once('.')) {
        ("log", _) => {
            let levels = || Level::ALL.map(|level| level.name()).join(" ");
            ensure!(
                value == "serial" || value.parse::<Level>().is_ok(),
                "`{word}`: log= takes `serial`, or a level: {}",
                levels()
            );
        }
        ("init", _) => ensure!(!value.is_empty(), "`{word}`: init= takes a program of the boot archive, as bin/NAME"),
        (_, Some((_, ""))) => bail!("`{word}`: the name of a parameter is missing"),
        (_, Some((service, _))) => {
            ensure!(
                service == GUEST || services.iter().any(|known| is_or_is_instance(service, known)),
                "`{word}`: there is no service `{service}`, but {}",
                services.join(" ")
            );
            ensure!(!word.starts_with(EXEC), "`{word}`: use --exec, which encodes the commands");
        }
        _ => bail!("`{word}`: the kernel knows log= and init=, and services have SERVICE.PARAMETER="),
    }
    Ok(())
}

/// Whether a name is that of an entry of the manifest, or of an instance of it.
fn is_or_is_instance(name: &str, entry: &str) -> bool {
    name.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> String {
        let services = ["uart", "log", "shell"].map(str::to_string);
        check(text, &services).map_or_else(|error| error.to_string(), |()| "good".to_string())
    }

    #[test]
    fn what_means_something_is_good() {
        for text in [
            "",
            "log=serial log=debug",
            "log=7",
            "init=bin/suite guest.arguments=a,b",
            "uart.baud=9600  uart-1.baud=9600 log.show=info",
        ] {
            assert_eq!(checked(text), "good", "{text}");
        }
    }

    #[test]
    fn commands_are_as_long_as_they_are_encoded() {
        let room = COMMAND_LINE_BYTES - EXEC.len();
        let checked = |before: &str, commands: &str| {
            check_commands(before, commands).map_or_else(|error| error.to_string(), |()| "good".to_string())
        };
        assert_eq!(checked("", &"x".repeat(room)), "good");
        assert!(checked("", &"x".repeat(room + 1)).contains("at most 3061 are left of its 3072"));
        assert_eq!(checked("log=debug", &"x".repeat(room - 10)), "good");
        assert!(checked("log=debug", &"x".repeat(room - 9)).contains("take 3052 bytes"));
        assert_eq!(checked("", &";".repeat(room / 3)), "good");
        assert!(checked("", &"; ".repeat(room / 6 + 1)).contains("blanks and most signs take three"));
        assert!(checked(&"x".repeat(4000), "ps").contains("at most 0"));
    }

    #[test]
    fn what_means_nothing_is_told() {
        for (text, why) in [
            ("quiet", "is not NAME=VALUE"),
            ("log=loud", "log= takes `serial`, or a level: emergency alert"),
            ("init=", "init= takes a program"),
            ("root=/dev/sda", "the kernel knows log= and init="),
            ("urat.baud=9600", "there is no service `urat`, but uart log shell"),
            ("uart.=9600", "the name of a parameter is missing"),
            ("shell.exec=ps", "use --exec"),
            (&format!("init={}", "x".repeat(COMMAND_LINE_BYTES)), "at most 3072 bytes, not 3077"),
        ] {
            assert!(checked(text).contains(why), "{text}: {}", checked(text));
        }
    }
}
