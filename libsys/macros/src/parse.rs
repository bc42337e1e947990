//! From the trait as its author wrote it to a [`Protocol`]; refuses what cannot travel, with a
//! message that says what to write.

use crate::identity;
use crate::travel::{self, Travel, all_words};
use proc_macro2::Span;
use syn::{Attribute, FnArg, Ident, ItemTrait, Pat, ReturnType, TraitItem, TraitItemFn, Type, Visibility};

/// Handles that a message can carry.
const HANDLES: usize = 4;

/// A protocol.
pub struct Protocol {
    /// The trait, without the attributes that are ours.
    pub definition: ItemTrait,
    /// Its name.
    pub name: Ident,
    /// Its visibility, which the client shares.
    pub visibility: Visibility,
    /// Its methods, in order.
    pub methods: Vec<Method>,
}

/// What becomes of a request whose server dies.
#[derive(Clone, Copy, PartialEq)]
pub enum Class {
    Fail,
    Replay,
    Once,
}

impl Class {
    /// Its name in attributes and identities.
    pub fn name(self) -> &'static str {
        match self {
            Class::Fail => "fail",
            Class::Replay => "replay",
            Class::Once => "once",
        }
    }
}

/// A method of a protocol.
pub struct Method {
    /// Its documentation and `cfg`s, for the client's method.
    pub attributes: Vec<Attribute>,
    pub name: Ident,
    pub class: Class,
    pub identity: u32,
    /// Whether the server's method takes a `&Context`, as its first argument.
    pub takes_context: bool,
    /// Whether the server answers through a `Reply`, as its last argument.
    pub is_deferred: bool,
    /// The arguments that travel.
    pub arguments: Vec<Argument>,
    pub result: Outcome,
}

/// An argument that travels.
pub struct Argument {
    pub name: Ident,
    /// Its name in the dispatch, which no other name meets.
    pub local: Ident,
    pub ty: Type,
    pub travel: Travel,
}

/// What a method returns.
pub struct Outcome {
    /// As written.
    pub ty: Type,
    /// `E` of a `Result<T, E>`.
    pub error: Option<Type>,
    /// What is returned without an error: the type itself, or the parts of a tuple.
    pub parts: Vec<(Type, Travel)>,
    /// Whether the parts are those of a tuple.
    pub is_tuple: bool,
    /// Whether it is the number of bytes that a `&mut [u8]` argument was filled with.
    pub is_count: bool,
}

impl Method {
    /// Whether the request is words alone.
    pub fn asks_in_words(&self) -> bool {
        all_words(self.arguments.iter().map(|argument| &argument.travel))
    }

    /// Whether the reply is words alone (of an error that the server returns: never).
    pub fn answers_in_words(&self) -> bool {
        all_words(self.result.parts.iter().map(|(_, travel)| travel))
    }

    /// Handles of the request, an optional one included.
    pub fn handles(&self) -> usize {
        self.arguments.iter().filter(|argument| argument.travel.is_handle()).count()
    }

    /// Whether the last handle of the request is optional.
    pub fn last_handle_is_optional(&self) -> bool {
        self.arguments.iter().any(|argument| matches!(argument.travel, Travel::OptionalHandle(_)))
    }

    /// Handles of the reply, an optional one included.
    pub fn reply_handles(&self) -> usize {
        self.result.parts.iter().filter(|(_, travel)| travel.is_handle()).count()
    }

    /// Whether an argument borrows from the message page while the method runs.
    pub fn borrows(&self) -> bool {
        self.arguments.iter().any(|argument| argument.travel.is_borrowed())
    }
}

/// Reads a protocol.
pub fn protocol(mut definition: ItemTrait) -> syn::Result<Protocol> {
    if !definition.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(&definition.generics, "a protocol has no generic parameters"));
    }
    let name = definition.ident.clone();
    let mut methods = Vec::new();
    for item in &mut definition.items {
        match item {
            TraitItem::Fn(function) => methods.push(method(&name.to_string(), function)?),
            other => return Err(syn::Error::new_spanned(other, "a protocol consists of methods")),
        }
    }
    if methods.is_empty() {
        return Err(syn::Error::new_spanned(&name, "a protocol has at least one method"));
    }
    let visibility = definition.vis.clone();
    Ok(Protocol { definition, name, visibility, methods })
}

fn method(protocol: &str, function: &mut TraitItemFn) -> syn::Result<Method> {
    let class = class(function)?;
    let signature = &function.sig;
    if signature.asyncness.is_some() || !signature.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(signature, "a method is neither async nor generic"));
    }
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(_)) => {}
        _ => return Err(syn::Error::new_spanned(&signature.ident, "a method starts with `&self` or `&mut self`")),
    }
    let mut takes_context = false;
    let mut deferred: Option<Type> = None;
    let mut arguments: Vec<Argument> = Vec::new();
    for input in inputs {
        let FnArg::Typed(input) = input else { continue };
        if let Some(error) = &deferred {
            return Err(syn::Error::new_spanned(error, "`Reply` is the last argument"));
        }
        if is_context(&input.ty) {
            if takes_context || !arguments.is_empty() {
                return Err(syn::Error::new_spanned(&input.ty, "`&Context` is the first argument"));
            }
            takes_context = true;
        } else if let Some(answer) = reply(&input.ty) {
            deferred = Some(answer.clone());
        } else {
            let name = match &*input.pat {
                Pat::Ident(pattern) => pattern.ident.clone(),
                other => return Err(syn::Error::new_spanned(other, "an argument has a name")),
            };
            let travel = Travel::of_argument(&input.ty)?;
            let local = quote::format_ident!("argument{}", arguments.len());
            arguments.push(Argument { name, local, ty: (*input.ty).clone(), travel });
        }
    }
    let is_deferred = deferred.is_some();
    let returned = match (deferred, &signature.output) {
        (None, ReturnType::Default) => unit(),
        (None, ReturnType::Type(_, ty)) => (**ty).clone(),
        (Some(answer), ReturnType::Default) => answer,
        (Some(_), ReturnType::Type(_, ty)) => {
            return Err(syn::Error::new_spanned(ty, "a method that answers through `Reply` returns nothing"));
        }
    };
    let rooms = arguments.iter().filter(|argument| matches!(argument.travel, Travel::Room)).count();
    if rooms > 1 || rooms == 1 && is_deferred {
        return Err(syn::Error::new_spanned(
            &signature.inputs,
            "at most one `&mut [u8]`, and none together with `Reply` (answer with `Vec<u8>`)",
        ));
    }
    let result = outcome(returned, rooms == 1)?;
    let mut method = Method {
        attributes: function.attrs.clone(),
        name: signature.ident.clone(),
        class,
        identity: 0,
        takes_context,
        is_deferred,
        arguments,
        result,
    };
    check_handles(&method)?;
    method.identity = identity::of(protocol, &method);
    Ok(method)
}

/// Takes the class out of a method's attributes.
fn class(function: &mut TraitItemFn) -> syn::Result<Class> {
    let mut found = None;
    let mut error = None;
    function.attrs.retain(|attribute| {
        let class =
            [Class::Fail, Class::Replay, Class::Once].into_iter().find(|class| attribute.path().is_ident(class.name()));
        if class.is_some() && found.is_some() {
            error = Some(syn::Error::new_spanned(attribute, "a method has one class"));
        }
        found = found.or(class);
        class.is_none()
    });
    if let Some(error) = error {
        return Err(error);
    }
    found.ok_or_else(|| {
        let message = format!(
            "`{}` does not say what happens when its server dies: write #[replay] (it only reads, or \
             doing it twice is the same), #[once] (it changes something) or #[fail] (the caller is told)",
            function.sig.ident
        );
        syn::Error::new(function.sig.ident.span(), message)
    })
}

fn outcome(ty: Type, has_room: bool) -> syn::Result<Outcome> {
    let (value, error) = match &ty {
        Type::Path(path) if travel::name(path) == "Result" => match travel::generics(path)[..] {
            [value, error] => (value.clone(), Some(error.clone())),
            _ => return Err(syn::Error::new_spanned(&ty, "write both types: `Result<T, E>`")),
        },
        other => (other.clone(), None),
    };
    if has_room {
        if !travel::is_named(&value, "usize") {
            let message = "with a `&mut [u8]` argument a method returns how many bytes it filled: `usize`";
            return Err(syn::Error::new_spanned(&value, message));
        }
        return Ok(Outcome { ty, error, parts: Vec::new(), is_tuple: false, is_count: true });
    }
    let (types, is_tuple): (Vec<Type>, bool) = match &value {
        Type::Tuple(tuple) => (tuple.elems.iter().cloned().collect(), true),
        other => (vec![other.clone()], false),
    };
    let mut parts = Vec::new();
    for part in types {
        let travel = Travel::of_value(&part)?;
        parts.push((part, travel));
    }
    Ok(Outcome { ty, error, parts, is_tuple, is_count: false })
}

/// At most four handles each way; at most one optional, the last.
fn check_handles(method: &Method) -> syn::Result<()> {
    let asked = method.arguments.iter().map(|argument| &argument.travel).collect();
    let answered = method.result.parts.iter().map(|(_, travel)| travel).collect();
    for travels in [asked, answered] {
        let handles: Vec<&Travel> = Vec::into_iter(travels).filter(|travel: &&Travel| travel.is_handle()).collect();
        let message = match handles.iter().position(|travel| matches!(travel, Travel::OptionalHandle(_))) {
            _ if handles.len() > HANDLES => "a message carries at most four handles",
            Some(index) if index + 1 != handles.len() => "only the last handle can be optional",
            _ => continue,
        };
        return Err(syn::Error::new(method.name.span(), message));
    }
    Ok(())
}

/// Whether this is `&Context`.
fn is_context(ty: &Type) -> bool {
    matches!(ty, Type::Reference(reference) if travel::is_named(&reference.elem, "Context"))
}

/// `T` of `Reply<'_, T>`.
fn reply(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Path(path) if travel::name(path) == "Reply" => travel::generic(path),
        _ => None,
    }
}

fn unit() -> Type {
    Type::Tuple(syn::TypeTuple {
        attrs: Vec::new(),
        paren_token: syn::token::Paren(Span::call_site()),
        elems: Default::default(),
    })
}
