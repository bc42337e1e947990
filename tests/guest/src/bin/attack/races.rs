//! Threads of one process against each other, and against what the kernel does with its pages meanwhile.

use crate::must;
use abi::{Class, Handle, Header, Rights, Syscall};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use guest::process::PATIENCE;
use guest::puppet;
use guest::random::Random;
use guest::raw::call;
use libsys::message::{CallPage, ServePage};
use libsys::time::deadline_after;
use libsys::{Channel, Memory, Object, env, message, thread};

static STOP: AtomicBool = AtomicBool::new(false);
static PAGES: AtomicU64 = AtomicU64::new(0);
static TURNS: AtomicU64 = AtomicU64::new(0);

/// Writes nonsense into the message pages of the main thread, until it is told to stop.
fn scribble() {
    let mut random = Random::new(3);
    while !STOP.load(Relaxed) {
        let at = PAGES.load(Relaxed) + random.below(1024) * 8;
        let value = random.number() >> random.below(64);
        // SAFETY: the pages are mapped for writing; this is the race that the kernel has to bear, and the other side uses what
        // it reads for comparisons of plain words only.
        unsafe { ptr::with_exposed_provenance_mut::<u64>(at as usize).write_volatile(value) };
        // On one CPU the others have to come, too.
        if TURNS.fetch_add(1, Relaxed).is_multiple_of(64) {
            thread::yield_now();
        }
    }
}

fn own_pages() -> u64 {
    let page = CallPage::take();
    (page.payload().as_ptr() as u64) & !4095
}

/// The main thread's message pages, as a plain address, while nothing in Rust refers to them.
fn with_scribbler(act: impl FnOnce()) {
    PAGES.store(own_pages(), Relaxed);
    let scribbler = thread::spawn(scribble).expect("a thread");
    while TURNS.load(Relaxed) == 0 {
        thread::yield_now();
    }
    act();
    STOP.store(true, Relaxed);
    scribbler.join();
}

crate::refused! {
    message_pages_changed_during_calls {
        let session = crate::lent("session");
        with_scribbler(|| {
            for count in 0..2000 {
                let header = Header::words(puppet::ABOUT, Class::Once).with_payload(3968).with_handles(count % 5).with_reply_handles(count % 5);
                call(Syscall::Call, [session, header.0, 1, 2, 3]);
                let header = Header::words(puppet::ECHO, Class::Once).with_payload(3968).with_deadline();
                call(Syscall::Call, [session, header.0]);
            }
        });
    }
    message_pages_changed_during_service {
        let channel = Channel::create(env::account()).expect("a channel");
        let session = channel.mint(1, env::account()).expect("a session");
        let done: &'static AtomicBool = &STOP;
        let caller = thread::spawn(move || {
            while !done.load(Relaxed) {
                message::set_call_deadline(deadline_after(PATIENCE));
                if session.call(Header::words(1, Class::Replay).with_payload(3968).with_reply_handles(4).with_deadline(), [0; 8]).is_err() {
                    thread::yield_now();
                }
            }
        });
        let caller = caller.expect("a thread");
        with_scribbler(|| {
            let header = Header::default().with_payload(3968).with_handles(4);
            for _ in 0..300 {
                if call(Syscall::ReplyReceive, [channel.handle().0, header.0]).error().is_some() {
                    call(Syscall::Receive, [channel.handle().0, Header::default().with_deadline().0]);
                }
            }
        });
        call(Syscall::CallAbandon, [0]);
        let _ = channel.close();
        caller.join();
    }
    call_without_message_pages {
        let session = crate::lent("session");
        let pages = own_pages();
        must!(call(Syscall::MemoryUnmap, [0, pages]).error(), None);
        let header = Header::words(puppet::ECHO, Class::Replay).with_payload(512);
        let answer = call(Syscall::Call, [session, header.0, 7]);
        must!(answer.status == 0 && answer.results[2] == 7);
        // Something else may stand there now.
        let memory = Memory::create(env::account(), 8192).expect("memory");
        must!(call(Syscall::MemoryMap, [0, memory.handle().0, pages, 0, 8192, 1]).error(), None);
        must!(call(Syscall::Call, [session, header.0, 8]).results[2] == 8);
    }
    handles_closed_and_made_at_once {
        let session = crate::lent("session");
        let memory = Memory::create(env::account(), 4096).expect("memory").into_handle().0;
        let closer = thread::spawn(move || {
            let mut random = Random::new(5);
            while !STOP.load(Relaxed) {
                let copy = call(Syscall::HandleDuplicate, [memory, u64::from(Rights::all().bits()), 0]).results[0];
                call(Syscall::HandleClose, [copy]);
                call(Syscall::HandleClose, [Handle::new(random.below(32) as u32 + 32, 1 + random.below(400) as u32).0]);
            }
        });
        let closer = closer.expect("a thread");
        for count in 0..1000u64 {
            let mut page = CallPage::take();
            *page.handles_mut() = core::array::from_fn(|n| Handle::new((count + n as u64) as u32 % 64, 1 + (count / 8) as u32));
            drop(page);
            call(Syscall::Call, [session, Header::words(puppet::ABOUT, Class::Replay).with_handles(1 + count as usize % 4).0]);
        }
        STOP.store(true, Relaxed);
        closer.join();
    }
    mapped_and_unmapped_while_touched {
        // The other thread dies of it, if it does, and so does the process: so it touches through the kernel, by reading the process.
        let own = env::process().handle().0;
        let memory = Memory::create(env::account(), 64 * 4096).expect("memory").into_handle().0;
        let place = 0x20_0000_0000u64;
        let reader = thread::spawn(move || {
            while !STOP.load(Relaxed) {
                call(Syscall::ProcessRead, [own, place, 3968]);
                call(Syscall::MemoryProtect, [0, place, 1]);
                call(Syscall::MemoryProtect, [0, place, 3]);
            }
        });
        let reader = reader.expect("a thread");
        for _ in 0..200 {
            call(Syscall::MemoryMap, [0, memory, place, 0, 64 * 4096, 3]);
            call(Syscall::MemoryUnmap, [0, place]);
        }
        STOP.store(true, Relaxed);
        reader.join();
    }
    sealed_while_written {
        for _ in 0..20 {
            let memory = Memory::create(env::account(), 16 * 4096).expect("memory");
            let writable = memory.map_writable().expect("a mapping");
            writable.word_u64(0).store(1, Relaxed);
            memory.seal().expect("sealed");
            let mapping = memory.map().expect("a mapping");
            must!(mapping.load_u64(0, Relaxed) == 1);
            must!(memory.map_writable().is_err());
        }
    }
    threads_cancelled_and_killed {
        let channel = Channel::create(env::account()).expect("a channel");
        let channel: &'static Channel = alloc::boxed::Box::leak(alloc::boxed::Box::new(channel));
        for _ in 0..50 {
            let waiter = thread::spawn(move || channel.receive(Some(deadline_after(PATIENCE))).map(drop)).expect("a thread");
            let object = waiter.object().map(|object| object.handle().0).unwrap_or(0);
            while call(Syscall::ThreadCancel, [object]).error().is_some() {
                thread::yield_now();
            }
            must!(waiter.join() == Err(libsys::Error::TimedOut));
        }
        drop(ServePage::take());
    }
}
