//! The shell in a played world: a person at its prompt, and commands from the kernel's command line. Scripts are in [`language`].

mod language;
mod world;

use libsys::abi::Policy;
use libsys::protocol::log::Level;
use libsys::protocol::registry::Action;
use shell::shell::ShutDown;
use world::World;

const OFF: ShutDown = ShutDown { restart: false, status: 0x10 };

/// What commands of the kernel's command line write, and the status that is told.
fn exec(encoded: &'static str) -> (String, u8) {
    let (output, end, world) = World::exec(encoded);
    assert_eq!(end, OFF);
    let stage = world.stage.lock().unwrap();
    assert_eq!(stage.shown, Some(None), "the log is off the line");
    assert!(stage.flushes >= 2, "everything has left the machine before it goes off");
    let inside = output.strip_prefix("\x1b]skink;begin\x07").expect("the first mark");
    let (text, status) = inside.rsplit_once("\x1b]skink;exit=").expect("the second mark");
    let status = status.strip_suffix('\x07').expect("its end");
    (text.to_string(), status.parse().expect("a status"))
}

#[test]
fn commands_of_the_kernels_command_line() {
    assert_eq!(exec("echo a; echo b"), ("a\nb\n".into(), 0));
    assert_eq!(exec("false"), (String::new(), 1));
    assert_eq!(exec("false || echo \"$?\""), ("1\n".into(), 0));
    assert_eq!(exec("true && echo yes"), ("yes\n".into(), 0));
    assert_eq!(exec(""), (String::new(), 0));
    let (text, status) = exec("nothing");
    assert_eq!((text.starts_with("nothing: there is no command"), status), (true, 127));
    let (text, status) = exec("echo 'a");
    assert_eq!((text.as_str(), status), ("shell: the ' in column 6 is not closed\n", 2));
}

#[test]
fn ends_of_programs_are_told() {
    let (text, status) = exec("crash");
    assert_eq!((text.as_str(), status), ("crash: page fault (write of 0x10, at 0x0)\n", 139));
    let (text, status) = exec("panic");
    assert_eq!(text, "panic: panicked\npanicked at src/main.rs:1:1:\nno\n");
    assert_eq!(status, 134);
    let (text, status) = exec("broken");
    assert_eq!((text.as_str(), status), ("broken: it cannot be started: not an ELF executable\n", 126));
}

#[test]
fn poweroff_ends_commands_in_order() {
    let (output, end, _) = World::exec("echo a; poweroff 3; echo b");
    assert_eq!(end, ShutDown { restart: false, status: 3 });
    assert!(output.ends_with("a\n\x1b]skink;exit=0\x07"), "{output:?}");
}

#[test]
fn a_person_types() {
    let mut world = World::interact();
    assert_eq!(world.run("echo hello"), "hello\n");
    assert_eq!(world.run("echo 'ä b'  c"), "ä b c\n");
    assert_eq!(world.run("xecho\x01\x1b[3~\x05 again"), "again\n");
    assert_eq!(world.run("\x1b[A"), "again\n", "the line of before");
    assert_eq!(world.run("false; echo $?"), "1\n");
    assert_eq!(world.run("export A=b; echo $A-${A}"), "b-b\n");
    assert_eq!(world.run(""), "");
    assert_eq!(world.run("\x04echo"), "Ctrl-D ends nothing here: `poweroff` does\nskink> ".replace("skink> ", ""));
    world.type_keys("\x15");
    world.type_keys("reboot\r");
    assert_eq!(world.end(), Some(ShutDown { restart: true, status: 0x10 }));
}

#[test]
fn a_full_terminal_loses_nothing() {
    let mut world = World::interact();
    world.stage.lock().unwrap().room = 10;
    let help = world.run("help help; help; sys list");
    assert!(help.contains("usage: help [COMMAND]") && help.contains("Programs: echo sleep true\n"), "{help}");
    assert!(help.contains("uptime") && help.ends_with("how long the system runs\n"), "{help}");
}

#[test]
fn tab_knows_commands_programs_and_services() {
    let mut world = World::interact();
    assert_eq!(world.run("ec\tx"), "x\n");
    world.type_keys("service inf\tu\t\r");
    world.expect("service info uart \nuart\n");
    world.expect("skink> ");
    world.type_keys("s\t");
    assert_eq!(world.expect("> s"), "s\nservice  set      sh       shift    sleep    source   sys\nskink> s");
}

#[test]
fn the_terminal_tells_its_size() {
    let mut world = World::interact();
    world.type_keys("\x1b[40;120Recho x\r");
    world.expect("x\nskink> ");
    assert_eq!(world.stage.lock().unwrap().size, (120, 40));
}

#[test]
fn ctrl_c_ends_the_line_and_the_program() {
    let mut world = World::interact();
    world.type_keys("echo no\x03");
    assert_eq!(world.expect("skink> "), "echo no^C\nskink> ");
    world.type_keys("forever; echo never\r");
    while world.stage.lock().unwrap().launches.is_empty() {}
    world.type_keys("\x03");
    assert_eq!(world.expect("skink> "), "forever; echo never\n^C\nskink> ");
    assert_eq!(world.run("echo $?"), "130\n");
    world.type_keys("dmesg -f\r");
    world.expect("\n");
    world.log(Level::Error, "uart", "lost a byte\x1b[2J");
    world.expect("lost a byte?[2J\n");
    world.type_keys("\x03");
    assert_eq!(world.expect("skink> "), "^C\nskink> ");
}

#[test]
fn programs_in_the_background() {
    let mut world = World::interact();
    assert_eq!(world.run("forever a &"), "[1] 100\n");
    let said = world.run("forever b& jobs");
    assert!(said.contains("[2] 101\n") && said.contains("%1   100  forever a\n%2   101  forever b\n"), "{said}");
    assert!(!world.stage.lock().unwrap().launches[0].is_foreground);
    assert_eq!(world.run("kill 100; true"), "[1] forever a: killed\n");
    world.type_keys("fg\r");
    world.expect("fg\nforever b\n");
    world.type_keys("\x03");
    world.expect("skink> ");
    assert_eq!(world.run("kill %7"), "kill: there is no job %7\n");
    assert!(world.run("ps &").starts_with("ps: it is a part of the shell"));
    assert_eq!(world.run("true & wait"), "[1] 103\n[1] true: done\n");
}

/// A shell that dies between the two leaves a program that the next one starts, and not one that ran already and is started again.
#[test]
fn programs_are_noted_before_they_run() {
    let mut world = World::interact();
    assert_eq!(world.run("echo a; echo b | cat | cat"), "a\nb\n");
    assert_eq!(world.run("forever &"), "[1] 104\n");
    let launches = world.stage.lock().expect("a stage").launches.clone();
    assert_eq!(launches.len(), 5);
    for launch in launches {
        assert_eq!(launch.was_kept, Some(true), "{:?}", launch.words);
    }
}

#[test]
fn services_are_controlled() {
    let mut world = World::interact();
    let list = world.run("service");
    assert!(list.starts_with("NAME     STATE  PID  STARTS  FAULTS") && list.lines().count() == 4, "{list}");
    assert_eq!(world.run("service restart log && service stop uart console"), "");
    assert_eq!(world.run("kill uart; kill 4"), "");
    assert_eq!(world.run("service kill nothing"), "service: there is no service `nothing`\n");
    assert_eq!(world.run("kill 99"), "kill: no service and no program of this shell has the number 99\n");
    assert_eq!(world.run("kill 99 init; kill 1"), "kill: no service and no program of this shell has the number 99\n");
    let controls = std::mem::take(&mut world.stage.lock().unwrap().controls);
    let expected = [
        ("log", Action::Restart),
        ("uart", Action::Stop),
        ("console", Action::Stop),
        ("uart", Action::Kill),
        ("log", Action::Kill),
        ("init", Action::Kill),
        ("init", Action::Kill),
    ];
    assert_eq!(controls, expected.map(|(name, action)| (name.to_string(), action)));
}

#[test]
fn programs_are_scheduled() {
    let mut world = World::interact();
    assert_eq!(world.run("export A=b; nice -n 5 true a; nice -f 3 true; nice true; taskset 1 true"), "");
    let launches = world.stage.lock().unwrap().launches.clone();
    assert_eq!(launches[0].environment, [("A".to_string(), "b".to_string())]);
    let parameters = |at: usize| launches[at].scheduling.parameters.expect("parameters");
    assert_eq!(
        (parameters(0).weight, launches[0].words.as_slice()),
        (335, ["true".to_string(), "a".into()].as_slice())
    );
    assert_eq!((parameters(1).policy, parameters(1).priority), (Policy::Fifo, 3));
    assert_eq!(parameters(2).weight, 110);
    assert_eq!(launches[3].scheduling.cpus, Some(2));
    assert_eq!(
        world.run("forever & taskset 0,1 -p 104; nice -f 1 -p 104"),
        "[1] 104\nnice: the kernel refuses: the handle lacks the right\n"
    );
    assert_eq!(world.stage.lock().unwrap().launches[4].scheduling.cpus, Some(3));
    assert!(world.run("taskset 5 true").starts_with("taskset: there is no such CPU: there are 2"));
    assert!(world.run("nice -n 30 true").starts_with("nice: a nice value is from -20 to 19, not 30\nusage: nice"));
    assert!(world.run("nice ps").starts_with("nice: `ps` is a part of the shell"));
    assert!(world.run("time false; echo $?").ends_with("us)\n1\n"));
}

#[test]
fn views_of_the_system() {
    let mut world = World::interact();
    world.log(Level::Info, "kernel", "hello");
    world.log(Level::Warning, "uart", "slow");
    let expected = [
        ("ps", "  2       1    uart  running    1        1        0     0 B   0.005 s\n"),
        ("ps -t", "  9    2  uart     receive  fair"),
        ("free", "memory  256.0 MiB     0 B  16.0 MiB  240.0 MiB\n"),
        ("free -b", "memory  268435456       0  16777216  251658240\n"),
        ("uptime", "up 0:01:01, 2 CPUs 25.0 % busy, 2 processes, 3 threads, 0 ready\n"),
        ("maps uart", "0x000000400000  0x000000402000  8.0 KiB  r-x     memory"),
        ("handles 2", "3.1     session       7  ---------C-  kept  channel 4\n"),
        ("channels", "4  uart           0       0          0     77  0x0\n"),
        ("interrupts", "4       0  uart       12"),
        ("dmesg", "[    1.500000] info   kernel: hello\n[    1.500000] warn   uart[2]: slow\n"),
        ("dmesg -l warn", "[    1.500000] warn   uart[2]: slow\n"),
        ("dmesg -n 1 kernel", "[    1.500000] info   kernel: hello\n"),
        ("sys calls", "(99)         0  uart"),
        ("sys ioports", "0x03f8  0x03ff       8  uart\n"),
        ("sys iomem", "0x0000fee00000  0x0000fee00fff  4.0 KiB  init\n"),
        ("sys cpus", "  1  25.0 %"),
        ("sys memory uptime", "up 0:01:01"),
        ("sys boot", "\nmemory 16777216\ntsc 1000000000\n"),
        ("sys programs", "echo\nsleep\ntrue\n"),
        ("sys objects", "threads         3\n"),
        ("top -n 1", "  2  uart  running"),
        ("accounts", "shell limit"),
        ("history", "   1  ps\n   2  ps -t\n"),
    ];
    for (command, text) in expected {
        let said = world.run(command);
        assert!(said.contains(text), "{command}:\n{said}");
        assert!(said.lines().all(|line| line == line.trim_end()), "{command}:\n{said}");
    }
}

#[test]
fn wrong_calls_are_told_and_fail() {
    let mut world = World::interact();
    for command in [
        "ps -x",
        "ps a",
        "top -n",
        "kill",
        "kill -9 1",
        "nice",
        "taskset",
        "taskset x true",
        "service frobnicate",
        "service info",
        "free -h",
        "maps",
        "handles",
        "dmesg -l loud",
        "uptime now",
        "poweroff maybe",
        "export 1=2",
        "channels 1",
        "fg x",
        "time",
    ] {
        let said = world.run(&format!("{command}; echo status $?"));
        assert!(said.ends_with("status 2\n") && said.contains("\nusage: "), "{command}:\n{said}");
    }
    for command in ["maps nobody", "sys nothing", "help nothing", "fg", "service info x", "fg %3"] {
        let said = world.run(&format!("{command}; echo status $?"));
        assert!(said.ends_with("status 1\n") && said.lines().count() == 2, "{command}:\n{said}");
    }
    for command in shell::commands::COMMANDS {
        let said = world.run(&format!("{} --help && echo fine", command.name));
        assert!(said.starts_with(&format!("usage: {}", command.name)) && said.ends_with("fine\n"), "{said}");
    }
}
