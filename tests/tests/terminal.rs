//! The terminal while its servers are killed over and over: no key and no output is lost or comes twice, modes stay, Ctrl-C works.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use images::Machine;
use tempfile::TempDir;
use tests::{PROMPT, Shell, archive_with_services, machine_with_archive};

const LONG: Duration = Duration::from_secs(120);

/// Who is killed.
const VICTIMS: [&str; 3] = ["uart", "console", "log"];

/// How often each of them is.
const TIMES: u64 = 100;

/// Milliseconds from all being there to the next kill.
const PAUSE: u64 = 3;

/// Kills others.
const CHAOS: &str = "
service chaos
    binary trouble
    arguments serve
    hang never
    control
";

/// The system with the service that kills others; the archive lives as long as the folder.
fn system() -> Result<(Machine, TempDir)> {
    static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| archive_with_services(CHAOS).expect("an archive"));
    machine_with_archive(&ARCHIVE)
}

/// Has the victims killed, so often each, while other things are done.
fn begin_storm(shell: &mut Shell, times: u64) -> Result<()> {
    let started = shell.run(&format!("trouble ask chaos storm {times} {PAUSE} {} &", VICTIMS.join(" ")))?;
    ensure!(started.starts_with("[1] "), "{started:?}");
    Ok(())
}

/// What the shell printed besides its word that the storm is over.
fn without_news(printed: &str) -> String {
    let is_news = |line: &&str| line.starts_with("[1] trouble ") && line.trim_end().ends_with(": done");
    printed.split_inclusive('\n').filter(|line| !is_news(line)).collect()
}

/// Waits until all were killed so often, and looks whether anybody died by his own fault. To have hung counts for nothing here: where the host is
/// busy with other things, a server may seem to.
fn end_storm(shell: &mut Shell, times: u64) -> Result<()> {
    shell.run("wait")?;
    for service in VICTIMS {
        shell.check(&format!("trouble until {service} ready"), 0, &["ready"])?;
        let text = shell.check(&format!("service info {service}"), 0, &["incarnation"])?;
        let incarnation = text.lines().find_map(|line| line.trim().strip_prefix("incarnation")).map(str::trim);
        let incarnation: u64 = incarnation.context("no incarnation")?.parse()?;
        ensure!(incarnation > times, "{text}");
    }
    let log = shell.run("dmesg init")?;
    let is_crash = |line: &&str| line.contains("crash ") && !line.contains("killed for hanging");
    ensure!(!log.lines().any(|line| is_crash(&line)), "{log}");
    records_are_there_once(&log)
}

/// Each record of the log comes once: by its time and its text.
fn records_are_there_once(log: &str) -> Result<()> {
    let mut lines: Vec<&str> = log.lines().filter(|line| line.starts_with('[')).collect();
    ensure!(lines.iter().any(|line| line.contains("log: killed")), "{log}");
    lines.sort_unstable();
    let twice = lines.windows(2).find(|pair| pair[0] == pair[1]);
    ensure!(twice.is_none(), "{twice:?} came twice");
    Ok(())
}

/// A program's own records, written while the log server is killed, are there once and in order.
#[test]
fn the_log_has_each_record_once() -> Result<()> {
    const RECORDS: usize = 100;
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    begin_storm(&mut shell, TIMES / 2)?;
    for number in 0..RECORDS {
        shell.run(&format!("logs info record {number}"))?;
    }
    end_storm(&mut shell, TIMES / 2)?;
    let log = shell.run("dmesg logs")?;
    let records: Vec<&str> = log.lines().filter_map(|line| line.split_once(": ")).map(|(_, text)| text).collect();
    let expected: Vec<String> = (0..RECORDS).map(|number| format!("record {number}")).collect();
    ensure!(records == expected, "{log}");
    Ok(())
}

#[test]
fn no_key_is_lost_and_none_comes_twice() -> Result<()> {
    const LINES: usize = 1500;
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    begin_storm(&mut shell, TIMES)?;
    shell.session().type_line("cat > /tmp/typed");
    shell.session().expect("\n", LONG)?;
    let lines: Vec<String> = (0..LINES).map(|number| format!("line {number} of what is typed meanwhile")).collect();
    let mut echo = String::new();
    for some in lines.chunks(10) {
        for line in some {
            shell.session().send(line.as_bytes());
            shell.session().send(b"\r");
        }
        // So that it lasts as long as the storm: what is typed is shown before more is.
        let last = format!("{}\r\n", some[some.len() - 1]);
        echo += &shell.session().expect(&last, LONG).context("keys are missing")?;
    }
    shell.session().send(b"\x04");
    shell.session().expect(PROMPT, LONG)?;
    let typed: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    ensure!(echo.replace("\r\n", "\n") == typed, "what is shown is not what was typed: {}", differs(&echo, &typed));
    let read = without_news(&shell.run("cat /tmp/typed")?);
    ensure!(read == typed, "what is read is not what was typed: {}", differs(&read, &typed));
    end_storm(&mut shell, TIMES)
}

#[test]
fn no_output_is_lost_and_none_comes_twice() -> Result<()> {
    const LINES: usize = 100_000;
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    begin_storm(&mut shell, TIMES)?;
    shell.session().type_line(&format!("seq {LINES}"));
    shell.session().expect("\n", LONG)?;
    let text = shell.session().expect(PROMPT, 3 * LONG)?;
    let expected: String = (1..=LINES).map(|number| format!("{number}\r\n")).collect();
    let text = without_news(text.strip_suffix(PROMPT).unwrap_or_default());
    ensure!(text == expected, "what is shown is not what was written: {}", differs(&text, &expected));
    end_storm(&mut shell, TIMES)
}

#[test]
fn modes_stay() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    begin_storm(&mut shell, TIMES / 2)?;
    // The shell's own editor: keys that mean something to it alone.
    for round in 0..20 {
        let printed = without_news(&shell.run(&format!("echo one t\x7ftwo\x1b[D\x1b[D\x1b[D{round} \x05 three"))?);
        ensure!(printed == format!("one {round} two three\n"), "{printed:?}");
    }
    // A program that takes keys one by one.
    for round in 0..4 {
        let text: String = (0..20).map(|number| format!("line {number}\r")).collect();
        shell.session().type_line(&format!("edit /tmp/edited{round}"));
        shell.session().expect("Ctrl-Q", LONG)?;
        for (line, row) in text.split_inclusive('\r').zip(2..) {
            shell.session().send(line.as_bytes());
            // Its letters may be shown in several steps, with the status between them; in the end the cursor is at the next row.
            shell.session().expect(&format!("\x1b[{row};1H"), LONG)?;
        }
        shell.session().send(b"\x13\x11");
        shell.session().expect(PROMPT, LONG)?;
        let edited = without_news(&shell.run(&format!("cat /tmp/edited{round}"))?);
        ensure!(edited == text.replace('\r', "\n"), "{edited:?}");
    }
    end_storm(&mut shell, TIMES / 2)
}

#[test]
fn ctrl_c_works() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    begin_storm(&mut shell, TIMES / 2)?;
    for round in 0..40 {
        shell.session().type_line("echo begun; sleep 1000");
        shell.session().expect("\nbegun\r\n", LONG)?;
        shell.session().send(b"\x03");
        shell.session().expect(PROMPT, LONG)?;
        // Once: what follows is not interrupted too.
        let printed = without_news(&shell.run(&format!("echo {round} && sleep 0.01; echo $?"))?);
        ensure!(printed == format!("{round}\n0\n"), "{printed:?}");
    }
    end_storm(&mut shell, TIMES / 2)
}

/// Where two texts part.
fn differs(found: &str, expected: &str) -> String {
    let at = found.bytes().zip(expected.bytes()).take_while(|(one, other)| one == other).count();
    let part = |text: &str| {
        String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(20)..(at + 60).min(text.len())]).into_owned()
    };
    format!("at byte {at}: {:?} in place of {:?}", part(found), part(expected))
}
