//! The table of mounts.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use libsys::protocol::FileSystemClient;
use serde::{Deserialize, Serialize};

/// A mount, or one that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Where: a normal path.
    pub path: String,
    /// What was asked to be mounted.
    pub source: String,
    /// The kind of file system.
    pub kind: String,
    /// Nothing in it may be changed.
    pub read_only: bool,
}

/// A mount.
#[derive(Debug)]
pub struct Mounted {
    /// Its number.
    pub id: u64,
    /// What it is.
    pub what: Wanted,
    /// Name of the service, and whether it was made for the mount.
    pub service: String,
    pub is_instance: bool,
    /// The directory that is mounted; `None`: that of /dev, which is served here. Its session is kept.
    pub root: Option<ManuallyDrop<FileSystemClient>>,
}

impl Wanted {
    /// Whether both are on the same disk, or one on a partition of the other's, and one is written.
    pub fn collides_with(&self, other: &Wanted) -> bool {
        let (one, two) = (self.source.as_str(), other.source.as_str());
        let overlap = one == two || is_partition_of(one, two) || is_partition_of(two, one);
        overlap && !(self.read_only && other.read_only) && [one, two].iter().all(|source| source.starts_with(DEV))
    }
}

/// Where disks are.
pub const DEV: &str = "/dev/";

/// Whether a disk's name is that of a partition of another one: `vda1` of `vda`, `nvme0n1p1` of `nvme0n1`.
fn is_partition_of(partition: &str, disk: &str) -> bool {
    let Some(rest) = partition.strip_prefix(disk) else { return false };
    let number = if disk.ends_with(|last: char| last.is_ascii_digit()) { rest.strip_prefix('p') } else { Some(rest) };
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// All of them, in the order of their paths, so that a directory comes before what is mounted below it.
#[derive(Debug, Default)]
pub struct Table {
    mounts: Vec<Mounted>,
}

/// The rest of a path below another one; both are normal.
pub fn below<'p>(path: &'p str, above: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(above.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

impl Table {
    /// Adds a mount.
    pub fn add(&mut self, mounted: Mounted) {
        let at = self.mounts.partition_point(|other| other.what.path < mounted.what.path);
        self.mounts.insert(at, mounted);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mounted> {
        self.mounts.iter()
    }

    /// The mount at a path.
    pub fn at(&self, path: &str) -> Option<&Mounted> {
        self.mounts.iter().find(|mounted| mounted.what.path == path)
    }

    /// The mount that a path belongs to, and the rest of the path.
    pub fn cover<'p>(&self, path: &'p str) -> Option<(&Mounted, &'p str)> {
        let covering = |mounted| -> Option<(&Mounted, &'p str)> {
            let mounted: &Mounted = mounted;
            below(path, &mounted.what.path).map(|rest| (mounted, rest))
        };
        self.mounts.iter().filter_map(covering).max_by_key(|(mounted, _)| mounted.what.path.len())
    }

    /// Whether anything is mounted below a path.
    pub fn has_below(&self, path: &str) -> bool {
        self.mounts.iter().any(|mounted| mounted.what.path != path && below(&mounted.what.path, path).is_some())
    }

    /// Takes a mount out.
    pub fn remove(&mut self, path: &str) -> Option<Mounted> {
        let at = self.mounts.iter().position(|mounted| mounted.what.path == path)?;
        Some(self.mounts.remove(at))
    }

    /// The mounts that a namespace with this root shows, each with its path there.
    pub fn seen_from<'a>(&'a self, root: &'a str) -> impl Iterator<Item = (&'a Mounted, String)> {
        let own = self.cover(root).map(|(mounted, _)| (mounted, "/".to_string()));
        let inside = self.mounts.iter().filter_map(move |mounted| {
            let path = below(&mounted.what.path, root).filter(|path| !path.is_empty())?;
            // The root's own mount was first.
            (path != "/").then(|| (mounted, path.to_string()))
        });
        own.into_iter().chain(inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(paths: &[&str]) -> Table {
        let mut table = Table::default();
        for path in paths {
            table.add(Mounted {
                id: 0,
                what: Wanted { path: path.to_string(), source: String::new(), kind: String::new(), read_only: false },
                service: String::new(),
                is_instance: false,
                root: None,
            });
        }
        table
    }

    #[test]
    fn two_mounts_write_to_different_disks() {
        let on = |source: &str, read_only| Wanted {
            path: String::new(),
            source: source.into(),
            kind: "x".into(),
            read_only,
        };
        let collide = |one, two| on(one, false).collides_with(&on(two, true));
        assert!(
            collide("/dev/vda", "/dev/vda") && collide("/dev/vda", "/dev/vda1") && collide("/dev/vda12", "/dev/vda")
        );
        assert!(collide("/dev/nvme0n1p2", "/dev/nvme0n1"));
        assert!(!collide("/dev/vda", "/dev/vdaa") && !collide("/dev/vda1", "/dev/vda12"));
        assert!(!collide("/dev/nvme0n1", "/dev/nvme0n11") && !collide("/a", "/a"));
        assert!(!on("/dev/vda", true).collides_with(&on("/dev/vda", true)));
    }

    #[test]
    fn the_longest_path_covers() {
        let table = table(&["/bin", "/", "/mnt/a", "/mnt/a/b"]);
        let cover = |path| table.cover(path).map(|(mounted, rest)| (mounted.what.path.as_str().to_string(), rest));
        assert_eq!(cover("/"), Some(("/".into(), "/")));
        assert_eq!(cover("/binary"), Some(("/".into(), "/binary")));
        assert_eq!(cover("/bin/echo"), Some(("/bin".into(), "/echo")));
        assert_eq!(cover("/mnt/a/b"), Some(("/mnt/a/b".into(), "")));
        assert_eq!(cover("/mnt/a/bc"), Some(("/mnt/a".into(), "/bc")));
        assert!(table.has_below("/mnt/a") && table.has_below("/") && !table.has_below("/bin"));
    }

    #[test]
    fn a_subtree_sees_what_is_in_it() {
        let table = table(&["/", "/bin", "/mnt", "/mnt/a"]);
        let seen = |root: &str| -> Vec<(String, String)> {
            table.seen_from(root).map(|(mounted, path)| (mounted.what.path.clone(), path)).collect()
        };
        let pair = |mount: &str, path: &str| (mount.to_string(), path.to_string());
        assert_eq!(seen("/mnt"), [pair("/mnt", "/"), pair("/mnt/a", "/a")]);
        assert_eq!(seen("/mnt/x"), [pair("/mnt", "/")]);
        assert_eq!(seen("/").len(), 4);
    }
}
