//! The identity of a method: a 32-bit hash of its protocol, class, name and types as written.
//! Two builds that agree on the number agree on what the method is called, takes and returns.

use crate::parse::{Method, Protocol};
use quote::ToTokens;

/// Numbers below this are libsys's own methods, which every server answers.
const RESERVED: u32 = 16;

/// The identity of a method.
pub fn of(protocol: &str, method: &Method) -> u32 {
    let arguments: Vec<String> = method.arguments.iter().map(|argument| written(&argument.ty)).collect();
    let result = written(&method.result.ty);
    let text = format!("{protocol}::{}:{}({})->{result}", method.class.name(), method.name, arguments.join(","));
    hash(&text)
}

/// Refuses two methods of one number, and numbers that libsys keeps for itself.
pub fn check(protocol: &Protocol) -> syn::Result<()> {
    for (index, method) in protocol.methods.iter().enumerate() {
        let twin = protocol.methods[..index].iter().find(|other| other.identity == method.identity);
        let clash = match twin {
            Some(twin) => format!("has the same identity as `{}`", twin.name),
            None if method.identity < RESERVED => "has an identity that libsys keeps for itself".into(),
            None => continue,
        };
        let message = format!("`{}` {clash}: rename it (identities are 32-bit hashes)", method.name);
        return Err(syn::Error::new(method.name.span(), message));
    }
    Ok(())
}

/// A type as it was written, without the spacing, which differs between compilers.
fn written(ty: &impl ToTokens) -> String {
    ty.to_token_stream().to_string().chars().filter(|c| !c.is_whitespace()).collect()
}

/// FNV-1a, 32 bits.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ byte as u32).wrapping_mul(0x0100_0193))
}
