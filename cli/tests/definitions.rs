//! Whole definitions, and all that `cooperage check --format json` makes of each.
//!
//! Beside `NAME.def` lies `NAME.json`, what is expected. Whoever changes the grammar on purpose
//! changes it by hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// The definitions of a folder, by their names.
fn definitions(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/definitions")
        .join(folder);
    let entries = std::fs::read_dir(folder).expect("the folder is part of the repository");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "def"));
    paths.sort();
    paths
}

/// The status, and what is printed.
fn check(definition: &Path) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_cooperage"))
        .args(["check", "--format", "json"])
        .arg(definition)
        .output()
        .expect("works on this machine");
    let answer = serde_json::from_slice(&output.stdout).expect("one JSON document");
    (output.status.code(), answer)
}

/// Checks all definitions of a folder, and gives what was printed of each.
fn answers(folder: &str, status: i32) -> Vec<Value> {
    let checked = definitions(folder).into_iter().map(|definition| {
        let name = definition.display();
        let (found, answer) = check(&definition);
        let expected = std::fs::read(definition.with_extension("json"));
        let expected =
            expected.unwrap_or_else(|error| panic!("what is expected of {name}: {error}"));
        let expected: Value = serde_json::from_slice(&expected).expect("one JSON document");
        assert_eq!(answer, expected, "{name}: {answer:#}");
        assert_eq!(found, Some(status), "{name}");
        answer
    });
    checked.collect()
}

#[test]
fn a_definition_of_each_agent_and_section_says_what_it_should() {
    let answers = answers("good", 0);

    assert_eq!(answers.len(), 18);
}

#[test]
fn definitions_of_one_stage_and_of_several_say_what_they_should() {
    let answers = answers("stages", 0);

    let stages = |answer: &Value| answer["stages"].as_array().map(Vec::len);
    let stages: Vec<_> = answers.iter().filter_map(stages).collect();
    assert_eq!(stages, [2, 1]);
}

#[test]
fn a_definition_without_a_header_is_understood_but_lacks_a_base() {
    let answers = answers("headless", 1);

    assert_eq!(answers.len(), 6);
    for answer in answers {
        assert_eq!(answer["stages"][0]["header"], json!({}));
        assert_eq!(answer["diagnostics"][0]["code"], "missing-bootstrap");
        assert_eq!(answer["diagnostics"][1], Value::Null);
    }
}

#[test]
fn what_is_no_definition_is_refused_with_the_place() {
    let answers = answers("bad", 1);

    assert_eq!(answers.len(), 5);
    for answer in answers {
        assert_eq!(answer["diagnostics"][0]["severity"], "error");
    }
}
