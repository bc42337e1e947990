//! Logging: [`error!`](crate::error), [`warn!`](crate::warn), [`info!`](crate::info) and the other levels write into the
//! process's own ring in shared Memory. Nobody is called, and nobody waited for; the log server follows the rings.
//!
//! What is less urgent than the parameter `log` (a level's name; `info` when it is not given) is not formatted at all.

mod level;
mod reader;
mod text;
mod writer;

pub use level::Level;
pub use reader::{Entry, LogReader};
pub(crate) use text::Text;
pub use writer::LogWriter;

use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};

/// The least urgent level that is written.
static LEAST: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// Writes what is at least as urgent as `level` from now on.
pub fn set_level(level: Level) {
    LEAST.store(level as u8, Ordering::Relaxed);
}

/// Whether records of a level are written.
#[inline]
pub fn is_enabled(level: Level) -> bool {
    level as u8 <= LEAST.load(Ordering::Relaxed)
}

/// Writes a record if its level is enabled: what the macros do. Texts beyond [`abi::ring::LOG_TEXT_BYTES`] are cut.
pub fn write(level: Level, text: fmt::Arguments) {
    if is_enabled(level) {
        write_always(level, text);
    }
}

/// Writes into the process's ring. A process without one says nothing.
#[cfg(target_os = "none")]
fn write_always(level: Level, text: fmt::Arguments) {
    if let Some(writer) = own_ring() {
        let text = Text::format(text);
        writer.lock().write(level, text.as_str());
    }
}

/// On the host, tests show it.
#[cfg(not(target_os = "none"))]
fn write_always(level: Level, text: fmt::Arguments) {
    std::eprintln!("{}: {}", level.name(), Text::format(text).as_str());
}

#[cfg(target_os = "none")]
static RING: crate::sync::OnceLock<Option<crate::sync::Mutex<LogWriter>>> = crate::sync::OnceLock::new();

/// Has the process's ring mapped before its first record: whether it has written any is then nothing that its handles and mappings tell.
pub fn prepare() {
    #[cfg(target_os = "none")]
    own_ring();
}

/// The process's ring, mapped at its first record, or by [`prepare`].
#[cfg(target_os = "none")]
fn own_ring() -> Option<&'static crate::sync::Mutex<LogWriter>> {
    let open = || {
        let memory: crate::Memory = crate::env::get().take(crate::env::names::LOG).ok()?;
        LogWriter::open(memory.map_writable().ok()?).map(crate::sync::Mutex::new)
    };
    RING.get_or_init(open).as_ref()
}

/// Notes behind the process's ring that it answered its first request: [`LogReader::answered`].
pub(crate) fn note_answer() {
    #[cfg(target_os = "none")]
    if let Some(writer) = own_ring() {
        writer.lock().note_answer(crate::time::now());
    }
}

/// Names the Memory of the ring that a panic of this process writes to, where it was not given one when it started and has a writer of its own: init.
pub fn set_last_ring(ring: &crate::Memory) {
    #[cfg(target_os = "none")]
    crate::start::set_log_memory(ring);
    #[cfg(not(target_os = "none"))]
    let _ = ring;
}

/// Writes lines for a panic: it waits for no lock, and allocates nothing. Where another thread is writing, they are lost.
#[cfg(target_os = "none")]
pub(crate) fn write_last(level: Level, lines: &str) {
    let put = |writer: &mut LogWriter| lines.lines().for_each(|line| writer.write(level, line));
    match RING.get() {
        Some(Some(ring)) => {
            if let Some(mut writer) = ring.try_lock() {
                put(&mut writer);
            }
        }
        // It never logged: nobody else writes into the ring.
        _ => {
            let memory = crate::start::log_memory();
            if let Some(mut writer) = memory.and_then(|memory| memory.map_writable().ok()).and_then(LogWriter::open) {
                put(&mut writer);
            }
        }
    }
}

/// Logs at a level: `log!(Level::Notice, "{} blocks", n)`.
#[macro_export]
macro_rules! log {
    ($level:expr, $($argument:tt)+) => {
        $crate::log::write($level, ::core::format_args!($($argument)+))
    };
}

/// Logs what makes the system unusable.
#[macro_export]
macro_rules! emergency {
    ($($argument:tt)+) => { $crate::log!($crate::log::Level::Emergency, $($argument)+) };
}

/// Logs what somebody must act upon at once.
#[macro_export]
macro_rules! alert {
    ($($argument:tt)+) => { $crate::log!($crate::log::Level::Alert, $($argument)+) };
}

/// Logs a critical condition.
#[macro_export]
macro_rules! critical {
    ($($argument:tt)+) => { $crate::log!($crate::log::Level::Critical, $($argument)+) };
}

/// Logs an error.
#[macro_export]
macro_rules! error {
    ($($argument:tt)+) => { $crate::log!($crate::log::Level::Error, $($argument)+) };
}

/// Logs a warning.
#[macro_export]
macro_rules! warn {
    ($($argument:tt)+) => { $crate::log!($crate::log::Level::Warning, $($argument)+) };
}

/// Logs what is normal but matters.
#[macro_export]
macro_rules! notice {
    ($($argument:tt)+) => { $crate::log!($crate::log::Level::Notice, $($argument)+) };
}

/// Logs for information.
#[macro_export]
macro_rules! info {
    ($($argument:tt)+) => { $crate::log!($crate::log::Level::Info, $($argument)+) };
}

/// Logs for debugging.
#[macro_export]
macro_rules! debug {
    ($($argument:tt)+) => { $crate::log!($crate::log::Level::Debug, $($argument)+) };
}

#[cfg(test)]
mod tests;
