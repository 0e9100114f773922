//! Accounts: invited, let in by what they hold, and shut out when that is taken from them.

use axum::http::StatusCode;
use cooperage_protocol::accounts::{AddedToken, Invitation, Link, Session, Token};
use sqlx::PgPool;

use crate::support::{Answer, Site, request};

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const PASSWORD: &str = "correct horse battery";

fn parse<T: serde::de::DeserializeOwned>(answer: &Answer) -> T {
    serde_json::from_slice(&answer.body).unwrap()
}

async fn by_token(site: &Site, token: &str, method: &str, path: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), JSON];
    site.ask(request(method, path, &headers, body)).await
}

async fn by_admin(site: &Site, method: &str, path: &str, body: &str) -> Answer {
    by_token(site, &site.secret("admin-token"), method, path, body).await
}

async fn by_browser(site: &Site, cookie: &str, method: &str, path: &str, body: &str) -> Answer {
    let headers = [("cookie", cookie), FORM];
    site.ask(request(method, path, &headers, body)).await
}

fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie");
    cookie.split(';').next().unwrap_or_default().to_owned()
}

async fn log_in(site: &Site, name: &str, password: &str) -> Answer {
    let body = format!("name={name}&password={password}");
    by_browser(site, "", "POST", "/login", &body).await
}

/// Makes an account and takes its invitation; gives the cookie of its session.
async fn settle(site: &Site, name: &str) -> String {
    let made = by_admin(
        site,
        "POST",
        "/api/users",
        &format!(r#"{{"name": "{name}"}}"#),
    )
    .await;
    let code = code_of(&parse::<Invitation>(&made));
    let body = format!("code={code}&password={PASSWORD}");
    cookie_of(&by_browser(site, "", "POST", "/auth/invitation", &body).await)
}

fn code_of(invitation: &Invitation) -> String {
    let (_, code) = invitation.url.split_once("/auth/invitation#").unwrap();
    code.to_owned()
}

async fn make_token(site: &Site, cookie: &str, scopes: &str) -> String {
    let headers = [("cookie", cookie), JSON];
    let body = format!(r#"{{"name": "laptop", "scopes": [{scopes}], "days": 1}}"#);
    let made = site
        .ask(request("POST", "/api/tokens", &headers, &body))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    parse::<AddedToken>(&made).token
}

async fn hide(site: &Site, visibility: &str) {
    let body = format!(r#"{{"visibility": "{visibility}"}}"#);
    let hidden = by_admin(site, "PATCH", "/api/collections/Lab/tool", &body).await;
    assert_eq!(hidden.status, StatusCode::OK, "{}", hidden.text());
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_invitation_sets_a_password_once(db: PgPool) {
    let site = Site::open(db).await;
    let made = by_admin(&site, "POST", "/api/users", r#"{"name": "ada"}"#).await;
    let code = code_of(&parse(&made));

    let short = format!("code={code}&password=short");
    let short = by_browser(&site, "", "POST", "/auth/invitation", &short).await;
    let body = format!("code={code}&password={PASSWORD}");
    let first = by_browser(&site, "", "POST", "/auth/invitation", &body).await;
    let again = by_browser(&site, "", "POST", "/auth/invitation", &body).await;

    assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(first.status, StatusCode::SEE_OTHER);
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        log_in(&site, "Ada", PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        log_in(&site, "ada", "wrong").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert!(!made.text().contains(PASSWORD));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn another_password_ends_the_other_sessions_and_a_session_can_be_ended(db: PgPool) {
    let site = Site::open(db).await;
    let here = settle(&site, "ada").await;
    let elsewhere = cookie_of(&log_in(&site, "ada", PASSWORD).await);
    let third = cookie_of(&log_in(&site, "ada", PASSWORD).await);
    let sessions: Vec<Session> =
        parse(&by_browser(&site, &third, "GET", "/api/sessions", "").await);
    let own = sessions.iter().find(|session| session.is_this).unwrap().id;

    let ended = by_browser(&site, &here, "DELETE", &format!("/api/sessions/{own}"), "").await;
    let body = format!("old={PASSWORD}&new=another long one");
    let changed = by_browser(&site, &here, "POST", "/auth/password", &body).await;

    assert_eq!(sessions.len(), 3);
    assert_eq!(
        (ended.status, changed.status),
        (StatusCode::NO_CONTENT, StatusCode::OK)
    );
    for (cookie, status) in [
        (&here, StatusCode::OK),
        (&elsewhere, StatusCode::UNAUTHORIZED),
        (&third, StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(
            by_browser(&site, cookie, "GET", "/api/account", "")
                .await
                .status,
            status
        );
    }
    assert_eq!(
        log_in(&site, "ada", PASSWORD).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_token_is_listed_without_itself_and_dies_when_it_is_revoked(db: PgPool) {
    let site = Site::open(db).await;
    let cookie = settle(&site, "ada").await;
    let token = make_token(&site, &cookie, r#""read""#).await;

    let seen = by_token(&site, &token, "GET", "/v1/token-status", "").await;
    let stronger = by_token(&site, &token, "POST", "/api/tokens", "{}").await;
    let listed = by_browser(&site, &cookie, "GET", "/api/tokens", "").await;
    let tokens: Vec<Token> = parse(&listed);
    let page = by_browser(&site, &cookie, "GET", "/auth/tokens", "").await;
    let path = format!("/api/tokens/{}", tokens[0].id);
    by_browser(&site, &cookie, "DELETE", &path, "").await;
    let revoked = by_token(&site, &token, "GET", "/v1/token-status", "").await;
    let anywhere = by_token(&site, &token, "GET", "/", "").await;

    assert_eq!(
        (seen.status, stronger.status),
        (StatusCode::OK, StatusCode::FORBIDDEN)
    );
    assert!(tokens[0].last_used_at.is_some() && tokens[0].expires_at.is_some());
    assert!(!listed.text().contains(&token) && !page.text().contains(&token));
    assert!(page.text().contains("laptop"));
    assert_eq!(revoked.status, StatusCode::NOT_FOUND);
    assert_eq!(anywhere.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_registry_client_trades_its_token_and_both_die_together(db: PgPool) {
    let site = Site::open(db).await;
    site.publish("v1", b"image").await;
    hide(&site, "private").await;
    let cookie = settle(&site, "ada").await;
    let token = make_token(&site, &cookie, r#""push""#).await;
    let member = r#"{"user": "ada", "role": "reader"}"#;
    by_admin(&site, "PUT", "/api/collections/Lab/tool/members", member).await;
    let manifest = "/v2/lab/tool/manifests/v1";

    let asked = site.get(manifest, &[]).await;
    let basic = base64_of(&format!("whoever:{token}"));
    let account = [("authorization", basic.as_str())];
    let given = site
        .get(
            "/v2/token?service=hub&scope=repository:lab/tool:pull",
            &account,
        )
        .await;
    let given: serde_json::Value = parse(&given);
    let traded = given["token"].as_str().unwrap();
    let pulled = by_token(&site, traded, "GET", manifest, "").await;
    let nobody: serde_json::Value = parse(&site.get("/v2/token", &[]).await);
    let nobody = by_token(
        &site,
        nobody["token"].as_str().unwrap(),
        "GET",
        manifest,
        "",
    )
    .await;
    let forged = by_token(&site, &format!("{traded}x"), "GET", manifest, "").await;
    sqlx::query("DELETE FROM api_tokens WHERE name = 'laptop'")
        .execute(&site.hub.db)
        .await
        .unwrap();
    let revoked = by_token(&site, traded, "GET", manifest, "").await;

    let challenge = asked.header("www-authenticate");
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED);
    assert!(
        challenge.contains("scope=\"repository:lab/tool:pull\""),
        "{challenge}"
    );
    assert_eq!(
        site.get(manifest, &account).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(pulled.status, StatusCode::OK);
    for refused in [nobody, forged, revoked] {
        assert_eq!(
            refused.status,
            StatusCode::UNAUTHORIZED,
            "{}",
            refused.text()
        );
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_role_by_a_team_ends_with_the_team_and_with_the_account(db: PgPool) {
    let site = Site::open(db).await;
    hide(&site, "private").await;
    let cookie = settle(&site, "ada").await;
    let see = || by_browser(&site, &cookie, "GET", "/Lab/tool", "");

    assert_eq!(see().await.status, StatusCode::NOT_FOUND);
    by_admin(&site, "POST", "/api/teams", r#"{"name": "lab"}"#).await;
    by_admin(&site, "PUT", "/api/teams/lab/members/ada", "").await;
    let member = r#"{"team": "lab", "role": "builder"}"#;
    let given = by_admin(&site, "PUT", "/api/collections/Lab/tool/members", member).await;
    assert_eq!(given.status, StatusCode::NO_CONTENT, "{}", given.text());
    let page = see().await;
    assert!(page.text().contains("Build now") && !page.text().contains("Remove this"));
    let disable = r#"{"is_disabled": true}"#;
    by_admin(&site, "PATCH", "/api/users/ada", disable).await;
    assert_eq!(see().await.status, StatusCode::NOT_FOUND);
    by_admin(&site, "DELETE", "/api/teams/lab", "").await;
    let members = by_admin(&site, "GET", "/api/collections/Lab/tool/members", "").await;
    assert_eq!(members.text(), "[]");
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_link_is_good_for_its_file_and_as_long_as_its_maker_may_read(db: PgPool) {
    let site = Site::open(db).await;
    site.publish("v1", b"image").await;
    site.publish("v2", b"other").await;
    hide(&site, "private").await;
    let cookie = settle(&site, "ada").await;
    let member = r#"{"user": "ada", "role": "reader"}"#;
    by_admin(&site, "PUT", "/api/collections/Lab/tool/members", member).await;
    let headers = [("cookie", cookie.as_str()), JSON];
    let wish = r#"{"file": "v1.sif", "seconds": 60}"#;
    let path = "/api/collections/Lab/tool/links";
    let made: Link = parse(&site.ask(request("POST", path, &headers, wish)).await);
    let link = made.url.split_once("//").unwrap().1;
    let link = &link[link.find('/').unwrap()..];
    let at = &site;
    let get = |path: String| async move { at.get(&path, &[]).await.status };

    assert_eq!(site.get(link, &[]).await.text(), "image");
    assert_eq!(
        get(link.replace("v1.sif", "v2.sif")).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        get(link.replace("until=", "until=9")).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        get(link.replace("v1.sif", "tags/v1")).await,
        StatusCode::NOT_FOUND
    );
    by_admin(
        &site,
        "DELETE",
        "/api/collections/Lab/tool/members/user/ada",
        "",
    )
    .await;
    assert_eq!(get(link.to_owned()).await, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_reader_makes_a_link_by_the_button_of_an_image_that_is_not_public(db: PgPool) {
    let site = Site::open(db).await;
    site.publish("v1", b"image").await;
    let cookie = settle(&site, "ada").await;
    let page = || by_browser(&site, &cookie, "GET", "/Lab/tool/tags/v1", "");
    assert!(!page().await.text().contains("Make a link"));
    hide(&site, "internal").await;
    let form = page().await.text();
    let (_, action) = form.split_once("action=\"/Lab/tool/images/").unwrap();
    let (action, _) = action.split_once('"').unwrap();
    let action = format!("/Lab/tool/images/{}", action.trim_end_matches("#share"));

    let made = by_browser(&site, &cookie, "POST", &action, "hours=24").await;
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.text().replace("&#38;", "&").replace("&amp;", "&");
    let mut links = made.split("http://hub.example.org");
    let link = links.find(|link| link.contains("?by=")).unwrap();
    let link = &link[..link.find(['<', '"']).unwrap()];
    assert_eq!(site.get(link, &[]).await.text(), "image", "{link}");

    for hours in ["0", "721", "x"] {
        let refused = by_browser(&site, &cookie, "POST", &action, &format!("hours={hours}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{hours}");
    }
    assert_ne!(
        site.ask(request("POST", &action, &[], "hours=1"))
            .await
            .status,
        StatusCode::OK
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn somebody_always_runs_the_hub(db: PgPool) {
    let site = Site::open(db).await;

    for change in [r#"{"is_admin": false}"#, r#"{"is_disabled": true}"#] {
        let refused = by_admin(&site, "PATCH", "/api/users/admin", change).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    }
    assert_eq!(
        by_admin(&site, "GET", "/api/users", "").await.status,
        StatusCode::OK
    );
}

fn base64_of(account: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(account);
    format!("Basic {text}")
}
