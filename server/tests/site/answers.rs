//! What is answered to everybody alike is kept for a moment, and never told when it is not true.

use axum::http::StatusCode;
use sqlx::PgPool;

use crate::support::{Site, request};

const PAGE: &str = "/lab/tool/tags/v1";

/// A hub that keeps answers for long, with an image.
async fn open(db: PgPool) -> Site {
    let mut site = Site::open(db).await;
    site.publish("v1", b"the bytes of an image").await;
    site.change(|config| config.answers_kept_ms = 60_000);
    site
}

/// Changes something that the hub does not notice.
async fn change_behind(site: &Site) {
    sqlx::query("UPDATE images SET facts = jsonb_set(facts, '{architecture}', '\"riscv64\"')")
        .execute(&site.hub.db)
        .await
        .unwrap();
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_answer_is_given_again_to_those_who_show_no_account(db: PgPool) {
    let site = open(db).await;
    let first = site.get(PAGE, &[]).await;
    change_behind(&site).await;

    let again = site.get(PAGE, &[]).await;
    assert_eq!(again.body, first.body);
    assert_eq!(again.headers, first.headers);
    for own in [
        ("cookie", "theme=dark"),
        ("accept", "text/html"),
        ("if-none-match", "\"x\""),
    ] {
        let answer = site.get(PAGE, &[own]).await.text();
        assert!(answer.contains("riscv64"), "{own:?}");
    }
    let head = site.ask(request("HEAD", PAGE, &[], "")).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn whatever_a_request_changes_is_true_before_it_is_answered(db: PgPool) {
    let site = open(db).await;
    let token = site.secret("admin-token");
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let paths = [PAGE, "/", "/api/container/lab/tool:v1", "/api/collections"];
    for path in paths {
        assert_eq!(site.get(path, &[]).await.status, StatusCode::OK, "{path}");
    }
    let hide = r#"{"visibility": "private"}"#;
    let hidden = site
        .ask(request(
            "PATCH",
            "/api/collections/lab/tool",
            &headers,
            hide,
        ))
        .await;
    assert!(hidden.status.is_success(), "{}", hidden.text());
    for path in paths {
        let answer = site.get(path, &[]).await;
        let is_told = answer.text().to_lowercase().contains("lab/tool\"");
        assert!(answer.status != StatusCode::OK || !is_told, "{path}");
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_answer_that_is_kept_counts_as_a_request(db: PgPool) {
    let mut site = open(db).await;
    site.change(|config| config.rates.anonymous_per_minute = 2);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(site.get(PAGE, &[]).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn files_are_never_kept(db: PgPool) {
    let site = open(db).await;
    let pulls = || async {
        site.hub.write_pulls().await;
        let count =
            sqlx::query_scalar::<_, i64>("SELECT COALESCE(sum(count), 0)::bigint FROM pulls");
        count.fetch_one(&site.hub.db).await.unwrap()
    };
    for _ in 0..2 {
        let file = site.get("/lab/tool/v1.sif", &[]).await;
        assert_eq!(file.text(), "the bytes of an image");
    }
    assert_eq!(pulls().await, 2);
}
