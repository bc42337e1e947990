//! What the kernel tells about itself, for the commands that show it.

use alloc::vec::Vec;
use libsys::inspect::{
    self, CallRecord, ChannelRecord, CpuRecord, HandleRecord, InterruptRecord, MappingRecord, ProcessRecord,
    RangeRecord, SystemRecord, ThreadRecord,
};
use libsys::{Error, Resource};

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
    resource: Option<Resource>,
}

impl Kernel {
    /// With the right to inspect; without it, everything is refused.
    pub fn new(resource: Option<Resource>) -> Kernel {
        Kernel { resource }
    }

    fn resource(&self) -> Result<&Resource, Error> {
        self.resource.as_ref().ok_or(Error::Denied)
    }
}

impl Inspect for Kernel {
    fn system(&self) -> Result<SystemRecord, Error> {
        inspect::system(self.resource()?)
    }

    fn cpus(&self) -> Result<Vec<CpuRecord>, Error> {
        inspect::cpus(self.resource()?).collect()
    }

    fn processes(&self) -> Result<Vec<ProcessRecord>, Error> {
        inspect::processes(self.resource()?).collect()
    }

    fn threads(&self, process: u64) -> Result<Vec<ThreadRecord>, Error> {
        inspect::threads(self.resource()?, Some(process)).collect()
    }

    fn mappings(&self, process: u64) -> Result<Vec<MappingRecord>, Error> {
        inspect::mappings(self.resource()?, process).collect()
    }

    fn handles(&self, process: u64) -> Result<Vec<HandleRecord>, Error> {
        inspect::handles(self.resource()?, process).collect()
    }

    fn channels(&self) -> Result<Vec<ChannelRecord>, Error> {
        inspect::channels(self.resource()?).collect()
    }

    fn calls(&self) -> Result<Vec<CallRecord>, Error> {
        inspect::calls(self.resource()?).collect()
    }

    fn interrupts(&self) -> Result<Vec<InterruptRecord>, Error> {
        inspect::interrupts(self.resource()?).collect()
    }

    fn ranges(&self) -> Result<Vec<RangeRecord>, Error> {
        inspect::ranges(self.resource()?).collect()
    }
}
