//! What is wrong or odd is told with its place.

use super::*;

#[test]
fn what_is_wrong_in_a_header_is_told_with_its_place() {
    refuse(&[
        ("", ("empty-definition", 1, 1, 1)),
        ("\n# only a comment\n", ("empty-definition", 1, 1, 1)),
        (
            "Bootstrap: docker\nFrom: x\nIncldue: y\n",
            ("unknown-header-key", 3, 1, 7),
        ),
        (
            "Bootstrap: docker\n  wörd here\nFrom: x\n",
            ("header-without-colon", 2, 3, 9),
        ),
        (
            "Bootstrap: docker\n%post\ntrue\n",
            ("missing-header-key", 1, 1, 9),
        ),
        (
            "Bootstrap: debootstrap\nOSVersion: x\n",
            ("missing-header-key", 1, 1, 9),
        ),
        ("From: ubuntu\n", ("missing-bootstrap", 1, 1, 12)),
        ("%post\ntrue\n", ("missing-bootstrap", 1, 1, 5)),
        ("Bootstrap: dokcer\nFrom: x\n", ("unknown-agent", 1, 12, 6)),
        (
            "Bootstrap: yum\nUpdateURL: x\n",
            ("missing-header-key", 1, 1, 9),
        ),
        (
            "Bootstrap: zypper\nMirrorURL: http://x/%{OSVERSION}\n",
            ("missing-header-key", 1, 1, 9),
        ),
        ("Bootstrap: scratch\nA\u{0}B\n", ("binary-file", 2, 2, 1)),
    ]);
}

#[test]
fn what_is_wrong_in_a_section_is_told_with_its_place() {
    refuse(&[
        (
            "Bootstrap: scratch\n  %enviroment\n",
            ("unknown-section", 2, 3, 11),
        ),
        (
            "Bootstrap: scratch\n%post\n% x\n",
            ("unknown-section", 3, 1, 1),
        ),
        (
            "Bootstrap: scratch\n%post\t-c\n",
            ("outdated-section", 2, 1, 5),
        ),
        (
            "Bootstrap: scratch\n%apprun\n",
            ("missing-app-name", 2, 1, 7),
        ),
        (
            "Bootstrap: scratch\n%apprun ../x\n",
            ("bad-app-name", 2, 9, 4),
        ),
        ("Bootstrap: scratch\n%post -c\n", ("missing-shell", 2, 7, 2)),
        (
            "Bootstrap: scratch\n%files from x\n",
            ("unknown-stage", 2, 8, 6),
        ),
        (
            "Bootstrap: scratch\n%post\n ä {{ A }}\n",
            ("undefined-build-argument", 3, 4, 7),
        ),
    ]);
}

#[test]
fn what_is_odd_is_a_warning_and_no_obstacle() {
    let cases = [
        (
            "Bootstrap: scratch\n%files to x\n",
            ("files-arguments", 2, 8, 4),
        ),
        (
            "Bootstrap: scratch\n%files\n\"\" x\n",
            ("empty-source", 3, 1, 4),
        ),
        (
            "Bootstrap: scratch\n%files\na # b\n",
            ("comment-in-files", 3, 3, 1),
        ),
        (
            "Bootstrap: docker\nFrom: x\nUsername: y\n",
            ("incomplete-account", 3, 1, 8),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(only_problem(text), expected, "{text:?}");
        accept(text, &Options::default());
    }
}

#[test]
fn bytes_that_are_no_text_are_told_as_such() {
    let parsed = parse(b"Bootstrap: scratch\n\0\n", &Options::default());

    assert!(parsed.definition.is_none());
    assert_eq!(parsed.diagnostics[0].code, "binary-file");
    assert_eq!(
        (parsed.diagnostics[0].line, parsed.diagnostics[0].column),
        (2, 1)
    );
}

#[test]
fn a_typing_error_gets_the_word_that_was_meant() {
    let cases = [
        ("Boostrap: docker\nFrom: x\n", "did you mean `bootstrap`?"),
        (
            "Bootstrap: scratch\n%enviroment\n",
            "did you mean `%environment`?",
        ),
        ("Bootstrap: scratch\n%env\n", "did you mean `%environment`?"),
        ("Bootstrap: scratch\n%applabel x\n", "write `%applabels`"),
        ("Bootstrap: Docker\nFrom: x\n", "did you mean `docker`?"),
        (
            "Bootstrap: scratch\n% environment\n",
            "write `%environment`",
        ),
    ];
    for (text, expected) in cases {
        let found = diagnostics(text);

        assert_eq!(found.len(), 1, "{found:?}");
        let help = found[0].help.as_deref().unwrap_or_default();
        assert!(help.starts_with(expected), "{text:?}: {help}");
    }
}

#[test]
fn a_diagnostic_is_shown_with_its_line_and_a_caret() {
    let text = "Bootstrap: scratch\n  %enviroment\n";

    let shown = ShownText::of(text.as_bytes(), &Options::default());
    let shown = render(&diagnostics(text)[0], "Singularity", &shown);

    assert_eq!(
        shown,
        "error[unknown-section]: unknown section `%enviroment`\n \
         --> Singularity:2:3\n  |\n2 |   %enviroment\n  |   ^^^^^^^^^^^\n  \
         = help: did you mean `%environment`? The lenient mode (`--lenient`, or the collection's \
         setting) reads it as Singularity 2 did\n"
    );
}

#[test]
fn keys_above_bootstrap_are_refused_at_their_line_and_nowhere_else() {
    let text = "From: ubuntu\n\nBootstrap: docker\n%post\nx\n";

    assert_eq!(only_problem(text), ("header-above-bootstrap", 1, 1, 12));
}

fn refuse(cases: &[(&str, Problem)]) {
    for (text, expected) in cases {
        assert_eq!(only_problem(text), *expected, "{text:?}");
        assert!(
            parse(text.as_bytes(), &Options::default())
                .definition
                .is_none()
        );
    }
}
