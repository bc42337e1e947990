//! Something for each session of a server.

use super::Context;
use alloc::collections::BTreeMap;

/// What a server keeps for each session, by badge. Call [`Sessions::close`] in [`super::Server::close`].
#[derive(Clone, Debug)]
pub struct Sessions<T> {
    by_badge: BTreeMap<u64, T>,
}

impl<T> Default for Sessions<T> {
    fn default() -> Self {
        Sessions::new()
    }
}

impl<T> Sessions<T> {
    /// No sessions.
    pub const fn new() -> Sessions<T> {
        Sessions { by_badge: BTreeMap::new() }
    }

    /// What the calling session has, if it has something.
    pub fn get(&mut self, cx: &Context) -> Option<&mut T> {
        self.by_badge.get_mut(&cx.badge())
    }

    /// What the session with a badge has.
    pub fn of_badge(&mut self, badge: u64) -> Option<&mut T> {
        self.by_badge.get_mut(&badge)
    }

    /// What the calling session has, made at its first call.
    pub fn get_or_insert_with(&mut self, cx: &Context, make: impl FnOnce() -> T) -> &mut T {
        self.by_badge.entry(cx.badge()).or_insert_with(make)
    }

    /// Gives a session something, in place of what it had.
    pub fn insert(&mut self, badge: u64, value: T) -> Option<T> {
        self.by_badge.insert(badge, value)
    }

    /// Takes away what a session had when it is closed for the last time.
    pub fn close(&mut self, badge: u64, last: bool) -> Option<T> {
        if last { self.by_badge.remove(&badge) } else { None }
    }

    /// All of them, with their badges.
    pub fn iter(&mut self) -> impl Iterator<Item = (u64, &mut T)> {
        self.by_badge.iter_mut().map(|(badge, value)| (*badge, value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_badge.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_badge.is_empty()
    }
}

impl<T: Default> Sessions<T> {
    /// What the calling session has; the default at its first call.
    pub fn get_or_default(&mut self, cx: &Context) -> &mut T {
        self.get_or_insert_with(cx, T::default)
    }
}
