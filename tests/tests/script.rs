//! The shell's language on a machine, with the commands of /bin: pipelines, redirections, patterns, loops, scripts, their statuses, Ctrl-C.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tests::{PROMPT, Shell, exec, machine, system};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_script_does_what_it_says() -> Result<()> {
    let lines = [
        "#!/bin/sh",
        "cd /tmp",
        "# Redirections.",
        "echo one > a; echo two >> a; cat < a; echo three > a; cat < a > b; cat b",
        "ls /none 2> errors; echo_status() { echo \"status $?\"; }; echo_status; cat < errors",
        "ls /none /dev/null > all 2>&1 || echo_status; cat all; ls /none 2>&1 > /dev/null | wc -l",
        "pwd > where; export A=b; env | grep ^A >> where; cat < where",
        "echo lost > /dev/null; wc -c < /dev/null; cat < /none || echo_status",
        "# Pipelines, of programs and of what is built in.",
        "ls / | grep bin | wc -l",
        "head -c 4194304 /dev/zero | cat | wc -c",
        "ps | while read pid parent name rest; do if [ \"$name\" = init ]; then echo \"found $name\"; fi; done",
        "help | wc -c > bytes; read bytes < bytes; test $bytes -gt 1000 && echo much",
        "yes | head -n 1; echo \"status $?\"",
        "for x in 1 2; do echo $x; done | { read y; echo \"read $y\"; }",
        "A=$(yes) || echo_status",
        "echo x | grep y; echo_status",
        "# Loops.",
        "i=0; sum=0; while [ $i -lt 200 ]; do i=$((i + 1)); sum=$((sum + i)); done; echo $i $sum",
        "for n in 1 2 3; do echo line $n; done > lines",
        "while read word n; do echo \"$n-$word\"; done < lines | sort -r",
        "for file in *s; do echo \"file $file\"; done; echo /*/ | tr ' ' '\\n' | grep bin; echo no*thing '*'",
        "echo \"$# $1 $2: $(echo inner | cat)\"",
        "if [ -f a ] && [ -d /tmp ] && ! [ -e nothing ]; then echo files; else exit 1; fi",
        "case $(date +%Y) in 2[0-9][0-9][0-9]) echo century;; *) exit 1;; esac",
        "nothing-like-it",
        "exit 7",
        "echo never",
    ];
    let mut shell = Shell::boot(&machine().smp(2))?;
    for line in lines {
        shell.run(&format!("echo '{}' >> /tmp/script", line.replace('\'', "'\\''")))?;
    }
    let text = shell.run("sh /tmp/script first 'second one'; echo \"status $?\"")?;
    let expected = [
        "one",
        "two",
        "three",
        "status 0",
        "ls: /none: no such file or directory",
        "status 1",
        "ls: /none: no such file or directory",
        "/dev/null",
        "1",
        "/tmp",
        "A=b",
        "0",
        "/tmp/script:8: shell: /none: no such file or directory",
        "status 1",
        "1",
        "4194304",
        "found init",
        "much",
        "y",
        "status 0",
        "read 1",
        "/tmp/script:16: shell: that is too much output",
        "status 1",
        "status 1",
        "200 20100",
        "3-line",
        "2-line",
        "1-line",
        "file bytes",
        "file errors",
        "file lines",
        "/bin/",
        "no*thing *",
        "2 first second one: inner",
        "files",
        "century",
        "/tmp/script:26: nothing-like-it: there is no command or program of this name: `help` lists them",
        "status 7",
    ];
    let found: Vec<&str> = text.lines().collect();
    ensure!(found == expected, "{text}");
    Ok(())
}

#[test]
fn little_memory_is_enough_for_pipelines() -> Result<()> {
    let commands = "ls /bin | cat | cat | cat | cat | sort -r | grep -c a && cp /bin/true /tmp/a && wc -c < /tmp/a > /tmp/b && \
                    for file in /tmp/*; do sha256sum $file | while read sum name; do echo $name; done; done";
    let text = exec(&system().memory(32), commands)?;
    ensure!(text.ends_with("\n/tmp/a\n/tmp/b\n"), "{text}");
    Ok(())
}

#[test]
fn many_programs_in_a_loop_leave_nothing_behind() -> Result<()> {
    for (cpus, memory) in [(1, 32), (2, 256)] {
        let turns = "i=0; while [ $i -lt 100 ]; do i=$((i + 1)); echo $i | cat >> /tmp/all; done; wc -c < /tmp/all; rm /tmp/all";
        let commands = format!("for round in 1 2 3; do {turns}; ps | wc -l; accounts; done");
        let text = exec(&system().smp(cpus).memory(memory), &commands)?;
        ensure!(text.matches("292\n").count() == 3, "{text}");
        // The first round makes what stays: programs that are ready to be started again. What servers have of a program goes when they see its end, a
        // moment later.
        let used: Vec<Vec<&str>> = text.lines().filter(|line| line.contains("used")).map(words).collect();
        let [_, before, after] = &used[..] else { bail!("{text}") };
        ensure!(kib(after)? < kib(before)? + 1024.0, "memory: {text}");
        ensure!(after[4].parse::<u32>()? < before[4].parse::<u32>()? + 10, "handles: {text}");
    }
    Ok(())
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The memory in a line such as `shell used 1.5 MiB …`.
fn kib(words: &[&str]) -> Result<f64> {
    let number: f64 = words[2].parse()?;
    Ok(if words[3] == "MiB" { number * 1024.0 } else { number })
}

#[test]
fn scripts_that_ask_for_too_much_are_refused() -> Result<()> {
    let mut shell = Shell::boot(&system().memory(32))?;
    for (command, status, text) in [
        ("x=$(head -c 200000 /dev/zero | tr '\\0' x)", 1, "a word is too long"),
        ("echo $(seq 30000)", 1, "there are too many words"),
        ("x=x; while :; do x=$x$x || break; done", 0, "a word is too long"),
        ("yes | sh", 1, "the script is too long"),
        ("sh /dev/zero", 1, "it is no file"),
        ("sh /bin/tools", 1, "a script has at most 128 KiB"),
        ("sh /bin/null", 1, "not UTF-8 text"),
        ("cat /dev/zero | while read x; do :; done", 0, "the line is too long"),
        ("f() { f; }; f", 1, "too many commands within each other"),
        ("f() { echo $(f); }; f", 0, "too many commands within each other"),
        ("f() { f | : | :; }; f", 0, "too many commands within each other"),
        ("f() { for x in 1; do case x in x) { ( if :; then f; fi ) } ;; esac; done; }; f", 1, "too many commands"),
    ] {
        shell.check(command, status, &[text])?;
    }
    // It is still the same shell, and can still do something.
    let starts = shell.run("service list | grep '^shell'")?;
    ensure!(starts.split_whitespace().nth(3) == Some("1"), "the shell died: {starts}");
    Ok(())
}

#[test]
fn control_c_ends_pipelines_and_loops() -> Result<()> {
    let mut shell = Shell::boot(&machine())?;
    for line in [
        "echo go; yes | wc -l; echo never",
        "echo go; yes | while read x; do :; done; echo never",
        "echo go; while :; do echo x > /dev/null; done; echo never",
        "echo go; for x in 1 2; do yes; done | sleep 1000; echo never",
        "echo go; help | sleep 1000; echo never",
        "echo go; x=$(yes | grep -c n); echo never",
    ] {
        shell.session().type_line(line);
        shell.session().expect("\ngo", LONG)?;
        shell.session().send(b"\x03");
        let text = shell.session().expect(PROMPT, LONG)?;
        ensure!(!text.contains("never"), "{line}: {text}");
        ensure!(shell.run("echo $?")? == "130\n", "{line}");
    }
    // Nothing of it runs on.
    let left = shell.run("ps")?;
    ensure!(!left.contains("yes") && !left.contains("sleep"), "a program is left: {left}");
    // Names are completed.
    shell.run("echo x > /tmp/a-long-name")?;
    ensure!(shell.run("cat < /tmp/a-l\t")?.ends_with("x\n"), "a file");
    ensure!(shell.run("cd /t\t; pwd")?.ends_with("/tmp/\n") || shell.run("pwd")? == "/tmp\n", "a directory");
    Ok(())
}
