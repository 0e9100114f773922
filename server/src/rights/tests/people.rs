//! Somebody in each role, and what each route answers them.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, on};
use cooperage_protocol::{Scope, UserId, Visibility};
use tower::ServiceExt as _;
use uuid::Uuid;

use super::REACHED;
use crate::auth;
use crate::rights::guard;
use crate::rights::table::{Place, Row, Rule, TABLE};
use crate::tests::World;

const ABSENT: &str = "11111111-1111-1111-1111-111111111111";

/// A collection with a build and a delivery, somebody in each role, and all their keys.
pub(super) struct People {
    pub(super) world: World,
    build: std::cell::Cell<Uuid>,
    delivery: std::cell::Cell<Uuid>,
    collection: std::cell::Cell<Uuid>,
    /// What the builder pushes.
    push: std::cell::Cell<Uuid>,
    ids: Vec<(&'static str, UserId)>,
}

impl People {
    pub(super) async fn settle(world: World) -> Self {
        let mut ids = Vec::new();
        for name in ["stranger", "reader", "builder", "owner", "admin"] {
            ids.push((name, UserId::generate()));
        }
        let people = Self {
            world,
            build: Uuid::nil().into(),
            delivery: Uuid::nil().into(),
            collection: Uuid::nil().into(),
            push: Uuid::nil().into(),
            ids,
        };
        people
            .run("ALTER TABLE users ALTER COLUMN id SET DEFAULT gen_random_uuid()")
            .await;
        for (name, id) in &people.ids {
            let is_admin = *name == "admin";
            people
                .run(&format!(
                    "INSERT INTO users (id, name, is_admin) VALUES ('{id}', '{name}', {is_admin})"
                ))
                .await;
            people.give_session(name, *id).await;
            for scope in Scope::ALL {
                people
                    .give_token(name, *id, scope.as_str(), scope.as_str())
                    .await;
            }
        }
        people.spoil_tokens().await;
        people.build_again().await;
        people
    }

    async fn give_session(&self, name: &str, id: UserId) {
        let hash = auth::hash_token(name);
        crate::db::sessions::begin(
            &self.world.hub.db,
            id,
            &hash,
            1,
            &crate::db::sessions::Place::default(),
        )
        .await
        .unwrap();
    }

    async fn give_token(&self, name: &str, id: UserId, label: &str, scope: &str) {
        let hash = hex::encode(auth::hash_token(&format!("{name}:{label}")));
        self.run(&format!("INSERT INTO api_tokens (token_hash, user_id, name, scopes) VALUES ('\\x{hash}', '{id}', '{label}', '{{{scope}}}')")).await;
    }

    async fn spoil_tokens(&self) {
        let owner = self.id("owner");
        self.give_token("owner", owner, "expired", "admin").await;
        self.run(
            "UPDATE api_tokens SET expires_at = now() - interval '1 second' WHERE name = 'expired'",
        )
        .await;
        self.give_token("owner", owner, "revoked", "admin").await;
        self.run("DELETE FROM api_tokens WHERE name = 'revoked'")
            .await;
        let disabled = UserId::generate();
        self.run(&format!(
            "INSERT INTO users (id, name, disabled_at) VALUES ('{disabled}', 'disabled', now())"
        ))
        .await;
        self.give_token("owner", disabled, "disabled", "admin")
            .await;
    }

    /// Makes the collection when it is not there; the owner has their role by a team.
    pub(super) async fn build_again(&self) {
        self.run("DELETE FROM collections").await;
        self.world.connect("lab/tool", "/srv/tool").await;
        let build = self.world.enqueue("Singularity").await;
        self.build.set(build.0);
        let delivery = Uuid::now_v7();
        self.run(&format!("INSERT INTO deliveries (id, collection_id, forge, forge_id, event, payload, content_type, state, verdict, processed_at) SELECT '{delivery}', id, 'github', '1', 'push', '', '', 'done', 'built', now() FROM collections")).await;
        self.delivery.set(delivery);
        let collection = self.world.texts("SELECT id::text FROM collections").await;
        self.collection.set(collection[0].parse().unwrap());
        let (push, builder) = (Uuid::now_v7(), self.id("builder"));
        self.run(&format!("INSERT INTO pushes (id, collection_id, user_id) SELECT '{push}', id, '{builder}' FROM collections")).await;
        self.push.set(push);
        self.run("DELETE FROM teams").await;
        self.run("INSERT INTO teams (id, name) VALUES (gen_random_uuid(), 'owners')")
            .await;
        self.run("INSERT INTO team_members SELECT teams.id, users.id FROM teams, users WHERE users.name = 'owner'").await;
        self.run("INSERT INTO collection_members (collection_id, team_id, role) SELECT collections.id, teams.id, 'owner' FROM collections, teams").await;
        self.run("INSERT INTO collection_members (collection_id, user_id, role) SELECT collections.id, users.id, CASE users.name WHEN 'builder' THEN 'builder' ELSE 'reader' END::collection_role FROM collections, users WHERE users.name IN ('reader', 'builder', 'owner', 'disabled')").await;
    }

    pub(super) async fn show(&self, visibility: Visibility) {
        self.run(&format!(
            "UPDATE collections SET visibility = '{visibility}'"
        ))
        .await;
    }

    async fn run(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::query(sql).execute(&self.world.hub.db).await.unwrap();
    }

    pub(super) fn id(&self, name: &str) -> UserId {
        self.ids.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// All routes of the table, whose handlers change nothing.
    pub(super) fn app_of_stubs(&self) -> Router {
        let mut app = Router::<()>::new();
        for row in TABLE {
            let method = MethodFilter::try_from(row.method.clone()).unwrap();
            app = app.route(row.path, on(method, async || REACHED));
        }
        app.layer(from_fn_with_state(self.world.hub.clone(), guard))
    }

    /// `x` through, `.` as if it were not there, `?` who are you, `!` you may not.
    pub(super) async fn verdict(&self, app: &Router, row: &Row, caller: &str) -> char {
        let (status, headers, body) = self.ask(app, row, caller, true).await;
        match status {
            StatusCode::OK if body == REACHED => 'x',
            StatusCode::NOT_FOUND => '.',
            StatusCode::UNAUTHORIZED => '?',
            StatusCode::SEE_OTHER if headers.contains("/login") => '?',
            StatusCode::FORBIDDEN => '!',
            status => panic!("{caller}: {} {} gave {status} {body}", row.method, row.path),
        }
    }

    pub(super) async fn ask(
        &self,
        app: &Router,
        row: &Row,
        caller: &str,
        exists: bool,
    ) -> (StatusCode, String, String) {
        let mut request = Request::builder()
            .method(row.method.clone())
            .uri(self.path(row, exists));
        request = match caller {
            "-" => request,
            token if token.contains(':') => {
                request.header("authorization", format!("Bearer {token}"))
            }
            session => request.header("cookie", format!("{}={session}", auth::SESSION_COOKIE)),
        };
        let request = request.body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let told = |text: String| {
            // What the caller said themselves is no secret.
            let ids = [&self.build, &self.delivery, &self.collection, &self.push];
            let text = ids
                .iter()
                .fold(text, |text, id| text.replace(&id.get().to_string(), ABSENT));
            text.replace("lab/none", "lab/tool")
        };
        let headers = told(format!("{:?}", answer.headers()));
        let is_endless = headers.contains("event-stream");
        let bytes = if is_endless {
            Vec::new()
        } else {
            to_bytes(answer.into_body(), 1 << 20)
                .await
                .unwrap()
                .to_vec()
        };
        (
            status,
            headers,
            told(String::from_utf8_lossy(&bytes).into_owned()),
        )
    }

    /// A path of the row that is about the collection, or about one that is not there.
    fn path(&self, row: &Row, exists: bool) -> String {
        let name = if exists { "tool" } else { "none" };
        let absent = ABSENT.parse().unwrap();
        let id = match row.rule {
            _ if !exists => absent,
            Rule::Collection(Place::Delivery, _) => self.delivery.get(),
            Rule::Collection(Place::Collection, _) => self.collection.get(),
            Rule::Collection(Place::Push, _) => self.push.get(),
            _ => self.build.get(),
        };
        row.path
            .replace("{owner}", "lab")
            .replace("{repository}", name)
            .replace("{id}", &id.to_string())
            .replace(
                "{reference}",
                if row.path.contains("/manifests/") {
                    "latest"
                } else {
                    name
                },
            )
            .replace("{*container}", &format!("lab/{name}/{name}:latest"))
            .replace("{file}", "latest.sif")
            .replace("{digest}", &cooperage_protocol::Digest::of(b"").to_string())
            .replace("{tag}", "latest")
            .replace("{registry}", "localhost:5000")
            .replace("{attempt}", "1")
            .replace("{number}", "1")
            .replace("{name}", "nobody")
            .replace("{user}", "nobody")
            .replace("{provider}", "nobody")
            .replace("{kind}", "user")
    }
}
