//! Calls: answered twice, to the dead, in chains and circles; either side killed in every state.

use crate::neighbour;
use abi::inspect::CallState;
use abi::{Class, ExitReason, Handle, Header};
use alloc::vec::Vec;
use core::time::Duration;
use guest::counts::Counts;
use guest::process::{self, Server, ask, ask_for, eventually, reason, wait_for, wait_until_dead};
use guest::puppet::{self, status_of};
use guest::system::system;
use guest::test::{Failure, Outcome, Test};
use guest::{check, check_eq, tests};
use libsys::message::CallPage;
use libsys::program::Child;
use libsys::{Error, Object, Session, env, inspect};

pub const TESTS: &[Test] = tests![
    reply_twice,
    reply_with_a_bad_header,
    receive_with_a_call_in_hand,
    reply_to_a_dead_client,
    chain_of_eight_and_of_nine,
    circle,
    call_to_oneself,
    client_killed_while_queued,
    client_killed_while_current,
    client_killed_while_kept,
    client_killed_while_parked,
    server_killed_while_current,
    server_killed_while_kept,
    server_killed_with_a_queue,
    server_killed_while_it_calls,
    both_killed,
    server_closed_under_its_callers,
    server_never_started,
    exit_with_calls_outstanding,
    thread_ends_with_a_call_in_hand,
    account_revoked_in_a_call,
    handles_of_a_message_closed_meanwhile,
    more_handles_than_the_reply_may_bring,
    more_handles_than_the_server_takes,
    poison_request,
];

/// A client process: makes the call that its parameters say; its exit code is the status.
fn client() -> u64 {
    let parameter = |name: &str| env::parameter(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    let Ok(session) = env::take_session("session") else { return u64::MAX };
    let class = Class::from_number(parameter("class")).unwrap_or(Class::Fail);
    let words = [parameter("word"), 0, 0, 0, 0, 0, 0, 0];
    // No deadline: somebody has to end it.
    match session.call(Header::words(parameter("method") as u32, class), words) {
        Ok((_, words)) => words[0] << 8,
        Err(error) => error as u64,
    }
}

fn start_client(session: &Session, method: u32, class: Class, word: u64) -> Outcome<Child> {
    use alloc::string::ToString;
    let launch = process::launch("client", client)
        .grant("session", session, process::session_rights())
        .parameter("method", method.to_string())
        .parameter("class", (class as u64).to_string())
        .parameter("word", word.to_string());
    Ok(launch.spawn(system().account)?)
}

/// The states of the calls of a process.
fn states(of: &libsys::Process) -> Outcome<Vec<u32>> {
    let number = of.exit_record()?.process;
    let inspect = system().inspect.as_ref().ok_or(Failure::skip("no handle `inspect`"))?;
    let calls: Result<Vec<_>, _> = inspect::calls(inspect).collect();
    Ok(calls?.iter().filter(|call| call.client == number).map(|call| call.state).collect())
}

#[track_caller]
fn wait_for_state(client: &Child, state: CallState) -> Outcome {
    eventually("the call is in that state", || Ok(states(&client.process)? == [state as u32]))()
}

/// Runs an attack that starts servers of its own.
#[track_caller]
fn alone(attack: impl FnOnce() -> Outcome) -> Outcome {
    let before = Counts::settled()?;
    attack()?;
    neighbour()?.is_well()?;
    before.wait_until_back()
}

fn reply_twice() -> Outcome {
    alone(|| {
        let server = puppet::start()?;
        let session = server.session(1)?;
        check_eq!(ask(&session, puppet::TWICE, Class::Fail, [9; 8]), Ok([9; 8]));
        check_eq!(status_of(&session)?.last, Error::BadState as u64);
        Ok(())
    })
}

fn reply_with_a_bad_header() -> Outcome {
    alone(|| {
        let session = puppet::start()?;
        let session = session.session(1)?;
        check_eq!(
            ask(&session, puppet::BAD_REPLY, Class::Fail, [0; 8]).map(|words| words[0]),
            Ok(Error::BadMessage as u64)
        );
        Ok(())
    })
}

fn receive_with_a_call_in_hand() -> Outcome {
    alone(|| {
        let server = puppet::start()?;
        let session = server.session(1)?;
        check_eq!(
            ask(&session, puppet::RECEIVE, Class::Fail, [0; 8]).map(|words| words[0]),
            Ok(Error::BadState as u64)
        );
        Ok(())
    })
}

fn reply_to_a_dead_client() -> Outcome {
    alone(|| {
        let server = puppet::start()?;
        let session = server.session(1)?;
        let client = start_client(&session, puppet::KEEP, Class::Fail, 0)?;
        wait_for_state(&client, CallState::Kept)?;
        client.kill(1)?;
        let told = status_of(&session)?;
        check_eq!((told.withdrawn, told.kept), (1, 0));
        check_eq!(reason(&wait_for(&client)?), ExitReason::Killed);
        Ok(())
    })
}

#[allow(clippy::type_complexity)]
fn chain(length: usize) -> Outcome<(Vec<Server>, Result<(u64, u64), Error>)> {
    let servers: Vec<Server> = (0..length).map(|_| puppet::start()).collect::<Result<_, _>>()?;
    let sessions: Vec<Session> = servers.iter().map(|server| server.session(1)).collect::<Result<_, _>>()?;
    for pair in sessions.windows(2) {
        send_next(&pair[0], &pair[1])?;
    }
    let answer = ask(&sessions[0], puppet::CHAIN, Class::Replay, [length as u64 - 1, 0, 0, 0, 0, 0, 0, 0]);
    Ok((servers, answer.map(|words| (words[0], words[1]))))
}

fn send_next(to: &Session, next: &Session) -> Outcome {
    let mut page = CallPage::take();
    page.handles_mut()[0] = next.handle();
    drop(page);
    let header = Header::words(puppet::NEXT, Class::Fail).with_handles(1);
    ask_for(to, header, [0; 8], process::PATIENCE)?;
    Ok(())
}

fn chain_of_eight_and_of_nine() -> Outcome {
    alone(|| {
        check_eq!(chain(8)?.1, Ok((0, 8)));
        check_eq!(chain(9)?.1, Ok((Error::Deadlock as u64, 8)));
        Ok(())
    })
}

fn circle() -> Outcome {
    alone(|| {
        let servers = [puppet::start()?, puppet::start()?, puppet::start()?];
        let sessions = [servers[0].session(1)?, servers[1].session(1)?, servers[2].session(1)?];
        for index in 0..3 {
            send_next(&sessions[index], &sessions[(index + 1) % 3])?;
        }
        let answer = ask(&sessions[0], puppet::CHAIN, Class::Replay, [5, 0, 0, 0, 0, 0, 0, 0]);
        check_eq!(answer.map(|words| (words[0], words[1])), Ok((Error::Deadlock as u64, 3)));
        Ok(())
    })
}

fn call_to_oneself() -> Outcome {
    alone(|| {
        let channel = libsys::Channel::create(system().account)?;
        let session = channel.mint(1, system().account)?;
        check_eq!(ask(&session, 1, Class::Fail, [0; 8]), Err(Error::Deadlock));
        Ok(())
    })
}

/// Kills a client in a state of its call, and shows that its server goes on.
#[track_caller]
fn kill_client(method: u32, state: CallState, before: impl FnOnce(&Session) -> Outcome<Option<Child>>) -> Outcome {
    alone(|| {
        let mut server = puppet::start()?;
        let session = server.session(1)?;
        let blocker = before(&session)?;
        let client = start_client(&session, method, Class::Replay, 0)?;
        wait_for_state(&client, state)?;
        client.kill(3)?;
        if state == CallState::Current || blocker.is_some() {
            // The server never answers: it ends, and with it what it still did for the dead.
            server.process.kill(ExitReason::Hung, 4)?;
        }
        let record = wait_for(&client)?;
        check_eq!((reason(&record), record.code), (ExitReason::Killed, 3));
        if let Some(blocker) = blocker {
            check_eq!(wait_for(&blocker)?.code, Error::PeerDied as u64);
        }
        if reason(&server.process.exit_record()?) != ExitReason::None {
            server.restart()?;
        }
        check_eq!(ask(&session, puppet::ECHO, Class::Fail, [5; 8]), Ok([5; 8]));
        Ok(())
    })
}

fn client_killed_while_queued() -> Outcome {
    kill_client(puppet::ECHO, CallState::Queued, |session| {
        let blocker = start_client(session, puppet::SPIN, Class::Fail, 0)?;
        wait_for_state(&blocker, CallState::Current)?;
        Ok(Some(blocker))
    })
}

fn client_killed_while_current() -> Outcome {
    kill_client(puppet::SPIN, CallState::Current, |_| Ok(None))
}

fn client_killed_while_kept() -> Outcome {
    kill_client(puppet::KEEP, CallState::Kept, |_| Ok(None))
}

fn client_killed_while_parked() -> Outcome {
    kill_client(puppet::PARK, CallState::Parked, |_| Ok(None))
}

fn server_killed_while_current() -> Outcome {
    alone(|| {
        let mut server = puppet::start()?;
        let session = server.session(1)?;
        let client = start_client(&session, puppet::SPIN, Class::Fail, 0)?;
        wait_for_state(&client, CallState::Current)?;
        server.process.kill(ExitReason::Killed, 0)?;
        check_eq!(wait_for(&client)?.code, Error::PeerDied as u64);
        server.restart()?;
        check_eq!(ask(&session, puppet::ECHO, Class::Fail, [6; 8]), Ok([6; 8]));
        Ok(())
    })
}

fn server_killed_while_kept() -> Outcome {
    alone(|| {
        let mut server = puppet::start()?;
        let session = server.session(1)?;
        let replayed = start_client(&session, puppet::KEEP, Class::Replay, 0)?;
        let failed = start_client(&session, puppet::KEEP, Class::Fail, 0)?;
        let parked = start_client(&session, puppet::PARK, Class::Fail, 0)?;
        wait_for_state(&replayed, CallState::Kept)?;
        wait_for_state(&failed, CallState::Kept)?;
        wait_for_state(&parked, CallState::Parked)?;
        server.process.kill(ExitReason::Killed, 0)?;
        check_eq!(wait_for(&failed)?.code, Error::PeerDied as u64);
        server.restart()?;
        wait_for_state(&replayed, CallState::Kept)?;
        wait_for_state(&parked, CallState::Parked)?;
        for _ in 0..2 {
            check_eq!(ask(&session, puppet::ANSWER, Class::Fail, [8; 8]).map(|words| words[0]), Ok(0));
        }
        check_eq!((wait_for(&replayed)?.code, wait_for(&parked)?.code), (8 << 8, 8 << 8));
        Ok(())
    })
}

fn server_killed_with_a_queue() -> Outcome {
    alone(|| {
        let mut server = puppet::start()?;
        let session = server.session(1)?;
        let spinner = start_client(&session, puppet::SPIN, Class::Fail, 0)?;
        wait_for_state(&spinner, CallState::Current)?;
        let queued: Vec<Child> =
            (0..5).map(|_| start_client(&session, puppet::ECHO, Class::Fail, 9)).collect::<Result<_, _>>()?;
        for client in &queued {
            wait_for_state(client, CallState::Queued)?;
        }
        server.process.kill(ExitReason::Hung, 0)?;
        server.restart()?;
        for client in &queued {
            check_eq!(wait_for(client)?.code, 9 << 8);
        }
        check_eq!(wait_for(&spinner)?.code, Error::PeerDied as u64);
        Ok(())
    })
}

fn server_killed_while_it_calls() -> Outcome {
    alone(|| {
        let (mut upper, mut lower) = (puppet::start()?, puppet::start()?);
        let (session, below) = (upper.session(1)?, lower.session(2)?);
        send_next(&session, &below)?;
        let spinner = start_client(&below, puppet::SPIN, Class::Fail, 0)?;
        wait_for_state(&spinner, CallState::Current)?;
        let client = start_client(&session, puppet::CHAIN, Class::Fail, 1)?;
        eventually("the server calls", || Ok(states(&upper.process)? == [CallState::Queued as u32]))()?;
        upper.process.kill(ExitReason::Killed, 0)?;
        check_eq!(wait_for(&client)?.code, Error::PeerDied as u64);
        upper.restart()?;
        lower.process.kill(ExitReason::Killed, 0)?;
        check_eq!(wait_for(&spinner)?.code, Error::PeerDied as u64);
        lower.restart()?;
        check_eq!(ask(&session, puppet::ECHO, Class::Fail, [1; 8]), Ok([1; 8]));
        Ok(())
    })
}

fn both_killed() -> Outcome {
    alone(|| {
        for method in [puppet::SPIN, puppet::KEEP, puppet::PARK] {
            let server = puppet::start()?;
            let session = server.session(1)?;
            let client = start_client(&session, method, Class::Replay, 0)?;
            eventually("the call is received", || {
                Ok(states(&client.process)?.iter().any(|state| *state != CallState::Queued as u32))
            })()?;
            server.process.kill(ExitReason::Killed, 0)?;
            client.kill(0)?;
            wait_for(&client)?;
            wait_until_dead(&server.process)?;
        }
        Ok(())
    })
}

fn server_closed_under_its_callers() -> Outcome {
    alone(|| {
        let server = puppet::start()?;
        let session = server.session(1)?;
        let kept = start_client(&session, puppet::KEEP, Class::Replay, 0)?;
        wait_for_state(&kept, CallState::Kept)?;
        let spinner = start_client(&session, puppet::SPIN, Class::Replay, 0)?;
        wait_for_state(&spinner, CallState::Current)?;
        let queued = start_client(&session, puppet::ECHO, Class::Replay, 0)?;
        wait_for_state(&queued, CallState::Queued)?;
        server.channel.close()?;
        check_eq!(wait_for(&queued)?.code, Error::Closed as u64);
        eventually("the kept call ends", || Ok(states(&kept.process)?.is_empty()))()?;
        // What the server does for it may go on: the client is drained when that is over.
        server.process.kill(ExitReason::Killed, 0)?;
        check_eq!(wait_for(&kept)?.code, Error::Unknown as u64);
        // Both were received: nobody can tell what was done for them.
        check_eq!(wait_for(&spinner)?.code, Error::Unknown as u64);
        check_eq!(ask(&session, puppet::ECHO, Class::Replay, [0; 8]), Err(Error::Closed));
        Ok(())
    })
}

fn server_never_started() -> Outcome {
    alone(|| {
        let mut server = Server::prepare(puppet::serve)?;
        let session = server.session(1)?;
        let client = start_client(&session, puppet::ECHO, Class::Fail, 2)?;
        wait_for_state(&client, CallState::Queued)?;
        server.load()?;
        check_eq!(wait_for(&client)?.code, 2 << 8);
        Ok(())
    })
}

fn exit_with_calls_outstanding() -> Outcome {
    fn leaves() -> u64 {
        let Ok(session) = env::take_session("session") else { return 1 };
        let session: &'static Session = alloc::boxed::Box::leak(alloc::boxed::Box::new(session));
        for _ in 0..3 {
            let thread = libsys::thread::spawn(move || {
                session.call(Header::words(puppet::KEEP, Class::Replay), [0; 8]).map(drop)
            });
            core::mem::forget(thread);
        }
        while ask(session, puppet::STATUS, Class::Replay, [0; 8]).map(|words| words[5]) != Ok(3) {}
        42
    }
    alone(|| {
        let server = puppet::start()?;
        let session = server.session(1)?;
        let launch = process::launch("leaves", leaves).grant("session", &session, process::session_rights());
        let child = launch.spawn(system().account)?;
        let record = wait_for(&child)?;
        check_eq!((reason(&record), record.code), (ExitReason::Exit, 42));
        check_eq!(status_of(&session)?.withdrawn, 3);
        Ok(())
    })
}

fn thread_ends_with_a_call_in_hand() -> Outcome {
    alone(|| {
        let server = puppet::start()?;
        let session = server.session(1)?;
        // The last thread: the process ends with it.
        let client = start_client(&session, puppet::END_THREAD, Class::Fail, 5)?;
        check_eq!(wait_for(&client)?.code, Error::PeerDied as u64);
        let record = wait_until_dead(&server.process)?;
        check_eq!((reason(&record), record.code), (ExitReason::Exit, 5));
        Ok(())
    })
}

fn account_revoked_in_a_call() -> Outcome {
    alone(|| {
        let server = puppet::start()?;
        let session = server.session(1)?;
        let client = start_client(&session, puppet::KEEP, Class::Fail, 0)?;
        wait_for_state(&client, CallState::Kept)?;
        client.account.revoke()?;
        let other = start_client(&session, puppet::KEEP, Class::Fail, 0)?;
        wait_for_state(&other, CallState::Kept)?;
        check_eq!(reason(&wait_for(&client)?), ExitReason::Revoked);
        server.account.revoke()?;
        check_eq!(reason(&wait_until_dead(&server.process)?), ExitReason::Revoked);
        check_eq!(wait_for(&other)?.code, Error::PeerDied as u64);
        check_eq!(client.account.split(libsys::Limits::default()).err(), Some(Error::AccountExhausted));
        Ok(())
    })
}

fn handles_of_a_message_closed_meanwhile() -> Outcome {
    alone(|| {
        let mut server = puppet::start()?;
        let session = server.session(1)?;
        server.process.kill(ExitReason::Killed, 0)?;
        wait_until_dead(&server.process)?;
        let memory = libsys::Memory::create(system().account, 4096)?;
        let number = memory.handle();
        let thread = libsys::thread::scope(|scope| {
            let caller = scope.spawn(|| {
                let mut page = CallPage::take();
                page.handles_mut()[0] = number;
                drop(page);
                ask_for(
                    &session,
                    Header::words(puppet::ABOUT, Class::Replay).with_handles(1),
                    [0; 8],
                    process::PATIENCE,
                )
            });
            let inspect = system().inspect.as_ref().ok_or(Failure::skip("no handle `inspect`"))?;
            let own = libsys::sys::identify().process;
            eventually("the call is queued", || {
                Ok(inspect::calls(inspect).any(|call| call.is_ok_and(|call| call.client == own)))
            })()?;
            drop(memory);
            server.reset()?;
            server.load()?;
            Ok::<_, Failure>(caller?.join())
        })?;
        check_eq!(thread.map(|(_, words)| words[6]), Ok(1));
        Ok(())
    })
}

fn more_handles_than_the_reply_may_bring() -> Outcome {
    alone(|| {
        let server = puppet::start()?;
        let session = server.session(1)?;
        for room in 0..=4 {
            let before = server.account.usage()?.used.handles;
            let header = Header::words(puppet::GIVE, Class::Fail).with_reply_handles(room);
            ask_for(&session, header, [4, 0, 0, 0, 0, 0, 0, 0], process::PATIENCE)?;
            let handles = *CallPage::take().handles();
            check_eq!(handles.iter().filter(|handle| !handle.is_none()).count(), room);
            for handle in handles.into_iter().filter(|handle| !handle.is_none()) {
                libsys::sys::handle_close(handle)?;
            }
            // The others are closed.
            check_eq!(server.account.usage()?.used.handles, before);
        }
        Ok(())
    })
}

fn more_handles_than_the_server_takes() -> Outcome {
    alone(|| {
        let server = puppet::start()?;
        let session = server.session(1)?;
        let memory = libsys::Memory::create(system().account, 4096)?;
        while server.process.grant(&memory, abi::Rights::READ, false).is_ok() {}
        let mut page = CallPage::take();
        *page.handles_mut() = [memory.handle(), memory.handle(), Handle::NONE, Handle::NONE];
        drop(page);
        let header = Header::words(puppet::ABOUT, Class::Replay).with_handles(2);
        check_eq!(ask_for(&session, header, [0; 8], process::PATIENCE), Err(Error::PeerFull));
        check_eq!(ask(&session, puppet::ECHO, Class::Replay, [1; 8]), Ok([1; 8]));
        Ok(())
    })
}

fn poison_request() -> Outcome {
    alone(|| {
        let mut server = puppet::start()?;
        let session = server.session(1)?;
        // It kills two incarnations, and is given to the third alone, with what it did.
        let client = start_client(&session, puppet::CRASH, Class::Replay, 2)?;
        for incarnation in 1..=2 {
            let record = wait_until_dead(&server.process)?;
            check_eq!(
                (reason(&record), record.address, record.incarnation),
                (ExitReason::PageFault, 0x10, incarnation)
            );
            check_eq!(Header(record.call).method(), puppet::CRASH);
            check_eq!(record.client, client.process.exit_record()?.process);
            server.reset()?;
            server.load()?;
        }
        check_eq!(wait_for(&client)?.code, 1 << 8);
        check!(ask_for(&session, Header::words(puppet::ABOUT, Class::Fail), [0; 8], Duration::from_secs(5)).is_ok());
        Ok(())
    })
}
