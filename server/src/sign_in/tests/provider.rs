//! A small provider of OpenID Connect that lies as it is told to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// What comes before an Ed25519 seed in PKCS #8.
const PKCS8: &str = "302e020100300506032b657004220420";

/// How a token is signed.
#[derive(Clone, Copy)]
pub(super) enum Signed {
    /// By the key that is published.
    Rightly,
    /// By a key of somebody else, under the name of the one that is published.
    ByAnother,
    /// By the public key, taken for a shared secret.
    ByThePublicKey,
    /// By the client's secret.
    ByTheSecret,
    /// Not at all.
    Not,
}

/// What the provider says.
pub(super) struct Lie {
    /// The claims of its tokens, over those that would be right.
    pub(super) claims: Value,
    /// How they are signed.
    pub(super) signed: Signed,
    /// What the userinfo endpoint says.
    pub(super) userinfo: Value,
    /// The key that it has now.
    pub(super) key: u8,
}

/// The provider, which ends with the test.
#[derive(Clone)]
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) lie: Arc<Mutex<Lie>>,
}

impl Provider {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let lie = Lie {
            claims: json!({}),
            signed: Signed::Rightly,
            userinfo: json!({ "sub": "subject-1" }),
            key: 1,
        };
        let provider = Self {
            issuer: format!("http://{address}"),
            lie: Arc::new(Mutex::new(lie)),
        };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/me", get(me))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        provider
    }

    pub(super) fn says(&self, claims: Value) {
        self.lie.lock().unwrap().claims = claims;
    }

    pub(super) fn signs(&self, signed: Signed) {
        self.lie.lock().unwrap().signed = signed;
    }
}

async fn metadata(State(provider): State<Provider>) -> Json<Value> {
    let issuer = &provider.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "userinfo_endpoint": format!("{issuer}/me"),
    }))
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    let published = published(provider.lie.lock().unwrap().key);
    Json(json!({ "keys": [{ "kty": "from-the-future" }, published] }))
}

/// A code is the nonce and the challenge of its sign-in.
async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<Map<String, Value>>,
) -> Result<Json<Value>, StatusCode> {
    let basic = format!("Basic {}", STANDARD.encode("hub:s%2Bcret"));
    assert_eq!(headers["authorization"], basic);
    let (nonce, challenge) = form["code"].as_str().unwrap().split_once('.').unwrap();
    let verifier = form["code_verifier"].as_str().unwrap();
    if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != challenge {
        return Err(StatusCode::BAD_REQUEST);
    }
    let lie = provider.lie.lock().unwrap();
    let mut claims = json!({
        "iss": provider.issuer,
        "aud": "hub",
        "sub": "subject-1",
        "nonce": nonce,
        "exp": chrono::Utc::now().timestamp() + 300,
        "preferred_username": "ada",
    });
    for (name, value) in lie.claims.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let id_token = sign(&lie, &claims);
    Ok(Json(
        json!({ "access_token": "access", "id_token": id_token, "token_type": "Bearer" }),
    ))
}

async fn me(State(provider): State<Provider>, headers: HeaderMap) -> Json<Value> {
    assert_eq!(headers["authorization"], "Bearer access");
    Json(provider.lie.lock().unwrap().userinfo.clone())
}

fn key(seed: u8) -> EncodingKey {
    let mut der = hex::decode(PKCS8).unwrap();
    der.extend([seed; 32]);
    EncodingKey::from_ed_der(&der)
}

fn published(seed: u8) -> Value {
    let jwk = Jwk::from_encoding_key(&key(seed), Algorithm::EdDSA).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["kid"] = format!("key-{seed}").into();
    jwk["use"] = "sig".into();
    jwk
}

fn sign(lie: &Lie, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(format!("key-{}", lie.key));
    let shared = |secret: &[u8]| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(format!("key-{}", lie.key));
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    match lie.signed {
        Signed::Rightly => jsonwebtoken::encode(&header, claims, &key(lie.key)).unwrap(),
        Signed::ByAnother => jsonwebtoken::encode(&header, claims, &key(99)).unwrap(),
        Signed::ByThePublicKey => {
            let published = published(lie.key);
            let public = URL_SAFE_NO_PAD.decode(published["x"].as_str().unwrap());
            shared(&public.unwrap())
        }
        Signed::ByTheSecret => shared(b"s+cret"),
        Signed::Not => {
            let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", encode(&json!({ "alg": "none" })), encode(claims))
        }
    }
}
