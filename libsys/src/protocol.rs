//! The protocols: one file each, which is its reference.
//!
//! # Writing one
//!
//! ```
//! use libsys::protocol;
//! use serde::{Deserialize, Serialize};
//!
//! /// Counts.
//! #[protocol]
//! pub trait Counter {
//!     /// The count. *replay*: it only reads.
//!     #[replay]
//!     fn count(&self) -> u64;
//!
//!     /// Adds to the count, and returns it. *once*: added twice it would be wrong.
//!     #[once]
//!     fn add(&mut self, number: u64) -> Result<u64, CounterError>;
//! }
//!
//! /// Why a count does not change.
//! #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
//! pub enum CounterError {
//!     /// It would pass the largest number.
//!     TooLarge,
//! }
//! # fn main() {}
//! ```
//!
//! A server implements the trait as it stands; `CounterClient` has the same methods, with results of
//! `Result<T, CallError<CounterError>>`. Each method says what happens when its server dies:
//!
//! | class | the request was received, not answered, and the server dies | for |
//! |---|---|---|
//! | `#[replay]` | the next incarnation gets it | what only reads; what does no harm twice |
//! | `#[once]` | the next incarnation gets it under the same key, by which it knows what was done | what changes something |
//! | `#[fail]` | the caller gets `PeerDied` | what must be thought over by the caller |
//!
//! Until servers keep the replies of `once` requests, these behave as `fail`. Requests that no server has received yet
//! simply wait, and so do parked ones, whatever their class.
//!
//! # What travels
//!
//! | argument | how | on the server |
//! |---|---|---|
//! | `u8`…`u64`, `i8`…`i64`, `bool`, `char` | up to eight scalars, and nothing else: in registers | |
//! | `T: Serialize + DeserializeOwned` | postcard | decoded |
//! | `&T` | postcard | decoded, and lent to the method |
//! | `&str`, `&[u8]` | postcard | borrowed from the message page, without a copy |
//! | `Vec<u8>` | postcard | copied once |
//! | `&mut [u8]` | its length; the bytes come with the reply | room in the message page; the method returns how many it filled, as `usize` |
//! | `Session`, `Memory`, `Channel`, … | a handle of the server's own: the client keeps its one, and passes `&Session` | owned |
//! | `Option<Session>`, … | as the last handle | owned |
//! | [`Shared`](crate::wire::Shared) | a range of Memory | owned, checked against the Memory's size |
//! | `cx: &Context` | nothing; it is the first argument, and clients do not have it | [`Context`](crate::service::Context) |
//! | `reply: Reply<'_, T>` | nothing; it is the last argument, and clients get a `T` | the right to answer later: [`Reply`](crate::service::Reply) |
//!
//! Results are owned values of the same kinds, or tuples of them; handles in them are moved to the client. At most
//! four handles travel each way, and never inside data. All data of a message together fits in
//! [`PAYLOAD_BYTES`](abi::PAYLOAD_BYTES); what is larger goes through shared Memory.
//!
//! # Growing one
//!
//! A method is known by a hash of its protocol, class, name and types as written. New methods may be added at any
//! time: clients that want them check for them when they [`open`](crate::client::open). A method whose types or class
//! change is another one. Types that travel keep their form: postcard has no tags for fields.

pub mod block;
pub mod character;
pub mod console;
pub mod disks;
pub mod file;
pub mod filesystem;
pub mod list;
pub mod log;
pub mod namespace;
pub mod pci;
pub mod random;
pub mod registry;
pub mod rtc;

pub use block::{Block, BlockClient};
pub use character::{Character, CharacterClient};
pub use console::{Console, ConsoleClient};
pub use disks::{Disks, DisksClient};
pub use file::{File, FileClient};
pub use filesystem::{FileSystem, FileSystemClient};
pub use log::{Log, LogClient};
pub use namespace::{Namespace, NamespaceClient};
pub use pci::{Pci, PciClient, PciFunction, PciFunctionClient};
pub use random::{Random, RandomClient};
pub use registry::{Registry, RegistryClient};
pub use rtc::{Rtc, RtcClient};
