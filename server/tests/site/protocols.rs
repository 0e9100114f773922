//! Pulls by `library://` and `oras://`, as their clients ask.

use axum::http::StatusCode;
use cooperage_protocol::Digest;
use serde_json::Value;
use sqlx::PgPool;

use crate::support::Site;

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_library_client_finds_an_image_by_tag_and_by_hash_and_fetches_its_bytes(db: PgPool) {
    let site = Site::open(db).await;
    let digest = site.publish("v1", b"the bytes of an image").await;
    let hash = format!("sha256.{}", digest.hex());

    for reference in ["v1", hash.as_str()] {
        let path = format!("/v1/images/lab/tool/tool:{reference}?arch=amd64");
        let image = &json(&site.get(&path, &[]).await.body)["data"];
        assert_eq!(image["hash"], hash.as_str(), "{reference}");
        assert_eq!(image["size"], 21);
        assert_eq!(image["uploaded"], true);
        let path = format!("/v1/imagefile//lab/tool/tool:{reference}?arch=amd64");
        let file = site.get(&path, &[]).await;
        assert_eq!(
            (file.status, Digest::of(&file.body)),
            (StatusCode::OK, digest)
        );
        let part = site.get(&path, &[("range", "bytes=4-8")]).await;
        assert_eq!(
            (part.status, part.text()),
            (StatusCode::PARTIAL_CONTENT, "bytes".to_owned())
        );
    }
    let config = json(&site.get("/assets/config/config.prod.json", &[]).await.body);
    assert_eq!(config["libraryAPI"]["uri"], "http://hub.example.org");
    assert!(config.as_object().unwrap().values().all(Value::is_object));
    assert!(json(&site.get("/version", &[]).await.body)["data"]["apiVersion"].is_string());
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_library_client_is_told_what_there_is_instead(db: PgPool) {
    let site = Site::open(db).await;
    site.publish("v1", b"image").await;

    for (path, part) in [
        ("/v1/images/lab/tool/tool:v2", "its tags are v1"),
        ("/v1/images/lab/tool/tool:v1?arch=arm64", "only for amd64"),
        ("/v1/images/lab/tool/other:v1", "owner/repo/repo"),
        ("/v1/imagefile/lab/none/none", "no collection lab/none"),
        ("/v1/oci-redirect?namespace=lab/tool", ""),
    ] {
        let answer = site.get(path, &[]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        if !part.is_empty() {
            let error = &json(&answer.body)["error"];
            assert_eq!(error["code"], 404, "{path}");
            assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        }
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_registry_client_fetches_manifest_configuration_and_layer(db: PgPool) {
    let site = Site::open(db).await;
    let digest = site.publish("v1", b"the bytes of an image").await;
    let token = format!("Bearer {}", site.secret("admin-token"));
    let known = site.get("/v2/", &[("authorization", token.as_str())]).await;
    assert_eq!(known.status, StatusCode::OK);
    assert_eq!(site.get("/v2/", &[]).await.status, StatusCode::UNAUTHORIZED);

    let by_tag = site.get("/v2/lab/tool/manifests/v1", &[]).await;
    let name = by_tag.header("docker-content-digest").to_owned();
    let by_digest = site
        .get(&format!("/v2/lab/tool/manifests/{name}"), &[])
        .await;

    assert_eq!(
        by_tag.header("content-type"),
        "application/vnd.oci.image.manifest.v1+json"
    );
    assert_eq!(Digest::of(&by_tag.body).to_string(), name);
    assert_eq!(by_tag.body, by_digest.body);
    let manifest = json(&by_tag.body);
    assert_eq!(manifest["layers"][0]["digest"], digest.to_string());
    assert_eq!(manifest["layers"][0]["size"], 21);
    let config = manifest["config"]["digest"].as_str().unwrap();
    let config = site.get(&format!("/v2/lab/tool/blobs/{config}"), &[]).await;
    assert_eq!(config.text(), "{}");
    let blob = format!("/v2/lab/tool/blobs/{digest}");
    assert_eq!(Digest::of(&site.get(&blob, &[]).await.body), digest);
    let part = site.get(&blob, &[("range", "bytes=4-8")]).await;
    assert_eq!(
        (part.status, part.text()),
        (StatusCode::PARTIAL_CONTENT, "bytes".to_owned())
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_registry_client_is_told_of_tags_page_by_page_and_of_errors_by_code(db: PgPool) {
    let site = Site::open(db).await;
    for tag in ["v1", "v2", "v3"] {
        site.publish(tag, tag.as_bytes()).await;
    }

    let first = site.get("/v2/lab/tool/tags/list?n=2", &[]).await;
    let second = site.get("/v2/lab/tool/tags/list?n=2&last=v2", &[]).await;

    assert_eq!(json(&first.body)["tags"], serde_json::json!(["v1", "v2"]));
    assert_eq!(
        first.header("link"),
        "</v2/lab/tool/tags/list?n=2&last=v2>; rel=\"next\""
    );
    assert_eq!(json(&second.body)["tags"], serde_json::json!(["v3"]));
    assert_eq!(second.header("link"), "");
    let nowhere = format!("/v2/lab/tool/blobs/{}", Digest::of(b"x"));
    for (path, code) in [
        ("/v2/lab/tool/manifests/v9", "MANIFEST_UNKNOWN"),
        ("/v2/lab/tool/manifests/sha256:0", "MANIFEST_UNKNOWN"),
        (nowhere.as_str(), "BLOB_UNKNOWN"),
    ] {
        let answer = site.get(path, &[("accept", "text/html")]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(json(&answer.body)["errors"][0]["code"], code, "{path}");
    }
    let token = format!("Bearer {}", site.secret("admin-token"));
    for path in ["/v2/lab/none/manifests/v1", "/v2/lab/none/tags/list"] {
        let stranger = site.get(path, &[]).await;
        let admin = site.get(path, &[("authorization", token.as_str())]).await;
        assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(json(&admin.body)["errors"][0]["code"], "NAME_UNKNOWN");
    }
}
