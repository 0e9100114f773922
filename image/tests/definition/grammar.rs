//! What header and sections say, and what becomes of it.

use super::*;

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
