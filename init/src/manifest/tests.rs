use super::*;
use proptest::prelude::*;

/// What the host tool packs into the boot archive.
const SHIPPED: &str = include_str!("../../manifest");

fn error(text: &str) -> String {
    Manifest::parse(text.as_bytes()).expect_err(text).to_string()
}

#[test]
fn the_shipped_manifest_is_good() {
    let manifest = Manifest::parse(SHIPPED.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    for name in ["uart", "console", "log", "shell"] {
        assert!(manifest.find(name).is_some(), "{name}");
    }
}

#[test]
fn an_entry_is_read() {
    let text = "
# a comment
service uart
    binary uart-16550   # with another name
    arguments a \"b c\" \"\"
    parameter rate 115200
    ports registers 0x3f8 8
    interrupt irq 4 edge-high
    resource inspect inspect
    resource some ports 0x60 4
    memory frame 0xa0000 64K write-combining
    priority fifo 20
    account memory 512K handles 100
    account threads 3
    restart on-failure limit 3 in 10s backoff 10ms to 1s
    hang 250ms
    quiesce 1s
service console
    session uart as serial serial2 control
    connect any
    hang never
    account memory 10%
    collects-logs
    control
    optional
";
    let manifest = Manifest::parse(text.as_bytes()).expect("good");
    assert_eq!(manifest.order, [0, 1]);
    let uart = &manifest.services[0];
    assert_eq!((uart.line, uart.binary.as_str()), (3, "uart-16550"));
    assert_eq!(uart.arguments, ["a", "b c", ""]);
    let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
    assert_eq!(uart.parameters, [pair("rate", "115200"), pair("irq", "4"), pair("irq.trigger", "edge-high")]);
    assert_eq!(uart.grants[0].what, Granted::Ports { first: 0x3f8, count: 8 });
    assert_eq!(uart.grants[3].what, Granted::Resource { kind: ResourceKind::Ports, part: Some((0x60, 4)) });
    assert_eq!(
        uart.grants[4].what,
        Granted::Memory { address: 0xa0000, bytes: 0x10000, caching: Caching::WriteCombining }
    );
    assert_eq!((uart.priority.priority, uart.hang, uart.quiesce), (20, Some(250_000_000), Some(1_000_000_000)));
    assert_eq!((uart.account.memory, uart.account.handles, uart.account.threads), (Amount::Bytes(512 << 10), 100, 3));
    let restart = Restart {
        when: When::OnFailure,
        limit: 3,
        window: 10_000_000_000,
        backoff: 10_000_000,
        most_backoff: 1_000_000_000,
    };
    assert_eq!(uart.restart, restart);
    let console = &manifest.services[1];
    let names = vec!["serial".to_string(), "serial2".to_string()];
    assert_eq!(console.sessions, [SessionGrant { service: "uart".to_string(), names, control: true }]);
    assert!(console.may_connect(uart) && !uart.may_connect(console));
    assert_eq!((console.hang, console.account.memory), (None, Amount::Percent(10)));
    assert!(console.collects_logs && console.control && console.optional);
}

#[test]
fn errors_name_line_and_reason() {
    let cases = [
        ("", "line 1: there is no service in it"),
        ("\nbinary x", "line 2: `binary` stands before the first `service`"),
        ("service UART", "line 1: `UART` is not a name: 1 to 16 of a-z, 0-9 and -"),
        ("service seventeen-letters", "line 1: `seventeen-letters` is not a name: 1 to 16 of a-z, 0-9 and -"),
        ("service a b", "line 1: `b` is too much for `service`"),
        ("service a\n\nservice a", "line 3: the service a is in line 1 already"),
        ("service registry", "line 1: the name registry is init's own"),
        ("service a\nbianry b", "line 2: `bianry` is not known here"),
        ("service a\nparameter b", "line 2: `parameter` needs a value"),
        ("service a\narguments \"b", "line 2: a quotation mark is not closed"),
        ("service a\narguments \"b\"c", "line 2: a blank is missing behind a quotation mark"),
        ("service a\nports x 70000 1", "line 2: the first port 70000 is not between 0 and 65535"),
        ("service a\nports x 0xfff8 9", "line 2: a number of ports 9 is not between 1 and 8"),
        ("service a\nports x +5 9", "line 2: `+5` is not a number: the first port is wanted"),
        ("service a\ninterrupt x 4 rising", "line 2: `rising` is not a trigger: edge-high, level-high or level-low"),
        ("service a\nmemory x 0x1234 4K", "line 2: address and size of memory are multiples of 4K"),
        ("service a\nmemory x 0x1000 0", "line 2: `0` is not a size such as 4K"),
        ("service a\nresource x gold", "line 2: `gold` is not a kind of resource"),
        ("service a\nresource x ports zero 1", "line 2: `zero` is not a number: the start is wanted"),
        ("service a\npriority fifo 64", "line 2: a priority 64 is not between 1 and 63"),
        ("service a\npriority idle 1", "line 2: `idle` is not a policy: fair, fifo or round-robin"),
        ("service a\naccount memory 91%", "line 2: `91%` is not a size such as 512K, nor 1% to 90%"),
        ("service a\naccount gold 1", "line 2: `gold` is not counted in accounts"),
        ("service a\nrestart sometimes", "line 2: `sometimes` is not understood: always, on-failure or never"),
        ("service a\nrestart always limit 3", "line 2: `limit N` needs `in TIME`"),
        ("service a\nrestart always backoff 2s to 1s", "line 2: the longest backoff is shorter than the first"),
        ("service a\nhang 5", "line 2: `5` is not a time such as 50ms, 2s or 1m"),
        ("service a\nhang 99999999999999999m", "line 2: `99999999999999999m` is not a time such as 50ms, 2s or 1m"),
        ("service a\ndevice usb x", "line 2: `usb` is not a bus: pci, acpi, virtio"),
        ("service a\nsession b as c control d", "line 2: `d` is not understood: `as` NAME… or `control` is wanted"),
        ("service a\nsession b", "line 1: a wants the service b, which is not there"),
        ("service a\nconnect b", "line 1: a wants the service b, which is not there"),
        ("service a\nports log 1 1", "line 1: a has two handles with the name log"),
        ("service a\nports x 1 1\nports x 2 1", "line 1: a has two handles with the name x"),
        ("service a\nports x 1 4\nservice b\nports x 4 4", "line 3: b and a have the same ports"),
        ("service a\ncollects-logs\nservice b\ncollects-logs", "line 3: a collects logs already"),
        ("service a\nafter a", "line 1: services depend on each other: a -> a"),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), format!("manifest, {expected}"), "{text}");
    }
    let bytes = b"service a\n\xff";
    assert_eq!(Manifest::parse(bytes).expect_err("no text").line, 2);
    let many: String = (0..=MOST_SERVICES).map(|n| format!("service s{n}\n")).collect();
    assert_eq!(error(&many), "manifest, line 61: there are more than 60 services");
}

#[test]
fn services_stand_behind_what_they_need() {
    let manifest = Manifest::parse(b"service d\nafter b c\nservice b\nsession a\nservice c\nservice a").expect("good");
    let names: Vec<&str> = manifest.order.iter().map(|index| manifest.services[*index].name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
}

#[test]
fn circles_are_named() {
    let text = "service x\nservice a\nafter b\nservice b\nsession c\nservice c\nafter x b";
    assert_eq!(error(text), "manifest, line 4: services depend on each other: b -> c -> b");
}

proptest! {
    #[test]
    fn mutated_manifests_do_no_harm(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..30)) {
        let mut text = SHIPPED.as_bytes().to_vec();
        for (place, byte, how) in places {
            let at = place.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => { text.remove(at); }
            }
        }
        let lines = text.split(|byte| *byte == b'\n').count();
        match Manifest::parse(&text) {
            Ok(manifest) => prop_assert_eq!(manifest.order.len(), manifest.services.len()),
            Err(error) => prop_assert!((1..=lines).contains(&error.line)),
        }
    }

    #[test]
    fn lines_of_known_words_do_no_harm(words in prop::collection::vec(prop::sample::select(vec![
        "service", "a", "b", "session", "as", "control", "ports", "0x1", "9", "restart", "always", "limit", "in", "1s", "backoff",
        "to", "account", "memory", "5%", "4K", "\n", "\n", "\"", "#", "resource", "interrupt", "hang", "priority", "fair", "fifo",
    ]), 0..80)) {
        let _ = Manifest::parse(words.join(" ").as_bytes());
    }
}

const TEMPLATES: &str = "
service pci
    bus
    parameter tables $rsdp
    state 8K
service nvme
    device pci class 0108,010802
    class block
service virtio-blk
    device pci 1af4:1042,1AF4:1001 1af4:1043
    class block
    parameter depth 64
service other-nvme
    device pci class 010802
service tty
    template
    class character
    node hvc
service block
    instances tty nvme
    connect virtio-blk
    after virtio-blk
";

#[test]
fn templates_are_found_by_what_a_device_says() {
    let manifest = Manifest::parse(TEMPLATES.as_bytes()).expect("good");
    let found = |bus: &str, vendor, device, class| {
        let ids = libsys::protocol::registry::DeviceIds { vendor, device, class };
        manifest.template_for(bus, &ids).map(|index| manifest.services[index].name.as_str())
    };
    assert_eq!(found("pci", 0x1af4, 0x1001, 0x010000), Some("virtio-blk"));
    assert_eq!(found("pci", 0x1af4, 0x1043, 0x010802), Some("virtio-blk"), "a product goes over a class");
    assert_eq!(found("pci", 0x1b36, 0x0010, 0x010802), Some("nvme"), "the first of equals");
    assert_eq!(found("pci", 0x1b36, 0x0010, 0x010801), Some("nvme"));
    assert_eq!(found("pci", 0x1b36, 0x0010, 0x010702), None);
    assert_eq!(found("acpi", 0x1af4, 0x1001, 0), None);
    assert_eq!(manifest.find("nvme"), None, "no process runs from a template");
    assert!(manifest.find_template("nvme").is_some() && manifest.find_template("pci").is_none());
}

#[test]
fn an_instance_is_what_its_template_is() {
    let manifest = Manifest::parse(TEMPLATES.as_bytes()).expect("good");
    let template = |name: &str| &manifest.services[manifest.find_template(name).expect("a template")];
    let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
    let disk = template("virtio-blk").instance("virtio-blk-3", &[pair("depth", "8"), pair("x", "y")], Some("pci"));
    assert_eq!((disk.name.as_str(), disk.binary.as_str(), disk.optional), ("virtio-blk-3", "virtio-blk", true));
    assert_eq!(disk.parameters, [pair("depth", "8"), pair("x", "y")]);
    assert_eq!(disk.after, ["pci"]);
    assert!(disk.runs() && disk.is_meant_by("virtio-blk") && disk.is_meant_by("virtio-blk-3"));
    let block = &manifest.services[manifest.find("block").expect("a service")];
    assert!(block.may_connect(&disk) && !block.may_connect(template("virtio-blk")));
    let line = template("tty").instance("tty-2", &[], None);
    assert_eq!((line.node.as_deref(), line.class.as_deref()), (Some("hvc2"), Some("character")));
    assert_eq!(template("tty").instance("other", &[], None).node.as_deref(), Some("hvc"));
}

#[test]
fn mistakes_about_templates_are_told() {
    for (text, expected) in [
        ("service a\ndevice pci", "line 2: `device` needs what to match: `VENDOR:DEVICE…` or `class CCSSPP`"),
        ("service a\ndevice pci 1af4", "line 2: `1af4` is not a device such as 1af4:1042"),
        ("service a\ndevice pci 1af4:+042", "line 2: `1af4:+042` is not a device such as 1af4:1042"),
        ("service a\ndevice pci class", "line 2: `class` needs a class"),
        ("service a\ndevice pci class 010", "line 2: `010` is not a class such as 0108 or 010802"),
        ("service thirteen-long\ntemplate", "line 1: thirteen-long is a template: its name may have 12 characters"),
        ("service a\ntemplate\nports p 1 1", "line 1: a is a template: its instances cannot all have p"),
        ("service a\ntemplate\nresource device inspect", "line 1: a has two handles with the name device"),
        ("service a\nbus\ntemplate", "line 1: a is a template: it can neither be a bus's server nor collect logs"),
        ("service a\ninstances b\nservice b", "line 1: a makes instances of b, which is no template"),
        ("service a\nsession b\nservice b\ntemplate", "line 1: a wants a session to b, which is a template"),
        (
            "service a\non-demand\ntemplate",
            "line 1: a is a template: its instances start when they are made, not on demand",
        ),
        ("service a\nsession b\nservice b\non-demand", "line 1: a wants a session to b, which starts on demand"),
        ("service a\nstate 0", "line 2: `0` is not a size such as 4K"),
        ("service a\nparameter x $acpi", "line 2: `$acpi` is not known: $rsdp"),
    ] {
        assert_eq!(error(text), format!("manifest, {expected}"));
    }
}
