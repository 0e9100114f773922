//! `cooperage run|exec|test` does what the real Apptainer does with the same image, whoever calls
//! it and however the image's files can be had.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cooperage_tests::Settings;
use cooperage_tests::apptainer::apptainer;
use cooperage_tests::process::{self, Output};

const LONGEST: Duration = Duration::from_mins(2);

const RECIPE: &str = r#"
%environment
    export GOPATH=/go
    export CGO_ENABLED=0
    export DEFAULTED="${FOO:-default}"

%runscript
    echo "run with $# words: $*"
    exit 3

%test
    echo testing
    exit 4

%apprun hello
    echo "hello $*"

%appenv hello
    export HELLO=1
"#;

/// What is compared string for string. `@` is the folder that both are in.
const SAME: &[&[&str]] = &[
    &["exec", "image.sif", "pwd"],
    &["exec", "image.sif", "id"],
    &["exec", "image.sif", "cat", "/etc/passwd"],
    &[
        "exec",
        "image.sif",
        "sh",
        "-c",
        "env | grep -v -E '^(SHLVL|OLDPWD|USER_PATH)=' | sort",
    ],
    &[
        "exec",
        "--cleanenv",
        "image.sif",
        "sh",
        "-c",
        "env | grep -v SHLVL | sort",
    ],
    &[
        "exec",
        "--containall",
        "image.sif",
        "sh",
        "-c",
        "env | grep -v SHLVL | sort; ls /tmp ~",
    ],
    &[
        "exec",
        "--contain",
        "image.sif",
        "sh",
        "-c",
        "pwd; ls -A /tmp /var/tmp ~",
    ],
    &[
        "exec",
        "image.sif",
        "sh",
        "-c",
        "echo $DEFAULTED $PATH $LD_LIBRARY_PATH",
    ],
    &[
        "exec",
        "--env",
        "GOPATH=/x,LD_LIBRARY_PATH=/a,PATH=/p",
        "image.sif",
        "/bin/sh",
        "-c",
        "echo $GOPATH $LD_LIBRARY_PATH $PATH",
    ],
    &[
        "exec",
        "--env",
        "A=$HOME `echo x`",
        "image.sif",
        "sh",
        "-c",
        "echo \"$A\"",
    ],
    &[
        "exec",
        "--no-eval",
        "--env",
        "A=$HOME `echo x`",
        "image.sif",
        "sh",
        "-c",
        "echo \"$A\"",
    ],
    &[
        "exec",
        "--env-file",
        "variables",
        "image.sif",
        "sh",
        "-c",
        "echo \"$V1|$V2|$V3\"",
    ],
    &[
        "exec",
        "--env-file",
        "variables",
        "--env",
        "V1=cli",
        "image.sif",
        "sh",
        "-c",
        "echo $V1",
    ],
    &["exec", "--pwd", "/bin", "image.sif", "pwd"],
    &["exec", "--cwd", "/bin", "image.sif", "pwd"],
    &["exec", "--pwd", "/nope", "image.sif", "pwd"],
    &[
        "exec",
        "--no-home",
        "image.sif",
        "sh",
        "-c",
        "pwd; ls -A ~; echo $HOME",
    ],
    &[
        "exec",
        "--home",
        "@/home",
        "image.sif",
        "sh",
        "-c",
        "pwd; echo $HOME; head -1 /etc/passwd",
    ],
    &[
        "exec",
        "--home",
        "@/home:/home/z",
        "image.sif",
        "sh",
        "-c",
        "echo $HOME; ls ~",
    ],
    &[
        "exec",
        "--bind",
        "@/home:/data:ro,/etc/os-release",
        "image.sif",
        "sh",
        "-c",
        "cat /data/file; echo x > /data/x || echo refused; ls -d /etc/os-release; echo $APPTAINER_BIND",
    ],
    &[
        "exec",
        "--mount",
        "type=bind,source=@/home,destination=/dd,ro",
        "image.sif",
        "cat",
        "/dd/file",
    ],
    &[
        "exec",
        "--contain",
        "--workdir",
        "work",
        "image.sif",
        "sh",
        "-c",
        "touch /tmp/a ~/b; pwd",
    ],
    &[
        "exec",
        "--writable-tmpfs",
        "image.sif",
        "sh",
        "-c",
        "echo kept > /x; cat /x",
    ],
    &["exec", "image.sif", "touch", "/x"],
    &[
        "exec",
        "--no-mount",
        "tmp",
        "image.sif",
        "sh",
        "-c",
        "ls /tmp | wc -l",
    ],
    &["exec", "image.sif", "sh", "-c", "exit 7"],
    &["exec", "--containall", "image.sif", "sh", "-c", "exit 7"],
    &[
        "exec",
        "--app",
        "hello",
        "image.sif",
        "sh",
        "-c",
        "echo $HELLO $SCIF_APPNAME $PATH",
    ],
    &["run", "image.sif"],
    &["run", "image.sif", "a", "b c", "--input", "$HOME"],
    &["run", "--app", "hello", "image.sif", "x"],
    &["run", "--app", "nope", "image.sif", "x"],
    &["test", "image.sif"],
    &["exec", "nosuch.sif", "true"],
    &["exec", "variables", "true"],
    &["run", "docker.sif", "x y", "$HOME"],
    &["run", "--no-eval", "docker.sif", "x y", "$HOME", "a\"b"],
    &["run", "docker.sif"],
];

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_container_is_what_apptainer_makes_of_it() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let folder = tempfile::tempdir()?;
    let here = folder.path();
    prepare(&world, here)?;
    std::fs::write(
        here.join("variables"),
        "V1=one\nV2=\"two $V1\"\nexport V3=3\n",
    )?;
    std::fs::create_dir(here.join("home"))?;
    std::fs::write(here.join("home/file"), "content\n")?;

    let mut different = Vec::new();
    for command in SAME {
        let words: Vec<String> = command
            .iter()
            .map(|word| word.replace('@', &here.display().to_string()))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();

        std::fs::create_dir_all(here.join("work"))?;
        let theirs = apptainer(here, &words)?;
        std::fs::remove_dir_all(here.join("work"))?;
        std::fs::create_dir_all(here.join("work"))?;
        let ours = as_root(&world, here, &words)?;

        let end = |output: &Output| (output.stdout.clone(), output.status.code());
        if end(&ours) != end(&theirs) {
            different.push(format!("{words:?}\nours: {ours:?}\ntheirs: {theirs:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn every_user_runs_every_kind_of_image() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let folder = tempfile::tempdir()?;
    let here = folder.path();
    prepare(&world, here)?;
    shell(here, "mkdir tree && mknod fuse c 10 229 && chmod 666 fuse")?;
    as_root(
        &world,
        here,
        &[
            "exec",
            "image.sif",
            "tar",
            "-c",
            "-f",
            "tree.tar",
            "-C",
            "/",
            "bin",
            "etc",
            ".singularity.d",
        ],
    )?
    .success()?;
    shell(here, "tar -x -f tree.tar -C tree")?;
    shell(
        here,
        "truncate -s 24M old && mkfs.ext3 -q -F -d tree old 24M",
    )?;
    shell(
        here,
        "(echo '#!/usr/bin/env run-singularity'; cat old) > old.img",
    )?;

    for user in [None, world.user.as_deref(), world.single_id_user.as_deref()] {
        let own = process::run(Command::new("id").arg("-u").args(user), LONGEST)?.success()?;
        let uri = format!("docker://{}/library/busybox", world.registry);
        for image in ["image.sif", "tree", "old.img", &uri] {
            for options in [&[][..], &["--unsquash"], &["--underlay"], &["--containall"]] {
                let cache = here.join(format!("cache-{}", user.unwrap_or("root")));
                let script = "id -u; echo \"$0\"; touch /x 2>/dev/null || echo whole";
                let command = [&["exec"], options, &[image, "sh", "-c", script, "a b"]].concat();
                let ran = run_as(&world, user, &cache, here, &command)?;
                let expected = format!("{own}a b\nwhole\n");
                assert_eq!(ran.stdout, expected, "{user:?} {command:?}: {}", ran.stderr);
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn with_fuse_an_image_is_not_unpacked_and_nothing_stays() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let folder = tempfile::tempdir()?;
    let here = folder.path();
    prepare(&world, here)?;
    shell(here, "mknod fuse c 10 229 && chmod 666 fuse")?;

    for user in [None, world.single_id_user.as_deref()] {
        let cache = here.join(format!("cache-{}", user.unwrap_or("root")));
        let script = "ls -n / | grep ' bin'";
        let ours = command_as(
            &world,
            user,
            &cache,
            &["exec", "image.sif", "sh", "-c", script],
        );
        let ran = process::run(&mut with_fuse(&ours, here), LONGEST)?.success()?;

        let own = process::run(Command::new("id").arg("-u").args(user), LONGEST)?.success()?;
        assert!(
            ran.contains(&format!(" {} ", own.trim())),
            "{user:?}: {ran}"
        );
        assert!(!cache.join("trees").exists(), "{user:?}");
    }
    cooperage_tests::wait::until("the end of the program behind FUSE", LONGEST, || {
        let mut running = Command::new("pgrep");
        running
            .arg("-f")
            .arg(format!("squashfuse.*{}", here.display()));
        let is_running = process::run(&mut running, LONGEST)?.status.success();
        Ok((!is_running).then_some(()))
    })
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn where_fuse_fails_an_image_is_unpacked_and_without_room_one_is_told_what_to_do()
-> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let folder = tempfile::tempdir()?;
    let here = folder.path();
    prepare(&world, here)?;
    shell(here, "mknod fuse c 10 229 && chmod 666 fuse && mkdir bin")?;
    let programs = format!("PATH={}:/usr/bin:/bin", here.join("bin").display());
    let exec = ["exec", "image.sif", "echo", "ran"];

    for broken in ["echo no such luck >&2; exit 1", "exit 0"] {
        for name in ["squashfuse", "squashfuse_ll"] {
            std::fs::write(
                here.join("bin").join(name),
                format!("#!/bin/sh\n{broken}\n"),
            )?;
        }
        shell(here, "chmod -R 755 bin")?;
        for user in [None, world.user.as_deref()] {
            let cache = here.join(format!("cache-{}-{}", user.unwrap_or("root"), broken.len()));
            let mut ours = process::command_as(user, "env");
            ours.arg(format!("COOPERAGE_CACHE={}", cache.display()));
            ours.arg(&programs).arg(&world.cooperage).args(exec);
            let ran = process::run(&mut with_fuse(&ours, here), LONGEST)?;
            assert_eq!(ran.stdout, "ran\n", "{user:?} {broken}: {}", ran.stderr);
            assert!(ran.stderr.contains("cannot be mounted"), "{}", ran.stderr);
            assert!(cache.join("trees").exists(), "{user:?} {broken}");
        }
    }

    let full = "mkdir full; mount -t tmpfs -o size=300k none full; exec \"$@\"";
    let cache = here.join("full");
    let ours = command_as(
        &world,
        None,
        &cache,
        &["exec", "--unsquash", "image.sif", "true"],
    );
    let refused = process::run(&mut in_own_mounts(full, &ours, here), LONGEST)?;
    assert_eq!(refused.status.code(), Some(255), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("COOPERAGE_CACHE"),
        "{}",
        refused.stderr
    );
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn an_image_without_a_shell_runs_what_its_configuration_says() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let folder = tempfile::tempdir()?;
    let here = folder.path();
    std::fs::set_permissions(here, Permissions::from_mode(0o1777))?;
    let from = format!("{}/tensorflow/tensorflow", world.registry);
    let recipe = format!("Bootstrap: docker\nFrom: {from}\n%post\n    rm /bin/sh\n");
    std::fs::write(here.join("Bare"), recipe)?;
    build(&world, here, "bare.sif", "Bare")?;

    let given = ["exec", "--env", "GREETING=a $HOME", "bare.sif", "env"];
    for user in [None, world.user.as_deref()] {
        let cache = here.join(format!("cache-{}", user.unwrap_or("root")));
        let run = |words: &[&str]| run_as(&world, user, &cache, here, words);

        let whole = run(&["run", "bare.sif"])?.success()?;
        assert_eq!(whole, "entry point of docker /bin/echo command of docker\n");
        let words = run(&["run", "bare.sif", "a b", "$HOME"])?.success()?;
        assert_eq!(words, "entry point of docker a b $HOME\n");
        let variables = run(&given)?.success()?;
        assert!(variables.contains("\nGREETING=a $HOME\n"), "{variables}");
        assert_eq!(
            run(&["exec", "bare.sif", "nonesuch"])?.status.code(),
            Some(127)
        );
        let shell = run(&["shell", "bare.sif"])?;
        assert_eq!(shell.status.code(), Some(255));
        assert!(
            shell.stderr.contains("it has no /bin/sh"),
            "{}",
            shell.stderr
        );
        assert!(shell.stderr.contains("--shell PATH"), "{}", shell.stderr);
    }
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_program_is_the_callers_own_process() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let folder = tempfile::tempdir()?;
    let here = folder.path();
    prepare(&world, here)?;
    let coop = world.cooperage.display();
    let cases = [
        ("exec image.sif nonesuch", 127),
        ("exec image.sif /etc/passwd", 126),
        ("exec image.sif /bin", 126),
        ("exec image.sif sh -c 'kill -TERM $$'", 143),
        ("exec --pid image.sif sh -c 'kill -KILL $$'", 137),
    ];
    for (command, status) in cases {
        let ran = shell(here, &format!("{coop} {command}; echo $?"))?;
        assert_eq!(ran.trim_end(), status.to_string(), "{command}");
    }

    for options in ["", "--pid"] {
        let script = "trap 'echo heard; exit 5' TERM; touch ready; while :; do sleep 0.1; done";
        let whole = format!(
            "rm -f ready; {coop} exec {options} image.sif sh -c \"{script}\" & \
             while [ ! -e ready ]; do sleep 0.1; done; kill -TERM $!; wait $!; echo $?"
        );
        assert_eq!(shell(here, &whole)?, "heard\n5\n", "{options}");
    }
    let same = format!("{coop} exec image.sif sh -c 'echo $$' & wait $!; echo $!");
    let same = shell(here, &same)?;
    let ids: Vec<&str> = same.lines().collect();
    assert_eq!(
        ids[0], ids[1],
        "nobody is between the caller and the program"
    );
    let piped = shell(
        here,
        &format!("printf 'a\\0b' | {coop} exec image.sif cat | od -An -c"),
    )?;
    assert_eq!(
        piped.split_whitespace().collect::<Vec<_>>(),
        ["a", "\\0", "b"]
    );
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_program_has_the_callers_files_and_the_hold_on_its_tree_alone() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let folder = tempfile::tempdir()?;
    let here = folder.path();
    prepare(&world, here)?;
    let only_ours = "for file in /proc/self/fd/*; do \
         case ${file##*/} in [012]) ;; *) eval \"exec ${file##*/}>&-\" ;; esac; done; exec \"$@\"";
    let list = "for file in /proc/$$/fd/*; do echo \"${file##*/}\"; done";

    for user in [None, world.user.as_deref()] {
        let cache = here.join(format!("cache-{}", user.unwrap_or("root")));
        for (options, expected) in [("--unsquash", "0 1 2 250"), ("--containall", "0 1 2 250")] {
            let words = ["exec", options, "image.sif", "sh", "-c", list];
            let ours = command_as(&world, user, &cache, &words);
            let mut closed = Command::new("bash");
            closed.args(["-c", only_ours, "bash"]);
            closed.arg(ours.get_program()).args(ours.get_args());
            let open = process::run(closed.current_dir(here), LONGEST)?.success()?;
            // The shell reads that folder while it lists it.
            let open = open.split_whitespace().filter(|file| *file != "3");
            let open = open.collect::<Vec<_>>().join(" ");
            assert_eq!(open, expected, "{user:?} {options}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_shell_on_a_terminal_has_jobs_and_hears_of_its_size() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let folder = tempfile::tempdir()?;
    let here = folder.path();
    prepare(&world, here)?;
    for options in ["", "--containall"] {
        let mut terminal = Command::new(cooperage_tests::settings::tool("terminal"));
        terminal
            .arg(&world.cooperage)
            .arg("shell")
            .args(options.split_whitespace());
        let said = process::run(terminal.arg("image.sif").current_dir(here), LONGEST)?;
        assert!(said.status.success(), "{options}: {said:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn an_image_that_changed_is_unpacked_again() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let folder = tempfile::tempdir()?;
    let here = folder.path();
    prepare(&world, here)?;
    let show = || {
        let words = [
            "exec",
            "--unsquash",
            "image.sif",
            "cat",
            "/.singularity.d/runscript",
        ];
        as_root(&world, here, &words)?.success()
    };

    let before = show()?;
    let recipe = std::fs::read_to_string(here.join("Singularity"))?;
    std::fs::write(
        here.join("Singularity"),
        recipe.replace("run with", "ran with"),
    )?;
    build(&world, here, "image.sif", "Singularity")?;
    let after = show()?;

    assert!(before.contains("run with"), "{before}");
    assert!(after.contains("ran with"), "{after}");
    Ok(())
}

fn prepare(world: &Settings, here: &Path) -> anyhow::Result<()> {
    std::fs::set_permissions(here, Permissions::from_mode(0o1777))?;
    let registry = &world.registry;
    let base = |name: &str| format!("Bootstrap: docker\nFrom: {registry}/{name}\n");
    std::fs::write(here.join("Singularity"), base("library/busybox") + RECIPE)?;
    std::fs::write(here.join("Docker"), base("tensorflow/tensorflow"))?;
    build(world, here, "image.sif", "Singularity")?;
    build(world, here, "docker.sif", "Docker")
}

fn build(world: &Settings, here: &Path, image: &str, recipe: &str) -> anyhow::Result<()> {
    let mut build = Command::new(&world.cooperage);
    build
        .args(["build", "--force", "--notest", image, recipe])
        .current_dir(here);
    process::run(&mut build, LONGEST)?.success()?;
    Ok(())
}

/// With the environment that Apptainer has in these tests.
fn as_root(world: &Settings, here: &Path, words: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(&world.cooperage);
    command
        .args(words)
        .current_dir(here)
        .env_clear()
        .env("HOME", "/root")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .env("COOPERAGE_CACHE", here.join("cache-of-root"));
    process::run(&mut command, LONGEST)
}

fn run_as(
    world: &Settings,
    user: Option<&str>,
    cache: &Path,
    here: &Path,
    words: &[&str],
) -> anyhow::Result<Output> {
    let mut command = command_as(world, user, cache, words);
    process::run(command.current_dir(here), LONGEST)
}

fn command_as(world: &Settings, user: Option<&str>, cache: &Path, words: &[&str]) -> Command {
    let mut command = process::command_as(user, "env");
    command
        .arg(format!("COOPERAGE_CACHE={}", cache.display()))
        .arg(&world.cooperage)
        .args(words);
    command
}

/// With a `/dev/fuse` that everybody may open.
fn with_fuse(command: &Command, here: &Path) -> Command {
    in_own_mounts("mount --bind fuse /dev/fuse; exec \"$@\"", command, here)
}

fn in_own_mounts(script: &str, command: &Command, here: &Path) -> Command {
    let mut inside = Command::new("unshare");
    inside
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(here);
    inside
}

fn shell(here: &Path, script: &str) -> anyhow::Result<String> {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(here);
    process::run(&mut command, LONGEST)?.success()
}
