//! The server's side of a protocol: its table of methods and its dispatch.

use crate::parse::{Argument, Class, Method, Protocol};
use crate::travel::Travel;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// `<dyn Name>::METHODS` and `<dyn Name>::dispatch`.
pub fn generate(protocol: &Protocol) -> TokenStream {
    let Protocol { name, methods, .. } = protocol;
    let entries = methods.iter().map(entry);
    let arms = methods.iter().enumerate().map(|(index, method)| arm(name, index, method));
    let count = methods.len();
    quote! {
        impl dyn #name {
            /// The methods of the protocol, in the order of its trait.
            pub const METHODS: &'static [::libsys::wire::Method] = {
                const METHODS: [::libsys::wire::Method; #count] = [#(#entries),*];
                &METHODS
            };

            /// Runs the method of `server` that a request asks for, and makes its answer.
            #[inline]
            pub fn dispatch<S: #name + ?Sized>(
                server: &mut S,
                request: &::libsys::wire::Request,
            ) -> ::libsys::wire::Answer {
                match request.method() {
                    #(#arms)*
                    _ => ::libsys::wire::Answer::NoSuchMethod,
                }
            }
        }
    }
}

fn entry(method: &Method) -> TokenStream {
    let Method { name, identity, .. } = method;
    let class = match method.class {
        Class::Fail => quote!(Fail),
        Class::Replay => quote!(Replay),
        Class::Once => quote!(Once),
    };
    let name = name.to_string();
    let handles = method.handles();
    let reply_handles = method.reply_handles();
    let last_handle_is_optional = method.last_handle_is_optional();
    let asks_in_words = method.asks_in_words();
    quote! {
        ::libsys::wire::Method {
            name: #name,
            identity: #identity,
            class: ::libsys::wire::Class::#class,
            handles: #handles,
            last_handle_is_optional: #last_handle_is_optional,
            reply_handles: #reply_handles,
            asks_in_words: #asks_in_words,
        }
    }
}

fn arm(protocol: &Ident, index: usize, method: &Method) -> TokenStream {
    let Method { name, identity, .. } = method;
    let handles = handles(method);
    let data = data(method);
    // It reads the serve page, which the arguments may borrow from then on.
    let read_context = method.takes_context.then(|| quote!(let context = request.context();));
    let context = method.takes_context.then(|| quote!(&context,));
    let arguments = method.arguments.iter().map(argument);
    let encode = encode(method);
    let body = if method.is_deferred {
        let answer = &method.result.ty;
        let drop_page = method.borrows().then(|| quote!(::core::mem::drop(page);));
        quote! {
            let mut slot = ::libsys::service::Slot::<#answer>::new(#encode);
            <S as #protocol>::#name(server, #context #(#arguments,)* ::libsys::service::Reply::new(&mut slot));
            #drop_page
            slot.finish(request)
        }
    } else {
        let finish = if method.result.is_count { finish_room(method) } else { quote!(request.answer(result, #encode)) };
        // A guard of the page, and what was borrowed from it, ends with the block, before the answer is encoded.
        let drop_page = (method.borrows() && !method.result.is_count).then(|| quote!(::core::mem::drop(page);));
        quote! {
            let result = <S as #protocol>::#name(server, #context #(#arguments),*);
            #drop_page
            #finish
        }
    };
    quote! {
        #identity => {
            const METHOD: &::libsys::wire::Method = &<dyn #protocol>::METHODS[#index];
            if !METHOD.admits(request.header()) {
                return request.refuse_header(METHOD);
            }
            #handles
            #read_context
            #data
            #body
        }
    }
}

/// Takes the handles out of the request.
fn handles(method: &Method) -> TokenStream {
    let mut index = 0usize;
    let mut statements = Vec::new();
    for Argument { local: name, ty, travel, .. } in &method.arguments {
        let (ty, get) = match travel {
            Travel::Handle => (quote!(#ty), quote!(handle)),
            Travel::Shared => (quote!(_), quote!(handle)),
            Travel::OptionalHandle(_) => (quote!(#ty), quote!(optional_handle)),
            _ => continue,
        };
        statements.push(quote! {
            let #name: #ty = match request.#get(#index) {
                ::core::result::Result::Ok(handle) => handle,
                ::core::result::Result::Err(refusal) => return request.refuse(refusal),
            };
        });
        index += 1;
    }
    quote!(#(#statements)*)
}

/// Decodes what is not a handle.
fn data(method: &Method) -> TokenStream {
    // A refusal closes handles, which takes the page.
    let drop_page = method.borrows().then(|| quote!(::core::mem::drop(page);));
    let malformed = quote!({
        #drop_page
        return request.refuse(::libsys::wire::Refusal::Malformed);
    });
    let page = method.borrows().then(|| {
        let source = match method.asks_in_words() {
            true => quote! {
                let start = 0;
                let room = page.payload_mut();
            },
            false => quote! {
                let ::core::option::Option::Some((data, room)) = request.data_in(&mut page) else #malformed;
                let start = data.len();
            },
        };
        quote! {
            let mut page = ::libsys::message::ServePage::take();
            #source
        }
    });
    let unused_room = (method.borrows() && !method.result.is_count).then(|| quote!(let _ = (start, room);));
    let decoded = if method.asks_in_words() {
        words(method, &malformed)
    } else {
        let (patterns, types, after) = payload(method, &malformed);
        let source = if method.borrows() {
            quote!(::libsys::wire::decode::<(#(#types,)*)>(data))
        } else {
            quote!(request.data::<(#(#types,)*)>())
        };
        quote! {
            let ::core::option::Option::Some((#(#patterns,)*)) = #source else #malformed;
            #(#after)*
        }
    };
    let room = method.arguments.iter().find(|argument| matches!(argument.travel, Travel::Room)).map(|argument| {
        let name = &argument.local;
        quote! {
            let #name = ::libsys::wire::limit(room, #name);
            let capacity = #name.len();
        }
    });
    quote!(#page #unused_room #decoded #room)
}

fn words(method: &Method, malformed: &TokenStream) -> TokenStream {
    let mut index = 0usize;
    let mut statements = Vec::new();
    for Argument { local: name, ty, travel, .. } in &method.arguments {
        let ty = match travel {
            Travel::Word => quote!(#ty),
            Travel::Room => quote!(u32),
            Travel::Shared => {
                let next = index + 1;
                statements.push(quote! {
                    let ::core::option::Option::Some(#name) =
                        ::libsys::wire::Shared::checked(#name, request.raw_word(#index), request.raw_word(#next))
                    else #malformed;
                });
                index += 2;
                continue;
            }
            _ => continue,
        };
        statements.push(quote! {
            let ::core::option::Option::Some(#name) = request.word::<#ty>(#index) else #malformed;
        });
        index += 1;
    }
    quote!(#(#statements)*)
}

fn payload(method: &Method, malformed: &TokenStream) -> (Vec<TokenStream>, Vec<TokenStream>, Vec<TokenStream>) {
    let (mut patterns, mut types, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for Argument { local: name, ty, travel, .. } in &method.arguments {
        let (pattern, ty) = match travel {
            Travel::Word | Travel::Data => (quote!(#name), quote!(#ty)),
            Travel::Bytes => (quote!(::libsys::wire::Bytes(#name)), quote!(::libsys::wire::Bytes<'_>)),
            Travel::ByteVec => (quote!(::libsys::wire::ByteVec(#name)), quote!(::libsys::wire::ByteVec)),
            Travel::Text => (quote!(#name), quote!(&str)),
            Travel::Lent(element) => match travel_name(element) {
                true => (quote!(::libsys::wire::ByteVec(#name)), quote!(::libsys::wire::ByteVec)),
                false => (quote!(#name), quote!(#element)),
            },
            Travel::Room => (quote!(#name), quote!(u32)),
            Travel::Shared => {
                let range = format_ident!("{name}_range");
                after.push(quote! {
                    let ::core::option::Option::Some(#name) =
                        ::libsys::wire::Shared::checked(#name, #range.0, #range.1) else #malformed;
                });
                (quote!(#range), quote!((u64, u64)))
            }
            Travel::Handle | Travel::OptionalHandle(_) => continue,
        };
        patterns.push(pattern);
        types.push(ty);
    }
    (patterns, types, after)
}

/// Whether a lent type is `Vec<u8>`.
fn travel_name(element: &syn::Type) -> bool {
    matches!(Travel::of_value(element), Ok(Travel::ByteVec))
}

/// An argument as the server's method takes it.
fn argument(argument: &Argument) -> TokenStream {
    let name = &argument.local;
    match argument.travel {
        Travel::Lent(_) => quote!(&#name),
        _ => quote!(#name),
    }
}

/// Answers with the bytes that the method put into its room.
fn finish_room(method: &Method) -> TokenStream {
    if method.result.error.is_some() {
        quote! {
            match result {
                ::core::result::Result::Ok(filled) => request.answer_filled(page, start, capacity, filled),
                ::core::result::Result::Err(error) => {
                    ::core::mem::drop(page);
                    request.answer_error(&error)
                }
            }
        }
    } else {
        quote!(request.answer_filled(page, start, capacity, result))
    }
}

/// A closure without captures that encodes what the method returned.
fn encode(method: &Method) -> TokenStream {
    let result = &method.result;
    let ty = &result.ty;
    let names: Vec<_> = (0..result.parts.len()).map(|index| format_ident!("part{index}")).collect();
    let value = if result.is_tuple { quote!((#(#names),*)) } else { quote!(#(#names)*) };
    let mut handles = Vec::new();
    let mut items = Vec::new();
    for ((_, travel), name) in result.parts.iter().zip(&names) {
        match travel {
            Travel::Handle => handles.push(quote!(outgoing.give(#name);)),
            Travel::OptionalHandle(_) => handles.push(quote! {
                if let ::core::option::Option::Some(handle) = #name { outgoing.give(handle); }
            }),
            Travel::Shared => {
                items.push(quote!((#name.offset, #name.bytes)));
                handles.push(quote!(outgoing.give(#name.memory);));
            }
            Travel::ByteVec => items.push(quote!(::libsys::wire::Bytes(&#name))),
            _ => items.push(quote!(&#name)),
        }
    }
    let data = match method.answers_in_words() {
        true => encode_words(method, &names),
        false => quote!(outgoing.data(&(#(#items,)*))?;),
    };
    let success = quote! {
        #data
        #(#handles)*
        ::core::result::Result::Ok(())
    };
    let body = match &result.error {
        Some(_) => quote! {
            match result {
                ::core::result::Result::Ok(#value) => { #success }
                ::core::result::Result::Err(error) => outgoing.error(&error),
            }
        },
        None => quote! {
            let #value = result;
            #success
        },
    };
    quote! {
        |result: #ty, outgoing: &mut ::libsys::wire::Outgoing<::libsys::message::ServePage>| { #body }
    }
}

fn encode_words(method: &Method, names: &[Ident]) -> TokenStream {
    let mut index = 0usize;
    let mut statements = Vec::new();
    for ((_, travel), name) in method.result.parts.iter().zip(names) {
        let values = match travel {
            Travel::Word => vec![quote!(#name)],
            Travel::Shared => vec![quote!(#name.offset), quote!(#name.bytes)],
            _ => continue,
        };
        for value in values {
            statements.push(quote!(outgoing.word(#index, #value);));
            index += 1;
        }
    }
    quote!(#(#statements)*)
}
