//! Nothing that is shown of a definition tells a secret of it.

use super::*;

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
