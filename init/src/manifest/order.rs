//! In which order services are started: each behind those that it depends on, else as in the text.

use super::{ManifestError, Service};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Unseen,
    /// On the path from the service that is looked at.
    Open,
    Done,
}

/// The indices of the services in order. Error: a circle, at the first service that is in it.
pub(super) fn order(services: &[Service]) -> Result<Vec<usize>, ManifestError> {
    let mut walk =
        Walk { services, marks: alloc::vec![Mark::Unseen; services.len()], path: Vec::new(), order: Vec::new() };
    for index in 0..services.len() {
        walk.visit(index)?;
    }
    Ok(walk.order)
}

struct Walk<'a> {
    services: &'a [Service],
    marks: Vec<Mark>,
    path: Vec<usize>,
    order: Vec<usize>,
}

impl Walk<'_> {
    /// As deep as there are services, of which there are few.
    fn visit(&mut self, index: usize) -> Result<(), ManifestError> {
        match self.marks[index] {
            Mark::Done => return Ok(()),
            Mark::Open => return Err(self.circle(index)),
            Mark::Unseen => {}
        }
        self.marks[index] = Mark::Open;
        self.path.push(index);
        let services = self.services;
        for name in services[index].dependencies() {
            if let Some(below) = services.iter().position(|service| service.name == name) {
                self.visit(below)?;
            }
        }
        self.path.pop();
        self.marks[index] = Mark::Done;
        self.order.push(index);
        Ok(())
    }

    fn circle(&self, index: usize) -> ManifestError {
        let start = self.path.iter().position(|open| *open == index).unwrap_or(0);
        let mut text = String::new();
        for open in &self.path[start..] {
            text.push_str(&self.services[*open].name);
            text.push_str(" -> ");
        }
        text.push_str(&self.services[index].name);
        ManifestError { line: self.services[index].line, reason: format!("services depend on each other: {text}") }
    }
}
