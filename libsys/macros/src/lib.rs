//! `#[protocol]`: from a trait that describes a protocol, its client and the server's dispatch.
//!
//! The trait itself comes out as it was written: it is what a server implements. Beside it stand
//!
//! - `<dyn Rtc>::METHODS`: names, identities and classes, the same for both sides;
//! - `<dyn Rtc>::dispatch(server, request)`: decodes a request, runs the server's method,
//!   encodes the answer; `libsys::serve!` calls it;
//! - `RtcClient`: the same methods for callers, over a session.
//!
//! [`parse`](crate) reads the trait into a `Protocol`, refusing what cannot travel; `travel` says how each
//! type travels; `identity` numbers the methods; `client` and `server` write the two sides.
//! The reference for authors is `libsys::protocol`.

mod client;
mod identity;
mod parse;
mod server;
#[cfg(test)]
mod tests;
mod travel;

use proc_macro2::TokenStream;
use quote::quote;

/// Makes the client and the server's dispatch of a protocol: see `libsys::protocol`.
#[proc_macro_attribute]
pub fn protocol(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let expanded = expand(arguments.into(), item.clone().into());
    // The trait stays even when it is refused, so that the one message is not buried under others.
    expanded.unwrap_or_else(|error| error.into_compile_error()).into()
}

fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(syn::Error::new_spanned(arguments, "#[protocol] takes no arguments"));
    }
    let protocol = parse::protocol(syn::parse2(item)?)?;
    identity::check(&protocol)?;
    let definition = &protocol.definition;
    let server = server::generate(&protocol);
    let client = client::generate(&protocol);
    Ok(quote! { #definition #server #client })
}
