//! What both sides know about a method before any call.

use super::Refusal;
use abi::{Class, Header};

/// A method of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name in the trait.
    pub name: &'static str,
    /// Hash of its protocol, name, types and class.
    pub identity: u32,
    /// What happens when the server dies.
    pub class: Class,
    /// Handles of the request, an optional one included.
    pub handles: usize,
    /// Whether the last handle may be left out.
    pub last_handle_is_optional: bool,
    /// Handles that the reply may bring.
    pub reply_handles: usize,
    /// Whether the request is words alone.
    pub asks_in_words: bool,
}

impl Method {
    /// Identity of the method by which [`crate::client::open`] asks whether a server has all methods of a list.
    pub const IDENTITIES: u32 = 0;

    /// Identity of the method that returns the [`crate::service::Statistics`] of a server.
    pub const STATISTICS: u32 = 1;

    /// The header of a request without payload and handles.
    #[inline(always)]
    pub const fn header(&self) -> Header {
        Header::words(self.identity, self.class).with_reply_handles(self.reply_handles)
    }

    /// Whether a request of this identity has the class, the handles and the kind of body that the method asks for.
    #[inline(always)]
    pub const fn admits(&self, header: Header) -> bool {
        // What may differ: a deadline and the mark of a replay always, a length and an optional handle sometimes.
        let mut free = Header(0).with_deadline().with_replayed().0;
        if !self.asks_in_words {
            free |= Header(0).with_payload(0x1fff).0;
        }
        if self.last_handle_is_optional {
            free |= Header(0).with_handles(7).0;
        }
        let expected = if self.last_handle_is_optional { 0 } else { self.handles };
        let matches = header.0 & !free == self.header().with_handles(expected).0 & !free;
        if !self.last_handle_is_optional {
            return matches;
        }
        matches && (header.handles() == self.handles || header.handles() + 1 == self.handles)
    }

    /// Why a request is not admitted.
    #[cold]
    pub fn refusal(&self, header: Header) -> Refusal {
        if header.class() != Some(self.class) {
            return Refusal::WrongClass;
        }
        let fewest = self.handles - usize::from(self.last_handle_is_optional);
        if !(fewest..=self.handles).contains(&header.handles()) || header.reply_handles() != self.reply_handles {
            return Refusal::WrongHandles;
        }
        Refusal::Malformed
    }
}

/// Whether no method of one protocol has the identity of a method of another: two such protocols
/// can share a channel.
pub const fn disjoint(one: &[Method], other: &[Method]) -> bool {
    let mut i = 0;
    while i < one.len() {
        let mut j = 0;
        while j < other.len() {
            if one[i].identity == other[j].identity {
                return false;
            }
            j += 1;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: Method = Method {
        name: "m",
        identity: 77,
        class: Class::Once,
        handles: 2,
        last_handle_is_optional: true,
        reply_handles: 1,
        asks_in_words: true,
    };

    #[test]
    fn admits_only_what_the_method_declares() {
        let header = METHOD.header().with_handles(2);
        assert!(METHOD.admits(header));
        assert!(METHOD.admits(header.with_handles(1)));
        assert!(METHOD.admits(header.with_deadline().with_replayed()));
        for (wrong, refusal) in [
            (header.with_handles(0), Refusal::WrongHandles),
            (header.with_handles(3), Refusal::WrongHandles),
            (header.with_reply_handles(0), Refusal::WrongHandles),
            (header.with_payload(1), Refusal::Malformed),
            (Header::words(77, Class::Replay).with_handles(2).with_reply_handles(1), Refusal::WrongClass),
        ] {
            assert!(!METHOD.admits(wrong));
            assert_eq!(METHOD.refusal(wrong), refusal);
        }
    }
}
