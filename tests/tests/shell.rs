//! The shell's commands and the small programs: what they print, their status, and what they say to bad arguments.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use images::End;
use tests::{PROMPT, Shell, machine};

const LONG: Duration = Duration::from_secs(30);

/// Checks commands one after the other, and tells of all that are wrong.
fn check_all(shell: &mut Shell, commands: &[(&str, u8, &[&str])]) -> Result<()> {
    let mut wrong = Vec::new();
    for (command, status, texts) in commands {
        if let Err(error) = shell.check(command, *status, texts) {
            wrong.push(format!("{error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The first column of a table, without its title.
fn first_column(table: &str) -> BTreeSet<&str> {
    table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn every_command_has_help() -> Result<()> {
    let mut shell = Shell::boot(&machine())?;
    let overview = shell.check("help", 0, &["COMMAND", "Programs:", "`COMMAND --help` tells more"])?;
    let (commands, programs) = overview.split_once("\n\nPrograms: ").context("no programs")?;
    let programs = programs.lines().next().unwrap_or("");
    let listed = first_column(commands);
    for command in [
        "accounts",
        "channels",
        "clear",
        "dmesg",
        "export",
        "fg",
        "free",
        "handles",
        "help",
        "history",
        "interrupts",
        "jobs",
        "kill",
        "maps",
        "nice",
        "poweroff",
        "ps",
        "reboot",
        "service",
        "sys",
        "taskset",
        "time",
        "top",
        "uptime",
        "wait",
    ] {
        ensure!(listed.contains(command), "`help` does not list {command}:\n{overview}");
    }
    for command in listed {
        let help = shell.check(&format!("{command} --help"), 0, &[&format!("usage: {command}")])?;
        ensure!(shell.check(&format!("help {command}"), 0, &[])? == help, "`help {command}` is another text");
        if ![":", "clear", "test", "top"].contains(&command) {
            shell.check(&format!("{command} --no-such-option"), 2, &[&format!("{command}: "), "usage: "])?;
        }
    }
    for program in ["cat", "date", "echo", "sleep", "true"] {
        ensure!(programs.split(' ').any(|known| known == program), "`help` does not list {program}: {programs}");
        shell.check(&format!("{program} --help"), 0, &[&format!("usage: {program}")])?;
    }
    // As everywhere, it does nothing successfully.
    shell.check("false --help", 1, &["usage: false"])?;
    check_all(
        &mut shell,
        &[
            ("help nonsense", 1, &["there is no command or program `nonsense`"]),
            ("help ps free", 2, &["unexpected `free`", "usage: help"]),
            ("help date", 0, &["date --help"]),
        ],
    )
}

#[test]
fn commands_with_good_and_bad_arguments() -> Result<()> {
    let mut shell = Shell::boot(&machine().smp(2))?;
    check_all(
        &mut shell,
        &[
            // Processes.
            ("ps", 0, &["PID", "init", "uart", "shell"]),
            ("ps -t", 0, &["TID", "fifo", "fair"]),
            ("ps -x", 2, &["there is no option -x", "usage: ps [-t]"]),
            ("ps more", 2, &["unexpected `more`"]),
            ("top -n 1", 0, &["CPU TIME", "init"]),
            ("top -n 2 -d 0", 0, &["CPU TIME"]),
            ("top -n", 2, &["a number of times is missing"]),
            ("top -n x", 2, &["`x` is not a number of times"]),
            ("top -d 0.1 -n 2", 0, &["CPU TIME"]),
            ("top -d x", 2, &["`x` is not a number of seconds"]),
            ("top all", 2, &["unexpected `all`"]),
            ("maps init", 0, &["ADDRESS", "r-x", "rw-", "mapped"]),
            ("maps shell", 0, &["ADDRESS"]),
            ("maps nobody", 1, &["there is no process `nobody`"]),
            ("maps 123456", 1, &["there is no process 123456"]),
            ("maps 99999999999999999999", 2, &["is not the number of a process"]),
            ("maps", 2, &["a process is missing", "usage: maps PID|NAME"]),
            ("maps init uart", 2, &["unexpected `uart`"]),
            ("handles uart", 0, &["HANDLE", "channel", "interrupt", "ioports"]),
            ("handles", 2, &["a process is missing"]),
            ("handles nobody", 1, &["there is no process `nobody`"]),
            ("handles 123456", 1, &["there is no process 123456"]),
            ("accounts", 0, &["shell limit", "shell used"]),
            ("accounts all", 2, &["unexpected `all`"]),
            // The system.
            ("free", 0, &["TOTAL", "MiB"]),
            ("free -b", 0, &["memory"]),
            ("free -q", 2, &["there is no option -q"]),
            ("free now", 2, &["unexpected `now`"]),
            ("uptime", 0, &["up 0:0", "2 CPUs", "processes"]),
            ("uptime -x", 2, &["unexpected `-x`"]),
            ("channels", 0, &["CHANNEL", "console"]),
            ("channels x", 2, &["unexpected `x`"]),
            ("interrupts", 0, &["LINE", "uart"]),
            ("interrupts x", 2, &["unexpected `x`"]),
            ("dmesg", 0, &["kernel: "]),
            ("dmesg -n 1", 0, &["["]),
            ("dmesg -l emerg", 0, &[]),
            ("dmesg -l 6 kernel", 0, &["kernel: "]),
            ("dmesg -l", 2, &["a level is missing"]),
            ("dmesg -l loud", 2, &["`loud` is not a level: emerg alert"]),
            ("dmesg -l 8", 2, &["`8` is not a level"]),
            ("dmesg -n many", 2, &["`many` is not a number"]),
            ("dmesg -q", 2, &["there is no option -q"]),
            // Killing, priorities, CPUs.
            ("kill", 2, &["nothing to kill", "usage: kill"]),
            ("kill -9 1", 2, &["there is no option -9: there are no signals"]),
            ("kill nobody", 1, &["no service and no program of this shell is called nobody"]),
            ("kill 123456", 1, &["has the number 123456"]),
            ("kill 0", 1, &["has the number 0"]),
            ("kill %3", 1, &["there is no job %3"]),
            ("kill %x", 2, &["`x` is not the number of a job"]),
            // One that is not there does not keep the others alive.
            ("kill nobody rtc; echo $?; date", 0, &["nobody\n1\n", "UTC"]),
            ("service info rtc", 0, &["incarnation  2", "last exit    killed"]),
            // init, as anything else; it does not notice itself.
            ("kill init; service kill init; service restart init", 0, &[]),
            ("ps", 0, &["init"]),
            ("dmesg init", 0, &["init goes on as incarnation 4"]),
            ("nice echo nice", 0, &["nice\n"]),
            ("nice -n -20 echo nice", 0, &["nice\n"]),
            ("nice -n 19 false", 1, &[]),
            ("nice -f 5 echo real-time", 0, &["real-time\n"]),
            ("nice -r 63 echo real-time", 0, &["real-time\n"]),
            ("nice", 2, &["a program is missing"]),
            ("nice -n", 2, &["a nice value is missing"]),
            ("nice -n 20 true", 2, &["a nice value is from -20 to 19, not 20"]),
            ("nice -n x true", 2, &["`x` is not a nice value"]),
            ("nice -f 64 true", 2, &["a priority is from 1 to 63, not 64"]),
            ("nice -f 0 true", 2, &["a priority is from 1 to 63, not 0"]),
            ("nice -q true", 2, &["there is no option -q"]),
            ("nice ps", 1, &["`ps` is a part of the shell"]),
            ("nice nonsense", 127, &["nonsense: there is no command or program"]),
            ("nice -n 5 -p 1", 1, &["1 is not a program that this shell started"]),
            ("taskset 1 echo there", 0, &["there\n"]),
            ("taskset 0-1 echo there", 0, &["there\n"]),
            ("taskset all true", 0, &[]),
            ("taskset 0x2 false", 1, &[]),
            ("taskset 7 true", 1, &["there is no such CPU: there are 2"]),
            ("taskset", 2, &["a list of CPUs is missing"]),
            ("taskset x true", 2, &["`x` is not a list of CPUs"]),
            ("taskset 0", 2, &["a program is missing"]),
            ("taskset 0 nonsense", 127, &["nonsense: there is no command"]),
            ("taskset 0 -p 1", 1, &["1 is not a program that this shell started"]),
            ("time true", 0, &[" us)"]),
            ("time false", 1, &[" us)"]),
            ("time uptime", 0, &["up 0:0", " us)"]),
            ("time nonsense", 127, &["nonsense: there is no command", " us)"]),
            ("time", 2, &["a command is missing"]),
        ],
    )
}

#[test]
fn programs_and_views_with_good_and_bad_arguments() -> Result<()> {
    let mut shell = Shell::boot(&machine())?;
    check_all(
        &mut shell,
        &[
            // Small programs.
            ("echo", 0, &["\n"]),
            ("echo a  b", 0, &["a b\n"]),
            ("echo -n a; echo b", 0, &["ab\n"]),
            ("echo -x", 0, &["-x\n"]),
            ("true", 0, &[]),
            ("false", 1, &[]),
            ("true and more", 0, &[]),
            ("false and more", 1, &[]),
            ("sleep 0.01", 0, &[]),
            ("sleep .01 0.01s 0m", 0, &[]),
            ("sleep", 2, &["usage: sleep"]),
            ("sleep x", 2, &["`x` is not a time"]),
            ("sleep -1", 2, &["`-1` is not a time"]),
            ("sleep 0 1y", 2, &["`1y` is not a time"]),
            ("date", 0, &["UTC", ":"]),
            ("date -u", 0, &["UTC"]),
            ("date +%s", 0, &["1"]),
            ("date '+%Y-%m-%d %H:%M:%S %%'", 0, &["20", "-", ":", " %\n"]),
            ("date +%q", 2, &["`%q`"]),
            ("date -x", 2, &["unexpected `-x`", "usage: date"]),
            ("date now", 2, &["unexpected `now`"]),
            ("cat /none", 1, &["cat: /none: no such file"]),
            // Services.
            ("service", 0, &["NAME", "uart", "ready"]),
            ("service list", 0, &["NAME", "LAST EXIT", "shell"]),
            ("service list all", 2, &["unexpected `all`"]),
            ("service info uart rtc", 0, &["uart\n", "state        ready", "rtc\n", "incarnation  1"]),
            ("service info", 2, &["the name of a service is missing", "usage: service"]),
            ("service info nothing", 1, &["there is no service `nothing`"]),
            ("service info nothing rtc", 1, &["there is no service `nothing`", "rtc\n"]),
            ("service begin uart", 2, &["`begin` is none of list, info, start, stop, restart, kill"]),
            ("service start nothing", 1, &["there is no service `nothing`"]),
            ("service stop nothing", 1, &["there is no service `nothing`"]),
            ("service restart nothing", 1, &["there is no service `nothing`"]),
            ("service kill nothing", 1, &["there is no service `nothing`"]),
            ("service start uart", 0, &[]),
            ("service stop init", 1, &["init itself can be killed and restarted, and nothing else"]),
            ("service stop console", 1, &["others depend on `console`: stop them first"]),
            // Jobs and variables.
            ("jobs", 0, &[]),
            ("jobs all", 2, &["unexpected `all`"]),
            ("fg", 1, &["nothing runs in the background"]),
            ("fg %1", 1, &["there is no job %1"]),
            ("fg x", 2, &["`x` is not the number of a job"]),
            ("fg 1 2", 2, &["unexpected `2`"]),
            ("wait", 0, &[]),
            ("wait 5", 2, &["unexpected `5`"]),
            ("export A=one B='two words'", 0, &[]),
            ("export", 0, &["A=one\n", "B=two words\n"]),
            ("echo $A \"${B}s\" '$A' $NONE", 0, &["one two wordss $A\n"]),
            ("export 1=x", 2, &["`1=x` is not NAME=VALUE"]),
            ("export 1A", 2, &["`1A` is not NAME=VALUE"]),
            ("export A=", 0, &[]),
            ("echo \"[$A]\" $A.", 0, &["[] .\n"]),
            ("A=5; echo $A", 0, &["5\n"]),
            ("history", 0, &["  history", "echo"]),
            ("history 5", 2, &["unexpected `5`"]),
            // Views.
            ("sys", 0, &["VIEW", "uptime"]),
            ("sys nonsense", 1, &["there is no view `nonsense`: `sys list` lists them"]),
            ("sys /sys/uptime", 0, &["up 0:0"]),
            ("sys uptime memory", 0, &["up 0:0", "TOTAL"]),
            ("poweroff 256", 2, &["`256` is not a status from 0 to 255"]),
            ("poweroff now", 2, &["`now` is not a status from 0 to 255"]),
            ("poweroff 1 2", 2, &["unexpected `2`"]),
            ("reboot now", 2, &["unexpected `now`"]),
        ],
    )?;
    let views = shell.check("sys list", 0, &["VIEW"])?;
    for view in first_column(&views) {
        let shown = shell.check(&format!("sys {view}"), 0, &[])?;
        ensure!(!shown.trim().is_empty(), "`sys {view}` shows nothing");
    }
    let bytes = shell.run("free -b")?;
    let row: Vec<u64> =
        bytes.lines().nth(1).unwrap_or("").split_whitespace().filter_map(|word| word.parse().ok()).collect();
    ensure!(row.len() == 4 && row[0] > 200 << 20 && row[0] == row[1] + row[2] + row[3], "{bytes}");
    Ok(())
}

#[test]
fn lists_quotes_and_statuses() -> Result<()> {
    let mut shell = Shell::boot(&machine())?;
    check_all(
        &mut shell,
        &[
            ("echo a; echo b", 0, &["a\nb\n"]),
            ("false; true", 0, &[]),
            ("true; false", 1, &[]),
            ("true && echo and", 0, &["and\n"]),
            ("false || echo or", 0, &["or\n"]),
            ("false && echo never", 1, &[]),
            ("true || echo never; echo $?", 0, &["0\n"]),
            ("false && echo no || echo $?", 0, &["1\n"]),
            ("nonsense; echo $?", 0, &["nonsense: there is no command", "127\n"]),
            ("echo 'one  two' \"three  four\" five\\ \\ six", 0, &["one  two three  four five  six\n"]),
            ("echo '' a \"\"", 0, &[" a \n"]),
            ("echo \"a 'b' \\\"c\\\"\" 'd \"e\"' # and no more", 0, &["a 'b' \"c\" d \"e\"\n"]),
            ("echo a';'b '&&' \\; \\&", 0, &["a;b && ; &\n"]),
            ("echo \"é ß €\"", 0, &["é ß €\n"]),
            ("", 0, &[]),
            ("   # nothing", 0, &[]),
            ("echo 'open", 2, &["the ' in column 6 is not closed"]),
            ("echo \"open", 2, &["is not closed"]),
            ("a |", 2, &["no command after `|`"]),
            ("a >", 2, &["lacks a file"]),
            ("&& a", 2, &["no command before `&&`"]),
            ("a &&", 2, &["no command after `&&`"]),
            ("ps &", 2, &["cannot run in the background"]),
            ("a && b &", 2, &["only a single"]),
            ("$NOTHING", 0, &[]),
            ("''", 127, &["there is no command or program of this name"]),
        ],
    )
}

#[test]
fn jobs_run_in_the_background_and_come_back() -> Result<()> {
    let mut shell = Shell::boot(&machine())?;
    let started = shell.check("sleep 1000 &", 0, &["[1] "])?;
    let process: u64 = started.trim().split(' ').nth(1).context("its number")?.parse()?;
    shell.check("sleep 1001 &", 0, &["[2] "])?;
    shell.check("jobs", 0, &["%1", "sleep 1000", "%2", "sleep 1001"])?;
    shell.check("ps", 0, &["sleep"])?;
    shell.check("accounts", 0, &["%1 limit", "%2 used"])?;
    shell.check("maps sleep", 1, &["several processes are called sleep: give a number"])?;
    shell.check(&format!("maps {process}"), 0, &["mapped"])?;
    shell.check(&format!("nice -n 5 -p {process}; taskset 0 -p {process}"), 0, &[])?;
    // Its end is told before the next prompt.
    shell.run(&format!("kill {process}"))?;
    shell.check("sleep 0.01; jobs", 0, &["%2"])?;
    ensure!(!shell.run("jobs")?.contains("%1"), "it is still there");
    shell.session().type_line("fg");
    shell.session().expect("\nsleep 1001", LONG)?;
    shell.session().send(b"\x03");
    shell.session().expect(PROMPT, LONG)?;
    ensure!(shell.run("echo $?")? == "130\n", "Ctrl-C");
    shell.check("jobs", 0, &[])?;
    shell.check("sleep 0.05 &", 0, &["[1] "])?;
    shell.check("wait", 0, &["[1] sleep 0.05: done"])?;
    shell.check("cat & wait", 1, &["[1] "])?;
    shell.check("sleep 1000 & kill sleep; wait", 137, &["[1] sleep 1000: "])?;
    shell.check("sleep 1000 & kill %1; fg", 137, &["killed"])?;
    Ok(())
}

#[test]
fn a_line_is_edited_completed_and_remembered() -> Result<()> {
    let mut shell = Shell::boot(&machine())?;
    for (typed, printed) in [
        ("echo helloo\x7f", "hello\n"),
        ("echo one\x15echo two", "two\n"),
        // To the start and the end, left and right, a word back, the rest of the line.
        ("cho a\x01e\x05b", "ab\n"),
        ("echo bc\x1b[D\x1b[Da\x1b[C\x1b[Cd", "abcd\n"),
        ("echo one two\x17three", "one three\n"),
        ("echo one two\x01\x1bf\x0b\x05 x", "x\n"),
        ("echo ab\x02\x04\x04c", "ac\n"),
        ("echo é\x7fe", "e\n"),
    ] {
        let output = shell.run(typed)?;
        ensure!(output.ends_with(printed), "{typed:?} prints {output:?}");
    }
    // Earlier lines.
    shell.run("echo first")?;
    shell.run("echo second")?;
    ensure!(shell.run("\x1b[A\x1b[A")?.ends_with("first\n"), "up");
    ensure!(shell.run("\x1b[A\x1b[A\x1b[A\x1b[B")?.ends_with("second\n"), "down");
    ensure!(shell.run("\x12fir")?.ends_with("first\n"), "search");
    // Words: a command, a program, a service, several.
    ensure!(shell.run("upt\t")?.contains("up 0:0"), "a command");
    ensure!(shell.run("service info conso\t")?.contains("state "), "a service");
    ensure!(shell.run("service inf\tconsole")?.contains("state "), "an action");
    shell.session().send(b"service re\t\t");
    shell.session().send(b"\x03");
    shell.session().expect("^C", LONG)?;
    shell.session().expect(PROMPT, LONG)?;
    ensure!(shell.run("echo $?")? == "130\n", "a line that is given up");
    // Ctrl-D in an empty line ends nothing, and says what does.
    shell.session().send(b"\x04");
    shell.session().expect("poweroff", LONG)?;
    shell.session().expect(PROMPT, LONG)?;
    ensure!(shell.run("echo still here")? == "still here\n", "Ctrl-D");
    Ok(())
}

#[test]
fn what_is_typed_before_the_shell_is_there_is_not_lost() -> Result<()> {
    let mut session = machine().session()?;
    session.type_line("echo typed ahead of the prompt");
    session.type_line("echo $?");
    session.expect("\ntyped ahead of the prompt", LONG)?;
    session.expect("\n0", LONG)?;
    session.expect(PROMPT, LONG)?;
    Ok(())
}

#[test]
fn control_c_ends_what_runs_and_nothing_else() -> Result<()> {
    let mut shell = Shell::boot(&machine())?;
    // A program says when it runs, by its first line.
    for (command, starts) in
        [("echo go; sleep 1000", "\ngo"), ("cat", "cat"), ("echo go; time sleep 1000; echo never", "\ngo")]
    {
        shell.session().type_line(command);
        shell.session().expect(starts, LONG)?;
        shell.session().expect("\n", LONG)?;
        shell.session().send(b"\x03");
        let text = shell.session().expect(PROMPT, LONG)?;
        ensure!(!text.contains("never"), "{command} goes on: {text}");
        ensure!(shell.run("echo $?")? == "130\n", "{command}");
    }
    for (command, starts) in [("top", "CPU TIME"), ("dmesg -f", "kernel: "), ("sleep 1000 & wait", "[1] ")] {
        shell.session().type_line(command);
        shell.session().expect(starts, LONG)?;
        shell.session().expect("\n", LONG)?;
        shell.session().send(b"\x03");
        shell.session().expect(PROMPT, LONG)?;
        ensure!(shell.run("echo $?")? == "130\n", "{command}");
    }
    shell.check("jobs", 0, &["sleep 1000"])?;
    shell.session().type_line("top");
    shell.session().expect("CPU TIME", LONG)?;
    shell.session().send(b"q");
    shell.session().expect(PROMPT, LONG)?;
    // Ctrl-D ends the input of what reads, once.
    shell.session().type_line("cat");
    shell.session().send(b"some text\r\x04");
    shell.session().expect("some text\r\nsome text\r\n", LONG)?;
    shell.session().expect(PROMPT, LONG)?;
    ensure!(shell.run("echo $?")? == "0\n", "cat");
    Ok(())
}

#[test]
fn the_machine_goes_down_as_it_is_told() -> Result<()> {
    for (command, end) in [("poweroff", 0), ("poweroff 5", 5), ("echo a; reboot; echo b", 0)] {
        let mut shell = Shell::boot(&machine())?;
        shell.session().type_line(command);
        let ended = shell.session().wait_for_end(LONG)?;
        let text = shell.session().transcript();
        ensure!(!text.ends_with("b\n"), "{text}");
        match (&ended, end) {
            (ended, 0) => ensure!(ended.is_orderly(), "{command}: {ended}\n{text}"),
            (End::Died(_), _) => {}
            (ended, _) => anyhow::bail!("{command}: {ended}\n{text}"),
        }
    }
    Ok(())
}
