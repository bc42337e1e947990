//! Interrupts: lines of an I/O APIC and messages, from strike to acknowledge.

use super::caller::Caller;
use crate::arch::interrupts::DEVICE_VECTORS;
use crate::arch::ioapic;
use crate::arch::madt::Madt;
use crate::arch::processor::{ended_interrupts, io_apic_line, set_time};
use crate::object::interrupt::{IN_VAIN, SOON, STORM, deliver, mask_all_of};
use crate::object::{Channel, Interrupt, Object, Ref};
use crate::syscall::device;
use abi::boot::ResourceKind;
use abi::inspect::InterruptRecord;
use abi::ports::{MSI, Trigger};
use abi::{Error, Handle, Rights};

const MASKED: u32 = 1 << 16;

struct Setup {
    channel: Ref<Channel>,
    caller: Caller,
    resource: u64,
    to: u64,
}

fn setup() -> Setup {
    ioapic::set_wiring(Madt::absent());
    ioapic::mask_all();
    let caller = Caller::new();
    let channel = caller.channel();
    let (resource, to) = (caller.resource(ResourceKind::Interrupts), caller.give(channel.clone()));
    Setup { channel, caller, resource, to }
}

impl Setup {
    fn create(&self, line: u64, trigger: Trigger, bits: u64) -> Result<[u64; 5], Error> {
        let arguments = [self.resource, line, self.to, bits, trigger as u64, self.caller.account];
        self.caller.call(device::create_interrupt, &arguments)
    }

    fn object(&self, handle: u64) -> &Object<Interrupt> {
        let kernel = self.caller.kernel();
        self.caller.process.get(kernel).handles.get(kernel, Handle(handle), Rights::empty()).unwrap()
    }

    fn record(&self, handle: u64) -> InterruptRecord {
        self.object(handle).record(self.caller.kernel())
    }

    /// Strikes; gives the signals of the channel.
    fn strike(&self, handle: u64) -> u64 {
        let (kernel, before) = (self.caller.kernel(), ended_interrupts());
        deliver(kernel, self.record(handle).vector as u8);
        assert_eq!(ended_interrupts(), before + 1);
        self.channel.signals.take()
    }

    fn acknowledge(&self, handle: u64) {
        self.acknowledge_after(handle, false);
    }

    fn acknowledge_after(&self, handle: u64, was_served: bool) {
        self.caller.one(device::acknowledge_interrupt, &[handle, was_served.into()]).unwrap();
    }

    fn mask(&self, handle: u64, masked: u64) {
        self.caller.one(device::mask_interrupt, &[handle, masked]).unwrap();
    }
}

fn is_masked(line: usize) -> bool {
    io_apic_line(line) & MASKED != 0
}

#[test]
fn a_level_line_is_masked_until_acknowledged() {
    let setup = setup();
    let line = setup.create(11, Trigger::LevelLow, 4).unwrap()[0];
    assert_eq!(io_apic_line(11) & 0x1_a0ff, 0xa000 | setup.record(line).vector as u32);
    set_time(1000);
    assert_eq!(setup.strike(line), 4);
    assert!(is_masked(11));
    set_time(1700);
    setup.acknowledge(line);
    assert!(!is_masked(11));
    set_time(2000);
    setup.strike(line);
    set_time(2100);
    setup.acknowledge(line);
    setup.acknowledge(line);
    let record = setup.record(line);
    assert_eq!((record.count, record.longest_latency, record.total_latency, record.acknowledged), (2, 700, 800, 2));
}

#[test]
fn an_edge_is_not_masked_and_not_lost() {
    let setup = setup();
    let line = setup.create(4, Trigger::EdgeHigh, 1).unwrap()[0];
    assert_eq!((setup.strike(line), setup.strike(line), is_masked(4)), (1, 1, false));
    setup.mask(line, 1);
    assert!(is_masked(4));
    assert_eq!(setup.strike(line), 0, "it was on its way");
    setup.acknowledge(line);
    assert!(is_masked(4), "an acknowledge does not undo what the driver asked for");
    assert_eq!(setup.channel.signals.get(), 0);
    setup.mask(line, 0);
    assert_eq!((setup.channel.signals.take(), is_masked(4)), (1, false));
}

#[test]
fn a_storm_is_masked_until_acknowledged() {
    let setup = setup();
    for (line, name) in [(4, "edge"), (MSI, "message")] {
        let handle = setup.create(line, Trigger::EdgeHigh, 2).unwrap()[0];
        (0..STORM).for_each(|_| assert_eq!(setup.strike(handle), 2));
        assert_eq!(setup.record(handle).masked, 1, "{name}");
        assert_eq!(setup.strike(handle), 0);
        setup.acknowledge(handle);
        assert_eq!((setup.record(handle).masked, setup.channel.signals.take()), (0, 2));
        assert_eq!(setup.strike(handle), 2);
    }
    assert!(!is_masked(4));
}

#[test]
fn a_level_line_that_strikes_for_nothing_is_masked_and_one_of_busy_devices_is_not() {
    let mut setup = setup();
    let mut now = 0;
    // Of strikes at once, how many served a device, of ten; and the time to the next.
    for (served, pause, is_storm) in [(0, 1, true), (0, SOON, false), (10, 1, false), (5, 1, false), (1, 1, false)] {
        let line = setup.create(11, Trigger::LevelLow, 1).unwrap()[0];
        let mut strikes = 0;
        while strikes < 3 * IN_VAIN && setup.record(line).masked == 0 {
            now += pause;
            set_time(now);
            assert_eq!(setup.strike(line), 1);
            setup.acknowledge_after(line, strikes % 10 < served);
            strikes += 1;
        }
        // The first strike follows no acknowledge.
        assert_eq!((setup.record(line).masked, is_masked(11)), (is_storm.into(), is_storm), "{served} {pause}");
        assert!(strikes > IN_VAIN, "{strikes}");
        setup.mask(line, 0);
        assert!(!is_masked(11), "the driver lets it in again");
        assert_eq!(setup.strike(line), 1);
        setup.caller.close(line);
    }
}

#[test]
fn interrupts_of_the_dead_wait_for_the_next_incarnation() {
    let setup = setup();
    let level = setup.create(11, Trigger::LevelLow, 1).unwrap()[0];
    let edge = setup.create(4, Trigger::EdgeHigh, 2).unwrap()[0];
    let message = setup.create(MSI, Trigger::Firmware, 4).unwrap()[0];
    let masked = setup.create(5, Trigger::EdgeHigh, 8).unwrap()[0];
    setup.mask(masked, 1);
    setup.strike(level);
    let kernel = setup.caller.kernel();
    let (other, _) = setup.caller.another();
    mask_all_of(kernel, other.get(kernel));
    assert_eq!(setup.record(edge).masked, 0, "those of others go on");
    mask_all_of(kernel, setup.caller.process.get(kernel));
    assert!(is_masked(11) && is_masked(4) && is_masked(5));
    assert_eq!(setup.strike(message), 0);
    for (handle, bits) in [(level, 0), (edge, 2), (message, 4), (masked, 8)] {
        setup.acknowledge(handle);
        assert_eq!((setup.channel.signals.take(), setup.record(handle).masked), (bits, 0));
    }
    assert!(!is_masked(11) && !is_masked(4) && !is_masked(5));
    assert_eq!(setup.record(level).acknowledged, 0, "the dead have no latency");
}

#[test]
fn messages_have_vectors_until_there_are_none() {
    let mut setup = setup();
    let mut all = Vec::new();
    let error = loop {
        match setup.create(MSI, Trigger::Firmware, 1) {
            Ok([handle, address, data, ..]) => {
                assert_eq!(address & !0xff000, 0xfee0_0000);
                all.push((handle, data));
            }
            Err(error) => break error,
        }
    };
    assert_eq!((error, all.len()), (Error::Unsupported, DEVICE_VECTORS.len()));
    assert!(all.iter().enumerate().all(|(n, (_, data))| *data == DEVICE_VECTORS.start as u64 + n as u64));
    let listed = setup.caller.kernel().vectors.from(setup.caller.kernel(), 0x70).count();
    assert_eq!(listed, (DEVICE_VECTORS.end - 0x70) as usize);
    setup.caller.close(all[77].0);
    let before = ended_interrupts();
    let kernel = setup.caller.kernel();
    deliver(kernel, all[77].1 as u8);
    assert_eq!((ended_interrupts(), setup.channel.signals.take()), (before + 1, 0), "a late one is nobody's");
    assert_eq!(setup.create(MSI, Trigger::Firmware, 1).unwrap()[2], all[77].1);
}

#[test]
fn lines_are_exclusive_and_checked() {
    let mut setup = setup();
    let line = setup.create(9, Trigger::LevelHigh, 1).unwrap()[0];
    assert_eq!(setup.create(9, Trigger::EdgeHigh, 1), Err(Error::Busy));
    assert_eq!(setup.create(24, Trigger::EdgeHigh, 1), Err(Error::BadArgument));
    assert_eq!(setup.create(1 << 32, Trigger::EdgeHigh, 1), Err(Error::BadArgument));
    let few = setup.caller.one(device::split_resource, &[setup.resource, 3, 2, setup.caller.account]).unwrap();
    let last = setup
        .caller
        .one(device::split_resource, &[setup.resource, 1 << 32, u64::MAX - (1 << 32), setup.caller.account])
        .unwrap();
    let whole = std::mem::replace(&mut setup.resource, few);
    assert!(setup.create(3, Trigger::Firmware, 1).is_ok());
    assert_eq!(setup.create(5, Trigger::Firmware, 1), Err(Error::Denied));
    assert_eq!(setup.create(MSI, Trigger::Firmware, 1), Err(Error::Denied), "a line's right is no right to messages");
    setup.resource = last;
    assert!(setup.create(MSI, Trigger::Firmware, 1).is_ok());
    assert_eq!(setup.create(5, Trigger::Firmware, 1), Err(Error::Denied));
    setup.resource = whole;
    setup.caller.close(line);
    assert!(is_masked(9));
    assert!(setup.create(9, Trigger::EdgeHigh, 1).is_ok());
}
