//! Queues from many threads to one.

use super::condvar::Condvar;
use super::mutex::Mutex;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;

struct Shared<T> {
    state: Mutex<State<T>>,
    not_empty: Condvar,
    not_full: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    /// Most items at a time.
    capacity: usize,
    senders: usize,
    receiver: bool,
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveError {
    /// Nothing is there.
    Empty,
    /// Nothing is there, and all senders are gone.
    Disconnected,
}

/// Why nothing was sent: with what was not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendError<T> {
    /// No room.
    Full(T),
    /// The receiver is gone.
    Disconnected(T),
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full(_) => "Full",
            SendError::Disconnected(_) => "Disconnected",
        })
    }
}

/// A queue for any number of items.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    bounded(usize::MAX)
}

/// A queue in which `capacity` items (at least one) find room; who sends more waits.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { items: VecDeque::new(), capacity: capacity.max(1), senders: 1, receiver: true };
    let shared = Arc::new(Shared { state: Mutex::new(state), not_empty: Condvar::new(), not_full: Condvar::new() });
    (Sender(shared.clone()), Receiver(shared))
}

/// The end of a queue where items go in.
pub struct Sender<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    /// Sends an item, waiting for room. Error: `Disconnected`.
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        let state = self.0.state.lock();
        let mut state =
            self.0.not_full.wait_while(state, |state| state.receiver && state.items.len() >= state.capacity);
        if !state.receiver {
            return Err(SendError::Disconnected(item));
        }
        state.items.push_back(item);
        drop(state);
        self.0.not_empty.notify_one();
        Ok(())
    }

    /// Sends an item if there is room. Errors: `Full`, `Disconnected`.
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        let mut state = self.0.state.lock();
        if !state.receiver {
            return Err(SendError::Disconnected(item));
        }
        if state.items.len() >= state.capacity {
            return Err(SendError::Full(item));
        }
        state.items.push_back(item);
        drop(state);
        self.0.not_empty.notify_one();
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state.lock().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.senders -= 1;
        let last = state.senders == 0;
        drop(state);
        if last {
            self.0.not_empty.notify_one();
        }
    }
}

/// The end of a queue where items come out.
pub struct Receiver<T>(Arc<Shared<T>>);

impl<T> Receiver<T> {
    /// Waits for an item. Error: `Disconnected`.
    pub fn receive(&self) -> Result<T, ReceiveError> {
        self.receive_until(None)
    }

    /// Takes an item if one is there.
    pub fn try_receive(&self) -> Result<T, ReceiveError> {
        self.receive_until(Some(0))
    }

    /// Waits for an item until a deadline in nanoseconds of the monotonic clock. Errors: `Empty` (the deadline has passed), `Disconnected`.
    pub fn receive_until(&self, deadline: Option<u64>) -> Result<T, ReceiveError> {
        let mut state = self.0.state.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                drop(state);
                self.0.not_full.notify_one();
                return Ok(item);
            }
            if state.senders == 0 {
                return Err(ReceiveError::Disconnected);
            }
            let woken;
            (state, woken) = match deadline {
                Some(0) => (state, false),
                deadline => self.0.not_empty.wait_until(state, deadline),
            };
            if !woken && state.items.is_empty() {
                return Err(ReceiveError::Empty);
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.receiver = false;
        // Dropped outside of the lock: items may be anything.
        let items = core::mem::take(&mut state.items);
        drop(state);
        drop(items);
        self.0.not_full.notify_all();
    }
}
