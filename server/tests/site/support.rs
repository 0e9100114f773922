//! A hub with a collection, its builds in all states, and images of real bytes.

use std::path::Path;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use cooperage_protocol::image::{Base, Extent, ImageFacts, Layout};
use cooperage_protocol::{BuildId, CollectionId, DeliveryId, Digest, ImageId};
use cooperage_server::store::Store;
use cooperage_server::{Config, Hub, auth, routes};
use sqlx::PgPool;
use sqlx::types::Json;
use tower::ServiceExt as _;
use uuid::Uuid;

pub const COMMIT: &str = "2f1c9d6a4b5e8f7091a2b3c4d5e6f708192a3b4c";
pub const HOSTILE: &str = "<script>alert('x')</script>\"><img src=x>";

/// The hub under test, with its folder.
pub struct Site {
    pub hub: Hub,
    pub folder: tempfile::TempDir,
    pub collection: CollectionId,
    router: Router,
}

/// An answer with its body read.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Site {
    /// A hub with the collection `Lab/tool` and nothing in it.
    pub async fn open(db: PgPool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        auth::ensure_admin(&db, folder.path()).await.unwrap();
        let hub = hub(db, folder.path(), "http://hub.example.org");
        let collection = CollectionId::generate();
        sqlx::query(
            "INSERT INTO collections (id, name, clone_url, forge, webhook_secret)
            VALUES ($1, 'Lab/tool', 'https://forge.example.org/Lab/tool.git', 'github', 's')",
        )
        .bind(collection.0)
        .execute(&hub.db)
        .await
        .unwrap();
        Self {
            router: routes::router(hub.clone()),
            hub,
            folder,
            collection,
        }
    }

    /// Starts the hub anew with a quota of what is pushed to a collection.
    pub fn limit_pushes(&mut self, mib: u64) {
        self.change(|config| config.push.collection_mib = mib);
    }

    /// Starts the hub anew with other settings.
    pub fn change(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = Config::clone(&self.hub.config);
        change(&mut config);
        self.hub = Hub::new(config, self.hub.db.clone(), self.hub.store.clone());
        self.router = routes::router(self.hub.clone());
    }

    /// Adds a collection in which nothing is.
    pub async fn add_collection(&self, name: &str) -> CollectionId {
        let id = CollectionId::generate();
        sqlx::query(
            "INSERT INTO collections (id, name, clone_url, forge, webhook_secret)
            VALUES ($1, $2, 'https://forge.example.org/' || $2 || '.git', 'github', 's')",
        )
        .bind(id.0)
        .bind(name)
        .execute(&self.hub.db)
        .await
        .unwrap();
        id
    }

    pub async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// What clients of the library send: their word for bearer, and none of content types.
    pub async fn call(&self, token: &str, call: &str, body: &[u8]) -> Answer {
        let (method, path) = call.split_once(' ').unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("BEARER {token}"))
            .body(Body::from(body.to_vec()));
        self.ask(request.unwrap()).await
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(request("GET", path, headers, "")).await
    }

    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path, &[("accept", "text/html")]).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        answer.text()
    }

    pub fn secret(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// Adds a build in the state `state`, which must fit the other columns.
    pub async fn add_build(&self, state: &str, tag: &str) -> BuildId {
        let id = BuildId::generate();
        let failure = matches!(state, "failed" | "cancelled").then(|| {
            let kind = if state == "failed" {
                "recipe"
            } else {
                "cancelled"
            };
            serde_json::json!({
                "kind": kind, "message": format!("bad {HOSTILE}"), "help": "write %post",
                "section": "%post", "status": 3, "line": 4, "column": 2,
            })
        });
        sqlx::query(
            "INSERT INTO builds (id, collection_id, recipe, recipe_blob, commit_sha, commit_time,
                git_ref, tag, tag_note, state, attempt, lease_until, started_at, finished_at, failure)
            VALUES ($1, $2, $3, $7, $4, now(), 'refs/heads/main', $5, 'a note',
                $6::build_state, 1,
                CASE WHEN $6 = 'running' THEN now() + interval '1 minute' END,
                CASE WHEN $6 <> 'queued' THEN now() - interval '90 seconds' END,
                CASE WHEN $6 NOT IN ('queued', 'running') THEN now() END, $8)",
        )
        .bind(id.0)
        .bind(self.collection.0)
        .bind(format!("recipes/Singularity.{HOSTILE}"))
        .bind(COMMIT)
        .bind(tag)
        .bind(state)
        .bind("0".repeat(40))
        .bind(failure)
        .execute(&self.hub.db)
        .await
        .unwrap();
        id
    }

    pub async fn add_log(&self, build: BuildId, attempt: i32, number: i32, bytes: &[u8]) {
        sqlx::query(
            "INSERT INTO build_log_chunks (build_id, attempt, number, start_offset, bytes)
            VALUES ($1, $2, $3, 0, $4)",
        )
        .bind(build.0)
        .bind(attempt)
        .bind(number)
        .bind(bytes)
        .execute(&self.hub.db)
        .await
        .unwrap();
    }

    pub async fn add_phase(&self, build: BuildId, name: &str) {
        sqlx::query(
            "INSERT INTO build_phases (build_id, attempt, name, started_at)
            VALUES ($1, 1, $2, clock_timestamp() - interval '80 seconds')",
        )
        .bind(build.0)
        .bind(name)
        .execute(&self.hub.db)
        .await
        .unwrap();
    }

    pub async fn add_delivery(&self, state: &str, verdict: Option<&str>) -> DeliveryId {
        let id = DeliveryId::generate();
        sqlx::query(
            "INSERT INTO deliveries (id, collection_id, forge, forge_id, event, payload,
                content_type, state, verdict, reason, processed_at)
            VALUES ($1, $2, 'github', $3, 'push', '', 'application/json', $4::delivery_state, $5,
                $6, CASE WHEN $5::text IS NOT NULL THEN now() END)",
        )
        .bind(id.0)
        .bind(self.collection.0)
        .bind(Uuid::new_v4().to_string())
        .bind(state)
        .bind(verdict)
        .bind(format!("because {HOSTILE}"))
        .execute(&self.hub.db)
        .await
        .unwrap();
        id
    }

    /// Publishes `content` cut into several objects, and points the tag at it.
    pub async fn publish(&self, tag: &str, content: &[u8]) -> Digest {
        let build = self.add_build("succeeded", tag).await;
        let image = ImageId::generate();
        let digest = Digest::of(content);
        sqlx::query(
            "INSERT INTO images (id, collection_id, build_id, digest, md5, size_bytes, layout, facts)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(image.0)
        .bind(self.collection.0)
        .bind(build.0)
        .bind(digest.to_string())
        .bind(&digest.hex()[..32])
        .bind(i64::try_from(content.len()).unwrap())
        .bind(Json(self.store(content)))
        .bind(Json(facts()))
        .execute(&self.hub.db)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO tags (collection_id, name, image_id) VALUES ($1, $2, $3)
            ON CONFLICT (collection_id, name) DO UPDATE
            SET image_id = EXCLUDED.image_id, manifest = NULL, moved_at = now()",
        )
        .bind(self.collection.0)
        .bind(tag)
        .bind(image.0)
        .execute(&self.hub.db)
        .await
        .unwrap();
        digest
    }

    fn store(&self, content: &[u8]) -> Layout {
        let extents = content.chunks(content.len().div_ceil(3)).map(|piece| {
            let object = [b"..".as_slice(), piece, b".."].concat();
            let digest = Digest::of(&object);
            let path = self.hub.store.path(digest);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &object).unwrap();
            Extent {
                object: digest,
                offset: 2,
                length: piece.len() as u64,
            }
        });
        Layout(extents.collect())
    }
}

/// A SIF of a definition, labels and a file system of a few bytes.
pub fn sif(definition: &str, labels: &[(&str, &str)]) -> Vec<u8> {
    let labels: std::collections::BTreeMap<_, _> = labels.iter().copied().collect();
    let metadata = serde_json::json!({ "data": { "attributes": { "labels": labels } } });
    let metadata = metadata.to_string();
    let objects: [(u32, &str, &[u8]); 3] = [
        (0x4001, "", definition.as_bytes()),
        (0x4006, "inspect-metadata.json", metadata.as_bytes()),
        (0x4004, "", b"hsqs and the rest of a file system"),
    ];
    let (mut table, mut data) = (vec![], vec![]);
    for (number, (kind, name, content)) in (1_u32..).zip(objects) {
        let offset = 32176 + data.len() as u64;
        let mut descriptor = [0; 585];
        descriptor[..4].copy_from_slice(&kind.to_le_bytes());
        descriptor[4] = 1;
        descriptor[5..9].copy_from_slice(&number.to_le_bytes());
        descriptor[9..13].copy_from_slice(&0xf000_0001_u32.to_le_bytes());
        descriptor[17..25].copy_from_slice(&offset.to_le_bytes());
        descriptor[25..33].copy_from_slice(&(content.len() as u64).to_le_bytes());
        descriptor[33..41].copy_from_slice(&(content.len() as u64).to_le_bytes());
        descriptor[73..73 + name.len()].copy_from_slice(name.as_bytes());
        if kind == 0x4004 {
            descriptor[201..205].copy_from_slice(&1_u32.to_le_bytes());
            descriptor[205..209].copy_from_slice(&2_u32.to_le_bytes());
            descriptor[209..212].copy_from_slice(b"02\0");
        }
        table.extend(descriptor);
        data.extend(content);
    }
    let mut head = vec![0; 4096];
    head[..31].copy_from_slice(b"#!/usr/bin/env run-singularity\n");
    head[32..48].copy_from_slice(b"SIF_MAGIC\x0001\x0002\0");
    head[48..64].copy_from_slice(&[7; 16]);
    let fields = [45, 48, 4096, 28080, 32176, data.len() as u64];
    for (number, field) in fields.into_iter().enumerate() {
        head[80 + 8 * number..88 + 8 * number].copy_from_slice(&field.to_le_bytes());
    }
    table.resize(28080, 0);
    [head, table, data].concat()
}

pub fn hub(db: PgPool, folder: &Path, public_url: &str) -> Hub {
    let settings = serde_json::json!({
        "data": folder, "database_url": "postgres:///", "public_url": public_url,
        // Tests change rows behind the hub's back.
        "answers_kept_ms": 0,
    });
    let config: Config = serde_json::from_value(settings).unwrap();
    Hub::new(config, db, Store::open(&folder.join("store")).unwrap())
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

fn facts() -> ImageFacts {
    let text = |text: &str| format!("{text} {HOSTILE}");
    ImageFacts {
        architecture: "amd64".to_owned(),
        definition: text("Bootstrap: docker\nFrom: debian:12\n# why\n%post\n    apt-get update\n"),
        labels: [("Maintainer".to_owned(), text("someone"))].into(),
        environment: [(
            "/.singularity.d/env/90-environment.sh".to_owned(),
            text("export A=1"),
        )]
        .into(),
        runscript: Some(text("#!/bin/sh\nexec \"$@\"")),
        startscript: None,
        test: Some(text("#!/bin/sh\ntrue")),
        help: Some(text("ask us")),
        base: Some(Base {
            reference: "docker://index.docker.io/library/debian:12".to_owned(),
            digest: Some(Digest::of(b"base").to_string()),
        }),
    }
}
