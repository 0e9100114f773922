//! A hub whose people sign in with a provider, and a browser with its cookies.

use std::collections::BTreeMap;
use std::path::Path;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use sqlx::PgPool;
use tower::ServiceExt as _;
use url::Url;

use crate::tests::World;
use crate::{Hub, routes};

/// A hub with these providers, and nobody in it.
pub(super) fn hub_with(db: PgPool, providers: &str) -> (World, Hub) {
    let world = World::new(db);
    let folder: &Path = &world.hub.config.data;
    let secret = folder.join("client-secret");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(&secret, "s+cret\n").unwrap();
    let settings = providers.replace("SECRET", secret.to_str().unwrap());
    let mut config = (*world.hub.config).clone();
    config.login = toml::from_str(&settings).unwrap();
    let hub = Hub::new(config, world.hub.db.clone(), world.hub.store.clone());
    (world, hub)
}

/// The settings of one provider, and more.
pub(super) fn oidc(issuer: &str, more: &str) -> String {
    format!(
        "[[providers]]\nid = \"corp\"\nname = \"Corp\"\nkind = \"oidc\"\nissuer = \"{issuer}\"\n\
         client_id = \"hub\"\nclient_secret_file = \"SECRET\"\n{more}\n"
    )
}

/// A browser with its cookies.
pub(super) struct Browser {
    hub: Hub,
    pub(super) cookies: BTreeMap<String, String>,
}

/// What a browser was answered.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Page {
    /// Where it leads.
    pub(super) fn location(&self) -> &str {
        let location = self.headers.get(header::LOCATION);
        location.map_or("", |location| location.to_str().unwrap())
    }
}

impl Browser {
    pub(super) fn new(hub: &Hub) -> Self {
        Self {
            hub: hub.clone(),
            cookies: BTreeMap::new(),
        }
    }

    pub(super) async fn get(&mut self, path: &str) -> Page {
        self.ask(Request::get(path), "").await
    }

    pub(super) async fn post(&mut self, path: &str, form: &str) -> Page {
        let kind = "application/x-www-form-urlencoded";
        self.ask(Request::post(path).header("content-type", kind), form)
            .await
    }

    async fn ask(&mut self, request: axum::http::request::Builder, body: &str) -> Page {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = request
            .header("accept", "text/html")
            .header("cookie", cookies.join("; "))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let answer = routes::router(self.hub.clone())
            .oneshot(request)
            .await
            .unwrap();
        let (parts, body) = answer.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Page {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Leaves for the provider, which sends it back to this address of the hub.
    pub(super) async fn leave(&mut self, next: &str) -> String {
        let left = self.get(&format!("/auth/sign-in/corp?next={next}")).await;
        assert_eq!(left.status, StatusCode::SEE_OTHER, "{}", left.text);
        way_back(left.location())
    }

    /// Leaves by a form, whose page goes on to the provider.
    pub(super) async fn leave_by(&mut self, path: &str, form: &str) -> String {
        let left = self.post(path, form).await;
        assert_eq!(left.status, StatusCode::OK, "{}", left.text);
        let refresh = left.headers["refresh"].to_str().unwrap();
        way_back(refresh.strip_prefix("0; url=").unwrap())
    }

    /// Goes to the provider and comes back.
    pub(super) async fn sign_in(&mut self) -> Page {
        let back = self.leave("/queue").await;
        self.get(&back).await
    }

    /// Whom the hub takes it for.
    pub(super) async fn account(&mut self) -> Option<String> {
        let answer = self.get("/api/account").await;
        let account: serde_json::Value = serde_json::from_str(&answer.text).unwrap_or_default();
        account["name"].as_str().map(str::to_owned)
    }
}

/// Where a provider sends a browser that came by this address, with a code.
pub(super) fn way_back(address: &str) -> String {
    let url = Url::parse(address).unwrap();
    let asked: BTreeMap<_, _> = url.query_pairs().collect();
    let (state, challenge) = (&asked["state"], &asked["code_challenge"]);
    let nonce = asked.get("nonce").map_or("", |nonce| nonce);
    assert_eq!(asked["code_challenge_method"], "S256");
    let back = Url::parse(&asked["redirect_uri"]).unwrap();
    assert_eq!(back.host_str(), Some("hub.example"));
    format!("{}?state={state}&code={nonce}.{challenge}", back.path())
}
