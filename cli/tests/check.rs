//! `cooperage check` as people and scripts see it.

use std::process::{Command, Output};

use serde_json::{Value, json};

fn check(definition: &str, options: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("Singularity"), definition).expect("the folder is writable");
    Command::new(env!("CARGO_BIN_EXE_cooperage"))
        .current_dir(folder.path())
        .arg("check")
        .args(options)
        .arg("Singularity")
        .output()
        .expect("works on this machine")
}

fn check_as_json(definition: &str) -> (Option<i32>, Value) {
    let output = check(definition, &["--format", "json"]);
    assert_eq!(told(&output), "");
    let answer = serde_json::from_slice(&output.stdout).expect("one JSON document");
    (output.status.code(), answer)
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_good_definition_ends_with_0_and_one_line() {
    let output = check("Bootstrap: docker\nFrom: debian:12\n%post\n    true\n", &[]);

    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(printed(&output), "Singularity: 1 stage, no warnings\n");
    assert_eq!(told(&output), "");
}

#[test]
fn a_warning_is_shown_and_still_ends_with_0() {
    let output = check("Bootstrap: docker\nFrom: a:1\nFrom: b:1\n", &[]);

    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(printed(&output), "Singularity: 1 stage, 1 warning\n");
    assert!(told(&output).starts_with("warning[repeated-header-key]: "));
}

#[test]
fn advice_is_shown_as_such_and_ends_with_0() {
    let output = check("Bootstrap: docker\nFrom: a\n", &[]);

    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(
        printed(&output),
        "Singularity: 1 stage, no warnings, 1 piece of advice\n"
    );
    assert!(told(&output).starts_with("advice[mutable-base]: "));
}

#[test]
fn a_bad_definition_ends_with_1_and_shows_every_place_in_the_order_of_the_file() {
    let output = check(
        "Bootstrap: docker\nFrom: debian:12\nStge: a\n%post\n    true\n  %enviroment\n",
        &[],
    );

    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    let header = told.find("--> Singularity:3:1\n").expect(&told);
    let section = told.find("--> Singularity:6:3\n").expect(&told);
    assert!(header < section, "{told}");
    assert!(told.contains("6 |   %enviroment\n"), "{told}");
    assert_eq!(
        printed(&output),
        "Singularity: cannot be built: 2 errors, no warnings\n"
    );
}

#[test]
fn json_has_the_stages_with_all_they_say() {
    let (code, answer) = check_as_json(
        "BootStrap: docker\nFROM: debian:{{ RELEASE }}\nStage: build\n\
         %arguments\n    RELEASE=12\n%post -c /bin/bash\n    make\n\n\
         Bootstrap: scratch\n\
         %files\n    a\n    \"b c\" /d\n%files from build\n    /out /in\n\
         %labels\n    Author Vanessa S.\n\
         %apprun tool\n    exec tool\n%appfiles tool\n    x y\n%applabels tool\n    Version 1\n",
    );

    assert_eq!(code, Some(0), "{answer:#}");
    assert_eq!(
        answer,
        json!({
            "stages": [
                {
                    "header": {"bootstrap": "docker", "from": "debian:12", "stage": "build"},
                    "sections": {
                        "arguments": {"args": "", "script": "    RELEASE=12\n"},
                        "post": {"args": "-c /bin/bash", "script": "    make\n\n"},
                    },
                    "files": [],
                    "labels": {},
                    "apps": {},
                },
                {
                    "header": {"bootstrap": "scratch"},
                    "sections": {},
                    "files": [
                        {"from": null, "pairs": [
                            {"source": "a", "destination": ""},
                            {"source": "b c", "destination": "/d"},
                        ]},
                        {"from": "build", "pairs": [{"source": "/out", "destination": "/in"}]},
                    ],
                    "labels": {"Author": "Vanessa S."},
                    "apps": {"tool": {
                        "apprun": {"args": "", "script": "    exec tool\n"},
                        "appfiles": [{"source": "x", "destination": "y"}],
                        "applabels": {"Version": "1"},
                    }},
                },
            ],
            "diagnostics": [],
        })
    );
}

#[test]
fn json_of_a_bad_definition_has_its_diagnostics_and_what_was_understood() {
    let (code, answer) = check_as_json("Bootstrap: docker\nFrom: x\n  %enviroment\n");

    assert_eq!(code, Some(1));
    assert_eq!(
        answer,
        json!({
            "stages": [{
                "header": {"bootstrap": "docker", "from": "x"},
                "sections": {},
                "files": [],
                "labels": {},
                "apps": {},
            }],
            "diagnostics": [{
                "severity": "error",
                "code": "unknown-section",
                "message": "unknown section `%enviroment`",
                "help": "did you mean `%environment`? The lenient mode (`--lenient`, or the \
                         collection's setting) reads it as Singularity 2 did",
                "line": 3,
                "column": 3,
                "length": 11,
            }],
        })
    );
}

#[test]
fn no_secret_of_a_header_is_printed_wherever_it_stands() {
    let good = "Bootstrap: docker\nFrom: x\nUsername: vanessa\nPassword: sup3rsecret\n\
                Token: t0k3n\nToken: 0th3rt0k3n\n%post -c sup3rsecret\n    login sup3rsecret\n\
                %files\n    sup3rsecret # sup3rsecret\n%labels\n    t0k3n 0th3rt0k3n\n\
                %apprun sup3rsecret\n    t0k3n\n";
    let bad = format!("{good}%sup3rsecret\n%post t0k3n -c\n");

    for (definition, code) in [(good, 0), (&bad, 1)] {
        for format in ["human", "json"] {
            let output = check(definition, &["--format", format]);
            let shown = printed(&output) + &told(&output);
            assert_eq!(output.status.code(), Some(code), "{shown}");
            for secret in ["vanessa", "sup3rsecret", "t0k3n"] {
                assert!(!shown.contains(secret), "{secret} in {shown}");
            }
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_and_a_wrong_option_end_with_2() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_cooperage"))
            .arg("check")
            .args(arguments)
            .output()
            .expect("works on this machine")
    };

    let absent = run(&["/absent/Singularity"]);
    let format = run(&["--format", "xml", "/absent/Singularity"]);

    assert_eq!(absent.status.code(), Some(2));
    assert!(told(&absent).contains("/absent/Singularity"));
    assert_eq!(format.status.code(), Some(2));
}
