//! The program as scripts see it: exit codes and messages.

use std::process::{Command, Output};

fn cooperage(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cooperage"))
        .args(args)
        .output()
        .expect("works on this machine")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    assert_eq!(cooperage(&["builds", "no-slash"]).status.code(), Some(2));
    assert_eq!(cooperage(&["nonsense"]).status.code(), Some(2));
}

#[test]
fn a_data_folder_without_a_hub_ends_with_3_and_says_how_to_get_one() {
    let empty = tempfile::tempdir().unwrap();

    let output = cooperage(&["builds", "--data", empty.path().to_str().unwrap()]);

    assert_eq!(output.status.code(), Some(3));
    assert!(told(&output).contains("cooperage up"), "{}", told(&output));
}

#[test]
fn a_hub_that_does_not_answer_ends_with_3_and_is_named() {
    let data = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    std::fs::write(data.path().join("url"), format!("http://{closed}\n")).unwrap();
    std::fs::write(data.path().join("admin-token"), "token\n").unwrap();

    let output = cooperage(&[
        "collection",
        "list",
        "--data",
        data.path().to_str().unwrap(),
    ]);

    assert_eq!(output.status.code(), Some(3));
    assert!(
        told(&output).contains(&closed.to_string()),
        "{}",
        told(&output)
    );
}

#[test]
fn a_definition_that_is_not_there_ends_with_1_and_is_named() {
    let output = cooperage(&["build", "/tmp/absent.sif", "/tmp/absent.def"]);

    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("/tmp/absent.def"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_worker_with_a_token_file_that_is_not_there_ends_with_1() {
    let output = cooperage(&[
        "work",
        "--hub",
        "http://127.0.0.1:9",
        "--token-file",
        "/absent",
    ]);

    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("/absent"), "{}", told(&output));
}
