//! A machine of a campaign: at its prompt, with disks, and with a debugger that can stop it anywhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use libsys::abi::ExitReason;

use super::code::Code;
use super::death::Death;
use super::disks::Copies;
use super::program::Program;
use super::server::{Directory, INIT, Server};
use super::workload::Workload;
use crate::debugger::{Debugger, Patch, Register, Registers};
use crate::qmp::{Qmp, json};
use crate::workspace::Workspace;
use crate::{Disk, DiskBus, End, Image, Machine, Session, manifest};

/// What the shell prints when it is ready for a line.
pub const PROMPT: &str = "skink> ";

/// What a shell asks the terminal when it starts, and nobody sees: move far away, tell where that is, and come back.
const ASK_FOR_SIZE: &str = "\x1b7\x1b[999;999H\x1b[6n\x1b8";

/// Time of the machine's clock for a boot, and for a command that nobody disturbs.
const BOOT: u64 = 60_000_000_000;
const COMMAND: u64 = 30_000_000_000;

/// Time for QEMU to end.
const END: Duration = Duration::from_secs(30);

/// Between two looks at the serial line while the machine runs.
const LOOK: Duration = Duration::from_millis(3);

/// From one look at the machine's clock to the next while nothing happens.
const CLOCK_LOOK: Duration = Duration::from_secs(1);

/// The most time of the machine's clock that one look counts: an idle machine's clock goes with the host's, so it leaps where the host had no time for the machine.
const MOST_COUNTED: u64 = 2_000_000_000;

/// Time of the machine's clock for a line whose server is struck: that of an idle machine passes as real time does, that of one that turns round ten times as slowly.
const PATIENCE: u64 = 4_000_000_000;

/// What it takes the kernel to find that init turns round, which is in no manifest.
const INIT_PATIENCE: u64 = 6_000_000_000;

/// Ctrl-C; a line that shows that what was before is over, what it prints, and how long that may take.
const INTERRUPT: u8 = 3;
const CLEARED: &str = "echo it is over";
const CLEARED_TEXT: &str = "it is over";
const CLEAR: Duration = Duration::from_secs(5);

/// What a shell that comes back clears the line with.
const CLEAR_LINE: &str = "\r\x1b[J";

/// Real time for the same, however slow the host is: for a QEMU that does nothing.
const REAL_PATIENCE: Duration = Duration::from_secs(900);

/// The longest that a call may take a server before it is taken for hanging. The manifest has up to 30 s, which a processor that is emulated takes minutes for.
const HANG: &str = "    hang 100ms";

/// Who looks whether disks end requests, and how often, in milliseconds: the 5 and 8 s that they wait otherwise are more than [`PATIENCE`].
const LOOKS: [(&str, u32); 3] = [("block", 500), ("ext4", 800), ("fat", 800)];

/// A campaign strikes more often than anything else ever does: no server is given up for that, or waits.
const RESTART: &str = "    restart always limit 16 in 10ms backoff 1ms to 1ms";

/// The general configuration and the main counter of the HPET (IA-PC HPET specification 1.0a, §2.3), which Skink does not use: its counter shows QEMU's virtual time to
/// who stands outside.
const HPET_CONFIGURATION: u64 = 0xfed0_0010;
const HPET_COUNTER: u64 = 0xfed0_00f0;
const HPET_ENABLE: [u8; 4] = 1u32.to_le_bytes();

/// Nanoseconds of virtual time, and so instructions, that one step of QEMU's HPET takes.
const HPET_PERIOD: u64 = 10;

/// What is done for a service that has died, and never for a program that ends: init reads its memory for a report, or the kernel starts init again.
const AFTER_DEATH: [&str; 2] = ["microkernel::syscall::process::read", "microkernel::boot::start_init"];

/// What a campaign boots.
#[derive(Debug, Clone)]
pub struct Campaign {
    image: Image,
    death: Death,
    after_death: BTreeSet<u64>,
    patience: u64,
}

/// How long something may take yet.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// By the machine's clock, which stands while the machine does.
    left: u64,
    /// What that clock showed at the last look.
    looked: u64,
    /// When to look again.
    next_look: Instant,
    /// By the host's clock.
    real: Instant,
}

impl Deadline {
    /// So much time of a machine's clock, which shows `clock` now.
    fn new(clock: u64, patience: u64) -> Deadline {
        let now = Instant::now();
        Deadline { left: patience, looked: clock, next_look: now + CLOCK_LOOK, real: now + REAL_PATIENCE }
    }

    /// Whether it is time for a look.
    fn is_due(&self) -> bool {
        Instant::now() >= self.next_look
    }

    /// Counts the time since the last look: false when none is left.
    fn count(&mut self, clock: u64) -> bool {
        let passed = clock.saturating_sub(self.looked).min(MOST_COUNTED);
        (self.left, self.looked) = (self.left.saturating_sub(passed), clock);
        let now = Instant::now();
        self.next_look = now + CLOCK_LOOK;
        self.left > 0 && now < self.real
    }
}

impl Campaign {
    /// The system as it is, but for times in the manifest: see `docs/survivability.md`. Its archive is written into `folder`. `server` is who is struck.
    ///
    /// # Errors
    /// A program cannot be read, or the archive cannot be written.
    pub fn new(image: &Image, folder: &Path, server: &Server, workload: Workload) -> Result<Campaign> {
        let path = Workspace::locate()?.root().join(manifest::PATH);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut archive = image.programs_archive()?;
        archive.manifest(with_short_times(&text, server).into_bytes());
        let archive_path = folder.join(format!("{}-{workload}.tar", server.name));
        archive.write(&archive_path)?;
        let address_of = |name: &str| super::program::address_of(&image.kernel, name);
        let death = Death::find(&image.kernel)?;
        let after_death = AFTER_DEATH.into_iter().map(address_of).collect::<Result<_>>()?;
        let patience = if server.name == INIT { PATIENCE + INIT_PATIENCE } else { PATIENCE };
        Ok(Campaign { image: Image { archive: archive_path, ..image.clone() }, death, after_death, patience })
    }

    /// Where the kernel ends an incarnation.
    pub fn death(&self) -> Death {
        self.death
    }

    /// Whether the processor stands where an incarnation ends, and that one ends itself by a system call.
    pub fn is_exit(&self, registers: &Registers) -> bool {
        registers.get(Register::RIP) == self.death.address && self.death.reason(registers) == ExitReason::Exit
    }

    /// Where the kernel comes between the death of a service and its next incarnation, at least where the dead one's stack could be read.
    pub fn after_death(&self) -> &BTreeSet<u64> {
        &self.after_death
    }
}

/// The manifest with other times: services are started again at once, and the one that is struck hangs sooner.
fn with_short_times(manifest: &str, server: &Server) -> String {
    let mut text = String::new();
    let mut lines = manifest.lines().peekable();
    while let Some(line) = lines.next() {
        text.extend([line, "\n"]);
        let ["service", name, ..] = line.split_whitespace().collect::<Vec<_>>()[..] else { continue };
        let mut is_struck = server.name == name;
        while let Some(line) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["restart", "always", ..] => continue,
                ["hang", "never", ..] => is_struck = false,
                ["hang", ..] if is_struck => continue,
                _ => {}
            }
            text.extend([line, "\n"]);
        }
        text.extend([RESTART, "\n"]);
        if is_struck {
            text.extend([HANG, "\n"]);
        }
        if let Some((_, patience)) = LOOKS.iter().find(|(looks, _)| *looks == name) {
            text.extend(["    parameter patience ", &patience.to_string(), "\n"]);
        }
    }
    text
}

/// A running machine. Dropping it ends it.
#[derive(Debug)]
pub struct System {
    // Dropped in this order: the machine before its disks.
    debugger: Debugger,
    session: Session,
    disks: Copies,
    patience: u64,
}

impl System {
    /// Boots to the prompt, and mounts the disks.
    ///
    /// # Errors
    /// It does not come so far: the message has what was printed.
    pub fn boot(campaign: &Campaign, disks: Copies) -> Result<System> {
        let machine = Machine::new(&campaign.image)
            .icount_with_waits()
            .debugged()
            .disk(Disk::new(disks.ext4()).volatile())
            .disk(Disk::new(disks.fat()).bus(DiskBus::Nvme).volatile());
        let mut session = machine.session()?;
        let debugger = session.debugger()?;
        let mut system = System { debugger, session, disks, patience: campaign.patience };
        system.debugger.write_physical(HPET_CONFIGURATION, &HPET_ENABLE)?;
        let deadline = Deadline::new(system.clock()?, BOOT);
        system.prompt(deadline).context("the machine does not reach the prompt")?;
        for directory in [Directory::Ext4, Directory::Fat] {
            let (path, device) = (directory.path(), directory.device().unwrap_or_default());
            let line = format!("mkdir -p {path}; mount {device} {path}; echo \"status $?\"");
            let printed = system.command(&line)?;
            ensure!(printed == "status 0\n", "`{line}`: {printed}");
        }
        Ok(system)
    }

    /// The debugger.
    pub fn debugger(&mut self) -> &mut Debugger {
        &mut self.debugger
    }

    /// The disks.
    pub fn disks(&self) -> &Copies {
        &self.disks
    }

    /// Nanoseconds of virtual time: instructions, and time without any. The machine may run.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn clock(&mut self) -> Result<u64> {
        // Two halves are read, one after the other.
        let mut before = self.counter()?;
        loop {
            let counter = self.counter()?;
            if counter >> 32 == before >> 32 {
                return Ok(counter.wrapping_mul(HPET_PERIOD));
            }
            before = counter;
        }
    }

    fn counter(&mut self) -> Result<u64> {
        let text = self.monitor(&format!("xp /1gx {HPET_COUNTER:#x}"))?;
        let digits = text.trim().rsplit_once("0x").map(|(_, digits)| digits);
        let counter = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        counter.with_context(|| format!("the HPET has a counter of 64 bits, not {text:?}"))
    }

    /// Asks QEMU's monitor.
    fn monitor(&mut self, command: &str) -> Result<String> {
        let answer = self.session.qmp().execute("human-monitor-command", json!({"command-line": command}))?;
        Ok(answer.as_str().unwrap_or_default().to_string())
    }

    /// Changes memory of the address space that the processor is in.
    ///
    /// # Errors
    /// There is none, or QEMU is gone.
    pub fn patch(&mut self, address: u64, bytes: &[u8]) -> Result<Patch> {
        let qmp = self.session.qmp();
        self.debugger.patch(address, bytes, |address| {
            physical(qmp, address)?.with_context(|| format!("there is nothing at {address:#x}"))
        })
    }

    /// Where a program's code is, which the processor executes.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn code(&mut self, program: &Program) -> Result<Code> {
        let (start, bytes) = program.text();
        Code::find(start, bytes, |page| physical(self.session.qmp(), page))
    }

    /// Changes code of a program whose [`System::code`] this is, whatever the processor executes. The machine is stopped.
    ///
    /// # Errors
    /// The code there is not what the program has, or QEMU is gone.
    pub fn change_code(&mut self, program: &Program, code: &Code, address: u64, bytes: &[u8]) -> Result<Patch> {
        let expected = program.bytes(address, bytes.len() as u64).context("it is not in the code")?;
        let patch = self.debugger.patch_at(address, bytes, |address| code.place(address))?;
        let found = patch.old();
        if found != expected {
            self.debugger.restore(&patch)?;
            bail!("the code at {address:#x} was {found:x?}, not {expected:x?}");
        }
        Ok(patch)
    }

    /// Types a line. The machine is stopped then, and reads it when it is resumed. Returns until when it has to be over.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn begin(&mut self, line: &str) -> Result<Deadline> {
        self.debugger.interrupt()?;
        self.session.type_line(line);
        Ok(Deadline::new(self.clock()?, self.patience))
    }

    /// Lets the machine run to a break point: the registers there, or `None` when the line that was begun is over.
    ///
    /// # Errors
    /// Nothing of that happens in time, or the machine has ended.
    pub fn next_break(&mut self, deadline: &mut Deadline) -> Result<Option<Registers>> {
        self.debugger.resume()?;
        loop {
            if self.debugger.wait(LOOK)? {
                return Ok(Some(self.debugger.registers()?));
            }
            // A shell that comes back while the line is typed shows its prompt anew, and the line goes on.
            if self.session.has_printed_all(&["\n", PROMPT], Duration::from_millis(1))? {
                self.debugger.interrupt()?;
                return Ok(None);
            }
            if deadline.is_due() && !deadline.count(self.clock()?) {
                bail!("the prompt does not come back: {}", self.place()?);
            }
        }
    }

    /// Waits for the end of the line that was begun, which nothing disturbs any more: what it has printed, without its echo.
    ///
    /// # Errors
    /// The prompt does not come back, or the machine has ended.
    pub fn finish(&mut self, line: &str) -> Result<String> {
        let deadline = Deadline::new(self.clock()?, COMMAND);
        let mut printed = self.prompt(deadline)?;
        while !printed.contains('\n') {
            printed += &self.prompt(deadline)?;
        }
        let printed = printed.replace("\r\n", "\n").replace(ASK_FOR_SIZE, "").replace(CLEAR_LINE, "");
        let printed = printed.strip_suffix(PROMPT).unwrap_or(&printed);
        // A key that is missing in the echo is missing in the first line.
        let behind = behind_echo(printed, line);
        Ok(behind.map_or_else(|| format!("(echo) {printed}"), str::to_string))
    }

    /// Lets the machine run to its prompt, without a stop: what it has printed until there.
    fn prompt(&mut self, mut deadline: Deadline) -> Result<String> {
        self.debugger.resume()?;
        while !self.session.has_printed(PROMPT, CLOCK_LOOK)? {
            if !deadline.count(self.clock()?) {
                let place = self.place()?;
                return self.session.expect(PROMPT, LOOK).with_context(|| format!("the prompt does not come: {place}"));
            }
        }
        self.session.expect(PROMPT, LOOK)
    }

    /// Stops the machine, and says what it is doing.
    fn place(&mut self) -> Result<String> {
        self.debugger.interrupt()?;
        let registers = self.monitor("info registers")?;
        let words = registers.split_whitespace();
        Ok(words
            .filter(|word| ["RIP=", "CPL=", "HLT=", "CR3="].iter().any(|name| word.starts_with(name)))
            .collect::<Vec<_>>()
            .join(" "))
    }

    /// Runs a line undisturbed: what it prints.
    ///
    /// # Errors
    /// The prompt does not come back.
    pub fn command(&mut self, line: &str) -> Result<String> {
        self.debugger.break_only_at(&BTreeSet::new())?;
        self.begin(line)?;
        self.finish(line).with_context(|| format!("`{line}`"))
    }

    /// Ends whatever the line does that did not end, and comes back to the prompt.
    ///
    /// # Errors
    /// The prompt does not come.
    pub fn clear(&mut self) -> Result<()> {
        self.debugger.break_only_at(&BTreeSet::new())?;
        self.session.send(&[INTERRUPT]);
        self.begin(CLEARED)?;
        self.debugger.resume()?;
        self.session.expect(&format!("\n{CLEARED_TEXT}"), CLEAR)?;
        let deadline = Deadline::new(self.clock()?, COMMAND);
        self.prompt(deadline).map(drop)
    }

    /// How the machine has ended, if it has.
    pub fn end(&mut self) -> Option<End> {
        let _ = self.session.has_printed("\0", LOOK);
        self.session.end().cloned()
    }

    /// All that it has printed.
    pub fn transcript(&self) -> String {
        self.session.transcript()
    }

    /// Unmounts the disks, ends the machine, and looks at what is on them.
    ///
    /// # Errors
    /// The disks cannot be unmounted.
    pub fn shut_down(mut self) -> Result<Copies> {
        for directory in [Directory::Ext4, Directory::Fat] {
            let printed = self.command(&format!("umount {}; echo \"status $?\"", directory.path()))?;
            ensure!(printed == "status 0\n", "umount: {printed}");
        }
        self.session.kill();
        let _ = self.session.wait_for_end(END);
        let System { disks, .. } = self;
        Ok(disks)
    }
}

/// Where a virtual address of the address space that the processor is in is in physical memory, if it is mapped.
fn physical(qmp: &mut Qmp, address: u64) -> Result<Option<u64>> {
    let answer = qmp.execute("human-monitor-command", json!({"command-line": format!("gva2gpa {address:#x}")}))?;
    let text = answer.as_str().unwrap_or_default().trim();
    let Some(digits) = text.strip_prefix("gpa: 0x") else { return Ok(None) };
    u64::from_str_radix(digits, 16).map(Some).with_context(|| format!("{text} is no address"))
}

/// Sets the instruction pointer.
///
/// # Errors
/// QEMU is gone.
pub fn jump(debugger: &mut Debugger, to: u64) -> Result<()> {
    debugger.set(Register::RIP, to)
}

/// What was printed behind the echo of a line. Each shell that came back while the line was typed has shown its prompt and what there was of the line by then. `None`: the
/// echo is another.
fn behind_echo<'p>(printed: &'p str, line: &str) -> Option<&'p str> {
    let (first, behind) = printed.split_once('\n')?;
    let mut shown = first.split(PROMPT).collect::<Vec<_>>();
    let last = shown.pop()?;
    (last == line && shown.iter().all(|part| line.starts_with(part))).then_some(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_struck_hangs_sooner() {
        let text = "# none\nservice uart # one\n    hang 30s\n    state 4K\n\nservice b\n    restart always limit 3 in 1m\n    hang 2s\n";
        let expected = format!(
            "# none\nservice uart # one\n    state 4K\n{RESTART}\n{HANG}\n\nservice b\n    hang 2s\n{RESTART}\n"
        );
        let uart = &Server::find("uart").unwrap();
        assert_eq!(with_short_times(text, uart), expected);
        let block = format!("service block\n{RESTART}\n    parameter patience 500\n");
        assert_eq!(with_short_times("service block\n", uart), block);
    }

    #[test]
    fn time_that_the_host_took_is_not_counted() {
        let mut deadline = Deadline::new(7, 3 * MOST_COUNTED);
        assert!(!deadline.is_due() && deadline.count(7 + MOST_COUNTED / 2));
        assert!(deadline.count(100 * MOST_COUNTED), "a leap");
        assert!(deadline.count(101 * MOST_COUNTED));
        assert!(deadline.count(101 * MOST_COUNTED), "the clock stands");
        assert!(!deadline.count(102 * MOST_COUNTED));
    }

    #[test]
    fn the_manifest_is_still_one() {
        let path = Workspace::locate().unwrap().root().join(manifest::PATH);
        let text = with_short_times(&fs::read_to_string(path).unwrap(), &Server::find("block").unwrap());
        manifest::check(Path::new(manifest::PATH), text.as_bytes(), |_| true).unwrap();
    }

    #[test]
    fn a_line_is_typed_across_shells_and_loses_no_key() {
        assert_eq!(behind_echo("echo a\na\n", "echo a"), Some("a\n"));
        assert_eq!(behind_echo(&format!("ec{PROMPT}ech{PROMPT}echo a\na\n"), "echo a"), Some("a\n"));
        assert_eq!(behind_echo(&format!("ec{PROMPT}eco a\na\n"), "echo a"), None);
        assert_eq!(behind_echo(&format!("xx{PROMPT}echo a\na\n"), "echo a"), None);
    }
}
