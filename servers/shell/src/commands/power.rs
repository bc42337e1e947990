//! `reboot`, `poweroff`.

use super::{Arguments, Command, Outcome, Topic};
use crate::exec::POWER_OFF;
use crate::shell::{Shell, ShutDown};

pub(super) static REBOOT: Command = Command {
    name: "reboot",
    usage: "",
    summary: "Stops all services and starts the machine again.",
    details: "",
    topic: Topic::Nothing,
    run: |shell, arguments| {
        arguments.end()?;
        shut_down(shell, true, POWER_OFF)
    },
};

pub(super) static POWEROFF: Command = Command {
    name: "poweroff",
    usage: "[STATUS]",
    summary: "Stops all services and switches the machine off.",
    details: "STATUS is what an emulator exits with (QEMU: twice that plus one).\n",
    topic: Topic::Nothing,
    run: poweroff,
};

fn poweroff(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let status = match arguments.take() {
        Some(word) => super::arguments::parse(word, "a status from 0 to 255")?,
        None => POWER_OFF,
    };
    arguments.end()?;
    shut_down(shell, false, status)
}

/// The shell does it when it has ended what it does: its output is out then.
fn shut_down(shell: &mut Shell, restart: bool, status: u8) -> Outcome {
    shell.shut_down = Some(ShutDown { restart, status });
    Ok(())
}
