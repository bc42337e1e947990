//! The mounts that a program sees.

use crate::{About, Failure};
use alloc::vec::Vec;
use libsys::fs;
use libsys::protocol::list;
use libsys::protocol::namespace::Mount;

/// All mounts, in the order of their paths.
pub fn list() -> Result<Vec<Mount>, Failure> {
    let namespace = fs::namespace().about("namespace")?;
    let mut all = list::all(|first| namespace.mounts(first)).about("namespace")?;
    all.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(all)
}

/// The mount that a canonical path belongs to.
pub fn covering<'m>(mounts: &'m [Mount], path: &str) -> Option<&'m Mount> {
    let covers = |mount: &&Mount| {
        let rest = path.strip_prefix(mount.path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    mounts.iter().filter(covers).max_by_key(|mount| mount.path.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_covers() {
        let mounts = ["/", "/mnt", "/mnt/a"].map(|path| Mount {
            id: path.len() as u64,
            path: path.into(),
            source: "none".into(),
            kind: "tmpfs".into(),
            service: "tmpfs".into(),
            read_only: false,
        });
        for (path, id) in [("/", 1), ("/mnt", 4), ("/mntx", 1), ("/mnt/a/b", 6), ("/mnt/ab", 4)] {
            assert_eq!(covering(&mounts, path).map(|mount| mount.id), Some(id), "{path}");
        }
        assert_eq!(covering(&[], "/"), None);
    }
}
