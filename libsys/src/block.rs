//! Block devices, without calls for data: the rings that requests and completions travel in, and the two sides of them.
//!
//! | type | is |
//! |---|---|
//! | [`ring`] | the layout in shared Memory, [`ring::ClientRing`] and [`ring::ServerRing`] |
//! | [`Disk`] | the client: requests by number or one at a time, with recovery when the server dies |
//! | [`Queues`] | the server's side of all its sessions: attachments, lent Memory, requests in flight |
//! | [`Limits`] | what a request is checked against |
//!
//! The protocol is [`crate::protocol::block`]; drivers are written with [`crate::driver::block`], which is made of these.

mod disk;
mod limits;
mod lookout;
mod outstanding;
mod queues;
pub mod ring;

pub use disk::{Buffer, Completion, Disk, DiskError, Request};
pub use limits::Limits;
pub use queues::{Client, Queues, Ticket};
pub use ring::{Segment, Submission};
