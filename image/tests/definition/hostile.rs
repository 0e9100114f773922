//! Whatever the bytes, the parser answers: without a panic, and in a time that grows no faster than
//! their number.

use std::collections::BTreeMap;
use std::time::Duration;

use cooperage_image::definition::{Diagnostic, Options, parse, render};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

fn check(bytes: &[u8], args: &BTreeMap<String, String>) {
    let parsed = parse(
        bytes,
        &Options {
            build_args: args.clone(),
            ..Options::default()
        },
    );

    let has_error = parsed.diagnostics.iter().any(Diagnostic::is_error);
    assert_eq!(parsed.definition.is_none(), has_error);
    let text = parsed.shown(bytes);
    for diagnostic in &parsed.diagnostics {
        assert!(diagnostic.line >= 1 && diagnostic.column >= 1 && diagnostic.length >= 1);
        assert!(!render(diagnostic, "hostile", &text).is_empty());
    }
    if let Some(definition) = parsed.definition {
        assert!(!definition.stages.is_empty());
        definition.redacted();
    }
}

/// Pieces of definitions, so that all corners of the grammar are met.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "Bootstrap: docker\n",
        "From: ubuntu\n",
        "bootstrap:scratch",
        "Stage: a\n",
        "Include: \\\n",
        "Password: secret\n",
        "Username:\\\n",
        "otherurl7: x\n",
        "%post",
        "%POST -c",
        "%files from a\n",
        "%files",
        "\"a b\" c\n",
        "%labels\n",
        "%environment\n",
        "NAME value\n",
        "%apprun x\n",
        "%appfiles",
        "%arguments\n",
        "A={{ B }}\n",
        "B={{A}}",
        "{{",
        "}}",
        "{{ A }}",
        "#",
        "#!",
        "\r\n",
        "\n",
        "\\",
        "\\n\\\n",
        ":",
        " ",
        "\t",
        "%",
        "\u{feff}",
        "ä",
        "\0",
        "\u{2028}",
    ];
    prop_oneof![
        proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        Just("x".repeat(200)),
    ]
}

proptest! {
    #[test]
    fn random_bytes_are_answered(bytes in vec(any::<u8>(), 0..400)) {
        check(&bytes, &BTreeMap::new());
    }

    #[test]
    fn random_pieces_of_definitions_are_answered(
        pieces in vec(piece(), 0..60),
        value in vec(piece(), 0..4),
    ) {
        let args = BTreeMap::from([("A".to_owned(), value.concat())]);
        check(pieces.concat().as_bytes(), &args);
        check(format!("Bootstrap: docker\nFrom: x\n{}", pieces.concat()).as_bytes(), &args);
    }
}

/// What stands before a piece that is repeated.
const BEGINNINGS: &[&str] = &[
    "",
    "Bootstrap: docker\nFrom: x\n%files\n",
    "Bootstrap: docker\nFrom: x\n%arguments\na=",
    "Bootstrap: docker\nFrom: x\n%post\n",
    "Bootstrap: docker\nFrom: x\n%setup\n",
    "Bootstrap: docker\nFrom: x\n%environment\n",
];

const PIECES: &[&str] = &[
    "\n",
    "%",
    "%\n",
    "a\n",
    "a:\n",
    "{{a",
    "{{ a }}",
    "{{",
    "#",
    "bootstrap:\n",
    "%post\n",
    "%x\n",
    "%appfiles\n",
    "otherurl1:\\\n",
    "\"",
    "\t",
    "\\\n",
    "bootstrap:scratch\n%files\na b\n",
    "a;\\\n",
    "cp a /root/b;\\\n",
    "$(",
    "A=a ",
    "export A=a b\n",
    "Password: 12345678\n",
];

#[test]
fn the_time_a_hostile_definition_takes_grows_no_faster_than_its_length() {
    const SIZE: usize = 4 << 10;
    const LARGER: u32 = 8;
    for beginning in BEGINNINGS {
        for piece in PIECES {
            let text = |size: usize| beginning.to_string() + &piece.repeat(size / piece.len());
            let (short, long) = (text(SIZE), text(SIZE * LARGER as usize));

            let once = time_of(&short);
            let longer = time_of(&long);

            let most = once * (3 * LARGER) + Duration::from_millis(50);
            assert!(
                longer < most,
                "{beginning:?} {piece:?}: {once:?}, {longer:?}"
            );
        }
    }
}

fn time_of(text: &str) -> Duration {
    let begin = spent();
    check(text.as_bytes(), &BTreeMap::new());
    spent().saturating_sub(begin)
}

/// The processor's time of this thread, whatever else the machine does.
fn spent() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts it");
    let nanoseconds = spent.split(' ').next().map(str::parse);
    Duration::from_nanos(nanoseconds.expect("a word").expect("a number"))
}

#[test]
fn values_of_arguments_are_not_kept_when_there_is_no_room_for_them() {
    let (long, value) = ("b".repeat(32 << 10), "{{B}}".repeat(50));
    let beginning = format!("Bootstrap: scratch\n%arguments\nB={long}\n");
    let defaults = (0..2000).map(|number| format!("A{number}={value}\n"));
    let uses = (0..2000).map(|number| format!("{{{{A{number}}}}}\n"));
    let text: String = std::iter::once(beginning)
        .chain(defaults)
        .chain(["%post\n".to_owned()])
        .chain(uses)
        .collect();

    let before = most_memory();
    let parsed = parse(text.as_bytes(), &Options::default());

    assert_eq!(parsed.diagnostics[0].code, "definition-too-long");
    assert!(most_memory() - before < 1 << 20, "{} KiB", most_memory());
}

/// The most memory that this process had until now, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux counts it");
    let most = status.split("VmHWM:").nth(1).unwrap_or_default();
    let most = most.split_whitespace().next().map(str::parse);
    most.expect("a word").expect("a number")
}

#[test]
fn many_different_apps_are_answered_soon() {
    let mut text = "Bootstrap: scratch\n".to_owned();
    for number in 0..50_000 {
        text.extend([format!("%apprun {number}\n")]);
    }

    let parsed = parse(text.as_bytes(), &Options::default());

    assert_eq!(parsed.diagnostics[0].code, "too-many-apps");
}
