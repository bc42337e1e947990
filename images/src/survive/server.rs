//! The servers of the matrix, and which work reaches them. The first workload of each is that of `--quick`.

use super::workload::Workload;
use Workload::{CachedReads, Calls, Names, Services, Typing, UncachedReads, Walk, Writes};

/// The supervisor, which is no service.
pub const INIT: &str = "init";

/// A server that is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Its entry in the manifest, or of its template; `init` is the supervisor.
    pub name: &'static str,
    /// Its program in the boot archive.
    pub binary: &'static str,
    /// Where its files are, for work with files.
    pub directory: Directory,
    /// The work that reaches it.
    pub workloads: &'static [Workload],
}

/// Where files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directory {
    /// The root file system, in memory.
    Memory,
    /// The programs of the boot archive.
    Programs,
    /// The live system.
    System,
    /// ext4 on a virtio disk.
    Ext4,
    /// FAT on an NVMe disk.
    Fat,
}

impl Directory {
    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Directory::Memory => "/tmp",
            Directory::Programs => "/bin",
            Directory::System => "/sys",
            Directory::Ext4 => "/mnt/ext4",
            Directory::Fat => "/mnt/fat",
        }
    }

    /// The device that is mounted there.
    pub fn device(self) -> Option<&'static str> {
        match self {
            Directory::Ext4 => Some("/dev/vda"),
            Directory::Fat => Some("/dev/nvme0n1"),
            Directory::Memory | Directory::Programs | Directory::System => None,
        }
    }
}

const FILES: &[Workload] = &[Writes, CachedReads, UncachedReads, Names, Walk];

const fn server(name: &'static str, directory: Directory, workloads: &'static [Workload]) -> Server {
    Server { name, binary: name, directory, workloads }
}

/// All of them.
pub const SERVERS: &[Server] = &[
    server("uart", Directory::Memory, &[Typing, Services]),
    server("console", Directory::Memory, &[Typing, Services]),
    server("log", Directory::Memory, &[Calls]),
    server("rtc", Directory::Memory, &[Calls, Names]),
    server("random", Directory::Memory, &[Calls]),
    Server { binary: "null", ..server("zero", Directory::Memory, &[Calls]) },
    server("tmpfs", Directory::Memory, &[Names, Writes, CachedReads, Walk]),
    server("bootfs", Directory::Programs, &[CachedReads, Walk]),
    server("sys", Directory::System, &[Walk]),
    server("ext4", Directory::Ext4, FILES),
    server("fat", Directory::Fat, FILES),
    server("vfs", Directory::Ext4, &[Names, Writes, CachedReads, UncachedReads, Walk]),
    server("pci", Directory::Ext4, &[Calls, UncachedReads]),
    server("virtio-blk", Directory::Ext4, &[UncachedReads, Writes]),
    server("nvme", Directory::Fat, &[UncachedReads, Writes]),
    server("ramdisk", Directory::Memory, &[UncachedReads]),
    server("block", Directory::Ext4, &[Writes, UncachedReads]),
    server(INIT, Directory::Memory, &[Services]),
    server("shell", Directory::Memory, &[Typing, Services]),
];

impl Server {
    /// The server with this name.
    pub fn find(name: &str) -> Option<Server> {
        SERVERS.iter().copied().find(|server| server.name == name)
    }

    /// Whether calls reach it in a workload: the requests of a disk that is mounted lie in rings, of which only signals tell.
    pub fn is_called(&self, workload: Workload) -> bool {
        !matches!(self.name, "block" | "virtio-blk" | "nvme") || workload != Writes
    }

    /// Whether a service of the guest is this server: `NAME`, or `NAME-…` for an instance of a template.
    pub fn is_service(&self, service: &str) -> bool {
        service.strip_prefix(self.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_have_work_and_names_of_their_own() {
        for server in SERVERS {
            assert!(!server.workloads.is_empty(), "{}", server.name);
            assert_eq!(Server::find(server.name), Some(*server));
        }
        assert_eq!(Server::find("nobody"), None);
    }

    #[test]
    fn disks_are_called_where_they_are_mounted() {
        for name in ["block", "virtio-blk", "nvme"] {
            let disk = Server::find(name).unwrap();
            let called: Vec<_> = disk.workloads.iter().filter(|work| disk.is_called(**work)).collect();
            assert_eq!(called, [&UncachedReads], "{name}");
        }
        assert!(Server::find("ext4").unwrap().is_called(Writes));
    }

    #[test]
    fn instances_belong_to_their_template() {
        let server = Server::find("virtio-blk").unwrap();
        assert!(server.is_service("virtio-blk-0") && server.is_service("virtio-blk"));
        assert!(!server.is_service("virtio-blkx") && !server.is_service("block"));
    }
}
