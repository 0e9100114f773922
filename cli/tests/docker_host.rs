//! Which Docker engine `build` asks.

use std::process::Command;

#[test]
fn the_engine_on_the_command_line_counts_before_the_one_in_the_environment() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = |options: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cooperage"))
            .current_dir(folder.path())
            .env("COOPERAGE_CACHE", folder.path().join("cache"))
            .env("COOPERAGE_TMPDIR", folder.path().join("scratch"))
            .env("DOCKER_HOST", "unix:///nobody/of-the-environment.sock")
            .args(["build", "image.sif", "docker-daemon:app:1"])
            .args(options)
            .output()
            .expect("the program starts");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };

    let of_environment = said(&[]);
    let of_flag = said(&["--docker-host", "unix:///nobody/of-the-flag.sock"]);

    assert!(
        of_environment.contains("no Docker engine answers at unix:///nobody/of-the-environment"),
        "{of_environment}"
    );
    assert!(
        of_flag.contains("no Docker engine answers at unix:///nobody/of-the-flag.sock"),
        "{of_flag}"
    );
}
