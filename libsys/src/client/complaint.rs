//! What to do about a reply that does not decode, or an error that is hardly ever true ([`super::plausible`]). It is the server's fault: somebody should tell
//! init's registry, and ask again, under the same key, the server that takes its place.

use crate::client::Client;
use crate::wire::{Class, Method};
use crate::{Object, Session, env};
use core::sync::atomic::{AtomicPtr, Ordering};

/// A reply that does not decode, or is not to be believed.
#[derive(Debug)]
pub struct Complaint<'a> {
    /// The session that it came over.
    pub session: &'a Session,
    /// What was asked for.
    pub method: &'static Method,
    /// How many replies to this one request were bad, this one included.
    pub bad_replies: u32,
}

/// What becomes of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ask again, under the same key.
    AskAgain,
    /// It ends with the error of the reply, or [`super::CallError::BadReply`].
    GiveUp,
}

/// A function that complains and decides.
pub type Hook = fn(&Complaint<'_>) -> Verdict;

static HOOK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Bad replies to one request after which it is given up.
const BAD_REPLIES: u32 = 3;

/// What programs and servers do about a bad reply: init is told, and the request is made again where that does no harm, as after the server's death. So the third reply comes from the next
/// incarnation, as init replaces a server of which the same client complains again. Who has no session to init, and who asks init itself, only asks again.
pub fn ask_again(complaint: &Complaint<'_>) -> Verdict {
    if complaint.bad_replies >= BAD_REPLIES {
        return Verdict::GiveUp;
    }
    let registry = env::get().registry();
    let is_about_init = registry.link().session().handle() == complaint.session.handle();
    // The complaint itself may be answered badly as well.
    if !is_about_init {
        let _ = registry.complain(complaint.session, complaint.method.identity);
    }
    if complaint.method.class == Class::Fail { Verdict::GiveUp } else { Verdict::AskAgain }
}

/// Names the function that hears of bad replies in this process. Without one, calls end with `BadReply`.
/// It may call over other sessions.
pub fn on_bad_reply(hook: Hook) {
    HOOK.store(hook as *mut (), Ordering::Release);
}

#[cold]
pub(super) fn complain(complaint: &Complaint<'_>) -> Verdict {
    let hook = HOOK.load(Ordering::Acquire);
    if hook.is_null() {
        return Verdict::GiveUp;
    }
    // SAFETY: nothing but `on_bad_reply` writes it, and that writes a `Hook`.
    let hook = unsafe { core::mem::transmute::<*mut (), Hook>(hook) };
    hook(complaint)
}
