//! init as a supervisor: services that die, hang, are stopped, killed and given up, while others use them; and init's own death.
//!
//! Besides the services of the system there are some of `tests/guest/src/bin/trouble.rs`, which do to themselves what they are asked to.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use images::Machine;
use tempfile::TempDir;
use tests::{PROMPT, Shell, archive_with_services, machine_with_archive};

const LONG: Duration = Duration::from_secs(60);

/// Services besides those of the system. `docs/manifest.md` says what each line means.
const SERVICES: &str = "
service base                    # three in a row, which say so when they end
    binary trouble
    arguments serve
    parameter quiesce yes
    session console
    quiesce 20s
service middle
    binary trouble
    arguments serve
    parameter quiesce yes
    session console
    session base
    quiesce 20s
service top
    binary trouble
    arguments serve
    parameter quiesce yes
    session console
    session middle
    quiesce 20s
service stubborn                # does not end when it is asked to
    binary trouble
    arguments serve
    quiesce 200ms
service weak                    # is given up at its second death
    binary trouble
    arguments serve
    restart always limit 1 in 10m backoff 10ms to 10ms
service slow                    # may take little time for a call
    binary trouble
    arguments serve
    hang 1s
    restart always limit 16 in 10m backoff 10ms to 10ms
service liar                    # may be replaced on one client's word three times
    binary trouble
    arguments serve
    restart always limit 6 in 10m backoff 10ms to 10ms
service late                    # never says that it serves
    binary trouble
    arguments serve
    parameter start late
    hang 1s
    restart always limit 1 in 10m backoff 10ms to 10ms
service dies                    # cannot even start
    binary trouble
    arguments serve
    parameter start exit
    restart always limit 3 in 10m backoff 400ms to 600ms
service once                    # dies, and is not started again
    binary trouble
    arguments serve
    parameter start panic
    restart never
service absent                  # is not there at all
    binary no-such-program
    optional
service chaos                   # kills others
    binary trouble
    arguments serve
    hang never
    control
";

/// The system with those services; the archive lives as long as the folder.
fn system() -> Result<(Machine, TempDir)> {
    static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| archive_with_services(SERVICES).expect("an archive"));
    machine_with_archive(&ARCHIVE)
}

/// What `service info` says of one thing.
fn info(shell: &mut Shell, service: &str, what: &str) -> Result<String> {
    let text = shell.check(&format!("service info {service}"), 0, &[what])?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix(what)).context("no such line")?;
    Ok(line.trim().to_string())
}

/// When each record was logged that contains a text, in milliseconds.
fn logged(shell: &mut Shell, text: &str) -> Result<Vec<u64>> {
    let log = shell.run("dmesg init")?;
    let time = |line: &str| -> Option<u64> {
        let (seconds, micros) = line.strip_prefix('[')?.split_once(']')?.0.trim().split_once('.')?;
        Some(seconds.parse::<u64>().ok()? * 1000 + micros.parse::<u64>().ok()? / 1000)
    };
    Ok(log.lines().filter(|line| line.contains(text)).filter_map(time).collect())
}

#[test]
fn services_that_die_are_started_again_more_and_more_slowly_and_then_given_up() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    // Who waits for it is turned away in the end.
    shell.check("trouble ask dies count", 1, &["connect: the service died too often"])?;
    let deaths = logged(&mut shell, "dies: ")?;
    ensure!(deaths.len() == 4, "{deaths:?}");
    let pauses: Vec<u64> = deaths.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // A death is logged a little after it, and it counts from itself.
    ensure!(pauses[1] >= 250 && pauses[2] >= 400, "{pauses:?}");
    shell.check("dmesg init", 0, &["alert", "dies is given up", "absent is not in the boot archive"])?;
    shell.check("service info dies", 0, &["given up", "incarnation  4", "faults       4", "status 3"])?;
    for action in ["kill", "stop", "restart"] {
        shell.check(&format!("service {action} dies"), 1, &["`dies` is given up"])?;
    }
    // Its history is forgotten when somebody starts it.
    shell.check("service start dies; trouble until dies given-up", 0, &["given-up"])?;
    shell.check("service info dies", 0, &["incarnation  8", "faults       8"])?;
    shell.check("service start absent", 1, &["`absent` is given up"])?;
    // The other policies.
    shell.check("service info once", 0, &["stopped", "incarnation  1", "panicked"])?;
    shell.check("dmesg init", 0, &["crash once: ", "asked to fall", "backtrace:"])?;
    shell.check("service start once; trouble until once stopped; service info once", 0, &["incarnation  2"])?;
    Ok(())
}

#[test]
fn callers_of_a_service_that_is_given_up_hear_closed() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    // One in a call that is parked, one that calls again and again.
    let is_parked = "cat /sys/calls | grep 'trouble .* weak .* parked' > /dev/null";
    shell.check(&format!("trouble ask weak wait & while ! {is_parked}; do sleep 0.1; done"), 0, &[])?;
    shell.check("trouble wear weak; wait", 1, &["2 deaths, then Err(Closed)", "trouble: closed"])?;
    shell.check("trouble ask weak count", 1, &["connect: the service died too often"])?;
    // Started by hand it serves again, over a new channel.
    shell.check("service start weak; trouble ask weak count", 0, &["1\n"])?;
    Ok(())
}

#[test]
fn a_service_that_hangs_is_replaced_and_one_that_waits_is_not() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    shell.check("trouble ask slow spin", 1, &["the request killed its server"])?;
    shell.check("trouble ask slow count", 0, &["1\n"])?;
    shell.check("service info slow", 0, &["incarnation  4", "faults       3", "killed for hanging"])?;
    let times = logged(&mut shell, "slow does not get on and is replaced")?.len();
    ensure!(times == 3, "it is said {times} times\n{}", shell.run("dmesg")?);
    // Parked calls have no age, and outlive the server.
    shell.check("trouble ask slow wait & sleep 2.5", 0, &[])?;
    shell.check("service kill slow; trouble ask slow count", 0, &["2\n"])?;
    shell.check("sleep 2.5; service info slow", 0, &["incarnation  5", "faults       3"])?;
    shell.check("trouble ask slow wake; wait", 0, &["1\n", "done"])?;
    // One that does not come up is one that hangs.
    shell.check("trouble until late given-up", 0, &["given-up"])?;
    shell.check("service info late", 0, &["incarnation  2", "faults       2"])?;
    Ok(())
}

#[test]
fn an_answer_that_is_hardly_ever_true_is_that_of_the_next_incarnation() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    shell.check("trouble ask liar check; trouble ask liar lie", 0, &["1\n"])?;
    // It lies to who asks and asks again; who asks a third time is told the truth by the next one.
    shell.check("trouble ask liar check", 0, &["1\n"])?;
    shell.check("service info liar", 0, &["incarnation  2", "complaints   0", "killed for hanging with code 2989"])?;
    // What the next one says, too, is the answer, and no client has a service replaced as often as it likes.
    for _ in 0..4 {
        shell.check("trouble ask liar doubt", 1, &["the file system is corrupt"])?;
    }
    shell.check("service info liar", 0, &["ready", "incarnation  4", "faults       3"])?;
    shell.check("trouble ask liar lie; trouble ask liar check", 1, &["the file system is corrupt"])?;
    shell.check("service restart liar; trouble ask liar check", 0, &["1\n"])?;
    Ok(())
}

#[test]
fn a_server_that_uses_a_number_which_it_was_not_given_is_replaced() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    shell.check("trouble ask liar count; trouble ask liar count; trouble ask liar mislay", 0, &["1\n2\n"])?;
    // The request comes to the next incarnation.
    shell.check("trouble ask liar count", 0, &["1\n"])?;
    shell.check("service info liar", 0, &["ready", "incarnation  2", "faults       1"])?;
    shell.check("dmesg liar", 0, &["Signal: the handle", "names nothing"])?;
    Ok(())
}

#[test]
fn services_are_stopped_started_and_restarted_with_their_dependents() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    shell.check("service stop base", 1, &["others depend on `base`: stop them first"])?;
    shell.check("service stop middle", 1, &["others depend on `middle`"])?;
    for service in ["top", "middle", "base"] {
        let command = format!("service stop {service} && trouble until {service} stopped");
        shell.check(&command, 0, &["stopped", &format!("{service} ends\n")])?;
        shell.check(&format!("service info {service}"), 0, &["state        stopped", "exited with status 0"])?;
    }
    shell.check("service stop base", 1, &["`base` is stopped"])?;
    shell.check("service kill base", 1, &["`base` is stopped"])?;
    // A call to what is stopped waits until somebody starts it.
    shell.check("trouble ask base count &", 0, &["[1] "])?;
    shell.check("service start base middle top; wait", 0, &["1\n", "done"])?;
    shell.check("service restart base; trouble ask base count", 0, &["base ends", "1\n"])?;
    shell.check("trouble ask top count", 0, &["1\n"])?;
    ensure!(info(&mut shell, "base", "incarnation")? == "3", "each start is one");
    ensure!(info(&mut shell, "top", "incarnation")? == "2", "who depends on it goes on");
    // By force at its deadline.
    shell.check("service stop stubborn; trouble until stubborn stopped", 0, &["stopping", "stopped"])?;
    ensure!(info(&mut shell, "stubborn", "last exit")? == "killed", "it does not end by itself");
    // Kills are logged as well.
    shell.check("service kill top; trouble ask top count; dmesg init", 0, &["top: killed"])?;
    Ok(())
}

#[test]
fn the_machine_goes_down_in_order() -> Result<()> {
    for (command, kills_init) in [("poweroff", false), ("reboot", false), ("poweroff", true)] {
        let (machine, _folder) = system()?;
        let mut shell = Shell::boot(&machine.smp(2))?;
        shell.check("trouble until top ready", 0, &["ready"])?;
        if kills_init {
            shell.check("trouble ask chaos storm 20 5 init &", 0, &["[1] "])?;
        }
        shell.session().type_line(command);
        let end = shell.session().wait_for_end(LONG)?;
        let text = shell.session().transcript();
        ensure!(end.is_orderly(), "{command}: {end}\n{text}");
        let places = ["top ends", "middle ends", "base ends"].map(|words| text.find(words));
        ensure!(places.is_sorted() && places[0].is_some(), "{command}: {places:?}\n{text}");
    }
    Ok(())
}

#[test]
fn init_dies_and_what_it_knew_goes_on() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    let known = init_knows_what_it_knew(&mut shell);
    with_log(known, &mut shell)
}

fn init_knows_what_it_knew(shell: &mut Shell) -> Result<()> {
    shell.check("trouble until top ready", 0, &["ready"])?;
    let number = shell.run("ps")?;
    let number = number.lines().find(|line| line.contains(" init ")).and_then(|line| line.split_whitespace().next());
    let kill = format!("kill {}", number.context("init's number")?);
    // Names.
    shell.check("trouble ask base publish basement", 0, &[])?;
    shell.check("trouble ask top publish basement", 1, &["the name is taken"])?;
    shell.check(&kill, 0, &[])?;
    shell.check("trouble ask basement count", 0, &["1\n"])?;
    shell.check("trouble ask top publish basement", 1, &["the name is taken"])?;
    // Who waits for a service, and who watches one.
    shell.check("service stop top; trouble until top stopped", 0, &["top ends"])?;
    shell.check("trouble ask top count &", 0, &["[1] "])?;
    shell.check("trouble until top ready &", 0, &["[2] "])?;
    shell.check(
        "kill init; service start top; wait",
        0,
        &["trouble ask top count: done", "trouble until top ready: done"],
    )?;
    // Complaints of three clients: the third one's is heard by another init.
    shell.check("trouble complain slow; trouble complain slow", 0, &[])?;
    ensure!(info(shell, "slow", "complaints")? == "2", "they are counted");
    shell.check("service kill init; service info slow", 0, &["complaints   2", "incarnation  1"])?;
    shell.check("trouble complain slow; trouble ask slow count", 0, &["1\n"])?;
    shell.check("service info slow", 0, &["complaints   0", "incarnation  2", "killed for hanging with code 2989"])?;
    // Deaths and the polite end.
    shell.check("service kill init; service kill uart; service kill init; service kill console", 0, &[])?;
    shell.check("service kill init; service stop top; trouble until top stopped", 0, &["top ends"])?;
    // What was given up stays so.
    shell.check(
        "trouble until dies given-up; kill init; trouble ask dies count",
        1,
        &["the service died too often"],
    )?;
    shell.check("dmesg init", 0, &["init goes on as incarnation 7"])?;
    Ok(())
}

/// Types something, and waits for the answer.
fn type_for(shell: &mut Shell, typed: &str, answer: &str) -> Result<()> {
    shell.session().send(typed.as_bytes());
    shell.session().expect(answer, LONG).map(drop)
}

/// The services of the system that anybody's work goes through.
const SYSTEM: [&str; 8] = ["uart", "console", "log", "rtc", "random", "null", "zero", "full"];

#[test]
fn a_storm_of_kills_is_survived() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    let survived = survive_a_storm(&mut shell);
    with_log(survived, &mut shell)
}

/// An error with what init logged.
fn with_log(result: Result<()>, shell: &mut Shell) -> Result<()> {
    result.map_err(|error| match logged_ends(shell) {
        Ok(log) => error.context(log),
        Err(_) => error.context("and then the shell does not answer"),
    })
}

/// What init logged besides the kills that were asked for: for who has to find out what went wrong.
fn logged_ends(shell: &mut Shell) -> Result<String> {
    type_for(shell, "\x03\x15echo lo''g\r", "log\r\n")?;
    shell.session().expect(PROMPT, LONG)?;
    let log = shell.run("dmesg init")?;
    let is_news = |line: &&str| !line.contains(": killed (code 0x0)") && !line.contains("goes on as");
    Ok(log.lines().filter(is_news).collect::<Vec<&str>>().join("\n"))
}

fn survive_a_storm(shell: &mut Shell) -> Result<()> {
    const TIMES: u64 = 20;
    // What others do to themselves at boot is over.
    shell.check("trouble until late given-up; trouble until dies given-up", 0, &[])?;
    shell.session().type_line(&format!("trouble ask chaos storm {TIMES} 5 {} init &", SYSTEM.join(" ")));
    shell.session().expect("[1] ", LONG)?;
    // A program waits, some write, one reads.
    type_for(shell, "\x15sleep 0.5 && echo wa''ited\r", "waited")?;
    for number in 0..10 {
        type_for(shell, &format!("\x15echo o''ne {number}\r"), &format!("one {number}"))?;
    }
    type_for(shell, "\x15date '+%Y is the y''ear'\r", "is the year")?;
    type_for(shell, "\x15cat\r", "\n")?;
    for number in 0..10 {
        let line = format!("line {number}");
        // Its copy, not its echo.
        type_for(shell, &format!("\r{line}\r"), &format!("\n{line}\r\n"))?;
    }
    type_for(shell, "\x03", PROMPT)?;
    type_for(shell, "\x15wait\x0d", "storm")?;
    type_for(shell, "\x15echo o''ver\r", "over\r\n")?;
    shell.session().expect(PROMPT, LONG)?;
    // Nobody died by his own fault, and all are there.
    shell.check("echo still here", 0, &["still here\n"])?;
    for service in SYSTEM {
        let text = shell.check(&format!("trouble until {service} ready; service info {service}"), 0, &["ready"])?;
        ensure!(text.contains("faults       0"), "{text}");
        ensure!(text.contains(&format!("incarnation  {}\n", TIMES + 1)), "{text}");
    }
    shell.check("dmesg init", 0, &[&format!("init goes on as incarnation {}", TIMES + 1)])?;
    Ok(())
}

#[test]
fn the_shell_is_killed_again_and_again() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    for round in 0..10 {
        shell.session().type_line("service kill shell");
        shell.session().expect("\n", LONG)?;
        shell.session().expect(PROMPT, LONG)?;
        ensure!(shell.run(&format!("echo {round}"))?.ends_with(&format!("{round}\n")), "round {round}");
    }
    // With a program in the foreground, which goes on, and hears of Ctrl-C from the next shell.
    for _ in 0..10 {
        shell.session().type_line("trouble ask chaos storm 1 50 shell & sleep 1001");
        shell.session().expect("[1] ", LONG)?;
        // The next one asks for the size of the terminal.
        shell.session().expect("\x1b[6n", LONG)?;
        shell.session().send(b"\x03");
        shell.session().expect(PROMPT, LONG)?;
        shell.check("wait", 0, &[])?;
    }
    let processes = shell.check("ps", 0, &["shell"])?;
    ensure!(!processes.contains("sleep"), "{processes}");
    shell.check("service info shell", 0, &["incarnation  21", "faults       0"])?;
    Ok(())
}
