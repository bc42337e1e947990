//! QEMU's control channel (QMP): stop and continue, hot-plug, ask about devices.
//!
//! The socket lies in a folder below `target/` that only this user may enter. Paths of
//! sockets are limited to 107 bytes, so both sides reach it by a short name: QEMU relative to
//! its working folder, this process through its own open handle of the folder.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
pub use serde_json::{Value, json};

/// The socket's name in its folder.
const SOCKET: &str = "qmp";

/// How long QEMU may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Tells apart the sockets of one process.
static NEXT_FOLDER: AtomicU32 = AtomicU32::new(0);

/// A socket that waits for QEMU.
#[derive(Debug)]
pub struct QmpListener {
    folder: PathBuf,
    listener: UnixListener,
}

/// A connection to QEMU's control channel.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
    events: VecDeque<Value>,
}

impl QmpListener {
    /// Makes a socket in a new folder below `parent`.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn bind(parent: &Path) -> Result<Self> {
        let number = NEXT_FOLDER.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("{}-{number}", std::process::id()));
        let context = || format!("cannot make a socket in {}", folder.display());
        fs::create_dir_all(parent).with_context(context)?;
        remove_folders_of_the_dead(parent);
        DirBuilder::new().mode(0o700).create(&folder).with_context(context)?;
        let handle = File::open(&folder).with_context(context)?;
        let short = format!("/proc/self/fd/{}/{SOCKET}", handle.as_raw_fd());
        let listener = UnixListener::bind(short).with_context(context)?;
        Ok(Self { folder, listener })
    }

    /// The folder that QEMU must be started in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// QEMU's arguments for the control channel.
    pub fn arguments() -> [String; 4] {
        ["-chardev", &format!("socket,id=qmp,path={SOCKET}"), "-mon", "chardev=qmp,mode=control"].map(str::to_string)
    }

    /// Waits for QEMU and agrees with it on the protocol.
    ///
    /// # Errors
    /// QEMU does not connect in time: it did not start.
    pub fn accept(&self) -> Result<Qmp> {
        let timeout = Timespec::try_from(TIMEOUT).context("the time is out of range")?;
        let mut ready = [PollFd::new(&self.listener, PollFlags::IN)];
        if poll(&mut ready, Some(&timeout)).context("cannot wait for QEMU")? == 0 {
            bail!("QEMU did not open its control channel");
        }
        let (stream, _) = self.listener.accept().context("QEMU's control channel failed")?;
        let mut qmp = Qmp { stream: BufReader::new(stream), events: VecDeque::new() };
        let deadline = Instant::now() + TIMEOUT;
        while qmp.message(deadline)?.get("QMP").is_none() {}
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }
}

impl Drop for QmpListener {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Qmp {
    /// Runs `command`, such as `stop`, `cont`, `device_add` or `query-status`, and returns its
    /// answer. Its arguments are an object, such as `json!({ "driver": "e1000e" })`.
    ///
    /// # Errors
    /// QEMU refuses the command, or has ended.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        // In one piece: it would be written word by word.
        let request = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        let stream = self.stream.get_mut();
        stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.flush())
            .with_context(|| format!("QEMU is gone: cannot ask it to {command}"))?;
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let mut answer = self.message(deadline)?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {}", error["desc"].as_str().unwrap_or("no reason"));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            self.events.push_back(answer);
        }
    }

    /// Waits until QEMU reports the event `name`, such as `STOP` or `DEVICE_DELETED`, and
    /// returns it. Other events that come first are dropped.
    ///
    /// # Errors
    /// It does not come within `time`.
    pub fn wait_for_event(&mut self, name: &str, time: Duration) -> Result<Value> {
        let deadline = Instant::now() + time;
        loop {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => {
                    self.message(deadline).with_context(|| format!("no event {name} within {} ms", time.as_millis()))?
                }
            };
            if event["event"] == name {
                return Ok(event);
            }
        }
    }

    fn message(&mut self, deadline: Instant) -> Result<Value> {
        let rest = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.get_ref().set_read_timeout(Some(rest))?;
        let mut line = String::new();
        let length = self.stream.read_line(&mut line).context("QEMU's control channel is silent")?;
        if length == 0 {
            bail!("QEMU closed its control channel");
        }
        serde_json::from_str(&line).context("QEMU's control channel speaks no JSON")
    }
}

/// Removes what killed processes left in `parent`: folders are called `PID-NUMBER`.
fn remove_folders_of_the_dead(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((pid, _)) = name.to_str().and_then(|name| name.split_once('-')) else {
            continue;
        };
        if !Path::new("/proc").join(pid).exists() {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
