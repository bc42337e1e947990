//! PCI on machines: what is found, drivers that die, the bus server that dies under them, cards that come and go.

use anyhow::Result;
use images::{Disk, DiskBus, Machine, MachineKind};
use std::path::Path;
use tests::{DiskImage, Layout, Shell, archive_with_services, exec, machine, machine_with_archive};

const RNG: &str = "virtio-rng-pci";

fn lines_with<'a>(text: &'a str, what: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.contains(what)).collect()
}

/// `count` bytes in hexadecimal, a line each time that the service was asked.
fn is_random(text: &str, bytes: usize, times: usize) -> bool {
    let mut lines: Vec<&str> = text.lines().filter(|line| line.len() == 2 * bytes).collect();
    lines.retain(|line| line.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    count == times && lines.len() == times
}

#[test]
fn functions_are_listed() -> Result<()> {
    for (kind, expected) in [(MachineKind::Q35, "AHCI controller"), (MachineKind::Pc, "IDE controller")] {
        let text = exec(&machine().kind(kind).device(RNG), "lspci")?;
        for what in ["0000:00:00.0 host bridge: 8086:", "ISA bridge", expected, "unclassified device: 1af4:10"] {
            assert_eq!(lines_with(&text, what).len(), 1, "{kind:?}, {what}: {text}");
        }
        let more = exec(&machine().kind(kind).device(RNG), "entropy virtio-rng-0 1; lspci -v")?;
        assert!(more.contains("interrupts: MSI-X, ") && more.contains(", driven by process "), "{more}");
    }
    Ok(())
}

#[test]
fn a_machine_without_pci_has_no_functions() -> Result<()> {
    let text = exec(&machine().kind(MachineKind::Microvm), "lspci; dmesg")?;
    assert_eq!(lines_with(&text, "this machine has no PCI").len(), 1, "{text}");
    assert!(lines_with(&text, "bridge").is_empty(), "{text}");
    Ok(())
}

#[test]
fn functions_behind_bridges_are_found_and_driven() -> Result<()> {
    let machine = machine().device("pcie-root-port,id=root1,chassis=1").device("virtio-rng-pci,bus=root1");
    let text = exec(&machine, "lspci; entropy virtio-rng-0 16")?;
    assert_eq!(lines_with(&text, "0000:01:00.0 unclassified device: 1af4:1044").len(), 1, "{text}");
    assert!(is_random(&text, 16, 1), "{text}");
    Ok(())
}

#[test]
fn a_driver_dies_and_its_device_is_taken_over() -> Result<()> {
    let again = "service kill virtio-rng-0; entropy virtio-rng-0 16; ".repeat(10);
    for kind in [MachineKind::Q35, MachineKind::Pc] {
        let text = exec(&machine().kind(kind).device(RNG), &format!("{again} lspci -v"))?;
        assert!(is_random(&text, 16, 10), "{text}");
        // The queue and the buffer of the one that lives; those of the dead were released.
        assert_eq!(lines_with(&text, ", 2 pieces of memory").len(), 1, "{text}");
    }
    Ok(())
}

#[test]
fn the_bus_server_dies_and_drivers_notice_nothing() -> Result<()> {
    let again = "service kill pci; entropy virtio-rng-0 16; ".repeat(10);
    let text = exec(&machine().device(RNG), &format!("{again} service list; lspci -v"))?;
    assert!(is_random(&text, 16, 10), "{text}");
    let service = lines_with(&text, "virtio-rng-0 ");
    assert_eq!(service[0].split_ascii_whitespace().nth(3), Some("1"), "started once: {text}");
    assert_eq!(lines_with(&text, ", 2 pieces of memory").len(), 1, "{text}");
    Ok(())
}

#[test]
fn init_dies_and_instances_stay() -> Result<()> {
    let text =
        exec(&machine().device(RNG), "service kill init; entropy virtio-rng-0 16; service kill pci; service list")?;
    let service = lines_with(&text, "virtio-rng");
    assert_eq!(service.len(), 1, "{text}");
    assert_eq!(service[0].split_ascii_whitespace().nth(3), Some("1"), "started once: {text}");
    Ok(())
}

/// A disk with zeros on it.
fn disk_of(folder: &Path, name: &str) -> Result<Disk> {
    let file = folder.join(name);
    std::fs::File::create(&file)?.set_len(16 << 20)?;
    Ok(Disk::new(file))
}

#[test]
fn a_virtio_disk_keeps_what_was_written() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let machine: Machine = machine().smp(2).disk(disk_of(folder.path(), "disk.img")?);
    exec(&machine, "rawdisk virtio-blk-0 200 1")?;
    let kills = "sleep 0.2; service kill virtio-blk-0; ".repeat(3);
    exec(&machine, &format!("rawdisk virtio-blk-0 400 2 & {kills} service kill pci; wait; rawdisk virtio-blk-0 50 3"))?;
    Ok(())
}

/// A machine with a slot for cards. (QEMU 7.2 with several processors at once may crash when a card changes what is mapped, so they take turns.)
fn with_a_slot(cpus: u32) -> Machine {
    machine().smp(cpus).in_turns().device("pcie-root-port,id=root1,chassis=1")
}

fn card(cpus: u32) -> Result<()> {
    let mut shell = Shell::boot(&with_a_slot(cpus))?;
    assert!(!shell.run("lspci")?.contains("1af4:1044"));
    let plug = serde_json::json!({ "driver": RNG, "id": "card", "bus": "root1" });
    shell.session().qmp().execute("device_add", plug)?;
    let text = shell.run("entropy virtio-rng-0 16")?;
    let mut text = text;
    for _ in 0..50 {
        if is_random(&text, 16, 1) {
            break;
        }
        text = shell.run("sleep 0.1; entropy virtio-rng-0 16")?;
    }
    assert!(is_random(&text, 16, 1), "{text}");
    shell.session().qmp().execute("device_del", serde_json::json!({ "id": "card" }))?;
    for _ in 0..50 {
        text = shell.run("sleep 0.1; service list; lspci")?;
        if !text.contains("virtio-rng") && !text.contains("1af4:1044") {
            return Ok(());
        }
    }
    panic!("it is there still: {text}")
}

#[test]
fn a_card_is_put_in_and_taken_out() -> Result<()> {
    card(1)?;
    card(4)
}

/// Puts a virtio disk with this image into the slot, and waits until it is in `/dev`.
fn put_in(shell: &mut Shell, image: &DiskImage) -> Result<()> {
    let file = serde_json::json!({ "driver": "file", "filename": image.file() });
    let node = serde_json::json!({ "driver": "raw", "node-name": "plugged", "file": file });
    shell.session().qmp().execute("blockdev-add", node)?;
    let plug = serde_json::json!({ "driver": "virtio-blk-pci", "id": "card", "bus": "root1", "drive": "plugged" });
    shell.session().qmp().execute("device_add", plug)?;
    shell.check("while ! ls /dev | grep vda > /dev/null; do sleep 0.1; done", 0, &[])?;
    Ok(())
}

/// Takes it out, and waits until it and its driver are gone.
fn take_out(shell: &mut Shell) -> Result<()> {
    shell.session().qmp().execute("device_del", serde_json::json!({ "id": "card" }))?;
    let is_there = "ls /dev | grep vda > /dev/null || service list | grep virtio-blk > /dev/null";
    shell.check(&format!("while {is_there}; do sleep 0.1; done"), 0, &[])?;
    // The slot is switched off after that, and QEMU lets go of the image.
    for _ in 0..50 {
        let node = serde_json::json!({ "node-name": "plugged" });
        if shell.session().qmp().execute("blockdev-del", node).is_ok() {
            return Ok(());
        }
        shell.run("sleep 0.1")?;
    }
    anyhow::bail!("QEMU does not let go of the image")
}

fn disk_in_and_out(cpus: u32) -> Result<()> {
    let image = DiskImage::ext(16, Layout::Whole, &["-t", "ext4", "-b", "4096"], None)?;
    let mut shell = Shell::boot(&with_a_slot(cpus))?;
    for round in 0..2 {
        put_in(&mut shell, &image)?;
        shell.check("storage mount /dev/vda /mnt", 0, &[])?;
        shell.check(
            &format!("echo round {round} > /mnt/{round} && cat /mnt/{round}"),
            0,
            &[&format!("round {round}")],
        )?;
        shell.check("storage umount /mnt", 0, &[])?;
        take_out(&mut shell)?;
        image.check()?;
        assert_eq!(image.read(&format!("/{round}"))?, format!("round {round}\n").as_bytes());
    }
    Ok(())
}

#[test]
fn a_disk_is_put_in_and_taken_out() -> Result<()> {
    disk_in_and_out(1)?;
    disk_in_and_out(4)
}

fn mounted_disk_out(cpus: u32) -> Result<()> {
    let image = DiskImage::ext(64, Layout::Whole, &["-t", "ext4", "-b", "4096"], None)?;
    let mut shell = Shell::boot(&with_a_slot(cpus))?;
    put_in(&mut shell, &image)?;
    shell.check("storage mount /dev/vda /mnt && storage write /mnt/kept 6 5", 0, &[])?;
    take_out(&mut shell)?;
    // What has to go to the disk cannot, and who waits for it is told.
    shell.check("storage write /mnt/lost 1 6", 1, &["storage: ", GONE])?;
    shell.check("dd if=/dev/vda of=/dev/null bs=512 count=1", 1, &[])?;
    // The rest of the system goes on.
    shell.check("echo on > /tmp/on && cat /tmp/on", 0, &["on"])?;
    shell.run("storage umount /mnt || storage umount /mnt force")?;
    let log = shell.run("dmesg")?;
    assert!(!log.contains("panic") && !log.contains("given up"), "{log}");
    // It comes back with what was synced.
    put_in(&mut shell, &image)?;
    let works = "storage mount /dev/vda /mnt && storage verify /mnt/kept 6 5 && storage umount /mnt";
    shell.check(works, 0, &["verified"])?;
    take_out(&mut shell)?;
    image.check()
}

#[test]
fn a_disk_is_taken_out_while_it_is_mounted() -> Result<()> {
    mounted_disk_out(1)?;
    mounted_disk_out(4)
}

/// What a program says of a disk that is not there any more.
const GONE: &str = "the device failed";

const CHAOS: &str = "
service chaos                   # kills others
    binary trouble
    arguments serve
    hang never
    control
";

#[test]
fn cards_come_and_go_while_the_bus_server_dies() -> Result<()> {
    let (machine, _folder) = machine_with_archive(&archive_with_services(CHAOS)?)?;
    // In turns: see `with_a_slot`.
    let machine = machine.smp(2).in_turns().device("pcie-root-port,id=root1,chassis=1");
    let mut shell = Shell::boot(&machine)?;
    shell.check("trouble ask chaos storm 2000 30 pci &", 0, &[])?;
    for round in 0..4 {
        let plug = serde_json::json!({ "driver": RNG, "id": "card", "bus": "root1" });
        shell.session().qmp().execute("device_add", plug)?;
        let is_there = "lspci | grep 1af4:1044 > /dev/null && service list | grep 'virtio-rng-0 *ready' > /dev/null";
        shell.check(&format!("while ! {{ {is_there}; }}; do sleep 0.1; done"), 0, &[])?;
        let text = shell.run("entropy virtio-rng-0 16")?;
        assert!(is_random(&text, 16, 1), "round {round}: {text}");
        shell.session().qmp().execute("device_del", serde_json::json!({ "id": "card" }))?;
        let is_there = "lspci | grep 1af4:1044 > /dev/null || service list | grep virtio-rng > /dev/null";
        shell.check(&format!("while {is_there}; do sleep 0.1; done"), 0, &[])?;
    }
    shell.run("kill %1; wait")?;
    Ok(())
}

/// The driver of the device `edu`, which is no part of the system.
const EDU: &str = "
service edu
    device pci 1234:11e8
    optional
";

#[test]
fn a_device_interrupts_by_msi_and_by_its_line() -> Result<()> {
    let archive = archive_with_services(EDU)?;
    for (best, kind) in [("msi-x", "MSI, 1"), ("line", "pin A, line")] {
        let (machine, _folder) = machine_with_archive(&archive)?;
        let machine = machine.device("edu,addr=5").append(&format!("pci.interrupts={best}"));
        let mut shell = Shell::boot(&machine)?;
        // Each step follows from an interrupt.
        let mut text = String::new();
        for _ in 0..100 {
            text = shell.run("dmesg edu-0")?;
            if text.contains("there and") {
                break;
            }
            shell.run("sleep 0.1")?;
        }
        assert!(text.contains("12! is 479001600") && text.contains("there and back"), "{best}: {text}");
        let text = shell.run("lspci -v")?;
        let (_, edu) = text.split_once("0000:00:05.0 ").unwrap_or_else(|| panic!("{text}"));
        assert!(edu.lines().take(5).any(|line| line.contains(&format!("interrupts: {kind}"))), "{text}");
    }
    Ok(())
}

#[test]
fn a_line_that_storms_is_masked_and_the_system_goes_on() -> Result<()> {
    let (machine, _folder) = machine_with_archive(&archive_with_services(EDU)?)?;
    // The driver acknowledges, and does nothing about its device, whose line stays high.
    let machine = machine.device("edu,addr=5").append("pci.interrupts=line edu.storm=yes");
    let mut shell = Shell::boot(&machine)?;
    let mut text = String::new();
    for _ in 0..100 {
        text = shell.run("dmesg kernel")?;
        if text.contains("times without an acknowledge that helped: masked") {
            break;
        }
        shell.run("sleep 0.5")?;
    }
    assert!(text.contains("that helped: masked"), "{text}");
    let text = shell.run("interrupts")?;
    assert!(text.lines().any(|line| line.contains(" pci ") && line.contains("masked")), "{text}");
    let services = shell.run("service list")?;
    assert!(services.lines().any(|line| line.starts_with("edu-0 ") && line.contains("ready")), "{services}");
    Ok(())
}

/// Works on disks at the same time, and kills services meanwhile.
fn churn_through_deaths(machine: &Machine, disks: &[&str], victims: &[&str]) -> Result<String> {
    const REQUESTS: u32 = 12_000;
    let mut shell = Shell::boot(machine)?;
    let mut text = String::new();
    for disk in disks {
        text += &shell.run(&format!("diskio {disk} churn random 4K 16 {REQUESTS} &"))?;
    }
    for victim in victims {
        text += &shell.run(&format!("sleep 0.3; service kill {victim}"))?;
    }
    text += &shell.run("wait")?;
    assert_eq!(text.matches(&format!("churn: {REQUESTS} requests")).count(), disks.len(), "{text}");
    shell.run("lspci -v")
}

#[test]
fn disks_share_an_interrupt_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // Slots whose pins A are wired to the same line.
    let disk = |name, slot: &str| {
        disk_of(folder.path(), name).map(|disk| disk.property("vectors=0").property(&format!("addr={slot}")))
    };
    for (kind, cpus) in [(MachineKind::Q35, 1), (MachineKind::Pc, 2)] {
        let machine = machine().kind(kind).smp(cpus).disk(disk("one", "4")?).disk(disk("other", "8")?);
        let victims = ["virtio-blk-0", "virtio-blk-1", "pci", "virtio-blk-0"];
        let text = churn_through_deaths(&machine, &["vda", "vdb"], &victims)?;
        let lines: Vec<Option<&str>> = ["0000:00:04.0 ", "0000:00:08.0 "]
            .into_iter()
            .map(|slot| text.split_once(slot)?.1.lines().find(|line| line.contains("interrupts: ")))
            .collect();
        assert!(lines[0].is_some_and(|line| line.contains("pin A, line ")) && lines[0] == lines[1], "{text}");
    }
    Ok(())
}

#[test]
fn disks_of_two_kinds_share_an_interrupt_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nvme = disk_of(folder.path(), "one")?.bus(DiskBus::Nvme).property("addr=4");
    let virtio = disk_of(folder.path(), "other")?.property("addr=8");
    let machine = machine().smp(2).append("pci.interrupts=line").disk(nvme).disk(virtio);
    let text = churn_through_deaths(&machine, &["nvme0n1", "vda"], &["nvme-0", "virtio-blk-0", "pci", "nvme-0"])?;
    assert!(!text.contains("interrupts: MSI"), "{text}");
    Ok(())
}
