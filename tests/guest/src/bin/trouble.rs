//! `trouble`: a service that gives trouble, for tests of the supervisor, and its client.
//!
//! | arguments | is |
//! |---|---|
//! | `serve` | the service; parameter `start`: `exit` or `panic` ends it before it serves, `late` lets it never serve; `quiesce`: it ends when it is asked to |
//! | `ask SERVICE count\|wait\|wake\|spin\|fall\|lie\|mislay\|check\|doubt` | a call to such a service |
//! | `keep`, `keeper SERVICE add TIMES\|form` | a service that counts ([`guest::keeper`]), and its client |
//! | `ask SERVICE lapse`, `ask SERVICE embrace OTHER` | the same; the latter to both |
//! | `ask SERVICE publish NAME` | the same |
//! | `ask SERVICE storm TIMES MILLISECONDS NAME…` | the same |
//! | `ask SERVICE recovery NAME TIMES` | kills it, and says how long it took until it answered again; with `--icount` a nanosecond is an instruction |
//! | `ask SERVICE random SEED TIMES MILLISECONDS NAME…` | so many times one to three of them at once are killed, as the seed says |
//! | `wear SERVICE` | calls `fall` until that ends otherwise than with the server's death |
//! | `complain SERVICE` | says to init that the service's replies do not decode |
//! | `until SERVICE STATE` | waits for a state of the service, and prints those that it sees |
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use guest::random::Random;
use guest::trouble::{Trouble, TroubleClient};
use guest::{keeper, say};
use libsys::channel::Event;
use libsys::client::{self, CallError, Client};
use libsys::protocol::ConsoleClient;
use libsys::protocol::filesystem::FileError;
use libsys::protocol::registry::{Action, RegistryError, State};
use libsys::service::{self, Parked, Reply, Server, StartError};
use libsys::time::{self, Duration, TimerId, Timers};
use libsys::{Channel, ExitStatus, Handle, Object, env};

/// Between two looks at whether all are ready.
const POLL: Duration = Duration::from_millis(2);

/// Between the names of services that are killed at once.
const TOGETHER: char = '+';

/// Most services that are killed at once.
const MOST_TOGETHER: u64 = 3;
/// Nanoseconds until two services call each other.
const EMBRACE: u64 = 300_000_000;

/// The bit that a watched service is signalled by.
const NEWS: u64 = 1;

/// What is changed in the number of a handle.
const MISLAID: u64 = 1 << 40;

struct Service {
    name: String,
    calls: u32,
    is_liar: bool,
    /// Of its own channel; or a number that names nothing.
    signaller: Channel,
    waiting: Parked<()>,
    storm: VecDeque<String>,
    stormed: Parked<()>,
    /// All that are killed.
    victims: Vec<String>,
    /// All victims were ready at the last look.
    is_calm: bool,
    pause: Duration,
    timers: Timers,
    /// It works without end when this comes.
    lapse: Option<TimerId>,
    /// It calls another service when this comes.
    embrace: Option<(TimerId, TroubleClient)>,
}

impl Server for Service {
    fn start(env: &env::Env) -> service::Result<Service> {
        match env.parameter("start") {
            Some("exit") => libsys::exit(ExitStatus(3)),
            Some("panic") => panic!("asked to fall"),
            Some("late") => loop {
                time::sleep(Duration::from_secs(1));
            },
            Some(_) => return Err(StartError::Device("no such trouble")),
            None => {}
        }
        let name = env.arguments().first().cloned().unwrap_or_default();
        Ok(Service {
            name,
            calls: 0,
            is_liar: false,
            signaller: env.channel().signaller(NEWS)?,
            waiting: Parked::new(),
            storm: VecDeque::new(),
            stormed: Parked::new(),
            victims: Vec::new(),
            is_calm: false,
            pause: Duration::ZERO,
            timers: Timers::new(),
            lapse: None,
            embrace: None,
        })
    }

    fn signal(&mut self, bits: u64) {
        // All bits are set at a start.
        let state = env::get().registry().info(&self.name).map(|service| service.state);
        if bits & service::QUIESCE == 0 || state != Ok(State::Stopping) || env::parameter("quiesce").is_none() {
            return;
        }
        if let Ok(session) = env::take_session("console") {
            let console: ConsoleClient = client::unchecked(session);
            let _ = console.write(format!("{} ends\n", self.name).as_bytes());
            let _ = console.flush();
        }
        libsys::exit(ExitStatus::SUCCESS)
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, timer: TimerId) {
        if self.lapse == Some(timer) {
            self.spin();
        }
        if let Some((_, other)) = self.embrace.take_if(|(known, _)| *known == timer) {
            // It may be replaced meanwhile.
            let _ = other.count();
            return;
        }
        if !self.are_all_ready() {
            self.timers.after(POLL);
            return;
        }
        if !self.is_calm {
            self.is_calm = true;
            self.timers.after(self.pause);
            return;
        }
        self.is_calm = false;
        let Some(group) = self.storm.pop_front() else {
            while let Some((call, ())) = self.stormed.pop() {
                let _ = call.reply(());
            }
            return;
        };
        for name in group.split(TOGETHER) {
            let killed = env::get().registry().control(name, Action::Kill);
            if killed == Err(CallError::Failed(RegistryError::NotPossible)) {
                self.storm.push_front(name.to_string());
            }
        }
        self.timers.after(POLL);
    }

    fn withdrawn(&mut self, call: Handle) {
        let _ = self.waiting.withdraw(call) || self.stormed.withdraw(call);
    }
}

impl Service {
    /// Whether all that are to be killed serve. init, which answers this, does.
    fn are_all_ready(&self) -> bool {
        let is_ready = |name: &String| {
            let state = env::get().registry().info(name).map(|service| service.state);
            matches!(state, Ok(State::Ready) | Err(CallError::Failed(RegistryError::NoSuchName)))
        };
        self.victims.iter().all(is_ready)
    }
}

impl Trouble for Service {
    fn count(&mut self) -> u32 {
        self.calls += 1;
        // Whoever gets on without what it has lost takes no note of the error.
        let _ = self.signaller.signal(NEWS);
        self.calls
    }

    fn wait(&mut self, reply: Reply<'_, ()>) {
        self.calls += 1;
        // Where it cannot be kept, the caller hears that.
        let _ = self.waiting.park(reply, ());
    }

    fn wake(&mut self) -> u32 {
        let mut count = 0;
        while let Some((call, ())) = self.waiting.pop() {
            count += u32::from(call.reply(()).is_ok());
        }
        count
    }

    fn spin(&mut self) {
        loop {
            core::hint::spin_loop();
        }
    }

    fn lapse(&mut self) {
        self.lapse = Some(self.timers.after(Duration::from_millis(1)));
    }

    fn embrace(&mut self, name: &str, at: u64) -> Result<(), String> {
        let other = connect(name)?;
        self.embrace = Some((self.timers.at(at), other));
        Ok(())
    }

    fn fall(&mut self) {
        panic!("asked to fall")
    }

    fn lie(&mut self) {
        self.is_liar = true;
    }

    fn mislay(&mut self) {
        let known = core::mem::replace(&mut self.signaller, Channel::from_handle(Handle::NONE));
        self.signaller = Channel::from_handle(Handle(known.into_handle().0 ^ MISLAID));
    }

    fn check(&mut self, sound: bool) -> Result<u32, FileError> {
        self.calls += 1;
        if sound && !self.is_liar { Ok(self.calls) } else { Err(FileError::Corrupt) }
    }

    fn publish(&mut self, name: &str) -> Result<(), String> {
        env::get().registry().publish(name, None).map_err(|error| format!("{error}"))
    }

    fn recovery(&mut self, name: &str, times: u32) -> Result<Vec<u64>, String> {
        let registry = env::get().registry();
        let said = |error: CallError<RegistryError>| format!("{error}");
        let session = registry.connect(name, true).map_err(said)?;
        let mut all = Vec::new();
        for _ in 0..times {
            while registry.info(name).map_err(said)?.state != State::Ready {
                time::sleep(POLL);
            }
            // What follows a start is over.
            time::sleep(10 * POLL);
            let killed = time::now();
            registry.control(name, Action::Kill).map_err(said)?;
            client::statistics(&session).map_err(|error| format!("{error}"))?;
            all.push(time::now() - killed);
        }
        Ok(all)
    }

    fn storm(&mut self, names: Vec<String>, times: u32, pause: u32, reply: Reply<'_, ()>) {
        self.victims = names.iter().flat_map(|group| group.split(TOGETHER)).map(String::from).collect();
        self.victims.sort_unstable();
        self.victims.dedup();
        self.is_calm = false;
        self.storm = (0..times).flat_map(|_| names.iter().cloned()).collect();
        self.pause = Duration::from_millis(pause.into());
        // Where it cannot be kept, the caller hears that.
        let _ = self.stormed.park(reply, ());
        self.timers.after(self.pause);
    }
}

libsys::serves!(Service: Trouble);

/// How a client fails: what it says, and its status is 1.
type Outcome = Result<(), String>;

fn connect(name: &str) -> Result<TroubleClient, String> {
    let session = env::get().registry().connect(name, true).map_err(|error| format!("connect: {error}"))?;
    Ok(client::unchecked(session))
}

fn number(word: &str) -> Result<u32, String> {
    word.parse().map_err(|_| format!("`{word}` is not a number"))
}

/// Some of these names, each once.
fn group(names: &[&str], random: &mut Random) -> String {
    let mut left = names.to_vec();
    let count = (1 + random.below(MOST_TOGETHER) as usize).min(left.len());
    let chosen: Vec<&str> = (0..count).map(|_| left.swap_remove(random.below(left.len() as u64) as usize)).collect();
    chosen.join(&TOGETHER.to_string())
}

fn ask(name: &str, what: &[&str]) -> Outcome {
    let service = connect(name)?;
    let told = |error: CallError<libsys::wire::NoError>| format!("{error}");
    match what {
        ["count"] => say!("{}", service.count().map_err(told)?),
        ["wait"] => service.wait().map_err(told)?,
        ["wake"] => say!("{}", service.wake().map_err(told)?),
        ["spin"] => service.spin().map_err(told)?,
        ["lapse"] => service.lapse().map_err(told)?,
        ["embrace", other] => {
            let at = time::now() + EMBRACE;
            service.embrace(other, at).map_err(|error| format!("{error}"))?;
            connect(other)?.embrace(name, at).map_err(|error| format!("{error}"))?;
        }
        ["fall"] => service.fall().map_err(told)?,
        ["mislay"] => service.mislay().map_err(told)?,
        ["lie"] => service.lie().map_err(told)?,
        ["check"] => say!("{}", service.check(true).map_err(|error| format!("{error}"))?),
        ["doubt"] => say!("{}", service.check(false).map_err(|error| format!("{error}"))?),
        ["publish", name] => service.publish(name).map_err(|error| format!("{error}"))?,
        ["recovery", name, times] => {
            let mut all = service.recovery(name, number(times)?).map_err(|error| format!("{error}"))?;
            all.sort_unstable();
            let at = |part: usize| all.get(all.len() * part / 100).copied().unwrap_or(0);
            say!("{name}: median {}, p99 {}, least {} ns from kill to answer", at(50), at(99), at(0));
        }
        ["storm", times, pause, names @ ..] => {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            service.storm(names, number(times)?, number(pause)?).map_err(told)?;
        }
        ["random", seed, times, pause, names @ ..] => {
            let mut random = Random::new(number(seed)?.into());
            let groups = (0..number(times)?).map(|_| group(names, &mut random)).collect();
            service.storm(groups, 1, number(pause)?).map_err(told)?;
        }
        _ => return Err("ask what?".to_string()),
    }
    Ok(())
}

fn wear(name: &str) -> Outcome {
    let service = connect(name)?;
    let mut deaths = 0;
    loop {
        match service.fall() {
            Err(CallError::PeerDied) => deaths += 1,
            other => {
                say!("{deaths} deaths, then {other:?}");
                return Ok(());
            }
        }
    }
}

fn complain(name: &str) -> Outcome {
    let service = connect(name)?;
    env::get().registry().complain(service.link().session(), 1).map_err(|error| format!("{error}"))
}

fn until(name: &str, wanted: &str) -> Outcome {
    let wrong = |error: libsys::Error| format!("{error}");
    let channel = Channel::create(env::account()).map_err(wrong)?;
    let registry = env::get().registry();
    let signaller = channel.signaller(NEWS).map_err(wrong)?;
    let mut last = registry.watch(name, &signaller, NEWS).map_err(|error| format!("{error}"))?;
    say!("{}", words(last));
    while words(last) != wanted {
        if !matches!(channel.receive(None).map_err(wrong)?, Event::Signals(_)) {
            continue;
        }
        let now = registry.info(name).map_err(|error| format!("{error}"))?.state;
        // Between two looks a state may have come and gone, and init tells anew when it has restarted.
        if words(now) != words(last) {
            say!("{}", words(now));
            last = now;
        }
    }
    Ok(())
}

fn words(state: State) -> &'static str {
    match state {
        State::Stopped => "stopped",
        State::Waiting => "waiting",
        State::Starting => "starting",
        State::Ready => "ready",
        State::Restarting(_) => "restarting",
        State::Stopping => "stopping",
        State::GivenUp => "given-up",
    }
}

fn run() -> ExitStatus {
    let words: Vec<&str> = env::arguments().iter().skip(1).map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["serve"] => service::main::<Service>().map_err(|error| format!("{error}")),
        ["ask", name, what @ ..] => ask(name, what),
        ["keep"] => keeper::serve(),
        ["keeper", name, what @ ..] => keeper::ask(name, what),
        ["wear", name] => wear(name),
        ["complain", name] => complain(name),
        ["until", name, state] => until(name, state),
        _ => Err("serve, ask SERVICE, wear SERVICE, complain SERVICE or until SERVICE STATE".to_string()),
    };
    match outcome {
        Ok(()) => ExitStatus::SUCCESS,
        Err(error) => {
            say!("trouble: {error}");
            ExitStatus::FAILURE
        }
    }
}

libsys::main!(run);
