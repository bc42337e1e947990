//! `edit`: a full-screen editor on the console.

use alloc::string::String;
use libsys::client::CallError;
use libsys::fs::{self, File, FileError};
use libsys::io::{self, Write};
use libsys::protocol::ConsoleClient;
use libsys::protocol::console::Mode;
use libsys::{ExitStatus, env};
use tools::editor::{Action, Decoder, Editor, Screen};
use tools::{About, Arguments, Failure, Options, Output};

const HELP: &str = "usage: edit FILE
Edits a text: arrows, Home, End, PgUp, PgDn; Ctrl-F finds (without a text, the last one again), Ctrl-S saves, Ctrl-Q quits.
";

/// What a terminal has where nobody knows.
const SIZE: (u16, u16) = (80, 24);

/// Bytes of keys that are taken at once.
const KEYS: u32 = 256;

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("", arguments)?;
        options.expect(1, 1)?;
        let name = options.operands[0];
        let contents = match fs::read_to_string(name) {
            Err(error) if error.file() == Some(FileError::NotFound) => String::new(),
            contents => contents.about(name)?,
        };
        match io::Input::take(env::get(), env::names::STDIN).about("standard input")? {
            io::Input::Console(console) if out.is_console() => edit(out, &console, name, &contents)?,
            _ => return Err(Failure::Error("it takes a console".into())),
        }
        Ok(ExitStatus::SUCCESS)
    })
}

fn edit(out: &mut Output, console: &ConsoleClient, name: &str, contents: &str) -> Result<(), Failure> {
    let before = console.set_mode(Mode::RAW).about("console")?;
    let (columns, rows) = console.size().ok().filter(|size| size.0 > 0 && size.1 > 1).unwrap_or(SIZE);
    let mut editor = Editor::new(name, contents, (columns.into(), rows.into()));
    let result = take_keys(out, console, name, &mut editor);
    let _ = console.set_mode(before);
    out.write_all(b"\x1b[2J\x1b[H")?;
    result
}

fn take_keys(out: &mut Output, console: &ConsoleClient, name: &str, editor: &mut Editor) -> Result<(), Failure> {
    let (mut screen, mut decoder) = (Screen::default(), Decoder::default());
    loop {
        // A console that died meanwhile has forgotten the mode, and may have written something of its own.
        if console.set_mode(Mode::RAW) != Ok(Mode::RAW) {
            screen.forget();
        }
        out.write_all(screen.update(editor.frame()).as_bytes())?;
        out.flush()?;
        let bytes = match console.read(KEYS) {
            Err(CallError::PeerDied | CallError::Abandoned) => continue,
            bytes => bytes.about("console")?,
        };
        if bytes.is_empty() {
            return Err(Failure::Error("the console is gone".into()));
        }
        for key in bytes.into_iter().filter_map(|byte| decoder.feed(byte)) {
            match editor.take(key) {
                Action::Show => {}
                Action::Quit => return Ok(()),
                Action::Save => match save(name, &editor.contents()) {
                    Ok(()) => editor.saved(),
                    Err(error) => editor.say(alloc::format!("{name}: {error}")),
                },
            }
        }
    }
}

fn save(name: &str, contents: &str) -> io::Result<()> {
    let mut file = File::create(name)?;
    file.write_all(contents.as_bytes())?;
    file.sync_all()
}
