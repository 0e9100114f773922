//! The calls of the command line.

use axum::http::StatusCode;
use cooperage_protocol::admin::{AddedCollection, Build, Collection, Problem, Worker};
use cooperage_protocol::{Mode, StepCache};
use cooperage_server::auth;
use serde::de::DeserializeOwned;
use sqlx::PgPool;

use crate::support::{Answer, Site, request};

async fn call(site: &Site, method: &str, path: &str, body: &str) -> Answer {
    let token = format!("Bearer {}", site.secret("admin-token"));
    site.ask(request(method, path, &[("authorization", &token)], body))
        .await
}

fn parse<T: DeserializeOwned>(answer: &Answer) -> T {
    serde_json::from_slice(&answer.body).unwrap()
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_collection_is_added_once_listed_and_removed(db: PgPool) {
    let site = Site::open(db).await;
    let new = r#"{"clone_url": "https://forge.example.org/lab/other.git", "name": "lab/other"}"#;

    let added = call(&site, "POST", "/api/collections", new).await;
    let again = call(&site, "POST", "/api/collections", new).await;
    let listed: Vec<Collection> = parse(&call(&site, "GET", "/api/collections", "").await);
    let removed = call(&site, "DELETE", "/api/collections/LAB/other", "").await;

    assert_eq!(added.status, StatusCode::CREATED);
    let added: AddedCollection = parse(&added);
    assert_eq!(added.webhook_url, "http://hub.example.org/webhooks/github");
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(parse::<Problem>(&again).status, 409);
    assert_eq!(listed.len(), 2);
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    let unknown = call(&site, "DELETE", "/api/collections/lab/other", "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn builds_are_listed_newest_first_and_shown_one_by_one(db: PgPool) {
    let site = Site::open(db).await;
    let first = site.add_build("failed", "v1").await;
    let second = site.add_build("running", "v2").await;

    let path = "/api/builds?collection=lab/TOOL&limit=5";
    let listed: Vec<Build> = parse(&call(&site, "GET", path, "").await);
    let one: Build = parse(&call(&site, "GET", &format!("/api/builds/{first}"), "").await);

    let ids: Vec<_> = listed.iter().map(|build| build.id).collect();
    assert_eq!(ids, [second, first]);
    assert_eq!(one.failure.unwrap().line, Some(4));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_worker_is_registered_and_listed(db: PgPool) {
    let site = Site::open(db).await;

    let added = call(&site, "POST", "/api/workers", r#"{"name": "w1"}"#).await;
    let listed: Vec<Worker> = parse(&call(&site, "GET", "/api/workers", "").await);

    assert_eq!(added.status, StatusCode::CREATED);
    assert_eq!((listed[0].name.as_str(), listed[0].seen_at), ("w1", None));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn without_the_right_token_nothing_is_told_or_done(db: PgPool) {
    let site = Site::open(db).await;
    let wrong = [("authorization", "Bearer 0000")];

    for (method, path) in [
        ("POST", "/api/collections"),
        ("DELETE", "/api/collections/Lab/tool"),
        ("PATCH", "/api/collections/Lab/tool"),
        ("POST", "/api/collections/Lab/tool/builds"),
        ("GET", "/api/workers"),
        ("POST", "/api/workers"),
    ] {
        for headers in [&[][..], &wrong] {
            let answer = site.ask(request(method, path, headers, "{}")).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
    site.page("/Lab/tool").await;
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn the_token_in_the_file_is_let_in_also_by_an_emptied_database(db: PgPool) {
    let site = Site::open(db).await;
    let token = site.secret("admin-token");
    sqlx::query("DELETE FROM users")
        .execute(&site.hub.db)
        .await
        .unwrap();

    auth::ensure_admin(&site.hub.db, site.folder.path())
        .await
        .unwrap();

    assert_eq!(site.secret("admin-token"), token);
    assert_eq!(
        call(&site, "GET", "/api/workers", "").await.status,
        StatusCode::OK
    );
    let mode = std::fs::metadata(site.folder.path().join("admin-token"))
        .unwrap()
        .permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_setting_that_is_not_named_stays_as_it_is(db: PgPool) {
    let site = Site::open(db).await;
    let path = "/api/collections/lab/TOOL";

    let lenient: Collection = parse(&call(&site, "PATCH", path, r#"{"mode": "lenient"}"#).await);
    let still: Collection = parse(&call(&site, "PATCH", path, r#"{"max_running": 3}"#).await);
    let wrong = call(&site, "PATCH", path, r#"{"mode": "strict"}"#).await;

    assert_eq!((lenient.mode, still.mode), (Mode::Lenient, Mode::Lenient));
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);

    let off: Collection = parse(&call(&site, "PATCH", path, r#"{"step_cache": "off"}"#).await);
    let still: Collection = parse(&call(&site, "PATCH", path, r#"{"max_running": 4}"#).await);
    let wrong = call(&site, "PATCH", path, r#"{"step_cache": "no"}"#).await;

    assert_eq!(lenient.step_cache, StepCache::On);
    assert_eq!(
        (off.step_cache, still.step_cache),
        (StepCache::Off, StepCache::Off)
    );
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}
