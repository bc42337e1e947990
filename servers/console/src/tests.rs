//! The console between a played device and its clients, over the fake kernel.

use super::*;
use libsys::abi::ExitReason;
use libsys::client;
use libsys::driver::{Done, Received, Stream, StreamDevice, StreamRing, WAKE};
use libsys::fake::{self, FakeProcess};
use libsys::protocol::ConsoleClient;
use libsys::service::{self, CONTROL, Serve};
use libsys::{Memory, Object, Rights, Session};
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};

/// A keyboard and a screen.
#[derive(Clone, Default)]
struct Played {
    typed: Arc<Mutex<VecDeque<u8>>>,
    shown: Arc<Mutex<Vec<u8>>>,
    /// The screen shows nothing more.
    stopped: Arc<Mutex<bool>>,
    /// The device never says that it has become idle.
    busy: Arc<Mutex<bool>>,
}

impl StreamDevice for Played {
    fn start(_: &Env) -> Result<Played> {
        unreachable!("the test makes it")
    }

    fn receive(&mut self, input: &StreamRing) -> Done<Received> {
        let (mut done, mut typed) = (Received::default(), self.typed.lock().expect("sound"));
        while let Some(byte) = typed.front().copied().filter(|_| input.room() > 0) {
            input.put(&[byte]);
            typed.pop_front();
            done.bytes += 1;
        }
        Ok(done)
    }

    fn send(&mut self, output: &StreamRing) -> Done<u64> {
        let (mut bytes, mut sent) = ([0; 64], 0);
        while !*self.stopped.lock().expect("sound") {
            match output.take(&mut bytes) {
                0 => break,
                count => self.shown.lock().expect("sound").extend_from_slice(&bytes[..count]),
            }
            sent += 1;
        }
        Ok(sent)
    }

    fn is_idle(&mut self) -> Done<bool> {
        Ok(!*self.busy.lock().expect("sound"))
    }
}

/// A server process, its channel and what it keeps.
#[derive(Clone, Copy)]
struct Served {
    process: FakeProcess,
    channel: Handle,
    state: Handle,
}

impl Served {
    fn new() -> Served {
        let process = FakeProcess::new();
        let state = Memory::create(&fake::account(), 64 << 10).expect("memory");
        Served { process, channel: process.new_channel(), state: process.grant(&state, Rights::all(), true) }
    }

    fn records(self) -> Records {
        let memory = ManuallyDrop::new(Memory::from_handle(self.state));
        let records = Records::of(memory.map_writable().expect("mapped")).expect("room");
        assert!(!records.is_damaged());
        records
    }

    fn channel(self) -> ManuallyDrop<Channel> {
        ManuallyDrop::new(Channel::from_handle(self.channel))
    }

    fn run<S: Serve>(self, start: impl FnOnce(&Channel) -> S + Send + 'static) {
        self.process.spawn(move || service::run(start(&self.channel()), &self.channel()).expect("a channel to serve"));
    }

    fn session(self, badge: u64) -> Session {
        let mint = move || self.channel().mint(badge, &fake::account()).expect("a session").into_handle();
        self.process.take(self.process.run(mint).expect("alive"), Rights::all())
    }
}

struct Desk {
    played: Played,
    device: Served,
    console: Served,
    wake: Channel,
}

fn serve_device(device: Served, played: Played) {
    device.run(move |channel| Stream::new(played, channel, &fake::account(), device.records()).expect("a device"));
}

fn desk() -> Desk {
    let (played, device, console) = (Played::default(), Served::new(), Served::new());
    serve_device(device, played.clone());
    let wake = device.process.take(device.channel, Rights::SIGNAL);
    let session = console.process.grant(&device.session(CONTROL), Rights::all(), true);
    let desk = Desk { played, device, console, wake };
    desk.serve_console(session);
    desk
}

impl Desk {
    fn serve_console(&self, device: Handle) {
        let console = self.console;
        self.console.run(move |channel| {
            // A new incarnation is given the session anew.
            let session = ManuallyDrop::new(Session::from_handle(device)).duplicate(Rights::all()).expect("a handle");
            let client = client::open(session).expect("a device");
            Terminal::new(console.records(), client, &fake::account(), channel, "played".into()).expect("a console")
        });
    }

    fn client(&self, badge: u64) -> ConsoleClient {
        client::open(self.console.session(badge)).expect("a console")
    }

    fn keys(&self, keys: &[u8]) {
        self.played.typed.lock().expect("sound").extend(keys);
        self.wake.signal(WAKE).expect("signalled");
    }

    fn wait_shown(&self, text: &[u8]) {
        for _ in 0..2000 {
            if *self.played.shown.lock().expect("sound") == text {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let shown = self.played.shown.lock().expect("sound").clone();
        panic!("{:?} is shown", String::from_utf8_lossy(&shown));
    }

    fn stop_screen(&self, stopped: bool) {
        *self.played.stopped.lock().expect("sound") = stopped;
        self.wake.signal(WAKE).expect("signalled");
    }
}

#[test]
fn a_line_is_typed_shown_and_read() {
    let desk = desk();
    let shell = desk.client(1);
    assert_eq!(shell.write(b"> "), Ok(2));
    desk.keys(b"ehco\x7f\x7f\x7fcho\r");
    assert_eq!(shell.read(100), Ok(b"echo\n".to_vec()));
    assert_eq!(shell.write(b"a\nb"), Ok(3));
    shell.flush().expect("flushed");
    desk.wait_shown(b"> ehco\x08 \x08\x08 \x08\x08 \x08cho\r\na\r\nb");
}

#[test]
fn a_device_that_never_ends_a_flush_does_not_stop_the_console() {
    let desk = desk();
    let shell = desk.client(1);
    *desk.played.busy.lock().expect("sound") = true;
    assert_eq!(shell.write(b"a"), Ok(1));
    shell.flush().expect("flushed");
    assert_eq!(shell.write(b"b"), Ok(1));
    desk.wait_shown(b"ab");
}

#[test]
fn every_session_has_modes_of_its_own() {
    let desk = desk();
    let (shell, program) = (desk.client(1), desk.client(2));
    assert_eq!(shell.set_mode(Mode::RAW), Ok(Mode::CANONICAL));
    assert_eq!((shell.mode(), program.mode()), (Ok(Mode::RAW), Ok(Mode::CANONICAL)));
    desk.keys(b"\x1b[A");
    let mut keys = Vec::new();
    while keys.len() < 3 {
        keys.extend(shell.read(100).expect("keys"));
    }
    assert_eq!(keys, b"\x1b[A");
    desk.keys(b"li");
    while !desk.played.typed.lock().expect("sound").is_empty() {
        std::thread::yield_now();
    }
    // The program reads a line, of which a part was typed while the shell's modes were on.
    let reading = FakeProcess::current().spawn(move || program.read(100));
    desk.keys(b"ne\r");
    assert_eq!(reading.join().expect("a thread").expect("alive"), Ok(b"line\n".to_vec()));
    desk.wait_shown(b"line\r\n");
    assert_eq!(shell.write(b"a\nb"), Ok(3));
    desk.wait_shown(b"line\r\na\nb");
}

#[test]
fn ctrl_c_reaches_who_asked() {
    let desk = desk();
    let (shell, other) = (desk.client(CONTROL | 1), desk.client(2));
    let events = fake::channel();
    assert!(other.interrupts(&events.signaller(2).expect("a handle"), 2).is_err());
    shell.interrupts(&events.signaller(2).expect("a handle"), 2).expect("asked");
    desk.keys(b"half a line\x03");
    assert_eq!(events.receive(None), Ok(libsys::channel::Event::Signals(2)));
    desk.wait_shown(b"half a line^C");
    // Also behind more than the console takes without a reader.
    desk.keys(&b"nobody reads this\r".repeat(2000));
    desk.keys(b"\x03");
    assert_eq!(events.receive(None), Ok(libsys::channel::Event::Signals(2)));
    assert!(other.read_now(&mut [0; 100]).is_err());
}

#[test]
fn writers_wait_for_room_and_nothing_is_lost() {
    let desk = desk();
    let client = desk.client(1);
    client.set_mode(Mode::RAW).expect("set");
    let events = fake::channel();
    desk.stop_screen(true);
    let text: Vec<u8> = (0..200_000u32).map(|number| number as u8).collect();
    let mut rest = &text[..];
    let mut waits = 0;
    while !rest.is_empty() {
        match client.write(&rest[..rest.len().min(3000)]) {
            Ok(count) => rest = &rest[count as usize..],
            Err(_) => {
                waits += 1;
                client.notify(&events.signaller(1).expect("a handle"), 1).expect("asked");
                desk.stop_screen(false);
                events.receive(None).expect("a signal");
            }
        }
    }
    client.flush().expect("flushed");
    assert!(waits > 0);
    assert!(*desk.played.shown.lock().expect("sound") == text);
}

#[test]
fn more_is_typed_than_fits_and_nothing_is_lost() {
    let desk = desk();
    let client = desk.client(1);
    client.set_mode(Mode::RAW).expect("set");
    let typed: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    desk.keys(&typed);
    let mut read = Vec::new();
    while read.len() < typed.len() {
        read.extend(client.read(5000).expect("bytes"));
    }
    assert!(read == typed);
}

#[test]
fn readers_are_served_in_order_and_forgotten_when_they_go() {
    let desk = desk();
    let gone = FakeProcess::new();
    let client = desk.client(1);
    let (first, second) = (desk.console.session(2), desk.client(3));
    let handle = gone.grant(&first, Rights::all(), false);
    drop(first);
    let waiting = gone.spawn(move || {
        let client: ConsoleClient = client::unchecked(Session::from_handle(handle));
        client.read(100)
    });
    std::thread::sleep(std::time::Duration::from_millis(30));
    let later = FakeProcess::current().spawn(move || second.read(100));
    std::thread::sleep(std::time::Duration::from_millis(30));
    gone.kill(ExitReason::Killed);
    let _ = waiting.join();
    desk.keys(b"for the second\rfor the third\r");
    assert_eq!(later.join().expect("a thread").expect("alive"), Ok(b"for the second\n".to_vec()));
    assert_eq!(client.read(100), Ok(b"for the third\n".to_vec()));
}

#[test]
fn the_console_dies_and_readers_and_keys_stay() {
    let desk = desk();
    let client = desk.client(1);
    let reading = FakeProcess::current().spawn(move || client.read(100));
    std::thread::sleep(std::time::Duration::from_millis(30));
    desk.console.process.kill(ExitReason::Killed);
    desk.keys(b"typed meanwhile\r");
    desk.console.process.restart();
    let session = desk.console.process.grant(&desk.device.session(CONTROL), Rights::all(), true);
    // The same session in a new incarnation has the same badge, which is what counts.
    desk.serve_console(session);
    assert_eq!(reading.join().expect("a thread").expect("alive"), Ok(b"typed meanwhile\n".to_vec()));
}

#[test]
fn what_a_reader_has_not_noted_it_gets_again() {
    let desk = desk();
    let (shell, other) = (desk.client(1), desk.client(2));
    assert_eq!(shell.set_mode(Mode::RAW), Ok(Mode::CANONICAL));
    let get = |noted: u64| {
        let mut buffer = [0; 100];
        loop {
            match shell.read_noted(noted, &mut buffer) {
                Ok(count) => return buffer[..count].to_vec(),
                Err(_) => std::thread::yield_now(),
            }
        }
    };
    desk.keys(b"a");
    assert_eq!(get(0), b"a");
    desk.keys(b"b");
    assert_eq!(get(1), b"b");
    // It died before it had noted the second, and so does the console.
    assert_eq!(get(1), b"b");
    desk.console.process.kill(ExitReason::Killed);
    desk.console.process.restart();
    let session = desk.console.process.grant(&desk.device.session(CONTROL), Rights::all(), true);
    desk.serve_console(session);
    assert_eq!(get(1), b"b");
    // Nobody else gets it, and a reader that is new wants nothing again.
    assert!(other.read_now(&mut [0; 100]).is_err());
    desk.keys(b"c");
    assert_eq!(get(2), b"c");
    assert!(shell.read_noted(0, &mut [0; 100]).is_err() && shell.read_noted(2, &mut [0; 100]).is_err());
}
