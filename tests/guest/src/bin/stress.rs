//! `stress [ROUNDS] [SEED]`: creating, killing, calling, timing out, cancelling and resetting, from many threads of many processes on all CPUs
//! at once. It ends at the memory and the counts where it began.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use abi::memory::Protection;
use abi::process::ProcessState;
use abi::{Class, ExitReason, Handle, Header, Rights};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use guest::counts::{Counts, cpus};
use guest::process::{self, Server, ask_for, reason};
use guest::random::Random;
use guest::system::system;
use guest::test::{Failure, Outcome};
use guest::{puppet, say};
use libsys::channel::Event;
use libsys::program::Child;
use libsys::sys::ThreadStart;
use libsys::time::deadline_after;
use libsys::{Channel, Error, ExitStatus, Limits, Memory, Object, Process, Session, env, thread};

guest::main!(run);

/// Rounds of each thread, where nothing else is asked for.
const ROUNDS: u64 = 150;
/// Processes on each CPU, and threads of each.
const PROCESSES: u64 = 2;
const THREADS: u64 = 3;
/// Servers that all of them call, and that are killed meanwhile.
const SERVERS: usize = 3;
/// What each process may use.
const LIMITS: Limits = Limits { frames: 1500, handles: 300, threads: 24, sessions: 40, processes: 10 };

fn run(arguments: &[String]) -> ExitStatus {
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse::<u64>().ok());
    let (rounds, seed) = (number(0).unwrap_or(ROUNDS), number(1).unwrap_or(1));
    say!("seed {seed}");
    match stress(rounds, seed) {
        Ok(text) => {
            say!("{text}");
            ExitStatus::SUCCESS
        }
        Err(failure) => {
            say!("FAIL: {failure:?}");
            ExitStatus::FAILURE
        }
    }
}

fn stress(rounds: u64, seed: u64) -> Outcome<String> {
    // Once before counting: what the program itself needs is there then.
    all_at_once(2, seed, 1)?;
    let before = Counts::settled()?;
    let (restarts, deeds) = all_at_once(rounds, seed, cpus())?;
    before.wait_until_back()?;
    Ok(format!("{deeds} deeds, {restarts} restarts of servers: nothing lost"))
}

fn all_at_once(rounds: u64, seed: u64, cpus: u64) -> Outcome<(u64, u64)> {
    let account = system().account;
    let mut servers: Vec<Server> = (0..SERVERS).map(|_| puppet::start()).collect::<Result<_, _>>()?;
    let sessions: Vec<Session> = servers.iter().map(|server| server.session(1)).collect::<Result<_, _>>()?;
    let code = code()?;
    let news = Channel::create(account)?;
    let mut seeds = Random::new(seed);
    let mut children = Vec::new();
    for cpu in 0..cpus * PROCESSES {
        let mut launch = process::launch_parent("worker", worker)
            .limits(LIMITS)
            .parameter("rounds", rounds.to_string())
            .parameter("seed", seeds.number().to_string())
            .grant("code", &code, Rights::all())
            .affinity(if cpu % 3 == 2 { 1 << (cpu % cpus) } else { u64::MAX })
            .watch(&news, 1);
        for (name, session) in ["server 0", "server 1", "server 2"].into_iter().zip(&sessions) {
            launch = launch.grant(name, session, process::session_rights());
        }
        children.push(launch.spawn(account)?);
    }
    let (mut restarts, mut deeds) = (0, 0);
    let mut random = Random::new(seed ^ 0xabcd);
    while !children.is_empty() {
        let mut still: Vec<Child> = Vec::new();
        for child in children {
            let record = child.process.exit_record()?;
            if record.state != ProcessState::Dead as u32 {
                still.push(child);
                continue;
            }
            if reason(&record) != ExitReason::Exit {
                let message = libsys::panic::message_of(&child.process, record.code).unwrap_or_default();
                let (reason, address, rip) = (reason(&record), record.address, record.registers.rip);
                return Err(Failure::new(format!(
                    "a worker ended with {reason:?} ({address:#x} at {rip:#x}) {message}"
                )));
            }
            deeds += record.code;
        }
        children = still;
        let server = &mut servers[random.below(SERVERS as u64) as usize];
        let how = if random.one_in(2) { ExitReason::Hung } else { ExitReason::Killed };
        server.process.kill(how, 0)?;
        server.restart()?;
        restarts += 1;
        let _ = news.receive(Some(deadline_after(Duration::from_micros(random.below(3000)))));
    }
    Ok((restarts, deeds))
}

/// A page of code: at 0 an end of the thread, at 16 a loop without end, at 32 an access to nothing.
fn code() -> Outcome<Memory> {
    let memory = Memory::create(system().account, 4096)?;
    let mapping = memory.map_writable()?;
    // mov eax, ThreadExit; xor edi, edi; xor esi, esi; syscall
    mapping.copy_in(0, &[0xb8, abi::Syscall::ThreadExit as u8, 0, 0, 0, 0x31, 0xff, 0x31, 0xf6, 0x0f, 0x05]);
    // jmp to itself
    mapping.copy_in(16, &[0xeb, 0xfe]);
    // mov rax, [0]
    mapping.copy_in(32, &[0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0]);
    drop(mapping);
    memory.seal()?;
    Ok(memory)
}

static DEEDS: AtomicU64 = AtomicU64::new(0);

/// Where small processes have their code, and their threads' message pages.
const CODE: u64 = 0x40_0000;
const PAGES: u64 = 0x50_0000;

fn worker() -> u64 {
    let parameter = |name: &str| env::parameter(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let env = env::get();
    let code: Memory = env.take("code").expect("the code");
    let sessions: Vec<Session> =
        ["server 0", "server 1", "server 2"].into_iter().map(|name| env.take(name).expect("a session")).collect();
    let (rounds, seed) = (parameter("rounds"), parameter("seed"));
    let (code, sessions) = (&code, &sessions);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let main = move || {
                let mut random = Random::new(seed + number);
                for _ in 0..rounds {
                    // An account that has no more just now will have again.
                    if let Err(error) = deed(&mut random, code, sessions) {
                        assert!(matches!(error, Error::AccountExhausted | Error::NoContiguousMemory), "{error:?}");
                    }
                    DEEDS.fetch_add(1, Relaxed);
                }
            };
            scope.spawn(main).expect("a thread");
        }
    });
    DEEDS.load(Relaxed)
}

fn deed(random: &mut Random, code: &Memory, sessions: &[Session]) -> Result<(), Error> {
    match random.below(9) {
        0..=2 => calls(random, sessions),
        3 => threads(random),
        4 => cancelled_calls(random, sessions),
        5 => small_process(random, code),
        6 => memory(random),
        7 => revoked_account(random, code),
        _ => own_channel(random),
    }
}

/// Errors with which a call may end when its server is killed, or its time is over.
fn is_fair(error: Error) -> bool {
    matches!(error, Error::NotStarted | Error::Unknown | Error::PeerDied | Error::Abandoned)
}

fn calls(random: &mut Random, sessions: &[Session]) -> Result<(), Error> {
    let methods = [
        puppet::ECHO,
        puppet::ECHO,
        puppet::ECHO,
        puppet::KEEP,
        puppet::PARK,
        puppet::ANSWER,
        puppet::GIVE,
        puppet::ABANDON,
        puppet::STATUS,
    ];
    for _ in 0..8 {
        let (session, method) = (random.pick(sessions), *random.pick(&methods));
        let class = *random.pick(&[Class::Fail, Class::Replay, Class::Once]);
        let header = Header::words(method, class).with_payload(random.below(200) as usize).with_reply_handles(2);
        let words = [random.below(3); 8];
        match ask_for(session, header, words, Duration::from_micros(random.below(2000))) {
            Ok((reply, answer)) => {
                assert!(method != puppet::ECHO || answer == words, "an echo of something else");
                let handles = *libsys::message::CallPage::take().handles();
                for handle in handles.into_iter().take(reply.handles().min(2)) {
                    let _ = libsys::sys::handle_close(handle);
                }
            }
            Err(error) if is_fair(error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn threads(random: &mut Random) -> Result<(), Error> {
    let handles: Vec<_> = (0..1 + random.below(3)).map(|n| thread::spawn(move || n)).collect();
    for (expected, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle?.join(), expected as u64);
    }
    Ok(())
}

fn cancelled_calls(random: &mut Random, sessions: &[Session]) -> Result<(), Error> {
    let session = random.pick(sessions).duplicate(process::session_rights())?;
    let method = *random.pick(&[puppet::KEEP, puppet::PARK, puppet::ECHO]);
    let caller =
        thread::spawn(move || ask_for(&session, Header::words(method, Class::Replay), [0; 8], process::PATIENCE))?;
    let object = caller.object().map(Object::handle).unwrap_or(Handle::NONE);
    let mut caller = caller;
    while !caller.is_finished() {
        let _ = libsys::sys::thread_cancel(object);
        thread::yield_now();
    }
    match caller.join() {
        Ok(_) => Ok(()),
        Err(error) if is_fair(error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A process of a page of code, killed at any moment, or not.
fn small_process(random: &mut Random, code: &Memory) -> Result<(), Error> {
    let process = Process::create(env::account(), "small")?;
    let threads = 1 + random.below(3);
    process.map(code, CODE, 0, 4096, Protection::READ | Protection::EXECUTE)?;
    let memory = Memory::create(env::account(), 8192)?;
    process.map(&memory, CODE - 0x10_0000, 0, 8192, Protection::READ | Protection::WRITE)?;
    let mut handles = Vec::new();
    for number in 0..threads {
        let entry = CODE + random.below(3) * 16;
        let start = ThreadStart { entry, stack: 0, argument: 0, pages: PAGES + number * 0x3000, thread_block: 0 };
        handles.push(process.create_thread(start, env::account())?);
    }
    if random.one_in(6) {
        return Ok(());
    }
    process.start()?;
    for _ in 0..random.below(4) {
        thread::yield_now();
    }
    process.kill(ExitReason::Killed, 1)?;
    if random.one_in(2) {
        let done = Channel::create(env::account())?;
        process.reset(Some((&done, 1)))?;
        done.receive(Some(deadline_after(process::PATIENCE))).expect("a reset that ends");
        assert_eq!(process.exit_record()?.incarnation, 2);
        drop(handles);
    }
    Ok(())
}

fn memory(random: &mut Random) -> Result<(), Error> {
    let pages = 1 + random.below(40);
    let memory = if random.one_in(4) {
        Memory::create_dma(env::account(), pages * 4096)?
    } else {
        Memory::create(env::account(), pages * 4096)?
    };
    let mapping = memory.map_writable()?;
    for page in 0..pages as usize {
        assert_eq!(mapping.load_u64(page * 4096, Relaxed), 0, "a page that is not zeroed");
        mapping.word_u64(page * 4096).store(u64::MAX, Relaxed);
    }
    if random.one_in(3) {
        memory.seal()?;
        assert_eq!(memory.map_writable().err(), Some(Error::Sealed));
    }
    Ok(())
}

/// An account with a process, revoked: whatever that did meanwhile.
fn revoked_account(random: &mut Random, code: &Memory) -> Result<(), Error> {
    let limits = Limits { frames: 60, handles: 10, threads: 2, sessions: 2, processes: 1 };
    let account = env::account().split(limits)?;
    let process = Process::create(&account, "revoked")?;
    process.map(code, CODE, 0, 4096, Protection::READ | Protection::EXECUTE)?;
    let entry = CODE + random.below(3) * 16;
    process.create_thread(ThreadStart { entry, stack: 0, argument: 0, pages: PAGES, thread_block: 0 }, &account)?;
    process.start()?;
    account.revoke()?;
    assert_eq!(Memory::create(&account, 4096).err(), Some(Error::AccountExhausted));
    Ok(())
}

fn own_channel(random: &mut Random) -> Result<(), Error> {
    let channel = Channel::create(env::account())?;
    let signaller = channel.signaller(0xff)?;
    let bits = 1 + random.below(255);
    let other = thread::spawn(move || signaller.signal(bits))?;
    let mut got = 0;
    while got != bits {
        match channel.receive(Some(deadline_after(process::PATIENCE)))? {
            Event::Signals(bits) => got |= bits,
            event => panic!("{event:?} on a channel for signals"),
        }
    }
    other.join()?;
    for badge in 0..random.below(5) {
        drop(channel.mint(badge, env::account())?);
        let Event::Close { badge: closed, client, last: true } = channel.receive(Some(0))? else { panic!("no close") };
        assert_eq!(closed, badge);
        if random.one_in(2) {
            channel.acknowledge_close(badge, client)?;
        }
    }
    Ok(())
}
