//! `edit`: a full-screen editor. Nothing here makes a system call: keys go in, and what a screen shows comes out.

mod keys;
mod screen;
mod text;

pub use keys::{Decoder, Key};
pub use screen::{Frame, Screen};
pub use text::{Position, Text};

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What is shown while nothing else is to be said.
const HINT: &str = "Ctrl-S save  Ctrl-F find  Ctrl-Q quit";

/// What the editor wants done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing but showing it.
    Show,
    /// The text is to be written to its file: [`Editor::saved`] or [`Editor::say`] follows.
    Save,
    /// It is over.
    Quit,
}

/// An editor with a text.
#[derive(Clone, Debug)]
pub struct Editor {
    name: String,
    text: Text,
    cursor: Position,
    /// The column that Up and Down keep.
    wanted: Option<usize>,
    /// The first line and the first column that are shown.
    top: usize,
    left: usize,
    rows: usize,
    columns: usize,
    changed: bool,
    /// Ctrl-Q was typed, and the text is not saved.
    warned: bool,
    message: String,
    /// What is looked for, while it is typed.
    search: Option<String>,
    last_search: String,
}

impl Editor {
    /// An editor of a file's contents, on a screen of so many columns and rows.
    pub fn new(name: &str, contents: &str, (columns, rows): (usize, usize)) -> Editor {
        Editor {
            name: name.into(),
            text: Text::new(contents),
            cursor: Position::default(),
            wanted: None,
            top: 0,
            left: 0,
            rows: rows.max(2) - 1,
            columns: columns.max(1),
            changed: false,
            warned: false,
            message: HINT.into(),
            search: None,
            last_search: String::new(),
        }
    }

    /// The text, to be saved.
    pub fn contents(&self) -> String {
        self.text.contents()
    }

    /// The text was saved.
    pub fn saved(&mut self) {
        self.changed = false;
        self.message = format!("{}: saved", self.name);
    }

    /// Shows a message until the next key.
    pub fn say(&mut self, message: String) {
        self.message = message;
    }

    /// Takes a key.
    pub fn take(&mut self, key: Key) -> Action {
        self.message = HINT.into();
        let warned = core::mem::take(&mut self.warned);
        if self.search.is_some() {
            self.take_search(key);
            return Action::Show;
        }
        match key {
            Key::Control('S') => return Action::Save,
            Key::Control('Q') if !self.changed || warned => return Action::Quit,
            Key::Control('Q') => {
                self.warned = true;
                self.message = "It is not saved: Ctrl-Q again to quit, Ctrl-S to save".into();
            }
            Key::Control('F') => self.search = Some(String::new()),
            _ => self.edit(key),
        }
        Action::Show
    }

    fn edit(&mut self, key: Key) {
        let wanted = self.wanted.take();
        match key {
            Key::Character(letter) => self.change(|text, cursor| Some(text.insert(cursor, letter))),
            Key::Tab => self.change(|text, cursor| Some(text.insert(cursor, '\t'))),
            Key::Enter => self.change(|text, cursor| Some(text.split(cursor))),
            Key::Backspace => self.change(|text, cursor| {
                let before = text.before(cursor)?;
                text.remove(before);
                Some(before)
            }),
            Key::Delete => self.change(|text, cursor| {
                text.after(cursor)?;
                text.remove(cursor);
                Some(cursor)
            }),
            Key::Left => self.cursor = self.text.before(self.cursor).unwrap_or(self.cursor),
            Key::Right => self.cursor = self.text.after(self.cursor).unwrap_or(self.cursor),
            Key::Home => self.cursor.byte = 0,
            Key::End => self.cursor.byte = self.text.line(self.cursor.line).len(),
            Key::Up => self.go_by(wanted, -1),
            Key::Down => self.go_by(wanted, 1),
            Key::PageUp => self.go_by(wanted, -(self.rows as isize)),
            Key::PageDown => self.go_by(wanted, self.rows as isize),
            Key::Control(_) | Key::Other => {}
        }
    }

    /// Changes the text where the cursor is; the change says where the cursor is then, or that nothing changed.
    fn change(&mut self, change: impl FnOnce(&mut Text, Position) -> Option<Position>) {
        if let Some(cursor) = change(&mut self.text, self.cursor) {
            self.cursor = cursor;
            self.changed = true;
        }
    }

    /// Goes so many lines down, or up, in the column that is wanted.
    fn go_by(&mut self, wanted: Option<usize>, lines: isize) {
        let column = wanted.unwrap_or_else(|| screen::column_of(self.text.line(self.cursor.line), self.cursor.byte));
        let line = self.cursor.line.saturating_add_signed(lines).min(self.text.lines() - 1);
        self.cursor = Position { line, byte: screen::byte_at(self.text.line(line), column) };
        self.wanted = Some(column);
    }

    fn take_search(&mut self, key: Key) {
        let Some(mut search) = self.search.take() else { return };
        match key {
            Key::Character(letter) => search.push(letter),
            Key::Backspace => drop(search.pop()),
            Key::Enter | Key::Control('F') => {
                if !search.is_empty() {
                    self.last_search = search;
                }
                match self.text.find(&self.last_search, self.cursor) {
                    Some(found) => self.cursor = found,
                    None => self.message = format!("`{}` is not there", self.last_search),
                }
                return;
            }
            // Any other key ends it.
            _ => return,
        }
        self.search = Some(search);
    }

    /// What the screen shows now.
    pub fn frame(&mut self) -> Frame {
        let column = screen::column_of(self.text.line(self.cursor.line), self.cursor.byte);
        self.top = self.top.clamp((self.cursor.line + 1).saturating_sub(self.rows), self.cursor.line);
        self.left = self.left.clamp((column + 1).saturating_sub(self.columns), column);
        let shown = self.top..self.text.lines().min(self.top + self.rows);
        let mut rows: Vec<String> =
            shown.map(|line| screen::part(self.text.line(line), self.left, self.columns)).collect();
        rows.resize(self.rows, String::new());
        let Position { line, .. } = self.cursor;
        let status = match &self.search {
            Some(search) => format!("Find: {search}"),
            None => {
                let mark = if self.changed { " (changed)" } else { "" };
                format!("{}{mark}  {}:{}  {}", self.name, line + 1, column + 1, self.message)
            }
        };
        rows.push(screen::part(&status, 0, self.columns));
        Frame { rows, cursor: (line - self.top, column - self.left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(contents: &str, keys: &[u8]) -> (Editor, Vec<Action>) {
        let mut editor = Editor::new("file", contents, (20, 5));
        let mut decoder = Decoder::default();
        let keys: Vec<Key> = keys.iter().filter_map(|byte| decoder.feed(*byte)).collect();
        let actions = keys.into_iter().map(|key| editor.take(key)).collect();
        (editor, actions)
    }

    fn text(contents: &str, keys: &[u8]) -> String {
        typed(contents, keys).0.contents()
    }

    #[test]
    fn text_is_typed_and_taken_away() {
        assert_eq!(text("", b"ab\rc"), "ab\nc");
        assert_eq!(text("a\n", b"x"), "xa\n");
        assert_eq!(text("ab", b"\x1b[C\r"), "a\nb");
        assert_eq!(text("a\nb\n", b"\x1b[B\x7f"), "ab\n");
        assert_eq!(text("a\nb", b"\x1b[F\x1b[3~"), "ab");
        assert_eq!(text("é€", b"\x1b[C\x7f\xc3\xa4"), "ä€");
        assert_eq!(text("a", b"\x7f\x1b[F\x1b[3~\x1b[A\x1b[6~"), "a");
    }

    #[test]
    fn up_and_down_keep_the_column() {
        assert_eq!(text("abc\n\nabc\n", b"\x1b[F\x1b[B\x1b[Bx"), "abc\n\nabcx\n");
        assert_eq!(text("abc\n\nabc\n", b"\x1b[F\x1b[Bx\x1b[By"), "abc\nx\naybc\n");
        assert_eq!(text("1\n2\n3\n4\n5\n6\n", b"\x1b[6~x\x1b[5~y"), "1y\n2\n3\n4\nx5\n6\n");
    }

    #[test]
    fn quitting_warns_of_what_is_not_saved() {
        assert_eq!(typed("a", b"\x11").1, [Action::Quit]);
        assert_eq!(typed("a", b"x\x11\x11").1, [Action::Show, Action::Show, Action::Quit]);
        assert_eq!(typed("a", b"x\x11\x1b[C\x11").1.last(), Some(&Action::Show));
        let (mut editor, actions) = typed("a", b"x\x13");
        assert_eq!(actions, [Action::Show, Action::Save]);
        editor.saved();
        assert_eq!(editor.take(Key::Control('Q')), Action::Quit);
    }

    #[test]
    fn searches_go_on_from_the_cursor_and_around() {
        assert_eq!(text("one two one\none\n", b"\x06one\rX"), "one two Xone\none\n");
        assert_eq!(text("one two one\none\n", b"\x06one\r\x06\r\x06\rX"), "Xone two one\none\n");
        assert!(typed("a", b"\x06zz\r").0.frame().rows[4].contains("`zz`"));
        assert_eq!(text("a b", b"\x06bx\x7f\rX"), "a Xb");
    }

    #[test]
    fn the_screen_follows_the_cursor() {
        let (mut editor, _) = typed(&"0123456789".repeat(5), b"\x1b[F");
        let frame = editor.frame();
        assert_eq!((frame.cursor, frame.rows[0].as_str()), ((0, 19), "1234567890123456789"[..].into()));
        let (mut editor, _) = typed("1\n2\n3\n4\n5\n6\n", b"\x1b[6~");
        assert_eq!((editor.frame().cursor, editor.frame().rows[0].as_str()), ((3, 0), "2"));
        let (mut editor, _) = typed("\tx", b"\x1b[F");
        assert_eq!((editor.frame().cursor, editor.frame().rows[0].as_str()), ((0, 9), "        x"));
    }

    proptest! {
        #[test]
        fn any_keys_are_borne(contents in "[aé\t\n界]{0,30}", keys in proptest::collection::vec(0usize..14, 0..60)) {
            const KEYS: [Key; 14] = [
                Key::Character('x'), Key::Character('界'), Key::Enter, Key::Tab, Key::Backspace, Key::Delete, Key::Left, Key::Right,
                Key::Up, Key::Down, Key::Home, Key::End, Key::PageUp, Key::PageDown,
            ];
            let mut editor = Editor::new("f", &contents, (9, 4));
            prop_assert_eq!(editor.contents(), contents);
            for key in keys {
                editor.take(KEYS[key]);
                let frame = editor.frame();
                prop_assert_eq!(frame.rows.len(), 4);
                prop_assert!(frame.cursor.0 < 3 && frame.cursor.1 < 9);
            }
        }
    }
}
