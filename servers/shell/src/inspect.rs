//! What the kernel tells about itself, for the commands that show it.

use alloc::vec::Vec;
use libsys::abi::inspect::{
    CallRecord, ChannelRecord, CpuRecord, HandleRecord, InterruptRecord, MappingRecord,
    ProcessRecord, RangeRecord, Subject, SystemRecord, ThreadRecord,
};
use libsys::message::Record;
use libsys::{Error, Object, Resource, sys};

/// Records of the system's state. The kernel answers; a test plays it.
pub trait Inspect {
    /// Memory and objects.
    fn system(&self) -> Result<SystemRecord, Error>;
    /// The CPUs.
    fn cpus(&self) -> Result<Vec<CpuRecord>, Error>;
    /// All processes.
    fn processes(&self) -> Result<Vec<ProcessRecord>, Error>;
    /// The threads of a process; of all for 0.
    fn threads(&self, process: u64) -> Result<Vec<ThreadRecord>, Error>;
    /// The mappings of a process.
    fn mappings(&self, process: u64) -> Result<Vec<MappingRecord>, Error>;
    /// The handles of a process.
    fn handles(&self, process: u64) -> Result<Vec<HandleRecord>, Error>;
    /// All channels.
    fn channels(&self) -> Result<Vec<ChannelRecord>, Error>;
    /// Calls that wait for an answer.
    fn calls(&self) -> Result<Vec<CallRecord>, Error>;
    /// All interrupts.
    fn interrupts(&self) -> Result<Vec<InterruptRecord>, Error>;
    /// Ports and device memory in use.
    fn ranges(&self) -> Result<Vec<RangeRecord>, Error>;
}

/// The kernel, asked with the right to inspect.
#[derive(Debug)]
pub struct Kernel {
    resource: Resource,
}

/// More records than a payload holds, of the smallest kind.
const AT_ONCE: usize = 256;

impl Kernel {
    /// With the right to inspect.
    pub fn new(resource: Resource) -> Kernel {
        Kernel { resource }
    }

    fn all<R: Record>(&self, subject: Subject, argument: u64) -> Result<Vec<R>, Error> {
        let mut all = Vec::new();
        let mut part = alloc::vec![R::default(); AT_ONCE];
        let mut cursor = 0;
        loop {
            let (count, next) = sys::system_inspect(
                self.resource.handle(),
                subject,
                cursor,
                argument,
                &mut part,
            )?;
            all.extend_from_slice(&part[..count]);
            // A cursor that stands still would be the kernel's mistake; it is not to become the shell's.
            if next == 0 || next == cursor {
                return Ok(all);
            }
            cursor = next;
        }
    }
}

impl Inspect for Kernel {
    fn system(&self) -> Result<SystemRecord, Error> {
        let all = self.all(Subject::System, 0)?;
        all.first().copied().ok_or(Error::Unsupported)
    }

    fn cpus(&self) -> Result<Vec<CpuRecord>, Error> {
        self.all(Subject::Cpus, 0)
    }

    fn processes(&self) -> Result<Vec<ProcessRecord>, Error> {
        self.all(Subject::Processes, 0)
    }

    fn threads(&self, process: u64) -> Result<Vec<ThreadRecord>, Error> {
        self.all(Subject::Threads, process)
    }

    fn mappings(&self, process: u64) -> Result<Vec<MappingRecord>, Error> {
        self.all(Subject::Mappings, process)
    }

    fn handles(&self, process: u64) -> Result<Vec<HandleRecord>, Error> {
        self.all(Subject::Handles, process)
    }

    fn channels(&self) -> Result<Vec<ChannelRecord>, Error> {
        self.all(Subject::Channels, 0)
    }

    fn calls(&self) -> Result<Vec<CallRecord>, Error> {
        self.all(Subject::Calls, 0)
    }

    fn interrupts(&self) -> Result<Vec<InterruptRecord>, Error> {
        self.all(Subject::Interrupts, 0)
    }

    fn ranges(&self) -> Result<Vec<RangeRecord>, Error> {
        self.all(Subject::Ranges, 0)
    }
}
