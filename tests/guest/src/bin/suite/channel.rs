//! Channels: made, closed, signalled, received on.

use abi::{Handle, Header, Rights, Syscall};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use guest::process::PATIENCE;
use guest::raw::refused;
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, puppet, tests};
use libsys::channel::Event;
use libsys::time::{deadline_after, now};
use libsys::{Channel, Error, Object, Process, thread};

pub const TESTS: &[Test] = tests![
    signals_stick_until_received,
    a_signal_wakes_a_receiver,
    bits_outside_of_the_mask_are_refused,
    a_poll_of_nothing_times_out,
    a_receive_times_out,
    several_threads_receive,
    receiving_needs_the_right_and_the_server,
    signalling_needs_the_right,
    closing_ends_receivers,
    nothing_goes_on_on_a_closed_channel,
    closing_needs_the_right,
    the_last_right_to_receive_closes_it,
    a_channel_for_another_process,
    a_dead_process_serves_no_new_channel,
];

fn channel() -> Outcome<Channel> {
    Ok(Channel::create(system().account)?)
}

fn signals_stick_until_received() -> Outcome {
    let channel = channel()?;
    channel.signal(1)?;
    channel.signal(1 << 63)?;
    channel.signal(1)?;
    channel.signal(0)?;
    check_eq!(channel.receive(Some(0)), Ok(Event::Signals(1 | 1 << 63)));
    check_eq!(channel.receive(Some(0)), Err(Error::TimedOut));
    Ok(())
}

fn a_signal_wakes_a_receiver() -> Outcome {
    let channel = channel()?;
    let signaller = channel.signaller(0b1000)?;
    let receiver = thread::spawn(move || channel.receive(Some(deadline_after(PATIENCE))))?;
    signaller.signal(0b1000)?;
    check_eq!(receiver.join(), Ok(Event::Signals(0b1000)));
    Ok(())
}

fn bits_outside_of_the_mask_are_refused() -> Outcome {
    let channel = channel()?;
    let signaller = channel.signaller(0b11)?;
    check_eq!(signaller.signal(0b111), Err(Error::Denied));
    check_eq!(channel.receive(Some(0)), Err(Error::TimedOut));
    Ok(())
}

fn a_poll_of_nothing_times_out() -> Outcome {
    let channel = channel()?;
    check_eq!(channel.receive(Some(0)), Err(Error::TimedOut));
    check_eq!(channel.receive(Some(now())), Err(Error::TimedOut));
    Ok(())
}

fn a_receive_times_out() -> Outcome {
    let channel = channel()?;
    for milliseconds in [1, 3, 10] {
        let start = now();
        check_eq!(channel.receive(Some(deadline_after(Duration::from_millis(milliseconds)))), Err(Error::TimedOut));
        check!(now() >= start + milliseconds * 1_000_000);
    }
    Ok(())
}

fn several_threads_receive() -> Outcome {
    static GOT: AtomicU64 = AtomicU64::new(0);
    GOT.store(0, SeqCst);
    let channel = channel()?;
    let signaller = channel.signaller(u64::MAX)?;
    thread::scope(|scope| {
        for _ in 0..3 {
            // Each ends with the first that it gets: no bit goes to two.
            let receive = || match channel.receive(Some(deadline_after(PATIENCE))) {
                Ok(Event::Signals(bits)) => GOT.fetch_add(bits, SeqCst),
                _ => 0,
            };
            scope.spawn(receive)?;
        }
        for bit in [1, 2, 4] {
            signaller.signal(bit)?;
            let all = bit * 2 - 1;
            guest::process::eventually("somebody gets it", || Ok(GOT.load(SeqCst) == all))()?;
        }
        Ok(())
    })
}

fn receiving_needs_the_right_and_the_server() -> Outcome {
    let channel = channel()?;
    let without = channel.duplicate(Rights::all() - Rights::RECEIVE)?;
    check_eq!(without.receive(Some(0)), Err(Error::Denied));
    check_eq!(without.sessions().err(), Some(Error::Denied));
    check_eq!(without.acknowledge_close(1, 1), Err(Error::Denied));
    let server = puppet::start()?;
    check_eq!(server.channel.receive(Some(0)), Err(Error::BadState));
    check_eq!(
        refused(Syscall::Receive, [system().account.handle().0, Header::default().with_deadline().0]),
        Some(Error::WrongKind)
    );
    Ok(())
}

fn signalling_needs_the_right() -> Outcome {
    let channel = channel()?;
    check_eq!(channel.duplicate(Rights::RECEIVE)?.signal(1), Err(Error::Denied));
    check_eq!(refused(Syscall::Signal, [Handle::NONE.0, 1]), Some(Error::BadHandle));
    Ok(())
}

fn closing_ends_receivers() -> Outcome {
    let channel = channel()?;
    let closer = channel.duplicate(Rights::MANAGE)?;
    let receiver = thread::spawn(move || channel.receive(Some(deadline_after(PATIENCE))))?;
    thread::yield_now();
    closer.close()?;
    check_eq!(receiver.join(), Err(Error::Closed));
    Ok(())
}

fn nothing_goes_on_on_a_closed_channel() -> Outcome {
    let channel = channel()?;
    let session = channel.mint(1, system().account)?;
    channel.close()?;
    check_eq!(channel.close(), Ok(()));
    check_eq!(channel.receive(Some(0)), Err(Error::Closed));
    check_eq!(channel.mint(1, system().account).err(), Some(Error::Closed));
    check_eq!(session.call(Header::default(), [0; 8]), Err(Error::Closed));
    Ok(())
}

fn closing_needs_the_right() -> Outcome {
    let channel = channel()?;
    check_eq!(channel.duplicate(Rights::RECEIVE | Rights::SIGNAL)?.close(), Err(Error::Denied));
    Ok(())
}

fn the_last_right_to_receive_closes_it() -> Outcome {
    let channel = channel()?;
    let session = channel.mint(1, system().account)?;
    let other = channel.duplicate(Rights::RECEIVE)?;
    let weak = channel.duplicate(Rights::SIGNAL)?;
    drop(channel);
    check_eq!(weak.signal(1), Ok(()));
    check_eq!(other.receive(Some(0)), Ok(Event::Signals(1)));
    drop(other);
    check_eq!(session.call(Header::default(), [0; 8]), Err(Error::Closed));
    Ok(())
}

fn a_channel_for_another_process() -> Outcome {
    let process = Process::create(system().account, "server")?;
    let channel = Channel::create_for(system().account, &process)?;
    check_eq!(channel.receive(Some(0)), Err(Error::BadState));
    channel.signal(1)?;
    let seen = process.duplicate(Rights::INSPECT)?;
    check_eq!(Channel::create_for(system().account, &seen).err(), Some(Error::Denied));
    Ok(())
}

fn a_dead_process_serves_no_new_channel() -> Outcome {
    let process = Process::create(system().account, "dead")?;
    process.kill(abi::ExitReason::Killed, 0)?;
    check_eq!(Channel::create_for(system().account, &process).err(), Some(Error::BadState));
    Ok(())
}
