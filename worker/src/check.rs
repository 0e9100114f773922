//! One check of whether an image can be had, from its assignment to its answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cooperage_image::oci::{self, Accounts, Checked, Platform, check};
use cooperage_protocol::check::{Step, Subject, Verdict};
use cooperage_protocol::worker::{self, CheckAssignment};
use tokio_util::sync::CancellationToken;

use crate::Worker;
use crate::accounts::AccountFile;
use crate::attempt::Attempt;
use crate::lease::{Lease, Stop};

/// What is left of the lease for telling the answer.
const FOR_TELLING: Duration = Duration::from_secs(10);

/// What a step calls the place of an account: the file in memory has no name that helps anybody.
const SOURCE: &str = "the collection's settings";

/// Asks the registry and tells the hub what it found, unless the worker shuts down meanwhile.
pub(crate) async fn run(
    worker: &Worker,
    assignment: CheckAssignment,
    stopping: &CancellationToken,
) {
    let given = worker::Lease {
        seconds: assignment.seconds,
        cancel: false,
    };
    let lease = Lease::new(given, Instant::now());
    let attempt = Attempt::of_check(worker.hub.clone(), &assignment, lease);
    let id = assignment.check;
    tracing::info!(check = %id, "checking an image for {}", assignment.collection);

    let answering = async {
        let steps = ask(worker, &attempt, assignment).await;
        if let Err(error) = attempt.answer(&steps).await {
            tracing::warn!(%error, check = %id, "answer could not be told to the hub");
        }
    };
    tokio::select! {
        () = answering => {}
        () = stopping.cancelled() => attempt.lease.stop(Stop::Shutdown),
        () = tokio::time::sleep(Duration::from_secs(given.seconds)) => {
            attempt.lease.stop(Stop::Lost);
        }
    }
}

/// Asks on a thread of its own, which ends at the latest when there is little time left to tell.
async fn ask(worker: &Worker, attempt: &Attempt, assignment: CheckAssignment) -> Vec<Step> {
    let patience = attempt.lease.remaining().saturating_sub(FOR_TELLING);
    let cancel = attempt.lease.engine().clone();
    let registries = worker.registries.clone();
    let asking = tokio::task::spawn_blocking(move || {
        let file = AccountFile::new(&assignment.accounts)?;
        let accounts = Accounts {
            files: vec![file.path()],
            ..Accounts::default()
        };
        let wanted = oci::Check {
            uri: &assignment.uri,
            platform: &Platform::host(),
            registries: &registries,
            accounts: &accounts,
        };
        let checked = oci::check(&wanted, &cancel).map_err(std::io::Error::other)?;
        std::io::Result::Ok(steps(checked, &file.path().display().to_string()))
    });
    match tokio::time::timeout(patience, asking).await {
        Ok(Ok(Ok(steps))) => steps,
        Ok(Ok(Err(error))) => vec![unasked(format!("the worker could not ask: {error}"))],
        Ok(Err(panic)) => {
            tracing::error!(%panic, "checking an image panicked");
            vec![unasked("the worker could not ask: see its log".to_owned())]
        }
        Err(_) => {
            attempt.lease.engine().cancel();
            let seconds = patience.as_secs();
            vec![unasked(format!("no answer for {seconds} seconds"))]
        }
    }
}

fn unasked(message: String) -> Step {
    Step {
        subject: Subject::Host,
        verdict: Verdict::Bad,
        message,
        help: Some("look whether the worker's machine reaches the registry".to_owned()),
        facts: BTreeMap::new(),
    }
}

/// The engine's steps in the words of the protocol.
fn steps(checked: Checked, account_file: &str) -> Vec<Step> {
    let named = |text: String| text.replace(account_file, SOURCE);
    let told = |step: check::Step| Step {
        subject: subject(step.subject),
        verdict: verdict(step.verdict),
        message: named(step.message),
        help: step.help.map(named),
        facts: step
            .facts
            .into_iter()
            .map(|(name, value)| (name, named(value)))
            .collect(),
    };
    checked.steps.into_iter().map(told).collect()
}

fn subject(subject: check::Subject) -> Subject {
    match subject {
        check::Subject::Reference => Subject::Reference,
        check::Subject::Account => Subject::Account,
        check::Subject::Host => Subject::Host,
        check::Subject::Challenge => Subject::Challenge,
        check::Subject::Login => Subject::Login,
        check::Subject::Image => Subject::Image,
    }
}

fn verdict(verdict: check::Verdict) -> Verdict {
    match verdict {
        check::Verdict::Good => Verdict::Good,
        check::Verdict::Note => Verdict::Note,
        check::Verdict::Bad => Verdict::Bad,
    }
}
