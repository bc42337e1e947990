//! Function-level reset of functions that a test plays: each ends what it was told, forgets its configuration, and may not be looked at for a while.

use super::{SETTLE, Saved, Silent, Way};
use crate::config::{Access, Space, command};
use crate::scan::{Found, Scan, capability};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use libsys::protocol::pci::Address;
use libsys::time::Duration;

/// Where its capability is, and where its BARs are.
const AT: usize = 0x40;
const BARS: [u32; 2] = [0xfebf_0000, 0xc041];
const COMMAND: u16 = command::PORTS | command::MEMORY | command::NO_LINE;

/// A function: the registers, and what becomes of it.
struct Played {
    bytes: Vec<u8>,
    id: u8,
    /// Looks at its status for which transactions are pending.
    pending: u32,
    /// Time that has passed, and when a reset was asked for.
    now: Duration,
    reset: Option<Duration>,
    resets: u32,
    /// Looks that it takes to answer after a reset.
    slow: u32,
}

#[derive(Clone)]
struct Machine(Rc<RefCell<Played>>);

impl Machine {
    /// A function with this capability at [`AT`], which says that it can be reset, and is placed and at work.
    fn new(id: u8, class: u32) -> Machine {
        let mut bytes = vec![0; 256];
        bytes[..4].copy_from_slice(&0x1111_8086_u32.to_le_bytes());
        bytes[6] = 0x10;
        bytes[8..12].copy_from_slice(&(class << 8).to_le_bytes());
        bytes[0x34] = AT as u8;
        bytes[AT] = id;
        match id {
            capability::EXPRESS => {
                bytes[AT + 2] = 2;
                bytes[AT + 7] = 0x10;
            }
            _ => bytes[AT + 3] = 0b11,
        }
        let machine = Machine(Rc::new(RefCell::new(Played {
            bytes,
            id,
            pending: 0,
            now: Duration::ZERO,
            reset: None,
            resets: 0,
            slow: 0,
        })));
        machine.set_up();
        machine
    }

    /// What firmware and bus server have set.
    fn set_up(&self) {
        let mut played = self.0.borrow_mut();
        played.bytes[4..6].copy_from_slice(&COMMAND.to_le_bytes());
        played.bytes[0x0c..0x0e].copy_from_slice(&[16, 64]);
        for (index, bar) in BARS.into_iter().enumerate() {
            played.bytes[0x10 + 4 * index..][..4].copy_from_slice(&bar.to_le_bytes());
        }
        played.bytes[0x3c] = 11;
        if played.id == capability::EXPRESS {
            played.bytes[AT + 8..AT + 10].copy_from_slice(&0x2830_u16.to_le_bytes());
            played.bytes[AT + 0x28..AT + 0x2a].copy_from_slice(&6_u16.to_le_bytes());
        }
    }

    fn space(&self) -> Space {
        Space::new(self.clone())
    }

    fn found(&self) -> Found {
        let known = |_: Address, _: u16, _: u16| Some([0x1_0000, 0x40, 0, 0, 0, 0]);
        Scan::new(&mut self.space(), known).run(0, 0, None).remove(0)
    }

    fn reset(&self, way: Way) -> Result<(), Silent> {
        way.reset(&mut self.space(), self.found().info.address, &mut |time| self.0.borrow_mut().now += time)
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }
}

impl Played {
    fn is_pending(&self) -> bool {
        self.pending > 0
    }

    /// Every access to the function.
    fn touch(&self) {
        let is_settled = self.reset.is_none_or(|reset| self.now >= reset + SETTLE);
        assert!(is_settled, "it was looked at too early");
    }

    fn forget(&mut self) {
        assert!(!self.is_pending(), "reset while transactions are pending");
        assert!(self.bytes[4] & command::BUS_MASTER as u8 == 0, "reset while it masters the bus");
        (self.reset, self.resets) = (Some(self.now), self.resets + 1);
        self.bytes[4..6].fill(0);
        self.bytes[0x0c..0x0e].fill(0);
        self.bytes[0x10..0x28].fill(0);
        self.bytes[0x3c] = 0;
        if self.id == capability::EXPRESS {
            self.bytes[AT + 8..AT + 10].copy_from_slice(&0x2810_u16.to_le_bytes());
            self.bytes[AT + 0x28] = 0;
        }
    }
}

impl Access for Machine {
    fn read(&mut self, address: Address, offset: u16) -> u32 {
        if address.requester() != 8 {
            return u32::MAX;
        }
        let mut played = self.0.borrow_mut();
        played.touch();
        if played.reset.is_some() && played.slow > 0 {
            played.slow -= 1;
            return u32::MAX;
        }
        let at = usize::from(offset);
        let mut word = u32::from_le_bytes(played.bytes[at..at + 4].try_into().unwrap());
        let (status, bit) = if played.id == capability::EXPRESS { (AT + 8, 1 << 21) } else { (AT + 4, 1 << 8) };
        if at == status && played.is_pending() {
            played.pending -= 1;
            word |= bit;
        }
        word
    }

    fn write(&mut self, address: Address, offset: u16, bytes: u8, value: u32) {
        if address.requester() != 8 {
            return;
        }
        let mut played = self.0.borrow_mut();
        played.touch();
        let at = usize::from(offset);
        let decodes = played.bytes[4] & 3 != 0;
        assert!(!(0x10..0x28).contains(&at) || !decodes, "a BAR is changed while it decodes");
        let asks = match played.id {
            capability::EXPRESS => at == AT + 8 && value & 1 << 15 != 0,
            _ => at == AT + 4 && value & 1 != 0,
        };
        if asks {
            return played.forget();
        }
        played.bytes[at..at + usize::from(bytes)].copy_from_slice(&value.to_le_bytes()[..bytes.into()]);
    }

    fn bytes(&self) -> u16 {
        256
    }
}

const WAYS: [(u8, Way); 2] =
    [(capability::EXPRESS, Way::Express(AT as u16)), (capability::ADVANCED_FEATURES, Way::Advanced(AT as u16))];

#[test]
fn a_function_is_reset_and_as_it_was() {
    for (id, way) in WAYS {
        let machine = Machine::new(id, 0x02_0000);
        machine.0.borrow_mut().pending = 3;
        let (before, found) = (machine.bytes(), machine.found());
        assert_eq!(Way::of(&mut machine.space(), &found.info), Some(way));
        let saved = Saved::of(&mut machine.space(), &found.info);
        assert_eq!(machine.reset(way), Ok(()));
        assert_ne!(machine.bytes(), before, "it has forgotten");
        saved.restore(&mut machine.space());
        assert_eq!((machine.bytes(), machine.0.borrow().resets), (before, 1), "{way:?}");
        assert_eq!(machine.found(), found);
        let passed = machine.0.borrow().now;
        assert!((SETTLE..SETTLE * 2).contains(&passed), "{passed:?}");
    }
}

#[test]
fn what_comes_back_late_is_waited_for() {
    for (slow, expected) in [(5, Ok(())), (u32::MAX, Err(Silent))] {
        let machine = Machine::new(capability::EXPRESS, 0x02_0000);
        machine.0.borrow_mut().slow = slow;
        assert_eq!(machine.reset(Way::Express(AT as u16)), expected, "{slow} looks");
        assert!(machine.0.borrow().now <= SETTLE + Duration::from_secs(1));
    }
}

#[test]
fn drivers_that_reset_their_device_themselves_are_not_waited_for() {
    let virtio = Machine::new(capability::EXPRESS, 0x01_0000);
    virtio.0.borrow_mut().bytes[..2].copy_from_slice(&0x1af4_u16.to_le_bytes());
    let nvme = Machine::new(capability::EXPRESS, 0x01_0802);
    for machine in [virtio, nvme] {
        let found = machine.found();
        assert_eq!(Way::of(&mut machine.space(), &found.info), None);
    }
}

#[test]
fn functions_that_cannot_be_reset_are_left_alone() {
    for (id, _) in WAYS {
        let machine = Machine::new(id, 0x02_0000);
        machine.0.borrow_mut().bytes[AT + 3..AT + 8].fill(0);
        let found = machine.found();
        assert_eq!(Way::of(&mut machine.space(), &found.info), None);
    }
    // Advanced Features that cannot say whether something is pending.
    let machine = Machine::new(capability::ADVANCED_FEATURES, 0x02_0000);
    machine.0.borrow_mut().bytes[AT + 3] = 0b10;
    let found = machine.found();
    assert_eq!(Way::of(&mut machine.space(), &found.info), None);
}
