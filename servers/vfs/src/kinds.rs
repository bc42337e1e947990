//! The kinds of file systems that can be mounted: of which template the server of each is, and what options it has. The manifest says so; vfs knows no format.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The kind of mount that is whatever is on the disk.
pub const AUTO: &str = "auto";

/// The kind of mount that shows a directory at another place.
pub const BIND: &str = "bind";

/// vfs's parameters of this. The words of the last two are `NAME=…`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kinds<'a> {
    /// `kinds`: the templates of file systems on disks, in the order in which `auto` tries them.
    pub on_disk: &'a str,
    /// `aliases`: `KIND=TEMPLATE` of kinds with a name other than their template.
    pub aliases: &'a str,
    /// `options`: `TEMPLATE=NAME,…`, the parameters of its servers that a mount may set.
    pub options: &'a str,
}

/// What a word `NAME=…` says of a name.
fn said<'a>(words: &'a str, name: &str) -> Option<&'a str> {
    words.split_whitespace().filter_map(|word| word.split_once('=')).find(|(known, _)| *known == name).map(|(_, is)| is)
}

impl<'a> Kinds<'a> {
    /// The template of a kind.
    pub fn template<'k>(&self, kind: &'k str) -> &'k str
    where
        'a: 'k,
    {
        said(self.aliases, kind).unwrap_or(kind)
    }

    /// Whether a file system of this kind lies on a disk.
    pub fn is_on_disk(&self, kind: &str) -> bool {
        let template = self.template(kind);
        kind == AUTO || self.on_disk.split_whitespace().any(|one| one == template)
    }

    /// The kinds that a mount tries, the last first.
    pub fn tried(&self, kind: &str) -> Vec<String> {
        match kind {
            AUTO => self.on_disk.split_whitespace().rev().map(String::from).collect(),
            kind => Vec::from([kind.to_string()]),
        }
    }

    /// Whether all kinds that a mount tries have an option of this name.
    pub fn has_option(&self, kind: &str, name: &str) -> bool {
        let has = |kind: &String| {
            let options = said(self.options, self.template(kind));
            options.is_some_and(|options| options.split(',').any(|known| known == name))
        };
        kind != BIND && self.tried(kind).iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: Kinds<'_> = Kinds {
        on_disk: "fat ext4",
        aliases: "ext2=ext4 vfat=fat tmpfs=tmpfs-mount",
        options: "ext4=cache,overlay fat=cache tmpfs-mount=percent",
    };

    #[test]
    fn a_kind_has_a_template() {
        assert_eq!(
            ["ext2", "ext4", "vfat", "tmpfs", "xfs"].map(|kind| KINDS.template(kind)),
            ["ext4", "ext4", "fat", "tmpfs-mount", "xfs"]
        );
        let on_disk = ["auto", "ext4", "ext2", "vfat", "tmpfs", "bind", "xfs"].map(|kind| KINDS.is_on_disk(kind));
        assert_eq!(on_disk, [true, true, true, true, false, false, false]);
        assert_eq!(
            (KINDS.tried(AUTO), KINDS.tried("ext2")),
            (alloc::vec!["ext4".into(), "fat".into()], alloc::vec!["ext2".into()])
        );
    }

    #[test]
    fn options_are_those_of_the_template() {
        for (kind, name, has) in [
            ("ext4", "cache", true),
            ("ext2", "overlay", true),
            ("vfat", "overlay", false),
            ("tmpfs", "percent", true),
            ("auto", "cache", true),
            ("auto", "overlay", false),
            ("ext4", "bogus", false),
            ("ext4", "", false),
            ("bind", "cache", false),
            ("xfs", "cache", false),
        ] {
            assert_eq!(KINDS.has_option(kind, name), has, "{kind} {name}");
        }
    }
}
