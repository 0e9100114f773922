//! GitHub, which vouches by its API, and GitHub Enterprise Server.
//!
//! <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps>

use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::fetch::{self, Unanswered};
use super::settings::ProviderSettings;
use super::{Ask, Known, NoProof};

/// GitHub, as far as its protocol goes.
pub(super) struct Github<'a> {
    pub(super) settings: &'a ProviderSettings,
    pub(super) web: &'a str,
    pub(super) api: &'a str,
    pub(super) organisations: &'a [String],
}

/// GitHub answers 200 also when it refuses.
#[derive(Deserialize)]
#[serde(untagged)]
enum Exchanged {
    Token { access_token: String },
    Refused { error: String },
}

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct Email {
    email: String,
    verified: bool,
}

#[derive(Deserialize)]
struct Membership {
    state: String,
}

impl Github<'_> {
    /// Where a browser is sent to. Only what is looked at is asked for.
    pub(super) fn address(&self, ask: &Ask<'_>) -> Result<Url, NoProof> {
        let url = format!("{}/login/oauth/authorize", self.web);
        let mut url = Url::parse(&url).map_err(anyhow::Error::from)?;
        let mut scopes = Vec::new();
        if !self.settings.allowed_domains.is_empty() {
            scopes.push("user:email");
        }
        if !self.organisations.is_empty() {
            scopes.push("read:org");
        }
        ask.put_into(&mut url, self.settings, scopes);
        Ok(url)
    }

    /// Who came back with this code.
    pub(super) async fn identify(&self, ask: &Ask<'_>, code: &str) -> Result<Known, NoProof> {
        let client = fetch::client()?;
        let token = self.exchange(&client, ask, code).await?;
        let user: User = self.call(&client, &token, "/user").await?;
        let mut known = Known {
            subject: user.id.to_string(),
            name: user.login,
            emails: Vec::new(),
            groups: Vec::new(),
        };
        if !self.settings.allowed_domains.is_empty() {
            let emails: Vec<Email> = self.call(&client, &token, "/user/emails").await?;
            let proven = emails.into_iter().filter(|email| email.verified);
            known.emails = proven.map(|email| email.email).collect();
        }
        for organisation in self.organisations {
            if self.is_member(&client, &token, organisation).await? {
                known.groups.push(organisation.clone());
            }
        }
        Ok(known)
    }

    async fn exchange(
        &self,
        client: &Client,
        ask: &Ask<'_>,
        code: &str,
    ) -> Result<String, NoProof> {
        let secret = self.settings.secret.read()?;
        let mut form = ask.exchange(code);
        form.push(("client_id", &self.settings.client_id));
        if let Some(secret) = &secret {
            form.push(("client_secret", secret.expose()));
        }
        let request = client.post(format!("{}/login/oauth/access_token", self.web));
        match fetch::json(request.form(&form)).await? {
            Exchanged::Token { access_token } => Ok(access_token),
            Exchanged::Refused { error } => Err(NoProof::Untrue(format!(
                "it does not take the code: {error}"
            ))),
        }
    }

    async fn is_member(
        &self,
        client: &Client,
        token: &str,
        organisation: &str,
    ) -> Result<bool, NoProof> {
        let path = format!("/user/memberships/orgs/{organisation}");
        match self.call::<Membership>(client, token, &path).await {
            Ok(membership) => Ok(membership.state == "active"),
            // So it answers who is no member, and who did not let us see it.
            Err(Unanswered::Status {
                status: StatusCode::NOT_FOUND | StatusCode::FORBIDDEN,
                ..
            }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        client: &Client,
        token: &str,
        path: &str,
    ) -> Result<T, Unanswered> {
        let request = client.get(format!("{}{path}", self.api));
        fetch::json(request.bearer_auth(token)).await
    }
}
