//! Whom do people sign in with? One provider each, of one protocol or the other.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::Answer;
use super::fetch::Unanswered;
use super::github::Github;
use super::oidc::{Heard, Oidc};
use super::settings::{Kind, Newcomers, ProviderSettings};
use crate::config::Config;
use crate::db::sign_ins::Row;
use crate::error::Error;
use crate::state::Hub;

/// All providers of the hub.
#[derive(Debug, Default)]
pub(crate) struct Providers(Vec<Provider>);

/// A provider that people sign in with.
#[derive(Debug)]
pub(crate) struct Provider {
    settings: ProviderSettings,
    heard: Heard,
}

/// One question to a provider: who is this?
pub(super) struct Ask<'a> {
    state: &'a str,
    pub(super) nonce: &'a str,
    verifier: &'a str,
    /// Where the browser comes back to.
    back: String,
}

/// Whom a provider vouches for.
#[derive(Debug)]
pub(super) struct Known {
    /// Who they are there, for ever.
    pub(super) subject: String,
    /// What they are called there now.
    pub(super) name: String,
    /// Their mail addresses, as far as they are proven.
    pub(super) emails: Vec<String>,
    /// The groups or organisations that they are in.
    pub(super) groups: Vec<String>,
}

/// Why a provider vouches for nobody.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProof {
    /// It gave no answer.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// What it said is not to be believed.
    #[error("{0}")]
    Untrue(String),
    /// Our fault.
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

impl NoProof {
    /// What people are told; the log says all of it.
    pub(super) fn tell(self, provider: &Provider) -> Error {
        let name = provider.name();
        tracing::warn!(provider = provider.id(), error = %self, "nobody was signed in");
        match self {
            Self::Unanswered(Unanswered::Status { status, .. }) if status.is_client_error() => {
                Error::Unprocessable(format!("{name} refused the hub's question; begin again"))
            }
            Self::Unanswered(_) => Error::Unavailable(format!(
                "{name} does not answer now: log in by another way, or try again later"
            )),
            Self::Untrue(_) => Error::Unprocessable(format!(
                "what {name} answered is not to be trusted; begin again"
            )),
            Self::Internal(error) => Error::Internal(error),
        }
    }
}

/// Finds at the start what would only be found when somebody signs in.
pub(crate) fn check_secrets(config: &Config) -> anyhow::Result<()> {
    for provider in &config.login.providers {
        let id = &provider.id;
        let secret = provider.secret.read();
        secret.with_context(|| format!("setting login.providers: provider {id:?}"))?;
    }
    Ok(())
}

impl Providers {
    /// Those of the settings; none of them is asked yet.
    pub(crate) fn of(config: &Config) -> Self {
        let providers = config.login.providers.iter().map(|settings| Provider {
            settings: settings.clone(),
            heard: Heard::default(),
        });
        Self(providers.collect())
    }

    /// All of them, in the order of their buttons.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.iter()
    }

    /// The provider of this id.
    pub(crate) fn find(&self, id: &str) -> Result<&Provider, Error> {
        let found = self.iter().find(|provider| provider.id() == id);
        found.ok_or_else(|| Error::NotFound(format!("there is no login provider {id:?}")))
    }

    /// What an issuer is called on its button, if it has one still.
    pub(super) fn name_of<'a>(&'a self, issuer: &'a str) -> &'a str {
        let found = self.iter().find(|provider| provider.issuer() == issuer);
        found.map_or(issuer, Provider::name)
    }

    /// Who can vouch for somebody now.
    pub(super) fn issuers(&self) -> Vec<String> {
        self.iter()
            .map(|provider| provider.issuer().to_owned())
            .collect()
    }
}

impl Provider {
    /// What it is called in addresses.
    pub(crate) fn id(&self) -> &str {
        &self.settings.id
    }

    /// What it is called on its button.
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Who vouches for those who sign in.
    pub(super) fn issuer(&self) -> &str {
        self.settings.issuer()
    }

    /// What becomes of those who have no account here.
    pub(super) fn newcomers(&self) -> Newcomers {
        self.settings.newcomers
    }

    /// Where a browser is sent to.
    pub(super) async fn address(&self, ask: &Ask<'_>) -> Result<Url, NoProof> {
        match self.protocol() {
            Protocol::Oidc(oidc) => oidc.address(ask).await,
            Protocol::Github(github) => github.address(ask),
        }
    }

    /// Who came back with this answer and its code.
    pub(super) async fn identify(
        &self,
        ask: &Ask<'_>,
        answer: &Answer,
        code: &str,
    ) -> Result<Known, NoProof> {
        match self.protocol() {
            Protocol::Oidc(oidc) => oidc.identify(ask, answer, code).await,
            Protocol::Github(github) => github.identify(ask, code).await,
        }
    }

    /// Refuses whom the settings do not let in; also those who have an account, each time.
    pub(super) fn check_admission(&self, known: &Known) -> Result<(), Error> {
        let domains = &self.settings.allowed_domains;
        let is_of_domain = known.emails.iter().any(|email| {
            let domain = email
                .rsplit_once('@')
                .map(|(_, domain)| domain.to_lowercase());
            domain.is_some_and(|domain| domains.contains(&domain))
        });
        if !domains.is_empty() && !is_of_domain {
            return Err(Error::Forbidden(
                "this hub is for people whose proven mail address is of certain domains, and yours \
                 is not",
            ));
        }
        let groups = match &self.settings.kind {
            Kind::Oidc { allowed_groups, .. } => allowed_groups,
            Kind::Github {
                allowed_organisations,
                ..
            } => allowed_organisations,
        };
        let is_in_group = known.groups.iter().any(|group| groups.contains(group));
        if !groups.is_empty() && !is_in_group {
            return Err(Error::Forbidden(
                "this hub is for certain groups of people, and you are in none of them",
            ));
        }
        Ok(())
    }

    fn protocol(&self) -> Protocol<'_> {
        match &self.settings.kind {
            Kind::Oidc {
                issuer,
                scopes,
                secret_by,
                groups_claim,
                ..
            } => Protocol::Oidc(Oidc {
                secret_by: *secret_by,
                settings: &self.settings,
                issuer,
                scopes,
                groups_claim,
                heard: &self.heard,
            }),
            Kind::Github {
                web,
                api,
                allowed_organisations,
            } => Protocol::Github(Github {
                settings: &self.settings,
                web,
                api,
                organisations: allowed_organisations,
            }),
        }
    }
}

enum Protocol<'a> {
    Oidc(Oidc<'a>),
    Github(Github<'a>),
}

impl<'a> Ask<'a> {
    /// The question that a row remembers.
    pub(super) fn new(hub: &Hub, row: &'a Row, state: &'a str) -> Self {
        Self {
            state,
            nonce: &row.nonce,
            verifier: &row.verifier,
            back: hub.config.url(&format!("/auth/callback/{}", row.provider)),
        }
    }

    /// Puts the question into the address of a provider.
    pub(super) fn put_into<'s>(
        &self,
        url: &mut Url,
        settings: &ProviderSettings,
        scopes: impl IntoIterator<Item = &'s str>,
    ) {
        let scopes: Vec<_> = scopes.into_iter().collect();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &self.back)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", self.state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
    }

    /// The form that a code is exchanged by, without what proves the client.
    pub(super) fn exchange<'f>(&'f self, code: &'f str) -> Vec<(&'static str, &'f str)> {
        vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.back),
            ("code_verifier", self.verifier),
        ]
    }
}
