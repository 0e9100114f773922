//! The commands of Singularity's first Docker manual, in its order, as an ordinary user.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use cooperage_tests::apptainer::apptainer;
use cooperage_tests::{Settings, process};

const CREATED: &str = "\
Initializing Singularity image subsystem
Opening image file: ubuntu.img
Creating 768MiB image
Binding image to loop
Creating file system within image
Image is done: ubuntu.img
";
/// Written by `printf`: no space after the colons, no end of the last line.
const DEFINITION: &str = "Bootstrap:docker\nFrom:busybox:latest";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn the_commands_of_the_first_docker_manual_work_as_they_stand_there() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    for user in [&world.user, &world.single_id_user] {
        let folder = tempfile::tempdir()?;
        let owner = user.as_deref().unwrap_or("root");
        let mut chown = Command::new("chown");
        process::run(chown.arg(owner).arg(folder.path()), Duration::from_secs(10))?.success()?;
        let cooperage = |arguments: &[&str]| {
            let mut command = process::command_as(user.as_deref(), &world.cooperage);
            command.args(arguments).current_dir(folder.path());
            process::run(&mut command, Duration::from_mins(5))
        };
        let mirror = format!("--registry-mirror=docker.io=http://{}", world.registry);

        assert_eq!(cooperage(&["create", "ubuntu.img"])?.success()?, CREATED);
        assert!(!cooperage(&["create", "ubuntu.img"])?.status.success());
        let import = ["import", &mirror, "ubuntu.img", "docker://busybox"];
        compare_import(&cooperage(&import)?.success()?)?;
        assert_eq!(run_in(folder.path(), "import")?, "import\n");

        std::fs::create_dir(folder.path().join("fatty"))?;
        let mut chown = Command::new("chown");
        let fatty = folder.path().join("fatty");
        process::run(chown.arg(owner).arg(&fatty), Duration::from_secs(10))?.success()?;
        cooperage(&["import", &mirror, "fatty", "docker://busybox"])?.success()?;
        assert!(fatty.join("bin/busybox").exists() && fatty.join(".singularity.d").exists());

        std::fs::write(folder.path().join("Singularity"), DEFINITION)?;
        cooperage(&["create", "--force", "ubuntu.img"])?.success()?;
        cooperage(&["bootstrap", &mirror, "ubuntu.img", "Singularity"])?.success()?;
        assert_eq!(run_in(folder.path(), "bootstrap")?, "bootstrap\n");
        let told = cooperage(&["inspect", "--deffile", "ubuntu.img"])?.success()?;
        assert_eq!(told.trim_end(), DEFINITION);
    }
    Ok(())
}

/// The lines of the manual; what differs is the folder and the layers.
fn compare_import(told: &str) -> anyhow::Result<()> {
    let lines: Vec<&str> = told.lines().collect();
    let [cache, base, layers @ ..] = lines.as_slice() else {
        anyhow::bail!("too few lines: {told}");
    };
    let folder = cache.strip_prefix("Cache folder set to ");
    let folder = folder.unwrap_or_default();
    ensure!(folder.ends_with("/docker"), "{told}");
    assert_eq!(*base, "Importing: base Singularity environment");
    ensure!(!layers.is_empty(), "{told}");
    for layer in layers {
        let digest = layer.strip_prefix(&format!("Importing: {folder}/sha256:"));
        let digest = digest.and_then(|digest| digest.strip_suffix(".tar.gz"));
        ensure!(digest.is_some_and(|digest| digest.len() == 64), "{told}");
    }
    Ok(())
}

/// Has Apptainer say a word in the image, after its file system was checked. It gets a copy:
/// without root it mounts ext3 by FUSE, which writes to a file that it may write to, and beside
/// where the file system begins.
fn run_in(folder: &Path, word: &str) -> anyhow::Result<String> {
    let image = folder.join("ubuntu.img");
    let mut check = Command::new("/sbin/e2fsck");
    check.args(["-fn", &format!("{}?offset=31", image.display())]);
    process::run(&mut check, Duration::from_mins(1))?.success()?;
    let copy = format!("{word}.img");
    let mut duplicate = Command::new("cp");
    duplicate
        .arg("--sparse=always")
        .arg(&image)
        .arg(folder.join(&copy));
    process::run(&mut duplicate, Duration::from_mins(1))?.success()?;
    apptainer(folder, &["exec", &copy, "echo", word])?.success()
}
