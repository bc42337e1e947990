//! The devices, as their clients meet them.

use super::*;
use libsys::message::Stamp;
use libsys::protocol::character::{Character, Readiness};
use libsys::service::Context;
use libsys::{Header, fake};

fn context() -> Context {
    Context::new(1, Header(0), Stamp::default())
}

#[test]
fn each_is_what_it_is() {
    for (name, read, written) in [("null", 0, Ok(3)), ("zero", 5, Ok(3)), ("full", 5, Err(CharacterError::Full))] {
        let mut device = Always(name.parse::<Device>().expect("a device"));
        let mut buffer = [9; 5];
        assert_eq!(Character::read(&mut device, &context(), &mut buffer), Ok(read));
        assert!(buffer[..read].iter().all(|byte| *byte == 0));
        assert_eq!(Character::write(&mut device, &context(), b"abc"), written);
        assert_eq!(Character::write(&mut device, &context(), b""), Ok(0));
        assert_eq!(device.line(&context()), Err(CharacterError::Unsupported));
        assert_eq!(device.poll(&context()), Readiness { readable: u32::MAX, writable: u32::MAX, hung_up: false });
    }
    assert_eq!("nul".parse::<Device>(), Err(()));
}

#[test]
fn who_waits_for_them_is_told_at_once() {
    let channel = fake::channel();
    let signaller = channel.signaller(4).expect("a handle");
    assert_eq!(Always(Device::Zero).notify(&context(), signaller, 4), Ok(()));
    assert_eq!(channel.receive(Some(0)), Ok(libsys::channel::Event::Signals(4)));
}
