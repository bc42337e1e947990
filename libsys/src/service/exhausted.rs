//! Refusals for want of room in an account that has the room.
//!
//! What a process needs was promised to its account, so `AccountExhausted` is an answer that a client can be given only where the account is full.
//! Where it is not (another thread, or an end that the kernel was still working on, had the room for a moment; memory of the server's own was overwritten), the client did
//! nothing to exhaust it, and is not told:
//!
//! 1. [`crate::sys`] asks again for what was refused, once.
//! 2. A server in which that was in vain, too, and which would answer the request with an error for it, panics instead. The kernel delivers the request to the next
//!    incarnation, whose account has everything back that is not kept. What that one answers stands, whatever it is.
//!
//! An account that is full is told of at once. One that cannot be read (without the right to it, or as a system call does not name it and nobody says which it is: [`charged_to`]) is asked twice, and believed. Requests that would not come again ([`Class::Fail`], or `once` in a server that cannot know
//! them again) are answered with what there is.

use super::outbox;
use crate::message::{self, CallPage, Page};
use crate::sys;
use crate::thread::block;
use crate::wire::{Class, Header, Request, Status};
use crate::{Account, Error, Handle, Limits, Object};
use abi::{PAGE_BYTES, Syscall, Usage};

/// Frames that the kernel may need for an object, its handle and page tables besides what was asked for: an account with no more than these counts as full.
const OVERHEAD_FRAMES: u64 = 8;

/// Bytes that a page table maps.
const TABLE_BYTES: u64 = 512 * PAGE_BYTES as u64;

/// What is to be thought of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The account has no room.
    True,
    /// It has.
    Untrue,
    /// It cannot be read.
    Unknown,
}

/// Looks at a system call of these arguments that was refused for want of room. The call page is left as it is.
#[cold]
#[inline(never)]
pub(crate) fn judge(call: Syscall, arguments: &[u64]) -> Refusal {
    let Some((account, wanted)) = charge(call, arguments) else { return Refusal::Unknown };
    match usage(if account.is_none() { own_account() } else { account }) {
        Some(usage) if has_room_for(&usage, &wanted) => Refusal::Untrue,
        Some(_) => Refusal::True,
        None => Refusal::Unknown,
    }
}

/// Notes that something was refused to this thread for which there is room: [`reconsider`] looks at it.
#[cold]
pub(crate) fn note() {
    block::current().is_refused.set(true);
    // The loop leaves its shortest way, to look.
    outbox::call_attention();
}

/// Makes a system call that is charged to an account which it does not name, as a mapping into a process is to that of the process. The caller knows it.
pub(crate) fn charged_to<T>(
    account: &Account,
    wanted: &Limits,
    mut call: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let has_room = || usage(account.handle()).is_some_and(|usage| has_room_for(&usage, wanted));
    match call() {
        Err(Error::AccountExhausted) if has_room() => {
            let result = call();
            if matches!(result, Err(Error::AccountExhausted)) {
                note();
            }
            result
        }
        result => result,
    }
}

/// What mapping so many bytes costs: page tables.
pub(crate) fn tables(bytes: u64) -> Limits {
    Limits { frames: bytes / TABLE_BYTES, ..Limits::default() }
}

/// The heap found nothing for an allocation of so many bytes.
#[cold]
#[inline(never)]
pub(crate) fn no_memory(bytes: usize) {
    if usage(own_account()).is_some_and(|usage| has_room_for(&usage, &memory(bytes as u64))) {
        note();
    }
}

/// What was noted concerns nobody any more.
pub(super) fn forget() {
    block::current().is_refused.set(false);
}

/// Looks at an answer that is about to leave, or (`None`) at a request that is let go: where it fails, and something was refused that there is room for, this incarnation ends, if the request then comes
/// again, and did not do so already. `knows_again`: the server tells a `once` request that it has carried out from one that it has not.
///
/// # Panics
/// That is how it ends.
#[inline]
pub(super) fn reconsider(request: &Request, answer: Option<Header>, knows_again: impl FnOnce() -> bool) {
    if block::current().is_refused.get() {
        end_if_in_vain(request, answer, knows_again());
    }
}

#[cold]
#[inline(never)]
fn end_if_in_vain(request: &Request, answer: Option<Header>, knows_again: bool) {
    forget();
    let has_failed = answer.is_none_or(|header| header.method() != Status::Done.to_number());
    let comes_again = match request.header().class() {
        Some(Class::Replay) => true,
        Some(Class::Once) => knows_again,
        _ => false,
    };
    let context = request.context();
    if has_failed && comes_again && context.faults() == 0 && context.hangs() == 0 {
        panic!("the account refused what it has room for: the request {:#x} is to come again", request.method());
    }
}

/// Which account a system call charges ([`Handle::NONE`]: that of the process itself), and with what; `None`: one that it does not name.
fn charge(call: Syscall, arguments: &[u64]) -> Option<(Handle, Limits)> {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
    let account = |index: usize| Handle(argument(index));
    let object = Limits { handles: 1, ..Limits::default() };
    Some(match call {
        Syscall::ChannelCreate => (account(0), object),
        Syscall::SessionMint => (account(2), Limits { sessions: 1, ..object }),
        Syscall::CallKeep | Syscall::HandleDuplicate => (Handle::NONE, object),
        Syscall::MemoryCreate => (account(0), memory(argument(1))),
        Syscall::MemoryMap if argument(0) == Handle::NONE.0 => (Handle::NONE, tables(argument(4))),
        Syscall::ThreadCreate => (account(6), Limits { threads: 1, ..object }),
        Syscall::ProcessCreate => (account(0), Limits { processes: 1, ..object }),
        Syscall::AccountSplit => {
            let [frames, handles, threads, sessions, processes] = core::array::from_fn(|index| argument(index + 1));
            let handles = handles.saturating_add(1);
            (account(0), Limits { frames, handles, threads, sessions, processes })
        }
        _ => return None,
    })
}

/// What Memory costs.
fn memory(bytes: u64) -> Limits {
    Limits { frames: bytes.div_ceil(PAGE_BYTES as u64), handles: 1, ..Limits::default() }
}

/// Whether an account has room for more.
fn has_room_for(usage: &Usage, wanted: &Limits) -> bool {
    let Usage { limits, used, revoked } = usage;
    let fits = |used: u64, wanted: u64, limit: u64| used.saturating_add(wanted) <= limit;
    *revoked == 0
        && fits(used.frames, wanted.frames.saturating_add(OVERHEAD_FRAMES), limits.frames)
        && fits(used.handles, wanted.handles, limits.handles)
        && fits(used.threads, wanted.threads, limits.threads)
        && fits(used.sessions, wanted.sessions, limits.sessions)
        && fits(used.processes, wanted.processes, limits.processes)
}

/// An account as it is; `None` where it cannot be asked.
fn usage(account: Handle) -> Option<Usage> {
    // A guard that is alive may be about to send what is in the page.
    if !message::is_free(Page::Call) {
        return None;
    }
    let mut before = [0; size_of::<Usage>()];
    before.copy_from_slice(&CallPage::take().payload()[..size_of::<Usage>()]);
    let usage = sys::account_read(account);
    CallPage::take().payload_mut()[..before.len()].copy_from_slice(&before);
    usage.ok()
}

/// The account that the process was started with.
#[cfg(target_os = "none")]
fn own_account() -> Handle {
    crate::heap::HEAP.account()
}

#[cfg(not(target_os = "none"))]
fn own_account() -> Handle {
    crate::object::Object::handle(crate::env::account())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{self, FakeProcess};

    const FULL: Limits = Limits { frames: 100, handles: 10, threads: 2, sessions: 3, processes: 1 };

    #[test]
    fn an_account_is_full_where_anything_of_it_is() {
        let empty = Usage { limits: FULL, ..Usage::default() };
        let object = Limits { handles: 1, ..Limits::default() };
        assert!(has_room_for(&empty, &object));
        assert!(!has_room_for(&Usage { revoked: 1, ..empty }, &object));
        let used = |used: Limits| Usage { used, ..empty };
        assert!(!has_room_for(&used(Limits { handles: 10, ..Limits::default() }), &object));
        assert!(!has_room_for(&used(Limits { frames: 100 - OVERHEAD_FRAMES + 1, ..Limits::default() }), &object));
        let session = Limits { sessions: 1, ..object };
        assert!(!has_room_for(&used(Limits { sessions: 3, ..Limits::default() }), &session));
        assert!(has_room_for(&used(Limits { sessions: 3, ..Limits::default() }), &object), "no session is wanted");
        assert!(!has_room_for(&empty, &memory(u64::MAX)));
    }

    #[test]
    fn what_a_system_call_charges_is_told_from_its_arguments() {
        let pages = 3 * PAGE_BYTES as u64;
        assert_eq!(
            charge(Syscall::MemoryCreate, &[7, pages, 0]).map(|(of, what)| (of, what.frames)),
            Some((Handle(7), 3))
        );
        assert_eq!(
            charge(Syscall::SessionMint, &[1, 2, 7]).map(|(of, what)| (of, what.sessions)),
            Some((Handle(7), 1))
        );
        assert_eq!(charge(Syscall::AccountSplit, &[7, 1, 2, 3, 4, 5]).map(|(_, what)| what.processes), Some(5));
        assert_eq!(charge(Syscall::CallKeep, &[]).map(|(of, _)| of), Some(Handle::NONE));
        assert_eq!(charge(Syscall::MemoryMap, &[9, 1, 0, 0, pages, 3]), None, "into another process");
        assert_eq!(charge(Syscall::AccountRead, &[7]), None);
    }

    /// Each in a process of its own, whose calls are refused.
    fn with_refusals<R>(calls: u64, act: impl FnOnce(FakeProcess) -> R) -> R {
        let process = FakeProcess::new();
        let run = process.run(|| {
            crate::env::account();
            process.refuse_charges(calls);
            act(process)
        });
        run.expect("no panic")
    }

    #[test]
    fn what_was_refused_once_is_asked_for_again() {
        with_refusals(1, |_| {
            assert!(crate::Memory::create(crate::env::account(), 1).is_ok());
            assert!(!block::current().is_refused.get());
        });
        with_refusals(2, |_| {
            assert_eq!(crate::Memory::create(crate::env::account(), 1).err(), Some(crate::Error::AccountExhausted));
            assert!(block::current().is_refused.get());
        });
    }

    #[test]
    fn who_is_full_is_asked_once_and_who_cannot_be_read_twice() {
        let full = || fake::account().split(Limits { frames: 1, handles: 10, ..Limits::default() }).expect("room");
        with_refusals(0, |process| {
            let other = full();
            process.refuse_charges(1);
            assert_eq!(crate::Memory::create(&other, 1).err(), Some(crate::Error::AccountExhausted));
            assert!(!block::current().is_refused.get());
        });
        with_refusals(0, |_| {
            let usage = crate::env::account().usage().expect("an account");
            let all = (usage.limits.frames - usage.used.frames) * PAGE_BYTES as u64;
            let judged = |bytes| judge(Syscall::MemoryCreate, &[own_account().0, bytes, 0]);
            assert_eq!([all, 1].map(judged), [Refusal::True, Refusal::Untrue]);
            assert_eq!(judge(Syscall::MemoryMap, &[9, 1, 0, 0, 4096, 3]), Refusal::Unknown);
            assert_eq!(judge(Syscall::MemoryCreate, &[u64::MAX, 1, 0]), Refusal::Unknown);
        });
    }

    #[test]
    fn what_is_charged_to_another_account_is_asked_for_again_if_that_has_room() {
        let refusals = |account: &Account, count: u32| {
            let mut calls = 0;
            let result = charged_to(account, &tables(1), || {
                calls += 1;
                if calls <= count { Err(Error::AccountExhausted) } else { Ok(()) }
            });
            (result, calls, block::current().is_refused.replace(false))
        };
        with_refusals(0, |_| {
            let account = crate::env::account();
            assert_eq!(refusals(account, 1), (Ok(()), 2, false));
            assert_eq!(refusals(account, 2), (Err(Error::AccountExhausted), 2, true));
            let full = account.split(Limits { frames: 1, handles: 1, ..Limits::default() }).expect("room");
            assert_eq!(refusals(&full, 1), (Err(Error::AccountExhausted), 1, false));
        });
    }

    #[test]
    fn the_call_page_is_left_as_it_is() {
        with_refusals(1, |_| {
            CallPage::take().payload_mut()[..4].copy_from_slice(b"sent");
            assert!(crate::Memory::create(crate::env::account(), 1).is_ok());
            assert_eq!(&CallPage::take().payload()[..4], b"sent");
            let page = CallPage::take();
            let judged = judge(Syscall::MemoryCreate, &[own_account().0, 1, 0]);
            assert_eq!(judged, Refusal::Unknown, "it cannot be asked now");
            drop(page);
        });
    }
}
