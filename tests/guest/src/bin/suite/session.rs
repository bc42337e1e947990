//! Sessions: minted, listed, closed, acknowledged.

use abi::{Class, Rights, Syscall};
use guest::process::{self, ask, session_rights};
use guest::puppet::{self, status_of};
use guest::raw::refused;
use guest::system::system;
use guest::test::{Failure, Outcome, Test};
use guest::{check, check_eq, tests};
use libsys::channel::Event;
use libsys::{Channel, Error, Object, Session, sys};

pub const TESTS: &[Test] = tests![
    minting_needs_the_right,
    sessions_are_counted,
    live_sessions_are_listed,
    many_sessions_are_listed_in_parts,
    a_close_is_delivered_until_acknowledged,
    a_close_is_acknowledged_once,
    each_process_closes_for_itself,
    a_dead_client_closes,
    a_close_waits_for_the_next_incarnation,
    a_reply_moves_the_charge,
    a_session_in_flight_is_open,
];

fn own() -> u64 {
    sys::identify().process
}

fn minting_needs_the_right() -> Outcome {
    let channel = Channel::create(system().account)?;
    check_eq!(channel.duplicate(Rights::RECEIVE)?.mint(1, system().account).err(), Some(Error::Denied));
    check_eq!(refused(Syscall::SessionMint, [channel.handle().0, 1, channel.handle().0]), Some(Error::WrongKind));
    check_eq!(channel.mint(u64::MAX, system().account)?.inspect_handle()?.rights, session_rights());
    Ok(())
}

fn sessions_are_counted() -> Outcome {
    let account = system().account.split(process::SMALL)?;
    let channel = Channel::create(system().account)?;
    let first = channel.mint(1, &account)?;
    check_eq!(account.usage()?.used.sessions, 1);
    drop(first);
    check_eq!(account.usage()?.used.sessions, 1);
    check_eq!(channel.receive(Some(0)), Ok(Event::Close { badge: 1, client: own(), last: true }));
    check_eq!(account.usage()?.used.sessions, 1);
    channel.acknowledge_close(1, own())?;
    check_eq!(account.usage()?.used.sessions, 0);
    Ok(())
}

fn live_sessions_are_listed() -> Outcome {
    let channel = Channel::create(system().account)?;
    check_eq!(channel.sessions()?.len(), 0);
    let first = channel.mint(10, system().account)?;
    let again = first.duplicate(session_rights())?;
    let second = channel.mint(20, system().account)?;
    let mut seen: alloc::vec::Vec<_> =
        channel.sessions()?.iter().map(|one| (one.badge, one.client, one.handles)).collect();
    seen.sort_unstable();
    check_eq!(seen, [(10, own(), 2), (20, own(), 1)]);
    drop((first, again, second));
    check_eq!(channel.sessions()?.iter().filter(|one| one.handles == 0).count(), 2);
    Ok(())
}

fn many_sessions_are_listed_in_parts() -> Outcome {
    let channel = Channel::create(system().account)?;
    let all: alloc::vec::Vec<Session> =
        (0..300).map(|badge| channel.mint(badge, system().account)).collect::<Result<_, _>>()?;
    let mut badges: alloc::vec::Vec<u64> = channel.sessions()?.iter().map(|one| one.badge).collect();
    badges.sort_unstable();
    check!(badges.iter().copied().eq(0..300));
    drop(all);
    Ok(())
}

fn a_close_is_delivered_until_acknowledged() -> Outcome {
    let channel = Channel::create(system().account)?;
    drop(channel.mint(3, system().account)?);
    check_eq!(channel.acknowledge_close(3, own()), Err(Error::BadState));
    check_eq!(channel.receive(Some(0)), Ok(Event::Close { badge: 3, client: own(), last: true }));
    // Within one incarnation it comes once.
    check_eq!(channel.receive(Some(0)), Err(Error::TimedOut));
    check_eq!(channel.sessions()?.len(), 1);
    check_eq!(channel.acknowledge_close(3, own()), Ok(()));
    check_eq!(channel.sessions()?.len(), 0);
    Ok(())
}

fn a_close_is_acknowledged_once() -> Outcome {
    let channel = Channel::create(system().account)?;
    drop(channel.mint(3, system().account)?);
    channel.receive(Some(0))?;
    check_eq!(channel.acknowledge_close(4, own()), Err(Error::BadState));
    check_eq!(channel.acknowledge_close(3, own() + 1), Err(Error::BadState));
    check_eq!(channel.acknowledge_close(3, own()), Ok(()));
    check_eq!(channel.acknowledge_close(3, own()), Err(Error::BadState));
    Ok(())
}

fn calls_once() -> u64 {
    let Ok(session) = libsys::env::take_session("session") else { return 1 };
    u64::from(ask(&session, puppet::ECHO, Class::Fail, [0; 8]).is_err())
}

fn each_process_closes_for_itself() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(6)?;
    let record =
        process::run_launch(process::launch("client", calls_once).grant("session", &session, session_rights()))?;
    check_eq!(record.code, 0);
    process::eventually("its close is delivered", || Ok(status_of(&session)?.closes == 1))()?;
    let status = status_of(&session)?;
    check_eq!((status.last_closes, status.badge, status.client), (0, 6, record.process));
    let other = server.session(7)?;
    drop(session);
    process::eventually("the last close is delivered", || Ok(status_of(&other)?.last_closes == 1))()?;
    check_eq!(status_of(&other)?.client, own());
    Ok(())
}

fn a_dead_client_closes() -> Outcome {
    fn dies() -> u64 {
        puppet::fault()
    }
    let server = puppet::start()?;
    let (session, other) = (server.session(6)?, server.session(7)?);
    let launch = process::launch("client", dies).grant("session", &session, session_rights());
    let child = launch.spawn(system().account)?;
    drop(session);
    process::wait_for(&child)?;
    process::eventually("both are told", || {
        let status = status_of(&other)?;
        Ok(status.closes == 2 && status.last_closes == 1)
    })()
}

fn a_close_waits_for_the_next_incarnation() -> Outcome {
    let mut server = puppet::start()?;
    let (session, other) = (server.session(6)?, server.session(7)?);
    server.process.kill(abi::ExitReason::Killed, 0)?;
    drop(session);
    server.restart()?;
    process::eventually("the close is delivered", || Ok(status_of(&other)?.last_closes == 1))()?;
    check_eq!(status_of(&other)?.badge, 6);
    Ok(())
}

fn a_reply_moves_the_charge() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(1)?;
    let before = server.account.usage()?.used.sessions;
    let header = abi::Header::words(puppet::MINT, Class::Fail).with_reply_handles(1);
    process::ask_for(&session, header, [44; 8], process::PATIENCE)?;
    let minted = Session::from_handle(libsys::message::CallPage::take().handles()[0]);
    check_eq!(ask(&minted, puppet::ABOUT, Class::Fail, [0; 8])?[0], 44);
    // It was charged to the server, which made it, and is not any more.
    check_eq!(server.account.usage()?.used.sessions, before);
    Ok(())
}

fn a_session_in_flight_is_open() -> Outcome {
    let channel = Channel::create(system().account)?;
    let server = puppet::start()?;
    let to = server.session(1)?;
    let flying = channel.mint(9, system().account)?;
    // The puppet gets a duplicate and closes it; then this is the last.
    let mut page = libsys::message::CallPage::take();
    page.handles_mut()[0] = flying.handle();
    drop(page);
    process::ask_for(&to, abi::Header::words(puppet::ABOUT, Class::Fail).with_handles(1), [0; 8], process::PATIENCE)?;
    match channel.receive(Some(0))? {
        Event::Close { badge: 9, client, last: false } => channel.acknowledge_close(9, client)?,
        event => return Err(Failure::new(alloc::format!("{event:?}"))),
    }
    drop(flying);
    check_eq!(channel.receive(Some(0)), Ok(Event::Close { badge: 9, client: own(), last: true }));
    Ok(())
}
