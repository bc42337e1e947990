//! Measuring files and disks: a machine with a disk that `mke2fs` has made, whose file system and blocks the guest's program `storage` reads and writes; and, to
//! compare, a Linux on the same machine whose init does the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::lines::{self, Line};
use super::linux::Linux;
use crate::disk::{Disk, DiskBus};
use crate::exec::Interruption;
use crate::host_program;
use crate::image::Image;
use crate::machine::Machine;
use crate::progress::Progress;
use crate::workspace::Workspace;

/// MiB of the disk; its file system has a file of half of that on it, so that blocks are there to be read.
const DISK: u64 = 256;

/// MiB that are written and read.
const MEASURED: u64 = 64;

/// Runs of each system, in turn, where two are compared.
const PAIRS: usize = 5;

/// The program that measures on Linux.
const ON_LINUX: &str = include_str!("linux/storage.c");

/// What guests print, all of them or one. More of each is better.
pub const FIGURES: [&str; 6] =
    ["seq_read_ext4", "seq_write_ext4", "seq_read_raw", "rand4k_d1", "rand4k_d32", "create_unlink_ext4"];

/// A figure that is counted in instructions: opening, reading and closing a cached file. Fewer is better.
pub const COUNTED: &str = "open_read_close";

/// What [`COUNTED`] must not exceed: what Linux takes for it.
const COUNTED_BAR: u64 = 7917;

/// A kind of disk: how it is connected, what both systems call it, and what its figures' names end with.
#[derive(Debug, Clone, Copy)]
struct Kind {
    bus: DiskBus,
    name: &'static str,
    suffix: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind { bus: DiskBus::Virtio, name: "vda", suffix: "_virtio" },
    Kind { bus: DiskBus::Nvme, name: "nvme0n1", suffix: "_nvme" },
];

impl Kind {
    /// The name of a figure. Names hardly depend on the disk, so they are said of one kind, and of others to compare.
    fn figure(&self, figure: &str) -> String {
        let is_of_names = figure == "create_unlink_ext4" && self.bus == DiskBus::Virtio;
        if is_of_names { figure.to_string() } else { format!("{figure}{}", self.suffix) }
    }
}

/// A figure.
#[derive(Debug, Clone)]
struct Figure {
    line: Line,
    /// How many times that of Linux it is, if that was measured.
    ratio: Option<f64>,
    /// What it must not exceed, of one that is counted.
    bar: Option<u64>,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Throughput(Vec<Figure>);

/// Measures on machines that end after `timeout` at the latest; with `vs_linux` five times, and Linux in turn with it: figures and ratios are medians then. With `only`, that one of [`FIGURES`], or [`COUNTED`].
///
/// # Errors
/// The image or the Linux cannot be made, a machine comes to a bad end, or a figure is missing.
pub fn measure(
    image: &Image,
    timeout: Duration,
    vs_linux: bool,
    only: Option<&str>,
    progress: &Progress,
) -> Result<Throughput> {
    let wanted = Wanted(only);
    let image = image.clone().with_tests();
    let mut counted = Vec::new();
    if only.is_none_or(|only| only == COUNTED) {
        progress.step("counting instructions of a file");
        let line = count(&Machine::new(&image).timeout(timeout).icount(true))?;
        counted.push(Figure { line, ratio: None, bar: Some(COUNTED_BAR) });
        if only.is_some() {
            return Ok(Throughput(counted));
        }
    }
    let folder = Folder::new()?;
    let linux = match vs_linux {
        false => None,
        true => {
            let linux = Linux::find(&Workspace::locate()?.target().join("linux"), progress)?;
            Some(linux.image(ON_LINUX, &folder.0)?)
        }
    };
    progress.step("making a disk");
    let fresh = folder.0.join("fresh.img");
    make(&folder.0, &fresh, progress)?;
    let rounds = if vs_linux { PAIRS } else { 1 };
    let mut runs = KINDS.map(|_| (Vec::new(), Vec::new()));
    for round in 1..=rounds {
        progress.step(&format!("measuring files and disks, round {round} of {rounds}"));
        for (kind, (ours, theirs)) in KINDS.iter().zip(&mut runs) {
            let disk = || -> Result<Disk> {
                let file = folder.0.join("disk.img");
                fs::copy(&fresh, &file).with_context(|| format!("cannot write {}", file.display()))?;
                Ok(Disk::new(file).bus(kind.bus))
            };
            ours.push(on_skink(&Machine::new(&image).timeout(timeout).disk(disk()?), kind, wanted)?);
            if let Some(linux) = &linux {
                theirs.push(on_linux(&Machine::new(linux).timeout(timeout).disk(disk()?), kind, wanted)?);
            }
        }
    }
    let figures = KINDS.iter().zip(&runs).flat_map(|(kind, (ours, theirs))| compare(kind, wanted, ours, theirs));
    Ok(Throughput(figures.chain(counted).collect()))
}

/// What [`COUNTED`] is on a machine that counts.
fn count(machine: &Machine) -> Result<Line> {
    let text = printed(machine, "files /tmp bench")?;
    lines::parse(&text)?.into_iter().find(|line| line.name == COUNTED).context("a figure is missing")
}

/// What commands print on a machine.
fn printed(machine: &Machine, commands: &str) -> Result<String> {
    let mut output = Vec::new();
    let (end, log) = machine.stream_exec(commands, &mut output, Interruption::Ends)?;
    let text = String::from_utf8_lossy(&output).into_owned();
    if end != crate::End::Status(0) {
        return Err(end).with_context(|| format!("{text}\n{log}"));
    }
    Ok(text)
}

/// Which figures are wanted: one, or all.
#[derive(Debug, Clone, Copy)]
struct Wanted<'a>(Option<&'a str>);

impl Wanted<'_> {
    /// Their names, in the order of [`FIGURES`].
    fn names(&self) -> Vec<&'static str> {
        FIGURES.into_iter().filter(|name| self.0.is_none_or(|only| only == *name)).collect()
    }
}

fn on_skink(machine: &Machine, kind: &Kind, wanted: Wanted) -> Result<Vec<Line>> {
    let (name, only) = (kind.name, wanted.0.unwrap_or_default());
    let commands =
        format!("storage mount /dev/{name} /mnt && storage bench /mnt {name} {MEASURED} {only} && storage umount /mnt");
    figures(&printed(machine, &commands)?, wanted)
}

fn on_linux(machine: &Machine, kind: &Kind, wanted: Wanted) -> Result<Vec<Line>> {
    let only = wanted.0.map(|only| format!(" only={only}")).unwrap_or_default();
    let words = Linux::append(&format!("disk={} mebibytes={MEASURED}{only}", kind.name));
    let (end, text) = machine.clone().append(&words).follow(&mut std::io::sink(), Interruption::Ends)?;
    if let Some(reason) = lines::failure(&text) {
        bail!("Linux: {reason}");
    }
    if end != crate::End::PowerOff {
        return Err(end).with_context(|| format!("Linux: {text}"));
    }
    figures(&text, wanted)
}

/// The wanted ones of the figures that a guest printed.
fn figures(text: &str, wanted: Wanted) -> Result<Vec<Line>> {
    let (found, names) = (lines::parse(text)?, wanted.names());
    let find = |name: &&str| found.iter().find(|line| line.name == *name).cloned();
    let all: Vec<Line> = names.iter().filter_map(find).collect();
    ensure!(all.len() == names.len(), "a figure is missing: {text}");
    Ok(all)
}

/// The medians of runs, and of their ratios.
fn compare(kind: &Kind, wanted: Wanted, ours: &[Vec<Line>], theirs: &[Vec<Line>]) -> Vec<Figure> {
    let figure = |(index, name): (usize, &str)| {
        let values = ours.iter().map(|run| run[index].value as f64).collect();
        let pairs = ours.iter().zip(theirs);
        let ratios: Vec<f64> =
            pairs.map(|(ours, theirs)| ours[index].value as f64 / theirs[index].value.max(1) as f64).collect();
        let unit = ours.first().map_or("", |run| &run[index].unit);
        let line = Line::new(&kind.figure(name), median(values).unwrap_or(0.0) as u64, unit);
        Figure { line, ratio: median(ratios), bar: None }
    };
    wanted.names().into_iter().enumerate().map(figure).collect()
}

/// The one in the middle; `None` of none.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// An ext4 file system with a file in it.
fn make(folder: &Path, file: &Path, progress: &Progress) -> Result<()> {
    let tree = folder.join("tree");
    fs::create_dir(&tree)?;
    let mut state = 1u64;
    let bytes = (0..DISK << 16).flat_map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()
    });
    fs::write(tree.join("file"), bytes.collect::<Vec<u8>>())?;
    let mut command = Command::new(host_program::find("mke2fs", "e2fsprogs", progress)?);
    command.args(["-q", "-F", "-t", "ext4", "-d"]).arg(&tree).arg(file).arg(format!("{DISK}m"));
    let output = command.output().context("mke2fs cannot be started")?;
    if !output.status.success() {
        bail!("mke2fs: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// A folder in that of the system for such, gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("skink-bench-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Throughput {
    /// One array of `{"name", "value", "unit", "ratio", "bar"}`; a ratio is there if Linux was measured, a bar where a figure is counted.
    pub fn json(&self) -> String {
        let object = |Figure { line, ratio, bar }: &Figure| {
            let mut object = json!({"name": line.name, "value": line.value, "unit": line.unit});
            if let Some(ratio) = ratio {
                object["ratio"] = json!((ratio * 1000.0).round() / 1000.0);
            }
            if let Some(bar) = bar {
                object["bar"] = json!(bar);
            }
            object
        };
        format!("{:#}", Value::Array(self.0.iter().map(object).collect()))
    }

    /// A line for each figure.
    pub fn table(&self) -> String {
        let row = |Figure { line, ratio, bar }: &Figure| {
            let ratio = ratio.map_or(String::new(), |ratio| format!("  {ratio:.2} × Linux"));
            let bar = bar.map_or(String::new(), |bar| {
                format!("  at most {bar}{}", if line.value > bar { ": OVER" } else { "" })
            });
            format!("{:<24}{:>10} {:<5}{ratio}{bar}", line.name, line.value, line.unit).trim_end().to_string() + "\n"
        };
        self.0.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(values: [u64; 6]) -> Vec<Line> {
        FIGURES.iter().zip(values).map(|(name, value)| Line::new(name, value, "/s")).collect()
    }

    #[test]
    fn figures_and_ratios_are_medians() {
        let ours = [run([10; 6]), run([30; 6]), run([20; 6])];
        let theirs = [run([10; 6]), run([10; 6]), run([40; 6])];
        let figures = Throughput(compare(&KINDS[1], Wanted(None), &ours, &theirs));
        let json: Vec<Value> = serde_json::from_str(&figures.json()).unwrap();
        assert_eq!(json[5], json!({"name": "create_unlink_ext4_nvme", "value": 20, "unit": "/s", "ratio": 1.0}));
        assert!(figures.table().starts_with("seq_read_ext4_nvme              20 /s     1.00 × Linux\n"));
        let alone = Throughput(compare(&KINDS[0], Wanted(None), &ours[..1], &[]));
        let json: Vec<Value> = serde_json::from_str(&alone.json()).unwrap();
        let names: Vec<&str> = json.iter().map(|object| object["name"].as_str().unwrap()).collect();
        let wanted = ["seq_read_ext4", "seq_write_ext4", "seq_read_raw", "rand4k_d1", "rand4k_d32"];
        assert_eq!(names[..5], wanted.map(|name| format!("{name}_virtio")));
        assert_eq!(json[5], json!({"name": "create_unlink_ext4", "value": 10, "unit": "/s"}));
    }

    #[test]
    fn what_is_counted_has_a_bar() {
        let figure =
            |value| Figure { line: Line::new(COUNTED, value, "instructions"), ratio: None, bar: Some(COUNTED_BAR) };
        let table = Throughput(vec![figure(7917), figure(7918)]).table();
        let (good, over) = table.split_once('\n').unwrap();
        assert_eq!(good, "open_read_close               7917 instructions  at most 7917");
        assert!(over.ends_with("at most 7917: OVER\n"), "{over}");
        let json: Vec<Value> = serde_json::from_str(&Throughput(vec![figure(1)]).json()).unwrap();
        assert_eq!(json[0], json!({"name": COUNTED, "value": 1, "unit": "instructions", "bar": 7917}));
    }

    #[test]
    fn a_figure_that_is_missing_is_told() {
        let text: String = FIGURES[1..].iter().map(|name| format!("bench {name} 1 /s\r\n")).collect();
        assert!(figures(&text, Wanted(None)).is_err());
        let only = figures(&text, Wanted(Some("rand4k_d1"))).unwrap();
        assert_eq!((only.len(), only[0].name.as_str()), (1, "rand4k_d1"));
        let all = figures(&format!("noise\r\nbench seq_read_ext4 7 MB/s\r\n{text}"), Wanted(None));
        assert_eq!(all.unwrap()[0].value, 7);
    }
}
