//! The driver over a model of the 16550, whose interrupt line only counts when it rises.

use super::*;
use libsys::env::Startup;
use libsys::fake::{self, PortDevice};
use libsys::message::Stamp;
use libsys::protocol::character::{Character, Control};
use libsys::ring::{self, Consumer, Producer};
use libsys::service::{CONTROL, Context, Server};
use libsys::wire::Shared;
use libsys::{Channel, Header, Memory, Object};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Chip {
    has_fifo: bool,
    fifo_on: bool,
    received: VecDeque<u8>,
    /// What an emulator holds back until something is read and there is room.
    held_back: VecDeque<u8>,
    sending: VecDeque<u8>,
    sent: Vec<u8>,
    overrun: bool,
    enable: u8,
    line_control: u8,
    /// Times that the break state began.
    breaks: usize,
    modem: u8,
    divisor: [u8; 2],
    divisor_writes: usize,
    /// The transmitter has become empty, and nobody has read so.
    is_empty_told: bool,
    line: bool,
    rises: usize,
}

impl Chip {
    fn depth(&self) -> usize {
        if self.fifo_on { 16 } else { 1 }
    }

    fn status(&mut self) -> u8 {
        let ready = if self.received.is_empty() { 0 } else { DATA_READY };
        let overrun = if core::mem::take(&mut self.overrun) { OVERRUN } else { 0 };
        let empty = if self.sending.is_empty() { ROOM | IDLE } else { 0 };
        ready | overrun | empty
    }

    fn identity(&self) -> u8 {
        let fifos = if self.fifo_on { FIFOS_ON } else { 0 };
        let pending = if self.enable & RECEIVE != 0 && !self.received.is_empty() {
            0x04
        } else if self.enable & TRANSMIT != 0 && !self.is_empty_told {
            0x02
        } else {
            NONE_PENDING
        };
        fifos | pending
    }

    fn follow_line(&mut self) {
        let line = self.identity() & NONE_PENDING == 0 && self.modem & 0x08 != 0;
        self.rises += usize::from(line && !self.line);
        self.line = line;
    }
}

#[derive(Default)]
struct Model(Mutex<Chip>);

impl PortDevice for Model {
    fn read(&self, offset: u16, _: u64) -> u32 {
        let mut chip = self.0.lock().expect("sound");
        let has_divisor = chip.line_control & DIVISOR_ACCESS != 0;
        let value = match offset {
            0 | 1 if has_divisor => chip.divisor[usize::from(offset)],
            0 => {
                let byte = chip.received.pop_front();
                assert!(byte.is_some() || chip.enable == 0, "nothing is read that is not there");
                while chip.modem & 0x10 == 0 && chip.received.len() < chip.depth() && !chip.held_back.is_empty() {
                    let next = chip.held_back.pop_front();
                    chip.received.extend(next);
                }
                byte.unwrap_or(0)
            }
            1 => chip.enable,
            2 => {
                let identity = chip.identity();
                chip.is_empty_told |= identity & 0x0f == 0x02;
                identity
            }
            3 => chip.line_control,
            4 => chip.modem,
            5 => chip.status(),
            _ => 0,
        };
        chip.follow_line();
        value.into()
    }

    fn write(&self, offset: u16, _: u64, value: u32) {
        let (mut chip, value) = (self.0.lock().expect("sound"), value as u8);
        match offset {
            0 | 1 if chip.line_control & DIVISOR_ACCESS != 0 => {
                chip.divisor[usize::from(offset)] = value;
                chip.divisor_writes += 1;
            }
            0 => {
                assert!(chip.sending.len() < chip.depth(), "the transmitter has room for what it is given");
                chip.sending.push_back(value);
                chip.is_empty_told = true;
            }
            1 => {
                // Enabled while the transmitter is empty, it says so at once.
                let is_new = value & !chip.enable & TRANSMIT != 0;
                chip.is_empty_told &= !(is_new && chip.sending.is_empty());
                chip.enable = value;
            }
            2 => {
                assert_eq!(value & 0x06, 0, "the FIFOs are not emptied");
                let is_on = chip.has_fifo && value & 1 != 0;
                if is_on != chip.fifo_on {
                    chip.received.clear();
                }
                chip.fifo_on = is_on;
            }
            3 => {
                chip.breaks += usize::from(value & !chip.line_control & BREAK != 0);
                chip.line_control = value;
            }
            4 => chip.modem = value,
            _ => {}
        }
        chip.follow_line();
    }
}

impl Model {
    fn chip<T>(&self, change: impl FnOnce(&mut Chip) -> T) -> T {
        let mut chip = self.0.lock().expect("sound");
        let result = change(&mut chip);
        chip.follow_line();
        result
    }

    /// A byte arrives on the line; whether there was room for it.
    fn arrive(&self, byte: u8) -> bool {
        self.chip(|chip| {
            let fits = chip.received.len() < chip.depth();
            if fits {
                chip.received.push_back(byte);
            } else {
                chip.overrun = true;
            }
            fits
        })
    }

    /// A byte leaves.
    fn leave(&self) {
        self.chip(|chip| {
            let byte = chip.sending.pop_front();
            chip.is_empty_told &= !(byte.is_some() && chip.sending.is_empty());
            chip.sent.extend(byte);
        });
    }
}

/// The driver, as the loop would run it.
struct Machine {
    model: Arc<Model>,
    state: Memory,
    channel: Channel,
    stream: Stream<Uart>,
}

fn start(model: Arc<Model>, parameters: &[(&str, &str)]) -> Result<Machine> {
    start_with(model, Memory::create(&fake::account(), 40 << 10)?, parameters)
}

/// The next incarnation, where the state is that of the one before.
fn start_with(model: Arc<Model>, state: Memory, parameters: &[(&str, &str)]) -> Result<Machine> {
    let channel = fake::channel();
    let (irq, _) = fake::interrupt(&channel, 1)?;
    let own = libsys::sys::handle_duplicate(channel.handle(), libsys::Rights::all(), u64::MAX)?;
    let named = |name: &str, handle: libsys::Handle| (name.to_string(), handle.0);
    let env = Env::new(Startup {
        parameters: parameters.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        handles: vec![
            named("registers", fake::ports(model.clone()).into_handle()),
            named("irq", irq.into_handle()),
            named("channel", own),
            named("account", fake::account().into_handle()),
            named("state", state.duplicate(libsys::Rights::all())?.into_handle()),
        ],
        ..Startup::default()
    });
    Ok(Machine { model, state, channel, stream: Stream::start(&env)? })
}

fn machine() -> Machine {
    let model = Arc::new(Model::default());
    model.chip(|chip| chip.has_fifo = true);
    start(model, &[]).expect("a driver")
}

fn context(badge: u64) -> Context {
    Context::new(badge, Header(0), Stamp::default())
}

impl Machine {
    /// Commits, as the loop does after every event.
    fn settle(&mut self) {
        while let Some(records) = self.stream.records().filter(|records| !records.is_clean()) {
            records.commit();
            self.stream.committed();
        }
    }

    fn signal(&mut self, bits: u64) {
        self.stream.signal(bits);
        self.settle();
    }

    fn write(&mut self, bytes: &[u8]) -> core::result::Result<u32, CharacterError> {
        let written = self.stream.write(&context(1), bytes);
        self.settle();
        written
    }

    fn read_once(&mut self, buffer: &mut [u8]) -> core::result::Result<usize, CharacterError> {
        let read = self.stream.read(&context(1), buffer);
        self.settle();
        read
    }

    fn close(&mut self, badge: u64) {
        self.stream.close(badge, 9, true);
        self.settle();
    }

    /// Dies at this instruction, and is started again.
    fn restart(self) -> Machine {
        // What a process that was killed holds is not closed by it.
        let Machine { model, state, channel, stream } = self;
        core::mem::forget((stream, channel));
        start_with(model, state, &[]).expect("the next incarnation")
    }

    /// Delivers what the line and clients have signalled.
    fn deliver(&mut self) {
        while self.model.chip(|chip| core::mem::take(&mut chip.rises)) > 0 {
            self.signal(1);
        }
        while let Ok(libsys::channel::Event::Signals(bits)) = self.channel.receive(Some(0)) {
            self.signal(bits);
        }
    }

    fn arrive(&mut self, byte: u8) -> bool {
        let fits = self.model.arrive(byte);
        self.deliver();
        fits
    }

    fn send_all(&mut self) -> Vec<u8> {
        for _ in 0..1000 {
            self.model.leave();
            self.deliver();
        }
        self.model.chip(|chip| core::mem::take(&mut chip.sent))
    }

    fn read(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 100];
        while let Ok(count @ 1..) = self.read_once(&mut buffer) {
            all.extend_from_slice(&buffer[..count]);
            self.deliver();
        }
        all
    }
}

/// Rings as the console makes them.
struct Client {
    input: Consumer,
    output: Producer,
    rings: [Shared; 2],
    events: Channel,
}

fn client(capacity: u64) -> Client {
    let memory = [(); 2].map(|()| ring::create(&fake::account(), capacity).expect("memory"));
    let mapped = |index: usize| Arc::new(memory[index].map_writable().expect("mapped"));
    let (input, output) =
        (Consumer::attach(mapped(0), 0).expect("a ring"), Producer::attach(mapped(1), 0).expect("a ring"));
    let rings = memory.map(|memory| Shared::whole(memory, ring::memory_bytes(capacity)));
    Client { input, output, rings, events: fake::channel() }
}

impl Client {
    fn attach(&self, machine: &mut Machine, badge: u64) -> core::result::Result<(Channel, u64), CharacterError> {
        let [input, output] = [0, 1].map(|index| {
            let handle = libsys::sys::handle_duplicate(self.rings[index].memory.handle(), libsys::Rights::all(), 0);
            Shared::whole(Object::from_handle(handle.expect("a handle")), self.rings[index].bytes)
        });
        let events = self.events.signaller(1).expect("a handle");
        let attached = machine.stream.attach(&context(badge), input, output, events, 1);
        machine.settle();
        attached
    }

    fn was_signalled(&self) -> bool {
        self.events.receive(Some(0)).is_ok()
    }

    fn read(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let count = self.input.read(&mut bytes).expect("sound").bytes;
        bytes.truncate(count);
        bytes
    }
}

#[test]
fn bytes_go_both_ways() {
    let mut machine = machine();
    assert!(b"hello".iter().all(|byte| machine.arrive(*byte)));
    assert_eq!(machine.read(), b"hello");
    assert_eq!(machine.read_once(&mut [0; 9]), Err(CharacterError::WouldBlock));
    let text: Vec<u8> = (0..200).collect();
    assert_eq!(machine.write(&text), Ok(200));
    assert_eq!(machine.send_all(), text);
    // Nothing to do, nothing to interrupt for.
    assert_eq!(machine.model.chip(|chip| (chip.enable, chip.line)), (RECEIVE, false));
}

#[test]
fn a_full_ring_leaves_bytes_in_the_device_and_the_device_says_what_it_lost() {
    let (mut machine, mut client) = (machine(), client(64));
    let (wake, bits) = client.attach(&mut machine, CONTROL).expect("attached");
    let fitting = (0..200).take_while(|byte| machine.arrive(*byte)).count();
    // The ring, and the FIFO.
    assert_eq!(fitting, 64 + 16);
    assert_eq!(machine.model.chip(|chip| chip.enable & RECEIVE), 0);
    assert_eq!(client.input.lost(), 0);
    let mut received = Vec::new();
    loop {
        let mut bytes = [0; 10];
        let moved = client.input.read(&mut bytes).expect("sound").signal(&wake, bits);
        received.extend_from_slice(&bytes[..moved.bytes]);
        machine.deliver();
        if moved.bytes == 0 {
            break;
        }
    }
    assert_eq!(received, (0..80).collect::<Vec<u8>>());
    assert_eq!(client.input.lost(), 1);
    assert!(machine.arrive(9));
    assert_eq!(client.read(9), [9]);
}

#[test]
fn a_client_hears_of_input_and_room() {
    let (mut machine, mut client) = (machine(), client(64));
    let (wake, bits) = client.attach(&mut machine, CONTROL).expect("attached");
    assert!(client.was_signalled() && !client.was_signalled());
    machine.arrive(1);
    assert!(client.was_signalled() && !client.was_signalled());
    client.output.write(&[7; 100]).expect("sound").signal(&wake, bits);
    machine.deliver();
    for _ in 0..31 {
        machine.model.leave();
        machine.deliver();
    }
    assert!(!client.was_signalled());
    machine.model.leave();
    machine.deliver();
    assert!(client.was_signalled());
    assert_eq!(machine.send_all(), [7; 64]);
    assert!(client.was_signalled());
}

#[test]
fn what_is_in_rings_outlives_driver_and_client() {
    let (mut first, mut old) = (machine(), client(64));
    first.arrive(b'a');
    old.attach(&mut first, CONTROL).expect("attached");
    first.arrive(b'b');
    old.output.write(&[b'x'; 40]).expect("sound");
    first.signal(libsys::driver::WAKE);
    // The driver dies while the device receives and sends.
    first.model.arrive(b'c');
    let mut second = first.restart();
    assert_eq!(second.model.chip(|chip| chip.divisor_writes), 1, "the line is not set again");
    assert!(old.was_signalled());
    // It goes on with the rings before they are attached again, which changes nothing.
    second.arrive(b'd');
    assert_eq!(old.read(3), b"abc");
    old.attach(&mut second, CONTROL).expect("attached again");
    // Now the client dies, and its next incarnation has new rings.
    let mut new = client(64);
    new.attach(&mut second, CONTROL).expect("attached");
    second.arrive(b'e');
    assert_eq!(new.read(9), b"de");
    new.output.write(b"yy").expect("sound");
    second.signal(libsys::driver::WAKE);
    assert_eq!(second.send_all(), [&[b'x'; 40][..], b"yy"].concat());
}

#[test]
fn what_was_read_and_written_by_calls_outlives_the_driver() {
    let mut machine = machine();
    let mut read = Vec::new();
    for round in 0..40u8 {
        assert!(machine.arrive(2 * round) && machine.arrive(2 * round + 1));
        let mut byte = [0];
        assert_eq!(machine.read_once(&mut byte), Ok(1));
        read.push(byte[0]);
        assert_eq!(machine.write(&[round; 3]), Ok(3));
        // What was asked for and not committed did not happen.
        machine.stream.write(&context(1), b"never").expect("staged");
        machine.stream.read(&context(1), &mut [0; 9]).expect("staged");
        machine = machine.restart();
    }
    read.extend(machine.read());
    assert_eq!(read, (0..80).collect::<Vec<u8>>());
    assert_eq!(machine.send_all(), (0..40).flat_map(|round| [round; 3]).collect::<Vec<u8>>());
}

#[test]
fn rings_change_hands_and_everything_stays_in_order() {
    let mut machine = machine();
    let (mut first, mut second) = (client(64), client(16));
    assert!((0..30).all(|byte| machine.arrive(byte)));
    first.attach(&mut machine, CONTROL | 1).expect("attached");
    assert!((30..50).all(|byte| machine.arrive(byte)));
    machine = machine.restart();
    assert_eq!(first.read(10), (0..10).collect::<Vec<u8>>());
    machine.close(CONTROL | 1);
    // Nobody has it: what is left is read by calls, and by the next client, whose ring is too small for it.
    let mut byte = [0];
    assert_eq!((machine.read_once(&mut byte), byte), (Ok(1), [10]));
    machine = machine.restart();
    let (wake, bits) = second.attach(&mut machine, CONTROL | 2).expect("attached");
    assert!((50..60).all(|byte| machine.arrive(byte)));
    let mut rest = Vec::new();
    for _ in 0..20 {
        let mut bytes = [0; 5];
        let moved = second.input.read(&mut bytes).expect("sound").signal(&wake, bits);
        rest.extend_from_slice(&bytes[..moved.bytes]);
        machine.deliver();
        if moved.wake_peer {
            machine = machine.restart();
        }
    }
    assert_eq!(rest, (11..60).collect::<Vec<u8>>());
}

#[test]
fn line_and_break_outlive_the_driver() {
    let line = Line { baud: 9600, data_bits: 7, stop_bits: 2, parity: Parity::Even };
    let mut machine = machine();
    let key = Stamp { client: 5, lane: 1, sequence: 2, ..Stamp::default() };
    let cx = Context::new(CONTROL, Header::words(0, libsys::wire::Class::Once), key);
    machine.stream.control(&cx, Control::Line(line)).expect("set");
    machine.settle();
    machine = machine.restart();
    assert_eq!(machine.stream.line(&cx), Ok(line));
    assert_eq!(machine.model.chip(|chip| (chip.divisor, chip.line_control)), ([12, 0], 0x1e));
    let before = libsys::time::now();
    machine.stream.control(&cx, Control::Break(30)).expect("held");
    assert!(libsys::time::now() - before >= 30_000_000);
    assert_eq!(machine.model.chip(|chip| (core::mem::take(&mut chip.breaks), chip.line_control)), (1, 0x1e));
    // The same request again is one that was carried out.
    machine = machine.restart();
    machine.stream.control(&cx, Control::Break(30)).expect("known");
    assert_eq!(machine.model.chip(|chip| (chip.breaks, chip.line_control)), (0, 0x1e));
    // A driver that dies in a break leaves one that ends.
    machine.model.chip(|chip| chip.line_control |= BREAK);
    machine = machine.restart();
    assert_eq!(machine.model.chip(|chip| chip.line_control), 0x1e);
}

#[test]
fn rings_are_for_one_session_that_may_control() {
    let (mut machine, one, other) = (machine(), client(64), client(64));
    assert_eq!(one.attach(&mut machine, 1).err(), Some(CharacterError::Denied));
    machine.write(b"before").expect("written");
    one.attach(&mut machine, CONTROL | 1).expect("attached");
    assert_eq!(other.attach(&mut machine, CONTROL | 2).err(), Some(CharacterError::Attached));
    assert_eq!(machine.write(b"a"), Err(CharacterError::Attached));
    assert_eq!(machine.read_once(&mut [0]), Err(CharacterError::Attached));
    machine.close(CONTROL | 1);
    assert_eq!(machine.write(b", after"), Ok(7));
    other.attach(&mut machine, CONTROL | 2).expect("attached");
    assert_eq!(machine.send_all(), b"before, after");
}

#[test]
fn a_client_that_spoils_its_rings_loses_them() {
    let (mut machine, client) = (machine(), client(64));
    client.attach(&mut machine, CONTROL).expect("attached");
    let spoiled = client.rings[0].memory.map_writable().expect("mapped");
    spoiled.word_u64(0).store(1 << 40, core::sync::atomic::Ordering::Relaxed);
    machine.arrive(5);
    assert_eq!(machine.read(), [5]);
    for capacity in [0, 3, 1 << 20, u64::MAX] {
        spoiled.word_u64(16).store(capacity, core::sync::atomic::Ordering::Relaxed);
        assert_eq!(client.attach(&mut machine, CONTROL).err(), Some(CharacterError::OutOfRange));
    }
}

#[test]
fn a_part_without_fifos_works_too() {
    let mut machine = start(Arc::default(), &[("fifo", "16")]).expect("a driver");
    machine.write(b"slow").expect("written");
    assert!(machine.arrive(1) && machine.arrive(2));
    assert_eq!((machine.read(), machine.send_all()), (vec![1, 2], b"slow".to_vec()));
}

#[test]
fn what_was_typed_before_the_driver_is_there() {
    for has_fifo in [true, false] {
        let model = Arc::new(Model::default());
        model.chip(|chip| chip.has_fifo = has_fifo);
        assert!(model.arrive(b'e'));
        model.chip(|chip| chip.held_back.extend(b"cho typed ahead, and more than a FIFO holds"));
        let mut machine = start(model, &[]).expect("a driver");
        machine.deliver();
        assert_eq!(machine.read(), b"echo typed ahead, and more than a FIFO holds");
    }
}

#[test]
fn lines_are_set_by_those_who_may() {
    let line = Line { baud: 9600, data_bits: 7, stop_bits: 2, parity: Parity::Even };
    let mut machine = machine();
    assert_eq!(machine.model.chip(|chip| (chip.divisor, chip.line_control)), ([1, 0], 0x03));
    assert_eq!(machine.stream.control(&context(1), Control::Line(line)), Err(CharacterError::Denied));
    assert_eq!(machine.stream.control(&context(CONTROL), Control::Line(line)), Ok(()));
    assert_eq!(machine.model.chip(|chip| (chip.divisor, chip.line_control)), ([12, 0], 0x1e));
    assert_eq!(machine.stream.line(&context(1)), Ok(line));
    for bad in [
        Line { baud: 0, ..line },
        Line { baud: 100_000, ..line },
        Line { baud: 1, ..line },
        Line { data_bits: 9, ..line },
        Line { stop_bits: 0, ..line },
    ] {
        assert_eq!(machine.stream.control(&context(CONTROL), Control::Line(bad)), Err(CharacterError::OutOfRange));
    }
    assert!(start(Arc::default(), &[("baud", "9600")]).is_ok());
    assert!(start(Arc::default(), &[("baud", "quick")]).is_err());
    assert!(start(Arc::default(), &[("baud", "1000000")]).is_err());
}

#[test]
fn a_port_that_is_not_there_is_told_apart() {
    struct Nothing;
    impl PortDevice for Nothing {
        fn read(&self, _: u16, _: u64) -> u32 {
            0xff
        }
        fn write(&self, _: u16, _: u64, _: u32) {}
    }
    let channel = fake::channel();
    let (irq, _) = fake::interrupt(&channel, 1).expect("an interrupt");
    let handles = vec![
        ("registers".to_string(), fake::ports(Arc::new(Nothing)).into_handle().0),
        ("irq".to_string(), irq.into_handle().0),
    ];
    let env = Env::new(Startup { handles, ..Startup::default() });
    assert!(matches!(Uart::start(&env), Err(StartError::Device(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_byte_is_lost_in_any_order_of_events(steps in proptest::collection::vec((0u8..6, 1usize..40), 1..300)) {
        let (mut machine, mut client) = (machine(), client(32));
        let (wake, bits) = client.attach(&mut machine, CONTROL).expect("attached");
        let (mut arrived, mut read, mut written) = (Vec::new(), Vec::new(), Vec::new());
        for (step, count) in steps {
            match step {
                0 => {
                    let byte = arrived.len() as u8;
                    if machine.model.arrive(byte) {
                        arrived.push(byte);
                    }
                }
                1 => machine.model.leave(),
                2 => {
                    let mut bytes = [0; 40];
                    let moved = client.input.read(&mut bytes[..count]).expect("sound").signal(&wake, bits);
                    read.extend_from_slice(&bytes[..moved.bytes]);
                }
                3 => {
                    let bytes: Vec<u8> = (0..count).map(|index| (written.len() + index) as u8).collect();
                    let moved = client.output.write(&bytes).expect("sound").signal(&wake, bits);
                    written.extend_from_slice(&bytes[..moved.bytes]);
                }
                _ => machine.deliver(),
            }
        }
        machine.deliver();
        loop {
            let bytes = client.read(9);
            if bytes.is_empty() {
                break;
            }
            read.extend(bytes);
            machine.signal(libsys::driver::WAKE);
        }
        for _ in 0..64 {
            machine.model.leave();
            machine.deliver();
        }
        prop_assert_eq!(read, arrived);
        prop_assert_eq!(machine.model.chip(|chip| chip.sent.clone()), written);
    }
}
