//! Call: stands for a call that a server keeps, to answer it later. The states are in `docs/states.md`.

use super::{Channel, ObjectType, Process, Ref, Slot, Thread, Type};
use crate::{Link, Node};
use abi::Handle;
use core::cell::Cell;

/// A kept call.
pub struct Call {
    /// The caller; `None` once it left, or the call ended.
    pub client: Slot<Thread>,
    /// The process that serves it.
    pub server: Ref<Process>,
    /// The channel that it came by.
    pub channel: Ref<Channel>,
    /// The process of a caller that left before the call was answered, unless it was parked.
    pub orphan: Slot<Process>,
    pub(crate) in_orphans: Node<Call>,
    pub(crate) in_server_orphans: Node<Call>,
    /// Whether it waits for an event, with nothing done.
    pub parked: Cell<bool>,
    /// Its number in the server's handle table.
    pub handle: Cell<Handle>,
    pub(crate) in_channel: Link<Call>,
    pub(crate) in_server: Link<Call>,
}

impl Call {
    /// A call that was just kept.
    pub(crate) fn new(client: Option<Ref<Thread>>, server: Ref<Process>, channel: Ref<Channel>) -> Call {
        Call {
            client: client.map_or_else(Slot::empty, Slot::with),
            server,
            channel,
            orphan: Slot::empty(),
            in_orphans: Node::new(),
            in_server_orphans: Node::new(),
            parked: Cell::new(false),
            handle: Cell::new(Handle::NONE),
            in_channel: Link::new(),
            in_server: Link::new(),
        }
    }
}

impl Type for Call {
    const TYPE: ObjectType = ObjectType::Call;
}

crate::links! {
    /// Links of a call among those of its channel: those whose callers wait, or left.
    InChannel: Call, in_channel;
    /// Links of a call among those that a process keeps.
    InServer: Call, in_server;
}

crate::nodes! {
    /// Nodes of a call among those which a process left.
    InOrphans: Call, in_orphans;
    /// Nodes of a call among those that a process keeps for callers that left.
    InServerOrphans: Call, in_server_orphans;
}
