//! The settings of a collection, as its administrator's browser sees them.

use axum::http::StatusCode;
use sqlx::PgPool;

use crate::support::{Answer, HOSTILE, Site, request};

const PATH: &str = "/Lab/tool/settings";

/// The cookie of an administrator who has logged in.
async fn log_in(site: &Site) -> String {
    let body = format!("name=admin&password={}", site.secret("admin-password"));
    let form = ("content-type", "application/x-www-form-urlencoded");
    let answer = site.ask(request("POST", "/login", &[form], &body)).await;
    let cookie = answer.header("set-cookie").split(';').next().unwrap();
    cookie.to_owned()
}

async fn show(site: &Site, cookie: &str, path: &str) -> Answer {
    let headers = [("accept", "text/html"), ("cookie", cookie)];
    site.get(path, &headers).await
}

/// Presses a button on the page, with this answer to where the request came from.
async fn press_from(site: &Site, cookie: &str, path: &str, body: &str, sender: &str) -> Answer {
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "text/html"),
        ("sec-fetch-site", sender),
        ("cookie", cookie),
    ];
    site.ask(request("POST", path, &headers, body)).await
}

async fn press(site: &Site, cookie: &str, path: &str, body: &str) -> Answer {
    press_from(site, cookie, path, body, "same-origin").await
}

async fn text(site: &Site, sql: &str) -> Vec<String> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
        .fetch_all(&site.hub.db)
        .await
        .unwrap()
}

const ACCOUNT: &str = "registry=ghcr.io&username=lab&password=hunter22";

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn strangers_and_other_sites_neither_see_nor_change_settings(db: PgPool) {
    let site = Site::open(db).await;
    let cookie = log_in(&site).await;
    let buttons = [
        ("", "mode=lenient&max_running=9"),
        ("/secret", ""),
        ("/accounts", ACCOUNT),
        ("/accounts/remove", "registry=ghcr.io"),
        ("/checks", "uri=docker://ghcr.io/lab/base"),
    ];

    let seen = show(&site, "", PATH).await;
    for (button, body) in buttons {
        let path = format!("{PATH}{button}");
        let stranger = press(&site, "", &path, body).await;
        let other_site = press_from(&site, &cookie, &path, body, "cross-site").await;
        assert_eq!(stranger.header("location"), "/login", "{path}");
        assert_eq!(other_site.status, StatusCode::FORBIDDEN, "{path}");
    }

    assert_eq!(
        seen.header("location"),
        "/login?next=%2FLab%2Ftool%2Fsettings"
    );
    let kept = "SELECT mode || webhook_secret || max_running FROM collections";
    assert_eq!(text(&site, kept).await, ["moderns2"]);
    assert!(
        text(&site, "SELECT uri FROM registry_checks")
            .await
            .is_empty()
    );
    let accounts = "SELECT registry FROM registry_credentials";
    assert!(text(&site, accounts).await.is_empty());
    let page = show(&site, &cookie, PATH).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("cache-control"), "no-store");
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn the_mode_is_changed_and_an_impossible_one_is_not(db: PgPool) {
    let site = Site::open(db).await;
    let cookie = log_in(&site).await;

    let saved = press(&site, &cookie, PATH, "mode=lenient&max_running=3").await;
    let wrong = press(&site, &cookie, PATH, "mode=strict&max_running=3").await;
    let none = press(&site, &cookie, PATH, "mode=modern&max_running=0").await;

    assert_eq!(saved.header("location"), PATH);
    assert_eq!(
        (wrong.status, none.status),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::UNPROCESSABLE_ENTITY
        )
    );
    let page = show(&site, &cookie, PATH).await.text();
    assert!(page.contains(r#"value="lenient" checked"#) && page.contains(r#"value="3""#));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn the_step_cache_is_switched_off_and_on(db: PgPool) {
    let site = Site::open(db).await;
    let cookie = log_in(&site).await;

    let before = show(&site, &cookie, PATH).await.text();
    let form = "mode=modern&max_running=3&step_cache=off";
    press(&site, &cookie, PATH, form).await;
    let after = show(&site, &cookie, PATH).await.text();

    let checked = |page: &str, switch: &str| {
        page.contains(&format!(r#"name="step_cache" value="{switch}" checked"#))
    };
    assert!(checked(&before, "on") && !checked(&before, "off"));
    assert!(checked(&after, "off") && !checked(&after, "on"));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn another_webhook_secret_is_shown_once(db: PgPool) {
    let site = Site::open(db).await;
    let cookie = log_in(&site).await;

    let made = press(&site, &cookie, &format!("{PATH}/secret"), "").await;
    let later = show(&site, &cookie, PATH).await.text();

    let secret = text(&site, "SELECT webhook_secret FROM collections").await;
    assert_ne!(secret, ["s"]);
    assert!(made.text().contains(&secret[0]), "{}", made.text());
    assert!(!later.contains(&secret[0]));
    assert!(later.contains("http://hub.example.org/webhooks/github"));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_account_is_added_replaced_and_removed_and_its_password_never_shown(db: PgPool) {
    let site = Site::open(db).await;
    let cookie = log_in(&site).await;
    let accounts = format!("{PATH}/accounts");

    let added = press(&site, &cookie, &accounts, ACCOUNT).await;
    let shown = show(&site, &cookie, PATH).await.text();
    let again = "registry=ghcr.io&username=robot&password=hunter33";
    press(&site, &cookie, &accounts, again).await;
    let replaced = show(&site, &cookie, PATH).await.text();
    let wrong = "registry=https%3A%2F%2Fghcr.io&username=lab&password=hunter44";
    let refused = press(&site, &cookie, &accounts, wrong).await;
    let gone = format!("{accounts}/remove");
    let removed = press(&site, &cookie, &gone, "registry=ghcr.io").await;

    assert_eq!(added.header("location"), format!("{PATH}#accounts"));
    assert!(shown.contains("docker://ghcr.io/") && shown.contains(r#"<span class="mono">lab<"#));
    assert!(replaced.contains(r#"<span class="mono">robot<"#));
    assert!(!replaced.contains(r#"<span class="mono">lab<"#));
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused
            .text()
            .contains("is not a host, or a host and a port")
    );
    assert!(refused.text().contains(r#"value="https://ghcr.io""#));
    assert_eq!(removed.status, StatusCode::SEE_OTHER);
    let last = show(&site, &cookie, PATH).await.text();
    assert!(!last.contains("robot"));
    for page in [shown, replaced, refused.text(), last] {
        assert!(!page.contains("hunter"), "{page}");
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_check_waits_for_a_worker_and_shows_which_step_is_wrong(db: PgPool) {
    let site = Site::open(db).await;
    let cookie = log_in(&site).await;
    let checks = format!("{PATH}/checks");

    let asked = press(&site, &cookie, &checks, "uri=docker://ghcr.io/lab/base").await;
    let page = asked.header("location").to_owned();
    let waiting = show(&site, &cookie, &page).await.text();
    let steps = serde_json::json!([
        {"subject": "host", "verdict": "good", "message": format!("it answers {HOSTILE}"),
         "facts": {"realm": HOSTILE}},
        {"subject": "login", "verdict": "bad", "message": "ghcr.io refuses the account",
         "help": "set another"},
    ]);
    sqlx::query("UPDATE registry_checks SET state = 'answered', steps = $1")
        .bind(steps)
        .execute(&site.hub.db)
        .await
        .unwrap();
    let answered = show(&site, &cookie, &page).await.text();
    let listed = show(&site, &cookie, PATH).await.text();
    let refused = press(
        &site,
        &cookie,
        &checks,
        "uri=docker://lab:hunter22@ghcr.io/a",
    )
    .await;

    assert!(page.starts_with("/Lab/tool/settings/checks/"), "{page}");
    assert!(waiting.contains(r#"http-equiv="refresh""#) && waiting.contains("data-refresh"));
    assert!(!answered.contains("refresh"), "{answered}");
    for told in [
        "ghcr.io refuses the account",
        "set another",
        "login",
        "realm",
    ] {
        assert!(answered.contains(told), "{told}: {answered}");
    }
    assert!(!answered.contains("<script>alert"));
    assert!(listed.contains(&page));
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("set as an account"));
    assert!(!refused.text().contains("hunter22"));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_check_of_one_collection_is_not_shown_by_another(db: PgPool) {
    let site = Site::open(db).await;
    let cookie = log_in(&site).await;
    sqlx::query(
        "INSERT INTO collections (id, name, clone_url, forge, webhook_secret)
        VALUES (gen_random_uuid(), 'Lab/other', '/srv/other', 'github', 't')",
    )
    .execute(&site.hub.db)
    .await
    .unwrap();
    let checks = format!("{PATH}/checks");
    let asked = press(&site, &cookie, &checks, "uri=busybox").await;

    let page = asked.header("location").replace("tool", "other");

    let answer = show(&site, &cookie, &page).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}
