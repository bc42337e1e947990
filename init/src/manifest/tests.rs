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
    device pci 8086:100e class 0200
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
    assert_eq!(uart.devices[0].words, ["8086:100e", "class", "0200"]);
    let console = &manifest.services[1];
    let names = vec!["serial".to_string(), "serial2".to_string()];
    assert_eq!(console.sessions, [SessionGrant { service: "uart".to_string(), names, control: true }]);
    assert!(console.may_connect("uart") && !uart.may_connect("console"));
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
        ("service a\ndevice usb x", "line 2: `usb` is not a bus: pci, acpi or virtio"),
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
