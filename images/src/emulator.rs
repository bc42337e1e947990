//! One running QEMU: bytes in, events out, and an end that is certain.
//!
//! Threads feed one queue of [`Event`]s, so whoever owns the emulator waits in one place, with
//! a deadline, for whatever comes first. QEMU's output is drained while nobody looks, up to a
//! bound that no guest reaches by accident; beyond it the guest waits. QEMU ends with its owner: dropping kills it, and where
//! `setpriv` is installed (util-linux) the kernel kills it even if this process is killed.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::linker::program_on_path;

/// Bytes that are read from QEMU at a time.
const READ_SIZE: usize = 16 * 1024;

/// Events that wait to be looked at.
const QUEUE_LENGTH: usize = 4096;

/// What can happen to a running machine.
#[derive(Debug)]
pub enum Event {
    /// Bytes from its serial line.
    Output(Vec<u8>),
    /// QEMU ended; nothing follows.
    Exited {
        /// How.
        status: ExitStatus,
        /// What QEMU itself complained about.
        complaint: String,
    },
    /// This process was asked to end, by a signal of this number.
    Interrupted(i32),
}

/// A running QEMU. Dropping it kills it.
#[derive(Debug)]
pub struct Emulator {
    process: OwnedFd,
    input: Option<Sender<Vec<u8>>>,
    /// `None` only while it is dropped.
    events: Option<Receiver<Event>>,
    sender: SyncSender<Event>,
    supervisor: Option<JoinHandle<()>>,
}

/// Whether the machine's serial line gets input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Bytes given to [`Emulator::send`].
    Sent,
    /// None, ever.
    Nothing,
}

/// What the supervising thread hands over once QEMU runs.
struct Started {
    process: OwnedFd,
    input: Option<Sender<Vec<u8>>>,
}

impl Emulator {
    /// Starts `qemu` with `arguments`, in `folder`.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(qemu: &Path, arguments: &[String], folder: &Path, input: Input) -> Result<Self> {
        let mut command = dying_with_its_parent(qemu);
        command
            .args(arguments)
            .current_dir(folder)
            .stdin(if input == Input::Sent { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C of the terminal is for this process, which ends QEMU in order.
            .process_group(0);
        let (sender, events) = mpsc::sync_channel(QUEUE_LENGTH);
        let (started, ready) = mpsc::sync_channel(1);
        let for_supervisor = sender.clone();
        let supervisor = thread::Builder::new()
            .name("qemu".to_string())
            .spawn(move || match start(&mut command) {
                Ok((child, begun)) => {
                    drop(started.send(Ok(begun)));
                    supervise(child, &for_supervisor);
                }
                Err(error) => drop(started.send(Err(error))),
            })
            .context("cannot start a thread")?;
        let begun = ready
            .recv()
            .context("the supervising thread died")?
            .with_context(|| format!("cannot start {}", qemu.display()))?;
        Ok(Self {
            process: begun.process,
            input: begun.input,
            events: Some(events),
            sender,
            supervisor: Some(supervisor),
        })
    }

    /// Sends `bytes` to the serial line. Never waits: they are queued until the guest reads.
    pub fn send(&self, bytes: &[u8]) {
        if let Some(input) = &self.input {
            // A machine that ended reads nothing more; its end is an event.
            drop(input.send(bytes.to_vec()));
        }
    }

    /// Where another thread can send bytes for the serial line; `None` without input.
    pub fn input(&self) -> Option<Sender<Vec<u8>>> {
        self.input.clone()
    }

    /// Where another thread can report an event, such as a signal.
    pub fn reporter(&self) -> SyncSender<Event> {
        self.sender.clone()
    }

    /// The next event, or `None` once the deadline has passed, even if there are more.
    pub fn next(&self, deadline: Option<Instant>) -> Option<Event> {
        let events = self.events.as_ref()?;
        // The queue cannot be cut off: we hold a sender ourselves.
        let Some(deadline) = deadline else {
            return events.recv().ok();
        };
        let rest = deadline.checked_duration_since(Instant::now())?;
        events.recv_timeout(rest).ok()
    }

    /// Kills QEMU. Its end is still reported as an event.
    pub fn kill(&self) {
        // It fails only if QEMU is gone already.
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
        self.input = None;
        // Whoever waits for a place in the queue goes on, and comes to its end.
        self.events = None;
        if let Some(supervisor) = self.supervisor.take() {
            drop(supervisor.join());
        }
    }
}

/// A command for `program` that is killed when the thread that started it ends.
fn dying_with_its_parent(program: &Path) -> Command {
    let Some(setpriv) = program_on_path("setpriv") else {
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

fn start(command: &mut Command) -> io::Result<(Child, Started)> {
    let mut child = command.spawn()?;
    let process = match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
        Ok(process) => process,
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error.into());
        }
    };
    let input = child.stdin.take().map(|mut pipe| {
        let (sender, bytes) = mpsc::channel::<Vec<u8>>();
        // Ends with the last sender, or when QEMU is gone.
        thread::spawn(move || {
            for chunk in bytes {
                if pipe.write_all(&chunk).and_then(|()| pipe.flush()).is_err() {
                    return;
                }
            }
        });
        sender
    });
    Ok((child, Started { process, input }))
}

/// Reports what QEMU says until it ends. This thread lives exactly as long as QEMU does: it is
/// the parent whose death `setpriv` watches.
fn supervise(mut child: Child, events: &SyncSender<Event>) {
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let complaint = thread::scope(|scope| {
        let complaint = scope.spawn(|| {
            let mut text = Vec::new();
            if let Some(mut pipe) = stderr {
                drop(pipe.read_to_end(&mut text));
            }
            String::from_utf8_lossy(&text).trim().to_string()
        });
        if let Some(pipe) = stdout {
            relay(pipe, events);
        }
        complaint.join().unwrap_or_default()
    });
    if let Ok(status) = child.wait() {
        drop(events.send(Event::Exited { status, complaint }));
    }
}

fn relay(mut pipe: impl Read, events: &SyncSender<Event>) {
    let mut buffer = vec![0; READ_SIZE];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => drop(events.send(Event::Output(buffer[..length].to_vec()))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn run(script: &str, input: Input) -> Emulator {
        let arguments = ["-c".to_string(), script.to_string()];
        Emulator::start(Path::new("/bin/sh"), &arguments, Path::new("/"), input).unwrap()
    }

    fn all(emulator: &Emulator) -> (String, ExitStatus, String) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut output = Vec::new();
        loop {
            match emulator.next(Some(deadline)).expect("ends in time") {
                Event::Output(bytes) => output.extend(bytes),
                Event::Exited { status, complaint } => {
                    return (String::from_utf8(output).unwrap(), status, complaint);
                }
                Event::Interrupted(signal) => panic!("signal {signal}"),
            }
        }
    }

    #[test]
    fn output_comes_before_the_end() {
        let (output, status, complaint) = all(&run("echo out; echo err >&2; exit 7", Input::Nothing));
        assert_eq!((output.as_str(), status.code(), complaint.as_str()), ("out\n", Some(7), "err"));
    }

    #[test]
    fn input_arrives_in_order() {
        let emulator = run("read a; read b; echo \"$b$a\"", Input::Sent);
        emulator.send(b"1\n");
        emulator.send(b"2\n");
        assert_eq!(all(&emulator).0, "21\n");
    }

    #[test]
    fn a_kill_is_an_end() {
        let emulator = run("exec sleep 1000", Input::Nothing);
        assert!(emulator.next(Some(Instant::now() + Duration::from_millis(20))).is_none());
        emulator.kill();
        assert_eq!(all(&emulator).1.code(), None);
    }

    #[test]
    fn dropping_ends_it() {
        let emulator = run("echo $$; exec sleep 1000", Input::Sent);
        let deadline = Some(Instant::now() + Duration::from_secs(20));
        let Some(Event::Output(bytes)) = emulator.next(deadline) else { panic!("no pid") };
        let pid = String::from_utf8(bytes).unwrap().trim().to_string();
        drop(emulator);
        assert!(!Path::new("/proc").join(pid).exists());
    }
}
