//! Power cuts: QEMU is killed while programs write files and sync them. What `fsync` has answered for is there afterwards, and the file system is sound.
//!
//! The machine's disk is an overlay (qcow2) over the image. QEMU keeps where its new clusters are in its own memory until the guest flushes: a write that was not flushed goes with the process, if it was the
//! first one to its 4 KiB. Later ones, to a place that is on the host's side already, are in the host's page cache and stay. `servers/ext4/tests/power.rs` cuts at every point and loses sector by sector.
//!
//! `SKINK_POWER_CUTS` and `SKINK_POWER_SEED` say how many cuts there are on each disk, and with which seed the moments are chosen.

use std::collections::BTreeMap;
use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use images::{DiskBus, Machine, MachineKind};
use tests::{BOARDS, DiskImage, Layout, Shell, machine_on};

/// Longer than any of these takes on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Between the first promise and the cut, in milliseconds.
const SHORTEST: u64 = 50;
const LONGEST: u64 = 4000;

/// MiB of a disk: what is written in some cuts fills the journal several times.
const DISK: u64 = 192;

/// What is promised about a file: its bytes and their hash.
type Promises = BTreeMap<String, (u64, String)>;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn next(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// Takes in what a machine printed before it was cut off.
fn hear(printed: &str, promises: &mut Promises) -> usize {
    let mut heard = 0;
    // A line that is not whole was not said.
    let whole = printed.rfind('\n').map_or("", |end| &printed[..end]);
    for line in whole.lines() {
        match line.split_whitespace().collect::<Vec<&str>>()[..] {
            ["synced", name, bytes, hash] => {
                let bytes = bytes.parse().unwrap_or_else(|_| panic!("{line:?}"));
                promises.insert(name.to_string(), (bytes, hash.to_string()));
                heard += 1;
            }
            ["changing", name] => {
                promises.remove(name);
            }
            _ => assert!(!line.starts_with("synced:"), "a writer failed: {line}"),
        }
    }
    heard
}

/// Boots, mounts, starts the writers, and pulls the plug. Returns how often something was promised.
fn load(machine: &Machine, mount: &str, seed: u64, writers: u32, time: Duration, promises: &mut Promises) -> usize {
    let mut shell = Shell::boot(machine).unwrap();
    shell.check(mount, 0, &[]).unwrap();
    let session = shell.session();
    let writer = |number: u32| format!("synced /mnt w{number} {seed} & ");
    session.type_line(&(0..writers).map(writer).collect::<String>());
    session.expect("synced w", TIMEOUT).unwrap();
    // The moment of the cut is the test's subject, and nothing is waited for.
    std::thread::sleep(time);
    session.kill();
    session.wait_for_end(TIMEOUT).unwrap();
    hear(&session.transcript(), promises)
}

/// The files that Skink finds, once it has recovered the file system, and that it can be written to.
fn recover(machine: &Machine, mount: &str) -> Promises {
    let commands = format!(
        "{mount} && storage tree /mnt && storage write /mnt/after 1 && storage remove /mnt/after && storage umount /mnt"
    );
    let mut shell = Shell::boot(machine).unwrap();
    let (text, status) = shell.status(&commands).unwrap();
    assert_eq!(status, 0, "{text}\n{}", shell.run("dmesg").unwrap());
    let files = text.lines().filter_map(|line| match line.split_whitespace().collect::<Vec<&str>>()[..] {
        ["f", name, bytes, hash] => Some((name.to_string(), (bytes.parse().unwrap(), hash.to_string()))),
        _ => None,
    });
    files.collect()
}

fn cut(name: &str, bus: DiskBus, board: (MachineKind, u32), arguments: &[&str], usual: u64) {
    let cuts = number("SKINK_POWER_CUTS").unwrap_or(usual);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64 >> 10);
    let first = number("SKINK_POWER_SEED").unwrap_or_else(now);
    let mut seed = first;
    let image = DiskImage::ext(DISK, Layout::Whole, arguments, None).unwrap();
    let disk = if bus == DiskBus::Virtio { "vda" } else { "nvme0n1" };
    let mount = format!("storage mount /dev/{disk} /mnt");
    let mut promises = Promises::new();
    let mut heard = 0;
    for cut in 1..=cuts {
        let what = format!("{name}, seed {first}, cut {cut}");
        let overlay = image.overlay().unwrap();
        let machine = machine_on(board).timeout(TIMEOUT);
        let time = Duration::from_millis(SHORTEST + next(&mut seed, LONGEST - SHORTEST));
        let writers = 1 + next(&mut seed, 3) as u32;
        heard += load(&machine.clone().disk(overlay.disk().bus(bus)), &mount, cut, writers, time, &mut promises);
        overlay.merge().unwrap();
        let found = recover(&machine.disk(image.disk().bus(bus)), &mount);
        for (file, promised) in &promises {
            assert_eq!(found.get(file), Some(promised), "{what}: {file} is not what was synced");
        }
        image.check().unwrap_or_else(|error| panic!("{what}: {error:#}"));
    }
    println!("{name}: seed {first}, {cuts} cuts, {heard} files synced, {} of them there at the end", promises.len());
    assert!(heard as u64 >= cuts, "{name}: hardly anything was synced");
}

#[test]
fn what_was_synced_survives_power_cuts_of_a_virtio_disk() {
    cut("virtio, ext4, 1 CPU", DiskBus::Virtio, BOARDS[0], &["-t", "ext4", "-b", "4096", "-J", "size=4"], 3);
}

#[test]
fn what_was_synced_survives_power_cuts_of_an_nvme_disk() {
    cut(
        "nvme, ext4 with small blocks, 4 CPUs",
        DiskBus::Nvme,
        BOARDS[1],
        &["-t", "ext4", "-b", "1024", "-J", "size=2"],
        2,
    );
}
