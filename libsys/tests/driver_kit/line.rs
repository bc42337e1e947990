//! A driver with an interrupt and registers in memory: a line whose bytes wake readers.

use crate::Started;
use libsys::client;
use libsys::driver::{Context, Driver, Env, Interrupt, Register, Registers, Result};
use libsys::fake::{self, FakeProcess};
use libsys::protocol::character::{Character, CharacterClient, CharacterError, Control, Line, Readiness};
use libsys::service::{self, Parked, Reply, Subscribers};
use libsys::wire::Shared;
use libsys::{Channel, Handle, Memory, Object, Rights};
use std::thread;
use std::time::Duration;

/// The byte that came last; writing 0 acknowledges it.
const RECEIVED: Register<u32> = Register::at(0x10);

const INTERRUPT: u64 = 1 << 0;

type Answer<T> = std::result::Result<T, CharacterError>;

struct Input {
    registers: Registers,
    interrupt: Interrupt,
    bytes: Vec<u8>,
    readers: Parked<Answer<Vec<u8>>, u32>,
    subscribers: Subscribers,
}

impl Driver for Input {
    fn start(env: &Env) -> Result<Self> {
        let registers = env.registers("bar0", 0x20)?;
        let interrupt = env.interrupt("irq", INTERRUPT)?;
        Ok(Input { registers, interrupt, bytes: Vec::new(), readers: Parked::new(), subscribers: Subscribers::new() })
    }

    fn signal(&mut self, bits: u64) {
        if bits & INTERRUPT == 0 {
            return;
        }
        let byte = self.registers.read(RECEIVED);
        if byte != 0 {
            self.bytes.push(byte as u8);
            self.registers.write(RECEIVED, 0);
            self.serve_readers();
        }
        // Fails only where the interrupt is gone, and then none comes.
        let _ = self.interrupt.acknowledge(byte != 0);
    }

    fn close(&mut self, badge: u64, _: u64, last: bool) {
        self.subscribers.close(badge, last);
    }

    fn withdrawn(&mut self, call: Handle) {
        self.readers.withdraw(call);
    }
}

impl Input {
    fn serve_readers(&mut self) {
        while !self.bytes.is_empty()
            && let Some((call, most)) = self.readers.pop()
        {
            let rest = self.bytes.split_off(self.bytes.len().min(most as usize));
            // A reader that is gone loses what it had asked for.
            let _ = call.reply(Ok(std::mem::replace(&mut self.bytes, rest)));
        }
        if !self.bytes.is_empty() {
            self.subscribers.notify();
        }
    }
}

impl Character for Input {
    fn read(&mut self, _: &Context, buffer: &mut [u8]) -> Answer<usize> {
        if self.bytes.is_empty() {
            return Err(CharacterError::WouldBlock);
        }
        let count = self.bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes.drain(..count);
        Ok(count)
    }

    fn read_wait(&mut self, _: &Context, most: u32, reply: Reply<'_, Answer<Vec<u8>>>) {
        // Where the call cannot be kept it is let go, and its caller learns that.
        let _ = self.readers.park(reply, most);
        self.serve_readers();
    }

    fn write(&mut self, _: &Context, _: &[u8]) -> Answer<u32> {
        Err(CharacterError::Unsupported)
    }

    fn flush(&mut self, _: &Context, reply: Reply<'_, Answer<()>>) {
        reply.send(Ok(()));
    }

    fn poll(&mut self, _: &Context) -> Readiness {
        Readiness { readable: self.bytes.len() as u32, writable: 0, hung_up: false }
    }

    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64) -> Answer<()> {
        self.subscribers.subscribe(cx, channel, bits);
        if !self.bytes.is_empty() {
            self.subscribers.notify_one(cx.badge());
        }
        Ok(())
    }

    fn attach(&mut self, _: &Context, _: Shared, _: Shared, _: Channel, _: u64) -> Answer<(Channel, u64)> {
        Err(CharacterError::Unsupported)
    }

    fn control(&mut self, _: &Context, _: Control) -> Answer<()> {
        Err(CharacterError::Unsupported)
    }

    fn line(&mut self, _: &Context) -> Answer<Line> {
        Err(CharacterError::Unsupported)
    }
}

libsys::serves!(Input: Character);

#[test]
fn an_interrupt_wakes_a_parked_reader() {
    let process = FakeProcess::new();
    let channel = process.new_channel();
    let device = Memory::create(&fake::account(), 4096).expect("memory");
    let registers = process.grant(&device, Rights::all(), true);
    let (interrupt, line) = process
        .run(|| {
            let channel = core::mem::ManuallyDrop::new(Channel::from_handle(channel));
            let (interrupt, line) = fake::interrupt(&channel, INTERRUPT).expect("an interrupt");
            (interrupt.into_handle(), line)
        })
        .expect("alive");
    let started = Started::with(&[("bar0", registers), ("irq", interrupt)], &[], process, channel);
    process.spawn(service::main::<Input>);
    let input: CharacterClient = client::open(started.session(1)).expect("all methods");
    let other: CharacterClient = client::open(started.session(2)).expect("all methods");
    assert_eq!(input.read(&mut [0; 4]), Err(client::CallError::Failed(CharacterError::WouldBlock)));

    let reader = FakeProcess::current().spawn(move || other.read_wait(10));
    thread::sleep(Duration::from_millis(20));
    Registers::of(&device).expect("a mapping").write(RECEIVED, b'x'.into());
    line.strike();
    assert_eq!(reader.join().expect("joined").expect("alive"), Ok(vec![b'x']));
    assert_eq!(input.poll(), Ok(Readiness::default()));
}
