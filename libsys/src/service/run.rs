//! The loop itself.

use super::statistics::Counters;
use super::{Serve, commit, exhausted, outbox};
use crate::message::{self, ServePage};
use crate::sys::{Event, Served, Words};
use crate::time::now;
use crate::wire::{Answer, Class, Header, Method, Refusal, Request};
use crate::{Channel, Error, thread};
use alloc::sync::Arc;
use core::ops::ControlFlow;

/// A request that was current at this many deaths of the server is refused.
const DEADLY: u32 = 3;

/// The client of a session that never had one.
const NOBODY: u64 = 0;

/// Timers that are run before the next receive.
const TIMERS_AT_ONCE: usize = 64;

/// A server in its loop.
#[derive(Debug)]
pub struct Service<S> {
    server: S,
    counters: Arc<Counters>,
}

impl<S: Serve> Service<S> {
    /// A service that has counted nothing yet.
    pub fn new(server: S) -> Service<S> {
        Service { server, counters: Arc::default() }
    }

    /// The server.
    pub fn server(&mut self) -> &mut S {
        &mut self.server
    }

    /// Runs the loop until the channel is closed. Errors: those of a receive that mean that the channel is not ours to serve.
    pub fn run(&mut self, channel: &Channel) -> Result<(), Error> {
        outbox::serve(crate::Object::handle(channel), self.server.records().is_some());
        let mut has_answered = false;
        let mut closed = None;
        let mut sent = Header::default();
        loop {
            let deadline = self.deadline();
            let served = channel.serve(deadline, closed.take(), |badge, header, words| {
                let request = Request::new(badge, header, words);
                let answer = self.answer(&request);
                // Nothing may touch the serve page, where the reply is, before it is sent: neither timers nor put-off answers.
                let deadline = self.deadline();
                let is_due = deadline.is_some_and(|deadline| deadline <= now());
                match answer {
                    Some((header, words)) if has_answered && !is_due && !outbox::is_waiting() && self.is_settled() => {
                        sent = header;
                        ControlFlow::Continue((header, words, deadline))
                    }
                    answer => {
                        if let Some((header, _)) = answer {
                            self.reconsider(&request, Some(header));
                        }
                        ControlFlow::Break(answer)
                    }
                }
            });
            let answer = match served {
                Ok(Served::Stopped(answer)) => answer,
                Ok(Served::Event(event)) => {
                    closed = self.happen(event);
                    self.settle();
                    None
                }
                Err(Error::TimedOut) => None,
                Err(Error::CallerGone) => {
                    self.counters.gone();
                    self.take_back(sent);
                    None
                }
                Err(error) if sent.mints() && is_exhausted(error) => {
                    self.take_back(sent);
                    Some(self.refuse_answer())
                }
                Err(Error::Closed) => return Ok(()),
                Err(error) => return Err(error),
            };
            let is_first = answer.is_some() && !has_answered;
            self.catch_up(answer);
            if is_first {
                has_answered = true;
                crate::log::note_answer();
            }
        }
    }

    /// Runs the loop in `threads` threads, this one included, until the channel is closed; each has a clone of the server, so what
    /// these share is locked by the server itself. Signals and closes go to any one of them. Errors: those of starting a
    /// thread, and as [`Service::run`].
    pub fn run_threads(&mut self, channel: &Channel, threads: usize) -> Result<(), Error>
    where
        S: Clone + Send,
    {
        thread::scope(|scope| {
            for _ in 1..threads {
                let mut other = Service { server: self.server.clone(), counters: self.counters.clone() };
                scope.spawn(move || other.run(channel))?;
            }
            self.run(channel)
        })
    }

    /// Dispatches a request: its reply, unless it was kept or let go.
    #[inline(always)]
    pub fn answer(&mut self, request: &Request) -> Option<(Header, Words)> {
        if request.header().is_replayed()
            && let Some(refusal) = self.refusal_of_replayed(request)
        {
            return Some(self.refuse(request, refusal));
        }
        if self.server.records().is_some() {
            return self.answer_and_commit(request);
        }
        match self.server.dispatch(request) {
            Answer::Reply(header, words) => Some((header, words)),
            other => self.answer_slowly(request, other),
        }
    }

    /// The same in a server with records: an answer leaves when what it tells of is committed.
    fn answer_and_commit(&mut self, request: &Request) -> Option<(Header, Words)> {
        let key = commit::key_of(request);
        if let Some(key) = &key
            && let Some(known) = self.server.records().and_then(|records| commit::answered(records, key))
        {
            return Some(match known {
                Ok(reply) => {
                    request.close_handles();
                    if reply.header.mints() {
                        self.server.reopened(reply.handles[0].0);
                    }
                    commit::put(reply)
                }
                Err(refusal) => self.refuse(request, refusal),
            });
        }
        outbox::set_current(key);
        let answer = match self.server.dispatch(request) {
            Answer::Reply(header, words) => Some((header, words)),
            other => self.answer_slowly(request, other),
        };
        outbox::set_current(None);
        if self.is_settled() {
            return answer;
        }
        if let Some((header, _)) = answer {
            self.reconsider(request, Some(header));
        }
        // What is kept has to have a name.
        let answer = answer.map(|(header, words)| (commit::mint_others(header), words));
        match commit::commit(self.server.records()?, key, answer) {
            Ok(()) => {
                // The reply lies in the serve page: answers to others wait until it has left.
                let _reply = ServePage::take();
                self.server.committed();
                answer
            }
            Err(refusal) => Some(self.refuse(request, refusal)),
        }
    }

    #[cold]
    #[inline(never)]
    fn answer_slowly(&mut self, request: &Request, answer: Answer) -> Option<(Header, Words)> {
        match answer {
            Answer::Reply(header, words) => Some((header, words)),
            Answer::Refused(refusal) => Some(self.refuse(request, refusal)),
            Answer::NoSuchMethod => match request.method() {
                Method::IDENTITIES => Some(self.identities(request)),
                Method::STATISTICS => Some(self.counters.answer(request)),
                _ => Some(self.refuse(request, Refusal::Unsupported)),
            },
            Answer::Kept => None,
            Answer::Dropped => {
                self.reconsider(request, None);
                self.counters.dropped();
                // Fails only where there is no current call, which is what is wanted.
                let _ = crate::sys::call_abandon(crate::Handle::NONE);
                None
            }
        }
    }

    /// Looks whether a request is better answered by the next incarnation: see [`exhausted`].
    #[inline]
    fn reconsider(&mut self, request: &Request, answer: Option<Header>) {
        exhausted::reconsider(request, answer, || self.knows_again());
    }

    /// Whether a `once` request that comes again is not done twice, or may be.
    fn knows_again(&mut self) -> bool {
        self.server.records().is_some() || self.server.is_stateless()
    }

    /// Why a request that an earlier incarnation had received is not tried again, if it is not.
    #[cold]
    fn refusal_of_replayed(&mut self, request: &Request) -> Option<Refusal> {
        let stamp = ServePage::take().stamp();
        if stamp.faults.saturating_add(stamp.hangs) >= DEADLY {
            return Some(Refusal::Deadly);
        }
        // It may have taken effect already, and nothing is kept by which to know: it ends as one of class `fail`.
        let is_once = request.header().class() == Some(Class::Once);
        (is_once && !self.knows_again()).then_some(Refusal::Interrupted)
    }

    fn refuse(&self, request: &Request, refusal: Refusal) -> (Header, Words) {
        self.counters.refused(refusal);
        request.close_handles();
        Answer::refusal(refusal)
    }

    /// What is answered in place of an answer whose session could not be minted.
    fn refuse_answer(&self) -> (Header, Words) {
        self.counters.refused(Refusal::Exhausted);
        Answer::refusal(Refusal::Exhausted)
    }

    /// A reply did not reach its caller: what it would have brought is closed.
    #[cold]
    fn take_back(&mut self, reply: Header) {
        if reply.mints() {
            self.server.close(message::promised().1, NOBODY, true);
        }
    }

    /// Answers whether all methods of a list are there: 0, or one more than the index of the first that is not.
    fn identities(&self, request: &Request) -> (Header, Words) {
        let missing = {
            let page = ServePage::take();
            let (wanted, rest) = page.received(request.header().payload_bytes()).as_chunks::<4>();
            let is_missing = |bytes: &[u8; 4]| !serves::<S>(u32::from_le_bytes(*bytes));
            rest.is_empty().then(|| wanted.iter().position(is_missing))
        };
        match missing {
            None => self.refuse(request, Refusal::Malformed),
            Some(missing) => {
                request.close_handles();
                (Header(0), [missing.map_or(0, |index| index as u64 + 1), 0, 0, 0, 0, 0, 0, 0])
            }
        }
    }

    /// Everything that is no call. Returns badge and client of a close that is to be acknowledged.
    #[cold]
    fn happen(&mut self, event: Event) -> Option<(u64, u64)> {
        match event {
            Event::Call { .. } => {}
            Event::Signals(bits) => self.server.signal(bits),
            Event::Close { badge, client, last } => {
                self.server.close(badge, client, last);
                if let Some(records) = self.server.records() {
                    records.forget_replies(badge, client);
                }
                // Before it is acknowledged: else it would come again.
                self.settle();
                // One that is acknowledged already (by another thread of the service) needs nothing more.
                return Some((badge, client));
            }
            Event::Withdrawn(call) => self.server.withdrawn(call),
        }
        None
    }

    /// Commits what is staged, and what follows from that.
    fn settle(&mut self) {
        while let Some(records) = self.server.records().filter(|records| !records.is_clean()) {
            if commit::commit(records, None, None).is_ok() {
                self.server.committed();
            }
        }
    }

    /// Whether nothing is staged.
    #[inline(always)]
    fn is_settled(&mut self) -> bool {
        self.server.records().is_none_or(|records| records.is_clean())
    }

    /// Sends a reply, and does what waited for that.
    #[cold]
    #[inline(never)]
    fn catch_up(&mut self, answer: Option<(Header, Words)>) {
        if let Some((header, words)) = answer
            && let Err(error) = crate::sys::reply(header, words)
        {
            self.take_back(header);
            let again = |(header, words)| crate::sys::reply(header, words);
            if !is_exhausted(error) || again(self.refuse_answer()).is_err() {
                self.counters.gone();
            }
        }
        self.run_timers();
        self.settle();
        while outbox::is_waiting() {
            outbox::send();
            self.settle();
        }
        exhausted::forget();
    }

    /// Runs timers that have expired, a bounded number, so that a timer that is set to the past cannot keep calls away.
    fn run_timers(&mut self) {
        let now = now();
        for _ in 0..TIMERS_AT_ONCE {
            match self.server.timers().and_then(|timers| timers.expired(now)) {
                Some(timer) => self.server.timer(timer),
                None => break,
            }
        }
    }

    #[inline(always)]
    fn deadline(&mut self) -> Option<u64> {
        self.server.timers().and_then(|timers| timers.next_deadline())
    }
}

/// Whether this is why a session could not be minted with a reply, which then was not given.
fn is_exhausted(error: Error) -> bool {
    matches!(error, Error::AccountExhausted | Error::NoSlot)
}

/// Whether a server has a method of this identity.
fn serves<S: Serve>(identity: u32) -> bool {
    S::PROTOCOLS.iter().flat_map(|methods| methods.iter()).any(|method| method.identity == identity)
}
