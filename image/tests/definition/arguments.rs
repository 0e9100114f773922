//! Build arguments and the places that they fill.

use super::*;

#[test]
fn build_arguments_come_before_the_defaults_and_comments_stay() {
    let text = "Bootstrap: docker\nFrom: {{ BASE }}:{{TAG}}\n%arguments\nBASE=debian\n\
                TAG = {{ BASE }}-slim\n%post\n#!{{TAG}}\n# {{ NOT }}\necho {{BASE}}\n";
    let args = BTreeMap::from([("BASE".to_owned(), "ubuntu".to_owned())]);

    let parsed = parse(text.as_bytes(), &with_args(args));

    let definition = parsed.definition.expect("a definition");
    assert_eq!(
        definition.stages[0].header.fields["from"].value,
        "ubuntu:ubuntu-slim"
    );
    let post = body(definition.stages[0].sections.post.as_ref());
    assert_eq!(post, "#!ubuntu-slim\n# {{ NOT }}\necho ubuntu\n");
    assert!(!definition.text.contains("{{TAG}}"));
}

#[test]
fn places_are_those_of_the_text_before_arguments_were_filled_in() {
    let text = "Bootstrap: docker\nFrom: {{ A }} \nStage: {{ A }}\n%psot {{ A }}\n";
    let args = BTreeMap::from([("A".to_owned(), "one\ntwo\nthree: x".to_owned())]);

    let found = parse(text.as_bytes(), &with_args(args)).diagnostics;

    let section = found
        .iter()
        .find(|found| found.code == "unknown-section")
        .expect("a section");
    assert_eq!((section.line, section.column, section.length), (4, 1, 5));
}

#[test]
fn arguments_cannot_blow_a_definition_up() {
    let value = "x".repeat(1 << 20);
    let text = format!("Bootstrap: scratch\n%post\n{}\n", "{{ A }}\n".repeat(1000));
    let args = BTreeMap::from([("A".to_owned(), value)]);

    let parsed = parse(text.as_bytes(), &with_args(args));

    assert!(parsed.definition.is_none());
    assert_eq!(parsed.diagnostics[0].code, "definition-too-long");
}

#[test]
fn a_build_argument_that_is_not_used_is_an_error() {
    let args = BTreeMap::from([("VERSOIN".to_owned(), "1".to_owned())]);

    let parsed = parse(
        b"Bootstrap: scratch\n%post\n{{ VERSION }}\n",
        &with_args(args),
    );

    let codes: Vec<&str> = parsed.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(codes, ["undefined-build-argument", "unused-build-argument"]);
}

#[test]
fn a_hash_right_before_a_placeholder_is_no_comment() {
    let stage =
        with("%arguments\nA=1\nnonsense\n%help\n#{{A}}\n##{{A}}\n#!{{A}} # {{A}}\n{{A}} #{{A}}\n");

    assert_eq!(
        body(stage.sections.help.as_ref()),
        "#1\n##{{A}}\n#!1 # {{A}}\n1 #1\n"
    );
}

#[test]
fn an_unused_build_argument_may_be_a_warning() {
    let options = Options {
        build_args: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
        unused_build_args: Unused::Warned,
        ..Options::default()
    };

    let parsed = parse(b"Bootstrap: scratch\n", &options);

    assert!(parsed.definition.is_some());
    assert_eq!(parsed.diagnostics[0].code, "unused-build-argument");
    assert_eq!(parsed.diagnostics[0].severity, Severity::Warning);
}
