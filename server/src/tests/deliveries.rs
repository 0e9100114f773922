//! What becomes of a delivery?

use cooperage_protocol::admin::{BuildOnDemand, CollectionChange};

use super::*;

const RECIPE: &str = "Bootstrap: docker\nFrom: debian:12\n";
const VERDICT: &str = "SELECT verdict FROM deliveries ORDER BY received_at DESC, id DESC LIMIT 1";
const UNFINISHED: &str =
    "SELECT 'x' FROM deliveries WHERE state IN ('received', 'processing') LIMIT 1";
const BUILDS: &str =
    "SELECT recipe || '=' || tag || ' ' || state::text FROM builds ORDER BY queued_at, recipe";

async fn push(world: &World, git: &Git, secret: &str, git_ref: &str, after: &str) -> String {
    let id = uuid::Uuid::now_v7().to_string();
    let body = push_payload(git.path(), git_ref, after);
    let (status, answer) = world.call(webhook(secret, &id, "push", &body)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    world.process_all().await;
    world.texts(VERDICT).await.remove(0)
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_first_push_builds_every_recipe_and_later_ones_what_changed(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let secret = world.connect("lab/tool", git.path()).await;
    let first = git.commit(&[
        ("Singularity", RECIPE),
        ("Singularity.empty", ""),
        ("my tools/big.def", RECIPE),
        ("windows.def", "LIBRARY x\n"),
        (".gitignore", "nothing"),
    ]);
    let second = git.commit(&[
        ("my tools/big.def", "Bootstrap: scratch\n"),
        ("README", "x"),
    ]);
    let third = git.commit(&[("README", "y")]);

    assert_eq!(
        push(&world, &git, &secret, "refs/heads/main", &first).await,
        "built 3 recipes"
    );
    assert_eq!(
        push(&world, &git, &secret, "refs/heads/main", &second).await,
        "built 1 recipe"
    );
    assert_eq!(
        push(&world, &git, &secret, "refs/heads/main", &third).await,
        "no recipe changed"
    );

    let expected = [
        "Singularity=latest queued",
        "Singularity.empty=empty queued",
        "my tools/big.def=big cancelled",
        "my tools/big.def=big queued",
    ];
    assert_eq!(world.texts(BUILDS).await, expected);
    let why = world
        .texts("SELECT failure->>'message' FROM builds WHERE state = 'cancelled'")
        .await;
    let newer = world
        .texts("SELECT id::text FROM builds ORDER BY queued_at DESC LIMIT 1")
        .await;
    assert!(
        why[0].starts_with(&format!("superseded by build {}", newer[0])),
        "{why:?}"
    );
    let reason = world
        .texts("SELECT reason FROM deliveries ORDER BY received_at LIMIT 1")
        .await;
    assert_eq!(reason, ["windows.def has no Bootstrap: line"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn other_branches_and_git_tags_get_tags_of_their_own(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let secret = world.connect("lab/tool", git.path()).await;
    let commit = git.commit(&[("Singularity", RECIPE)]);
    git.run(&["branch", "fix/it"]);
    git.run(&["tag", "-a", "v1", "-m", "one"]);
    let annotated = git.run(&["rev-parse", "v1"]);

    push(&world, &git, &secret, "refs/heads/fix/it", &commit).await;
    push(&world, &git, &secret, "refs/tags/v1", &annotated).await;

    let tags = "SELECT tag || array_to_string(aliases, '+', '') FROM builds ORDER BY queued_at";
    assert_eq!(world.texts(tags).await, ["fix-it-latest", "v1-latestv1"]);
    assert_ne!(annotated, commit);
    assert_eq!(
        world.texts("SELECT DISTINCT commit_sha FROM builds").await,
        [commit]
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_git_tag_on_a_built_commit_only_points_at_its_image(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let secret = world.connect("lab/tool", git.path()).await;
    let commit = git.commit(&[("Singularity", RECIPE)]);
    git.run(&["tag", "v1"]);
    push(&world, &git, &secret, "refs/heads/main", &commit).await;
    let (alice, _) = world.worker("alice").await;
    let holder = world.claim(alice).await.unwrap();
    uploads::publish(&world, holder, b"image").await.unwrap();

    let verdict = push(&world, &git, &secret, "refs/tags/v1", &commit).await;

    assert_eq!(verdict, "tagged 1 recipe");
    let tags = world.texts("SELECT name FROM tags ORDER BY name").await;
    assert_eq!(tags, ["latest", "v1", "v1-latest"]);
    assert_eq!(
        world.texts("SELECT count(*)::text FROM builds").await,
        ["1"]
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn deleted_branches_and_repositories_without_recipes_are_told_apart(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let secret = world.connect("lab/tool", git.path()).await;
    let commit = git.commit(&[("README", "no recipe here")]);
    let zeros = "0".repeat(40);

    assert_eq!(
        push(&world, &git, &secret, "refs/heads/main", &commit).await,
        "no recipe found"
    );
    assert_eq!(
        push(&world, &git, &secret, "refs/heads/old", &zeros).await,
        "branch deleted"
    );
    assert_eq!(
        push(&world, &git, &secret, "refs/tags/v0", &zeros).await,
        "tag deleted"
    );
    assert_eq!(
        push(&world, &git, &secret, "refs/notes/x", &commit).await,
        "ignored"
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_force_push_builds_what_the_new_commit_has(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let secret = world.connect("lab/tool", git.path()).await;
    let first = git.commit(&[("Singularity", RECIPE)]);
    push(&world, &git, &secret, "refs/heads/main", &first).await;
    std::fs::write(git.0.join("Singularity"), "Bootstrap: scratch\n").unwrap();
    git.run(&["commit", "--quiet", "--all", "--amend", "--message=other"]);
    let amended = git.run(&["rev-parse", "HEAD"]);

    let verdict = push(&world, &git, &secret, "refs/heads/main", &amended).await;

    assert_eq!(verdict, "built 1 recipe");
    let queued = world
        .texts("SELECT commit_sha FROM builds WHERE state = 'queued'")
        .await;
    assert_eq!(queued, [amended]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_forge_that_cannot_be_reached_is_tried_again_and_then_the_delivery_fails(db: PgPool) {
    let world = World::new(db);
    let secret = world
        .connect("lab/tool", "http://127.0.0.1:1/tool.git")
        .await;
    let clone_url = "http://127.0.0.1:1/tool.git";
    let body = push_payload(clone_url, "refs/heads/main", &"1".repeat(40));
    world.call(webhook(&secret, "d1", "push", &body)).await;
    let state = "SELECT state::text || attempts FROM deliveries";

    world.process_all().await;
    assert_eq!(world.texts(state).await, ["received1"]);
    for _ in 0..10 {
        sqlx::query("UPDATE deliveries SET retry_at = now()")
            .execute(&world.hub.db)
            .await
            .unwrap();
        world.process_all().await;
    }

    assert_eq!(world.texts(state).await, ["failed6"]);
    let reason = world.texts("SELECT reason FROM deliveries").await;
    assert!(
        reason[0].starts_with("the forge could not be reached"),
        "{reason:?}"
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn two_hundred_deliveries_half_of_them_duplicates_are_each_built_once(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let secret = world.connect("lab/tool", git.path()).await;
    let mut commits = Vec::new();
    for number in 0..100 {
        commits.push(git.commit(&[("Singularity", &format!("{RECIPE}# {number}\n"))]));
    }

    let sent = (0..200).map(|index| {
        let body = push_payload(git.path(), "refs/heads/main", &commits[index / 2]);
        world.call(webhook(&secret, &format!("d{}", index / 2), "push", &body))
    });
    let answers = futures_util::future::join_all(sent).await;
    let processors = (0..4).map(|_| async {
        while !world.texts(UNFINISHED).await.is_empty() {
            process::next(&world.hub).await.unwrap();
        }
    });
    futures_util::future::join_all(processors).await;

    assert!(
        answers
            .iter()
            .all(|(status, _)| *status == StatusCode::ACCEPTED)
    );
    assert_eq!(
        world.texts("SELECT count(*)::text FROM deliveries").await,
        ["100"]
    );
    let builds = "SELECT count(*) || ' of ' || count(DISTINCT commit_sha) FROM builds";
    assert_eq!(world.texts(builds).await, ["100 of 100"]);
    let queued = "SELECT count(*)::text FROM builds WHERE state = 'queued'";
    assert_eq!(world.texts(queued).await, ["1"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_delivery_stored_behind_a_later_one_that_is_under_way_builds_nothing_twice(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let secret = world.connect("lab/tool", git.path()).await;
    let commit = git.commit(&[("Singularity", RECIPE)]);
    let body = push_payload(git.path(), "refs/heads/main", &commit);
    let collection = "lab/tool".parse().unwrap();
    let collection = crate::db::collections::by_name(&world.hub.db, &collection);
    let collection = collection.await.unwrap().unwrap().id;
    let begin = || {
        let hub = world.hub.clone();
        tokio::spawn(async move { crate::process::next(&hub).await.map_err(|e| e.to_string()) })
    };
    let are_under_way = async |count: &'static str| {
        let query = "SELECT count(*)::text FROM deliveries WHERE state = 'processing'";
        for _ in 0..200 {
            if world.texts(query).await == [count] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("there are never {count} deliveries under way");
    };

    let mut held = world.hub.db.begin().await.unwrap();
    crate::db::collections::lock(&mut held, collection)
        .await
        .unwrap();
    world.call(webhook(&secret, "late", "push", &body)).await;
    let late = begin();
    are_under_way("1").await;
    world.call(webhook(&secret, "early", "push", &body)).await;
    let earlier = "UPDATE deliveries SET received_at = received_at - interval '1 minute'
                   WHERE forge_id = 'early'";
    sqlx::query(earlier).execute(&world.hub.db).await.unwrap();
    let early = begin();
    are_under_way("2").await;
    held.commit().await.unwrap();

    assert_eq!(
        (late.await.unwrap(), early.await.unwrap()),
        (Ok(true), Ok(true))
    );
    assert_eq!(world.texts(BUILDS).await, ["Singularity=latest queued"]);
    assert_eq!(world.texts(UNFINISHED).await, [""; 0]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_a_dead_hub_was_processing_is_processed_again(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let secret = world.connect("lab/tool", git.path()).await;
    let commit = git.commit(&[("Singularity", RECIPE)]);
    let body = push_payload(git.path(), "refs/heads/main", &commit);
    world.call(webhook(&secret, "d1", "push", &body)).await;
    let died = crate::db::deliveries::claim(&world.hub.db, 600.0)
        .await
        .unwrap()
        .unwrap();
    world.process_all().await;
    assert_eq!(
        world.texts("SELECT state::text FROM deliveries").await,
        ["processing"]
    );

    crate::db::deliveries::rescue(&world.hub.db).await.unwrap();
    world.process_all().await;

    assert_eq!(world.texts(VERDICT).await, ["built 1 recipe"]);
    let mut db = world.hub.db.acquire().await.unwrap();
    assert!(
        !crate::db::deliveries::complete(&mut db, &died, "late", None)
            .await
            .unwrap()
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_build_on_demand_takes_what_is_not_built_and_else_everything(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    world.connect("lab/tool", git.path()).await;
    git.commit(&[("Singularity", RECIPE), ("b.def", RECIPE)]);
    let name = "LAB/Tool".parse().unwrap();
    let wish = BuildOnDemand::default();
    let build = || crate::build_on_demand(&world.hub, &name, &wish);

    assert_eq!(build().await.unwrap().len(), 2);
    let (alice, _) = world.worker("alice").await;
    let holder = world.claim(alice).await.unwrap();
    uploads::publish(&world, holder, b"image").await.unwrap();
    assert_eq!(
        build().await.unwrap().len(),
        2,
        "nothing qualifies: both again"
    );

    let nowhere = BuildOnDemand {
        reference: Some("nowhere".to_owned()),
        ..BuildOnDemand::default()
    };
    let unknown = crate::build_on_demand(&world.hub, &name, &nowhere)
        .await
        .unwrap_err();
    assert!(
        unknown
            .to_string()
            .contains("no branch, tag or full commit"),
        "{unknown}"
    );
    assert_eq!(
        world.texts("SELECT default_branch FROM collections").await,
        ["main"]
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_build_has_the_step_cache_where_neither_it_nor_its_collection_says_off(db: PgPool) {
    use StepCache::{Off, On};

    let world = World::new(db);
    let git = world.repository("tool");
    world.connect("lab/tool", git.path()).await;
    git.commit(&[("Singularity", RECIPE)]);
    let name = "lab/tool".parse().unwrap();
    let (alice, _) = world.worker("alice").await;
    let mut given = Vec::new();

    for of_collection in [StepCache::On, StepCache::Off] {
        let change = CollectionChange {
            step_cache: Some(of_collection),
            ..CollectionChange::default()
        };
        crate::change_collection(&world.hub, &name, &change)
            .await
            .unwrap();
        for step_cache in [StepCache::On, StepCache::Off] {
            let wish = BuildOnDemand {
                reference: None,
                step_cache,
            };
            crate::build_on_demand(&world.hub, &name, &wish)
                .await
                .unwrap();
            let assignment = world.given(alice, Duration::ZERO).await.unwrap();
            given.push((of_collection, step_cache, assignment.step_cache));
            let holder = Holder {
                build: assignment.build,
                attempt: assignment.attempt,
                worker: alice,
            };
            uploads::publish(&world, holder, b"image").await.unwrap();
        }
    }

    let expected = [
        (On, On, On),
        (On, Off, Off),
        (Off, On, Off),
        (Off, Off, Off),
    ];
    assert_eq!(given, expected);
}
