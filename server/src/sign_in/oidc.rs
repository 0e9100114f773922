//! OpenID Connect: the provider is found by its issuer, and vouches by an ID token.
//!
//! <https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth>

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::fetch::{self, Unanswered};
use super::id_token::{self, Expected, Keys, Untrue};
use super::settings::{self, ProviderSettings, SecretBy};
use super::{Answer, Ask, Known, NoProof};

/// How long what a provider says of itself is believed; keys that it withdraws are good that long.
const FRESH: Duration = Duration::from_mins(30);

/// What a provider says of itself.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    userinfo_endpoint: Option<Url>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Debug)]
struct Discovered {
    metadata: Metadata,
    keys: Keys,
    at: Instant,
}

/// What was last heard of a provider.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Option<Arc<Discovered>>>);

/// A provider of OpenID Connect, as far as its protocol goes.
pub(super) struct Oidc<'a> {
    pub(super) settings: &'a ProviderSettings,
    pub(super) issuer: &'a str,
    pub(super) scopes: &'a [String],
    pub(super) secret_by: Option<SecretBy>,
    pub(super) groups_claim: &'a str,
    pub(super) heard: &'a Heard,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    id_token: String,
}

impl Metadata {
    /// A provider that says nothing of it takes the header.
    fn takes_secret_by(&self) -> SecretBy {
        let listed = &self.token_endpoint_auth_methods_supported;
        if listed.is_empty() || listed.iter().any(|method| method == "client_secret_basic") {
            SecretBy::ClientSecretBasic
        } else {
            SecretBy::ClientSecretPost
        }
    }
}

impl Oidc<'_> {
    /// Where a browser is sent to.
    pub(super) async fn address(&self, ask: &Ask<'_>) -> Result<Url, NoProof> {
        let provider = self.discovered(FRESH).await?;
        let mut url = provider.metadata.authorization_endpoint.clone();
        let scopes = ["openid"]
            .into_iter()
            .chain(self.scopes.iter().map(String::as_str));
        ask.put_into(&mut url, self.settings, scopes);
        url.query_pairs_mut().append_pair("nonce", ask.nonce);
        Ok(url)
    }

    /// Who came back with this answer.
    pub(super) async fn identify(
        &self,
        ask: &Ask<'_>,
        answer: &Answer,
        code: &str,
    ) -> Result<Known, NoProof> {
        let provider = self.discovered(FRESH).await?;
        self.check_issuer(&provider.metadata, answer)?;
        let tokens = self.exchange(&provider.metadata, ask, code).await?;
        let mut claims = self.believe(&tokens.id_token, ask.nonce).await?;
        if let Some(url) = &provider.metadata.userinfo_endpoint {
            self.add_claims(&mut claims, url, &tokens.access_token)
                .await?;
        }
        Ok(self.read(&claims))
    }

    /// # Security
    ///
    /// An answer of one provider must not be taken for another's (RFC 9207).
    fn check_issuer(&self, metadata: &Metadata, answer: &Answer) -> Result<(), NoProof> {
        match answer.iss.as_deref() {
            Some(issuer) if issuer == self.issuer => Ok(()),
            None if !metadata.authorization_response_iss_parameter_supported => Ok(()),
            _ => Err(NoProof::Untrue("the answer is another issuer's".to_owned())),
        }
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        ask: &Ask<'_>,
        code: &str,
    ) -> Result<Tokens, NoProof> {
        let request = fetch::client()?.post(metadata.token_endpoint.clone());
        let mut form = ask.exchange(code);
        let by = self.secret_by.unwrap_or_else(|| metadata.takes_secret_by());
        let secret = self.settings.secret.read()?;
        let request = match &secret {
            Some(secret) if by == SecretBy::ClientSecretBasic => {
                let encode = |text: &str| -> String {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let name = encode(&self.settings.client_id);
                request.basic_auth(name, Some(encode(secret.expose())))
            }
            Some(secret) => {
                form.push(("client_id", &self.settings.client_id));
                form.push(("client_secret", secret.expose()));
                request
            }
            None => {
                form.push(("client_id", &self.settings.client_id));
                request
            }
        };
        Ok(fetch::json(request.form(&form)).await?)
    }

    /// The claims of a token; when its key is not known, the provider may have another by now.
    async fn believe(&self, token: &str, nonce: &str) -> Result<Map<String, Value>, NoProof> {
        let expected = Expected {
            issuer: self.issuer,
            client_id: &self.settings.client_id,
            nonce,
        };
        let known = self.discovered(FRESH).await?;
        let verified = match id_token::verify(token, &known.keys, &expected) {
            Err(Untrue::UnknownKey) => {
                let known = self.discovered(Duration::ZERO).await?;
                id_token::verify(token, &known.keys, &expected)
            }
            verified => verified,
        };
        verified.map_err(|untrue| NoProof::Untrue(format!("its ID token is not taken: {untrue}")))
    }

    /// Adds what the provider tells only when it is asked: names, addresses and groups, often.
    async fn add_claims(
        &self,
        claims: &mut Map<String, Value>,
        url: &Url,
        token: &str,
    ) -> Result<(), NoProof> {
        let request = fetch::client()?.get(url.clone()).bearer_auth(token);
        let told: Map<String, Value> =
            fetch::json(request.header(header::CACHE_CONTROL, "no-store")).await?;
        if told.get("sub") != claims.get("sub") {
            let untrue = "what it tells of the person is about somebody else";
            return Err(NoProof::Untrue(untrue.to_owned()));
        }
        // What is proven of one address is not proven of another.
        let is_same_email = claims
            .get("email")
            .is_none_or(|email| told.get("email") == Some(email));
        for (name, value) in told {
            if is_same_email || name != "email_verified" {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(())
    }

    fn read(&self, claims: &Map<String, Value>) -> Known {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let email = text("email").filter(|_| is_true(claims.get("email_verified")));
        let name = text("preferred_username").or(text("nickname"));
        Known {
            subject: text("sub").unwrap_or_default().to_owned(),
            name: name.or(text("name")).unwrap_or_default().to_owned(),
            emails: email.map(str::to_owned).into_iter().collect(),
            groups: texts(claims.get(self.groups_claim)),
        }
    }

    async fn discovered(&self, at_most: Duration) -> Result<Arc<Discovered>, NoProof> {
        let last = self.heard.get();
        if let Some(last) = last.filter(|last| last.at.elapsed() < at_most) {
            return Ok(last);
        }
        let found = Arc::new(self.discover().await?);
        self.heard.set(found.clone());
        Ok(found)
    }

    async fn discover(&self) -> Result<Discovered, NoProof> {
        let base = self.issuer.trim_end_matches('/');
        let client = fetch::client()?;
        let at = Instant::now();
        let request = client.get(format!("{base}/.well-known/openid-configuration"));
        let metadata: Metadata = fetch::json(request).await?;
        if metadata.issuer != self.issuer {
            return Err(NoProof::Unanswered(Unanswered::Unreadable(format!(
                "it calls itself {:?}, and the settings call it {:?}",
                metadata.issuer, self.issuer
            ))));
        }
        let own = [
            &metadata.authorization_endpoint,
            &metadata.token_endpoint,
            &metadata.jwks_uri,
        ];
        let all = own.into_iter().chain(&metadata.userinfo_endpoint);
        if let Some(unsafe_one) = all.into_iter().find(|url| !settings::is_safe(url)) {
            return Err(NoProof::Unanswered(Unanswered::Unreadable(format!(
                "it names {unsafe_one}, which is not https://"
            ))));
        }
        let keys = fetch::json(client.get(metadata.jwks_uri.clone())).await?;
        Ok(Discovered { metadata, keys, at })
    }
}

impl Heard {
    fn get(&self) -> Option<Arc<Discovered>> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }

    fn set(&self, found: Arc<Discovered>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }
}

/// Some providers write truth as a text.
fn is_true(claim: Option<&Value>) -> bool {
    matches!(claim, Some(Value::Bool(true))) || claim.and_then(Value::as_str) == Some("true")
}

fn texts(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(values)) => {
            let texts = values.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}
