//! A server thread takes what arrived on a channel, or waits for it.

use super::call::{deliver, may_deliver};
use super::{end, inherit};
use crate::arch::clock;
use crate::object::{Channel, Object, Ref, Thread, session::delivered_close, thread::State};
use crate::syscall::memory::again;
use crate::{Cpu, Kernel, boot, cpu::attention, schedule, timer};
use abi::{Delivery, Error, Handle, Header, OK, Rights, Syscall};

/// Callers refused with `PeerFull` in one receive.
const MOST_REFUSED: usize = 4;

/// The system call.
///
/// # Errors
/// As [`abi::Syscall::Receive`] says.
pub fn receive(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>) -> Result<(), Error> {
    let channel = decode(kernel, thread, Handle(thread.context.frame.rdi.get()))?;
    if thread.current.is_some() || thread.orphan.is_some() {
        return Err(Error::BadState);
    }
    acknowledge(kernel, thread, channel);
    wait(kernel, cpu, thread, channel)
}

/// Acknowledges the close that the registers of a receive name, once.
#[inline(always)]
pub(super) fn acknowledge(kernel: &Kernel, thread: &Thread, channel: &Channel) {
    let (frame, header) = (&thread.context.frame, Header(thread.context.frame.rsi.get()));
    if header.acknowledges() {
        frame.rsi.set(header.without_acknowledgement().0);
        let [badge, client, ..] = frame.words();
        let _ = delivered_close(kernel, channel, badge.get(), client.get()).map(|close| close.forget());
    }
}

/// The channel of a receive.
///
/// # Errors
/// `BadHandle`, `WrongKind`, `Denied`, `Closed`, `BadState` (another process serves it).
pub fn decode<'k>(kernel: &'k Kernel, thread: &Object<Thread>, handle: Handle) -> Result<&'k Object<Channel>, Error> {
    let process = thread.process.get(kernel);
    let channel: &Object<Channel> = process.handles.get(kernel, handle, Rights::RECEIVE)?;
    if channel.closed.get() {
        return Err(Error::Closed);
    }
    if !channel.server.holds(process) {
        return Err(Error::BadState);
    }
    Ok(channel)
}

/// Takes what is there, or waits.
///
/// # Errors
/// `TimedOut` when the deadline has passed already.
pub fn wait(kernel: &Kernel, cpu: &Cpu, thread: &Object<Thread>, channel: &Object<Channel>) -> Result<(), Error> {
    let header = Header(thread.context.frame.rsi.get());
    let deadline = header.has_deadline().then(|| thread.serve_page().deadline());
    // A reply may have given its last handle away.
    if channel.closed.get() {
        return Err(Error::Closed);
    }
    thread.depth.set(0);
    if !thread.serving.holds(channel) {
        thread.serving.set(Some(channel.to_ref()));
    }
    // Ranks that were inherited for earlier work end here.
    inherit::renew(kernel, thread);
    if take(kernel, channel, thread) {
        schedule::pay(kernel, cpu, thread, clock::tsc());
        if channel.is_watched.get() {
            boot::init_receives(kernel, clock::now() + boot::INIT_DEADLINE);
        }
        if cpu.queue.has_above(thread.rank.get()) {
            cpu.ask(attention::RESCHEDULE);
        }
        return Ok(());
    }
    if deadline.is_some_and(|deadline| deadline <= clock::now()) {
        return Err(Error::TimedOut);
    }
    schedule::take_off_cpu(cpu, thread, State::Receiving);
    if channel.is_watched.get() {
        boot::init_receives(kernel, u64::MAX);
    }
    channel.receivers.push_front(thread.to_ref());
    if let Some(deadline) = deadline {
        timer::set(kernel, thread, deadline);
    }
    Ok(())
}

/// Gives a thread the signals, withdrawn calls or closes that wait, one kind at a time.
fn take_news(channel: &Object<Channel>, thread: &Thread) -> bool {
    if channel.signals.get() == 0 && channel.closes.is_empty() && channel.withdrawn.is_empty() {
        return false;
    }
    let frame = &thread.context.frame;
    let news = |delivery: Delivery, words: [u64; 3]| {
        frame.rax.set(OK);
        frame.rdi.set(delivery as u64);
        frame.rsi.set(0);
        for (register, word) in frame.words().into_iter().zip(words) {
            register.set(word);
        }
    };
    let bits = channel.signals.take();
    if bits != 0 {
        news(Delivery::Signals, [bits, 0, 0]);
    } else if let Some(call) = channel.withdrawn.pop_front() {
        news(Delivery::Withdrawn, [call.handle.get().0, 0, 0]);
    } else if let Some(close) = channel.closes.pop_front() {
        news(Delivery::Close, [close.badge, close.client, close.last.get() as u64]);
        close.delivered();
    }
    true
}

/// Gives a thread the first call that may be delivered. The thread is in no list. Where many cannot be delivered, it receives again.
fn take_call(kernel: &Kernel, channel: &Object<Channel>, thread: &Object<Thread>) -> bool {
    for _ in 0..MOST_REFUSED {
        let Some(caller) = channel.first_caller(kernel) else { return false };
        if !may_deliver(kernel, thread.process.get(kernel), caller) {
            return false;
        }
        channel.dequeue(caller);
        if deliver(kernel, channel, caller, thread) {
            let queued = channel.best_rank(kernel);
            thread.rank.set(thread.rank.get().max(queued));
            return true;
        }
    }
    // The registers are those of its receive, or of a reply that is given.
    thread.context.frame.rax.set(Syscall::Receive as u64);
    again(thread);
    true
}

/// Something arrived: gives it to a waiting thread, which becomes ready.
pub fn wake_receiver(kernel: &Kernel, channel: &Object<Channel>) {
    while let Some(receiver) = channel.receivers.pop_front() {
        if !wait_again(kernel, channel, receiver) {
            return;
        }
    }
}

/// Gives a waiting thread that was taken out of its channel's list what there is, or puts it back. Returns whether it got something.
pub(super) fn wait_again(kernel: &Kernel, channel: &Object<Channel>, receiver: Ref<Thread>) -> bool {
    let thread = receiver.get(kernel);
    // A process that is just dying takes nothing any more.
    if thread.process.is_running() && take(kernel, channel, thread) {
        schedule::make_ready(kernel, thread);
        return true;
    }
    channel.receivers.push_front(receiver);
    if channel.closed.get() {
        end::stop_receiving(kernel, thread, Error::Closed);
    }
    false
}

/// Gives a thread what waits. News may come of a call that could not be delivered.
fn take(kernel: &Kernel, channel: &Object<Channel>, thread: &Object<Thread>) -> bool {
    !channel.is_quiet() && take_something(kernel, channel, thread)
}

fn take_something(kernel: &Kernel, channel: &Object<Channel>, thread: &Object<Thread>) -> bool {
    take_news(channel, thread)
        || take_call(kernel, channel, thread)
        || !channel.closed.get() && take_news(channel, thread)
}
