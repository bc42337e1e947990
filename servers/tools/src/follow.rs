//! Files that are written while they are shown: `tail -f`. Each tells of its changes on one channel, and nothing is looked at in between.

use crate::input::PART;
use crate::{About, Failure, Output, failed};
use alloc::string::String;
use alloc::vec::Vec;
use libsys::Channel;
use libsys::channel::Event;
use libsys::env;
use libsys::fs::File;
use libsys::io::{Result, Write};

/// The headings that say which of several inputs is shown.
#[derive(Debug)]
pub struct Headings {
    wanted: bool,
    /// The input under the last one.
    last: Option<usize>,
}

impl Headings {
    /// Headings if they are wanted; else none is written.
    pub fn new(wanted: bool) -> Headings {
        Headings { wanted, last: None }
    }

    /// Writes the heading of an input, unless what was written last is under it.
    pub fn write(&mut self, out: &mut impl Write, index: usize, name: &str) -> Result<()> {
        if !self.wanted || self.last == Some(index) {
            return Ok(());
        }
        let gap = if self.last.is_some() { "\n" } else { "" };
        self.last = Some(index);
        writeln!(out, "{gap}==> {} <==", if name == "-" { "standard input" } else { name })
    }
}

/// The files that are followed.
#[derive(Debug)]
pub struct Follow {
    /// Where they tell of changes: each by a bit, which some share where there are many.
    channel: Channel,
    files: Vec<Followed>,
}

#[derive(Debug)]
struct Followed {
    index: usize,
    name: String,
    file: File,
    /// How far it was shown.
    shown: u64,
}

/// The bit by which an input tells of changes.
fn bit_of(index: usize) -> u64 {
    1 << (index % 64)
}

/// Where to go on in a file that was shown so far and is so long now, and whether it was cut off: then it is shown from its start.
fn resume(shown: u64, length: u64) -> (u64, bool) {
    if length < shown { (0, true) } else { (shown, false) }
}

impl Follow {
    /// Nothing yet.
    pub fn new() -> Result<Follow> {
        Ok(Follow { channel: Channel::create(env::account())?, files: Vec::new() })
    }

    /// Whether there is no file to follow.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Has an input tell of its changes from now on. What is in it is to be shown after this, so that nothing is missed.
    pub fn listen(&self, index: usize, file: &File) -> Result<()> {
        let bit = bit_of(index);
        file.notify(&self.channel.signaller(bit)?, bit)
    }

    /// Shows from now on what comes behind what was shown.
    pub fn add(&mut self, index: usize, name: &str, file: File, shown: u64) {
        self.files.push(Followed { index, name: name.into(), file, shown });
    }

    /// Shows what comes, as long as there is a file that it may come from. Error: none is left.
    pub fn run(&mut self, out: &mut Output, headings: &mut Headings) -> core::result::Result<(), Failure> {
        while !self.files.is_empty() {
            out.flush()?;
            // What else a channel brings is for servers.
            let Event::Signals(bits) = self.channel.receive(None).about("waiting")? else { continue };
            let mut left = Vec::new();
            for mut followed in self.files.drain(..) {
                let mut is_there = true;
                if bits & bit_of(followed.index) != 0 {
                    is_there = false;
                    out.attempt(|out| {
                        followed.show(out, headings)?;
                        is_there = true;
                        Ok(())
                    })?;
                }
                // Of one that cannot be read any more nothing will come.
                if is_there {
                    left.push(followed);
                }
            }
            self.files = left;
        }
        Err(Failure::Error("no files remaining".into()))
    }
}

impl Followed {
    /// Shows what has come.
    fn show(&mut self, out: &mut Output, headings: &mut Headings) -> core::result::Result<(), Failure> {
        let Followed { index, name, file, shown } = self;
        let length = file.metadata().about(name)?.len();
        let (start, is_cut_off) = resume(*shown, length);
        if is_cut_off {
            out.warn(format_args!("{name}: file truncated"));
        }
        *shown = start;
        let mut part = Vec::new();
        part.try_reserve_exact(PART).map_err(|_| failed(name, libsys::io::Error::NoMemory))?;
        part.resize(PART, 0);
        loop {
            let count = file.read_at(&mut part, *shown).about(name)?;
            if count == 0 {
                return Ok(());
            }
            headings.write(out, *index, name)?;
            out.write_all(&part[..count])?;
            *shown += count as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_written_where_the_input_changes() {
        let mut text = Vec::new();
        let mut headings = Headings::new(true);
        for (index, name) in [(0, "a"), (1, "-"), (1, "-"), (0, "a"), (0, "a")] {
            headings.write(&mut text, index, name).expect("written");
        }
        assert_eq!(text, b"==> a <==\n\n==> standard input <==\n\n==> a <==\n");
        let mut none = Vec::new();
        Headings::new(false).write(&mut none, 0, "a").expect("written");
        assert!(none.is_empty());
    }

    #[test]
    fn a_file_that_was_cut_off_is_shown_from_its_start() {
        assert_eq!(
            [resume(5, 7), resume(5, 5), resume(5, 4), resume(5, 0)],
            [(5, false), (5, false), (0, true), (0, true)]
        );
    }
}
