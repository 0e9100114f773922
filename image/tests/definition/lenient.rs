//! What only Singularity 2 took: refused today with a word on the lenient mode, and taken there.

use cooperage_image::definition::{
    Bootstrap, Diagnostic, Mode, Options, Parsed, Severity, Stage, parse,
};

fn modern(text: &str) -> Parsed {
    parse(text.as_bytes(), &Options::default())
}

fn lenient(text: &str) -> Parsed {
    let options = Options {
        mode: Mode::Lenient,
        ..Options::default()
    };
    parse(text.as_bytes(), &options)
}

/// The only stage of a definition that only the lenient mode takes, with one warning for it.
fn old(text: &str) -> (Stage, Diagnostic) {
    let refused = modern(text);
    assert!(refused.definition.is_none(), "{text:?}");
    let help = refused.diagnostics[0].help.as_deref().unwrap_or_default();
    assert!(help.contains("--lenient"), "{text:?}: {help}");

    let taken = lenient(text);
    let found = &taken.diagnostics;
    let mut definition = taken
        .definition
        .unwrap_or_else(|| panic!("{text:?}: {found:?}"));
    assert_eq!(definition.stages.len(), 1, "{text:?}");
    assert_eq!(found.len(), 1, "{text:?}: {found:?}");
    assert_eq!(found[0].severity, Severity::Warning, "{text:?}");
    assert!(found[0].help.is_some(), "{text:?}");
    (definition.stages.remove(0), found[0].clone())
}

#[test]
fn names_of_sections_that_were_never_quite_right_are_understood() {
    let cases = [
        "% environment",
        "%environments",
        "%environment:",
        "%environment\t",
        "%\tenvironment",
        "%environment_file -x",
        "  %environment",
        "\t%environment",
        "% %environment",
    ];
    for name in cases {
        let (stage, warning) = old(&format!("Bootstrap: scratch\n{name}\nexport A=1\n"));

        let environment = stage.sections.environment.expect(name);
        assert_eq!(environment.body, "export A=1\n", "{name:?}");
        assert_eq!(warning.code, "outdated-section", "{name:?}");
        assert_eq!(warning.help.as_deref(), Some("write `%environment`"));
        assert_eq!(warning.line, 2);
    }
}

#[test]
fn a_singular_is_taken_for_its_plural() {
    let (stage, _) = old("Bootstrap: scratch\n%label\nA b\n");
    assert_eq!(stage.sections.labels, [("A".to_owned(), "b".to_owned())]);

    let (stage, _) = old("Bootstrap: scratch\n%applabel tool\nA b\n");
    assert_eq!(stage.sections.apps[0].name, "tool");
    assert_eq!(stage.sections.apps[0].labels.len(), 1);
}

#[test]
fn sections_of_apps_may_have_another_case() {
    let (stage, _) = old("Bootstrap: scratch\n%AppRun tool\nx\n");

    let run = stage.sections.apps[0].run.as_ref().expect("a runscript");
    assert_eq!(run.body, "x\n");
}

#[test]
fn unknown_sections_are_left_out() {
    for name in ["%copy", "%enviroment", "%appsetup tool", "%", "%s of %d"] {
        let (stage, warning) = old(&format!(
            "Bootstrap: scratch\n%post\none\n{name}\ntwo\n%post\nthree\n"
        ));

        let post = stage.sections.post.expect("a post section");
        assert_eq!(post.body, "one\nthree\n", "{name:?}");
        assert_eq!(warning.code, "unknown-section", "{name:?}");
    }
}

#[test]
fn an_app_without_a_name_is_left_out() {
    let (stage, warning) = old("Bootstrap: scratch\n%appinstall\nx\n");

    assert!(stage.sections.apps.is_empty());
    assert_eq!(warning.code, "missing-app-name");
}

#[test]
fn an_indented_percent_sign_is_part_of_the_script() {
    let (stage, warning) = old("Bootstrap: scratch\n%post\ncat <<EOF\n  %d of %s\nEOF\n");

    let post = stage.sections.post.expect("a post section");
    assert_eq!(post.body, "cat <<EOF\n  %d of %s\nEOF\n");
    assert_eq!((warning.code, warning.line), ("percent-sign-in-script", 4));
}

#[test]
fn header_lines_that_say_nothing_are_left_out() {
    let cases = [
        ("Foo: bar", "unknown-header-key"),
        ("Arch: i386", "outdated-header-key"),
        ("Version: 1.0", "outdated-header-key"),
        ("MetaLink: http://x", "outdated-header-key"),
        ("UpdateMetaLink: http://x", "outdated-header-key"),
        ("otherurl: http://x", "unknown-header-key"),
        ("RunCmd true", "header-without-colon"),
    ];
    for (line, code) in cases {
        let (stage, warning) = old(&format!("Bootstrap: scratch\n{line}\n"));

        assert_eq!(warning.code, code, "{line}");
        assert_eq!(stage.header.fields.len(), 1, "{line}");
    }
}

#[test]
fn the_agent_has_had_other_keys_and_names() {
    let (stage, _) = old("OSType: busybox\nMirrorURL: http://x\n");
    assert!(matches!(stage.header.bootstrap, Bootstrap::Busybox { .. }));

    let (stage, _) = old("Bootstrap: redhat\nMirrorURL: http://x\n");
    assert!(matches!(stage.header.bootstrap, Bootstrap::Yum(_)));

    let (stage, _) = old("Bootstrap: debian\nOSVersion: stable\nMirrorURL: http://x\n");
    assert!(matches!(stage.header.bootstrap, Bootstrap::Debootstrap(_)));

    let (stage, _) = old("Bootstrap: yum\nMirrorURL: http://x\nGPG: http://key\n");
    let Bootstrap::Yum(yum) = stage.header.bootstrap else {
        panic!("{:?}", stage.header.bootstrap)
    };
    assert_eq!(yum.gpg.as_deref(), Some("http://key"));
}

#[test]
fn a_tab_ends_the_name_of_a_label_in_the_lenient_mode_alone() {
    let text = "Bootstrap: scratch\n%labels\nA\tb c\n";

    let labels = |parsed: Parsed| {
        parsed.definition.expect(text).stages[0]
            .sections
            .labels
            .clone()
    };

    assert_eq!(labels(modern(text)), [("A\tb".to_owned(), "c".to_owned())]);
    assert_eq!(labels(lenient(text)), [("A".to_owned(), "b c".to_owned())]);
    for parsed in [modern(text), lenient(text)] {
        assert_eq!(parsed.diagnostics[0].code, "label-with-tab");
    }
}

#[test]
fn a_comment_ends_a_line_of_files_in_the_lenient_mode_alone() {
    let text = "Bootstrap: scratch\n%files\na # b\n";

    let destination = |parsed: Parsed| {
        let copies = &parsed.definition.expect(text).stages[0].sections.files[0].copies;
        copies[0].destination.clone()
    };

    assert_eq!(destination(modern(text)).as_deref(), Some("#"));
    assert_eq!(destination(lenient(text)), None);
    for parsed in [modern(text), lenient(text)] {
        assert_eq!(parsed.diagnostics[0].code, "comment-in-files");
    }
}

#[test]
fn a_forgotten_colon_does_not_put_a_password_into_the_image() {
    for line in [
        "Password sup3rsecret",
        "Pasword: sup3rsecret",
        "RegCode: sup3rsecret",
    ] {
        let text = format!("Bootstrap: scratch\n{line}\n%post\nlogin sup3rsecret\n");

        let parsed = lenient(&text);

        let definition = parsed.definition.expect("a definition");
        assert!(!definition.redacted().contains("sup3rsecret"), "{line}");
        for found in &parsed.diagnostics {
            assert!(!found.message.contains("sup3rsecret"), "{found:?}");
        }
    }
}

#[test]
fn what_no_version_took_is_refused_in_both_modes() {
    for text in [
        "",
        "# no\n",
        "%post\nx\n",
        "Bootstrap: nonsense\n",
        "Boostrap: scratch\n",
    ] {
        assert!(modern(text).definition.is_none(), "{text:?}");
        assert!(lenient(text).definition.is_none(), "{text:?}");
    }
}
