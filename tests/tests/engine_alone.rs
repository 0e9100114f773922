//! `cooperage build` makes an image without a hub, as any user, with and without subordinate ids.

use std::time::Duration;

use cooperage_tests::apptainer::apptainer;
use cooperage_tests::{Settings, process};

const RECIPE: &str = "
%post
    echo built > /built

%runscript
    echo \"run with $*\"
    cat /built
";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn any_user_builds_an_image_without_a_hub() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let recipe = format!(
        "Bootstrap: docker\nFrom: {}/library/busybox\n{RECIPE}",
        world.registry
    );

    for user in [&world.user, &world.single_id_user] {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("Singularity"), &recipe)?;
        let owner = user.as_deref().unwrap_or("root");
        let mut chown = std::process::Command::new("chown");
        process::run(chown.arg(owner).arg(folder.path()), Duration::from_secs(10))?.success()?;

        let mut build = process::command_as(user.as_deref(), &world.cooperage);
        build
            .args(["build", "image.sif", "Singularity"])
            .current_dir(folder.path());
        process::run(&mut build, Duration::from_mins(5))?.success()?;

        let ran = apptainer(folder.path(), &["run", "image.sif", "a b"])?.success()?;
        assert_eq!(ran, "run with a b\nbuilt\n", "{user:?}");
        assert!(
            !process::run(&mut build, Duration::from_mins(5))?
                .status
                .success(),
            "no --force"
        );
    }
    Ok(())
}
