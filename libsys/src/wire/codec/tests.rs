//! The codec against the postcard crate, whose format it has.

use super::*;
use abi::WORDS;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pair(u16, i64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    One(i16),
    Two(char, Option<u8>),
    Named { text: String, pair: Pair },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct All {
    numbers: (u8, u16, u32, u64, u128),
    signed: (i8, i16, i32, i64, i128),
    is_set: bool,
    floats: (f32, f64),
    text: String,
    list: Vec<Option<u32>>,
    map: BTreeMap<u8, String>,
    shapes: Vec<Shape>,
    unit: (Unit, ()),
    array: [u16; 3],
}

fn payload() -> [u8; PAYLOAD_BYTES] {
    [0xaa; PAYLOAD_BYTES]
}

/// What an encoded value is in bytes.
fn bytes_of<T: Serialize>(value: &T) -> Result<Vec<u8>, Unencodable> {
    let (mut payload, mut words) = (payload(), [0; WORDS]);
    Ok(match encode(value, &mut payload, &mut words)? {
        0 => Small::of(&words).data().expect("a length").to_vec(),
        bytes => payload[..bytes].to_vec(),
    })
}

/// The crate's bytes, and both ways back.
fn check<T: Serialize + for<'a> Deserialize<'a> + PartialEq + core::fmt::Debug>(value: &T) {
    let bytes = postcard::to_allocvec(value).expect("bytes");
    if bytes.len() > PAYLOAD_BYTES {
        assert_eq!(bytes_of(value), Err(Unencodable));
    } else {
        assert_eq!(bytes_of(value).as_ref(), Ok(&bytes));
    }
    assert_eq!(decode::<T>(&bytes).as_ref(), Some(value));
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Nothing),
        any::<i16>().prop_map(Shape::One),
        any::<(char, Option<u8>)>().prop_map(|(a, b)| Shape::Two(a, b)),
        any::<(String, u16, i64)>().prop_map(|(text, a, b)| Shape::Named { text, pair: Pair(a, b) }),
    ]
}

fn all() -> impl Strategy<Value = All> {
    let numbers = any::<((u8, u16, u32, u64, u128), (i8, i16, i32, i64, i128))>();
    let floats = (-1e9f32..1e9, -1e300f64..1e300);
    let texts = (any::<String>(), any::<Vec<Option<u32>>>(), any::<BTreeMap<u8, String>>());
    let rest = (any::<bool>(), proptest::collection::vec(shape(), 0..5), any::<[u16; 3]>());
    (numbers, floats, texts, rest).prop_map(|((numbers, signed), floats, (text, list, map), rest)| {
        let (is_set, shapes, array) = rest;
        All { numbers, signed, is_set, floats, text, list, map, shapes, unit: (Unit, ()), array }
    })
}

proptest! {
    #[test]
    fn the_format_is_postcards(value in all()) {
        check(&value);
    }

    #[test]
    fn small_numbers_are_too(bits in 0u32..64, number: u64) {
        let number = number >> bits;
        check(&number);
        check(&(number as u32, number as u16, number as i64, number as i32, number as i16));
    }

    #[test]
    fn what_the_crate_refuses_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        fn same<'a, T: Deserialize<'a> + PartialEq + core::fmt::Debug>(bytes: &'a [u8]) {
            let expected = postcard::take_from_bytes::<T>(bytes).ok().filter(|(_, rest)| rest.is_empty());
            assert_eq!(decode::<T>(bytes), expected.map(|(value, _)| value));
        }
        same::<u16>(&bytes);
        same::<(u32, i64)>(&bytes);
        same::<u128>(&bytes);
        same::<&str>(&bytes);
        same::<Vec<Shape>>(&bytes);
        same::<BTreeMap<u8, Option<bool>>>(&bytes);
    }
}

#[test]
fn numbers_that_are_too_large_are_refused() {
    for (bytes, is_good) in [(&[0xff, 0xff, 3][..], true), (&[0xff, 0xff, 4], false), (&[0xff, 0xff, 0x83, 0], false)] {
        assert_eq!(decode::<u16>(bytes).is_some(), is_good, "{bytes:?}");
        assert_eq!(postcard::from_bytes::<u16>(bytes).is_ok(), is_good, "{bytes:?}");
    }
}

#[test]
fn a_long_list_of_nothing_is_refused() {
    assert_eq!(decode::<Vec<()>>(&[0xff, 0xff, 0xff, 0xff, 0x7f]), None);
}

#[test]
fn all_lengths_up_to_the_page_fit() {
    for length in [0, 1, 60, 61, 62, 63, 64, 127, 128, PAYLOAD_BYTES - 16, PAYLOAD_BYTES - 2] {
        check(&"x".repeat(length));
        // A number at the very end.
        check(&("x".repeat(length.saturating_sub(8)), 300u16, 7u8));
    }
    for length in [PAYLOAD_BYTES - 1, PAYLOAD_BYTES, PAYLOAD_BYTES + 1] {
        assert_eq!(bytes_of(&"x".repeat(length)), Err(Unencodable));
    }
}

#[test]
fn words_bring_nothing_else() {
    let (mut payload, mut words) = (payload(), [u64::MAX; WORDS]);
    assert_eq!(encode(&7u8, &mut payload, &mut words), Ok(0));
    assert_eq!(words, [7, 0, 0, 0, 0, 0, 0, 1 << 56]);
    assert_eq!(encode(&"x".repeat(62), &mut payload, &mut words), Ok(0));
    assert_eq!(encode(&"x".repeat(63), &mut payload, &mut words), Ok(64));
}

#[test]
fn a_length_that_is_none_is_refused() {
    for length in 0..=255u64 {
        let data = Small::of(&[0, 0, 0, 0, 0, 0, 0, length << 56]).data().map(<[u8]>::len);
        assert_eq!(data, (length < 64).then_some(length as usize));
    }
}
