//! `files DIRECTORY [CASE]…`: what POSIX promises about files, on the file system that the directory is on. Each case works in a directory of its own, prints a line and leaves nothing; the exit status is 0 if none failed. A file system says
//! `Unsupported` where it has no links, and its cases are skipped then. `files DIRECTORY bench` measures instead, in nanoseconds, which are instructions under an instruction counter.
//!
//! It starts itself for what takes two processes, so it has to be in /bin.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use libsys::fs::{self, File, FileError, OpenOptions};
use libsys::io::{self, Error, Read, Whence, Write};
use libsys::program::{Child, Launch, Program};
use libsys::time::Instant;
use libsys::{ExitStatus, env, path};

libsys::main!(run);

/// Where this program is.
const PROGRAM: &str = "/bin/files";

/// Names in the large directory.
const NAMES: usize = 10_000;

/// Names that are all looked at, and half of them renamed.
const RENAMED: usize = 4_000;

/// Records that each of two processes appends.
const RECORDS: usize = 200;

/// Rounds of a measurement.
const ROUNDS: u64 = 200;

/// Why a case failed.
enum Failure {
    /// Something was refused: what.
    Refused(&'static str, Error),
    /// Something is not as it should be.
    Wrong(String),
    /// The file system has no such thing.
    Skipped,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(what, error) => write!(f, "{what}: {error}"),
            Failure::Wrong(what) => f.write_str(what),
            Failure::Skipped => f.write_str("skipped"),
        }
    }
}

type Outcome = Result<(), Failure>;

/// Names what was tried.
trait Tried<T> {
    fn tried(self, what: &'static str) -> Result<T, Failure>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure::Refused(what, error))
    }
}

/// Whether something failed with this error.
fn fails<T>(what: &str, result: io::Result<T>, expected: FileError) -> Outcome {
    match result {
        Err(error) if error.file() == Some(expected) => Ok(()),
        Err(error) => Err(Failure::Wrong(format!("{what}: {error:?}, not {expected:?}"))),
        Ok(_) => Err(Failure::Wrong(format!("{what}: done, not {expected:?}"))),
    }
}

fn same<T: PartialEq + fmt::Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected {
        return Ok(());
    }
    Err(Failure::Wrong(format!("{what}: {found:?}, not {expected:?}")))
}

/// A case: its name, and what it does in an empty directory.
type Case = (&'static str, fn(&str) -> Outcome);

const CASES: [Case; 25] = [
    ("write-read", write_read),
    ("embedded-io", embedded),
    ("exclusive", exclusive),
    ("append", append),
    ("append-two", append_two),
    ("truncate-while-read", truncate_while_read),
    ("sparse", sparse),
    ("mapped", mapped),
    ("unlink-open", unlink_open),
    ("rename", rename),
    ("rename-over", rename_over),
    ("rename-directory", rename_directory),
    ("directories", directories),
    ("names", names),
    ("many-names", many_names),
    ("each-of-many", each_of_many),
    ("list-while-removing", list_while_removing),
    ("deep", deep),
    ("parents", parents),
    ("links", links),
    ("link-loops", link_loops),
    ("hard-links", hard_links),
    ("locks", locks),
    ("read-only-subtree", read_only_subtree),
    ("pipes", pipes),
];

fn run() -> ExitStatus {
    let arguments = env::arguments();
    let word = |index: usize| arguments.get(index).map(String::as_str);
    let Some(directory) = word(1) else {
        say("usage: files DIRECTORY [bench | CASE…]");
        return ExitStatus(2);
    };
    let done = match word(2) {
        Some("bench") => bench(directory),
        Some("append-records") => append_records(directory, word(3).unwrap_or("?")),
        Some("try-to-change") => try_to_change(directory),
        Some("copy") => copy(),
        Some("fill") => fill(directory),
        _ => return all(directory, &arguments[2..]),
    };
    match done {
        Ok(()) => ExitStatus::SUCCESS,
        Err(failure) => {
            say(&format!("FAIL {failure}"));
            ExitStatus::FAILURE
        }
    }
}

fn say(text: &str) {
    // Who does not listen misses it; the status says the same.
    let _ = io::stdout().write_all(format!("{text}\n").as_bytes());
}

fn all(directory: &str, wanted: &[String]) -> ExitStatus {
    let mut failed = 0;
    for (name, case) in CASES {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let place = path::join(directory, &format!("files-{name}"));
        let result = fs::create_dir(&place).tried("make the directory").and_then(|()| case(&place));
        let removed = fs::remove_dir_all(&place).tried("remove the directory");
        match result.and(removed) {
            Ok(()) => say(&format!("ok {name}")),
            Err(Failure::Skipped | Failure::Refused(_, Error::File(FileError::Unsupported))) => {
                say(&format!("skipped {name}"));
            }
            Err(failure) => {
                failed += 1;
                say(&format!("FAIL {name}: {failure}"));
            }
        }
    }
    say(&format!("{failed} failed"));
    if failed == 0 { ExitStatus::SUCCESS } else { ExitStatus::FAILURE }
}

/// Bytes that tell their place.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| ((at / 7) ^ (at >> 9)) as u8).collect()
}

/// What a crate does that knows a file only by the traits of `embedded-io`.
fn embedded(place: &str) -> Outcome {
    fn work<F: Read + Write + Seek>(file: &mut F, bytes: &[u8]) -> core::result::Result<Vec<u8>, F::Error> {
        file.write_all(bytes)?;
        file.seek(SeekFrom::End(-5))?;
        let mut end = vec![0; 9];
        let count = file.read(&mut end)?;
        end.truncate(count);
        Ok(end)
    }
    use embedded_io::{Read, Seek, SeekFrom, Write};
    let file = path::join(place, "file");
    let mut open = OpenOptions::new().read(true).write(true).create(true).open(&file).tried("open")?;
    same("the end", work(&mut open, &pattern(9_000)).tried("write and read")?, pattern(9_000)[8_995..].to_vec())?;
    same("the file", fs::read(&file).tried("read")? == pattern(9_000), true)
}

fn write_read(place: &str) -> Outcome {
    let file = path::join(place, "a");
    let bytes = pattern(200_001);
    fs::write(&file, &bytes).tried("write")?;
    same("the contents", fs::read(&file).tried("read")? == bytes, true)?;
    same("the size", fs::metadata(&file).tried("status")?.len(), 200_001)?;
    let open = OpenOptions::new().read(true).write(true).open(&file).tried("open")?;
    open.write_at(b"middle", 4093).tried("write in the middle")?;
    let mut part = [0; 10];
    same("a read in the middle", open.read_at(&mut part, 4091).tried("read")?, 10)?;
    same("what is there", &part[2..8], b"middle")?;
    same("a read at the end", open.read_at(&mut part, 200_000).tried("read")?, 1)?;
    same("a read behind the end", open.read_at(&mut part, 300_000).tried("read")?, 0)?;
    same("the end", open.seek(Whence::End, -1).tried("seek")?, 200_000)?;
    same("a read there", open.read(&mut part).tried("read")?, 1)?;
    fails("seek before the start", open.seek(Whence::Current, -300_000), FileError::OutOfRange)?;
    fails("write a file opened to read", File::open(&file).tried("open")?.write(b"x"), FileError::Denied)?;
    fails("read a directory as text", fs::read(place), FileError::IsDirectory)
}

fn exclusive(place: &str) -> Outcome {
    let file = path::join(place, "a");
    fails("open what is not there", File::open(&file), FileError::NotFound)?;
    File::create_new(&file).tried("make")?;
    fails("make it again", File::create_new(&file), FileError::Exists)?;
    fs::write(&file, b"text").tried("write")?;
    same("emptied", File::create(&file).tried("empty")?.metadata().tried("status")?.len(), 0)?;
    fails("a file as a directory", File::open(&path::join(&file, "b")), FileError::NotDirectory)?;
    fails("the same with a slash", File::open(&format!("{file}/")), FileError::NotDirectory)
}

fn append(place: &str) -> Outcome {
    let file = path::join(place, "a");
    let options = OpenOptions::new().append(true).create(true);
    let (first, second) = (options.open(&file).tried("open")?, options.open(&file).tried("open")?);
    for (open, text) in [(&first, "one "), (&second, "two "), (&first, "three")] {
        open.write(text.as_bytes()).tried("append")?;
    }
    same("the text", fs::read_to_string(&file).tried("read")?.as_str(), "one two three")
}

/// This program.
fn own_program() -> Result<Program, Failure> {
    Program::open(PROGRAM, env::account()).map_err(|error| Failure::Wrong(format!("{PROGRAM}: {error}")))
}

/// Starts this program with these arguments.
fn start<'a>(
    program: &'a Program,
    arguments: &[&str],
    change: impl FnOnce(Launch<'a>) -> Launch<'a>,
) -> Result<Child, Failure> {
    let launch = Launch::new(program, "files").arguments(arguments.iter().map(|text| text.to_string()));
    let child = change(launch.with_files()).spawn(env::account());
    child.map_err(|error| Failure::Wrong(format!("{PROGRAM}: {error}")))
}

fn ended_well(child: &Child) -> Outcome {
    let record = child.wait().map_err(|error| Failure::Refused("wait", error.into()))?;
    same("the other process's end", (record.reason, record.code), (libsys::abi::ExitReason::Exit as u32, 0))
}

fn append_records(file: &str, word: &str) -> Outcome {
    let open = OpenOptions::new().append(true).create(true).open(file).tried("open")?;
    for number in 0..RECORDS {
        let record = format!("{word}{number:06}\n");
        same("bytes of a record", open.write(record.as_bytes()).tried("append")?, record.len())?;
    }
    Ok(())
}

fn append_two(place: &str) -> Outcome {
    let file = path::join(place, "a");
    let program = own_program()?;
    let other = start(&program, &[&file, "append-records", "a"], |launch| launch)?;
    append_records(&file, "b")?;
    ended_well(&other)?;
    let text = fs::read_to_string(&file).tried("read")?;
    for word in ["a", "b"] {
        let records: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(word)).collect();
        same("records of one process", records.len(), RECORDS)?;
        same("their order", records.is_sorted(), true)?;
    }
    same("all records", text.lines().count(), 2 * RECORDS)
}

fn truncate_while_read(place: &str) -> Outcome {
    let file = path::join(place, "a");
    fs::write(&file, pattern(10_000)).tried("write")?;
    let reader = File::open(&file).tried("open")?;
    let mut part = vec![0; 6000];
    same("the first part", reader.read(&mut part).tried("read")?, 6000)?;
    let writer = OpenOptions::new().write(true).open(&file).tried("open")?;
    writer.set_len(100).tried("cut off")?;
    same("behind the new end", reader.read(&mut part).tried("read")?, 0)?;
    writer.set_len(7000).tried("lengthen")?;
    same("what is read again", reader.read(&mut part).tried("read")?, 1000)?;
    same("zeros", part[..1000].iter().all(|byte| *byte == 0), true)?;
    same("what was left", fs::read(&file).tried("read")?[..100] == pattern(100)[..], true)
}

fn sparse(place: &str) -> Outcome {
    let file = path::join(place, "a");
    let open = File::create_new(&file).tried("make")?;
    open.write_at(b"end", 1_000_000).tried("write far away")?;
    let bytes = fs::read(&file).tried("read")?;
    same("the size", bytes.len(), 1_000_003)?;
    same("the hole", bytes[..1_000_000].iter().all(|byte| *byte == 0), true)?;
    same("behind the hole", &bytes[1_000_000..], b"end")
}

/// Files as Memory, which nobody can change.
fn mapped(place: &str) -> Outcome {
    let file = path::join(place, "file");
    let all = pattern(300_000);
    fs::write(&file, &all).tried("write")?;
    let open = OpenOptions::new().read(true).write(true).open(&file).tried("open")?;
    for (offset, bytes) in [(0, 300_000), (5000, 200_000), (299_999, 1), (300_000, 0)] {
        let (memory, start) = open.map(offset, bytes, env::account()).tried("map")?;
        let mapping = memory.map_sealed().map_err(|error| Failure::Refused("look at it", error.into()))?;
        let range = offset as usize..(offset + bytes) as usize;
        let found = &mapping[start as usize..][..bytes as usize];
        same("its bytes", found == &all[range], true)?;
        open.write_at(b"later", offset.min(100)).tried("write later")?;
        same("what was mapped", found == &all[offset as usize..(offset + bytes) as usize], true)?;
        open.write_at(&all[..200], 0).tried("write back")?;
        same("no writing", memory.map_writable().is_err(), true)?;
    }
    fails("map beyond the end", open.map(299_999, 2, env::account()), FileError::OutOfRange)?;
    fails("map far away", open.map(u64::MAX, 2, env::account()), FileError::OutOfRange)?;
    let write_only = OpenOptions::new().write(true).open(&file).tried("open to write")?;
    fails("map what is not to be read", write_only.map(0, 1, env::account()), FileError::Denied)
}

fn unlink_open(place: &str) -> Outcome {
    let file = path::join(place, "a");
    fs::write(&file, b"still here").tried("write")?;
    let open = OpenOptions::new().read(true).write(true).open(&file).tried("open")?;
    fs::remove_file(&file).tried("remove")?;
    fails("open it again", File::open(&file), FileError::NotFound)?;
    fs::write(&file, b"another").tried("write another")?;
    open.write_at(b"ever", 6).tried("write")?;
    let mut text = [0; 10];
    same("its bytes", open.read(&mut text).tried("read")?, 10)?;
    same("its text", &text, b"still ever")?;
    same("names of it", open.metadata().tried("status")?.status().links, 0)?;
    same("the other", fs::read(&file).tried("read")?.as_slice(), b"another")
}

fn rename(place: &str) -> Outcome {
    let (from, to) = (path::join(place, "a"), path::join(place, "b"));
    fails("rename what is not there", fs::rename(&from, &to), FileError::NotFound)?;
    fs::write(&from, b"a").tried("write")?;
    fs::rename(&from, &to).tried("rename")?;
    same("the old name", fs::exists(&from), false)?;
    same("the new name", fs::read(&to).tried("read")?.as_slice(), b"a")?;
    fs::rename(&to, &to).tried("rename to itself")?;
    same("it is there still", fs::exists(&to), true)
}

fn rename_over(place: &str) -> Outcome {
    let (from, to, directory) = (path::join(place, "a"), path::join(place, "b"), path::join(place, "d"));
    fs::write(&from, b"new").tried("write")?;
    fs::write(&to, b"old").tried("write")?;
    let open = File::open(&to).tried("open")?;
    fs::rename(&from, &to).tried("rename")?;
    same("the contents", fs::read(&to).tried("read")?.as_slice(), b"new")?;
    let mut text = [0; 4];
    same("what was open", open.read(&mut text).tried("read")?, 3)?;
    same("its text", &text[..3], b"old")?;
    fs::create_dir(&directory).tried("make a directory")?;
    fails("a file over a directory", fs::rename(&to, &directory), FileError::IsDirectory)?;
    fails("a directory over a file", fs::rename(&directory, &to), FileError::NotDirectory)
}

fn rename_directory(place: &str) -> Outcome {
    let (a, b) = (path::join(place, "a"), path::join(place, "b"));
    let inner = path::join(&a, "inner");
    fs::create_dir_all(&inner).tried("make")?;
    fs::write(&path::join(&inner, "file"), b"x").tried("write")?;
    fails("into itself", fs::rename(&a, &path::join(&inner, "a")), FileError::OutOfRange)?;
    fs::create_dir(&b).tried("make")?;
    fs::rename(&a, &b).tried("over an empty one")?;
    same("what is in it", fs::exists(&path::join(&b, "inner/file")), true)?;
    fs::create_dir(&a).tried("make")?;
    fails("over a full one", fs::rename(&a, &b), FileError::NotEmpty)
}

fn directories(place: &str) -> Outcome {
    let directory = path::join(place, "d");
    fs::create_dir(&directory).tried("make")?;
    fails("make it again", fs::create_dir(&directory), FileError::Exists)?;
    fails("remove it as a file", fs::remove_file(&directory), FileError::IsDirectory)?;
    let file = path::join(&directory, "f");
    fs::write(&file, b"").tried("write")?;
    fails("remove it full", fs::remove_dir(&directory), FileError::NotEmpty)?;
    fails("remove a file as one", fs::remove_dir(&file), FileError::NotDirectory)?;
    fails("open it to write", OpenOptions::new().write(true).open(&directory), FileError::IsDirectory)?;
    fs::remove_file(&file).tried("remove the file")?;
    fs::remove_dir(&directory).tried("remove it")?;
    fails("remove it again", fs::remove_dir(&directory), FileError::NotFound)
}

fn names(place: &str) -> Outcome {
    let long = "n".repeat(255);
    let mut all = Vec::from(["ä ö ü", "日本語", "😀", " leading", "a.b.c", "..x", "quote'", long.as_str()]);
    // FAT has none of these, other file systems have all.
    let special = ["quote\"", "a:b", "a\\b", "what?", "new\nline", "trailing. "];
    match File::create(&path::join(place, special[0])) {
        Err(error) if error.file() == Some(FileError::BadName) => {
            for name in special {
                fails(name, File::create(&path::join(place, name)), FileError::BadName)?;
            }
        }
        _ => all.extend(special),
    }
    for name in &all {
        fs::write(&path::join(place, name), name.as_bytes()).tried("write")?;
    }
    for name in &all {
        same("what is in it", fs::read(&path::join(place, name)).tried("read")?.as_slice(), name.as_bytes())?;
    }
    let mut listed = Vec::new();
    for entry in fs::read_dir(place).tried("list")? {
        listed.push(entry.tried("list")?.file_name().to_string());
    }
    let mut expected: Vec<String> = all.iter().map(|name| name.to_string()).collect();
    listed.sort();
    expected.sort();
    same("the names", listed, expected)?;
    fails("256 bytes", File::create(&path::join(place, &"n".repeat(256))), FileError::NameTooLong)?;
    fails("a NUL", File::create(&path::join(place, "a\0b")), FileError::BadName)
}

/// The names of a directory, each once.
fn count(place: &str) -> Result<usize, Failure> {
    let mut listed = Vec::new();
    for entry in fs::read_dir(place).tried("list")? {
        listed.push(entry.tried("list")?.file_name().to_string());
    }
    let all = listed.len();
    listed.sort_unstable();
    listed.dedup();
    same("names that are listed once", listed.len(), all)?;
    Ok(all)
}

fn many_names(place: &str) -> Outcome {
    for number in 0..NAMES {
        File::create(&path::join(place, &format!("name-{number}"))).tried("make")?;
    }
    same("names", count(place)?, NAMES)?;
    same("one of them", fs::exists(&path::join(place, &format!("name-{}", NAMES / 2))), true)?;
    for number in 0..NAMES {
        fs::remove_file(&path::join(place, &format!("name-{number}"))).tried("remove")?;
    }
    same("names left", count(place)?, 0)
}

/// Every name of a large directory is looked at, and every other one gets a name that does not fit in its place.
fn each_of_many(place: &str) -> Outcome {
    let short = |number: usize| path::join(place, &format!("name-{number}"));
    let name = |number: usize| match number % 2 {
        0 => short(number),
        _ => path::join(place, &format!("a-longer-name-{number}")),
    };
    for number in 0..RENAMED {
        File::create_new(&short(number)).tried("make")?;
    }
    for number in 0..RENAMED {
        same("bytes of it", fs::metadata(&short(number)).tried("look at")?.len(), 0)?;
    }
    fails("one that is there", File::create_new(&short(RENAMED / 2)), FileError::Exists)?;
    for number in (1..RENAMED).step_by(2) {
        fs::rename(&short(number), &name(number)).tried("rename")?;
    }
    same("names", count(place)?, RENAMED)?;
    for number in 0..RENAMED {
        fs::remove_file(&name(number)).tried("remove")?;
        fails("it again", fs::metadata(&name(number)), FileError::NotFound)?;
    }
    same("names left", count(place)?, 0)
}

fn list_while_removing(place: &str) -> Outcome {
    const SOME: usize = 500;
    for number in 0..SOME {
        File::create(&path::join(place, &format!("name-{number:04}"))).tried("make")?;
    }
    let mut seen = 0;
    for entry in fs::read_dir(place).tried("list")? {
        let entry = entry.tried("list")?;
        fs::remove_file(entry.path()).tried("remove")?;
        seen += 1;
    }
    same("names that were seen", seen, SOME)?;
    same("names left", count(place)?, 0)
}

fn deep(place: &str) -> Outcome {
    let mut directory = place.to_string();
    while directory.len() < 3000 {
        directory = path::join(&directory, "directory");
        fs::create_dir(&directory).tried("make")?;
    }
    let file = path::join(&directory, "file");
    fs::write(&file, b"deep").tried("write")?;
    same("what is in it", fs::read(&file).tried("read")?.as_slice(), b"deep")?;
    // A path that is none too long, but has no room in a message.
    let long = format!("{}x", "x/".repeat(1990));
    fails("a directory of nearly 4096 bytes", fs::create_dir(&long), FileError::NameTooLong)?;
    fails("a file of nearly 4096 bytes", File::create(&long), FileError::NameTooLong)?;
    fails("a link to it", fs::symlink(&long, &path::join(place, "link")), FileError::NameTooLong)?;
    fails("a path of more than 4096 bytes", fs::read(&"x/".repeat(2100)), FileError::NameTooLong)
}

fn parents(place: &str) -> Outcome {
    fs::create_dir_all(&path::join(place, "a/b")).tried("make")?;
    fs::write(&path::join(place, "a/file"), b"x").tried("write")?;
    let canonical = fs::canonicalize(place).tried("canonical")?;
    for text in ["a/file", "a/b/../file", "./a/./b/../b/..//file", "../../../../../../../../"] {
        let whole = path::join(&canonical, text);
        same("what is there", fs::exists(&whole), true)?;
    }
    let through = path::join(place, "a/b/../file");
    same("its path", fs::canonicalize(&through).tried("canonical")?, path::join(&canonical, "a/file"))?;
    fails("through what is not there", fs::metadata(&path::join(place, "nothing/../a")), FileError::NotFound)?;
    fails("through a file", fs::metadata(&path::join(place, "a/file/../b")), FileError::NotDirectory)?;
    let before = fs::current_directory().tried("current directory")?;
    fs::set_current_directory(&path::join(place, "a/b")).tried("change it")?;
    let found = (fs::exists("../file"), fs::exists("../../a"), fs::exists("file"));
    fs::set_current_directory(&before).tried("change it back")?;
    same("from below", found, (true, true, false))
}

fn links(place: &str) -> Outcome {
    let at = |name: &str| path::join(place, name);
    fs::create_dir_all(&at("a/b")).tried("make")?;
    fs::write(&at("a/file"), b"text").tried("write")?;
    fs::symlink("a/file", &at("short")).tried("link")?;
    fs::symlink("../file", &at("a/b/up")).tried("link")?;
    fs::symlink("b", &at("a/c")).tried("link")?;
    fs::symlink("nowhere", &at("dangling")).tried("link")?;
    let canonical = fs::canonicalize(place).tried("canonical")?;
    fs::symlink(&path::join(&canonical, "a"), &at("absolute")).tried("link")?;
    for name in ["short", "a/b/up", "a/c/up", "absolute/file", "absolute/c/../file", "absolute/c/up"] {
        same(name, fs::read(&at(name)).tried("read")?.as_slice(), b"text")?;
        same("its path", fs::canonicalize(&at(name)).tried("canonical")?, path::join(&canonical, "a/file"))?;
    }
    same("the target", fs::read_link(&at("short")).tried("read the link")?.as_str(), "a/file")?;
    same("a link itself", fs::symlink_metadata(&at("short")).tried("status")?.is_symlink(), true)?;
    same("what it points to", fs::metadata(&at("short")).tried("status")?.is_file(), true)?;
    fails("a dangling one", fs::read(&at("dangling")), FileError::NotFound)?;
    fails("make it exclusively", File::create_new(&at("dangling")), FileError::Exists)?;
    fs::write(&at("dangling"), b"made").tried("make through it")?;
    same("what was made", fs::read(&at("nowhere")).tried("read")?.as_slice(), b"made")?;
    fails("not followed", OpenOptions::new().read(true).no_follow(true).open(&at("short")), FileError::TooManyLinks)?;
    fs::remove_file(&at("short")).tried("remove the link")?;
    same("its target stays", fs::exists(&at("a/file")), true)?;
    fails("no link", fs::read_link(&at("a/file")), FileError::OutOfRange)
}

fn link_loops(place: &str) -> Outcome {
    let at = |name: &str| path::join(place, name);
    fs::symlink("b", &at("a")).tried("link")?;
    fs::symlink("a", &at("b")).tried("link")?;
    fs::symlink("self/x", &at("self")).tried("link")?;
    fails("a loop of two", fs::read(&at("a")), FileError::TooManyLinks)?;
    fails("a loop that grows", fs::metadata(&at("self")), FileError::TooManyLinks)?;
    same("the link is there", fs::symlink_metadata(&at("a")).tried("status")?.is_symlink(), true)
}

fn hard_links(place: &str) -> Outcome {
    let (a, b) = (path::join(place, "a"), path::join(place, "b"));
    fs::write(&a, b"one").tried("write")?;
    fs::hard_link(&a, &b).tried("link")?;
    fs::write(&b, b"two").tried("write")?;
    same("the other name", fs::read(&a).tried("read")?.as_slice(), b"two")?;
    same("names", fs::metadata(&a).tried("status")?.status().links, 2)?;
    fails("over a name", fs::hard_link(&a, &b), FileError::Exists)?;
    fails("of a directory", fs::hard_link(place, &path::join(place, "d")), FileError::IsDirectory)?;
    fs::rename(&a, &b).tried("rename to the other")?;
    fs::remove_file(&a).tried("remove")?;
    same("it stays", fs::read(&b).tried("read")?.as_slice(), b"two")
}

fn locks(place: &str) -> Outcome {
    let file = path::join(place, "a");
    fs::write(&file, b"").tried("write")?;
    let open = || File::open(&file).tried("open");
    let (first, second) = (open()?, open()?);
    first.lock_shared().tried("lock")?;
    same("shared", second.try_lock(false).tried("lock")?, true)?;
    same("exclusive meanwhile", first.try_lock(true).tried("lock")?, false)?;
    second.unlock().tried("unlock")?;
    same("exclusive alone", first.try_lock(true).tried("lock")?, true)?;
    same("another meanwhile", second.try_lock(false).tried("lock")?, false)?;
    drop(first);
    second.lock().tried("wait for the lock of who has closed it")
}

fn try_to_change(directory: &str) -> Outcome {
    let at = |name: &str| path::join(directory, name);
    same("what is there", fs::read(&at("file")).tried("read")?.as_slice(), b"kept")?;
    fails("make", File::create_new(&at("new")), FileError::ReadOnly)?;
    fails("write", OpenOptions::new().write(true).open(&at("file")), FileError::ReadOnly)?;
    fails("remove", fs::remove_file(&at("file")), FileError::ReadOnly)?;
    fails("rename", fs::rename(&at("file"), &at("other")), FileError::ReadOnly)?;
    fails("make a directory", fs::create_dir(&at("d")), FileError::ReadOnly)?;
    fails("leave it", fs::metadata(&at("../../tmp")), FileError::NotFound)
}

fn read_only_subtree(place: &str) -> Outcome {
    fs::write(&path::join(place, "file"), b"kept").tried("write")?;
    let canonical = fs::canonicalize(place).tried("canonical")?;
    let namespace = fs::namespace().tried("namespace")?;
    let seen = namespace.subtree(&canonical, true).map_err(Error::from).tried("a subtree")?;
    // The other process reads its own program from its memory: it needs no file of it.
    let program = own_program()?;
    let launch = Launch::new(&program, "files").arguments(["/", "try-to-change"]).namespace(&seen, "/");
    let child = launch.spawn(env::account()).map_err(|error| Failure::Wrong(format!("{error}")))?;
    ended_well(&child)?;
    same("it is there still", fs::read(&path::join(place, "file")).tried("read")?.as_slice(), b"kept")
}

/// Copies its input to its output.
fn copy() -> Outcome {
    io::copy(&mut io::stdin(), &mut io::stdout()).tried("copy").map(drop)
}

fn pipes(place: &str) -> Outcome {
    let bytes = pattern(300_000);
    let program = own_program()?;
    let (mut reader, writer) = libsys::pipe::create(env::account()).tried("make a pipe")?;
    let mut second = start(&program, &[place, "copy"], |launch| launch.piped("stdin").output("stdout", &writer))?;
    drop(writer);
    let middle = second.pipes.pop().ok_or(Failure::Skipped)?;
    // The first of the chain reads a file, whose position it shares with nobody.
    let file = path::join(place, "a");
    fs::write(&file, &bytes).tried("write")?;
    let open = File::open(&file).tried("open")?;
    let session = open.share().tried("share")?;
    let kind = env::StreamKind::File;
    let first =
        start(&program, &[place, "copy"], |launch| launch.stream("stdin", kind, session).output("stdout", &middle))?;
    drop(middle);
    let mut all = Vec::new();
    reader.read_to_end(&mut all).tried("read the pipe")?;
    same("what came through", all == bytes, true)?;
    ended_well(&first)?;
    ended_well(&second)?;
    let mut child = start(&program, &[place, "copy"], |launch| launch.piped("stdin"))?;
    let mut writer = child.pipes.pop().ok_or(Failure::Skipped)?;
    child.kill(0).map_err(|error| Failure::Refused("kill", error.into()))?;
    child.wait().map_err(|error| Failure::Refused("wait", error.into()))?;
    drop(child);
    let result = writer.write_all(&bytes);
    same("without a reader", result, Err(Error::BrokenPipe))
}

/// Fills the file system up and gives it back.
fn fill(directory: &str) -> Outcome {
    let file = path::join(directory, "files-fill");
    let mut open = File::create_new(&file).tried("make")?;
    let part = pattern(64 * 1024);
    let mut written = 0u64;
    let end = loop {
        match Write::write(&mut open, &part) {
            Ok(count) => written += count as u64,
            Err(error) => break error,
        }
    };
    same("the end", end, Error::File(FileError::NoSpace))?;
    same("the size", open.metadata().tried("status")?.len(), written)?;
    fails("a name", fs::write(&path::join(directory, "files-more"), &part), FileError::NoSpace)?;
    let mut same_bytes = vec![0; part.len()];
    same("what was written", open.metadata().tried("status")?.len() >= 64 * 1024, true)?;
    File::open(&file).tried("open")?.read(&mut same_bytes).tried("read")?;
    same("its bytes", same_bytes == part, true)?;
    drop(open);
    fs::remove_file(&file).tried("remove")?;
    let _ = fs::remove_file(&path::join(directory, "files-more"));
    fs::write(&file, &part).tried("write again")?;
    fs::remove_file(&file).tried("remove")?;
    say(&format!("{written} bytes fit"));
    Ok(())
}

/// Measures what a small file costs.
fn bench(directory: &str) -> Outcome {
    let file = path::join(directory, "files-bench");
    fs::write(&file, pattern(4096)).tried("write")?;
    let mut bytes = vec![0; 4096];
    let mut measure = |name: &str, run: &mut dyn FnMut(&mut [u8]) -> Outcome| -> Outcome {
        for _ in 0..20 {
            run(&mut bytes)?;
        }
        let start = Instant::now();
        for _ in 0..ROUNDS {
            run(&mut bytes)?;
        }
        let time = start.elapsed().as_nanos() as u64;
        say(&format!("bench {name} {} instructions", time / ROUNDS));
        Ok(())
    };
    measure("open_read_close", &mut |bytes| {
        let open = File::open(&file).tried("open")?;
        same("bytes", open.read(bytes).tried("read")?, 4096)
    })?;
    measure("open_close", &mut |_| File::open(&file).tried("open").map(drop))?;
    let open = OpenOptions::new().read(true).write(true).open(&file).tried("open")?;
    measure("read_4096", &mut |bytes| open.read_at(bytes, 0).tried("read").map(drop))?;
    measure("read_1", &mut |bytes| open.read_at(&mut bytes[..1], 0).tried("read").map(drop))?;
    measure("write_4096", &mut |bytes| open.write_at(bytes, 0).tried("write").map(drop))?;
    measure("stat", &mut |_| fs::metadata(&file).tried("status").map(drop))?;
    fs::remove_file(&file).tried("remove")
}
