//! Tests of the hub with a real Postgres and real git.

mod attempts;
mod checks;
mod collecting;
mod damage;
mod deliveries;
mod fetching;
mod leases;
mod serving;
mod signing;
mod uploads;
mod webhooks;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use cooperage_protocol::admin::NewCollection;
use cooperage_protocol::worker::{Assignment, Work};
use cooperage_protocol::{BuildId, CollectionId, Mode, StepCache, WorkerId};
use hmac::{Hmac, KeyInit, Mac};
use sqlx::{PgPool, Row};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::config::{
    BuildLimits, FetchLimits, LoginSettings, PushLimits, Rates, RemoteBuilds, StoreSettings,
};
use crate::db::builds::leases::Holder;
use crate::store::Store;
use crate::{Config, Hub, process, routes};

/// A hub with a folder of its own, and what a test does to it.
pub(crate) struct World {
    pub(crate) hub: Hub,
    folder: TempDir,
}

impl World {
    pub(crate) fn new(db: PgPool) -> Self {
        // Another test may have installed it first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data: folder.path().join("data"),
            database_url: "postgres://".to_owned(),
            listen: vec![],
            public_url: "http://hub.example".parse().unwrap(),
            key_file: None,
            lease_seconds: 60,
            attempts: 3,
            limits: BuildLimits {
                log_mib: 1,
                disk_mib: 1,
                ..BuildLimits::default()
            },
            fetch: FetchLimits::default(),
            store: StoreSettings::default(),
            trusted_proxies: Vec::new(),
            rates: Rates {
                anonymous_per_minute: 0,
                account_per_minute: 0,
                ..Rates::default()
            },
            push: PushLimits::default(),
            remote_builds: RemoteBuilds::default(),
            answers_kept_ms: 0,
            login: LoginSettings::default(),
        };
        let store = Store::open(&config.objects()).unwrap();
        Self {
            hub: Hub::new(config, db, store),
            folder,
        }
    }

    fn repository(&self, name: &str) -> Git {
        Git::init(self.folder.path().join(name))
    }

    /// Connects a repository; gives its webhook secret.
    pub(crate) async fn connect(&self, name: &str, clone_url: &str) -> String {
        let new = NewCollection {
            name: name.parse().unwrap(),
            clone_url: clone_url.to_owned(),
            max_running: None,
            mode: Mode::Modern,
            step_cache: StepCache::On,
        };
        crate::add_collection(&self.hub, &new).await.unwrap().secret
    }

    async fn worker(&self, name: &str) -> (WorkerId, String) {
        let token = crate::add_worker(&self.hub, name).await.unwrap();
        (
            crate::workers::authenticate(&self.hub, &token)
                .await
                .unwrap(),
            token,
        )
    }

    async fn call(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = routes::router(self.hub.clone())
            .oneshot(request)
            .await
            .unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 64 << 20)
            .await
            .unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn process_all(&self) {
        while process::next(&self.hub).await.unwrap() {}
    }

    /// All rows of a query's first column, as text.
    pub(crate) async fn texts(&self, query: &'static str) -> Vec<String> {
        let rows = sqlx::query(query).fetch_all(&self.hub.db).await.unwrap();
        rows.iter()
            .map(|row| row.get::<Option<String>, _>(0).unwrap_or_default())
            .collect()
    }

    /// Queues a build without git.
    pub(crate) async fn enqueue(&self, recipe: &str) -> BuildId {
        let collection = self.texts("SELECT id::text FROM collections LIMIT 1").await;
        self.enqueue_for(collection[0].parse().unwrap(), recipe)
            .await
    }

    async fn enqueue_for(&self, collection: CollectionId, recipe: &str) -> BuildId {
        let new = crate::db::builds::NewBuild {
            id: BuildId::generate(),
            collection,
            delivery: None,
            recipe: recipe.to_owned(),
            recipe_blob: "b".repeat(40),
            commit: "c".repeat(40),
            commit_time: chrono::Utc::now(),
            git_ref: "refs/heads/main".to_owned(),
            tag: "latest".parse().unwrap(),
            aliases: vec![],
            tag_note: None,
            step_cache: StepCache::On,
            architecture: None,
        };
        let mut db = self.hub.db.acquire().await.unwrap();
        assert!(crate::db::builds::enqueue(&mut db, &new).await.unwrap());
        new.id
    }

    async fn claim(&self, worker: WorkerId) -> Option<Holder> {
        let given = self.given(worker, Duration::ZERO).await;
        given.map(|given| Holder {
            build: given.build,
            attempt: given.attempt,
            worker,
        })
    }

    /// The build that a worker is given which can do nothing else.
    async fn given(&self, worker: WorkerId, wait: Duration) -> Option<Assignment> {
        let given = crate::queue::claim(&self.hub, worker, &[], wait);
        given.await.unwrap().map(|work| match work {
            Work::Build(assignment) => *assignment,
            Work::Check(check) => panic!("asked for a build, given {check:?}"),
        })
    }
}

/// A repository made with the real git.
struct Git(PathBuf);

impl Git {
    fn init(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let git = Self(path);
        git.run(&["init", "--quiet", "--initial-branch=main"]);
        git
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.org"])
            .args(arguments)
            .current_dir(&self.0)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            let path = self.0.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        self.run(&["add", "--all"]);
        self.run(&["commit", "--quiet", "--allow-empty", "--message=change"]);
        self.run(&["rev-parse", "HEAD"])
    }

    fn path(&self) -> &str {
        Path::new(&self.0).to_str().unwrap()
    }
}

/// The payload of a push to a repository on this machine, as GitHub would write it.
fn push_payload(clone_url: &str, git_ref: &str, after: &str) -> String {
    serde_json::json!({
        "ref": git_ref,
        "before": "0".repeat(40),
        "after": after,
        "created": false, "deleted": after.bytes().all(|byte| byte == b'0'), "forced": false,
        "repository": {
            "id": 4711, "full_name": "some/where", "private": false,
            "clone_url": clone_url, "default_branch": "main",
        },
        "commits": [],
    })
    .to_string()
}

fn sign(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    format!(
        "sha256={}",
        hex::encode(mac.chain_update(body).finalize().into_bytes())
    )
}

fn webhook(secret: &str, id: &str, event: &str, body: &str) -> Request<Body> {
    Request::post("/webhooks/github")
        .header("content-type", "application/json")
        .header("x-github-event", event)
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", sign(secret, body.as_bytes()))
        .body(Body::from(body.to_owned()))
        .unwrap()
}
