//! Bad input: every row gives the user the right kind of failure, with its place and its cause.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cooperage_protocol::admin::Build;
use cooperage_protocol::{BuildState, Failure, FailureKind};
use cooperage_tests::process::{self, Process};
use cooperage_tests::{Forge, Hub, Options, http};

const LIMITS: &str = "
[limits]
seconds = 30
processes = 100
disk_mib = 128
log_mib = 1
";

/// A recipe that cannot become an image, and what its owner is told.
struct Row {
    tag: &'static str,
    recipe: String,
    kind: FailureKind,
    section: Option<&'static str>,
    status: Option<i32>,
    line: Option<u32>,
    /// Part of the message.
    says: &'static str,
}

/// A row of which only the kind of failure matters.
fn row(tag: &'static str, kind: FailureKind, recipe: impl Into<String>) -> Row {
    Row {
        tag,
        recipe: recipe.into(),
        kind,
        section: None,
        status: None,
        line: None,
        says: "",
    }
}

impl Row {
    fn line(self, line: u32) -> Self {
        Self {
            line: Some(line),
            ..self
        }
    }

    fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    fn section(self, section: &'static str) -> Self {
        Self {
            section: Some(section),
            ..self
        }
    }

    fn status(self, status: i32) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }
}

fn post(script: &str) -> String {
    format!("Bootstrap: docker\nFrom: busybox\n\n%post\n    {script}\n")
}

fn table(hub: &Hub) -> Vec<Row> {
    let parts = [
        wrong_headers(),
        missing_bases(hub),
        bases_of_the_machine(),
        wild_scripts(),
    ];
    parts.into_iter().flatten().collect()
}

fn wrong_headers() -> Vec<Row> {
    use FailureKind::Recipe;
    vec![
        row("empty", Recipe, ""),
        row(
            "binary",
            Recipe,
            "\u{7f}ELF\u{2}\u{1}\u{1}\0\0\0\0\0\0\0\u{3}\0>\0",
        ),
        row(
            "section",
            Recipe,
            "Bootstrap: docker\nFrom: busybox\n\n%pots\n    true\n",
        )
        .line(4),
        row("typo", Recipe, "Botstrap: docker\nFrom: busybox\n").line(1),
        row("from", Recipe, "Bootstrap: docker\n\n%post\n    true\n"),
    ]
}

fn missing_bases(hub: &Hub) -> Vec<Row> {
    use FailureKind::{Base, Network};
    let private = format!("{}/private/busybox", hub.world.password_registry);
    let account = "Username: tester\nPassword: wrong\n";
    vec![
        row(
            "image",
            Base,
            "Bootstrap: docker\nFrom: nobody/nothing:never\n",
        )
        .line(2),
        row(
            "password",
            Base,
            format!("Bootstrap: docker\nFrom: {private}\n{account}"),
        )
        .line(2),
        row(
            "down",
            Network,
            "Bootstrap: docker\nFrom: 127.0.0.1:9/library/busybox\n",
        )
        .line(2),
    ]
}

/// What lies on the worker's machine is not the recipe's.
fn bases_of_the_machine() -> Vec<Row> {
    let local = |tag, from: &str| {
        let recipe = format!("Bootstrap: localimage\nFrom: {from}\n");
        row(tag, FailureKind::Base, recipe)
            .line(2)
            .says("is not there")
    };
    let daemon = "Bootstrap: docker-daemon\nFrom: busybox:latest\n";
    vec![
        row("daemon", FailureKind::Base, daemon)
            .line(2)
            .says("`docker-daemon` is not available here"),
        local("absolute", "/etc/hostname"),
        local("upwards", "../../../../../../../../etc/hostname"),
    ]
}

fn wild_scripts() -> Vec<Row> {
    use FailureKind::{Disk, Processes, Script, Time};
    let rows = vec![
        row("exit", Script, post("exit 3")).status(3),
        row("forks", Processes, post("while true; do sleep 600 & done")),
        row(
            "bomb",
            Processes,
            post("bomb() { bomb | bomb & }\n    bomb\n    sleep 20\n    exit 7"),
        ),
        row("sleeps", Time, post("sleep 600")),
        row("writes", Disk, post("dd if=/dev/zero of=/big bs=1M")),
        row("prints", Time, post("yes")),
    ];
    rows.into_iter().map(|row| row.section("%post")).collect()
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn bad_input_is_answered_with_the_right_kind_of_failure() -> anyhow::Result<()> {
    let settings = LIMITS.to_owned();
    let mut hub = Hub::start_with(Options {
        workers: 2,
        settings,
        ..Options::default()
    })?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/bad")?;
    let table = table(&hub);
    for row in &table {
        repository.write(&format!("Singularity.{}", row.tag), &row.recipe)?;
    }

    repository.push()?;
    let builds = hub.finished_builds("lab/bad", table.len())?;

    let mut wrong = Vec::new();
    for row in &table {
        let build = builds.iter().find(|build| build.tag.as_str() == row.tag);
        wrong.extend(complaint(
            &hub,
            row,
            build.expect("every recipe has a build"),
        )?);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_log_is_cut(&hub, &builds)?;
    assert_no_script_is_left(&mut hub)?;
    assert_eq!(hub.query("SELECT count(*) FROM objects")?, "0");
    assert_nothing_is_left(&hub.data())
}

/// What is wrong with the failure of a build, if anything.
fn complaint(hub: &Hub, row: &Row, build: &Build) -> anyhow::Result<Option<String>> {
    let Some(failure) = build
        .failure
        .as_ref()
        .filter(|_| build.state == BuildState::Failed)
    else {
        return Ok(Some(format!("{}: is {:?}", row.tag, build.state)));
    };
    let Failure {
        kind,
        section,
        status,
        line,
        message,
        ..
    } = failure;
    let right = *kind == row.kind
        && (row.section.is_none() || section.as_deref() == row.section)
        && (row.status.is_none() || *status == row.status)
        && (row.line.is_none() || *line == row.line)
        && !message.is_empty()
        && message.contains(row.says);
    if !right {
        let log = hub.build_log(build)?;
        let end: Vec<&str> = log.lines().rev().take(12).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        return Ok(Some(format!(
            "{}: {failure:?}\n{}",
            row.tag,
            end.join("\n")
        )));
    }
    let page = unescaped(&http::text(&hub.url(&format!("/builds/{}", build.id)))?);
    let place = line.map(|line| format!("Singularity.{}:{line}", row.tag));
    let told = [
        Some(message.as_str()),
        Some(kind.as_str()),
        place.as_deref(),
    ];
    if *kind == FailureKind::Recipe && build.diagnostics.is_empty() {
        return Ok(Some(format!("{}: nothing is told of its recipe", row.tag)));
    }
    let notes = build.diagnostics.iter().flat_map(|note| {
        // As a sentence it begins with a capital letter.
        let help = note.help.as_deref().unwrap_or_default();
        let rest = help.char_indices().nth(1).map_or("", |(at, _)| &help[at..]);
        [&note.code, &note.message, rest]
    });
    let told = told.into_iter().flatten().chain(notes);
    let missing = told.into_iter().find(|text| !page.contains(text));
    Ok(missing.map(|text| format!("{}: its page does not say {text:?}", row.tag)))
}

fn unescaped(html: &str) -> String {
    let entities = [
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
    ];
    let named = [
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
    ];
    let all = entities
        .iter()
        .chain(&named)
        .chain(&[("&#38;", "&"), ("&amp;", "&")]);
    all.fold(html.to_owned(), |text, (entity, character)| {
        text.replace(entity, character)
    })
}

/// Of what `prints` printed, beginning and end are kept.
fn assert_log_is_cut(hub: &Hub, builds: &[Build]) -> anyhow::Result<()> {
    let prints = builds.iter().find(|build| build.tag.as_str() == "prints");

    let log = hub.build_log(prints.expect("every recipe has a build"))?;

    assert!((1 << 19..(1 << 20) + 1024).contains(&log.len()));
    let mut beginning = log.lines().take(20);
    assert!(
        beginning.any(|line| line.starts_with("INFO:")),
        "{log:.2000}"
    );
    assert!(log.contains("bytes of the log are cut out here"));
    let end = log.lines().rev().find(|line| line.starts_with("FATAL:"));
    assert!(end.is_some_and(|line| line.contains("time limit")));
    Ok(())
}

/// Of what the recipes started nothing runs any more.
fn assert_no_script_is_left(hub: &mut Hub) -> anyhow::Result<()> {
    let running = process::descendants(hub.process()?.id())?;
    let programs = ["sh", "sleep", "dd", "yes", "busybox"];

    let left = running
        .iter()
        .filter(|(_, name)| programs.contains(&name.as_str()));

    assert_eq!(left.count(), 0, "{running:?}");
    Ok(())
}

/// The scratch folder of each worker is empty once no build runs.
fn assert_nothing_is_left(data: &Path) -> anyhow::Result<()> {
    let mut find = Command::new("find");
    find.arg(data)
        .args(["-path", "*/scratch/*/*", "-not", "-name", "*.lock"]);

    let left = process::run(&mut find, Duration::from_mins(1))?.success()?;

    assert_eq!(left, "");
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_full_disk_is_called_a_full_disk_and_nothing_is_left_on_it() -> anyhow::Result<()> {
    let hub = Hub::start_with(Options {
        workers: 0,
        ..Options::default()
    })?;
    let small = SmallDisk::mount(&hub.folder().join("small"))?;
    let token = hub.folder().join("token");
    std::fs::write(&token, hub.add_worker("small")?.token)?;
    let mut work = process::command_as(hub.world.user.as_deref(), &hub.world.cooperage);
    work.args(["work", "--hub", &hub.url("")]);
    work.arg("--token-file").arg(&token);
    work.arg("--cache").arg(hub.folder().join("cache"));
    work.arg("--scratch").arg(small.0.join("scratch"));
    let mirror = format!("docker.io=http://{}", hub.world.registry);
    work.args(["--registry-mirror", &mirror]);
    let _worker = Process::start(&mut work, &hub.folder().join("worker.log"))?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/full")?;
    repository.write(
        "Singularity.base",
        "Bootstrap: docker\nFrom: debian:bookworm\n",
    )?;
    repository.write("Singularity.post", post("dd if=/dev/zero of=/big bs=1M"))?;

    repository.push()?;
    let builds = hub.finished_builds("lab/full", 2)?;

    let rows = [
        row("base", FailureKind::Disk, ""),
        row("post", FailureKind::Disk, "").section("%post"),
    ];
    for row in rows {
        let build = builds.iter().find(|build| build.tag.as_str() == row.tag);
        let wrong = complaint(&hub, &row, build.expect("every recipe has a build"))?;
        assert_eq!(wrong, None);
    }
    assert_nothing_is_left(&small.0)
}

/// A file system of 24 MiB; it is unmounted when it is dropped.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir(folder)?;
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=24m,mode=1777", "tmpfs"])
            .arg(folder);
        process::run(&mut mount, Duration::from_secs(10))?.success()?;
        Ok(Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        match Command::new("umount").arg("--lazy").arg(&self.0).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("unmounting {}: {other:?}", self.0.display()),
        }
    }
}
