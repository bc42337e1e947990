//! The state of the system, record by record: what `ps`, `handles` and `/sys` show. Needs a Resource of inspection (`INSPECT`).

use crate::message::Record;
use crate::{Error, Object, Resource, sys};
use abi::PAYLOAD_BYTES;
use abi::inspect::Subject;
use alloc::vec::Vec;

pub use abi::inspect::{
    CallRecord, CallState, ChannelRecord, CpuRecord, HandleRecord, InterruptRecord, MappingRecord, ProcessRecord,
    RangeRecord, SystemRecord, ThreadRecord, ThreadState,
};

/// Records of one kind, read as they are asked for. What changes meanwhile may be missed or seen twice.
#[derive(Debug)]
pub struct Records<'a, R> {
    resource: &'a Resource,
    subject: Subject,
    argument: u64,
    /// Where the kernel goes on; 0 at first.
    cursor: u64,
    part: Vec<R>,
    next: usize,
    is_last: bool,
}

impl<R: Record> Iterator for Records<'_, R> {
    type Item = Result<R, Error>;

    fn next(&mut self) -> Option<Result<R, Error>> {
        while self.next == self.part.len() {
            if self.is_last {
                return None;
            }
            if let Err(error) = self.read() {
                self.is_last = true;
                return Some(Err(error));
            }
        }
        self.next += 1;
        Some(Ok(self.part[self.next - 1]))
    }
}

impl<R: Record> Records<'_, R> {
    fn read(&mut self) -> Result<(), Error> {
        self.part.clear();
        self.next = 0;
        self.part.resize(PAYLOAD_BYTES / size_of::<R>(), R::default());
        let read =
            sys::system_inspect(self.resource.handle(), self.subject, self.cursor, self.argument, &mut self.part);
        let (count, cursor) = read.inspect_err(|_| self.part.clear())?;
        self.part.truncate(count);
        self.is_last = cursor == 0;
        self.cursor = cursor;
        Ok(())
    }
}

fn records<R: Record>(resource: &Resource, subject: Subject, argument: u64) -> Records<'_, R> {
    Records { resource, subject, argument, cursor: 0, part: Vec::new(), next: 0, is_last: false }
}

/// Memory and object counts.
pub fn system(resource: &Resource) -> Result<SystemRecord, Error> {
    records(resource, Subject::System, 0).next().unwrap_or(Err(Error::Unsupported))
}

/// CPUs.
pub fn cpus(resource: &Resource) -> Records<'_, CpuRecord> {
    records(resource, Subject::Cpus, 0)
}

/// Processes.
pub fn processes(resource: &Resource) -> Records<'_, ProcessRecord> {
    records(resource, Subject::Processes, 0)
}

/// Threads of the process with a number, or of all.
pub fn threads(resource: &Resource, process: Option<u64>) -> Records<'_, ThreadRecord> {
    records(resource, Subject::Threads, process.unwrap_or(0))
}

/// Mappings of the process with a number.
pub fn mappings(resource: &Resource, process: u64) -> Records<'_, MappingRecord> {
    records(resource, Subject::Mappings, process)
}

/// Handles of the process with a number.
pub fn handles(resource: &Resource, process: u64) -> Records<'_, HandleRecord> {
    records(resource, Subject::Handles, process)
}

/// Channels.
pub fn channels(resource: &Resource) -> Records<'_, ChannelRecord> {
    records(resource, Subject::Channels, 0)
}

/// Calls that wait for an answer.
pub fn calls(resource: &Resource) -> Records<'_, CallRecord> {
    records(resource, Subject::Calls, 0)
}

/// Interrupts.
pub fn interrupts(resource: &Resource) -> Records<'_, InterruptRecord> {
    records(resource, Subject::Interrupts, 0)
}

/// Ranges of ports and of device memory in use.
pub fn ranges(resource: &Resource) -> Records<'_, RangeRecord> {
    records(resource, Subject::Ranges, 0)
}

/// A process's name.
pub fn name(record: &ProcessRecord) -> &str {
    let end = record.name.iter().position(|byte| *byte == 0).unwrap_or(record.name.len());
    core::str::from_utf8(&record.name[..end]).unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    #[test]
    fn records_come_page_by_page() {
        let all: Vec<_> = (0..70).map(|_| fake::FakeProcess::new().number()).collect();
        let resource = fake::inspection();
        let seen: Vec<u64> = processes(&resource).map(|record| record.expect("a record").process).collect();
        assert!(seen.len() > PAYLOAD_BYTES / size_of::<ProcessRecord>() && seen.is_sorted());
        assert!(all.iter().all(|number| seen.contains(number)));
        assert_eq!(cpus(&resource).next(), Some(Err(Error::Unsupported)));
        let name_of =
            |bytes: [u8; 16]| std::string::String::from(name(&ProcessRecord { name: bytes, ..Default::default() }));
        assert_eq!((name_of(*b"0123456789abcdef"), name_of([0xff; 16])), ("0123456789abcdef".into(), "?".into()));
    }
}
