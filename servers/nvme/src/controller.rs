//! A controller's way from reset to readiness (§3.5.1), and its admin queue.

use crate::bus::{Bus, read_u64};
use crate::command::{Command, Identify, Status};
use crate::identify::{ControllerInfo, IDENTIFY_BYTES, Namespace, Page, namespace_numbers};
use crate::pages::PAGE;
use crate::queue::{Fault, Queue};
use crate::registers::{
    ADMIN_COMPLETIONS, ADMIN_ENTRIES, ADMIN_SUBMISSIONS, CONFIGURATION, Capabilities, STATUS, configuration, status,
};
use alloc::vec::Vec;
use libsys::driver::{DmaBuffer, Register, Result, StartError};
use libsys::time::{self, Duration};

/// Entries of the admin queues: one command at a time is on its way.
const ADMIN_QUEUE_ENTRIES: u16 = 4;
/// How long it is at first, and at last, until the controller is asked again whether it is ready, or has done an admin command.
const SHORTEST_POLL: Duration = Duration::from_micros(100);
const LONGEST_POLL: Duration = Duration::from_millis(4);
/// How long an admin command may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most namespaces that are looked at.
const MOST_NAMESPACES: usize = 64;

/// A controller.
#[derive(Debug)]
pub struct Controller<B> {
    bus: B,
    capabilities: Capabilities,
    admin: Queue,
    page: DmaBuffer,
}

impl<B: Bus> Controller<B> {
    /// Resets a controller, and gives it its admin queue.
    pub fn open(mut bus: B) -> Result<Controller<B>> {
        let capabilities = Capabilities(read_u64(|register| bus.read(register)));
        if capabilities.0 == u64::MAX {
            return Err(StartError::Device(Fault::Gone.text()));
        }
        if !capabilities.has_blocks() || capabilities.least_page() != PAGE {
            return Err(StartError::Device("it has no NVM commands, or no pages of 4 KiB"));
        }
        reset(&mut bus, capabilities)?;
        bus.reset_complete()?;
        let admin = queue(&mut bus, capabilities, 0, ADMIN_QUEUE_ENTRIES)?;
        let page = bus.allocate(IDENTIFY_BYTES as u64)?;
        let mut controller = Controller { bus, capabilities, admin, page };
        controller.enable()?;
        Ok(controller)
    }

    fn enable(&mut self) -> Result<()> {
        let last = u32::from(self.admin.entries() - 1);
        let (submissions, completions) = self.admin.places();
        self.bus.write(ADMIN_ENTRIES, last | last << 16);
        self.write_address(ADMIN_SUBMISSIONS, submissions);
        self.write_address(ADMIN_COMPLETIONS, completions);
        self.bus.write(CONFIGURATION, configuration::ENTRY_BYTES);
        self.bus.write(CONFIGURATION, configuration::ENTRY_BYTES | configuration::ENABLE);
        wait_until(&mut self.bus, self.capabilities, true)
    }

    fn write_address(&mut self, register: Register<u32>, address: u64) {
        self.bus.write(register, address as u32);
        self.bus.write(register.index(1, 4), (address >> 32) as u32);
    }

    /// Carries out a command of the admin queue.
    fn execute(&mut self, command: &Command) -> Result<()> {
        let fault = |fault: Fault| StartError::Device(fault.text());
        if !self.admin.submit(0, command) {
            return Err(fault(Fault::Overdue));
        }
        self.ring(|queue| queue.publish());
        let mut polling = Polling::until(PATIENCE);
        loop {
            if let Some(completion) = self.admin.next_completed().map_err(fault)? {
                self.ring(|queue| queue.acknowledge());
                let is_done = completion.status == Status::SUCCESS;
                return if is_done { Ok(()) } else { Err(StartError::Device("it refuses an admin command")) };
            }
            check(&mut self.bus).map_err(fault)?;
            if !polling.pause() {
                return Err(fault(Fault::Overdue));
            }
        }
    }

    fn ring(&mut self, doorbell: impl FnOnce(&mut Queue) -> Option<(Register<u32>, u32)>) {
        if let Some((register, value)) = doorbell(&mut self.admin) {
            self.bus.write(register, value);
        }
    }

    fn identify(&mut self, what: Identify) -> Result<Page> {
        self.page.zero(0, IDENTIFY_BYTES);
        self.execute(&Command::identify(what, self.page.device_address()))?;
        let mut bytes = [0; IDENTIFY_BYTES];
        self.page.copy_out(0, &mut bytes);
        Ok(bytes)
    }

    /// What the controller is, and the namespaces of it that can be used.
    pub fn describe(&mut self) -> Result<(ControllerInfo, Vec<Namespace>)> {
        let info = ControllerInfo::parse(&self.identify(Identify::Controller)?, PAGE);
        let numbers = match self.identify(Identify::Namespaces(0)) {
            Ok(list) => namespace_numbers(&list),
            // Before version 1.1 there was no list.
            Err(_) => (1..=info.namespaces.min(MOST_NAMESPACES as u32)).collect(),
        };
        let mut namespaces = Vec::new();
        for number in numbers.into_iter().take(MOST_NAMESPACES) {
            match Namespace::parse(&self.identify(Identify::Namespace(number))?, number) {
                Ok(namespace) => namespaces.push(namespace),
                Err(error) => libsys::warn!("namespace {number} is not used: {}", error.text()),
            }
        }
        Ok((info, namespaces))
    }

    /// Makes the queue pair for blocks, of at most `most` entries, which interrupts with `bits` of the service's channel.
    pub fn make_queue(&mut self, most: u16, bits: u64) -> Result<Queue> {
        self.execute(&Command::want_queues())?;
        let queue = queue(&mut self.bus, self.capabilities, 1, most)?;
        let vector = self.bus.interrupt(bits)?;
        let (submissions, completions) = queue.places();
        self.execute(&Command::create_completion_queue(1, queue.entries(), completions, vector))?;
        self.execute(&Command::create_submission_queue(1, queue.entries(), submissions))?;
        Ok(queue)
    }

    /// Looks whether the controller still works.
    pub fn check(&mut self) -> core::result::Result<(), Fault> {
        check(&mut self.bus)
    }

    /// How it is reached.
    pub fn bus(&mut self) -> &mut B {
        &mut self.bus
    }
}

/// A queue pair in new memory.
fn queue(bus: &mut impl Bus, capabilities: Capabilities, number: u16, most: u16) -> Result<Queue> {
    let entries = u32::from(most).min(capabilities.most_entries()) as u16;
    if entries < 2 {
        return Err(StartError::Device("its queues have no entries"));
    }
    let submissions = bus.allocate(Queue::submission_bytes(entries))?;
    let completions = bus.allocate(Queue::completion_bytes(entries))?;
    Ok(Queue::new(number, entries, capabilities.stride(), submissions, completions))
}

/// Resets the controller: when it says that it is not ready, it uses no memory any more (§3.7.2).
fn reset(bus: &mut impl Bus, capabilities: Capabilities) -> Result<()> {
    if bus.read(CONFIGURATION) & configuration::ENABLE != 0 {
        // It is not to be disabled on its way to readiness. If it never gets there, it is disabled all the same.
        let _ = wait_until(bus, capabilities, true);
    }
    bus.write(CONFIGURATION, 0);
    wait_until(bus, capabilities, false)
}

fn wait_until(bus: &mut impl Bus, capabilities: Capabilities, ready: bool) -> Result<()> {
    let mut polling = Polling::until(capabilities.timeout());
    loop {
        let state = bus.read(STATUS);
        if state == status::GONE {
            return Err(StartError::Device(Fault::Gone.text()));
        }
        if ready && state & status::FATAL != 0 {
            return Err(StartError::Device(Fault::Fatal.text()));
        }
        if (state & status::READY != 0) == ready {
            return Ok(());
        }
        if !polling.pause() {
            return Err(StartError::Device(if ready { "it does not become ready" } else { "it does not reset" }));
        }
    }
}

/// Waiting for something that the controller does not tell of, less and less often.
struct Polling {
    deadline: u64,
    pause: Duration,
}

impl Polling {
    fn until(timeout: Duration) -> Polling {
        Polling { deadline: time::deadline_after(timeout), pause: SHORTEST_POLL }
    }

    /// Waits a while; `false`: it took too long.
    fn pause(&mut self) -> bool {
        if time::now() >= self.deadline {
            return false;
        }
        time::sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_POLL);
        true
    }
}

fn check(bus: &mut impl Bus) -> core::result::Result<(), Fault> {
    match bus.read(STATUS) {
        status::GONE => Err(Fault::Gone),
        state if state & status::FATAL != 0 => Err(Fault::Fatal),
        state if state & status::READY == 0 => Err(Fault::Gone),
        _ => Ok(()),
    }
}
