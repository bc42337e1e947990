//! How a type travels: as a word, as postcard data, as borrowed bytes, as a handle. Decided
//! from the type as it is written, since a macro sees nothing else.

use syn::{GenericArgument, PathArguments, Type, TypePath};

/// How an argument, or a part of a result, travels.
pub enum Travel {
    /// A scalar: one word.
    Word,
    /// Postcard data.
    Data,
    /// `Vec<u8>`: data, copied as a whole.
    ByteVec,
    /// `&[u8]`: the receiver borrows it from the message page.
    Bytes,
    /// `&str`: the receiver borrows it from the message page.
    Text,
    /// `&T`: data that the receiver decodes and lends to the method.
    Lent(Box<Type>),
    /// `&mut [u8]`: room for the reply's bytes; the method returns how many it filled.
    Room,
    /// A typed handle.
    Handle,
    /// `Option` of a typed handle.
    OptionalHandle(Box<Type>),
    /// `Shared`: a range of Memory; a handle and two numbers.
    Shared,
}

/// The scalars. `usize` is not one: it has no width of its own.
const WORDS: [&str; 10] = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "bool", "char"];

/// The typed handles of `libsys`.
const HANDLES: [&str; 10] =
    ["Account", "Channel", "DmaDomain", "Interrupt", "Memory", "Ports", "Process", "Resource", "Session", "Thread"];

impl Travel {
    /// How an argument of this type travels.
    pub fn of_argument(ty: &Type) -> syn::Result<Travel> {
        let Type::Reference(reference) = ty else { return Travel::of_value(ty) };
        let is_mutable = reference.mutability.is_some();
        match &*reference.elem {
            Type::Slice(slice) if is_named(&slice.elem, "u8") => {
                Ok(if is_mutable { Travel::Room } else { Travel::Bytes })
            }
            _ if is_mutable => refuse(ty, "only `&mut [u8]`, room for the reply's bytes, can be lent for writing"),
            Type::Slice(_) => refuse(ty, "of slices only `&[u8]` travels: write `Vec<T>`"),
            element if is_named(element, "str") => Ok(Travel::Text),
            element => match Travel::of_value(element)? {
                Travel::Data | Travel::ByteVec => Ok(Travel::Lent(Box::new(element.clone()))),
                Travel::Word => refuse(ty, "a scalar travels by value"),
                _ => refuse(ty, "the server receives a handle of its own: write it without `&`"),
            },
        }
    }

    /// How a value of this type travels.
    pub fn of_value(ty: &Type) -> syn::Result<Travel> {
        let path = match ty {
            Type::Path(path) => path,
            Type::Tuple(_) | Type::Array(_) => return Ok(Travel::Data),
            Type::Reference(_) => return refuse(ty, "a result is owned: it outlives the call"),
            _ => return refuse(ty, "this kind of type cannot travel in a message"),
        };
        let name = name(path);
        if name == "usize" || name == "isize" {
            return refuse(ty, "`usize` has no fixed width: write `u32` or `u64`");
        }
        if WORDS.contains(&name.as_str()) {
            return Ok(Travel::Word);
        }
        if HANDLES.contains(&name.as_str()) {
            return Ok(Travel::Handle);
        }
        match (name.as_str(), generic(path)) {
            ("Shared", None) => Ok(Travel::Shared),
            ("Vec", Some(element)) if is_named(element, "u8") => Ok(Travel::ByteVec),
            ("Option", Some(inner)) => match Travel::of_value(inner)? {
                Travel::Handle => Ok(Travel::OptionalHandle(Box::new(inner.clone()))),
                Travel::Shared => refuse(ty, "an optional `Shared` cannot travel"),
                _ => Ok(Travel::Data),
            },
            ("Vec", Some(inner))
                if !matches!(Travel::of_value(inner)?, Travel::Word | Travel::Data | Travel::ByteVec) =>
            {
                refuse(ty, "handles travel as arguments of their own, never inside data")
            }
            _ => Ok(Travel::Data),
        }
    }

    /// Whether it puts something into the words or the payload.
    pub fn is_data(&self) -> bool {
        !matches!(self, Travel::Handle | Travel::OptionalHandle(_))
    }

    /// Whether it brings a handle.
    pub fn is_handle(&self) -> bool {
        matches!(self, Travel::Handle | Travel::OptionalHandle(_) | Travel::Shared)
    }

    /// Words that it takes in a message of words; `None` where it needs postcard.
    pub fn words(&self) -> Option<usize> {
        match self {
            Travel::Word | Travel::Room => Some(1),
            Travel::Shared => Some(2),
            Travel::Handle | Travel::OptionalHandle(_) => Some(0),
            _ => None,
        }
    }

    /// Whether the receiver's value borrows from the message page while the method runs.
    pub fn is_borrowed(&self) -> bool {
        matches!(self, Travel::Bytes | Travel::Text | Travel::Room)
    }
}

/// Whether parts together travel as words alone: all scalars, and no more than fit.
pub fn all_words<'a>(parts: impl Iterator<Item = &'a Travel>) -> bool {
    let mut total = 0;
    for part in parts {
        match part.words() {
            Some(words) => total += words,
            None => return false,
        }
    }
    total <= 8
}

/// Whether a type is this name without generic arguments.
pub fn is_named(ty: &Type, expected: &str) -> bool {
    matches!(ty, Type::Path(path) if name(path) == expected && generic(path).is_none())
}

/// The last segment of a path.
pub fn name(path: &TypePath) -> String {
    path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
}

/// The first type among the generic arguments of a path's last segment.
pub fn generic(path: &TypePath) -> Option<&Type> {
    generics(path).into_iter().next()
}

/// The types among the generic arguments of a path's last segment.
pub fn generics(path: &TypePath) -> Vec<&Type> {
    match path.path.segments.last().map(|segment| &segment.arguments) {
        Some(PathArguments::AngleBracketed(arguments)) => arguments
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn refuse<T>(ty: &Type, message: &str) -> syn::Result<T> {
    Err(syn::Error::new_spanned(ty, message))
}
