//! The calls to a hub, and how one is found: on this machine, or where the user is logged in.

mod people;

use std::path::Path;
use std::time::Duration;

use cooperage_protocol::admin::{
    AddedCollection, AddedWorker, Build, BuildOnDemand, CheckStore, CheckedStore, Clean, Cleaned,
    Collection, CollectionChange, Credential, Key, NewCheck, NewCollection, NewCredential,
    NewWorker, Problem, StoreUsage, Worker,
};
use cooperage_protocol::{BuildId, CheckId, CollectionName, RegistryCheck};
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use crate::login;

/// Rows of a list that the hub gives at once.
const PAGE: usize = 1000;

/// A hub, as the holder of a token reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    http: Client,
    base: Url,
    token: SecretString,
}

/// Why a call to the hub came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HubError {
    /// There is no hub, or it may not be asked.
    #[error("{0}")]
    NotFound(String),
    /// It does not answer.
    #[error("hub at {0} cannot be reached")]
    Unreachable(Url, #[source] reqwest::Error),
    /// It does not accept the token.
    #[error("hub at {0} does not accept the token of the data folder or of `cooperage login`")]
    Unauthorized(Url),
    /// It answered that this cannot be done.
    #[error("{}", .0.detail)]
    Refused(Problem),
}

impl HubError {
    /// Whether the same call may succeed later: the hub is away, or has lost its database meanwhile.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(..) => true,
            Self::Refused(problem) => problem.status >= 500,
            Self::NotFound(_) | Self::Unauthorized(_) => false,
        }
    }
}

type Result<T> = std::result::Result<T, HubError>;

impl Hub {
    /// The hub whose data lie in `data`, or else the one that the user is logged in at.
    pub(crate) fn of(data: &Path) -> Result<Self> {
        Self::of_this_machine(data).or_else(|not_here| {
            let login =
                login::active().map_err(|error| HubError::NotFound(format!("{error:#}")))?;
            let login = login.ok_or(not_here)?;
            Self::new(login.hub, login.token)
        })
    }

    fn of_this_machine(data: &Path) -> Result<Self> {
        let read = |name: &str| {
            std::fs::read_to_string(data.join(name)).map_err(|error| {
                HubError::NotFound(format!(
                    "no hub found: {}: {error}; start one with `cooperage up`, name its data \
                     folder with --data, or `cooperage login` at another one",
                    data.join(name).display()
                ))
            })
        };
        let address = read("url")?;
        let base = address.trim().parse().map_err(|error| {
            HubError::NotFound(format!("{}: {error}", data.join("url").display()))
        })?;
        Self::new(base, read("admin-token")?.trim().to_owned().into())
    }

    pub(crate) fn new(base: Url, token: SecretString) -> Result<Self> {
        let http = Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_mins(2))
            .tcp_keepalive(Duration::from_secs(20))
            .no_proxy()
            .build()
            .map_err(|error| HubError::Unreachable(base.clone(), error))?;
        Ok(Self { http, base, token })
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// A request to a path of the hub, which begins with a slash.
    pub(crate) fn request(&self, method: Method, path_and_query: &str) -> RequestBuilder {
        let base = self.base.as_str().trim_end_matches('/');
        let url = format!("{base}{path_and_query}");
        self.http
            .request(method, url)
            .bearer_auth(self.token.expose_secret())
    }

    pub(crate) fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().map_err(|error| self.unreachable(error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED => Err(HubError::Unauthorized(self.base.clone())),
            status => Err(HubError::Refused(problem(status, response))),
        }
    }

    pub(crate) fn unreachable(&self, error: reqwest::Error) -> HubError {
        HubError::Unreachable(self.base.clone(), error)
    }

    fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        self.send(request)?
            .json()
            .map_err(|error| self.unreachable(error))
    }

    /// The first `most` rows of a list, which the hub gives a page at a time.
    fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        most: usize,
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        while rows.len() < most {
            let asked = (most - rows.len()).min(PAGE);
            let window = [
                ("limit", asked.to_string()),
                ("offset", rows.len().to_string()),
            ];
            let request = self.request(Method::GET, path).query(query).query(&window);
            let mut page: Vec<T> = self.json(request)?;
            let is_last = page.len() < asked;
            rows.append(&mut page);
            if is_last {
                break;
            }
        }
        Ok(rows)
    }

    pub(crate) fn add_collection(&self, collection: &NewCollection) -> Result<AddedCollection> {
        self.json(
            self.request(Method::POST, "/api/collections")
                .json(collection),
        )
    }

    pub(crate) fn collections(&self) -> Result<Vec<Collection>> {
        self.pages("/api/collections", &[], usize::MAX)
    }

    pub(crate) fn change_collection(
        &self,
        name: &CollectionName,
        change: &CollectionChange,
    ) -> Result<Collection> {
        let path = format!("/api/collections/{name}");
        self.json(self.request(Method::PATCH, &path).json(change))
    }

    pub(crate) fn credentials(&self, of: &CollectionName) -> Result<Vec<Credential>> {
        let path = format!("/api/collections/{of}/credentials");
        self.json(self.request(Method::GET, &path))
    }

    pub(crate) fn put_credential(&self, of: &CollectionName, new: &NewCredential) -> Result<()> {
        let path = format!("/api/collections/{of}/credentials");
        self.send(self.request(Method::POST, &path).json(new))
            .map(drop)
    }

    pub(crate) fn remove_credential(&self, of: &CollectionName, registry: &str) -> Result<()> {
        let path = format!("/api/collections/{of}/credentials/{registry}");
        self.send(self.request(Method::DELETE, &path)).map(drop)
    }

    pub(crate) fn ask_check(&self, of: &CollectionName, what: &NewCheck) -> Result<RegistryCheck> {
        let path = format!("/api/collections/{of}/checks");
        self.json(self.request(Method::POST, &path).json(what))
    }

    pub(crate) fn check(&self, of: &CollectionName, id: CheckId) -> Result<RegistryCheck> {
        let path = format!("/api/collections/{of}/checks/{id}");
        self.json(self.request(Method::GET, &path))
    }

    pub(crate) fn remove_collection(&self, name: &CollectionName) -> Result<()> {
        let path = format!("/api/collections/{name}");
        self.send(self.request(Method::DELETE, &path)).map(drop)
    }

    pub(crate) fn build_now(
        &self,
        name: &CollectionName,
        what: &BuildOnDemand,
    ) -> Result<Vec<Build>> {
        let path = format!("/api/collections/{name}/builds");
        self.json(self.request(Method::POST, &path).json(what))
    }

    pub(crate) fn builds(&self, of: Option<&CollectionName>, limit: u32) -> Result<Vec<Build>> {
        let of = of.map(|name| ("collection", name.to_string()));
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        self.pages("/api/builds", of.as_slice(), most)
    }

    pub(crate) fn build(&self, id: BuildId) -> Result<Build> {
        self.json(self.request(Method::GET, &format!("/api/builds/{id}")))
    }

    pub(crate) fn cancel(&self, id: BuildId) -> Result<Build> {
        self.json(self.request(Method::POST, &format!("/api/builds/{id}/cancel")))
    }

    /// The log from a byte offset on, as it comes.
    pub(crate) fn log(&self, id: BuildId, offset: u64) -> Result<Response> {
        self.send(self.request(
            Method::GET,
            &format!("/api/builds/{id}/log?offset={offset}"),
        ))
    }

    pub(crate) fn add_worker(&self, name: &str) -> Result<AddedWorker> {
        let worker = NewWorker {
            name: name.to_owned(),
        };
        self.json(self.request(Method::POST, "/api/workers").json(&worker))
    }

    pub(crate) fn workers(&self) -> Result<Vec<Worker>> {
        self.json(self.request(Method::GET, "/api/workers"))
    }

    pub(crate) fn store(&self) -> Result<StoreUsage> {
        self.json(self.request(Method::GET, "/api/store"))
    }

    pub(crate) fn check_store(&self, from: &CheckStore) -> Result<CheckedStore> {
        self.json(self.request(Method::POST, "/api/store/check").json(from))
    }

    pub(crate) fn clean_store(&self, clean: &Clean) -> Result<Cleaned> {
        self.json(self.request(Method::POST, "/api/store/clean").json(clean))
    }

    pub(crate) fn keys(&self) -> Result<Vec<Key>> {
        self.json(self.request(Method::GET, "/api/keys"))
    }

    pub(crate) fn rotate_key(&self) -> Result<Key> {
        self.json(self.request(Method::POST, "/api/keys/rotate"))
    }

    pub(crate) fn remove_key(&self, fingerprint: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, &format!("/api/keys/{fingerprint}")))
            .map(drop)
    }
}

fn problem(status: StatusCode, response: Response) -> Problem {
    let title = status.canonical_reason().unwrap_or("Error").to_owned();
    response.json().unwrap_or_else(|_| Problem {
        detail: format!("the hub answered {status}"),
        title,
        status: status.as_u16(),
    })
}
