//! The hub as a keystore, as clients and other people's programs ask it.

use axum::http::StatusCode;
use sqlx::PgPool;

use crate::support::{Answer, Site, request};

/// A key that somebody made with a program of theirs, and later revoked.
const KEY: &str = include_str!("keys/ada.asc");
const REVOKED: &str = include_str!("keys/ada-revoked.asc");
/// A key that lasted a year, and what its owner later said of it.
const EXPIRED: &str = include_str!("keys/ben-expired.asc");
const RENEWED: &str = include_str!("keys/ben.asc");
const FINGERPRINT: &str = "F039A649A9CB63D14E4F1F19A1BA7E559DA1A965";

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Makes an account with a token of this scope.
async fn add_account(site: &Site, name: &str, scope: &str) -> String {
    let token = format!("token of {name}");
    let hash = cooperage_server::auth::hash_token(&token);
    sqlx::query("INSERT INTO users (id, name) VALUES (gen_random_uuid(), $1)")
        .bind(name)
        .execute(&site.hub.db)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO api_tokens (token_hash, user_id, name, scopes)
        SELECT $1, id, 'laptop', ARRAY[$2] FROM users WHERE name = $3",
    )
    .bind(&hash[..])
    .bind(scope)
    .bind(name)
    .execute(&site.hub.db)
    .await
    .unwrap();
    format!("BEARER {token}")
}

fn form(text: &str) -> String {
    let bytes = text.bytes();
    bytes.fold("keytext=".to_owned(), |form, byte| {
        form + &format!("%{byte:02X}")
    })
}

async fn add(site: &Site, token: &str, text: &str) -> Answer {
    let headers = [FORM, ("authorization", token)];
    site.ask(request("POST", "/pks/add", &headers, &form(text)))
        .await
}

async fn look_up(site: &Site, query: &str) -> Answer {
    site.get(&format!("/pks/lookup?{query}"), &[]).await
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_key_that_is_added_is_found_by_all_its_names(db: PgPool) {
    let site = Site::open(db).await;
    let token = add_account(&site, "ada", "push").await;

    let before = look_up(&site, &format!("op=get&search=0x{FINGERPRINT}")).await;
    let added = add(&site, &token, KEY).await;
    let again = add(&site, &token, KEY).await;

    assert_eq!(before.status, StatusCode::NOT_FOUND);
    assert!(
        before.text().contains("there is no key"),
        "{}",
        before.text()
    );
    assert_eq!(added.status, StatusCode::OK, "{}", added.text());
    assert_eq!(again.status, StatusCode::OK, "{}", again.text());
    let (long, short) = (&FINGERPRINT[24..], FINGERPRINT[32..].to_lowercase());
    for search in [
        format!("0x{FINGERPRINT}"),
        format!("0x{}", FINGERPRINT.to_lowercase()),
        format!("0x{long}"),
        format!("0x{short}"),
        FINGERPRINT.to_owned(),
        "ada%40EXAMPLE.org".to_owned(),
        "Ada+(x)+%3Cada%40example.org%3E&exact=on".to_owned(),
    ] {
        let index = look_up(&site, &format!("op=index&options=mr&search={search}")).await;
        let index = index.text();
        assert!(
            index.starts_with(&format!("info:1:1\npub:{FINGERPRINT}:1:2048:")),
            "{index}"
        );
        assert!(
            index.contains("\nuid:Ada (x) <ada@example.org>:"),
            "{index}"
        );
        let found = look_up(&site, &format!("op=get&search={search}"))
            .await
            .text();
        assert!(
            found.contains("BEGIN PGP PUBLIC KEY BLOCK"),
            "{search}: {found}"
        );
    }
    for search in ["0x12", "", "ada&op=other", "ada&x-pagetoken=x"] {
        let refused = look_up(&site, &format!("search={search}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{search}");
    }
    let none = look_up(&site, "op=get&search=ada&exact=on").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn what_the_owner_of_a_key_signed_is_taken_from_anybody_and_stays(db: PgPool) {
    let site = Site::open(db).await;
    let ada = add_account(&site, "ada", "push").await;
    let eve = add_account(&site, "eve", "push").await;
    let reader = add_account(&site, "reader", "read").await;
    let index = async || look_up(&site, "op=vindex&search=ada").await.text();

    let unknown = request("POST", "/pks/add", &[FORM], &form(KEY));
    assert_eq!(site.ask(unknown).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(add(&site, &reader, KEY).await.status, StatusCode::FORBIDDEN);
    assert_eq!(add(&site, &eve, KEY).await.status, StatusCode::OK);
    assert_eq!(add(&site, &ada, REVOKED).await.status, StatusCode::OK);
    let revoked = index().await;
    assert_eq!(add(&site, &eve, KEY).await.status, StatusCode::OK);

    assert!(revoked.lines().nth(1).unwrap().ends_with(":r"), "{revoked}");
    assert_eq!(index().await, revoked);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_key_is_renewed_by_its_owner_whoever_added_it(db: PgPool) {
    let site = Site::open(db).await;
    let stranger = add_account(&site, "stranger", "push").await;
    let ben = add_account(&site, "ben", "push").await;
    let index = async || look_up(&site, "op=index&search=ben").await.text();

    add(&site, &stranger, EXPIRED).await;
    let before = index().await;
    let added = add(&site, &ben, RENEWED).await;
    let after = index().await;
    let again = add(&site, &stranger, EXPIRED).await;

    let expired = "pub:8C003B47FBC6CD67E1F60C835F69A305EDBE003C:1:2048:1577836800:1609372800:e\n";
    assert!(before.contains(expired), "{before}");
    assert_eq!(added.status, StatusCode::OK, "{}", added.text());
    let renewed = expired.replace("1609372800:e", ":");
    assert!(after.contains(&renewed), "{after}");
    assert!(after.contains("ben@example.org"), "{after}");
    assert!(after.contains("ben@lab.example.org"), "{after}");
    assert_eq!(again.status, StatusCode::OK, "{}", again.text());
    assert_eq!(index().await, after);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn what_is_no_key_is_refused_and_nothing_of_it_is_kept(db: PgPool) {
    let site = Site::open(db).await;
    let token = add_account(&site, "ada", "push").await;
    let (middle, _) = KEY.split_at(KEY.len() / 2);

    for text in ["", "a key", middle, &format!("{KEY}\n{KEY}")] {
        let refused = add(&site, &token, text).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
    }
    let large = add(&site, &token, &"x".repeat(100_000)).await;
    let other = [("content-type", "text/plain"), ("authorization", &*token)];
    let other = site.ask(request("POST", "/pks/add", &other, KEY)).await;

    assert_eq!(
        large.status,
        StatusCode::PAYLOAD_TOO_LARGE,
        "{}",
        large.text()
    );
    assert!(other.status.is_client_error(), "{}", other.text());
    let none = look_up(&site, "search=ada").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn the_administrator_rotates_the_hubs_key_and_old_ones_stay(db: PgPool) {
    let site = Site::open(db).await;
    let token = format!("Bearer {}", site.secret("admin-token"));
    let headers = [("authorization", &*token)];
    let ask = async |method: &str, path: &str| site.ask(request(method, path, &headers, "")).await;
    add(&site, &token, KEY).await;

    let first = ask("POST", "/api/keys/rotate").await;
    let second = ask("POST", "/api/keys/rotate").await;
    let list = ask("GET", "/api/keys").await;

    assert_eq!(first.status, StatusCode::CREATED);
    let [first, second, list] = [first, second, list]
        .map(|answer| serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap());
    let uses: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["usage"])
        .collect();
    assert_eq!(uses, ["signs", "signed", "added"]);
    assert_eq!(list[0]["fingerprint"], second["fingerprint"]);
    assert_eq!(list[1]["fingerprint"], first["fingerprint"]);
    let old = first["fingerprint"].as_str().unwrap();
    let found = look_up(&site, &format!("op=get&search=0x{old}")).await;
    assert_eq!(found.status, StatusCode::OK);

    let stays = ask("DELETE", &format!("/api/keys/{old}")).await;
    let goes = ask("DELETE", &format!("/api/keys/{FINGERPRINT}")).await;
    let gone = ask("DELETE", &format!("/api/keys/{FINGERPRINT}")).await;
    assert_eq!(stays.status, StatusCode::NOT_FOUND);
    assert_eq!(goes.status, StatusCode::NO_CONTENT);
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let own = add(&site, &token, &found.text()).await;
    assert_eq!(own.status, StatusCode::OK);
    assert_eq!(
        ask("GET", "/api/keys")
            .await
            .text()
            .matches("fingerprint")
            .count(),
        2
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn keys_are_found_by_who_shows_a_token_of_another_server(db: PgPool) {
    let site = Site::open(db).await;
    let token = add_account(&site, "ada", "push").await;
    add(&site, &token, KEY).await;
    let path = format!("/pks/lookup?op=get&search=0x{FINGERPRINT}");

    for token in ["BEARER of-another-hub", "BEARER ", ""] {
        let found = site.get(&path, &[("authorization", token)]).await;

        assert_eq!(found.status, StatusCode::OK, "{token:?}: {}", found.text());
    }
    let refused = add(&site, "BEARER of-another-hub", REVOKED).await;

    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}
