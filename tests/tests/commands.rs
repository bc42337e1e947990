//! Commands at the shell, as `cargo run -- run --exec` runs them: their output and their status.

use images::{Machine, MachineKind};

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
    check_boot(&tests::machine().memory(32));
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
