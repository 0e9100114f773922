//! Signing in, with a provider that lies, and with browsers that were not sent.

mod browser;
mod github;
mod provider;

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

use self::browser::{Browser, hub_with, oidc};
use self::provider::{Provider, Signed};
use crate::tests::World;
use crate::{Hub, accounts, auth};

const JOIN: &str = "newcomers = \"join\"";

async fn world(db: PgPool, more: &str) -> (Provider, World, Hub) {
    let provider = Provider::start().await;
    let (world, hub) = hub_with(db, &oidc(&provider.issuer, more));
    auth::ensure_admin(&hub.db, &hub.config.data).await.unwrap();
    (provider, world, hub)
}

/// A browser that is logged in to a new account, which was invited.
async fn settle(hub: &Hub, name: &str) -> Browser {
    let code = invite(hub, name).await;
    let mut browser = Browser::new(hub);
    let form = format!("code={code}&password=correct horse battery");
    browser.post("/auth/invitation", &form).await;
    assert_eq!(browser.account().await.as_deref(), Some(name));
    browser
}

async fn invite(hub: &Hub, name: &str) -> String {
    let new = serde_json::from_value(json!({ "name": name })).unwrap();
    let invitation = accounts::add_user(hub, &new).await.unwrap();
    invitation.url.split_once('#').unwrap().1.to_owned()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_newcomer_gets_an_account_of_a_free_name_and_the_same_one_again(db: PgPool) {
    let (provider, world, hub) = world(db, JOIN).await;
    provider.says(json!({ "preferred_username": "Admin" }));
    let mut browser = Browser::new(&hub);

    let first = browser.sign_in().await;
    let name = browser.account().await;
    provider.says(json!({ "preferred_username": "renamed" }));
    let mut elsewhere = Browser::new(&hub);
    elsewhere.sign_in().await;

    assert_eq!(
        (first.status, first.location()),
        (StatusCode::SEE_OTHER, "/queue")
    );
    assert_eq!(name.as_deref(), Some("admin-2"));
    assert_eq!(elsewhere.account().await, name);
    let rights = world
        .texts("SELECT name || is_admin FROM users ORDER BY name")
        .await;
    assert_eq!(rights, ["admintrue", "admin-2false"]);
    assert_eq!(browser.cookies["cooperage_sign_in"], "");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn no_token_is_taken_that_is_not_signed_for_this_hub_this_sign_in_and_now(db: PgPool) {
    let (provider, world, hub) = world(db, JOIN).await;
    let now = chrono::Utc::now().timestamp();
    let lies = [
        json!({ "nonce": "another" }),
        json!({ "nonce": null }),
        json!({ "aud": "another" }),
        json!({ "aud": ["hub", "another"] }),
        json!({ "azp": "another" }),
        json!({ "azp": 7 }),
        json!({ "iss": "https://another.example" }),
        json!({ "exp": now - 120 }),
        json!({ "exp": null }),
        json!({ "exp": (now + 300).to_string() }),
        json!({ "nbf": now + 300 }),
        json!({ "nbf": (now + 300).to_string() }),
        json!({ "sub": "" }),
        json!({ "sub": 1 }),
        // The userinfo is about another.
        json!({ "sub": "subject-2" }),
    ];
    for lie in lies {
        provider.says(lie.clone());
        assert_refused(&hub, &lie.to_string()).await;
    }
    provider.says(json!({}));
    let forgeries = [
        (Signed::Not, "none"),
        (Signed::ByThePublicKey, "public key as secret"),
        (Signed::ByTheSecret, "client's secret"),
        (Signed::ByAnother, "key of another"),
    ];
    for (forgery, told) in forgeries {
        provider.signs(forgery);
        assert_refused(&hub, told).await;
    }
    assert_eq!(world.texts("SELECT name FROM users").await, ["admin"]);

    provider.signs(Signed::Rightly);
    let mut browser = Browser::new(&hub);
    browser.sign_in().await;
    assert_eq!(browser.account().await.as_deref(), Some("ada"));
}

async fn assert_refused(hub: &Hub, told: &str) {
    let mut browser = Browser::new(hub);
    let page = browser.sign_in().await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
    assert!(
        page.text
            .contains("What Corp answered is not to be trusted"),
        "{told}"
    );
    assert_eq!(browser.account().await, None, "{told}");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn only_the_browser_that_was_sent_comes_back_and_once(db: PgPool) {
    let (_provider, _world, hub) = world(db, JOIN).await;
    let mut sent = Browser::new(&hub);
    let back = sent.leave("/queue").await;

    let mut another = Browser::new(&hub);
    let by_nobody = another.get(&back).await;
    another.leave("/").await;
    let by_another = another.get(&back).await;
    let without = sent.get("/auth/callback/corp?code=a.b").await;
    let cookie = sent.cookies["cooperage_sign_in"].clone();
    let first = sent.get(&back).await;
    sent.cookies.insert("cooperage_sign_in".to_owned(), cookie);
    let again = sent.get(&back).await;
    let mut slow = Browser::new(&hub);
    let late = slow.leave("/").await;
    sqlx::query("UPDATE sign_ins SET expires_at = now()")
        .execute(&hub.db)
        .await
        .unwrap();
    let late = slow.get(&late).await;

    assert_eq!(first.status, StatusCode::SEE_OTHER);
    for refused in [by_nobody, by_another, without, again, late] {
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text.contains("was not begun in this browser"));
    }
    assert_eq!(another.account().await, None);
    assert_eq!(slow.account().await, None);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_answer_leads_to_no_other_site_and_is_no_other_issuers(db: PgPool) {
    let (provider, _world, hub) = world(db, JOIN).await;
    for next in [
        "//evil.example",
        "https://evil.example/",
        "/%5Cevil.example",
    ] {
        let mut browser = Browser::new(&hub);
        let back = browser.leave(next).await;
        assert_eq!(browser.get(&back).await.location(), "/", "{next}");
    }
    let mut browser = Browser::new(&hub);
    let back = browser.leave("/").await;
    let mixed_up = browser
        .get(&format!("{back}&iss=https://another.example"))
        .await;
    let back = browser.leave("/").await;
    let right = browser
        .get(&format!("{back}&iss={}", provider.issuer))
        .await;
    let back = browser.leave("/").await;
    let denied = browser
        .get(&back.replace("code=", "error=access_denied&c="))
        .await;

    assert_eq!(mixed_up.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(right.status, StatusCode::SEE_OTHER);
    assert!(
        denied.text.contains("Corp did not sign you in"),
        "{}",
        denied.text
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_provider_may_change_its_keys(db: PgPool) {
    let (provider, _world, hub) = world(db, JOIN).await;
    let mut browser = Browser::new(&hub);
    browser.sign_in().await;

    provider.lie.lock().unwrap().key = 2;
    let changed = browser.sign_in().await;

    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.text);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_account_is_linked_by_its_owner_alone_and_never_by_its_name(db: PgPool) {
    let (provider, _world, hub) = world(db, JOIN).await;
    let mut owner = settle(&hub, "ada").await;
    provider.says(json!({ "email": "ada@example.org", "email_verified": true }));

    let mut same_name = Browser::new(&hub);
    same_name.sign_in().await;
    let taken = owner.leave_by("/auth/identities", "provider=corp").await;
    let taken = owner.get(&taken).await;
    set_subject(&provider, "subject-2");
    let back = owner.leave_by("/auth/identities", "provider=corp").await;
    let mut session = settle(&hub, "eve").await;
    std::mem::swap(
        session.cookies.get_mut(auth::SESSION_COOKIE).unwrap(),
        owner.cookies.get_mut(auth::SESSION_COOKIE).unwrap(),
    );
    let by_another = owner.get(&back).await;
    let back = session.leave_by("/auth/identities", "provider=corp").await;
    let linked = session.get(&back).await;
    let mut elsewhere = Browser::new(&hub);
    elsewhere.sign_in().await;

    assert_eq!(same_name.account().await.as_deref(), Some("ada-2"));
    assert_eq!(taken.status, StatusCode::CONFLICT);
    assert_eq!(by_another.status, StatusCode::FORBIDDEN);
    assert_eq!(linked.location(), "/auth/tokens#identities");
    assert_eq!(elsewhere.account().await.as_deref(), Some("ada"));
    assert!(session.get("/auth/tokens").await.text.contains("Unlink"));
}

fn set_subject(provider: &Provider, subject: &str) {
    let mut lie = provider.lie.lock().unwrap();
    lie.claims["sub"] = subject.into();
    lie.userinfo["sub"] = subject.into();
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_last_way_into_an_account_stays(db: PgPool) {
    let (_provider, _world, hub) = world(db, JOIN).await;
    let mut browser = Browser::new(&hub);
    browser.sign_in().await;
    let listed: Value = serde_json::from_str(&browser.get("/api/identities").await.text).unwrap();
    let form = format!("id={}", listed[0]["id"].as_str().unwrap());
    let mut other = settle(&hub, "eve").await;

    let others = other.post("/auth/identities/remove", &form).await;
    let last = browser.post("/auth/identities/remove", &form).await;
    let first = browser
        .post("/auth/password", "new=correct horse battery")
        .await;
    let second = browser
        .post("/auth/password", "new=another long password")
        .await;
    let removed = browser.post("/auth/identities/remove", &form).await;

    assert_eq!(listed[0]["provider"], "Corp");
    assert_eq!(listed[0]["name"], "ada");
    assert_eq!(others.status, StatusCode::NOT_FOUND);
    assert!(
        last.text.contains("This is the only way into your account"),
        "{}",
        last.text
    );
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(second.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(removed.location(), "/auth/tokens#identities");
    assert_eq!(browser.get("/api/identities").await.text, "[]");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn only_those_come_in_whom_the_settings_admit(db: PgPool) {
    let policy =
        "newcomers = \"join\"\nallowed_domains = [\"Example.org\"]\nallowed_groups = [\"lab\"]";
    let (provider, _world, hub) = world(db, policy).await;
    let right = json!({
        "email": "ada@EXAMPLE.org", "email_verified": true, "groups": ["others", "lab"],
    });
    let changes = [
        json!({ "email": null }),
        json!({ "email": "ada@example.org.evil.example" }),
        json!({ "email": "ada@notexample.org" }),
        json!({ "email_verified": false }),
        json!({ "email_verified": null }),
        json!({ "groups": null }),
        json!({ "groups": ["laboratory"] }),
    ];
    for change in changes {
        let mut claims = right.clone();
        claims
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        provider.says(claims);
        let page = Browser::new(&hub).sign_in().await;
        assert_eq!(
            page.status,
            StatusCode::FORBIDDEN,
            "{change}: {}",
            page.text
        );
    }
    provider.says(right);
    let page = Browser::new(&hub).sign_in().await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_unknown_need_an_invitation_and_the_disabled_stay_out(db: PgPool) {
    let (provider, world, hub) = world(db, "").await;
    let unknown = Browser::new(&hub).sign_in().await;
    let code = invite(&hub, "grace").await;
    let mut guest = Browser::new(&hub);

    let back = guest
        .leave_by(
            "/auth/invitation",
            &format!("code={code}&password=&provider=corp"),
        )
        .await;
    let came = guest.get(&back).await;
    set_subject(&provider, "subject-2");
    let mut another = Browser::new(&hub);
    let back = another
        .leave_by(
            "/auth/invitation",
            &format!("code={code}&password=&provider=corp"),
        )
        .await;
    let again = another.get(&back).await;
    set_subject(&provider, "subject-1");
    let name = guest.account().await;
    let change = serde_json::from_value(json!({ "is_disabled": true })).unwrap();
    accounts::change_user(&hub, &"grace".parse().unwrap(), &change)
        .await
        .unwrap();
    let disabled = Browser::new(&hub).sign_in().await;

    assert_eq!(unknown.status, StatusCode::FORBIDDEN);
    assert!(
        unknown
            .text
            .contains("ask an administrator for an invitation")
    );
    assert_eq!(
        (came.status, name.as_deref()),
        (StatusCode::SEE_OTHER, Some("grace"))
    );
    assert!(again.text.contains("This link was used"), "{}", again.text);
    assert_eq!(disabled.status, StatusCode::FORBIDDEN);
    assert_eq!(guest.account().await, None);
    assert_eq!(
        world.texts("SELECT name FROM users ORDER BY name").await,
        ["admin", "grace"]
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_provider_that_does_not_answer_costs_its_button_alone(db: PgPool) {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let (_world, hub) = hub_with(db, &oidc(&issuer, ""));
    let mut browser = Browser::new(&hub);

    let login = browser.get("/login?next=/queue").await;
    let pressed = browser.get("/auth/sign-in/corp?next=/queue").await;

    assert!(login.text.contains("Sign in with Corp"));
    assert_eq!(pressed.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        pressed.text.contains("Corp does not answer now"),
        "{}",
        pressed.text
    );
    assert_eq!(
        browser.get("/auth/sign-in/none").await.status,
        StatusCode::NOT_FOUND
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn many_that_never_come_back_are_forgotten(db: PgPool) {
    let (_provider, world, hub) = world(db, JOIN).await;
    for _ in 0..103 {
        Browser::new(&hub).leave("/").await;
    }
    assert_eq!(
        world.texts("SELECT count(*)::text FROM sign_ins").await,
        ["100"]
    );
}
