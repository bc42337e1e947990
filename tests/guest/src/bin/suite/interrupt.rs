//! Interrupts: bound to lines and messages, delivered, acknowledged, masked.

use abi::{Rights, Syscall};
use guest::process::PATIENCE;
use guest::raw::refused;
use guest::system::system;
use guest::test::{Failure, Outcome, Test};
use guest::{check, check_eq, tests};
use libsys::channel::Event;
use libsys::interrupt::Trigger;
use libsys::time::deadline_after;
use libsys::{Channel, Error, Interrupt, Object, Ports};

pub const TESTS: &[Test] = tests![
    a_line_strikes,
    a_masked_line_does_not,
    a_line_is_exclusive,
    lines_are_checked,
    messages_have_an_address,
    messages_run_out,
    rights_are_needed,
];

/// The timer of a PC, which microvm has as well: line 0, which firmware may say is another.
const TIMER: (u16, u16) = (0x40, 4);

struct Timer {
    ports: Ports,
    channel: Channel,
    interrupt: Interrupt,
}

fn timer() -> Outcome<Timer> {
    let ports = Ports::create(crate::given(&system().ports)?, TIMER.0, TIMER.1, system().account)?;
    let channel = Channel::create(system().account)?;
    let resource = crate::given(&system().interrupts)?;
    // ISA line 0 is global line 2 on the machines of the tests.
    let interrupt = Interrupt::line(resource, 2, Trigger::Firmware, &channel, 0b10, system().account)?;
    Ok(Timer { ports, channel, interrupt })
}

impl Timer {
    /// Counts down once, from almost nothing.
    fn shoot(&self) -> Outcome {
        self.ports.write_u8(3, 0x30)?;
        self.ports.write_u8(0, 0xff)?;
        self.ports.write_u8(0, 0)?;
        Ok(())
    }
}

fn a_line_strikes() -> Outcome {
    let timer = timer()?;
    // What came before it was bound is dropped.
    timer.shoot()?;
    let _ = timer.channel.receive(Some(deadline_after(PATIENCE)))?;
    timer.interrupt.acknowledge(true)?;
    for _ in 0..5 {
        timer.shoot()?;
        check_eq!(timer.channel.receive(Some(deadline_after(PATIENCE))), Ok(Event::Signals(0b10)));
        timer.interrupt.acknowledge(true)?;
    }
    let inspect = crate::given(&system().inspect)?;
    let record = libsys::inspect::interrupts(inspect).filter_map(Result::ok).find(|record| record.line == 2);
    let record = record.ok_or(Failure::new("no record"))?;
    check!(record.count >= 5 && record.acknowledged >= 5 && record.masked == 0, "{record:?}");
    check_eq!(record.process, libsys::sys::identify().process);
    Ok(())
}

fn a_masked_line_does_not() -> Outcome {
    let timer = timer()?;
    timer.shoot()?;
    timer.channel.receive(Some(deadline_after(PATIENCE)))?;
    timer.interrupt.acknowledge(true)?;
    timer.interrupt.set_masked(true)?;
    timer.shoot()?;
    let soon = deadline_after(core::time::Duration::from_millis(5));
    check_eq!(timer.channel.receive(Some(soon)), Err(Error::TimedOut));
    // An edge on a masked line may have been lost: it counts.
    timer.interrupt.set_masked(false)?;
    check_eq!(timer.channel.receive(Some(deadline_after(PATIENCE))), Ok(Event::Signals(0b10)));
    check_eq!(refused(Syscall::InterruptMask, [timer.interrupt.handle().0, 2]), Some(Error::BadArgument));
    Ok(())
}

fn a_line_is_exclusive() -> Outcome {
    let resource = crate::given(&system().interrupts)?;
    let channel = Channel::create(system().account)?;
    let create = || Interrupt::line(resource, 9, Trigger::Firmware, &channel, 1, system().account);
    let first = create()?;
    check_eq!(create().err(), Some(Error::Busy));
    drop(first);
    check!(create().is_ok());
    Ok(())
}

fn lines_are_checked() -> Outcome {
    let resource = crate::given(&system().interrupts)?;
    let (account, channel) = (system().account.handle().0, Channel::create(system().account)?);
    let create = |line: u64, bits: u64, trigger: u64| {
        refused(Syscall::InterruptCreate, [resource.handle().0, line, channel.handle().0, bits, trigger, account])
    };
    check_eq!(create(5000, 1, 0), Some(Error::BadArgument));
    check_eq!(create(1 << 40, 1, 0), Some(Error::BadArgument));
    check_eq!(create(9, 1, 4), Some(Error::BadArgument));
    let none = refused(Syscall::InterruptCreate, [resource.handle().0, 9, 0, 1, 0, account]);
    check_eq!(none, Some(Error::BadHandle));
    let part = resource.split(9, 1, system().account)?;
    check_eq!(Interrupt::line(&part, 10, Trigger::Firmware, &channel, 1, system().account).err(), Some(Error::Denied));
    check_eq!(Interrupt::message(&part, &channel, 1, system().account).err(), Some(Error::Denied));
    Ok(())
}

fn messages_have_an_address() -> Outcome {
    let resource = crate::given(&system().interrupts)?;
    let channel = Channel::create(system().account)?;
    let (_interrupt, first) = Interrupt::message(resource, &channel, 1, system().account)?;
    let (_other, second) = Interrupt::message(resource, &channel, 2, system().account)?;
    check_eq!(first.address >> 20, 0xfee);
    check!((first.address, first.data) != (second.address, second.data));
    Ok(())
}

fn messages_run_out() -> Outcome {
    let resource = crate::given(&system().interrupts)?;
    let channel = Channel::create(system().account)?;
    let mut all = alloc::vec::Vec::new();
    loop {
        match Interrupt::message(resource, &channel, 1, system().account) {
            Ok(one) => all.push(one),
            Err(error) => {
                check_eq!(error, Error::Unsupported);
                break;
            }
        }
        check!(all.len() <= 256);
    }
    check!(all.len() > 64);
    drop(all);
    check!(Interrupt::message(resource, &channel, 1, system().account).is_ok());
    Ok(())
}

fn rights_are_needed() -> Outcome {
    let resource = crate::given(&system().interrupts)?;
    let channel = Channel::create(system().account)?;
    let create = |resource: &libsys::Resource, channel: &Channel| {
        Interrupt::line(resource, 9, Trigger::Firmware, channel, 1, system().account).err()
    };
    check_eq!(create(&resource.duplicate(Rights::INSPECT)?, &channel), Some(Error::Denied));
    check_eq!(create(resource, &channel.duplicate(Rights::RECEIVE)?), Some(Error::Denied));
    check_eq!(create(resource, &channel.signaller(2)?), Some(Error::Denied));
    let (interrupt, _) = Interrupt::message(resource, &channel, 1, system().account)?;
    let seen = interrupt.duplicate(Rights::INSPECT)?;
    check_eq!(seen.acknowledge(true), Err(Error::Denied));
    check_eq!(seen.set_masked(true), Err(Error::Denied));
    Ok(())
}
