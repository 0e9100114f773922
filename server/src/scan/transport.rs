//! How does git speak HTTP here? Over the hub's one TLS stack, within a budget.
//!
//! The "smart" protocol over HTTP: <https://git-scm.com/docs/http-protocol>

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use reqwest::blocking::{Client, Response};
use reqwest::redirect::{Attempt, Policy};

use super::fetch::FetchError;

/// What is left of the limits of the fetch that runs on this thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// When it must have ended.
    pub(super) deadline: Instant,
    /// How much more may be received.
    pub(super) bytes_left: u64,
}

struct Session {
    budget: Budget,
    failure: Option<FetchError>,
}

thread_local! {
    // libgit2 calls a transport on the thread that fetches, and hands nothing else through to it.
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

/// Whether a URL is for this transport.
pub(super) fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// The failure of a fetch that took too long.
pub(super) fn out_of_time() -> FetchError {
    FetchError::Unreachable("fetching took longer than the setting fetch.seconds".to_owned())
}

/// Does `work`; gives, besides its result, the reason that this transport stopped it for.
pub(super) fn with_budget<T>(budget: Budget, work: impl FnOnce() -> T) -> (T, Option<FetchError>) {
    SESSION.set(Some(Session {
        budget,
        failure: None,
    }));
    let result = work();
    (
        result,
        SESSION
            .with_borrow_mut(Option::take)
            .and_then(|session| session.failure),
    )
}

/// Makes libgit2 use this transport; repeating it does nothing.
pub(super) fn register() -> Result<(), FetchError> {
    static REGISTERED: OnceLock<Result<(), String>> = OnceLock::new();
    REGISTERED
        .get_or_init(|| register_once().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(|message| FetchError::Internal(anyhow::anyhow!(message)))
}

#[expect(
    unsafe_code,
    reason = "libgit2's global settings: changed once, before its first use"
)]
fn register_once() -> anyhow::Result<()> {
    let http = Client::builder()
        .user_agent(concat!(
            "git/2.40 (cooperage ",
            env!("CARGO_PKG_VERSION"),
            ")"
        ))
        .redirect(Policy::custom(redirect_within_host))
        .connect_timeout(Duration::from_secs(15))
        .build()?;
    for prefix in ["http", "https"] {
        let http = http.clone();
        // SAFETY: the OnceLock around this function keeps other registrations out, and no
        // transport is made before it has returned.
        unsafe {
            git2::transport::register(prefix, move |remote| {
                let base = Arc::new(Mutex::new(None));
                Transport::smart(
                    remote,
                    true,
                    Http {
                        client: http.clone(),
                        base,
                    },
                )
            })?;
        }
    }
    // SAFETY: as above. Repositories on this machine are connected by the administrator only, and
    // nothing in them is executed, so it does not matter that they belong to other users.
    unsafe { git2::opts::set_verify_owner_validation(false)? };
    Ok(())
}

fn redirect_within_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let is_same = attempt.previous().last().is_some_and(|previous| {
        let next = attempt.url();
        let upgrades = previous.scheme() == "http" && next.scheme() == "https";
        previous.host_str() == next.host_str()
            && (upgrades
                || (previous.scheme() == next.scheme()
                    && previous.port_or_known_default() == next.port_or_known_default()))
    });
    match attempt.previous().len() {
        1..=5 if is_same => attempt.follow(),
        _ => attempt.error("the forge redirects to another host"),
    }
}

#[derive(Clone)]
struct Http {
    client: Client,
    /// Where the remote turned out to be, after redirects.
    base: Arc<Mutex<Option<String>>>,
}

impl SmartSubtransport for Http {
    fn action(
        &self,
        url: &str,
        service: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let method = match service {
            Service::UploadPackLs => Method::Advertise,
            Service::UploadPack => Method::Negotiate(Vec::new()),
            Service::ReceivePackLs | Service::ReceivePack => {
                return Err(git2::Error::from_str("this hub never pushes"));
            }
        };
        let url = url.trim_end_matches('/').to_owned();
        Ok(Box::new(Exchange {
            http: self.clone(),
            url,
            method,
            answer: None,
        }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

enum Method {
    Advertise,
    Negotiate(Vec<u8>),
}

struct Exchange {
    http: Http,
    url: String,
    method: Method,
    answer: Option<Response>,
}

impl Exchange {
    fn send(&mut self) -> io::Result<Response> {
        let timeout = SESSION.with_borrow(|session| {
            session.as_ref().map_or(Duration::ZERO, |session| {
                session
                    .budget
                    .deadline
                    .saturating_duration_since(Instant::now())
            })
        });
        let mut base = self
            .http
            .base
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let root = base.clone().unwrap_or_else(|| self.url.clone());
        let request = match &mut self.method {
            Method::Advertise => self
                .http
                .client
                .get(format!("{root}/info/refs?service=git-upload-pack")),
            Method::Negotiate(body) => self
                .http
                .client
                .post(format!("{root}/git-upload-pack"))
                .header("content-type", "application/x-git-upload-pack-request")
                .header("accept", "application/x-git-upload-pack-result")
                .body(std::mem::take(body)),
        };
        let response = request.timeout(timeout).send().map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(refused(response.status()));
        }
        if matches!(self.method, Method::Advertise) {
            let landed = response.url().as_str();
            *base = landed
                .split_once("/info/refs?")
                .map(|(root, _)| root.to_owned());
        }
        Ok(response)
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut answer = match self.answer.take() {
            Some(answer) => answer,
            None => self.send()?,
        };
        let count = answer.read(buffer).map_err(|error| {
            fail(FetchError::Unreachable(format!(
                "the forge broke off: {error}"
            )))
        })?;
        spend(count)?;
        self.answer = Some(answer);
        Ok(count)
    }
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.method {
            Method::Advertise => Err(io::Error::other("nothing is sent to be told the refs")),
            Method::Negotiate(body) => {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn spend(count: usize) -> io::Result<()> {
    let left = SESSION.with_borrow_mut(|session| {
        let budget = &mut session.as_mut()?.budget;
        budget.bytes_left = budget.bytes_left.checked_sub(u64::try_from(count).ok()?)?;
        Some(())
    });
    left.ok_or_else(|| {
        fail(FetchError::Refused(
            "the repository is larger than fetch.size_mib allows".to_owned(),
        ))
    })
}

fn refused(status: reqwest::StatusCode) -> io::Error {
    let message = format!("the forge answered {status}");
    let may_pass = status.is_server_error()
        || status == reqwest::StatusCode::TOO_MANY_REQUESTS
        || status == reqwest::StatusCode::REQUEST_TIMEOUT;
    fail(if may_pass {
        FetchError::Unreachable(message)
    } else {
        FetchError::Refused(message)
    })
}

fn unreachable(error: reqwest::Error) -> io::Error {
    if error.is_timeout() {
        return fail(out_of_time());
    }
    // A clone URL may hold a password: errors are shown without it.
    let error = error.without_url();
    let is_redirect = error.is_redirect();
    let message = format!(
        "the forge could not be reached: {:#}",
        anyhow::Error::from(error)
    );
    fail(if is_redirect {
        FetchError::Refused(message)
    } else {
        FetchError::Unreachable(message)
    })
}

fn fail(failure: FetchError) -> io::Error {
    let told = io::Error::other(failure.to_string());
    SESSION.with_borrow_mut(|session| {
        if let Some(session) = session {
            session.failure = Some(failure);
        }
    });
    told
}
