//! Files as disks: an image of a file system lies in a file of another one, and the host's tools look at both afterwards; what can go wrong below is an error above.

use std::fs;
use std::time::Duration;

use images::{Disk, Machine, MachineKind};
use tests::{DiskImage, Layout, Shell, exec, machine};

/// Longer than any of these takes on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(280);

/// Deaths of each server.
const DEATHS: u32 = 5;

fn on(image: &DiskImage) -> Machine {
    machine().timeout(TIMEOUT).disk(Disk::new(image.file()))
}

/// A disk with a file system of so many MiB, in which the image of another disk is the file `inner.img`.
fn around(inner: &DiskImage, mebibytes: u64) -> DiskImage {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(inner.file(), folder.path().join("inner.img")).unwrap();
    fs::create_dir(folder.path().join("below")).unwrap();
    DiskImage::ext(mebibytes, Layout::Whole, &["-t", "ext4", "-b", "4096"], Some(folder.path())).unwrap()
}

/// Takes the inner image out of the outer one; both are sound.
fn inside(outer: &DiskImage, inner: &DiskImage) {
    outer.check().unwrap();
    fs::write(inner.file(), outer.read("/inner.img").unwrap()).unwrap();
    inner.check().unwrap();
}

/// Mounts an image that lies in a file of a mounted disk, writes to both, and checks them on the host.
fn nested((kind, cpus): (MachineKind, u32), layout: Layout, ending: &str) {
    let inner = DiskImage::ext(16, layout, &["-t", "ext4"], None).unwrap();
    let outer = around(&inner, 64);
    let device = inner.device("loop0");
    let commands = format!(
        "mount -t ext4 /dev/vda /mnt && losetup /mnt/inner.img && losetup && mount -t ext4 {device} /mnt/below \
         && storage write /mnt/below/inside 5 3 && storage write /mnt/outside 7 4 && storage verify /mnt/below/inside 5 3{ending}"
    );
    let text = exec(&on(&outer).kind(kind).smp(cpus), &commands).unwrap();
    assert!(text.starts_with("loop0\nloop0: /mnt/inner.img\n"), "{text}");
    assert!(text.contains("verified: 5 MiB"), "{text}");
    inside(&outer, &inner);
    assert_eq!(inner.read("/inside").unwrap().len(), 5 << 20);
    assert_eq!(outer.read("/outside").unwrap().len(), 7 << 20);
}

#[test]
fn a_file_system_in_a_file_of_a_file_system() {
    let ending = " && sync && umount /mnt/below && losetup -d loop0 && losetup -a && umount /mnt";
    nested((MachineKind::Q35, 1), Layout::Whole, ending);
}

#[test]
fn a_partition_in_a_file_is_whole_when_the_machine_goes_down() {
    nested((MachineKind::Pc, 4), Layout::Mbr, "");
}

#[test]
fn what_cannot_be_a_disk_says_why() {
    let inner = DiskImage::ext(16, Layout::Whole, &["-t", "ext4"], None).unwrap();
    let outer = around(&inner, 64);
    let mut shell = Shell::boot(&on(&outer)).unwrap();
    shell.check("losetup", 0, &[]).unwrap();
    shell.check("losetup -d loop0", 1, &["no such disk"]).unwrap();
    shell.check("losetup -d", 2, &["usage"]).unwrap();
    shell.check("losetup /mnt", 1, &["directory"]).unwrap();
    shell.check("losetup /dev/vda", 1, &["not a regular file"]).unwrap();
    shell.check("losetup /nothing", 1, &["no such file"]).unwrap();
    shell.check("mount -t ext4 /dev/vda /mnt && losetup /mnt/inner.img", 0, &["loop0"]).unwrap();
    shell.check("losetup /mnt/inner.img", 1, &["in use"]).unwrap();
    shell.check("umount /mnt", 1, &["umount: /mnt"]).unwrap();
    shell.check("mount -t ext4 /dev/loop0 /mnt/below", 0, &[]).unwrap();
    shell.check("losetup -d loop0", 1, &["in use"]).unwrap();
    // The server of these disks would wait for itself.
    shell.check("storage write /mnt/below/file 1 && losetup /mnt/below/file", 1, &["on such a disk itself"]).unwrap();
    shell.check("umount /mnt/below && losetup -d loop0 && losetup -r /mnt/inner.img", 0, &["loop0"]).unwrap();
    shell.check("losetup", 0, &["loop0: /mnt/inner.img (ro)"]).unwrap();
    shell.check("lsblk", 0, &["loop0", "16M  1"]).unwrap();
    shell.check("mount -t ext4 /dev/loop0 /mnt/below && storage verify /mnt/below/file 1", 0, &["verified"]).unwrap();
    shell.check("echo x > /mnt/below/new", 1, &["read-only"]).unwrap();
    shell.check("umount /mnt/below && losetup -d /dev/loop0", 0, &[]).unwrap();
    // A file of the boot archive, which nobody can write.
    shell.check("losetup /bin/echo && losetup", 0, &["loop0: /bin/", "(ro)"]).unwrap();
    shell.check("cmp -n 4096 /bin/echo /dev/loop0", 0, &[]).unwrap();
    shell.check("losetup -d loop0 && umount /mnt", 0, &[]).unwrap();
}

#[test]
fn a_file_that_shrinks_is_an_error_above_and_nothing_else() {
    let inner = DiskImage::ext(16, Layout::Whole, &["-t", "ext4"], None).unwrap();
    let outer = around(&inner, 64);
    let mut shell = Shell::boot(&on(&outer)).unwrap();
    shell.check("mount -t ext4 /dev/vda /mnt && losetup /mnt/inner.img", 0, &["loop0"]).unwrap();
    shell.check("dd if=/dev/loop0 of=/dev/null bs=64K", 0, &[]).unwrap();
    shell.check("echo short > /mnt/inner.img", 0, &[]).unwrap();
    shell.check("dd if=/dev/loop0 of=/dev/null bs=64K", 1, &["the device failed"]).unwrap();
    shell.check("dd if=/dev/zero of=/dev/loop0 bs=64K count=1", 1, &["the device failed"]).unwrap();
    shell.check("cat /mnt/inner.img", 0, &["short"]).unwrap();
    shell.check("mount -t ext4 /dev/loop0 /mnt/below", 1, &["mount: /dev/loop0"]).unwrap();
    shell.check("losetup -d loop0 && umount /mnt", 0, &[]).unwrap();
    drop(shell);
    outer.check().unwrap();
}

#[test]
fn a_full_file_system_below_is_an_error_above_and_nothing_else() {
    // A file of 32 MiB without blocks, in a file system that has no room for them.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("below")).unwrap();
    fs::File::create(folder.path().join("sparse.img")).unwrap().set_len(32 << 20).unwrap();
    let outer = DiskImage::ext(24, Layout::Whole, &["-t", "ext4"], Some(folder.path())).unwrap();
    let mut shell = Shell::boot(&on(&outer)).unwrap();
    shell
        .check("mount -t ext4 /dev/vda /mnt && echo kept > /mnt/file && losetup /mnt/sparse.img", 0, &["loop0"])
        .unwrap();
    shell.check("dd if=/dev/zero of=/dev/loop0 bs=64K", 1, &["the device failed"]).unwrap();
    shell.check("cat /mnt/file && dd if=/dev/loop0 of=/dev/null bs=64K", 0, &["kept"]).unwrap();
    shell.check("losetup -d loop0 && rm /mnt/sparse.img && echo more > /mnt/more && umount /mnt", 0, &[]).unwrap();
    drop(shell);
    outer.check().unwrap();
    assert_eq!(outer.read("/more").unwrap(), b"more\n");
}

#[test]
fn a_file_in_a_file_is_written_while_servers_die() {
    let inner = DiskImage::ext(32, Layout::Whole, &["-t", "ext4"], None).unwrap();
    let outer = around(&inner, 96);
    let mut shell = Shell::boot(&on(&outer).smp(2)).unwrap();
    let mount = "mount -t ext4 /dev/vda /mnt && losetup /mnt/inner.img && mount -t ext4 /dev/loop0 /mnt/below";
    shell.check(mount, 0, &["loop0"]).unwrap();
    for victim in ["loop-0", "loops", "block", "virtio-blk-0"] {
        let mut text = shell.run("storage write /mnt/below/large 20 5 &").unwrap();
        for _ in 0..DEATHS {
            text += &shell.run(&format!("sleep 0.1; service kill {victim}")).unwrap();
        }
        text += &shell.run("wait").unwrap();
        assert!(text.contains("written: 20 MiB"), "{victim}: {text}\n{}", shell.run("dmesg").unwrap());
        shell.check("storage verify /mnt/below/large 20 5", 0, &["verified"]).unwrap();
    }
    shell.check("umount /mnt/below && losetup -d loop0 && umount /mnt", 0, &[]).unwrap();
    drop(shell);
    inside(&outer, &inner);
}
