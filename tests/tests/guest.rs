//! The programs of `tests/guest` that test the kernel from user space: in place of init, with every right there is, on machines with
//! one, two and four CPUs; and from the shell.

use std::time::Duration;

use images::{End, Machine};
use tests::{CPUS, exec, machine, run_guest};

/// Longer than any of these takes on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(400);

/// Runs a program on each number of CPUs, one after the other.
fn on_all(program: &str, arguments: &str) {
    for cpus in CPUS {
        let machine = machine().smp(cpus).timeout(TIMEOUT);
        let output = run_guest(&machine, program, arguments).unwrap_or_else(|error| panic!("{cpus} CPUs: {error:#}"));
        assert!(!output.contains("skip "), "{cpus} CPUs, left out:\n{output}");
    }
}

#[test]
fn suite() {
    on_all("suite", "");
}

#[test]
fn attack() {
    on_all("attack", "");
}

#[test]
fn stress() {
    on_all("stress", "");
}

#[test]
fn fuzz() {
    on_all("fuzz", "1000000,20261122");
}

#[test]
fn little_memory_is_enough_to_be_attacked() {
    let machine = machine().memory(48).smp(2).timeout(TIMEOUT);
    run_guest(&machine, "attack", "exhaustion,calls").unwrap();
    run_guest(&machine, "stress", "50").unwrap();
}

#[test]
fn fuzzing_again_is_the_same() {
    // One CPU, in virtual time.
    let machine: Machine = machine().icount(true).timeout(TIMEOUT);
    let first = run_guest(&machine, "fuzz", "100000,5").unwrap();
    assert_eq!(first, run_guest(&machine, "fuzz", "100000,5").unwrap());
    assert_ne!(first, run_guest(&machine, "fuzz", "100000,6").unwrap());
}

#[test]
fn a_test_that_fails_is_reported() {
    // No test has this name.
    let result =
        machine().in_place_of_init("suite").append("guest.arguments=nothing-of-this-name").run_exec("").unwrap();
    assert_eq!((result.end.clone(), result.text().as_str()), (End::Status(1), "0 passed, 0 failed\n"));
}

#[test]
fn from_the_shell() {
    let machine = machine().smp(2).timeout(TIMEOUT);
    for command in
        ["suite", "attack wild instructions flags mapping forgery exhaustion races", "stress 30", "fuzz 200000 3"]
    {
        exec(&machine, command).unwrap_or_else(|error| panic!("{error:#}"));
    }
}
