//! Pushes by `library://`, as the clients of the container library send them.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use cooperage_protocol::Digest;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Answer, Site, sif};

/// A library to which its administrator pushes, with no word of content types.
struct Library {
    site: Site,
    token: String,
}

impl Library {
    async fn open(db: PgPool) -> Self {
        let site = Site::open(db).await;
        let token = site.secret("admin-token");
        Self { site, token }
    }

    async fn call(&self, call: &str, body: &[u8]) -> Answer {
        self.site.call(&self.token, call, body).await
    }

    /// The data of an answer that has to be good.
    async fn data(&self, call: &str, body: Value) -> Value {
        let answer = self.call(call, body.to_string().as_bytes()).await;
        assert_eq!(answer.status, StatusCode::OK, "{call}: {}", answer.text());
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["data"].clone()
    }

    /// Sends bytes to an address, without an account.
    async fn send(&self, address: &str, bytes: &[u8]) -> StatusCode {
        let path = address.strip_prefix("http://hub.example.org").unwrap();
        let request = Request::put(path).body(Body::from(bytes.to_vec()));
        self.site.ask(request.unwrap()).await.status
    }

    async fn container(&self) -> String {
        let container = self
            .data("GET /v1/containers/lab/tool/tool", json!(null))
            .await;
        container["id"].as_str().unwrap().to_owned()
    }

    /// Says that an image will come; gives its id.
    async fn expect(&self, bytes: &[u8]) -> String {
        let hash = format!("sha256.{}", Digest::of(bytes).hex());
        let body = json!({ "hash": hash, "container": self.container().await, "description": "" });
        let image = self.data("POST /v1/images", body).await;
        assert_eq!(image["uploaded"], false);
        image["id"].as_str().unwrap().to_owned()
    }

    async fn push(&self, tag: &str, architecture: &str, bytes: &[u8]) -> String {
        let id = self.expect(bytes).await;
        let address = self
            .data(
                &format!("POST /v2/imagefile/{id}"),
                json!({ "filesize": bytes.len() }),
            )
            .await;
        let address = address["uploadURL"].as_str().unwrap();
        assert_eq!(self.send(address, bytes).await, StatusCode::OK);
        let complete = format!("PUT /v2/imagefile/{id}/_complete");
        let done = self.data(&complete, json!({})).await;
        assert!(done["quota"]["quotaUsage"].as_u64() >= Some(bytes.len() as u64));
        self.tag(tag, architecture, &id).await;
        id
    }

    async fn tag(&self, tag: &str, architecture: &str, id: &str) {
        let call = format!("POST /v2/tags/{}", self.container().await);
        let body = json!({ "Arch": architecture, "Tag": tag, "ImageID": id });
        self.data(&call, body).await;
    }

    async fn pulled(&self, path: &str) -> Option<Digest> {
        let answer = self.call(&format!("GET {path}"), b"").await;
        (answer.status == StatusCode::OK).then(|| Digest::of(&answer.body))
    }
}

/// A SIF of another architecture than `sif` makes.
fn of_arm64(mut image: Vec<u8>) -> Vec<u8> {
    image[45..48].copy_from_slice(b"04\0");
    image
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_image_is_announced_sent_and_tagged(db: PgPool) {
    let library = Library::open(db).await;
    let image = sif("Bootstrap: docker\nFrom: busybox\n", &[]);
    let digest = Digest::of(&image);
    assert_eq!(
        library.data("GET /v1/entities/lab", json!(null)).await["id"],
        "lab"
    );
    library
        .data("GET /v1/collections/lab/tool", json!(null))
        .await;

    let id = library.push("v1", "amd64", &image).await;

    for path in [
        "/v1/imagefile/lab/tool/tool:v1?arch=amd64",
        "/lab/tool/v1.sif",
        &format!("/v2/lab/tool/blobs/{digest}"),
    ] {
        assert_eq!(library.pulled(path).await, Some(digest), "{path}");
    }
    let hash = format!("sha256.{}", digest.hex());
    let body = json!({ "hash": hash, "container": library.container().await });
    let again = library.data("POST /v1/images", body).await;
    assert_eq!(
        (&again["uploaded"], &again["id"]),
        (&json!(true), &json!(id))
    );
    assert!(
        library
            .site
            .page("/lab/tool/tags/v1")
            .await
            .contains("Pushed by")
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_image_is_sent_at_once_by_old_clients(db: PgPool) {
    let library = Library::open(db).await;
    let image = sif("Bootstrap: docker\nFrom: busybox\n", &[]);
    let id = library.expect(&image).await;
    let call = format!("POST /v1/imagefile/{id}");

    let broken = library.call(&call, &image[1..]).await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST, "{}", broken.text());
    let other = format!("POST /v1/imagefile/{}", uuid::Uuid::nil());
    let missing = library.call(&other, &image).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND, "{}", missing.text());
    let id = library.expect(&image).await;
    let call = format!("POST /v1/imagefile/{id}");
    let sent = library.call(&call, &image).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.text());

    library.tag("v1", "amd64", &id).await;
    let pulled = library.pulled("/v1/imagefile/lab/tool/tool:v1").await;
    assert_eq!(pulled, Some(Digest::of(&image)));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_image_is_sent_in_parts_and_a_part_again(db: PgPool) {
    let library = Library::open(db).await;
    let image = sif("Bootstrap: docker\nFrom: busybox\n", &[]);
    let id = library.expect(&image).await;
    let call = format!("POST /v2/imagefile/{id}/_multipart");
    let size = json!({ "filesize": (64 << 20) + 1 });
    let parts = library.data(&call, size).await;
    assert_eq!(
        (&parts["totalParts"], &parts["partSize"]),
        (&json!(2), &json!(64 << 20))
    );
    assert_eq!(parts["options"]["s3compliant"], "false");

    let call = format!("PUT /v2/imagefile/{id}/_multipart");
    let first = library.data(&call, json!({ "partNumber": 1 })).await;
    let second = library.data(&call, json!({ "partNumber": 2 })).await;
    let (first, second) = (&first["presignedURL"], &second["presignedURL"]);
    let (first, second) = (first.as_str().unwrap(), second.as_str().unwrap());
    assert_eq!(library.send(first, &image[..100]).await, StatusCode::OK);
    assert_eq!(
        library.send(second, b"x").await,
        StatusCode::RANGE_NOT_SATISFIABLE
    );
    let forged = second.replace("offset=67108864", "offset=100");
    assert_eq!(
        library.send(&forged, &image[100..]).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(library.send(first, &image).await, StatusCode::OK);

    let complete = format!("PUT /v2/imagefile/{id}/_multipart_complete");
    library
        .data(&complete, json!({ "uploadID": id, "completedParts": [] }))
        .await;
    library.tag("v1", "amd64", &id).await;
    let pulled = library.pulled("/lab/tool/v1.sif").await;
    assert_eq!(pulled, Some(Digest::of(&image)));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn what_is_wrong_with_a_push_is_told_and_nothing_is_kept(db: PgPool) {
    let library = Library::open(db).await;
    let image = sif("Bootstrap: docker\nFrom: busybox\n", &[]);
    let (cut, none) = (
        library.expect(&image).await,
        library.expect(b"no SIF").await,
    );
    for (id, bytes) in [(&cut, &image[..200]), (&none, b"no SIF".as_slice())] {
        let call = format!("POST /v2/imagefile/{id}");
        let address = library.data(&call, json!({})).await;
        let address = address["uploadURL"].as_str().unwrap().to_owned();
        assert_eq!(library.send(&address, bytes).await, StatusCode::OK);
    }
    let absent = "11111111-1111-1111-1111-111111111111";
    let container = library.container().await;
    let hash = format!("sha256.{}", "0".repeat(64));
    let to_nobody = json!({ "hash": hash, "container": absent }).to_string();
    let wrong_hash = json!({ "hash": "md5.0", "container": container }).to_string();
    let no_image = json!({ "Arch": "amd64", "Tag": "v1", "ImageID": absent }).to_string();
    let no_tag = json!({ "Arch": "amd64", "Tag": "a b", "ImageID": absent }).to_string();

    for (call, body, status, part) in [
        (
            format!("PUT /v2/imagefile/{cut}/_complete"),
            "{}",
            400,
            "200 bytes",
        ),
        (
            format!("PUT /v2/imagefile/{cut}/_complete"),
            "{}",
            404,
            "being sent",
        ),
        (
            format!("PUT /v2/imagefile/{none}/_complete"),
            "{}",
            422,
            "not a SIF",
        ),
        (
            format!("PUT /v2/imagefile/{absent}/_complete"),
            "{}",
            404,
            "being sent",
        ),
        (
            "POST /v1/images".to_owned(),
            "no JSON",
            400,
            "cannot be read",
        ),
        (
            "POST /v1/images".to_owned(),
            &to_nobody,
            404,
            "no container",
        ),
        (
            "POST /v1/images".to_owned(),
            &wrong_hash,
            400,
            "64 hex digits",
        ),
        (
            "POST /v1/containers".to_owned(),
            "{}",
            403,
            "library://owner/repo/repo",
        ),
        (
            "GET /v1/containers/lab/tool/other".to_owned(),
            "",
            404,
            "no container",
        ),
        ("GET /v1/entities/nobody".to_owned(), "", 404, "nobody"),
        ("GET /v1/search?value=la".to_owned(), "", 400, "at least 3"),
        (
            format!("POST /v2/tags/{container}"),
            &no_image,
            404,
            "no image",
        ),
        (
            format!("POST /v2/tags/{container}"),
            &no_tag,
            400,
            "letters, digits",
        ),
    ] {
        let answer = library.call(&call, body.as_bytes()).await;
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, status, "{call}: {told}");
        assert_eq!(told["error"]["code"], status, "{call}: {told}");
        let message = told["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{call}: {message}");
    }
    assert!(!library.site.page("/lab/tool").await.contains("pushed by"));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_tag_means_an_image_for_each_architecture_until_a_build_takes_it(db: PgPool) {
    let library = Library::open(db).await;
    let image = sif("Bootstrap: docker\nFrom: busybox\n", &[]);
    let other = of_arm64(image.clone());
    let of_amd64 = library.push("v1", "amd64", &image).await;
    let of_arm64 = library.push("v1", "arm64", &other).await;

    let path = |architecture| format!("/v1/imagefile/lab/tool/tool:v1?arch={architecture}");
    assert_eq!(
        library.pulled(&path("amd64")).await,
        Some(Digest::of(&image))
    );
    assert_eq!(
        library.pulled(&path("arm64")).await,
        Some(Digest::of(&other))
    );
    assert_eq!(library.pulled(&path("riscv64")).await, None);
    assert_eq!(
        library.pulled("/lab/tool/v1.sif").await,
        Some(Digest::of(&other))
    );
    let tags = format!("GET /v2/tags/{}", library.container().await);
    let meanings = json!({ "amd64": { "v1": of_amd64 }, "arm64": { "v1": of_arm64 } });
    assert_eq!(library.data(&tags, json!(null)).await, meanings);

    let deleted = library
        .data("DELETE /v1/images/lab/tool/tool:v1?arch=amd64", json!(null))
        .await;
    assert_eq!(deleted["id"], of_amd64);
    assert_eq!(library.pulled(&path("amd64")).await, None);
    let found = library
        .data("GET /v1/search?value=too&arch=arm64", json!(null))
        .await;
    assert_eq!(found["image"][0]["id"], of_arm64);
    let found = library
        .data("GET /v1/search?value=too&arch=amd64,386", json!(null))
        .await;
    assert_eq!(found["image"], json!([]));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_quota_that_is_used_up_is_told_as_such(db: PgPool) {
    let mut library = Library::open(db).await;
    library.site.limit_pushes(1);
    let image = sif(&"#".repeat(1 << 20), &[]);
    let small = sif("Bootstrap: docker\nFrom: busybox\n", &[]);

    let id = library.expect(&image).await;
    let address = library
        .data(&format!("POST /v2/imagefile/{id}"), json!({}))
        .await;
    let status = library
        .send(address["uploadURL"].as_str().unwrap(), &image)
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);

    library.site.limit_pushes(2);
    library.push("large", "amd64", &image).await;
    library.site.limit_pushes(1);
    let hash = format!("sha256.{}", Digest::of(&small).hex());
    let body = json!({ "hash": hash, "container": library.container().await });
    let full = library
        .call("POST /v1/images", body.to_string().as_bytes())
        .await;
    assert_eq!(
        full.status,
        StatusCode::INSUFFICIENT_STORAGE,
        "{}",
        full.text()
    );
}
