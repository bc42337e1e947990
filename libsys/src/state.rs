//! What a service keeps from one incarnation to the next.
//!
//! | module | for |
//! |---|---|
//! | [`records`] | records that change together, and with the reply to the request that changed them: exactly once |
//! | [`replies`] | those replies |
//! | [`schema`] | the form of records, and how they go to another one and back when a program is upgraded |
//! | [`Retained`] | an object that outlives the process, while it is used |
//! | here | one value, small enough to be written as a whole whenever it changes |
//!
//! It lies in Memory that init made for the service and gives every incarnation under the name `state` (the line `state BYTES` of
//! the manifest). There are two copies; the one that is not valid is written, and then counts: so whatever the instruction at which the
//! service dies, the next incarnation finds the last value that [`State::update`] has finished, or the one before.
//!
//! Larger things are objects of their own, [kept](crate::Object::set_kept), whose handles are in the value: see [`Keepsake`].

pub mod records;
pub mod replies;
mod retained;
pub mod schema;
mod storage;

pub use records::{Full, RecordKey, Records};
pub use retained::Retained;
pub use schema::{Migration, Schema, form_of};
pub use storage::Storage;

use crate::driver::Env;
use crate::service::{Result, StartError};
use crate::{Error, Handle, Object, WritableMapping, sys};
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::sync::atomic::{Ordering, fence};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Name of the Memory.
pub const NAME: &str = "state";

/// A copy: its number (0: none), its bytes, their checksum; then the bytes.
const NUMBER: usize = 0;
const BYTES: usize = 8;
const CHECKSUM: usize = 16;
const HEADER: usize = 24;

/// A value that outlives the incarnation.
#[derive(Debug)]
pub struct State<T> {
    memory: WritableMapping,
    /// Number of the copy that counts.
    number: u64,
    value: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> State<T> {
    /// The state that the manifest gave, and the value in it; `None` in the first incarnation.
    pub fn open(env: &Env) -> Result<(State<T>, Option<T>)> {
        let memory = env.memory(NAME)?.map_writable()?;
        State::of(memory).map_err(StartError::from)
    }

    /// The state in a mapping. Error: `BadArgument` (there is no room in it for anything).
    pub fn of(memory: WritableMapping) -> core::result::Result<(State<T>, Option<T>), Error> {
        if memory.bytes() / 2 <= HEADER {
            return Err(Error::BadArgument);
        }
        let mut state = State { memory, number: 0, value: PhantomData };
        let copies = [state.read(0), state.read(1)];
        let newest = copies.into_iter().flatten().max_by_key(|(number, _)| *number);
        let Some((number, bytes)) = newest else { return Ok((state, None)) };
        state.number = number;
        // Written by another version of the program: as if it had never been.
        let value = postcard::from_bytes(&bytes).ok();
        Ok((state, value))
    }

    /// Puts another value in the place of the one before. Error: `BadArgument` (it has more bytes than there is room for; the one before stays).
    pub fn update(&mut self, value: &T) -> core::result::Result<(), Error> {
        let bytes = postcard::to_allocvec(value).map_err(|_| Error::BadArgument)?;
        if bytes.len() > self.room() {
            return Err(Error::BadArgument);
        }
        let at = self.at(self.number + 1);
        let store = |field, value| self.memory.word_u64(at + field).store(value, Ordering::Relaxed);
        store(NUMBER, 0);
        fence(Ordering::SeqCst);
        self.memory.copy_in(at + HEADER, &bytes);
        store(BYTES, bytes.len() as u64);
        store(CHECKSUM, checksum(self.number + 1, &bytes));
        fence(Ordering::SeqCst);
        store(NUMBER, self.number + 1);
        fence(Ordering::SeqCst);
        self.number += 1;
        Ok(())
    }

    /// Bytes that a value may have.
    fn room(&self) -> usize {
        (self.memory.bytes() / 2 - HEADER) & !7
    }

    /// Where the copy with a number is.
    fn at(&self, number: u64) -> usize {
        (number & 1) as usize * (HEADER + self.room())
    }

    fn read(&self, copy: u64) -> Option<(u64, Vec<u8>)> {
        let at = self.at(copy);
        let load = |field| self.memory.load_u64(at + field, Ordering::Relaxed);
        let (number, length) = (load(NUMBER), usize::try_from(load(BYTES)).ok()?);
        if number == 0 || number & 1 != copy || length > self.room() {
            return None;
        }
        let mut bytes = alloc::vec![0; length];
        self.memory.copy_out(at + HEADER, &mut bytes);
        (checksum(number, &bytes) == load(CHECKSUM)).then_some((number, bytes))
    }
}

/// FNV-1a, over the number and the bytes: against what was written halfway, not against malice.
fn checksum(number: u64, bytes: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    number.to_le_bytes().iter().chain(bytes).fold(0xcbf2_9ce4_8422_2325, step)
}

/// The handle of a kept object, to be part of a [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keepsake(u64);

impl Keepsake {
    /// Keeps an object: its handle stays, under its number, for the next incarnation.
    pub fn of(object: &impl Object) -> core::result::Result<Keepsake, Error> {
        object.set_kept(true)?;
        Ok(Keepsake(object.handle().0))
    }

    /// The object, in this incarnation or a later one. To be taken once in each. Errors: `BadHandle` (it was closed), `WrongKind`.
    pub fn take<O: Object>(self) -> core::result::Result<O, Error> {
        let info = sys::handle_inspect(Handle(self.0))?;
        if info.kind == O::KIND { Ok(O::from_handle(Handle(self.0))) } else { Err(Error::WrongKind) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Memory, fake};
    use alloc::string::String;

    fn memory() -> Memory {
        Memory::create(&fake::account(), 4096).expect("memory")
    }

    fn open(memory: &Memory) -> (State<String>, Option<String>) {
        State::of(memory.map_writable().expect("a mapping")).expect("room")
    }

    #[test]
    fn the_last_value_is_found() {
        let memory = memory();
        assert_eq!(open(&memory).1, None);
        for count in 0..5 {
            let (mut state, before) = open(&memory);
            assert_eq!(before, (count > 0).then(|| "x".repeat(count)));
            state.update(&"y".into()).expect("room");
            state.update(&"x".repeat(count + 1)).expect("room");
        }
        let (mut state, _) = open(&memory);
        assert_eq!(state.update(&"z".repeat(2048)), Err(Error::BadArgument));
        assert_eq!(open(&memory).1, Some("xxxxx".into()));
    }

    #[test]
    fn what_is_written_halfway_does_not_count() {
        let memory = memory();
        let (mut state, _) = open(&memory);
        state.update(&"first".into()).expect("room");
        let before = memory.map_writable().expect("a mapping");
        let mut old = [0; 4096];
        before.copy_out(0, &mut old);
        state.update(&"second".into()).expect("room");
        let mut new = [0; 4096];
        before.copy_out(0, &mut new);
        let changed: Vec<usize> = (0..4096).filter(|index| old[*index] != new[*index]).collect();
        assert!(changed.len() > 8);
        // Every byte of the second copy, lost or spoiled.
        for index in changed {
            before.copy_in(0, &new);
            before.store_u8(index, !new[index]);
            assert_eq!(open(&memory).1, Some("first".into()), "byte {index}");
        }
        before.copy_in(0, &new);
        assert_eq!(open(&memory).1, Some("second".into()));
    }
}
