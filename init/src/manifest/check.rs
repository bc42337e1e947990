//! What no line shows by itself: names that clash, services that are not there.

use super::template::LONGEST_NAME;
use super::{Granted, Kind, ManifestError, Reach, Service};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::env::names;

/// The name of the session to init, which is no service.
pub(super) const REGISTRY: &str = names::REGISTRY;

/// The name of an instance's session to what it was made for.
pub(crate) const DEVICE: &str = "device";

/// Names in the environment that init gives itself.
const RESERVED: [&str; 5] = [names::ACCOUNT, names::PROCESS, names::CHANNEL, names::REGISTRY, names::LOG];

/// Checks entries against each other.
pub(super) fn check(services: &[Service]) -> Result<(), ManifestError> {
    for service in services {
        let wrong = |reason: String| Err(ManifestError { line: service.line, reason });
        if let Some(twice) = clash(service) {
            return wrong(format!("{} has two handles with the name {twice}", service.name));
        }
        if service.kind == Kind::Template {
            check_template(service).map_err(|reason| ManifestError { line: service.line, reason })?;
        }
        let is_template = |name: &str| services.iter().any(|other| other.kind == Kind::Template && other.name == name);
        if let Some(wrong_name) = service.instances.iter().find(|name| !is_template(name)) {
            return wrong(format!("{} makes instances of {wrong_name}, which is no template", service.name));
        }
        if let Some(grant) = service.sessions.iter().find(|grant| is_template(&grant.service)) {
            return wrong(format!("{} wants a session to {}, which is a template", service.name, grant.service));
        }
        let is_on_demand = |name: &str| services.iter().any(|other| other.on_demand && other.name == name);
        if let Some(grant) = service.sessions.iter().find(|grant| is_on_demand(&grant.service)) {
            return wrong(format!("{} wants a session to {}, which starts on demand", service.name, grant.service));
        }
        let named = match &service.connect {
            Reach::Any => &[],
            Reach::Named(names) => names.as_slice(),
        };
        let is_service = |name: &str| services.iter().any(|other| other.name == name);
        let mut wanted = service.dependencies().chain(named.iter().map(String::as_str));
        if let Some(missing) = wanted.find(|name| !is_service(name)) {
            return wrong(format!("{} wants the service {missing}, which is not there", service.name));
        }
    }
    let collectors: Vec<&Service> = services.iter().filter(|service| service.collects_logs).collect();
    if let [first, second, ..] = collectors[..] {
        let reason = format!("{} collects logs already", first.name);
        return Err(ManifestError { line: second.line, reason });
    }
    overlap(services)
}

/// A name that two handles of a service have.
fn clash(service: &Service) -> Option<&str> {
    let grants = service.grants.iter().map(|grant| grant.name.as_str());
    let sessions = service.sessions.iter().flat_map(|session| session.names.iter().map(String::as_str));
    let mut seen: Vec<&str> = RESERVED.to_vec();
    seen.extend((service.kind == Kind::Template).then_some(DEVICE));
    for name in grants.chain(sessions) {
        if seen.contains(&name) {
            return Some(name);
        }
        seen.push(name);
    }
    None
}

/// What a template cannot have, as there may be several instances.
fn check_template(template: &Service) -> Result<(), String> {
    let name = &template.name;
    if name.len() > LONGEST_NAME {
        return Err(format!("{name} is a template: its name may have {LONGEST_NAME} characters"));
    }
    let is_single =
        |what: &Granted| matches!(what, Granted::Ports { .. } | Granted::Interrupt { .. } | Granted::Memory { .. });
    if let Some(grant) = template.grants.iter().find(|grant| is_single(&grant.what)) {
        return Err(format!("{name} is a template: its instances cannot all have {}", grant.name));
    }
    if template.on_demand {
        return Err(format!("{name} is a template: its instances start when they are made, not on demand"));
    }
    if template.bus || template.collects_logs {
        return Err(format!("{name} is a template: it can neither be a bus's server nor collect logs"));
    }
    Ok(())
}

/// Ports belong to one service.
fn overlap(services: &[Service]) -> Result<(), ManifestError> {
    let mut taken: Vec<(u32, u32, &str)> = Vec::new();
    for service in services {
        for grant in &service.grants {
            let Granted::Ports { first, count } = grant.what else { continue };
            let (start, end) = (u32::from(first), u32::from(first) + u32::from(count));
            if let Some((_, _, other)) = taken.iter().find(|(from, to, _)| start < *to && *from < end) {
                let reason = format!("{} and {other} have the same ports", service.name);
                return Err(ManifestError { line: service.line, reason });
            }
            taken.push((start, end, &service.name));
        }
    }
    Ok(())
}
