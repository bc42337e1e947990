//! A server that does what its clients ask it to do to them: the other side of most tests of calls.

use crate::process::{PATIENCE, Server, ask};
use crate::test::Outcome;
use abi::error::OK;
use abi::{Class, ExitReason, Handle, Header, Rights, Syscall};
use alloc::collections::VecDeque;
use libsys::message::{CallPage, ServePage};
use libsys::sys::{self, Event, Words};
use libsys::time::deadline_after;
use libsys::{Account, Channel, Error, KeptCall, Memory, Object, Session, env, message};

/// Answers the words, and the payload as it came.
pub const ECHO: u32 = 1;
/// Answers [badge, client, faults, hangs, delivered before, incarnation, handles received, lane ^ sequence].
pub const ABOUT: u32 = 2;
/// Faults in the incarnations up to the first word; later ones answer as [`ABOUT`].
pub const CRASH: u32 = 3;
/// Keeps the call.
pub const KEEP: u32 = 4;
/// Answers the oldest kept call with these words; its own answer is the status of that.
pub const ANSWER: u32 = 5;
/// Abandons: this call (0), the oldest kept one (1), or the oldest kept one by closing it (2).
pub const ABANDON: u32 = 6;
/// Keeps and parks the call.
pub const PARK: u32 = 7;
/// Answered at once; then the oldest kept call is made current and answered with the status of that.
pub const RESUME: u32 = 8;
/// Never ends.
pub const SPIN: u32 = 9;
/// Ends the process, unanswered, with the first word as code.
pub const EXIT: u32 = 10;
/// Calls the method of the first word over the session that came along, passing that on, with the other words: answers [status, first words].
pub const DOWN: u32 = 11;
/// Answers with as many handles, to new Memory, as the first word says.
pub const GIVE: u32 = 12;
/// Answers, then answers again: [`STATUS`] has the status of that.
pub const TWICE: u32 = 13;
/// Receives with the call in hand: answers the status of that.
pub const RECEIVE: u32 = 14;
/// Says that work on the oldest kept call goes on: answers the status.
pub const PROGRESS: u32 = 15;
/// Answers [last status, signals, closes, last closes, withdrawn calls, kept calls, badge of the last close, its client].
pub const STATUS: u32 = 16;
/// Answers a session to itself, with the first word as badge.
pub const MINT: u32 = 17;
/// Ends the thread with the call in hand.
pub const END_THREAD: u32 = 18;
/// Goes on with an answer whose header makes no sense: answers the status of that.
pub const BAD_REPLY: u32 = 19;

/// Remembers the session that comes along, for [`CHAIN`].
pub const NEXT: u32 = 20;
/// Calls itself, with the first word less one, on the session remembered, until that word is 0; answers [status, servers that answered].
pub const CHAIN: u32 = 21;

/// Faults in the incarnations up to the first word; later ones keep and park the call.
pub const CRASH_PARK: u32 = 22;
/// Answered at once; then the two oldest kept calls are resumed together, and the first is answered with the status of resuming the other.
pub const RESUME_BOTH: u32 = 23;

/// A status as a word.
pub fn status(result: Result<(), Error>) -> u64 {
    result.map_or_else(|error| error as u64, |()| OK)
}

/// Starts one.
pub fn start() -> Outcome<Server> {
    Server::start(serve)
}

/// What happened to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Status {
    pub last: u64,
    pub signals: u64,
    pub closes: u64,
    pub last_closes: u64,
    pub withdrawn: u64,
    pub kept: u64,
    pub badge: u64,
    pub client: u64,
}

/// Asks one what happened to it.
pub fn status_of(session: &Session) -> Outcome<Status> {
    let [last, signals, closes, last_closes, withdrawn, kept, badge, client] =
        ask(session, STATUS, Class::Replay, [0; 8])?;
    Ok(Status { last, signals, closes, last_closes, withdrawn, kept, badge, client })
}

#[derive(Default)]
struct Puppet {
    status: Status,
    kept: VecDeque<KeptCall>,
    next: Option<Session>,
}

/// What a puppet does with a call.
enum Answer {
    Reply(Header, Words),
    None,
}

fn words(words: Words) -> Answer {
    Answer::Reply(Header::default(), words)
}

fn word(word: u64) -> Answer {
    words([word, 0, 0, 0, 0, 0, 0, 0])
}

/// Serves the process's channel.
pub fn serve() -> u64 {
    let channel = env::channel();
    let mut puppet = Puppet::default();
    let mut event = channel.receive(None);
    loop {
        event = match event {
            Ok(Event::Call { badge, header, words }) => match puppet.call(badge, header, words) {
                Answer::Reply(header, words) => {
                    let again = channel.reply_receive(header, words, None);
                    if again == Err(Error::CallerGone) { channel.receive(None) } else { again }
                }
                Answer::None => channel.receive(None),
            },
            Ok(other) => {
                puppet.news(channel, other);
                channel.receive(None)
            }
            Err(Error::Closed) => return 0,
            Err(error) => return error as u64,
        };
    }
}

impl Puppet {
    fn news(&mut self, channel: &Channel, event: Event) {
        match event {
            Event::Signals(bits) => self.status.signals |= bits,
            Event::Close { badge, client, last } => {
                self.status.closes += 1;
                self.status.last_closes += u64::from(last);
                (self.status.badge, self.status.client) = (badge, client);
                let _ = channel.acknowledge_close(badge, client);
            }
            Event::Withdrawn(handle) => {
                self.status.withdrawn += 1;
                self.kept.retain(|call| call.handle() != handle);
            }
            Event::Call { .. } => {}
        }
    }

    fn oldest(&mut self) -> Result<KeptCall, Error> {
        self.kept.pop_front().ok_or(Error::BadHandle)
    }

    fn call(&mut self, badge: u64, header: Header, w: Words) -> Answer {
        let page = ServePage::take();
        let (handles, stamp) = (*page.handles(), page.stamp());
        drop(page);
        let handles = &handles[..header.handles()];
        if header.method() == NEXT {
            self.next = handles.first().map(|handle| Session::from_handle(*handle));
            return words(w);
        }
        let answer = self.act(badge, header, w, handles, stamp);
        for handle in handles {
            let _ = sys::handle_close(*handle);
        }
        answer
    }

    fn act(&mut self, badge: u64, header: Header, w: Words, handles: &[Handle], stamp: message::Stamp) -> Answer {
        let incarnation = sys::identify().incarnation;
        let about = || {
            // Stale words of the page are none of this call's.
            let key = if header.class() == Some(Class::Once) { stamp.lane ^ stamp.sequence } else { 0 };
            let (faults, hangs) = if header.is_replayed() { (stamp.faults, stamp.hangs) } else { (0, 0) };
            let count = handles.iter().filter(|handle| !handle.is_none()).count() as u64;
            [badge, stamp.client, faults.into(), hangs.into(), header.is_replayed().into(), incarnation, count, key]
        };
        match header.method() {
            ECHO => Answer::Reply(Header::words(ECHO, Class::Fail).with_payload(header.payload_bytes()), w),
            CRASH | CRASH_PARK if incarnation <= w[0] => fault(),
            ABOUT | CRASH => words(about()),
            KEEP | PARK | CRASH_PARK => {
                let Ok(call) = KeptCall::keep() else { return Answer::None };
                if header.method() != KEEP {
                    self.status.last = status(call.park());
                }
                self.kept.push_back(call);
                Answer::None
            }
            ANSWER => {
                let result = self.oldest().and_then(|call| call.reply(Header::default(), w));
                word(status(result))
            }
            ABANDON if w[0] == 0 => {
                let _ = sys::call_abandon(Handle::NONE);
                Answer::None
            }
            ABANDON => {
                let result = self.oldest().and_then(|call| match w[0] {
                    1 => sys::call_abandon(call.into_handle()),
                    _ => sys::handle_close(call.into_handle()),
                });
                word(status(result))
            }
            RESUME => {
                let _ = sys::reply(Header::default(), w);
                let resumed = status(self.oldest().and_then(KeptCall::resume));
                self.status.last = status(sys::reply(Header::default(), [resumed, 0, 0, 0, 0, 0, 0, 0]));
                Answer::None
            }
            RESUME_BOTH => {
                let _ = sys::reply(Header::default(), w);
                // The first is kept again, as one call can be current here; it goes on all the same.
                let first = self.oldest().and_then(KeptCall::resume).and_then(|()| KeptCall::keep());
                let second = status(self.oldest().and_then(KeptCall::resume));
                let answer = [second, 0, 0, 0, 0, 0, 0, 0];
                self.status.last = status(first.and_then(|call| call.reply(Header::default(), answer)));
                Answer::None
            }
            SPIN => loop {
                core::hint::spin_loop();
            },
            EXIT => {
                let _ = sys::process_kill(Handle::NONE, ExitReason::Exit, w[0]);
                Answer::None
            }
            DOWN => words(down(handles, w)),
            CHAIN => words(match &self.next {
                Some(next) if w[0] > 0 => match ask(next, CHAIN, Class::Replay, [w[0] - 1, 0, 0, 0, 0, 0, 0, 0]) {
                    Ok([below, count, ..]) => [below, count + 1, 0, 0, 0, 0, 0, 0],
                    Err(error) => [error as u64, 1, 0, 0, 0, 0, 0, 0],
                },
                _ => [OK, 1, 0, 0, 0, 0, 0, 0],
            }),
            GIVE => give(w[0] as usize),
            TWICE => {
                let _ = sys::reply(Header::default(), w);
                self.status.last = status(sys::reply(Header::default(), w));
                Answer::None
            }
            RECEIVE => word(status(env::channel().receive(Some(0)).map(drop))),
            PROGRESS => {
                let result = self.kept.front().ok_or(Error::BadHandle).and_then(KeptCall::progress);
                word(status(result.and_then(|()| sys::call_progress(Handle::NONE))))
            }
            STATUS => {
                let Status { last, signals, closes, last_closes, withdrawn, badge, client, .. } = self.status;
                words([last, signals, closes, last_closes, withdrawn, self.kept.len() as u64, badge, client])
            }
            MINT => mint(w[0]),
            END_THREAD => {
                crate::raw::call(Syscall::ThreadExit, [0, 0, w[0]]);
                Answer::None
            }
            BAD_REPLY => {
                let answer = crate::raw::call(Syscall::Reply, [0, 1 << 23]);
                word(answer.status)
            }
            _ => Answer::Reply(Header::default(), [u64::MAX; 8]),
        }
    }
}

/// A write to an address that is never mapped.
pub fn fault() -> ! {
    // SAFETY: it faults, and the process ends there.
    unsafe { core::ptr::without_provenance_mut::<u64>(0x10).write_volatile(1) };
    unreachable!("a fault")
}

fn down(handles: &[Handle], w: Words) -> Words {
    let Some(session) = handles.first() else { return [Error::BadHandle as u64; 8] };
    let mut page = CallPage::take();
    page.handles_mut()[0] = *session;
    drop(page);
    message::set_call_deadline(deadline_after(PATIENCE));
    // The method below, and the one that it passes on, if any.
    let [method, next, rest @ ..] = w;
    let mut below = [next, 0, 0, 0, 0, 0, 0, 0];
    below[1..7].copy_from_slice(&rest);
    let header = Header::words(method as u32, Class::Replay).with_handles(1).with_deadline();
    match sys::call(*session, header, below) {
        Ok((_, answer)) => {
            let mut words = [OK; 8];
            words[1..].copy_from_slice(&answer[..7]);
            words
        }
        Err(error) => [error as u64, 0, 0, 0, 0, 0, 0, 0],
    }
}

/// An answer with handles.
fn with_handles(handles: impl IntoIterator<Item = Handle>) -> Answer {
    let mut page = ServePage::take();
    let mut count = 0;
    for (place, handle) in page.handles_mut().iter_mut().zip(handles) {
        *place = handle;
        count += 1;
    }
    Answer::Reply(Header::default().with_handles(count), [count as u64; 8])
}

fn give(count: usize) -> Answer {
    let account: &Account = env::account();
    let memory = || {
        Memory::create(account, 4096).and_then(|memory| {
            let limited = memory.duplicate(Rights::READ | Rights::INSPECT)?;
            Ok(limited.into_handle())
        })
    };
    with_handles((0..count).map(|_| memory().unwrap_or(Handle::NONE)))
}

fn mint(badge: u64) -> Answer {
    let session = env::channel().mint(badge, env::account());
    with_handles([session.map_or(Handle::NONE, Object::into_handle)])
}
