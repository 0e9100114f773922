//! GitHub's API as it documents it: the one provider that cannot be run here.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde_json::{Map, Value, json};
use sqlx::PgPool;

use super::browser::{Browser, hub_with};

/// Answers for one person, who is a member of `lab` and waits to be one of `others`.
async fn start() -> String {
    let app = Router::new()
        .route("/login/oauth/access_token", post(token))
        .route("/api/v3/user", get(user))
        .route("/api/v3/user/emails", get(emails))
        .route("/api/v3/user/memberships/orgs/{name}", get(membership));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = format!("http://{}", listener.local_addr().unwrap());
    let app = app.with_state(web.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    web
}

async fn token(Form(form): Form<Map<String, Value>>) -> Json<Value> {
    assert_eq!(
        (&form["client_id"], &form["client_secret"]),
        (&json!("hub"), &json!("s+cret"))
    );
    assert_eq!(
        form["redirect_uri"],
        "http://hub.example/auth/callback/corp"
    );
    if form["code"].as_str().unwrap().starts_with("spent") {
        return Json(json!({ "error": "bad_verification_code" }));
    }
    Json(json!({ "access_token": "gho_1", "token_type": "bearer", "scope": "" }))
}

fn check(headers: &HeaderMap) {
    assert_eq!(headers["authorization"], "Bearer gho_1");
    assert_eq!(headers["user-agent"], "cooperage");
}

async fn user(State(_web): State<String>, headers: HeaderMap) -> Json<Value> {
    check(&headers);
    Json(json!({ "id": 583_231, "login": "octocat", "email": "octocat@example.org" }))
}

async fn emails(headers: HeaderMap) -> Json<Value> {
    check(&headers);
    Json(json!([
        { "email": "octocat@example.org", "verified": false, "primary": true },
        { "email": "octocat@users.example", "verified": true, "primary": false },
    ]))
}

async fn membership(
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    check(&headers);
    match name.as_str() {
        "lab" => Ok(Json(json!({ "state": "active" }))),
        "others" => Ok(Json(json!({ "state": "pending" }))),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

fn settings(web: &str, more: &str) -> String {
    format!(
        "[[providers]]\nid = \"corp\"\nname = \"GitHub\"\nkind = \"github\"\nweb = \"{web}\"\n\
         client_id = \"hub\"\nclient_secret_file = \"SECRET\"\nnewcomers = \"join\"\n{more}\n"
    )
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn people_of_github_sign_in_by_their_number(db: PgPool) {
    let web = start().await;
    let (world, hub) = hub_with(
        db,
        &settings(&web, "allowed_organisations = [\"none\", \"lab\"]"),
    );
    let mut browser = Browser::new(&hub);

    let left = browser.get("/auth/sign-in/corp").await;
    let signed_in = browser.sign_in().await;
    let back = browser.leave("/").await;
    let spent = browser.get(&back.replace("code=", "code=spent")).await;

    assert!(
        left.location()
            .starts_with(&format!("{web}/login/oauth/authorize?"))
    );
    assert!(left.location().contains("scope=read%3Aorg"));
    assert_eq!(
        signed_in.status,
        StatusCode::SEE_OTHER,
        "{}",
        signed_in.text
    );
    assert_eq!(browser.account().await.as_deref(), Some("octocat"));
    assert_eq!(spent.status, StatusCode::UNPROCESSABLE_ENTITY);
    let identities = world
        .texts("SELECT issuer || ' ' || subject FROM identities")
        .await;
    assert_eq!(identities, [format!("{web} 583231")]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn neither_who_waits_for_a_membership_nor_an_unproven_address_is_let_in(db: PgPool) {
    let web = start().await;
    for (more, status) in [
        (
            "allowed_organisations = [\"others\", \"none\"]",
            StatusCode::FORBIDDEN,
        ),
        ("allowed_domains = [\"example.org\"]", StatusCode::FORBIDDEN),
        (
            "allowed_domains = [\"users.example\"]",
            StatusCode::SEE_OTHER,
        ),
    ] {
        let (_world, hub) = hub_with(db.clone(), &settings(&web, more));
        let page = Browser::new(&hub).sign_in().await;
        assert_eq!(page.status, status, "{more}: {}", page.text);
    }
}
