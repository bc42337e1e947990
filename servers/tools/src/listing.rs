//! What `ls` shows of files: names, in columns or with all that is known.

use crate::names::Names;
use crate::{About, Failure, Options, Output, failed, format as shown};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};
use libsys::env;
use libsys::fs::{self, NodeKind};
use libsys::io::{Error, Write};
use libsys::protocol::ConsoleClient;
use libsys::protocol::filesystem::Status;
use libsys::{client, path};

/// Characters of a line where nobody knows.
const WIDTH: usize = 80;

/// Whom all files belong to: there are no users.
const OWNER: &str = "root root";

/// A file that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The name, as it is shown.
    pub name: String,
    /// What is known about it.
    pub status: Status,
    /// Where it points to, if it is a link.
    pub target: Option<String>,
}

impl Item {
    /// The file of a path, shown under a name.
    fn of(path: &str, name: &str) -> Result<Item, Failure> {
        let metadata = fs::symlink_metadata(path).about(path)?;
        let target = if metadata.is_symlink() { Some(fs::read_link(path).about(path)?) } else { None };
        Ok(Item { name: name.into(), status: *metadata.status(), target })
    }

    /// What an operand names; a link to a directory is one, where `follow`.
    pub fn of_operand(name: &str, follow: bool) -> Result<Item, Failure> {
        match fs::metadata(name) {
            Ok(metadata) if follow && metadata.is_dir() => {
                Ok(Item { name: name.into(), status: *metadata.status(), target: None })
            }
            _ => Item::of(name, name),
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.status.kind == NodeKind::Directory
    }
}

/// How files are shown.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    dots: bool,
    hidden: bool,
    long: bool,
    human: bool,
    ids: bool,
    kinds: bool,
    order: Option<char>,
    reverse: bool,
    /// Characters of a line; 0: a name a line.
    width: usize,
    now: Option<i64>,
}

impl Manner {
    /// As the options say. Without a time of now all times have their year.
    pub fn new(options: &Options<'_>, width: usize, now: Option<i64>) -> Manner {
        let long = options.has('l');
        Manner {
            dots: options.has('a'),
            hidden: options.last("aA").is_some(),
            long,
            human: options.has('h'),
            ids: options.has('i'),
            kinds: options.has('F'),
            order: options.last("tS"),
            reverse: options.has('r'),
            width: if long { 0 } else { width },
            now,
        }
    }

    /// Whether a name is shown.
    pub fn shows(&self, name: &str) -> bool {
        self.hidden || !name.starts_with('.')
    }

    /// Whether names are all that is shown, and what they stand for is not looked at.
    pub fn is_plain(&self) -> bool {
        !self.long && !self.ids && !self.kinds && self.order.is_none()
    }

    /// The names in a directory, in order.
    pub fn names(&self, directory: &str) -> Result<Names, Failure> {
        let mut names = Names::read(directory, |name, _| self.shows(name)).about(directory)?;
        if self.dots {
            for name in [".", ".."] {
                names.add(name, NodeKind::Directory).about(directory)?;
            }
            names.sort();
        }
        Ok(names)
    }

    /// Shows names alone.
    pub fn show_names(&self, out: &mut Output, names: &Names, directory: &str) -> Result<(), Failure> {
        let mut all: Vec<&str> = Vec::new();
        all.try_reserve_exact(names.count()).map_err(|_| failed(directory, Error::NoMemory))?;
        all.extend(names.iter());
        if self.reverse {
            all.reverse();
        }
        self.in_lines(out, &all)
    }

    /// In columns where a line has a width, else a name a line.
    fn in_lines<N: AsRef<str>>(&self, out: &mut Output, names: &[N]) -> Result<(), Failure> {
        if self.width > 0 {
            return shown::columns(names, self.width).try_for_each(|line| Ok(writeln!(out, "{line}")?));
        }
        names.iter().try_for_each(|name| Ok(writeln!(out, "{}", name.as_ref())?))
    }

    /// What is in a directory, in order. What cannot be looked at is complained of.
    pub fn items(&self, out: &mut Output, directory: &str) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        let dots: &[&str] = if self.dots { &[".", ".."] } else { &[] };
        for name in dots {
            items.push(Item::of(&path::join(directory, name), name)?);
        }
        for entry in fs::read_dir(directory).about(directory)? {
            let entry = entry.about(directory)?;
            if self.shows(entry.file_name()) {
                items.try_reserve(1).map_err(|_| failed(directory, Error::NoMemory))?;
                out.attempt(|_| Item::of(entry.path(), entry.file_name()).map(|item| items.push(item)))?;
            }
        }
        self.sort(&mut items);
        Ok(items)
    }

    /// Puts files in order.
    pub fn sort(&self, items: &mut [Item]) {
        items.sort_by(|a, b| {
            let order = match self.order {
                Some('t') => Reverse(a.status.modified).cmp(&Reverse(b.status.modified)),
                Some(_) => Reverse(a.status.size).cmp(&Reverse(b.status.size)),
                None => Ordering::Equal,
            };
            let order = order.then_with(|| a.name.cmp(&b.name));
            if self.reverse { order.reverse() } else { order }
        });
    }

    /// Shows files; `total`: with the storage that all of them take, where the long form is shown.
    pub fn show(&self, out: &mut Output, items: &[Item], total: bool) -> Result<(), Failure> {
        if self.long {
            if total {
                let bytes = items.iter().map(|item| item.status.allocated).fold(0, u64::saturating_add);
                let size = if self.human { shown::human(bytes) } else { format!("{}", bytes.div_ceil(1024)) };
                writeln!(out, "total {size}")?;
            }
            return self.lines(items).try_for_each(|line| Ok(writeln!(out, "{line}")?));
        }
        let width = self.id_width(items);
        let names: Vec<String> = items.iter().map(|item| self.id(item, width) + &self.name(item)).collect();
        self.in_lines(out, &names)
    }

    /// The long form.
    fn lines(&self, items: &[Item]) -> impl Iterator<Item = String> {
        let size = |item: &Item| match self.human {
            true => shown::human(item.status.size),
            false => item.status.size.to_string(),
        };
        let widest = |of: &dyn Fn(&Item) -> String| items.iter().map(|item| of(item).len()).max().unwrap_or(0);
        let (links, sizes) = (widest(&|item| item.status.links.to_string()), widest(&size));
        let ids = self.id_width(items);
        let line = move |item: &Item| {
            let Status { kind, mode, links: count, modified, .. } = item.status;
            let (bits, time) = (shown::mode(kind, mode), shown::short_time(modified, self.now));
            let (id, size, name) = (self.id(item, ids), size(item), self.name(item));
            let arrow = item.target.as_ref().map_or(String::new(), |target| format!(" -> {target}"));
            format!("{id}{bits} {count:>links$} {OWNER} {size:>sizes$} {time} {name}{arrow}")
        };
        items.iter().map(line)
    }

    fn id_width(&self, items: &[Item]) -> usize {
        items.iter().map(|item| item.status.id.to_string().len()).max().unwrap_or(0)
    }

    fn id(&self, item: &Item, width: usize) -> String {
        if self.ids { format!("{:>width$} ", item.status.id) } else { String::new() }
    }

    fn name(&self, item: &Item) -> String {
        let Status { kind, mode, .. } = item.status;
        let mark = match kind {
            _ if !self.kinds => "",
            NodeKind::Directory => "/",
            NodeKind::Link if !self.long => "@",
            NodeKind::Pipe => "|",
            NodeKind::File if mode & 0o111 != 0 => "*",
            _ => "",
        };
        format!("{}{mark}", item.name)
    }
}

/// Characters of a line of the console.
pub fn width() -> usize {
    let size = env::get().registry().connect("console", true).ok().and_then(|session| {
        let console: ConsoleClient = client::unchecked(session);
        console.size().ok()
    });
    size.map(|(columns, _)| usize::from(columns)).filter(|columns| *columns > 0).unwrap_or(WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libsys::fs::Timestamp;

    fn item(name: &str, kind: NodeKind, size: u64) -> Item {
        let time = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };
        let status = Status {
            kind,
            id: size,
            size,
            allocated: size,
            links: 1,
            mode: 0o755,
            accessed: time,
            modified: time,
            changed: time,
            created: time,
        };
        let target = (kind == NodeKind::Link).then(|| "there".into());
        Item { name: name.into(), status, target }
    }

    fn manner(letters: &str) -> Manner {
        let arguments = [format!("-{letters}")];
        let options = Options::parse("aAlhidR1FrtS", &arguments).expect("options");
        Manner::new(&options, 80, Some(1_700_000_000))
    }

    #[test]
    fn long_lines() {
        let items = [item("a", NodeKind::File, 5), item("bc", NodeKind::Link, 1234)];
        assert_eq!(
            manner("lF").lines(&items).collect::<Vec<_>>(),
            ["-rwxr-xr-x 1 root root    5 Nov 14 22:13 a*", "lrwxr-xr-x 1 root root 1234 Nov 14 22:13 bc -> there"]
        );
        assert_eq!(
            manner("lhi").lines(&items).collect::<Vec<_>>()[1],
            "1234 lrwxr-xr-x 1 root root 1.3K Nov 14 22:13 bc -> there"
        );
    }

    #[test]
    fn orders() {
        let names = |letters: &str| {
            let mut items = [item("b", NodeKind::File, 1), item("a", NodeKind::File, 2), item("c", NodeKind::File, 2)];
            manner(letters).sort(&mut items);
            items.map(|item| item.name).concat()
        };
        assert_eq!([names("a"), names("r"), names("S"), names("rS"), names("t")], ["abc", "cba", "acb", "bca", "abc"]);
    }

    #[test]
    fn what_needs_no_look_is_plain() {
        for (letters, is_plain) in
            [("1ar", true), ("A", true), ("l", false), ("i", false), ("F", false), ("t", false), ("S", false)]
        {
            assert_eq!(manner(letters).is_plain(), is_plain, "{letters}");
        }
    }

    #[test]
    fn hidden_names_are_asked_for() {
        assert!(!manner("1").shows(".a") && manner("a").shows(".a") && manner("A").shows(".a"));
    }
}
