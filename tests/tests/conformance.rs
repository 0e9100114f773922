//! Every row of the table of conformance holds, and `docs/conformance.md` says so.

use std::path::{Path, PathBuf};

use cooperage_tests::Settings;
use cooperage_tests::conformance::{Cast, Player, Row, Verdict, read, render};

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn every_case_holds_and_the_documentation_says_so() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let (only, update) = (settings.only_case.clone(), settings.update_documents);
    let folder = tempfile::Builder::new()
        .prefix("conformance-")
        .tempdir_in("/tmp")?;
    open_to_others(folder.path())?;
    let player = Player::new(settings, folder.path())?;

    let mut cases = read(&project().join("tests/conformance"))?;
    if let Some(only) = &only {
        cases.retain(|case| case.id.contains(only));
    }
    let mut rows = Vec::new();
    for case in cases {
        let mut verdicts = [const { Verdict::Holds }; 3];
        for (verdict, cast) in verdicts.iter_mut().zip(Cast::ALL) {
            *verdict = player.play(&case, cast)?;
            if let Verdict::Fails(why) = &verdict {
                println!("{} {cast:?}: {why}\n", case.id);
            }
        }
        rows.push(Row { case, verdicts });
    }
    let page = render(&rows);
    println!("{page}");

    let document = project().join("docs/conformance.md");
    if update {
        std::fs::write(&document, &page)?;
    }
    let fails = |row: &Row| {
        row.verdicts
            .iter()
            .any(|it| matches!(it, Verdict::Fails(_)))
    };
    let failed: Vec<_> = rows
        .iter()
        .filter(|row| fails(row))
        .map(|row| &row.case.id)
        .collect();
    assert!(failed.is_empty(), "these cases fail: {failed:?}");
    if only.is_none() {
        assert_eq!(
            std::fs::read_to_string(document)?,
            page,
            "run again with COOPERAGE_TEST_UPDATE=1 to write docs/conformance.md"
        );
    }
    Ok(())
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Our program runs as another user.
fn open_to_others(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    Ok(std::fs::set_permissions(
        folder,
        std::fs::Permissions::from_mode(0o755),
    )?)
}
