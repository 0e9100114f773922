//! Clients that ask for more than they may, told in the form of each protocol.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use serde_json::Value;
use sqlx::PgPool;

use crate::support::{Answer, Site, request};

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn who_asks_too_often_is_told_so_in_the_form_of_the_protocol(db: PgPool) {
    let mut site = Site::open(db).await;
    site.publish("v1", b"the bytes of an image").await;
    site.change(|config| config.rates.anonymous_per_minute = 1);
    site.get("/", &[]).await;

    for (path, place, told) in [
        (
            "/api/container/lab/tool:v1",
            "/error/message",
            "1 requests a minute",
        ),
        (
            "/api/container/lab/tool:v1",
            "/detail",
            "1 requests a minute",
        ),
        ("/lab/tool/v1.sif", "/detail", "1 requests a minute"),
        ("/lab/tool/v1.sif", "/error/code", "429"),
        ("/v1/images/lab/tool/tool:v1", "/error/code", "429"),
        (
            "/v1/imagefile/lab/tool/tool:v1",
            "/error/message",
            "send a token",
        ),
        ("/v2/", "/errors/0/code", "TOOMANYREQUESTS"),
        (
            "/v2/lab/tool/manifests/v1",
            "/errors/0/code",
            "TOOMANYREQUESTS",
        ),
        (
            "/v2/absent/tool/manifests/v1",
            "/errors/0/code",
            "TOOMANYREQUESTS",
        ),
        ("/api/collections", "/detail", "1 requests a minute"),
    ] {
        let answer = site.get(path, &[]).await;
        assert_is_too_many(&answer, path);
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        let found = json.pointer(place).map(ToString::to_string);
        assert!(
            found.is_some_and(|found| found.contains(told)),
            "{path}: {json}"
        );
    }
    let page = site.get("/", &[("accept", "text/html")]).await;
    assert_is_too_many(&page, "/");
    assert!(page.text().contains("<html") && page.text().contains("1 requests a minute"));
}

fn assert_is_too_many(answer: &Answer, path: &str) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&seconds), "{path}: {seconds}");
}

/// What is lost when it is refused is never refused for its rate.
#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn webhooks_workers_and_health_are_never_too_many(db: PgPool) {
    let mut site = Site::open(db).await;
    site.change(|config| config.rates.anonymous_per_minute = 1);
    site.get("/", &[]).await;

    for call in [
        "POST /webhooks/github",
        "POST /worker/claim",
        "PUT /v2/imagefile/00000000-0000-7000-8000-000000000000/bytes",
        "GET /healthz",
        "GET /static/cooperage.css",
    ] {
        let (method, path) = call.split_once(' ').unwrap();
        let answer = site.ask(request(method, path, &[], "")).await;
        assert_ne!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{call}");
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_account_is_counted_for_itself_wherever_it_is(db: PgPool) {
    let mut site = Site::open(db).await;
    site.change(|config| {
        config.rates.anonymous_per_minute = 1;
        config.rates.account_per_minute = 2;
    });
    let token = format!("Bearer {}", site.secret("admin-token"));
    site.get("/", &[]).await;

    let known = [("authorization", token.as_str())];
    let wrong = [("authorization", "Bearer nonsense")];
    let of_account = [
        site.get("/api/builds", &known).await.status,
        site.get("/api/builds", &known).await.status,
    ];
    let too_many = site.get("/api/builds", &known).await;
    let of_nobody = site.get("/api/builds", &wrong).await;

    assert_eq!(of_account, [StatusCode::OK; 2]);
    assert_is_too_many(&too_many, "of the account");
    assert_is_too_many(&of_nobody, "with a wrong token");
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn addresses_are_counted_apart_as_far_as_they_are_believed(db: PgPool) {
    let mut site = Site::open(db).await;
    site.change(|config| config.rates.anonymous_per_minute = 1);

    for (peer, forwarded, status) in [
        ("192.0.2.1:1", "", StatusCode::OK),
        ("192.0.2.1:2", "192.0.2.77", StatusCode::TOO_MANY_REQUESTS),
        ("192.0.2.2:1", "", StatusCode::OK),
        ("127.0.0.1:1", "192.0.2.3", StatusCode::OK),
        ("127.0.0.1:1", "192.0.2.4", StatusCode::OK),
        (
            "127.0.0.1:1",
            "10.0.0.1, 192.0.2.4",
            StatusCode::TOO_MANY_REQUESTS,
        ),
    ] {
        let answer = site.ask(from("GET", "/", peer, forwarded)).await;
        assert_eq!(answer.status, status, "{peer} {forwarded}");
    }
}

/// A request from an address.
fn from(method: &str, path: &str, peer: &str, forwarded: &str) -> Request<Body> {
    let mut request = request(method, path, &[], "");
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    if !forwarded.is_empty() {
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
    }
    request
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_client_downloads_so_much_a_day_and_others_go_on(db: PgPool) {
    let mut site = Site::open(db).await;
    let content = vec![7; 1 << 20];
    let digest = site.publish("v1", &content).await;
    site.change(|config| config.rates.client_mib_per_day = 1);
    let ask =
        async |method: &str, path: &str, peer: &str| site.ask(from(method, path, peer, "")).await;
    let blob = format!("/v2/lab/tool/blobs/{digest}");
    let one = "192.0.2.1:1";

    let first = ask("GET", "/lab/tool/v1.sif", one).await;
    let head = ask("HEAD", "/lab/tool/v1.sif", one).await;
    let manifest = ask("GET", "/v2/lab/tool/manifests/v1", one).await;
    let refused = ask("GET", "/lab/tool/v1.sif", one).await;
    let by_registry = ask("GET", &blob, one).await;
    let other = ask("GET", &blob, "192.0.2.2:1").await;

    assert_eq!(first.body, content);
    for answer in [&head, &manifest, &other] {
        assert_eq!(answer.status, StatusCode::OK);
    }
    for answer in [&refused, &by_registry] {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(answer.text().contains("1 MiB a day"), "{}", answer.text());
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=86_400).contains(&seconds), "{seconds}");
    }
    assert!(by_registry.text().contains("TOOMANYREQUESTS"));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_collection_is_downloaded_so_much_a_day_by_all_together(db: PgPool) {
    let mut site = Site::open(db).await;
    site.publish("v1", &vec![7; 1 << 20]).await;
    site.change(|config| config.rates.collection_mib_per_day = 1);

    let path = "/lab/tool/v1.sif";
    let first = site.ask(from("GET", path, "192.0.2.1:1", "")).await;
    let second = site.ask(from("GET", path, "192.0.2.2:1", "")).await;

    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(
        second.text().contains("of this collection"),
        "{}",
        second.text()
    );
}
