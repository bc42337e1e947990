//! Instances of templates: services that come with a device or on request, and go again.
//!
//! An instance is an entry of the manifest at the end, made from its template's, and a [`Service`] at the same index. When
//! it is removed, the place is vacant until the next instance is made.

use crate::manifest::{Kind, MOST_WITH_INSTANCES, is_name};
use crate::record::{DeviceRecord, InstanceRecord, Phase, Record};
use crate::registry::INIT;
use crate::service::Service;
use crate::supervisor::Supervisor;
use crate::table::SlotNumber;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use libsys::env::names;
use libsys::log::Level;
use libsys::protocol::registry::{DeviceIds, RegistryError};
use libsys::service::GIVEN;
use libsys::{Channel, Error, Handle, Object, Rights, Session};

/// Longest place of a device.
pub const LONGEST_PLACE: usize = 32;

/// Bytes of all parameters of an instance, names and values.
pub const PARAMETER_BYTES: usize = 512;

/// Most parameters of an instance.
const MOST_PARAMETERS: usize = 32;

impl Service {
    /// Whether it has a session `device`.
    pub(crate) fn has_device(&self) -> bool {
        self.instance.as_ref().is_some_and(|(record, _)| record.device != DeviceRecord::None)
    }

    /// Whether its session `device` leads to the channel of a service that found the device.
    pub(crate) fn is_device_of(&self, bus: &str) -> bool {
        let of_bus =
            |record: &InstanceRecord| record.maker == bus && matches!(record.device, DeviceRecord::Found { .. });
        self.instance.as_ref().is_some_and(|(record, _)| of_bus(record))
    }
}

impl Supervisor {
    /// A bus's server found a device.
    pub(crate) fn found(&mut self, bus: usize, place: &str, ids: &DeviceIds, badge: u64) -> Result<(), RegistryError> {
        let maker = &self.manifest.services[bus];
        if !maker.bus {
            return Err(RegistryError::Denied);
        }
        if place.is_empty() || place.len() > LONGEST_PLACE {
            return Err(RegistryError::BadName);
        }
        let maker = maker.name.clone();
        let template = self.manifest.template_for(&maker, ids);
        let device = DeviceRecord::Found { place: place.to_owned(), badge: badge | GIVEN };
        if let Some(index) = self.at_place(&maker, place) {
            let fits = |record: &InstanceRecord| {
                template.is_some_and(|template| self.manifest.services[template].name == record.template)
            };
            if self.services[index].instance.as_ref().is_some_and(|(record, _)| record.device == device && fits(record))
            {
                return Ok(());
            }
            // Another device is in its place.
            self.begin_removal(index);
        }
        let Some(template) = template else { return Ok(()) };
        let name = self.free_name(template)?;
        self.add_instance(template, name, maker, Vec::new(), device).map(drop)
    }

    /// A device that a bus's server found is not there any more.
    pub(crate) fn lost(&mut self, bus: usize, place: &str) -> Result<(), RegistryError> {
        let maker = &self.manifest.services[bus];
        if !maker.bus {
            return Err(RegistryError::Denied);
        }
        if let Some(index) = self.at_place(&maker.name, place) {
            self.begin_removal(index);
        }
        Ok(())
    }

    /// Makes an instance that a service asks for.
    pub(crate) fn make_instance(
        &mut self,
        maker: usize,
        template: &str,
        name: &str,
        parameters: Vec<(String, String)>,
        device: Option<Session>,
    ) -> Result<String, RegistryError> {
        let entry = &self.manifest.services[maker];
        if !entry.instances.iter().any(|known| known == template) {
            return Err(RegistryError::Denied);
        }
        let template = self.manifest.find_template(template).ok_or(RegistryError::NoSuchName)?;
        let bytes: usize = parameters.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > PARAMETER_BYTES || parameters.len() > MOST_PARAMETERS {
            return Err(RegistryError::Exhausted);
        }
        let name = if name.is_empty() { self.free_name(template)? } else { name.to_owned() };
        if !is_name(&name) || [names::REGISTRY, INIT].contains(&name.as_str()) {
            return Err(RegistryError::BadName);
        }
        if self.is_taken(&name) {
            return Err(RegistryError::Taken);
        }
        let below = device.as_ref().and_then(|session| self.channel_of(session.handle()));
        if self.leads_to(below, maker) {
            return Err(RegistryError::NotPossible);
        }
        let maker = self.manifest.services[maker].name.clone();
        let given = match &device {
            None => DeviceRecord::None,
            Some(session) => {
                session.set_kept(true).map_err(|_| RegistryError::Exhausted)?;
                DeviceRecord::Given(session.handle().0)
            }
        };
        self.add_instance(template, name.clone(), maker, parameters, given)?;
        // It is the instance's from here on.
        device.map(Object::into_handle);
        Ok(name)
    }

    /// Whether what stands on a channel would stand on a service: the one that serves it, or what that one was made on, and so on. Its maker calls an instance, and so
    /// must not be called by it.
    fn leads_to(&self, channel: Option<u64>, service: usize) -> bool {
        let mut next = channel;
        // Each was made on one that was there before, so this ends; the bound is for a table that says otherwise.
        for _ in 0..MOST_WITH_INSTANCES {
            let Some(index) = next.and_then(|channel| self.server_at(channel)) else { return false };
            if index == service {
                return true;
            }
            next = self.services[index].below;
        }
        true
    }

    /// Removes an instance that a service made.
    pub(crate) fn unmake_instance(&mut self, maker: usize, name: &str) -> Result<(), RegistryError> {
        let maker = &self.manifest.services[maker].name;
        let index = self.manifest.find(name).ok_or(RegistryError::NoSuchName)?;
        match &self.services[index].instance {
            Some((record, _)) if record.maker == *maker => self.begin_removal(index),
            Some(_) => return Err(RegistryError::Denied),
            None => return Err(RegistryError::NoSuchName),
        }
        Ok(())
    }

    /// The instance of the device at a place.
    fn at_place(&self, bus: &str, place: &str) -> Option<usize> {
        self.services.iter().position(|service| {
            service.instance.as_ref().is_some_and(|(record, _)| {
                let is_there = matches!(&record.device, DeviceRecord::Found { place: known, .. } if known == place);
                is_there && record.maker == bus && !record.removing
            })
        })
    }

    fn is_taken(&self, name: &str) -> bool {
        let published = |service: &Service| service.record.names.iter().any(|(known, _)| known == name);
        let mut entries = self.manifest.services.iter();
        entries.any(|entry| entry.kind != Kind::Vacant && entry.name == name) || self.services.iter().any(published)
    }

    /// The template's name with the first number that is free.
    fn free_name(&self, template: usize) -> Result<String, RegistryError> {
        let template = &self.manifest.services[template].name;
        let mut all = (0..MOST_WITH_INSTANCES).map(|number| format!("{template}-{number}"));
        all.find(|name| !self.is_taken(name)).ok_or(RegistryError::Exhausted)
    }

    fn add_instance(
        &mut self,
        template: usize,
        name: String,
        maker: String,
        parameters: Vec<(String, String)>,
        device: DeviceRecord,
    ) -> Result<(), RegistryError> {
        let vacant = self.manifest.services.iter().position(|entry| entry.kind == Kind::Vacant);
        let index = vacant.unwrap_or(self.services.len());
        if index >= MOST_WITH_INSTANCES {
            return Err(RegistryError::Exhausted);
        }
        let template = self.manifest.services[template].name.clone();
        let record = InstanceRecord { index, name, template, maker, device, parameters, removing: false };
        let slot = self.table.add(&Record::Instance(record.clone()).encode()).map_err(|_| RegistryError::Exhausted)?;
        self.place_instance(slot, record);
        self.set_phase(index, Phase::Waiting);
        Ok(())
    }

    /// Puts an instance into its place among the services. Whether its template is known.
    fn place_instance(&mut self, slot: SlotNumber, record: InstanceRecord) -> bool {
        let Some(template) = self.manifest.find_template(&record.template) else { return false };
        let bus = matches!(record.device, DeviceRecord::Found { .. }).then_some(record.maker.as_str());
        let entry = self.manifest.services[template].instance(&record.name, &record.parameters, bus);
        while self.services.len() <= record.index {
            let index = self.services.len();
            let vacant = crate::manifest::Service { kind: Kind::Vacant, ..entry.clone() };
            self.services.push(Service::new(index, &vacant));
            self.manifest.services.push(vacant);
            self.manifest.order.push(index);
        }
        let index = record.index;
        let below = match record.device {
            DeviceRecord::Given(session) => self.channel_of(Handle(session)),
            DeviceRecord::None | DeviceRecord::Found { .. } => None,
        };
        self.services[index] = Service { instance: Some((record, slot)), below, ..Service::new(index, &entry) };
        self.manifest.services[index] = entry;
        true
    }

    /// Takes over an instance that an earlier init noted.
    pub(crate) fn recover_instance(&mut self, slot: SlotNumber, record: InstanceRecord) {
        let (index, removing) = (record.index, record.removing);
        if index >= MOST_WITH_INSTANCES || !self.place_instance(slot, record) {
            // Never: the manifest is in the same boot archive.
            return self.table.remove(slot);
        }
        // What its record as a service says, if it has one by then, goes over this.
        self.services[index].record.phase = if removing { Phase::Stopped } else { Phase::Waiting };
    }

    /// Stops an instance for good.
    fn begin_removal(&mut self, index: usize) {
        let Some((record, slot)) = &mut self.services[index].instance else { return };
        if core::mem::replace(&mut record.removing, true) {
            return;
        }
        let (slot, bytes) = (*slot, Record::Instance(record.clone()).encode());
        let written = self.table.set(slot, &bytes).map(|()| slot);
        self.written(written);
        match self.services[index].record.phase {
            phase if phase.is_up() => self.stop(index, false),
            Phase::Waiting | Phase::Restarting(_) => self.set_phase(index, Phase::Stopped),
            _ => {}
        }
    }

    /// Whether nothing of an instance that is removed runs any more.
    pub(crate) fn is_gone(&self, index: usize) -> bool {
        let service = &self.services[index];
        let removing = service.instance.as_ref().is_some_and(|(record, _)| record.removing);
        removing && matches!(service.record.phase, Phase::Stopped | Phase::GivenUp) && service.can_start()
    }

    /// Forgets an instance of which nothing runs any more, and lets its objects go.
    pub(crate) fn remove(&mut self, index: usize) {
        self.turn_away(index, RegistryError::NoSuchName);
        self.tell(index);
        self.unwatch(|record| record.index == index);
        let vacant = crate::manifest::Service { kind: Kind::Vacant, ..self.manifest.services[index].clone() };
        let mut service = core::mem::replace(&mut self.services[index], Service::new(index, &vacant));
        self.manifest.services[index] = vacant;
        let objects = service.objects.take();
        if let Some(objects) = objects {
            let _ = objects.channel.close();
            if let (Some(place), Some((record, _))) = (service.record.ring, &service.instance) {
                self.end_ring(place, &record.name, objects.number, objects.log);
            }
        }
        // First the record of the objects, then that of the instance: what is left between is removed by the next init.
        if let Some(slot) = service.slot {
            self.table.remove(slot);
        }
        for (_, channel) in &service.record.names {
            drop(channel.map(|handle| Channel::from_handle(Handle(handle))));
        }
        if let Some((record, slot)) = &service.instance {
            self.table.remove(*slot);
            if let DeviceRecord::Given(handle) = record.device {
                drop(Session::from_handle(Handle(handle)));
            }
            self.journal.write(Level::Info, &format!("{} is removed", record.name));
        }
        self.rings.tell();
    }

    /// An instance's session to its device, in its own handle table.
    pub(crate) fn device_session(&self, index: usize) -> Result<u64, Error> {
        let service = &self.services[index];
        let (record, _) = service.instance.as_ref().ok_or(Error::BadState)?;
        match &record.device {
            DeviceRecord::None => Err(Error::BadState),
            DeviceRecord::Found { badge, .. } => {
                let bus = self.manifest.find(&record.maker).ok_or(Error::BadState)?;
                Ok(self.mint(Some(bus), *badge, index, 1)?[0])
            }
            DeviceRecord::Given(handle) => {
                let session = ManuallyDrop::new(Session::from_handle(Handle(*handle)));
                let objects = service.objects.as_ref().ok_or(Error::BadState)?;
                Ok(objects.process.grant(&*session, Rights::all(), true)?.0)
            }
        }
    }
}
