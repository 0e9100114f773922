//! What the grammar of definitions accepts, and what it makes of it.

use std::collections::BTreeMap;

use cooperage_image::definition::{
    Bootstrap, Definition, Diagnostic, FilesFrom, Mode, Options, Script, Severity, ShownText,
    Stage, Unused, parse, render,
};
use secrecy::ExposeSecret;

const FULL: &str = r#"Bootstrap: docker
From: tensorflow/tensorflow:latest

%runscript
 
    exec /usr/bin/python "$@"

%post

    echo "Post install stuffs!"

%files

/home/vanessa/Desktop/analysis.py /tmp/analysis.py
relative_path.py /tmp/analysis2.py

%environment

TOPSECRET pancakes
HELLO WORLD

%labels

AUTHOR Vanessasaur
"#;

/// What is told of it, but for advice.
fn diagnostics(text: &str) -> Vec<Diagnostic> {
    let parsed = parse(text.as_bytes(), &Options::default());
    let mut diagnostics = parsed.diagnostics;
    diagnostics.retain(|diagnostic| diagnostic.severity != Severity::Advice);
    diagnostics
}

fn with_args(args: BTreeMap<String, String>) -> Options {
    Options {
        build_args: args,
        ..Options::default()
    }
}

fn lenient() -> Options {
    Options {
        mode: Mode::Lenient,
        ..Options::default()
    }
}

fn accept(text: &str, options: &Options) -> Definition {
    let parsed = parse(text.as_bytes(), options);
    let shown = parsed.shown(text.as_bytes());
    let problems: Vec<String> = parsed
        .diagnostics
        .iter()
        .map(|diagnostic| render(diagnostic, "def", &shown))
        .collect();
    parsed
        .definition
        .unwrap_or_else(|| panic!("refused:\n{}", problems.concat()))
}

fn only_stage(text: &str) -> Stage {
    only_stage_of(text, &Options::default())
}

fn only_stage_of(text: &str, options: &Options) -> Stage {
    let mut definition = accept(text, options);
    assert_eq!(definition.stages.len(), 1);
    definition.stages.remove(0)
}

/// A stage with these sections on top of nothing.
fn with(sections: &str) -> Stage {
    only_stage(&format!("Bootstrap: scratch\n{sections}"))
}

fn body(script: Option<&Script>) -> &str {
    script.map_or("", |script| script.body.as_str())
}

/// Code, line, column and length.
type Problem = (&'static str, u32, u32, u32);

fn only_problem(text: &str) -> Problem {
    let found = diagnostics(text);
    assert_eq!(found.len(), 1, "{found:?}");
    (
        found[0].code,
        found[0].line,
        found[0].column,
        found[0].length,
    )
}

#[test]
fn the_definition_made_by_printf_without_a_final_newline_is_complete() {
    let stage = only_stage("Bootstrap:docker\nFrom:ubuntu:latest");

    let Bootstrap::Docker(docker) = stage.header.bootstrap else {
        panic!("not docker")
    };
    assert_eq!(docker.from, "ubuntu:latest");
    assert!(docker.account.is_none());
    assert!(!docker.include_cmd);
}

#[test]
fn the_smallest_definition_has_two_lines() {
    let stage = only_stage("Bootstrap: docker\nFrom: tensorflow/tensorflow:latest\n");

    let Bootstrap::Docker(docker) = stage.header.bootstrap else {
        panic!("not docker")
    };
    assert_eq!(docker.from, "tensorflow/tensorflow:latest");
}

#[test]
fn a_full_definition_gives_all_its_sections() {
    let stage = only_stage(FULL);

    let sections = &stage.sections;
    assert_eq!(
        body(sections.runscript.as_ref()),
        " \n    exec /usr/bin/python \"$@\"\n\n"
    );
    assert_eq!(
        body(sections.post.as_ref()),
        "\n    echo \"Post install stuffs!\"\n\n"
    );
    let author = ("AUTHOR".to_owned(), "Vanessasaur".to_owned());
    assert_eq!(sections.labels, [author]);
    assert_eq!(sections.files.len(), 1);
    assert_eq!(sections.files[0].from, FilesFrom::Context);
    let copies: Vec<_> = sections.files[0]
        .copies
        .iter()
        .map(|copy| (copy.source.as_str(), copy.destination.as_deref(), copy.line))
        .collect();
    assert_eq!(
        copies,
        [
            (
                "/home/vanessa/Desktop/analysis.py",
                Some("/tmp/analysis.py"),
                14
            ),
            ("relative_path.py", Some("/tmp/analysis2.py"), 15),
        ]
    );
}

#[test]
fn an_environment_of_names_and_values_becomes_exports_with_a_warning() {
    let stage = only_stage(FULL);

    assert_eq!(
        body(stage.sections.environment.as_ref()),
        "\nexport TOPSECRET=\"pancakes\"\nexport HELLO=\"WORLD\"\n\n"
    );
    let warnings = diagnostics(FULL);
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].severity, Severity::Warning);
    assert_eq!((warnings[0].line, warnings[0].column), (19, 1));
}

#[test]
fn an_environment_with_any_line_of_shell_stays_as_it_is() {
    for shell in [
        "export A=b\n",
        "HELLO WORLD\nA=b\n",
        "source /x\n",
        "FOO one; BAR two\n",
        "umask 022\n",
    ] {
        let stage = with(&format!("%environment\n{shell}"));

        assert_eq!(body(stage.sections.environment.as_ref()), shell);
    }
}

#[test]
fn include_cmd_is_read_as_singularity_2_did() {
    let cases = [
        ("yes", true),
        ("Y", true),
        ("TRUE", true),
        ("1", true),
        ("no", false),
    ];
    for (value, expected) in cases {
        let stage = only_stage(&format!(
            "Bootstrap: docker\nFrom: x\nIncludeCmd: {value}\n"
        ));

        let Bootstrap::Docker(docker) = stage.header.bootstrap else {
            panic!("not docker")
        };
        assert_eq!(docker.include_cmd, expected, "{value}");
    }
}

#[test]
fn registry_namespace_and_account_are_taken_from_the_header() {
    let stage = only_stage(
        "Bootstrap: docker\nFrom: app\nRegistry: registry.example:5000\nNamespace: team\n\
         Username: vanessa\nPassword: sup3rsecret\n",
    );

    let Bootstrap::Docker(docker) = stage.header.bootstrap else {
        panic!("not docker")
    };
    assert_eq!(docker.registry.as_deref(), Some("registry.example:5000"));
    assert_eq!(docker.namespace.as_deref(), Some("team"));
    let account = docker.account.expect("an account");
    assert_eq!(account.username.expose_secret(), "vanessa");
    assert_eq!(account.password.expose_secret(), "sup3rsecret");
    assert!(!stage.header.fields.contains_key("password"));
}

#[test]
fn secrets_of_the_header_are_redacted_wherever_they_stand() {
    let definition = accept(
        "Bootstrap: docker\nFrom: app\nUsername: vanessa\nPassword: sup3rsecret # comment\n\
         Token: no\n%post\n    login sup3rsecret; echo no vanessa\n",
        &Options::default(),
    );

    let redacted = definition.redacted();

    assert_eq!(
        redacted,
        "Bootstrap: docker\nFrom: app\nUsername: [redacted]\nPassword: [redacted]\n\
         Token: [redacted]\n%post\n    login [redacted]; echo no vanessa\n"
    );
    assert!(!format!("{definition:?}").contains("sup3rsecret"));
}

#[test]
fn a_part_of_a_definition_is_redacted_also_if_there_are_errors() {
    let parsed = parse(
        b"Bootstrap: docker\nPassword: sup3rsecret\n",
        &Options::default(),
    );

    assert!(parsed.definition.is_none());
    assert_eq!(parsed.redact("login sup3rsecret"), "login [redacted]");
    assert!(!format!("{parsed:?}").contains("sup3rsecret"));
}

#[test]
fn nothing_is_shown_of_a_definition_with_more_secrets_than_can_be_looked_for() {
    let passwords = (0..=200).map(|number| format!("Password: sup3rsecret{number}\n"));
    let passwords: String = passwords.collect();

    let definition = accept(
        &format!("Bootstrap: docker\nFrom: app\n{passwords}"),
        &Options::default(),
    );

    assert_eq!(definition.redacted().trim_end(), "[redacted]");
}

#[test]
fn debootstrap_has_a_release_a_mirror_and_packages() {
    let stage = only_stage(
        "BootStrap: debootstrap\nOSVersion: bookworm\nMirrorURL: http://mirror.example.org/debian\n\
         Include: curl,git \\\n  python3\n",
    );

    let Bootstrap::Debootstrap(debian) = stage.header.bootstrap else {
        panic!("not debootstrap")
    };
    assert_eq!(debian.os_version, "bookworm");
    assert_eq!(debian.mirror_url, "http://mirror.example.org/debian");
    assert_eq!(debian.include, ["curl", "git", "python3"]);
}

#[test]
fn line_ends_of_other_systems_and_a_byte_order_mark_do_not_matter() {
    let stage =
        only_stage("\u{feff}Bootstrap: docker\r\nFrom:\tubuntu\r\n\r\n%post\r\n\techo hi\r\n");

    let Bootstrap::Docker(docker) = stage.header.bootstrap else {
        panic!("not docker")
    };
    assert_eq!(docker.from, "ubuntu");
    assert_eq!(body(stage.sections.post.as_ref()), "\techo hi\n");
}

#[test]
fn header_lines_above_bootstrap_belong_to_the_first_stage_in_the_lenient_mode() {
    let stage = only_stage_of("From: ubuntu\nBootstrap: docker\n", &lenient());

    assert!(matches!(stage.header.bootstrap, Bootstrap::Docker(_)));
}

#[test]
fn a_continued_header_value_is_joined_and_may_hold_newlines() {
    let stage = only_stage("Bootstrap: scratch\nProductPGP: one\\n\\\n  two\\\n  three\n");

    assert_eq!(stage.header.fields["productpgp"].value, "one\ntwothree");
}

#[test]
fn of_a_repeated_header_key_the_last_one_counts() {
    let text = "Bootstrap: docker\nFrom: a\nFrom: b\n";

    let stage = only_stage(text);

    assert_eq!(stage.header.fields["from"].value, "b");
    assert_eq!(
        (
            stage.header.fields["from"].line,
            stage.header.fields["from"].column
        ),
        (3, 7)
    );
    assert_eq!(only_problem(text), ("repeated-header-key", 3, 1, 4));
}

#[test]
fn sections_of_the_same_name_are_joined_and_the_last_arguments_count() {
    let stage = with("%post -c /bin/bash\none\n%test\nx\n%POST\ntwo\n");

    let post = stage.sections.post.expect("a post section");
    assert_eq!(post.body, "one\ntwo\n");
    assert_eq!(post.args, "-c /bin/bash");
}

#[test]
fn a_section_may_be_larger_than_any_buffer() {
    let line = "echo 0123456789\n".repeat(10_000);

    let stage = with(&format!("%post\n{line}"));

    assert_eq!(body(stage.sections.post.as_ref()), line);
}

#[test]
fn files_may_be_quoted_and_have_comment_lines() {
    let stage = with("%files # c\n  # no\n\"a b\" \"/c d\"\nonly\n\"a\"/b rest\nx y z\n");

    let copies: Vec<_> = stage.sections.files[0]
        .copies
        .iter()
        .map(|copy| (copy.source.as_str(), copy.destination.as_deref()))
        .collect();
    assert_eq!(
        copies,
        [
            ("a b", Some("/c d")),
            ("only", None),
            ("a", Some("/b")),
            ("x", Some("y"))
        ]
    );
}

#[test]
fn labels_are_the_first_word_and_the_rest_with_its_quotes() {
    let stage = with("%labels\n  A \"b c\"\nEMPTY\n# no\n");

    let expected = [("A", "\"b c\""), ("EMPTY", "")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(stage.sections.labels, expected);
}

#[test]
fn a_later_stage_copies_from_an_earlier_one() {
    let definition = accept(
        "Bootstrap: docker\nFrom: golang\nStage: build\n%post\nmake\nbootstrap: docker\n\
         From: alpine\nStage: final\n%files from build\n/app /bin/app\n",
        &Options::default(),
    );

    let names: Vec<_> = definition.stages.iter().map(Stage::name).collect();
    assert_eq!(names, [Some("build"), Some("final")]);
    assert_eq!(
        definition.stages[1].sections.files[0].from,
        FilesFrom::Stage(0)
    );
}

#[test]
fn apps_keep_the_order_of_the_file() {
    let stage = with(
        "%apprun second\nrun\n%appinstall first\nmake\n%appfiles second\na\nb /c\n\
         %applabels second\nX y\n",
    );

    let apps = &stage.sections.apps;
    let names: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!(names, ["second", "first"]);
    let copies = apps[0].copies();
    let destinations: Vec<_> = copies
        .iter()
        .filter_map(|copy| copy.destination.as_deref())
        .collect();
    assert_eq!(destinations, ["/scif/apps/second/a", "/scif/apps/second/c"]);
}

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
fn build_scripts_run_with_the_shell_that_the_section_names() {
    let cases: [(&str, &[&str]); 4] = [
        ("", &["/bin/sh", "-ex", "/s"]),
        ("-u # comment", &["/bin/sh", "-ex", "-u", "/s"]),
        (
            "-c /bin/bash -x",
            &["/bin/sh", "-ex", "-c", "/bin/bash -x /s"],
        ),
        (
            "-v -c python3",
            &["/bin/sh", "-ex", "-v", "-c", "python3 /s"],
        ),
    ];
    for (args, expected) in cases {
        let script = Script {
            args: args.to_owned(),
            body: "true\n".to_owned(),
        };

        assert_eq!(script.command("/s"), expected, "{args}");
    }
}

#[test]
fn a_script_in_the_image_has_a_shebang_and_a_blank_line() {
    let cases = [
        ("", "echo\n", "#!/bin/sh\n\necho\n\n"),
        ("-e", "echo\n", "#!/bin/sh -e\n\necho\n\n"),
        (
            "",
            "#!/usr/bin/python3\nprint()\n",
            "#!/usr/bin/python3\n\nprint()\n\n",
        ),
        ("", "\n  #!/bin/bash\nls\n", "#!/bin/bash\n\nls\n\n"),
        ("", "#!/bin/bash", "#!/bin/bash\n\n\n"),
    ];
    for (args, body, expected) in cases {
        let script = Script {
            args: args.to_owned(),
            body: body.to_owned(),
        };

        assert_eq!(script.as_file(), expected);
    }
}

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
fn a_diagnostic_never_shows_a_secret() {
    for text in [
        "Bootstrap: docker\nFrom: x\n  Password: sup3rsecret\n",
        "Bootstrap: docker\nFrom: x\nPasword: sup3rsecret\n",
        "Bootstrap: docker\nFrom: x\npassword sup3rsecret\n",
        "Bootstrap: docker\nFrom: x\nToken: a\nToken: sup3rsecret\n",
        "Bootstrap: docker\nFrom: x\nPassword: sup3rsecret\n%environment\nA sup3rsecret\n",
        "Bootstrap: docker\nFrom: x\nPassword: sup3rsecret\n%files\na #sup3rsecret\n",
        "Bootstrap: docker\nFrom: x\nPassword: sup3rsecret\n%post\nlogin sup3rsecret\0\n",
    ] {
        let found = diagnostics(text);
        let text = ShownText::of(text.as_bytes(), &Options::default());

        assert!(!found.is_empty(), "{}", text.as_str());
        for diagnostic in &found {
            let shown = render(diagnostic, "Singularity", &text);
            assert!(!shown.contains("sup3rsecret"), "{shown}");
        }
    }
}

#[test]
fn a_message_does_not_even_begin_a_secret_that_it_cuts_off() {
    let token = "sup3rsecret".repeat(10);
    let text = format!("Bootstrap: docker\nFrom: x\nToken: {token}\n%files\na #{token}\n");

    let found = diagnostics(&text);

    assert_eq!(found[0].message, "this file is copied to `#[redacted]…`");
}

#[test]
fn what_is_shown_keeps_its_line_below_a_secret_of_two_lines() {
    let text = "Bootstrap: scratch\nPassword: one\\n\\\ntwo\n%post\none\ntwo\n%pots\n";
    let options = Options::default();
    let parsed = parse(text.as_bytes(), &options);

    let shown = ShownText::of(text.as_bytes(), &options);

    assert_eq!(parsed.diagnostics[0].code, "unknown-section");
    assert!(render(&parsed.diagnostics[0], "it", &shown).contains("\n7 | %pots\n"));
    assert!(!shown.as_str().contains("\none\ntwo"));
}

#[test]
fn keys_above_bootstrap_are_refused_at_their_line_and_nowhere_else() {
    let text = "From: ubuntu\n\nBootstrap: docker\n%post\nx\n";

    assert_eq!(only_problem(text), ("header-above-bootstrap", 1, 1, 12));
}

#[test]
fn bytes_that_are_not_utf_8_are_taken_for_latin_1() {
    let parsed = parse(
        b"Bootstrap: scratch\n%post\n# Jos\xe9, \xc3\xa9\n",
        &Options::default(),
    );

    let found = &parsed.diagnostics;
    assert_eq!((found[0].code, found[0].line), ("not-utf-8", 3));
    let definition = parsed.definition.expect("a definition");
    assert_eq!(
        body(definition.stages[0].sections.post.as_ref()),
        "# José, é\n"
    );
}

#[test]
fn the_word_from_may_be_written_in_capitals() {
    let text = "Bootstrap: scratch\nStage: a\nBootstrap: scratch\n%files FROM a\nx\n";

    let definition = accept(text, &Options::default());

    let files = &definition.stages[1].sections.files;
    assert_eq!(files[0].from, FilesFrom::Stage(0));
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
