//! Handles: duplicating, closing, inspecting, keeping, granting.

use abi::{Handle, Kind, Rights, Syscall};
use guest::process::{self, SMALL, Server, reason};
use guest::raw::refused;
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, puppet, tests};
use libsys::{Account, Channel, Error, Memory, Object, Process, sys};

pub const TESTS: &[Test] = tests![
    a_duplicate_has_no_more_rights,
    duplicating_needs_the_right,
    a_duplicate_of_a_channel_has_no_more_signal_bits,
    arguments_out_of_range_are_refused,
    handles_that_name_nothing_are_refused,
    a_closed_handle_stays_closed,
    inspection_says_what_a_handle_is,
    a_grant_lands_in_the_other_table,
    a_grant_needs_rights_and_a_living_process,
    the_limit_of_the_account_is_the_limit_of_handles,
    kept_handles_outlive_the_incarnation,
];

fn memory() -> Outcome<Memory> {
    Ok(Memory::create(system().account, 4096)?)
}

fn a_duplicate_has_no_more_rights() -> Outcome {
    let memory = memory()?;
    let limited = memory.duplicate(Rights::READ | Rights::DUPLICATE)?;
    check_eq!(limited.inspect_handle()?.rights, Rights::READ | Rights::DUPLICATE);
    let again = limited.duplicate(Rights::all())?;
    check_eq!(again.inspect_handle()?.rights, Rights::READ | Rights::DUPLICATE);
    check_eq!(again.info().err(), Some(Error::Denied));
    Ok(())
}

fn duplicating_needs_the_right() -> Outcome {
    let last = memory()?.duplicate(Rights::READ)?;
    check_eq!(last.duplicate(Rights::READ).err(), Some(Error::Denied));
    Ok(())
}

fn a_duplicate_of_a_channel_has_no_more_signal_bits() -> Outcome {
    let channel = Channel::create(system().account)?;
    let low = channel.signaller(0xff)?;
    check_eq!(low.inspect_handle()?.signals, 0xff);
    check_eq!(low.signaller(u64::MAX)?.inspect_handle()?.signals, 0xff);
    check_eq!(low.signal(0x100), Err(Error::Denied));
    check_eq!(low.signal(0x80), Ok(()));
    Ok(())
}

fn arguments_out_of_range_are_refused() -> Outcome {
    let memory = memory()?;
    let handle = memory.handle().0;
    check_eq!(refused(Syscall::HandleDuplicate, [handle, 1 << 11, 0]), Some(Error::BadArgument));
    check_eq!(refused(Syscall::HandleDuplicate, [handle, 1 << 40, 0]), Some(Error::BadArgument));
    check_eq!(refused(Syscall::HandleKeep, [handle, 2]), Some(Error::BadArgument));
    let process = Process::create(system().account, "new")?;
    check_eq!(refused(Syscall::HandleGrant, [process.handle().0, handle, 0, 0, 2]), Some(Error::BadArgument));
    check_eq!(refused(Syscall::HandleGrant, [process.handle().0, handle, u64::MAX, 0, 0]), Some(Error::BadArgument));
    Ok(())
}

fn handles_that_name_nothing_are_refused() -> Outcome {
    let memory = memory()?;
    let real = memory.handle();
    let forged = [
        Handle::NONE,
        Handle::new(real.slot(), real.generation() + 1),
        Handle::new(real.slot(), real.generation().wrapping_sub(1)),
        Handle::new(real.slot(), 0),
        Handle::new(u32::MAX, 1),
        Handle::new(1 << 13, 1),
        Handle(u64::MAX),
    ];
    for handle in forged {
        for call in [Syscall::HandleDuplicate, Syscall::HandleClose, Syscall::HandleInspect, Syscall::HandleKeep] {
            check_eq!((handle, refused(call, [handle.0])), (handle, Some(Error::BadHandle)));
        }
    }
    Ok(())
}

fn a_closed_handle_stays_closed() -> Outcome {
    let closed = memory()?.into_handle();
    sys::handle_close(closed)?;
    check_eq!(sys::handle_close(closed), Err(Error::BadHandle));
    // The slot is used again, under another number.
    let next = memory()?;
    check_eq!(next.handle().slot(), closed.slot());
    check!(next.handle() != closed);
    check_eq!(sys::handle_inspect(closed).err(), Some(Error::BadHandle));
    Ok(())
}

fn inspection_says_what_a_handle_is() -> Outcome {
    let memory = memory()?;
    let info = memory.inspect_handle()?;
    check_eq!((info.kind, info.rights, info.signals, info.kept), (Kind::Memory, Rights::of(Kind::Memory), 0, false));
    let same = memory.duplicate(Rights::empty())?;
    check_eq!(same.inspect_handle()?.object, info.object);
    memory.set_kept(true)?;
    check!(memory.inspect_handle()?.kept && !same.inspect_handle()?.kept);
    let channel = Channel::create(system().account)?;
    let session = channel.mint(1, system().account)?;
    let process = Process::create(system().account, "new")?;
    let kinds = [
        (system().account.inspect_handle()?.kind, Kind::Account),
        (channel.inspect_handle()?.kind, Kind::Channel),
        (session.inspect_handle()?.kind, Kind::Session),
        (process.inspect_handle()?.kind, Kind::Process),
    ];
    for (found, expected) in kinds {
        check_eq!(found, expected);
    }
    Ok(())
}

fn a_grant_lands_in_the_other_table() -> Outcome {
    fn reads_its_grant() -> u64 {
        let Ok(memory) = libsys::env::get().take::<Memory>("granted") else { return 1 };
        let rights = memory.inspect_handle().map(|info| info.rights);
        u64::from(rights != Ok(Rights::READ | Rights::INSPECT)) * 2
    }
    let memory = memory()?;
    let launch = process::launch("granted", reads_its_grant).grant("granted", &memory, Rights::READ | Rights::INSPECT);
    let record = process::run_launch(launch)?;
    check_eq!(record.code, 0);
    Ok(())
}

fn a_grant_needs_rights_and_a_living_process() -> Outcome {
    let memory = memory()?;
    let process = Process::create(system().account, "new")?;
    let weak = process.duplicate(Rights::INSPECT)?;
    check_eq!(weak.grant(&memory, Rights::READ, false).err(), Some(Error::Denied));
    let single = memory.duplicate(Rights::READ)?;
    check_eq!(process.grant(&single, Rights::READ, false).err(), Some(Error::Denied));
    check_eq!(
        sys::handle_grant(memory.handle(), memory.handle(), Rights::READ, 0, false).err(),
        Some(Error::WrongKind)
    );
    process.grant(&memory, Rights::READ, false)?;
    process.kill(abi::ExitReason::Killed, 0)?;
    check_eq!(process.grant(&memory, Rights::READ, false).err(), Some(Error::BadState));
    Ok(())
}

fn the_limit_of_the_account_is_the_limit_of_handles() -> Outcome {
    let account = system().account.split(SMALL)?;
    let process = Process::create(&account, "full")?;
    let memory = memory()?;
    let limit = SMALL.handles;
    for _ in 0..limit {
        process.grant(&memory, Rights::READ, false)?;
    }
    check_eq!(process.grant(&memory, Rights::READ, false).err(), Some(Error::AccountExhausted));
    check_eq!(account.usage()?.used.handles, limit);
    Ok(())
}

fn kept_handles_outlive_the_incarnation() -> Outcome {
    let mut server: Server = puppet::start()?;
    let memory = memory()?;
    let (kept, lost) =
        (server.process.grant(&memory, Rights::READ, true)?, server.process.grant(&memory, Rights::READ, false)?);
    server.process.kill(abi::ExitReason::Killed, 7)?;
    let record = process::wait_until_dead(&server.process)?;
    check_eq!((reason(&record), record.code), (abi::ExitReason::Killed, 7));
    server.reset()?;
    let inspect = system().inspect.as_ref().ok_or(guest::test::Failure::skip("no handle `inspect`"))?;
    let mut all = libsys::inspect::handles(inspect, record.process);
    let handles: alloc::vec::Vec<u64> = all.by_ref().filter_map(Result::ok).map(|record| record.handle).collect();
    check!(handles.contains(&kept.0) && !handles.contains(&lost.0), "{handles:?}");
    let _: &Account = &server.account;
    Ok(())
}
