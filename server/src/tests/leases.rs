//! Who has which build?

use cooperage_protocol::worker::Outcome;
use cooperage_protocol::{Failure, FailureKind};

use super::*;
use crate::db::builds::leases;
use crate::queue;

const STATES: &str = "SELECT state::text || attempt FROM builds ORDER BY queued_at";

async fn expire(world: &World) -> usize {
    sqlx::query("UPDATE builds SET lease_until = now() - interval '1 s' WHERE state = 'running'")
        .execute(&world.hub.db)
        .await
        .unwrap();
    let lost = Failure::new(FailureKind::WorkerLost, "lost");
    leases::reap(&world.hub.db, 3, &lost, &queue::cancelled())
        .await
        .unwrap()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn two_workers_never_claim_the_same_build(db: PgPool) {
    let world = World::new(db);
    for number in 0..10 {
        let name = format!("lab/tool{number}");
        world.connect(&name, &format!("/srv/{number}")).await;
    }
    for id in world.texts("SELECT id::text FROM collections").await {
        world.enqueue_for(id.parse().unwrap(), "Singularity").await;
        world.enqueue_for(id.parse().unwrap(), "b.def").await;
    }
    let (alice, _) = world.worker("alice").await;
    let (bob, _) = world.worker("bob").await;

    let claims = (0..40).map(|turn| world.claim(if turn % 2 == 0 { alice } else { bob }));
    let claimed: Vec<_> = futures_util::future::join_all(claims).await;

    let mut builds: Vec<_> = claimed
        .into_iter()
        .flatten()
        .map(|holder| holder.build)
        .collect();
    builds.sort();
    builds.dedup();
    assert_eq!(builds.len(), 20);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn collections_take_turns_and_none_runs_more_than_it_may(db: PgPool) {
    let world = World::new(db);
    world.connect("lab/busy", "/srv/busy").await;
    for recipe in ["a", "b", "c"] {
        world.enqueue(recipe).await;
    }
    world.connect("lab/quiet", "/srv/quiet").await;
    let quiet = "SELECT id::text FROM collections WHERE name = 'lab/quiet'";
    let quiet = world.texts(quiet).await[0].parse().unwrap();
    let late = world.enqueue_for(quiet, "Singularity").await;
    let (alice, _) = world.worker("alice").await;

    world.claim(alice).await.unwrap();
    let second = world.claim(alice).await.unwrap();
    let third = world.claim(alice).await;
    let fourth = world.claim(alice).await;

    assert_eq!(second.build, late);
    assert!(
        third.is_some() && fourth.is_none(),
        "two run, the third of lab/busy waits"
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_expired_lease_goes_to_another_worker_and_the_first_is_fenced_off(db: PgPool) {
    let world = World::new(db);
    world.connect("lab/tool", "/srv/tool").await;
    world.enqueue("Singularity").await;
    let (alice, _) = world.worker("alice").await;
    let (bob, _) = world.worker("bob").await;
    let first = world.claim(alice).await.unwrap();

    assert_eq!(expire(&world).await, 1);
    let second = world.claim(bob).await.unwrap();

    assert_eq!((second.build, second.attempt), (first.build, 2));
    let outcome = Outcome::Failed(Failure::new(FailureKind::Script, "late"));
    for refused in [
        queue::heartbeat(&world.hub, first).await.map(drop),
        queue::release(&world.hub, first).await,
        crate::publish::finish(&world.hub, first, &outcome).await,
        queue::heartbeat(
            &world.hub,
            Holder {
                worker: alice,
                ..second
            },
        )
        .await
        .map(drop),
    ] {
        assert_eq!(refused.unwrap_err().status(), StatusCode::CONFLICT);
    }
    assert!(!queue::heartbeat(&world.hub, second).await.unwrap().cancel);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_build_whose_attempts_are_used_up_fails_as_worker_lost(db: PgPool) {
    let world = World::new(db);
    world.connect("lab/tool", "/srv/tool").await;
    world.enqueue("Singularity").await;
    let (alice, _) = world.worker("alice").await;

    let returned = world.claim(alice).await.unwrap();
    queue::release(&world.hub, returned).await.unwrap();
    for _ in 0..3 {
        world.claim(alice).await.unwrap();
        expire(&world).await;
    }

    assert_eq!(
        world.texts(STATES).await,
        ["failed4"],
        "the released attempt does not count"
    );
    assert_eq!(
        world.texts("SELECT failure->>'kind' FROM builds").await,
        ["worker-lost"]
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn cancelling_ends_what_waits_and_asks_what_runs_to_stop(db: PgPool) {
    let world = World::new(db);
    world.connect("lab/tool", "/srv/tool").await;
    let runs = world.enqueue("a").await;
    let waits = world.enqueue("b").await;
    let (alice, _) = world.worker("alice").await;
    let holder = world.claim(alice).await.unwrap();

    crate::cancel_build(&world.hub, waits).await.unwrap();
    crate::cancel_build(&world.hub, runs).await.unwrap();

    assert_eq!(world.texts(STATES).await, ["running1", "cancelled0"]);
    assert!(queue::heartbeat(&world.hub, holder).await.unwrap().cancel);
    let again = crate::cancel_build(&world.hub, waits).await.unwrap_err();
    assert_eq!(again.status(), StatusCode::CONFLICT);
    expire(&world).await;
    assert_eq!(world.texts(STATES).await, ["cancelled1", "cancelled0"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_waiting_claim_is_woken_by_a_build(db: PgPool) {
    let world = World::new(db);
    world.connect("lab/tool", "/srv/tool").await;
    let (alice, _) = world.worker("alice").await;
    let listening = tokio::spawn(crate::serve::listen_forever(world.hub.clone()));

    let waiting = world.given(alice, Duration::from_secs(30));
    let (claimed, queued) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.enqueue("Singularity").await
    });

    assert_eq!(claimed.map(|claimed| claimed.build), Some(queued));
    listening.abort();
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_attempt_begins_without_the_diagnostics_of_the_one_before(db: PgPool) {
    let world = World::new(db);
    world.connect("lab/tool", "/srv/tool").await;
    world.enqueue("Singularity").await;
    let (alice, _) = world.worker("alice").await;
    let first = world.claim(alice).await.unwrap();
    let told = [cooperage_protocol::Diagnostic {
        severity: cooperage_protocol::Severity::Warning,
        code: "no-tag".to_owned(),
        message: "no tag".to_owned(),
        help: None,
        line: 2,
        column: 1,
        length: 1,
    }];
    let mut db = world.hub.db.acquire().await.unwrap();
    let counts = "SELECT jsonb_array_length(diagnostics)::text FROM builds";

    assert!(leases::diagnose(&mut db, first, &told).await.unwrap());
    assert_eq!(world.texts(counts).await, ["1"]);
    expire(&world).await;
    let second = world.claim(alice).await.unwrap();

    assert_eq!(world.texts(counts).await, ["0"]);
    assert!(!leases::diagnose(&mut db, first, &told).await.unwrap());
    assert!(leases::diagnose(&mut db, second, &[]).await.unwrap());
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_worker_gets_the_accounts_of_the_collection_that_it_builds_and_no_others(db: PgPool) {
    let world = World::new(db);
    std::fs::create_dir_all(&world.hub.config.data).unwrap();
    for (name, password) in [("lab/other", "theirs"), ("lab/tool", "ours")] {
        world.connect(name, &format!("/srv/{name}")).await;
        let account = cooperage_protocol::admin::NewCredential {
            registry: "ghcr.io".to_owned(),
            username: "lab".to_owned(),
            password: password.to_owned().into(),
        };
        let name = name.parse().unwrap();
        crate::put_credential(&world.hub, &name, &account)
            .await
            .unwrap();
    }
    let tool = "SELECT id::text FROM collections WHERE name = 'lab/tool'";
    let tool = world.texts(tool).await[0].parse().unwrap();
    world.enqueue_for(tool, "Singularity").await;
    let (alice, _) = world.worker("alice").await;

    let given = world.given(alice, Duration::ZERO).await.unwrap();

    let passwords = given
        .accounts
        .iter()
        .map(|account| account.password.expose());
    assert_eq!(passwords.collect::<Vec<_>>(), ["ours"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_sealed_password_in_another_row_is_given_to_nobody(db: PgPool) {
    let world = World::new(db);
    std::fs::create_dir_all(&world.hub.config.data).unwrap();
    world.connect("lab/tool", "/srv/tool").await;
    let account = cooperage_protocol::admin::NewCredential {
        registry: "ghcr.io".to_owned(),
        username: "lab".to_owned(),
        password: "s3cret".to_owned().into(),
    };
    let name = "lab/tool".parse().unwrap();
    crate::put_credential(&world.hub, &name, &account)
        .await
        .unwrap();
    sqlx::query("UPDATE registry_credentials SET registry = 'evil.example'")
        .execute(&world.hub.db)
        .await
        .unwrap();
    world.enqueue("Singularity").await;
    let (alice, _) = world.worker("alice").await;

    let given = world.given(alice, Duration::ZERO).await.unwrap();

    assert_eq!(given.accounts, []);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_build_for_an_architecture_waits_for_a_worker_of_it(db: PgPool) {
    let world = World::new(db);
    world.connect("lab/tool", "/srv/tool").await;
    let build = world.enqueue("Singularity").await;
    sqlx::query("UPDATE builds SET architecture = 'arm64'")
        .execute(&world.hub.db)
        .await
        .unwrap();
    let (silent, _) = world.worker("silent").await;
    let (other, _) = world.worker("other").await;
    let (right, _) = world.worker("right").await;
    for (worker, architecture) in [(other, "amd64"), (right, "arm64")] {
        let described = crate::db::workers::describe(&world.hub.db, worker, "1", architecture);
        described.await.unwrap();
    }

    assert_eq!(world.claim(silent).await, None);
    assert_eq!(world.claim(other).await, None);
    let given = world.claim(right).await.map(|holder| holder.build);
    assert_eq!(given, Some(build));
}
