//! Scripts on a machine: pipelines, redirections, loops, their statuses. What programs do with their streams, the guest program `stream` does.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::{PROMPT, Shell, exec, machine};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_script_does_what_it_says() -> Result<()> {
    let lines = [
        "#!/bin/sh",
        "cd /tmp",
        "# Redirections.",
        "stream say one > a; stream say two >> a; stream copy < a; stream say three > a; stream copy < a",
        "stream complain oh 2> errors; echo_status() { stream say \"status $?\"; }; stream copy < errors",
        "stream complain both > all 2>&1 || echo_status; stream copy < all",
        "pwd > where; export A=b; export >> where; stream copy < where",
        "stream say lost > /dev/null; stream count < /dev/null",
        "# Pipelines, of programs and of what is built in.",
        "stream make 4194304 | stream copy | stream count",
        "ps | while read pid parent name rest; do if [ \"$name\" = init ]; then stream say \"found $name\"; fi; done",
        "help | stream count > bytes; read bytes < bytes; test $bytes -gt 1000 && stream say much",
        "stream yes | stream say enough; stream say \"status $?\"",
        "for x in 1 2; do stream say $x; done | { read y; stream say \"read $y\"; }",
        "A=$(stream make 9000000) || echo_status",
        "stream say x | stream complain 2>&1 y; stream say \"status $?\"",
        "# Loops.",
        "i=0; sum=0; while [ $i -lt 200 ]; do i=$((i + 1)); sum=$((sum + i)); done; stream say $i $sum",
        "for n in 1 2 3; do stream say line $n; done > lines",
        "while read word n; do stream say \"$n-$word\"; done < lines | stream copy",
        "for file in *s; do stream say \"file $file\"; done",
        "stream say \"$# $1 $2: $(stream say inner | stream copy)\"",
        "if [ -f a ] && [ -d /tmp ] && ! [ -e nothing ]; then stream say files; else exit 1; fi",
        "nothing-like-it",
        "exit 7",
        "stream say never",
    ];
    let mut shell = Shell::boot(&machine().smp(2))?;
    for line in lines {
        shell.run(&format!("stream say '{}' >> /tmp/script", line.replace('\'', "'\\''")))?;
    }
    let text = shell.run("sh /tmp/script first 'second one'; stream say \"status $?\"")?;
    let expected = [
        "one",
        "two",
        "three",
        "oh",
        "status 3",
        "both",
        "/tmp",
        "A=b",
        "0",
        "4194304",
        "found init",
        "much",
        "enough",
        "status 0",
        "read 1",
        "/tmp/script:15: shell: that is too much output",
        "status 1",
        "y",
        "status 3",
        "200 20100",
        "1-line",
        "2-line",
        "3-line",
        "file bytes",
        "file errors",
        "file lines",
        "2 first second one: inner",
        "files",
        "/tmp/script:24: nothing-like-it: there is no command or program of this name: `help` lists them",
        "status 7",
    ];
    let found: Vec<&str> = text.lines().collect();
    ensure!(found == expected, "{text}");
    Ok(())
}

#[test]
fn many_programs_in_a_loop_leave_nothing_behind() -> Result<()> {
    let turns = "i=0; while [ $i -lt 200 ]; do i=$((i + 1)); stream say $i | stream copy >> /tmp/all; done";
    let text = exec(&machine(), &format!("{turns}; stream count < /tmp/all; ps | stream count > /tmp/count; pwd"))?;
    ensure!(text == "692\n/\n", "{text}");
    Ok(())
}

#[test]
fn control_c_ends_pipelines_and_loops() -> Result<()> {
    let mut shell = Shell::boot(&machine())?;
    for line in [
        "stream say go; stream yes | stream count; stream say never",
        "stream say go; stream yes | while read x; do :; done; stream say never",
        "stream say go; while :; do stream say x > /dev/null; done; stream say never",
        "stream say go; for x in 1 2; do stream yes; done | sleep 1000; stream say never",
        "stream say go; help | sleep 1000; stream say never",
    ] {
        shell.session().type_line(line);
        shell.session().expect("\ngo", LONG)?;
        shell.session().send(b"\x03");
        let text = shell.session().expect(PROMPT, LONG)?;
        ensure!(!text.contains("never"), "{line}: {text}");
        ensure!(shell.run("stream say $?")? == "130\n", "{line}");
    }
    // Nothing of it runs on.
    ensure!(!shell.run("ps")?.contains("stream"), "a program is left");
    // Names are completed.
    shell.run("stream say x > /tmp/a-long-name")?;
    ensure!(shell.run("stream copy < /tmp/a-l\t")?.ends_with("x\n"), "a file");
    ensure!(shell.run("cd /t\t; pwd")?.ends_with("/tmp/\n") || shell.run("pwd")? == "/tmp\n", "a directory");
    Ok(())
}
