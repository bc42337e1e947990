//! What becomes of calls, sessions and handles when a server dies: `docs/states.md`.

use abi::{Class, ExitReason, Header};
use core::time::Duration;
use guest::process::{self, Server, ask, ask_for, reason, wait_until_dead};
use guest::puppet::{self, status_of};
use guest::test::{Outcome, Test};
use guest::{check, check_eq, tests};
use libsys::{Error, Session, thread};

pub const TESTS: &[Test] = tests![
    a_failing_call_ends,
    a_replayed_call_is_answered_by_the_next,
    a_once_call_is_given_to_the_next,
    queued_calls_wait,
    parked_calls_go_back_whatever_their_class,
    faults_are_counted_and_kills_are_not,
    hangs_are_counted,
    a_suspect_is_alone,
    suspects_resumed_together_are_alone,
    a_deadline_does_not_run_while_there_is_no_server,
    sessions_stay,
    a_channel_closed_while_its_server_is_dead,
    many_deaths,
];

type Caller = thread::JoinHandle<Result<[u64; 8], Error>>;

/// Makes a call in a thread.
fn call(session: &Session, method: u32, class: Class, word: u64) -> Outcome<Caller> {
    let session = libsys::Object::duplicate(session, process::session_rights())?;
    Ok(thread::spawn(move || ask(&session, method, class, [word; 8]))?)
}

/// Makes a call that the server has when this returns.
fn kept(server: &Server, method: u32, class: Class) -> Outcome<Caller> {
    let other = server.session(99)?;
    let before = status_of(&other)?.kept;
    let caller = call(&other, method, class, 0)?;
    process::eventually("the call is received", || Ok(status_of(&other)?.kept > before))()?;
    Ok(caller)
}

fn kill(server: &Server, how: ExitReason) -> Outcome {
    server.process.kill(how, 0)?;
    wait_until_dead(&server.process)?;
    Ok(())
}

fn a_failing_call_ends() -> Outcome {
    let server = puppet::start()?;
    let caller = kept(&server, puppet::KEEP, Class::Fail)?;
    kill(&server, ExitReason::Killed)?;
    check_eq!(caller.join(), Err(Error::PeerDied));
    let session = server.session(1)?;
    let caller = call(&session, puppet::ECHO, Class::Fail, 4)?;
    let mut server = server;
    server.restart()?;
    check_eq!(caller.join(), Ok([4; 8]));
    Ok(())
}

fn a_replayed_call_is_answered_by_the_next() -> Outcome {
    let mut server = puppet::start()?;
    let session = server.session(5)?;
    let caller = call(&session, puppet::CRASH, Class::Replay, 1)?;
    let record = wait_until_dead(&server.process)?;
    check_eq!(reason(&record), ExitReason::PageFault);
    check_eq!((Header(record.call).method(), record.client), (puppet::CRASH, libsys::sys::identify().process));
    server.restart()?;
    let [badge, _, faults, hangs, again, incarnation, ..] = caller.join()?;
    check_eq!((badge, faults, hangs, again, incarnation), (5, 1, 0, 1, 2));
    Ok(())
}

fn a_once_call_is_given_to_the_next() -> Outcome {
    let mut server = puppet::start()?;
    let session = server.session(5)?;
    let caller = call(&session, puppet::CRASH, Class::Once, 1)?;
    server.restart()?;
    check_eq!(caller.join()?[5], 2);
    Ok(())
}

fn queued_calls_wait() -> Outcome {
    let mut server = puppet::start()?;
    let session = server.session(5)?;
    kill(&server, ExitReason::Killed)?;
    let callers = [call(&session, puppet::ABOUT, Class::Fail, 0)?, call(&session, puppet::ABOUT, Class::Fail, 0)?];
    server.restart()?;
    for caller in callers {
        let [_, _, faults, _, again, incarnation, ..] = caller.join()?;
        check_eq!((faults, again, incarnation), (0, 0, 2));
    }
    Ok(())
}

fn parked_calls_go_back_whatever_their_class() -> Outcome {
    let mut server = puppet::start()?;
    let session = server.session(5)?;
    let caller = kept(&server, puppet::PARK, Class::Fail)?;
    kill(&server, ExitReason::Killed)?;
    server.restart()?;
    process::eventually("it is parked again", || Ok(status_of(&session)?.kept == 1))()?;
    ask(&session, puppet::ANSWER, Class::Fail, [3; 8])?;
    check_eq!(caller.join(), Ok([3; 8]));
    Ok(())
}

fn faults_are_counted_and_kills_are_not() -> Outcome {
    let mut server = puppet::start()?;
    let session = server.session(5)?;
    let caller = kept(&server, puppet::KEEP, Class::Replay)?;
    kill(&server, ExitReason::Killed)?;
    server.restart()?;
    process::eventually("it is kept again", || Ok(status_of(&session)?.kept == 1))()?;
    ask(&session, puppet::ANSWER, Class::Fail, [1; 8])?;
    caller.join()?;
    let caller = call(&session, puppet::CRASH, Class::Replay, 4)?;
    for incarnation in 2..=4 {
        let record = wait_until_dead(&server.process)?;
        check_eq!(record.incarnation, incarnation);
        server.restart()?;
    }
    check_eq!(caller.join()?[2], 3);
    Ok(())
}

fn hangs_are_counted() -> Outcome {
    /// Hangs in the first incarnation.
    fn hangs() -> u64 {
        if libsys::sys::identify().incarnation == 1 {
            let _ = libsys::env::channel().receive(None);
            loop {
                core::hint::spin_loop();
            }
        }
        puppet::serve()
    }
    let mut server = Server::start(hangs)?;
    let session = server.session(5)?;
    // The bits that it starts with come first, in the second incarnation only.
    let caller = call(&session, puppet::ABOUT, Class::Replay, 0)?;
    let inspect = crate::given(&guest::system::system().inspect)?;
    let own = libsys::sys::identify().process;
    process::eventually("it has the call", || {
        let current = abi::inspect::CallState::Current as u32;
        Ok(libsys::inspect::calls(inspect)
            .any(|call| call.is_ok_and(|call| call.client == own && call.state == current)))
    })()?;
    kill(&server, ExitReason::Hung)?;
    server.restart()?;
    let [_, _, faults, hangs, again, ..] = caller.join()?;
    check_eq!((faults, hangs, again), (0, 1, 1));
    Ok(())
}

fn a_suspect_is_alone() -> Outcome {
    let mut server = puppet::start()?;
    let session = server.session(5)?;
    let parked = kept(&server, puppet::PARK, Class::Replay)?;
    let suspect = call(&session, puppet::CRASH, Class::Replay, 2)?;
    for _ in 0..2 {
        // What is parked is nothing beside it.
        server.restart()?;
    }
    check_eq!(suspect.join()?[2], 2);
    process::eventually("the other is parked again", || Ok(status_of(&session)?.kept == 1))()?;
    ask(&session, puppet::ANSWER, Class::Fail, [9; 8])?;
    check_eq!(parked.join(), Ok([9; 8]));
    Ok(())
}

fn suspects_resumed_together_are_alone() -> Outcome {
    let mut server = puppet::start()?;
    let (session, other) = (server.session(5)?, server.session(6)?);
    let first = call(&session, puppet::CRASH_PARK, Class::Replay, 1)?;
    server.restart()?;
    process::eventually("the first is parked", || Ok(status_of(&other)?.kept == 1))()?;
    let second = call(&other, puppet::CRASH_PARK, Class::Replay, 2)?;
    server.restart()?;
    process::eventually("both are parked", || Ok(status_of(&session)?.kept == 2))()?;
    ask(&session, puppet::RESUME_BOTH, Class::Fail, [0; 8])?;
    // The second was not given to the server beside the first, but after it.
    check_eq!(first.join()?[0], Error::CallerGone as u64);
    process::eventually("the second is parked again", || Ok(status_of(&session)?.kept == 1))()?;
    ask(&session, puppet::ANSWER, Class::Fail, [9; 8])?;
    check_eq!(second.join(), Ok([9; 8]));
    Ok(())
}

fn a_deadline_does_not_run_while_there_is_no_server() -> Outcome {
    let mut server = puppet::start()?;
    let session = server.session(5)?;
    kill(&server, ExitReason::Killed)?;
    let other = server.session(6)?;
    let caller = thread::spawn(move || {
        ask_for(&other, Header::words(puppet::ECHO, Class::Fail), [1; 8], Duration::from_millis(20))
    })?;
    let start = libsys::time::now();
    while libsys::time::now() < start + 60_000_000 {
        thread::yield_now();
    }
    server.reset()?;
    server.load()?;
    check_eq!(caller.join().map(|(_, words)| words), Ok([1; 8]));
    check_eq!(ask(&session, puppet::ECHO, Class::Fail, [2; 8]), Ok([2; 8]));
    Ok(())
}

fn sessions_stay() -> Outcome {
    let mut server = puppet::start()?;
    let session = server.session(12)?;
    for incarnation in 2..5 {
        kill(&server, ExitReason::Killed)?;
        server.restart()?;
        let about = ask(&session, puppet::ABOUT, Class::Fail, [0; 8])?;
        check_eq!((about[0], about[5]), (12, incarnation));
    }
    Ok(())
}

fn a_channel_closed_while_its_server_is_dead() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(5)?;
    kill(&server, ExitReason::Killed)?;
    let caller = call(&session, puppet::ECHO, Class::Replay, 0)?;
    thread::yield_now();
    server.channel.close()?;
    check_eq!(caller.join(), Err(Error::Closed));
    Ok(())
}

fn many_deaths() -> Outcome {
    let mut server = puppet::start()?;
    let session = server.session(5)?;
    for round in 0..20 {
        let callers = [
            call(&session, puppet::CRASH, Class::Replay, u64::MAX)?,
            call(&session, puppet::ECHO, Class::Replay, round)?,
        ];
        wait_until_dead(&server.process)?;
        let [crash, echo] = callers;
        libsys::sys::thread_cancel(crash.object().map_or(abi::Handle::NONE, libsys::Object::handle))?;
        check!(matches!(crash.join(), Err(Error::Unknown | Error::NotStarted)));
        server.restart()?;
        check_eq!(echo.join(), Ok([round; 8]));
    }
    Ok(())
}
