//! Accounts of a collection for registries: set, listed, never shown.

use axum::http::StatusCode;
use cooperage_protocol::admin::Credential;
use sqlx::PgPool;

use crate::support::{Answer, Site, request};

const PATH: &str = "/api/collections/lab/TOOL/credentials";

async fn call(site: &Site, method: &str, path: &str, body: &str) -> Answer {
    let token = format!("Bearer {}", site.secret("admin-token"));
    site.ask(request(method, path, &[("authorization", &token)], body))
        .await
}

fn account(registry: &str, password: &str) -> String {
    serde_json::json!({ "registry": registry, "username": "lab", "password": password }).to_string()
}

/// All that the database keeps of accounts, as text.
async fn rows(site: &Site) -> Vec<String> {
    sqlx::query_scalar("SELECT registry_credentials::text FROM registry_credentials")
        .fetch_all(&site.hub.db)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_password_is_kept_sealed_and_told_to_nobody(db: PgPool) {
    let site = Site::open(db).await;

    let set = call(&site, "POST", PATH, &account("Ghcr.io", "hunter22")).await;
    let before = rows(&site).await;
    let again = call(&site, "POST", PATH, &account("ghcr.io", "hunter33")).await;
    let listed = call(&site, "GET", PATH, "").await;

    assert_eq!(
        (set.status, again.status),
        (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT)
    );
    let told: Vec<Credential> = serde_json::from_slice(&listed.body).unwrap();
    assert_eq!((told.len(), told[0].registry.as_str()), (1, "ghcr.io"));
    assert!(!listed.text().contains("hunter") && !listed.text().contains("password"));
    let after = rows(&site).await;
    assert_ne!(before, after);
    let plain = hex::encode("hunter");
    assert!(
        after
            .iter()
            .all(|row| !row.contains("hunter") && !row.contains(&plain))
    );
    let key = std::fs::metadata(site.folder.path().join("secret-keys")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(!site.page("/Lab/tool").await.contains("hunter"));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_account_is_removed_and_a_wrong_one_is_explained(db: PgPool) {
    let site = Site::open(db).await;
    call(&site, "POST", PATH, &account("localhost:5000", "hunter22")).await;

    let removed = call(&site, "DELETE", &format!("{PATH}/localhost:5000"), "").await;
    let again = call(&site, "DELETE", &format!("{PATH}/localhost:5000"), "").await;

    assert_eq!(
        (removed.status, again.status),
        (StatusCode::NO_CONTENT, StatusCode::NOT_FOUND)
    );
    assert!(rows(&site).await.is_empty());
    for wrong in [
        account("https://ghcr.io/v2", "x"),
        account("", "x"),
        account("ghcr.io", ""),
    ] {
        let answer = call(&site, "POST", PATH, &wrong).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    let stranger = site.ask(request("GET", PATH, &[], "")).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
}
