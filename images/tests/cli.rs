//! The command line of the tool: what it refuses, in a line that says why, before it builds or boots anything.

use std::process::{Command, Output};

/// Runs the tool.
fn tool(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_images")).args(arguments).output().expect("the tool starts")
}

#[track_caller]
fn is_refused(arguments: &[&str], status: i32, why: &str) {
    let output = tool(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    assert!(said.contains(why), "{arguments:?}: `{said}` says nothing of `{why}`");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

#[test]
fn options_that_mean_nothing() {
    for (arguments, why) in [
        (&["fly"][..], "unrecognized subcommand 'fly'"),
        (&["run", "--fast"], "unexpected argument '--fast'"),
        (&["run", "ps"], "unexpected argument 'ps'"),
        (&["run", "--exec"], "a value is required for '--exec <COMMANDS>'"),
        (&["run", "--smp"], "a value is required for '--smp <N>'"),
        (&["run", "--smp", "0"], "0 is not in 1..=64"),
        (&["run", "--smp", "65"], "65 is not in 1..=64"),
        (&["run", "--smp", "two"], "invalid value 'two' for '--smp <N>'"),
        (&["run", "--memory", "0"], "invalid value '0' for '--memory <MIB>'"),
        (&["run", "--memory", "1G"], "invalid value '1G' for '--memory <MIB>'"),
        (&["run", "--machine", "vax"], "unknown machine `vax`: there are q35, pc and microvm"),
        (&["run", "--timeout", "0"], "write a number of seconds above 0"),
        (&["run", "--disk", ""], "a disk needs a file"),
        (
            &["run", "--disk", "a.img,scsi"],
            "unknown disk option `scsi`: write FILE[,virtio|nvme|namespace][,ro][,PROPERTY=VALUE…]",
        ),
        (&["run", "--gdb=yes"], "unexpected value 'yes' for '--gdb'"),
        (&["run", "--icount", "--icount"], "'--icount' cannot be used multiple times"),
        (&["build", "kernel"], "unexpected argument 'kernel'"),
        (&["bench", "--xml"], "unexpected argument '--xml'"),
        (&["bench", "--timeout", "soon"], "write a number of seconds above 0"),
        (&["fuzz"], "--calls <N>"),
        (&["fuzz", "--calls", "many", "--seed", "1"], "invalid value 'many' for '--calls <N>'"),
        (&["fuzz", "--calls", "1", "--seed", "-1"], "'-1'"),
    ] {
        is_refused(arguments, 2, why);
    }
}

#[test]
fn words_for_the_kernel_that_mean_nothing() {
    for (text, why) in [
        ("quiet", "`quiet` on the command line is not NAME=VALUE"),
        ("log=loud", "log= takes `serial`, or a level"),
        ("urat.baud=9600", "there is no service `urat`, but uart console"),
        (&format!("init={}", "x".repeat(4000)), "at most 3072 bytes"),
    ] {
        is_refused(&["run", "--append", text], 2, why);
        is_refused(&["run", "--append", "log=serial", "--append", text, "--exec", "ps"], 2, why);
    }
}

#[test]
fn disks_that_cannot_be() {
    is_refused(&["run", "--disk", "/nowhere/a.img,ro"], 100, "there is no disk image /nowhere/a.img: make it first");
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml,nvme");
    is_refused(&["run", "--machine", "microvm", "--disk", here], 100, "no PCI bus for an NVMe disk");
}

#[test]
fn help_has_every_option_and_examples() {
    let help = |arguments: &[&str]| {
        let output = tool(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let overview = help(&["--help"]);
    for word in ["run", "build", "bench", "fuzz", "Examples:", "Exit status", "Ctrl-A X", "124"] {
        assert!(overview.contains(word), "{word}\n{overview}");
    }
    let run = help(&["run", "--help"]);
    let book = include_str!("../../docs/command-line.md");
    for option in [
        "--exec",
        "--smp",
        "--memory",
        "--machine",
        "--append",
        "--disk",
        "--gdb",
        "--icount",
        "--timeout",
        "Examples:",
    ] {
        assert!(run.contains(option), "{option}\n{run}");
        assert!(option == "Examples:" || book.contains(&format!("`{option}")), "{option} is not in the book");
    }
    assert!(help(&["bench", "--help"]).contains("--json"));
    assert!(help(&["fuzz", "--help"]).contains("--seed"));
}

#[test]
fn what_help_shows_for_the_kernel_is_accepted() {
    // Every example of `--append` gets as far as the disk that is not there.
    let output = tool(&["run", "--help"]);
    let help = String::from_utf8(output.stdout).expect("text");
    let examples: Vec<&str> = help.split("--append '").skip(1).filter_map(|rest| rest.split('\'').next()).collect();
    assert!(examples.len() >= 3, "{help}");
    for example in examples {
        is_refused(&["run", "--append", example, "--disk", "/nowhere"], 100, "there is no disk image");
    }
}
