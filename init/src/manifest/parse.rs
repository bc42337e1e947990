//! From lines to entries. What one line says is read in [`super::entry`].

use super::words::{Reason, Words};
use super::{MOST_SERVICES, ManifestError, Service};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::vec::Vec;

/// The entries of a manifest, each line checked by itself.
pub(super) fn services(text: &[u8]) -> Result<Vec<Service>, ManifestError> {
    let mut services = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        read_line(&mut services, number, line).map_err(|reason| ManifestError { line: number, reason })?;
    }
    if services.is_empty() {
        return Err(ManifestError { line: 1, reason: "there is no service in it".to_owned() });
    }
    Ok(services)
}

fn read_line(services: &mut Vec<Service>, number: usize, line: &[u8]) -> Result<(), Reason> {
    let line = core::str::from_utf8(line).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let Some(mut words) = Words::of(line)? else { return Ok(()) };
    if words.keyword == "service" {
        let name = words.name("a name")?;
        words.end()?;
        if let Some(other) = services.iter().find(|other| other.name == name) {
            return Err(format!("the service {name} is in line {} already", other.line));
        }
        if [super::check::REGISTRY, crate::registry::INIT].contains(&name.as_str()) {
            return Err(format!("the name {name} is init's own"));
        }
        if services.len() == MOST_SERVICES {
            return Err(format!("there are more than {MOST_SERVICES} services"));
        }
        services.push(Service::new(name, number));
        return Ok(());
    }
    match services.last_mut() {
        Some(service) => service.line(words),
        None => Err(format!("`{}` stands before the first `service`", words.keyword)),
    }
}
