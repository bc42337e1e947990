//! Files on a machine: the guest program `files` on each file system that the boot mounts, names in /dev and /sys, and what a small file costs.

use tests::{BOARDS, exec, machine, machine_on};

#[test]
fn files_keep_what_posix_promises() {
    for board in BOARDS {
        // Twice: the first run leaves nothing that the second one misses.
        let text = exec(&machine_on(board), "files /tmp; files /tmp").expect("no case fails");
        assert!(text.contains("0 failed") && !text.contains("skipped"), "{text}");
    }
}

#[test]
fn a_full_file_system_refuses_and_goes_on() {
    for board in BOARDS {
        let text = exec(&machine_on(board), "files /tmp fill; files /tmp write-read").expect("no case fails");
        assert!(text.contains("bytes fit"), "{text}");
    }
}

#[test]
fn programs_start_from_paths() {
    let text = exec(&machine(), "/bin/echo from a path; echo from a name").expect("both run");
    assert_eq!(text, "from a path\nfrom a name\n");
}

#[test]
fn what_a_small_file_costs_is_printed() {
    let text = exec(&machine().icount(true), "files /tmp bench").expect("it runs");
    let figure = text.lines().find_map(|line| line.strip_prefix("bench open_read_close ")).expect("a figure");
    let figure: u64 = figure.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    assert!(figure > 0, "{text}");
}

#[test]
fn the_file_server_may_die() {
    let text =
        exec(&machine(), "service kill vfs; files /tmp write-read; service kill bootfs; echo on").expect("they run");
    assert!(text.contains("ok write-read") && text.ends_with("on\n"), "{text}");
}
