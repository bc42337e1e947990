//! What the macro refuses, and what identities depend on.

use super::expand;
use crate::parse;
use proc_macro2::TokenStream;
use quote::quote;

/// The message with which a protocol of these methods is refused.
fn refusal(methods: TokenStream) -> String {
    match expand(quote!(), quote!(pub trait P { #methods })) {
        Ok(_) => String::from("accepted"),
        Err(error) => error.to_string(),
    }
}

/// The identity of the only method of `trait P`.
fn identity(method: TokenStream) -> u32 {
    let item = syn::parse2(quote!(trait P { #method })).expect("a trait");
    parse::protocol(item).unwrap_or_else(|error| panic!("{error}")).methods[0].identity
}

#[test]
fn every_method_has_exactly_one_class() {
    let message = refusal(quote!(
        fn m(&self);
    ));
    assert!(message.contains("`m` does not say what happens when its server dies"), "{message}");
    assert!(
        refusal(quote!(
            #[once]
            #[fail]
            fn m(&self);
        ))
        .contains("one class")
    );
    assert_eq!(
        refusal(quote!(
            #[once]
            fn m(&self);
        )),
        "accepted"
    );
}

#[test]
fn what_cannot_travel_is_refused() {
    for (method, reason) in [
        (
            quote!(
                fn m(&self, n: usize);
            ),
            "no fixed width",
        ),
        (
            quote!(
                fn m(&self) -> usize;
            ),
            "no fixed width",
        ),
        (
            quote!(
                fn m(&self, n: Option<usize>);
            ),
            "no fixed width",
        ),
        (
            quote!(
                fn m(&self, n: &u32);
            ),
            "by value",
        ),
        (
            quote!(
                fn m(&self, n: &mut u32);
            ),
            "only `&mut [u8]`",
        ),
        (
            quote!(
                fn m(&self, n: &[u32]);
            ),
            "write `Vec<T>`",
        ),
        (
            quote!(
                fn m(&self, n: &Memory);
            ),
            "without `&`",
        ),
        (
            quote!(
                fn m(&self, n: Vec<Memory>);
            ),
            "never inside data",
        ),
        (
            quote!(
                fn m(&self, n: impl Copy);
            ),
            "cannot travel",
        ),
        (
            quote!(
                fn m(&self, n: fn());
            ),
            "cannot travel",
        ),
        (
            quote!(
                fn m(&self) -> &str;
            ),
            "a result is owned",
        ),
        (
            quote!(
                fn m(&self) -> Result<u32>;
            ),
            "write both types",
        ),
        (
            quote!(
                fn m(&self, buffer: &mut [u8]) -> u32;
            ),
            "how many bytes it filled",
        ),
        (
            quote!(
                fn m(&self, a: &mut [u8], b: &mut [u8]) -> usize;
            ),
            "at most one",
        ),
        (
            quote!(
                fn m(&self, a: &mut [u8], r: Reply<'_, usize>);
            ),
            "at most one",
        ),
        (
            quote!(
                fn m(&self, r: Reply<'_, u32>, n: u32);
            ),
            "last argument",
        ),
        (
            quote!(
                fn m(&self, r: Reply<'_, u32>) -> u32;
            ),
            "returns nothing",
        ),
        (
            quote!(
                fn m(&self, n: u32, cx: &Context);
            ),
            "first argument",
        ),
        (
            quote!(
                fn m(&self, a: Memory, b: Memory, c: Memory, d: Memory, e: Memory);
            ),
            "at most four",
        ),
        (
            quote!(
                fn m(&self, a: Option<Memory>, b: Memory);
            ),
            "only the last handle",
        ),
        (
            quote!(
                fn m(&self, (a, b): (u8, u8));
            ),
            "has a name",
        ),
        (
            quote!(
                fn m();
            ),
            "`&self`",
        ),
        (
            quote!(
                fn m<T>(&self, t: T);
            ),
            "generic",
        ),
        (
            quote!(
                async fn m(&self);
            ),
            "neither async",
        ),
    ] {
        let message = refusal(quote!(#[replay] #method));
        assert!(message.contains(reason), "{method}: {message}");
    }
    assert!(
        refusal(quote!(
            type Error = u32;
        ))
        .contains("consists of methods")
    );
    assert!(refusal(quote!()).contains("at least one method"));
    assert!(
        expand(
            quote!(version = 1),
            quote!(
                trait P {}
            )
        )
        .is_err()
    );
    assert!(
        expand(
            quote!(),
            quote!(
                trait P<T> {}
            )
        )
        .is_err()
    );
    assert!(
        expand(
            quote!(),
            quote!(
                struct P;
            )
        )
        .is_err()
    );
}

#[test]
fn one_identity_for_two_methods_is_refused() {
    // The same method twice is the collision that needs no search.
    let message = refusal(quote!(
        #[fail]
        fn m(&self);
        #[fail]
        fn m(&self);
    ));
    assert!(message.contains("same identity as `m`"), "{message}");
}

#[test]
fn an_identity_is_that_of_name_types_and_class() {
    let original = identity(quote!(
        #[replay]
        fn m(&mut self, a: u32, b: &str) -> Result<(), E>;
    ));
    for same in [
        quote!(
            #[replay]
            fn m(&self, x: u32, y: &str) -> Result<(), E>;
        ),
        quote!(
            #[doc = "…"]
            #[replay]
            fn m(&mut self, cx: &Context, a: u32, b: &str) -> Result<(), E>;
        ),
        quote!(
            #[replay]
            fn m(&mut self, a: u32, b: &str, r: Reply<'_, Result<(), E>>);
        ),
    ] {
        assert_eq!(identity(same.clone()), original, "{same}");
    }
    for other in [
        quote!(
            #[once]
            fn m(&mut self, a: u32, b: &str) -> Result<(), E>;
        ),
        quote!(
            #[replay]
            fn n(&mut self, a: u32, b: &str) -> Result<(), E>;
        ),
        quote!(
            #[replay]
            fn m(&mut self, a: u64, b: &str) -> Result<(), E>;
        ),
        quote!(
            #[replay]
            fn m(&mut self, b: &str, a: u32) -> Result<(), E>;
        ),
        quote!(
            #[replay]
            fn m(&mut self, a: u32, b: &str) -> Result<(), F>;
        ),
    ] {
        assert_ne!(identity(other.clone()), original, "{other}");
    }
}

#[test]
fn identities_stay_what_they_are() {
    // A change of the hash would make every built client a stranger to every built server.
    assert_eq!(
        identity(quote!(
            #[replay]
            fn now(&mut self) -> Result<UnixTime, RtcError>;
        )),
        0x5e85_5f99
    );
}

#[test]
fn the_trait_comes_out_as_written() {
    let expanded = expand(
        quote!(),
        quote!(
            pub trait P {
                #[doc = "d"]
                #[once]
                fn m(&mut self, cx: &Context, a: u8);
            }
        ),
    );
    let text = expanded.expect("a protocol").to_string();
    let written = quote!(
        pub trait P {
            #[doc = "d"]
            fn m(&mut self, cx: &Context, a: u8);
        }
    )
    .to_string();
    assert!(text.starts_with(&written), "{text}");
    assert!(!text.contains("unsafe"));
}
