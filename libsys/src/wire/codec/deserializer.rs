//! Reads postcard's format. It differs from the crate's own deserializer in the number of instructions, and refuses what says that it
//! has more elements than bytes follow: so no message keeps its reader busy for long.

use core::fmt;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

/// The bytes are none of the type's, or the type cannot be read from this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

type Read<T> = Result<T, Malformed>;

/// What is left to read.
pub(super) struct Deserializer<'de> {
    rest: &'de [u8],
}

impl<'de> Deserializer<'de> {
    #[inline(always)]
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Deserializer { rest: bytes }
    }

    /// Whether everything was read.
    #[inline(always)]
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline(always)]
    fn byte(&mut self) -> Read<u8> {
        let (byte, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline(always)]
    fn bytes(&mut self, count: u64) -> Read<&'de [u8]> {
        let count = usize::try_from(count).map_err(|_| Malformed)?;
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// A number of so many bits, at most 64.
    #[inline(always)]
    fn number<const BITS: u32>(&mut self) -> Read<u64> {
        let first = self.byte()?;
        if first <= 0x7f { Ok(first.into()) } else { self.longer_number::<BITS>(first) }
    }

    /// A number of more than one byte, all at once where eight bytes are left.
    #[inline]
    fn longer_number<const BITS: u32>(&mut self, first: u8) -> Read<u64> {
        const LAST: u64 = 0x8080_8080_8080_8080;
        let (number, length) = match self.rest.first_chunk() {
            Some(bytes) => {
                let bytes = u64::from_le_bytes(*bytes);
                // The lowest of the bits that say that nothing follows.
                let ends = !bytes & LAST;
                let end = ends & ends.wrapping_neg();
                let number = bytes & end.wrapping_sub(1) & !LAST;
                let number = number & 0x007f_007f_007f_007f | (number & 0x7f00_7f00_7f00_7f00) >> 1;
                let number = number & 0x0000_3fff_0000_3fff | (number & 0x3fff_0000_3fff_0000) >> 2;
                let number = number & 0x0fff_ffff | (number >> 32) << 28;
                (number << 7 | u64::from(first & 0x7f), ends.trailing_zeros() / 8 + 1)
            }
            None => return self.number_at_end::<BITS>(first),
        };
        if length > 8 {
            return self.number_at_end::<BITS>(first);
        }
        // Of the last byte that there can be, not all bits count.
        if (1 + length) > BITS.div_ceil(7) || BITS < 64 && number >> BITS != 0 {
            return Err(Malformed);
        }
        self.rest = self.rest.get(length as usize..).ok_or(Malformed)?;
        Ok(number)
    }

    /// The same byte by byte.
    #[inline]
    fn number_at_end<const BITS: u32>(&mut self, first: u8) -> Read<u64> {
        let mut number = u64::from(first & 0x7f);
        let mut shift = 7;
        for (index, byte) in self.rest.iter().enumerate() {
            if shift >= BITS {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if *byte <= 0x7f {
                if shift + 7 > BITS && byte >> (BITS - shift) != 0 {
                    break;
                }
                self.rest = &self.rest[index + 1..];
                return Ok(number);
            }
            shift += 7;
        }
        Err(Malformed)
    }

    fn large_number(&mut self) -> Read<u128> {
        let mut number = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            number |= u128::from(byte & 0x7f) << shift;
            if byte <= 0x7f {
                return if shift == 126 && byte > 3 { Err(Malformed) } else { Ok(number) };
            }
        }
        Err(Malformed)
    }

    #[inline(always)]
    fn signed<const BITS: u32>(&mut self) -> Read<i64> {
        let number = self.number::<BITS>()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// How many elements follow.
    #[inline(always)]
    fn count(&mut self) -> Read<usize> {
        let count = self.number::<64>()?;
        if count <= self.rest.len() as u64 { Ok(count as usize) } else { Err(Malformed) }
    }

    #[inline(always)]
    fn text(&mut self) -> Read<&'de str> {
        let bytes = self.number::<64>()?;
        let bytes = self.bytes(bytes)?;
        // Most text is ASCII, which is known sooner.
        if bytes.is_ascii() {
            // SAFETY: ASCII is UTF-8.
            return Ok(unsafe { core::str::from_utf8_unchecked(bytes) });
        }
        core::str::from_utf8(bytes).map_err(|_| Malformed)
    }
}

impl de::Error for Malformed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Malformed
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed")
    }
}

impl core::error::Error for Malformed {}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty => $read:ident $(::<$bits:literal>)?),* $(,)?) => { $(
        #[inline(always)]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            // As many bits as the type has.
            visitor.$visit(self.$read $(::<$bits>)?()? as $type)
        }
    )* };
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = Malformed;

    numbers! {
        deserialize_u8 visit_u8 u8 => byte,
        deserialize_u16 visit_u16 u16 => number::<16>,
        deserialize_u32 visit_u32 u32 => number::<32>,
        deserialize_u64 visit_u64 u64 => number::<64>,
        deserialize_u128 visit_u128 u128 => large_number,
        deserialize_i8 visit_i8 i8 => byte,
        deserialize_i16 visit_i16 i16 => signed::<16>,
        deserialize_i32 visit_i32 i32 => signed::<32>,
        deserialize_i64 visit_i64 i64 => signed::<64>,
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let number = self.large_number()?;
        visitor.visit_i128((number >> 1) as i128 ^ -((number & 1) as i128))
    }

    #[inline(always)]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.byte()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            _ => Err(Malformed),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_f32(f32::from_le_bytes(self.array()?))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_f64(f64::from_le_bytes(self.array()?))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let mut characters = self.text()?.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => visitor.visit_char(character),
            _ => Err(Malformed),
        }
    }

    #[inline(always)]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_borrowed_str(self.text()?)
    }

    #[inline(always)]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.deserialize_str(visitor)
    }

    #[inline(always)]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let bytes = self.number::<64>()?;
        visitor.visit_borrowed_bytes(self.bytes(bytes)?)
    }

    #[inline(always)]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.deserialize_bytes(visitor)
    }

    #[inline(always)]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.byte()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            _ => Err(Malformed),
        }
    }

    #[inline(always)]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_unit()
    }

    #[inline(always)]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        visitor.visit_unit()
    }

    #[inline(always)]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    #[inline(always)]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let left = self.count()?;
        visitor.visit_seq(Elements { deserializer: self, left })
    }

    #[inline(always)]
    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, visitor: V) -> Read<V::Value> {
        visitor.visit_seq(Elements { deserializer: self, left: count })
    }

    #[inline(always)]
    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, count: usize, visitor: V) -> Read<V::Value> {
        self.deserialize_tuple(count, visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let left = self.count()?;
        visitor.visit_map(Elements { deserializer: self, left })
    }

    #[inline(always)]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    #[inline(always)]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        visitor.visit_enum(self)
    }

    /// The format does not say what follows.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Read<V::Value> {
        Err(Malformed)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Read<V::Value> {
        Err(Malformed)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Read<V::Value> {
        Err(Malformed)
    }

    #[inline(always)]
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Elements of a sequence, entries of a map.
struct Elements<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Malformed;

    #[inline(always)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Read<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.deserializer).map(Some)
    }

    #[inline(always)]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> de::MapAccess<'de> for Elements<'_, 'de> {
    type Error = Malformed;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Read<Option<K::Value>> {
        de::SeqAccess::next_element_seed(self, seed)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Read<V::Value> {
        seed.deserialize(&mut *self.deserializer)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> de::EnumAccess<'de> for &mut Deserializer<'de> {
    type Error = Malformed;
    type Variant = Self;

    #[inline(always)]
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Read<(V::Value, Self)> {
        let index = self.number::<32>()? as u32;
        let variant = seed.deserialize(index.into_deserializer())?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Deserializer<'de> {
    type Error = Malformed;

    #[inline(always)]
    fn unit_variant(self) -> Read<()> {
        Ok(())
    }

    #[inline(always)]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Read<T::Value> {
        seed.deserialize(self)
    }

    #[inline(always)]
    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Read<V::Value> {
        de::Deserializer::deserialize_tuple(self, count, visitor)
    }

    #[inline(always)]
    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Read<V::Value> {
        de::Deserializer::deserialize_tuple(self, fields.len(), visitor)
    }
}
