//! Templates: entries that no process runs from, until a device is found or somebody asks for an instance.

use super::words::{Reason, Words};
use super::{Kind, Manifest, Service};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::protocol::registry::DeviceIds;

/// Longest name of a template: room for `-` and the number of an instance.
pub(super) const LONGEST_NAME: usize = 12;

/// Buses whose devices a `device` line can name. A bus's server is the service of that name.
const BUSES: [&str; 3] = ["pci", "acpi", "virtio"];

/// Devices that a template drives: a line `device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Name of the bus's server.
    pub bus: String,
    /// What fits.
    pub fits: Vec<Fit>,
}

/// What a device has to say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Exactly this product.
    Product {
        /// Who made it.
        vendor: u16,
        /// Which one it is.
        device: u16,
    },
    /// The upper bytes of its class, subclass and interface.
    Class {
        /// Shifted down to those that count.
        value: u32,
        /// How many these are, 1 to 3.
        bytes: u32,
    },
}

impl Fit {
    /// How well a device fits: the more the better; 0 for not at all.
    pub fn degree(self, ids: &DeviceIds) -> u32 {
        match self {
            Fit::Product { vendor, device } if (vendor, device) == (ids.vendor, ids.device) => 4,
            Fit::Class { value, bytes } if ids.class >> (8 * (3 - bytes)) == value => bytes,
            _ => 0,
        }
    }
}

impl Device {
    /// The words of a line `device`.
    pub(super) fn read(words: &mut Words) -> Result<Device, Reason> {
        let bus = words.take("a bus")?;
        if !BUSES.contains(&bus) {
            return Err(format!("`{bus}` is not a bus: {}", BUSES.join(", ")));
        }
        let all = words.rest("what to match: `VENDOR:DEVICE…` or `class CCSSPP`")?;
        let fits = match all.as_slice() {
            [word, classes @ ..] if word == "class" => {
                pieces(classes).map(class).collect::<Result<Vec<Fit>, Reason>>()?
            }
            products => pieces(products).map(product).collect::<Result<Vec<Fit>, Reason>>()?,
        };
        if fits.is_empty() {
            return Err("`class` needs a class".to_owned());
        }
        Ok(Device { bus: bus.to_owned(), fits })
    }
}

/// What stands between blanks and commas.
fn pieces(words: &[String]) -> impl Iterator<Item = &str> {
    words.iter().flat_map(|word| word.split(',')).filter(|piece| !piece.is_empty())
}

fn product(word: &str) -> Result<Fit, Reason> {
    let number = |digits: &str| {
        let is_plain = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| is_plain)
    };
    let both = word.split_once(':').and_then(|(vendor, device)| Some((number(vendor)?, number(device)?)));
    let (vendor, device) = both.ok_or_else(|| format!("`{word}` is not a device such as 1af4:1042"))?;
    Ok(Fit::Product { vendor, device })
}

fn class(word: &str) -> Result<Fit, Reason> {
    let is_plain = [2, 4, 6].contains(&word.len()) && word.bytes().all(|digit| digit.is_ascii_hexdigit());
    let value = u32::from_str_radix(word, 16).ok().filter(|_| is_plain);
    let value = value.ok_or_else(|| format!("`{word}` is not a class such as 0108 or 010802"))?;
    Ok(Fit::Class { value, bytes: word.len() as u32 / 2 })
}

impl Manifest {
    /// The template for a device that a bus's server found: the one that fits best; of several the first.
    pub fn template_for(&self, bus: &str, ids: &DeviceIds) -> Option<usize> {
        let degree = |service: &Service| {
            let fits = service.devices.iter().filter(|device| device.bus == bus).flat_map(|device| &device.fits);
            fits.map(|fit| fit.degree(ids)).max().unwrap_or(0)
        };
        let templates = self.services.iter().enumerate().filter(|(_, service)| service.kind == Kind::Template);
        // Of equals `max_by_key` gives the last.
        let best =
            templates.rev().map(|(index, service)| (index, degree(service))).max_by_key(|(_, degree)| *degree)?;
        (best.1 > 0).then_some(best.0)
    }

    /// The index of a template.
    pub fn find_template(&self, name: &str) -> Option<usize> {
        self.services.iter().position(|service| service.kind == Kind::Template && service.name == name)
    }
}

impl Service {
    /// The entry of an instance of this template.
    pub fn instance(&self, name: &str, parameters: &[(String, String)], bus: Option<&str>) -> Service {
        let mut entry = Service { kind: Kind::Instance { of: self.name.clone() }, ..self.clone() };
        name.clone_into(&mut entry.name);
        // Where one cannot be started the others go on.
        entry.optional = true;
        entry.devices.clear();
        entry.after.extend(bus.filter(|bus| !entry.after.iter().any(|known| known == bus)).map(str::to_owned));
        for (name, value) in parameters {
            match entry.parameters.iter_mut().find(|(known, _)| known == name) {
                Some(parameter) => parameter.1.clone_from(value),
                None => entry.parameters.push((name.clone(), value.clone())),
            }
        }
        let number = name.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix('-'));
        if let (Some(node), Some(number)) = (&mut entry.node, number) {
            node.push_str(number);
        }
        entry
    }
}
