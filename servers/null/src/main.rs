//! Devices that are nothing: `null` has no input and swallows output, `zero` has zeros without end, `full` never has room. Serves
//! `character`. Parameter: `device`, which of them it is (`null`); the manifest has a service for each.
#![cfg_attr(target_os = "none", no_std, no_main)]

use core::str::FromStr;
use libsys::driver::{Always, AlwaysReady, Env, Result};
use libsys::protocol::character::CharacterError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    Null,
    Zero,
    Full,
}

impl FromStr for Device {
    type Err = ();

    fn from_str(name: &str) -> core::result::Result<Device, ()> {
        match name {
            "null" => Ok(Device::Null),
            "zero" => Ok(Device::Zero),
            "full" => Ok(Device::Full),
            _ => Err(()),
        }
    }
}

impl AlwaysReady for Device {
    fn start(env: &Env) -> Result<Device> {
        Ok(env.parse("device")?.unwrap_or(Device::Null))
    }

    fn read(&mut self, buffer: &mut [u8]) -> core::result::Result<usize, CharacterError> {
        buffer.fill(0);
        Ok(if *self == Device::Null { 0 } else { buffer.len() })
    }

    fn write(&mut self, bytes: &[u8]) -> core::result::Result<usize, CharacterError> {
        if *self == Device::Full && !bytes.is_empty() { Err(CharacterError::Full) } else { Ok(bytes.len()) }
    }
}

libsys::serve!(Always<Device>);

#[cfg(test)]
mod tests;
