//! Whether an image can be had, step by step: which host, which realm, which account, which scope,
//! what came back, and which of them is wrong.
//!
//! It asks as a build does, once and without fetching a layer. No step holds a secret.

mod registry;

use std::collections::BTreeMap;
use std::io::Read;

use reqwest::blocking::Response;
use serde::{Deserialize, Serialize};

use self::registry::Registry;
use super::accounts::{Account, Accounts};
use super::client::Client;
use super::digest::Digest;
use super::endpoint::{Endpoint, Role, endpoints};
use super::manifest;
use super::platform::Platform;
use super::reference::Reference;
use super::{Registries, artifact};
use crate::engine::Cancel;
use crate::error::Error;

const MOST_MANIFEST: u64 = 8 << 20;

/// What to check and how.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    /// The image: `docker://…`, `oras://…`, or a reference alregistry.
    pub uri: &'a str,
    /// Which of its platforms.
    pub platform: &'a Platform,
    /// Mirrors and plain-http hosts.
    pub registries: &'a Registries,
    /// As whom.
    pub accounts: &'a Accounts,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The image, as it was asked for.
    pub uri: String,
    /// In the order in which they were done; the last one is [`Verdict::Bad`] if the image cannot
    /// be had.
    pub steps: Vec<Step>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it is about.
    pub subject: Subject,
    /// Whether it is well.
    pub verdict: Verdict,
    /// What was found, in a sentence without its full stop.
    pub message: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub help: Option<String>,
    /// The same for programs: `host`, `realm`, `service`, `scope`, `username`, `source`, `status`,
    /// `digest` and others, as far as they are known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub facts: BTreeMap<String, String>,
}

/// What a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// What the reference names.
    Reference,
    /// Which account there is, and where it came from.
    Account,
    /// Whether the host answers, and is a registry.
    Host,
    /// What it wants to be told before it gives the image.
    Challenge,
    /// Whether it, or its token server, accepts the account.
    Login,
    /// Whether the image is there.
    Image,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Worth knowing, and no obstacle.
    Note,
    /// This is why the image cannot be had.
    Bad,
}

impl Checked {
    /// Whether the image can be had.
    pub fn is_good(&self) -> bool {
        self.steps.iter().all(|step| step.verdict != Verdict::Bad)
    }
}

/// Checks whether an image can be had. That it cannot is an answer, and an error is that somebody
/// cancelled.
pub fn check(wanted: &Check<'_>, cancel: &Cancel) -> Result<Checked, Error> {
    let mut steps = Vec::new();
    // The step that went wrong is the last of them.
    let ended = Checking { wanted, cancel }.run(&mut steps);
    steps.extend(ended.err());
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let uri = wanted.uri.to_owned();
    Ok(Checked { uri, steps })
}

type Ended = Result<(), Step>;

struct Checking<'a> {
    wanted: &'a Check<'a>,
    cancel: &'a Cancel,
}

impl Checking<'_> {
    fn run(&self, steps: &mut Vec<Step>) -> Ended {
        let reference = self.reference(steps)?;
        let account = self.account(&reference, steps);
        let endpoints = endpoints(self.wanted.registries, &reference);
        for endpoint in endpoints.map_err(|error| step_of(Subject::Host, &error))? {
            let is_last = endpoint.role == Role::Registry;
            match self.endpoint(endpoint, &reference, account.clone(), steps) {
                // A mirror that does not have it is no obstacle.
                Err(step) if !is_last => steps.push(Step {
                    verdict: Verdict::Note,
                    ..step
                }),
                ended => return ended,
            }
        }
        Ok(())
    }

    fn reference(&self, steps: &mut Vec<Step>) -> Result<Reference, Step> {
        let text = self.wanted.uri.trim();
        let text = text.strip_prefix("oras://").unwrap_or(text);
        let reference: Reference = text.parse().map_err(|error| {
            let help = "an image is [REGISTRY/][NAMESPACE/]REPOSITORY[:TAG|@sha256:DIGEST]";
            bad(Subject::Reference, format!("{error}"), help)
        })?;
        let registry = reference.registry();
        let message = format!(
            "{} {} of the repository {} at {registry}",
            if reference.version().is_digest() {
                "digest"
            } else {
                "tag"
            },
            reference.version(),
            reference.repository(),
        );
        let step = good(Subject::Reference, message)
            .fact("registry", registry)
            .fact("repository", reference.repository())
            .fact("version", &reference.version().to_string());
        steps.push(step);
        Ok(reference)
    }

    fn account(&self, reference: &Reference, steps: &mut Vec<Step>) -> Option<Account> {
        let found = self.wanted.accounts.find(reference);
        let problems = found.problems.into_iter();
        steps.extend(problems.map(|problem| note(Subject::Account, problem)));
        let step = match &found.account {
            Some(Account {
                username, source, ..
            }) => good(
                Subject::Account,
                format!("account `{username}` from {source}"),
            )
            .fact("username", username)
            .fact("source", source),
            None => note(
                Subject::Account,
                "no account is known for this registry".to_owned(),
            ),
        };
        steps.push(step);
        found.account
    }

    fn endpoint(
        &self,
        endpoint: Endpoint,
        reference: &Reference,
        account: Option<Account>,
        steps: &mut Vec<Step>,
    ) -> Ended {
        let (url, host) = (endpoint.base.to_string(), endpoint.host());
        let is_mirror = endpoint.role == Role::Mirror;
        let client = Client::new(endpoint, reference.repository(), account, self.cancel)
            .map_err(|error| step_of(Subject::Host, &error))?;
        let registry = Registry {
            client: &client,
            host: &host,
            reference,
        };
        let response = registry.ask()?;
        let kind = if is_mirror { "mirror" } else { "registry" };
        registry.is_registry(&response)?;
        steps.push(
            good(Subject::Host, format!("{kind} {host} answers"))
                .fact("host", &host)
                .fact("url", url.trim_end_matches('/')),
        );
        let response = registry.log_in(response, steps)?;
        steps.push(self.image(&registry, response)?);
        Ok(())
    }

    fn image(&self, registry: &Registry<'_>, response: Response) -> Result<Step, Step> {
        let response = registry.accepted(response)?;
        let mut json = Vec::new();
        let read = response.take(MOST_MANIFEST).read_to_end(&mut json);
        read.map_err(|error| {
            let message = format!("connection to {} broke: {error}", registry.host);
            bad(Subject::Image, message, "try again")
        })?;
        let digest = Digest::of(&json).to_string();
        let fact = |step: Step| step.fact("digest", &digest);
        let found = if self.wanted.uri.trim().starts_with("oras://") {
            artifact::describe(&json)
        } else {
            manifest::describe(&json, self.wanted.platform)
        };
        match found {
            Ok(what) => {
                let message = format!("{} is there: {what}", registry.reference);
                Ok(fact(good(Subject::Image, message)))
            }
            Err(why) => {
                let message = format!("{} is there, but {why}", registry.reference);
                let help = "an image is wanted as docker, podman or buildah push it; `oras://` is \
                            for SIF images";
                Err(fact(bad(Subject::Image, message, help)))
            }
        }
    }
}

fn good(subject: Subject, message: String) -> Step {
    Step {
        subject,
        verdict: Verdict::Good,
        message,
        help: None,
        facts: BTreeMap::new(),
    }
}

fn note(subject: Subject, message: String) -> Step {
    let verdict = Verdict::Note;
    Step {
        verdict,
        ..good(subject, message)
    }
}

fn bad(subject: Subject, message: String, help: &str) -> Step {
    Step {
        verdict: Verdict::Bad,
        help: Some(help.to_owned()),
        ..good(subject, message)
    }
}

fn step_of(subject: Subject, error: &Error) -> Step {
    let help = match error {
        Error::Base { help, .. } => help.as_deref(),
        _ => None,
    };
    bad(
        subject,
        error.to_string(),
        help.unwrap_or("check the settings"),
    )
}

impl Step {
    fn fact(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.facts.insert(name.to_owned(), value.to_owned());
        }
        self
    }
}
