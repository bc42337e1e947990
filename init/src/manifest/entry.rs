//! What one line of an entry says.

use super::words::{Reason, Words, size};
use super::{
    Amount, DEFAULT_HANG, Device, FIRMWARE_TABLES, Grant, Granted, Kind, MOST_HANDLES, Reach, Restart, Service,
    SessionGrant, Share, When,
};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::abi::PAGE_BYTES;
use libsys::abi::memory::LARGEST;
use libsys::abi::schedule::{MAX_PRIORITY, WEIGHTS};
use libsys::interrupt::Trigger;
use libsys::memory::Caching;
use libsys::resource::ResourceKind;
use libsys::thread_object::{Parameters, Policy};

impl Service {
    pub(super) fn new(name: String, line: usize) -> Service {
        Service {
            binary: name.clone(),
            name,
            line,
            arguments: Vec::new(),
            parameters: Vec::new(),
            sessions: Vec::new(),
            connect: Reach::Named(Vec::new()),
            after: Vec::new(),
            grants: Vec::new(),
            kind: Kind::Service,
            devices: Vec::new(),
            instances: Vec::new(),
            bus: false,
            class: None,
            node: None,
            priority: Parameters::DEFAULT,
            account: Share::DEFAULT,
            restart: Restart::DEFAULT,
            hang: Some(DEFAULT_HANG),
            quiesce: None,
            collects_logs: false,
            on_demand: false,
            control: false,
            optional: false,
        }
    }

    /// Takes in a line of the entry.
    pub(super) fn line(&mut self, mut words: Words) -> Result<(), Reason> {
        match words.keyword {
            "binary" => self.binary = words.name("a program")?,
            "arguments" => self.arguments.extend(words.rest("some words")?),
            "parameter" => {
                let (name, value) = (words.take("a name")?, words.take("a value")?);
                if value.starts_with('$') && value != FIRMWARE_TABLES {
                    return Err(format!("`{value}` is not known: {FIRMWARE_TABLES}"));
                }
                self.parameters.push((name.to_owned(), value.to_owned()));
            }
            "session" => self.session(&mut words)?,
            "connect" => self.connects(&mut words)?,
            "after" => self.after.extend(words.rest("services")?),
            "ports" | "interrupt" | "memory" | "resource" | "archive" | "state" => self.grant(&mut words)?,
            "device" => {
                self.devices.push(Device::read(&mut words)?);
                self.kind = Kind::Template;
            }
            "template" => self.kind = Kind::Template,
            "instances" => self.instances.extend(words.rest("templates")?),
            "bus" => self.bus = true,
            "class" => self.class = Some(words.name("a class")?),
            "node" => self.node = Some(words.name("a name in /dev")?),
            "priority" => self.priority = priority(&mut words)?,
            "account" => share(&mut self.account, &mut words)?,
            "restart" => restart(&mut self.restart, &mut words)?,
            "hang" => self.hang = if words.skip("never") { None } else { Some(words.time("a time")?) },
            "quiesce" => self.quiesce = Some(words.time("a time")?),
            "collects-logs" => self.collects_logs = true,
            "on-demand" => self.on_demand = true,
            "control" => self.control = true,
            "optional" => self.optional = true,
            other => return Err(format!("`{other}` is not known here")),
        }
        words.end()
    }

    fn session(&mut self, words: &mut Words) -> Result<(), Reason> {
        let service = words.name("a service")?;
        let mut grant = SessionGrant { names: Vec::new(), control: false, service };
        if words.skip("as") {
            grant.names.push(words.name("a name")?);
        }
        while let Some(word) = words.next() {
            match word {
                "control" => grant.control = true,
                name if super::is_name(name) && !grant.names.is_empty() && !grant.control => {
                    grant.names.push(name.to_owned())
                }
                other => return Err(format!("`{other}` is not understood: `as` NAME… or `control` is wanted")),
            }
        }
        if grant.names.is_empty() {
            grant.names.push(grant.service.clone());
        }
        let count: usize = self.sessions.iter().map(|session| session.names.len()).sum();
        if count + grant.names.len() > MOST_HANDLES {
            return Err(format!("there are more than {MOST_HANDLES} sessions"));
        }
        self.sessions.push(grant);
        Ok(())
    }

    fn connects(&mut self, words: &mut Words) -> Result<(), Reason> {
        let more = words.rest("services, or `any`")?;
        if more.iter().any(|name| name == "any") {
            self.connect = Reach::Any;
        } else if let Reach::Named(names) = &mut self.connect {
            names.extend(more);
        }
        Ok(())
    }

    fn grant(&mut self, words: &mut Words) -> Result<(), Reason> {
        let name = match words.keyword {
            "state" => libsys::state::NAME.to_owned(),
            _ => words.name("a name")?,
        };
        let what = match words.keyword {
            "ports" => {
                let first = words.number("the first port", 0, 0xffff)?;
                let count = words.number("a number of ports", 1, 0x1_0000 - first)?;
                Granted::Ports {
                    first: first as u16,
                    count: u16::try_from(count).map_err(|_| "too many ports".to_owned())?,
                }
            }
            "interrupt" => {
                let line = words.number("the line", 0, 0xffff)? as u32;
                Granted::Interrupt { line, trigger: words.next().map(trigger).transpose()? }
            }
            "memory" => {
                let address = words.number("the address", 0, 1 << 52)?;
                let word = words.take("a size")?;
                let bytes = size(word)
                    .filter(|bytes| *bytes > 0)
                    .ok_or_else(|| format!("`{word}` is not a size such as 4K"))?;
                if [address, bytes].iter().any(|number| !number.is_multiple_of(PAGE_BYTES as u64)) {
                    return Err("address and size of memory are multiples of 4K".to_owned());
                }
                let caching = words.next().map_or(Ok(Caching::Uncached), caching)?;
                Granted::Memory { address, bytes, caching }
            }
            "resource" => {
                let kind = kind(words.take("a kind")?)?;
                let mut part = None;
                if !words.is_empty() {
                    part = Some((words.number("the start", 0, u64::MAX)?, words.number("the length", 1, u64::MAX)?));
                }
                Granted::Resource { kind, part }
            }
            "state" => {
                let word = words.take("a size")?;
                let bytes = size(word).filter(|bytes| (1..=LARGEST).contains(bytes));
                Granted::State { bytes: bytes.ok_or_else(|| format!("`{word}` is not a size such as 4K"))? }
            }
            _ => Granted::Archive,
        };
        if self.grants.len() == MOST_HANDLES {
            return Err(format!("there are more than {MOST_HANDLES} handles"));
        }
        if let Granted::Interrupt { line, trigger } = what {
            self.parameters.push((name.clone(), format!("{line}")));
            if let Some(trigger) = trigger {
                self.parameters.push((format!("{name}.trigger"), trigger_word(trigger).to_owned()));
            }
        }
        self.grants.push(Grant { name, what });
        Ok(())
    }
}

fn trigger(word: &str) -> Result<Trigger, Reason> {
    let known = [Trigger::EdgeHigh, Trigger::LevelHigh, Trigger::LevelLow];
    let found = known.into_iter().find(|trigger| trigger_word(*trigger) == word);
    found.ok_or_else(|| format!("`{word}` is not a trigger: edge-high, level-high or level-low"))
}

fn trigger_word(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::EdgeHigh => "edge-high",
        Trigger::LevelHigh => "level-high",
        Trigger::LevelLow => "level-low",
        _ => "firmware",
    }
}

fn caching(word: &str) -> Result<Caching, Reason> {
    match word {
        "uncached" => Ok(Caching::Uncached),
        "write-combining" => Ok(Caching::WriteCombining),
        "write-back" => Ok(Caching::WriteBack),
        other => Err(format!("`{other}` is not a kind of caching: uncached, write-combining or write-back")),
    }
}

fn kind(word: &str) -> Result<ResourceKind, Reason> {
    match word {
        "physical" => Ok(ResourceKind::Physical),
        "ports" => Ok(ResourceKind::Ports),
        "interrupts" => Ok(ResourceKind::Interrupts),
        "dma" => Ok(ResourceKind::Dma),
        "inspect" => Ok(ResourceKind::Inspect),
        "power" => Ok(ResourceKind::Power),
        "realtime" => Ok(ResourceKind::RealTime),
        other => Err(format!("`{other}` is not a kind of resource")),
    }
}

fn priority(words: &mut Words) -> Result<Parameters, Reason> {
    let policy = match words.take("a policy")? {
        "fair" => Policy::Fair,
        "fifo" => Policy::Fifo,
        "round-robin" => Policy::RoundRobin,
        other => return Err(format!("`{other}` is not a policy: fair, fifo or round-robin")),
    };
    Ok(match policy {
        Policy::Fair => {
            let weight = words.number("a weight", (*WEIGHTS.start()).into(), (*WEIGHTS.end()).into())?;
            Parameters { weight: weight as u32, ..Parameters::DEFAULT }
        }
        Policy::Fifo | Policy::RoundRobin => {
            let priority = words.number("a priority", 1, MAX_PRIORITY.into())?;
            Parameters { policy, priority: priority as u8, ..Parameters::DEFAULT }
        }
    })
}

fn share(share: &mut Share, words: &mut Words) -> Result<(), Reason> {
    while let Some(what) = words.next() {
        let most = 1 << 20;
        match what {
            "memory" => {
                let word = words.take("a size")?;
                let percent =
                    word.strip_suffix('%').and_then(super::words::number).filter(|number| (1..=90).contains(number));
                let amount = percent.map(Amount::Percent).or_else(|| size(word).map(Amount::Bytes));
                share.memory = amount.ok_or_else(|| format!("`{word}` is not a size such as 512K, nor 1% to 90%"))?;
            }
            "handles" => share.handles = words.number("a number of handles", 1, most)?,
            "threads" => share.threads = words.number("a number of threads", 1, most)?,
            "sessions" => share.sessions = words.number("a number of sessions", 0, most)?,
            "processes" => share.processes = words.number("a number of processes", 1, most)?,
            other => return Err(format!("`{other}` is not counted in accounts")),
        }
    }
    Ok(())
}

fn restart(restart: &mut Restart, words: &mut Words) -> Result<(), Reason> {
    restart.when = match words.take("always, on-failure or never")? {
        "always" => When::Always,
        "on-failure" => When::OnFailure,
        "never" => When::Never,
        other => return Err(format!("`{other}` is not understood: always, on-failure or never")),
    };
    while let Some(word) = words.next() {
        match word {
            "limit" => {
                restart.limit = words.number("a number of deaths", 0, 16)? as u32;
                if !words.skip("in") {
                    return Err("`limit N` needs `in TIME`".to_owned());
                }
                restart.window = words.time("a time")?;
            }
            "backoff" => {
                restart.backoff = words.time("a time")?;
                if !words.skip("to") {
                    return Err("`backoff TIME` needs `to TIME`".to_owned());
                }
                restart.most_backoff = words.time("a time")?;
                if restart.most_backoff < restart.backoff {
                    return Err("the longest backoff is shorter than the first".to_owned());
                }
            }
            other => return Err(format!("`{other}` is not understood: `limit` or `backoff`")),
        }
    }
    Ok(())
}
