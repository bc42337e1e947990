//! The line discipline: from what is typed to what is read and what is shown. Pure: no calls, no devices.
//!
//! In canonical mode `line` is being typed; complete lines are `ready`. In raw mode what is typed is appended to `line` too, and
//! read from there. So a change of modes moves nothing: `shown` says how much of `line` went through the canonical rules.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use libsys::protocol::console::Mode;

/// A line that gets longer becomes readable without its end; and the longest read.
pub const LONGEST_LINE: usize = 2048;

/// Bytes beyond which no more input is taken until somebody reads: all of it outlives the console, and more waits with the device.
pub const MOST_UNREAD: usize = 4 << 10;

/// Bytes of a line's length, where complete lines are kept.
const LENGTH: usize = 2;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const REPRINT: u8 = 0x12;
const KILL_LINE: u8 = 0x15;
const ERASE_WORD: u8 = 0x17;
const DELETE: u8 = 0x7f;

/// What a byte led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that others wait for.
    Nothing,
    /// There is something more to read.
    Readable,
    /// The user interrupts.
    Interrupted,
}

/// Input between keyboard and readers.
#[derive(Debug, Default)]
pub struct Discipline {
    mode: Mode,
    /// Complete lines; an empty one is the end of the input.
    ready: VecDeque<Vec<u8>>,
    ready_bytes: usize,
    line: Vec<u8>,
    shown: usize,
}

impl Discipline {
    /// Unread input as it was: `lines` is what [`Discipline::lines`] said.
    pub fn restore(mode: Mode, line: Vec<u8>, shown: usize, lines: &[u8]) -> Discipline {
        let (mut ready, mut rest) = (VecDeque::new(), lines);
        while let Some((length, behind)) = rest.split_first_chunk::<LENGTH>() {
            let (line, behind) = behind.split_at(behind.len().min(u16::from_le_bytes(*length).into()));
            ready.push_back(line.to_vec());
            rest = behind;
        }
        let ready_bytes = ready.iter().map(Vec::len).sum();
        let shown = shown.min(line.len());
        Discipline { mode, ready, ready_bytes, line, shown }
    }

    /// The modes by which input is treated.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The line that is being typed.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// How much of it went through the canonical rules.
    pub fn shown(&self) -> usize {
        self.shown
    }

    /// Whether there are complete lines.
    pub fn has_lines(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The complete lines, each behind its length.
    pub fn lines(&self) -> Vec<u8> {
        let with_length = |line: &Vec<u8>| [&(line.len() as u16).to_le_bytes()[..], line].concat();
        self.ready.iter().flat_map(with_length).collect()
    }

    /// Treats input by other modes from now on, and what nobody has read too. `echo` is what the terminal shows.
    pub fn set_mode(&mut self, mode: Mode, echo: &mut Vec<u8>) -> Effect {
        let was_canonical = core::mem::replace(&mut self.mode, mode).canonical;
        if !mode.canonical {
            self.ready.retain(|line| !line.is_empty());
        }
        let mut effect = Effect::Nothing;
        if mode.canonical && !was_canonical {
            for byte in self.line.split_off(self.shown) {
                match self.input(byte, echo) {
                    Effect::Nothing => {}
                    stronger => effect = stronger,
                }
            }
        }
        effect
    }

    /// Takes a byte that was typed.
    pub fn input(&mut self, byte: u8, echo: &mut Vec<u8>) -> Effect {
        let byte = if byte == b'\r' && self.mode.newline_in { b'\n' } else { byte };
        if byte == INTERRUPT && self.mode.interrupts {
            self.interrupt(echo);
            return Effect::Interrupted;
        }
        if self.mode.canonical { self.canonical(byte, echo) } else { self.raw(byte, echo) }
    }

    /// Drops all input, as the user interrupts.
    pub fn interrupt(&mut self, echo: &mut Vec<u8>) {
        self.ready.clear();
        self.line.clear();
        (self.ready_bytes, self.shown) = (0, 0);
        self.show(INTERRUPT, echo);
    }

    /// Takes out what a reader gets: nothing yet (`None`), the end of the input (no bytes), or up to `most` bytes of a line.
    pub fn read(&mut self, most: usize) -> Option<Vec<u8>> {
        if let Some(first) = self.ready.front_mut() {
            let rest = first.split_off(most.min(first.len()));
            let bytes = core::mem::replace(first, rest);
            self.ready_bytes -= bytes.len();
            if first.is_empty() {
                self.ready.pop_front();
            }
            return Some(bytes);
        }
        if self.mode.canonical || self.line.is_empty() {
            return None;
        }
        // Not beyond a line's end: what a shell reads is a command, and what follows may be typed for the program that it starts.
        let end = self.line.iter().position(|byte| matches!(byte, b'\r' | b'\n')).map_or(self.line.len(), |at| at + 1);
        let rest = self.line.split_off(most.min(end));
        let bytes = core::mem::replace(&mut self.line, rest);
        self.shown = self.shown.saturating_sub(bytes.len());
        Some(bytes)
    }

    /// Puts back what a reader did not get after all.
    pub fn unread(&mut self, bytes: Vec<u8>) {
        self.ready_bytes += bytes.len();
        match self.ready.front_mut().filter(|first| !first.is_empty() && !bytes.is_empty() && !bytes.ends_with(b"\n")) {
            Some(first) => {
                let _ = first.splice(0..0, bytes);
            }
            None => self.ready.push_front(bytes),
        }
    }

    /// Whether a reader would get something.
    pub fn is_readable(&self) -> bool {
        !self.ready.is_empty() || (!self.mode.canonical && !self.line.is_empty())
    }

    /// Whether somebody has to read before more is taken.
    pub fn is_full(&self) -> bool {
        self.ready_bytes + self.ready.len() * LENGTH + self.line.len() >= MOST_UNREAD
    }

    /// Whether a byte interrupts.
    pub fn interrupts(&self, byte: u8) -> bool {
        byte == INTERRUPT && self.mode.interrupts
    }

    fn raw(&mut self, byte: u8, echo: &mut Vec<u8>) -> Effect {
        self.line.push(byte);
        if self.mode.echo {
            echo.push(byte);
        }
        Effect::Readable
    }

    fn canonical(&mut self, byte: u8, echo: &mut Vec<u8>) -> Effect {
        match byte {
            b'\n' => {
                self.line.push(byte);
                if self.mode.echo {
                    echo.extend_from_slice(if self.mode.newline_out { b"\r\n" } else { b"\n" });
                }
                return self.complete();
            }
            END => return self.complete(),
            BACKSPACE | DELETE => {
                self.erase_last(echo);
            }
            KILL_LINE => while self.erase_last(echo) {},
            ERASE_WORD => self.erase_word(echo),
            REPRINT => {
                self.show(REPRINT, echo);
                self.show(b'\n', echo);
                for index in 0..self.line.len() {
                    self.show(self.line[index], echo);
                }
            }
            byte => {
                self.line.push(byte);
                self.show(byte, echo);
                // A character is not torn apart, for it could not be erased then.
                if self.line.len() >= LONGEST_LINE - 4 && (byte.is_ascii() || self.line.len() >= LONGEST_LINE) {
                    return self.complete();
                }
            }
        }
        self.shown = self.line.len();
        Effect::Nothing
    }

    fn complete(&mut self) -> Effect {
        let line = core::mem::take(&mut self.line);
        self.shown = 0;
        self.ready_bytes += line.len();
        self.ready.push_back(line);
        Effect::Readable
    }

    fn erase_word(&mut self, echo: &mut Vec<u8>) {
        while self.line.last() == Some(&b' ') {
            self.erase_last(echo);
        }
        while self.line.last().is_some_and(|byte| *byte != b' ') {
            self.erase_last(echo);
        }
    }

    /// Erases the last character, all bytes of it; whether there was one.
    fn erase_last(&mut self, echo: &mut Vec<u8>) -> bool {
        let Some(start) = last_character(&self.line) else {
            return false;
        };
        let columns = columns(&self.line[start..]);
        self.line.truncate(start);
        self.shown = start;
        if self.mode.echo {
            for _ in 0..columns {
                echo.extend_from_slice(b"\x08 \x08");
            }
        }
        true
    }

    /// Shows a byte: control characters as `^X`, and a tab as one space, since nobody knows where the terminal's stops are.
    fn show(&self, byte: u8, echo: &mut Vec<u8>) {
        match byte {
            _ if !self.mode.echo => {}
            b'\n' => echo.extend_from_slice(b"\r\n"),
            b'\t' => echo.push(b' '),
            0..0x20 | DELETE => echo.extend_from_slice(&[b'^', byte ^ 0x40]),
            byte => echo.push(byte),
        }
    }
}

/// Where the last character starts; a byte that belongs to no character stands for itself.
fn last_character(line: &[u8]) -> Option<usize> {
    let last = line.len().checked_sub(1)?;
    let start = (last.saturating_sub(3)..=last)
        .find(|start| core::str::from_utf8(&line[*start..]).is_ok_and(|text| text.chars().count() == 1));
    Some(start.unwrap_or(last))
}

/// How many columns of the terminal a character takes.
fn columns(character: &[u8]) -> usize {
    let Some(character) = core::str::from_utf8(character).ok().and_then(|text| text.chars().next()) else {
        return 1;
    };
    match character as u32 {
        0x09 => 1,
        0..0x20 | 0x7f => 2,
        0x80..0xa0 | 0x300..0x370 | 0x200b..0x2010 | 0xfe00..0xfe10 => 0,
        0x1100..0x1160 | 0x2e80..0xa4d0 | 0xac00..0xd7a4 | 0xf900..0xfb00 | 0xfe30..0xfe70 | 0xff00..0xff61 => 2,
        0xffe0..0xffe7 | 0x1f300..0x1f650 | 0x1f900..0x1fa00 | 0x20000..0x3fffe => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
