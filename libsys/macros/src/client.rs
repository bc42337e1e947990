//! The client of a protocol: its methods over a session.

use crate::parse::{Argument, Method, Protocol};
use crate::travel::Travel;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};

/// A name of ours in a method's body, which an argument's name cannot meet.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// `struct NameClient` with the protocol's methods.
pub fn generate(protocol: &Protocol) -> TokenStream {
    let Protocol { name, visibility, .. } = protocol;
    let client = format_ident!("{name}Client");
    let about = format!("Calls a server of [`{name}`] over a session.");
    let methods = protocol.methods.iter().enumerate().map(|(index, method)| self::method(protocol, index, method));
    quote! {
        #[doc = #about]
        #[derive(Debug)]
        #visibility struct #client {
            link: ::libsys::client::Link,
        }

        impl ::libsys::client::Client for #client {
            const PROTOCOL: &'static str = ::core::stringify!(#name);
            const METHODS: &'static [::libsys::wire::Method] = <dyn #name>::METHODS;

            fn over(link: ::libsys::client::Link) -> Self {
                #client { link }
            }

            fn link(&self) -> &::libsys::client::Link {
                &self.link
            }

            fn link_mut(&mut self) -> &mut ::libsys::client::Link {
                &mut self.link
            }
        }

        impl #client {
            #(#methods)*
        }
    }
}

fn method(protocol: &Protocol, index: usize, method: &Method) -> TokenStream {
    let Method { attributes, name, arguments, result, .. } = method;
    let protocol = &protocol.name;
    let parameters = arguments.iter().map(parameter);
    let error = match &result.error {
        Some(error) => quote!(#error),
        None => quote!(::libsys::wire::NoError),
    };
    let value = value_type(method);
    let encode = encode(method);
    let decode = decode(method);
    let (outgoing, incoming, room) = (local("outgoing"), local("incoming"), local("room"));
    let measure = arguments.iter().find(|argument| matches!(argument.travel, Travel::Room)).map(|argument| {
        let buffer = &argument.name;
        quote!(let #room = ::libsys::wire::room(#buffer);)
    });
    quote! {
        #(#attributes)*
        #[inline]
        pub fn #name(&self, #(#parameters),*) -> ::core::result::Result<#value, ::libsys::client::CallError<#error>> {
            #measure
            self.link.call(
                const { &<dyn #protocol>::METHODS[#index] },
                |#outgoing: &mut ::libsys::wire::Outgoing<::libsys::message::CallPage>| { #encode },
                |#incoming: &mut ::libsys::wire::Incoming| { #decode },
                |error: &#error| {
                    // Where the error type has such a method itself, that one is meant.
                    #[allow(unused_imports)]
                    use ::libsys::client::Plausible as _;
                    error.is_implausible()
                },
            )
        }
    }
}

/// An argument of the client's method: as written, but handles are lent, as requests duplicate them.
fn parameter(argument: &Argument) -> TokenStream {
    let Argument { name, ty, travel, .. } = argument;
    match travel {
        Travel::Handle | Travel::Shared => quote!(#name: &#ty),
        Travel::OptionalHandle(handle) => quote!(#name: ::core::option::Option<&#handle>),
        _ => quote!(#name: #ty),
    }
}

fn value_type(method: &Method) -> TokenStream {
    let result = &method.result;
    let types = result.parts.iter().map(|(ty, _)| ty);
    match () {
        _ if result.is_count => quote!(usize),
        _ if result.is_tuple => quote!((#(#types),*)),
        _ => quote!(#(#types)*),
    }
}

fn encode(method: &Method) -> TokenStream {
    let outgoing = local("outgoing");
    let data = if method.asks_in_words() { words(method) } else { payload(method) };
    let handles = method.arguments.iter().filter_map(|Argument { name, travel, .. }| match travel {
        Travel::Handle => Some(quote!(#outgoing.lend(#name);)),
        Travel::Shared => Some(quote!(#outgoing.lend(&#name.memory);)),
        Travel::OptionalHandle(_) => Some(quote! {
            if let ::core::option::Option::Some(handle) = #name { #outgoing.lend(handle); }
        }),
        _ => None,
    });
    quote! {
        #data
        #(#handles)*
        ::core::result::Result::Ok(())
    }
}

fn words(method: &Method) -> TokenStream {
    let room = local("room");
    let outgoing = local("outgoing");
    let mut index = 0usize;
    let mut statements = Vec::new();
    let mut put = |value: TokenStream| {
        statements.push(quote!(#outgoing.word(#index, #value);));
        index += 1;
    };
    for Argument { name, travel, .. } in &method.arguments {
        match travel {
            Travel::Word => put(quote!(#name)),
            Travel::Room => put(quote!(#room)),
            Travel::Shared => {
                put(quote!(#name.offset));
                put(quote!(#name.bytes));
            }
            _ => {}
        }
    }
    quote!(#(#statements)*)
}

fn payload(method: &Method) -> TokenStream {
    let room = local("room");
    let outgoing = local("outgoing");
    let items = method.arguments.iter().filter_map(|Argument { name, travel, .. }| {
        Some(match travel {
            Travel::Word | Travel::Data => quote!(&#name),
            Travel::Bytes => quote!(::libsys::wire::Bytes(#name)),
            Travel::ByteVec => quote!(::libsys::wire::Bytes(&#name)),
            Travel::Text => quote!(#name),
            Travel::Lent(_) => quote!(#name),
            Travel::Room => quote!(#room),
            Travel::Shared => quote!((#name.offset, #name.bytes)),
            Travel::Handle | Travel::OptionalHandle(_) => return None,
        })
    });
    quote!(#outgoing.data(&(#(#items,)*))?;)
}

fn decode(method: &Method) -> TokenStream {
    let incoming = local("incoming");
    let result = &method.result;
    if result.is_count {
        let room = method.arguments.iter().find(|argument| matches!(argument.travel, Travel::Room));
        let buffer = room.map(|argument| &argument.name);
        return quote!(#incoming.bytes_into(#buffer));
    }
    let names: Vec<_> = (0..result.parts.len()).map(|index| format_ident!("part{index}")).collect();
    let handles = handles(method, &names);
    let data = if method.answers_in_words() { read_words(method, &names) } else { read_payload(method, &names) };
    let value = if result.is_tuple { quote!((#(#names),*)) } else { quote!(#(#names)*) };
    quote! {
        #handles
        #data
        ::core::option::Option::Some(#value)
    }
}

fn handles(method: &Method, names: &[Ident]) -> TokenStream {
    let incoming = local("incoming");
    let mut index = 0usize;
    let mut statements = Vec::new();
    for ((ty, travel), name) in method.result.parts.iter().zip(names) {
        match travel {
            Travel::Handle => statements.push(quote!(let #name: #ty = #incoming.handle(#index)?;)),
            Travel::Shared => statements.push(quote!(let #name = #incoming.handle(#index)?;)),
            Travel::OptionalHandle(_) => statements.push(quote!(let #name: #ty = #incoming.optional_handle(#index)?;)),
            _ => continue,
        }
        index += 1;
    }
    quote!(#(#statements)*)
}

fn read_words(method: &Method, names: &[Ident]) -> TokenStream {
    let incoming = local("incoming");
    let mut index = 0usize;
    let mut statements = Vec::new();
    for ((ty, travel), name) in method.result.parts.iter().zip(names) {
        match travel {
            Travel::Word => statements.push(quote!(let #name: #ty = #incoming.word(#index)?;)),
            Travel::Shared => {
                let next = index + 1;
                statements.push(quote! {
                    let #name = ::libsys::wire::Shared {
                        memory: #name, offset: #incoming.word(#index)?, bytes: #incoming.word(#next)?,
                    };
                });
                index += 1;
            }
            _ => continue,
        }
        index += 1;
    }
    quote!(#(#statements)*)
}

fn read_payload(method: &Method, names: &[Ident]) -> TokenStream {
    let incoming = local("incoming");
    let parts = method.result.parts.iter().zip(names).filter(|((_, travel), _)| travel.is_data());
    let (mut patterns, mut types, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for ((ty, travel), name) in parts {
        match travel {
            Travel::ByteVec => {
                patterns.push(quote!(::libsys::wire::ByteVec(#name)));
                types.push(quote!(::libsys::wire::ByteVec));
            }
            Travel::Shared => {
                patterns.push(quote!(range));
                types.push(quote!((u64, u64)));
                after.push(quote! {
                    let #name = ::libsys::wire::Shared { memory: #name, offset: range.0, bytes: range.1 };
                });
            }
            _ => {
                patterns.push(quote!(#name));
                types.push(quote!(#ty));
            }
        }
    }
    quote! {
        let (#(#patterns,)*) = #incoming.data::<(#(#types,)*)>()?;
        #(#after)*
    }
}
