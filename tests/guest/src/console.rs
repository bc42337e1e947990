//! Output: to `stdout` where there is one, else to the first serial port.

use crate::system::names;
use alloc::string::String;
use core::fmt::{self, Write};
use libsys::client::{self, CallError};
use libsys::protocol::ConsoleClient;
use libsys::protocol::console::ConsoleError;
use libsys::sync::Mutex;
use libsys::{Ports, env};

/// Bytes of output in one message.
const PIECE: usize = 2048;

enum Output {
    Unknown,
    Nowhere,
    Serial(Ports),
    Console(ConsoleClient),
}

static OUTPUT: Mutex<Output> = Mutex::new(Output::Unknown);

impl Output {
    fn find() -> Output {
        if let Ok(session) = env::take_session(env::names::STDOUT) {
            return Output::Console(client::unchecked(session));
        }
        env::get().take(names::SERIAL).map_or(Output::Nowhere, Output::Serial)
    }

    fn write(&mut self, text: &str) {
        match self {
            Output::Unknown | Output::Nowhere => {}
            Output::Serial(ports) => serial(ports, text),
            Output::Console(console) => {
                let mut bytes = text.as_bytes();
                while !bytes.is_empty() {
                    match console.write(&bytes[..bytes.len().min(PIECE)]) {
                        Ok(count) => bytes = bytes.get(count as usize..).unwrap_or_default(),
                        Err(CallError::Failed(ConsoleError::WouldBlock)) => {
                            let _ = console.flush();
                        }
                        Err(CallError::PeerDied | CallError::Abandoned) => {}
                        Err(_) => return,
                    }
                }
            }
        }
    }
}

/// Writes to a serial port whose FIFO is always empty, as an emulator's is.
pub fn serial(ports: &Ports, text: &str) {
    for byte in text.bytes() {
        if byte == b'\n' {
            let _ = ports.write_u8(0, b'\r');
        }
        let _ = ports.write_u8(0, byte);
    }
}

/// Writes text.
pub fn print(text: fmt::Arguments<'_>) {
    let mut line = String::new();
    let _ = line.write_fmt(text);
    let mut output = OUTPUT.lock();
    if let Output::Unknown = *output {
        *output = Output::find();
    }
    output.write(&line);
}

/// Waits until what was written has left the machine.
pub fn flush() {
    if let Output::Console(console) = &*OUTPUT.lock() {
        // Who is not there has nothing left.
        let _ = console.flush();
    }
}

/// Writes a line.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($text)*))) };
}
