//! Watching over a service: whether the server that a client knows is still the same incarnation.

use crate::client::CallError;
use crate::protocol::registry::{RegistryError, State};
use crate::{Channel, Error, env};
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
    /// The incarnation that the client is attached to; 0: none.
    pub(super) incarnation: u64,
    is_watched: bool,
}

impl Lookout {
    /// Has `bits` of `channel` signalled when the service's state changes. A process without a registry hears of nothing.
    pub(super) fn new(service: &str, channel: &Channel, bits: u64) -> Result<Lookout, CallError<RegistryError>> {
        let is_watched = match env::get().registry().watch(service, &channel.signaller(bits)?, bits) {
            Ok(_) => true,
            Err(CallError::Kernel(Error::BadHandle)) => false,
            Err(error) => return Err(error),
        };
        Ok(Lookout { service: service.into(), incarnation: 0, is_watched })
    }

    /// Asks the registry.
    pub(super) fn look(&self) -> Server {
        if !self.is_watched {
            return if self.incarnation == 0 { Server::Restarted(1) } else { Server::Same };
        }
        match env::get().registry().info(&self.service) {
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
