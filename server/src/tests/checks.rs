//! Who asks a registry, and what becomes of a question that nobody answers?

use cooperage_protocol::CheckId;
use cooperage_protocol::admin::NewCredential;
use cooperage_protocol::check::{Progress, Step, Subject, Verdict};
use cooperage_protocol::worker::Ability;

use super::*;
use crate::{checks, queue};

const URI: &str = "docker://ghcr.io/lab/base:1.0";

async fn world(db: PgPool) -> World {
    let world = World::new(db);
    world.connect("lab/tool", "/srv/tool").await;
    world
}

async fn ask(world: &World) -> CheckId {
    let name = "lab/tool".parse().unwrap();
    crate::ask_check(&world.hub, &name, URI).await.unwrap().id
}

async fn progress(world: &World, id: CheckId) -> Progress {
    let name = "lab/tool".parse().unwrap();
    let found = crate::find_check(&world.hub, &name, id).await;
    found.unwrap().progress
}

async fn claim(world: &World, worker: WorkerId, abilities: &[Ability]) -> Option<Work> {
    queue::claim(&world.hub, worker, abilities, Duration::ZERO)
        .await
        .unwrap()
}

fn steps() -> Vec<Step> {
    vec![Step {
        subject: Subject::Login,
        verdict: Verdict::Bad,
        message: "ghcr.io refuses the account".to_owned(),
        help: Some("set another".to_owned()),
        facts: [("status".to_owned(), "401".to_owned())].into(),
    }]
}

async fn tell(world: &World, token: &str, id: CheckId) -> StatusCode {
    let request = Request::put(format!("/worker/checks/{id}/steps"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(serde_json::to_string(&steps()).unwrap()))
        .unwrap();
    world.call(request).await.0
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_check_is_given_before_builds_and_only_to_workers_that_say_they_can(db: PgPool) {
    let world = world(db).await;
    world.enqueue("Singularity").await;
    let id = ask(&world).await;
    let (alice, _) = world.worker("alice").await;

    let old = claim(&world, alice, &[Ability::Unknown]).await;
    world.enqueue("b.def").await;
    let able = claim(&world, alice, &[Ability::Check]).await;
    let again = claim(&world, alice, &[Ability::Check]).await;

    assert!(matches!(old, Some(Work::Build(_))), "{old:?}");
    let Some(Work::Check(check)) = able else {
        panic!("{able:?}")
    };
    assert_eq!((check.check, check.uri.as_str()), (id, URI));
    assert!(matches!(again, Some(Work::Build(_))), "{again:?}");
    assert_eq!(progress(&world, id).await, Progress::Running);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_check_gets_the_accounts_of_its_collection_and_no_others(db: PgPool) {
    let world = world(db).await;
    world.connect("lab/other", "/srv/other").await;
    for (name, username) in [("lab/tool", "mine"), ("lab/other", "theirs")] {
        let new = NewCredential {
            registry: "ghcr.io".to_owned(),
            username: username.to_owned(),
            password: "hunter22".to_owned().into(),
        };
        let name = name.parse().unwrap();
        crate::put_credential(&world.hub, &name, &new)
            .await
            .unwrap();
    }
    ask(&world).await;
    let (alice, _) = world.worker("alice").await;

    let given = claim(&world, alice, &[Ability::Check]).await;

    let Some(Work::Check(check)) = given else {
        panic!("{given:?}")
    };
    let accounts = check.accounts.iter();
    let told: Vec<_> = accounts
        .map(|account| (account.username.as_str(), account.password.expose()))
        .collect();
    assert_eq!(told, [("mine", "hunter22")]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn only_the_worker_that_has_a_check_answers_it_and_once(db: PgPool) {
    let world = world(db).await;
    let id = ask(&world).await;
    let (alice, token) = world.worker("alice").await;
    let (_, other) = world.worker("bob").await;

    let early = tell(&world, &token, id).await;
    claim(&world, alice, &[Ability::Check]).await;
    let foreign = tell(&world, &other, id).await;
    let stranger = tell(&world, "nobody", id).await;
    let answer = tell(&world, &token, id).await;
    let again = tell(&world, &token, id).await;

    assert_eq!(
        [early, foreign, stranger, answer, again],
        [
            StatusCode::CONFLICT,
            StatusCode::CONFLICT,
            StatusCode::UNAUTHORIZED,
            StatusCode::NO_CONTENT,
            StatusCode::CONFLICT
        ]
    );
    let steps = steps();
    assert_eq!(progress(&world, id).await, Progress::Answered { steps });
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_check_whose_worker_dies_or_that_nobody_takes_has_no_answer(db: PgPool) {
    let world = world(db).await;
    let taken = ask(&world).await;
    let (alice, token) = world.worker("alice").await;
    claim(&world, alice, &[Ability::Check]).await;
    let waiting = ask(&world).await;

    let early = checks::expire(&world.hub).await.unwrap();
    sqlx::query(
        "UPDATE registry_checks
         SET lease_until = lease_until - interval '1 minute', asked_at = asked_at - interval '10 min'",
    )
    .execute(&world.hub.db)
    .await
    .unwrap();
    let late = tell(&world, &token, taken).await;
    let ended = checks::expire(&world.hub).await.unwrap();

    assert_eq!((early, late, ended), (0, StatusCode::CONFLICT, 2));
    for (id, why) in [(taken, "vanished"), (waiting, "no worker was free")] {
        let Progress::Unanswered { reason } = progress(&world, id).await else {
            panic!("{id} is not ended")
        };
        assert!(
            reason.starts_with("no answer") && reason.contains(why),
            "{reason}"
        );
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn of_old_checks_the_newest_twenty_are_kept(db: PgPool) {
    let world = world(db).await;

    let mut newest = ask(&world).await;
    for _ in 0..24 {
        newest = ask(&world).await;
    }

    assert_eq!(
        world
            .texts("SELECT id::text FROM registry_checks")
            .await
            .len(),
        20
    );
    assert_eq!(progress(&world, newest).await, Progress::Queued);
}
