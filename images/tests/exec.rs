//! Every end that commands can come to, played by a script in QEMU's place.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use images::{End, ExecResult, Image, Machine};

/// Prints what a shell prints around commands.
const BEGIN: &str = r"printf '\033]skink;begin\007'";

/// Stands in QEMU's place. Written before the tests start: a program that a test had just
/// written could not be started while another test's new process still had it open.
const QEMU: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripted/qemu");

fn image() -> Image {
    Image {
        kernel: "/nowhere".into(),
        archive: "/nowhere".into(),
        archive_with_tests: "/nowhere".into(),
        programs: BTreeMap::new(),
        links: BTreeMap::new(),
        warnings: String::new(),
    }
}

/// Runs commands on a machine that does what the shell script says.
fn run(script: &str, timeout: Duration) -> ExecResult {
    let machine = Machine::new(&image()).qemu(Path::new(QEMU)).timeout(timeout);
    machine.append(script).run_exec("anything at all").unwrap()
}

fn quickly(script: &str) -> ExecResult {
    run(script, Duration::from_secs(30))
}

#[test]
fn commands_that_end() {
    let script = format!(r"echo boot; {BEGIN}; printf 'a\r\nb\033]skink;exit=7\007off'; exit 33");
    let result = quickly(&script);
    assert_eq!(result.text(), "a\nb");
    assert_eq!(result.end, End::Status(7));
    assert_eq!(result.status(), 7);
    assert_eq!(result.log, "boot\noff");
}

#[test]
fn the_commands_reach_the_kernel() {
    let result = quickly(&format!(r#"{BEGIN}; printf %s "$commands"; exit 0"#));
    assert_eq!(result.text(), "anything%20at%20all");
}

#[test]
fn a_panic_in_the_middle() {
    let script =
        format!(r"{BEGIN}; printf 'a\r\nKERNEL PANIC: no\r\nbacktrace:\r\n  #0 0x10\r\nEND PANIC\r\n'; exit 255");
    let result = quickly(&script);
    assert_eq!(result.text(), "a\n");
    assert_eq!(result.status(), 101);
    let End::Panic(panic) = result.end else { panic!("{}", result.end) };
    assert_eq!((panic.message.as_str(), panic.backtrace.len()), ("no", 1));
}

#[test]
fn a_panic_in_the_middle_of_a_line() {
    let script = format!(r"{BEGIN}; printf 'half KERNEL PANIC: no\r\nEND PANIC\r\n'; exit 255");
    assert!(matches!(quickly(&script).end, End::Panic(_)));
}

#[test]
fn a_panic_that_does_not_end_the_machine() {
    let script = r"printf 'KERNEL PANIC: no\r\n'; exec sleep 1000";
    assert!(matches!(run(script, Duration::from_secs(1)).end, End::Panic(_)));
}

#[test]
fn no_boot() {
    let result = quickly("echo 'BOOT ERROR: too little memory'; exit 253");
    assert_eq!(result.end, End::BootError("too little memory".to_string()));
    assert_eq!(result.status(), 102);
}

#[test]
fn a_hang_is_ended_in_time() {
    let before = Instant::now();
    let result = run(&format!("echo stuck; {BEGIN}; exec sleep 1000"), Duration::from_secs(1));
    assert_eq!(result.end, End::Hang(Duration::from_secs(1)));
    assert_eq!((result.status(), result.log.as_str()), (124, "stuck\n"));
    assert!(before.elapsed() < Duration::from_secs(20));
}

#[test]
fn qemu_fails() {
    let result = quickly("echo 'qemu: no such board' >&2; exit 1");
    assert_eq!(result.status(), 103);
    assert!(result.end.to_string().contains("no such board"), "{}", result.end);
    assert_eq!(quickly("kill -9 $$").status(), 103);
    assert_eq!(quickly("exit 0").status(), 103);
}

#[test]
fn a_qemu_that_crashes_before_the_commands_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count").display().to_string();
    // How often it was started, and whether it crashes for good.
    let crashing = |before: &str, times: u32| {
        let script = format!("echo x >> {count}; {before}; [ $(wc -l < {count}) -gt {times} ] || kill -SEGV $$");
        let result = quickly(&format!("{script}; {BEGIN}; printf 'a\\033]skink;exit=7\\007'; exit 33"));
        let starts = std::fs::read_to_string(&count).unwrap().lines().count();
        std::fs::remove_file(&count).unwrap();
        (result.end, result.stdout, starts)
    };
    assert_eq!(crashing("echo boot", 1), (End::Status(7), b"a".to_vec(), 2));
    assert!(matches!(crashing("echo boot", 99), (End::Crash(_), _, 3)));
    // Commands are not run twice.
    assert!(matches!(crashing(BEGIN, 1), (End::Crash(_), _, 1)));
}

#[test]
fn endless_output_is_bounded_in_time() {
    let result = run("while :; do echo again; done", Duration::from_secs(1));
    assert_eq!(result.status(), 124);
    assert!(result.log.contains("again\n"));
}

#[test]
fn a_missing_qemu_is_an_error() {
    let machine = Machine::new(&image()).qemu(Path::new("/nowhere/qemu"));
    // `setpriv` starts, and fails: an end of QEMU like any other.
    assert!(machine.run_exec("x").map_or(true, |result| result.status() == 103));
}
