//! What counts as a pull, and where it is shown.

use axum::http::StatusCode;
use serde_json::Value;
use sqlx::PgPool;

use crate::support::{Site, request, sif};

async fn pulls(site: &Site, path: &str) -> u64 {
    site.hub.write_pulls().await;
    let answer = site.get(path, &[]).await;
    let json: Value = serde_json::from_slice(&answer.body).unwrap();
    json["pulls"].as_u64().unwrap()
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_download_by_any_protocol_is_one_pull_and_a_look_is_none(db: PgPool) {
    let site = Site::open(db).await;
    let content: Vec<u8> = (0_u8..=255).cycle().take(20_000).collect();
    let digest = site.publish("v1", &content).await;
    let image = "/api/collections/Lab/tool/tags/v1";
    let etag = format!("\"{digest}\"");
    let blob = format!("/v2/lab/tool/blobs/{digest}");

    for path in ["/lab/tool/v1.sif", "/v1/imagefile/lab/tool/tool:v1", &blob] {
        site.get(path, &[]).await;
        site.ask(request("HEAD", path, &[], "")).await;
        site.get(path, &[("if-none-match", &etag)]).await;
    }
    for range in [
        "bytes=0-9999",
        "bytes=10000-19999",
        "bytes=0-9",
        "bytes=90000-",
    ] {
        site.get("/lab/tool/v1.sif", &[("range", range)]).await;
    }
    for path in [
        "/api/container/lab/tool:v1",
        "/v2/lab/tool/manifests/v1",
        "/lab/tool/v1.sif.layout",
        "/lab/tool/v1.sif.sha256",
    ] {
        assert_eq!(site.get(path, &[]).await.status, StatusCode::OK, "{path}");
    }

    assert_eq!(pulls(&site, image).await, 4);
    assert_eq!(pulls(&site, "/api/collections/Lab/tool").await, 4);
    for path in ["/lab/tool", "/lab/tool/tags/v1"] {
        assert!(site.page(path).await.contains("4 pulls"), "{path}");
    }
}

/// Pulls of a file count on when it is an image again, and a layer is no image.
#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn counts_add_up_and_belong_to_images(db: PgPool) {
    let site = Site::open(db).await;
    let content = sif("Bootstrap: scratch\n", &[]);
    site.publish("v1", &content).await;
    site.get("/lab/tool/v1.sif", &[]).await;
    let first = pulls(&site, "/api/collections/Lab/tool").await;
    site.publish("v2", &content).await;
    site.get("/lab/tool/v2.sif", &[]).await;

    let empty = "/v2/lab/tool/blobs/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(site.get(empty, &[]).await.status, StatusCode::OK);
    assert_eq!(first, 1);
    assert_eq!(pulls(&site, "/api/collections/Lab/tool/tags/v1").await, 2);
    assert_eq!(pulls(&site, "/api/collections/Lab/tool").await, 2);
}
