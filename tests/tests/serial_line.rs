//! The serial line, the console and the other first servers on the machine: what is typed, pasted and printed arrives, also
//! when a server in between dies.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::{PROMPT, Shell, exec, machine};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn what_is_typed_is_edited_run_and_shown() -> Result<()> {
    let mut shell = Shell::boot(&machine())?;
    assert_eq!(shell.run("echo helloo\x7f")?, "hello\n");
    assert_eq!(shell.run("echo one\x15echo two")?, "two\n");
    // A program reads lines in canonical mode.
    shell.session().type_line("cat");
    shell.session().send(b"abx\x7fc\r");
    shell.session().expect("abc", LONG)?;
    shell.session().send(b"\x04");
    shell.session().expect(PROMPT, LONG)?;
    // Ctrl-C ends what runs.
    shell.session().type_line("sleep 1000");
    std::thread::sleep(Duration::from_millis(300));
    shell.session().send(b"\x03");
    shell.session().expect(PROMPT, LONG)?;
    assert_eq!(shell.run("echo still here")?, "still here\n");
    Ok(())
}

#[test]
fn nothing_that_is_pasted_is_lost() -> Result<()> {
    let mut shell = Shell::boot(&machine())?;
    shell.session().type_line("cat");
    let lines: Vec<String> =
        (0..600).map(|number| format!("line {number} of what is pasted, longer than the FIFO#")).collect();
    for line in &lines {
        shell.session().send(line.as_bytes());
        shell.session().send(b"\r");
    }
    shell.session().send(b"\x04");
    let text = shell.session().expect(PROMPT, LONG)?;
    // Each comes twice: as echo, which the other may tear apart, and as what `cat` wrote.
    let missing = lines.iter().find(|line| !text.contains(line.as_str()));
    ensure!(missing.is_none(), "{missing:?} is missing");
    for character in ["#", "\n", "w"] {
        let typed: usize = lines.iter().map(|line| line.matches(character).count()).sum();
        let typed = if character == "\n" { lines.len() } else { typed };
        let shown = text.matches(character).count();
        // The command's own echo ends with a newline, too.
        ensure!((2 * typed..=2 * typed + 1).contains(&shown), "{character:?} comes {shown} times, not {}", 2 * typed);
    }
    Ok(())
}

#[test]
fn the_shell_survives_the_death_of_uart_and_console() -> Result<()> {
    let mut shell = Shell::boot(&machine())?;
    for round in 0..3 {
        for server in ["uart", "console"] {
            shell.session().type_line(&format!("service kill {server}"));
            std::thread::sleep(Duration::from_millis(500));
            shell.session().send(b"\x15\r");
            shell.session().expect(PROMPT, LONG)?;
            shell.session().type_line(&format!("echo {server} {round}"));
            shell.session().expect(&format!("\n{server} {round}"), LONG)?;
            shell.session().expect(PROMPT, LONG)?;
        }
    }
    Ok(())
}

#[test]
fn the_clock_goes_and_log_and_services_are_there() -> Result<()> {
    let text = exec(&machine(), "service list; dmesg; date")?;
    for service in ["uart", "console", "log", "rtc", "random", "null", "zero", "full", "shell"] {
        ensure!(text.lines().any(|line| line.starts_with(service) && line.contains("ready")), "{service}: {text}");
    }
    ensure!(text.contains("kernel:"), "the log has the kernel's records: {text}");
    ensure!(text.lines().last().is_some_and(|line| line.contains("UTC")), "{text}");
    Ok(())
}
