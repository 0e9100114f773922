//! Whatever the bytes, the parser answers: without a panic, and soon.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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

#[test]
fn large_hostile_definitions_are_answered_soon() {
    const SIZE: usize = 1 << 18;
    let pieces = [
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
    ];
    for piece in pieces {
        let text = piece.repeat(SIZE / piece.len());
        let start = Instant::now();

        check(text.as_bytes(), &BTreeMap::new());
        check(
            format!("Bootstrap: scratch\n%files\n{text}").as_bytes(),
            &BTreeMap::new(),
        );
        check(
            format!("Bootstrap: scratch\n%arguments\na={text}").as_bytes(),
            &BTreeMap::new(),
        );

        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{piece:?}: {:?}",
            start.elapsed()
        );
    }
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
