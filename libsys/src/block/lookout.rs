//! Watching over a service: whether the server that a client knows is still the same incarnation.

use crate::client::{self, CallError};
use crate::env::{self, names};
use crate::protocol::RegistryClient;
use crate::protocol::registry::{RegistryError, State};
use crate::{Channel, Error};
use alloc::string::String;

/// Where the server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// It is the incarnation that the client knows.
    Same,
    /// Another incarnation serves: what the last one knew is lost.
    Restarted(u64),
    /// It does not serve at the moment; there will be a signal.
    Down,
    /// It will not come back by itself.
    Gone,
}

/// A watch on a service.
#[derive(Debug)]
pub(super) struct Lookout {
    service: String,
    /// A session of its own, as each watches a service once. `None`: this process has no registry, and hears of nothing.
    registry: Option<RegistryClient>,
    /// The incarnation that the client is attached to; 0: none.
    pub(super) incarnation: u64,
}

impl Lookout {
    /// Has `bits` of `channel` signalled when the service's state changes.
    pub(super) fn new(service: &str, channel: &Channel, bits: u64) -> Result<Lookout, CallError<RegistryError>> {
        let registry: Option<RegistryClient> = match env::get().registry().connect(names::REGISTRY, true) {
            Ok(session) => Some(client::unchecked(session)),
            Err(CallError::Kernel(Error::BadHandle)) => None,
            Err(error) => return Err(error),
        };
        if let Some(registry) = &registry {
            registry.watch(service, &channel.signaller(bits)?, bits)?;
        }
        Ok(Lookout { service: service.into(), registry, incarnation: 0 })
    }

    /// Asks the registry.
    pub(super) fn look(&self) -> Server {
        let Some(registry) = &self.registry else {
            return if self.incarnation == 0 { Server::Restarted(1) } else { Server::Same };
        };
        match registry.info(&self.service) {
            Ok(service) => match service.state {
                State::Ready if service.incarnation == self.incarnation => Server::Same,
                State::Ready => Server::Restarted(service.incarnation),
                State::GivenUp => Server::Gone,
                _ => Server::Down,
            },
            Err(CallError::Failed(_)) => Server::Gone,
            // init itself is restarting, at worst: it tells all watchers afterwards.
            Err(_) => Server::Down,
        }
    }
}
