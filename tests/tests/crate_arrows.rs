//! The arrows between crates that must never exist.

use std::process::Command;

use serde_json::Value;

/// Who must not depend on whom; the architecture says why.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    (
        "cooperage-server",
        &["cooperage-image", "cooperage-worker", "cooperage-cli"],
    ),
    (
        "cooperage-worker",
        &["cooperage-server", "cooperage-cli", "sqlx", "git2"],
    ),
    (
        "cooperage-image",
        &["cooperage-protocol", "cooperage-server", "cooperage-worker"],
    ),
    (
        "cooperage-protocol",
        &["cooperage-image", "cooperage-server", "cooperage-worker"],
    ),
];

/// The crates that only the hub may use.
const OF_THE_HUB: [&str; 4] = ["sqlx", "git2", "axum", "askama"];

#[test]
fn no_crate_depends_on_one_that_it_must_not_know() -> anyhow::Result<()> {
    let packages = packages()?;

    for (name, forbidden) in FORBIDDEN {
        let dependencies = dependencies_of(&packages, name);
        assert!(
            !dependencies.is_empty(),
            "{name} is not a package of the workspace"
        );
        for other in forbidden {
            assert!(
                !dependencies.iter().any(|found| found == other),
                "{name} depends on {other}"
            );
        }
    }
    Ok(())
}

#[test]
fn only_the_server_knows_sql_git_and_pages() -> anyhow::Result<()> {
    let packages = packages()?;

    for package in packages
        .iter()
        .filter_map(|package| package["name"].as_str())
    {
        let dependencies = dependencies_of(&packages, package);
        for name in OF_THE_HUB.iter().filter(|_| package != "cooperage-server") {
            assert!(
                !dependencies.iter().any(|found| found == name),
                "{package} uses {name}"
            );
        }
    }
    Ok(())
}

fn packages() -> anyhow::Result<Vec<Value>> {
    let arguments = [
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ];
    let output = Command::new(env!("CARGO")).args(arguments).output()?;
    let mut metadata: Value = serde_json::from_slice(&output.stdout)?;
    Ok(serde_json::from_value(metadata["packages"].take())?)
}

/// What a package needs to run and to build; its tests may use what they like.
fn dependencies_of(packages: &[Value], name: &str) -> Vec<String> {
    let package = packages.iter().find(|package| package["name"] == name);
    let dependencies = package.and_then(|package| package["dependencies"].as_array());
    dependencies
        .into_iter()
        .flatten()
        .filter(|dependency| dependency["kind"] != "dev")
        .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
        .collect()
}
