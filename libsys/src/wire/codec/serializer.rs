//! Writes postcard's format into a payload. It differs from the crate's own serializer in nothing but the number of
//! instructions: everything inlines into what a message's type makes of it.

use super::Unencodable;
use abi::PAYLOAD_BYTES;
use core::fmt;
use serde::ser::{self, Serialize};

/// Room that numbers are written into without looking at each byte's place: more than any 64-bit number takes.
const NUMBER_ROOM: usize = 16;

/// What is written so far.
pub(super) struct Serializer<'a> {
    payload: &'a mut [u8; PAYLOAD_BYTES],
    length: usize,
}

impl<'a> Serializer<'a> {
    #[inline(always)]
    pub(super) fn new(payload: &'a mut [u8; PAYLOAD_BYTES]) -> Self {
        Serializer { payload, length: 0 }
    }

    /// Bytes that were written.
    #[inline(always)]
    pub(super) fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn byte(&mut self, byte: u8) -> Result<(), Unencodable> {
        *self.payload.get_mut(self.length).ok_or(Unencodable)? = byte;
        self.length += 1;
        Ok(())
    }

    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Unencodable> {
        let room = self.payload.get_mut(self.length..).and_then(|room| room.get_mut(..bytes.len()));
        room.ok_or(Unencodable)?.copy_from_slice(bytes);
        self.length += bytes.len();
        Ok(())
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    #[inline(always)]
    fn number(&mut self, number: u64) -> Result<(), Unencodable> {
        if number <= 0x7f { self.byte(number as u8) } else { self.longer_number::<64>(number) }
    }

    /// The same of a number of at most 32 bits.
    #[inline(always)]
    fn short_number(&mut self, number: u32) -> Result<(), Unencodable> {
        if number <= 0x7f { self.byte(number as u8) } else { self.longer_number::<32>(number.into()) }
    }

    /// A number of more than one byte: where there can be many, five to eight at once.
    #[inline(always)]
    fn longer_number<const BITS: u32>(&mut self, mut number: u64) -> Result<(), Unencodable> {
        let room = self.payload.get_mut(self.length..).and_then(|room| room.first_chunk_mut::<NUMBER_ROOM>());
        let Some(room) = room else { return self.number_at_end(number.into()) };
        let mut last = 0;
        if BITS == 32 || number >> 28 == 0 || number >> 56 != 0 {
            while number > 0x7f {
                room[last % NUMBER_ROOM] = number as u8 | 0x80;
                number >>= 7;
                last += 1;
            }
            room[last % NUMBER_ROOM] = number as u8;
        } else {
            last = number.ilog2() as usize / 7;
            let bytes = number & 0x0fff_ffff | number >> 28 << 32;
            let bytes = bytes & 0x0000_3fff_0000_3fff | bytes << 2 & 0x3fff_0000_3fff_0000;
            let bytes = bytes & 0x007f_007f_007f_007f | bytes << 1 & 0x7f00_7f00_7f00_7f00;
            let more = 0x0080_8080_8080_8080 & ((1 << (8 * last)) - 1);
            room[..8].copy_from_slice(&(bytes | more).to_le_bytes());
        }
        self.length += last + 1;
        Ok(())
    }

    /// The same where there is hardly room, and of larger numbers.
    #[cold]
    fn number_at_end(&mut self, mut number: u128) -> Result<(), Unencodable> {
        while number > 0x7f {
            self.byte(number as u8 | 0x80)?;
            number >>= 7;
        }
        self.byte(number as u8)
    }

    /// Numbers near zero are short, whatever their sign.
    #[inline(always)]
    fn short_signed(&mut self, number: i32) -> Result<(), Unencodable> {
        self.short_number((number << 1 ^ number >> 31) as u32)
    }

    #[inline(always)]
    fn signed(&mut self, number: i64) -> Result<(), Unencodable> {
        self.number((number << 1 ^ number >> 63) as u64)
    }
}

impl ser::Error for Unencodable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Unencodable
    }
}

impl fmt::Display for Unencodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it does not fit in a message, or refuses to be serialised")
    }
}

impl core::error::Error for Unencodable {}

type Done = Result<(), Unencodable>;

macro_rules! numbers {
    ($($method:ident $type:ty => $write:ident),* $(,)?) => { $(
        #[inline(always)]
        fn $method(self, value: $type) -> Done {
            self.$write(value.into())
        }
    )* };
}

impl<'s, 'a> ser::Serializer for &'s mut Serializer<'a> {
    type Ok = ();
    type Error = Unencodable;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! {
        serialize_bool bool => byte,
        serialize_u8 u8 => byte,
        serialize_u16 u16 => short_number,
        serialize_u32 u32 => short_number,
        serialize_u64 u64 => number,
        serialize_u128 u128 => number_at_end,
        serialize_i16 i16 => short_signed,
        serialize_i32 i32 => short_signed,
        serialize_i64 i64 => signed,
    }

    #[inline(always)]
    fn serialize_i8(self, value: i8) -> Done {
        self.byte(value as u8)
    }

    fn serialize_i128(self, value: i128) -> Done {
        self.number_at_end((value << 1 ^ value >> 127) as u128)
    }

    fn serialize_f32(self, value: f32) -> Done {
        self.bytes(&value.to_le_bytes())
    }

    fn serialize_f64(self, value: f64) -> Done {
        self.bytes(&value.to_le_bytes())
    }

    #[inline]
    fn serialize_char(self, value: char) -> Done {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline(always)]
    fn serialize_str(self, value: &str) -> Done {
        self.serialize_bytes(value.as_bytes())
    }

    #[inline(always)]
    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.number(value.len() as u64)?;
        self.bytes(value)
    }

    #[inline(always)]
    fn serialize_none(self) -> Done {
        self.byte(0)
    }

    #[inline(always)]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        self.byte(1)?;
        value.serialize(self)
    }

    #[inline(always)]
    fn serialize_unit(self) -> Done {
        Ok(())
    }

    #[inline(always)]
    fn serialize_unit_struct(self, _: &'static str) -> Done {
        Ok(())
    }

    #[inline(always)]
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Done {
        self.short_number(index)
    }

    #[inline(always)]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }

    #[inline(always)]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Done {
        self.short_number(index)?;
        value.serialize(self)
    }

    #[inline(always)]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, Unencodable> {
        self.number(length.ok_or(Unencodable)? as u64)?;
        Ok(self)
    }

    #[inline(always)]
    fn serialize_tuple(self, _: usize) -> Result<Self, Unencodable> {
        Ok(self)
    }

    #[inline(always)]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Unencodable> {
        Ok(self)
    }

    #[inline(always)]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unencodable> {
        self.short_number(index)?;
        Ok(self)
    }

    #[inline(always)]
    fn serialize_map(self, length: Option<usize>) -> Result<Self, Unencodable> {
        self.serialize_seq(length)
    }

    #[inline(always)]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unencodable> {
        Ok(self)
    }

    #[inline(always)]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unencodable> {
        self.short_number(index)?;
        Ok(self)
    }

    #[inline(always)]
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Parts of a whole, one after the other.
macro_rules! parts {
    ($($trait:ident $method:ident $(($name:ty))?),* $(,)?) => { $(
        impl ser::$trait for &mut Serializer<'_> {
            type Ok = ();
            type Error = Unencodable;

            #[inline(always)]
            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Done {
                value.serialize(&mut **self)
            }

            #[inline(always)]
            fn end(self) -> Done {
                Ok(())
            }
        }
    )* };
}

parts! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
    SerializeStruct serialize_field (&'static str),
    SerializeStructVariant serialize_field (&'static str),
}

impl ser::SerializeMap for &mut Serializer<'_> {
    type Ok = ();
    type Error = Unencodable;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        key.serialize(&mut **self)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Done {
        Ok(())
    }
}
