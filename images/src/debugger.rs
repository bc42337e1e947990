//! A machine that is stopped, looked at and changed from outside, by the debugger stub of QEMU.
//!
//! | module | what |
//! |---|---|
//! | [`packet`] | the frames of the GDB remote serial protocol |
//! | [`registers`] | the registers of an x86-64 processor, as QEMU sends them |
//!
//! For machines with one processor. The guest cannot see it: while it is stopped its clocks stand still, and a break point is in QEMU's
//! translator, not in the guest's code. Addresses are those of the address space that the processor is in at the moment, kernel or process.

pub mod packet;
pub mod registers;

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

pub use packet::Packets;
pub use registers::{Register, Registers};

/// The socket's name in the folder that QEMU runs in.
const SOCKET: &str = "gdb";

/// How long QEMU may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the stub calls an interruption.
const INTERRUPT: u8 = 0x03;

/// Bytes of memory that are moved at a time.
const PIECE: usize = 1024;

/// Pages, within which neighbours in virtual memory are neighbours in physical memory.
pub const PAGE: u64 = 4096;

/// A debugger of a running machine. Dropping it lets the machine run on.
#[derive(Debug)]
pub struct Debugger {
    packets: Packets,
    breaks: BTreeSet<u64>,
    is_running: bool,
}

impl Debugger {
    /// QEMU's arguments for it.
    pub(crate) const ARGUMENTS: [&'static str; 2] = ["-gdb", "unix:gdb,server=on,wait=off"];

    /// Connects to the QEMU that runs in `folder`, and so stops it.
    pub(crate) fn connect(folder: &Path) -> Result<Debugger> {
        // As for QEMU's control channel: the path of a socket has to be short.
        let handle = File::open(folder).with_context(|| format!("cannot open {}", folder.display()))?;
        let short = format!("/proc/self/fd/{}/{SOCKET}", handle.as_raw_fd());
        let stream = UnixStream::connect(short).context("QEMU has no debugger stub")?;
        let mut debugger = Debugger { packets: Packets::new(stream), breaks: BTreeSet::new(), is_running: false };
        // QEMU tells by itself that the machine has stopped, before it answers anything.
        debugger.ask("?")?;
        // It reads and writes single registers only for those who have asked which there are.
        debugger.ask("qXfer:features:read:target.xml:0,ffb")?;
        Ok(debugger)
    }

    /// Whether the machine runs.
    pub fn is_running(&self) -> bool {
        self.is_running
    }

    /// Whether the processor, which is stopped, is at one of the break points.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn is_at_break(&mut self) -> Result<bool> {
        let at = self.instruction()?;
        Ok(self.breaks.contains(&at))
    }

    /// Stops the machine, if it runs.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn interrupt(&mut self) -> Result<()> {
        if !self.is_running {
            return Ok(());
        }
        self.packets.raw(&[INTERRUPT])?;
        ensure!(self.wait(PATIENCE)?, "QEMU does not stop the machine");
        Ok(())
    }

    /// Lets the machine run on, past a break point that it may stand at.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn resume(&mut self) -> Result<()> {
        if self.is_running {
            return Ok(());
        }
        if !self.breaks.is_empty() && self.is_at_break()? {
            self.step()?;
        }
        self.packets.send("c")?;
        self.is_running = true;
        Ok(())
    }

    /// Waits until the machine stops: true if it does within `time`.
    ///
    /// # Errors
    /// The machine has ended.
    pub fn wait(&mut self, time: Duration) -> Result<bool> {
        if !self.is_running {
            return Ok(true);
        }
        let deadline = Instant::now() + time;
        while let Some(packet) = self.packets.receive(deadline)? {
            match packet.as_bytes().first() {
                Some(b'T' | b'S') => {
                    self.is_running = false;
                    return Ok(true);
                }
                Some(b'W' | b'X') => bail!("the machine has ended"),
                _ => {}
            }
        }
        Ok(false)
    }

    /// Executes one instruction, without interrupts.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn step(&mut self) -> Result<()> {
        self.packets.send("s")?;
        self.is_running = true;
        ensure!(self.wait(PATIENCE)?, "QEMU does not come to the next instruction");
        Ok(())
    }

    /// Where the processor is.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn instruction(&mut self) -> Result<u64> {
        let answer = self.ask(&format!("p{:x}", Register::RIP.number()))?;
        registers::word(&answer, 0).with_context(|| format!("QEMU sends no instruction pointer: {answer:?}"))
    }

    /// All registers.
    ///
    /// # Errors
    /// QEMU is gone, or sends something else.
    pub fn registers(&mut self) -> Result<Registers> {
        let answer = self.ask("g")?;
        Registers::parse(&answer).context("QEMU does not send the registers of an x86-64 processor")
    }

    /// Changes a register.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn set(&mut self, register: Register, value: u64) -> Result<()> {
        let text = format!("P{:x}={}", register.number(), packet::hexadecimal(&value.to_le_bytes()));
        self.accepted(&text)
    }

    /// Stops the machine whenever the processor comes to an address.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn break_at(&mut self, address: u64) -> Result<()> {
        if self.breaks.insert(address) {
            self.accepted(&format!("Z1,{address:x},1"))?;
        }
        Ok(())
    }

    /// Ends that.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn pass(&mut self, address: u64) -> Result<()> {
        if self.breaks.remove(&address) {
            self.accepted(&format!("z1,{address:x},1"))?;
        }
        Ok(())
    }

    /// Stops the machine, and from now on at these addresses, and at no others.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn break_only_at(&mut self, addresses: &BTreeSet<u64>) -> Result<()> {
        self.interrupt()?;
        let old: Vec<u64> = self.breaks.difference(addresses).copied().collect();
        old.into_iter().try_for_each(|address| self.pass(address))?;
        addresses.iter().try_for_each(|address| self.break_at(*address))
    }

    /// Memory at a virtual address; `None` where some of it is not there.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn read(&mut self, address: u64, bytes: usize) -> Result<Option<Vec<u8>>> {
        let mut all = Vec::with_capacity(bytes);
        while all.len() < bytes {
            let part = PIECE.min(bytes - all.len());
            let answer = self.ask(&format!("m{:x},{part:x}", address + all.len() as u64))?;
            let Some(found) = packet::from_hexadecimal(&answer).filter(|found| found.len() == part) else {
                return Ok(None);
            };
            all.extend(found);
        }
        Ok(Some(all))
    }

    /// Changes memory at a virtual address, read-only memory included, and returns what was there, by which the change can be
    /// taken back from any address space.
    ///
    /// # Errors
    /// There is no memory, or QEMU is gone.
    pub fn patch(&mut self, address: u64, bytes: &[u8], physical: impl FnMut(u64) -> Result<u64>) -> Result<Patch> {
        self.read(address, bytes.len())?.context("there is no memory to change")?;
        self.patch_at(address, bytes, physical)
    }

    /// The same, whatever address space the processor is in.
    ///
    /// # Errors
    /// There is no memory, or QEMU is gone.
    pub fn patch_at(
        &mut self,
        address: u64,
        bytes: &[u8],
        mut physical: impl FnMut(u64) -> Result<u64>,
    ) -> Result<Patch> {
        let in_page = usize::try_from(PAGE - address % PAGE)?.min(bytes.len());
        let pieces = [(address, &bytes[..in_page]), (address + in_page as u64, &bytes[in_page..])];
        let mut patch = Patch { pieces: Vec::new() };
        for (address, new) in pieces.into_iter().filter(|(_, new)| !new.is_empty()) {
            let place = physical(address)?;
            let old = self.read_physical(place, new.len())?;
            patch.pieces.push(Piece { place, old, new: new.to_vec() });
        }
        for Piece { place, new, .. } in &patch.pieces {
            self.write_physical(*place, new)?;
        }
        Ok(patch)
    }

    /// Takes a change back, where it still is: the memory may be somebody else's by now.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn restore(&mut self, patch: &Patch) -> Result<()> {
        for Piece { place, old, new } in &patch.pieces {
            if self.read_physical(*place, new.len())? == *new {
                self.write_physical(*place, old)?;
            }
        }
        Ok(())
    }

    /// Memory or device registers at a physical address.
    ///
    /// # Errors
    /// There is nothing, or QEMU is gone.
    pub fn read_physical(&mut self, address: u64, bytes: usize) -> Result<Vec<u8>> {
        self.physical(true)?;
        let found = self.read(address, bytes);
        self.physical(false)?;
        found?.with_context(|| format!("there is nothing at {address:#x}"))
    }

    /// Changes memory or device registers at a physical address.
    ///
    /// # Errors
    /// There is nothing, or QEMU is gone.
    pub fn write_physical(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        self.physical(true)?;
        let done = self.accepted(&format!("M{address:x},{:x}:{}", bytes.len(), packet::hexadecimal(bytes)));
        self.physical(false)?;
        done
    }

    fn physical(&mut self, on: bool) -> Result<()> {
        self.accepted(&format!("Qqemu.PhyMemMode:{}", u8::from(on)))
    }

    fn accepted(&mut self, text: &str) -> Result<()> {
        let answer = self.ask(text)?;
        ensure!(answer == "OK", "QEMU refuses `{text}`: {answer:?}");
        Ok(())
    }

    fn ask(&mut self, text: &str) -> Result<String> {
        ensure!(!self.is_running, "the machine runs: it has to be stopped for `{text}`");
        self.packets.send(text)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.packets.receive(deadline)?;
            let answer = answer.with_context(|| format!("QEMU does not answer `{text}`"))?;
            // What stopped before is old news.
            if !answer.starts_with('T') || text == "?" {
                return Ok(answer);
            }
        }
    }
}

/// A change of memory, with what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    pieces: Vec<Piece>,
}

/// The part of a change that is in one page.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    /// Physical address.
    place: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Patch {
    /// What was there.
    pub fn old(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| &piece.old).copied().collect()
    }
}
