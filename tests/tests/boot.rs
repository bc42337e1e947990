//! Boots that cannot be: one clear line, and an end that is not 0.

use std::fs;

use images::archive::BootArchive;
use images::strip::strip;
use images::{End, Image, Machine};
use tempfile::TempDir;
use tests::{image, machine};

/// How a boot ended that should not get far: what the kernel, or init, said of it.
fn refusal(machine: &Machine) -> String {
    let result = machine.run_exec("echo it runs").expect("QEMU runs");
    assert_ne!(result.status(), 0, "it boots: {}", result.text());
    match result.end {
        End::BootError(reason) => reason,
        end => panic!("{end}\n{}", result.log),
    }
}

#[track_caller]
fn is_refused(machine: &Machine, why: &str) {
    let reason = refusal(machine);
    assert!(reason.contains(why), "`{reason}` says nothing of `{why}`");
    assert_eq!(reason.lines().count(), 1, "{reason}");
}

/// A machine with another boot archive, which lives as long as the folder.
fn with_archive(bytes: &[u8]) -> (Machine, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("boot.tar");
    fs::write(&archive, bytes).unwrap();
    (Machine::new(&Image { archive, ..image().clone() }), folder)
}

/// An archive whose init is this.
fn archive_with_init(elf: Vec<u8>) -> Vec<u8> {
    let mut archive = BootArchive::default();
    archive.init(elf);
    archive.bytes().unwrap()
}

fn init() -> Vec<u8> {
    strip(&fs::read(&image().programs["init"]).unwrap()).unwrap()
}

#[track_caller]
fn archive_is_refused(bytes: &[u8], why: &str) {
    let (machine, _folder) = with_archive(bytes);
    is_refused(&machine, why);
}

#[test]
fn broken_archives() {
    let whole = fs::read(&image().archive).unwrap();
    archive_is_refused(&[0; 1024], "init");
    archive_is_refused(&[0xff; 4096], "");
    archive_is_refused(b"this is no archive", "");
    archive_is_refused(&whole[..700], "");
    archive_is_refused(&whole[..1024], "");
    let mut other = BootArchive::default();
    other.program("init", init()).unwrap();
    archive_is_refused(&other.bytes().unwrap(), "init");
    let mut size = whole;
    size[124..136].fill(b'7');
    archive_is_refused(&size, "");
}

#[test]
fn broken_inits() {
    archive_is_refused(&archive_with_init(Vec::new()), "init");
    archive_is_refused(&archive_with_init(b"#!/bin/sh\n".to_vec()), "init");
    archive_is_refused(&archive_with_init(vec![0x7f; 100_000]), "init");
    let elf = init();
    for length in [16, 63, 64, 100, 1000, elf.len() / 2] {
        archive_is_refused(&archive_with_init(elf[..length].to_vec()), "init");
    }
    // Fields of the file header (ELF-64 Object File Format §2): class, type, machine, entry, headers' place, size and number.
    for (offset, bytes) in [
        (4, &[1u8][..]),
        (16, &[3, 0]),
        (18, &[3, 0]),
        (24, &[0; 8]),
        (24, &[0xff; 8]),
        (32, &[0xff; 8]),
        (54, &[0, 0]),
        (56, &[0, 0]),
        (56, &[0xff, 0xff]),
    ] {
        let mut broken = elf.clone();
        broken[offset..offset + bytes.len()].copy_from_slice(bytes);
        archive_is_refused(&archive_with_init(broken), "init");
    }
}

#[test]
fn broken_segments() {
    let elf = init();
    let place = |offset: usize| u64::from_le_bytes(elf[offset..offset + 8].try_into().unwrap()) as usize;
    let first = place(32);
    let count = usize::from(elf[56]);
    // Of the program headers those that are loaded.
    let loaded: Vec<usize> =
        (0..count).map(|index| first + index * 56).filter(|at| elf[*at..*at + 4] == [1, 0, 0, 0]).collect();
    assert!(loaded.len() >= 2, "a program of code and constants");
    // Flags, offset, address, bytes in the file, bytes in memory.
    for (field, bytes) in [
        (4, &[7u8, 0, 0, 0][..]),
        (8, &[0xff; 8]),
        (16, &[0; 8]),
        (16, &[0, 0, 0, 0, 0, 0x80, 0xff, 0xff]),
        (16, &[0xff; 8]),
        (32, &[0xff; 8]),
        (40, &[0xff; 8]),
        (40, &[1, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let mut broken = elf.clone();
        let at = loaded[1] + field;
        broken[at..at + bytes.len()].copy_from_slice(bytes);
        let (machine, _folder) = with_archive(&archive_with_init(broken));
        let reason = refusal(&machine);
        assert!(reason.contains("init"), "field {field}: {reason}");
    }
}

#[test]
fn broken_manifests() {
    for text in [
        "service",
        "service uart\n    flux capacitor",
        "\u{1}\u{2}",
        "service a\n    session b\nservice b\n    session a\n",
    ] {
        let mut archive = BootArchive::default();
        archive.init(init());
        archive.manifest(text.as_bytes().to_vec());
        let (machine, _folder) = with_archive(&archive.bytes().unwrap());
        let result = machine.timeout(std::time::Duration::from_secs(30)).run_exec("echo it runs").unwrap();
        assert_ne!(result.status(), 0);
        assert!(!matches!(result.end, End::Hang(_) | End::Panic(_)), "{text:?}: {}\n{}", result.end, result.log);
        assert!(result.log.contains("manifest"), "{text:?}: {}\n{}", result.end, result.log);
    }
}

#[test]
fn broken_command_lines() {
    is_refused(&machine().append("init=bin/nothing"), "init");
    is_refused(&machine().append("init=manifest"), "init");
    is_refused(&machine().append("init=../init"), "init");
    is_refused(&machine().append(&format!("init={}", "x".repeat(2000))), "init");
}

#[test]
fn odd_command_lines_that_boot() {
    for text in ["log=nonsense", "= == =x x=", "no.such=parameter", &"y".repeat(1500)] {
        assert_eq!(tests::exec(&machine().append(text), "echo it runs").unwrap(), "it runs\n");
    }
}

#[test]
fn processors_without_what_is_needed() {
    for (processor, feature) in
        [("max,-fsgsbase", "FSGSBASE"), ("max,-nx", "NX"), ("max,-syscall", "SYSCALL"), ("max,-lm", "64-bit")]
    {
        is_refused(&machine().processor(processor), feature);
    }
}

#[test]
fn processors_without_what_is_not_needed() {
    for processor in ["max,-smep,-smap,-umip", "max,-pdpe1gb", "max,-xsave", "max,-pku", "max,-rdrand,-rdseed"] {
        let machine = machine().processor(processor);
        assert_eq!(tests::exec(&machine, "echo it runs").unwrap(), "it runs\n", "{processor}");
    }
}

#[test]
fn too_little_memory() {
    for mib in [4, 10, 12, 14] {
        let result = match tests::system().memory(mib).run_exec("echo it runs") {
            Ok(result) => result,
            Err(error) => {
                assert!(error.to_string().contains("give --memory"), "{mib} MiB: {error}");
                continue;
            }
        };
        assert!(matches!(result.end, End::BootError(_) | End::Died(_)), "{mib} MiB: {}\n{}", result.end, result.log);
    }
}
