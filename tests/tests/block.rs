//! Disks: the ramdisk through `block` and by itself, with deaths of both under load, on one CPU and on four.

use std::time::Duration;

use images::Machine;
use tests::{Shell, exec, machine};

/// Longer than any of these takes on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(150);

/// Deaths under load.
const DEATHS: u32 = 10;

fn on(cpus: u32) -> Machine {
    machine().smp(cpus).timeout(TIMEOUT)
}

fn verify(cpus: u32) {
    let commands = [
        "diskio ram0 verify sequential 4K 1 500",
        "diskio ram0 verify random 64K 32 300",
        "diskio ram0 churn random 4K 32 3000",
        "disk ram0 scheduler deadline",
        "diskio ram0 churn random 512 32 2000",
        "diskio @ramdisk churn random 4K 32 2000",
    ];
    exec(&on(cpus), &commands.join(" && ")).unwrap_or_else(|error| panic!("{cpus} CPUs: {error:#}"));
}

#[test]
fn what_is_written_is_read_on_one_cpu() {
    verify(1);
}

#[test]
fn what_is_written_is_read_on_four_cpus() {
    verify(4);
}

#[test]
fn disks_are_listed_and_counted() {
    let machine = on(1).append("ramdisk.read-only=no");
    let text = exec(&machine, "diskio ram0 write sequential 4K 4 64; lsblk; disk ram0").unwrap();
    let line = text.lines().find(|line| line.starts_with("ram0")).unwrap_or_else(|| panic!("{text}"));
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, ["ram0", "2M", "0", "none", "disk", "memory"], "{text}");
    let writes = text.lines().find(|line| line.starts_with("writes")).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(writes.split_whitespace().nth(1), Some("64"), "{text}");
    assert_eq!(writes.split_whitespace().nth(2), Some("512"), "{text}");
}

#[test]
fn a_read_only_disk_is_not_written() {
    let result = on(1).append("ramdisk.read-only=yes").run_exec("diskio ram0 write").unwrap();
    assert_eq!((result.status(), result.text().as_str()), (1, "diskio: ram0: read-only\n"));
}

/// Kills services, one after the other, while a program compares what it reads with what it wrote.
fn churn_through_deaths(cpus: u32, victims: &[&str]) {
    let mut shell = Shell::boot(&on(cpus)).unwrap();
    let mut text = shell.run("diskio ram0 churn random 4K 16 60000 7 &").unwrap();
    for death in 0..DEATHS {
        let victim = victims[death as usize % victims.len()];
        text += &shell.run(&format!("sleep 0.3; service kill {victim}")).unwrap();
    }
    text += &shell.run("wait").unwrap();
    let services = shell.run("service list").unwrap();
    assert!(text.contains("churn: 60000 requests"), "{text}\n{services}");
    assert!(text.contains("were submitted again"), "{text}\n{services}");
}

#[test]
fn block_dies_under_load() {
    churn_through_deaths(1, &["block"]);
}

#[test]
fn the_driver_and_block_die_under_load_on_four_cpus() {
    churn_through_deaths(4, &["ramdisk", "block"]);
}
