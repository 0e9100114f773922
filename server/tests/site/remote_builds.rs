//! Remote builds, as `SingularityCE` asks for them.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cooperage_protocol::Digest;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sqlx::PgPool;
use tar::{Builder, Header};

use crate::support::{Answer, Site};

const DEFINITION: &str = "Bootstrap: scratch\n\n%files\n    data.txt /data.txt\n";

struct Remote {
    site: Site,
    token: String,
}

impl Remote {
    async fn open(db: PgPool) -> Self {
        // It is installed once for the whole process; the second time is not an error.
        drop(rustls::crypto::ring::default_provider().install_default());
        let site = Site::open(db).await;
        let token = site.secret("admin-token");
        Self { site, token }
    }

    async fn call(&self, call: &str, body: &[u8]) -> Answer {
        self.site.call(&self.token, call, body).await
    }

    async fn submit(&self, changes: Value) -> Answer {
        let mut body = json!({
            "definitionRaw": STANDARD.encode(DEFINITION), "libraryRef": "",
            "builderRequirements": { "arch": "amd64" }, "workingDir": "/home/ada",
        });
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.call("POST /v1/build", body.to_string().as_bytes())
            .await
    }

    async fn expect_context(&self, bytes: &[u8]) -> Answer {
        let body = json!({ "size": bytes.len(), "digest": hash(bytes) });
        self.call("POST /v1/build-context", body.to_string().as_bytes())
            .await
    }

    /// Sends bytes to an address, without an account.
    async fn send(&self, address: &str, bytes: &[u8]) -> Answer {
        let path = address.strip_prefix("http://hub.example.org").unwrap();
        let request = Request::put(path).body(Body::from(bytes.to_vec()));
        self.site.ask(request.unwrap()).await
    }
}

fn hash(bytes: &[u8]) -> String {
    format!("sha256.{}", Digest::of(bytes).hex())
}

fn data(answer: &Answer) -> Value {
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    answer["data"].clone()
}

fn location(answer: &Answer) -> Option<&str> {
    let location = answer.headers.get(header::LOCATION)?;
    Some(location.to_str().unwrap())
}

fn archive() -> Vec<u8> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(5);
    archive
        .append_data(&mut header, "home/ada/data.txt", b"data\n".as_slice())
        .unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_definition_and_its_files_become_a_build_of_the_queue(db: PgPool) {
    let remote = Remote::open(db).await;
    let archive = archive();
    let expected = remote.expect_context(&archive).await;
    let address = location(&expected).unwrap();
    assert_eq!(
        remote.send(address, &archive).await.status,
        StatusCode::CREATED
    );
    let again = remote.expect_context(&archive).await;
    assert_eq!((again.status, location(&again)), (StatusCode::OK, None));

    let destination = "library://lab/tool/tool:v1,v1.0";
    let with = json!({ "contextDigest": hash(&archive), "libraryRef": destination });
    let submitted = remote.submit(with).await;
    assert_eq!(
        submitted.status,
        StatusCode::CREATED,
        "{}",
        submitted.text()
    );
    let build = data(&submitted);
    assert_eq!(build["libraryRef"], "library://Lab/tool/tool:v1");
    assert_eq!(build["libraryURL"], "http://hub.example.org");
    assert_eq!(build["isComplete"], false);
    let id = build["id"].as_str().unwrap();

    let recipe = remote
        .call(&format!("GET /api/builds/{id}/recipe"), b"")
        .await;
    assert_eq!(recipe.text(), DEFINITION);
    let page = remote.call(&format!("GET /builds/{id}"), b"").await.text();
    assert!(page.contains("home/ada/Singularity"), "{page}");
    assert!(
        page.contains("a remote build") && page.contains("v1.0"),
        "{page}"
    );

    let removed = format!("DELETE /v1/build-context/{}", hash(&archive));
    let status = remote.call(&removed, b"").await.status;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(location(&remote.expect_context(&archive).await).is_some());

    let cancelled = remote
        .call(&format!("PUT /v1/build/{id}/_cancel"), b"")
        .await;
    assert_eq!(data(&cancelled)["isComplete"], true);
    let shown = data(&remote.call(&format!("GET /v1/build/{id}"), b"").await);
    assert_eq!(
        (&shown["isComplete"], &shown["imageSize"]),
        (&json!(true), &Value::Null)
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn what_has_no_destination_goes_to_a_private_collection_of_the_account(db: PgPool) {
    let remote = Remote::open(db).await;
    let mut names = Vec::new();
    for _ in 0..2 {
        let submitted = remote.submit(json!({})).await;
        assert_eq!(
            submitted.status,
            StatusCode::CREATED,
            "{}",
            submitted.text()
        );
        let build = data(&submitted);
        names.push(build["libraryRef"].as_str().unwrap().to_owned());
    }
    let own = "library://admin/remote-builds/remote-builds:rb-";
    assert!(names.iter().all(|name| name.starts_with(own)), "{names:?}");
    assert_ne!(names[0], names[1]);

    let known = remote
        .call("GET /api/collections/admin/remote-builds", b"")
        .await;
    let known: Value = serde_json::from_slice(&known.body).unwrap();
    assert_eq!(known["visibility"], "private");
    let page = remote.call("GET /admin/remote-builds", b"").await.text();
    assert!(page.contains("no repository: remote builds"), "{page}");
    let stranger = remote.site.get("/admin/remote-builds", &[]).await.status;
    assert_eq!(stranger, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn what_cannot_be_built_is_told(db: PgPool) {
    let remote = Remote::open(db).await;
    let worker = "INSERT INTO workers (id, name, token_hash, architecture)
                  VALUES (gen_random_uuid(), 'one', '', 'arm64')";
    for (changes, status, told) in [
        (json!({ "definitionRaw": "?" }), 400, "base64"),
        (
            json!({ "libraryRef": "library://lab/absent/absent" }),
            404,
            "lab/absent",
        ),
        (
            json!({ "libraryRef": "library://lab/tool/other:v1" }),
            404,
            "lab/tool/other",
        ),
        (
            json!({ "libraryRef": "library://elsewhere.org:80/lab/tool/tool:v1" }),
            422,
            "another host",
        ),
        (
            json!({ "libraryRef": "library://lab/tool/tool:a b" }),
            422,
            "tag",
        ),
        (json!({ "contextDigest": hash(b"x") }), 404, "send it first"),
        (json!({ "contextDigest": "x" }), 400, "64 hex digits"),
    ] {
        let answer = remote.submit(changes.clone()).await;
        assert_eq!(answer.status, status, "{changes}: {}", answer.text());
        assert!(answer.text().contains(told), "{changes}: {}", answer.text());
    }
    sqlx::query(worker)
        .execute(&remote.site.hub.db)
        .await
        .unwrap();
    let elsewhere = remote.submit(json!({})).await;
    assert_eq!(elsewhere.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        elsewhere.text().contains("only for arm64"),
        "{}",
        elsewhere.text()
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn only_what_was_told_is_taken_of_a_context(db: PgPool) {
    let remote = Remote::open(db).await;
    let bytes = archive();
    let expected = remote.expect_context(&bytes).await;
    let address = location(&expected).unwrap();
    let mut other = bytes.clone();
    other[20] ^= 1;
    for (address, sent, status, told) in [
        (address.to_owned(), &bytes[1..], 422, "was said to have"),
        (address.to_owned(), &other[..], 422, "has the digest"),
        (
            format!("{address}x"),
            &bytes[..],
            403,
            "not one that the hub gave",
        ),
        (
            address.replace("size=", "size=1"),
            &bytes[..],
            403,
            "not one that the hub gave",
        ),
    ] {
        let answer = remote.send(&address, sent).await;
        assert_eq!(answer.status, status, "{address}: {}", answer.text());
        assert!(answer.text().contains(told), "{}", answer.text());
    }
    let left = remote
        .submit(json!({ "contextDigest": hash(&bytes) }))
        .await;
    assert_eq!(left.status, StatusCode::NOT_FOUND);
    let large = json!({ "size": 1_u64 << 50, "digest": hash(&bytes) });
    let large = remote
        .call("POST /v1/build-context", large.to_string().as_bytes())
        .await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);

    let no_archive = b"no archive";
    let expected = remote.expect_context(no_archive).await;
    let sent = remote.send(location(&expected).unwrap(), no_archive).await;
    assert_eq!(sent.status, StatusCode::CREATED);
    let refused = remote
        .submit(json!({ "contextDigest": hash(no_archive) }))
        .await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text()
    );
    assert!(
        refused.text().contains("no tar in gzip"),
        "{}",
        refused.text()
    );
}
