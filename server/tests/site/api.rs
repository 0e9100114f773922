//! The JSON API: lists in parts, what was published, and its description.

use axum::http::StatusCode;
use cooperage_protocol::admin::{AddedCollection, Build, Problem};
use cooperage_protocol::published::{Delivery, Image, ImageDetail, Phase, TaggedImage};
use serde_json::Value;
use sqlx::PgPool;

use crate::support::{Answer, Site, request};

async fn call(site: &Site, method: &str, path: &str) -> Answer {
    let token = format!("Bearer {}", site.secret("admin-token"));
    site.ask(request(method, path, &[("authorization", &token)], ""))
        .await
}

async fn get<T: serde::de::DeserializeOwned>(site: &Site, path: &str) -> T {
    let answer = call(site, "GET", path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_list_is_given_in_parts_that_say_where_it_goes_on(db: PgPool) {
    let site = Site::open(db).await;
    for tag in ["a", "b", "c"] {
        site.add_build("failed", tag).await;
    }
    site.add_build("queued", "d").await;

    let mut seen = Vec::new();
    let mut path = "/api/builds?collection=lab/tool&state=failed&limit=2".to_owned();
    loop {
        let answer = call(&site, "GET", &path).await;
        let builds: Vec<Build> = serde_json::from_slice(&answer.body).unwrap();
        seen.extend(builds.into_iter().map(|build| build.tag.to_string()));
        let Some((next, _)) = answer.header("link").split_once(">; rel=\"next\"") else {
            break;
        };
        next.trim_start_matches('<').clone_into(&mut path);
    }

    assert_eq!(seen, ["c", "b", "a"]);
    for wrong in ["limit=0", "limit=1001", "limit=x", "offset=-1", "state=new"] {
        let refused = call(&site, "GET", &format!("/api/builds?{wrong}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(refused.header("content-type"), "application/problem+json");
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn what_pages_show_of_a_collection_is_there_for_programs(db: PgPool) {
    let site = Site::open(db).await;
    let digest = site.publish("v1", b"the image").await;
    let delivery = site.add_delivery("done", Some("built")).await;
    let path = |rest: &str| format!("/api/collections/lab/TOOL{rest}");

    let tags: Vec<TaggedImage> = get(&site, &path("/tags")).await;
    let images: Vec<Image> = get(&site, &path("/images")).await;
    let by_tag: ImageDetail = get(&site, &path("/tags/v1")).await;
    let by_digest: ImageDetail = get(&site, &path(&format!("/images/{digest}"))).await;
    let deliveries: Vec<Delivery> = get(&site, &path("/deliveries")).await;

    assert_eq!((tags[0].tag.as_str(), tags[0].digest), ("v1", digest));
    assert_eq!(images, std::slice::from_ref(&by_tag.image));
    assert_eq!(by_tag, by_digest);
    assert!(by_tag.facts.definition.contains("debian:12"));
    assert_eq!(deliveries[0].id, delivery);
    let file = call(&site, "GET", &by_tag.image.download).await;
    assert_eq!(file.body, b"the image");
    let missing = call(&site, "GET", &path("/tags/v2")).await;
    let problem: Problem = serde_json::from_slice(&missing.body).unwrap();
    assert_eq!(
        problem.detail,
        "Lab/tool has no such image; its tags are v1"
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_build_is_built_again_once_it_has_ended(db: PgPool) {
    let site = Site::open(db).await;
    let ended = site.add_build("failed", "v1").await;
    site.add_phase(ended, "post").await;

    let again = call(&site, "POST", &format!("/api/builds/{ended}/rebuild")).await;
    let phases: Vec<Phase> = get(&site, &format!("/api/builds/{ended}/phases")).await;

    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text());
    let build: Build = serde_json::from_slice(&again.body).unwrap();
    let first: Build = get(&site, &format!("/api/builds/{ended}")).await;
    assert_eq!(build.state.as_str(), "queued");
    assert_eq!((build.commit, build.recipe), (first.commit, first.recipe));
    assert_eq!(phases[0].name, "post");
    let early = call(&site, "POST", &format!("/api/builds/{}/rebuild", build.id)).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_webhooks_secret_is_renewed(db: PgPool) {
    let site = Site::open(db).await;

    let answer = call(&site, "POST", "/api/collections/lab/tool/secret").await;

    let renewed: AddedCollection = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(renewed.secret.len(), 64);
    assert_eq!(renewed.name.to_string(), "Lab/tool");
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn the_description_is_for_programs_and_its_page_for_people(db: PgPool) {
    let site = Site::open(db).await;

    let api: Value = get(&site, "/api/openapi.json").await;
    let page = site.page("/api").await;

    assert!(page.contains("<code>Authorization: Bearer TOKEN</code>"));
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1."));
    for (path, item) in api["paths"].as_object().unwrap() {
        assert!(page.contains(path), "{path} is not on the page");
        for operation in item.as_object().unwrap().values() {
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let told = answer["description"].as_str().unwrap_or_default();
                assert!(!told.is_empty(), "{path}: {status} is not described");
            }
        }
    }
    for shape in api["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("id=\"shape-{shape}\"")), "{shape}");
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn text_with_a_zero_byte_is_refused_as_the_callers_mistake(db: PgPool) {
    let site = Site::open(db).await;
    let token = format!("Bearer {}", site.secret("admin-token"));
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
    ];
    let account = r#"{"registry":"ghcr.io","username":"a\u0000","password":"b"}"#;
    let collection = r#"{"name":"lab/other","clone_url":"https://example.org/\u0000"}"#;
    for (method, path, body) in [
        ("POST", "/api/collections", collection),
        ("POST", "/api/collections/lab/tool/credentials", account),
        ("GET", "/api/collections?search=%00", ""),
        ("GET", "/v1/search?value=too%00l", ""),
        ("GET", "/?q=%00", ""),
    ] {
        let answer = site.ask(request(method, path, &headers, body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path}");
        assert!(answer.text().contains("zero byte"), "{}", answer.text());
    }
    let file = r#"{"file":"v1.sif\u0000","seconds":60}"#;
    let path = "/api/collections/lab/tool/links";
    let link = site.ask(request("POST", path, &headers, file)).await;
    assert_eq!(link.status, StatusCode::UNPROCESSABLE_ENTITY);
}
