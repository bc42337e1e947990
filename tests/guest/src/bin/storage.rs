//! `storage WORK …`: files on mounted disks, as tests want them.
//!
//! | work | what |
//! |---|---|
//! | `mount DISK DIRECTORY [ro]`, `umount DIRECTORY [force]` | by the namespace of vfs, whatever is on the disk |
//! | `tree DIRECTORY` | a line for each name below: kind, path, size, and a hash of the content or the target |
//! | `skim DIRECTORY` | of at most [`MOST_NAMES`] names below: their status, and at most [`MOST_READ`] bytes of each file; errors are counted |
//! | `copy FROM TO`, `remove PATH` | trees |
//! | `write FILE MIB [SEED]`, `verify FILE MIB [SEED]` | a pattern, in pieces of 128 KiB; `write` ends with `fsync` |
//! | `keep-open FILE COMMAND-WORDS…` | holds the file open while the rest runs as another of these works |
//! | `bench DIRECTORY DISK [MIB [FIGURE]]` | measures a mounted directory and the disk below it; `FIGURE`: what it takes for that one only |
//! | `names DIRECTORY COUNT` | makes, looks at and removes so many files, one by one |
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use guest::pattern::{PIECE, fill};
use guest::random::Random;
use guest::say;
use libsys::block::{Buffer, Disk, Request, Segment};
use libsys::client::CallError;
use libsys::fs::{self, File};
use libsys::protocol::block::{Flags, Operation, SECTOR_BYTES};
use libsys::protocol::namespace::{MountOptions, NamespaceError, UnmountOptions};
use libsys::protocol::{DisksClient, NamespaceClient, list};
use libsys::time::{self, Duration, Instant};
use libsys::{Channel, ExitStatus, client, env, path};

libsys::main!(run);

/// Bounds of a look at what may be damaged: directories may lead back to themselves, and files may say that they are of any size.
const MOST_NAMES: usize = 400;
const MOST_READ: usize = 1 << 20;

/// How long a disk is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a random request.
const SMALL: u64 = 4096;

/// Random reads of a measurement, for each request at a time.
const READS: u64 = 20_000;

/// How often the disk is read in order: once takes a tenth of a second, a good part of which the emulator translates.
const PASSES: u64 = 16;

/// Files made and removed in a measurement: as many as take more than a second, of which translating the code for the first time is little.
const FILES: u64 = 40_000;

type Outcome = Result<(), String>;

fn run() -> ExitStatus {
    match work(&env::arguments()[1..]) {
        Ok(()) => ExitStatus::SUCCESS,
        Err(text) => {
            say!("storage: {text}");
            ExitStatus::FAILURE
        }
    }
}

fn work(words: &[String]) -> Outcome {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["mount", disk, directory] => mount(disk, directory, false),
        ["mount", disk, directory, "ro"] => mount(disk, directory, true),
        ["umount", directory] => unmount(directory, false),
        ["umount", directory, "force"] => unmount(directory, true),
        ["tree", directory] => tree(directory, ""),
        ["skim", directory] => {
            let mut seen = Skimmed::default();
            skim(directory, &mut seen);
            say!("skimmed: {} names, {} errors", seen.names, seen.errors);
            Ok(())
        }
        ["copy", from, to] => copy(from, to),
        ["remove", path] => remove(path),
        ["write", file, mebibytes] => write(file, number(mebibytes)?, 1),
        ["write", file, mebibytes, seed] => write(file, number(mebibytes)?, number(seed)?),
        ["verify", file, mebibytes] => verify(file, number(mebibytes)?, 1),
        ["verify", file, mebibytes, seed] => verify(file, number(mebibytes)?, number(seed)?),
        ["keep-open", file, ..] => {
            let _open = File::open(file).map_err(about(file))?;
            let rest: Vec<String> = words[2..].iter().map(|word| word.to_string()).collect();
            work(&rest)
        }
        ["bench", directory, disk] => bench(directory, disk, 64, None),
        ["bench", directory, disk, mebibytes] => bench(directory, disk, number(mebibytes)?, None),
        ["bench", directory, disk, mebibytes, figure] => bench(directory, disk, number(mebibytes)?, Some(figure)),
        ["names", directory, count] => names(directory, number(count)?),
        _ => Err("usage: storage WORK …".into()),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn about<E: core::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

// ---- mounts ------------------------------------------------------------------------------------------------------

/// The process's namespace: the shell gives this program one that may mount.
fn namespace() -> Result<&'static NamespaceClient, String> {
    fs::namespace().map_err(about("the namespace"))
}

fn refused(what: &str) -> impl Fn(CallError<NamespaceError>) -> String {
    move |error| match error {
        CallError::Failed(error) => format!("{what}: {error}"),
        error => format!("{what}: {error}"),
    }
}

/// Waits until `block` has a disk: a machine may be at its prompt before all drivers are. One that does not come is the mount's affair.
fn wait_for(disk: &str) -> Outcome {
    let name = disk.strip_prefix("/dev/").unwrap_or(disk);
    let session = env::get().registry().connect("block", true).map_err(about("block"))?;
    let disks: DisksClient = client::open(session).map_err(about("block"))?;
    let channel = Channel::create(env::account()).map_err(about("a channel"))?;
    let signaller = channel.signaller(1).map_err(about("a channel"))?;
    disks.watch(&signaller, 1).map_err(about("block"))?;
    let deadline = time::deadline_after(PATIENCE);
    loop {
        let all = list::all(|first| disks.list(first)).map_err(about("block"))?;
        if all.iter().any(|disk| disk.name == name) {
            return Ok(());
        }
        if channel.receive(Some(deadline)).is_err() {
            return Ok(());
        }
    }
}

fn mount(disk: &str, directory: &str, read_only: bool) -> Outcome {
    wait_for(disk)?;
    let options = MountOptions { read_only, parameters: Vec::new() };
    namespace()?.mount(disk, directory, "auto", options).map_err(refused(disk))
}

fn unmount(directory: &str, force: bool) -> Outcome {
    namespace()?.unmount(directory, UnmountOptions { force }).map_err(refused(directory))
}

// ---- trees -------------------------------------------------------------------------------------------------------

/// FNV-1a with 64 bits, which the host computes as well.
struct Hash(u64);

impl Hash {
    fn new() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

fn hash_of(file: &str) -> Result<u64, String> {
    let open = File::open(file).map_err(about(file))?;
    let mut bytes = vec![0; PIECE];
    let mut hash = Hash::new();
    loop {
        match open.read(&mut bytes).map_err(about(file))? {
            0 => return Ok(hash.0),
            count => hash.add(&bytes[..count]),
        }
    }
}

fn entries(directory: &str) -> Result<Vec<fs::DirEntry>, String> {
    let all = fs::read_dir(directory).map_err(about(directory))?;
    let mut all = all.collect::<Result<Vec<fs::DirEntry>, _>>().map_err(about(directory))?;
    all.sort_by(|one, other| one.file_name().cmp(other.file_name()));
    Ok(all)
}

fn tree(directory: &str, below: &str) -> Outcome {
    for entry in entries(directory)? {
        let (place, name) = (path::join(directory, entry.file_name()), format!("{below}{}", entry.file_name()));
        match entry.kind() {
            fs::NodeKind::Directory => {
                say!("d {name}");
                tree(&place, &format!("{name}/"))?;
            }
            fs::NodeKind::Link => say!("l {name} {}", fs::read_link(&place).map_err(about(&place))?),
            _ => {
                let size = fs::symlink_metadata(&place).map_err(about(&place))?.len();
                say!("f {name} {size} {:016x}", hash_of(&place)?);
            }
        }
    }
    Ok(())
}

/// What a look at a directory found.
#[derive(Default)]
struct Skimmed {
    names: usize,
    errors: usize,
}

fn skim(directory: &str, seen: &mut Skimmed) {
    let Ok(all) = fs::read_dir(directory) else {
        seen.errors += 1;
        return;
    };
    for entry in all {
        if seen.names == MOST_NAMES {
            return;
        }
        seen.names += 1;
        let Ok(entry) = entry else {
            // The rest of the directory is not to be had.
            seen.errors += 1;
            return;
        };
        let place = path::join(directory, entry.file_name());
        let kind = fs::symlink_metadata(&place).map(|status| status.kind());
        match kind {
            Ok(fs::NodeKind::Directory) => skim(&place, seen),
            Ok(fs::NodeKind::File) => seen.errors += usize::from(!can_be_read(&place)),
            Ok(_) => {}
            Err(_) => seen.errors += 1,
        }
    }
}

/// Whether the beginning of a file can be read.
fn can_be_read(file: &str) -> bool {
    let Ok(open) = File::open(file) else { return false };
    let mut bytes = vec![0; PIECE];
    (0..MOST_READ / PIECE).all(|_| open.read(&mut bytes).is_ok())
}

fn copy(from: &str, to: &str) -> Outcome {
    let status = fs::symlink_metadata(from).map_err(about(from))?;
    match status.kind() {
        fs::NodeKind::Directory => {
            fs::create_dir(to).map_err(about(to))?;
            for entry in entries(from)? {
                copy(&path::join(from, entry.file_name()), &path::join(to, entry.file_name()))?;
            }
            Ok(())
        }
        fs::NodeKind::Link => {
            let target = fs::read_link(from).map_err(about(from))?;
            fs::symlink(&target, to).map_err(about(to))
        }
        _ => fs::copy(from, to).map(drop).map_err(about(to)),
    }
}

fn remove(path: &str) -> Outcome {
    let is_directory = fs::symlink_metadata(path).map_err(about(path))?.is_dir();
    if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) }.map_err(about(path))
}

// ---- patterns ----------------------------------------------------------------------------------------------------

fn pieces(mebibytes: u64) -> u64 {
    (mebibytes << 20) / PIECE as u64
}

fn write_all(open: &File, file: &str, mut bytes: &[u8]) -> Outcome {
    while !bytes.is_empty() {
        let count = open.write(bytes).map_err(about(file))?;
        bytes = bytes.get(count..).filter(|_| count > 0).ok_or_else(|| format!("{file}: {count} bytes written"))?;
    }
    Ok(())
}

fn read_all(open: &File, file: &str, mut bytes: &mut [u8]) -> Outcome {
    while !bytes.is_empty() {
        let count = open.read(bytes).map_err(about(file))?;
        bytes = bytes.get_mut(count..).filter(|_| count > 0).ok_or_else(|| format!("{file}: it ends too early"))?;
    }
    Ok(())
}

fn write(file: &str, mebibytes: u64, seed: u64) -> Outcome {
    let open = File::create(file).map_err(about(file))?;
    let mut bytes = vec![0; PIECE];
    for piece in 0..pieces(mebibytes) {
        fill(seed, piece, &mut bytes);
        write_all(&open, file, &bytes)?;
    }
    open.sync_all().map_err(about(file))?;
    say!("written: {mebibytes} MiB");
    Ok(())
}

fn verify(file: &str, mebibytes: u64, seed: u64) -> Outcome {
    let open = File::open(file).map_err(about(file))?;
    let (mut bytes, mut expected) = (vec![0; PIECE], vec![0; PIECE]);
    for piece in 0..pieces(mebibytes) {
        fill(seed, piece, &mut expected);
        read_all(&open, file, &mut bytes)?;
        if let Some(at) = (0..PIECE).find(|at| bytes[*at] != expected[*at]) {
            let offset = piece * PIECE as u64 + at as u64;
            return Err(format!("{file}: at {offset} is {:#x}, not {:#x}", bytes[at], expected[at]));
        }
    }
    if open.read(&mut bytes).map_err(about(file))? > 0 {
        return Err(format!("{file}: it is longer than {mebibytes} MiB"));
    }
    say!("verified: {mebibytes} MiB");
    Ok(())
}

// ---- measurements ------------------------------------------------------------------------------------------------

fn report(name: &str, start: Instant, amount: u64, unit: &str) {
    let nanoseconds = start.elapsed().as_nanos().max(1);
    let scale = if unit == "MB/s" { 1_000 } else { 1_000_000_000 };
    say!("bench {name} {} {unit}", u128::from(amount) * scale / nanoseconds);
}

/// Names of figures that one work measures together.
const OF_DATA: [&str; 2] = ["seq_write_ext4", "seq_read_ext4"];
const OF_NAMES: [&str; 1] = ["create_unlink_ext4"];
const OF_THE_DISK: [&str; 3] = ["seq_read_raw", "rand4k_d1", "rand4k_d32"];

fn bench(directory: &str, disk: &str, mebibytes: u64, only: Option<&str>) -> Outcome {
    let is_wanted = |figures: &[&str]| only.is_none_or(|only| figures.contains(&only));
    if is_wanted(&OF_DATA) {
        data(directory, mebibytes)?;
    }
    if is_wanted(&OF_NAMES) {
        let start = Instant::now();
        names(directory, FILES)?;
        report(OF_NAMES[0], start, FILES, "/s");
    }
    if is_wanted(&OF_THE_DISK) {
        raw(disk, mebibytes)?;
    }
    Ok(())
}

fn data(directory: &str, mebibytes: u64) -> Outcome {
    let file = path::join(directory, "storage-bench");
    let bytes = mebibytes << 20;
    let mut buffer = vec![0x5a; PIECE];
    let open = File::create(&file).map_err(about(&file))?;
    let start = Instant::now();
    for _ in 0..pieces(mebibytes) {
        write_all(&open, &file, &buffer)?;
    }
    open.sync_all().map_err(about(&file))?;
    report("seq_write_ext4", start, bytes, "MB/s");
    drop(open);
    // Far more than the page cache holds: what is read first went long ago.
    let open = File::open(&file).map_err(about(&file))?;
    let start = Instant::now();
    for _ in 0..pieces(mebibytes) {
        read_all(&open, &file, &mut buffer)?;
    }
    report("seq_read_ext4", start, bytes, "MB/s");
    drop(open);
    remove(&file)
}

fn names(directory: &str, count: u64) -> Outcome {
    for number in 0..count {
        let file = path::join(directory, &format!("storage-bench-{}", number % 16));
        File::create_new(&file).map_err(about(&file))?;
        fs::metadata(&file).map_err(about(&file))?;
        fs::remove_file(&file).map_err(about(&file))?;
    }
    Ok(())
}

fn raw(name: &str, mebibytes: u64) -> Outcome {
    let session = env::get().registry().connect("block", false).map_err(about("block"))?;
    let disks: DisksClient = client::open(session).map_err(about("block"))?;
    let session = disks.open(name, false, false).map_err(about(name))?;
    let mut disk = Disk::open(session, "block", env::account()).map_err(about(name))?;
    let sectors = disk.info().sectors;
    let pieces = pieces(mebibytes).min(sectors * SECTOR_BYTES / PIECE as u64);
    let start = Instant::now();
    reads(&mut disk, PIECE as u64, 1, pieces * PASSES, |number| number % pieces)?;
    report("seq_read_raw", start, pieces * PASSES * PIECE as u64, "MB/s");
    let blocks = sectors * SECTOR_BYTES / SMALL;
    for (name, depth) in [("rand4k_d1", 1), ("rand4k_d32", 32)] {
        let mut random = Random::new(depth);
        let start = Instant::now();
        reads(&mut disk, SMALL, depth, READS, |_| random.below(blocks))?;
        report(name, start, READS, "/s");
    }
    Ok(())
}

/// Reads blocks of a disk, some at a time.
fn reads(disk: &mut Disk, bytes: u64, depth: u64, count: u64, mut block: impl FnMut(u64) -> u64) -> Outcome {
    let buffer = |_| disk.allocate(bytes, env::account()).map_err(about("a buffer"));
    let buffers = (0..depth.min(count)).map(buffer).collect::<Result<Vec<Buffer>, String>>()?;
    let mut begun = 0;
    let mut submit = |disk: &mut Disk, buffer: &Buffer| -> Result<u64, String> {
        let segment = Segment { buffer: buffer.number(), bytes: bytes as u32, offset: 0 };
        let sector = block(begun) * bytes / SECTOR_BYTES;
        begun += 1;
        let request =
            Request { operation: Operation::Read, flags: Flags::NONE, sector, sectors: 0, segments: &[segment] };
        disk.submit(&request).map_err(about("a read"))
    };
    let mut away = Vec::new();
    for buffer in &buffers {
        away.push(submit(disk, buffer)?);
    }
    for ended in 1..=count {
        let completion = disk.wait().ok_or("nothing is outstanding, and not all is done")?;
        completion.status.result().map_err(about("a read"))?;
        let slot = away.iter().position(|id| *id == completion.id).ok_or("a completion of nothing")?;
        if ended + buffers.len() as u64 <= count {
            away[slot] = submit(disk, &buffers[slot])?;
        }
    }
    Ok(())
}
