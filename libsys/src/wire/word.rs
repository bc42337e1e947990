//! Scalars, which travel as one word each.

/// A value of one word.
pub trait Word: Copy {
    /// The word; of a signed number, its sign extended.
    fn to_word(self) -> u64;

    /// The value; `None` for a word that is none.
    fn from_word(word: u64) -> Option<Self>;
}

macro_rules! unsigned {
    ($($name:ty),*) => { $(
        impl Word for $name {
            #[inline(always)]
            fn to_word(self) -> u64 {
                self.into()
            }

            #[inline(always)]
            fn from_word(word: u64) -> Option<Self> {
                word.try_into().ok()
            }
        }
    )* };
}

macro_rules! signed {
    ($($name:ty),*) => { $(
        impl Word for $name {
            #[inline(always)]
            fn to_word(self) -> u64 {
                i64::from(self) as u64
            }

            #[inline(always)]
            fn from_word(word: u64) -> Option<Self> {
                (word as i64).try_into().ok()
            }
        }
    )* };
}

unsigned!(u8, u16, u32, u64);
signed!(i8, i16, i32, i64);

impl Word for bool {
    #[inline(always)]
    fn to_word(self) -> u64 {
        self.into()
    }

    #[inline(always)]
    fn from_word(word: u64) -> Option<Self> {
        match word {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Word for char {
    #[inline(always)]
    fn to_word(self) -> u64 {
        u32::from(self).into()
    }

    #[inline(always)]
    fn from_word(word: u64) -> Option<Self> {
        u32::try_from(word).ok().and_then(char::from_u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_refuse_what_is_out_of_range() {
        assert_eq!(i32::from_word((-5i32).to_word()), Some(-5));
        assert_eq!(i8::from_word(i64::MIN.to_word()), None);
        assert_eq!(u8::from_word(256), None);
        assert_eq!(u8::from_word(255), Some(255));
        assert_eq!(bool::from_word(2), None);
        assert_eq!(char::from_word('ß'.to_word()), Some('ß'));
        assert_eq!(char::from_word(0xd800), None);
        assert_eq!(u64::from_word(u64::MAX), Some(u64::MAX));
    }
}
