//! As whom a registry is asked: which of the places counts where an account may be.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A registry that wants a password and accepts none.
fn registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let host = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("somebody asks");
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head = lines.take_while(|line| !line.is_empty());
            assert!(head.count() > 0, "a request has a head");
            let answer = "HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm=\"lab\"\r\n\
                          Content-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).expect("it listens");
        }
    });
    host
}

/// A home with a folder of programs in it.
struct Caller {
    home: tempfile::TempDir,
    host: String,
    variables: HashMap<String, String>,
}

impl Caller {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        for folder in [".docker", ".apptainer", "bin"] {
            std::fs::create_dir(home.path().join(folder)).expect("the folder is writable");
        }
        Self {
            home,
            host: registry(),
            variables: HashMap::new(),
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, content: &Value) {
        std::fs::write(self.path(name), content.to_string()).expect("the folder is writable");
    }

    /// A file of accounts with one for this registry.
    fn accounts(&self, username: &str) -> Value {
        json!({"auths": {&self.host: {"username": username, "password": "s3cret"}}})
    }

    /// A program that keeps accounts.
    fn helper(&self, name: &str, script: &str) {
        let path = self.path("bin").join(format!("docker-credential-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the folder is writable");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("the file is ours");
    }

    fn set(&mut self, prefix: &str) {
        for (name, value) in [("USERNAME", prefix), ("PASSWORD", "s3cret")] {
            let variable = format!("{prefix}_{name}");
            self.variables.insert(variable, value.to_owned());
        }
    }

    /// The steps about the account: which one there is, and what was wrong.
    fn account(&self, options: &[&str]) -> (Option<String>, Vec<String>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cooperage"));
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.path("bin").display()),
            )
            .envs(&self.variables)
            .args(["registry", "check", "--format", "json"])
            .arg(format!("{}/team/app:1", self.host))
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut input = child.stdin.take().expect("it is piped");
        // It reads it only where it is told to.
        drop(input.write_all(b"s3cret\n"));
        drop(input);
        let output = child.wait_with_output().expect("the program ends");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!told.contains("s3cret"), "{told}");
        let checked: Value = serde_json::from_str(&told).expect("one JSON document");
        let steps = checked["steps"].as_array().expect("steps").iter();
        let mut steps = steps.filter(|step| step["subject"] == "account");
        let last = steps.next_back().expect("a step about the account");
        let problems = steps.map(|step| step["message"].to_string()).collect();
        (
            last["facts"]["username"].as_str().map(str::to_owned),
            problems,
        )
    }

    fn username(&self, options: &[&str]) -> Option<String> {
        self.account(options).0
    }
}

#[test]
fn the_nearest_place_that_has_an_account_counts() {
    let mut caller = Caller::new();
    assert_eq!(caller.username(&[]), None);

    caller.write(".docker/config.json", &caller.accounts("docker file"));
    assert_eq!(caller.username(&[]).as_deref(), Some("docker file"));
    caller.write(
        ".apptainer/docker-config.json",
        &caller.accounts("own file"),
    );
    assert_eq!(caller.username(&[]).as_deref(), Some("own file"));
    caller.write("authfile", &caller.accounts("authfile"));
    let authfile = caller.path("authfile").display().to_string();
    let named = ["--authfile", authfile.as_str()];
    assert_eq!(caller.username(&named).as_deref(), Some("authfile"));

    for prefix in ["DOCKER", "SINGULARITY_DOCKER", "APPTAINER_DOCKER"] {
        caller.set(prefix);
        assert_eq!(caller.username(&named).as_deref(), Some(prefix));
    }
    let given = ["--docker-username", "given", "--docker-password-stdin"];
    assert_eq!(caller.username(&given).as_deref(), Some("given"));
}

#[test]
fn a_user_without_a_password_in_the_environment_is_nobody() {
    let mut caller = Caller::new();
    let name = "APPTAINER_DOCKER_USERNAME".to_owned();
    caller.variables.insert(name, "half".to_owned());

    assert_eq!(caller.username(&[]), None);
    caller.set("DOCKER");
    assert_eq!(caller.username(&[]).as_deref(), Some("DOCKER"));
}

#[test]
fn a_helper_is_asked_for_its_registry_and_the_store_for_the_others() {
    let caller = Caller::new();
    let answer = |name: &str| {
        format!(r#"printf '{{"Username":"{name} of %s","Secret":"s3cret"}}' "$(cat)""#)
    };
    caller.helper("one", &answer("one"));
    caller.helper("all", &answer("all"));
    let host = &caller.host;

    caller.write(".docker/config.json", &json!({"credsStore": "all"}));
    assert_eq!(caller.username(&[]), Some(format!("all of {host}")));
    let both = json!({"credsStore": "all", "credHelpers": {host: "one", "other.io": "none"}});
    caller.write(".docker/config.json", &both);
    assert_eq!(caller.username(&[]), Some(format!("one of {host}")));
}

#[test]
fn a_helper_without_an_account_is_no_problem_and_what_the_file_has_counts() {
    let caller = Caller::new();
    caller.helper(
        "empty",
        "echo credentials not found in native keychain; exit 1",
    );
    let mut file = caller.accounts("of the file");
    file["credsStore"] = json!("empty");
    caller.write(".docker/config.json", &file);

    let (username, problems) = caller.account(&[]);

    assert_eq!(username.as_deref(), Some("of the file"));
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn a_helper_that_fails_or_is_missing_is_told_and_passed_over() {
    let caller = Caller::new();
    caller.helper("broken", "echo no; echo why s3cret >&2; exit 1");
    caller.helper("odd", "echo '{\"Secret\": \"s3cret\"}'");

    for (name, problem) in [
        ("broken", "docker-credential-broken gave no account"),
        ("odd", "docker-credential-odd gave no account"),
        ("missing", "docker-credential-missing cannot be started"),
        ("../bin/x", "is no name of a credential helper"),
    ] {
        let mut file = caller.accounts("of the file");
        file["credHelpers"] = json!({&caller.host: name});
        caller.write(".docker/config.json", &file);

        let (username, problems) = caller.account(&[]);

        assert_eq!(username.as_deref(), Some("of the file"), "{name}");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(problem), "{problems:?}");
        let file = caller.path(".docker/config.json");
        assert!(names(&problems[0], &file), "{problems:?}");
    }
}

fn names(problem: &str, file: &Path) -> bool {
    problem.contains(&file.display().to_string())
}
