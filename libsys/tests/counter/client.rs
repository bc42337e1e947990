//! A client.

use super::counter::{CounterClient, CounterError};
use libsys::client::CallError;

/// Counts until the server refuses, and returns the last count.
pub fn fill(counter: &CounterClient) -> Result<u64, CallError<CounterError>> {
    let mut last = 0;
    loop {
        match counter.add(1) {
            Ok(count) => last = count,
            Err(CallError::Failed(CounterError::TooLarge)) => return Ok(last),
            Err(other) => return Err(other),
        }
    }
}
