//! Images are built on everything but registries: on packages, on images of every age, on folders.
//! The real Apptainer runs the results.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cooperage_tests::bench::Bench;
use cooperage_tests::process::{self, Process};
use cooperage_tests::{Settings, http, hub, settings, wait};

const LONGEST: Duration = Duration::from_mins(2);
const LINE: &[u8] = b"#!/usr/bin/env run-singularity\n";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn distributions_are_installed_from_their_packages() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let mirror = Mirror::start()?;
    let address = &mirror.address;
    let agents = [
        format!("dnf\nOSVersion: 1\nMirrorURL: {address}/rpm\nSetopt: install_weak_deps=False"),
        format!("zypper\nMirrorURL: {address}/rpm"),
        format!("arch\nConfURL: {address}/pacman/pacman.conf"),
    ];
    for (user, owners) in [
        (&world.user, "123 456 640"),
        (&world.single_id_user, "0 0 640"),
    ] {
        let bench = Bench::of(&world, user.as_deref())?;
        for agent in &agents {
            let definition = format!(
                "Bootstrap: {agent}\nInclude: tool\n%runscript\n    tool\n    \
                 cat /var/lib/tool/post\n    stat -c '%u %g %a' /var/lib/tool/data\n"
            );
            bench.build("image", &definition, &[])?.success()?;
            let said = bench.apptainer(&["run", "image.sif"])?;
            assert_eq!(
                said,
                format!("tool\ninstalled as 0\n{owners}\n"),
                "{user:?} {agent}"
            );
        }
        let definition = format!("Bootstrap: busybox\nMirrorURL: {address}/busybox\n");
        bench.build("image", &definition, &[])?.success()?;
        let said = bench.apptainer(&["exec", "image.sif", "sh", "-c", "echo $(cat /etc/group)"])?;
        assert!(said.starts_with("root:x:0:"), "{said}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn what_is_no_busybox_and_a_package_that_is_not_there_are_told() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let mirror = Mirror::start()?;
    let address = &mirror.address;
    let bench = Bench::of(&world, world.user.as_deref())?;
    for (definition, told) in [
        (
            format!("Bootstrap: busybox\nMirrorURL: {address}/rpm/"),
            "is not a program",
        ),
        (
            format!("Bootstrap: busybox\nMirrorURL: {address}/nothing"),
            "404",
        ),
        (
            format!("Bootstrap: dnf\nMirrorURL: {address}/rpm\nInclude: nothing"),
            "dnf ended",
        ),
        (
            format!("Bootstrap: zypper\nMirrorURL: {address}/rpm\nInclude: nothing"),
            "zypper ended",
        ),
    ] {
        let output = bench.build("image", &definition, &[])?;
        assert!(!output.status.success());
        assert!(
            output.stderr.contains(told),
            "{definition}\n{}",
            output.stderr
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn images_of_every_age_and_folders_are_bases() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    for user in [&world.user, &world.single_id_user] {
        let bench = Bench::of(&world, user.as_deref())?;
        let tree = bench.path().join("tree");
        busybox_tree(&tree)?;
        file_systems(bench.path())?;
        bench.build("own", &on("plain.ext3"), &[])?.success()?;
        bench.apptainer(&["build", "--sandbox", "sandbox", "own.sif"])?;
        bench.give("sandbox")?;
        let bases = [
            "plain.ext3",
            "old.img",
            "old.simg",
            "bare.squashfs",
            "own.sif",
            "sandbox",
        ];
        for base in bases {
            bench.build("image", &on(base), &[])?.success()?;
            let said = bench.apptainer(&["run", "image.sif"])?;
            let owner = if base == "sandbox" { "0 0" } else { "7 8" };
            assert_eq!(said, format!("hello\n{owner}\n"), "{user:?} {base}");
        }
        fs::create_dir(bench.path().join("empty"))?;
        let output = bench.build("image", &on("empty"), &[])?;
        assert!(
            output.stderr.contains("without a root file system"),
            "{}",
            output.stderr
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn fingerprints_are_held_against_the_signatures_of_apptainer() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let bench = Bench::of(&world, world.user.as_deref())?;
    busybox_tree(&bench.path().join("tree"))?;
    file_systems(bench.path())?;
    bench.build("signed", &on("plain.ext3"), &[])?.success()?;
    fs::copy(
        bench.path().join("signed.sif"),
        bench.path().join("unsigned.sif"),
    )?;
    let [first, second] = ["first", "second"].map(|name| new_key(&bench, name));
    let (first, second) = (first?, second?);
    bench.apptainer(&["sign", "--keyidx", "0", "signed.sif"])?;
    damage(&bench, "signed.sif", "damaged.sif")?;
    fs::copy(
        bench.path().join("signed.sif"),
        bench.path().join("both.sif"),
    )?;
    bench.apptainer(&["sign", "--keyidx", "1", "both.sif"])?;
    bench.give("keys")?;

    let both = format!("{first} {second}");
    let nobody = "0".repeat(40);
    for (base, fingerprints, told) in [
        ("signed.sif", &first, ""),
        ("both.sif", &both, ""),
        ("signed.sif", &both, "it has no signature of the key"),
        ("unsigned.sif", &first, "it has no signature of the key"),
        ("damaged.sif", &first, "is not valid"),
        ("signed.sif", &nobody, "it has no signature of the key"),
        ("plain.ext3", &first, "it is no SIF"),
        ("tree", &first, "it is a folder"),
    ] {
        let definition =
            format!("Bootstrap: localimage\nFrom: {base}\nFingerprints: {fingerprints}");
        let output = bench.build("image", &definition, &[])?;
        let is_wanted = told.is_empty();
        assert_eq!(
            output.status.success(),
            is_wanted,
            "{definition}\n{}",
            output.stderr
        );
        assert!(
            output.stderr.contains(told),
            "{definition}\n{}",
            output.stderr
        );
    }
    fs::remove_file(bench.path().join("keys/pgp-public"))?;
    let definition = format!("Bootstrap: localimage\nFrom: signed.sif\nFingerprints: {first}");
    let output = bench.build("image", &definition, &[])?;
    let told = "is in none of the keyrings, and no keyserver has it";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    Ok(())
}

fn on(base: &str) -> String {
    format!(
        "Bootstrap: localimage\nFrom: {base}\n%runscript\n    cat /etc/motd\n    \
         stat -c '%u %g' /etc/motd\n"
    )
}

/// The fingerprint of a new key in the folder's keyring.
fn new_key(bench: &Bench, name: &str) -> anyhow::Result<String> {
    let email = format!("{name}@example.org");
    let new = [
        "key", "newpair", "-N", name, "-E", &email, "-C", "", "-P", "", "-U=false",
    ];
    bench.apptainer(&[&new[..], &["--bit-length", "2048"]].concat())?;
    let list = bench.apptainer(&["key", "list"])?;
    let mut found = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Fingerprint:"));
    let newest = found
        .next_back()
        .map(|fingerprint| fingerprint.trim().to_owned());
    newest.ok_or_else(|| anyhow::anyhow!("no key in {list}"))
}

/// Copies an image and changes a byte in the middle of its root file system.
fn damage(bench: &Bench, from: &str, to: &str) -> anyhow::Result<()> {
    let mut bytes = fs::read(bench.path().join(from))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    Ok(fs::write(bench.path().join(to), bytes)?)
}

fn busybox_tree(tree: &Path) -> anyhow::Result<()> {
    for folder in ["bin", "etc", "usr", "tmp"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    fs::copy("/bin/busybox", tree.join("bin/busybox"))?;
    for link in ["sh", "cat", "stat", "ls"] {
        std::os::unix::fs::symlink("busybox", tree.join("bin").join(link))?;
    }
    fs::write(tree.join("etc/motd"), "hello\n")?;
    run("chown", &["-R".as_ref(), "0:0".as_ref(), tree.as_os_str()])?;
    run(
        "chown",
        &["7:8".as_ref(), tree.join("etc/motd").as_os_str()],
    )
}

/// The tree as the images that Singularity 2 made, with its first line and without.
fn file_systems(folder: &Path) -> anyhow::Result<()> {
    let (tree, ext3, squashfs) = (
        folder.join("tree"),
        folder.join("plain.ext3"),
        folder.join("bare.squashfs"),
    );
    let options = ["-q", "-F", "-d"].map(AsRef::as_ref);
    run(
        "mkfs.ext3",
        &[&options[..], &[tree.as_ref(), ext3.as_ref(), "8M".as_ref()]].concat(),
    )?;
    run(
        "mksquashfs",
        &[
            tree.as_ref(),
            squashfs.as_ref(),
            "-quiet".as_ref(),
            "-no-progress".as_ref(),
        ],
    )?;
    for (from, to) in [(&ext3, "old.img"), (&squashfs, "old.simg")] {
        let mut file = File::create(folder.join(to))?;
        file.write_all(LINE)?;
        file.write_all(&fs::read(from)?)?;
    }
    Ok(())
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> anyhow::Result<()> {
    process::run(Command::new(program).args(arguments), LONGEST)?
        .success()
        .map(drop)
}

/// Package repositories, served over http until this is dropped.
struct Mirror {
    address: String,
    _server: Process,
    _folder: tempfile::TempDir,
}

impl Mirror {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = hub::free_port("127.0.0.1")?.to_string();
        let address = format!("http://127.0.0.1:{port}");
        let tool = settings::tool("package-repositories");
        run_tool(&tool, folder.path(), &address)?;
        let mut serve = Command::new("python3");
        serve
            .args(["-m", "http.server", "--bind", "127.0.0.1", &port])
            .current_dir(folder.path());
        let log = tempfile::NamedTempFile::new()?;
        let server = Process::start(&mut serve, log.path())?;
        wait::until("the mirror", LONGEST, || {
            Ok(http::text(&format!("{address}/pacman/pacman.conf")).ok())
        })?;
        Ok(Self {
            address,
            _server: server,
            _folder: folder,
        })
    }
}

fn run_tool(tool: &Path, folder: &Path, address: &str) -> anyhow::Result<()> {
    process::run(Command::new(tool).arg(folder).arg(address), LONGEST)?
        .success()
        .map(drop)
}
