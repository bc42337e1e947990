//! The programs of `tests/guest`, which run in place of init and test the kernel from user space.

use images::Machine;

/// Runs a program in place of init; its output is the failure's text.
fn run(program: &str, cpus: u32) {
    let machine: Machine = tests::machine().smp(cpus).append(&format!("init=bin/{program}"));
    let result = machine.run_exec("").expect("QEMU runs");
    assert_eq!(result.status(), 0, "{program} on {cpus} CPUs:\n{}\n{}", result.text(), result.log);
}

#[test]
fn suite_on_one_cpu() {
    run("suite", 1);
}

#[test]
fn suite_on_two_cpus() {
    run("suite", 2);
}

#[test]
fn suite_on_four_cpus() {
    run("suite", 4);
}

#[test]
fn stress_on_one_cpu() {
    run("stress", 1);
}

#[test]
fn stress_on_two_cpus() {
    run("stress", 2);
}
