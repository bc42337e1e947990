//! The header word of a message, in `rsi`.
//!
//! | bits | field |
//! |---|---|
//! | 0–12 | payload bytes in the message page, 0 to [`crate::PAYLOAD_BYTES`]; 0: the message is its eight words |
//! | 13–15 | handles that travel with it, 0 to 4 |
//! | 16–18 | request: handles that the reply may bring, 0 to 4 (slots are reserved for them) |
//! | 19–20 | [`Class`] of a request |
//! | 21 | a deadline is in the message page |
//! | 22 | delivered request: an earlier server had it already; see [`crate::MessagePage::faults`] |
//! | 23 | reply: its first handle is a session that the kernel mints for it; see [`crate::MessagePage::channel`] |
//! | 24 | receive: the close that words 0 and 1 name, badge and client, is acknowledged |
//! | 25–31 | zero |
//! | 32–63 | method identity; in replies free for the protocol |

/// What becomes of a request whose server died while it had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// It ends with [`crate::Error::PeerDied`].
    Fail = 0,
    /// It is given to the next incarnation: reading, or idempotent.
    Replay = 1,
    /// It is given to the next incarnation under the same key, which takes effect exactly once.
    Once = 2,
}

impl Class {
    /// The class with this number.
    pub const fn from_number(number: u64) -> Option<Class> {
        match number {
            0 => Some(Class::Fail),
            1 => Some(Class::Replay),
            2 => Some(Class::Once),
            _ => None,
        }
    }
}

/// The header word of a message: see the table of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Header(pub u64);

impl Header {
    const LENGTH: u64 = 0x1fff;
    const HANDLES: u32 = 13;
    const REPLY_HANDLES: u32 = 16;
    const CLASS: u32 = 19;
    const DEADLINE: u64 = 1 << 21;
    const REPLAYED: u64 = 1 << 22;
    const MINTS: u64 = 1 << 23;
    const ACKNOWLEDGES: u64 = 1 << 24;
    /// What no request has.
    const RESERVED: u64 = 0xff80_0000;

    /// A message of eight words, without handles, for a method.
    pub const fn words(method: u32, class: Class) -> Header {
        Header((method as u64) << 32 | (class as u64) << Header::CLASS)
    }

    /// The same with a payload of `bytes` in the message page.
    pub const fn with_payload(self, bytes: usize) -> Header {
        Header(self.0 & !Header::LENGTH | bytes as u64 & Header::LENGTH)
    }

    /// The same with this many handles in the message page.
    pub const fn with_handles(self, count: usize) -> Header {
        Header(self.0 & !(7 << Header::HANDLES) | (count as u64 & 7) << Header::HANDLES)
    }

    /// The same with room for this many handles in the reply.
    pub const fn with_reply_handles(self, count: usize) -> Header {
        Header(self.0 & !(7 << Header::REPLY_HANDLES) | (count as u64 & 7) << Header::REPLY_HANDLES)
    }

    /// The same with the deadline of the message page in force.
    pub const fn with_deadline(self) -> Header {
        Header(self.0 | Header::DEADLINE)
    }

    /// The same, marked as delivered before.
    pub const fn with_replayed(self) -> Header {
        Header(self.0 | Header::REPLAYED)
    }

    /// The same with a first handle that the kernel mints: of a reply.
    pub const fn with_minted(self) -> Header {
        Header(self.0 | Header::MINTS)
    }

    /// The same without that.
    pub const fn without_minted(self) -> Header {
        Header(self.0 & !Header::MINTS)
    }

    /// The same with the acknowledgement of a close: of a receive.
    pub const fn with_acknowledgement(self) -> Header {
        Header(self.0 | Header::ACKNOWLEDGES)
    }

    /// The same without that.
    pub const fn without_acknowledgement(self) -> Header {
        Header(self.0 & !Header::ACKNOWLEDGES)
    }

    /// Payload length in bytes.
    pub const fn payload_bytes(self) -> usize {
        (self.0 & Header::LENGTH) as usize
    }

    /// Handles that travel with the message.
    pub const fn handles(self) -> usize {
        (self.0 >> Header::HANDLES & 7) as usize
    }

    /// Handles that the reply may bring.
    pub const fn reply_handles(self) -> usize {
        (self.0 >> Header::REPLY_HANDLES & 7) as usize
    }

    /// The class of a request; `None` for the number that has no meaning.
    pub const fn class(self) -> Option<Class> {
        Class::from_number(self.0 >> Header::CLASS & 3)
    }

    /// Whether the message page holds a deadline.
    pub const fn has_deadline(self) -> bool {
        self.0 & Header::DEADLINE != 0
    }

    /// Whether the first handle of the reply is to be minted.
    pub const fn mints(self) -> bool {
        self.0 & Header::MINTS != 0
    }

    /// Whether a close is acknowledged with the receive.
    pub const fn acknowledges(self) -> bool {
        self.0 & Header::ACKNOWLEDGES != 0
    }

    /// Whether an earlier delivery of this request ended without an answer.
    pub const fn is_replayed(self) -> bool {
        self.0 & Header::REPLAYED != 0
    }

    /// The identity of the method.
    pub const fn method(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether it asks for nothing special: no handles either way, no deadline, no key, no reserved bit. What the kernel's fast paths
    /// take; the length is still to be checked.
    pub const fn is_plain(self) -> bool {
        self.0 & 0xffff_ffff & !Header::LENGTH & !(1 << Header::CLASS) == 0
    }

    /// Whether it asks for no more than a key, and room for handles in the reply: what the kernel's fast path of a call takes besides; the length is
    /// still to be checked.
    #[inline]
    pub const fn is_light(self) -> bool {
        let light = Header::LENGTH | 7 << Header::REPLY_HANDLES | 3 << Header::CLASS;
        self.0 & 0xffff_ffff & !light == 0 && self.is_valid()
    }

    /// Whether it is a reply that brings no handle but one that is minted: what the kernel's fast path of a reply takes besides. The receive behind it may have a deadline.
    #[inline]
    pub const fn is_light_reply(self) -> bool {
        let others = self.0 & 0xffff_ffff & !Header::LENGTH & !Header::DEADLINE & !(1 << Header::CLASS);
        (others == 0 || others == Header::MINTS | 1 << Header::HANDLES) && self.payload_bytes() <= crate::PAYLOAD_BYTES
    }

    /// Whether every field of a reply is in its range.
    pub const fn is_valid_reply(self) -> bool {
        self.without_minted().is_valid() && (!self.mints() || self.handles() > 0)
    }

    /// Whether every field of a request is in its range.
    pub const fn is_valid(self) -> bool {
        self.payload_bytes() <= crate::PAYLOAD_BYTES
            && self.handles() <= crate::message::HANDLES
            && self.reply_handles() <= crate::message::HANDLES
            && self.class().is_some()
            && self.0 & (Header::RESERVED | Header::REPLAYED) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_overlap() {
        let header = Header::words(0xdead_beef, Class::Once)
            .with_payload(3968)
            .with_handles(4)
            .with_reply_handles(3)
            .with_deadline();
        assert!(header.is_valid());
        assert_eq!(header.method(), 0xdead_beef);
        assert_eq!(header.payload_bytes(), 3968);
        assert_eq!((header.handles(), header.reply_handles()), (4, 3));
        assert_eq!(header.class(), Some(Class::Once));
        assert!(header.has_deadline() && !header.is_replayed() && !header.is_plain());
    }

    #[test]
    fn contradictions_are_invalid() {
        assert!(!Header::default().with_payload(3969).is_valid());
        assert!(!Header::default().with_handles(5).is_valid());
        assert!(!Header::default().with_reply_handles(7).is_valid());
        assert!(!Header(3 << 19).is_valid());
        assert!(!Header(1 << 23).is_valid());
        assert!(!Header::default().with_replayed().is_valid());
        assert!(Header::words(1, Class::Replay).with_payload(8).is_plain());
        assert!(!Header::words(1, Class::Once).is_plain());
    }

    #[test]
    fn light_requests_have_a_key_or_room_for_handles_and_nothing_else() {
        let light = Header::words(1, Class::Once).with_payload(64).with_reply_handles(4);
        assert!(light.is_light() && Header::words(1, Class::Fail).is_light());
        for heavy in [light.with_handles(1), light.with_deadline(), light.with_replayed(), light.with_reply_handles(5)]
        {
            assert!(!heavy.is_light(), "{heavy:?}");
        }
        assert!(!Header(3 << 19).is_light() && !Header(1 << 23).is_light());
    }

    #[test]
    fn only_a_reply_with_a_handle_mints() {
        let reply = Header::words(1, Class::Fail).with_payload(64).with_handles(1).with_minted();
        assert!(reply.mints() && reply.is_valid_reply() && reply.is_light_reply() && !reply.is_valid());
        assert!(Header::default().is_light_reply() && !Header::default().with_handles(1).is_light_reply());
        assert!(reply.with_handles(2).is_valid_reply() && !reply.with_handles(2).is_light_reply());
        for wrong in
            [reply.with_handles(0), reply.with_payload(3969), reply.with_acknowledgement(), reply.with_replayed()]
        {
            assert!(!wrong.is_valid_reply() && !wrong.is_light_reply(), "{wrong:?}");
        }
        assert_eq!(reply.without_minted(), Header::words(1, Class::Fail).with_payload(64).with_handles(1));
        let receive = Header::default().with_acknowledgement();
        assert!(receive.acknowledges() && !receive.mints() && receive.without_acknowledgement() == Header::default());
    }
}
