//! The settings of the providers that people sign in with: `[[login.providers]]`.

use std::path::PathBuf;

use anyhow::Context as _;
use cooperage_protocol::Password;
use serde::Deserialize;
use url::{Host, Url};

const GITHUB_WEB: &str = "https://github.com";
const GITHUB_API: &str = "https://api.github.com";
const LONGEST_ID: usize = 32;

/// How people log in, beside their passwords.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginSettings {
    /// The providers, in the order of their buttons.
    pub providers: Vec<ProviderSettings>,
}

/// A provider that people sign in with.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub struct ProviderSettings {
    /// What it is called in addresses.
    pub id: String,
    /// What it is called on its button.
    pub name: String,
    /// What it speaks, and where.
    pub kind: Kind,
    /// What it calls the hub.
    pub client_id: String,
    /// What the hub proves to it that it is the hub by.
    pub secret: SecretSource,
    /// Whose proven mail addresses end so are let in; everybody, when it is empty.
    pub allowed_domains: Vec<String>,
    /// What becomes of those who have no account here.
    pub newcomers: Newcomers,
}

/// What a provider speaks, and where.
#[derive(Debug, Clone)]
pub enum Kind {
    /// OpenID Connect.
    Oidc {
        /// The issuer, exactly as the provider writes it.
        issuer: String,
        /// What is asked for, beside `openid`.
        scopes: Vec<String>,
        /// How the secret is sent; as the provider says of itself, when absent.
        secret_by: Option<SecretBy>,
        /// The claim that lists somebody's groups.
        groups_claim: String,
        /// The groups that are let in; everybody, when it is empty.
        allowed_groups: Vec<String>,
    },
    /// GitHub, or GitHub Enterprise Server.
    Github {
        /// Where people see it, without a trailing slash.
        web: String,
        /// Where its API is, without a trailing slash.
        api: String,
        /// Whose members are let in; everybody, when it is empty.
        allowed_organisations: Vec<String>,
    },
}

/// Where the client's secret is. It is read whenever it is needed, so that it can be replaced.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// There is none: PKCE alone proves that the code comes from where it went.
    None,
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

/// How the client's secret is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretBy {
    /// In the header `Authorization`.
    ClientSecretBasic,
    /// In the form.
    ClientSecretPost,
}

/// What becomes of somebody whom the provider knows and the hub does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Newcomers {
    /// They get an account.
    Join,
    /// They are sent away: only those come in who were invited, or linked their account.
    #[default]
    Refuse,
}

impl SecretSource {
    /// The secret, if there is to be one.
    pub(super) fn read(&self) -> anyhow::Result<Option<Password>> {
        let text = match self {
            Self::None => return Ok(None),
            Self::File(path) => std::fs::read_to_string(path)
                .with_context(|| format!("client_secret_file {}", path.display()))?,
            Self::Variable(name) => std::env::var_os(name)
                .and_then(|value| value.into_string().ok())
                .with_context(|| format!("client_secret_env: ${name} is not set"))?,
        };
        let secret = text.trim();
        anyhow::ensure!(!secret.is_empty(), "the client's secret is empty");
        Ok(Some(Password::from(secret.to_owned())))
    }
}

impl ProviderSettings {
    /// Who vouches for those who sign in: together with their number there, that is who they are.
    pub(super) fn issuer(&self) -> &str {
        match &self.kind {
            Kind::Oidc { issuer, .. } => issuer,
            Kind::Github { web, .. } => web,
        }
    }
}

/// Finds an id that two providers have.
pub(crate) fn find_twice(providers: &[ProviderSettings]) -> Option<&str> {
    let ids = || providers.iter().map(|provider| provider.id.as_str());
    ids()
        .enumerate()
        .find_map(|(at, id)| ids().take(at).any(|other| other == id).then_some(id))
}

/// A provider as it is written in the settings file, which allows too much.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    name: String,
    kind: Protocol,
    client_id: String,
    client_secret_file: Option<PathBuf>,
    client_secret_env: Option<String>,
    #[serde(default)]
    allowed_domains: Vec<String>,
    #[serde(default)]
    newcomers: Newcomers,
    issuer: Option<String>,
    scopes: Option<Vec<String>>,
    token_endpoint_auth_method: Option<SecretBy>,
    groups_claim: Option<String>,
    allowed_groups: Option<Vec<String>>,
    web: Option<String>,
    api: Option<String>,
    allowed_organisations: Option<Vec<String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    Oidc,
    Github,
}

impl TryFrom<Written> for ProviderSettings {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let id = written.id.clone();
        check(written).map_err(|problem| format!("login provider {id:?}: {problem}"))
    }
}

fn check(written: Written) -> Result<ProviderSettings, String> {
    check_words(&written)?;
    let secret = match (
        written.client_secret_file.clone(),
        written.client_secret_env.clone(),
    ) {
        (Some(_), Some(_)) => {
            return Err("client_secret_file and client_secret_env are one too many".to_owned());
        }
        (Some(path), None) if !path.is_absolute() => {
            return Err(format!(
                "client_secret_file {} is not an absolute path",
                path.display()
            ));
        }
        (Some(path), None) => SecretSource::File(path),
        (None, Some(name)) => SecretSource::Variable(name),
        (None, None) => SecretSource::None,
    };
    let kind = match written.kind {
        Protocol::Oidc => check_oidc(&written)?,
        Protocol::Github if matches!(secret, SecretSource::None) => {
            return Err("GitHub needs client_secret_file or client_secret_env".to_owned());
        }
        Protocol::Github => check_github(&written)?,
    };
    let domains = written.allowed_domains.iter();
    Ok(ProviderSettings {
        kind,
        secret,
        allowed_domains: domains.map(|domain| domain.to_lowercase()).collect(),
        id: written.id,
        name: written.name,
        client_id: written.client_id,
        newcomers: written.newcomers,
    })
}

fn check_words(written: &Written) -> Result<(), String> {
    let id = &written.id;
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(is_word) {
        return Err(format!(
            "the id is not 1 to {LONGEST_ID} small letters, digits and '-'"
        ));
    }
    if written.name.trim().is_empty() || written.client_id.trim().is_empty() {
        return Err("name and client_id may not be empty".to_owned());
    }
    let not_domain = |domain: &&String| !domain.contains('.') || domain.contains(['@', '*', ' ']);
    match written.allowed_domains.iter().find(not_domain) {
        Some(domain) => Err(format!(
            "allowed_domains has {domain:?}, which is no domain such as \"example.org\""
        )),
        None => Ok(()),
    }
}

fn check_oidc(written: &Written) -> Result<Kind, String> {
    let foreign = [
        ("web", written.web.is_some()),
        ("api", written.api.is_some()),
        (
            "allowed_organisations",
            written.allowed_organisations.is_some(),
        ),
    ];
    refuse_foreign(foreign, "oidc")?;
    let issuer = written.issuer.clone();
    let issuer = issuer.ok_or("kind oidc needs its issuer, as issuer = \"https://…\"")?;
    check_address("issuer", &issuer)?;
    let scopes = written.scopes.clone();
    let claim = written.groups_claim.clone();
    Ok(Kind::Oidc {
        issuer,
        secret_by: written.token_endpoint_auth_method,
        scopes: scopes.unwrap_or_else(|| vec!["profile".to_owned(), "email".to_owned()]),
        groups_claim: claim.unwrap_or_else(|| "groups".to_owned()),
        allowed_groups: written.allowed_groups.clone().unwrap_or_default(),
    })
}

fn check_github(written: &Written) -> Result<Kind, String> {
    let foreign = [
        ("issuer", written.issuer.is_some()),
        ("scopes", written.scopes.is_some()),
        (
            "token_endpoint_auth_method",
            written.token_endpoint_auth_method.is_some(),
        ),
        ("groups_claim", written.groups_claim.is_some()),
        ("allowed_groups", written.allowed_groups.is_some()),
    ];
    refuse_foreign(foreign, "github")?;
    let (web, api) = match (&written.web, &written.api) {
        (None, None) => (GITHUB_WEB.to_owned(), GITHUB_API.to_owned()),
        (Some(web), None) => {
            let web = web.trim_end_matches('/').to_owned();
            let api = format!("{web}/api/v3");
            (web, api)
        }
        (Some(web), Some(api)) => {
            let bare = |url: &str| url.trim_end_matches('/').to_owned();
            (bare(web), bare(api))
        }
        (None, Some(_)) => return Err("api is there, but web is not".to_owned()),
    };
    check_address("web", &web)?;
    check_address("api", &api)?;
    let organisations = written.allowed_organisations.clone().unwrap_or_default();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if let Some(wrong) = organisations
        .iter()
        .find(|name| name.is_empty() || !name.bytes().all(is_word))
    {
        return Err(format!(
            "allowed_organisations has {wrong:?}, which is no name of an organisation"
        ));
    }
    Ok(Kind::Github {
        web,
        api,
        allowed_organisations: organisations,
    })
}

fn refuse_foreign<const N: usize>(keys: [(&str, bool); N], kind: &str) -> Result<(), String> {
    match keys.into_iter().find(|(_, is_there)| *is_there) {
        Some((key, _)) => Err(format!("kind {kind} has no {key}")),
        None => Ok(()),
    }
}

fn check_address(key: &str, text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("{key} {text:?}: {error}"))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{key} {text:?} has more than a path"));
    }
    if is_safe(&url) {
        return Ok(());
    }
    Err(format!(
        "{key} {text:?} is not https://, nor http:// of this machine itself"
    ))
}

/// Whether what is sent there and comes from there is safe from those on the way.
pub(super) fn is_safe(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

#[cfg(test)]
mod tests;
