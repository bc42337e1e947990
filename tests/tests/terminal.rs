//! The terminal while its servers are killed over and over: no key and no output is lost or comes twice, modes stay, Ctrl-C works.

use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use images::{Image, Machine};
use tempfile::TempDir;
use tests::{PROMPT, Shell, image};

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

fn archive() -> Result<Vec<u8>> {
    let mut archive = image().programs_archive()?;
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../init/manifest"))?;
    archive.manifest(format!("{manifest}{CHAOS}").into_bytes());
    archive.bytes()
}

/// The system with the service that kills others; the archive lives as long as the folder.
fn system() -> Result<(Machine, TempDir)> {
    static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| archive().expect("an archive"));
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("boot.tar");
    fs::write(&path, &*ARCHIVE)?;
    Ok((Machine::new(&Image { archive: path, ..image().clone() }), folder))
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

/// Waits until all were killed so often, and looks whether anybody died by his own fault.
fn end_storm(shell: &mut Shell, times: u64) -> Result<()> {
    shell.run("wait")?;
    for service in VICTIMS {
        let text = shell.check(&format!("trouble until {service} ready; service info {service}"), 0, &["ready"])?;
        if !text.contains("faults       0") {
            let is_news = |line: &&str| !line.contains(": killed (code 0x0)");
            let log = shell.run("dmesg init uart console log")?;
            bail!("{text}\n{}", log.lines().filter(is_news).collect::<Vec<&str>>().join("\n"));
        }
        ensure!(text.contains(&format!("incarnation  {}\n", times + 1)), "{text}");
    }
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
        for line in text.split_inclusive('\r') {
            shell.session().send(line.as_bytes());
            shell.session().expect(line.trim_end(), LONG)?;
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
