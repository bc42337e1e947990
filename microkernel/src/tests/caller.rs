//! A process with a thread that makes system calls, on a machine with one CPU.

use super::machine::Machine;
use crate::arch::Context;
use crate::cpu::Cpu;
use crate::ipc::flight;
use crate::kernel::Kernel;
use crate::object::any::AnyRef;
use crate::object::reference::Type;
use crate::object::{Account, Channel, Object, Process, Ref, Resource, Thread};
use crate::syscall::Results;
use abi::boot::ResourceKind;
use abi::{Error, Handle};
use zerocopy::FromBytes;

pub type Call = fn(&Kernel, &Object<Thread>) -> Result<Results, Error>;

pub struct Caller {
    pub process: Ref<Process>,
    pub thread: Ref<Thread>,
    /// Handle to `machine.root`.
    pub account: u64,
    /// Last, as it is dropped last: what refers to its objects stands before it, here and in what has a `Caller`.
    pub machine: Machine,
}

impl Caller {
    pub fn new() -> Caller {
        let machine = Machine::new(2048);
        let kernel = &machine.kernel;
        let cpus: &'static [Cpu] = Vec::leak(vec![Cpu::new()]);
        cpus[0].online.set(true);
        kernel.cpus.set(cpus);
        kernel.enter(&cpus[0]);
        let (process, thread) = Caller::process(&machine, *b"caller\0\0\0\0\0\0\0\0\0\0");
        let mut caller = Caller { process, thread, account: 0, machine };
        caller.account = caller.give(caller.root().to_ref());
        caller
    }

    fn process(machine: &Machine, name: [u8; 16]) -> (Ref<Process>, Ref<Thread>) {
        let (kernel, root) = (&*machine.kernel, machine.root.get(&machine.kernel));
        let process = Process::create(kernel, root, 0, name).unwrap();
        // Somebody holds it.
        process.outside_handles.set(1);
        let context = Context::new(0x1_0000, 0x2_0000, 0, 0);
        let thread = Thread::create(kernel, process.get(kernel), root, context, 0x10_0000).unwrap();
        (process, thread)
    }

    /// Another process.
    pub fn another(&self) -> (Ref<Process>, Ref<Thread>) {
        Caller::process(&self.machine, *b"another\0\0\0\0\0\0\0\0\0")
    }

    pub fn kernel(&self) -> &Kernel {
        &self.machine.kernel
    }

    pub fn root(&self) -> &Object<Account> {
        self.machine.root.get(&self.machine.kernel)
    }

    /// A handle with all rights.
    pub fn give<T: Type>(&self, object: Ref<T>) -> u64 {
        let process = self.process.get(self.kernel());
        flight::land_new(self.kernel(), process, AnyRef::new(object), u64::MAX).unwrap().0
    }

    pub fn resource(&self, kind: ResourceKind) -> u64 {
        self.give(Resource::create(self.kernel(), self.root(), kind).unwrap())
    }

    pub fn channel(&self) -> Ref<Channel> {
        Channel::create(self.kernel(), self.root(), self.process.get(self.kernel())).unwrap()
    }

    pub fn close(&mut self, handle: u64) {
        flight::close(self.kernel(), self.process.get(self.kernel()), Handle(handle)).unwrap();
        self.machine.reap_all();
    }

    /// Makes a system call.
    pub fn call(&self, call: Call, arguments: &[u64]) -> Result<Results, Error> {
        for n in 0..10 {
            self.thread.context.frame.argument(n).set(arguments.get(n).copied().unwrap_or(0));
        }
        call(self.kernel(), self.thread.get(self.kernel()))
    }

    /// Makes a system call that gives one result.
    pub fn one(&self, call: Call, arguments: &[u64]) -> Result<u64, Error> {
        self.call(call, arguments).map(|results| results[0])
    }

    /// The first records in the payload.
    pub fn records<R: FromBytes>(&self, count: u64) -> Vec<R> {
        let mut bytes = vec![0; count as usize * size_of::<R>()];
        self.thread.pages().read(128, &mut bytes).unwrap();
        bytes.chunks(size_of::<R>()).map(|bytes| R::read_from_bytes(bytes).unwrap()).collect()
    }
}
