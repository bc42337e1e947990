//! The configuration space of functions that are made up: headers, BARs, bridges, capabilities; and broken ones.

use crate::config::{Access, Space, command, register};
use crate::function::{Function, Kept};
use crate::lines::Line;
use crate::place::{self, Windows};
use crate::scan::{Found, Scan, capability};
use crate::vectors::{self, Interrupts, MsiX};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;
use libsys::channel::Event;
use libsys::interrupt::MsiMessage;
use libsys::protocol::pci::{Address, Bar, BarKind};
use libsys::{Channel, fake};
use proptest::prelude::*;

/// One function's registers, and which of their bits can be written.
#[derive(Clone)]
struct Made {
    bytes: Vec<u8>,
    mask: Vec<u8>,
}

impl Made {
    fn new(vendor: u16, device: u16, class: u32) -> Made {
        let mut made = Made { bytes: vec![0; 4096], mask: vec![0; 4096] };
        made.put(0, u32::from(device) << 16 | u32::from(vendor));
        made.put(8, class << 8 | 3);
        made.mask[4..6].fill(0xff);
        made
    }

    fn put(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn get(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    /// A BAR of a size, with its kind in the low bits.
    fn bar(mut self, index: usize, bytes: u64, low: u32, place: u64) -> Made {
        let at = 0x10 + 4 * index;
        self.put(at, place as u32 | low);
        let mask = !(bytes - 1);
        self.mask[at..at + 4].copy_from_slice(&(mask as u32).to_le_bytes());
        if low & 0b110 == 0b100 {
            self.put(at + 4, (place >> 32) as u32);
            self.mask[at + 4..at + 8].copy_from_slice(&((mask >> 32) as u32).to_le_bytes());
        }
        self
    }

    /// Capabilities at these places, in this order.
    fn capabilities(mut self, all: &[(u8, u8)]) -> Made {
        self.bytes[6] |= 0x10;
        let mut link = 0x34;
        for (id, at) in all {
            self.bytes[link] = *at;
            self.bytes[usize::from(*at)] = *id;
            link = usize::from(*at) + 1;
        }
        self
    }

    fn bridge(mut self, secondary: u8, subordinate: u8) -> Made {
        self.bytes[0x0e] = 1;
        self.bytes[0x19] = secondary;
        self.bytes[0x1a] = subordinate;
        self.mask[0x18..0x1b].fill(0xff);
        self
    }
}

#[derive(Clone, Default)]
struct Machine(Rc<RefCell<BTreeMap<u16, Made>>>);

impl Machine {
    fn with(functions: impl IntoIterator<Item = (u16, Made)>) -> Machine {
        Machine(Rc::new(RefCell::new(functions.into_iter().collect())))
    }

    fn space(&self) -> Space {
        Space::new(self.clone())
    }

    fn scan(&self) -> Vec<Found> {
        Scan::new(&mut self.space(), |_, _, _| None).run(0, 0, None)
    }

    fn get(&self, requester: u16, at: usize) -> u32 {
        self.0.borrow()[&requester].get(at)
    }
}

impl Access for Machine {
    fn read(&mut self, address: Address, offset: u16) -> u32 {
        self.0.borrow().get(&address.requester()).map_or(u32::MAX, |made| made.get(offset.into()))
    }

    fn write(&mut self, address: Address, offset: u16, bytes: u8, value: u32) {
        if let Some(made) = self.0.borrow_mut().get_mut(&address.requester()) {
            let is_bar = (0x10..0x28).contains(&offset) && made.bytes[0x0e] & 0x7f == 0;
            assert!(!is_bar || value != u32::MAX || made.bytes[4] & 3 == 0, "sized while it decodes");
            for (at, byte) in (usize::from(offset)..).zip(&value.to_le_bytes()[..bytes.into()]) {
                made.bytes[at] = made.bytes[at] & !made.mask[at] | byte & made.mask[at];
            }
        }
    }

    fn bytes(&self) -> u16 {
        4096
    }
}

const fn at(bus: u16, device: u16, function: u16) -> u16 {
    bus << 8 | device << 3 | function
}

#[test]
fn functions_are_found_on_all_buses() {
    let mut multi = Made::new(1, 1, 0x020000);
    multi.bytes[0x0e] = 0x80;
    let machine = Machine::with([
        (at(0, 0, 0), Made::new(0x8086, 0x29c0, 0x060000)),
        (at(0, 3, 0), multi),
        (at(0, 3, 5), Made::new(1, 2, 0x020000)),
        // Not looked at: the device says that it has one function.
        (at(0, 4, 0), Made::new(1, 3, 0x010802)),
        (at(0, 4, 1), Made::new(1, 4, 0x010802)),
        (at(0, 5, 0), Made::new(2, 1, 0x060400).bridge(7, 9)),
        (at(7, 0, 0), Made::new(2, 2, 0x060400).bridge(9, 9)),
        (at(9, 1, 0), Made::new(3, 1, 0x010000)),
        // It leads back.
        (at(9, 2, 0), Made::new(3, 2, 0x060400).bridge(7, 9)),
    ]);
    let found = machine.scan();
    let places: Vec<u16> = found.iter().map(|found| found.info.address.requester()).collect();
    let expected = [(0, 0, 0), (0, 3, 0), (0, 3, 5), (0, 4, 0), (0, 5, 0), (7, 0, 0), (9, 1, 0), (9, 2, 0)];
    assert_eq!(places, expected.map(|(bus, device, function)| at(bus, device, function)));
    assert_eq!(found[6].parent.map(Address::requester), Some(at(7, 0, 0)));
    assert_eq!((found[3].info.class, found[3].info.revision), (0x010802, 3));
}

#[test]
fn buses_without_numbers_get_some() {
    let machine = Machine::with([
        (at(0, 1, 0), Made::new(2, 1, 0x060400).bridge(0, 0)),
        (at(0, 2, 0), Made::new(2, 1, 0x060400).bridge(0, 0)),
        (at(1, 0, 0), Made::new(3, 1, 0x010000)),
        (at(2, 0, 0), Made::new(3, 2, 0x010000)),
    ]);
    let found = machine.scan();
    let bridges: Vec<_> = found.iter().filter_map(|found| found.info.bridge).collect();
    assert_eq!((found.len(), bridges), (4, vec![(0, 1, 1), (0, 2, 2)]));
}

#[test]
fn bars_are_measured_and_left_as_they_were() {
    let mut made = Made::new(1, 1, 0x010802)
        .bar(0, 0x4000, 0b0100, 0x1_2000_0000)
        .bar(2, 0x20, 1, 0xc040)
        .bar(3, 0x1000, 0b1000, 0xfebf_e000)
        .bar(4, 1 << 40, 0b1100, 0);
    made.bytes[4] = 7;
    let machine = Machine::with([(at(0, 1, 0), made)]);
    let before = machine.0.borrow()[&at(0, 1, 0)].bytes.clone();
    let found = machine.scan();
    let memory = |wide, prefetchable| BarKind::Memory { wide, prefetchable };
    assert_eq!(
        found[0].info.bars,
        [
            Bar { index: 0, kind: memory(true, false), address: 0x1_2000_0000, bytes: 0x4000 },
            Bar { index: 2, kind: BarKind::Ports, address: 0xc040, bytes: 0x20 },
            Bar { index: 3, kind: memory(false, true), address: 0xfebf_e000, bytes: 0x1000 },
            Bar { index: 4, kind: memory(true, true), address: 0, bytes: 1 << 40 },
        ]
    );
    assert_eq!(machine.0.borrow()[&at(0, 1, 0)].bytes, before);
    // What is known is not measured: a driver may be using it.
    let known = |_: Address, _: u16, _: u16| Some([0x4000, 0, 0x20, 0x1000, 1 << 40, 0]);
    let again = Scan::new(&mut machine.space(), known).run(0, 0, None);
    assert_eq!(again[0].info.bars, found[0].info.bars);
}

#[test]
fn circles_of_capabilities_end() {
    let mut circle = Made::new(1, 1, 0x020000).capabilities(&[(1, 0x40), (5, 0x50), (0x11, 0x60)]);
    circle.bytes[0x61] = 0x50;
    let mut wild = Made::new(1, 1, 0x020000).capabilities(&[(1, 0x40)]);
    wild.bytes[0x41] = 0x10;
    let mut far = Made::new(1, 1, 0x020000).capabilities(&[(capability::EXPRESS, 0x40)]);
    far.put(0x100, 0x1401_0001);
    far.put(0x140, 0x1001_000b);
    let machine = Machine::with([(at(0, 1, 0), circle), (at(0, 2, 0), wild), (at(0, 3, 0), far)]);
    let found = machine.scan();
    assert_eq!(found[0].info.capabilities, [(1, 0x40), (5, 0x50), (0x11, 0x60)]);
    assert_eq!(found[1].info.capabilities, [(1, 0x40)]);
    assert_eq!(found[2].info.extended, [(1, 0x100), (0xb, 0x140)]);
}

#[test]
fn bars_without_places_get_some_within_the_bridge() {
    let mut bridge = Made::new(2, 1, 0x060400).bridge(1, 1);
    bridge.put(0x1c, 0xd1d1);
    bridge.put(0x20, 0xfe10_fe00);
    bridge.put(0x24, 0x0011_0001);
    bridge.put(0x28, 0x40);
    bridge.put(0x2c, 0x40);
    let machine = Machine::with([
        (at(0, 1, 0), bridge),
        (
            at(1, 0, 0),
            Made::new(3, 1, 0x010000).bar(0, 0x1000, 0, 0xfe00_0000).bar(1, 0x1000, 0, 0).bar(2, 0x8000, 0, 0),
        ),
        (at(1, 1, 0), Made::new(3, 1, 0x010000).bar(0, 0x10, 1, 0).bar(2, 0x4000, 0b1100, 0).bar(4, 1 << 30, 0, 0)),
    ]);
    let mut found = machine.scan();
    let mut space = machine.space();
    let windows = Windows::of_bridge(&mut space, found[0].info.address);
    assert_eq!(windows.memory, 0xfe00_0000..0xfe20_0000);
    assert_eq!(windows.ports, 0xd000..0xe000);
    assert_eq!(windows.prefetchable, 0x40_0000_0000..0x40_0020_0000);
    for index in 1..3 {
        place::place(&mut space, &mut found, index, &windows);
    }
    let places: Vec<u64> = found[1..].iter().flat_map(|found| found.info.bars.iter().map(|bar| bar.address)).collect();
    assert_eq!(places, [0xfe00_0000, 0xfe00_1000, 0xfe00_8000, 0xd000, 0x40_0000_0000, 0], "the largest has no room");
    assert_eq!(machine.get(at(1, 1, 0), 0x18) & !0xf, 0);
    assert_eq!(machine.get(at(1, 1, 0), 0x1c), 0x40);
    assert_eq!(machine.get(at(1, 0, 0), 0x14), 0xfe00_1000);
}

#[test]
fn the_pages_of_the_vectors_are_nobodys() {
    let mut made = Made::new(1, 1, 0x010802).bar(0, 0x4000, 0b0100, 0x1_0000).capabilities(&[(0x11, 0x40)]);
    made.bytes[0x42] = 64;
    made.put(0x44, 0x2000);
    let mut wrong = Made::new(1, 1, 0x010802).bar(0, 0x1000, 0, 0x2_0000).capabilities(&[(0x11, 0x40)]);
    wrong.put(0x44, 0xff8);
    let machine = Machine::with([(at(0, 1, 0), made), (at(0, 2, 0), wrong)]);
    let found = machine.scan();
    let mut space = machine.space();
    let msi_x = MsiX::of(&mut space, &found[0].info).expect("a table");
    assert_eq!((msi_x.count, msi_x.bar, msi_x.pages()), (65, 0, 0x2000..0x3000));
    let bar = found[0].info.bars[0];
    assert_eq!(vectors::parts(&bar, Some(&msi_x)), [0..0x2000, 0x3000..0x4000]);
    assert_eq!(vectors::parts(&Bar { bytes: 0x100, ..bar }, None), [0..0x1000, 0x1000..0x1000]);
    assert_eq!(MsiX::of(&mut space, &found[1].info), None, "it reaches beyond its BAR");
}

#[test]
fn one_message_is_set_and_ended() {
    let mut made = Made::new(1, 1, 0x010601).capabilities(&[(5, 0x50)]);
    made.bytes[0x52] = 0x80;
    made.mask[0x52..0x60].fill(0xff);
    let machine = Machine::with([(at(0, 1, 0), made)]);
    let found = machine.scan();
    let mut space = machine.space();
    let message = MsiMessage { address: 0xfee0_1000, data: 0x41 };
    vectors::set_msi(&mut space, &found[0].info, message);
    assert_eq!(machine.get(at(0, 1, 0), 0x54), 0xfee0_1000);
    assert_eq!((machine.get(at(0, 1, 0), 0x5c) & 0xffff, machine.get(at(0, 1, 0), 0x50) >> 16), (0x41, 0x81));
    vectors::end_msi(&mut space, &found[0].info);
    assert_eq!(machine.get(at(0, 1, 0), 0x50) >> 16, 0x80);
    space.change_command(found[0].info.address, command::BUS_MASTER, command::PORTS);
    assert_eq!(space.read16(found[0].info.address, register::COMMAND), command::BUS_MASTER);
}

#[test]
fn the_best_interrupts_can_be_taken_away() {
    let made = || {
        let mut made = Made::new(1, 1, 0x010802).bar(0, 0x4000, 0, 0x1_0000).capabilities(&[(0x11, 0x40), (5, 0x60)]);
        made.put(0x44, 0x2000);
        made
    };
    let machine = Machine::with([(at(0, 1, 0), made())]);
    for (word, msi_x, msi) in [("msi-x", 1, 1), ("msi", 0, 1), ("line", 0, 0)] {
        let mut found = machine.scan().remove(0);
        word.parse::<Interrupts>().expect("a word").limit(&mut found.info);
        assert_eq!((found.info.msi_x, found.info.msi), (msi_x, msi), "{word}");
        let function = Function::new(&mut machine.space(), found, &mut Kept::default());
        assert_eq!((function.msi_x.is_some(), function.has_messages()), (msi_x > 0, word != "line"));
    }
    assert_eq!("MSI".parse::<Interrupts>(), Err(()));
}

#[test]
fn who_share_a_line_are_told_in_turn() {
    let account = fake::account();
    let functions = [(1, 10), (2, 10), (3, 11), (4, 10)].map(|(device, line)| {
        let mut made = Made::new(1, 1, 0x010802);
        (made.bytes[0x3c], made.bytes[0x3d]) = (line, 1);
        (at(0, device, 0), made)
    });
    let machine = Machine::with(functions);
    let mut functions: Vec<Function> = machine
        .scan()
        .into_iter()
        .map(|found| Function::new(&mut machine.space(), found, &mut Kept::default()))
        .collect();
    let channel = Channel::create(&account).expect("a channel");
    let mut line = Line::new(10, fake::interrupt(&channel, 1).expect("an interrupt").0);
    // Nobody is there.
    line.strike(&functions);
    for (place, function) in functions.iter_mut().enumerate().filter(|(place, _)| *place != 3) {
        function.line = Some((channel.signaller(1 << place).expect("a signaller"), 1 << place));
    }
    let mut told = || {
        line.strike(&functions);
        match channel.receive(Some(0)) {
            Ok(Event::Signals(bits)) => bits,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([told(), told(), told(), told()], [0b10, 0b01, 0b10, 0b01]);
}

proptest! {
    #[test]
    fn no_device_does_harm(
        garbage in proptest::collection::vec(any::<u8>(), 256),
        writable in proptest::collection::vec(any::<u8>(), 256),
        places in proptest::collection::vec((0_u16..4, 0_u16..3, 0_u16..2), 1..6),
    ) {
        let functions = places.into_iter().enumerate().map(|(number, (bus, device, function))| {
            let mut made = Made::new(1, 1, 0x060400);
            made.bytes[..256].copy_from_slice(&garbage);
            made.mask[0x10..256].copy_from_slice(&writable[0x10..]);
            made.put(0, 0x1111_1111 + number as u32);
            (at(bus, device, function), made)
        });
        let machine = Machine::with(functions.chain([(0, Made::new(2, 1, 0x060400).bridge(1, 3))]));
        let mut found = machine.scan();
        let mut space = machine.space();
        for index in 0..found.len() {
            let windows = Windows::of_bridge(&mut space, found[index].info.address);
            let _ = MsiX::of(&mut space, &found[index].info);
            place::place(&mut space, &mut found, index, &windows);
        }
        prop_assert!(found.len() <= 8);
    }
}
