//! Pushes by clients of registries: the conformance cases of the distribution specification as
//! tables, and what a pushed SIF becomes.
//! <https://github.com/opencontainers/distribution-spec/tree/main/conformance>

use axum::body::Body;
use axum::http::{Request, StatusCode};
use cooperage_protocol::Digest;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Answer, Site, sif};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SIF_LAYER: &str = "application/vnd.sylabs.sif.layer.v1.sif";
const ABSENT: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// A request of a table and what it is answered. `@` in its path is where the last answer led.
struct Step<'a> {
    call: String,
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
    status: u16,
    /// Headers of the answer, or the code of its error (`code`).
    told: Vec<(&'a str, String)>,
}

fn step(call: impl Into<String>, body: &[u8], status: u16) -> Step<'_> {
    Step {
        call: call.into(),
        headers: &[],
        body,
        status,
        told: vec![],
    }
}

impl<'a> Step<'a> {
    fn with(mut self, headers: &'a [(&'a str, &'a str)]) -> Self {
        self.headers = headers;
        self
    }

    fn tells(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.told.push((name, value.into()));
        self
    }
}

/// A registry whose administrator pushes.
struct Registry {
    site: Site,
    token: String,
}

impl Registry {
    async fn open(db: PgPool) -> Self {
        let site = Site::open(db).await;
        let token = format!("Bearer {}", site.secret("admin-token"));
        Self { site, token }
    }

    async fn call(&self, call: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let (method, path) = call.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", &self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request = request.header("content-length", body.len());
        let request = request.body(Body::from(body.to_vec())).unwrap();
        self.site.ask(request).await
    }

    async fn walk(&self, steps: Vec<Step<'_>>) {
        let mut location = String::new();
        for (number, step) in steps.into_iter().enumerate() {
            let call = step.call.replace('@', &location);
            let answer = self.call(&call, step.headers, step.body).await;
            let said = String::from_utf8_lossy(&answer.body);
            assert_eq!(answer.status, step.status, "{number}: {call}: {said}");
            for (name, expected) in step.told {
                let found = if name == "code" {
                    json_of(&answer)["errors"][0]["code"]
                        .as_str()
                        .unwrap()
                        .to_owned()
                } else {
                    answer.header(name).to_owned()
                };
                assert_eq!(found, expected, "{number}: {call}: {name}");
            }
            if !answer.header("location").is_empty() {
                answer.header("location").clone_into(&mut location);
            }
        }
    }

    async fn push_blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let call = format!("POST /v2/lab/tool/blobs/uploads/?digest={digest}");
        let answer = self.call(&call, &[], bytes).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        digest
    }

    async fn push_manifest(&self, reference: &str, manifest: &Value) -> Digest {
        let text = manifest.to_string();
        let call = format!("PUT /v2/lab/tool/manifests/{reference}");
        let media_type = manifest["mediaType"].as_str().unwrap();
        let headers = [("content-type", media_type)];
        let answer = self.call(&call, &headers, text.as_bytes()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        Digest::of(text.as_bytes())
    }

    /// Pushes bytes as the SIF of a tag.
    async fn push_sif(&self, tag: &str, sif: &[u8]) -> Digest {
        self.push_blob(sif).await;
        let config = (
            "application/vnd.sylabs.sif.config.v1+json",
            b"{}".as_slice(),
        );
        self.push_manifest(tag, &manifest_of(config, &[(SIF_LAYER, sif)]))
            .await
    }
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

fn manifest_of(config: (&str, &[u8]), layers: &[(&str, &[u8])]) -> Value {
    let layers = layers
        .iter()
        .map(|(media_type, bytes)| descriptor(media_type, bytes));
    json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor(config.0, config.1), "layers": layers.collect::<Vec<_>>(),
    })
}

/// An artifact that is no image, whose blobs have been pushed.
async fn push_artifact(registry: &Registry, tag: &str, text: &[u8]) -> (Value, Digest) {
    registry.push_blob(b"a configuration").await;
    registry.push_blob(text).await;
    let config = (
        "application/vnd.example.config",
        b"a configuration".as_slice(),
    );
    let manifest = manifest_of(config, &[("text/plain", text)]);
    let digest = registry.push_manifest(tag, &manifest).await;
    (manifest, digest)
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_blob_is_uploaded_in_every_way_that_the_specification_has(db: PgPool) {
    let registry = Registry::open(db).await;
    let uploads = "/v2/lab/tool/blobs/uploads/";
    let blob = b"the bytes of a blob".as_slice();
    let digest = Digest::of(blob);
    let at = format!("/v2/lab/tool/blobs/{digest}");
    let (first, second) = blob.split_at(9);
    let delete = || step(format!("DELETE {at}"), b"", 202);

    let steps = vec![
        // Nothing is there.
        step(format!("HEAD {at}"), b"", 404),
        step(format!("GET {at}"), b"", 404).tells("code", "BLOB_UNKNOWN"),
        step("GET /v2/lab/tool/blobs/sha256:wrong", b"", 400).tells("code", "DIGEST_INVALID"),
        // One POST.
        step(format!("POST {uploads}?digest={digest}"), blob, 201)
            .tells("location", &at)
            .tells("docker-content-digest", digest.to_string()),
        step(format!("GET {at}"), b"", 200).tells("content-length", blob.len().to_string()),
        step(format!("HEAD {at}"), b"", 200)
            .tells("content-length", blob.len().to_string())
            .tells("docker-content-digest", digest.to_string()),
        step(format!("GET {at}"), b"", 206)
            .with(&[("range", "bytes=4-8")])
            .tells("content-range", "bytes 4-8/19"),
        step(format!("GET {at}"), b"", 416).with(&[("range", "bytes=19-")]),
        delete(),
        step(format!("GET {at}"), b"", 404),
        delete_again(&at),
        // POST, then PUT.
        step(format!("POST {uploads}"), b"", 202),
        step(format!("PUT @?digest={digest}"), blob, 201).tells("location", &at),
        delete(),
        // Streamed: POST, PATCH, PUT.
        step("POST /v2/lab/tool/blobs/uploads", b"", 202).tells("range", "0-0"),
        step("PATCH @", blob, 202).tells("range", "0-18"),
        step(format!("PUT @?digest={digest}"), b"", 201).tells("location", &at),
        delete(),
        // Chunked: chunks in the wrong order and sent twice are refused, and tell what is there.
        step(format!("POST {uploads}"), b"", 202),
        step("PATCH @", second, 416)
            .with(&[("content-range", "9-18")])
            .tells("code", "BLOB_UPLOAD_INVALID"),
        step("PATCH @", first, 202)
            .with(&[("content-range", "0-8")])
            .tells("range", "0-8"),
        step("PATCH @", first, 416)
            .with(&[("content-range", "0-8")])
            .tells("range", "0-8"),
        step("PATCH @", first, 400).with(&[("content-range", "9-18")]),
        step("PATCH @", first, 400).with(&[("content-range", "nowhere")]),
        step("GET @", b"", 204).tells("range", "0-8"),
        step(format!("PUT @?digest={digest}"), second, 201)
            .with(&[("content-range", "9-18")])
            .tells("location", &at),
        step(format!("GET {at}"), b"", 200).tells("etag", format!("\"{digest}\"")),
        // What has another digest is not kept, nor goes its upload on.
        step(format!("POST {uploads}?digest={ABSENT}"), blob, 400).tells("code", "DIGEST_INVALID"),
        step(format!("POST {uploads}?digest=md5:00"), blob, 400).tells("code", "DIGEST_INVALID"),
        step(format!("POST {uploads}"), b"", 202),
        step("PUT @", blob, 400).tells("code", "DIGEST_INVALID"),
        step(format!("PUT @?digest={ABSENT}"), blob, 400).tells("code", "DIGEST_INVALID"),
        step("GET @", b"", 404).tells("code", "BLOB_UPLOAD_UNKNOWN"),
        step(format!("GET /v2/lab/tool/blobs/{ABSENT}"), b"", 404),
        // An upload is given up.
        step(format!("POST {uploads}"), b"", 202),
        step("PATCH @", blob, 202),
        step("DELETE @", b"", 204),
        step("PATCH @", blob, 404).tells("code", "BLOB_UPLOAD_UNKNOWN"),
        step("GET /v2/lab/tool/blobs/uploads/none", b"", 404),
        step("POST /v2/lab/none/blobs/uploads/", b"", 404).tells("code", "NAME_UNKNOWN"),
    ];

    registry.walk(steps).await;
}

fn delete_again(at: &str) -> Step<'static> {
    step(format!("DELETE {at}"), b"", 404).tells("code", "BLOB_UNKNOWN")
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_blob_is_mounted_from_a_collection_that_the_caller_may_read(db: PgPool) {
    let registry = Registry::open(db).await;
    registry.site.add_collection("lab/other").await;
    let digest = registry.push_blob(b"shared").await;
    let uploads = "/v2/lab/other/blobs/uploads/";

    registry
        .walk(vec![
            step(
                format!("POST {uploads}?mount={ABSENT}&from=lab/tool"),
                b"",
                202,
            ),
            step(
                format!("POST {uploads}?mount={digest}&from=lab/none"),
                b"",
                202,
            ),
            step(format!("POST {uploads}?mount={digest}&from=tool"), b"", 202),
            step(format!("POST {uploads}?mount={digest}"), b"", 202),
            step(format!("GET /v2/lab/other/blobs/{digest}"), b"", 404),
            step(
                format!("POST {uploads}?mount={digest}&from=lab%2Ftool"),
                b"",
                201,
            )
            .tells("location", format!("/v2/lab/other/blobs/{digest}"))
            .tells("docker-content-digest", digest.to_string()),
            step("GET @", b"", 200).tells("content-length", "6"),
        ])
        .await;
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn manifests_are_kept_byte_for_byte_and_found_by_tag_and_digest(db: PgPool) {
    let registry = Registry::open(db).await;
    let (manifest, digest) = push_artifact(&registry, "v1", b"a text").await;
    let pretty = serde_json::to_vec_pretty(&manifest).unwrap();
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [{ "mediaType": MANIFEST, "digest": digest, "size": manifest.to_string().len() }],
    });
    let index = index.to_string();
    let no_layers = manifest_of(("application/vnd.example", b"a configuration"), &[]).to_string();
    let lost = manifest_of(
        ("application/vnd.example", b"a configuration"),
        &[("a/b", b"lost")],
    );
    let lost = lost.to_string();
    let wrong_size = manifest.to_string().replace("\"size\":6", "\"size\":7");
    let at = "/v2/lab/tool/manifests";
    let typed: &[(&str, &str)] = &[("content-type", MANIFEST)];
    let long = "x".repeat(129);

    registry
        .walk(vec![
            step(format!("GET {at}/none"), b"", 404).tells("code", "MANIFEST_UNKNOWN"),
            step(format!("HEAD {at}/none"), b"", 404),
            step(format!("GET {at}/{ABSENT}"), b"", 404).tells("code", "MANIFEST_UNKNOWN"),
            step(format!("PUT {at}/v2"), &pretty, 201)
                .with(typed)
                .tells("location", format!("{at}/{}", Digest::of(&pretty)))
                .tells("docker-content-digest", Digest::of(&pretty).to_string()),
            step(format!("GET {at}/v2"), b"", 200)
                .tells("content-type", MANIFEST)
                .tells("content-length", pretty.len().to_string())
                .tells("docker-content-digest", Digest::of(&pretty).to_string()),
            step(format!("HEAD {at}/v1"), b"", 200)
                .tells("content-type", MANIFEST)
                .tells("docker-content-digest", digest.to_string()),
            step(format!("GET {at}/{digest}"), b"", 200),
            step(format!("GET {at}/v1"), b"", 304)
                .with(&[("if-none-match", &format!("\"{digest}\""))]),
            step(format!("PUT {at}/bare"), no_layers.as_bytes(), 201).with(typed),
            step(
                format!("PUT {at}/{}", Digest::of(index.as_bytes())),
                index.as_bytes(),
                201,
            )
            .with(&[("content-type", INDEX)]),
            step("GET @", b"", 200).tells("content-type", INDEX),
            // What is wrong is told, and not kept.
            step(format!("PUT {at}/{ABSENT}"), &pretty, 400)
                .with(typed)
                .tells("code", "DIGEST_INVALID"),
            step(format!("PUT {at}/v3"), lost.as_bytes(), 404)
                .with(typed)
                .tells("code", "MANIFEST_BLOB_UNKNOWN"),
            step(format!("PUT {at}/v3"), wrong_size.as_bytes(), 400)
                .with(typed)
                .tells("code", "MANIFEST_INVALID"),
            step(format!("PUT {at}/v3"), &pretty, 400)
                .with(&[("content-type", INDEX)])
                .tells("code", "MANIFEST_INVALID"),
            step(format!("PUT {at}/v3"), b"{", 400)
                .with(typed)
                .tells("code", "MANIFEST_INVALID"),
            step(format!("PUT {at}/{long}"), &pretty, 400)
                .with(typed)
                .tells("code", "TAG_INVALID"),
            step(format!("PUT {at}/.v"), &pretty, 400)
                .with(typed)
                .tells("code", "TAG_INVALID"),
            step(format!("PUT {at}/v3"), &vec![b' '; (4 << 20) + 1], 413)
                .with(typed)
                .tells("code", "SIZE_INVALID"),
            step(format!("GET {at}/v3"), b"", 404),
        ])
        .await;
    let kept = registry.call(&format!("GET {at}/v2"), &[], b"").await;
    assert_eq!(kept.body, pretty);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn tags_referrers_and_the_catalog_are_listed(db: PgPool) {
    let registry = Registry::open(db).await;
    registry.site.publish("v1", b"built here").await;
    let (_, subject) = push_artifact(&registry, "v2", b"a text").await;
    registry.site.add_collection("lab/zoo").await;
    let mut signature = manifest_of(("application/vnd.example.config", b"a configuration"), &[]);
    signature["artifactType"] = json!("application/vnd.example.signature");
    signature["annotations"] = json!({ "why": "because" });
    signature["subject"] = json!({ "mediaType": MANIFEST, "digest": subject, "size": 1 });
    let text = signature.to_string();
    let signed = Digest::of(text.as_bytes());
    let call = format!("PUT /v2/lab/tool/manifests/{signed}");
    let put = registry
        .call(&call, &[("content-type", MANIFEST)], text.as_bytes())
        .await;
    assert_eq!(put.header("oci-subject"), subject.to_string());

    let tags = registry.call("GET /v2/lab/tool/tags/list", &[], b"").await;
    assert_eq!(
        json_of(&tags),
        json!({ "name": "lab/tool", "tags": ["v1", "v2"] })
    );
    let none = registry
        .call("GET /v2/lab/tool/tags/list?n=0", &[], b"")
        .await;
    assert_eq!(json_of(&none)["tags"], json!([]));
    let first = registry.call("GET /v2/_catalog?n=1", &[], b"").await;
    assert_eq!(json_of(&first)["repositories"], json!(["lab/tool"]));
    assert_eq!(
        first.header("link"),
        "</v2/_catalog?n=1&last=lab%2Ftool>; rel=\"next\""
    );
    let rest = registry
        .call("GET /v2/_catalog?n=1&last=lab%2Ftool", &[], b"")
        .await;
    assert_eq!(json_of(&rest)["repositories"], json!(["lab/zoo"]));

    let referrers = format!("GET /v2/lab/tool/referrers/{subject}");
    let all = registry.call(&referrers, &[], b"").await;
    assert_eq!(all.header("content-type"), INDEX);
    assert_eq!(
        json_of(&all)["manifests"],
        json!([{
            "mediaType": MANIFEST, "digest": signed, "size": text.len(),
            "artifactType": "application/vnd.example.signature",
            "annotations": { "why": "because" },
        }])
    );
    let call = format!("{referrers}?artifactType=application/vnd.example.other");
    let filtered = registry.call(&call, &[], b"").await;
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert_eq!(json_of(&filtered)["manifests"], json!([]));
    let none = registry
        .call(&format!("GET /v2/lab/tool/referrers/{ABSENT}"), &[], b"")
        .await;
    assert_eq!(
        (none.status, &json_of(&none)["manifests"]),
        (StatusCode::OK, &json!([]))
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn tags_manifests_and_blobs_are_deleted_in_this_order(db: PgPool) {
    let registry = Registry::open(db).await;
    let (_, digest) = push_artifact(&registry, "v1", b"a text").await;
    let at = "/v2/lab/tool/manifests";
    let blob = format!("/v2/lab/tool/blobs/{}", Digest::of(b"a text"));

    registry
        .walk(vec![
            step(format!("DELETE {blob}"), b"", 405).tells("code", "UNSUPPORTED"),
            step(format!("DELETE {at}/v1"), b"", 202),
            step(format!("GET {at}/v1"), b"", 404),
            step(format!("DELETE {at}/v1"), b"", 404).tells("code", "MANIFEST_UNKNOWN"),
            step(format!("GET {at}/{digest}"), b"", 200),
            step(format!("DELETE {at}/{digest}"), b"", 202),
            step(format!("GET {at}/{digest}"), b"", 404),
            step(format!("DELETE {at}/{digest}"), b"", 404),
            step(format!("DELETE {blob}"), b"", 202),
            step(format!("GET {blob}"), b"", 404),
        ])
        .await;
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_pushed_sif_is_an_image_of_the_collection_by_every_protocol(db: PgPool) {
    let registry = Registry::open(db).await;
    let image = sif(
        "Bootstrap: docker\nFrom: busybox\nPassword: s3cret-word\n",
        &[("who", "me")],
    );
    let digest = Digest::of(&image);

    let manifest = registry.push_sif("v1", &image).await;

    let shub = registry
        .call("GET /api/container/lab/tool:v1", &[], b"")
        .await;
    let file = json_of(&shub)["image"].as_str().unwrap().to_owned();
    for path in [
        "/lab/tool/v1.sif",
        file.strip_prefix("http://hub.example.org").unwrap(),
        "/v1/imagefile/lab/tool/tool:v1?arch=amd64",
        &format!("/v2/lab/tool/blobs/{digest}"),
    ] {
        let pulled = registry.call(&format!("GET {path}"), &[], b"").await;
        assert_eq!(
            Digest::of(&pulled.body),
            digest,
            "{path}: {}",
            pulled.status
        );
    }
    let by_tag = registry
        .call("GET /v2/lab/tool/manifests/v1", &[], b"")
        .await;
    assert_eq!(Digest::of(&by_tag.body), manifest);
    let page = registry.site.page("/lab/tool/tags/v1").await;
    for part in ["Pushed by", "admin", "amd64", "busybox", "who"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("s3cret-word"), "{page}");
    assert!(registry.site.page("/lab/tool").await.contains("pushed by"));

    let call = format!("DELETE /v2/lab/tool/manifests/{manifest}");
    assert_eq!(
        registry.call(&call, &[], b"").await.status,
        StatusCode::ACCEPTED
    );
    let gone = registry.call("GET /lab/tool/v1.sif", &[], b"").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn what_is_no_sif_is_not_pushed_as_one(db: PgPool) {
    let registry = Registry::open(db).await;
    let whole = sif("Bootstrap: docker\nFrom: busybox\n", &[]);
    let mut other_version = whole.clone();
    other_version[43] = b'9';

    for (bytes, part) in [
        (b"no SIF at all".as_slice(), "too short"),
        (&[b'x'; 4096], "does not begin as SIF"),
        (&whole[..whole.len() - 1], "cut off"),
        (&whole[..5000], "table of descriptors"),
        (&other_version, "version 1"),
    ] {
        let blob = registry.push_blob(bytes).await;
        let config = (
            "application/vnd.sylabs.sif.config.v1+json",
            b"{}".as_slice(),
        );
        let manifest = manifest_of(config, &[(SIF_LAYER, bytes)]).to_string();
        let call = "PUT /v2/lab/tool/manifests/v1";
        let headers = [("content-type", MANIFEST)];
        let refused = registry.call(call, &headers, manifest.as_bytes()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{part}: {blob}");
        assert!(refused.text().contains(part), "{part}: {}", refused.text());
    }
    let tags = registry.call("GET /v2/lab/tool/tags/list", &[], b"").await;
    assert_eq!(json_of(&tags)["tags"], json!([]));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_tag_means_what_it_was_given_last(db: PgPool) {
    let registry = Registry::open(db).await;
    let (one, other) = (sif("Bootstrap: a\n", &[]), sif("Bootstrap: b\n", &[]));
    registry.push_sif("v1", &one).await;
    registry.push_sif("v1", &other).await;
    let pulled = registry.call("GET /lab/tool/v1.sif", &[], b"").await;
    assert!(pulled.body == other);

    let built = registry.site.publish("v1", b"built here").await;
    let pulled = registry.call("GET /lab/tool/v1.sif", &[], b"").await;
    assert_eq!(Digest::of(&pulled.body), built);

    push_artifact(&registry, "v1", b"a text").await;
    let gone = registry.call("GET /lab/tool/v1.sif", &[], b"").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert!(gone.text().contains("no images"), "{}", gone.text());
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn nobody_pushes_without_a_token(db: PgPool) {
    let registry = Registry::open(db).await;
    let nobody = Registry {
        token: "Bearer wrong".to_owned(),
        ..registry
    };
    for call in [
        "POST /v2/lab/tool/blobs/uploads/",
        "PUT /v2/lab/tool/manifests/v1",
        "DELETE /v2/lab/tool/manifests/v1",
    ] {
        let refused = nobody.call(call, &[], b"").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{call}");
    }
    let request = Request::post("/v2/lab/tool/blobs/uploads/").body(Body::empty());
    let refused = nobody.site.ask(request.unwrap()).await;
    let challenge = refused.header("www-authenticate");
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(
        challenge.contains("scope=\"repository:lab/tool:pull,push\""),
        "{challenge}"
    );
}
