//! Two hundred deliveries at once, half of them duplicates: all stored, none built twice.

use std::collections::BTreeSet;
use std::time::Duration;

use cooperage_protocol::BuildState;
use cooperage_tests::repository::delivery_id;
use cooperage_tests::{Forge, Hub, wait};

const RECIPE: &str = "Bootstrap: docker\nFrom: busybox\n\n%post\n    echo built\n";
const DIFFERENT: usize = 100;

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn two_hundred_deliveries_at_once_are_accepted_and_nothing_is_built_twice() -> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/burst")?;
    repository.write("Singularity", RECIPE)?;
    let payload = repository.commit()?;
    let ids: Vec<String> = (0..DIFFERENT).map(|_| delivery_id()).collect();

    let answers = std::thread::scope(|scope| {
        let each_twice = ids.iter().chain(&ids);
        let senders: Vec<_> = each_twice
            .map(|id| {
                scope.spawn(|| anyhow::Ok(repository.deliver(&payload, id)?.status().as_u16()))
            })
            .collect();
        let join = |sender: std::thread::ScopedJoinHandle<_>| sender.join().expect("no panic");
        senders
            .into_iter()
            .map(join)
            .collect::<anyhow::Result<Vec<u16>>>()
    })?;
    hub.finished_builds("lab/burst", 1)?;

    assert!(
        answers
            .iter()
            .all(|status| *status == 202 || *status == 200),
        "{answers:?}"
    );
    let stored = "SELECT count(*), count(DISTINCT forge_id) FROM deliveries";
    assert_eq!(hub.query(stored)?, format!("{DIFFERENT}|{DIFFERENT}"));
    let unprocessed = "SELECT count(*) FROM deliveries WHERE processed_at IS NULL";
    wait::until("the end of all deliveries", Duration::from_mins(3), || {
        Ok((hub.query(unprocessed)? == "0").then_some(()))
    })?;
    // A later push of the same commit finds the recipe built: no second image of the same content.
    let builds = hub.finished_builds("lab/burst", 1)?;
    let succeeded = builds
        .iter()
        .filter(|build| build.state == BuildState::Succeeded);
    let commits: BTreeSet<_> = builds.iter().map(|build| &build.commit).collect();
    assert_eq!((succeeded.count(), commits.len()), (1, 1), "{builds:?}");
    Ok(())
}
