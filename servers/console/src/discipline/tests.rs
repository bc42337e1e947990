//! The line discipline key by key, and against models: of the lines that come out, and of the terminal that shows them.

use super::*;
use proptest::prelude::*;

struct Typed {
    discipline: Discipline,
    echo: Vec<u8>,
    interrupts: usize,
}

impl Typed {
    fn new(mode: Mode) -> Typed {
        let mut typed = Typed { discipline: Discipline::default(), echo: Vec::new(), interrupts: 0 };
        typed.mode(mode);
        typed
    }

    fn mode(&mut self, mode: Mode) {
        self.interrupts += usize::from(self.discipline.set_mode(mode, &mut self.echo) == Effect::Interrupted);
    }

    fn keys(&mut self, keys: &[u8]) -> &mut Typed {
        for key in keys {
            self.interrupts += usize::from(self.discipline.input(*key, &mut self.echo) == Effect::Interrupted);
        }
        self
    }

    fn read(&mut self) -> Option<Vec<u8>> {
        self.discipline.read(usize::MAX)
    }
}

fn canonical(keys: &[u8]) -> (Option<Vec<u8>>, Vec<u8>) {
    let mut typed = Typed::new(Mode::CANONICAL);
    let line = typed.keys(keys).read();
    (line, typed.echo)
}

#[track_caller]
fn line(keys: &[u8], line: &[u8], echo: &[u8]) {
    assert_eq!(canonical(keys), (Some(line.to_vec()), echo.to_vec()));
}

#[test]
fn a_line_is_read_when_it_is_complete() {
    assert_eq!(canonical(b"echo"), (None, b"echo".to_vec()));
    line(b"echo a\r", b"echo a\n", b"echo a\r\n");
    line(b"echo a\n", b"echo a\n", b"echo a\r\n");
    let mut typed = Typed::new(Mode::CANONICAL);
    typed.keys(b"one\rtwo\rthr");
    assert_eq!((typed.read(), typed.read(), typed.read()), (Some(b"one\n".into()), Some(b"two\n".into()), None));
    assert_eq!(typed.keys(b"ee\r").read(), Some(b"three\n".into()));
}

#[test]
fn a_line_is_read_in_parts() {
    let mut typed = Typed::new(Mode::CANONICAL);
    typed.keys(b"abcde\rf\r");
    let parts: Vec<_> = std::iter::from_fn(|| typed.discipline.read(4)).collect();
    assert_eq!(parts, [b"abcd".to_vec(), b"e\n".into(), b"f\n".into()]);
}

#[test]
fn characters_are_erased_as_wide_as_they_are() {
    line(b"ab\x7fc\r", b"ac\n", b"ab\x08 \x08c\r\n");
    line(b"ab\x08\x08\x08c\r", b"c\n", b"ab\x08 \x08\x08 \x08c\r\n");
    line("aä\x7f\r".as_bytes(), b"a\n", "aä\x08 \x08\r\n".as_bytes());
    line("漢\x7f\r".as_bytes(), b"\n", "漢\x08 \x08\x08 \x08\r\n".as_bytes());
    line("e\u{301}\x7f\r".as_bytes(), b"e\n", "e\u{301}\r\n".as_bytes());
    line(b"\x01\x7f\r", b"\n", b"^A\x08 \x08\x08 \x08\r\n");
    line(b"a\t\x7f\r", b"a\n", b"a \x08 \x08\r\n");
    // Bytes that are no characters go one by one.
    line(b"\xff\xc3\x7f\r", b"\xff\n", b"\xff\xc3\x08 \x08\r\n");
    line(b"\xe4\xb8\x7f\x7f\x7f\r", b"\n", b"\xe4\xb8\x08 \x08\x08 \x08\r\n");
}

#[test]
fn words_and_lines_are_erased() {
    let erase = |count: usize| b"\x08 \x08".repeat(count);
    line(b"one two  \x17x\r", b"one x\n", &[b"one two  ", &erase(5)[..], b"x\r\n"].concat());
    line(b"one\x17\x17\r", b"\n", &[b"one", &erase(3)[..], b"\r\n"].concat());
    line(b"one two\x15three\r", b"three\n", &[b"one two", &erase(7)[..], b"three\r\n"].concat());
    line(b"\x15\x17\x08\r", b"\n", b"\r\n");
}

#[test]
fn the_end_of_the_input_is_no_bytes_or_a_line_without_its_end() {
    line(b"\x04", b"", b"");
    line(b"abc\x04", b"abc", b"abc");
    let mut typed = Typed::new(Mode::CANONICAL);
    typed.keys(b"a\x04\x04b\r");
    assert_eq!((typed.read(), typed.read(), typed.read()), (Some(b"a".into()), Some(vec![]), Some(b"b\n".into())));
}

#[test]
fn an_interrupt_drops_what_was_typed() {
    let mut typed = Typed::new(Mode::CANONICAL);
    typed.keys(b"one\rtw\x03");
    assert_eq!((typed.interrupts, typed.read(), typed.echo.as_slice()), (1, None, &b"one\r\ntw^C"[..]));
    assert_eq!(typed.keys(b"x\r").read(), Some(b"x\n".into()));
    let mut raw = Typed::new(Mode::RAW);
    assert_eq!((raw.keys(b"\x03").read(), raw.interrupts), (Some(b"\x03".into()), 0));
    let mut raw = Typed::new(Mode { interrupts: true, ..Mode::RAW });
    assert_eq!((raw.keys(b"ab\x03c").read(), raw.interrupts), (Some(b"c".into()), 1));
}

#[test]
fn a_line_is_shown_again() {
    line(b"ab\x12c\r", b"abc\n", b"ab^R\r\nabc\r\n");
}

#[test]
fn arrows_are_bytes_in_raw_mode_and_shown_in_lines() {
    let mut typed = Typed::new(Mode::RAW);
    assert_eq!(typed.keys(b"\x1b[A\r\x7f").read(), Some(b"\x1b[A\r".into()));
    assert_eq!((typed.read(), typed.read()), (Some(b"\x7f".into()), None));
    line(b"\x1b[A\r", b"\x1b[A\n", b"^[[A\r\n");
}

#[test]
fn without_echo_nothing_is_shown() {
    let mut typed = Typed::new(Mode { echo: false, ..Mode::CANONICAL });
    assert_eq!(typed.keys(b"secret\x7fs\x17\x12pass\r").read(), Some(b"pass\n".into()));
    assert!(typed.echo.is_empty());
    assert_eq!(Typed::new(Mode { echo: true, ..Mode::RAW }).keys(b"\x01a").echo, b"\x01a");
    assert_eq!(Typed::new(Mode { newline_out: false, ..Mode::CANONICAL }).keys(b"a\r").echo, b"a\n");
    assert_eq!(Typed::new(Mode { newline_in: false, ..Mode::CANONICAL }).keys(b"a\r\n").read(), Some(b"a\r\n".into()));
}

#[test]
fn what_is_half_typed_survives_a_change_of_modes() {
    let mut typed = Typed::new(Mode::CANONICAL);
    typed.keys(b"ab");
    typed.mode(Mode::RAW);
    typed.keys(b"c\r");
    typed.mode(Mode::CANONICAL);
    assert_eq!((typed.read(), typed.echo.as_slice()), (Some(b"abc\n".into()), &b"abc\r\n"[..]));
    typed.keys(b"line\rhalf");
    typed.mode(Mode::RAW);
    assert_eq!((typed.read(), typed.read(), typed.read()), (Some(b"line\n".into()), Some(b"half".into()), None));
    // Nobody takes an end of the input for one that was meant for somebody else.
    typed.mode(Mode::CANONICAL);
    typed.keys(b"\x04");
    typed.mode(Mode::RAW);
    assert_eq!(typed.read(), None);
    typed.keys(b"x\x03y");
    typed.mode(Mode::CANONICAL);
    assert_eq!((typed.interrupts, typed.read()), (1, None));
    assert_eq!(typed.keys(b"\r").read(), Some(b"y\n".into()));
}

#[test]
fn long_lines_are_read_in_parts_and_nothing_is_lost() {
    let mut typed = Typed::new(Mode::CANONICAL);
    let text: Vec<u8> = "aä".bytes().cycle().take(3 * 3000).collect();
    typed.keys(&text).keys(b"\r");
    let parts: Vec<_> = std::iter::from_fn(|| typed.read()).collect();
    assert!(
        parts.len() > 3 && parts.iter().all(|part| part.len() <= LONGEST_LINE && core::str::from_utf8(part).is_ok())
    );
    assert_eq!(parts.concat(), [&text[..], b"\n"].concat());
}

#[test]
fn full_is_said_and_goes_by_reading() {
    for mode in [Mode::RAW, Mode::CANONICAL] {
        let mut typed = Typed::new(mode);
        while !typed.discipline.is_full() {
            typed.keys(b"0123456789abcdef\n");
        }
        while typed.read().is_some() {}
        assert!(!typed.discipline.is_full() && typed.discipline.ready_bytes == 0);
    }
}

#[test]
fn what_a_reader_did_not_get_is_read_again() {
    let mut typed = Typed::new(Mode::CANONICAL);
    typed.keys(b"one\rtwo\r\x04");
    for most in [2, 100] {
        let bytes = typed.discipline.read(most).expect("a line");
        typed.discipline.unread(bytes);
    }
    assert_eq!((typed.read(), typed.read()), (Some(b"one\n".into()), Some(b"two\n".into())));
    let end = typed.read().expect("the end");
    typed.discipline.unread(end);
    assert_eq!((typed.read(), typed.discipline.ready_bytes), (Some(vec![]), 0));
}

/// What the user's keys mean, without bytes: lines, and the one being typed.
fn model(keys: &str) -> (Vec<String>, String) {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for key in keys.chars() {
        match key {
            '\r' | '\n' => lines.push(core::mem::take(&mut line) + "\n"),
            '\x03' => (lines, line) = (Vec::new(), String::new()),
            '\x04' => lines.push(core::mem::take(&mut line)),
            '\x08' | '\x7f' => drop(line.pop()),
            '\x15' => line.clear(),
            '\x17' => {
                let rest = line.trim_end_matches(' ');
                line = rest[..rest.rfind(' ').map_or(0, |at| at + 1)].to_string();
            }
            '\x12' => {}
            other => line.push(other),
        }
    }
    (lines, line)
}

/// A terminal's current row.
#[derive(Default)]
struct Row {
    cells: Vec<char>,
    cursor: usize,
}

impl Row {
    fn show(&mut self, bytes: &[u8]) {
        for character in String::from_utf8_lossy(bytes).chars() {
            match character {
                '\r' => self.cursor = 0,
                '\n' => *self = Row::default(),
                '\x08' => self.cursor = self.cursor.checked_sub(1).expect("within the row"),
                other => {
                    self.cells.resize(self.cells.len().max(self.cursor + 1), ' ');
                    self.cells[self.cursor] = other;
                    self.cursor += 1;
                }
            }
        }
    }

    fn before_cursor(&self) -> String {
        assert!(self.cells[self.cursor..].iter().all(|cell| *cell == ' '));
        self.cells[..self.cursor].iter().collect()
    }
}

fn rendered(line: &str) -> String {
    let one = |character: char| match character {
        '\t' => " ".to_string(),
        '\0'..' ' | '\x7f' => format!("^{}", char::from(character as u8 ^ 0x40)),
        other => other.to_string(),
    };
    line.chars().map(one).collect()
}

const KEYS: &str = "[a-z \t\x01\x1bäé\r\x03\x04\x08\x7f\x15\x17\x12]{0,120}";

proptest! {
    #[test]
    fn lines_are_those_of_the_model(keys in KEYS) {
        let mut typed = Typed::new(Mode::CANONICAL);
        typed.keys(keys.as_bytes());
        let (lines, line) = model(&keys);
        prop_assert_eq!(typed.discipline.line.as_slice(), line.as_bytes());
        let read: Vec<_> = std::iter::from_fn(|| typed.read()).collect();
        prop_assert_eq!(read, lines.into_iter().map(String::into_bytes).collect::<Vec<_>>());
        prop_assert_eq!(typed.discipline.ready_bytes, 0);
    }

    #[test]
    fn the_terminal_shows_the_line(keys in KEYS) {
        let mut typed = Typed::new(Mode::CANONICAL);
        let (mut row, mut before) = (Row::default(), String::new());
        for key in keys.chars() {
            typed.keys(key.to_string().as_bytes());
            row.show(&core::mem::take(&mut typed.echo));
            let shown = row.before_cursor();
            let line = String::from_utf8(typed.discipline.line.clone()).expect("whole characters");
            match key {
                // What these leave on the row stays there.
                '\x03' | '\x04' => before = shown.clone(),
                '\r' | '\x12' => before.clear(),
                _ => {}
            }
            prop_assert_eq!(shown, before.clone() + &rendered(&line));
        }
    }

    #[test]
    fn whatever_is_typed_and_read_is_no_harm(steps in proptest::collection::vec((any::<u8>(), any::<[bool; 5]>(), 0usize..9), 0..400)) {
        let mut typed = Typed::new(Mode::default());
        for (key, [canonical, echo, interrupts, newline_in, newline_out], step) in steps {
            match step {
                0 => typed.mode(Mode { canonical, echo, interrupts, newline_in, newline_out }),
                1 => {
                    let bytes = typed.discipline.read(usize::from(key) + 1);
                    prop_assert!(bytes.is_none_or(|bytes| bytes.len() <= usize::from(key) + 1));
                }
                _ => drop(typed.keys(&[key])),
            }
            let held: usize = typed.discipline.ready.iter().map(Vec::len).sum();
            prop_assert_eq!(held, typed.discipline.ready_bytes);
            prop_assert!(typed.discipline.shown <= typed.discipline.line.len());
        }
    }

    #[test]
    fn raw_bytes_come_out_as_they_went_in(chunks in proptest::collection::vec((any::<Vec<u8>>(), 1usize..50), 0..20)) {
        let mut typed = Typed::new(Mode::RAW);
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        for (chunk, most) in chunks {
            typed.keys(&chunk);
            sent.extend(chunk);
            received.extend(typed.discipline.read(most).unwrap_or_default());
        }
        received.extend(std::iter::from_fn(|| typed.read()).flatten());
        prop_assert_eq!(sent, received);
    }
}
