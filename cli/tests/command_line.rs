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

/// A build of a tree with a shell, by the program's options.
fn build(folder: &std::path::Path, options: &[&str], spec: &str, input: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_cooperage"))
        .args(["build", "--sandbox"])
        .args(options)
        .args(["box", spec])
        .current_dir(folder)
        .env("COOPERAGE_CACHE", folder.join("cache"))
        .env("COOPERAGE_TMPDIR", folder.join("tmp"))
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("works on this machine");
    let mut stdin = child.stdin.take().expect("is piped");
    stdin.write_all(input.as_bytes()).expect("is read");
    drop(stdin);
    child.wait_with_output().expect("ends")
}

const WITH_SHELL: &str =
    "Bootstrap: scratch\n%files\n  /bin/busybox /bin/busybox\n  /bin/busybox /bin/sh\n";

#[test]
fn a_definition_is_read_from_standard_input_and_sees_what_is_mounted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("shared")).unwrap();
    std::fs::write(folder.path().join("shared/word"), "cooper\n").unwrap();
    let definition = format!(
        "{WITH_SHELL}%setup\n  mkdir $APPTAINER_ROOTFS/mnt\n\
         %post\n  /bin/busybox cat /mnt/word > /word\n  ! echo x > /mnt/word\n"
    );
    let mount = "type=bind,source=shared,target=/mnt,ro";

    let output = build(folder.path(), &["--mount", mount], "-", &definition);

    assert!(output.status.success(), "{}", told(&output));
    let word = std::fs::read_to_string(folder.path().join("box/word")).unwrap();
    assert_eq!(word, "cooper\n");
}

#[test]
fn a_build_for_programs_tells_lines_of_json_and_at_last_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let printing = format!("{WITH_SHELL}%post\n  printf 'gr\\303\\274n\\n'\n");
    let failing = format!("{WITH_SHELL}%post\n  exit 7\n");

    let [built, failed] = [printing, failing].map(|definition| {
        let output = build(folder.path(), &["--force", "--json"], "-", &definition);
        assert_eq!(told(&output), "");
        let lines = String::from_utf8(output.stdout).unwrap();
        let read = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
        lines.lines().map(read).collect::<Vec<_>>()
    });

    let log: String = built.iter().filter_map(|it| it["text"].as_str()).collect();
    assert!(log.contains("gr\u{fc}n\n"), "{log}");
    assert!(
        built
            .iter()
            .any(|it| it["event"] == "phase" && it["name"] == "post")
    );
    let [built, failed] = [&built, &failed].map(|lines| lines.last().unwrap());
    assert_eq!(
        (&built["event"], &built["state"]),
        (&"state".into(), &"succeeded".into())
    );
    assert_eq!(built["image"]["path"], "box");
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["failure"]["kind"], "script");
    assert_eq!(failed["failure"]["status"], 7);
}

#[test]
fn a_verbose_build_tells_its_phases_and_a_quiet_one_nothing() {
    let folder = tempfile::tempdir().unwrap();

    let verbose = build(folder.path(), &["--force", "-v"], "-", WITH_SHELL);
    let quiet = build(folder.path(), &["--force", "-q"], "-", WITH_SHELL);

    let lines = told(&verbose);
    assert!(lines.contains("VERBOSE: phase base\n"), "{lines}");
    assert_eq!(told(&quiet), "");
}
