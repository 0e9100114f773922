//! One attempt at one build, from its assignment to its outcome.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cooperage_image::{BuiltImage, Context, Error, Limits, Output, Request, definition};
use cooperage_protocol::worker::{Assignment, FinishedImage, Outcome};
use cooperage_protocol::{Failure, FailureKind, Mode, StepCache, worker as protocol};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::accounts::AccountFile;
use crate::attempt::{Attempt, AttemptError};
use crate::context::{self, ContextError};
use crate::lease::{Lease, Stop};
use crate::report::{Report, build_and_explain};
use crate::{Worker, heartbeat, outcome, upload};

/// How long a stopped engine may take to kill its scripts and to clean up.
const ENGINE_GRACE: Duration = Duration::from_secs(10);

/// How long the last calls may take when the worker shuts down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Why there is no image.
enum Unfinished {
    /// The build failed.
    Failed(Failure),
    /// The lease has the reason.
    Stopped,
}

/// Works on an assignment until its end is told to the hub, or the lease is lost.
pub(crate) async fn run(worker: &Worker, assignment: Assignment, stopping: &CancellationToken) {
    let lease = Lease::new(assignment.lease, Instant::now());
    let attempt = Attempt::new(worker.hub.clone(), &assignment, lease);
    tracing::info!(
        build = %assignment.build, attempt = assignment.attempt, commit = assignment.commit,
        "building {}:{}", assignment.collection, assignment.tag
    );

    let watch = async {
        let shutdown = async {
            stopping.cancelled().await;
            attempt.lease.stop(Stop::Shutdown);
        };
        tokio::join!(heartbeat::keep_alive(&attempt, assignment.lease), shutdown);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = make_and_tell(worker, &attempt, &assignment) => {}
        () = watch => {}
    }
}

async fn make_and_tell(worker: &Worker, attempt: &Attempt, assignment: &Assignment) {
    let (report, steps) = Report::new(assignment.limits.log_bytes);
    let making = Making {
        worker,
        attempt,
        assignment,
        report: report.clone(),
    };

    let made = async {
        let made = making.make().await;
        let failure = match &made {
            Err(Unfinished::Failed(failure)) => Some(failure),
            Err(Unfinished::Stopped) | Ok(_) => None,
        };
        making.report.end(failure);
        made
    };
    let reporting = async {
        tokio::select! {
            told = report.forward(attempt, steps) => told,
            () = shutdown_grace(attempt) => Err(AttemptError::Lost),
        }
    };
    let (made, reported) = tokio::join!(made, reporting);
    if let Err(error) = reported {
        tracing::warn!(%error, build = %assignment.build, "log is incomplete");
    }

    let told = tokio::select! {
        told = tell(attempt, made) => told,
        () = shutdown_grace(attempt) => Err(AttemptError::Lost),
    };
    if let Err(error) = told {
        tracing::warn!(%error, build = %assignment.build, "outcome could not be told to the hub");
    }
}

async fn shutdown_grace(attempt: &Attempt) {
    attempt.lease.shutdown().await;
    tokio::time::sleep(SHUTDOWN_GRACE + ENGINE_GRACE).await;
}

async fn tell(
    attempt: &Attempt,
    made: Result<FinishedImage, Unfinished>,
) -> Result<(), AttemptError> {
    let outcome = match (made, attempt.lease.stop_reason()) {
        (_, Some(Stop::Lost)) => return Err(AttemptError::Lost),
        (Ok(image), _) => Outcome::Succeeded(Box::new(image)),
        (Err(_), Some(Stop::Shutdown)) => return attempt.release().await,
        (Err(Unfinished::Stopped), _) => Outcome::Failed(cancelled()),
        (Err(Unfinished::Failed(failure)), _) => Outcome::Failed(failure),
    };
    attempt.finish(&outcome).await
}

fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "build was cancelled")
}

/// Everything that making the image needs.
struct Making<'a> {
    worker: &'a Worker,
    attempt: &'a Attempt,
    assignment: &'a Assignment,
    report: Report,
}

impl Making<'_> {
    async fn make(&self) -> Result<FinishedImage, Unfinished> {
        let folder = self
            .worker
            .scratch
            .attempt()
            .map_err(|error| failed(outcome::of_io(&error)))?;
        let root = self.fetch(folder.path()).await?;
        let accounts = AccountFile::new(&self.assignment.accounts)
            .map_err(|error| failed(outcome::of_io(&error)))?;
        let mut image = self.build(folder.path(), &root, &accounts).await?;
        if self.is_damaged(&image).await? {
            image = self.build(folder.path(), &root, &accounts).await?;
        }
        self.upload(image).await
    }

    async fn build(
        &self,
        folder: &Path,
        root: &Path,
        accounts: &AccountFile,
    ) -> Result<BuiltImage, Unfinished> {
        let mut request = self
            .request(folder, root.to_owned())
            .map_err(|error| no_context(&error))?;
        request.account_files.push(accounts.path());
        self.run_engine(request).await
    }

    /// Whether the image has pieces of what the disk of the cache forgot. That is removed: what is built
    /// again is whole. The hub would refuse it, and what is built on it.
    async fn is_damaged(&self, image: &BuiltImage) -> Result<bool, Unfinished> {
        let Some(file) = &image.file else {
            return Ok(false);
        };
        let layout = file.layout.clone();
        let reading = tokio::task::spawn_blocking(move || layout.remove_damaged());
        let removed = match self.unless_stopped(reading).await? {
            Ok(removed) => removed.map_err(|error| failed(outcome::of_engine(&error)))?,
            Err(panic) => return Err(panicked(&panic)),
        };
        for path in &removed {
            tracing::error!("{} was damaged, and is made again", path.display());
        }
        if !removed.is_empty() {
            self.report.warn(
                "the cache of this worker was damaged: what was is removed, and the build begins again",
                self.attempt.lease.engine(),
            );
        }
        Ok(!removed.is_empty())
    }

    async fn fetch(&self, folder: &Path) -> Result<PathBuf, Unfinished> {
        self.report.phase("fetch");
        let (archive, root) = (folder.join("context.tar"), folder.join("context"));
        let most_bytes = self.assignment.limits.disk_bytes;
        let download = context::download(self.attempt, &archive, most_bytes);
        self.unless_stopped(download)
            .await?
            .map_err(|error| no_context(&error))?;

        let unpacked = root.clone();
        let unpack = move || context::unpack(&archive, &unpacked, most_bytes);
        let done = tokio::task::spawn_blocking(unpack)
            .await
            .unwrap_or_else(|panic| Err(ContextError::Io(std::io::Error::other(panic))));
        done.map_err(|error| no_context(&error))?;
        Ok(root)
    }

    fn request(&self, folder: &Path, root: PathBuf) -> Result<Request, ContextError> {
        let assignment = self.assignment;
        let recipe_folder = Path::new(&assignment.recipe)
            .parent()
            .unwrap_or(Path::new(""));
        let definition = context::read_recipe(&root, &assignment.recipe)?;
        let context = Context::Confined {
            folder: root.join(recipe_folder),
            root,
        };
        let output = Output::Sif(folder.join("image.sif"));
        let request = Request::new(&assignment.recipe, definition, context, output);
        Ok(Request {
            definition_options: definition::Options {
                mode: mode(assignment.mode),
                ..definition::Options::default()
            },
            limits: limits(assignment.limits),
            epoch: Some(assignment.commit_time),
            // The folder is the attempt's own, and the image may have been made there before.
            overwrite: true,
            step_age: match assignment.step_cache {
                StepCache::On => request.step_age,
                StepCache::Off => None,
            },
            ..request
        })
    }

    /// Runs the engine on a thread of its own and always waits for its end: it has scripts to
    /// kill and trees to remove.
    async fn run_engine(&self, request: Request) -> Result<BuiltImage, Unfinished> {
        let (engine, report) = (Arc::clone(&self.worker.build), self.report.clone());
        let cancel = self.attempt.lease.engine().clone();
        let (ended, mut end) = oneshot::channel();
        let run = move || drop(ended.send(build_and_explain(&*engine, &request, &report, &cancel)));
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(run);
        thread.map_err(|error| failed(outcome::of_io(&error)))?;

        let built = tokio::select! {
            built = &mut end => built,
            _ = self.attempt.lease.stopped() => {
                let Ok(built) = tokio::time::timeout(ENGINE_GRACE, &mut end).await else {
                    tracing::error!("engine does not stop");
                    return Err(Unfinished::Stopped);
                };
                built
            }
        };
        match built {
            Ok(Ok(image)) => Ok(image),
            Ok(Err(Error::Cancelled)) => Err(Unfinished::Stopped),
            Ok(Err(error)) => Err(failed(outcome::of_engine(&error))),
            Err(_) => Err(failed(Failure::new(
                FailureKind::Internal,
                "engine panicked",
            ))),
        }
    }

    async fn upload(&self, image: BuiltImage) -> Result<FinishedImage, Unfinished> {
        self.report.phase("upload");
        let Some(file) = image.file else {
            let failure = Failure::new(FailureKind::Internal, "engine made no file");
            return Err(failed(failure));
        };
        let layout = file.layout.clone();
        let hashing = tokio::task::spawn_blocking(move || layout.digests());
        let digests = match self.unless_stopped(hashing).await? {
            Ok(digests) => digests.map_err(|error| failed(outcome::of_engine(&error)))?,
            Err(panic) => return Err(panicked(&panic)),
        };
        let upload = upload::upload(self.attempt, &file.layout.objects);
        match self.unless_stopped(upload).await? {
            Ok(()) => Ok(outcome::finished(&file.layout, digests, image.facts)),
            Err(AttemptError::Lost) => Err(Unfinished::Stopped),
            Err(error) => Err(failed(outcome::of_call(&error))),
        }
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Unfinished> {
        tokio::select! {
            biased;
            _ = self.attempt.lease.stopped() => Err(Unfinished::Stopped),
            done = work => Ok(done),
        }
    }
}

fn no_context(error: &ContextError) -> Unfinished {
    match error {
        ContextError::Call(AttemptError::Lost) => Unfinished::Stopped,
        error => failed(outcome::of_context(error)),
    }
}

fn panicked(panic: &tokio::task::JoinError) -> Unfinished {
    failed(Failure::new(FailureKind::Internal, panic.to_string()))
}

fn failed(failure: Failure) -> Unfinished {
    Unfinished::Failed(failure)
}

fn mode(mode: Mode) -> definition::Mode {
    match mode {
        Mode::Modern => definition::Mode::Modern,
        Mode::Lenient => definition::Mode::Lenient,
    }
}

fn limits(limits: protocol::Limits) -> Limits {
    Limits {
        time: Some(Duration::from_secs(limits.seconds)),
        memory: Some(limits.memory_bytes),
        processes: Some(limits.processes),
        disk: Some(limits.disk_bytes),
    }
}
