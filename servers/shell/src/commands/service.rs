//! `service`: what init runs.

use super::control::{INIT, refused};
use super::{Arguments, Command, Outcome, Topic, each};
use crate::complete;
use crate::failure::{error, usage};
use crate::shell::Shell;
use crate::status;
use crate::text::{Table, Time, Uptime};
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write;
use libsys::abi::ExitReason;
use libsys::client::CallError;
use libsys::protocol::registry::{Action, RegistryError, Service, State};
use libsys::time;

pub(super) static SERVICE: Command = Command {
    name: "service",
    usage: "[list | info NAME… | start|stop|restart|kill NAME… | upgrade NAME FILE]",
    summary: "Shows and controls the services.",
    details: "  list     all services (the same without arguments)\n\
              \x20 info     everything about some\n\
              \x20 start    starts one that was stopped or given up\n\
              \x20 stop     ends one, politely and then by force, and leaves it stopped\n\
              \x20 restart  ends one in the same way, and starts it again\n\
              \x20 kill     kills one where it stands; its manifest entry says what comes next\n\
              \x20 upgrade  moves one to the program of a file, which goes on where it is; if that does not serve for\n\
              \x20          some seconds, the one before is back\n",
    topic: Topic::Service(&["info", "kill", "list", "restart", "start", "stop", "upgrade"]),
    run: service,
};

fn service(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let word = arguments.take().unwrap_or("list");
    let action = match word {
        "list" => {
            arguments.end()?;
            return show_services(shell);
        }
        "info" => None,
        "start" => Some(Action::Start),
        "stop" => Some(Action::Stop),
        "restart" => Some(Action::Restart),
        "kill" => Some(Action::Kill),
        "upgrade" => {
            let name = arguments.require("the name of a service")?.to_string();
            let file = arguments.require("a file")?.to_string();
            arguments.end()?;
            return super::upgrade::upgrade(shell, &name, &file);
        }
        _ => {
            return usage(format!("`{word}` is none of list, info, start, stop, restart, kill, upgrade"));
        }
    };
    let names = arguments.rest();
    if names.is_empty() {
        return usage("the name of a service is missing");
    }
    each(shell, SERVICE.name, names, |shell, name| match action {
        Some(action) => match shell.registry.control(name, action) {
            Err(CallError::Failed(RegistryError::NotPossible)) => not_possible(shell, name),
            other => other.or_else(|error| refused(name, error)),
        },
        None => {
            let info = shell.registry.info(name).or_else(|error| refused(name, error))?;
            show_service(shell, &info)
        }
    })
}

/// Why init does not do it: it says only that it does not.
fn not_possible(shell: &mut Shell, name: &str) -> Outcome {
    if name == INIT {
        return error("init itself can be killed and restarted, and nothing else");
    }
    match shell.registry.info(name).or_else(|error| refused(name, error))?.state {
        State::Starting | State::Ready => error(format!("others depend on `{name}`: stop them first")),
        other => error(format!("`{name}` is {}", state(other))),
    }
}

pub(super) fn show_services(shell: &mut Shell) -> Outcome {
    let now = time::now();
    let mut table = Table::new(&["NAME", "STATE", ">PID", ">STARTS", ">FAULTS", ">UP", "LAST EXIT"]);
    for service in complete::services(shell.registry)? {
        table.row(&[
            &service.name,
            &state(service.state),
            &number(service.process),
            &service.incarnation,
            &service.faults,
            &up(&service, now),
            &last_exit(&service),
        ]);
    }
    Ok(table.write(shell)?)
}

fn show_service(shell: &mut Shell, service: &Service) -> Outcome {
    let now = time::now();
    writeln!(shell, "{}", service.name)?;
    let state = match service.state {
        State::Restarting(at) if at > now => format!("restarting in {}", Time(at - now)),
        other => state(other).to_string(),
    };
    let rows: [(&str, String); 7] = [
        ("state", state),
        ("process", number(service.process)),
        ("incarnation", service.incarnation.to_string()),
        ("up", up(service, now)),
        ("faults", service.faults.to_string()),
        ("complaints", service.complaints.to_string()),
        ("last exit", last_exit(service)),
    ];
    for (title, value) in rows {
        writeln!(shell, "  {title:<12} {value}")?;
    }
    Ok(())
}

fn state(state: State) -> &'static str {
    match state {
        State::Stopped => "stopped",
        State::Waiting => "waiting",
        State::Starting => "starting",
        State::Ready => "ready",
        State::Restarting(_) => "restarting",
        State::Stopping => "stopping",
        State::GivenUp => "given up",
    }
}

fn number(number: u64) -> String {
    if number == 0 { "-".into() } else { number.to_string() }
}

fn up(service: &Service, now: u64) -> String {
    match service.state {
        State::Starting | State::Ready | State::Stopping => Uptime(now.saturating_sub(service.started)).to_string(),
        _ => "-".into(),
    }
}

fn last_exit(service: &Service) -> String {
    match ExitReason::from_number(service.last_exit) {
        ExitReason::None => "-".into(),
        reason => status::describe_code(reason, service.last_code),
    }
}
