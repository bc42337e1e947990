//! Commands at the shell, as `cargo run -- run --exec` runs them: their output and their status.

use images::{Disk, Machine, MachineKind};

fn run(machine: &Machine, commands: &str) -> (String, u8) {
    let result = machine.run_exec(commands).expect("QEMU runs");
    (result.text().to_string(), result.status())
}

fn check_boot(machine: &Machine) {
    let (text, status) = run(machine, "echo it runs; false");
    assert_eq!((text.as_str(), status), ("it runs\n", 1));
}

#[test]
fn every_number_of_cpus_boots() {
    for cpus in tests::CPUS {
        check_boot(&tests::machine().smp(cpus));
    }
}

#[test]
fn every_kind_of_machine_boots() {
    for kind in [MachineKind::Q35, MachineKind::Pc, MachineKind::Microvm] {
        check_boot(&tests::machine().kind(kind));
    }
}

#[test]
fn little_memory_is_enough() {
    let machine = tests::system().memory(32);
    check_boot(&machine);
    let commands = "mkdir /tmp/d; cp /bin/ls /tmp/d/a; mv /tmp/d/a /tmp/d/b; cmp /tmp/d/b /bin/ls && grep -c usage /tmp/d/b; \
                    dd if=/dev/zero of=/dev/ram0 count=64 status=none; sha256sum /bin/tools; find /tmp -type f; sort /sys/version; \
                    du -s /tmp; rm -r /tmp/d && tree /tmp";
    let (text, status) = run(&machine, commands);
    assert!(status == 0 && text.contains("/tmp/d/b\n") && text.ends_with("0 directories, 0 files\n"), "{text}");
}

#[test]
fn many_disks_are_no_reason_not_to_boot() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = (0..6).fold(tests::machine(), |machine, number| {
        let file = folder.path().join(number.to_string());
        std::fs::File::create(&file).and_then(|file| file.set_len(1 << 20)).expect("a disk");
        machine.disk(Disk::new(file))
    });
    check_boot(&machine);
}

#[test]
fn views_of_the_system_have_something_to_show() {
    for command in
        ["ps", "free", "channels", "interrupts", "maps init", "handles uart", "dmesg", "uptime", "service list"]
    {
        let (text, status) = run(&tests::machine(), command);
        assert!(status == 0 && text.lines().count() >= 1, "{command}: status {status}\n{text}");
    }
}

#[test]
fn services_die_and_nobody_notices() {
    let kills = "service kill uart; service kill console; service kill log; service kill rtc; service kill init";
    let (text, status) = run(&tests::machine(), &format!("{kills}; date; echo done"));
    assert_eq!(status, 0, "{text}");
    assert!(text.ends_with("done\n") && text.contains("UTC"), "{text}");
}

#[test]
fn what_programs_log_is_in_the_log() {
    let (text, status) = run(&tests::machine(), "logs info the cat is fed; logs panic no cat; dmesg logs");
    assert_eq!(status, 0, "{text}");
    let logged = |level: &str, what: &str| {
        text.lines().any(|line| line.contains(&format!("{level} ")) && line.contains(" logs[") && line.contains(what))
    };
    assert!(logged("info", "]: the cat is fed"), "{text}");
    assert!(logged("crit", "]: panicked at") && logged("crit", "]: no cat"), "{text}");
}

#[test]
fn log_rings_of_ended_programs_are_given_up() {
    // More than init holds at once; all are collected, also over a restart of the log server and of init.
    let many = |numbers: std::ops::Range<u32>| numbers.map(|n| format!("logs info line {n}; ")).collect::<String>();
    let (before, after) = (many(100..140), many(200..240));
    let kills = "service kill log; logs info between; service kill init;";
    let (text, status) = run(&tests::machine(), &format!("{before}dmesg logs; {kills} {after}dmesg logs"));
    assert_eq!(status, 0, "{text}");
    let lines = (100..140).chain(200..240).map(|n| format!("]: line {n}"));
    for line in lines.chain(["]: between".to_string()]) {
        assert!(text.contains(&line), "{line} is missing:\n{text}");
    }
}

#[test]
fn bad_commands_are_refused() {
    for (command, status) in [("no-such-command", 127), ("kill nobody", 1), ("service kill nothing", 1)] {
        let (text, found) = run(&tests::machine(), command);
        assert_eq!(found, status, "{command}: {text}");
    }
}

#[test]
fn a_boot_that_cannot_be_says_why() {
    let result = tests::machine().append("init=bin/nothing").run_exec("echo").expect("QEMU runs");
    assert_eq!(result.status(), 102, "{}", result.log);
}
