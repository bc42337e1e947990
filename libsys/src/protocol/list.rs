//! Lists that come in parts.
//!
//! A list may change between two parts of it. So a part begins at a *place*, which an entry keeps as long as it is in the list, and not behind so many
//! entries: what is there all the time is seen once, whatever comes and goes before it.

use alloc::vec::Vec;

/// An entry of such a list.
pub trait Listed {
    /// Where it is: places grow along the list.
    fn place(&self) -> u64;
}

/// A whole list, of which `part` fetches the entries from a place on, as many as a message holds, and none at the end.
///
/// Errors: those of `part`.
pub fn all<T: Listed, E>(mut part: impl FnMut(u64) -> Result<Vec<T>, E>) -> Result<Vec<T>, E> {
    let mut all: Vec<T> = Vec::new();
    loop {
        let some = part(all.last().map_or(0, |last| last.place() + 1))?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Listed for u64 {
        fn place(&self) -> u64 {
            *self
        }
    }

    #[test]
    fn what_stays_is_seen_once_whatever_comes_and_goes() {
        let mut there = alloc::vec![10, 20, 30, 40];
        let mut parts = 0;
        let seen = all(|from| {
            let part: Vec<u64> = there.iter().copied().filter(|place| *place >= from).take(2).collect();
            parts += 1;
            // One comes before those that were seen, then one of these goes.
            if parts == 1 {
                there.insert(0, 5);
            } else {
                there.retain(|place| *place != 10);
            }
            Ok::<_, ()>(part)
        });
        assert_eq!(seen, Ok(alloc::vec![10, 20, 30, 40]));
        assert_eq!(all(|from| if from == 0 { Ok(alloc::vec![1u64]) } else { Err(from) }), Err(2));
    }
}
