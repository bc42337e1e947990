//! The commands of a workload, and what they have to print.

use anyhow::{Context, Result};

use super::disks::CONTENT_NAME;
use super::server::{Directory, Server};
use super::workload::Workload;

/// A line for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// What is typed before, once a machine.
    pub before: Vec<String>,
    /// What is typed while the server is struck.
    pub line: String,
    /// What makes the line possible again where it has failed before its end.
    pub again: Option<String>,
    /// What the line has to print where the host knows it; else it is what it prints undisturbed.
    pub expected: Option<String>,
}

/// The line that prints each status: no command may fail.
const STATUS: &str = "echo \"status $?\"";

impl Work {
    /// The work of a server under a workload. `sum` is the SHA-256 of the host's file.
    ///
    /// # Errors
    /// That workload does not reach the server.
    pub fn of(server: &Server, workload: Workload, sum: &str) -> Result<Work> {
        let directory = server.directory.path();
        let file = format!("{directory}/{CONTENT_NAME}");
        let (mut before, mut again, mut expected) = (Vec::new(), None, None);
        let line = match workload {
            Workload::CachedReads if server.directory == Directory::Programs => {
                "sha256sum /bin/true /bin/cat; sha256sum /bin/ls".to_string()
            }
            Workload::CachedReads => {
                before = fill(server.directory);
                expected = Some(format!("{sum}  {file}\n").repeat(2) + "status 0\n");
                format!("sha256sum {file} && sha256sum {file}; {STATUS}")
            }
            Workload::UncachedReads if server.directory == Directory::Memory => {
                format!("head -c 200000 /dev/ram0 | sha256sum; {STATUS}")
            }
            Workload::UncachedReads => {
                let device = server.directory.device().context("what is read has no device")?;
                expected = Some(format!("{sum}  {file}\nstatus 0\n"));
                again = Some(format!("mount {device} {directory}"));
                format!("umount {directory} && mount {device} {directory} && sha256sum {file}; {STATUS}")
            }
            Workload::Writes => {
                before = fill(server.directory);
                expected = Some(format!("{sum}  {directory}/w1\n{sum}  {directory}/w2\nstatus 0\n"));
                let copy = |to: &str| format!("cp {file} {directory}/{to} && sync && sha256sum {directory}/{to}");
                format!("{} && {}; {STATUS}", copy("w1"), copy("w2"))
            }
            Workload::Names => {
                let one = format!("{directory}/d$i");
                again = Some((1..=2).map(|number| format!("rm -r {directory}/d{number}; ")).collect());
                expected = Some((1..=2).map(|number| format!("b\nleft {number}\n")).collect::<String>() + "status 0\n");
                format!(
                    "for i in 1 2; do mkdir {one} && touch {one}/a && mv {one}/a {one}/b && ls {one} && rm {one}/b && \
                     rmdir {one} && echo left $i; done; {STATUS}"
                )
            }
            Workload::Walk => match server.directory {
                Directory::Programs => format!("find /bin | sort | sha256sum; {STATUS}"),
                Directory::System => format!("for i in 1 2; do ls /sys; cat /sys/cpus | head -n 1; done; {STATUS}"),
                Directory::Memory | Directory::Ext4 | Directory::Fat => {
                    before = grow(directory);
                    format!("find {directory}/tree | sort; {STATUS}")
                }
            },
            Workload::Typing => {
                expected = Some("what was typed\nstatus 0\n".to_string());
                format!("echo what was typed; {STATUS}")
            }
            Workload::Services => format!("service list | cut -d ' ' -f 1; service info null | head -n 1; {STATUS}"),
            Workload::Calls => calls(server.name).with_context(|| format!("{} has no calls", server.name))?,
        };
        Ok(Work { before, line, again, expected })
    }
}

/// A file in memory, as there is one on the disks.
fn fill(directory: Directory) -> Vec<String> {
    match directory {
        Directory::Memory => {
            vec![format!("cp {}/{CONTENT_NAME} {}/{CONTENT_NAME}", Directory::Ext4.path(), directory.path())]
        }
        _ => Vec::new(),
    }
}

/// A tree to walk.
fn grow(directory: &str) -> Vec<String> {
    vec![format!(
        "mkdir -p {directory}/tree/1/2 {directory}/tree/3; for i in 1 2 3 4 5; do touch {directory}/tree/f$i {directory}/tree/1/2/g$i; done"
    )]
}

/// What a server's own protocol is used by.
fn calls(server: &str) -> Option<String> {
    Some(match server {
        "log" => format!("for i in 1 2; do logs info record; done; dmesg logs | tail -n 1 | cut -d : -f 2; {STATUS}"),
        "rtc" => format!("for i in 1 2 3; do date +%Y; done; {STATUS}"),
        "random" => format!("for i in 1 2; do entropy random 64 | wc -c; done; {STATUS}"),
        "zero" => format!("head -c 40000 /dev/zero | sha256sum; head -c 100 /dev/zero | wc -c; {STATUS}"),
        "pci" => format!("lspci; {STATUS}"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::server::SERVERS;
    use super::*;

    #[test]
    fn all_work_of_the_matrix_is_there_and_is_one_line() {
        for server in SERVERS {
            for workload in server.workloads {
                let work = Work::of(server, *workload, "0123").unwrap();
                assert!(!work.line.contains('\n') && work.line.len() < 400, "{}", work.line);
                assert!(work.expected.is_none_or(|text| text.ends_with("status 0\n")));
            }
        }
    }

    #[test]
    fn other_work_is_refused() {
        let server = Server::find("console").unwrap();
        assert!(Work::of(&server, Workload::Calls, "").is_err());
    }
}
